//! Ratification: what was decided without a second person (alone at night, or by breaking the glass) is looked at by
//! somebody else afterwards, on a ballot of its own.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

use super::ballot::{self, Mark};
use super::pass::Pass;
use crate::action::Gap;
use crate::api::approval::{Approval, BallotKind, Request};
use crate::api::condition::{self, cut, kind};
use crate::api::runbook::SelfApproval;
use crate::api::vote::CountedVote;
use crate::api::{LIVE_LABEL, LIVE_RATIFIES, RunbookRun, RunbookRunStatus};

impl Pass<'_> {
    /// With the outcome of an act that was decided without a second person: the run says so until somebody ratifies it.
    pub(super) fn note_ratification(&mut self, votes: &[CountedVote]) {
        let Some(vote) = votes.iter().find(|vote| vote.decided_as.needs_ratification()) else { return };
        if !self.draft.ratification.is_empty() {
            return;
        }
        self.draft.ratification = ballot::ratification_name(self.run);
        let message = format!(
            "{}: {}; somebody else is to ratify or disown it: kubectl describe apv -n {} {}",
            vote.display(),
            vote.why,
            self.namespace(),
            self.draft.ratification
        );
        let (generation, now) = (self.run.metadata.generation, self.world.now);
        let reason = format!("{:?}", vote.decided_as);
        condition::set(&mut self.draft.conditions, kind::RATIFIED, false, &reason, &message, generation, now);
    }

    /// What was decided without a second person, in capital letters, if anything was.
    pub(super) fn unratified(&self) -> Option<String> {
        let votes = self.draft.steps.values().filter_map(|entry| entry.outcome.as_ref()).flat_map(|o| &o.approvals);
        let mut decided = votes.filter(|vote| vote.decided_as.needs_ratification());
        decided.next().filter(|_| !self.draft.ratification.is_empty()).map(CountedVote::display)
    }

    /// The ballot on which it is to be ratified, if there is to be one.
    pub(super) fn ratification(&self) -> Option<Approval> {
        asking(self.run, &self.draft, self.world.now)
    }
}

/// What a marked ballot of ratification makes of its run.
#[derive(Clone, Debug, PartialEq)]
pub enum Ratification {
    /// Somebody ratified or disowned it: the run says so.
    Noted(Box<RunbookRunStatus>),
    /// What is on the ballot proves nothing, and a mark stays: the run asks again, on another ballot.
    Anew {
        /// The other ballot, to be issued first.
        ballot: Box<Approval>,
        /// The run, which names it.
        status: Box<RunbookRunStatus>,
    },
    /// The run asks on another ballot by now.
    Replaced,
    /// The run has noted what somebody said.
    Closed,
    /// Nothing: nobody has said anything, or it is of another run.
    Nothing,
}

/// What a marked ballot of ratification makes of its run. `gap`: the last time in which the approval
/// policies may have been away; who marked an older ballot may have been judged by nobody.
pub fn ratified(run: &RunbookRun, ballot: &Approval, gap: Option<Gap>, now: Timestamp) -> Ratification {
    let Some(status) = &run.status else { return Ratification::Nothing };
    if ballot.spec.request.kind != BallotKind::Ratify || !ballot::is_of(ballot, run) || status.ratification.is_empty() {
        return Ratification::Nothing;
    }
    if ballot.metadata.name.as_ref() != Some(&status.ratification) {
        return Ratification::Replaced;
    }
    if is_decided(status) {
        return Ratification::Closed;
    }
    let (holds, reason, message) = match ballot::read(ballot) {
        Mark::Empty => return Ratification::Nothing,
        _ if !is_asked(run, status, ballot) => {
            return ask_anew(run, status, "it is not the ballot that was issued", now);
        }
        Mark::Void(why) => return ask_anew(run, status, &why, now),
        Mark::Approve(_) | Mark::Deny { .. } if is_older(ballot, gap) => {
            let why = "the approval policies may have been away after it was issued";
            return ask_anew(run, status, why, now);
        }
        Mark::Approve(vote) => (true, "Ratified", format!("{} ratified it as {}: {}", vote.by, vote.role, vote.why)),
        Mark::Deny { by, why } => (false, "Disowned", format!("{by} disowned it: {why}")),
    };
    let mut status = status.clone();
    let ballot = status.ratification.clone();
    status.next_commands.retain(|command| !command.contains(&ballot));
    condition::set(&mut status.conditions, kind::RATIFIED, holds, reason, &message, run.metadata.generation, now);
    Ratification::Noted(Box::new(status))
}

/// Whether somebody else has said what they think of it.
fn is_decided(status: &RunbookRunStatus) -> bool {
    let said =
        |c: &condition::Condition| c.kind == kind::RATIFIED && matches!(c.reason.as_str(), "Ratified" | "Disowned");
    status.conditions.iter().any(said)
}

/// The ballot on which a run with this status is to be ratified, if there is to be one.
fn asking(run: &RunbookRun, status: &RunbookRunStatus, now: Timestamp) -> Option<Approval> {
    if status.ratification.is_empty() {
        return None;
    }
    let decided = |vote: &&CountedVote| vote.decided_as.needs_ratification();
    // In the order of time; all of them, since whoever decided one of them alone ratifies none.
    let mut outcomes: Vec<_> = status.steps.values().filter_map(|entry| entry.outcome.as_ref()).collect();
    outcomes.sort_by_key(|outcome| outcome.known_at.0);
    let mut votes: Vec<(&str, &CountedVote)> = Vec::new();
    for outcome in outcomes {
        for vote in outcome.approvals.iter().filter(decided) {
            if !votes.iter().any(|(plan, known)| *plan == outcome.plan && known.by == vote.by) {
                votes.push((&outcome.plan, vote));
            }
        }
    }
    let (key, _) = *votes.first()?;
    let plan = status.plans.get(key)?;
    let gate = plan.terms.as_ref()?;
    let role = gate.requires.first().map(|r| r.role.clone()).unwrap_or_default();
    let slot = crate::api::run::Slot { name: status.ratification.clone(), role };
    let mut issued = ballot::issue(run, key, plan, gate, &slot, now);
    let request = &mut issued.spec.request;
    request.kind = BallotKind::Ratify;
    request.summary = cut(&format!("RATIFY: {}", request.summary), 256);
    request.self_approval = SelfApproval::Never;
    let who: BTreeSet<&str> = votes.iter().map(|(_, vote)| vote.by.as_str()).collect();
    // More than fit: nobody ratifies what nobody can be told apart from.
    request.excluded = who.into_iter().map(str::to_owned).take(8).collect();
    request.allow_service_accounts = false;
    request.expires_at = None;
    request.issued_at = MicroTime(now);
    let mut lines = vec!["approve ratifies it, deny disowns it; neither undoes anything".to_owned()];
    for (key, vote) in &votes {
        lines.push(cut(&format!("DONE ALREADY, under {}: {}", vote.display(), vote.why), 1024));
        let steps = status.plans.get(*key).into_iter().flat_map(|plan| &plan.steps);
        lines.extend(steps.map(|step| cut(&format!("  {}: {}", step.step, step.summary), 1024)));
    }
    lines.truncate(639);
    lines.push(format!("code: {}", plan.code));
    request.effects = lines;
    if let Some(labels) = issued.metadata.labels.as_mut() {
        labels.insert(LIVE_LABEL.to_owned(), LIVE_RATIFIES.to_owned());
    }
    Some(issued)
}

/// Whether it is the ballot that the run asks on. What is only said to people may be worded by another version. While the
/// policies were away anybody could have made one of that name, which excludes nobody.
fn is_asked(run: &RunbookRun, status: &RunbookRunStatus, ballot: &Approval) -> bool {
    let asked = &ballot.spec.request;
    let Some(issued) = asking(run, status, asked.issued_at.0) else { return false };
    let worded = Request {
        summary: asked.summary.clone(),
        effects: asked.effects.clone(),
        why: asked.why.clone(),
        shown_code: asked.shown_code.clone(),
        ..issued.spec.request
    };
    *asked == worded
}

fn is_older(ballot: &Approval, than: Option<Gap>) -> bool {
    ballot.metadata.creation_timestamp.as_ref().zip(than).is_some_and(|(created, gap)| gap.ends_after(created.0))
}

fn ask_anew(run: &RunbookRun, status: &RunbookRunStatus, why: &str, now: Timestamp) -> Ratification {
    let first = ballot::ratification_name(run);
    let number = status.ratification.strip_prefix(&first).and_then(|rest| rest.strip_prefix('-')?.parse::<u32>().ok());
    let name = format!("{first}-{}", number.unwrap_or(1).saturating_add(1));
    let replace = |text: &str| text.replace(&status.ratification, &name);
    let asked = status.conditions.iter().find(|c| c.kind == kind::RATIFIED);
    let message = asked.map(|c| replace(&c.message)).unwrap_or_default();
    let message = format!("{message}; what is on the ballot before it proves nothing: {why}");
    let reason = asked.map_or_else(|| "Unknown".to_owned(), |c| c.reason.clone());
    let mut anew = status.clone();
    anew.next_commands = status.next_commands.iter().map(|command| replace(command)).collect();
    condition::set(&mut anew.conditions, kind::RATIFIED, false, &reason, &message, run.metadata.generation, now);
    anew.ratification = name;
    match asking(run, &anew, now) {
        Some(ballot) => Ratification::Anew { ballot: Box::new(ballot), status: Box::new(anew) },
        None => Ratification::Nothing,
    }
}
