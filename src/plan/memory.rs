//! What one process remembers of a run between passes. Nothing here is needed for safety after a crash: a process that
//! remembers nothing assumes the worst.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::{journal, tally};
use crate::action::Effect;
use crate::api::condition::cut;
use crate::api::run::{Driver, PlannedStep};
use crate::api::{Approval, RunbookRun, RunbookRunStatus};

/// A process that has not looked for so long may have been stopped, and its lease (of 15 s) another's: what it knew nobody
/// had touched, that one may have. At a gate it looks every 5 s.
const AWAY: SignedDuration = SignedDuration::from_secs(10);

/// What this process knows of a run from its own doing.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Tokens of intents that this process wrote, or whose gate it saw closed on a live read: nobody acted on them earlier,
    /// nor since, while this process was there all the time.
    pub untouched: BTreeSet<String>,
    /// When it last asked for the journal, of the times that it was answered.
    pub last_read: Option<Timestamp>,
    /// How often this process does not know what became of a write of the journal: one that may still arrive.
    pub claim: i32,
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
    /// The newest version of the run that this process has seen: a number that only grows.
    pub version: Option<u64>,
    /// Whether the run is known to have been set back to an older version. It stays so for this process, since versions go on
    /// growing from there: whoever has looked at the targets starts another one.
    pub set_back: bool,
}

impl Memory {
    /// Before a write of the journal is sent, to be kept before it is: until there is an answer it may arrive at any time.
    pub fn writing(&mut self) {
        self.claim = self.claim.saturating_add(1);
    }

    /// What became of the write is known.
    pub fn written(&mut self) {
        self.claim = self.claim.saturating_sub(1);
    }

    /// How the journal names this process while nothing of it is on its way.
    pub fn driver(&self, process: &str) -> Driver {
        Driver { process: cut(process, 128), claim: self.claim }
    }

    /// After a write of the journal: what is an intent now and was none before, nobody can have acted on.
    pub fn wrote(&mut self, before: Option<&RunbookRunStatus>, after: &RunbookRunStatus) {
        // The journal says something new of the check, so it was seen to change: it holds from the next look on.
        self.holding = None;
        let known: BTreeSet<&str> = before.map(|status| tokens(status).collect()).unwrap_or_default();
        self.untouched.extend(tokens(after).filter(|token| !known.contains(token)).map(str::to_owned));
    }

    /// After the run was seen, however: it was never newer before.
    pub fn saw(&mut self, run: &RunbookRun) {
        self.version = self.version.max(version_of(run));
    }

    /// Whether this is an older copy of the run than one that was seen: of a watch that lags, or of a server that lies.
    pub fn knows_newer(&self, run: &RunbookRun) -> bool {
        version_of(run).zip(self.version).is_some_and(|(found, seen)| found < seen)
    }

    /// What a live read that gives an older copy means, for people. The storage was set back, as after a restore from a
    /// backup: what happened since is not in the journal, and may have happened all the same.
    pub fn went_back(&self, run: &RunbookRun) -> Option<String> {
        let (found, seen) = version_of(run).zip(self.version).filter(|(found, seen)| found < seen)?;
        Some(format!(
            "a person: the API server answers with version {found} of this run, and has answered with {seen} before: its storage \
             was set back, and what was done since is not in this journal; nothing is done until somebody has looked at the \
             targets. To go on from what is stored: restart the operator. To stop the run: kubectl annotate rbr -n {} {} abort=\"WHY\"",
            run.metadata.namespace.as_deref().unwrap_or_default(),
            run.metadata.name.as_deref().unwrap_or_default()
        ))
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

    /// After a live read: while a gate is closed, nobody can have acted behind it, and no step is begun before its turn. `asked`: when
    /// the read was sent, since what it shows may be no newer. `process`: who reads.
    pub fn observed(&mut self, run: &RunbookRun, ballots: &[Approval], asked: Timestamp, process: &str) {
        let before = self.last_read;
        self.last_read = Some(asked);
        if before.is_some_and(|before| asked.duration_since(before) > AWAY) {
            self.untouched.clear();
        }
        let Some(status) = &run.status else { return };
        if status.driver.as_ref().is_some_and(|driver| driver.process != process) {
            // Another process drives it, or did: what that one sent, this one knows nothing of.
            self.untouched.clear();
            self.sent.values_mut().for_each(|sent| sent.doubtful = true);
        }
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

/// Kubernetes promises that versions of one object can be compared as numbers (KEP-5504).
fn version_of(run: &RunbookRun) -> Option<u64> {
    run.metadata.resource_version.as_ref()?.parse().ok()
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
    /// Whether an earlier send of the same token had no definite answer, or another process may have sent it: a refusal of this
    /// one says nothing of that one, and may be its consequence.
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(version: &str) -> RunbookRun {
        serde_json::from_value(json!({"apiVersion": "firstaid.dev/v1alpha1", "kind": "RunbookRun",
            "metadata": {"name": "r", "namespace": "shop", "resourceVersion": version}, "spec": {"runbook": "b", "reason": "why"}}))
        .unwrap()
    }

    #[test]
    fn history_that_goes_back_is_told_with_what_to_do() {
        let mut memory = Memory::default();
        assert_eq!(memory.went_back(&run("9")), None, "a new process knows nothing");
        memory.saw(&run("10"));
        // Not as texts: "9" would be greater than "10".
        assert!(memory.knows_newer(&run("9")) && !memory.knows_newer(&run("10")) && !memory.knows_newer(&run("11")));
        memory.saw(&run("9"));
        let said = memory.went_back(&run("9")).unwrap();
        assert!(said.contains("version 9 of this run, and has answered with 10 before"), "{said}");
        assert!(said.ends_with("kubectl annotate rbr -n shop r abort=\"WHY\""), "{said}");
        assert!(!memory.knows_newer(&run("")), "what is no number is not compared");
    }
}
