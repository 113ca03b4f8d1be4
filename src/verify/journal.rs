//! The records against the journal of their run: the head, the tail, and what each settled step says of its record.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::chain::{self, Link};
use super::evidence::Stored;
use super::finding::{Finding, Note};

/// A settled step of the journal.
struct Settled<'a> {
    step: &'a str,
    record: &'a str,
    seq: i64,
    hash: &'a str,
}

/// Whether the run has ended.
pub(super) fn has_ended(run: &Stored) -> bool {
    run.object.pointer("/status/finished").and_then(Value::as_bool).unwrap_or_default()
}

/// Judges the records of a run by its journal.
pub(super) fn judge(run: &Stored, links: &[Link<'_>], findings: &mut Vec<Finding>, notes: &mut Vec<Note>) {
    let settled = settled(run);
    // The first of a name: a journal that was forged may have several.
    let mut by_record: BTreeMap<&str, &Settled<'_>> = BTreeMap::new();
    for step in &settled {
        by_record.entry(step.record).or_insert(step);
    }
    if !has_ended(run) {
        notes.push(Note::GoesOn);
    }
    for link in links {
        match by_record.get(link.name) {
            None => findings.push(Finding::NotInJournal { record: link.name.to_owned(), seq: link.seq }),
            Some(step) if step.hash != link.hash => findings.push(Finding::NotAsJournalled {
                record: link.name.to_owned(),
                seq: link.seq,
                says: link.hash.to_owned(),
                journal: step.hash.to_owned(),
            }),
            Some(_) => findings.extend(unapproved(run, link)),
        }
    }
    missing(run, links, &settled, findings);
    let head = run.text("/status/recordHead");
    let last = settled.last().map(|step| step.hash).unwrap_or_default();
    if head != last {
        findings.push(Finding::HeadDiffers { head: head.to_owned(), last: last.to_owned() });
        if !head.is_empty() && !links.iter().any(|link| link.hash == head) {
            findings.push(Finding::HeadMissing { head: head.to_owned() });
        }
    }
}

/// What the journal names and is not there.
fn missing(run: &Stored, links: &[Link<'_>], settled: &[Settled<'_>], findings: &mut Vec<Finding>) {
    let last = links.iter().map(|link| link.seq).max().unwrap_or_default();
    let there: BTreeSet<&str> = links.iter().map(|link| link.name).collect();
    let absent: Vec<&Settled<'_>> = settled.iter().filter(|step| !there.contains(step.record)).collect();
    let (tail, within): (Vec<&Settled<'_>>, Vec<&Settled<'_>>) = absent.into_iter().partition(|step| step.seq > last);
    for step in &within {
        findings.push(Finding::Missing { record: step.record.to_owned(), seq: step.seq, step: step.step.to_owned() });
    }
    for seq in chain::gaps(links) {
        if !within.iter().any(|step| step.seq == seq) {
            findings.push(Finding::Gap { seq });
        }
    }
    // The record of the step that was settled last is made right after the journal is written.
    let about_to_be_made = !has_ended(run) && tail.len() == 1;
    if !tail.is_empty() && !about_to_be_made {
        findings.push(Finding::MissingTail {
            last,
            journal: settled.len(),
            missing: tail.iter().map(|step| format!("{} (seq {})", step.record, step.seq)).collect(),
        });
    }
    if has_ended(run) {
        for (step, entry) in steps(run) {
            if entry.get("outcome").is_some() && entry.get("settled").is_none() {
                findings.push(Finding::NeverRecorded { step: step.clone() });
            }
        }
    }
}

/// A change behind a gate that nobody approved. An undo stands under the approval of what it undoes.
fn unapproved(run: &Stored, link: &Link<'_>) -> Option<Finding> {
    let record = link.record;
    let changed = record.object.pointer("/spec/changed").and_then(Value::as_bool).unwrap_or_default();
    let nobody = record.object.pointer("/spec/approvals").and_then(Value::as_array).is_none_or(Vec::is_empty);
    if record.text("/spec/result") != "Done" || !changed || !nobody || record.text("/spec/step").ends_with(".undo") {
        return None;
    }
    let plans = run.object.pointer("/status/plans").and_then(Value::as_object)?;
    let of_record = |plan: &&Value| plan.get("planHash").and_then(Value::as_str) == Some(record.text("/spec/planHash"));
    let gate = plans.values().find(of_record)?.get("gate")?.as_str()?;
    Some(Finding::NotApproved { record: link.name.to_owned(), seq: link.seq, gate: gate.to_owned() })
}

fn steps(run: &Stored) -> impl Iterator<Item = (&String, &Value)> {
    run.object.pointer("/status/steps").and_then(Value::as_object).into_iter().flat_map(Map::iter)
}

/// The settled steps in the order of their records.
fn settled(run: &Stored) -> Vec<Settled<'_>> {
    let mut all: Vec<Settled<'_>> = steps(run)
        .filter_map(|(step, entry)| {
            let settled = entry.get("settled")?;
            let text = |key: &str| settled.get(key).and_then(Value::as_str).unwrap_or_default();
            let seq = settled.get("seq").and_then(Value::as_i64).unwrap_or_default();
            Some(Settled { step, record: text("record"), seq, hash: text("hash") })
        })
        .collect();
    all.sort_by_key(|step| step.seq);
    all
}
