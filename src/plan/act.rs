//! Acting: the last live look, and the one conditional write.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use serde_json::Value;

use super::intent::Act;
use super::journal;
use super::memory::{Reply, Sent};
use super::pass::{Flow, ON_ITS_WAY, Pass, either};
use super::{Decision, GATE_LOOK, LATE_COPIES, RETRY, SOON, ballot};
use crate::action::{self, Answer, Effect, ObjectRef, Obstacle, Query, token_of, version_of};
use crate::api::run::{Phase, Result, SeenVersion, Verified};
use crate::api::{ABORT_ANNOTATION, SETTLE_ANNOTATION, SETTLE_BY_ANNOTATION, Step};

/// Whether an intent whose token is not on the target may have been acted on.
#[derive(Debug, PartialEq, Eq)]
enum Certainty {
    /// Nothing of it can be on the target, now or later.
    NothingLanded,
    /// It may have landed and been overwritten.
    Unclear,
}

/// Why a person is asked about a token that this process did not put there, as far as it knows.
const NOT_OUR_TOKEN: &str =
    "is not known (its token is there, but this operator has not sent it: another one has, or somebody wrote it)";
/// Why a person is asked, mostly.
const NOT_READ_BACK: &str = "could not be read back";

impl Pass<'_> {
    /// Sends the act, unless something is in its way. The order of the questions is the order of their weight.
    pub fn send(&mut self, act: &Act<'_>) -> Flow<Attempt> {
        let Act { step, planned, .. } = act;
        let sent = self.world.memory.sent.get(&planned.token).cloned();
        if let Some(Sent { effect, at, reply: Reply::Landed, .. }) = &sent {
            return self.landed(act, effect, *at).map(Attempt::Decided);
        }
        let context = self.context(act.intent_at.0);
        let mut queries = vec![Query::Journal, Query::Brake, Query::Guards];
        queries.extend(action::look(&step.action, &context));
        self.require(&queries)?;

        // What has been done is read back and journalled, whatever keeps us from doing more.
        let object = self.target(act).cloned();
        if object.as_ref().is_ok_and(|object| token_of(object) == Some(planned.token.as_str())) {
            // Whoever may write the target may write a token, which everybody can read in the plan.
            let decision =
                if self.nothing_sent(act) { self.ask_a_person(act, NOT_OUR_TOKEN) } else { self.found_done(act) };
            return decision.map(Attempt::Decided);
        }
        self.check_guards(act)?;
        self.check_brake(step)?;
        let object = match object {
            Ok(object) => object,
            Err(obstacle) => {
                let (reason, sentence) = self.surmount(step, obstacle)?;
                self.rule_out_late_copies(act, &sentence)?;
                let decision = if self.nothing_sent(act) {
                    self.refuse(act, reason, &sentence)
                } else {
                    self.ask_a_person(act, NOT_READ_BACK)
                };
                return decision.map(Attempt::Decided);
            }
        };
        self.check_another_of_us(step, &object)?;
        if self.certainty(act, &object) == Certainty::Unclear {
            if self.may_fit(act, &object) {
                // What a person says must not be overtaken.
                self.rule_out_late_copies(act, "no answer came back")?;
            }
            return self.ask_a_person(act, NOT_READ_BACK).map(Attempt::Decided);
        }
        self.check_holder(step, token_of(&object))?;
        let context = self.context(act.intent_at.0);
        let effect = match action::void(&step.action, &context, planned, &self.world.seen) {
            Ok(Some(why)) => return Ok(Attempt::Void(why)),
            // What would be refused if it were planned now (an autoscaler came, a rollout was paused) is refused. An undo has
            // been compared already.
            Ok(None) if journal::undone(&planned.step).is_none() => {
                action::plan(&step.action, &context, &self.world.seen)
                    .and_then(|_| action::effect(&step.action, &context, planned, &self.world.seen))
            }
            Ok(None) => action::effect(&step.action, &context, planned, &self.world.seen),
            Err(obstacle) => Err(obstacle),
        };
        let effect = match effect {
            Ok(effect) => effect,
            Err(obstacle) => {
                let (reason, sentence) = self.surmount(step, obstacle)?;
                self.rule_out_late_copies(act, &sentence)?;
                return self.refuse(act, reason, &sentence).map(Attempt::Decided);
            }
        };
        if effect.before == effect.after {
            return self.already(act, &effect).map(Attempt::Decided);
        }
        if let Some(sent) = &sent {
            self.heed(act, sent, &effect)?;
        }
        if self.run.status.as_ref().and_then(|status| status.driver.as_ref()) != self.draft.driver.as_ref() {
            // A write of the process before, or one of ours that was given up, must not come after the act.
            return Ok(Attempt::Decided(Decision::Write(Box::new(self.draft.clone()))));
        }
        Ok(Attempt::Decided(Decision::Act(Box::new(effect))))
    }

    /// The target as read in this pass.
    fn target(&self, act: &Act<'_>) -> std::result::Result<&Value, Obstacle> {
        match action::object_of(&act.step.action) {
            Some(reference) => self.world.seen.object(&reference),
            None => Err(action::refused(action::reason::INVALID, "it names no object")),
        }
    }

    /// What an earlier send has taught. A refusal is final where nothing that was tested has changed since; after a lost
    /// race the act is sent at once; anything else is sent again, but not too soon.
    fn heed(&mut self, act: &Act<'_>, sent: &Sent, effect: &Effect) -> Flow<()> {
        let same = sent.effect.patch == effect.patch;
        let why = match &sent.reply {
            Reply::Refused { code, message } if same && !matches!(code, 409 | 429) => {
                let reason =
                    if *code == 403 { action::reason::PERMISSION_MISSING } else { action::reason::WRITE_REFUSED };
                self.rule_out_late_copies(act, message)?;
                return Err(either(self.refuse(act, reason, message)));
            }
            Reply::Refused { code, .. } if !same && *code != 429 => return Ok(()),
            Reply::Landed => return Ok(()),
            Reply::Refused { message: why, .. } | Reply::Ambiguous(why) => why,
        };
        let again = sent.at + RETRY;
        if self.world.now >= again {
            return Ok(());
        }
        let (progress, abort) = (self.progress(act.step), self.abort_command());
        self.say(Phase::Acting, &progress, &format!("the API server: {why}; it is tried again"), vec![abort]);
        Err(self.wait_until(again))
    }

    /// Whether the intent may have been acted on, seeing that its token is not on the target.
    fn certainty(&self, act: &Act<'_>, object: &Value) -> Certainty {
        let now = &version_of(object);
        // An object that was made anew counts its generations anew, and tells nothing of the one before it.
        let same = self.is_same_object(act);
        let unchanged_since = |then: &SeenVersion| {
            same && if then.generation.is_some() {
                then.generation == now.generation
            } else {
                then.resource_version == now.resource_version
            }
        };
        let nothing = match self.world.memory.sent.get(&act.planned.token) {
            Some(sent) if sent.was_refused() => true,
            // As at the send: it has not landed, and the same patch may be sent again, since at most one can pass.
            Some(Sent { effect, .. }) => unchanged_since(&effect.seen),
            // Nobody can have acted before this process knew of it; or else nothing has changed since it was planned; or
            // what changed is what this run did before, and its token would be another one had this been done too.
            None => {
                self.world.memory.untouched.contains(&act.planned.token)
                    || unchanged_since(&act.planned.seen)
                    || (same && token_of(object).is_some_and(|token| self.is_of_an_earlier_step(token)))
                    || (same && self.only_others_changed(act, now))
            }
        };
        if nothing { Certainty::NothingLanded } else { Certainty::Unclear }
    }

    /// Whether a request that is on its way may fit the target as it is now: this process knows at which generation it sent its
    /// own, which is over, and of another process it knows nothing.
    fn may_fit(&self, act: &Act<'_>, object: &Value) -> bool {
        let driver = self.run.status.as_ref().and_then(|status| status.driver.as_ref());
        let alone = driver.is_some_and(|driver| driver.process == self.world.operator.process);
        let own = alone && self.world.memory.sent.contains_key(&act.planned.token);
        !own || version_of(object).generation.is_none()
    }

    /// Whether a token was left by a step of this run that is settled.
    fn is_of_an_earlier_step(&self, token: &str) -> bool {
        journal::settled(&self.draft).iter().any(|(key, _, _)| {
            key.rsplit_once('.')
                .is_some_and(|(step, attempt)| attempt.parse().is_ok_and(|attempt| self.token(step, attempt) == token))
        })
    }

    /// Before a plan that may have been acted on is given up, or its run declared over: the target is read, and a request
    /// that is still on its way gets the time that the API server itself would give it.
    pub fn rule_out(&mut self, act: &Act<'_>) -> Flow<()> {
        if !act.step.action.changes() {
            return Ok(());
        }
        // A request that was repeated on its way is refused the second time: what was refused is looked for, too.
        let was_sent = self.world.memory.sent.contains_key(&act.planned.token);
        if self.nothing_sent(act) && !was_sent {
            return Ok(());
        }
        self.require(&[Query::Journal])?;
        // Whatever is found was done under the votes that were cast on its plan, and its record says so.
        let act =
            &Act { votes: self.votes_on(&act.plan), plan: act.plan.clone(), intent_at: act.intent_at.clone(), ..*act };
        if let Some(Sent { effect, at, reply: Reply::Landed, .. }) =
            self.world.memory.sent.get(&act.planned.token).cloned()
        {
            return Err(either(self.landed(act, &effect, at)));
        }
        let mut queries = Vec::new();
        queries.extend(action::look(&act.step.action, &self.context(act.intent_at.0)));
        self.require(&queries)?;
        let unclear = match self.target(act).cloned() {
            Ok(object) if token_of(&object) == Some(act.planned.token.as_str()) => {
                return Err(either(if self.nothing_sent(act) {
                    self.ask_a_person(act, NOT_OUR_TOKEN)
                } else {
                    self.found_done(act)
                }));
            }
            _ if self.nothing_sent(act) => false,
            Ok(object) => {
                self.rule_out_late_copies(act, "no answer came back")?;
                self.certainty(act, &object) == Certainty::Unclear
            }
            Err(obstacle) => {
                let (_, sentence) = self.surmount(act.step, obstacle)?;
                self.rule_out_late_copies(act, &sentence)?;
                true
            }
        };
        if unclear { Err(either(self.ask_a_person(act, NOT_READ_BACK))) } else { Ok(()) }
    }

    /// Whether this process knows that nothing was ever sent for this intent, by anybody, that may still arrive.
    fn nothing_sent(&self, act: &Act<'_>) -> bool {
        match self.world.memory.sent.get(&act.planned.token) {
            Some(sent) => sent.was_refused(),
            None => self.world.memory.untouched.contains(&act.planned.token),
        }
    }

    fn rule_out_late_copies(&mut self, act: &Act<'_>, why: &str) -> Flow<()> {
        if self.nothing_sent(act) {
            return Ok(());
        }
        let since = self.world.memory.sent.get(&act.planned.token).map(|sent| sent.at).or(self.world.memory.first_seen);
        let over = since.unwrap_or(self.world.now) + LATE_COPIES;
        if self.world.now >= over {
            return Ok(());
        }
        let text = format!(
            "{ON_ITS_WAY}{}: an act may be on its way to {} ({why})",
            over.strftime("%H:%M:%SZ"),
            act.planned.target.display()
        );
        let (progress, commands) = (self.progress(act.step), self.target_commands(act));
        self.say(self.draft.phase, &progress, &text, commands);
        Err(self.wait_until(over.min(self.world.now + GATE_LOOK)))
    }

    /// Where the target bears a token of this run that the journal, as read, knows no outcome of, another operator drives
    /// this run too, and the journal was read before it wrote. What this process remembers is old then: it looks again.
    fn check_another_of_us(&mut self, step: &Step, object: &Value) -> Flow<()> {
        let of_this_run = format!("{}/{}/", self.name(), ballot::uid(self.run));
        let theirs = token_of(object).filter(|token| token.starts_with(&of_this_run));
        if theirs.is_none_or(|token| self.is_of_an_earlier_step(token)) {
            return Ok(());
        }
        let (progress, abort) = (self.progress(step), self.abort_command());
        let text = "the journal: another operator has acted for this run, and has not yet said what came of it";
        self.say(self.draft.phase, &progress, text, vec![abort]);
        Err(self.wait(RETRY))
    }

    fn is_same_object(&self, act: &Act<'_>) -> bool {
        let object = action::object_of(&act.step.action).and_then(|reference| self.world.seen.object(&reference).ok());
        object.is_some_and(|object| {
            object.pointer("/metadata/uid").and_then(serde_json::Value::as_str) == Some(&act.planned.target.uid)
        })
    }

    /// Whether the only change of the spec since it was planned is somebody else's. Ours would have counted one generation,
    /// and a value that is not ours by now another one.
    fn only_others_changed(&self, act: &Act<'_>, now: &SeenVersion) -> bool {
        let once = act.planned.seen.generation.zip(now.generation).is_some_and(|(then, now)| now == then + 1);
        let effect = action::effect(&act.step.action, &self.context(act.intent_at.0), act.planned, &self.world.seen);
        once && effect.is_ok_and(|effect| effect.before != effect.after)
    }

    fn check_brake(&mut self, step: &Step) -> Flow<()> {
        let namespace = self.world.operator.namespace.clone();
        let text = match self.world.seen.answer(&Query::Brake) {
            Some(Answer::Brake(None)) => return Ok(()),
            Some(Answer::Brake(Some(reason))) => format!("the global brake: {reason}"),
            Some(Answer::Unreadable(why) | Answer::Forbidden(why)) => {
                format!("the global brake, which cannot be read: {why}")
            }
            _ => "the global brake, which cannot be read".to_owned(),
        };
        let (progress, abort) = (self.progress(step), self.abort_command());
        let release = format!("kubectl delete configmap -n {namespace} firstaid-brake");
        self.say(Phase::Waiting, &progress, &text, vec![release, abort]);
        Err(self.wait(SOON))
    }

    /// One run per target: the token on it names the run that acted last, and an active one holds it.
    fn check_holder(&mut self, step: &Step, token: Option<&str>) -> Flow<()> {
        let mut parts = token.unwrap_or_default().split('/');
        let (Some(run), Some(uid)) = (parts.next(), parts.next()) else { return Ok(()) };
        // Anybody who may write the target may write this annotation. What is no name of a run holds nothing, and must
        // reach neither a request nor a command that people paste.
        if !action::is_object_name(run) || uid == ballot::uid(self.run) {
            return Ok(());
        }
        let query = Query::Holder { run: run.to_owned(), uid: uid.to_owned() };
        self.require(std::slice::from_ref(&query))?;
        let text = match self.world.seen.answer(&query) {
            Some(Answer::No(_)) => return Ok(()),
            Some(Answer::Yes) => format!("run {run}, which holds the same target until it ends"),
            _ => format!("run {run}, which may hold the same target and cannot be read"),
        };
        let (progress, abort, namespace) = (self.progress(step), self.abort_command(), self.namespace().to_owned());
        self.say(Phase::Waiting, &progress, &text, vec![format!("kubectl get rbr -n {namespace} {run}"), abort]);
        Err(self.wait(RETRY))
    }

    /// An outcome that reading could not settle, and why: a person looks and says.
    fn ask_a_person(&mut self, act: &Act<'_>, doubt: &str) -> Flow {
        let target = act.planned.target.display();
        let used = "the word settle has been used on this run";
        // The word is given once and answers one question: it must not answer a second one that nobody has looked at.
        let mut spent = self
            .draft
            .steps
            .values()
            .any(|entry| entry.outcome.as_ref().is_some_and(|o| o.result == Result::Unknown))
            .then(|| used.to_owned());
        if let Some(word) = self.annotation(SETTLE_ANNOTATION).filter(|_| spent.is_none()).map(str::to_owned) {
            let by = self.annotation(SETTLE_BY_ANNOTATION).unwrap_or("a person").to_owned();
            let (said, why) = word.split_once(char::is_whitespace).unwrap_or((word.as_str(), ""));
            let message =
                format!("whether {target} was changed could not be read back; {by} said {said}: {}", why.trim());
            let asked = self.draft.asked_at.as_ref().map(|at| at.0);
            spent = self.unjudged_word(act, asked)?;
            match said {
                _ if spent.is_some() => {}
                "done" => return Ok(self.write_outcome(act, Result::Unknown, &message, None, None)),
                "not-done" => return self.not_done(act, &message),
                // The API server refuses any other word; a wrong guess here would be a second act.
                _ => spent = Some(used.to_owned()),
            }
        }
        if spent.is_some() && self.annotation(ABORT_ANNOTATION).is_some() {
            let message = format!("whether {target} was changed could not be read back, and the run was stopped");
            self.write_outcome(act, Result::Unknown, &message, None, None);
            return self.settle(act, Verified::Unknown, &message, Vec::new());
        }
        if self.annotation(SETTLE_ANNOTATION).is_none() {
            self.require(&[Query::Guards])?;
            if self.is_to_be_asked_anew(self.draft.asked_at.as_ref().map(|at| at.0)) {
                self.draft.asked_at = Some(MicroTime(self.world.now));
            }
        }
        let (progress, mut commands) = (self.progress(act.step), self.target_commands(act));
        let (namespace, name) = (self.namespace().to_owned(), self.name().to_owned());
        let how = if let Some(spent) = spent {
            commands.push(self.abort_command());
            format!("{spent}, so look, then stop it")
        } else {
            commands.push(format!("kubectl annotate rbr -n {namespace} {name} settle=\"done WHY\""));
            commands.push(format!("kubectl annotate rbr -n {namespace} {name} settle=\"not-done WHY\""));
            "look, then settle it".to_owned()
        };
        let summary = &act.planned.summary;
        let text = format!("a person: whether \"{summary}\" took place {doubt}; {how}");
        self.say(Phase::NeedsHuman, &progress, &text, commands);
        Ok(self.wait(GATE_LOOK))
    }

    fn target_commands(&self, act: &Act<'_>) -> Vec<String> {
        let target = &act.planned.target;
        let object =
            ObjectRef { api_version: target.api_version.clone(), kind: target.kind.clone(), name: target.name.clone() };
        vec![format!("kubectl get -n {} {} {} -o yaml", target.namespace, object.typed(), target.name)]
    }
}

/// What came of trying to act.
pub(super) enum Attempt {
    /// Something is to be done, or has been settled.
    Decided(Decision),
    /// The plan holds no longer, and why.
    Void(String),
}
