//! Diagrams in Mermaid, for Markdown. Each is bounded: the tables beside them have everything.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::document::{Document, MomentKind};
use super::markup::mermaid;

/// Lines of a diagram.
const LINES: usize = 60;
/// Objects that take part in a sequence.
const TARGETS: usize = 8;

fn stamp(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// The timeline: milestones, waiting, changes with the time that they were there.
pub fn gantt(document: &Document) -> String {
    let mut text = format!(
        "gantt\n  title {} (UTC)\n  dateFormat YYYY-MM-DD HH:mm:ss\n  axisFormat %H:%M\n",
        mermaid(&document.incident.key)
    );
    let mut section = |name: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  section {name}");
            lines.into_iter().take(LINES / 3).for_each(|line| {
                let _ = writeln!(text, "  {line}");
            });
        }
    };
    let milestones = document.milestones.iter().filter_map(|line| Some((line, line.at?)));
    section(
        "Milestones",
        milestones.map(|(line, at)| format!("{} :milestone, {}, 0s", mermaid(&line.title), stamp(at))).collect(),
    );
    let waits = document.decisions.iter().filter_map(|decision| {
        let (from, to) = (decision.asked?, decision.at?);
        let name = mermaid(&format!("{} {}", decision.outcome, decision.summary));
        Some(format!("{name} :active, {}, {}", stamp(from), stamp(to.max(from))))
    });
    section("Decisions", waits.collect());
    let last = document.moments.last().map_or(document.generated.at, |moment| moment.at);
    let changes = document.actions.iter().filter(|action| action.undoes.is_empty()).take(LINES / 3).map(|action| {
        let undo = document.actions.iter().find(|undo| undo.undoes == action.record && undo.target == action.target);
        let (kind, to) = match undo {
            Some(undo) => ("done", undo.at),
            None if action.state == "InPlace" => ("crit", last),
            None => ("done", action.at),
        };
        format!("{} :{kind}, {}, {}", mermaid(&action.summary), stamp(action.at), stamp(to.max(action.at)))
    });
    section("First aid", changes.collect());
    text
}

/// Who told whom what, in order of time: people by their roles, First Aid, and what was changed.
pub fn sequence(document: &Document) -> String {
    let mut parts: BTreeMap<String, String> = BTreeMap::new();
    let mut order: Vec<(String, String)> = Vec::new();
    let mut crowded = false;
    let mut part = |name: &str, most: usize| -> String {
        if let Some(id) = parts.get(name) {
            return id.clone();
        }
        if parts.len() >= most {
            crowded = true;
            return "others".to_owned();
        }
        let id = format!("p{}", parts.len() + 1);
        parts.insert(name.to_owned(), id.clone());
        order.push((id.clone(), name.to_owned()));
        id
    };
    let aid = part("First Aid", 1);
    let mut lines = Vec::new();
    let story = document.moments.iter().filter(|moment| moment.key);
    let more = story.clone().count().saturating_sub(LINES);
    for moment in story.take(LINES) {
        let time = super::markup::clock(moment.at);
        let what = mermaid(&moment.what);
        let line = match moment.kind {
            MomentKind::Run | MomentKind::Decision if !moment.by.is_empty() => {
                format!("{}->>{aid}: {time} {what}", part(&moment.by, TARGETS))
            }
            MomentKind::Action | MomentKind::Undo | MomentKind::Check if !moment.target.is_empty() => {
                format!("{aid}->>{}: {time} {what}", part(&moment.target, 2 * TARGETS))
            }
            MomentKind::Alert | MomentKind::Milestone | MomentKind::Note | MomentKind::HotFix => {
                format!("Note over {aid}: {time} {what}")
            }
            _ => format!("{aid}-->>{aid}: {time} {what}"),
        };
        lines.push(line);
    }
    let others = crowded.then(|| ("others".to_owned(), "others".to_owned()));
    let mut text = "sequenceDiagram\n".to_owned();
    for (id, name) in order.into_iter().chain(others) {
        let _ = writeln!(text, "  participant {id} as {}", mermaid(&name));
    }
    lines.into_iter().for_each(|line| {
        let _ = writeln!(text, "  {line}");
    });
    if more > 0 {
        let _ = writeln!(text, "  Note over {aid}: {more} more in the table");
    }
    text
}

/// The chain. Arrows that people drew are thick.
pub fn flowchart(document: &Document) -> String {
    let mut text = "flowchart TD\n".to_owned();
    let shown = document.chain.nodes.get(..LINES).unwrap_or(&document.chain.nodes);
    for node in shown {
        let (open, close) = match node.kind.as_str() {
            "factor" | "milestone" => ("([", "])"),
            "decision" => ("{{", "}}"),
            _ => ("[", "]"),
        };
        let _ = writeln!(text, "  {}{open}\"{}\"{close}", node.id, mermaid(&node.text));
    }
    let has = |id: &str| shown.iter().any(|node| node.id == id);
    for edge in document.chain.edges.iter().filter(|edge| has(&edge.from) && has(&edge.to)) {
        let arrow = if edge.said { "==>" } else { "-->" };
        // In quotes: without them a bracket in a label ends it, and no part of the diagram is drawn.
        let _ = writeln!(text, "  {} {arrow}|\"{}\"| {}", edge.from, mermaid(&edge.text), edge.to);
    }
    text
}
