//! Gates: counting votes, and what people are told while a gate is closed.

use jiff::Timestamp;

use super::intent::Act;
use super::journal::{self, Segment};
use super::pass::{Flow, Pass, either};
use super::segment::{BALLOTS_RAN_OUT, later};
use super::{Decision, GATE_LOOK, Retirement, ballot};
use crate::action::{self, Answer, Query};
use crate::api::approval::{Approval, BallotState};
use crate::api::run::{Phase, Plan, PlannedStep, Slot};
use crate::api::runbook::{Gate, Requirement};
use crate::api::vote::{CountedVote, DecidedAs};
use crate::api::{RunbookRun, Step};

/// How a gate stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tally {
    /// Somebody said no.
    Denied {
        /// Who.
        by: String,
        /// Why.
        why: String,
    },
    /// Enough different people said yes.
    Quorum(Vec<CountedVote>),
    /// It is still open to votes.
    Waiting {
        /// How many votes count so far.
        have: usize,
        /// How many ballots nobody has marked.
        empty: usize,
        /// Why others do not count.
        void: Vec<String>,
    },
}

/// Counts the votes on a plan. One person counts once, however many ballots they marked. Whoever broke the glass opens
/// every gate of the run alone, but not against somebody who says no.
pub(super) fn tally<'a>(run: &RunbookRun, plan: &Plan, ballots: impl Iterator<Item = &'a Approval>) -> Tally {
    let ballots: Vec<&Approval> = ballots.filter(|ballot| ballot::is_of(ballot, run)).collect();
    // A no is heard on whatever plan of this gate it was said: the plan may have been made anew in that moment.
    let segment = segment_of(run, plan);
    let of_segment = |b: &&&Approval| b.spec.request.plan.split_once('.').map(|(segment, _)| segment) == segment;
    for ballot in ballots.iter().filter(of_segment) {
        if let ballot::Mark::Deny { by, why } = ballot::read(ballot) {
            return Tally::Denied { by, why };
        }
    }
    let mut votes: Vec<CountedVote> = Vec::new();
    let (mut void, mut marked) = (Vec::new(), 0);
    for ballot in ballots {
        let Some(slot) = plan.ballots.iter().find(|slot| Some(&slot.name) == ballot.metadata.name.as_ref()) else {
            continue;
        };
        if ballot::state(ballot) != BallotState::Open || !ballot::asks_for(ballot, run, plan, slot) {
            continue;
        }
        match ballot::read(ballot) {
            ballot::Mark::Empty => continue,
            ballot::Mark::Deny { by, why } => return Tally::Denied { by, why },
            ballot::Mark::Void(why) => void.push(why),
            ballot::Mark::Approve(vote) if vote.role != slot.role => {
                void.push(format!("{} is for another role", slot.name))
            }
            ballot::Mark::Approve(vote) if votes.iter().any(|v| v.by == vote.by) => {
                void.push(format!("{} voted twice, and counts once", vote.by));
            }
            ballot::Mark::Approve(vote) => votes.push(vote),
        }
        marked += 1;
    }
    if let Some(broken) = glass_of(run, plan) {
        return Tally::Quorum(vec![broken]);
    }
    if !votes.is_empty() && votes.len() == plan.ballots.len() {
        Tally::Quorum(votes)
    } else {
        Tally::Waiting { have: votes.len(), empty: plan.ballots.len().saturating_sub(marked), void }
    }
}

/// The word of whoever broke the glass, if it opens the gate of this plan: not where that asks for a credential that the
/// word does not carry, nor long after it was first used.
pub(super) fn glass_of(run: &RunbookRun, plan: &Plan) -> Option<CountedVote> {
    let terms = plan.terms.as_ref()?;
    let glass = ballot::broken_glass(run)?;
    if terms.verified_credential && glass.credential_id.is_empty() {
        return None;
    }
    let outcomes =
        run.status.iter().flat_map(|status| status.steps.values()).filter_map(|entry| entry.outcome.as_ref());
    let used = outcomes.filter(|outcome| outcome.approvals.iter().any(|v| v.decided_as == DecidedAs::BreakGlass));
    let first = used.map(|outcome| outcome.known_at.0).min();
    let old = first.is_some_and(|first| plan.planned_at.0 >= later(first, terms.valid_for.seconds()));
    (!old).then_some(glass)
}

/// The segment of a plan that is in the journal, as its key says it.
fn segment_of<'a>(run: &'a RunbookRun, plan: &Plan) -> Option<&'a str> {
    let plans = &run.status.as_ref()?.plans;
    plans.iter().find(|(_, other)| *other == plan)?.0.split_once('.').map(|(segment, _)| segment)
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
    pub fn open_gate(
        &mut self,
        index: usize,
        segment: &Segment<'_>,
        plan: &Plan,
        act: &Act<'_>,
    ) -> Flow<Vec<CountedVote>> {
        if let Some(name) = segment.gate.filter(|name| !self.asks_enough(name, plan)) {
            let why = format!("the plan in the journal asks for less than gate {name} of the runbook that was frozen");
            return Err(either(self.finish(Phase::Failed, "GateUnknown", &why)));
        }
        let Some(gate) = plan.terms.clone() else { return Ok(Vec::new()) };
        if let Some(votes) = journal::bound_votes(&self.draft, &act.plan) {
            // Bound: expiry no longer counts. Whether the voters still hold their roles does, before every act.
            let votes = votes.to_vec();
            let mut queries = vec![Query::Journal];
            queries.extend(self.access_queries(&votes));
            self.require(&queries)?;
            // Glass that was broken leaves ballots open: a no on one of them is heard before each further act.
            if votes.iter().any(|vote| vote.decided_as == DecidedAs::BreakGlass)
                && let Tally::Denied { by, why } = tally(self.run, plan, self.ballots.iter().copied())
            {
                self.rule_out(act)?;
                return Err(either(self.denied(&by, &why)));
            }
            return match self.lost_rights(act, &votes)? {
                None => Ok(votes),
                Some(why) => {
                    self.rule_out(act)?;
                    Err(either(self.plan_segment(index, segment, &why)))
                }
            };
        }
        let mut verdict = tally(self.run, plan, self.ballots.iter().copied());
        let mut queries = vec![Query::Journal, Query::Guards];
        if let Tally::Quorum(votes) = &verdict {
            // All in one go: nothing but these reads stands between the approval and the act.
            queries.push(Query::Brake);
            queries.extend(self.access_queries(votes));
            queries.extend(self.looks_of(segment, plan));
        }
        self.require(&queries)?;
        self.check_origin(act)?;
        self.housekeeping(index)?;
        self.ask_missing(&act.plan, plan, &gate)?;
        let expires = plan.expires_at.as_ref().map_or(self.world.now, |at| at.0);
        let deadline = later(plan.gate_since.0, gate.timeout.seconds());
        let mut nobody = "nobody decided";
        if let Tally::Quorum(votes) = &verdict {
            let votes = votes.clone();
            let broken = votes.iter().any(|vote| vote.decided_as == DecidedAs::BreakGlass);
            if self.world.now >= expires && !broken {
                // A vote binds only while its ballot is valid: an outage cannot make an old vote look fresh. But somebody
                // may have acted while it was, and may not have lived to say so.
                self.rule_out(act)?;
                nobody = "it was approved, but could not be done before the ballots ran out,";
                verdict = Tally::Waiting { have: 0, empty: 0, void: Vec::new() };
            } else if let Some(why) = self.unjudged_votes(plan, broken) {
                self.rule_out(act)?;
                return match broken {
                    true => Err(either(self.finish(Phase::Failed, "Unguarded", &why))),
                    false => Err(either(self.plan_segment(index, segment, &why))),
                };
            } else if let Some(why) = self.lost_rights(act, &votes)? {
                self.rule_out(act)?;
                return Err(either(self.plan_segment(index, segment, &why)));
            }
        }
        let decision = match verdict {
            Tally::Quorum(votes) => match self.voided(segment, plan)? {
                None => return Ok(votes),
                Some(why) => {
                    self.rule_out(act)?;
                    self.plan_segment(index, segment, &why)
                }
            },
            Tally::Denied { by, why } => {
                // Whoever broke the glass may have opened the gate before somebody said no.
                self.rule_out(act)?;
                self.denied(&by, &why)
            }
            Tally::Waiting { .. } if self.world.now >= deadline => self.finish(
                Phase::Expired,
                "NobodyDecided",
                &format!("{nobody} at gate {} within {}", gate.name, gate.timeout),
            ),
            Tally::Waiting { .. } if self.world.now >= expires => self.plan_segment(index, segment, BALLOTS_RAN_OUT),
            Tally::Waiting { empty: 0, void, .. } => self.plan_segment(index, segment, &void.join("; ")),
            // Nobody shall be asked to approve what holds no longer.
            Tally::Waiting { .. } => match self.voided(segment, plan)? {
                Some(why) => {
                    self.rule_out(act)?;
                    self.plan_segment(index, segment, &why)
                }
                None => {
                    self.admit_requester(&gate, plan)?;
                    let progress = self.draft.progress.clone();
                    self.say_waiting(&progress, &gate, plan);
                    let alone = self.alone_at(&gate, plan);
                    let alone = alone.filter(|alone| *alone > self.world.now).unwrap_or(deadline);
                    Ok(self.wait_until(expires.min(deadline).min(alone).min(self.world.now + GATE_LOOK)))
                }
            },
        };
        Err(either(decision))
    }

    /// Whether a plan asks for what its gate asks for at least. This operator writes no other; but the frozen runbook can be
    /// written once only, and a plan can be added to the journal by whoever is let.
    fn asks_enough(&self, name: &str, plan: &Plan) -> bool {
        let wanted = self.frozen.gates.iter().find(|gate| gate.name == name);
        let Some((wanted, terms)) = wanted.zip(plan.terms.as_ref()).filter(|_| plan.gate.as_deref() == Some(name))
        else {
            return false;
        };
        let has =
            |wanted: &Requirement| terms.requires.iter().any(|r| r.role == wanted.role && r.count >= wanted.count);
        wanted.requires.iter().all(has)
    }

    fn denied(&mut self, by: &str, why: &str) -> Flow {
        let by = if by.is_empty() { "somebody" } else { by };
        let why = if why.is_empty() { "no reason given" } else { why };
        self.finish(Phase::Denied, "Denied", &format!("{by} said no: {why}"))
    }

    /// From when on whoever asked may decide: counted from when the others could first see this very effect.
    fn alone_at(&self, gate: &Gate, plan: &Plan) -> Option<Timestamp> {
        let after = gate.alone_after()?;
        let same = self.draft.plans.values().filter(|other| other.plan_hash == plan.plan_hash);
        let first = same.map(|other| other.planned_at.0).min().unwrap_or(plan.planned_at.0);
        Some(later(first.max(plan.gate_since.0), after.seconds()))
    }

    /// Lets whoever asked for the run decide, with the role like everybody, when nobody else has for long enough.
    fn admit_requester(&self, gate: &Gate, plan: &Plan) -> Flow<()> {
        let Some(alone) = self.alone_at(gate, plan) else { return Ok(()) };
        if ballot::asked_by_robot(self.run) || self.world.now < alone {
            return Ok(());
        }
        let in_plan = |b: &&&Approval| plan.ballots.iter().any(|slot| Some(&slot.name) == b.metadata.name.as_ref());
        let ballots: Vec<&&Approval> = self.ballots.iter().filter(in_plan).collect();
        if ballots.iter().any(|b| ballot::read(b) != ballot::Mark::Empty) {
            return Ok(());
        }
        let closed = |b: &&&Approval| ballot::state(b) == BallotState::Open && !ballot::is_open_to_requester(b);
        let names: Vec<String> = ballots.into_iter().filter(closed).filter_map(|b| b.metadata.name.clone()).collect();
        if names.is_empty() { Ok(()) } else { Err(Decision::Admit(names)) }
    }

    /// What must be read to judge whether a plan still holds.
    fn looks_of(&self, segment: &Segment<'_>, plan: &Plan) -> Vec<Query> {
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
    fn voided(&self, segment: &Segment<'_>, plan: &Plan) -> Flow<Option<String>> {
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

    /// What people are told while they are waited for.
    pub fn say_waiting(&mut self, progress: &str, gate: &Gate, plan: &Plan) {
        let marked = |slot: &&Slot| {
            self.ballots
                .iter()
                .any(|b| b.metadata.name.as_ref() == Some(&slot.name) && ballot::read(b) != ballot::Mark::Empty)
        };
        let open: Vec<&Slot> = plan.ballots.iter().filter(|slot| !marked(slot)).collect();
        let wanted =
            gate.requires.iter().filter_map(|r| match open.iter().filter(|slot| slot.role == r.role).count() {
                0 => None,
                count => Some(format!("{count} of {}", r.role)),
            });
        let wanted: Vec<String> = wanted.collect();
        let namespace = self.namespace().to_owned();
        let name_yourself = if self.world.operator.stamps { "" } else { " by=YOUR-USER-NAME" };
        let first = open.first().map(|slot| slot.name.as_str()).unwrap_or_default();
        let mut commands = Vec::new();
        let code = if ballot::has_several_effects(plan) {
            commands.push(format!("kubectl describe apv -n {namespace} {first}   # the whole plan, with its code"));
            "CODE"
        } else {
            plan.code.as_str()
        };
        for slot in &open {
            let role = if open.len() > 1 { format!("   # as {}", slot.role) } else { String::new() };
            commands.push(format!(
                "kubectl annotate apv -n {namespace} {} approve=\"{code} WHY\"{name_yourself}{role}",
                slot.name
            ));
        }
        commands.push(format!("kubectl annotate apv -n {namespace} {first} deny=\"WHY\"{name_yourself}"));
        commands.push(self.abort_command());
        let since = plan.gate_since.0.strftime("%Y-%m-%dT%H:%M:%SZ");
        let ballots: Vec<&str> = open.iter().map(|slot| slot.name.as_str()).collect();
        let alone = self.ballots.iter().any(|b| {
            ballot::is_open_to_requester(b) && b.metadata.name.as_deref().is_some_and(|name| ballots.contains(&name))
        });
        let alone = if alone {
            format!("; {} may decide too, since nobody else has", ballot::requester(self.run))
        } else {
            String::new()
        };
        let text = format!("approval by {} since {since}: {}{alone}", wanted.join(" and "), ballots.join(", "));
        self.say(Phase::Waiting, progress, &text, commands);
    }

    /// The votes under which something was, or may have been, done under a plan.
    pub fn votes_on(&self, key: &str) -> Vec<CountedVote> {
        if let Some(votes) = journal::bound_votes(&self.draft, key) {
            return votes.to_vec();
        }
        let Some(plan) = self.draft.plans.get(key) else { return Vec::new() };
        match tally(self.run, plan, self.ballots.iter().copied()) {
            Tally::Quorum(votes) => votes,
            // What was done before the no was done under the broken glass.
            Tally::Denied { .. } => glass_of(self.run, plan).into_iter().collect(),
            Tally::Waiting { .. } => Vec::new(),
        }
    }

    /// Who may still approve? Only where the cluster stamped the voter's groups: without them nobody can tell.
    fn access_queries(&self, votes: &[CountedVote]) -> Vec<Query> {
        let stamped = |vote: &CountedVote| {
            let ballot = self.ballots.iter().find(|b| b.metadata.name.as_ref() == Some(&vote.ballot))?;
            // No groups: they were too many to be stamped. A review without them would refuse a vote that was proper.
            let voter = ballot.spec.voter.clone().filter(|voter| !voter.groups.is_empty())?;
            Some(Query::Access {
                voter: Box::new(voter),
                role: vote.role.clone(),
                runbook: self.run.spec.runbook.clone(),
            })
        };
        votes.iter().filter_map(stamped).collect()
    }

    /// Who has lost the right to approve since the vote. What cannot be asked is waited for.
    fn lost_rights(&mut self, act: &Act<'_>, votes: &[CountedVote]) -> Flow<Option<String>> {
        for query in self.access_queries(votes) {
            let Query::Access { voter, role, .. } = &query else { continue };
            let why = match self.world.seen.answer(&query) {
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

    /// Ballots of plans that are no longer in force are closed, so that nobody marks them in vain.
    fn housekeeping(&self, index: usize) -> Flow<()> {
        let current = journal::plan_of(&self.draft, index).map(|(_, _, plan)| plan);
        let stale: Vec<Retirement> = self
            .ballots
            .iter()
            .filter(|b| ballot::is_of(b, self.run) && ballot::state(b) == BallotState::Open)
            .filter(|b| {
                b.spec.request.plan.split_once('.').and_then(|(segment, _)| segment.parse().ok()) == Some(index)
            })
            .filter(|b| {
                !current
                    .is_some_and(|plan| plan.ballots.iter().any(|slot| Some(&slot.name) == b.metadata.name.as_ref()))
            })
            .map(|b| Retirement {
                ballot: b.metadata.name.clone().unwrap_or_default(),
                state: Some(if ballot::is_over(b, self.world.now) {
                    BallotState::Expired
                } else {
                    BallotState::Superseded
                }),
            })
            .collect();
        if stale.is_empty() { Ok(()) } else { Err(Decision::Retire(stale)) }
    }

    fn ask_missing(&self, key: &str, plan: &Plan, gate: &Gate) -> Flow<()> {
        let missing: Vec<Approval> = plan
            .ballots
            .iter()
            .filter(|slot| !self.ballots.iter().any(|b| b.metadata.name.as_ref() == Some(&slot.name)))
            .map(|slot| ballot::issue(self.run, key, plan, gate, slot, self.world.now))
            .collect();
        if missing.is_empty() { Ok(()) } else { Err(Decision::Ask(missing)) }
    }
}
