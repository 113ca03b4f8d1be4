//! Asking people: which ballots there are, who may mark them, and what people are told while a gate is closed.

use jiff::Timestamp;

use super::pass::{Flow, Pass};
use super::segment::later;
use super::{Decision, Retirement, ballot, journal};
use crate::api::approval::{Approval, BallotState};
use crate::api::run::{Phase, Plan, Slot};
use crate::api::runbook::Gate;

impl Pass<'_> {
    /// What people are told while they are waited for.
    pub fn say_waiting(&mut self, progress: &str, gate: &Gate, plan: &Plan) {
        let open = self.unmarked(plan);
        let wanted = self.missing(gate, plan);
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
        let requester = ballot::requester(self.run);
        let alone = match self.alone_at(gate, plan) {
            _ if alone => format!("; {requester} may decide too, since nobody else has"),
            Some(from)
                if !ballot::asked_by_robot(self.run) && from > self.world.now && self.approvals_of(plan).is_empty() =>
            {
                format!("; {requester} may decide too from {} on, if nobody else has", from.strftime("%H:%M:%SZ"))
            }
            Some(_) | None => String::new(),
        };
        let lost = self.votes_without_effect(plan);
        let lost = match lost.is_empty() {
            true => String::new(),
            false => format!("; the votes of {} were on earlier ballots and count no longer", lost.join(" and ")),
        };
        let text = format!("approval by {} since {since}: {}{alone}{lost}", wanted.join(" and "), ballots.join(", "));
        self.say(Phase::Waiting, progress, &text, commands);
    }

    /// The ballots of a plan that nobody has marked.
    fn unmarked<'p>(&self, plan: &'p Plan) -> Vec<&'p Slot> {
        let marked = |slot: &&Slot| {
            self.ballots
                .iter()
                .any(|b| b.metadata.name.as_ref() == Some(&slot.name) && ballot::read(b) != ballot::Mark::Empty)
        };
        plan.ballots.iter().filter(|slot| !marked(slot)).collect()
    }

    /// Whose votes are missing: `1 of sre`.
    fn missing(&self, gate: &Gate, plan: &Plan) -> Vec<String> {
        let open = self.unmarked(plan);
        let missing = |role: &str| match open.iter().filter(|slot| slot.role == role).count() {
            0 => None,
            count => Some(format!("{count} of {role}")),
        };
        gate.requires.iter().filter_map(|requirement| missing(&requirement.role)).collect()
    }

    /// Who has approved a plan of this segment so far, in vain or not: `bob as sre`.
    pub fn approvals(&self, plan: &Plan) -> Vec<String> {
        self.said_on(plan, |_| true)
    }

    /// Who has approved this plan so far.
    fn approvals_of(&self, plan: &Plan) -> Vec<String> {
        self.said_on(plan, |name| plan.ballots.iter().any(|slot| slot.name == name))
    }

    /// Who has approved on ballots that are none of this plan: they ran out, or the plan was made anew.
    fn votes_without_effect(&self, plan: &Plan) -> Vec<String> {
        let mut said = self.said_on(plan, |name| !plan.ballots.iter().any(|slot| slot.name == name));
        let again = self.approvals_of(plan);
        said.retain(|vote| !again.contains(vote));
        said
    }

    /// Who has approved on ballots of the segment of a plan with such names, each once.
    fn said_on(&self, plan: &Plan, is_meant: impl Fn(&str) -> bool) -> Vec<String> {
        let segment_of = |key: &str| key.split('.').next().map(str::to_owned);
        let key = self.draft.plans.iter().find(|(_, known)| *known == plan).map(|(key, _)| key);
        let segment = key.and_then(|key| segment_of(key));
        let mut said = Vec::new();
        for found in self.ballots.iter().filter(|b| ballot::is_of(b, self.run)) {
            let name = found.metadata.name.as_deref().unwrap_or_default();
            let ballot::Mark::Approve(vote) = ballot::read(found) else { continue };
            let vote = format!("{} as {}", vote.by, vote.role);
            if segment_of(&found.spec.request.plan) == segment && is_meant(name) && !said.contains(&vote) {
                said.push(vote);
            }
        }
        said
    }

    /// From when on whoever asked may decide: counted from when the others could first see this very effect.
    pub fn alone_at(&self, gate: &Gate, plan: &Plan) -> Option<Timestamp> {
        let after = gate.alone_after()?;
        let same = self.draft.plans.values().filter(|other| other.plan_hash == plan.plan_hash);
        let first = same.map(|other| other.planned_at.0).min().unwrap_or(plan.planned_at.0);
        Some(later(first.max(plan.gate_since.0), after.seconds()))
    }

    /// Lets whoever asked for the run decide, with the role like everybody, when nobody else has for long enough.
    pub fn admit_requester(&self, gate: &Gate, plan: &Plan) -> Flow<()> {
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

    /// Ballots of plans that are no longer in force are closed, so that nobody marks them in vain.
    pub fn close_old_ballots(&self, index: usize) -> Flow<()> {
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

    /// Issues the ballots of a plan that are not there.
    pub fn ask_missing(&self, key: &str, plan: &Plan, gate: &Gate) -> Flow<()> {
        let missing: Vec<Approval> = plan
            .ballots
            .iter()
            .filter(|slot| !self.ballots.iter().any(|b| b.metadata.name.as_ref() == Some(&slot.name)))
            .map(|slot| ballot::issue(self.run, key, plan, gate, slot, self.world.now))
            .collect();
        if missing.is_empty() { Ok(()) } else { Err(Decision::Ask(missing)) }
    }
}
