//! Digests: canonical JSON (RFC 8785, for the integers and texts that we hold) and SHA-256.

use std::fmt::Write;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The digest of a value: `sha256:` and 64 hexadecimal digits of its canonical JSON.
pub fn of<T: Serialize>(value: &T) -> String {
    // A value of ours always is JSON; null stands for what is not, and equals no plan.
    sha256(canonical(&serde_json::to_value(value).unwrap_or(Value::Null)).as_bytes())
}

/// `sha256:` and 64 hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The short form of a digest that a person repeats: its first four digits.
pub fn code(digest: &str) -> String {
    digest.trim_start_matches("sha256:").chars().take(4).collect()
}

/// JSON with sorted keys and without whitespace: the same value gives the same bytes.
pub fn canonical(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let mut keys: Vec<&String> = fields.keys().collect();
            // RFC 8785 sorts by UTF-16 code units.
            keys.sort_by_key(|key| key.encode_utf16().collect::<Vec<_>>());
            let members: Vec<String> = keys
                .into_iter()
                .filter_map(|key| fields.get(key).map(|v| format!("{}:{}", Value::String(key.clone()), canonical(v))))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_order_of_keys_does_not_matter() {
        assert_eq!(
            canonical(&json!({"b": [1, {"d": null, "c": "x\n"}], "a": true})),
            r#"{"a":true,"b":[1,{"c":"x\n","d":null}]}"#
        );
    }

    #[test]
    fn a_known_digest() {
        assert_eq!(sha256(b""), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(code("sha256:9c41ab"), "9c41");
    }
}
