//! The bounds that the API server holds a write to, read from the generated kinds themselves.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

/// The schemas by kind.
static SCHEMAS: LazyLock<BTreeMap<String, Value>> = LazyLock::new(|| {
    let kinds = crate::api::crds::all().expect("the kinds");
    kinds
        .into_iter()
        .map(|(_, crd)| {
            let kind = crd["spec"]["names"]["kind"].as_str().expect("a kind").to_owned();
            (kind, crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone())
        })
        .collect()
});

/// Where an object is not within the bounds of its kind.
pub fn broken(kind: &str, object: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(&SCHEMAS[kind], object, kind, &mut found);
    // The rules of the names, in CEL.
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let most = match kind {
        "Runbook" => 40,
        "RunbookRun" => 52,
        _ => 253,
    };
    if name.len() > most {
        found.push(format!("{kind}: a name of {} characters", name.len()));
    }
    found
}

fn walk(schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let number = |key: &str| schema[key].as_u64().map(|n| usize::try_from(n).unwrap_or(usize::MAX));
    let mut over = |what: &str, is: usize, most: Option<usize>| {
        if most.is_some_and(|most| is > most) {
            found.push(format!("{at} has {is} {what}, and {most:?} at most"));
        }
    };
    match value {
        Value::String(text) => {
            let length = text.chars().count();
            over("characters", length, number("maxLength"));
            if let Some(pattern) = schema["pattern"].as_str()
                && !matches(pattern, text)
            {
                found.push(format!("{at} is {text:?}, which is not as {pattern}"));
            }
            if number("minLength").is_some_and(|least| length < least) {
                found.push(format!("{at} is too short"));
            }
            if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
                found.push(format!("{at} is {text:?}, which is not one of {}", schema["enum"]));
            }
            if schema["type"].as_str().is_some_and(|kind| kind != "string") {
                found.push(format!("{at} is a text"));
            }
        }
        Value::Array(items) => {
            over("items", items.len(), number("maxItems"));
            for (index, item) in items.iter().enumerate() {
                walk(&schema["items"], item, &format!("{at}[{index}]"), found);
            }
        }
        Value::Object(fields) => {
            over("fields", fields.len(), number("maxProperties"));
            let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            for field in required.filter(|field| !fields.contains_key(*field)) {
                found.push(format!("{at} has no {field}"));
            }
            for (field, value) in fields {
                let inner = schema["properties"].get(field).or(schema.get("additionalProperties"));
                if let Some(inner) = inner {
                    walk(inner, value, &format!("{at}.{field}"), found);
                }
            }
        }
        Value::Number(number) => {
            let is = number.as_f64().unwrap_or_default();
            if schema["minimum"].as_f64().is_some_and(|least| is < least)
                || schema["maximum"].as_f64().is_some_and(|most| is > most)
            {
                found.push(format!("{at} is {is}"));
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

/// The patterns of our kinds are regular expressions, which CEL has.
fn matches(pattern: &str, text: &str) -> bool {
    let context = serde_json::json!(text);
    let quoted = pattern.replace('\\', "\\\\").replace('\'', "\\'");
    crate::expression::evaluate(&format!("text.matches('{quoted}')"), &[("text", &context)]) == Ok(Value::Bool(true))
}
