//! Intents: what the journal says is to be done, before it is.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use serde_json::Map;

use super::journal;
use super::pass::Pass;
use crate::action;
use crate::api::condition::cut;
use crate::api::run::{Intent, PlannedStep, Target};
use crate::api::vote::CountedVote;
use crate::api::{RunbookRunStatus, Step};

/// An act: an intent, with the approval under which it stands.
pub(super) struct Act<'a> {
    /// The runbook's step.
    pub step: &'a Step,
    /// What was planned.
    pub planned: &'a PlannedStep,
    /// Key of the plan.
    pub plan: String,
    /// When the intent was written.
    pub intent_at: MicroTime,
    /// The votes that opened the gate.
    pub votes: Vec<CountedVote>,
}

impl<'a> Act<'a> {
    /// What the newest plan of the segment intends for the step, if it is in it.
    pub fn planned(status: &'a RunbookRunStatus, segment: usize, step: &'a Step, attempt: i32) -> Option<Self> {
        let (key, _, plan) = journal::plan_of(status, segment)?;
        let planned = plan.steps.iter().find(|p| p.step == step.name && p.attempt == attempt)?;
        Some(Self { step, planned, plan: key.to_owned(), intent_at: plan.planned_at.clone(), votes: Vec::new() })
    }

    /// An intent that stands in the journal beside the plans, if there is one: of an undo.
    pub fn intended(status: &'a RunbookRunStatus, step: &'a Step, name: &str, attempt: i32) -> Option<Self> {
        let intent = status.steps.get(&journal::key(name, attempt))?.intent.as_ref()?;
        Some(Self {
            step,
            planned: &intent.step,
            plan: intent.plan.clone(),
            intent_at: intent.at.clone(),
            votes: Vec::new(),
        })
    }
}

/// The intent of an attempt: its own, or the plan's.
pub(super) fn planned_of<'a>(
    status: &'a RunbookRunStatus,
    step: &str,
    attempt: i32,
    plan: &str,
) -> Option<&'a PlannedStep> {
    if let Some(intent) = status.steps.get(&journal::key(step, attempt)).and_then(|entry| entry.intent.as_ref()) {
        return Some(&intent.step);
    }
    status.plans.get(plan)?.steps.iter().find(|s| s.step == step && s.attempt == attempt)
}

impl Pass<'_> {
    /// The journal's intent of a step for which there is no plan, and the key of no plan.
    pub fn unplanned(&mut self, index: usize, step: &Step, attempt: i32, what: &str) -> (PlannedStep, String) {
        let object = action::object_of(&step.action);
        let planned = PlannedStep {
            step: step.name.clone(),
            attempt,
            action: step.action.key().to_owned(),
            target: Target {
                api_version: object.as_ref().map(|o| o.api_version.clone()).unwrap_or_default(),
                kind: object.as_ref().map(|o| o.kind.clone()).unwrap_or_default(),
                namespace: self.namespace().to_owned(),
                name: object.as_ref().map(|o| o.name.clone()).unwrap_or_default(),
                uid: String::new(),
            },
            seen: Default::default(),
            before: Map::new(),
            after: Map::new(),
            holds: Default::default(),
            undo: None,
            by_hand: String::new(),
            token: self.token(&step.name, attempt),
            already: false,
            warnings: Vec::new(),
            summary: cut(&format!("{} {what}", step.action.key()), 256),
        };
        let plan = format!("{index}.0");
        let intent = Intent { at: MicroTime(self.world.now), plan: plan.clone(), step: planned.clone() };
        self.entry_of(&step.name, attempt).intent = Some(intent);
        (planned, plan)
    }
}
