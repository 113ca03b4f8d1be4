//! What is to be known first: the top of the first page.

use crate::api::line::one_line;
use crate::retro::document::{Attention, AttentionKind, Document};
use crate::retro::facts::Facts;

/// Findings on the first page; the rest stands with its run in the annex.
const FINDINGS: usize = 8;

/// What of a document is to be known first. It is made last.
pub fn attention(facts: &Facts<'_>, document: &Document) -> Vec<Attention> {
    let of = |kind, text: String, command: String| Attention { kind, text, command };
    let mut all = Vec::new();
    let findings =
        document.integrity.runs.iter().flat_map(|run| run.findings.iter().map(move |finding| (run, finding)));
    for (run, finding) in findings.clone().take(FINDINGS) {
        all.push(of(
            AttentionKind::Evidence,
            format!("The evidence of {} does not stand: {finding}", run.run),
            String::new(),
        ));
    }
    let more = findings.count().saturating_sub(FINDINGS);
    if more > 0 {
        all.push(of(
            AttentionKind::Evidence,
            format!("{more} more finding(s) stand with the evidence, at the end"),
            String::new(),
        ));
    }
    if let Some(why) = &facts.unread {
        let text = format!("What people wrote of it could not be read, and is left out: {why}");
        all.push(of(AttentionKind::Person, text, String::new()));
    }
    if let [first, _, ..] = facts.joined.incidents.as_slice() {
        let places: Vec<String> = facts.joined.incidents.iter().map(|other| one_line(other.namespace())).collect();
        let text = format!(
            "Incidents of this name are in {}: runs and records of all are here, and what people wrote in {} alone; if they are \
             not one crisis, look at each by itself with -n NAMESPACE",
            places.join(", "),
            one_line(first.namespace())
        );
        all.push(of(AttentionKind::Person, text, String::new()));
    }
    for run in facts.runs.iter().filter(|run| run.phase() == "NeedsHuman") {
        let text = format!("Run {} waits for a person to say what became of an act", one_line(run.name()));
        all.push(of(AttentionKind::Person, text, String::new()));
    }
    for run in facts.runs.iter().filter(|run| run.object.object.pointer("/status/finished") != Some(&true.into())) {
        if run.phase() != "NeedsHuman" {
            let text = format!(
                "Run {} goes on ({}): this document is a draft of it",
                one_line(run.name()),
                one_line(run.phase())
            );
            all.push(of(AttentionKind::Person, text, String::new()));
        }
    }
    for run in &facts.runs {
        match run.ratified() {
            Some(("False", "Disowned", message)) => {
                let text = format!("{}: disowned: {}", one_line(run.name()), facts.people.text(message));
                all.push(of(AttentionKind::Unratified, text, String::new()));
            }
            Some(("False", _, message)) => {
                let text = format!("{}: not ratified yet: {}", one_line(run.name()), facts.people.text(message));
                all.push(of(AttentionKind::Unratified, text, String::new()));
            }
            _ => {}
        }
    }
    for in_place in &document.in_place {
        let text = format!("Still in place for {}: {}", in_place.age, in_place.summary);
        all.push(of(AttentionKind::InPlace, text, in_place.command.clone()));
    }
    for line in &document.milestones {
        if let Some(how) = &line.out_of_order {
            all.push(of(AttentionKind::Order, format!("{} is out of order: {how}", line.title), String::new()));
        }
    }
    all
}
