//! What was seen before: the same runbook, target or factor in another incident of what was read. Nothing is said of what was
//! not read, and nothing of why.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::api::line::one_line;
use crate::retro::document::Recurrence;
use crate::retro::facts::Facts;
use crate::retro::facts::stored::Record;
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
///
/// What has no time that can be read is left out: nobody can tell whether it was before.
pub fn recurrences(facts: &Facts<'_>, now: Timestamp) -> Vec<Recurrence> {
    let mut seen: Seen = BTreeMap::new();
    let began = began(facts).unwrap_or(now);
    let before = |at: &Option<Timestamp>| at.is_some_and(|at| within(at, began));
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
        if first && key_of(run) != facts.key && runbooks.contains(&what) && before(&at) {
            seen.entry(("same runbook", one_line(&what))).or_default().push((key_of(run), at));
        }
    }
    // What was refused, failed or found as wanted already was no first aid.
    let gave = |object: &Stored| {
        let changed = object.object.pointer("/spec/changed").and_then(serde_json::Value::as_bool).unwrap_or_default();
        let (kind, result) = (object.text("/spec/kind"), object.text("/spec/result"));
        kind == "Change" && result == "Done" && changed && object.text("/spec/revertOf").is_empty()
    };
    let given: Vec<&Stored> = facts.joined.records.iter().copied().filter(|record| gave(record)).collect();
    let targets = mine("/spec/targetName", &given);
    for record in facts.material.evidence.records.iter().filter(|record| gave(record)) {
        let what = format!("{}/{}", record.namespace(), record.text("/spec/targetName"));
        let at = time(record, "/spec/settledAt");
        if key_of(record) != facts.key && targets.contains(&what) && before(&at) {
            seen.entry(("same target", one_line(&what))).or_default().push((key_of(record), at));
        }
    }
    factors(facts, &mut seen);
    alerts(facts, &mut seen);
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

/// When First Aid was first asked for in this incident, or gave any; where it never was, when people say that it began.
fn began(facts: &Facts<'_>) -> Option<Timestamp> {
    let asked = facts.runs.iter().filter_map(|run| run.asked);
    let acted = facts.records.iter().filter_map(Record::at);
    asked.chain(acted).min().or_else(|| told_of(facts.joined.incidents.first()?))
}

/// Whether it was before, and not too long.
fn within(at: Timestamp, began: Timestamp) -> bool {
    at < began && began.duration_since(at).as_hours() <= DAYS * 24
}

/// The first time that an Incident names, which is when it was made where people entered none.
fn told_of(incident: &Stored) -> Option<Timestamp> {
    let entered = ["impactStarted", "detected"].map(|name| format!("/spec/milestones/{name}/at"));
    let places = entered.iter().map(String::as_str).chain(["/metadata/creationTimestamp"]);
    places.filter_map(|place| incident.text(place).parse().ok()).min()
}

/// Incidents are compared with the Incident: when it began, people know better than records.
fn factors(facts: &Facts<'_>, seen: &mut Seen) {
    let Some(told) = &facts.incident else { return };
    let Some(began) = told_of(told.object) else { return };
    let mine: BTreeSet<&str> = told.spec.factors.iter().map(|factor| factor.id.as_str()).collect();
    for other in facts.material.incidents.iter().filter(|other| other.name() != told.object.name()) {
        let Some(at) = told_of(other).filter(|at| within(*at, began)) else { continue };
        let factors = other.spec().get("factors").and_then(serde_json::Value::as_array);
        for id in factors.into_iter().flatten().filter_map(|factor| factor.get("id")?.as_str()) {
            if mine.contains(id) {
                // An id is what a person wrote, and may be a name.
                let what = facts.people.text(id);
                seen.entry(("same factor", what)).or_default().push((one_line(other.name()), Some(at)));
            }
        }
    }
}

/// The same alert, as its name says, in another Incident.
fn alerts(facts: &Facts<'_>, seen: &mut Seen) {
    let Some(told) = &facts.incident else { return };
    let Some(began) = told.alerts.values().map(|alert| alert.started_at.0).min() else { return };
    let mine: BTreeSet<&str> = told.alerts.values().map(|alert| alert.name.as_str()).collect();
    for other in facts.material.incidents.iter().filter(|other| other.name() != told.object.name()) {
        let fired = other.object.pointer("/status/alerts").and_then(serde_json::Value::as_object);
        for alert in fired.into_iter().flat_map(|fired| fired.values()) {
            let text = |field: &str| alert.get(field).and_then(serde_json::Value::as_str).unwrap_or_default();
            let at = text("startedAt").parse().ok().filter(|at| within(*at, began));
            if mine.contains(text("name")) && at.is_some() {
                let what = facts.people.text(text("name"));
                seen.entry(("same alert", what)).or_default().push((one_line(other.name()), at));
            }
        }
    }
}
