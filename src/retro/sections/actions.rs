//! First aid that was given: before, after, effect, and who decided. What was tried and did not help. All records.

use crate::api::line::{cut, one_line};
use crate::retro::document::{Action, HotFixLine, RecordLine, Tried};
use crate::retro::durations::words;
use crate::retro::facts::Facts;
use crate::retro::facts::stored::Record;

/// What stood before and after is a line of a table; the record has the whole.
const VALUES: usize = 120;

/// Every change, in order of time, undos and refusals too.
pub fn actions(facts: &Facts<'_>) -> Vec<Action> {
    let changes = facts.records.iter().filter(|record| !record.is_check());
    changes.filter_map(|record| action(facts, record)).collect()
}

fn action(facts: &Facts<'_>, record: &Record<'_>) -> Option<Action> {
    let (before, after) = record.values();
    let values = |values: &str| cut(&facts.people.text(values), VALUES);
    let result = match record.spec("result") {
        "Done" if !record.changed() => "Done already".to_owned(),
        result => one_line(result),
    };
    Some(Action {
        at: record.at()?,
        summary: facts.people.text(record.spec("summary")),
        target: format!("{}/{}", one_line(record.object.namespace()), one_line(record.spec("targetName"))),
        before: values(&before),
        after: values(&after),
        result,
        effect: effect(facts, record),
        decided: decided(facts, record),
        state: one_line(record.state()),
        record: one_line(record.name()),
        undoes: one_line(record.spec("revertOf")),
    })
}

/// What was seen of it: the verification of the act itself, and the next check of the same run, if there was one.
fn effect(facts: &Facts<'_>, record: &Record<'_>) -> String {
    let seen = facts.people.text(record.spec("verification"));
    let next = facts
        .records_of(record.object.text("/spec/runUID"))
        .find(|other| other.is_check() && other.seq() > record.seq())
        .map(|check| format!("then, {}: {}", one_line(check.spec("step")), check.found()));
    let known: Vec<String> = [seen].into_iter().filter(|seen| !seen.is_empty()).chain(next).collect();
    if known.is_empty() { "not measured".to_owned() } else { known.join("; ") }
}

fn decided(facts: &Facts<'_>, record: &Record<'_>) -> String {
    let votes: Vec<String> = record
        .votes()
        .map(|vote| {
            let text = |key: &str| vote.get(key).and_then(serde_json::Value::as_str).unwrap_or_default();
            let leave = match text("decidedAs") {
                "Alone" => ", ALONE",
                "BreakGlass" => ", BREAKING THE GLASS",
                "Requester" => ", who asked for it",
                _ => "",
            };
            let why =
                if text("why").is_empty() { "no reason given".to_owned() } else { facts.people.text(text("why")) };
            format!("{}{leave}: {why}", facts.people.called(text("by")))
        })
        .collect();
    if votes.is_empty() { "no gate".to_owned() } else { votes.join("; ") }
}

/// Runs that ended without having done what they were started for.
pub fn tried(facts: &Facts<'_>) -> Vec<Tried> {
    let ended = |phase: &str| matches!(phase, "Failed" | "Denied" | "Expired" | "Aborted" | "Reverted");
    let runs = facts.runs.iter().filter(|run| ended(run.phase()));
    runs.map(|run| Tried {
        run: one_line(run.name()),
        namespace: one_line(run.object.namespace()),
        runbook: one_line(run.object.text("/spec/runbook")),
        phase: one_line(run.phase()),
        message: facts.people.text(run.object.text("/status/message")),
        took: match (run.asked, run.finished) {
            (Some(asked), Some(finished)) => words(finished.duration_since(asked)),
            _ => "unknown".to_owned(),
        },
    })
    .collect()
}

/// What people changed for good.
pub fn hot_fixes(facts: &Facts<'_>) -> Vec<HotFixLine> {
    let fixes = facts.incident.iter().flat_map(|told| &told.spec.hot_fixes);
    fixes
        .map(|fix| HotFixLine {
            kind: format!("{:?}", fix.kind),
            text: facts.people.text(&fix.text),
            at: fix.at.as_ref().map(|at| at.0),
            by: facts.people.text(&fix.by),
            link: facts.people.link(&fix.link),
        })
        .collect()
}

/// Every record in one line.
pub fn records(facts: &Facts<'_>) -> Vec<RecordLine> {
    let records = facts.records.iter();
    records
        .map(|record| RecordLine {
            at: record.settled,
            name: one_line(record.name()),
            namespace: one_line(record.object.namespace()),
            summary: facts.people.text(record.spec("summary")),
            result: one_line(record.spec("result")),
            verified: one_line(record.spec("verified")),
            state: one_line(record.state()),
            hash: one_line(record.spec("hash")),
        })
        .collect()
}
