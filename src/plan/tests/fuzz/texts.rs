//! No text that is written moves a cursor, begins a line, or turns its direction.

use serde_json::Value;

use crate::api::line::is_unsafe;

/// What is opaque: values of the cluster and the runbook's own words, kept as they are so that they can be put back.
const AS_THEY_ARE: [&str; 5] = ["frozen", "before", "after", "facts", "restore"];

/// Fails where a text is not one line, or does something.
pub fn are_tame(what: &str, value: &Value) {
    match value {
        Value::String(text) => assert!(!text.chars().any(is_unsafe), "{what} holds {text:?}"),
        Value::Array(items) => items.iter().for_each(|item| are_tame(what, item)),
        Value::Object(fields) => {
            for (key, value) in fields {
                assert!(!key.chars().any(is_unsafe), "{what} has a field {key:?}");
                if !AS_THEY_ARE.contains(&key.as_str()) {
                    are_tame(&format!("{what}.{key}"), value);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
