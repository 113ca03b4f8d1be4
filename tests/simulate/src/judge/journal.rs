//! What is written down: runs, ballots, records.

use firstaid::api::RunbookRunStatus;
use firstaid::api::run::{Outcome, Phase, Result};
use firstaid::plan::hash_of;
use jiff::Timestamp;
use serde_json::Value;

use super::{Invariant, Judge, Violation};
use crate::api_server::{ApiServer, Change, Kind, Stored};

impl Judge {
    pub(super) fn run_changed(&mut self, change: &Change, now: Timestamp) -> Option<Violation> {
        let name = &change.key.name;
        let grown = |what: &str| Some(Violation::new(Invariant::S7, format!("{name}: {what}")));
        let Some(new) = &change.new else { return grown("the run is gone") };
        let Some(old) = &change.old else { return None };
        let said = |run: &Stored, key: &str| run.value.pointer(&format!("/metadata/annotations/{key}")).cloned();
        if said(old, "abort").is_none() && said(new, "abort").is_some() {
            let uid = new.text("/metadata/uid");
            let effects = self.landed.iter().filter(|landed| landed.run_uid == uid).count();
            // One may be on its way.
            self.stopped.insert(name.clone(), (now, effects));
        }
        if old.value.get("spec") != new.value.get("spec") {
            return grown("its spec has changed");
        }
        let empty = RunbookRunStatus::default();
        let before = old.run().status.as_ref().unwrap_or(&empty);
        let after = match &new.run().status {
            Some(after) => after,
            None if old.run().status.is_some() => return grown("its journal is gone"),
            None => return None,
        };
        if before.finished && (before.phase != after.phase || !after.finished) {
            return grown("it had ended, and goes on");
        }
        if after.finished != after.phase.is_final() {
            return grown("its phase and its end disagree");
        }
        if before.frozen.is_some() && before.frozen != after.frozen {
            return grown("the frozen runbook has changed");
        }
        if before.plans.iter().any(|(key, plan)| after.plans.get(key) != Some(plan)) {
            return grown("a plan has changed or is gone");
        }
        for (key, entry) in &before.steps {
            let Some(now) = after.steps.get(key) else { return grown("an entry of the journal is gone") };
            let intent = entry.intent.is_none() || entry.intent == now.intent;
            let outcome = entry.outcome.is_none() || entry.outcome == now.outcome;
            if !intent || !outcome || (entry.settled.is_some() && entry.settled != now.settled) {
                return grown(&format!("entry {key} has changed"));
            }
        }
        let uid = new.text("/metadata/uid");
        for (key, entry) in &after.steps {
            let known = before.steps.get(key).is_some_and(|entry| entry.outcome.is_some());
            if let (Some(outcome), false) = (&entry.outcome, known)
                && let Some(violation) = self.dishonest(uid, key, outcome)
            {
                return Some(violation);
            }
            if entry.settled.is_some() && entry.outcome.is_none() {
                return grown(&format!("{key} is settled without an outcome"));
            }
        }
        let settled: Vec<i32> = {
            let mut all: Vec<i32> = after.steps.values().filter_map(|e| e.settled.as_ref()).map(|s| s.seq).collect();
            all.sort_unstable();
            all
        };
        if settled.iter().zip(1..).any(|(seq, wanted)| *seq != wanted) {
            return grown(&format!("the sequence of records has gaps: {settled:?}"));
        }
        if after.phase == Phase::Aborted && !self.stopped.contains_key(name) {
            return grown("it was stopped by nobody");
        }
        None
    }

    /// Why an outcome that was just written is not the truth.
    fn dishonest(&self, run_uid: &str, key: &str, outcome: &Outcome) -> Option<Violation> {
        let (step, attempt) = key.rsplit_once('.')?;
        let attempt: i32 = attempt.parse().ok()?;
        let landed = self.landed.iter().find(|l| l.run_uid == run_uid && l.step == step && l.attempt == attempt);
        let wrong =
            |what: String| Some(Violation::new(Invariant::S8, format!("{key} is {:?}, {what}", outcome.result)));
        match (outcome.result, landed) {
            (Result::Done, None) if outcome.changed => wrong("and nothing took hold".into()),
            (Result::Refused | Result::Failed, Some(_)) => wrong("and it took hold".into()),
            (Result::Done | Result::Unknown, Some(_)) if !outcome.changed => {
                wrong("it took hold, and the outcome says that nothing was changed".into())
            }
            (Result::Done, Some(landed)) => {
                let told =
                    |(name, value): (&String, &Value)| outcome.before.get(name).is_some_and(|told| told != value);
                let before = landed.before.as_object().into_iter().flatten();
                let differs = before.into_iter().any(told);
                // Whoever finds it done and did not do it says so where it cannot know.
                if differs && !outcome.message.contains("before is what the plan found") {
                    return wrong(format!("before was {}, and not {:?}", landed.before, outcome.before));
                }
                None
            }
            _ => None,
        }
    }

    pub(super) fn ballot_changed(&mut self, change: &Change, now: Timestamp) -> Option<Violation> {
        let name = &change.key.name;
        let changed = |what: &str| Some(Violation::new(Invariant::S7, format!("ballot {name}: {what}")));
        let Some(new) = &change.new else { return changed("it is gone") };
        let note = |ballot: &Stored, key: &str| ballot.value.pointer(&format!("/metadata/annotations/{key}")).cloned();
        for key in ["approve", "deny", "by"] {
            let before = change.old.as_ref().and_then(|old| note(old, key));
            if before.is_some() && before != note(new, key) {
                return changed("its mark has changed");
            }
        }
        if note(new, "approve").is_some() || note(new, "deny").is_some() {
            self.marked.entry(name.clone()).or_insert(now);
        }
        let old = change.old.as_ref()?;
        let same = old.value.pointer("/spec/request") == new.value.pointer("/spec/request");
        if same { None } else { changed("what it asks has changed") }
    }

    pub(super) fn record_changed(&mut self, server: &ApiServer, change: &Change) -> Option<Violation> {
        let name = &change.key.name;
        let changed = |what: &str| Some(Violation::new(Invariant::S7, format!("record {name}: {what}")));
        let Some(new) = &change.new else { return changed("it is gone") };
        let spec = &new.record().spec;
        if let Some(old) = &change.old {
            return if old.value.get("spec") == new.value.get("spec") { None } else { changed("it has changed") };
        }
        if hash_of(spec) != spec.hash {
            return changed("its hash is not that of its content");
        }
        let of_run = |record: &&std::rc::Rc<Stored>| record.record().spec.run_uid == spec.run_uid;
        let before = server.all(Kind::Record).filter(of_run).find(|record| record.record().spec.seq == spec.seq - 1);
        let head = before.map(|record| record.record().spec.hash.clone()).unwrap_or_default();
        if head != spec.prev_hash || (spec.seq > 1 && before.is_none()) {
            return changed("the chain is broken before it");
        }
        None
    }
}
