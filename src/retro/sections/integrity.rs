//! Whether the evidence of this incident stands: what `firstaid verify` says of it.

use std::collections::BTreeSet;

use crate::api::line::one_line;
use crate::retro::document::{Integrity, RunIntegrity};
use crate::retro::facts::Facts;
use crate::verify::{Evidence, Note, judge};

/// What is wrong with the runs of this incident.
///
/// They are judged among everything that was read: an undo stands under the approval of what it undoes, which may be
/// another incident's.
pub fn integrity(facts: &Facts<'_>) -> Integrity {
    let joined = facts.joined.evidence();
    let mut around = facts.material.evidence.clone();
    let of_runs = joined.runs.iter().map(|run| (run.namespace().to_owned(), run.uid().to_owned()));
    let of_records = joined.records.iter().map(|r| (r.namespace().to_owned(), r.text("/spec/runUID").to_owned()));
    let wanted: BTreeSet<(String, String)> = of_runs.chain(of_records).collect();
    let originals: BTreeSet<&str> = joined.records.iter().map(|record| record.text("/spec/revertOf")).collect();
    // What nothing of this incident refers to only takes time.
    let mut near: BTreeSet<String> = wanted.iter().map(|(_, uid)| uid.clone()).collect();
    near.extend(
        around.records.iter().filter(|r| originals.contains(r.name())).map(|r| r.text("/spec/runUID").to_owned()),
    );
    around.runs.retain(|run| near.contains(run.uid()));
    around.ballots.retain(|ballot| near.contains(ballot.text("/spec/request/runUID")));
    around.records.retain(|record| near.contains(record.text("/spec/runUID")));
    let reports = judge(&around, &Evidence::default());
    let runs: Vec<RunIntegrity> = reports
        .into_iter()
        .filter(|report| wanted.contains(&(report.namespace.clone(), report.run_uid.clone())))
        .map(|report| RunIntegrity {
            namespace: one_line(&report.namespace),
            run: one_line(&report.run),
            records: report.records,
            head: one_line(&report.head),
            findings: report.findings.iter().map(|finding| facts.people.text(&finding.to_string())).collect(),
            gone: report.notes.contains(&Note::RunGone),
            notes: report.notes.iter().map(|note| facts.people.text(&note.to_string())).collect(),
        })
        .collect();
    Integrity { stands: runs.iter().all(|run| run.findings.is_empty()), unseen: unseen(&runs), runs }
}

/// What no look at what is here can tell, so that nobody takes "nothing is wrong" for more than that.
fn unseen(runs: &[RunIntegrity]) -> Vec<String> {
    let gone = runs.iter().filter(|run| run.gone);
    let mut unseen: Vec<String> = gone
        .map(|run| {
            format!(
                "of {}/{} the run is gone, and with it the journal that would name records after the last one that is here",
                run.namespace, run.run
            )
        })
        .collect();
    unseen.push(
        "a run that was removed with all its records leaves nothing here, and whoever may write everything may rewrite a \
         chain and its journal so that they fit: an export from before tells, by firstaid verify -n NAMESPACE -f EXPORT"
            .to_owned(),
    );
    unseen
}
