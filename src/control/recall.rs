//! What this process remembers: of each active run its memory, and the votes that its watch has seen.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kube::ResourceExt;

use crate::api::{APPROVE_ANNOTATION, Approval, DENY_ANNOTATION, RunbookRun};
use crate::plan::Memory;

/// Which run: its namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunName {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl RunName {
    /// The name of this run.
    pub fn of(run: &RunbookRun) -> Self {
        Self { namespace: run.namespace().unwrap_or_default(), name: run.name_any() }
    }
}

/// Memories and votes, by run. Both follow the active runs: what has ended is forgotten.
#[derive(Default)]
pub struct Recall {
    /// With the uid of the run: another one of the same name has nothing to remember.
    memories: Mutex<HashMap<RunName, (String, Memory)>>,
    voted: Mutex<HashMap<RunName, BTreeMap<String, Approval>>>,
    /// Runs as they were before a write of which nobody knows whether it landed: what it brought was told to nobody.
    untold: Mutex<HashMap<RunName, RunbookRun>>,
}

impl Recall {
    /// What is remembered of a run.
    pub fn of(&self, run: &RunName, uid: &str) -> Memory {
        let memories = lock(&self.memories);
        let remembered = memories.get(run).filter(|(of, _)| of == uid);
        remembered.map(|(_, memory)| memory.clone()).unwrap_or_default()
    }

    /// Remembers. To be called before anything is sent: what is not remembered counts as possibly done by somebody.
    pub fn keep(&self, run: &RunName, uid: &str, memory: &Memory) {
        lock(&self.memories).insert(run.clone(), (uid.to_owned(), memory.clone()));
    }

    /// A ballot as the watch saw it; the run that is to be woken, if there is one. Only a hint which votes there may be:
    /// they are read live before anything is done. So nothing is kept of a ballot that nobody has marked, nor of one
    /// whose run is not active: ballots stay for years.
    pub fn saw(&self, ballot: &Approval) -> Option<RunName> {
        let request = &ballot.spec.request;
        let run = RunName { namespace: ballot.namespace()?, name: request.run.clone() };
        if lock(&self.memories).get(&run).is_none_or(|(uid, _)| *uid != request.run_uid) {
            return None;
        }
        let marks = ballot.annotations();
        if marks.contains_key(APPROVE_ANNOTATION) || marks.contains_key(DENY_ANNOTATION) {
            lock(&self.voted).entry(run.clone()).or_default().insert(ballot.name_any(), ballot.clone());
        }
        Some(run)
    }

    /// The marked ballots of a run that the watch has seen.
    pub fn votes(&self, run: &RunName) -> Vec<Approval> {
        lock(&self.voted).get(run).map(|ballots| ballots.values().cloned().collect()).unwrap_or_default()
    }

    /// A write of this run's journal may have landed, and there was no answer.
    pub fn doubt(&self, name: &RunName, before: &RunbookRun) {
        lock(&self.untold).entry(name.clone()).or_insert_with(|| before.clone());
    }

    /// The run of this uid as it was before the first write that was in doubt; no longer in doubt afterwards.
    pub fn undoubt(&self, name: &RunName, uid: &str) -> Option<RunbookRun> {
        lock(&self.untold).remove(name).filter(|before| before.metadata.uid.as_deref() == Some(uid))
    }

    /// The same of whatever run has that name.
    pub fn undoubt_ended(&self, name: &RunName) -> Option<RunbookRun> {
        lock(&self.untold).remove(name)
    }

    /// The runs of which something is in doubt, also those that have ended since.
    pub fn doubted(&self) -> Vec<RunName> {
        lock(&self.untold).keys().cloned().collect()
    }

    /// Forgets a run that has left the watch. Not earlier: until then a pass may still begin with the run as it was
    /// before its end, and would do again what it does not remember.
    pub fn forget(&self, run: &RunName) {
        lock(&self.memories).remove(run);
        lock(&self.voted).remove(run);
        lock(&self.untold).remove(run);
    }

    /// Forgets every run but these.
    pub fn forget_all_but(&self, active: &HashSet<RunName>) {
        lock(&self.memories).retain(|run, _| active.contains(run));
        lock(&self.voted).retain(|run, _| active.contains(run));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run() -> RunName {
        RunName { namespace: "shop".to_owned(), name: "r".to_owned() }
    }

    fn ballot(uid: &str, annotations: serde_json::Value) -> Approval {
        let at = "2026-11-22T03:00:00.000000Z";
        serde_json::from_value(json!({"apiVersion": "firstaid.dev/v1alpha1", "kind": "Approval",
            "metadata": {"name": "r-1", "namespace": "shop", "annotations": annotations},
            "spec": {"request": {"run": "r", "runUID": uid, "runbook": "b", "gate": "g", "role": "sre", "plan": "0.1",
                "planHash": "", "code": "1234", "shownCode": "1234", "requester": "alice", "summary": "s", "effects": [],
                "reason": "Required", "issuedAt": at, "expiresAt": at}}}))
        .unwrap()
    }

    #[test]
    fn only_votes_on_active_runs_are_kept() {
        let recall = Recall::default();
        let voted = json!({"approve": "1234 why"});
        assert_eq!(recall.saw(&ballot("u1", voted.clone())), None, "the run is not active");
        assert_eq!(recall.votes(&run()), []);
        recall.keep(&run(), "u1", &Memory::default());
        assert_eq!(recall.saw(&ballot("u0", voted.clone())), None, "of an earlier run of that name");
        assert_eq!(recall.saw(&ballot("u1", json!({}))), Some(run()));
        assert_eq!(recall.votes(&run()), [], "nobody voted");
        assert_eq!(recall.saw(&ballot("u1", voted)), Some(run()));
        assert_eq!(recall.votes(&run()).len(), 1);
        recall.forget_all_but(&HashSet::from([run()]));
        assert_eq!(recall.votes(&run()).len(), 1);
        recall.forget_all_but(&HashSet::new());
        assert_eq!(recall.votes(&run()), []);
    }

    #[test]
    fn what_was_in_doubt_is_told_from_before_the_first_such_write() {
        let of = |uid: &str, phase: &str| -> RunbookRun {
            serde_json::from_value(json!({"apiVersion": "firstaid.dev/v1alpha1", "kind": "RunbookRun",
                "metadata": {"name": "r", "namespace": "shop", "uid": uid},
                "spec": {"runbook": "b", "reason": "why"}, "status": {"phase": phase}}))
            .unwrap()
        };
        let recall = Recall::default();
        assert_eq!(recall.undoubt(&run(), "u1"), None);
        recall.doubt(&run(), &of("u1", "Planning"));
        recall.doubt(&run(), &of("u1", "Waiting"));
        assert_eq!(recall.undoubt(&run(), "u1"), Some(of("u1", "Planning")));
        assert_eq!(recall.undoubt(&run(), "u1"), None, "it is told once");
        recall.doubt(&run(), &of("u1", "Planning"));
        assert_eq!(recall.undoubt(&run(), "u2"), None, "another run of that name");
        recall.doubt(&run(), &of("u1", "Planning"));
        recall.forget_all_but(&HashSet::new());
        assert_eq!(recall.doubted(), [run()], "its end is still to be told");
        assert_eq!(recall.undoubt_ended(&run()), Some(of("u1", "Planning")));
    }

    #[test]
    fn a_run_does_not_inherit_the_memory_of_another_one_of_its_name() {
        let recall = Recall::default();
        let memory = Memory { first_seen: Some(jiff::Timestamp::UNIX_EPOCH), ..Memory::default() };
        recall.keep(&run(), "u1", &memory);
        assert_eq!(recall.of(&run(), "u1").first_seen, memory.first_seen);
        assert_eq!(recall.of(&run(), "u2").first_seen, None);
        recall.forget(&run());
        assert_eq!(recall.of(&run(), "u1").first_seen, None);
    }
}
