//! J7 and J9: whether the records of a run are one unbroken chain, the one that its journal knows, to its head.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::canonical::digest;
use crate::journal::Journal;
use crate::log::{members, number, text};
use crate::{Breach, Facts, Rule};

/// J7: the chain of records is whole.
///
/// *Proved*: the records of a run (by its uid) are numbered from 1 without gap or double, each names the hash of the one
/// before it, and each hash is the SHA-256 of the canonical JSON (RFC 8785) of its spec without `hash`. They are those of the
/// journal: each settled entry has its record, with its number and hash (of a run that goes on, the newest may be missing);
/// and no record is there of which the journal does not know.
///
/// *From*: the final objects alone.
///
/// *Not seen*: records, journal and head rewritten together so that they fit; the log would show the writes (J6, J8).
pub fn chains(facts: &Facts<'_>) -> Vec<Breach> {
    let mut of_runs: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for record in &facts.records {
        of_runs.entry(text(record, "/spec/runUID")).or_default().push(record);
    }
    let mut breaches = Vec::new();
    for (uid, records) in &mut of_runs {
        records.sort_by_key(|record| (number(record, "/spec/seq"), text(record, "/metadata/name")));
        let run = records.first().map(|record| text(record, "/spec/run")).unwrap_or_default();
        breaches.extend(links(records).into_iter().map(|says| Breach::new(Rule::Chain, run, says)));
        if !facts.journals.iter().any(|journal| journal.uid == *uid) {
            breaches.push(Breach::new(
                Rule::Chain,
                run,
                format!("there are records of a run with uid {uid}, and no such run"),
            ));
        }
    }
    for journal in &facts.journals {
        let records = of_runs.get(journal.uid).map(Vec::as_slice).unwrap_or_default();
        breaches.extend(known(journal, records).into_iter().map(|says| Breach::new(Rule::Chain, journal.name, says)));
    }
    breaches
}

/// What is wrong between the links of a chain.
fn links(records: &[&Value]) -> Vec<String> {
    let mut all = Vec::new();
    let mut previous = "";
    for (wanted, record) in (1..).zip(records) {
        let (name, seq) = (text(record, "/metadata/name"), number(record, "/spec/seq"));
        if seq != wanted {
            all.push(format!("record {name} has number {seq}, and its place is {wanted}"));
        }
        let before = text(record, "/spec/prevHash");
        if before != previous {
            all.push(format!("record {name} follows {before:?}, and before it is {previous:?}"));
        }
        let mut spec = record.get("spec").cloned().unwrap_or_default();
        if let Some(fields) = spec.as_object_mut() {
            fields.remove("hash");
        }
        let (says, is) = (text(record, "/spec/hash"), digest(&spec));
        if says != is {
            all.push(format!("record {name} was changed: its content gives {is}, and it says {says:?}"));
        }
        previous = says;
    }
    all
}

/// The entries of a journal that have their place in the chain, in its order.
fn settled<'a>(journal: &Journal<'a>) -> Vec<&'a Value> {
    let mut settled: Vec<&Value> =
        members(journal.last, "/status/steps").filter_map(|(_, entry)| entry.get("settled")).collect();
    settled.sort_by_key(|entry| number(entry, "/seq"));
    settled
}

/// What is wrong between a journal and its records.
fn known(journal: &Journal<'_>, records: &[&Value]) -> Vec<String> {
    let settled = settled(journal);
    let mut all = Vec::new();
    for (place, entry) in settled.iter().enumerate() {
        let (name, seq, hash) = (text(entry, "/record"), number(entry, "/seq"), text(entry, "/hash"));
        match records.iter().find(|record| text(record, "/metadata/name") == name) {
            // Whatever is settled gets its record before anything else is done.
            None if !journal.is_finished() && place + 1 == settled.len() => {}
            None => all.push(format!("record {name} (seq {seq}) is missing")),
            Some(record) if number(record, "/spec/seq") == seq && text(record, "/spec/hash") == hash => {}
            Some(_) => {
                all.push(format!("record {name} is not the one of the journal, with number {seq} and hash {hash}"))
            }
        }
    }
    for record in records {
        let name = text(record, "/metadata/name");
        if !settled.iter().any(|entry| text(entry, "/record") == name) {
            all.push(format!("the journal knows of no record {name}"));
        }
    }
    all
}

/// J9: the head in the run's status is the last record.
///
/// *Proved*: `status.recordHead` is the hash of the newest settled entry of the journal, which by J7 is that of the last
/// record; and there is none where nothing was settled.
///
/// *From*: the final objects alone.
///
/// *Not seen*: a head, journal and records that were cut together; the log would show the writes (J6, J8).
pub fn heads(journals: &[Journal<'_>]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for journal in journals {
        let head = text(journal.last, "/status/recordHead");
        let newest = settled(journal).last().map(|entry| text(entry, "/hash")).unwrap_or_default();
        if head != newest {
            let says = format!("the run's head of the chain is {head:?}, and the newest entry's is {newest:?}");
            breaches.push(Breach::new(Rule::Head, journal.name, says));
        }
    }
    breaches
}
