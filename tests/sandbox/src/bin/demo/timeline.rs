//! What happened, made from the records, the ballots and the run's journal and from nothing else.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::stage::{Ink, Stage, wrapped};

/// One line of the timeline.
struct Moment {
    /// By which it is sorted.
    order: String,
    /// As far as it is known: people's words are stamped by the API server to the second.
    time: String,
    who: String,
    what: String,
}

impl Moment {
    fn new(time: &str, who: &str, what: String) -> Moment {
        Moment { order: precise(time), time: clock(time), who: who.to_owned(), what }
    }
}

/// Prints the timeline of a run and what it has left in place.
pub fn show(stage: &Stage<'_>, run: &str) -> Result<()> {
    stage.happens("What happened, from the records and the run's journal alone");
    let moments = moments(stage, run)?;
    println!("{}", stage.ink(Ink::Dim, &format!("{:<13} {:<9} {}", "TIME (UTC)", "WHO", "WHAT")));
    for moment in &moments {
        let ink = if moment.who == "firstaid" { Ink::Cyan } else { Ink::Yellow };
        for (number, line) in wrapped(&moment.what, 75).iter().enumerate() {
            let (time, who) = if number == 0 { (moment.time.as_str(), moment.who.as_str()) } else { ("", "") };
            println!("{time:<13} {} {line}", stage.ink(ink, &format!("{who:<9}")));
        }
    }
    let order = ["alice", "bob", "bob", "firstaid"];
    let mut people = moments.iter().map(|moment| moment.who.as_str());
    let told = order.iter().all(|who| people.any(|person| person == *who));
    stage.expect(told, "the timeline has alice, then bob twice, then firstaid")?;

    let in_place = in_place(stage, run)?;
    stage.expect(in_place.len() == 2, &format!("two changes are still in place (there are {})", in_place.len()))?;
    println!("\n{}", stage.ink(Ink::Bold, "Still in place, and how to undo it by hand:"));
    for record in &in_place {
        let by_hand = text(record, "/spec/undo/byHand");
        stage.expect(!by_hand.is_empty(), "every change that is in place says how it is undone")?;
        println!(
            "  {} {}",
            text(record, "/spec/summary"),
            stage.ink(Ink::Dim, &format!("({})", text(record, "/spec/targetName")))
        );
        for line in wrapped(by_hand, 90) {
            println!("    {}", stage.ink(Ink::Bold, &line));
        }
    }
    Ok(())
}

/// The records of a run whose change is in place.
pub fn in_place(stage: &Stage<'_>, run: &str) -> Result<Vec<Value>> {
    let mut records = objects(stage, "arec", run)?;
    records.retain(|record| text(record, "/status/state") == "InPlace");
    Ok(records)
}

fn moments(stage: &Stage<'_>, run: &str) -> Result<Vec<Moment>> {
    let journal = object(stage, "rbr", run)?;
    let requester = text(&journal, "/spec/requestedBy/username");
    let asked = format!("started {}: \"{}\"", text(&journal, "/spec/runbook"), text(&journal, "/spec/reason"));
    let mut moments = vec![Moment::new(text(&journal, "/metadata/creationTimestamp"), requester, asked)];
    for plan in journal.pointer("/status/plans").and_then(Value::as_object).into_iter().flatten().map(|(_, plan)| plan)
    {
        let because = text(plan, "/revisedBecause");
        let what = format!("planned {}, code {}", text(plan, "/summary"), text(plan, "/code"));
        let what = if because.is_empty() { what } else { format!("{what}; the plan before is void: {because}") };
        moments.push(Moment::new(text(plan, "/plannedAt"), "firstaid", what));
    }
    for ballot in objects(stage, "apv", run)? {
        let (Some(approve), Some(at)) = (ballot.pointer("/metadata/annotations/approve"), voted_at(&ballot)) else {
            continue;
        };
        let what = format!("approved {}", approve.as_str().unwrap_or_default());
        let mut moment = Moment::new(at, text(&ballot, "/metadata/annotations/by"), what);
        // A vote cannot come before its ballot, which the second alone would allow.
        moment.order = moment.order.max(precise(text(&ballot, "/spec/request/issuedAt")) + "z");
        moments.push(moment);
    }
    for record in objects(stage, "arec", run)? {
        let (summary, evidence) = (text(&record, "/spec/summary"), text(&record, "/spec/verification"));
        if record.pointer("/spec/changed") == Some(&Value::Bool(true)) {
            moments.push(Moment::new(text(&record, "/spec/actedAt"), "firstaid", format!("did it: {summary}")));
        }
        let verified = format!("saw that it is so: {}", if evidence.is_empty() { summary } else { evidence });
        moments.push(Moment::new(text(&record, "/spec/settledAt"), "firstaid", verified));
    }
    let end = format!("{}: {}", text(&journal, "/status/phase"), text(&journal, "/status/message"));
    moments.push(Moment::new(text(&journal, "/status/finishedAt"), "firstaid", end));
    moments.sort_by(|a, b| a.order.cmp(&b.order));
    Ok(moments)
}

/// When the API server took the vote: its own note of who set the annotation.
fn voted_at(ballot: &Value) -> Option<&str> {
    let entries = ballot.pointer("/metadata/managedFields")?.as_array()?;
    let voted = |entry: &&Value| entry.pointer("/fieldsV1/f:metadata/f:annotations/f:approve").is_some();
    entries.iter().find(voted)?.get("time")?.as_str()
}

/// An object of a kind, as JSON.
pub fn object(stage: &Stage<'_>, kind: &str, name: &str) -> Result<Value> {
    let json = stage.asks("viewer", &format!("kubectl get {kind} -n shop {name} -o json"))?;
    serde_json::from_str(&json).with_context(|| format!("reading {kind} {name}"))
}

/// All objects of a kind.
pub fn all(stage: &Stage<'_>, kind: &str) -> Result<Vec<Value>> {
    let list: Value = serde_json::from_str(&stage.asks("viewer", &format!("kubectl get {kind} -n shop -o json"))?)?;
    Ok(list.get("items").and_then(Value::as_array).cloned().unwrap_or_default())
}

/// The objects of a kind that belong to a run, by their label, in the order of the records' chain.
pub fn objects(stage: &Stage<'_>, kind: &str, run: &str) -> Result<Vec<Value>> {
    let json = stage.asks(
        "viewer",
        &format!("kubectl get {kind} -n shop -l firstaid.dev/run={run} -o json --show-managed-fields"),
    )?;
    let list: Value = serde_json::from_str(&json)?;
    let mut items = list.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    items.sort_by_key(|item| item.pointer("/spec/seq").and_then(Value::as_i64));
    Ok(items)
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// `14:02:10.123` of `2026-11-22T14:02:10.123456Z`, or `14:02:10` where no more is known.
fn clock(time: &str) -> String {
    let clock = time.split('T').nth(1).unwrap_or_default().trim_end_matches('Z');
    clock.chars().take("14:02:10.123".len()).collect()
}

/// The same time with all its digits, so that texts sort as times do.
fn precise(time: &str) -> String {
    let time = time.trim_end_matches('Z');
    if time.contains('.') { time.to_owned() } else { format!("{time}.000000") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_precise_as_they_are_known_and_sort() {
        assert_eq!(clock("2026-11-22T14:02:10.123456Z"), "14:02:10.123");
        assert_eq!(clock("2026-11-22T14:02:10Z"), "14:02:10");
        assert!(precise("2026-11-22T14:02:10Z") < precise("2026-11-22T14:02:10.123456Z"));
        assert!(precise("2026-11-22T14:02:10.123456Z") < precise("2026-11-22T14:02:11Z"));
    }
}
