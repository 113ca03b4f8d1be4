//! Objects for programs: `-o json`, `yaml`, `name` and `jsonpath=`.

use std::str::FromStr;

use jsonpath_rust::JsonPath as _;
use serde_json::{Value, json};

use super::Screen;
use crate::api::line::{is_unsafe, one_line};
use crate::cli::plugin::ended::Failure;

/// For whom it is printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// People.
    #[default]
    Text,
    /// People, with more columns.
    Wide,
    /// Programs: JSON.
    Json,
    /// Programs: YAML.
    Yaml,
    /// Programs: `kind/name`, a line each.
    Name,
    /// Programs: what a path finds.
    JsonPath(String),
}

impl FromStr for Output {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" | "text" => Ok(Self::Text),
            "wide" => Ok(Self::Wide),
            "json" => Ok(Self::Json),
            "yaml" => Ok(Self::Yaml),
            "name" => Ok(Self::Name),
            _ => match text.strip_prefix("jsonpath=") {
                Some(path) => Ok(Self::JsonPath(path.to_owned())),
                None => Err("it is one of text, wide, json, yaml, name, jsonpath='{.status.phase}'".to_owned()),
            },
        }
    }
}

impl Output {
    /// Whether it is for people.
    pub fn is_text(&self) -> bool {
        matches!(self, Self::Text | Self::Wide)
    }

    /// Prints an object as the server has it. For people there is nothing to do here.
    ///
    /// # Errors
    /// Where the path is none.
    pub fn print(&self, screen: &Screen, object: &Value) -> Result<(), Failure> {
        match self {
            Self::Text | Self::Wide => {}
            Self::Json => screen.raw(&pretty(object)),
            Self::Yaml => screen.raw(&yaml(object)?),
            Self::Name => names(object).iter().for_each(|name| screen.say(name)),
            Self::JsonPath(path) => found(object, path)?.iter().for_each(|line| screen.say(line)),
        }
        Ok(())
    }

    /// Prints objects as a list.
    ///
    /// # Errors
    /// Where the path is none.
    pub fn print_list(&self, screen: &Screen, objects: Vec<Value>) -> Result<(), Failure> {
        self.print(screen, &json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": objects}))
    }
}

/// JSON, in which every character that does something to a terminal is escaped: the same value all the same.
pub fn pretty(object: &Value) -> String {
    let text = serde_json::to_string_pretty(object).unwrap_or_default();
    let mut safe = String::with_capacity(text.len() + 1);
    for character in text.chars() {
        if character == '\n' || !is_unsafe(character) {
            safe.push(character);
        } else {
            let mut units = [0; 2];
            character.encode_utf16(&mut units).iter().for_each(|unit| safe.push_str(&format!("\\u{unit:04x}")));
        }
    }
    safe.push('\n');
    safe
}

/// YAML, in which every character that does something to a terminal is a blank: JSON has them all.
fn yaml(object: &Value) -> Result<String, Failure> {
    let text = serde_yaml::to_string(object).map_err(|error| Failure::error(format!("writing YAML: {error}")))?;
    let mut safe: String = text.lines().map(one_line).collect::<Vec<_>>().join("\n");
    safe.push('\n');
    Ok(safe)
}

/// `runbookrun.firstaid.dev/NAME`, as kubectl takes it.
fn names(object: &Value) -> Vec<String> {
    if let Some(items) = object.get("items").and_then(Value::as_array) {
        return items.iter().flat_map(names).collect();
    }
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let group = text("/apiVersion").split_once('/').map(|(group, _)| format!(".{group}")).unwrap_or_default();
    vec![format!("{}{group}/{}", text("/kind").to_lowercase(), text("/metadata/name"))]
}

/// What a path finds, a line each. The path is one of RFC 9535, or as kubectl writes simple ones: `{.status.phase}`.
fn found(object: &Value, path: &str) -> Result<Vec<String>, Failure> {
    let inner = path.trim().strip_prefix('{').and_then(|path| path.strip_suffix('}')).unwrap_or(path.trim());
    let whole = match inner.trim() {
        path if path.starts_with('$') => path.to_owned(),
        path if path.starts_with(['.', '[']) => format!("${path}"),
        path => format!("$.{path}"),
    };
    let values = object.query(&whole).map_err(|error| {
        Failure::usage(format!("{path} is no JSONPath: {error}; one is like jsonpath='{{.status.phase}}'"))
    })?;
    let line = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    Ok(values.into_iter().map(line).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_the_same_value_and_does_nothing_to_a_terminal() {
        let object = json!({"a": "x\u{9b}2J\u{202e}y\n", "b": "\u{e0001}"});
        let text = pretty(&object);
        assert!(text.chars().all(|c| c == '\n' || !is_unsafe(c)), "{text:?}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), object);
    }

    #[test]
    fn yaml_has_one_line_for_each_of_its_own() {
        let text = yaml(&json!({"a": "x\u{1b}[2Jy"})).unwrap();
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }

    #[test]
    fn names_and_paths_are_those_of_kubectl() {
        let run = json!({"apiVersion": "firstaid.dev/v1alpha1", "kind": "RunbookRun", "metadata": {"name": "a"}, "status": {"phase": "Waiting"}});
        assert_eq!(names(&json!({"items": [run]})), ["runbookrun.firstaid.dev/a"]);
        for path in ["{.status.phase}", ".status.phase", "$.status.phase", "status.phase"] {
            assert_eq!(found(&run, path).unwrap(), ["Waiting"], "{path}");
        }
        assert!(found(&run, "{.a[}").is_err());
        assert_eq!("jsonpath={.a}".parse(), Ok(Output::JsonPath("{.a}".to_owned())));
        assert!("yml".parse::<Output>().is_err());
    }
}
