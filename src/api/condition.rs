//! Conditions, with their types and reasons in one place.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use super::line::cut;

/// Types of conditions.
pub mod kind {
    /// A Runbook would work if it were started now.
    pub const READY: &str = "Ready";
    /// A Runbook would not work; the reason says why.
    pub const STALLED: &str = "Stalled";
    /// A run has ended, however.
    pub const FINISHED: &str = "Finished";
    /// A run has ended as its runbook wanted.
    pub const SUCCEEDED: &str = "Succeeded";
    /// Nothing of an incident's first aid is in place, and nothing waits for a ratification.
    pub const SETTLED: &str = "Settled";
    /// Of no follow-up of an incident that was done the cluster shows otherwise.
    pub const FOLLOW_UPS_HOLD: &str = "FollowUpsHold";
    /// What was decided without a second person was ratified by one.
    pub const RATIFIED: &str = "Ratified";
}

/// One observation about an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What is observed, in PascalCase.
    #[serde(rename = "type")]
    #[schemars(length(max = 64))]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    #[schemars(length(max = 8))]
    pub status: String,
    /// Why, in one PascalCase word that programs may compare.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// Why, in a sentence for people.
    #[schemars(length(max = 2048))]
    pub message: String,
    /// When the status last changed.
    pub last_transition_time: Time,
    /// The generation of the object that this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

/// Sets a condition. The transition time moves only when the status changes.
pub fn set(
    conditions: &mut Vec<Condition>,
    kind: &str,
    status: bool,
    reason: &str,
    message: &str,
    generation: Option<i64>,
    now: Timestamp,
) {
    let status = if status { "True" } else { "False" }.to_owned();
    let earlier = conditions.iter().find(|c| c.kind == kind && c.status == status);
    let since = earlier.map_or_else(|| Time(now), |c| c.last_transition_time.clone());
    conditions.retain(|c| c.kind != kind);
    conditions.push(Condition {
        kind: kind.to_owned(),
        status,
        reason: reason.to_owned(),
        message: cut(message, 2048),
        last_transition_time: since,
        observed_generation: generation,
    });
    conditions.sort_by(|a, b| a.kind.cmp(&b.kind));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transition_time_moves_with_the_status_only() {
        let (early, late) = (Timestamp::from_second(1).unwrap(), Timestamp::from_second(2).unwrap());
        let mut conditions = Vec::new();
        set(&mut conditions, kind::READY, true, "Rehearsed", "fine", Some(1), early);
        set(&mut conditions, kind::READY, true, "Rehearsed", "still fine", Some(2), late);
        assert_eq!(conditions[0].last_transition_time.0, early);
        set(&mut conditions, kind::READY, false, "TargetGone", "gone", Some(2), late);
        assert_eq!(conditions[0].last_transition_time.0, late);
        assert_eq!(conditions.len(), 1);
    }
}
