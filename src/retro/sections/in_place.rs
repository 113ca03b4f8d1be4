//! What of the first aid is still in place, and how it is undone.

use jiff::Timestamp;
use serde_json::json;

use crate::api::line::one_line;
use crate::retro::document::InPlace;
use crate::retro::durations::words;
use crate::retro::facts::Facts;
use crate::retro::facts::stored::Record;

/// Every change whose record says that it is in place, the oldest first. Ages are counted to `now`.
pub fn in_place(facts: &Facts<'_>, now: Timestamp) -> Vec<InPlace> {
    let there = facts.records.iter().filter(|record| record.state() == "InPlace" && !record.is_check());
    there
        .map(|record| InPlace {
            record: one_line(record.name()),
            namespace: one_line(record.object.namespace()),
            summary: facts.people.text(record.spec("summary")),
            since: record.at(),
            age: record.at().map_or("unknown".to_owned(), |at| words(now.duration_since(at))),
            undo: facts.people.text(record.object.text("/spec/undo/summary")),
            command: command(facts, record).unwrap_or_default(),
        })
        .collect()
}

/// The line that asks for the undo of this step. None where a name in it is no name: somebody will paste it into a shell,
/// and a record that was forged could say anything.
fn command(facts: &Facts<'_>, record: &Record<'_>) -> Option<String> {
    let (namespace, run, runbook, step) =
        (record.object.namespace(), record.spec("run"), record.spec("runbook"), record.spec("step"));
    let name = |text: &&str| {
        !text.is_empty()
            && text.len() <= 63
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.".contains(&b))
    };
    if ![namespace, run, runbook, step].iter().all(name) {
        return None;
    }
    let key = facts.key.as_str();
    let mut spec = json!({"runbook": runbook, "revertOf": run, "steps": [step], "reason": "WHY"});
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    if let Some(fields) = spec.as_object_mut().filter(|_| key.bytes().all(plain)) {
        fields.insert("incident".to_owned(), json!(key));
    }
    let prefix = format!("{}-undo-", run.get(..40).unwrap_or(run).trim_end_matches(['-', '.']));
    let object = json!({"apiVersion": "firstaid.dev/v1alpha1", "kind": "RunbookRun", "metadata": {"generateName": prefix}, "spec": spec});
    Some(format!("echo '{object}' | kubectl create -n {namespace} -f -"))
}
