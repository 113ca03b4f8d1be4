//! An undo that stands under the approval of what it undoes (`coversUndo`): whether it is the undo of that, and in time. Its run
//! claims so in its status; the record of what it undoes, and the run that made it, have to bear it out.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::chain::Link;
use super::evidence::Stored;
use super::finding::Beyond;
use super::index::Index;
use crate::api::Period;

/// The plan of a record, in its run.
pub(super) fn plan_of<'a>(record: &Stored, run: Option<&'a Stored>) -> Option<&'a Value> {
    let plans = run?.object.pointer("/status/plans")?.as_object()?;
    plans.values().find(|plan| plan.get("planHash").and_then(Value::as_str) == Some(record.text("/spec/planHash")))
}

/// What keeps the approval of `original` from being one of `link` too; `cover` is what the run of `link` says of it.
pub(super) fn judge(link: &Link<'_>, original: &Stored, cover: &Value, evidence: &Index<'_>) -> Vec<Beyond> {
    let undo = link.record;
    let mut beyond = Vec::new();
    let claimed = |key: &str| cover.get(key).and_then(Value::as_str).unwrap_or_default();
    if (claimed("runUID"), claimed("planHash")) != (original.text("/spec/runUID"), original.text("/spec/planHash")) {
        beyond.push(Beyond::AnotherPlan);
    }
    if part(undo, "target") != part(original, "target") {
        beyond.push(Beyond::AnotherTarget);
    }
    if !is_put_back(part(original, "before"), part(undo, "before"), part(undo, "after")) {
        beyond.push(Beyond::NotPutBack);
    }
    beyond.extend(too_late(undo, original, evidence));
    beyond.extend(own_vote(undo, evidence));
    beyond
}

fn part<'a>(record: &'a Stored, key: &str) -> &'a Value {
    record.spec().get(key).unwrap_or(&Value::Null)
}

/// Whether whatever differs between `now` and `after` is in `after` as it was `before`; what differs in neither is nobody's.
fn is_put_back(before: &Value, now: &Value, after: &Value) -> bool {
    if after == now {
        return true;
    }
    let nothing = Map::new();
    let now = if now.is_null() { Some(&nothing) } else { now.as_object() };
    match (before.as_object(), now, after.as_object()) {
        (Some(before), Some(now), Some(after)) => now.keys().chain(after.keys()).all(|key| {
            let of = |object: &Map<String, Value>| object.get(key).cloned().unwrap_or_default();
            is_put_back(&of(before), &of(now), &of(after))
        }),
        _ => after == before,
    }
}

/// Whether the undo was planned later than its gate gave leave to. Nobody can tell where the run that made the change is gone;
/// that is a note of its own.
fn too_late(undo: &Stored, original: &Stored, evidence: &Index<'_>) -> Option<Beyond> {
    let run = evidence.run(original.namespace(), original.text("/spec/runUID"))?;
    let period = plan_of(original, Some(run))
        .and_then(|plan| plan.pointer("/terms/coversUndo"))
        .and_then(|period| serde_json::from_value::<Period>(period.clone()).ok());
    let Some(period) = period else { return Some(Beyond::NoLeave) };
    let time = |record: &Stored, pointer: &str| record.text(pointer).parse::<Timestamp>().ok();
    let done = time(original, "/spec/actedAt").or_else(|| time(original, "/spec/settledAt"));
    let until = done?.checked_add(jiff::SignedDuration::from_secs(period.seconds())).ok();
    let planned = time(undo, "/spec/intentAt");
    match until.zip(planned) {
        Some((until, planned)) if planned <= until => None,
        _ => Some(Beyond::TooLate { until: until.map(|at| at.to_string()).unwrap_or_default() }),
    }
}

/// Whether the undo was asked for by one of those whose votes it stands under, where their ballot lets no requester decide.
fn own_vote(undo: &Stored, evidence: &Index<'_>) -> Option<Beyond> {
    let key = undo.text("/spec/requestedBy/key");
    let requester = if key.is_empty() { undo.text("/spec/requestedBy/username") } else { key };
    let votes = undo.object.pointer("/spec/approvals").and_then(Value::as_array);
    votes.into_iter().flatten().find_map(|vote| {
        let text = |key: &str| vote.get(key).and_then(Value::as_str).unwrap_or_default();
        let ballot = evidence.ballot(undo.namespace(), text("ballotUID"))?;
        (text("by") == requester && ballot.text("/spec/request/selfApproval") != "Always")
            .then(|| Beyond::OwnVote { by: requester.to_owned() })
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::size(json!({"replicas": 4}), json!({"replicas": 10}), json!({"replicas": 4}), true)]
    #[case::another_size(json!({"replicas": 4}), json!({"replicas": 10}), json!({"replicas": 0}), false)]
    #[case::nothing_left(json!({"replicas": 4}), json!({"replicas": 7}), json!({"replicas": 7}), true)]
    #[case::of_a_document(
        json!({"flag": {"state": "on", "to": "a"}}), json!({"flag": {"state": "off", "to": "b", "new": 1}}),
        json!({"flag": {"state": "on", "to": "b", "new": 1}}), true
    )]
    #[case::more_than_it_was(
        json!({"flag": {"state": "on"}}), json!({"flag": {"state": "off"}}), json!({"flag": {"state": "on", "new": 1}}), false
    )]
    #[case::what_was_not_there(json!({"flag": null}), json!({"flag": {"state": "off"}}), json!({"flag": null}), true)]
    #[case::words(
        json!({"flag": 1.0, "written": {"": "1.0", "/a": "2.0"}}), json!({"flag": 2.0}),
        json!({"flag": 1.0, "written": {"": "1.0"}}), true
    )]
    fn what_is_put_back(#[case] before: Value, #[case] now: Value, #[case] after: Value, #[case] is: bool) {
        assert_eq!(is_put_back(&before, &now, &after), is);
    }
}
