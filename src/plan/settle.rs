//! Outcomes: what became of an act, whether it took hold, and its place in the chain of records.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

use super::intent::{Act, planned_of};
use super::journal;
use super::pass::{Flow, Pass};
use super::segment::later;
use super::{Decision, ONE_WRITE, SOON, record};
use crate::action::{self, Effect, Obstacle, Verdict};
use crate::api::condition::cut;
use crate::api::run::{Evidence, Outcome, Phase, Result, Settled, Verified};
use crate::api::{ABORT_ANNOTATION, Step};

impl Pass<'_> {
    /// The act took place, by the API server's own answer.
    pub fn landed(&mut self, act: &Act<'_>, effect: &Effect, at: Timestamp) -> Flow {
        self.require(&action::look(&act.step.action, &self.context(act.intent_at.0)))?;
        let verdict = action::verify(&act.step.action, &self.context(act.intent_at.0), act.planned, &self.world.seen);
        if let Ok(Verdict::Yes(message, evidence)) = verdict {
            self.write_outcome(act, Result::Done, "", Some(effect), Some(at));
            return self.settle(act, Verified::Yes, &message, evidence);
        }
        if self.world.now.duration_since(at) < ONE_WRITE {
            return Ok(Decision::Wait { until: Some(self.world.now + SOON), holding: None });
        }
        Ok(self.write_outcome(act, Result::Done, "", Some(effect), Some(at)))
    }

    /// The token is on the target although this process got no answer: it took place.
    pub fn found_done(&mut self, act: &Act<'_>) -> Flow {
        let sent = self.world.memory.sent.get(&act.planned.token).cloned();
        let mut message = "no answer came back; the token on the target shows that it took place".to_owned();
        if sent.is_none() && self.others_changed_it_too(act) {
            message += "; somebody else changed it after it was planned, and whoever acted did not live to say what it \
                        replaced: before is what the plan found";
        }
        Ok(self.write_outcome(
            act,
            Result::Done,
            &message,
            sent.as_ref().map(|s| &s.effect),
            sent.as_ref().map(|s| s.at),
        ))
    }

    /// Whether its spec has changed more than once since it was planned: our own act is one change.
    fn others_changed_it_too(&self, act: &Act<'_>) -> bool {
        let object = action::object_of(&act.step.action);
        let now = object.and_then(|object| action::version_of(self.world.seen.object(&object).ok()?).generation);
        act.planned.seen.generation.zip(now).is_some_and(|(then, now)| now != then + 1)
    }

    /// The target is as wanted already: nothing is written, and it is not ours to undo.
    pub fn already(&mut self, act: &Act<'_>, effect: &Effect) -> Flow {
        let message = format!("{} was already as wanted; nothing was written", act.planned.target.display());
        Ok(self.write_unchanged(act, Result::Done, &message, Some(effect)))
    }

    /// A person says that it did not take place: it is settled, and it is tried again as another attempt.
    pub fn not_done(&mut self, act: &Act<'_>, message: &str) -> Flow {
        self.write_unchanged(act, Result::Unknown, message, None);
        self.settle(act, Verified::No, message, Vec::new())
    }

    /// Notes an outcome of which nothing is in place.
    fn write_unchanged(&mut self, act: &Act<'_>, result: Result, message: &str, effect: Option<&Effect>) -> Decision {
        self.note_outcome(act, result, message, effect, None, false)
    }

    /// It is refused, with nothing written.
    pub fn refuse(&mut self, act: &Act<'_>, reason: &str, sentence: &str) -> Flow {
        self.write_outcome(act, Result::Refused, &format!("{reason}: {sentence}"), None, None);
        self.settle(act, Verified::NotApplicable, "", Vec::new())
    }

    /// It is refused before there is a plan.
    pub fn refuse_unplanned(&mut self, index: usize, step: &Step, attempt: i32, reason: &str, sentence: &str) -> Flow {
        let (planned, plan) = self.unplanned(index, step, attempt, &format!("refused: {sentence}"));
        let act = Act { step, planned: &planned, plan, intent_at: MicroTime(self.world.now), votes: Vec::new() };
        self.refuse(&act, reason, sentence)
    }

    /// It is not taken: its condition is false, or what it would bring about is there.
    pub fn pass_by(&mut self, index: usize, step: &Step, attempt: i32, why: &str, verified: Verified) -> Flow {
        let (planned, plan) = self.unplanned(index, step, attempt, "passed by");
        let act = Act { step, planned: &planned, plan, intent_at: MicroTime(self.world.now), votes: Vec::new() };
        self.write_unchanged(&act, Result::Done, why, None);
        self.settle(&act, verified, "", Vec::new())
    }

    /// An act that is journalled and not settled: has it taken hold?
    pub fn verify(&mut self, step: &Step, name: &str, attempt: i32, outcome: &Outcome) -> Flow {
        let draft = self.draft.clone();
        let Some(planned) = planned_of(&draft, name, attempt, &outcome.plan) else {
            return Ok(self.stuck(&format!("it has an outcome of {name}, attempt {attempt}, and no intent of it")));
        };
        let act = Act {
            step,
            planned,
            plan: outcome.plan.clone(),
            intent_at: outcome.intent_at.clone(),
            votes: outcome.approvals.clone(),
        };
        self.verify_act(&act, outcome)
    }

    /// Has this act taken hold?
    pub fn verify_act(&mut self, act: &Act<'_>, outcome: &Outcome) -> Flow {
        if matches!(outcome.result, Result::Refused | Result::Failed) {
            return self.settle(act, Verified::NotApplicable, "", Vec::new());
        }
        self.require(&action::look(&act.step.action, &self.context(act.intent_at.0)))?;
        let deadline = later(outcome.known_at.0, act.step.timeout.seconds());
        let stopped = self.annotation(ABORT_ANNOTATION).is_some();
        let over = self.world.now >= deadline || stopped;
        let verdict = action::verify(&act.step.action, &self.context(act.intent_at.0), act.planned, &self.world.seen);
        let (message, evidence) = match verdict {
            Ok(Verdict::Yes(message, evidence)) => return self.settle(act, Verified::Yes, &message, evidence),
            Ok(Verdict::NotYet(message, evidence)) if stopped => {
                return self.settle(act, Verified::Unknown, &format!("the run was stopped while {message}"), evidence);
            }
            Ok(Verdict::NotYet(message, evidence)) => (message, evidence),
            Err(Obstacle::Unseen(queries)) => return Err(Decision::Look(queries)),
            Err(Obstacle::Unreadable(why) | Obstacle::Refused { sentence: why, .. }) if over => {
                return self.settle(act, Verified::Unknown, &format!("it could not be read back: {why}"), Vec::new());
            }
            Err(Obstacle::Unreadable(why) | Obstacle::Refused { sentence: why, .. }) => (why, Vec::new()),
        };
        if over {
            return self.settle(act, Verified::No, &format!("not within {}: {message}", act.step.timeout), evidence);
        }
        let progress = self.progress(act.step);
        let abort = self.abort_command();
        let until = deadline.strftime("%H:%M:%SZ");
        self.say(
            Phase::Verifying,
            &progress,
            &format!("the effect on {}, until {until}", act.planned.target.display()),
            vec![abort],
        );
        Ok(self.wait(pause(self.world.now, outcome.known_at.0)))
    }

    /// Notes what became of the act, and hands out the write.
    pub fn write_outcome(
        &mut self,
        act: &Act<'_>,
        result: Result,
        message: &str,
        effect: Option<&Effect>,
        acted_at: Option<Timestamp>,
    ) -> Decision {
        let changed = act.step.action.changes() && matches!(result, Result::Done | Result::Unknown);
        self.note_outcome(act, result, message, effect, acted_at, changed)
    }

    fn note_outcome(
        &mut self,
        act: &Act<'_>,
        result: Result,
        message: &str,
        effect: Option<&Effect>,
        acted_at: Option<Timestamp>,
        changed: bool,
    ) -> Decision {
        let before = effect.map_or_else(|| act.planned.before.clone(), |e| e.before.clone());
        let undo = if changed && act.planned.undo.is_some() {
            action::undo_note(&act.step.action, &self.context(act.intent_at.0), &act.planned.target, &before)
                .map(crate::api::run::Undo::cut)
                .or_else(|| act.planned.undo.clone())
        } else {
            None
        };
        let outcome = Outcome {
            result,
            message: cut(message, 2048),
            plan: act.plan.clone(),
            intent_at: act.intent_at.clone(),
            acted_at: acted_at.map(MicroTime),
            known_at: MicroTime(self.world.now),
            changed,
            before,
            after: act.planned.after.clone(),
            undo,
            approvals: act.votes.clone(),
        };
        let (progress, abort) = (self.progress(act.step), self.abort_command());
        if changed {
            self.note_ratification(&act.votes);
        }
        self.entry(act).outcome = Some(outcome);
        self.say(Phase::Verifying, &progress, "", vec![abort]);
        Decision::Write(Box::new(self.draft.clone()))
    }

    /// Closes the step: everything that its record will say is in the journal before the record is made.
    pub fn settle(&mut self, act: &Act<'_>, verified: Verified, message: &str, evidence: Vec<Evidence>) -> Flow {
        let earlier = journal::settled(&self.draft);
        let (seq, prev_hash) = earlier.last().map_or((1, String::new()), |(_, _, s)| (s.seq + 1, s.hash.clone()));
        let key = journal::key(&act.planned.step, act.planned.attempt);
        let name = record::name(self.run, &act.planned.step, act.planned.attempt);
        self.entry(act).settled = Some(Settled {
            verified,
            message: cut(message, 2048),
            evidence: evidence.into_iter().take(16).collect(),
            at: MicroTime(self.world.now),
            record: name,
            seq,
            prev_hash,
            hash: String::new(),
        });
        let hash = record::build(self.run, &self.draft, &self.frozen, &key)
            .map(|r| record::hash_of(&r.spec))
            .unwrap_or_default();
        self.draft.record_head.clone_from(&hash);
        if let Some(settled) = self.entry(act).settled.as_mut() {
            settled.hash = hash;
        }
        let progress = self.progress(act.step);
        let abort = self.abort_command();
        self.say(Phase::Verifying, &progress, "", vec![abort]);
        Ok(Decision::Write(Box::new(self.draft.clone())))
    }

    fn entry(&mut self, act: &Act<'_>) -> &mut crate::api::run::StepJournal {
        self.entry_of(&act.planned.step, act.planned.attempt)
    }

    pub fn entry_of(&mut self, step: &str, attempt: i32) -> &mut crate::api::run::StepJournal {
        self.draft.steps.entry(journal::key(step, attempt)).or_default()
    }
}

/// How long to wait between two looks: often at first, then less often.
pub(super) fn pause(now: Timestamp, since: Timestamp) -> jiff::SignedDuration {
    match now.duration_since(since).as_secs() {
        ..5 => SOON,
        5..60 => super::RETRY,
        _ => super::GATE_LOOK,
    }
}
