//! Counting votes: what the ballots of a plan say, taken together.

use super::ballot;
use super::segment::later;
use crate::api::RunbookRun;
use crate::api::approval::{Approval, BallotState};
use crate::api::run::Plan;
use crate::api::vote::{CountedVote, DecidedAs};

/// How a gate stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tally {
    /// Somebody said no.
    Denied {
        /// Who.
        by: String,
        /// Why.
        why: String,
    },
    /// Enough different people said yes.
    Quorum(Vec<CountedVote>),
    /// It is still open to votes.
    Waiting {
        /// How many ballots nobody has marked.
        empty: usize,
        /// Why others do not count.
        void: Vec<String>,
    },
}

/// Counts the votes on a plan. One person counts once, however many ballots they marked. Whoever broke the glass opens
/// every gate of the run alone, but not against somebody who says no.
pub(super) fn tally<'a>(run: &RunbookRun, plan: &Plan, ballots: impl Iterator<Item = &'a Approval>) -> Tally {
    let ballots: Vec<&Approval> = ballots.filter(|ballot| ballot::is_of(ballot, run)).collect();
    // A no is heard on whatever plan of this gate it was said: the plan may have been made anew in that moment.
    let segment = segment_of(run, plan);
    let of_segment = |b: &&&Approval| b.spec.request.plan.split_once('.').map(|(segment, _)| segment) == segment;
    for ballot in ballots.iter().filter(of_segment) {
        if let ballot::Mark::Deny { by, why } = ballot::read(ballot) {
            return Tally::Denied { by, why };
        }
    }
    let mut votes: Vec<CountedVote> = Vec::new();
    let (mut void, mut marked) = (Vec::new(), 0);
    for ballot in ballots {
        let Some(slot) = plan.ballots.iter().find(|slot| Some(&slot.name) == ballot.metadata.name.as_ref()) else {
            continue;
        };
        if ballot::state(ballot) != BallotState::Open || !ballot::asks_for(ballot, run, plan, slot) {
            continue;
        }
        match ballot::read(ballot) {
            ballot::Mark::Empty => continue,
            ballot::Mark::Deny { by, why } => return Tally::Denied { by, why },
            ballot::Mark::Void(why) => void.push(why),
            ballot::Mark::Approve(vote) if vote.role != slot.role => {
                void.push(format!("{} is for another role", slot.name))
            }
            ballot::Mark::Approve(vote) if votes.iter().any(|v| v.by == vote.by) => {
                void.push(format!("{} voted twice, and counts once", vote.by));
            }
            ballot::Mark::Approve(vote) => votes.push(vote),
        }
        marked += 1;
    }
    if let Some(broken) = glass_of(run, plan) {
        return Tally::Quorum(vec![broken]);
    }
    if !votes.is_empty() && votes.len() == plan.ballots.len() {
        Tally::Quorum(votes)
    } else {
        Tally::Waiting { empty: plan.ballots.len().saturating_sub(marked), void }
    }
}

/// The word of whoever broke the glass, if it opens the gate of this plan: not where that asks for a credential that the
/// word does not carry, nor long after it was first used.
pub(super) fn glass_of(run: &RunbookRun, plan: &Plan) -> Option<CountedVote> {
    let terms = plan.terms.as_ref()?;
    let glass = ballot::broken_glass(run)?;
    if terms.verified_credential && glass.credential_id.is_empty() {
        return None;
    }
    let outcomes =
        run.status.iter().flat_map(|status| status.steps.values()).filter_map(|entry| entry.outcome.as_ref());
    let used = outcomes.filter(|outcome| outcome.approvals.iter().any(|v| v.decided_as == DecidedAs::BreakGlass));
    let first = used.map(|outcome| outcome.known_at.0).min();
    let old = first.is_some_and(|first| plan.planned_at.0 >= later(first, terms.valid_for.seconds()));
    (!old).then_some(glass)
}

/// The segment of a plan that is in the journal, as its key says it.
fn segment_of<'a>(run: &'a RunbookRun, plan: &Plan) -> Option<&'a str> {
    let plans = &run.status.as_ref()?.plans;
    plans.iter().find(|(_, other)| *other == plan)?.0.split_once('.').map(|(segment, _)| segment)
}
