//! What people have said counts only if the approval policies judged it: while one of them was away, anybody could have
//! written anything in any name.

use jiff::Timestamp;

use super::intent::Act;
use super::pass::{Flow, Pass, either};
use super::{RETRY, World};
use crate::action::{Answer, Query};
use crate::api::run::{Phase, Plan};
use crate::api::{RunbookRun, Step};

/// How the approval policies stand, as far as this pass has asked.
enum Guards {
    /// In force; with what is known of since when.
    InForce(Option<Since>),
    /// Not proven to be, and why.
    Unproven(String),
}

/// Since when they are as they are.
#[derive(Clone, Copy)]
struct Since {
    at: Timestamp,
    seen_before: Option<Timestamp>,
}

impl Since {
    /// In a sentence, for what was said before.
    fn sentence(self) -> String {
        format!("the approval policies were changed or put back at {}", self.at.strftime("%Y-%m-%d %H:%M:%SZ"))
    }
}

fn guards(world: &World) -> Guards {
    match world.seen.answer(&Query::Guards) {
        Some(Answer::Yes) => Guards::InForce(None),
        Some(Answer::InForce { since, seen_before }) => {
            Guards::InForce(Some(Since { at: *since, seen_before: *seen_before }))
        }
        Some(Answer::No(why) | Answer::Unreadable(why) | Answer::Forbidden(why)) => Guards::Unproven(why.clone()),
        _ => Guards::Unproven("no answer".to_owned()),
    }
}

fn since(world: &World) -> Option<Since> {
    match guards(world) {
        Guards::InForce(since) => since,
        Guards::Unproven(_) => None,
    }
}

/// For whoever waits for the proof, with the command that shows what is there.
fn waiting_for(why: &str) -> (String, String) {
    let text = format!("proof that the approval policies are in force: {why}; nothing is done until then");
    (text, "kubectl get validatingadmissionpolicybindings | grep firstaid".to_owned())
}

/// Why a run cannot be taken up: nobody may have judged who asked for it. To be asked when it is seen for the first time,
/// which without an outage is at once.
pub(super) fn unjudged_run(run: &RunbookRun, world: &World) -> Option<String> {
    let (since, created) = (since(world)?, run.metadata.creation_timestamp.as_ref()?.0);
    (created <= since.at).then(|| {
        format!("{}, and this run was made before: nobody has judged who asked for it; make it again", since.sentence())
    })
}

/// What a run waits for before it is taken up, with a command; none where the guards are in force.
pub(super) fn unproven(world: &World) -> Option<(String, String)> {
    match guards(world) {
        Guards::InForce(_) => None,
        Guards::Unproven(why) => Some(waiting_for(&why)),
    }
}

impl Pass<'_> {
    /// Waits until the guards are proven to be in force, and ends a run of which nobody has judged who asked for it.
    pub(super) fn check_guards(&mut self, act: &Act<'_>) -> Flow<()> {
        if let Guards::Unproven(why) = guards(self.world) {
            self.say_unguarded(act.step, &why);
            return Err(self.wait(RETRY));
        }
        self.check_origin(act)
    }

    fn say_unguarded(&mut self, step: &Step, why: &str) {
        let (progress, abort) = (self.progress(step), self.abort_command());
        let (text, command) = waiting_for(why);
        self.say(Phase::Waiting, &progress, &text, vec![command, abort]);
    }

    /// A run that was made between two looks at the guards of which they were otherwise: it was taken up before anybody knew.
    pub(super) fn check_origin(&mut self, act: &Act<'_>) -> Flow<()> {
        let Some(Since { at, seen_before: Some(before) }) = since(self.world) else { return Ok(()) };
        let Some(created) = self.run.metadata.creation_timestamp.as_ref().map(|at| at.0) else { return Ok(()) };
        // The API server's clock counts whole seconds.
        if created.as_second() < before.as_second() || created > at {
            return Ok(());
        }
        self.rule_out(act)?;
        let sentence = format!(
            "the approval policies were not in force all the time between {} and {}, and this run was made then: nobody has \
             judged who asked for it; make it again",
            before.strftime("%Y-%m-%d %H:%M:%SZ"),
            at.strftime("%H:%M:%SZ")
        );
        Err(either(self.finish(Phase::Failed, "Unguarded", &sentence)))
    }

    /// Why votes on a plan prove nothing: they may have been given while nobody judged them. Broken glass stays broken, so
    /// what counts for that is the age of the run.
    pub(super) fn unjudged_votes(&self, plan: &Plan, broken: bool) -> Option<String> {
        let since = since(self.world)?;
        let created = self.run.metadata.creation_timestamp.as_ref().map_or(plan.planned_at.0, |at| at.0);
        let old = if broken { created } else { self.asked_at(plan) } <= since.at;
        let again = if broken { "; start another run" } else { "" };
        old.then(|| format!("{}: what was said before proves nothing{again}", since.sentence()))
    }

    /// When people were asked to vote on a plan, by the API server's clock: no vote is older than its ballot.
    fn asked_at(&self, plan: &Plan) -> Timestamp {
        let of_plan = self
            .ballots
            .iter()
            .filter(|ballot| plan.ballots.iter().any(|slot| Some(&slot.name) == ballot.metadata.name.as_ref()));
        let issued = of_plan.filter_map(|ballot| ballot.metadata.creation_timestamp.as_ref()).map(|at| at.0);
        issued.min().unwrap_or(plan.planned_at.0)
    }

    /// Why the word of a person on a question that was asked then proves nothing; none where it counts.
    pub(super) fn unjudged_word(&self, asked: Timestamp) -> Flow<Option<String>> {
        self.require(&[Query::Guards])?;
        Ok(match guards(self.world) {
            Guards::InForce(Some(since)) if asked <= since.at => {
                Some(format!("{}, and what settle says may have been judged by nobody", since.sentence()))
            }
            Guards::InForce(_) => None,
            Guards::Unproven(why) => Some(format!("what settle says counts only under the approval policies: {why}")),
        })
    }
}
