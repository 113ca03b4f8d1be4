//! `onFailure: Revert`: what the run did is undone, in reverse order. The undo is part of the approved plan.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

use super::act::Attempt;
use super::intent::{Act, planned_of};
use super::journal::{self, StepState};
use super::pass::{Flow, Pass};
use super::segment::dry_run;
use super::{Decision, finish};
use crate::action::{self, Done, Obstacle, reason};
use crate::api::condition::cut;
use crate::api::run::{Intent, Outcome, Phase, PlannedStep};

impl Pass<'_> {
    /// Undoes what this run did, then ends it.
    pub fn revert(&mut self, because: &str) -> Flow {
        let draft = self.draft.clone();
        let mut done: Vec<(String, Outcome)> = journal::settled(&draft)
            .into_iter()
            .filter(|(_, outcome, _)| outcome.changed && outcome.undo.is_some())
            .filter_map(|(key, outcome, _)| Some((key.rsplit_once('.')?.0.to_owned(), outcome.clone())))
            .filter(|(step, _)| journal::undone(step).is_none())
            .collect();
        done.reverse();
        for (step, outcome) in &done {
            let name = journal::undo_name(step);
            match journal::state(&draft, &name) {
                StepState::Untouched { attempt } => return self.undo(step, attempt, outcome),
                StepState::Acted { attempt, outcome: undone } => {
                    let frozen = self.frozen.clone();
                    let Some(step) = frozen.steps.iter().find(|s| s.name == *step) else {
                        return Ok(self.stuck(&format!("it has an undo of {step}, which the frozen runbook has not")));
                    };
                    return self.verify(step, &name, attempt, undone);
                }
                StepState::Settled { .. } => {}
            }
        }
        if finish::in_place(&draft).is_empty() {
            self.finish(Phase::Reverted, "Reverted", &format!("undone, because {because}"))
        } else {
            let undos = journal::settled(&draft).into_iter().filter(|(key, _, _)| key.contains(".undo."));
            let not_undone = undos.filter(|(_, outcome, settled)| !journal::went_well(outcome, settled));
            let why: Vec<&str> = not_undone
                .map(|(_, o, s)| if o.message.is_empty() { s.message.as_str() } else { o.message.as_str() })
                .collect();
            self.finish(
                Phase::Failed,
                "RevertIncomplete",
                &format!("could not be undone wholly: {}; this after {because}", why.join("; ")),
            )
        }
    }

    fn undo(&mut self, step: &str, attempt: i32, outcome: &Outcome) -> Flow {
        let frozen = self.frozen.clone();
        let Some(step) = frozen.steps.iter().find(|s| s.name == step) else {
            return Ok(self.stuck(&format!("it has done {step}, which the frozen runbook has not")));
        };
        let name = journal::undo_name(&step.name);
        let draft = self.draft.clone();
        if let Some(act) = Act::intended(&draft, step, &name, attempt) {
            let act = Act { votes: outcome.approvals.clone(), ..act };
            return match self.send(&act)? {
                Attempt::Decided(decision) => Ok(decision),
                Attempt::Void(why) => self.refuse(&act, reason::CHANGED_SINCE, &why),
            };
        }
        self.require(&action::look(&step.action, &self.context(self.world.now)))?;
        match self.planned_undo(step, &name, attempt, outcome) {
            Ok(planned) => {
                let intent = Intent { at: MicroTime(self.world.now), plan: outcome.plan.clone(), step: planned };
                self.entry_of(&name, attempt).intent = Some(intent);
                let (progress, abort) = (self.progress(step), self.abort_command());
                self.say(Phase::Acting, &progress, "", vec![abort]);
                Ok(Decision::Write(Box::new(self.draft.clone())))
            }
            Err(obstacle) => {
                let (reason, sentence) = self.surmount(step, obstacle)?;
                let planned = self.refused_undo(step, &name, attempt, outcome, &sentence);
                let at = MicroTime(self.world.now);
                self.entry_of(&name, attempt).intent =
                    planned.clone().map(|step| Intent { at: at.clone(), plan: outcome.plan.clone(), step });
                let Some(planned) = planned else {
                    return Ok(self.stuck(&format!("it has done {}, and there is no intent of it", step.name)));
                };
                let act = Act {
                    step,
                    planned: &planned,
                    plan: outcome.plan.clone(),
                    intent_at: at,
                    votes: outcome.approvals.clone(),
                };
                self.refuse(&act, reason, &sentence)
            }
        }
    }

    fn planned_undo(
        &self,
        step: &crate::api::Step,
        name: &str,
        attempt: i32,
        outcome: &Outcome,
    ) -> Result<PlannedStep, Obstacle> {
        let context = self.context(self.world.now);
        let Some(original) = planned_of(&self.draft, &step.name, self.attempt_of(&step.name), &outcome.plan) else {
            return Err(Obstacle::Refused {
                reason: reason::INVALID,
                sentence: "the journal does not say what was done".to_owned(),
            });
        };
        let done = Done { target: &original.target, before: &outcome.before, after: &outcome.after, force: false };
        let prospect = action::undo(&step.action, &context, &done, &self.world.seen)?;
        let planned = prospect.planned(name, attempt, step.action.key(), &self.token(name, attempt));
        if !planned.already {
            dry_run(action::effect(&step.action, &context, &planned, &self.world.seen)?, &self.world.seen)?;
        }
        Ok(planned)
    }

    /// What is journalled of an undo that is refused.
    fn refused_undo(
        &self,
        step: &crate::api::Step,
        name: &str,
        attempt: i32,
        outcome: &Outcome,
        sentence: &str,
    ) -> Option<PlannedStep> {
        let original = planned_of(&self.draft, &step.name, self.attempt_of(&step.name), &outcome.plan)?;
        Some(PlannedStep {
            step: name.to_owned(),
            attempt,
            token: self.token(name, attempt),
            undo: None,
            already: false,
            summary: cut(&format!("undo refused: {sentence}"), 256),
            ..original.clone()
        })
    }

    fn attempt_of(&self, step: &str) -> i32 {
        match journal::state(&self.draft, step) {
            StepState::Untouched { attempt }
            | StepState::Acted { attempt, .. }
            | StepState::Settled { attempt, .. } => attempt,
        }
    }
}
