//! The chain of a run's records, recomputed without any of the product's code.

use anyhow::{Result, ensure};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::town::{number, text};

/// Fails unless each record's hash is that of its own text and names the record before it.
///
/// What is hashed is `spec` without `hash`, as JSON with sorted keys and without blanks (RFC 8785).
pub fn verify(run: &Value, records: &[Value]) -> Result<()> {
    let mut previous = "";
    for (place, record) in records.iter().enumerate() {
        let name = text(record, "/metadata/name");
        ensure!(number(record, "/spec/seq") == place as i64 + 1, "{name} is not number {} of its chain", place + 1);
        ensure!(text(record, "/spec/prevHash") == previous, "{name} does not follow {previous}");
        let mut spec = record.get("spec").cloned().unwrap_or_default();
        spec.as_object_mut().and_then(|fields| fields.remove("hash"));
        let hash: String = Sha256::digest(canonical(&spec)).iter().map(|byte| format!("{byte:02x}")).collect();
        ensure!(text(record, "/spec/hash") == format!("sha256:{hash}"), "the hash of {name} is not {hash}: {record:#}");
        previous = text(record, "/spec/hash");
    }
    ensure!(text(run, "/status/recordHead") == previous, "the run's head of the chain is not {previous}");
    Ok(())
}

/// All keys that occur are ASCII, so that the order of bytes is that of RFC 8785.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let mut members: Vec<(&String, &Value)> = fields.iter().collect();
            members.sort_by_key(|(key, _)| *key);
            let members: Vec<String> =
                members.iter().map(|(key, value)| format!("\"{key}\":{}", canonical(value))).collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        scalar => scalar.to_string(),
    }
}
