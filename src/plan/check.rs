//! Checks: an object is judged, nothing is changed.

use super::intent::Act;
use super::pass::{Flow, Pass};
use super::segment::later;
use super::settle::pause;
use super::{Decision, SOON, journal};
use crate::action::{self, Obstacle, Verdict};
use crate::api::Step;
use crate::api::run::{Phase, Plan, PlannedStep, Result, Verified};
use crate::api::step::Action;

impl Pass<'_> {
    /// A check: is it true, and does it stay true?
    pub fn judge(&mut self, step: &Step, planned: &PlannedStep, key: &str, plan: &Plan) -> Flow {
        let Action::Check(check) = &step.action else { return Ok(self.wait(SOON)) };
        self.require(&action::look(&step.action, &self.context(plan.planned_at.0)))?;
        let act = Act { step, planned, plan: key.to_owned(), intent_at: plan.planned_at.clone(), votes: Vec::new() };
        let began =
            journal::settled(&self.draft).last().map_or(plan.planned_at.0, |(_, _, s)| s.at.0.max(plan.planned_at.0));
        let within = check.within.as_ref().map_or(60, crate::api::Period::seconds);
        let deadline = later(began, within);
        let (message, evidence) =
            match action::verify(&step.action, &self.context(plan.planned_at.0), planned, &self.world.seen) {
                Ok(Verdict::Yes(message, evidence)) => {
                    let since = self
                        .world
                        .memory
                        .holding
                        .as_ref()
                        .filter(|(held, _)| *held == step.name)
                        .map_or(self.world.now, |(_, t)| *t);
                    let until = later(since, check.hold_for.as_ref().map_or(0, crate::api::Period::seconds));
                    if self.world.now >= until {
                        self.write_outcome(&act, Result::Done, "", None, None);
                        return self.settle(&act, Verified::Yes, &message, evidence);
                    }
                    let hold_for = check.hold_for.as_ref().map(ToString::to_string).unwrap_or_default();
                    let (progress, abort) = (self.progress(step), self.abort_command());
                    self.say(
                        Phase::Verifying,
                        &progress,
                        &format!("{} to stay true for {hold_for}", check.that),
                        vec![abort],
                    );
                    return Ok(match self.wait_until(until.min(self.world.now + super::RETRY)) {
                        Decision::Wait { until, .. } => {
                            Decision::Wait { until, holding: Some((step.name.clone(), since)) }
                        }
                        write => write,
                    });
                }
                Ok(Verdict::NotYet(message, evidence)) => (message, evidence),
                Err(obstacle) => {
                    let within_time = self.world.now < deadline;
                    match obstacle {
                        Obstacle::Unseen(queries) => return Err(Decision::Look(queries)),
                        Obstacle::Unreadable(why) if within_time => (why, Vec::new()),
                        Obstacle::Unreadable(sentence) | Obstacle::Refused { sentence, .. } => {
                            // A check that cannot be read stops the run: it proves nothing.
                            self.write_outcome(&act, Result::Failed, &sentence, None, None);
                            return self.settle(&act, Verified::Unknown, &sentence, Vec::new());
                        }
                    }
                }
            };
        if self.world.now >= deadline {
            let sentence = format!("not within {within}s: {message}");
            self.write_outcome(&act, Result::Failed, &sentence, None, None);
            return self.settle(&act, Verified::No, &message, evidence);
        }
        let (progress, abort) = (self.progress(step), self.abort_command());
        self.say(
            Phase::Verifying,
            &progress,
            &format!("{} to be true, until {}", check.that, deadline.strftime("%H:%M:%SZ")),
            vec![abort],
        );
        Ok(self.wait(pause(self.world.now, began)))
    }
}
