//! What one process remembers of a run between passes. Nothing here is needed for safety after a crash: a process that
//! remembers nothing assumes the worst.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{journal, tally};
use crate::action::Effect;
use crate::api::run::PlannedStep;
use crate::api::{Approval, RunbookRun, RunbookRunStatus};

/// What this process knows of a run from its own doing.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Tokens of intents that this process wrote, or whose gate it saw closed on a live read: nobody acted on them earlier.
    pub untouched: BTreeSet<String>,
    /// Acts that this process sent, by token.
    pub sent: BTreeMap<String, Sent>,
    /// Records that are known to be there, and marks that are known to be made.
    pub recorded: BTreeSet<String>,
    /// Ballots that this process issued.
    pub issued: BTreeSet<String>,
    /// Why a record cannot be made, since another one is in its place, and when that was found.
    pub disputed: Option<(String, Timestamp)>,
    /// A check that is true, and since when.
    pub holding: Option<(String, Timestamp)>,
    /// When this process first saw the run.
    pub first_seen: Option<Timestamp>,
}

impl Memory {
    /// After a write of the journal: what is an intent now and was none before, nobody can have acted on.
    pub fn wrote(&mut self, before: Option<&RunbookRunStatus>, after: &RunbookRunStatus) {
        // The journal says something new of the check, so it was seen to change: it holds from the next look on.
        self.holding = None;
        let known: BTreeSet<&str> = before.map(|status| tokens(status).collect()).unwrap_or_default();
        self.untouched.extend(tokens(after).filter(|token| !known.contains(token)).map(str::to_owned));
    }

    /// Before an act is sent, to be kept before it is: until there is an answer it may have taken place.
    pub fn sending(&mut self, effect: &Effect, at: Timestamp) {
        let earlier = self.sent.get(&effect.token);
        // A process before this one may have sent it, too: then only its first send by us is the first that we know of.
        let before_us = earlier.is_none() && !self.untouched.contains(&effect.token);
        let doubtful =
            before_us || earlier.is_some_and(|sent| sent.doubtful || matches!(sent.reply, Reply::Ambiguous(_)));
        let reply = Reply::Ambiguous("there was no answer".to_owned());
        self.sent.insert(effect.token.clone(), Sent { effect: effect.clone(), at, reply, doubtful });
    }

    /// What came back.
    pub fn answered(&mut self, token: &str, reply: Reply) {
        if let Some(sent) = self.sent.get_mut(token) {
            sent.reply = reply;
        }
    }

    /// After a live read: while a gate is closed, nobody can have acted behind it, and no step is begun before its turn.
    pub fn observed(&mut self, run: &RunbookRun, ballots: &[Approval]) {
        let Some(status) = &run.status else { return };
        let segments = status.plans.keys().filter_map(|key| key.split_once('.')?.0.parse().ok());
        for (_, _, plan) in segments.filter_map(|segment: usize| journal::plan_of(status, segment)) {
            let closed = !matches!(tally::tally(run, plan, ballots.iter()), tally::Tally::Quorum(_));
            // Broken glass may have opened it before somebody said no.
            // And what an earlier approval covers waits for nobody.
            if plan.gate.is_some() && plan.covered.is_none() && closed && tally::glass_of(run, plan).is_none() {
                self.untouched.extend(plan.steps.iter().map(|step| step.token.clone()));
            }
            // Nobody acts on a step before the one before it is settled.
            let settled = |step: &&PlannedStep| {
                status.steps.get(&journal::key(&step.step, step.attempt)).is_some_and(|entry| entry.settled.is_some())
            };
            self.untouched.extend(plan.steps.iter().skip_while(settled).skip(1).map(|step| step.token.clone()));
        }
    }
}

/// The tokens of all intents in a journal.
fn tokens(status: &RunbookRunStatus) -> impl Iterator<Item = &str> {
    let planned = status.plans.values().flat_map(|plan| plan.steps.iter());
    let later = status.steps.values().filter_map(|entry| entry.intent.as_ref().map(|intent| &intent.step));
    planned.chain(later).map(|step| step.token.as_str())
}

/// An act that was sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    /// What was sent.
    pub effect: Effect,
    /// When.
    pub at: Timestamp,
    /// What came back.
    pub reply: Reply,
    /// Whether an earlier send of the same token had no definite answer: a refusal of this one says nothing of that one,
    /// and may be its consequence.
    pub doubtful: bool,
}

impl Sent {
    /// Whether every send of this token was refused, definitely.
    pub(super) fn was_refused(&self) -> bool {
        matches!(self.reply, Reply::Refused { .. }) && !self.doubtful
    }
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It took place.
    Landed,
    /// It was refused, and this send wrote nothing.
    Refused {
        /// The HTTP status.
        code: u16,
        /// What the API server said.
        message: String,
    },
    /// A time-out, a cut connection, a 5xx: it may have taken place.
    Ambiguous(String),
}
