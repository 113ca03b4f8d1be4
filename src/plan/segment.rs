//! Planning a segment: what each step would do, on what it rests, and the digest that people approve.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use serde_json::json;

use super::floor::{self, Terms, Unmet};
use super::freeze::Frozen;
use super::journal::{self, Segment, StepState};
use super::pass::{Flow, Pass};
use super::{Decision, MOST_VOID_PLANS, ballot};
use crate::action::{self, Answer, Context, Obstacle, Query, Seen, reason};
use crate::api::condition::cut;
use crate::api::run::{Phase, Plan, PlannedStep, Target};
use crate::api::vote::Cover;
use crate::api::{SCHEMA_VERSION, Step};
use crate::digest;

/// What a step finds and leaves may be so many bytes together: both stand in plan, journal and record, and what could not
/// be stored after the act would be lost.
const LARGEST_EFFECT: usize = 16 * 1024;

/// Why a new revision is planned although nothing has changed.
pub(super) const BALLOTS_RAN_OUT: &str = "its ballots ran out";

impl Pass<'_> {
    /// Plans a segment, or plans it anew because its plan holds no longer, and writes the plan: this is the intent.
    pub fn plan_segment(&mut self, index: usize, segment: &Segment<'_>, because: &str) -> Flow {
        self.require(&[Query::Journal])?;
        let earlier = journal::plan_of(&self.draft, index);
        let revision = earlier.as_ref().map_or(0, |(_, revision, _)| *revision) + 1;
        // Where the gate was opened and something done, its wait is over, and another one begins.
        let since = earlier
            .filter(|(key, _, _)| journal::bound_votes(&self.draft, key).is_none())
            .map(|(_, _, plan)| plan.gate_since.clone());
        let voided = journal::plans_of(&self.draft, index)
            .filter(|(_, _, plan)| !plan.revised_because.is_empty() && plan.revised_because != BALLOTS_RAN_OUT)
            .count();
        if !because.is_empty() && because != BALLOTS_RAN_OUT && voided >= MOST_VOID_PLANS {
            return self.finish(
                Phase::Failed,
                "PlanVoid",
                &format!("planned {} times, and void each time; last: {because}", voided + 1),
            );
        }
        let context = self.context(self.world.now);
        // All at once: a question for each step by itself would be as many turns.
        let looks: Vec<Query> = segment.steps.iter().flat_map(|step| action::look(&step.action, &context)).collect();
        self.require(&looks)?;
        for step in &segment.steps {
            let StepState::Untouched { attempt } = journal::state(&self.draft, &step.name) else { continue };
            match action::nothing_to_undo(&step.action, &self.context(self.world.now), &self.world.seen) {
                Ok(Some((why, verified))) => return self.pass_by(index, step, attempt, &why, verified),
                Err(Obstacle::Unseen(queries)) => return Err(Decision::Look(queries)),
                // What else is in the way is met by the plan.
                Ok(None) | Err(_) => {}
            }
        }
        let mut steps = Vec::new();
        for step in &segment.steps {
            let StepState::Untouched { attempt } = journal::state(&self.draft, &step.name) else { continue };
            match planned_step(
                step,
                attempt,
                &self.token(&step.name, attempt),
                &self.context(self.world.now),
                &self.world.seen,
            ) {
                Ok(planned) => steps.push(planned),
                Err(obstacle) => {
                    let (reason, sentence) = self.surmount(step, obstacle)?;
                    return self.refuse_unplanned(index, step, attempt, reason, &sentence);
                }
            }
        }
        let terms = match self.terms(segment, &steps) {
            Ok(terms) => terms,
            Err(Unmet { step: name, reason, sentence }) => {
                let Some(step) = segment.steps.iter().find(|step| step.name == name) else {
                    return self.finish(Phase::Failed, reason, &sentence);
                };
                let StepState::Untouched { attempt } = journal::state(&self.draft, &name) else {
                    return self.finish(Phase::Failed, reason, &sentence);
                };
                return self.refuse_unplanned(index, step, attempt, reason, &sentence);
            }
        };
        let gate = terms.gate.clone();
        let cover = self.cover(segment, &names(&steps), &terms, revision);
        let plan = self.plan(steps, terms, because, since, cover);
        let first = segment.steps.iter().find(|s| plan.steps.first().is_some_and(|p| p.step == s.name));
        let progress = first.map(|step| self.progress(step)).unwrap_or_default();
        let key = format!("{index}.{revision}");
        match &gate {
            Some(gate) if plan.covered.is_none() => self.say_waiting(&progress, gate, &plan),
            Some(_) | None => {
                let abort = self.abort_command();
                self.say(Phase::Acting, &progress, "", vec![abort]);
            }
        }
        self.draft.message = cut(&plan.summary, 2048);
        self.draft.plans.insert(key, plan);
        Ok(Decision::Write(Box::new(self.draft.clone())))
    }

    /// Mode `Plan`: every segment is planned, then the run ends.
    pub fn plan_only(&mut self, segments: &[Segment<'_>]) -> Flow {
        // Into the draft only when all are made: a plan that has been written stays, and these are made anew in each pass.
        let mut plans = BTreeMap::new();
        for (index, segment) in segments.iter().enumerate() {
            let mut steps = Vec::new();
            for step in &segment.steps {
                match planned_step(step, 1, &self.token(&step.name, 1), &self.context(self.world.now), &self.world.seen)
                {
                    Ok(planned) => steps.push(planned),
                    Err(obstacle) => {
                        let (reason, sentence) = self.surmount(step, obstacle)?;
                        self.draft.plans = plans;
                        return self.finish(Phase::Failed, reason, &format!("step {}: {sentence}", step.name));
                    }
                }
            }
            let terms = match self.terms(segment, &steps) {
                Ok(terms) => terms,
                Err(Unmet { step, reason, sentence }) => {
                    self.draft.plans = plans;
                    return self.finish(Phase::Failed, reason, &format!("step {step}: {sentence}"));
                }
            };
            let cover = self.cover(segment, &names(&steps), &terms, 1);
            let mut plan = self.plan(steps, terms, "", None, cover);
            plan.ballots.clear();
            plans.insert(format!("{index}.1"), plan);
        }
        self.draft.plans = plans;
        let summary = self.draft.plans.values().map(|plan| plan.summary.as_str()).collect::<Vec<_>>().join("; ");
        self.finish(Phase::Succeeded, "PlanOnly", &format!("only planned: {summary}"))
    }

    /// The token of a step's attempt: what an act leaves on its target.
    pub fn token(&self, step: &str, attempt: i32) -> String {
        format!("{}/{}/{step}/{attempt}", self.name(), ballot::uid(self.run))
    }

    /// The gate of a segment as it is in force for these steps.
    fn terms(&self, segment: &Segment<'_>, steps: &[PlannedStep]) -> Result<Terms, Unmet> {
        // A segment has the gate of its first step; that of each other one must be known, too.
        let gates: Result<Vec<_>, Unmet> =
            segment.steps.iter().map(|step| floor::gate_of(step, &self.frozen.gates)).collect();
        floor::terms(gates?.into_iter().next().flatten(), steps, &self.world.operator.floors)
    }

    fn plan(
        &self,
        steps: Vec<PlannedStep>,
        terms: Terms,
        because: &str,
        since: Option<MicroTime>,
        covered: Option<Cover>,
    ) -> Plan {
        let author = self.frozen.author.as_str();
        let gate = terms.gate.as_ref();
        let excluded = gate.filter(|gate| !gate.author_may_approve && !author.is_empty()).map(|_| author.to_owned());
        let plan_hash = plan_hash(ballot::uid(self.run), &self.frozen, &terms, excluded.as_deref(), &steps);
        let taken: Vec<&str> = self
            .ballots
            .iter()
            .filter_map(|b| b.metadata.name.as_deref())
            .chain(self.draft.plans.values().flat_map(|plan| plan.ballots.iter().map(|slot| slot.name.as_str())))
            .collect();
        Plan {
            schema_version: SCHEMA_VERSION,
            planned_at: MicroTime(self.world.now),
            gate_since: since.unwrap_or(MicroTime(self.world.now)),
            gate: gate.map(|g| g.name.clone()),
            ballots: gate.filter(|_| covered.is_none()).map(|g| ballot::slots(self.run, g, &taken)).unwrap_or_default(),
            covered,
            expires_at: gate.map(|g| Time(whole_seconds(later(self.world.now, g.valid_for.seconds())))),
            code: digest::code(&plan_hash),
            plan_hash,
            floors: terms.floors.iter().map(|floor| cut(floor, 256)).take(32).collect(),
            excluded,
            terms: terms.gate,
            summary: summary(&steps),
            revised_because: cut(because, 1024),
            steps,
        }
    }
}

fn names(steps: &[PlannedStep]) -> Vec<&str> {
    steps.iter().map(|step| step.step.as_str()).collect()
}

/// A time for people, without fractions.
fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// The time so many seconds later; the end of time where there is none.
pub(super) fn later(time: Timestamp, seconds: i64) -> Timestamp {
    time.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
}

/// What a step would do, after a dry run of its effect.
pub(super) fn planned_step(
    step: &Step,
    attempt: i32,
    token: &str,
    context: &Context<'_>,
    seen: &Seen,
) -> Result<PlannedStep, Obstacle> {
    action::sound(&step.action)?;
    let unseen = seen.missing(&action::look(&step.action, context));
    if !unseen.is_empty() {
        return Err(Obstacle::Unseen(unseen));
    }
    let mut prospect = action::plan(&step.action, context, seen)?;
    if let Some(when) = &step.when {
        prospect.warnings.insert(0, format!("only when {when}"));
    }
    if let Some(period) = step.revert_after.as_ref().filter(|_| prospect.undo.is_some()) {
        let how = if step.auto_revert { "it is undone without asking anew" } else { "you are asked to undo it" };
        prospect.warnings.push(format!("after {period} {how}"));
    }
    let planned = prospect.planned(&step.name, attempt, step.action.key(), token);
    let size = serde_json::to_string(&(&planned.before, &planned.after)).map_or(0, |text| text.len());
    if size > LARGEST_EFFECT {
        let sentence = format!(
            "{} holds {size} bytes where it is changed; the record of a change is at most {LARGEST_EFFECT}",
            planned.target.display()
        );
        return Err(Obstacle::Refused { reason: reason::DOCUMENT_UNFIT, sentence });
    }
    let values = planned.before.values().chain(planned.after.values());
    if let Some(number) = values.filter_map(digest::inexact).next() {
        let sentence = format!(
            "{} holds the number {number} where it is changed, which JSON cannot carry exactly (RFC 8785), so that no record \
             could prove it; keep it as a text",
            planned.target.display()
        );
        return Err(Obstacle::Refused { reason: reason::DOCUMENT_UNFIT, sentence });
    }
    if step.action.changes() && !planned.already {
        let effect = action::effect(&step.action, context, &planned, seen)?;
        dry_run(effect, seen)?;
    }
    Ok(planned)
}

/// Whether the API server would accept the effect, with the rights that the runbook has.
pub(super) fn dry_run(effect: action::Effect, seen: &Seen) -> Result<(), Obstacle> {
    let name = effect.target.display();
    match seen.dry_run(&effect) {
        None => Err(Obstacle::Unseen(vec![Query::DryRun(Box::new(effect))])),
        Some(Answer::Yes) => Ok(()),
        Some(answer @ Answer::Forbidden(_)) => Err(action::obstacle(answer, &format!("change {name}"))),
        Some(Answer::No(message)) => Err(Obstacle::Refused {
            reason: reason::WRITE_REFUSED,
            sentence: format!("the API server would refuse the change of {name}: {message}"),
        }),
        Some(other) => Err(action::obstacle(other, &format!("rehearse the change of {name}"))),
    }
}

/// The plan in one line: the first effect, and how many more there are.
fn summary(steps: &[PlannedStep]) -> String {
    let effects: Vec<&PlannedStep> = steps.iter().filter(|s| s.action != "check").collect();
    match effects.as_slice() {
        [] => steps.first().map(|s| s.summary.clone()).unwrap_or_default(),
        [only] => only.summary.clone(),
        [first, rest @ ..] => cut(&format!("{} (+{} more)", first.summary, rest.len()), 256),
    }
}

/// The digest of everything that bears on the effect, and of nothing else: what was found before is not in it, nor what
/// is only said to people.
pub(super) fn plan_hash(
    run_uid: &str,
    frozen: &Frozen,
    terms: &Terms,
    excluded: Option<&str>,
    steps: &[PlannedStep],
) -> String {
    let steps: Vec<_> = steps
        .iter()
        .map(|step| {
            let Target { api_version, kind, namespace, name, uid } = &step.target;
            // A restart's time moves with every plan; what people approve is the restart of this template.
            let after = if step.action == "restart" { None } else { Some(&step.after) };
            json!([step.step, step.action, [api_version, kind, namespace, name, uid], after, step.holds.facts])
        })
        .collect();
    digest::of(&json!({
        "schemaVersion": SCHEMA_VERSION,
        "run": run_uid,
        "runbook": [frozen.runbook_uid, frozen.runbook_digest],
        "serviceAccount": frozen.service_account,
        "parameters": frozen.parameters,
        "gate": terms.gate,
        "floors": terms.floors,
        "excluded": excluded,
        "steps": steps,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::ObjectRef;

    #[test]
    fn the_dry_run_of_a_restart_is_the_same_question_whenever_it_is_asked() {
        let target = json!({"kind": "Deployment", "name": "web"});
        let step: Step =
            serde_json::from_value(json!({"name": "again", "gate": "None", "restart": {"target": target}})).unwrap();
        let mut seen = Seen::default();
        let reference = ObjectRef { api_version: "apps/v1".into(), kind: "Deployment".into(), name: "web".into() };
        seen.add(Query::Object(reference), Answer::Object(Some(json!({"metadata": {"uid": "u1", "generation": 1}}))));
        let planned = |at: &str, seen: &Seen| {
            planned_step(
                &step,
                1,
                "t",
                &Context { namespace: "shop", params: &json!({}), intent_at: at.parse().unwrap() },
                seen,
            )
        };
        let Err(Obstacle::Unseen(asked)) = planned("2026-11-22T03:04:05Z", &seen) else { panic!("it needs a dry run") };
        asked.into_iter().for_each(|query| seen.add(query, Answer::Yes));
        let later = planned("2026-11-22T03:04:06Z", &seen).unwrap();
        assert_eq!(
            later.after.get("restartedAt"),
            Some(&json!("2026-11-22T03:04:06.000000Z")),
            "what is planned has the real time"
        );
    }
}
