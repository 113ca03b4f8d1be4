//! What the status of an Incident says: the same facts as the document, in a few words.

use jiff::Timestamp;

use super::document::{AttentionKind, Document};
use super::sections::follow_ups;
use crate::api::Condition;
use crate::api::condition::{self, cut, kind};
use crate::api::follow_up::{CheckedFollowUp, Holds, Standing};
use crate::api::incident::{Closed, Durations, Incident, IncidentPhase, IncidentStatus};

/// Names of records that a status holds.
const NAMES: usize = 64;

/// The status of an Incident by its document; what it said before stays where nothing changed.
pub fn status(incident: &Incident, document: &Document, now: Timestamp) -> IncidentStatus {
    let old = incident.status.clone().unwrap_or_default();
    let generation = incident.metadata.generation;
    let was_closed = old.phase == IncidentPhase::Closed;
    let unratified = document.attention.iter().filter(|item| item.kind == AttentionKind::Unratified).count();
    let in_place = document.in_place.len();
    let mut conditions = old.conditions;
    let (settled, reason, message) = match (in_place, unratified) {
        (0, 0) => (
            true,
            "NothingInPlace",
            "nothing of its first aid is in place, and nothing waits for a ratification".to_owned(),
        ),
        (0, runs) => {
            (false, "NotRatified", format!("{runs} run(s) were decided without a second person, and are not ratified"))
        }
        (there, 0) => (false, "InPlace", format!("{there} change(s) are in place: see status.inPlaceRecords")),
        (there, runs) => {
            (false, "InPlace", format!("{there} change(s) are in place, and {runs} run(s) are not ratified"))
        }
    };
    follow_ups_hold(&mut conditions, incident, &old.checks, now);
    let closed =
        incident.spec.closed.as_ref().is_some_and(|closed| was_closed || may_close(closed, in_place, unratified));
    let message = match incident.spec.closed.is_some() && !closed {
        true => format!("it is not taken as closed: {message}; undo it, or accept it in spec.closed with a reason"),
        false => message,
    };
    condition::set(&mut conditions, kind::SETTLED, settled, reason, &message, generation, now);
    IncidentStatus {
        phase: if closed { IncidentPhase::Closed } else { phase(document) },
        observed_generation: generation,
        conditions,
        runs: runs(document),
        in_place: Some(count(in_place)),
        in_place_records: document.in_place.iter().take(NAMES).map(|item| item.record.clone()).collect(),
        unratified: Some(count(unratified)),
        durations: durations(document),
        follow_ups: cut(&follow_ups::tally(&incident.spec, &old.checks, now), 64),
        alerts: old.alerts,
        alerts_left_out: old.alerts_left_out,
        checks: old.checks,
    }
}

/// Whether the cluster shows of no follow-up that it is not done any more. Where nothing is checked, nothing is said.
fn follow_ups_hold(conditions: &mut Vec<Condition>, incident: &Incident, checks: &[CheckedFollowUp], now: Timestamp) {
    if checks.is_empty() {
        conditions.retain(|condition| condition.kind != kind::FOLLOW_UPS_HOLD);
        return;
    }
    let regressed = checks.iter().filter(|checked| {
        let follow_up = incident.spec.follow_ups.iter().find(|follow_up| follow_up.id == checked.id);
        follow_up.is_some_and(|follow_up| follow_up.stands(Some(checked), "") == Standing::Regressed)
    });
    let regressed: Vec<String> = regressed.map(|checked| format!("{}: {}", checked.id, checked.message)).collect();
    let shown = checks.iter().filter(|checked| checked.holds == Holds::Yes).count();
    let (reason, message) = if regressed.is_empty() {
        ("NothingRegressed", format!("of {} check(s) {shown} show that what was to be done is done", checks.len()))
    } else {
        ("Regressed", regressed.join("; "))
    };
    let generation = incident.metadata.generation;
    condition::set(conditions, kind::FOLLOW_UPS_HOLD, regressed.is_empty(), reason, &message, generation, now);
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// Whether people may close it. The API server asks the same of the status, and the status may be some seconds old: what
/// was done since the last look is found here, and then the incident is not taken as closed.
fn may_close(closed: &Closed, in_place: usize, unratified: usize) -> bool {
    (in_place == 0 || closed.accept_in_place.is_some()) && (unratified == 0 || closed.accept_unratified.is_some())
}

/// The last milestone that was reached.
fn phase(document: &Document) -> IncidentPhase {
    let reached = |name: &str| document.milestones.iter().any(|line| line.name == name && line.at.is_some());
    match () {
        () if reached("resolved") => IncidentPhase::Resolved,
        () if reached("mitigated") => IncidentPhase::Mitigated,
        () if reached("acknowledged") => IncidentPhase::Acknowledged,
        () => IncidentPhase::Open,
    }
}

/// `4, 1 waiting`.
fn runs(document: &Document) -> String {
    let waiting = document.decisions.iter().filter(|decision| decision.outcome == "Open").count();
    match (document.generated.runs, waiting) {
        (runs, 0) => runs.to_string(),
        (runs, waiting) => format!("{runs}, {waiting} waiting"),
    }
}

fn durations(document: &Document) -> Durations {
    let of = |key: &str| {
        let known = document.durations.iter().find(|duration| duration.key == key && duration.unknown.is_none());
        known.map(|duration| cut(&duration.text, 32))
    };
    Durations {
        detect: of("ttd"),
        acknowledge: of("tta"),
        first_action: of("first-action"),
        decisions: of("decisions"),
        mitigate: of("ttm"),
        resolve: of("ttr"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::retro::Names;
    use crate::retro::tests::{crisis, later};

    fn incident(spec: &serde_json::Value) -> Incident {
        let object = json!({"apiVersion": "firstaid.dev/v1alpha1", "kind": "Incident", "metadata": {"name": "inc-7f3"}, "spec": spec});
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn the_status_says_what_the_document_says() {
        let status = status(&incident(&json!({})), &crisis(Names::Roles), later());
        assert_eq!((status.phase, status.in_place, status.unratified), (IncidentPhase::Resolved, Some(1), Some(0)));
        assert_eq!(status.runs, "4");
        assert_eq!(status.in_place_records, ["shed-load-x2x9k-23c6d-scale-out-1"]);
        assert_eq!(status.durations.mitigate.as_deref(), Some("10m 30s"));
        assert_eq!(status.conditions[0].status, "False");
    }

    #[test]
    fn it_is_not_taken_as_closed_while_first_aid_is_in_place() {
        let now = |spec| status(&incident(&spec), &crisis(Names::Roles), later());
        let refused = now(json!({"closed": {}}));
        assert_eq!(refused.phase, IncidentPhase::Resolved);
        assert!(refused.conditions[0].message.starts_with("it is not taken as closed: 1 change(s)"), "{refused:?}");
        let accepted = json!({"closed": {"acceptInPlace": "the sale goes on"}});
        assert_eq!(now(accepted).phase, IncidentPhase::Closed);
        // What was closed stays closed: what comes later is another matter, and stands in its status.
        let mut closed = incident(&json!({"closed": {}}));
        closed.status = Some(IncidentStatus { phase: IncidentPhase::Closed, ..IncidentStatus::default() });
        assert_eq!(status(&closed, &crisis(Names::Roles), later()).phase, IncidentPhase::Closed);
    }
}
