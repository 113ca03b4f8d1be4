//! The audit log, entry by entry: who asked for what, and what came of it.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::moment::{Moment, at};

/// The API group of First Aid's own kinds.
pub const GROUP: &str = "firstaid.dev";

/// One request and its answer.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// The whole of it.
    pub json: &'a Value,
    /// Its audit id: the same for all stages of one request, and for no other request.
    pub id: &'a str,
    /// `patch`, `create` and so on.
    pub verb: &'a str,
    /// API group.
    pub group: &'a str,
    /// `deployments`.
    pub resource: &'a str,
    /// `status`, mostly none.
    pub subresource: &'a str,
    /// Name of the object.
    pub name: &'a str,
    /// Who asked: where they impersonated, as whom. That is who the API server let in, and what admission saw.
    pub user: &'a str,
    /// Whether they impersonated.
    pub impersonates: bool,
    /// The HTTP status that was answered; 0 where none is known.
    pub code: i64,
    /// When the request came in.
    pub received: Option<Moment>,
    /// When it was answered. The API server notes it before whoever asked can have read the answer.
    pub answered: Option<Moment>,
}

/// The answered requests of a log, in the order in which they came in. A line that is there twice tells of one request: the
/// log may be delivered more than once, and in any order. What has no id is never taken for a copy.
pub fn read(lines: &[Value]) -> Vec<Entry<'_>> {
    let mut seen = BTreeSet::new();
    let mut entries: Vec<Entry<'_>> = lines.iter().filter_map(Entry::read).collect();
    entries.retain(|entry| entry.id.is_empty() || seen.insert(entry.id));
    entries.sort_by_key(|entry| (entry.received, entry.answered));
    entries
}

impl<'a> Entry<'a> {
    /// Reads an entry; none where it is about a stage before the answer.
    pub fn read(json: &'a Value) -> Option<Self> {
        if !matches!(text(json, "/stage"), "ResponseComplete" | "Panic") {
            return None;
        }
        let (signed_in, other) = (text(json, "/user/username"), text(json, "/impersonatedUser/username"));
        Some(Self {
            json,
            id: text(json, "/auditID"),
            verb: text(json, "/verb"),
            group: text(json, "/objectRef/apiGroup"),
            resource: text(json, "/objectRef/resource"),
            subresource: text(json, "/objectRef/subresource"),
            name: text(json, "/objectRef/name"),
            user: if other.is_empty() { signed_in } else { other },
            impersonates: !other.is_empty(),
            code: number(json, "/responseStatus/code"),
            received: Moment::read(text(json, "/requestReceivedTimestamp")),
            answered: Moment::read(text(json, "/stageTimestamp")),
        })
    }

    /// Whether it asked for a change that was to be stored.
    pub fn is_write(&self) -> bool {
        let reads = matches!(self.verb, "get" | "list" | "watch");
        // A delete says so in its body, everything else in its address.
        let rehearses = text(self.json, "/requestURI").contains("dryRun=")
            || items(self.json, "/requestObject/dryRun").next().is_some();
        !reads && !rehearses
    }

    /// Whether it was answered with success.
    pub fn succeeded(&self) -> bool {
        (200..300).contains(&self.code)
    }

    /// Whether the answer does not say what came of it.
    pub fn is_unclear(&self) -> bool {
        self.code == 0 || self.code >= 500
    }

    /// Whether it is about one of First Aid's own kinds.
    pub fn is_about(&self, resource: &str) -> bool {
        self.group == GROUP && self.resource == resource
    }

    /// The object as it was stored, or read: none where the request failed or changed nothing that is kept, and where the
    /// log holds no body.
    pub fn object(&self) -> Option<&'a Value> {
        let stored = self.is_write() || self.verb == "get";
        let object = self.json.get("responseObject")?;
        (self.succeeded() && stored && !text(object, "/metadata/uid").is_empty()).then_some(object)
    }

    /// `patch deployments/checkout at 03:25:00.123456 (audit line 8f1c...)`.
    pub fn says(&self) -> String {
        let line = if self.id.is_empty() { "without id" } else { self.id };
        format!("{} {}/{} at {} (audit line {line})", self.verb, self.resource, self.name, at(self.received))
    }
}

/// A text inside an object; empty where there is none.
pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A number inside an object; 0 where there is none.
pub fn number(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
}

/// Whether something inside an object is true.
pub fn is_true(object: &Value, pointer: &str) -> bool {
    object.pointer(pointer) == Some(&Value::Bool(true))
}

/// The items of a list inside an object.
pub fn items<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    object.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// The members of a map inside an object.
pub fn members<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = (&'a str, &'a Value)> + use<'a> {
    let map = object.pointer(pointer).and_then(Value::as_object);
    map.into_iter().flat_map(Map::iter).map(|(key, value)| (key.as_str(), value))
}

/// An annotation of an object; empty where there is none.
pub fn annotation<'a>(object: &'a Value, key: &str) -> &'a str {
    members(object, "/metadata/annotations").find(|(k, _)| *k == key).and_then(|(_, v)| v.as_str()).unwrap_or_default()
}

/// The place of a version of an object among all versions of all objects. It is etcd's own count of writes, one for the
/// whole store, so it also tells which of two writes to different objects came first.
pub fn version(object: &Value) -> Option<u64> {
    text(object, "/metadata/resourceVersion").parse().ok()
}
