//! What each object says of time, as moments. One function a kind of object.

use jiff::Timestamp;
use serde_json::Value;

use super::stored::{Ballot, Record, Run, Said, time};
use super::{Facts, Told, alerts};
use crate::api::incident::HotFixKind;
use crate::api::line::one_line;
use crate::retro::document::{MILESTONES, Moment, MomentKind, Source};
use crate::retro::durations::words;

/// All moments, in no order.
pub(super) fn all(facts: &Facts<'_>) -> Vec<Moment> {
    let told = facts.incident.iter().flat_map(|told| of_incident(facts, told));
    let runs = facts.runs.iter().flat_map(|run| of_run(facts, run));
    let ballots = facts.ballots.iter().flat_map(|ballot| of_ballot(facts, ballot));
    let records = facts.records.iter().flat_map(|record| of_record(facts, record));
    told.chain(runs).chain(ballots).chain(records).collect()
}

fn of_incident(facts: &Facts<'_>, told: &Told<'_>) -> Vec<Moment> {
    let text = |text: &str| facts.people.text(text);
    let mut moments = Vec::new();
    for (name, title) in MILESTONES {
        let Some(milestone) = facts.milestone(name) else { continue };
        let source = Source::said(told.object, &format!("spec.milestones.{name}"), &text(&milestone.source));
        moments.push(Moment::key(milestone.at.0, MomentKind::Milestone, title.to_lowercase(), source));
    }
    for note in &told.spec.notes {
        let source = Source::said(told.object, "spec.notes", &text(&note.source));
        let link = facts.people.link(&note.link);
        moments.push(Moment { link, ..Moment::key(note.at.0, MomentKind::Note, text(&note.text), source) });
    }
    for fix in &told.spec.hot_fixes {
        let Some(at) = &fix.at else { continue };
        let what = match fix.kind {
            HotFixKind::Fix => "fixed",
            HotFixKind::Rollback => "rolled back",
            HotFixKind::LogsAdded => "logs added",
        };
        let source = Source::of(told.object, "spec.hotFixes");
        let (by, link) = (text(&fix.by), facts.people.link(&fix.link));
        let what = format!("{what}: {}", text(&fix.text));
        moments.push(Moment { by, link, ..Moment::key(at.0, MomentKind::HotFix, what, source) });
    }
    moments.extend(alerts::moments(facts, told));
    moments
}

fn of_run(facts: &Facts<'_>, run: &Run<'_>) -> Vec<Moment> {
    let (object, text) = (run.object, |text: &str| facts.people.text(text));
    let mut moments = Vec::new();
    let runbook = one_line(object.text("/spec/runbook"));
    if let Some(at) = run.asked {
        let undo = object.text("/spec/revertOf");
        let asked = match undo {
            "" => format!("{runbook} asked for: {}", text(object.text("/spec/reason"))),
            undo => format!("undo of {} asked for: {}", one_line(undo), text(object.text("/spec/reason"))),
        };
        let source = Source::of(object, "metadata.creationTimestamp");
        let by = facts.people.called(run.requester());
        moments.push(Moment { by, ..Moment::key(at, MomentKind::Run, asked, source) });
    }
    for plan in object.object.pointer("/status/plans").and_then(Value::as_object).into_iter().flat_map(|p| p.values()) {
        let because = plan.get("revisedBecause").and_then(Value::as_str).unwrap_or_default();
        if let Some(at) = time(plan, "/plannedAt").filter(|_| !because.is_empty()) {
            // Whoever sees two approvals in a row asks what became of the first one.
            let what = format!("the plan was made anew, votes on the old one open nothing: {}", text(because));
            moments.push(Moment::key(at, MomentKind::Plan, what, Source::of(object, "status.plans")));
        }
    }
    moments.extend(glass(facts, run));
    if let Some(at) = run.finished {
        let (phase, message) = (run.phase(), text(object.text("/status/message")));
        let source = Source::of(object, "status.finishedAt");
        let what = format!("{runbook} ended {}: {message}", one_line(phase));
        let end = Moment::key(at, MomentKind::End, what, source);
        // A denial is a decision, and stands there as one.
        let key = matches!(phase, "Failed" | "Expired" | "Aborted" | "Reverted");
        moments.push(Moment { key, ..end });
    }
    moments
}

/// That somebody broke the glass. What stands on a run is what somebody asked for: only the votes under which something was
/// done tell whether a gate went open by it. A run may be denied, or end, all the same.
fn glass(facts: &Facts<'_>, run: &Run<'_>) -> Option<Moment> {
    let (why, by, at) = run.said("breakglass")?;
    let opened = |record: &&Record<'_>| record.votes().any(is_of_broken_glass);
    let acts = || facts.records_of(run.object.uid()).filter(opened).filter_map(Record::at).min();
    let (what, no_later) = match run.votes_of_acts().any(is_of_broken_glass) || acts().is_some() {
        true => ("the glass was broken, the gate went open without its votes", acts()),
        false => ("somebody wanted to break the glass; no act is known whose gate went open by it", None),
    };
    // It was said before the run was over, and before what it opened.
    let known = at.or(no_later).or(run.finished)?;
    let source = Source::of(run.object, "metadata.annotations.breakglass");
    let what = format!("{what}: {}", facts.people.text(why));
    let by = facts.people.called(by);
    Some(Moment { by, no_later: at.is_none(), ..Moment::key(known, MomentKind::Decision, what, source) })
}

fn is_of_broken_glass(vote: &Value) -> bool {
    vote.get("decidedAs").and_then(Value::as_str) == Some("BreakGlass")
}

fn of_ballot(facts: &Facts<'_>, ballot: &Ballot<'_>) -> Vec<Moment> {
    let (object, text) = (ballot.object, |text: &str| facts.people.text(text));
    let summary = text(object.text("/spec/request/summary"));
    let role = one_line(object.text("/spec/request/role"));
    let mut moments = Vec::new();
    if let Some(at) = ballot.issued {
        let what = match ballot.ratifies() {
            false => format!("a decision was asked of {role}: {summary}"),
            true => format!("a ratification was asked of {role}: {summary}"),
        };
        moments.push(Moment::detail(at, MomentKind::Ask, what, Source::of(object, "spec.request.issuedAt")));
    }
    let over = matches!(ballot.state(), "Expired" | "Superseded") && ballot.said.is_none();
    if let Some(at) = ballot.changed.filter(|_| over) {
        let what = match ballot.state() {
            "Expired" => format!("the request expired without a decision: {summary}"),
            _ => format!("the request was superseded by a new plan: {summary}"),
        };
        moments.push(Moment::detail(at, MomentKind::Ask, what, Source::of(object, "status.changedAt")));
    }
    let (Some(said), Some((at, no_later, source))) = (ballot.said, facts.decided(ballot)) else { return moments };
    let (verb, why) = match (said, ballot.ratifies()) {
        (Said::Yes(why), false) => ("approved", why),
        (Said::No(why), false) => ("denied", why),
        (Said::Yes(why), true) => ("ratified", why),
        (Said::No(why), true) => ("disowned", why),
    };
    let waited = ballot.issued.map(|issued| format!(" after {}", words(at.duration_since(issued)))).unwrap_or_default();
    let bound = if no_later { " or less" } else { "" };
    let why = if why.trim().is_empty() { "no reason given".to_owned() } else { text(why) };
    let what = format!("{summary}: {verb}{waited}{bound}: {why}");
    let by = facts.people.called(ballot.by);
    moments.push(Moment { by, no_later, ..Moment::key(at, MomentKind::Decision, what, source) });
    moments
}

fn of_record(facts: &Facts<'_>, record: &Record<'_>) -> Vec<Moment> {
    let (object, text) = (record.object, |text: &str| facts.people.text(text));
    let Some(at) = record.at() else { return Vec::new() };
    let field = if record.acted.is_some() { "spec.actedAt" } else { "spec.settledAt" };
    let source = Source::of(object, field);
    let (summary, seen) = (text(record.spec("summary")), text(record.spec("verification")));
    if record.is_check() {
        let what = format!("{}: {summary}", record.found());
        return vec![Moment { target: target(record), ..Moment::key(at, MomentKind::Check, what, source) }];
    }
    let kind = if record.undoes() { MomentKind::Undo } else { MomentKind::Action };
    let what = match record.spec("result") {
        "Done" if record.changed() => summary.clone(),
        // It was as wanted already, or passed by: the record says which.
        "Done" => format!("{summary}: nothing was written: {}", text(record.spec("message"))),
        result => format!("{summary}: {} ({})", one_line(result), text(record.spec("message"))),
    };
    let mut moments = vec![Moment { target: target(record), ..Moment::key(at, kind, what, source) }];
    if let Some(settled) = record.settled.filter(|settled| !seen.is_empty() && later(*settled, at)) {
        let what = format!("seen to take hold: {seen}");
        let source = Source::of(object, "spec.settledAt");
        let verified = if record.spec("verified") == "Yes" { what } else { format!("looked at: {seen}") };
        moments.push(Moment { target: target(record), ..Moment::detail(settled, MomentKind::Seen, verified, source) });
    }
    moments
}

fn later(this: Timestamp, than: Timestamp) -> bool {
    this > than
}

/// The target with its namespace: two of the same name in two namespaces are two.
fn target(record: &Record<'_>) -> String {
    let namespace = one_line(record.object.namespace());
    format!("{namespace}/{}", one_line(record.spec("targetName")))
}
