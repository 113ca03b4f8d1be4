//! Ballots: what is asked, and what a marked one says.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use kube::api::ObjectMeta;

use crate::api::approval::{Approval, ApprovalSpec, ApprovalStatus, BallotState, Request};
use crate::api::condition::cut;
use crate::api::identity::{is_robot, is_user_name};
use crate::api::run::{CountedVote, Plan, Slot};
use crate::api::runbook::{Gate, ReasonRule};
use crate::api::{
    APPROVE_ANNOTATION, BY_ANNOTATION, DENY_ANNOTATION, LIVE_LABEL, RUN_LABEL, RUNBOOK_LABEL, RunbookRun,
};

/// What a ballot says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// Nothing.
    Empty,
    /// Yes.
    Approve(CountedVote),
    /// No.
    Deny {
        /// Who.
        by: String,
        /// Why.
        why: String,
    },
    /// Something that does not count, and why. The API server refuses these; the operator does not rely on it.
    Void(String),
}

/// The uid of a run.
pub(super) fn uid(run: &RunbookRun) -> &str {
    run.metadata.uid.as_deref().unwrap_or_default()
}

/// The name of a run.
pub(super) fn name(run: &RunbookRun) -> &str {
    run.metadata.name.as_deref().unwrap_or_default()
}

/// Who asked for the run.
pub(super) fn requester(run: &RunbookRun) -> &str {
    run.spec.requested_by.as_ref().map(|p| p.username.as_str()).unwrap_or_default()
}

/// Whether a ballot was issued for this very run.
pub(super) fn is_of(ballot: &Approval, run: &RunbookRun) -> bool {
    ballot.spec.request.run_uid == uid(run)
}

/// Where a ballot stands.
pub(super) fn state(ballot: &Approval) -> BallotState {
    ballot.status.as_ref().map_or(BallotState::Open, |s| s.state)
}

/// What a ballot says, judged again by the operator.
pub(super) fn read(ballot: &Approval) -> Mark {
    let annotation = |key: &str| ballot.metadata.annotations.as_ref().and_then(|a| a.get(key)).map(|v| v.trim());
    let request = &ballot.spec.request;
    let by = annotation(BY_ANNOTATION).unwrap_or_default();
    if let Some(why) = annotation(DENY_ANNOTATION) {
        return Mark::Deny { by: by.to_owned(), why: why.to_owned() };
    }
    let Some(approve) = annotation(APPROVE_ANNOTATION) else { return Mark::Empty };
    let (code, why) = approve.split_once(char::is_whitespace).unwrap_or((approve, ""));
    let why = why.trim();
    let stamped = ballot.spec.voter.as_ref();
    let void = |why: &str| {
        Mark::Void(format!("the vote on {} does not count: {why}", ballot.metadata.name.as_deref().unwrap_or_default()))
    };
    if by.is_empty() {
        return void("it does not say who voted");
    }
    // Made tame it would be another name, and could not be compared with anything: it is no name.
    if !is_user_name(by) {
        return void("the name on it is too long, or holds characters that are not seen");
    }
    if stamped.is_some_and(|voter| voter.username != by) {
        return void("the names on it differ");
    }
    if by == request.requester {
        return void("it is by whoever asked for the run");
    }
    if is_robot(by) {
        return void("it is by a ServiceAccount");
    }
    if !code.eq_ignore_ascii_case(&request.code) {
        return void("its code is of another plan");
    }
    if why.is_empty() && request.reason == ReasonRule::Required {
        return void("it does not say why");
    }
    Mark::Approve(CountedVote {
        by: by.to_owned(),
        role: request.role.clone(),
        why: cut(why, 1024),
        ballot: ballot.metadata.name.clone().unwrap_or_default(),
        ballot_uid: ballot.metadata.uid.clone().unwrap_or_default(),
        credential_id: stamped.map(|voter| cut(&voter.credential_id, 512)).unwrap_or_default(),
    })
}

/// The names of a new plan's ballots: counted on from the highest number that this run, or an older one of its name, has
/// taken.
pub(super) fn slots(run: &RunbookRun, gate: &Gate, taken: &[&str]) -> Vec<Slot> {
    let numbers =
        taken.iter().filter_map(|taken| taken.strip_prefix(name(run))?.strip_prefix('-')?.parse::<u32>().ok());
    let first = numbers.max().map_or(1, |highest| highest.saturating_add(1));
    let roles = gate.requires.iter().flat_map(|r| (0..r.count.max(1)).map(|_| r.role.clone()));
    roles.zip(first..).map(|(role, number)| Slot { name: format!("{}-{number}", name(run)), role }).collect()
}

/// An empty ballot.
pub(super) fn issue(run: &RunbookRun, key: &str, plan: &Plan, gate: &Gate, slot: &Slot, now: Timestamp) -> Approval {
    let mut ballot = Approval::new(
        &slot.name,
        ApprovalSpec {
            request: Request {
                run: name(run).to_owned(),
                run_uid: uid(run).to_owned(),
                runbook: run.spec.runbook.clone(),
                gate: gate.name.clone(),
                role: slot.role.clone(),
                plan: key.to_owned(),
                plan_hash: plan.plan_hash.clone(),
                code: plan.code.clone(),
                shown_code: shown_code(plan).to_owned(),
                requester: requester(run).to_owned(),
                why: cut(&run.spec.reason, 1024),
                summary: plan.summary.clone(),
                effects: lines(plan),
                reason: gate.reason,
                issued_at: plan.planned_at.clone(),
                expires_at: plan.expires_at.clone().unwrap_or(Time(plan.planned_at.0)),
            },
            voter: None,
        },
    );
    let mut labels =
        vec![(RUN_LABEL.to_owned(), name(run).to_owned()), (RUNBOOK_LABEL.to_owned(), run.spec.runbook.clone())];
    if plan.ballots.len() > 1 {
        labels.push((LIVE_LABEL.to_owned(), "true".to_owned()));
    }
    ballot.metadata = ObjectMeta {
        namespace: run.metadata.namespace.clone(),
        labels: Some(labels.into_iter().collect()),
        ..ballot.metadata
    };
    ballot.status = Some(ApprovalStatus { state: BallotState::Open, changed_at: MicroTime(now) });
    ballot
}

/// What the list of ballots shows as the code. Where a plan has several effects the code is read under the whole plan.
pub(super) fn shown_code(plan: &Plan) -> &str {
    if has_several_effects(plan) { "describe" } else { &plan.code }
}

/// Whether a plan changes more than one thing.
pub(super) fn has_several_effects(plan: &Plan) -> bool {
    plan.steps.iter().filter(|s| s.action != "check").count() > 1
}

/// The whole plan in lines: what, under which conditions, how it is undone, what to beware of, and by hand.
fn lines(plan: &Plan) -> Vec<String> {
    let mut lines = Vec::new();
    for step in &plan.steps {
        lines.push(format!("{}: {}", step.step, step.summary));
        if step.already {
            lines.push("  already as wanted: nothing will be written".to_owned());
        }
        if !step.holds.sentence.is_empty() {
            lines.push(format!("  holds while {}", step.holds.sentence));
        }
        lines.extend(step.warnings.iter().map(|warning| format!("  beware: {warning}")));
        if step.action != "check" {
            lines.push(format!("  undo: {}", step.undo.as_ref().map_or("none", |undo| undo.summary.as_str())));
            lines.push(format!("  by hand: {}", step.by_hand));
        }
    }
    // Each line stays one line: a name that others wrote must not look like a line of ours.
    let tame = |line: String| {
        let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        cut(&line, 1024)
    };
    // The code stands under the whole plan, however long that is: it proves that the plan was read.
    lines.truncate(639);
    lines.push(format!("code: {}", plan.code));
    lines.into_iter().map(tame).collect()
}
