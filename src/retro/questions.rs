//! The nine questions of the guide, and beside each the evidence that bears on it: so that people begin with what is known.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::document::{Document, MomentKind};
use super::facts::Facts;
use super::facts::stored::Record;
use crate::api::incident::{FactorKind, HotFixKind};
use crate::api::line::one_line;

/// The questions, from 1 to 9.
pub const QUESTIONS: [&str; 9] = [
    "Which parts of the system were dark to us?",
    "Where in the process did it go wrong?",
    "Which component wants to be refactored?",
    "Were logs missing?",
    "Are better alerts needed?",
    "How quickly were we aware of it?",
    "How fast did we analyse it?",
    "What else was hit, and how well was it isolated?",
    "Where else could the same happen?",
];

/// A question with its evidence and its answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Question {
    /// Its number, from 1.
    pub number: usize,
    /// The question.
    pub text: String,
    /// What is known, each in a sentence that says from where. It answers nothing.
    pub evidence: Vec<String>,
    /// What people answered; `None`: nobody has yet.
    pub answer: Option<Answered>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Answered {
    /// The answer.
    pub text: String,
    /// In which role; empty where it does not say.
    pub by: String,
    /// When; `None` where it does not say.
    #[schemars(with = "Option<String>")]
    pub at: Option<Timestamp>,
}

/// The nine questions. All sections but this one are in the document already.
pub fn questions(facts: &Facts<'_>, document: &Document) -> Vec<Question> {
    (1..)
        .zip(QUESTIONS)
        .map(|(number, text)| {
            let mut evidence = match number {
                1 => dark(facts, document),
                2 => process(facts, document),
                3 => components(facts, document),
                4 => logs(facts, document),
                5 => alerts(facts, document),
                6 => duration(document, &["ttd"]),
                7 => analysis(document),
                8 => isolation(facts, document),
                _ => elsewhere(facts, document),
            };
            if evidence.is_empty() {
                evidence.push("the records say nothing of it".to_owned());
            }
            Question { number, text: text.to_owned(), evidence, answer: answer(facts, number) }
        })
        .collect()
}

fn answer(facts: &Facts<'_>, number: usize) -> Option<Answered> {
    let told = facts.incident.as_ref()?;
    let answer = told.spec.answers.iter().find(|answer| usize::try_from(answer.question) == Ok(number))?;
    let at = answer.at.as_ref().map(|at| at.0);
    Some(Answered { text: facts.people.text(&answer.text), by: facts.people.text(&answer.by), at })
}

fn dark(facts: &Facts<'_>, document: &Document) -> Vec<String> {
    let unmeasured = document.actions.iter().filter(|action| action.effect == "not measured");
    let mut evidence: Vec<String> = unmeasured
        .map(|action| format!("the effect of \"{}\" was not measured (record {})", action.summary, action.record))
        .collect();
    evidence.extend(document.gaps.iter().map(|gap| {
        let (from, to) = (super::markup::clock(gap.from), super::markup::clock(gap.to));
        format!("nothing was recorded for {} ({from} to {to})", gap.text)
    }));
    let blind = facts.records.iter().filter(|record| record.is_check() && record.spec("verified") == "Unknown");
    evidence.extend(blind.map(|record| format!("a check could not be read (record {})", one_line(record.name()))));
    evidence.extend(document.unknown.iter().map(|unknown| format!("unknown: {}", unknown.what)));
    evidence
}

fn process(facts: &Facts<'_>, document: &Document) -> Vec<String> {
    let before = document.moments.iter().filter(|moment| {
        let started = document.milestones.iter().find(|line| line.name == "impactStarted").and_then(|line| line.at);
        let change = matches!(moment.kind, MomentKind::Note | MomentKind::Action);
        change
            && started.is_some_and(|started| moment.at <= started && started.duration_since(moment.at).as_mins() <= 30)
    });
    let mut evidence: Vec<String> = before
        .map(|m| format!("in the 30 minutes before the impact: {} ({})", m.what, super::markup::clock(m.at)))
        .collect();
    let anew = document.moments.iter().filter(|moment| moment.kind == MomentKind::Plan);
    evidence
        .extend(anew.map(|m| format!("while a decision was waited for, {} ({})", m.what, super::markup::clock(m.at))));
    if evidence.is_empty() {
        let notes = match facts.unread {
            None => "no note is about the 30 minutes before the impact",
            Some(_) => "the notes could not be read",
        };
        evidence.push(format!("{notes}; changes of pipelines are not in the records"));
    }
    evidence
}

fn components(facts: &Facts<'_>, document: &Document) -> Vec<String> {
    let mut targets: BTreeMap<String, usize> = BTreeMap::new();
    for record in facts.records.iter().filter(|record| record.changed() && !record.undoes()) {
        *targets.entry(one_line(record.spec("targetName"))).or_default() += 1;
    }
    let mut targets: Vec<(String, usize)> = targets.into_iter().collect();
    targets.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let mut evidence: Vec<String> = targets
        .into_iter()
        .take(10)
        .map(|(target, number)| match number {
            1 => format!("{target} was given first aid once"),
            number => format!("{target} was given first aid {number} times"),
        })
        .collect();
    evidence.extend(document.recurrences.iter().filter(|r| r.kind == "same target").map(|recurrence| {
        format!("{} was given first aid in {} before", recurrence.what, recurrence.incidents.join(", "))
    }));
    evidence
}

fn logs(facts: &Facts<'_>, document: &Document) -> Vec<String> {
    let collected = facts.records.iter().filter(|record| record.spec("action") == "collect");
    let mut evidence: Vec<String> = collected
        .map(|record| {
            format!("collected: {} (record {})", facts.people.text(record.spec("summary")), one_line(record.name()))
        })
        .collect();
    if evidence.is_empty() {
        evidence.push("no step of any run collected logs or Events before it acted".to_owned());
    }
    let added = format!("{:?}", HotFixKind::LogsAdded);
    evidence.extend(
        document.hot_fixes.iter().filter(|fix| fix.kind == added).map(|fix| format!("logs were added: {}", fix.text)),
    );
    evidence
}

fn alerts(facts: &Facts<'_>, document: &Document) -> Vec<String> {
    let detected = document.milestones.iter().find(|line| line.name == "detected");
    let mut evidence: Vec<String> = detected
        .into_iter()
        .map(|line| match line.at {
            Some(at) => format!("detected at {}: {}", super::markup::clock(at), line.how),
            None => format!("how it was detected is unknown: {}", line.how),
        })
        .collect();
    evidence.extend(super::facts::alerts::evidence(facts));
    evidence.push(askers(facts));
    evidence
}

/// By whom runs were asked for. Where the cluster does not fill in who it was nobody can tell.
fn askers(facts: &Facts<'_>) -> String {
    let (mut people, mut robots, mut nobody) = (0, 0, 0);
    for run in &facts.runs {
        match run.requester() {
            "" => nobody += 1,
            name if crate::api::identity::is_robot(name) => robots += 1,
            _ => people += 1,
        }
    }
    let known = [(people, "by people"), (robots, "by automation"), (nobody, "by whom their runs do not say")];
    let said: Vec<String> =
        known.iter().filter(|(runs, _)| *runs > 0).map(|(runs, by)| format!("{runs} {by}")).collect();
    match facts.runs.len() {
        0 => "no run was asked for".to_owned(),
        all => format!("of {all} run(s) asked for: {}", said.join(", ")),
    }
}

fn duration(document: &Document, keys: &[&str]) -> Vec<String> {
    let wanted = document.durations.iter().filter(|duration| keys.contains(&duration.key.as_str()));
    wanted
        .map(|duration| match &duration.unknown {
            Some(why) => format!("{}: {why}", duration.title.to_lowercase()),
            None => format!(
                "{}: {} ({}: {}; {}: {})",
                duration.title.to_lowercase(),
                duration.text,
                duration.from.title.to_lowercase(),
                duration.from.how,
                duration.to.title.to_lowercase(),
                duration.to.how
            ),
        })
        .collect()
}

fn analysis(document: &Document) -> Vec<String> {
    let mut evidence = duration(document, &["first-action", "decisions"]);
    if !document.tried.is_empty() {
        let runs: Vec<String> =
            document.tried.iter().map(|tried| format!("{} ({})", tried.runbook, tried.phase)).collect();
        evidence.push(format!("runs that ended without having acted to the end: {}", runs.join(", ")));
    }
    evidence
}

fn isolation(facts: &Facts<'_>, document: &Document) -> Vec<String> {
    let mut namespaces: Vec<&str> = facts.records.iter().map(|record| record.object.namespace()).collect();
    namespaces.sort_unstable();
    namespaces.dedup();
    let mut evidence = Vec::new();
    if !namespaces.is_empty() {
        evidence.push(format!(
            "first aid was given in {} namespace(s): {}",
            namespaces.len(),
            one_line(&namespaces.join(", "))
        ));
    }
    if !document.incident.services.is_empty() {
        evidence.push(format!("services that people named: {}", document.incident.services.join(", ")));
    }
    let isolate = |record: &&Record<'_>| matches!(record.spec("action"), "isolate" | "disable");
    let isolating: BTreeSet<String> =
        facts.records.iter().filter(isolate).map(|record| one_line(record.name())).collect();
    let isolated =
        document.actions.iter().filter(|action| action.undoes.is_empty() && isolating.contains(&action.record));
    evidence.extend(isolated.map(|a| format!("taken out: {} ({}; now {})", a.summary, a.effect, a.state)));
    let limited = format!("{:?}", FactorKind::LimitedTheDamage);
    evidence.extend(
        document.factors.iter().filter(|f| f.kind == limited).map(|f| format!("limited the damage: {}", f.text)),
    );
    evidence
}

fn elsewhere(facts: &Facts<'_>, document: &Document) -> Vec<String> {
    let mut evidence: Vec<String> = document
        .recurrences
        .iter()
        .map(|r| format!("{}: {} also in {}", r.kind, r.what, r.incidents.join(", ")))
        .collect();
    let mut kinds: Vec<String> = facts
        .records
        .iter()
        .filter(|record| record.changed() && !record.undoes())
        .map(|record| {
            format!(
                "other {}s with the same setting as {}",
                one_line(record.object.text("/spec/target/kind")),
                one_line(record.spec("targetName"))
            )
        })
        .collect();
    kinds.sort();
    kinds.dedup();
    kinds.truncate(10);
    evidence.extend(kinds.into_iter().map(|kind| format!("to be looked for, since records do not tell: {kind}")));
    evidence
}
