//! A run that undoes another one: what it is made of. Each change of the other run that it has not undone itself becomes a
//! step, in reverse order, behind the gate of the step that made it.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ballot;
use super::finish::{self, InPlace};
use super::freeze::{Frozen, Unfit};
use super::intent::planned_of;
use super::segment::later;
use crate::api::condition::kind;
use crate::api::run::Outcome;
use crate::api::step::{Action, OnFailure, Step, Undoing};
use crate::api::vote::{Cover, DecidedAs};
use crate::api::{RunbookRun, RunbookRunStatus};

/// The run that is undone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Original {
    /// Its name.
    pub run: String,
    /// Its uid.
    pub uid: String,
}

/// The run's view of what it undoes. The gates, the parameters and the ServiceAccount are those of then: a later edit of the
/// runbook changes no run, and its removal keeps nobody from undoing what it did.
///
/// # Errors
/// [`Unfit`], with a sentence for whoever started the run.
pub(super) fn freeze(run: &RunbookRun, original: &Value, now: Timestamp) -> Result<Frozen, Unfit> {
    let unfit = |sentence: String| Unfit::Contradiction(sentence);
    let of = run.spec.revert_of.as_deref().unwrap_or_default();
    let namespace = run.metadata.namespace.as_deref().unwrap_or_default();
    let original: RunbookRun = serde_json::from_value(original.clone())
        .map_err(|error| unfit(format!("run {of} cannot be read, so it is not undone: {error}")))?;
    if original.spec.runbook != run.spec.runbook {
        let other = &original.spec.runbook;
        return Err(unfit(format!("run {of} is one of runbook {other}; say runbook: {other} to undo it")));
    }
    let Some(status) = original.status.as_ref().filter(|status| status.finished) else {
        return Err(unfit(format!(
            "run {of} has not ended, and holds its targets until then; stop it first: kubectl annotate rbr -n {namespace} {of} abort=\"WHY\""
        )));
    };
    let frozen: Option<Frozen> = match &status.frozen {
        Some(frozen) => Some(serde_json::from_value(frozen.clone()).map_err(|error| {
            unfit(format!("how run {of} was taken up cannot be read, so it is not undone: {error}"))
        })?),
        None => None,
    };
    let Some(frozen) = frozen else {
        return Err(unfit(format!("run {of} ended before it was taken up: there is nothing to undo")));
    };
    let wanted = &run.spec.steps;
    if let Some(step) = wanted.iter().find(|name| !frozen.steps.iter().any(|step| step.name == **name)) {
        let known: Vec<&str> = frozen.steps.iter().map(|step| step.name.as_str()).collect();
        return Err(unfit(format!("run {of} has no step {step:?}; it has: {}", known.join(", "))));
    }
    let steps = finish::in_place(status)
        .into_iter()
        .rev()
        .filter(|change| wanted.is_empty() || wanted.iter().any(|name| name == change.step))
        .filter_map(|change| {
            let step = frozen.steps.iter().find(|step| step.name == change.step)?;
            let undoing = undoing(&original, status, step, change)?;
            let covers = !run.spec.force && (run.spec.trigger.is_none() || step.auto_revert);
            let covered = cover(&original, status, change.outcome).filter(|_| covers);
            // One that cannot be undone keeps none of the others from it.
            Some(Step {
                when: None,
                on_failure: OnFailure::Continue,
                revert_after: None,
                auto_revert: false,
                action: Action::Undo(Box::new(Undoing { force: run.spec.force, covered, ..undoing })),
                ..step.clone()
            })
        })
        .collect();
    let uid = ballot::uid(&original).to_owned();
    Ok(Frozen { at: MicroTime(now), steps, revert_of: Some(Original { run: of.to_owned(), uid }), ..frozen })
}

/// What would put back a change of a run.
pub(super) fn undoing(
    original: &RunbookRun,
    status: &RunbookRunStatus,
    step: &Step,
    change: InPlace<'_>,
) -> Option<Undoing> {
    let InPlace { step: name, attempt, outcome, settled } = change;
    Some(Undoing {
        action: step.action.clone(),
        target: planned_of(status, name, attempt, &outcome.plan)?.target.clone(),
        before: outcome.before.clone(),
        after: outcome.after.clone(),
        record: settled.record.clone(),
        mark: format!("{}/{}/", ballot::name(original), ballot::uid(original)),
        force: false,
        covered: None,
    })
}

/// The approval under which something was done, where it covers the undo. Broken glass opened the gates of its run only.
fn cover(original: &RunbookRun, status: &RunbookRunStatus, outcome: &Outcome) -> Option<Cover> {
    let plan = status.plans.get(&outcome.plan)?;
    let period = plan.terms.as_ref()?.covers_undo.as_ref()?;
    let glass = outcome.approvals.iter().any(|vote| vote.decided_as == DecidedAs::BreakGlass);
    // What nobody else has ratified, or somebody has disowned, is nobody's leave for more.
    let alone = outcome.approvals.iter().any(|vote| vote.decided_as.needs_ratification());
    let ratified = status.conditions.iter().any(|c| c.kind == kind::RATIFIED && c.reason == "Ratified");
    if glass || (alone && !ratified) || outcome.approvals.is_empty() {
        return None;
    }
    let done = outcome.acted_at.as_ref().unwrap_or(&outcome.known_at).0;
    Some(Cover {
        until: MicroTime(later(done, period.seconds())),
        run_uid: ballot::uid(original).to_owned(),
        plan_hash: plan.plan_hash.clone(),
        votes: outcome.approvals.clone(),
    })
}
