//! The record of a settled step, made from the journal alone: however often it is made, it is the same byte for byte.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::ObjectMeta;

use super::freeze::Frozen;
use super::pass::{Flow, Pass};
use super::segment::later;
use super::{Decision, GATE_LOOK, ballot, intent, journal};
use crate::api::action_record::{ActionRecord, ActionRecordSpec, ActionRecordStatus, RecordKind, RecordState};
use crate::api::condition::cut;
use crate::api::line::one_line;
use crate::api::run::{Outcome, Result, Verified};
use crate::api::vote::CountedVote;
use crate::api::{INCIDENT_LABEL, Person, RUN_LABEL, RUNBOOK_LABEL, RunbookRun, RunbookRunStatus, SCHEMA_VERSION};
use crate::digest;

/// The name of a record: `<run>-<5 of uid>-<step>-<attempt>`.
pub(super) fn name(run: &RunbookRun, step: &str, attempt: i32) -> String {
    format!("{}-{}-{step}-{attempt}", ballot::name(run), ballot::short_uid(run))
}

/// The note that a mark has been made, as the memory keeps it.
pub fn mark(record: &str, state: RecordState) -> String {
    format!("{record}={state:?}")
}

/// The digest of a record: of its canonical JSON without the field `hash`.
pub fn hash_of(spec: &ActionRecordSpec) -> String {
    digest::of_record(&serde_json::to_value(spec).unwrap_or_default())
}

/// The record of a settled entry of the journal.
pub(super) fn build(run: &RunbookRun, status: &RunbookRunStatus, frozen: &Frozen, key: &str) -> Option<ActionRecord> {
    let entry = status.steps.get(key)?;
    let (outcome, settled) = (entry.outcome.as_ref()?, entry.settled.as_ref()?);
    let (step, attempt) = key.rsplit_once('.')?;
    let attempt: i32 = attempt.parse().ok()?;
    let planned = intent::planned_of(status, step, attempt, &outcome.plan)?;
    let voters: Vec<String> = outcome.approvals.iter().map(CountedVote::display).collect();
    // What else the authenticator said of the requester stands in the run; evidence that lives for years has who it was.
    let requester = run.spec.requested_by.clone().unwrap_or_default();
    let requester = Person { extra: Default::default(), ..requester };
    let original = journal::undone(step);
    let spec = ActionRecordSpec {
        schema_version: SCHEMA_VERSION,
        cluster: frozen.cluster.clone(),
        incident: run.spec.incident.as_deref().map(one_line),
        run: ballot::name(run).to_owned(),
        run_uid: ballot::uid(run).to_owned(),
        runbook: frozen.runbook.clone(),
        step: step.to_owned(),
        attempt,
        kind: if planned.action == "check" { RecordKind::Observation } else { RecordKind::Change },
        requested_by: requester,
        reason: cut(&run.spec.reason, 1024),
        approved_by: if voters.is_empty() { "no gate".to_owned() } else { cut(&voters.join(", "), 512) },
        approvals: outcome.approvals.clone(),
        plan_hash: status.plans.get(&outcome.plan).map(|plan| plan.plan_hash.clone()).unwrap_or_default(),
        actor: format!(
            "system:serviceaccount:{}:{}",
            run.metadata.namespace.as_deref().unwrap_or_default(),
            frozen.service_account
        ),
        action: planned.action.clone(),
        target_name: planned.target.display(),
        target: planned.target.clone(),
        summary: planned.summary.clone(),
        before: outcome.before.clone(),
        after: outcome.after.clone(),
        undo: outcome.undo.clone(),
        result: outcome.result,
        changed: outcome.changed,
        message: outcome.message.clone(),
        verified: settled.verified,
        verification: settled.message.clone(),
        evidence: settled.evidence.clone(),
        intent_at: outcome.intent_at.clone(),
        acted_at: outcome.acted_at.clone(),
        settled_at: MicroTime(settled.at.0),
        revert_due: revert_due(frozen, outcome, step),
        revert_of: match original {
            Some(step) => original_of(run, status, step),
            None => frozen.undoing(step).map(|undoing| undoing.record.clone()),
        },
        seq: settled.seq,
        prev_hash: settled.prev_hash.clone(),
        hash: settled.hash.clone(),
    };
    let labels = [
        (RUN_LABEL, Some(&spec.run)),
        (RUNBOOK_LABEL, Some(&spec.runbook)),
        (INCIDENT_LABEL, spec.incident.as_ref().filter(|i| is_label(i))),
    ];
    let labels = labels.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.clone()))).collect();
    Some(ActionRecord {
        metadata: ObjectMeta {
            name: Some(settled.record.clone()),
            namespace: run.metadata.namespace.clone(),
            labels: Some(labels),
            ..ObjectMeta::default()
        },
        status: Some(ActionRecordStatus { state: state(outcome, step), note: String::new(), changed_at: None }),
        spec,
    })
}

/// The state of a record at its creation.
fn state(outcome: &Outcome, step: &str) -> RecordState {
    match outcome.result {
        // A person said that it was done. It is looked at like every other, and evidence of it stays while it is there.
        Result::Unknown if !outcome.changed => RecordState::Unknown,
        Result::Done | Result::Unknown
            if outcome.changed && outcome.undo.is_some() && journal::undone(step).is_none() =>
        {
            RecordState::InPlace
        }
        Result::Done | Result::Unknown | Result::Refused | Result::Failed => RecordState::OneShot,
    }
}

/// When a change is to be undone, where its step says so and there is something to undo.
fn revert_due(frozen: &Frozen, outcome: &Outcome, step: &str) -> Option<MicroTime> {
    let period = frozen.steps.iter().find(|found| found.name == step)?.revert_after.as_ref()?;
    let done = outcome.acted_at.as_ref().unwrap_or(&outcome.known_at).0;
    (state(outcome, step) == RecordState::InPlace).then(|| MicroTime(later(done, period.seconds())))
}

/// The record that the undo of a step is about.
fn original_of(run: &RunbookRun, status: &RunbookRunStatus, step: &str) -> Option<String> {
    match journal::state(status, step) {
        journal::StepState::Settled { attempt, .. } => Some(name(run, step, attempt)),
        journal::StepState::Untouched { .. } | journal::StepState::Acted { .. } => None,
    }
}

/// Whether a text can be the value of a label. An incident's key is a person's own, and need not be.
fn is_label(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.len() <= 63
        && text.chars().all(inner)
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
}

impl Pass<'_> {
    /// First of all, whatever is settled gets its record. Where that cannot be, nothing more is done.
    pub fn records(&mut self) -> Flow<()> {
        let draft = self.draft.clone();
        for (key, outcome, settled) in journal::settled(&draft) {
            if !self.world.memory.recorded.contains(&settled.record)
                && let Some(record) = build(self.run, &draft, &self.frozen, key)
            {
                self.heed_dispute(&settled.record)?;
                return Err(Decision::Record(Box::new(record)));
            }
            if let Some((original, state)) = self.mark_of(key, outcome, settled)
                && !self.world.memory.recorded.contains(&mark(&original, state))
            {
                return Err(Decision::Mark { record: original, state });
            }
        }
        Ok(())
    }

    /// Another record is in the place of ours: people are told, and it is tried again, but not too soon.
    fn heed_dispute(&mut self, record: &str) -> Flow<()> {
        let Some((why, found)) = self.world.memory.disputed.clone() else { return Ok(()) };
        if self.world.now >= found + GATE_LOOK {
            return Ok(());
        }
        let (progress, namespace) = (self.draft.progress.clone(), self.namespace().to_owned());
        // Not NeedsHuman: that phase asks for a word about an act, and this is none.
        let text = format!("a cluster administrator: {why}; evidence is never overwritten, and nothing more is done");
        let look = format!("kubectl get arec -n {namespace} {record} -o yaml");
        self.say(self.draft.phase, &progress, &text, vec![look]);
        Err(self.wait_until(found + GATE_LOOK))
    }

    /// What an undo's record says about the record of what it undid.
    fn mark_of(
        &self,
        key: &str,
        outcome: &Outcome,
        settled: &crate::api::run::Settled,
    ) -> Option<(String, RecordState)> {
        let step = key.rsplit_once('.')?.0;
        let undone = outcome.result == Result::Done && settled.verified == Verified::Yes;
        if let Some(undoing) = self.frozen.undoing(step) {
            // Where nothing had to be written somebody else was there before.
            let state = if outcome.changed { RecordState::Reverted } else { RecordState::Drifted };
            return Some((undoing.record.clone(), state)).filter(|_| undone);
        }
        let step = journal::undone(step)?;
        Some((original_of(self.run, &self.draft, step)?, RecordState::Reverted)).filter(|_| undone)
    }
}
