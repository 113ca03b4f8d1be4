//! Evidence by what it is asked for: looked for among all of it, each run would cost as much as there are runs.

use std::collections::BTreeMap;

use super::evidence::{Evidence, Stored};

/// Objects by a namespace and by something in it, in the order in which they were read.
type By<'a> = BTreeMap<&'a str, BTreeMap<&'a str, Vec<&'a Stored>>>;

/// Evidence, to be looked up in.
#[derive(Debug, Default)]
pub(super) struct Index<'a> {
    runs: By<'a>,
    records_by_run: By<'a>,
    records_by_name: By<'a>,
    ballots_by_run: By<'a>,
    ballots_by_name: By<'a>,
    ballots_by_uid: By<'a>,
}

impl<'a> Index<'a> {
    pub fn of(evidence: &'a Evidence) -> Self {
        Self {
            runs: by(&evidence.runs, Stored::uid),
            records_by_run: by(&evidence.records, |record| record.text("/spec/runUID")),
            records_by_name: by(&evidence.records, Stored::name),
            ballots_by_run: by(&evidence.ballots, |ballot| ballot.text("/spec/request/runUID")),
            ballots_by_name: by(&evidence.ballots, Stored::name),
            ballots_by_uid: by(&evidence.ballots, Stored::uid),
        }
    }

    /// The run with this uid.
    pub fn run(&self, namespace: &str, uid: &str) -> Option<&'a Stored> {
        all(&self.runs, namespace, uid).first().copied()
    }

    /// The records of a run.
    pub fn records_of_run(&self, namespace: &str, uid: &str) -> &[&'a Stored] {
        all(&self.records_by_run, namespace, uid)
    }

    /// Records of a name: more than one, where one was changed between two exports.
    pub fn records(&self, namespace: &str, name: &str) -> &[&'a Stored] {
        all(&self.records_by_name, namespace, name)
    }

    /// The ballots of a run.
    pub fn ballots_of_run(&self, namespace: &str, uid: &str) -> &[&'a Stored] {
        all(&self.ballots_by_run, namespace, uid)
    }

    /// Ballots of a name: more than one, where one was made anew between two exports.
    pub fn ballots(&self, namespace: &str, name: &str) -> &[&'a Stored] {
        all(&self.ballots_by_name, namespace, name)
    }

    /// The ballot with this uid.
    pub fn ballot(&self, namespace: &str, uid: &str) -> Option<&'a Stored> {
        all(&self.ballots_by_uid, namespace, uid).first().copied()
    }
}

fn by<'a>(objects: &'a [Stored], of: impl Fn(&'a Stored) -> &'a str) -> By<'a> {
    let mut by = By::new();
    for object in objects {
        by.entry(object.namespace()).or_default().entry(of(object)).or_default().push(object);
    }
    by
}

fn all<'i, 'a>(by: &'i By<'a>, namespace: &str, what: &str) -> &'i [&'a Stored] {
    by.get(namespace).and_then(|by| by.get(what)).map(Vec::as_slice).unwrap_or_default()
}
