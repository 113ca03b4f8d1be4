//! Ballots: what is asked, and what a marked one says.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use kube::api::ObjectMeta;

use crate::api::approval::{Approval, ApprovalSpec, ApprovalStatus, BallotKind, BallotState, Request};
use crate::api::condition::cut;
use crate::api::identity::{is_robot, is_user_name};
use crate::api::run::{Plan, Slot};
use crate::api::runbook::{Gate, ReasonRule, SelfApproval};
use crate::api::vote::{CountedVote, DecidedAs};
use crate::api::{
    APPROVE_ANNOTATION, BREAKGLASS_ANNOTATION, BREAKGLASS_BY_ANNOTATION, BREAKGLASS_CREDENTIAL_ANNOTATION,
    BY_ANNOTATION, DENY_ANNOTATION, LIVE_COMPARED, LIVE_LABEL, Person, RUN_LABEL, RUNBOOK_LABEL, RunbookRun,
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
    run.spec.requested_by.as_ref().map(Person::key).unwrap_or_default()
}

/// Whether a robot asked for the run: it adds nobody to the count.
pub(super) fn asked_by_robot(run: &RunbookRun) -> bool {
    run.spec.requested_by.as_ref().is_some_and(Person::is_robot)
}

/// The name of the ballot on which a decision is ratified: `<run>-<5 of uid>-ratify`, so that no older run's is in the way.
pub(super) fn ratification_name(run: &RunbookRun) -> String {
    format!("{}-{}-ratify", name(run), short_uid(run))
}

/// The first characters of a run's uid, which tell it from others of its name.
pub(super) fn short_uid(run: &RunbookRun) -> String {
    uid(run).chars().filter(char::is_ascii_alphanumeric).take(5).collect()
}

/// Whether its time is over.
pub(super) fn is_over(ballot: &Approval, now: Timestamp) -> bool {
    ballot.spec.request.expires_at.as_ref().is_some_and(|at| at.0 <= now)
}

/// Whether a ballot was issued for this very run.
pub(super) fn is_of(ballot: &Approval, run: &RunbookRun) -> bool {
    ballot.spec.request.run_uid == uid(run)
}

/// Whether a ballot is the one that was issued for this slot of this plan. What is only said to people may be worded by
/// another version. Anybody could have made one of that name while the policies were away, but nobody knows beforehand
/// when a plan will be made.
pub(super) fn asks_for(ballot: &Approval, run: &RunbookRun, plan: &Plan, slot: &Slot) -> bool {
    let asked = &ballot.spec.request;
    let in_journal = run.status.as_ref().and_then(|status| status.plans.get(&asked.plan)) == Some(plan);
    let Some(gate) = plan.terms.as_ref().filter(|_| in_journal) else { return false };
    let issued = issue(run, &asked.plan, plan, gate, slot, plan.planned_at.0).spec.request;
    let worded = Request {
        summary: asked.summary.clone(),
        effects: asked.effects.clone(),
        why: asked.why.clone(),
        shown_code: asked.shown_code.clone(),
        ..issued
    };
    *asked == worded
}

/// Where a ballot stands.
pub(super) fn state(ballot: &Approval) -> BallotState {
    ballot.status.as_ref().map_or(BallotState::Open, |s| s.state)
}

/// Whether whoever asked for the run may mark it by now.
pub(super) fn is_open_to_requester(ballot: &Approval) -> bool {
    ballot.status.as_ref().is_some_and(|status| status.open_to_requester)
}

/// The word of whoever broke the glass, as a vote that opens every gate of the run. None where nobody did: the API server
/// lets nobody write it without a name and a reason.
pub(super) fn broken_glass(run: &RunbookRun) -> Option<CountedVote> {
    let said = |key: &str| run.metadata.annotations.as_ref()?.get(key).map(|v| v.trim()).filter(|v| !v.is_empty());
    let by = said(BREAKGLASS_BY_ANNOTATION).filter(|by| is_user_name(by))?;
    Some(CountedVote {
        by: by.to_owned(),
        role: String::new(),
        decided_as: DecidedAs::BreakGlass,
        why: cut(said(BREAKGLASS_ANNOTATION)?, 1024),
        ballot: String::new(),
        ballot_uid: String::new(),
        credential_id: said(BREAKGLASS_CREDENTIAL_ANNOTATION).unwrap_or_default().to_owned(),
    })
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
    if stamped.is_some_and(|voter| voter.key() != by) {
        return void("the names on it differ");
    }
    let robot = stamped.map_or_else(|| is_robot(by), Person::is_robot);
    let decided_as = match request.self_approval {
        _ if by != request.requester => DecidedAs::Approver,
        _ if robot => return void("it is by the ServiceAccount that asked for the run"),
        SelfApproval::Always => DecidedAs::Requester,
        SelfApproval::Alone if is_open_to_requester(ballot) => DecidedAs::Alone,
        SelfApproval::Alone | SelfApproval::Never => return void("it is by whoever asked for the run"),
    };
    // Whoever is alone is alone, author or not: a second person looks at it later.
    if decided_as != DecidedAs::Alone && request.excluded.iter().any(|excluded| excluded == by) {
        return void(match request.kind {
            BallotKind::Decide => "it is by whoever wrote what the runbook does",
            BallotKind::Ratify => "it is by whoever decided what is to be ratified",
        });
    }
    if robot && !request.allow_service_accounts {
        return void("it is by a ServiceAccount");
    }
    if request.verified_credential && stamped.is_some_and(|voter| voter.credential_id.is_empty()) {
        return void("it carries no credential id");
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
        decided_as,
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
                kind: BallotKind::Decide,
                requester: requester(run).to_owned(),
                self_approval: gate.self_approval,
                excluded: plan.excluded.iter().cloned().collect(),
                allow_service_accounts: gate.allow_service_accounts,
                verified_credential: gate.verified_credential,
                why: cut(&run.spec.reason, 1024),
                summary: plan.summary.clone(),
                effects: lines(plan),
                reason: gate.reason,
                issued_at: plan.planned_at.clone(),
                expires_at: Some(plan.expires_at.clone().unwrap_or(Time(plan.planned_at.0))),
            },
            voter: None,
        },
    );
    let mut labels = labels(run);
    if plan.ballots.len() > 1 {
        labels.insert(LIVE_LABEL.to_owned(), LIVE_COMPARED.to_owned());
    }
    ballot.metadata = ObjectMeta { namespace: run.metadata.namespace.clone(), labels: Some(labels), ..ballot.metadata };
    ballot.status = Some(open_since(now));
    ballot
}

/// The labels of every ballot of a run.
fn labels(run: &RunbookRun) -> BTreeMap<String, String> {
    [(RUN_LABEL.to_owned(), name(run).to_owned()), (RUNBOOK_LABEL.to_owned(), run.spec.runbook.clone())].into()
}

/// As a ballot stands when it is issued.
fn open_since(now: Timestamp) -> ApprovalStatus {
    ApprovalStatus { state: BallotState::Open, changed_at: MicroTime(now), open_to_requester: false }
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
    for floor in &plan.floors {
        lines.push(format!("the platform asks for {floor}"));
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
