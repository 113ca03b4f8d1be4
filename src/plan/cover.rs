//! `coversUndo`: the approval of a run lets what it did be undone for a while, without asking anybody anew. It counts as long
//! as it would count for the run itself: the ballots stand, and whoever marked them still may.

use super::RETRY;
use super::ballot::{self, Mark};
use super::floor::Terms;
use super::gate::Before;
use super::journal::{self, Segment};
use super::pass::{Flow, Pass, either};
use crate::action::{self, Answer, Query};
use crate::api::run::{Phase, Plan};
use crate::api::runbook::{Gate, SelfApproval};
use crate::api::step::Action;
use crate::api::vote::{CountedVote, Cover, DecidedAs};
use crate::api::{Approval, Step};

/// The approval that covers all of these steps, if it is one and the same; until the first of them is covered no longer.
fn common<'a>(steps: impl Iterator<Item = &'a Step>) -> Option<Cover> {
    let of = |step: &'a Step| match &step.action {
        Action::Undo(undoing) => undoing.covered.clone(),
        _ => None,
    };
    let both = |one: Option<Cover>, other: Option<Cover>| {
        let (one, other) = (one?, other?);
        let until = if one.until.0 <= other.until.0 { one.until.clone() } else { other.until.clone() };
        let other = Cover { until: one.until.clone(), ..other };
        (one == other).then_some(Cover { until, ..one })
    };
    steps.map(of).reduce(both).flatten()
}

/// Whether the votes are as many, of the roles and by the leave that are asked for now: the platform may ask for more than
/// it did then. Whoever asks for the undo is a requester like any other, also where they approved what is undone.
fn suffices(cover: &Cover, gate: &Gate, requester: &str) -> bool {
    let allowed = |vote: &CountedVote| match vote.decided_as {
        _ if vote.by == requester => gate.self_approval == SelfApproval::Always,
        DecidedAs::Approver => true,
        DecidedAs::Alone => gate.self_approval != SelfApproval::Never,
        DecidedAs::Requester => gate.self_approval == SelfApproval::Always,
        DecidedAs::BreakGlass => false,
    };
    let proven = |vote: &CountedVote| !gate.verified_credential || !vote.credential_id.is_empty();
    let of_role = |role: &str| cover.votes.iter().filter(|vote| vote.role == role).count();
    cover.votes.iter().all(|vote| allowed(vote) && proven(vote))
        && gate.requires.iter().all(|r| usize::try_from(r.count.max(1)).is_ok_and(|count| of_role(&r.role) >= count))
}

impl Pass<'_> {
    /// The approval that covers a plan of these steps that is made now. Only the first plan of a segment is covered: a later one
    /// is made because something has changed, and people look at it.
    pub fn cover(&self, segment: &Segment<'_>, names: &[&str], terms: &Terms, revision: usize) -> Option<Cover> {
        let gate = terms.gate.as_ref()?;
        let planned = segment.steps.iter().copied().filter(|step| names.contains(&step.name.as_str()));
        let cover = common(planned.clone())?;
        let counts = self.world.now < cover.until.0
            && suffices(&cover, gate, ballot::requester(self.run))
            && self.acted_on(planned).is_none();
        (revision == 1 && counts).then_some(cover)
    }

    /// Why what is found on a target may be another run's: that one acted on it later, behind a gate of its own, and an approval
    /// covers nothing of it. Nobody can tell by the value alone.
    fn acted_on<'s>(&self, steps: impl Iterator<Item = &'s Step>) -> Option<String> {
        let own = self.token("", 0);
        let own = own.rsplit_once("//").map_or("", |(run, _)| run);
        steps.into_iter().find_map(|step| {
            let Action::Undo(undoing) = &step.action else { return None };
            let object = action::object_of(&step.action).and_then(|object| self.world.seen.object(&object).ok())?;
            let token = action::token_of(object).unwrap_or_default();
            let ours = token.starts_with(&undoing.mark) || token.starts_with(&format!("{own}/"));
            (!ours).then(|| format!("{} was acted on by another run since", undoing.target.display()))
        })
    }

    /// The votes that let a covered undo act, or what is to be done where they do no longer.
    pub(super) fn open_covered(&mut self, before: &Before<'_>, gate: &Gate, cover: &Cover) -> Flow<Vec<CountedVote>> {
        let Before { segment, plan, act, .. } = before;
        // Whoever could write a plan into the journal could write a cover into it; what was frozen is written once.
        let steps = segment.steps.iter().copied().filter(|step| plan.steps.iter().any(|p| p.step == step.name));
        if common(steps).as_ref() != Some(cover) || !suffices(cover, gate, ballot::requester(self.run)) {
            let why = "the plan in the journal is covered by an approval that was not frozen with this run";
            return Err(either(self.finish(Phase::Failed, "GateUnknown", why)));
        }
        let mut queries = vec![Query::Journal, Query::Guards, Query::Brake];
        queries.extend(cover.votes.iter().map(|vote| Query::Ballot(vote.ballot.clone())));
        queries.extend(self.looks_of(segment, plan));
        self.require(&queries)?;
        self.check_origin(act)?;
        let begun = journal::bound_votes(&self.draft, &act.plan).is_some();
        if !begun && self.world.now >= cover.until.0 {
            let why = format!(
                "the approval of what is undone covered its undo until {}",
                cover.until.0.strftime("%Y-%m-%dT%H:%M:%SZ")
            );
            return Err(self.ask_anew(before, &why));
        }
        let mut ballots = Vec::new();
        for vote in &cover.votes {
            match self.covering_ballot(cover, vote) {
                Ok(ballot) => ballots.push(ballot),
                Err(Doubt::Unreadable(why)) => return Err(self.wait_for_ballots(plan, &vote.ballot, &why)),
                Err(Doubt::Void(why)) => return Err(self.ask_anew(before, &why)),
            }
        }
        let left = segment.steps.iter().copied().filter(|step| {
            plan.steps.iter().any(|p| p.step == step.name)
                && matches!(journal::state(&self.draft, &step.name), journal::StepState::Untouched { .. })
        });
        if let Some(why) = self.acted_on(left) {
            return Err(self.ask_anew(before, &why));
        }
        if let Some(why) = self.unjudged_ballots(&ballots) {
            return Err(self.ask_anew(before, &why));
        }
        let access = self.access_of(cover.votes.iter().zip(&ballots));
        self.require(&access)?;
        if let Some(why) = self.lost_rights(act, &access)? {
            return Err(self.ask_anew(before, &why));
        }
        match self.voided(segment, plan)? {
            Some(why) => Err(self.ask_anew(before, &why)),
            None => Ok(cover.votes.clone()),
        }
    }

    /// The ballot of a vote that covers an undo, judged again.
    fn covering_ballot(&self, cover: &Cover, vote: &CountedVote) -> Result<Approval, Doubt> {
        let void = |why: &str| Doubt::Void(format!("ballot {} covers no undo: {why}", vote.ballot));
        let ballot: Approval = match self.world.seen.answer(&Query::Ballot(vote.ballot.clone())) {
            Some(Answer::Object(Some(ballot))) => {
                serde_json::from_value(ballot.clone()).map_err(|error| void(&format!("it cannot be read: {error}")))?
            }
            Some(Answer::Object(None)) => return Err(void("it is gone")),
            Some(other) => return Err(Doubt::Unreadable(action::obstacle(other, "read it").to_string())),
            None => return Err(Doubt::Unreadable("no answer".to_owned())),
        };
        let asked = &ballot.spec.request;
        if asked.run_uid != cover.run_uid || asked.plan_hash != cover.plan_hash {
            return Err(void("it is of another plan"));
        }
        match ballot::read(&ballot) {
            Mark::Approve(found) if found == *vote => Ok(ballot),
            Mark::Approve(_) | Mark::Empty | Mark::Deny { .. } => Err(void("it does not say what was counted")),
            Mark::Void(why) => Err(void(&why)),
        }
    }

    fn wait_for_ballots(&mut self, plan: &Plan, ballot: &str, why: &str) -> super::Decision {
        let (progress, abort) = (self.draft.progress.clone(), self.abort_command());
        let text =
            format!("the API server: ballot {ballot}, which covers \"{}\": {why}; it is tried again", plan.summary);
        self.say(Phase::Waiting, &progress, &text, vec![abort]);
        self.wait(RETRY)
    }
}

/// Why a ballot does not cover an undo.
enum Doubt {
    /// It could not be read; a later try may succeed.
    Unreadable(String),
    /// It does not, and why.
    Void(String),
}
