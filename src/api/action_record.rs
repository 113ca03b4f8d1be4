//! ActionRecord: what was done, complete and immutable. It outlives the run.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::run::{Evidence, Result, Target, Undo, Verified};
use super::vote::CountedVote;
use super::{Person, schema};

/// The record of one settled step: who, what, when, why, before and after.
///
/// It is created once, complete, and has no owner: nothing that is deleted takes it along.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "firstaid.dev",
    version = "v1alpha1",
    kind = "ActionRecord",
    plural = "actionrecords",
    shortname = "arec",
    category = "firstaid-records",
    namespaced,
    derive = "PartialEq",
    status = "ActionRecordStatus",
    doc = "The record of one settled step: who, what, when, why, before and after. It never changes, and it outlives the run.",
    validation = Rule::new("self.spec == oldSelf.spec").message("a record is evidence and never changes"),
    validation = Rule::new("!has(oldSelf.status) || has(self.status)").message("the state of a record cannot be removed"),
    selectable = ".spec.run",
    selectable = ".spec.incident",
    selectable = ".status.state",
    printcolumn = r#"{"name":"Result","type":"string","jsonPath":".spec.result"}"#,
    printcolumn = r#"{"name":"Verified","type":"string","jsonPath":".spec.verified"}"#,
    printcolumn = r#"{"name":"State","type":"string","jsonPath":".status.state"}"#,
    printcolumn = r#"{"name":"Approved-By","type":"string","jsonPath":".spec.approvedBy"}"#,
    printcolumn = r#"{"name":"Summary","type":"string","jsonPath":".spec.summary"}"#,
    printcolumn = r#"{"name":"Time","type":"string","jsonPath":".spec.settledAt"}"#,
    printcolumn = r#"{"name":"Action","type":"string","priority":1,"jsonPath":".spec.action"}"#,
    printcolumn = r#"{"name":"Target","type":"string","priority":1,"jsonPath":".spec.targetName"}"#,
    printcolumn = r#"{"name":"Incident","type":"string","priority":1,"jsonPath":".spec.incident"}"#,
    printcolumn = r#"{"name":"Run","type":"string","priority":1,"jsonPath":".spec.run"}"#,
    printcolumn = r#"{"name":"Step","type":"string","priority":1,"jsonPath":".spec.step"}"#,
    printcolumn = r#"{"name":"Revert-Due","type":"string","priority":1,"jsonPath":".spec.revertDue"}"#,
    printcolumn = r#"{"name":"Note","type":"string","priority":1,"jsonPath":".status.note"}"#,
    printcolumn = r#"{"name":"Revert-Of","type":"string","priority":1,"jsonPath":".spec.revertOf"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ActionRecordSpec {
    /// Version of this format.
    pub schema_version: i32,
    /// The cluster.
    pub cluster: Cluster,
    /// Key of the incident.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub incident: Option<String>,
    /// Name of the run.
    #[schemars(length(max = 63))]
    pub run: String,
    /// Uid of the run.
    #[serde(rename = "runUID")]
    #[schemars(length(max = 64))]
    pub run_uid: String,
    /// Name of the runbook.
    #[schemars(length(max = 63))]
    pub runbook: String,
    /// Name of the step.
    #[schemars(length(max = 64))]
    pub step: String,
    /// The attempt, from 1.
    pub attempt: i32,
    /// Change: something was to be changed. Observation: something was judged.
    pub kind: RecordKind,
    /// Who asked for the run.
    pub requested_by: Person,
    /// Why.
    #[schemars(length(max = 1024))]
    pub reason: String,
    /// The votes that opened the gate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub approvals: Vec<CountedVote>,
    /// The voters in one line, or `no gate`.
    #[schemars(length(max = 512))]
    pub approved_by: String,
    /// Digest of the plan under which it was done.
    #[schemars(length(max = 80))]
    pub plan_hash: String,
    /// The ServiceAccount as which it was done.
    #[schemars(length(max = 320))]
    pub actor: String,
    /// The action: `scale`.
    #[schemars(length(max = 32))]
    pub action: String,
    /// The object.
    pub target: Target,
    /// The object in one word: `Deployment/checkout`.
    #[schemars(length(max = 320))]
    pub target_name: String,
    /// The effect in one line.
    #[schemars(length(max = 256))]
    pub summary: String,
    /// What the act itself read.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "schema::opaque")]
    pub before: Map<String, Value>,
    /// What was written.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "schema::opaque")]
    pub after: Map<String, Value>,
    /// How it is undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Undo>,
    /// What became of the effect.
    pub result: Result,
    /// Whether this run changed something: false where the target was already as wanted.
    pub changed: bool,
    /// Why, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 2048))]
    pub message: String,
    /// Whether it was seen to take hold.
    pub verified: Verified,
    /// What was seen.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 2048))]
    pub verification: String,
    /// What it was judged by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub evidence: Vec<Evidence>,
    /// When the intent was written.
    pub intent_at: MicroTime,
    /// When it was sent, where something was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acted_at: Option<MicroTime>,
    /// When it was settled.
    pub settled_at: MicroTime,
    /// When the change is to be undone: the `revertAfter` of its step, from the act.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revert_due: Option<MicroTime>,
    /// The record of which this is the undo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub revert_of: Option<String>,
    /// Place in the run's chain, from 1.
    pub seq: i32,
    /// Hash of the record before it; empty for the first.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 80))]
    pub prev_hash: String,
    /// SHA-256 of the canonical JSON (RFC 8785) of this spec without this field.
    #[schemars(length(max = 80))]
    pub hash: String,
}

/// A cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cluster {
    /// Its name, as the operator was told.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Uid of its kube-system namespace.
    #[schemars(length(max = 64))]
    pub uid: String,
}

/// What a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RecordKind {
    /// Something was to be changed.
    Change,
    /// Something was judged.
    Observation,
}

/// What became of it since. Written by the operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActionRecordStatus {
    /// InPlace: the change is there. Reverted: it was undone by First Aid. Drifted: somebody else brought it back, or to something else; it may come back. OneShot: there is nothing to undo. Unknown: it could not be established.
    pub state: RecordState,
    /// What was seen, where it has drifted: what became of it, which program wrote that, and when.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub note: String,
    /// When this state was noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<MicroTime>,
}

/// What became of a recorded effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RecordState {
    /// The change is there.
    InPlace,
    /// It was undone.
    Reverted,
    /// Somebody else brought it back, or to something else, before it was undone.
    Drifted,
    /// There is nothing to undo.
    OneShot,
    /// It could not be established.
    Unknown,
}
