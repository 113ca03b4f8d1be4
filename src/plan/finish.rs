//! Ending a run.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

use super::intent::planned_of;
use super::journal;
use super::pass::{Flow, Pass};
use super::{Decision, Query, Retirement, ballot, command};
use crate::api::approval::BallotState;
use crate::api::condition::{self, cut, kind};
use crate::api::run::{Outcome, Phase, Settled};
use crate::api::{LIVE_LABEL, RunbookRun, RunbookRunStatus};

impl Pass<'_> {
    /// Ends the run: its open ballots are withdrawn first, since nobody looks at it afterwards.
    pub fn finish(&mut self, phase: Phase, reason: &str, sentence: &str) -> Flow {
        self.require(&[Query::Journal])?;
        if let Some(ballot) = self.ratification()
            && !self.world.memory.issued.contains(&self.draft.ratification)
        {
            return Err(Decision::Ask(vec![ballot]));
        }
        let retirements: Vec<Retirement> = self
            .ballots
            .iter()
            .filter(|b| ballot::is_of(b, self.run))
            .filter_map(|b| {
                let open = ballot::state(b) == BallotState::Open && ballot::read(b) == ballot::Mark::Empty;
                let live = b.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(LIVE_LABEL));
                let state = open.then(|| {
                    if ballot::is_over(b, self.world.now) { BallotState::Expired } else { BallotState::Withdrawn }
                });
                (open || live).then(|| Retirement { ballot: b.metadata.name.clone().unwrap_or_default(), state })
            })
            .collect();
        if !retirements.is_empty() {
            return Err(Decision::Retire(retirements));
        }
        let in_place = in_place(&self.draft);
        let by_hand: Vec<String> = in_place
            .iter()
            .filter_map(|change| change.outcome.undo.as_ref())
            .map(|undo| undo.by_hand.clone())
            .filter(|c| !c.is_empty())
            .collect();
        let left = in_place.len();
        let sentence = match left {
            0 => sentence.to_owned(),
            1 => format!("{sentence}; 1 change is still in place"),
            _ => format!("{sentence}; {left} changes are still in place"),
        };
        let records = format!("kubectl get arec -n {} -l {}={}", self.namespace(), crate::api::RUN_LABEL, self.name());
        let sentence = match self.unratified() {
            Some(decided) => format!("{sentence}; {decided}, to be ratified by somebody else"),
            None => sentence,
        };
        let undo = (left > 0).then(|| command::undo(self.run, self.world.operator.stamps));
        self.draft.in_place_at_end = Some(i32::try_from(left).unwrap_or(i32::MAX));
        close(&mut self.draft, self.run, phase, reason, &sentence, self.world.now);
        let ratify = (!self.draft.ratification.is_empty())
            .then(|| format!("kubectl describe apv -n {} {}", self.namespace(), self.draft.ratification));
        self.draft.next_commands =
            ratify.into_iter().chain([records]).chain(undo).chain(by_hand).map(|c| cut(&c, 1024)).take(16).collect();
        Ok(Decision::Write(Box::new(self.draft.clone())))
    }
}

/// What this run changed and has not undone itself, each in a line: `scale Deployment/checkout 4 -> 10`.
pub fn still_in_place(status: &RunbookRunStatus) -> Vec<String> {
    let line = |InPlace { step, attempt, outcome, .. }: InPlace<'_>| {
        let planned = planned_of(status, step, attempt, &outcome.plan);
        planned.map_or_else(|| step.to_owned(), |planned| planned.summary.clone())
    };
    in_place(status).into_iter().map(line).collect()
}

/// A change that a run has not undone itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct InPlace<'a> {
    pub step: &'a str,
    pub attempt: i32,
    pub outcome: &'a Outcome,
    pub settled: &'a Settled,
}

/// What this run changed and has not undone itself, in the order in which it did.
pub(super) fn in_place(status: &RunbookRunStatus) -> Vec<InPlace<'_>> {
    journal::settled(status)
        .into_iter()
        .filter_map(|(key, outcome, settled)| {
            let (step, attempt) = key.rsplit_once('.')?;
            let undone = match journal::state(status, &journal::undo_name(step)) {
                journal::StepState::Settled { outcome, settled, .. } => journal::went_well(outcome, settled),
                journal::StepState::Untouched { .. } | journal::StepState::Acted { .. } => false,
            };
            let stays = journal::undone(step).is_none() && outcome.changed && outcome.undo.is_some() && !undone;
            Some(InPlace { step, attempt: attempt.parse().ok()?, outcome, settled }).filter(|_| stays)
        })
        .collect()
}

/// Sets everything that a final state has.
pub(super) fn close(
    draft: &mut RunbookRunStatus,
    run: &RunbookRun,
    phase: Phase,
    reason: &str,
    sentence: &str,
    now: Timestamp,
) {
    let generation = run.metadata.generation;
    draft.phase = phase;
    draft.finished = true;
    draft.finished_at = Some(MicroTime(now));
    draft.observed_generation = generation;
    draft.waiting_on = String::new();
    draft.next_commands = Vec::new();
    draft.message = cut(sentence, 2048);
    let succeeded = phase == Phase::Succeeded;
    condition::set(&mut draft.conditions, kind::FINISHED, true, reason, sentence, generation, now);
    condition::set(&mut draft.conditions, kind::SUCCEEDED, succeeded, reason, sentence, generation, now);
}
