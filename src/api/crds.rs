//! The CustomResourceDefinitions, made from the types.

use kube::CustomResourceExt;
use serde_json::Value;

use super::{ActionRecord, Approval, Incident, Runbook, RunbookRun};

/// The CRDs by the names of their files. Fails only where a type cannot be a schema, which a test would have shown.
pub fn all() -> serde_json::Result<Vec<(String, Value)>> {
    [
        (Runbook::crd(), Status::Subresource),
        (RunbookRun::crd(), Status::Subresource),
        (Approval::crd(), Status::PartOfObject),
        (ActionRecord::crd(), Status::PartOfObject),
        (Incident::crd(), Status::Subresource),
    ]
    .into_iter()
    .map(|(crd, status)| {
        let mut crd = serde_json::to_value(crd)?;
        for version in crd.pointer_mut("/spec/versions").and_then(Value::as_array_mut).into_iter().flatten() {
            if let (Status::PartOfObject, Some(version)) = (status, version.as_object_mut()) {
                version.remove("subresources");
            }
            if let Some(schema) = version.pointer_mut("/schema/openAPIV3Schema") {
                tidy(schema);
            }
        }
        let name = crd.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok((format!("{name}.yaml"), crd))
    })
    .collect()
}

/// Whether `status` is written by requests of its own.
#[derive(Clone, Copy)]
enum Status {
    Subresource,
    /// Set at creation, in one write; the chart's policies keep it to the operator.
    PartOfObject,
}

/// Takes away what the derive says and the API server words badly or warns of.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            // "Exactly one action" by oneOf gives an unreadable message; a CEL rule says it in a sentence.
            if fields.get("oneOf").is_some_and(only_requires) {
                fields.remove("oneOf");
            }
            // Rust's names of number formats; the API server warns of them.
            if fields.get("format").and_then(Value::as_str).is_some_and(|f| f.starts_with("uint")) {
                fields.remove("format");
            }
            fields.values_mut().for_each(tidy);
        }
        Value::Array(items) => items.iter_mut().for_each(tidy),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn only_requires(one_of: &Value) -> bool {
    let alternatives = one_of.as_array().map(Vec::as_slice).unwrap_or_default();
    alternatives.iter().all(|a| a.as_object().is_some_and(|o| o.keys().all(|k| k == "required")))
}
