//! Gates: whether the votes of people let an act pass, and what is done where they do not.

use jiff::Timestamp;

use super::intent::Act;
use super::journal::{self, Segment};
use super::pass::{Flow, Pass, either};
use super::segment::{BALLOTS_RAN_OUT, later};
use super::tally::{Tally, glass_of, tally};
use super::{Decision, GATE_LOOK, floor};
use crate::action::{self, Answer, Query};
use crate::api::run::{Phase, Plan, PlannedStep};
use crate::api::runbook::Gate;
use crate::api::vote::{CountedVote, DecidedAs};
use crate::api::{Approval, Step};

/// What stands before a gate: an act under a plan of a segment.
pub(super) struct Before<'a> {
    /// The number of the segment.
    pub index: usize,
    /// The segment.
    pub segment: &'a Segment<'a>,
    /// Its newest plan.
    pub plan: &'a Plan,
    /// The first act that is not done yet.
    pub act: &'a Act<'a>,
}

/// The steps of a plan that change something, with what is planned for them.
fn changes<'a>(segment: &'a Segment<'_>, plan: &'a Plan) -> impl Iterator<Item = (&'a Step, &'a PlannedStep)> {
    let step_of = |planned: &PlannedStep| {
        segment.steps.iter().find(|step| step.name == planned.step && step.action.changes()).copied()
    };
    plan.steps.iter().filter_map(move |planned| Some((step_of(planned)?, planned)))
}

impl Pass<'_> {
    /// The votes that open the gate before this plan, or what is to be done until there are enough.
    pub fn open_gate(&mut self, before: &Before<'_>) -> Flow<Vec<CountedVote>> {
        let Before { segment, plan, act, .. } = before;
        if let Some(name) = segment.gate.filter(|name| !self.asks_enough(name, plan)) {
            let why = format!("the plan in the journal asks for less than gate {name} of the runbook that was frozen");
            return Err(either(self.finish(Phase::Failed, "GateUnknown", &why)));
        }
        if let Some(why) = self.asked_for_since(segment, plan) {
            return Err(self.ask_anew(before, &why));
        }
        let Some(gate) = &plan.terms else { return Ok(Vec::new()) };
        if let Some(cover) = &plan.covered {
            return self.open_covered(before, gate, cover);
        }
        if let Some(votes) = journal::bound_votes(&self.draft, &act.plan) {
            let votes = votes.to_vec();
            return self.keep_open(before, gate, votes);
        }
        let verdict = tally(self.run, plan, self.ballots.iter().copied());
        let mut queries = vec![Query::Journal, Query::Guards];
        if let Tally::Quorum(votes) = &verdict {
            // All in one go: nothing but these reads stands between the approval and the act.
            queries.push(Query::Brake);
            queries.extend(self.access_queries(votes));
            queries.extend(self.looks_of(segment, plan));
        }
        self.require(&queries)?;
        self.check_origin(act)?;
        self.close_old_ballots(before.index)?;
        self.ask_missing(&act.plan, plan, gate)?;
        match verdict {
            Tally::Quorum(votes) => self.let_pass(before, gate, votes),
            Tally::Denied { by, why } => Err(self.denied(act, &by, &why)),
            Tally::Waiting { empty, void } => Err(self.wait_for_votes(before, gate, empty, &void)),
        }
    }

    /// Something was done under this plan. Its votes are bound, until its ballots are out for as long as the gate waits. Whether the voters still hold their
    /// roles does, before every act.
    fn keep_open(&mut self, before: &Before<'_>, gate: &Gate, votes: Vec<CountedVote>) -> Flow<Vec<CountedVote>> {
        // Not for ever: whoever holds a target up would choose when the rest of an old approval is used.
        if self.world.now >= later(self.expiry(before.plan), gate.timeout.seconds()) {
            self.rule_out(before.act)?;
            let too_late = "what was approved was begun, but could not go on for too long,";
            return Err(either(self.expire(gate, "ApprovedTooLate", too_late)));
        }
        let access = self.access_queries(&votes);
        let mut queries = vec![Query::Journal, Query::Guards];
        queries.extend(access.iter().cloned());
        self.require(&queries)?;
        // That a gap was there may be known only now, after an act that was let by what somebody said in it.
        self.heed_gaps(before, is_broken_glass(&votes))?;
        // Glass that was broken leaves ballots open: a no on one of them is heard before each further act.
        if is_broken_glass(&votes)
            && let Tally::Denied { by, why } = tally(self.run, before.plan, self.ballots.iter().copied())
        {
            return Err(self.denied(before.act, &by, &why));
        }
        match self.lost_rights(before.act, &access)? {
            None => Ok(votes),
            Some(why) => Err(self.ask_anew(before, &why)),
        }
    }

    /// There are enough votes. Do they still prove what they must?
    fn let_pass(&mut self, before: &Before<'_>, gate: &Gate, votes: Vec<CountedVote>) -> Flow<Vec<CountedVote>> {
        let Before { segment, plan, act, .. } = before;
        let broken = is_broken_glass(&votes);
        if self.world.now >= self.expiry(plan) && !broken {
            // A vote binds only while its ballot is valid: an outage cannot make an old vote look fresh. But somebody may have
            // acted while it was, and may not have lived to say so.
            self.rule_out(act)?;
            let too_late = "it was approved, but could not be done before the ballots ran out,";
            return Err(either(match self.world.now >= deadline(gate, plan) {
                true => self.expire(gate, "ApprovedTooLate", too_late),
                false => self.plan_segment(before.index, segment, BALLOTS_RAN_OUT),
            }));
        }
        self.heed_gaps(before, broken)?;
        if let Some(why) = self.lost_rights(act, &self.access_queries(&votes))? {
            return Err(self.ask_anew(before, &why));
        }
        match self.voided(segment, plan)? {
            Some(why) => Err(self.ask_anew(before, &why)),
            None => Ok(votes),
        }
    }

    /// What people said may have been judged by nobody: they are asked anew, and broken glass ends the run.
    fn heed_gaps(&mut self, before: &Before<'_>, broken: bool) -> Flow<()> {
        let Some(why) = self.unjudged_votes(before.plan, broken) else { return Ok(()) };
        if !broken {
            return Err(self.ask_anew(before, &why));
        }
        self.rule_out(before.act)?;
        Err(either(self.finish(Phase::Failed, "Unguarded", &why)))
    }

    /// There are not enough votes.
    fn wait_for_votes(&mut self, before: &Before<'_>, gate: &Gate, empty: usize, void: &[String]) -> Decision {
        let Before { segment, plan, .. } = before;
        let (expires, deadline) = (self.expiry(plan), deadline(gate, plan));
        if self.world.now >= deadline {
            let said = self.approvals(plan);
            return either(match said.is_empty() {
                true => self.expire(gate, "NobodyDecided", "nobody decided"),
                false => {
                    let what = format!("{} approved, and nobody else decided", said.join(" and "));
                    self.expire(gate, "TooFewDecided", &what)
                }
            });
        }
        if self.world.now >= expires {
            return either(self.plan_segment(before.index, segment, BALLOTS_RAN_OUT));
        }
        if empty == 0 {
            return either(self.plan_segment(before.index, segment, &void.join("; ")));
        }
        // Nobody shall be asked to approve what holds no longer.
        match self.voided(segment, plan) {
            Err(early) => return early,
            Ok(Some(why)) => return self.ask_anew(before, &why),
            Ok(None) => {}
        }
        if let Err(early) = self.admit_requester(gate, plan) {
            return early;
        }
        let progress = self.draft.progress.clone();
        self.say_waiting(&progress, gate, plan);
        let alone = self.alone_at(gate, plan).filter(|alone| *alone > self.world.now).unwrap_or(deadline);
        self.wait_until(expires.min(deadline).min(alone).min(self.world.now + GATE_LOOK))
    }

    /// The plan is given up, and people are asked about a new one.
    pub(super) fn ask_anew(&mut self, before: &Before<'_>, why: &str) -> Decision {
        match self.rule_out(before.act) {
            Ok(()) => either(self.plan_segment(before.index, before.segment, why)),
            Err(early) => early,
        }
    }

    /// Somebody said no. Whoever broke the glass may have opened the gate before that.
    fn denied(&mut self, act: &Act<'_>, by: &str, why: &str) -> Decision {
        if let Err(early) = self.rule_out(act) {
            return early;
        }
        let by = if by.is_empty() { "somebody" } else { by };
        let why = if why.is_empty() { "no reason given" } else { why };
        either(self.finish(Phase::Denied, "Denied", &format!("{by} said no: {why}")))
    }

    fn expire(&mut self, gate: &Gate, reason: &str, what: &str) -> Flow {
        self.finish(Phase::Expired, reason, &format!("{what} at gate {} within {}", gate.name, gate.timeout))
    }

    /// Until when the ballots of a plan may be marked.
    fn expiry(&self, plan: &Plan) -> Timestamp {
        plan.expires_at.as_ref().map_or(self.world.now, |at| at.0)
    }

    /// Whether a plan asks for what its gate asks for at least. This operator writes no other; but the frozen runbook can be
    /// written once only, and a plan can be added to the journal by whoever is let.
    fn asks_enough(&self, name: &str, plan: &Plan) -> bool {
        let wanted = self.frozen.gates.iter().find(|gate| gate.name == name);
        let Some((wanted, terms)) = wanted.zip(plan.terms.as_ref()).filter(|_| plan.gate.as_deref() == Some(name))
        else {
            return false;
        };
        let author = Some(self.frozen.author.as_str()).filter(|author| !author.is_empty());
        let excludes = wanted.author_may_approve || plan.excluded.as_deref() == author;
        excludes && floor::is_as_strict(terms, wanted)
    }

    /// What the platform asks for by now and a plan does not, also where it was made, or begun, before that was asked. What is
    /// asked for no longer stays in the plan: people were told of it.
    fn asked_for_since(&self, segment: &Segment<'_>, plan: &Plan) -> Option<String> {
        let gate = segment.gate.and_then(|name| self.frozen.gates.iter().find(|gate| gate.name == name));
        let floors = match floor::terms(gate, &plan.steps, &self.world.operator.floors) {
            // The plan that follows fails, and says why.
            Err(unmet) => return Some(unmet.sentence),
            Ok(now) => match (&now.gate, &plan.terms) {
                (Some(now), Some(terms)) if floor::is_as_strict(terms, now) => return None,
                (None, _) => return None,
                _ => now.floors,
            },
        };
        Some(format!("the platform asks for more since it was planned ({})", floors.join("; ")))
    }

    /// What must be read to judge whether a plan still holds.
    pub(super) fn looks_of(&self, segment: &Segment<'_>, plan: &Plan) -> Vec<Query> {
        let context = self.context(plan.planned_at.0);
        let mut queries = Vec::new();
        for (step, _) in changes(segment, plan) {
            queries.extend(
                action::look(&step.action, &context).into_iter().filter(|q| !queries.contains(q)).collect::<Vec<_>>(),
            );
        }
        queries
    }

    /// Why a plan holds no longer, judged by all of its effects: nothing is begun under a plan of which a part is void.
    pub(super) fn voided(&self, segment: &Segment<'_>, plan: &Plan) -> Flow<Option<String>> {
        self.require(&self.looks_of(segment, plan))?;
        let context = self.context(plan.planned_at.0);
        for (step, planned) in changes(segment, plan) {
            let object = action::object_of(&step.action).and_then(|object| self.world.seen.object(&object).ok());
            if object.and_then(action::token_of) == Some(planned.token.as_str()) {
                continue; // Done already, before this process knew.
            }
            if let Ok(Some(why)) = action::void(&step.action, &context, planned, &self.world.seen) {
                return Ok(Some(why));
            }
        }
        Ok(None)
    }

    /// The votes under which something was, or may have been, done under a plan.
    pub fn votes_on(&self, key: &str) -> Vec<CountedVote> {
        if let Some(votes) = journal::bound_votes(&self.draft, key) {
            return votes.to_vec();
        }
        let Some(plan) = self.draft.plans.get(key) else { return Vec::new() };
        if let Some(cover) = &plan.covered {
            return cover.votes.clone();
        }
        match tally(self.run, plan, self.ballots.iter().copied()) {
            Tally::Quorum(votes) => votes,
            // What was done before the no was done under the broken glass.
            Tally::Denied { .. } => glass_of(self.run, plan).into_iter().collect(),
            Tally::Waiting { .. } => Vec::new(),
        }
    }

    /// Who may still approve, of those who voted on ballots of this run?
    fn access_queries(&self, votes: &[CountedVote]) -> Vec<Query> {
        let named = votes.iter().filter_map(|vote| {
            Some((vote, *self.ballots.iter().find(|b| b.metadata.name.as_ref() == Some(&vote.ballot))?))
        });
        self.access_of(named)
    }

    /// Who may still approve? Only where the cluster stamped the voter's groups: without them nobody can tell.
    pub(super) fn access_of<'v>(&self, votes: impl Iterator<Item = (&'v CountedVote, &'v Approval)>) -> Vec<Query> {
        let stamped = |(vote, ballot): (&CountedVote, &Approval)| {
            // No groups: they were too many to be stamped. A review without them would refuse a vote that was proper.
            let voter = ballot.spec.voter.clone().filter(|voter| !voter.groups.is_empty())?;
            Some(Query::Access {
                voter: Box::new(voter),
                role: vote.role.clone(),
                runbook: self.run.spec.runbook.clone(),
            })
        };
        votes.filter_map(stamped).collect()
    }

    /// Who has lost the right to approve since the vote. What cannot be asked is waited for.
    pub(super) fn lost_rights(&mut self, act: &Act<'_>, access: &[Query]) -> Flow<Option<String>> {
        for query in access {
            let Query::Access { voter, role, .. } = query else { continue };
            let why = match self.world.seen.answer(query) {
                Some(Answer::Yes) => continue,
                Some(Answer::No(_)) => return Ok(Some(format!("{} may no longer approve as {role}", voter.username))),
                Some(Answer::Unreadable(why) | Answer::Forbidden(why)) => why.clone(),
                _ => "no answer".to_owned(),
            };
            let text = format!(
                "the API server: whether {} may still approve as {role} cannot be asked: {why}; it is tried again",
                voter.username
            );
            let (progress, abort) = (self.progress(act.step), self.abort_command());
            self.say(Phase::Waiting, &progress, &text, vec![abort]);
            return Err(self.wait(super::RETRY));
        }
        Ok(None)
    }
}

/// When a gate is given up: a timer never approves.
fn deadline(gate: &Gate, plan: &Plan) -> Timestamp {
    later(plan.gate_since.0, gate.timeout.seconds())
}

fn is_broken_glass(votes: &[CountedVote]) -> bool {
    votes.iter().any(|vote| vote.decided_as == DecidedAs::BreakGlass)
}
