//! Incident: what people know of a crisis and no record can tell. Optional: runs and records join by the key alone.
//!
//! An Incident of the name `inc-7f3` is about all runs whose `spec.incident` is `inc-7f3`. Nothing waits for it, and a
//! retrospective is made without it, with what is unknown said.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Condition;
use super::alert::FiredAlert;
use super::follow_up::{CheckedFollowUp, FollowUp};

/// A crisis, as people tell it.
///
/// People write `spec`, at any time and in any order; the operator writes `status`. It makes an Incident itself where an alert
/// is told of which there is none, and leaves its `spec` to people from then on.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "firstaid.dev",
    version = "v1alpha1",
    kind = "Incident",
    plural = "incidents",
    shortname = "inc",
    category = "firstaid",
    namespaced,
    derive = "PartialEq",
    status = "IncidentStatus",
    selectable = ".status.phase",
    doc = "A crisis as people tell it: milestones, notes, answers, follow-ups. Runs belong to it whose spec.incident is its name. Optional.",
    validation = Rule::new("self.metadata.name.size() <= 63").message("the name of an incident is at most 63 characters long: runs carry it in spec.incident"),
    validation = Rule::new("!has(self.spec.closed) || has(self.status)").message("an incident is closed after the operator has looked at what is in place: make it without spec.closed first"),
    validation = Rule::new("has(oldSelf.spec.closed) || !has(self.spec.closed) || (has(self.status) && has(self.status.inPlace) && self.status.inPlace == 0) || has(self.spec.closed.acceptInPlace)").message("first aid is still in place, or the operator has not looked yet: see status.inPlace, undo it, or say in spec.closed.acceptInPlace why it stays"),
    validation = Rule::new("has(oldSelf.spec.closed) || !has(self.spec.closed) || (has(self.status) && has(self.status.unratified) && self.status.unratified == 0) || has(self.spec.closed.acceptUnratified)").message("what was decided without a second person is not ratified, or the operator has not looked yet: see status.unratified, or say in spec.closed.acceptUnratified why that is accepted"),
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"Severity","type":"string","jsonPath":".spec.severity"}"#,
    printcolumn = r#"{"name":"Summary","type":"string","jsonPath":".spec.summary"}"#,
    printcolumn = r#"{"name":"Runs","type":"string","jsonPath":".status.runs"}"#,
    printcolumn = r#"{"name":"In-Place","type":"integer","jsonPath":".status.inPlace"}"#,
    printcolumn = r#"{"name":"Started","type":"string","jsonPath":".spec.milestones.impactStarted.at"}"#,
    printcolumn = r#"{"name":"TTD","type":"string","priority":1,"jsonPath":".status.durations.detect"}"#,
    printcolumn = r#"{"name":"TTA","type":"string","priority":1,"jsonPath":".status.durations.acknowledge"}"#,
    printcolumn = r#"{"name":"TTM","type":"string","priority":1,"jsonPath":".status.durations.mitigate"}"#,
    printcolumn = r#"{"name":"TTR","type":"string","priority":1,"jsonPath":".status.durations.resolve"}"#,
    printcolumn = r#"{"name":"Follow-Ups","type":"string","priority":1,"jsonPath":".status.followUps"}"#,
    printcolumn = r#"{"name":"Retro","type":"string","priority":1,"jsonPath":".spec.retrospective.state"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct IncidentSpec {
    /// What is wrong, in one line, as a user of the service would say it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 200))]
    pub summary: String,
    /// How bad it is, in your own words: `SEV1`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 16))]
    pub severity: String,
    /// The services that people could not use as usual.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 100)))]
    pub services: Vec<String>,
    /// What it meant for people and money, as far as it is known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 2048))]
    pub impact: String,
    /// When what happened. Each with its source; what nobody knows is left out.
    #[serde(default)]
    pub milestones: Milestones,
    /// What was seen, thought and done that no record can tell. Lines of the sequence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub notes: Vec<Note>,
    /// What was changed for good, or the logs that were added instead, by hand or by a pipeline.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub hot_fixes: Vec<HotFix>,
    /// What made it possible, worse, better or surprising. There are always several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"]))]
    pub factors: Vec<Factor>,
    /// What led to what, as people see it: the arrows of the chain. Nothing else draws one between factors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub links: Vec<Link>,
    /// Answers to the nine questions of the retrospective.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 9), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["question"]))]
    pub answers: Vec<Answer>,
    /// What is to be done so that it does not come again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"]))]
    pub follow_ups: Vec<FollowUp>,
    /// The ServiceAccount of this namespace as which the checks of follow-ups read. Whoever adds or changes a check must be
    /// allowed to act as it, or it must be offered for that (ClusterRole firstaid-checks).
    #[serde(default = "service_account", skip_serializing_if = "is_usual_account")]
    #[schemars(length(min = 1, max = 253))]
    pub service_account_name: String,
    /// How the team is, if it wants to say: was rest needed, was it the third night, what would have helped?
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 2048))]
    pub team: String,
    /// Where the document stands, and who looks after it.
    #[serde(default)]
    pub retrospective: Retrospective,
    /// Closes the incident. Refused while first aid is in place or a decision waits for its ratification, unless that is
    /// accepted with a reason; the operator looks again itself, and `status.phase` is Closed when it has found nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<Closed>,
}

fn service_account() -> String {
    "firstaid".to_owned()
}

fn is_usual_account(name: &str) -> bool {
    name == service_account()
}

/// The milestones of an incident. They are expected in this order; another order is shown, not refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Milestones {
    /// When users were first affected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub impact_started: Option<Milestone>,
    /// When the first alert or person noticed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detected: Option<Milestone>,
    /// When somebody began to work on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Milestone>,
    /// When users were no longer affected, though first aid may be in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mitigated: Option<Milestone>,
    /// When it was over for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<Milestone>,
}

/// A moment, and how it is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Milestone {
    /// When: RFC 3339, such as `2026-11-22T14:02:10Z`.
    pub at: MicroTime,
    /// How it is known: `alert Checkout5xxHigh`, `graph of the error rate`, `first ticket`.
    #[schemars(length(min = 1, max = 200))]
    pub source: String,
    /// What the time was said to be before, and why it was corrected.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub corrected: String,
}

/// A line of the sequence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    /// When it happened, which need not be when it was written down.
    pub at: MicroTime,
    /// What was seen, thought or done.
    #[schemars(length(min = 1, max = 1024))]
    pub text: String,
    /// How it is known, where that is not memory: a graph, a log, a chat.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 200))]
    pub source: String,
    /// Where more of it stands: an address that begins with https:// or http://.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(schema_with = "super::schema::web_address")]
    pub link: String,
}

/// A change for good, or logs added in its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HotFix {
    /// What was changed.
    #[schemars(length(min = 1, max = 512))]
    pub text: String,
    /// Fix: the fault was mended. Rollback: an earlier version runs again. LogsAdded: next time one sees more.
    pub kind: HotFixKind,
    /// When it was in effect, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<MicroTime>,
    /// In which role it was done: `service owner`. No name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 100))]
    pub by: String,
    /// The change: an address that begins with https:// or http://.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(schema_with = "super::schema::web_address")]
    pub link: String,
}

/// What a hot fix is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum HotFixKind {
    /// The fault was mended.
    Fix,
    /// An earlier version runs again.
    Rollback,
    /// Next time one sees more.
    LogsAdded,
}

/// One of several things that made it what it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Factor {
    /// A short name for `links`: lower-case letters, digits and dashes.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub id: String,
    /// The factor, in a sentence about the system, not about a person.
    #[schemars(length(min = 1, max = 512))]
    pub text: String,
    /// Contributed (the default), LimitedTheDamage, MadeItHard, Surprised, WentWell, GotLucky.
    #[serde(default)]
    pub kind: FactorKind,
    /// Where more of it stands: an address that begins with https:// or http://.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(schema_with = "super::schema::web_address")]
    pub link: String,
}

/// What a factor did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum FactorKind {
    /// It was needed for this to happen as it did.
    #[default]
    Contributed,
    /// Without it, it would have been worse.
    LimitedTheDamage,
    /// It made the work harder.
    MadeItHard,
    /// Nobody had expected it.
    Surprised,
    /// It worked as it was meant to.
    WentWell,
    /// It helped, and nobody had arranged it.
    GotLucky,
}

/// An arrow of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// From: the id of a factor, the name of a run, or a milestone such as `impactStarted`.
    #[schemars(length(min = 1, max = 63))]
    pub from: String,
    /// To: the same.
    #[schemars(length(min = 1, max = 63))]
    pub to: String,
    /// How the one led to the other: `filled`. Default: `led to`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 100))]
    pub text: String,
}

/// An answer to one of the nine questions. `We do not know yet` is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// Which question, from 1 to 9, as the retrospective numbers them.
    #[schemars(range(min = 1, max = 9))]
    pub question: i32,
    /// The answer.
    #[schemars(length(min = 1, max = 2048))]
    pub text: String,
    /// When it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<MicroTime>,
    /// In which role: `on-call`. No name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 100))]
    pub by: String,
}

/// The document's own state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retrospective {
    /// Draft (the default), InReview, Reviewed, Closed.
    #[serde(default)]
    pub state: RetrospectiveState,
    /// The team or role that looks after it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 100))]
    pub owner: String,
}

/// Where a retrospective stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RetrospectiveState {
    /// It is being written.
    #[default]
    Draft,
    /// Those who were there correct it.
    InReview,
    /// It was talked about.
    Reviewed,
    /// Nothing more is expected.
    Closed,
}

/// That an incident is closed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Closed {
    /// Why first aid stays in place, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub accept_in_place: Option<String>,
    /// Why what was decided without a second person stands without a ratification, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub accept_unratified: Option<String>,
}

/// What the operator makes of an incident, its runs and their records.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IncidentStatus {
    /// Where it stands: the last milestone that was reached, or Closed.
    pub phase: IncidentPhase,
    /// The generation of the spec that this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Settled`: nothing of its first aid is in place, and nothing waits for a ratification. `FollowUpsHold`: of no follow-up
    /// that was done the cluster shows otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// Its runs in this namespace: `4, 1 waiting`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub runs: String,
    /// How many changes of its runs are in place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_place: Option<i32>,
    /// Names of the records of what is in place, at most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 253)))]
    pub in_place_records: Vec<String>,
    /// How many runs wait for the ratification of what was decided without a second person, or were disowned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unratified: Option<i32>,
    /// How long it took, as far as both ends are known.
    #[serde(default)]
    pub durations: Durations,
    /// Its follow-ups: `2/5 done, 1 overdue`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub follow_ups: String,
    /// The alerts that were told of it, by fingerprint and begin.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 64))]
    pub alerts: BTreeMap<String, FiredAlert>,
    /// How many alerts are not kept here: it has as many as it can hold, or Alertmanager had left them out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alerts_left_out: Option<i32>,
    /// What the checks of follow-ups found at the last look.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"]))]
    pub checks: Vec<CheckedFollowUp>,
}

/// Where an incident stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum IncidentPhase {
    /// Nobody is known to work on it.
    #[default]
    Open,
    /// Somebody works on it.
    Acknowledged,
    /// Users are no longer affected.
    Mitigated,
    /// It is over.
    Resolved,
    /// Nothing more is expected.
    Closed,
}

/// Durations in words, such as `15m 2s`; left out where an end is unknown. `firstaid retro` says the ends and their sources.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Durations {
    /// TTD: from the begin of the impact to detection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub detect: Option<String>,
    /// TTA: from detection until somebody worked on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub acknowledge: Option<String>,
    /// From there to the first action that changed something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub first_action: Option<String>,
    /// How long at least one decision was waited for. What was waited for at the same time counts once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub decisions: Option<String>,
    /// TTM: from the begin of the impact to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub mitigate: Option<String>,
    /// TTR: from the begin of the impact until it was over for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub resolve: Option<String>,
}
