//! The rules of our kinds as the API server judges them: the CEL rules of `crds/`, each with its sentence.

use serde_json::Value;

use super::Kind;

/// Why a change of an object of ours is refused; none where it is not.
pub fn broken(kind: Kind, old: &Value, new: &Value) -> Option<&'static str> {
    let same = |pointer: &str| old.pointer(pointer) == new.pointer(pointer);
    let lost_status = old.get("status").is_some() && new.get("status").is_none();
    match kind {
        Kind::Run => {
            let sentence = "a run is fixed once it is made; start another one, or stop this one with: \
                            kubectl annotate rbr NAME abort=\"WHY\"";
            (!same("/spec")).then_some(sentence).or_else(|| journal(old, new))
        }
        Kind::Approval if !same("/spec/request") => Some("a ballot's request is fixed; a new plan gets new ballots"),
        Kind::Approval if old.pointer("/spec/voter").is_some() && !same("/spec/voter") => {
            Some("a voter is written once")
        }
        Kind::Approval if lost_status => Some("a ballot's state cannot be removed"),
        Kind::Approval => {
            let closed = old.pointer("/status/state").is_some_and(|state| state != "Open");
            (closed && !same("/status")).then_some("a ballot that is no longer Open stays as it is")
        }
        Kind::Record if !same("/spec") => Some("a record is evidence and never changes"),
        Kind::Record if lost_status => Some("the state of a record cannot be removed"),
        Kind::Record | Kind::Runbook | Kind::Deployment | Kind::ConfigMap | Kind::ServiceAccount => None,
    }
}

/// The rules at the root of a run: the journal only grows.
fn journal(old: &Value, new: &Value) -> Option<&'static str> {
    let before = old.get("status")?;
    let Some(after) = new.get("status") else { return Some("the journal of a run cannot be removed") };
    if before.get("frozen").is_some() && before.get("frozen") != after.get("frozen") {
        return Some("the frozen runbook of a run cannot be changed");
    }
    let entry = |status: &Value, map: &str, key: &str| status.get(map).and_then(|map| map.get(key)).cloned();
    let entries = |map: &str| before.get(map).and_then(Value::as_object).into_iter().flatten();
    if entries("plans").any(|(key, plan)| after.get("plans").and_then(|plans| plans.get(key)) != Some(plan)) {
        return Some("a plan is written once and stays");
    }
    let stays = |key: &String, step: &Value| {
        let now = entry(after, "steps", key);
        ["intent", "outcome", "settled"]
            .iter()
            .all(|part| step.get(part).is_none() || now.as_ref().and_then(|now| now.get(part)) == step.get(part))
            && now.is_some()
    };
    if entries("steps").any(|(key, step)| !stays(key, step)) {
        return Some("what is written about a step stays");
    }
    let finished = |status: &Value| status.get("finished").and_then(Value::as_bool).unwrap_or_default();
    (finished(before) && !(finished(after) && before.get("phase") == after.get("phase")))
        .then_some("a run that has ended does not go on")
}

/// Why the approval policies of the chart refuse what a person writes on a run or on a ballot. Only what the schedules
/// rest on: a word is written once, a ballot is marked while it can be and with its code, and `settle` answers a question.
pub fn against_policy(kind: Kind, old: &Value, new: &Value, now: &str) -> Option<&'static str> {
    let said = |object: &Value, key: &str| {
        object
            .pointer("/metadata/annotations")
            .and_then(|notes| notes.get(key))
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let changed = |key: &str| said(old, key) != said(new, key);
    let written = |key: &str| said(old, key).is_some();
    match kind {
        Kind::Run if ["abort", "settle"].iter().any(|key| written(key) && changed(key)) => {
            Some("what is said on a run stays")
        }
        Kind::Run if changed("settle") && old.pointer("/status/phase").is_none_or(|phase| phase != "NeedsHuman") => {
            Some("settle answers a question, and the run asks none")
        }
        Kind::Approval if ["approve", "deny", "by"].iter().any(|key| written(key) && changed(key)) => {
            Some("a mark stays")
        }
        Kind::Approval if changed("approve") || changed("deny") => {
            let request = |field: &str| old.pointer("/spec/request").and_then(|r| r.get(field)).and_then(Value::as_str);
            let open = old.pointer("/status/state").is_none_or(|state| state == "Open");
            let over = request("expiresAt").is_some_and(|end| end <= now);
            let code = said(new, "approve").map(|mark| mark.split(' ').next().map(str::to_owned));
            let right = code.is_none_or(|code| code.as_deref() == request("code"));
            let own = said(new, "by").as_deref() == request("requester")
                && old.pointer("/status/openToRequester") != Some(&Value::Bool(true));
            match () {
                () if !open => Some("the ballot is no longer open"),
                () if over => Some("the ballot has run out"),
                () if !right => Some("the code is of another plan"),
                () if own => Some("whoever asked does not decide"),
                () => None,
            }
        }
        _ => None,
    }
}
