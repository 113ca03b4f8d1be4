//! What people have said counts only if the approval policies judged it: while one of them was away, anybody could have
//! written anything in any name.

use jiff::Timestamp;

use super::intent::Act;
use super::pass::{Flow, Pass, either};
use super::{RETRY, World, journal};
use crate::action::{Answer, Gap, Query};
use crate::api::run::{Phase, Plan};
use crate::api::{Approval, RunbookRun, Step};

/// How the approval policies stand, as far as this pass has asked.
enum Guards<'a> {
    /// In force; with the times in which they may have been away, the newest last.
    InForce(&'a [Gap]),
    /// Not proven to be, and why.
    Unproven(String),
}

fn guards(world: &World) -> Guards<'_> {
    match world.seen.answer(&Query::Guards) {
        Some(Answer::Yes) => Guards::InForce(&[]),
        Some(Answer::InForce(gaps)) => Guards::InForce(gaps),
        Some(Answer::No(why) | Answer::Unreadable(why) | Answer::Forbidden(why)) => Guards::Unproven(why.clone()),
        _ => Guards::Unproven("no answer".to_owned()),
    }
}

fn gaps(world: &World) -> &[Gap] {
    match guards(world) {
        Guards::InForce(gaps) => gaps,
        Guards::Unproven(_) => &[],
    }
}

/// When it was, in a sentence.
fn sentence(gap: &Gap) -> String {
    let until = gap.until.strftime("%Y-%m-%dT%H:%M:%SZ");
    match gap.from {
        Some(from) => format!(
            "the approval policies were not in force for certain between {} and {until}",
            from.strftime("%Y-%m-%dT%H:%M:%SZ")
        ),
        None => format!("the approval policies were not in force for certain until {until}"),
    }
}

/// For whoever waits for the proof, with the command that shows what is there.
fn waiting_for(why: &str) -> (String, String) {
    let text = format!("proof that the approval policies are in force: {why}; nothing is done until then");
    (text, "kubectl get validatingadmissionpolicybindings | grep firstaid".to_owned())
}

/// Why nothing is done for a run: nobody may have judged who asked for it, nor what its journal was at the start.
pub(super) fn unjudged_run(run: &RunbookRun, world: &World) -> Option<String> {
    let created = run.metadata.creation_timestamp.as_ref()?.0;
    let gap = gaps(world).iter().find(|gap| gap.covers(created))?;
    Some(format!("{}, when this run was made: who asked for it is not known; make it again", sentence(gap)))
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

    /// Ends a run that was made while the guards were away, and was taken up before anybody knew. What it has done is undone
    /// all the same, where its runbook says so.
    pub(super) fn check_origin(&mut self, act: &Act<'_>) -> Flow<()> {
        if journal::undone(&act.planned.step).is_some() {
            return Ok(());
        }
        let Some(why) = unjudged_run(self.run, self.world) else { return Ok(()) };
        self.rule_out(act)?;
        Err(either(self.finish(Phase::Failed, "Unguarded", &why)))
    }

    /// Why votes on a plan prove nothing: they may have been given while nobody judged them. Broken glass stays broken, so
    /// what counts for that is the age of the run.
    pub(super) fn unjudged_votes(&self, plan: &Plan, broken: bool) -> Option<String> {
        let newest = gaps(self.world).last()?;
        let created = self.run.metadata.creation_timestamp.as_ref().map_or(plan.planned_at.0, |at| at.0);
        let old = newest.ends_after(if broken { created } else { self.asked_at(plan) });
        let again = if broken { "; start another run" } else { "" };
        old.then(|| format!("{}: what was said before proves nothing{again}", sentence(newest)))
    }

    /// Why ballots that were marked for another run prove nothing: one of them is older than the end of the newest gap.
    pub(super) fn unjudged_ballots(&self, ballots: &[Approval]) -> Option<String> {
        let newest = gaps(self.world).last()?;
        let issued = ballots.iter().filter_map(|ballot| ballot.metadata.creation_timestamp.as_ref()).map(|at| at.0);
        let old = issued.min().is_none_or(|oldest| newest.ends_after(oldest));
        old.then(|| format!("{}: what was said before covers no undo", sentence(newest)))
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

    /// Whether the word of a person counts on a question that was first put to people then, without a word there; else why
    /// not.
    pub(super) fn unjudged_word(&mut self, act: &Act<'_>, asked: Option<Timestamp>) -> Flow<Option<String>> {
        self.require(&[Query::Guards])?;
        let newest = match guards(self.world) {
            Guards::InForce(gaps) => gaps.last(),
            Guards::Unproven(why) => {
                self.say_unguarded(act.step, &why);
                return Err(self.wait(RETRY));
            }
        };
        Ok(match (newest, asked) {
            (_, None) => Some("what settle says was written before anybody was asked".to_owned()),
            (Some(gap), Some(asked)) if gap.ends_after(asked) => {
                Some(format!("{}, and what settle says may have been judged by nobody", sentence(gap)))
            }
            (_, Some(_)) => None,
        })
    }

    /// Whether people who were asked then must be asked anew, so that their answer can be told from one that nobody judged.
    pub(super) fn is_to_be_asked_anew(&self, asked: Option<Timestamp>) -> bool {
        let newest = gaps(self.world).last();
        asked.is_none_or(|asked| newest.is_some_and(|gap| gap.ends_after(asked)))
    }
}
