//! Runs, ballots and records as a retrospective reads them.
//!
//! From JSON, field by field: what a newer version writes is read as far as it is known, and a field that is not what it
//! should be is empty. Whether the evidence stands is judged elsewhere ([`crate::verify`]); here nothing is refused.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::super::people::voter;
use crate::verify::Stored;

/// A moment in an object; `None` where there is none, or no time.
pub(super) fn time(object: &Value, pointer: &str) -> Option<Timestamp> {
    object.pointer(pointer)?.as_str()?.parse().ok()
}

/// A run.
#[derive(Clone, Debug)]
pub struct Run<'a> {
    /// The object.
    pub object: &'a Stored,
    /// When it was asked for, to the second: the API server notes no more.
    pub asked: Option<Timestamp>,
    /// When it ended.
    pub finished: Option<Timestamp>,
}

impl<'a> Run<'a> {
    pub(super) fn of(object: &'a Stored) -> Self {
        let at = |pointer: &str| time(&object.object, pointer);
        Self { object, asked: at("/metadata/creationTimestamp"), finished: at("/status/finishedAt") }
    }

    /// Its name.
    pub fn name(&self) -> &'a str {
        self.object.name()
    }

    /// Who asked for it.
    pub fn requester(&self) -> &'a str {
        self.object.text("/spec/requestedBy/username")
    }

    /// How it stands.
    pub fn phase(&self) -> &'a str {
        self.object.text("/status/phase")
    }

    /// The condition `Ratified`: its status and its reason, where something was decided without a second person.
    pub fn ratified(&self) -> Option<(&'a str, &'a str, &'a str)> {
        let conditions = self.object.object.pointer("/status/conditions")?.as_array()?;
        let of = |condition: &'a Value, key: &str| condition.get(key).and_then(Value::as_str).unwrap_or_default();
        let found = conditions.iter().find(|condition| of(condition, "type") == "Ratified")?;
        Some((of(found, "status"), of(found, "reason"), of(found, "message")))
    }

    /// The votes of its journal under which it meant to do something, or did.
    pub fn votes_of_acts(&self) -> impl Iterator<Item = &'a Value> {
        let steps = self.object.object.pointer("/status/steps").and_then(Value::as_object);
        let parts = steps.into_iter().flat_map(Map::values).filter_map(Value::as_object).flat_map(Map::values);
        parts.filter_map(|part| part.get("approvals")?.as_array()).flatten()
    }

    /// An annotation that a person set: why, by whom, and when, as far as the API server keeps it.
    pub fn said(&self, key: &str) -> Option<(&'a str, &'a str, Option<Timestamp>)> {
        let why = self.object.text(&format!("/metadata/annotations/{key}"));
        let by = self.object.text(&format!("/metadata/annotations/{key}-by"));
        (!why.is_empty()).then(|| (why, by, annotated(self.object, &[key])))
    }
}

/// What a person said on a ballot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said<'a> {
    /// Yes, and why.
    Yes(&'a str),
    /// No, and why.
    No(&'a str),
}

/// A ballot.
#[derive(Clone, Debug)]
pub struct Ballot<'a> {
    /// The object.
    pub object: &'a Stored,
    /// When it was issued.
    pub issued: Option<Timestamp>,
    /// What was said on it.
    pub said: Option<Said<'a>>,
    /// Who said it.
    pub by: &'a str,
    /// When it was said, to the second, where the API server's note of it (`managedFields`) is in the material.
    pub marked: Option<Timestamp>,
    /// When it came into its state.
    pub changed: Option<Timestamp>,
}

impl<'a> Ballot<'a> {
    pub(super) fn of(object: &'a Stored) -> Self {
        let mark = |key: &str| object.object.pointer(&format!("/metadata/annotations/{key}")).and_then(Value::as_str);
        let said = match (mark("approve"), mark("deny")) {
            (None, None) => None,
            // The first word is the code of the plan.
            (Some(approve), None) => {
                Some(Said::Yes(approve.split_once(char::is_whitespace).map_or("", |(_, why)| why)))
            }
            // A no without a word is one.
            (_, Some(deny)) => Some(Said::No(deny)),
        };
        Self {
            object,
            issued: time(&object.object, "/spec/request/issuedAt"),
            said,
            by: voter(object),
            marked: said.and_then(|_| annotated(object, &["approve", "deny"])),
            changed: time(&object.object, "/status/changedAt"),
        }
    }

    /// Its state: Open, Expired, Superseded, Withdrawn.
    pub fn state(&self) -> &'a str {
        self.object.text("/status/state")
    }

    /// Whether it asks to ratify what was done, and not whether it may be done.
    pub fn ratifies(&self) -> bool {
        self.object.text("/spec/request/kind") == "Ratify"
    }

    /// The uid of its run.
    pub fn run_uid(&self) -> &'a str {
        self.object.text("/spec/request/runUID")
    }
}

/// When one of these annotations was last written, as the API server noted it.
///
/// kubectl leaves `managedFields` out unless it is asked for them, so an export has them only by `--show-managed-fields`.
fn annotated(object: &Stored, keys: &[&str]) -> Option<Timestamp> {
    let entries = object.object.pointer("/metadata/managedFields")?.as_array()?;
    let wrote = |entry: &&Value| {
        let fields = entry.pointer("/fieldsV1/f:metadata/f:annotations");
        keys.iter().any(|key| fields.is_some_and(|fields| fields.get(format!("f:{key}")).is_some()))
    };
    entries.iter().filter(wrote).filter_map(|entry| time(entry, "/time")).max()
}

/// A record.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// The object.
    pub object: &'a Stored,
    /// When the intent was written.
    pub intended: Option<Timestamp>,
    /// When something was sent.
    pub acted: Option<Timestamp>,
    /// When it was settled.
    pub settled: Option<Timestamp>,
}

impl<'a> Record<'a> {
    pub(super) fn of(object: &'a Stored) -> Self {
        let at = |pointer: &str| time(&object.object, pointer);
        Self { object, intended: at("/spec/intentAt"), acted: at("/spec/actedAt"), settled: at("/spec/settledAt") }
    }

    /// Its name.
    pub fn name(&self) -> &'a str {
        self.object.name()
    }

    /// A text of its spec.
    pub fn spec(&self, key: &str) -> &'a str {
        self.object.spec().get(key).and_then(Value::as_str).unwrap_or_default()
    }

    /// When it took effect: when it was sent, else when it was settled.
    pub fn at(&self) -> Option<Timestamp> {
        self.acted.or(self.settled)
    }

    /// Whether something was judged, and nothing was to be changed.
    pub fn is_check(&self) -> bool {
        self.spec("kind") == "Observation"
    }

    /// What a check found, in words.
    pub fn found(&self) -> &'static str {
        match self.spec("verified") {
            "Yes" => "the check held",
            "No" => "the check did not come true",
            "NotApplicable" => "the check was passed by",
            _ => "the check could not be judged",
        }
    }

    /// Whether something was changed by it.
    pub fn changed(&self) -> bool {
        let changed = self.object.spec().get("changed").and_then(Value::as_bool).unwrap_or_default();
        changed && !self.is_check() && self.spec("result") == "Done"
    }

    /// Whether it is the undo of another one.
    pub fn undoes(&self) -> bool {
        !self.spec("revertOf").is_empty()
    }

    /// What became of it since.
    pub fn state(&self) -> &'a str {
        self.object.text("/status/state")
    }

    /// The version of its format.
    pub fn version(&self) -> i64 {
        self.object.spec().get("schemaVersion").and_then(Value::as_i64).unwrap_or_default()
    }

    /// Its place in the chain of its run.
    pub fn seq(&self) -> i64 {
        self.object.spec().get("seq").and_then(Value::as_i64).unwrap_or_default()
    }

    /// The ballots that opened its gate.
    pub fn ballots(&self) -> impl Iterator<Item = &'a str> {
        self.votes().filter_map(|vote| vote.get("ballot")?.as_str())
    }

    /// The votes that opened its gate.
    pub fn votes(&self) -> impl Iterator<Item = &'a Value> {
        self.object.spec().get("approvals").and_then(Value::as_array).into_iter().flatten()
    }

    /// What differs between `before` and `after`, each in one line: `replicas 4` and `replicas 10`. Of a document of many
    /// lines it is the few that matter; the record has the whole.
    pub fn values(&self) -> (String, String) {
        let of = |key: &str| self.object.spec().get(key).filter(|value| value.is_object());
        let (mut before, mut after) = (Vec::new(), Vec::new());
        differing("", of("before"), of("after"), &mut |path, old, new| {
            let name = path.rsplit('.').next().unwrap_or(path);
            before.push(format!("{name} {}", word(old)));
            after.push(format!("{name} {}", word(new)));
        });
        let line = |values: Vec<String>| match values.len() {
            0 => "-".to_owned(),
            1..=4 => values.join(", "),
            more => format!("{}, and {} more", values.iter().take(4).cloned().collect::<Vec<_>>().join(", "), more - 4),
        };
        (line(before), line(after))
    }

    /// What it was judged by: what, and what was seen.
    pub fn evidence(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let all = self.object.spec().get("evidence").and_then(Value::as_array).into_iter().flatten();
        all.map(|piece| {
            let text = |key: &str| piece.get(key).and_then(Value::as_str).unwrap_or_default();
            (text("what"), text("seen"))
        })
    }
}

/// Every value that is another one afterwards, with the path to it.
fn differing<'a>(
    path: &str,
    old: Option<&'a Value>,
    new: Option<&'a Value>,
    found: &mut impl FnMut(&str, Option<&'a Value>, Option<&'a Value>),
) {
    let fields = |value: Option<&'a Value>| value.and_then(Value::as_object);
    let whole = |value: Option<&'a Value>| value.is_none_or(Value::is_object);
    if old == new || !whole(old) || !whole(new) {
        if old != new {
            found(path, old, new);
        }
        return;
    }
    let keys: BTreeSet<&String> = [old, new].into_iter().filter_map(fields).flat_map(Map::keys).collect();
    for key in keys {
        let of = |value: Option<&'a Value>| fields(value).and_then(|fields| fields.get(key));
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        differing(&path, of(old), of(new), found);
    }
}

fn word(value: Option<&Value>) -> String {
    match value {
        None => "(none)".to_owned(),
        Some(Value::String(text)) if text.is_empty() => "(none)".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}
