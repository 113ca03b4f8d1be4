//! What was seen before: the same runbook, target or factor in another incident of what was read. Nothing is said of what was
//! not read, and nothing of why.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::api::line::one_line;
use crate::retro::document::Recurrence;
use crate::retro::facts::Facts;
use crate::verify::Stored;

/// How far back it is looked, in days.
const DAYS: i64 = 90;

/// The kind of what recurs, and its name.
type What = (&'static str, String);
/// The key of another incident, and when.
type Where = (String, Option<Timestamp>);
/// What was seen where.
type Seen = BTreeMap<What, Vec<Where>>;

/// What recurs, by kind and name.
pub fn recurrences(facts: &Facts<'_>, now: Timestamp) -> Vec<Recurrence> {
    let mut seen: Seen = BTreeMap::new();
    let young = |at: &Option<Timestamp>| at.is_none_or(|at| now.duration_since(at).as_hours() <= DAYS * 24);
    let key_of = |object: &Stored| one_line(object.text("/spec/incident"));
    let mine = |place: &str, objects: &[&Stored]| -> BTreeSet<String> {
        objects.iter().map(|object| format!("{}/{}", object.namespace(), object.text(place))).collect()
    };
    let time = |object: &Stored, place: &str| object.text(place).parse::<Timestamp>().ok();
    let runbooks = mine("/spec/runbook", &facts.joined.runs);
    for run in &facts.material.evidence.runs {
        let what = format!("{}/{}", run.namespace(), run.text("/spec/runbook"));
        let at = time(run, "/metadata/creationTimestamp");
        // An undo is no other crisis.
        let first = run.text("/spec/revertOf").is_empty();
        if first && key_of(run) != facts.key && runbooks.contains(&what) && young(&at) {
            seen.entry(("same runbook", one_line(&what))).or_default().push((key_of(run), at));
        }
    }
    let changes = |object: &Stored| object.text("/spec/kind") == "Change" && object.text("/spec/revertOf").is_empty();
    let changed: Vec<&Stored> = facts.joined.records.iter().copied().filter(|record| changes(record)).collect();
    let targets = mine("/spec/targetName", &changed);
    for record in facts.material.evidence.records.iter().filter(|record| changes(record)) {
        let what = format!("{}/{}", record.namespace(), record.text("/spec/targetName"));
        let at = time(record, "/spec/settledAt");
        if key_of(record) != facts.key && targets.contains(&what) && young(&at) {
            seen.entry(("same target", one_line(&what))).or_default().push((key_of(record), at));
        }
    }
    factors(facts, &mut seen);
    alerts(facts, &mut seen, young);
    let recurrence = |((kind, what), found): (What, Vec<Where>)| {
        let incidents: BTreeSet<String> = found
            .iter()
            .map(|(key, _)| if key.is_empty() { "(no incident)".to_owned() } else { key.clone() })
            .collect();
        Recurrence {
            kind: kind.to_owned(),
            what,
            incidents: incidents.into_iter().collect(),
            count: found.len(),
            last: found.iter().filter_map(|(_, at)| *at).max(),
        }
    };
    seen.into_iter().map(recurrence).collect()
}

fn factors(facts: &Facts<'_>, seen: &mut Seen) {
    let Some(told) = &facts.incident else { return };
    let mine: BTreeSet<&str> = told.spec.factors.iter().map(|factor| factor.id.as_str()).collect();
    for other in facts.material.incidents.iter().filter(|other| other.name() != told.object.name()) {
        let factors = other.spec().get("factors").and_then(serde_json::Value::as_array);
        for id in factors.into_iter().flatten().filter_map(|factor| factor.get("id")?.as_str()) {
            if mine.contains(id) {
                let at = other.text("/metadata/creationTimestamp").parse().ok();
                seen.entry(("same factor", one_line(id))).or_default().push((one_line(other.name()), at));
            }
        }
    }
}

/// The same alert, as its name says, in another Incident.
fn alerts(facts: &Facts<'_>, seen: &mut Seen, young: impl Fn(&Option<Timestamp>) -> bool) {
    let Some(told) = &facts.incident else { return };
    let mine: BTreeSet<&str> = told.alerts.values().map(|alert| alert.name.as_str()).collect();
    for other in facts.material.incidents.iter().filter(|other| other.name() != told.object.name()) {
        let fired = other.object.pointer("/status/alerts").and_then(serde_json::Value::as_object);
        for alert in fired.into_iter().flat_map(|fired| fired.values()) {
            let text = |field: &str| alert.get(field).and_then(serde_json::Value::as_str).unwrap_or_default();
            let at = text("startedAt").parse().ok();
            if mine.contains(text("name")) && young(&at) {
                seen.entry(("same alert", one_line(text("name")))).or_default().push((one_line(other.name()), at));
            }
        }
    }
}
