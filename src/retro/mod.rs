//! From records to the retrospective: pure. What was read goes in, a document comes out; the same in gives the same out.
//!
//! ```text
//! material  ->  facts  ->  document  ->  picture  ->  render  ->  Markdown, HTML
//!    |            |            |                        |
//!    |            |            sections, questions,     templates, which a team can replace; markup: what a
//!    |            |            durations, wording       stranger wrote stays text
//!    |            moments in order of time, and who is called what (people)
//!    what belongs to an incident: by its key alone
//! ```
//!
//! The document, as JSON, is the source of every other form. It tells what stands in records, what people wrote, and what is
//! unknown with who could know; it has no average, names no cause, and names nobody unless it is asked to.

pub mod cover;
pub mod document;
pub mod durations;
pub mod facts;
pub mod markup;
pub mod material;
pub mod mermaid;
pub mod outline;
pub mod people;
pub mod picture;
pub mod questions;
pub mod render;
pub mod sections;
pub mod source;
pub mod status;
pub mod wording;

#[cfg(test)]
pub(crate) mod tests;

use jiff::Timestamp;

use crate::api::line::one_line;
use document::{Document, Generated, Header, Integrity, Span};
use facts::Facts;
pub use material::Material;
pub use people::Names;
use sections::{actions, attention, chain, decisions, follow_ups, in_place, integrity, recurrences, summary};

/// The retrospective of an incident; `None` where there is nothing of it: no Incident, no run, no record.
///
/// `now` is the time to which ages are counted.
pub fn retrospective(material: &Material, key: &str, now: Timestamp, names: Names) -> Option<Document> {
    let facts = Facts::of(material, key, names)?;
    let milestones = durations::milestones(&facts);
    let at = |name: &str| milestones.iter().find(|line| line.name == name).and_then(|line| line.at);
    let moments = facts.moments();
    let gaps = facts::quiet(&moments, at("detected"), at("mitigated"));
    let durations = durations::durations(&facts, &milestones);
    let waits = durations::waits(&facts).into_iter();
    let mut document = Document {
        schema: document::SCHEMA.to_owned(),
        generated: Generated {
            at: now,
            by: format!("firstaid {}", env!("CARGO_PKG_VERSION")),
            full_names: names == Names::Full,
            records: facts.records.len(),
            runs: facts.runs.len(),
            ballots: facts.ballots.len(),
            digest: String::new(),
        },
        incident: header(&facts),
        attention: Vec::new(),
        summary: Vec::new(),
        impact: facts
            .incident
            .as_ref()
            .map(|told| facts.people.text(&told.spec.impact))
            .filter(|text| !text.is_empty()),
        gaps,
        durations,
        milestones,
        moments,
        waits: waits.map(|(from, to)| Span { from, to, text: durations::words(to.duration_since(from)) }).collect(),
        chain: document::Chain::default(),
        actions: actions::actions(&facts),
        decisions: decisions::decisions(&facts),
        tried: actions::tried(&facts),
        in_place: in_place::in_place(&facts, now),
        hot_fixes: actions::hot_fixes(&facts),
        recurrences: recurrences::recurrences(&facts, now),
        questions: Vec::new(),
        factors: follow_ups::factors(&facts),
        went_well: Vec::new(),
        follow_ups: Vec::new(),
        team: facts.incident.as_ref().map(|told| facts.people.text(&told.spec.team)).filter(|text| !text.is_empty()),
        unknown: facts.unknown.clone(),
        integrity: Integrity::default(),
        hints: wording::hints(&facts),
        records: actions::records(&facts),
    };
    // These look at what is there by now.
    document.integrity = integrity::integrity(&facts);
    document.chain = chain::chain(&facts, &document);
    document.follow_ups = follow_ups::follow_ups(&facts, &document, now);
    document.questions = questions::questions(&facts, &document);
    document.summary = summary::summary(&document);
    document.went_well = summary::went_well(&document);
    document.attention = attention::attention(&facts, &document);
    Some(document)
}

fn header(facts: &Facts<'_>) -> Header {
    let mut namespaces: Vec<String> = (facts.joined.runs.iter())
        .chain(&facts.joined.records)
        .chain(&facts.joined.incidents)
        .map(|object| one_line(object.namespace()))
        .collect();
    namespaces.sort();
    namespaces.dedup();
    let mut clusters: Vec<String> =
        facts.records.iter().map(|r| one_line(r.object.text("/spec/cluster/name"))).collect();
    clusters.sort();
    clusters.dedup();
    clusters.retain(|name| !name.is_empty());
    let header = Header { key: facts.key.clone(), namespaces, clusters, ..Header::default() };
    let Some(told) = &facts.incident else {
        let state = if facts.unread.is_some() { "Unknown" } else { "Draft" };
        let closed = facts.joined.incidents.first().is_some_and(|object| object.text("/status/phase") == "Closed");
        return Header { unread: facts.unread.is_some(), closed, state: state.to_owned(), ..header };
    };
    let text = |text: &str| facts.people.text(text);
    Header {
        told: true,
        summary: text(&told.spec.summary),
        severity: text(&told.spec.severity),
        services: told.spec.services.iter().map(|service| text(service)).collect(),
        closed: told.spec.closed.is_some() && told.object.text("/status/phase") == "Closed",
        state: format!("{:?}", told.spec.retrospective.state),
        owner: text(&told.spec.retrospective.owner),
        ..header
    }
}

/// The schema of the document, as `docs/retrospective.schema.json` has it.
///
/// # Errors
/// Where it cannot be written as JSON, which a test would have shown.
pub fn schema() -> serde_json::Result<String> {
    let schema = schemars::schema_for!(Document);
    Ok(serde_json::to_string_pretty(&schema)? + "\n")
}
