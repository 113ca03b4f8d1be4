//! What this process remembers: of each active run its memory, and the ballots that its watch has seen.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::api::Approval;
use crate::plan::Memory;

/// How many ended runs are known as such. A watch lags behind by a few at most.
const ENDED: usize = 1024;

/// Memories and ballots, by run. Both follow the active runs: what has ended is forgotten.
#[derive(Default)]
pub struct Recall {
    memories: Mutex<HashMap<String, Memory>>,
    ballots: Mutex<HashMap<(String, String), BTreeMap<String, Approval>>>,
    /// Uids, the newest last.
    ended: Mutex<VecDeque<String>>,
}

impl Recall {
    /// What is remembered of a run, by uid.
    pub fn of(&self, uid: &str) -> Memory {
        lock(&self.memories).get(uid).cloned().unwrap_or_default()
    }

    /// Whether a run is active, as far as this process knows.
    pub fn knows(&self, uid: &str) -> bool {
        lock(&self.memories).contains_key(uid)
    }

    /// Remembers. To be called before anything is sent: what is not remembered counts as possibly done by somebody.
    pub fn keep(&self, uid: &str, memory: &Memory) {
        lock(&self.memories).insert(uid.to_owned(), memory.clone());
    }

    /// A ballot as the watch saw it. Only a hint which votes there may be: they are read live before anything is done.
    pub fn saw(&self, namespace: &str, ballot: &Approval) {
        if self.has_ended(&ballot.spec.request.run_uid) {
            return;
        }
        let key = (namespace.to_owned(), ballot.spec.request.run.clone());
        let name = ballot.metadata.name.clone().unwrap_or_default();
        lock(&self.ballots).entry(key).or_default().insert(name, ballot.clone());
    }

    /// The ballots of a run that the watch has seen.
    pub fn ballots(&self, namespace: &str, run: &str) -> Vec<Approval> {
        let key = (namespace.to_owned(), run.to_owned());
        lock(&self.ballots).get(&key).map(|ballots| ballots.values().cloned().collect()).unwrap_or_default()
    }

    /// Forgets a run that has ended, but for its having ended.
    pub fn forget(&self, uid: &str, namespace: &str, run: &str) {
        {
            let mut ended = lock(&self.ended);
            ended.push_back(uid.to_owned());
            if ended.len() > ENDED {
                ended.pop_front();
            }
        }
        lock(&self.memories).remove(uid);
        lock(&self.ballots).remove(&(namespace.to_owned(), run.to_owned()));
    }

    /// Whether a run has ended, by uid. The watch may still show it as active: without its memory its records would be
    /// made once more, to find that they are there.
    pub fn has_ended(&self, uid: &str) -> bool {
        lock(&self.ended).iter().any(|ended| ended == uid)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
