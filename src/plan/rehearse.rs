//! Rehearsing a runbook: would it work if it were started now? Nothing is written; effects are dry-run.

use super::World;
use super::floor::{self, Unmet};
use super::freeze;
use super::segment::planned_step;
use crate::action::{Context, Obstacle, Query};
use crate::api::Runbook;

/// What a rehearsal found.
#[derive(Clone, Debug, PartialEq)]
pub enum Rehearsal {
    /// More must be looked at.
    Look(Vec<Query>),
    /// It would work; what each step would do.
    Ready(Vec<String>),
    /// It would not.
    Stalled {
        /// Why, in a word.
        reason: String,
        /// Why, in a sentence.
        sentence: String,
    },
    /// Something could not be read; it says nothing about the runbook.
    Unclear(String),
}

/// Rehearses a runbook with its defaults and samples.
pub fn rehearse(runbook: &Runbook, world: &World) -> Rehearsal {
    let frozen = match freeze::rehearse(runbook, &world.operator.cluster, world.now) {
        Ok(frozen) => frozen,
        Err(unfit) => return Rehearsal::Stalled { reason: "Invalid".to_owned(), sentence: unfit.to_string() },
    };
    let namespace = runbook.metadata.namespace.as_deref().unwrap_or_default();
    let context = Context { namespace, params: &frozen.parameters, intent_at: world.now };
    let mut effects = Vec::new();
    let mut unseen = Vec::new();
    for step in &frozen.steps {
        // A token that no run has: it is never written.
        match planned_step(step, 1, &format!("rehearsal/{}", step.name), &context, &world.seen) {
            Ok(planned) => {
                let planned = [planned];
                let gate = floor::gate_of(step, &frozen.gates);
                match gate.and_then(|gate| floor::terms(gate, &planned, &world.operator.floors)) {
                    Ok(_) => effects.extend(planned.map(|planned| format!("{}: {}", step.name, planned.summary))),
                    Err(Unmet { reason, sentence, .. }) => {
                        return Rehearsal::Stalled {
                            reason: reason.to_owned(),
                            sentence: format!("step {}: {sentence}", step.name),
                        };
                    }
                }
            }
            Err(Obstacle::Unseen(queries)) => {
                unseen.extend(queries.into_iter().filter(|q| !unseen.contains(q)).collect::<Vec<_>>())
            }
            Err(Obstacle::Unreadable(why)) => return Rehearsal::Unclear(why),
            Err(Obstacle::Refused { reason, sentence }) => {
                return Rehearsal::Stalled {
                    reason: reason.to_owned(),
                    sentence: format!("step {}: {sentence}", step.name),
                };
            }
        }
    }
    if unseen.is_empty() { Rehearsal::Ready(effects) } else { Rehearsal::Look(unseen) }
}
