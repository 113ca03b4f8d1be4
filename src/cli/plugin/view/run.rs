//! A run as a tree: its steps, the ballots that they wait for, and what was done.

use jiff::Timestamp;
use serde_json::Value;

use super::ballot;
use crate::api::approval::{Approval, BallotKind, BallotState};
use crate::api::run::{
    Phase, Plan, PlannedStep, Result as Effect, RunbookRun, RunbookRunStatus, StepJournal, Verified,
};
use crate::cli::plugin::out::screen::{Icons, Sign};
use crate::cli::plugin::out::tree::{self, Node};
use crate::cli::plugin::out::{Line, Tone, time};

/// How much of a run is shown.
#[derive(Clone, Copy, Debug)]
pub struct Shown {
    /// Also what is over: ballots of earlier plans, and records.
    pub all: bool,
    /// How far below the run.
    pub depth: usize,
    /// The signs.
    pub icons: Icons,
    /// Whether columns have names.
    pub headers: bool,
    /// The time.
    pub now: Timestamp,
}

/// A run and its ballots.
#[derive(Clone, Copy, Debug)]
pub struct RunView<'a> {
    /// The run.
    pub run: &'a RunbookRun,
    /// All its ballots.
    pub ballots: &'a [Approval],
}

/// A phase as a sign and a word.
pub fn standing(phase: Phase) -> (Sign, &'static str) {
    match phase {
        Phase::Planning => (Sign::Busy, "Planning"),
        Phase::Waiting => (Sign::Waits, "Waiting"),
        Phase::Acting => (Sign::Busy, "Acting"),
        Phase::Verifying => (Sign::Busy, "Verifying"),
        Phase::NeedsHuman => (Sign::Warning, "NeedsHuman"),
        Phase::Succeeded => (Sign::Done, "Succeeded"),
        Phase::Failed => (Sign::Failed, "Failed"),
        Phase::Denied => (Sign::Failed, "Denied"),
        Phase::Expired => (Sign::Failed, "Expired"),
        Phase::Aborted => (Sign::Failed, "Aborted"),
        Phase::Reverted => (Sign::Warning, "Reverted"),
    }
}

/// A step as people see it.
struct StepView<'a> {
    name: &'a str,
    /// The newest plan that has it, with its key.
    plan: Option<(&'a str, &'a Plan, &'a PlannedStep)>,
    /// What is known of its newest attempt.
    journal: Option<&'a StepJournal>,
    /// What is known of its undo within the run.
    undo: Option<&'a StepJournal>,
}

impl<'a> RunView<'a> {
    /// The name of the run.
    pub fn name(&self) -> &'a str {
        self.run.metadata.name.as_deref().unwrap_or_default()
    }

    /// The namespace of the run.
    pub fn namespace(&self) -> &'a str {
        self.run.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// Its phase.
    pub fn phase(&self) -> Phase {
        self.run.status.as_ref().map(|status| status.phase).unwrap_or_default()
    }

    /// Whether it has ended, with its records written.
    pub fn finished(&self) -> bool {
        self.run.status.as_ref().is_some_and(|status| status.finished)
    }

    fn status(&self) -> Option<&'a RunbookRunStatus> {
        self.run.status.as_ref()
    }

    fn made(&self) -> Option<Timestamp> {
        self.run.metadata.creation_timestamp.as_ref().map(|time| time.0)
    }

    /// All of it: the heading, the tree, and what to type next.
    pub fn lines(&self, shown: &Shown) -> Vec<Line> {
        let mut lines = self.heading(shown);
        lines.push(Line::default());
        let head = ["NAME", "KIND", "STATUS", "TIME", "INFO"];
        lines.extend(tree::lines(&head, &self.tree(shown), shown.icons, shown.headers, shown.depth));
        let next = self.next(shown.now);
        if !next.is_empty() {
            lines.push(Line::default());
            lines.extend(next);
        }
        lines
    }

    fn heading(&self, shown: &Shown) -> Vec<Line> {
        let spec = &self.run.spec;
        let (sign, word) = standing(self.phase());
        let field = |name: &str, value: &str| Line::toned(Tone::Faint, &format!("{name:<11}")).and(Tone::Plain, value);
        let mut status = Line::toned(Tone::Faint, &format!("{:<11}", "Status:"));
        status.extend(&shown.icons.status(sign, word));
        let mut lines = vec![field("Name:", &format!("{} ({})", self.name(), self.namespace())), status];
        let runbook = match &spec.revert_of {
            Some(run) => format!("{}, undoes {run}", spec.runbook),
            None => spec.runbook.clone(),
        };
        lines.push(field("Runbook:", &runbook));
        if let Some(incident) = &spec.incident {
            lines.push(field("Incident:", incident));
        }
        let by = spec.requested_by.as_ref().map_or("somebody", |person| person.key());
        let at = self.made().map(|at| time::both(at, shown.now)).unwrap_or_default();
        lines.push(field("Asked by:", &format!("{by} {at}")));
        lines.push(field("Reason:", &spec.reason));
        let Some(status) = self.status() else {
            lines.push(field("Message:", "the operator has not taken it up yet"));
            return lines;
        };
        for (name, value) in
            [("Step:", &status.progress), ("Waits for:", &status.waiting_on), ("Message:", &status.message)]
        {
            if !value.is_empty() {
                lines.push(field(name, value));
            }
        }
        if let Some(ratified) =
            status.conditions.iter().find(|condition| condition.kind == "Ratified" && condition.status != "True")
        {
            lines.push(field("Ratified:", "").and(Tone::Warn, &format!("no: {}", ratified.message)));
        }
        lines
    }

    /// The tree of the run.
    fn tree(&self, shown: &Shown) -> Node {
        let (sign, word) = standing(self.phase());
        let status = self.status();
        let began = self.made();
        let ended = status.and_then(|status| status.finished_at.as_ref()).map(|at| at.0);
        let info =
            status.map_or("", |status| if status.progress.is_empty() { &status.message } else { &status.progress });
        let children = self.steps().iter().map(|step| self.step(step, shown)).chain(self.ratification(shown)).collect();
        Node {
            name: self.name().to_owned(),
            cells: vec!["Run".into(), shown.icons.status(sign, word), span(began, ended, shown.now), info.into()],
            children,
        }
    }

    fn steps(&self) -> Vec<StepView<'a>> {
        let Some(status) = self.status() else { return Vec::new() };
        let frozen = status.frozen.as_ref().and_then(|frozen| frozen.get("steps")).and_then(Value::as_array);
        let names = frozen.into_iter().flatten().filter_map(|step| step.get("name")?.as_str());
        names
            .map(|name| StepView {
                name,
                plan: newest_plan(status, name),
                journal: newest_attempt(status, name),
                undo: newest_attempt(status, &format!("{name}.undo")),
            })
            .collect()
    }

    fn step(&self, step: &StepView<'_>, shown: &Shown) -> Node {
        let finished = self.finished();
        let (sign, word) = step.standing(finished);
        let (began, ended) = step.times();
        let kind = step.plan.map_or("Step", |(_, _, planned)| if planned.action == "check" { "Check" } else { "Step" });
        let mut children = Vec::new();
        if let Some((key, plan, planned)) = step.plan {
            // The ballots of a plan stand under its first step: they open the gate for all of them.
            if plan.steps.first().is_some_and(|first| first.step == planned.step) {
                children.extend(self.ballots_of(key, shown));
            }
        }
        if let Some(undo) = step.undo {
            children.push(undo_node(undo, shown));
        }
        let settled = step.journal.and_then(|journal| journal.settled.as_ref());
        if let Some(settled) = settled.filter(|_| shown.all) {
            let time = Line::toned(Tone::Faint, &time::clock(settled.at.0, shown.now));
            let cells =
                vec!["Record".into(), shown.icons.status(Sign::Done, "Written"), time, settled.message.as_str().into()];
            children.push(Node { name: settled.record.clone(), cells, children: Vec::new() });
        }
        let cells =
            vec![kind.into(), shown.icons.status(sign, word), span(began, ended, shown.now), step.info().into()];
        Node { name: step.name.to_owned(), cells, children }
    }

    fn ballots_of(&self, plan: &str, shown: &Shown) -> Vec<Node> {
        // The segment is the number before the dot: ballots of its earlier revisions are over.
        let segment = |key: &str| key.split('.').next().unwrap_or_default().to_owned();
        let of_plan = |ballot: &&Approval| {
            let request = &ballot.spec.request;
            let same = if shown.all { segment(&request.plan) == segment(plan) } else { request.plan == plan };
            let over = matches!(ballot::standing(ballot).1, "Expired" | "Superseded" | "Withdrawn");
            request.kind == BallotKind::Decide && same && (shown.all || !over)
        };
        self.ballots.iter().filter(of_plan).map(|ballot| ballot_node(ballot, shown)).collect()
    }

    fn ratification(&self, shown: &Shown) -> Option<Node> {
        let ratifies = |ballot: &&Approval| ballot.spec.request.kind == BallotKind::Ratify;
        self.ballots.iter().find(ratifies).map(|ballot| ballot_node(ballot, shown))
    }

    /// What to type next, in the words of the plugin.
    fn next(&self, now: Timestamp) -> Vec<Line> {
        let (name, namespace) = (self.name(), self.namespace());
        let mut lines = Vec::new();
        let mut line = |what: &str, command: String| {
            lines.push(Line::toned(Tone::Faint, &format!("{what:<10}")).and(Tone::Plain, &command));
        };
        for ballot in self.ballots.iter().filter(|ballot| ballot::waits(ballot, now)) {
            let what = if ballot.spec.request.kind == BallotKind::Ratify { "ratify" } else { "approve" };
            line(what, format!("kubectl firstaid {what} {} -n {namespace} --reason \"...\"", ballot::name(ballot)));
        }
        match self.phase() {
            Phase::NeedsHuman => {
                line(
                    "settle",
                    format!("kubectl firstaid settle {name} done -n {namespace} --reason \"...\"    # or not-done"),
                );
            }
            Phase::Planning | Phase::Waiting | Phase::Acting | Phase::Verifying => {}
            _ => {
                let left = self.status().and_then(|status| status.in_place_at_end).unwrap_or(0);
                if left > 0 {
                    line("undo", format!("kubectl firstaid revert {name} -n {namespace} --reason \"...\""));
                }
            }
        }
        if !self.finished() {
            line("abort", format!("kubectl firstaid abort {name} -n {namespace} --reason \"...\""));
        }
        lines
    }
}

impl StepView<'_> {
    fn standing(&self, finished: bool) -> (Sign, &'static str) {
        let Some(journal) = self.journal else {
            return match self.plan {
                None if finished => (Sign::Still, "Not done"),
                None => (Sign::Still, "Not begun"),
                Some(_) if finished => (Sign::Still, "Planned"),
                Some((_, plan, _)) if plan.gate.is_some() && plan.covered.is_none() => (Sign::Waits, "Waiting"),
                Some(_) => (Sign::Busy, "Planned"),
            };
        };
        let Some(outcome) = &journal.outcome else { return (Sign::Busy, "Acting") };
        match (outcome.result, journal.settled.as_ref().map(|settled| settled.verified)) {
            (Effect::Unknown, _) => (Sign::Warning, "Unknown"),
            (Effect::Refused, _) => (Sign::Failed, "Refused"),
            (Effect::Failed, _) => (Sign::Failed, "Failed"),
            (Effect::Done, None) => (Sign::Busy, "Verifying"),
            (Effect::Done, Some(Verified::No)) => (Sign::Failed, "Not held"),
            (Effect::Done, Some(Verified::Unknown)) => (Sign::Warning, "Unseen"),
            (Effect::Done, Some(Verified::Yes | Verified::NotApplicable)) => (Sign::Done, "Done"),
        }
    }

    /// From when to when: from the act until it was settled, and before that since its gate waits.
    fn times(&self) -> (Option<Timestamp>, Option<Timestamp>) {
        let Some(outcome) = self.journal.and_then(|journal| journal.outcome.as_ref()) else {
            return (self.plan.map(|(_, plan, _)| plan.gate_since.0), None);
        };
        let settled = self.journal.and_then(|journal| journal.settled.as_ref()).map(|settled| settled.at.0);
        // A check sends nothing: when it began is not in the journal.
        (outcome.acted_at.as_ref().map(|at| at.0), settled)
    }

    fn info(&self) -> String {
        let planned = self.plan.map(|(_, _, planned)| planned.summary.clone()).unwrap_or_default();
        let Some(outcome) = self.journal.and_then(|journal| journal.outcome.as_ref()) else { return planned };
        let seen =
            self.journal.and_then(|journal| journal.settled.as_ref()).map_or("", |settled| settled.message.as_str());
        let more = if seen.is_empty() { outcome.message.as_str() } else { seen };
        match (planned.is_empty(), more.is_empty()) {
            (true, _) => more.to_owned(),
            (_, true) => planned,
            _ => format!("{planned}; {more}"),
        }
    }
}

fn ballot_node(ballot: &Approval, shown: &Shown) -> Node {
    let (sign, word) = ballot::standing(ballot);
    let issued = Some(ballot.spec.request.issued_at.0);
    // How long people were waited for.
    let open = ballot::state(ballot) == Some(BallotState::Open) && ballot::mark(ballot) == ballot::Mark::None;
    let time = match ballot::voted_at(ballot) {
        Some(at) => span(issued, Some(at), shown.now),
        None if open => span(issued, None, shown.now),
        None => Line::default(),
    };
    let cells = vec!["Approval".into(), shown.icons.status(sign, word), time, ballot::info(ballot, shown.now).into()];
    Node { name: ballot::name(ballot).to_owned(), cells, children: Vec::new() }
}

fn undo_node(undo: &StepJournal, shown: &Shown) -> Node {
    let view = StepView { name: "undo", plan: None, journal: Some(undo), undo: None };
    let (sign, word) = view.standing(false);
    let (began, ended) = view.times();
    let planned = undo.intent.as_ref().map_or("", |intent| intent.step.summary.as_str());
    let info = if planned.is_empty() { view.info() } else { planned.to_owned() };
    let cells = vec!["Undo".into(), shown.icons.status(sign, word), span(began, ended, shown.now), info.into()];
    Node { name: "undo".to_owned(), cells, children: Vec::new() }
}

fn span(began: Option<Timestamp>, ended: Option<Timestamp>, now: Timestamp) -> Line {
    began.map_or_else(Line::default, |began| time::words(ended.unwrap_or(now).duration_since(began)).into())
}

/// Segment and revision of a plan's key, as numbers: `10.1` comes after `9.2`.
fn place(key: &str) -> (u32, u32) {
    let mut numbers = key.split('.').map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

fn newest_plan<'a>(status: &'a RunbookRunStatus, step: &str) -> Option<(&'a str, &'a Plan, &'a PlannedStep)> {
    let with = |(key, plan): (&'a String, &'a Plan)| {
        plan.steps.iter().find(|planned| planned.step == step).map(|planned| (key.as_str(), plan, planned))
    };
    status.plans.iter().filter_map(with).max_by_key(|(key, ..)| place(key))
}

/// What is known of the newest attempt at a step: keys are `step.1`, and `step.undo.1` for its undo.
fn newest_attempt<'a>(status: &'a RunbookRunStatus, step: &str) -> Option<&'a StepJournal> {
    let attempt = |key: &str| key.strip_prefix(step)?.strip_prefix('.')?.parse::<u32>().ok();
    status
        .steps
        .iter()
        .filter_map(|(key, journal)| Some((attempt(key)?, journal)))
        .max_by_key(|(number, _)| *number)
        .map(|(_, journal)| journal)
}

#[cfg(test)]
mod tests;
