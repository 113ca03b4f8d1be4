//! What is sent and how an answer is read, without sending it: pure, so that the simulator sends and reads the same.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use serde_json::{Value, json};

use super::CallError;
use crate::action::{Answer, Effect};
use crate::api::action_record::{ActionRecordSpec, RecordState};
use crate::api::condition::cut;
use crate::api::incident::IncidentStatus;
use crate::api::{ActionRecord, LIVE_LABEL, RunbookRun};
use crate::plan::{Reply, Retirement, hash_of};

/// Merge patch of a run's status: what it waits for, on condition that the run is as it was read, and nothing else.
pub fn saying(run: &RunbookRun, what: &str) -> Value {
    let phase = run.status.as_ref().map(|status| status.phase).unwrap_or_default();
    json!({
        "metadata": {"resourceVersion": run.metadata.resource_version},
        "status": {"phase": phase, "finished": false, "waitingOn": cut(what, 1024)},
    })
}

/// What is said on a run when the API server refuses what is done next.
pub fn refusal_sentence(run: &RunbookRun, doing: &str, refusal: &CallError) -> String {
    let namespace = run.metadata.namespace.as_deref().unwrap_or_default();
    let name = run.metadata.name.as_deref().unwrap_or_default();
    format!(
        "the API server refuses {doing}: {}; nothing is done until that is mended; to stop the run: \
         kubectl annotate rbr -n {namespace} {name} abort=\"WHY\"",
        cut(&refusal.message(), 700)
    )
}

/// Merge patch of a ballot: whoever asked for the run may mark it.
pub fn admission() -> Value {
    json!({"status": {"openToRequester": true}})
}

/// Merge patch of a ballot that nobody shall mark any more.
pub fn retirement(retirement: &Retirement, now: Timestamp) -> Value {
    let settled = json!({"labels": {LIVE_LABEL: null}});
    match retirement.state {
        Some(state) => json!({"metadata": settled, "status": {"state": state, "changedAt": MicroTime(now)}}),
        None => json!({"metadata": settled}),
    }
}

/// Merge patch of a record: what became of its effect. What was seen of it before belongs to the state before.
pub fn marking(state: RecordState) -> Value {
    match state {
        RecordState::Drifted => json!({"status": {"state": state}}),
        RecordState::InPlace | RecordState::Reverted | RecordState::OneShot | RecordState::Unknown => {
            json!({"status": {"state": state, "note": null, "changedAt": null}})
        }
    }
}

/// Whether the record that is there is the one that was to be made.
pub fn is_same_record(there: &ActionRecordSpec, wanted: &ActionRecord) -> bool {
    // The hash is from the journal, and stays what it was when a later version words a record otherwise.
    let same_entry = |spec: &ActionRecordSpec| (spec.run_uid.clone(), spec.hash.clone());
    hash_of(there) == hash_of(&wanted.spec) || same_entry(there) == same_entry(&wanted.spec)
}

/// The names of all ballots of a run's plans.
pub fn ballots_of(run: &RunbookRun) -> BTreeSet<&str> {
    let plans = run.status.iter().flat_map(|status| status.plans.values());
    plans.flat_map(|plan| plan.ballots.iter().map(|slot| slot.name.as_str())).collect()
}

/// The merge patch that makes one status of an incident of another, and leaves its alerts alone. What is no longer known goes:
/// left out, it would stay.
pub fn incident_status(before: Option<&IncidentStatus>, status: &IncidentStatus) -> Value {
    let mut patch = json!(status);
    let without =
        json!(before.map(|before| IncidentStatus { alerts: BTreeMap::new(), alerts_left_out: None, ..before.clone() }));
    if let Some(fields) = patch.as_object_mut() {
        fields.remove("alerts");
        fields.remove("alertsLeftOut");
    }
    name_what_goes(&mut patch, &without);
    json!({"status": patch})
}

fn name_what_goes(patch: &mut Value, before: &Value) {
    let (Value::Object(patch), Value::Object(before)) = (patch, before) else { return };
    for (field, old) in before {
        match patch.get_mut(field) {
            Some(new) => name_what_goes(new, old),
            None => {
                patch.insert(field.clone(), Value::Null);
            }
        }
    }
}

/// What an error says of a write. Only a definite answer of the API server says that nothing was written; a time-out, a
/// cut connection or a 5xx says nothing at all.
pub fn reply_of(error: &CallError) -> Reply {
    match error.code() {
        Some(code) if (400..500).contains(&code) => Reply::Refused { code, message: error.message() },
        _ => Reply::Ambiguous(error.message()),
    }
}

/// Whether a dry run that failed like this says nothing of the change where its target was changed meanwhile: its tests
/// fail with the same status as a change that is invalid.
pub fn may_be_a_failed_test(error: &CallError) -> bool {
    matches!(error.code(), Some(409 | 422))
}

/// What a failed dry run says of an effect; `changed`: whether the target is no longer as it was when the effect was made.
pub fn refused_dry_run(effect: &Effect, error: &CallError, changed: bool) -> Answer {
    match error.code() {
        Some(403) => Answer::Forbidden(error.message()),
        Some(409 | 422) if changed => Answer::Unreadable(format!(
            "{} was changed by somebody else while its change was tried",
            effect.target.display()
        )),
        Some(400 | 404 | 405 | 413 | 422) => Answer::No(error.message()),
        _ => Answer::Unreadable(error.message()),
    }
}

/// A read that gave no object.
pub fn unread(error: &CallError) -> Answer {
    match error.code() {
        Some(403) => Answer::Forbidden(error.message()),
        _ => Answer::Unreadable(error.message()),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn answered(code: u16) -> Reply {
        reply_of(&CallError::Kube(Box::new(kube::Error::Api(Box::new(Status { code, ..Status::default() })))))
    }

    #[test]
    fn what_is_no_longer_known_of_an_incident_goes_and_its_alerts_stay() {
        let of = |value: Value| serde_json::from_value::<IncidentStatus>(value).unwrap();
        let alert = json!({"name": "A", "startedAt": "2026-11-22T10:00:00Z", "receivedAt": "2026-11-22T10:00:00Z"});
        let before = of(json!({
            "phase": "Mitigated", "runs": "1", "alerts": {"a-1": alert}, "alertsLeftOut": 2,
            "durations": {"detect": "1m", "mitigate": "2m"},
        }));
        let after = of(json!({"phase": "Open", "alerts": {"a-1": alert}, "durations": {"detect": "1m"}}));
        let patch = incident_status(Some(&before), &after);
        let goes = json!({"phase": "Open", "runs": null, "durations": {"detect": "1m", "mitigate": null}});
        assert_eq!(patch, json!({"status": goes}));
        assert_eq!(incident_status(None, &after)["status"]["alerts"], Value::Null);
    }

    #[test]
    fn only_a_definite_answer_says_that_nothing_was_written() {
        for code in [400, 403, 404, 409, 422, 429] {
            assert!(matches!(answered(code), Reply::Refused { .. }), "{code}");
        }
        for code in [500, 502, 503, 504] {
            assert!(matches!(answered(code), Reply::Ambiguous(_)), "{code}");
        }
        assert!(matches!(reply_of(&CallError::Deadline), Reply::Ambiguous(_)));
    }
}
