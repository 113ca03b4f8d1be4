//! Whether a document fits the schema of its kind, as the API server holds against it: the very schema that is installed.

use serde_json::{Map, Value};

use super::finding::Problem;
use super::yaml::{Field, Node, Place, What};

/// Where something is in a document: `spec.steps[0].name`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(Vec<Part>);

/// A part of a [`Path`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// A field.
    Field(String),
    /// An item of a list, from 0.
    Item(usize),
}

impl Path {
    /// The path that is written `spec.steps[0].name`.
    pub fn parse(text: &str) -> Self {
        let mut parts = Vec::new();
        for piece in text.split('.').filter(|piece| !piece.is_empty()) {
            let mut names = piece.split('[');
            parts.extend(names.next().filter(|name| !name.is_empty()).map(|name| Part::Field(name.to_owned())));
            parts.extend(names.filter_map(|index| index.trim_end_matches(']').parse().ok()).map(Part::Item));
        }
        Self(parts)
    }

    /// The field of what is here.
    pub fn field(&self, name: &str) -> Self {
        self.with(Part::Field(name.to_owned()))
    }

    /// The item of what is here.
    pub fn item(&self, index: usize) -> Self {
        self.with(Part::Item(index))
    }

    fn with(&self, part: Part) -> Self {
        Self(self.0.iter().cloned().chain([part]).collect())
    }

    /// Whether the other one is here or in what is here.
    pub fn holds(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }

    /// The same as a JSON pointer.
    pub fn pointer(&self) -> String {
        self.0
            .iter()
            .map(|part| match part {
                Part::Field(name) => format!("/{}", name.replace('~', "~0").replace('/', "~1")),
                Part::Item(index) => format!("/{index}"),
            })
            .collect()
    }

    /// What is there, or the last thing on the way that is.
    pub fn in_node<'n>(&self, root: &'n Node) -> &'n Node {
        let mut here = root;
        for part in &self.0 {
            let next = match part {
                Part::Field(name) => here.get(name),
                Part::Item(index) => here.items().get(*index),
            };
            let Some(next) = next else { break };
            here = next;
        }
        here
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (number, part) in self.0.iter().enumerate() {
            match part {
                Part::Field(name) if number == 0 => write!(f, "{name}")?,
                Part::Field(name) => write!(f, ".{name}")?,
                Part::Item(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// What does not fit, in the order of the document.
pub fn unfit(schema: &Value, node: &Node, path: &Path) -> Vec<Problem> {
    let mut found = Vec::new();
    walk(schema, node, node.place, path, &mut found);
    found
}

/// The document as the API server has it after it has dropped what it does not know, and fields that are null.
pub fn as_stored(schema: &Value, value: &Value) -> Value {
    if keeps_all(schema) {
        return value.clone();
    }
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(_, value)| !value.is_null()).filter_map(|(name, value)| {
                let schema = property(schema, name)?;
                Some((name.clone(), as_stored(schema, value)))
            });
            Value::Object(kept.collect::<Map<_, _>>())
        }
        Value::Array(items) => match schema.get("items") {
            Some(schema) => Value::Array(items.iter().map(|item| as_stored(schema, item)).collect()),
            None => value.clone(),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn keeps_all(schema: &Value) -> bool {
    schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true))
}

fn property<'s>(schema: &'s Value, name: &str) -> Option<&'s Value> {
    schema
        .get("properties")
        .and_then(|known| known.get(name))
        .or_else(|| schema.get("additionalProperties").filter(|s| s.is_object()))
}

/// `named` is where the name of the value stands, where it has one: there something can be missing in it.
fn walk(schema: &Value, node: &Node, named: Place, path: &Path, found: &mut Vec<Problem>) {
    let wanted = schema.get("type").and_then(Value::as_str).unwrap_or_default();
    let int_or_string = schema.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true));
    let fits = match (&node.what, wanted) {
        (What::Text(_), "string")
        | (What::Bool(_), "boolean")
        | (What::List(_), "array")
        | (What::Fields(_), "object") => true,
        (What::Number(number), "integer") => !number.is_f64(),
        (What::Number(_), "number") => true,
        (What::Number(number), "") if int_or_string => !number.is_f64(),
        (What::Text(_), "") if int_or_string => true,
        (_, "") => !int_or_string,
        _ => false,
    };
    if !fits {
        found.push(of_another_type(schema, wanted, node, path));
        return;
    }
    match &node.what {
        What::Text(text) => of_text(schema, text, node, path, found),
        What::Number(number) => of_number(schema, number.as_f64().unwrap_or_default(), node, path, found),
        What::List(items) => {
            let count =
                |what: &str, more: &str| format!("{path} has {} items, and must have {what} {more}", items.len());
            if let Some(least) = bound(schema, "minItems").filter(|least| items.len() < *least) {
                found.push(Problem::at(
                    node.place,
                    path,
                    count("at least", &least.to_string()),
                    "write what is missing, each with a - before it",
                ));
            }
            if let Some(most) = bound(schema, "maxItems").filter(|most| items.len() > *most) {
                found.push(Problem::at(
                    node.place,
                    path,
                    count("at most", &most.to_string()),
                    "write less of it: two runbooks, for instance",
                ));
            }
            if let Some(schema) = schema.get("items") {
                items
                    .iter()
                    .enumerate()
                    .for_each(|(index, item)| walk(schema, item, item.place, &path.item(index), found));
            }
        }
        What::Fields(fields) => of_fields(schema, fields, named, path, found),
        What::Null | What::Bool(_) => {}
    }
}

fn of_another_type(schema: &Value, wanted: &str, node: &Node, path: &Path) -> Problem {
    let name = match wanted {
        "string" => "a text",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "fields",
        "integer" => "a whole number",
        "number" => "a number",
        _ => "a whole number or a text",
    };
    let written = node.written.as_str();
    let (sentence, instead) = match (&node.what, wanted) {
        // The one thing in YAML that nobody expects.
        (What::Bool(value), "string") if written != value.to_string() => (
            format!("{path} must be a text, and YAML takes {written} for {value}"),
            format!("write it in quotes: \"{written}\""),
        ),
        (What::Bool(_) | What::Number(_), "string") => (
            format!("{path} must be a text, and this is {}", node.kind()),
            format!("write it in quotes: \"{written}\""),
        ),
        (What::Text(text), "integer") if text.trim().parse::<i64>().is_ok() => (
            format!("{path} must be a whole number, and in quotes it is a text"),
            format!("write it without quotes: {}", text.trim()),
        ),
        (What::Text(_), "boolean") => (
            format!("{path} must be true or false, and this is a text"),
            "write true or false, without quotes".to_owned(),
        ),
        (What::Fields(_), "array") => {
            (format!("{path} must be a list, and this is one value"), "write - before it".to_owned())
        }
        (_, "object") => (format!("{path} must have fields, and this is {}", node.kind()), known(schema)),
        _ => (format!("{path} must be {name}, and this is {}", node.kind()), described(schema)),
    };
    Problem::at(node.place, path, sentence, instead)
}

fn of_text(schema: &Value, text: &str, node: &Node, path: &Path, found: &mut Vec<Problem>) {
    let mut say = |sentence: String, instead: String| found.push(Problem::at(node.place, path, sentence, instead));
    let length = text.chars().count();
    if bound(schema, "minLength").is_some_and(|least| length < least) {
        say(format!("{path} is empty"), described(schema));
        return;
    }
    if let Some(most) = bound(schema, "maxLength").filter(|most| length > *most) {
        say(format!("{path} is {length} characters long, and at most {most} are taken"), "say it shorter".to_owned());
    }
    let known: Vec<&str> = list(schema, "enum").filter_map(Value::as_str).collect();
    if !known.is_empty() && !known.contains(&text) {
        say(format!("{path} cannot be {text:?}"), offer(text, &known));
        return;
    }
    let pattern = schema.get("pattern").and_then(Value::as_str);
    if let Some(pattern) = pattern.filter(|pattern| !matches(pattern, text)) {
        say(format!("{path} cannot be {text:?}: it must match {pattern}"), described(schema));
    }
}

fn of_number(schema: &Value, number: f64, node: &Node, path: &Path, found: &mut Vec<Problem>) {
    let limit = |name: &str| schema.get(name).and_then(Value::as_f64);
    let wanted = match (limit("minimum"), limit("maximum")) {
        (Some(least), _) if number < least => format!("{least} or more"),
        (_, Some(most)) if number > most => format!("{most} or less"),
        _ => return,
    };
    found.push(Problem::at(
        node.place,
        path,
        format!("{path} must be {wanted}, and this is {}", node.written),
        described(schema),
    ));
}

fn of_fields(schema: &Value, fields: &[Field], named: Place, path: &Path, found: &mut Vec<Problem>) {
    if let Some(most) = bound(schema, "maxProperties").filter(|most| fields.len() > *most) {
        found.push(Problem::at(
            named,
            path,
            format!("{path} has {} fields, and may have {most}", fields.len()),
            "write less of it",
        ));
    }
    for field in fields {
        let path = path.field(&field.key);
        match property(schema, &field.key) {
            // A field that is null is one that is not there.
            Some(_) if field.value.what == What::Null => {}
            Some(schema) => walk(schema, &field.value, field.place, &path, found),
            None if keeps_all(schema) => {}
            None => {
                let known: Vec<&str> = schema
                    .get("properties")
                    .and_then(Value::as_object)
                    .into_iter()
                    .flatten()
                    .map(|(k, _)| k.as_str())
                    .collect();
                let mut problem =
                    Problem::at(field.place, &path, format!("there is no field {path}"), offer(&field.key, &known));
                problem.unknown = true;
                found.push(problem);
            }
        }
    }
    for name in list(schema, "required").filter_map(Value::as_str) {
        let there = fields.iter().find(|field| field.key == name);
        let missing = |place| {
            let what = property(schema, name).map(described).filter(|what| !what.is_empty());
            let what = what.map(|what| format!(" ({what})")).unwrap_or_default();
            Problem::at(
                place,
                &path.field(name),
                format!("{} is missing", path.field(name)),
                format!("write {name}: VALUE{what}"),
            )
        };
        match there {
            None => found.push(missing(named)),
            Some(field) if field.value.what == What::Null => found.push(missing(field.place)),
            Some(_) => {}
        }
    }
}

/// Whether a text matches a pattern of the schema, asked of what else evaluates such patterns here.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (Value::from(pattern), Value::from(text));
    crate::expression::evaluate("text.matches(pattern)", &[("text", &text), ("pattern", &pattern)])
        == Ok(Value::Bool(true))
}

fn bound(schema: &Value, name: &str) -> Option<usize> {
    schema.get(name).and_then(Value::as_u64).and_then(|bound| usize::try_from(bound).ok())
}

fn list<'s>(schema: &'s Value, name: &str) -> impl Iterator<Item = &'s Value> {
    schema.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// What the schema says of a field, in one sentence.
fn described(schema: &Value) -> String {
    let text = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    let line = text.split("\n\n").next().unwrap_or_default().replace('\n', " ");
    line.split_inclusive(". ").next().unwrap_or_default().trim().trim_end_matches('.').to_owned()
}

fn known(schema: &Value) -> String {
    let names: Vec<&str> =
        schema.get("properties").and_then(Value::as_object).into_iter().flatten().map(|(k, _)| k.as_str()).collect();
    if names.is_empty() { described(schema) } else { format!("write fields of it: {}", names.join(", ")) }
}

/// The word that was likely meant, or all that there are.
pub fn offer(word: &str, known: &[&str]) -> String {
    let near = known.iter().map(|name| (distance(word, name), *name)).min();
    match near {
        Some((steps, name)) if steps <= 2 && steps < name.chars().count() => format!("write {name}"),
        _ if known.is_empty() => "leave it out".to_owned(),
        _ => format!("write one of: {}", known.join(", ")),
    }
}

/// How many letters one must add, drop, change or swap to make one word of another, whatever their case.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) =
        (one.to_lowercase().chars().take(64).collect(), other.to_lowercase().chars().take(64).collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=other.len()).collect()];
    let at = |rows: &[Vec<usize>], row: usize, column: usize| {
        rows.get(row).and_then(|r| r.get(column)).copied().unwrap_or(usize::MAX / 2)
    };
    for (i, a) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in other.iter().enumerate() {
            let left = row.last().copied().unwrap_or_default() + 1;
            let mut best = left.min(at(&rows, i, j + 1) + 1).min(at(&rows, i, j) + usize::from(a != b));
            let swapped = i > 0 && j > 0 && one.get(i - 1) == Some(b) && other.get(j - 1) == Some(a);
            if swapped {
                best = best.min(at(&rows, i - 1, j - 1) + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    at(&rows, one.len(), other.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_and_written() {
        let path = Path::parse("spec.steps[0].scale.target");
        assert_eq!(path.to_string(), "spec.steps[0].scale.target");
        assert_eq!(path.pointer(), "/spec/steps/0/scale/target");
        assert!(Path::parse("spec.steps[0]").holds(&path) && !Path::parse("spec.steps[1]").holds(&path));
        assert_eq!(Path::parse(""), Path::default());
    }

    #[test]
    fn the_word_that_was_meant_is_offered() {
        let known = ["scale", "restart", "disable", "check"];
        assert_eq!(offer("scael", &known), "write scale");
        assert_eq!(offer("Restart", &known), "write restart");
        assert_eq!(offer("chekc", &known), "write check");
        assert_eq!(offer("reboot", &known), "write one of: scale, restart, disable, check");
        assert_eq!(offer("x", &[]), "leave it out");
    }
}
