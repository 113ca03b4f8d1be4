//! The judge: after every transition, whether a promise was broken. It sees what the API server stored and what was sent,
//! and nothing of what an operator believes.

mod effects;
mod end;
mod journal;

use std::collections::BTreeMap;

use firstaid::api::RunbookRun;
use jiff::{SignedDuration, Timestamp};

use crate::api_server::{ApiServer, Change, Key, Kind, Who};
use crate::scenario::Scenario;
use crate::wire::Act;

/// The promises, by their names in the reliability reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// Write-ahead: no act is sent and none takes hold without a durable intent that names it.
    S1,
    /// At most once: one effect for each run, step and target.
    S2,
    /// Authorised: behind a gate only with enough votes that count, and nobody's no.
    S3,
    /// Never wider: only the very objects that the intent names.
    S4,
    /// Precondition in the act: the target was as it was read.
    S5,
    /// Fencing: nothing takes hold of an attempt that is settled.
    S6,
    /// The record only grows.
    S7,
    /// Honest verdict: what is said to be done was done, and the other way round.
    S8,
    /// Exclusive: no act on what an active run holds.
    S10,
    /// Fail closed: no act while the brake is on.
    S11,
    /// Stop wins: after a stop nothing but what was on its way.
    S12,
    /// Undo is conditional: it replaces only what the run itself wrote.
    S13,
    /// Every run ends, and until then says for what it waits.
    L1,
    /// Every effect has an outcome and every outcome a record.
    L2,
    /// After its end a run writes nothing.
    L6,
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub invariant: Invariant,
    pub what: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{:?}: {}", self.invariant, self.what)
    }
}

impl Violation {
    fn new(invariant: Invariant, what: impl Into<String>) -> Self {
        Self { invariant, what: what.into() }
    }

    /// A run waits and does not say for what.
    pub fn silence(run: &str, phase: &str) -> Self {
        Self::new(Invariant::L1, format!("{run} waits in silence, {phase}"))
    }

    /// A run does not end.
    pub fn endless(run: &str, how: &str) -> Self {
        Self::new(Invariant::L1, format!("{run} does not end: {how}"))
    }
}

/// Some answers may be this old when an act is sent: other reads of the same look may take as long as any call may.
const OLDEST_LOOK: SignedDuration = SignedDuration::from_millis(10_100);

/// An effect that took hold.
#[derive(Clone, Debug)]
struct Landed {
    run_uid: String,
    step: String,
    attempt: i32,
    uid: String,
    plan: String,
    /// The value that was replaced, as far as an outcome tells it.
    before: serde_json::Value,
}

/// What has been seen.
#[derive(Debug, Default)]
pub struct Judge {
    scenario: Option<Scenario>,
    gates: BTreeMap<String, Option<(String, usize)>>,
    landed: Vec<Landed>,
    /// When each ballot was marked.
    marked: BTreeMap<String, Timestamp>,
    /// When each run was stopped, and how many effects it had then.
    stopped: BTreeMap<String, (Timestamp, usize)>,
    braked: Option<Timestamp>,
    lost_rights: BTreeMap<String, Timestamp>,
}

impl Judge {
    pub fn new(scenario: Scenario) -> Self {
        let steps = scenario.runbook()["spec"]["steps"].as_array().cloned().unwrap_or_default();
        let names = steps.iter().filter_map(|step| step["name"].as_str().map(str::to_owned));
        let gates = names.map(|name| (name.clone(), scenario.gate_of(&name))).collect();
        Self { scenario: Some(scenario), gates, ..Self::default() }
    }

    /// How many effects took hold.
    pub fn effects(&self) -> u64 {
        self.landed.len() as u64
    }

    /// Something was stored.
    pub fn changed(
        &mut self,
        server: &ApiServer,
        who: Who,
        change: &Change,
        act: Option<&Act>,
        now: Timestamp,
    ) -> Option<Violation> {
        match (change.key.kind, act) {
            (_, Some(act)) => self.took_hold(server, change, act),
            (Kind::Deployment | Kind::ConfigMap, None) if matches!(who, Who::Operator(_)) => {
                Some(Violation::new(Invariant::S1, format!("{} was written and it was no act", change.key.name)))
            }
            (Kind::ConfigMap, None) if change.key.name == crate::calls::BRAKE => {
                self.braked = change.new.as_ref().map(|_| now);
                None
            }
            (Kind::Run, None) => self.run_changed(change, now),
            (Kind::Approval, None) => self.ballot_changed(change, now),
            (Kind::Record, None) => self.record_changed(server, change),
            _ => None,
        }
    }

    pub fn lost_right(&mut self, who: &str, now: Timestamp) {
        self.lost_rights.insert(who.to_owned(), now);
    }

    pub fn rights_are_back(&mut self) {
        self.lost_rights.clear();
    }

    /// Whether all runs have ended, those too that are started later.
    pub fn all_ended(&self, server: &ApiServer) -> bool {
        let runs = self.scenario.map_or(0, |scenario| scenario.runs().len() + usize::from(scenario.undo().is_some()));
        let ended = |run: &&std::rc::Rc<crate::api_server::Stored>| {
            run.value.pointer("/status/finished") == Some(&serde_json::Value::Bool(true))
        };
        server.all(Kind::Run).filter(ended).count() == runs
    }

    /// The storm is long over.
    pub fn endless(&self, server: &ApiServer) -> Option<Violation> {
        server
            .all(Kind::Run)
            .find(|run| run.value.pointer("/status/finished") != Some(&serde_json::Value::Bool(true)))
            .map(|run| {
                let how = format!("{}, waiting for {:?}", run.text("/status/phase"), run.text("/status/waitingOn"));
                Violation::endless(run.text("/metadata/name"), &how)
            })
            .or_else(|| Some(Violation::endless("everything", "something goes on for ever")))
    }

    /// Whether the act that a run asks about took hold: its newest intent without an outcome.
    pub fn last_intent_took_hold(&self, run: &RunbookRun) -> bool {
        let Some(status) = &run.status else { return false };
        let planned = status.plans.values().flat_map(|plan| &plan.steps);
        let later = status.steps.values().filter_map(|entry| entry.intent.as_ref().map(|intent| &intent.step));
        let open = planned.chain(later).filter(|step| {
            let key = format!("{}.{}", step.step, step.attempt);
            status.steps.get(&key).is_none_or(|entry| entry.outcome.is_none())
        });
        let uid = run.metadata.uid.as_deref().unwrap_or_default();
        open.into_iter().any(|step| {
            self.landed.iter().any(|l| l.run_uid == uid && l.step == step.step && l.attempt == step.attempt)
        })
    }
}

/// A token in its parts: run, uid of the run, step, attempt.
fn parts(token: &str) -> Option<(&str, &str, &str, i32)> {
    let mut parts = token.split('/');
    let found = (parts.next()?, parts.next()?, parts.next()?, parts.next()?.parse().ok()?);
    parts.next().is_none().then_some(found)
}

/// A run as the API server has it.
fn run_of(server: &ApiServer, name: &str) -> Option<RunbookRun> {
    server.get(&Key::new(Kind::Run, name)).map(|stored| stored.run().clone())
}
