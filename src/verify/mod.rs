//! Whether the evidence stands: pure, all of it is data. [`judge`] recomputes what the operator promised.
//!
//! ```text
//! chain     each record by itself, and that it names the one before it
//! journal   the records against their run: every settled step, the tail, the head
//! ballots   the approvals of a record against the ballots that people marked
//! cover     an undo that stands under the approval of what it undoes
//! anchor    all of it against an older export
//! ```
//!
//! Nothing here trusts what it reads: objects stay JSON, and a field that is missing is a finding, never a crash.

mod anchor;
mod ballots;
mod chain;
mod cover;
mod evidence;
mod finding;
mod index;
mod journal;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

pub use evidence::{Evidence, Stored, Unreadable, objects};
pub use finding::{But, Finding, Note};

use chain::Link;
use index::Index;

/// What was found of one run.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RunReport {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub run: String,
    /// Its uid.
    #[serde(rename = "runUID")]
    pub run_uid: String,
    /// How many records there are.
    pub records: usize,
    /// The hash of the last one; empty where there is none.
    pub head: String,
    /// What cannot be told.
    pub notes: Vec<Note>,
    /// What is wrong, by the place in the chain: the first bad record comes first. Empty where all is well.
    pub findings: Vec<Finding>,
}

/// Judges every run of which there is anything, by namespace and name. `export` is an older export, or nothing.
pub fn judge(evidence: &Evidence, export: &Evidence) -> Vec<RunReport> {
    let mut runs: BTreeMap<(String, String, String), ()> = BTreeMap::new();
    let uids: BTreeSet<(&str, &str)> = evidence.runs.iter().map(|run| (run.namespace(), run.uid())).collect();
    for run in &evidence.runs {
        runs.insert((run.namespace().to_owned(), run.name().to_owned(), run.uid().to_owned()), ());
    }
    for record in evidence.records.iter().chain(&export.records) {
        let (namespace, uid) = (record.namespace(), record.text("/spec/runUID"));
        // A record that was edited may have another name of its run; it belongs to the run of its uid all the same.
        if !uids.contains(&(namespace, uid)) {
            runs.insert((namespace.to_owned(), record.text("/spec/run").to_owned(), uid.to_owned()), ());
        }
    }
    let (evidence, export) = (Index::of(evidence), Index::of(export));
    runs.into_keys().map(|(namespace, run, uid)| judge_run(&evidence, &export, namespace, run, uid)).collect()
}

fn judge_run(evidence: &Index<'_>, export: &Index<'_>, namespace: String, name: String, uid: String) -> RunReport {
    let (mut findings, mut notes) = (Vec::new(), Vec::new());
    let mut links: Vec<Link<'_>> = Vec::new();
    for record in evidence.records_of_run(&namespace, &uid) {
        match Link::of(record) {
            Ok(link) => links.push(link),
            Err(finding) => findings.push(*finding),
        }
    }
    links.sort_by_key(|link| (link.seq, link.name));
    chain::judge(&links, &mut findings);
    let run = evidence.run(&namespace, &uid);
    match run {
        Some(run) => journal::judge(run, &links, &mut findings, &mut notes),
        None => {
            notes.push(Note::RunGone);
            findings.extend(chain::gaps(&links).into_iter().map(|seq| Finding::Gap { seq }));
        }
    }
    for link in &links {
        ballots::judge(link, run, evidence, &mut findings, &mut notes);
    }
    anchor::judge(export.records_of_run(&namespace, &uid), evidence, &mut findings);
    let marked = export.ballots_of_run(&namespace, &uid);
    anchor::judge_run(&links, export.run(&namespace, &uid), marked, evidence, &mut findings);
    findings.sort_by_key(Finding::place);
    RunReport {
        namespace,
        run: name,
        run_uid: uid,
        records: links.len(),
        head: links.last().map(|link| link.hash.to_owned()).unwrap_or_default(),
        notes,
        findings,
    }
}
