//! One pass over a run: the facts, and the status in the making.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use serde_json::Value;

use super::act::Attempt;
use super::freeze::{Frozen, freeze};
use super::gate::Before;
use super::intent::Act;
use super::journal::{self, Segment, StepState};
use super::{Decision, GATE_LOOK, World, ballot, guards, undo};
use crate::action::{self, Answer, Obstacle, Query, Seen};
use crate::api::approval::BallotKind;
use crate::api::condition::cut;
use crate::api::identity::is_user_name;
use crate::api::run::{Mode, Phase, Verified};
use crate::api::step::{OnFailure, Step};
use crate::api::{ABORT_ANNOTATION, Approval, RunbookRun, RunbookRunStatus};
use crate::expression;

/// One pass. Methods that decide return `Err(decision)` where the decision comes early.
pub(super) struct Pass<'a> {
    pub run: &'a RunbookRun,
    pub ballots: Vec<&'a Approval>,
    pub world: &'a World,
    pub frozen: Frozen,
    /// The status as it will be written.
    pub draft: RunbookRunStatus,
}

/// What the sentence begins with that tells of trouble with the API server.
const TROUBLE: &str = "the API server: ";
/// What the sentence begins with that tells until when a request may still arrive.
pub(super) const ON_ITS_WAY: &str = "the network, until ";

/// Whether people have been told already. Trouble that is worded otherwise at each try (a port, a time of day) is told
/// once: each telling is a write, after which it is tried again at once. So is a time that two operators reckon from
/// when each of them first saw the run: they would correct each other without end.
fn says_nothing_new(told: Option<&RunbookRunStatus>, draft: &RunbookRunStatus) -> bool {
    // Who drives the run is written with what is new, or before an act: two operators would else take it from each other
    // without end.
    let named = |status: &RunbookRunStatus| RunbookRunStatus { driver: draft.driver.clone(), ..status.clone() };
    let renamed = told.filter(|told| told.driver != draft.driver).map(named);
    let told = renamed.as_ref().or(told);
    let alike = |told: &str| {
        [TROUBLE, ON_ITS_WAY].iter().any(|start| told.starts_with(start) && draft.waiting_on.starts_with(start))
    };
    told.is_some_and(|told| {
        told == draft
            || (alike(&told.waiting_on)
                && *told == RunbookRunStatus { waiting_on: told.waiting_on.clone(), ..draft.clone() })
    })
}

/// The ballots that open gates: what is ratified later is no business of a pass.
fn deciding(ballots: &[Approval]) -> Vec<&Approval> {
    ballots.iter().filter(|ballot| ballot.spec.request.kind == BallotKind::Decide).collect()
}

/// Who stopped the run, when in its course, and why, in a sentence; none where nobody has.
fn stopped(run: &RunbookRun, when: &str) -> Option<String> {
    let said = |key: &str| run.metadata.annotations.as_ref()?.get(key).map(|v| v.trim());
    let why = said(ABORT_ANNOTATION)?;
    let by = said(crate::api::ABORT_BY_ANNOTATION).map(|by| format!(" by {by}")).unwrap_or_default();
    let when = if when.is_empty() { String::new() } else { format!(" {when}") };
    Some(format!("stopped{by}{when}: {why}"))
}

/// What a run is made of: its runbook, or the run that it undoes.
fn source(run: &RunbookRun) -> Query {
    match &run.spec.revert_of {
        None => Query::Runbook(run.spec.runbook.clone()),
        Some(of) => Query::Run(of.clone()),
    }
}

/// The ServiceAccount as which everything of this run is done; empty while it is not known.
pub fn service_account(run: &RunbookRun, seen: &Seen) -> String {
    let frozen = |run: &Value| run.pointer("/serviceAccount").and_then(Value::as_str).map(str::to_owned);
    let name = match run.status.as_ref().and_then(|status| status.frozen.as_ref()) {
        Some(own) => frozen(own),
        // Not frozen yet: what it is made of was read in this pass.
        None => match seen.answer(&source(run)) {
            Some(Answer::Object(Some(found))) if run.spec.revert_of.is_some() => {
                found.pointer("/status/frozen").and_then(frozen)
            }
            Some(Answer::Object(Some(found))) => {
                found.pointer("/spec/serviceAccountName").and_then(Value::as_str).map(str::to_owned)
            }
            _ => None,
        },
    };
    name.unwrap_or_default()
}

/// A decision, or one that came early.
pub(super) type Flow<T = Decision> = Result<T, Decision>;

/// The decision, early or not.
pub(super) fn either(flow: Flow) -> Decision {
    flow.unwrap_or_else(|early| early)
}

impl<'a> Pass<'a> {
    /// Takes the run up where it has not been yet.
    pub fn new(run: &'a RunbookRun, ballots: &'a [Approval], world: &'a World) -> Flow<Self> {
        let draft = run.status.clone().unwrap_or_default();
        let frozen = match &draft.frozen {
            // Hands off, and no loop.
            Some(frozen) => serde_json::from_value(frozen.clone()).map_err(|error| {
                let why = format!(
                    "an operator that understands how this run was taken up ({error}); run the version that took it up, \
                     {} cannot read it and does nothing for it",
                    env!("CARGO_PKG_VERSION")
                );
                let why = cut(&why, 1024);
                if draft.waiting_on == why {
                    Decision::Wait { until: Some(world.now + GATE_LOOK), holding: None }
                } else {
                    Decision::Say(why)
                }
            })?,
            None => return Self::take_up(run, ballots, world),
        };
        let driver = Some(world.memory.driver(&world.operator.process));
        Ok(Self { run, ballots: deciding(ballots), world, frozen, draft: RunbookRunStatus { driver, ..draft } })
    }

    fn take_up(run: &'a RunbookRun, ballots: &'a [Approval], world: &'a World) -> Flow<Self> {
        let mut draft = run.status.clone().unwrap_or_default();
        draft.driver = Some(world.memory.driver(&world.operator.process));
        draft.started_at = draft.started_at.or(Some(MicroTime(world.now)));
        draft.observed_generation = run.metadata.generation;
        if let Some(sentence) = stopped(run, "") {
            super::finish::close(&mut draft, run, Phase::Aborted, "Aborted", &sentence, world.now);
            return Err(Decision::Write(Box::new(draft)));
        }
        let query = source(run);
        let missing = world.seen.missing(&[query.clone(), Query::Guards]);
        if !missing.is_empty() {
            return Err(Decision::Look(missing));
        }
        if let Some((waiting_on, command)) = guards::unproven(world) {
            return Err(Self::wait_to_take_up(run, world, &waiting_on, vec![command]));
        }
        let frozen = match world.seen.answer(&query) {
            Some(Answer::Object(_)) if let Some(sentence) = guards::unjudged_run(run, world) => {
                Err(("Unguarded", sentence))
            }
            Some(Answer::Object(_)) if !is_user_name(ballot::requester(run)) => Err((
                "Unfit",
                "the name of whoever asked for the run is missing, or holds characters that are not seen; start it as another user"
                    .to_owned(),
            )),
            Some(Answer::Object(Some(found))) => match run.spec.revert_of {
                None => freeze(run, found, &world.operator.cluster, world.now),
                Some(_) => undo::freeze(run, found, world.now),
            }
            .map_err(|unfit| ("Unfit", unfit.to_string())),
            Some(Answer::Object(None)) if let Some(of) = &run.spec.revert_of => Err((
                "RunMissing",
                format!(
                    "there is no run {of:?} in this namespace; see what there is with: kubectl get rbr -n {}",
                    run.metadata.namespace.as_deref().unwrap_or_default()
                ),
            )),
            Some(Answer::Object(None)) => Err((
                "RunbookMissing",
                format!(
                    "there is no runbook {:?} in this namespace; see what there is with: kubectl get rbk -n {}",
                    run.spec.runbook,
                    run.metadata.namespace.as_deref().unwrap_or_default()
                ),
            )),
            Some(other) => {
                let what = if run.spec.revert_of.is_some() { "read the run that is to be undone" } else { "read the runbook" };
                let why = action::obstacle(other, what);
                return Err(Self::wait_to_take_up(
                    run,
                    world,
                    &format!("{TROUBLE}{why}; it is tried again"),
                    Vec::new(),
                ));
            }
            None => return Err(Decision::Look(vec![query])),
        };
        match frozen {
            Ok(frozen) => {
                draft.frozen = serde_json::to_value(&frozen).ok();
                Ok(Self { run, ballots: deciding(ballots), world, frozen, draft })
            }
            Err((reason, sentence)) => {
                super::finish::close(&mut draft, run, Phase::Failed, reason, &sentence, world.now);
                Err(Decision::Write(Box::new(draft)))
            }
        }
    }

    /// Something is in the way of taking it up: people are told, and it is tried again.
    fn wait_to_take_up(run: &RunbookRun, world: &World, waiting_on: &str, next_commands: Vec<String>) -> Decision {
        let mut draft = run.status.clone().unwrap_or_default();
        draft.waiting_on = cut(waiting_on, 1024);
        draft.next_commands = next_commands;
        if says_nothing_new(run.status.as_ref(), &draft) {
            Decision::Wait { until: Some(world.now + super::RETRY), holding: None }
        } else {
            Decision::Write(Box::new(draft))
        }
    }

    /// What happens next.
    pub fn decide(&mut self) -> Flow {
        self.records()?;
        let frozen = self.frozen.clone();
        let segments = journal::segments(&frozen.steps);
        if self.annotation(ABORT_ANNOTATION).is_some() {
            return self.abort(&segments);
        }
        if self.run.spec.mode == Mode::Plan {
            return self.plan_only(&segments);
        }
        // Before anything else is done: a later step of the segment may have been refused when it was planned, and nobody is
        // asked to approve, and nothing is done of, what cannot be finished.
        for step in &frozen.steps {
            match (self.failure(step), step.on_failure) {
                (Some(sentence), OnFailure::Stop) => return self.finish(Phase::Failed, "StepFailed", &sentence),
                (Some(sentence), OnFailure::Revert) => return self.revert(&sentence),
                (Some(_), OnFailure::Continue) | (None, _) => {}
            }
        }
        let (mut passed_over, mut not_needed) = (Vec::new(), 0);
        for (index, segment) in segments.iter().enumerate() {
            for step in &segment.steps {
                match journal::state(&self.draft.clone(), &step.name) {
                    StepState::Untouched { attempt } => return self.advance(index, segment, step, attempt),
                    StepState::Acted { attempt, outcome } => return self.verify(step, &step.name, attempt, outcome),
                    StepState::Settled { outcome, .. } => {
                        passed_over.extend(self.failure(step));
                        not_needed += usize::from(journal::was_not_needed(outcome));
                    }
                }
            }
        }
        let steps = frozen.steps.len();
        if let Some(original) = &frozen.revert_of {
            return self.end_undo(&original.run, steps, not_needed, &passed_over);
        }
        let done = match (steps - passed_over.len() - not_needed, not_needed) {
            (1, 0) if steps == 1 => "the only step is done".to_owned(),
            (done, 0) if done == steps => format!("all {steps} steps done"),
            (done, 0) => format!("{done} of {steps} steps done"),
            (done, not_needed) => format!("{done} of {steps} steps done, {not_needed} not needed"),
        };
        if passed_over.is_empty() {
            self.finish(Phase::Succeeded, "AllStepsDone", &done)
        } else {
            self.finish(
                Phase::Succeeded,
                "SomeStepsPassedOver",
                &format!("{done}; passed over: {}", passed_over.join("; ")),
            )
        }
    }

    /// All that is to be undone has had its turn.
    fn end_undo(&mut self, original: &str, steps: usize, not_needed: usize, passed_over: &[String]) -> Flow {
        let undone = steps - passed_over.len() - not_needed;
        if !passed_over.is_empty() {
            let words =
                format!("{undone} of {steps} changes of run {original} undone; not: {}", passed_over.join("; "));
            return self.finish(Phase::Failed, "RevertIncomplete", &words);
        }
        let words = match (undone, not_needed) {
            (0, _) => format!("nothing of run {original} is left to undo"),
            (1, 0) => format!("the only change of run {original} is undone"),
            (_, 0) => format!("all {steps} changes of run {original} are undone"),
            _ => format!("{undone} of {steps} changes of run {original} are undone, {not_needed} were back already"),
        };
        self.finish(Phase::Succeeded, "Undone", &words)
    }

    /// Why a step that is settled did not go as wanted, if it did not.
    fn failure(&self, step: &Step) -> Option<String> {
        let StepState::Settled { outcome, settled, .. } = journal::state(&self.draft, &step.name) else { return None };
        let why = if outcome.message.is_empty() { &settled.message } else { &outcome.message };
        (!journal::went_well(outcome, settled)).then(|| format!("step {}: {why}", step.name))
    }

    /// The step that nothing has been done about yet.
    fn advance(&mut self, index: usize, segment: &Segment<'_>, step: &Step, attempt: i32) -> Flow {
        match self.is_needed(step) {
            Ok(true) => {}
            Ok(false) => {
                let why = format!("not needed: {} is false", step.when.as_deref().unwrap_or_default());
                return self.pass_by(index, step, attempt, &why, Verified::NotApplicable);
            }
            // Neither taken nor passed by in silence: what follows is for the runbook's onFailure.
            Err(why) => return self.refuse_unplanned(index, step, attempt, action::reason::INVALID, &why),
        }
        let draft = self.draft.clone();
        let planned = journal::plan_of(&draft, index).and_then(|(key, _, plan)| {
            Some((key, plan, plan.steps.iter().find(|s| s.step == step.name && s.attempt == attempt)?))
        });
        let Some((key, plan, planned)) = planned else { return self.plan_segment(index, segment, "") };
        if !step.action.changes() {
            return self.judge(step, planned, key, plan);
        }
        let mut act =
            Act { step, planned, plan: key.to_owned(), intent_at: plan.planned_at.clone(), votes: Vec::new() };
        act.votes = self.open_gate(&Before { index, segment, plan, act: &act })?;
        match self.send(&act)? {
            Attempt::Decided(decision) => Ok(decision),
            Attempt::Void(why) => self.plan_segment(index, segment, &why),
        }
    }

    /// Whether the step is to be taken, by its condition; else why nobody can tell.
    fn is_needed(&self, step: &Step) -> Result<bool, String> {
        let Some(when) = step.when.as_deref() else { return Ok(true) };
        let earlier = self.frozen.steps.iter().filter_map(|earlier| match journal::state(&self.draft, &earlier.name) {
            StepState::Settled { outcome, settled, .. } => {
                Some((earlier.name.clone(), serde_json::json!({"ok": journal::went_well(outcome, settled)})))
            }
            StepState::Untouched { .. } | StepState::Acted { .. } => None,
        });
        let steps = serde_json::Value::Object(earlier.collect());
        match expression::evaluate(when, &[("params", &self.frozen.parameters), ("steps", &steps)]) {
            Ok(serde_json::Value::Bool(needed)) => Ok(needed),
            Ok(other) => Err(format!("when: {when} gives {other}, not true or false")),
            Err(error) => Err(format!("when: {error}")),
        }
    }

    /// Stops: no new act; what has been sent is read back and settled.
    fn abort(&mut self, segments: &[Segment<'_>]) -> Flow {
        let draft = self.draft.clone();
        // Until the step in hand has been met; no later one can have been begun.
        let mut before_the_step_in_hand = true;
        let mut untouched = false;
        for (index, step) in segments
            .iter()
            .enumerate()
            .flat_map(|(index, segment)| segment.steps.iter().map(move |step| (index, *step)))
        {
            match journal::state(&draft, &step.name) {
                StepState::Acted { attempt, outcome } => return self.verify(step, &step.name, attempt, outcome),
                StepState::Untouched { attempt } => {
                    untouched = true;
                    if std::mem::take(&mut before_the_step_in_hand)
                        && let Some(act) = Act::planned(&draft, index, step, attempt)
                    {
                        self.rule_out(&act)?;
                    }
                }
                StepState::Settled { outcome, settled, .. } => {
                    before_the_step_in_hand &=
                        journal::went_well(outcome, settled) || step.on_failure == OnFailure::Continue;
                }
            }
            let undo = journal::undo_name(&step.name);
            match journal::state(&draft, &undo) {
                StepState::Acted { attempt, outcome } => return self.verify(step, &undo, attempt, outcome),
                StepState::Untouched { attempt } => {
                    if let Some(act) = Act::intended(&draft, step, &undo, attempt) {
                        self.rule_out(&act)?;
                    }
                }
                StepState::Settled { .. } => {}
            }
        }
        let when = if untouched { "" } else { "after the last step" };
        let sentence = stopped(self.run, when).unwrap_or_default();
        self.finish(Phase::Aborted, "Aborted", &sentence)
    }

    /// What a person has said on the run.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.run.metadata.annotations.as_ref()?.get(key).map(|v| v.trim())
    }

    /// The action's view of this run.
    pub fn context(&self, intent_at: Timestamp) -> action::Context<'_> {
        action::Context {
            namespace: self.run.metadata.namespace.as_deref().unwrap_or_default(),
            params: &self.frozen.parameters,
            intent_at,
        }
    }

    /// The namespace of the run.
    pub fn namespace(&self) -> &str {
        self.run.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// The name of the run.
    pub fn name(&self) -> &str {
        ballot::name(self.run)
    }

    /// Goes on only when all of this has been looked at.
    pub fn require(&self, queries: &[Query]) -> Flow<()> {
        let missing = self.world.seen.missing(queries);
        if missing.is_empty() { Ok(()) } else { Err(Decision::Look(missing)) }
    }

    /// Writes the draft if it says anything new, else waits.
    pub fn wait(&self, after: SignedDuration) -> Decision {
        self.wait_until(self.world.now + after)
    }

    /// Writes the draft if it says anything new, else waits.
    pub fn wait_until(&self, until: Timestamp) -> Decision {
        if says_nothing_new(self.run.status.as_ref(), &self.draft) {
            Decision::Wait { until: Some(until), holding: None }
        } else {
            Decision::Write(Box::new(self.draft.clone()))
        }
    }

    /// The journal contradicts itself, so that nobody can go on: people are told. Never written so by this version.
    pub fn stuck(&mut self, what: &str) -> Decision {
        let abort = self.abort_command();
        let text =
            format!("somebody who can read its journal (kubectl get rbr -o yaml): {what}; nothing is done for it");
        let (phase, progress) = (self.draft.phase, self.draft.progress.clone());
        self.say(phase, &progress, &text, vec![abort]);
        self.wait(GATE_LOOK)
    }

    /// Says where the run stands, for people.
    pub fn say(&mut self, phase: Phase, progress: &str, waiting_on: &str, next_commands: Vec<String>) {
        self.draft.phase = phase;
        self.draft.progress = cut(progress, 64);
        self.draft.waiting_on = cut(waiting_on, 1024);
        self.draft.next_commands = next_commands.into_iter().map(|c| cut(&c, 1024)).take(16).collect();
    }

    /// `2/3 scale-out`.
    pub fn progress(&self, step: &Step) -> String {
        let number = self.frozen.steps.iter().position(|s| s.name == step.name).unwrap_or_default() + 1;
        format!("{number}/{} {}", self.frozen.steps.len(), step.name)
    }

    /// The command that stops this run.
    pub fn abort_command(&self) -> String {
        format!("kubectl annotate rbr -n {} {} abort=\"WHY\"", self.namespace(), self.name())
    }

    /// An obstacle on the way of an action: look, or wait and try again. Refusals are handed back.
    pub fn surmount(&mut self, step: &Step, obstacle: Obstacle) -> Flow<(&'static str, String)> {
        match obstacle {
            Obstacle::Unseen(queries) => Err(Decision::Look(queries)),
            Obstacle::Refused { reason, sentence } => Ok((reason, sentence)),
            Obstacle::Unreadable(why) => {
                let progress = self.progress(step);
                let phase = self.draft.phase;
                let abort = self.abort_command();
                self.say(phase, &progress, &format!("{TROUBLE}{why}; it is tried again"), vec![abort]);
                Err(self.wait(super::RETRY))
            }
        }
    }
}
