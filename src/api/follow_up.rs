//! Follow-ups of an incident: what is to be done so that it does not come again, and how the cluster shows that it is done.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::step::TargetRef;

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "!has(self.state) || self.state != 'Dropped' || has(self.why)", "message": "a follow-up that is dropped says why"}
]))]
pub struct FollowUp {
    /// A short name: lower-case letters, digits and dashes.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub id: String,
    /// What is to be done, beginning with a verb.
    #[schemars(length(min = 1, max = 512))]
    pub text: String,
    /// Investigate, Repair, Detect (notice it sooner), Mitigate (shorten it), Prevent, ReplaceFirstAid (take out what is in
    /// place by something that lasts).
    pub kind: FollowUpKind,
    /// The team or role that does it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 100))]
    pub owner: String,
    /// The day until which it is done, such as `2026-12-06`; over at the end of that day, UTC.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 10), regex(pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"))]
    pub due: String,
    /// Open (the default), InProgress, Done, Dropped.
    #[serde(default)]
    pub state: FollowUpState,
    /// Why it was dropped, or how it was done.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub why: String,
    /// The work in your tracker, which stays its master: an address that begins with https:// or http://.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(schema_with = "super::schema::web_address")]
    pub link: String,
    /// How the cluster shows that it is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<FollowUpCheck>,
}

/// How the cluster shows that a follow-up is done: one of four ways. It is looked at again and again, also after the incident is
/// closed, as the incident's ServiceAccount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "[has(self.object), has(self.runbook), has(self.alertRule), has(self.disruptionBudget)].filter(there, there).size() == 1",
     "message": "a check has exactly one of object, runbook, alertRule, disruptionBudget"},
    {"rule": "has(self.object) == has(self.that)", "message": "object and that stand together: what is looked at, and what must be true of it"}
]))]
pub struct FollowUpCheck {
    /// An object of this namespace; `that` judges it. No Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<TargetRef>,
    /// CEL over `object`: true when it is done, such as `object.spec.replicas >= 3`. What is not there yet is not true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    pub that: Option<String>,
    /// A Runbook of this namespace is Ready: it is there, and could be rehearsed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"))]
    pub runbook: Option<String>,
    /// A PrometheusRule (monitoring.coreos.com/v1) of this namespace has an alert of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub alert_rule: Option<String>,
    /// A PodDisruptionBudget of this namespace selects the pods of the Deployment of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"))]
    pub disruption_budget: Option<String>,
}

impl FollowUp {
    /// Where it stands, by what people say and what its check found. `today`: the day in UTC, such as `2026-12-06`.
    pub fn stands(&self, checked: Option<&CheckedFollowUp>, today: &str) -> Standing {
        let undone = checked.is_some_and(|checked| checked.holds == Holds::No);
        match self.state {
            FollowUpState::Dropped => Standing::Dropped,
            _ if checked.is_some_and(|checked| checked.holds == Holds::Yes) => Standing::Done,
            _ if undone && checked.is_some_and(|checked| checked.held) => Standing::Regressed,
            FollowUpState::Done if undone => Standing::Regressed,
            FollowUpState::Done => Standing::Done,
            // Days in this form are in order as text.
            _ if !self.due.is_empty() && self.due.as_str() < today => Standing::Overdue,
            FollowUpState::InProgress => Standing::InProgress,
            FollowUpState::Open => Standing::Open,
        }
    }
}

/// Where a follow-up stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nobody has begun.
    Open,
    /// Somebody has.
    InProgress,
    /// It is done: the cluster shows it, or people say so and no check shows otherwise.
    Done,
    /// It will not be done.
    Dropped,
    /// The day until which it was to be done is over.
    Overdue,
    /// The cluster shows that it is not done, though people say so, or it was once.
    Regressed,
}

/// What a follow-up is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FollowUpKind {
    /// Find out.
    Investigate,
    /// Mend what broke.
    Repair,
    /// Notice it sooner.
    Detect,
    /// Shorten it next time.
    Mitigate,
    /// Make it impossible, or unlikely.
    Prevent,
    /// Put something that lasts in place of the first aid.
    ReplaceFirstAid,
}

/// Where a follow-up stands, as people say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum FollowUpState {
    /// Nobody has begun.
    #[default]
    Open,
    /// Somebody has.
    InProgress,
    /// It is done.
    Done,
    /// It will not be done.
    Dropped,
}

/// What the check of a follow-up found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CheckedFollowUp {
    /// Which follow-up.
    #[schemars(length(max = 40))]
    pub id: String,
    /// Yes: the cluster shows that it is done. No: it shows that it is not. Unknown: it could not be told, see `message`.
    pub holds: Holds,
    /// Since when that is so.
    pub since: MicroTime,
    /// Whether it was Yes at any time with this check: a No after that is a step back.
    #[serde(default)]
    pub held: bool,
    /// What was found, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub message: String,
    /// Of which check this is; another one begins anew.
    #[schemars(length(max = 71))]
    pub of: String,
}

/// Whether the cluster shows that a follow-up is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Holds {
    /// It does.
    Yes,
    /// It shows that it is not.
    No,
    /// That could not be told.
    Unknown,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stands(state: &str, due: &str, checked: Option<(&str, bool)>) -> Standing {
        let follow_up =
            json!({"id": "fu-1", "text": "Alert on the queue", "kind": "Detect", "state": state, "due": due});
        let follow_up: FollowUp = serde_json::from_value(follow_up).unwrap();
        let checked = checked.map(|(holds, held)| {
            let found =
                json!({"id": "fu-1", "holds": holds, "held": held, "since": "2026-11-22T14:00:00.000000Z", "of": "x"});
            serde_json::from_value(found).unwrap()
        });
        follow_up.stands(checked.as_ref(), "2026-12-06")
    }

    #[test]
    fn what_the_cluster_shows_weighs_more_than_what_people_say() {
        let (yes, no, unknown) = (Some(("Yes", true)), Some(("No", false)), Some(("Unknown", false)));
        for (state, due, checked, wanted) in [
            ("Open", "", None, Standing::Open),
            ("InProgress", "2026-12-06", None, Standing::InProgress),
            ("InProgress", "2026-12-05", None, Standing::Overdue),
            ("Done", "2026-12-05", None, Standing::Done),
            ("Open", "2026-12-05", yes, Standing::Done),
            ("Open", "2026-12-05", no, Standing::Overdue),
            ("Open", "", no, Standing::Open),
            ("Open", "", Some(("No", true)), Standing::Regressed),
            ("Done", "", no, Standing::Regressed),
            ("Done", "", unknown, Standing::Done),
            ("Open", "", Some(("Unknown", true)), Standing::Open),
            ("Dropped", "2026-12-05", no, Standing::Dropped),
            ("Dropped", "", yes, Standing::Dropped),
        ] {
            assert_eq!(stands(state, due, checked), wanted, "{state} {due} {checked:?}");
        }
    }
}
