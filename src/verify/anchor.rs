//! An older export as an anchor: whoever may write everything may also rewrite a whole chain and its journal so that it fits.
//! What was carried out of the cluster before is then the only witness.

use super::ballots;
use super::chain::Link;
use super::evidence::Stored;
use super::finding::Finding;
use super::index::Index;

/// Judges the records of one run by those that an export has of it.
pub(super) fn judge(exported: &[&Stored], evidence: &Index<'_>, findings: &mut Vec<Finding>) {
    for then in exported {
        let then = match Link::of(then) {
            Ok(then) => then,
            Err(finding) => {
                findings.push(*finding);
                continue;
            }
        };
        let (record, seq, export) = (then.name.to_owned(), then.seq, then.hash.to_owned());
        let computed = then.computed();
        if computed != then.hash {
            findings.push(Finding::ExportChanged { record: record.clone(), seq, computed, says: export.clone() });
        }
        // Wherever it was put since: a record that changed its run is not gone, and not the same.
        let now = evidence.records(then.record.namespace(), then.record.name());
        if now.iter().any(|now| now.spec() == then.record.spec()) {
            continue;
        }
        findings.push(match now.first() {
            None => Finding::Gone { record, seq },
            Some(now) => Finding::NotAsExported { record, seq, says: now.text("/spec/hash").to_owned(), export },
        });
    }
}

/// Judges the head that a run had in an export, and the ballots that were marked then.
pub(super) fn judge_run(
    links: &[Link<'_>],
    then: Option<&Stored>,
    marked: &[&Stored],
    evidence: &Index<'_>,
    findings: &mut Vec<Finding>,
) {
    let head = then.map(|run| run.text("/status/recordHead")).unwrap_or_default();
    if !head.is_empty() && !links.iter().any(|link| link.hash == head) {
        findings.push(Finding::ExportedHeadGone { head: head.to_owned() });
    }
    findings.extend(marked.iter().filter_map(|then| ballots::changed_since(then, evidence)));
}
