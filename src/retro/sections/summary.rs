//! The whole in at most five sentences, whose subjects are the system and its steps. And what went well, as facts.

use crate::retro::document::{Action, Document, MomentKind};
use crate::retro::markup::{clock, day};

fn counted(number: usize, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

/// The sentences.
pub fn summary(document: &Document) -> Vec<String> {
    let mut lines = Vec::new();
    let (first, last) = (document.moments.first(), document.moments.last());
    match (first, last) {
        (Some(first), Some(last)) => lines.push(format!(
            "From {} {} to {} {} (UTC) there are {} and {}.",
            day(first.at),
            clock(first.at),
            day(last.at),
            clock(last.at),
            counted(document.generated.runs, "run", "runs"),
            counted(document.generated.records, "record", "records"),
        )),
        _ if document.incident.unread => lines.push("There is no run and no record.".to_owned()),
        _ => lines.push("There is no run and no record: only what people wrote.".to_owned()),
    }
    let done: Vec<&str> = (document.actions.iter())
        .filter(|action| action.result == "Done" && action.undoes.is_empty())
        .map(|action| action.summary.as_str())
        .collect();
    let doubtful: Vec<&str> = (document.actions.iter())
        .filter(|action| action.result == "Unknown")
        .map(|action| action.summary.as_str())
        .collect();
    if !doubtful.is_empty() {
        let shown = doubtful.iter().take(3).copied().collect::<Vec<_>>().join("; ");
        lines.push(format!(
            "Of {} the operator could not see whether it was done: {shown}.",
            counted(doubtful.len(), "action", "actions")
        ));
    }
    match done.as_slice() {
        [] if !doubtful.is_empty() => {}
        [] => lines.push("First Aid changed nothing.".to_owned()),
        some => {
            let shown = some.iter().take(3).copied().collect::<Vec<_>>().join("; ");
            let more = some.len().saturating_sub(3);
            let more = if more == 0 { String::new() } else { format!("; and {more} more") };
            lines.push(format!("First aid that was given: {shown}{more}."));
        }
    }
    if !document.tried.is_empty() {
        let tried: Vec<String> =
            document.tried.iter().take(4).map(|tried| format!("{} ended {}", tried.runbook, tried.phase)).collect();
        lines.push(format!("Did not end as meant: {}.", tried.join("; ")));
    }
    let undone = document.actions.iter().filter(|action| action.state == "Reverted").count();
    let unclear = unclear(document);
    lines.push(match (document.in_place.len(), undone) {
        (0, 0) if unclear > 0 => String::new(),
        (0, 0) => "Nothing of it is in place.".to_owned(),
        (0, undone) if unclear > 0 => format!("Undone: {undone}."),
        (0, undone) => format!("Nothing of it is in place; undone: {undone}."),
        (there, 0) => format!("Still in place: {there}."),
        (there, undone) => format!("Still in place: {there}; undone: {undone}."),
    });
    if unclear > 0 {
        let changes = counted(unclear, "change", "changes");
        lines.push(format!("What became of {changes} is not known, or somebody else changed it since."));
    }
    lines.retain(|line| !line.is_empty());
    let unknown: Vec<String> =
        document.milestones.iter().filter(|line| line.at.is_none()).map(|line| line.title.to_lowercase()).collect();
    if !unknown.is_empty() {
        let unknown = unknown.join(", ");
        lines.push(match document.incident.unread {
            false => format!("Nobody has entered: {unknown}."),
            true => format!("What people wrote could not be read. Unknown: {unknown}."),
        });
    }
    lines
}

/// How many changes are neither known to be there nor known to be gone: their records say nothing, or that somebody else changed
/// it.
fn unclear(document: &Document) -> usize {
    let changed = |action: &&Action| matches!(action.result.as_str(), "Done" | "Unknown") && action.undoes.is_empty();
    let known = |action: &&Action| matches!(action.state.as_str(), "InPlace" | "Reverted" | "OneShot");
    document.actions.iter().filter(changed).filter(|action| !known(action)).count()
}

/// Facts for which one can say thanks.
pub fn went_well(document: &Document) -> Vec<String> {
    let mut facts = Vec::new();
    for (key, what) in [("ttm", "mitigated"), ("decisions", "decisions were waited for")] {
        let known = document.durations.iter().find(|duration| duration.key == key && duration.unknown.is_none());
        match (key, known) {
            ("ttm", Some(duration)) => facts.push(format!("{what} {} after the impact began", duration.text)),
            (_, Some(duration)) => facts.push(format!("{what} for {} altogether", duration.text)),
            _ => {}
        }
    }
    let held = document.moments.iter().filter(|m| m.kind == MomentKind::Check && m.what.starts_with("the check held"));
    let held = held.count();
    if held > 0 {
        facts.push(format!("{} held", counted(held, "check", "checks")));
    }
    let given = document.actions.iter().filter(|a| a.result == "Done" && a.undoes.is_empty()).count();
    if given > 0 && document.in_place.is_empty() && unclear(document) == 0 {
        facts.push("each change that can be undone has been undone since".to_owned());
    }
    // Of a run that is gone nobody can tell whether records went with it: nothing is praised then.
    let all_here = document.integrity.runs.iter().all(|run| !run.gone);
    if document.integrity.stands && all_here && document.generated.records > 0 {
        facts.push(format!(
            "{} are here, as many as the journals of their runs name, and each chain is unbroken",
            counted(document.generated.records, "record", "records")
        ));
    }
    facts
}
