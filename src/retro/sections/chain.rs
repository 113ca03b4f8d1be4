//! What led to what. Between runs, decisions, actions and checks an arrow is a reference that stands in a record. Between
//! factors it is a link that people drew. No arrow is made of two things that only came one after the other.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::incident::FactorKind;
use crate::api::line::one_line;
use crate::retro::document::{Chain, Document, Edge, MILESTONES, Node};
use crate::retro::facts::Facts;

/// The chain in the making.
#[derive(Default)]
struct Drawing {
    chain: Chain,
    /// Nodes by what they are: `record shop/x`, `factor retry-budget`.
    ids: BTreeMap<String, String>,
    /// Ends of the arrows that are drawn.
    drawn: BTreeSet<(String, String)>,
}

impl Drawing {
    fn node(&mut self, what: String, kind: &str, text: String) -> String {
        if let Some(id) = self.ids.get(&what) {
            return id.clone();
        }
        let id = format!("n{}", self.chain.nodes.len() + 1);
        self.chain.nodes.push(Node { id: id.clone(), kind: kind.to_owned(), text });
        self.ids.insert(what, id.clone());
        id
    }

    fn edge(&mut self, from: Option<String>, to: Option<String>, text: &str, said: bool) {
        if let (Some(from), Some(to)) = (from, to)
            && self.drawn.insert((from.clone(), to.clone()))
        {
            self.chain.edges.push(Edge { from, to, text: text.to_owned(), said });
        }
    }

    fn id(&self, what: &str) -> Option<String> {
        self.ids.get(what).cloned()
    }
}

/// The chain of an incident.
pub fn chain(facts: &Facts<'_>, document: &Document) -> Chain {
    let mut drawing = Drawing::default();
    factors(facts, &mut drawing);
    let title = if document.incident.summary.is_empty() {
        "the incident".to_owned()
    } else {
        document.incident.summary.clone()
    };
    let incident = drawing.node("incident".to_owned(), "incident", format!("{}: {title}", facts.key));
    for run in &facts.runs {
        let what = format!("run {}/{}", run.object.namespace(), run.name());
        let text = format!(
            "{}: {}",
            one_line(run.object.text("/spec/runbook")),
            facts.people.text(run.object.text("/spec/reason"))
        );
        let id = drawing.node(what, "run", text);
        if run.object.text("/spec/revertOf").is_empty() {
            drawing.edge(Some(incident.clone()), Some(id), "asked for under its key", false);
        }
    }
    for run in &facts.runs {
        let original = format!("run {}/{}", run.object.namespace(), run.object.text("/spec/revertOf"));
        let undo = drawing.id(&format!("run {}/{}", run.object.namespace(), run.name()));
        drawing.edge(drawing.id(&original), undo, "to be undone by", false);
    }
    ballots(facts, document, &mut drawing);
    records(facts, &mut drawing);
    links(facts, &mut drawing);
    drawing.chain
}

fn factors(facts: &Facts<'_>, drawing: &mut Drawing) {
    let Some(told) = &facts.incident else { return };
    let linked = |id: &str| told.spec.links.iter().any(|link| link.from == id || link.to == id);
    for factor in &told.spec.factors {
        if factor.kind == FactorKind::Contributed || linked(&factor.id) {
            drawing.node(format!("factor {}", factor.id), "factor", facts.people.text(&factor.text));
        }
    }
    for (name, title) in MILESTONES.iter().filter(|(name, _)| linked(name)) {
        drawing.node(format!("milestone {name}"), "milestone", (*title).to_owned());
    }
}

fn ballots(facts: &Facts<'_>, document: &Document, drawing: &mut Drawing) {
    for (ballot, decision) in facts.ballots.iter().zip(&document.decisions) {
        let what = format!("ballot {}/{}", ballot.object.namespace(), ballot.object.name());
        let reason = if decision.why.is_empty() { String::new() } else { format!(": {}", decision.why) };
        let by = if ballot.said.is_some() { format!("by {}", decision.by) } else { format!("({})", decision.by) };
        let id = drawing.node(what, "decision", format!("{} {by}{reason}", decision.outcome));
        let run = format!("run {}/{}", ballot.object.namespace(), ballot.object.text("/spec/request/run"));
        drawing.edge(drawing.id(&run), Some(id), "asked", false);
    }
}

fn records(facts: &Facts<'_>, drawing: &mut Drawing) {
    for record in &facts.records {
        let kind = match (record.is_check(), record.undoes()) {
            (true, _) => "check",
            (false, true) => "undo",
            (false, false) => "action",
        };
        let result = if record.spec("result") == "Done" {
            String::new()
        } else {
            format!(" ({})", one_line(record.spec("result")))
        };
        let text = format!("{}{result}", facts.people.text(record.spec("summary")));
        drawing.node(format!("record {}/{}", record.object.namespace(), record.name()), kind, text);
    }
    for uid in facts.recorded_runs() {
        let mut last: Option<String> = None;
        for record in facts.records_of(uid) {
            let namespace = record.object.namespace();
            let here = drawing.id(&format!("record {namespace}/{}", record.name()));
            let run = drawing.id(&format!("run {namespace}/{}", record.spec("run")));
            if record.is_check() {
                let from = last.clone().or(run);
                drawing.edge(from, here, "then checked", false);
                continue;
            }
            let opened: Vec<String> =
                record.ballots().filter_map(|ballot| drawing.id(&format!("ballot {namespace}/{ballot}"))).collect();
            if opened.is_empty() {
                drawing.edge(run, here.clone(), "did, with no ballot", false);
            }
            for ballot in opened {
                drawing.edge(Some(ballot), here.clone(), "opened", false);
            }
            let undone = drawing.id(&format!("record {namespace}/{}", record.spec("revertOf")));
            drawing.edge(undone, here.clone(), "undone by", false);
            last = here;
        }
    }
}

fn links(facts: &Facts<'_>, drawing: &mut Drawing) {
    let Some(told) = &facts.incident else { return };
    let runs = |end: &str| facts.runs.iter().filter(|run| run.name() == end).count();
    let find = |drawing: &Drawing, end: &str| {
        // Runs of one name in two namespaces are two, and which was meant is not guessed.
        let run = facts.runs.iter().find(|run| run.name() == end).filter(|_| runs(end) == 1);
        let run = run.map(|run| format!("run {}/{end}", run.object.namespace()));
        let incident = (end == facts.key).then(|| "incident".to_owned());
        let places = [Some(format!("factor {end}")), Some(format!("milestone {end}")), run, incident];
        places.into_iter().flatten().find_map(|what| drawing.id(&what))
    };
    for link in &told.spec.links {
        let (from, to) = (find(drawing, &link.from), find(drawing, &link.to));
        for (end, found) in [(&link.from, &from), (&link.to, &to)] {
            if found.is_none() {
                let why = match runs(end) {
                    0 => "which is no factor, milestone or run of this incident".to_owned(),
                    several => format!("which is the name of {several} runs, each in a namespace of its own"),
                };
                drawing.chain.loose.push(format!("a link names {}, {why}", facts.people.text(end)));
            }
        }
        let text = if link.text.is_empty() { "led to".to_owned() } else { facts.people.text(&link.text) };
        drawing.edge(from, to, &text, true);
    }
}
