//! When nothing is left to happen: nothing was lost.

use std::collections::BTreeMap;

use super::{Invariant, Judge, Violation};
use crate::api_server::{ApiServer, Kind};

impl Judge {
    /// Every effect has an outcome, every outcome a record, and every record its entry in the journal.
    pub fn at_the_end(&self, server: &ApiServer) -> Option<Violation> {
        if !self.all_ended(server) {
            return self.endless(server);
        }
        let mut records: BTreeMap<String, String> = server
            .all(Kind::Record)
            .map(|record| (record.text("/metadata/name").to_owned(), record.record().spec.hash.clone()))
            .collect();
        for run in server.all(Kind::Run) {
            let name = run.text("/metadata/name");
            let lost = |what: String| Some(Violation::new(Invariant::L2, format!("{name}: {what}")));
            let Some(status) = &run.run().status else { return lost("it has ended without a journal".into()) };
            for (key, entry) in &status.steps {
                match (&entry.outcome, &entry.settled) {
                    (None, None) => {}
                    (_, Some(settled)) => match records.remove(&settled.record) {
                        Some(hash) if hash == settled.hash => {}
                        Some(_) => return lost(format!("the record of {key} is another one")),
                        None => return lost(format!("{key} has no record")),
                    },
                    (Some(_), None) => return lost(format!("{key} is not settled")),
                }
            }
            let uid = run.text("/metadata/uid");
            for landed in self.landed.iter().filter(|landed| landed.run_uid == uid) {
                let key = format!("{}.{}", landed.step, landed.attempt);
                let outcome = status.steps.get(&key).and_then(|entry| entry.outcome.as_ref());
                match outcome {
                    None => return lost(format!("{key} took hold and has no outcome")),
                    Some(outcome) if !outcome.changed => {
                        let what = format!("{name}: {key} took hold, and its outcome says that nothing was changed");
                        return Some(Violation::new(Invariant::S8, what));
                    }
                    Some(_) => {}
                }
            }
        }
        let left = records.keys().next();
        left.map(|record| Violation::new(Invariant::L2, format!("record {record} is in no journal")))
    }
}
