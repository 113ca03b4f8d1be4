//! Reading the journal: which plan is in force, which step is in hand.

use crate::api::RunbookRunStatus;
use crate::api::run::{Outcome, Plan, Result, Settled, StepJournal, Verified};
use crate::api::step::{NO_GATE, Step};
use crate::api::vote::CountedVote;

/// Consecutive steps behind the same gate.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Segment<'a> {
    /// The gate's name; none where no approval is asked.
    pub gate: Option<&'a str>,
    /// The steps.
    pub steps: Vec<&'a Step>,
}

/// The segments of a run. A check belongs to the segment before it; leading checks are a segment of their own, so that
/// nobody is asked before they are true.
pub(super) fn segments(steps: &[Step]) -> Vec<Segment<'_>> {
    let mut segments: Vec<Segment<'_>> = Vec::new();
    for step in steps {
        let gate = step.gate.as_deref().filter(|gate| *gate != NO_GATE);
        match segments.last_mut() {
            Some(last) if !step.action.changes() || last.gate == gate => last.steps.push(step),
            _ => segments.push(Segment { gate, steps: vec![step] }),
        }
    }
    segments
}

/// What is known of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum StepState<'a> {
    /// Nothing of this attempt has happened.
    Untouched {
        /// The attempt that comes next.
        attempt: i32,
    },
    /// It was done or refused, and is not settled yet.
    Acted {
        /// The attempt.
        attempt: i32,
        /// What became of it.
        outcome: &'a Outcome,
    },
    /// It is settled.
    Settled {
        /// The attempt.
        attempt: i32,
        /// What became of it.
        outcome: &'a Outcome,
        /// How it was settled.
        settled: &'a Settled,
    },
}

/// The key of a step's attempt in the journal.
pub(super) fn key(step: &str, attempt: i32) -> String {
    format!("{step}.{attempt}")
}

/// The name under which a step's undo stands in the journal.
pub(super) fn undo_name(step: &str) -> String {
    format!("{step}.undo")
}

/// The step that is undone under this name; none where it is a step's own.
pub(super) fn undone(name: &str) -> Option<&str> {
    name.strip_suffix(".undo")
}

/// What is known of a step (or, by [`undo_name`], of its undo).
pub(super) fn state<'a>(status: &'a RunbookRunStatus, step: &str) -> StepState<'a> {
    let newest = status
        .steps
        .iter()
        .filter_map(|(key, entry)| {
            let (name, attempt) = key.rsplit_once('.')?;
            (name == step).then_some((attempt.parse::<i32>().ok()?, entry))
        })
        .max_by_key(|(attempt, _)| *attempt);
    match newest {
        None => StepState::Untouched { attempt: 1 },
        Some((attempt, StepJournal { outcome: Some(outcome), settled: Some(settled), .. })) => {
            if was_not_done(outcome, settled) {
                StepState::Untouched { attempt: attempt + 1 }
            } else {
                StepState::Settled { attempt, outcome, settled }
            }
        }
        Some((attempt, StepJournal { outcome: Some(outcome), .. })) => StepState::Acted { attempt, outcome },
        Some((attempt, _)) => StepState::Untouched { attempt },
    }
}

/// Whether a person said that an unknown effect had not taken place: then, and only then, it is tried again. Where the
/// person said that it had, and it was not seen to take hold, the outcome still says that something was changed.
fn was_not_done(outcome: &Outcome, settled: &Settled) -> bool {
    outcome.result == Result::Unknown && !outcome.changed && settled.verified == Verified::No
}

/// Whether a settled step went as wanted.
pub(super) fn went_well(outcome: &Outcome, settled: &Settled) -> bool {
    match outcome.result {
        Result::Done => matches!(settled.verified, Verified::Yes | Verified::NotApplicable),
        // A person said that it was done, and then it was seen to have taken hold.
        Result::Unknown => settled.verified == Verified::Yes,
        Result::Refused | Result::Failed => false,
    }
}

/// Whether a settled step was passed by, because its condition is false. It is under no plan.
pub(super) fn was_not_needed(outcome: &Outcome) -> bool {
    outcome.result == Result::Done && outcome.plan.ends_with(".0")
}

/// The plans of a segment, with key and revision.
pub(super) fn plans_of(status: &RunbookRunStatus, segment: usize) -> impl Iterator<Item = (&str, usize, &Plan)> {
    status.plans.iter().filter_map(move |(key, plan)| {
        let (of, revision) = key.split_once('.')?;
        (of.parse() == Ok(segment)).then_some((key.as_str(), revision.parse().ok()?, plan))
    })
}

/// The newest plan of a segment, with its key and revision.
pub(super) fn plan_of(status: &RunbookRunStatus, segment: usize) -> Option<(&str, usize, &Plan)> {
    plans_of(status, segment).max_by_key(|(_, revision, _)| *revision)
}

/// The votes under which something was done under a plan: an approval that has been used stays in force for the rest of
/// its plan. A check of the plan is no such use: it is judged without anybody's approval.
pub(super) fn bound_votes<'a>(status: &'a RunbookRunStatus, plan: &str) -> Option<&'a [CountedVote]> {
    let mut outcomes = status.steps.values().filter_map(|entry| entry.outcome.as_ref());
    let used = outcomes.find(|o| o.plan == plan && o.result != Result::Refused && !o.approvals.is_empty())?;
    Some(&used.approvals)
}

/// The settled entries in the order of their records.
pub(super) fn settled(status: &RunbookRunStatus) -> Vec<(&str, &Outcome, &Settled)> {
    let mut all: Vec<_> = status
        .steps
        .iter()
        .filter_map(|(key, entry)| Some((key.as_str(), entry.outcome.as_ref()?, entry.settled.as_ref()?)))
        .collect();
    all.sort_by_key(|(_, _, settled)| settled.seq);
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn step(name: &str, gate: Option<&str>) -> Step {
        let target = json!({"kind": "Deployment", "name": "web"});
        let mut step = match gate {
            Some(gate) => json!({"gate": gate, "restart": {"target": target}}),
            None => json!({"check": {"object": target, "that": "true"}}),
        };
        step["name"] = json!(name);
        serde_json::from_value(step).unwrap()
    }

    #[test]
    fn consecutive_steps_of_a_gate_are_one_segment() {
        let steps = [
            step("before", None),
            step("a", Some("on-call")),
            step("look", None),
            step("b", Some("on-call")),
            step("c", Some("None")),
            step("d", Some("on-call")),
        ];
        let found: Vec<_> = segments(&steps).into_iter().map(|s| (s.gate, s.steps.len())).collect();
        assert_eq!(found, [(None, 1), (Some("on-call"), 3), (None, 1), (Some("on-call"), 1)]);
    }
}
