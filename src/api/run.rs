//! RunbookRun: one execution of a runbook. Its status is the write-ahead journal.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::condition::cut;
use super::runbook::Gate;
use super::vote::{CountedVote, Cover};
use super::{Condition, Person, schema};

/// One execution of a runbook.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "firstaid.dev",
    version = "v1alpha1",
    kind = "RunbookRun",
    plural = "runbookruns",
    shortname = "rbr",
    category = "firstaid",
    namespaced,
    derive = "PartialEq",
    status = "RunbookRunStatus",
    doc = "One execution of a runbook. Stop it with: kubectl annotate rbr NAME abort=\"why\".",
    validation = Rule::new("self.metadata.name.size() <= 52").message("the name of a run is at most 52 characters long: the names of its ballots and records are made from it"),
    validation = Rule::new("self.spec == oldSelf.spec").message("a run is fixed once it is made; start another one, or stop this one with: kubectl annotate rbr NAME abort=\"WHY\""),
    validation = Rule::new("!has(oldSelf.status) || has(self.status)").message("the journal of a run cannot be removed"),
    validation = Rule::new("!has(oldSelf.status) || !has(oldSelf.status.frozen) || (has(self.status) && has(self.status.frozen) && self.status.frozen == oldSelf.status.frozen)").message("the frozen runbook of a run cannot be changed"),
    validation = Rule::new("!has(oldSelf.status) || !has(oldSelf.status.plans) || (has(self.status) && has(self.status.plans) && oldSelf.status.plans.all(k, k in self.status.plans && self.status.plans[k] == oldSelf.status.plans[k]))").message("a plan is written once and stays"),
    validation = Rule::new("!has(oldSelf.status) || !has(oldSelf.status.steps) || (has(self.status) && has(self.status.steps) && oldSelf.status.steps.all(k, k in self.status.steps && (!has(oldSelf.status.steps[k].intent) || (has(self.status.steps[k].intent) && self.status.steps[k].intent == oldSelf.status.steps[k].intent)) && (!has(oldSelf.status.steps[k].outcome) || (has(self.status.steps[k].outcome) && self.status.steps[k].outcome == oldSelf.status.steps[k].outcome)) && (!has(oldSelf.status.steps[k].settled) || (has(self.status.steps[k].settled) && self.status.steps[k].settled == oldSelf.status.steps[k].settled))))").message("what is written about a step stays"),
    validation = Rule::new("!has(oldSelf.status) || !has(oldSelf.status.finished) || !oldSelf.status.finished || (has(self.status) && has(self.status.finished) && self.status.finished && self.status.phase == oldSelf.status.phase)").message("a run that has ended does not go on"),
    selectable = ".spec.runbook",
    selectable = ".spec.incident",
    selectable = ".spec.revertOf",
    selectable = ".status.phase",
    selectable = ".status.finished",
    printcolumn = r#"{"name":"Phase","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"Step","type":"string","jsonPath":".status.progress"}"#,
    printcolumn = r#"{"name":"Waiting-On","type":"string","jsonPath":".status.waitingOn"}"#,
    printcolumn = r#"{"name":"Runbook","type":"string","jsonPath":".spec.runbook"}"#,
    printcolumn = r#"{"name":"Incident","type":"string","jsonPath":".spec.incident"}"#,
    printcolumn = r#"{"name":"Asked-By","type":"string","priority":1,"jsonPath":".spec.requestedBy.username"}"#,
    printcolumn = r#"{"name":"Ratified","type":"string","priority":1,"jsonPath":".status.conditions[?(@.type==\"Ratified\")].status"}"#,
    printcolumn = r#"{"name":"In-Place","type":"integer","priority":1,"jsonPath":".status.inPlaceAtEnd"}"#,
    printcolumn = r#"{"name":"Message","type":"string","priority":1,"jsonPath":".status.message"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.revertOf) || (!has(self.steps) && !has(self.force))").message("steps and force are for a run that undoes another one: say which with revertOf"),
    validation = Rule::new("has(self.revertOf) || !has(self.trigger)").message("trigger is for a run that undoes another one"),
    validation = Rule::new("!has(self.revertOf) || !has(self.parameters)").message("an undo takes no parameters: it puts back what was there")
)]
pub struct RunbookRunSpec {
    /// Name of the runbook, in this namespace.
    #[schemars(length(min = 1, max = 40), extend("x-kubernetes-validations" = [
        {"rule": "self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')",
         "message": "this is no name of a runbook: lower-case letters, digits, dashes and dots; see what there is with: kubectl get rbk"}]))]
    pub runbook: String,
    /// Values of the runbook's parameters, as strings.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::parameter_values")]
    pub parameters: BTreeMap<String, String>,
    /// Why it is started.
    #[schemars(length(min = 1, max = 1024), extend("x-kubernetes-validations" = [
        {"rule": "!(self.trim() in ['', 'WHY'])", "message": "say why the runbook is started, in words of your own: the reason is blank, or the WHY of a line that was pasted"}]))]
    pub reason: String,
    /// Key of the incident to which it belongs, of your own choice: a PagerDuty id is fine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub incident: Option<String>,
    /// Name of a run of the same runbook, in this namespace, whose changes are to be undone: the recorded values are put back,
    /// in reverse order, behind the same gates. What somebody else changed since is left alone. It takes no parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 52), extend("x-kubernetes-validations" = [
        {"rule": "self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')",
         "message": "this is no name of a run: lower-case letters, digits, dashes and dots; see what there is with: kubectl get rbr"}]))]
    pub revert_of: Option<String>,
    /// With `revertOf`: the steps that are to be undone; all of them, where none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 32), inner(length(min = 1, max = 40)))]
    pub steps: Vec<String>,
    /// With `revertOf`: put the recorded values back even where somebody else changed them since. The plan says whose change
    /// is lost, and no earlier approval covers it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
    /// With `revertOf`: what made the run, where that was no person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<Trigger>,
    /// Execute: do it (the default). Plan: only say what would be done, then end.
    #[serde(default)]
    pub mode: Mode,
    /// Who starts it: filled in where the cluster stamps, else typed; the API server verifies it in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<Person>,
}

/// What made a run, where that was no person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Trigger {
    /// The `revertAfter` of a step was over. An earlier approval covers it only where the step says `autoRevert`.
    RevertAfter,
}

/// How far a run goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// It acts.
    #[default]
    Execute,
    /// It plans and ends.
    Plan,
}

/// Where a run stands, for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// It looks at the cluster and works out what it would do.
    #[default]
    Planning,
    /// It waits for people, or for a brake or another run.
    Waiting,
    /// It acts.
    Acting,
    /// It has acted and watches whether it took hold.
    Verifying,
    /// An outcome is unknown and reading back could not settle it.
    NeedsHuman,
    /// It ended as the runbook wanted.
    Succeeded,
    /// It ended otherwise; the message says why.
    Failed,
    /// A person said no.
    Denied,
    /// Nobody decided in time.
    Expired,
    /// A person stopped it.
    Aborted,
    /// A step failed and what the run had done was undone.
    Reverted,
}

impl Phase {
    /// Whether the run has ended.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Denied | Self::Expired | Self::Aborted | Self::Reverted)
    }
}

/// The journal of a run. Entries are added, never changed or dropped: the API server holds the operator to it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunbookRunStatus {
    /// Where the run stands. NeedsHuman: an outcome is unknown; look at the target and say what you found with
    /// `kubectl annotate rbr NAME settle="done WHY"` or `settle="not-done WHY"`.
    pub phase: Phase,
    /// Whether the run has ended.
    #[serde(default)]
    pub finished: bool,
    /// The generation of the spec that this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Finished` and `Succeeded`; and `Ratified` where something was decided without a second person: False until
    /// somebody else has ratified it on the ballot of `ratification`, and after it was disowned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The step in hand: `2/3 scale-out`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub progress: String,
    /// What it waits for: who, since when.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub waiting_on: String,
    /// What to type next, ready to paste.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 1024)))]
    pub next_commands: Vec<String>,
    /// How it stands or ended, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 2048))]
    pub message: String,
    /// When the operator took it up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<MicroTime>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<MicroTime>,
    /// The runbook as it was when the run was taken up, with the parameters filled in. A later edit changes no run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::opaque")]
    pub frozen: Option<Value>,
    /// The plans, by segment and revision: `0.1`. The plan is the intent of what is done first.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 128))]
    pub plans: BTreeMap<String, Plan>,
    /// What happened, by step and attempt: `scale-out.1`, and `scale-out.undo.1` for its undo within the run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 256))]
    pub steps: BTreeMap<String, StepJournal>,
    /// Name of the ballot on which somebody else ratifies or disowns what was decided without a second person.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 80))]
    pub ratification: String,
    /// When a person was first asked to settle an outcome, with no answer there yet: an answer counts if the approval policies
    /// have been in force since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<MicroTime>,
    /// Hash of the newest record of this run.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 80))]
    pub record_head: String,
    /// How many changes of this run were in place when it ended. What is in place later is told by the records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_place_at_end: Option<i32>,
    /// The process that wrote the journal last. One that is not named here writes it before it acts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<Driver>,
}

/// A process of the operator. It acts only while the stored run names it in its present claim: by the write that put it there,
/// every write that was on its way from another process, or from this one, has come too late.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Driver {
    /// Host, process id and start: another one after each start.
    #[schemars(length(max = 128))]
    pub process: String,
    /// How often this process did not know what became of a write of this journal.
    #[serde(default)]
    pub claim: i32,
}

/// What one segment (consecutive steps behind the same gate) will do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Version of this format.
    pub schema_version: i32,
    /// When it was made.
    pub planned_at: MicroTime,
    /// When the gate began to wait; a later revision keeps the time of the first.
    pub gate_since: MicroTime,
    /// The gate, or none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40))]
    pub gate: Option<String>,
    /// The gate as it was when this was planned: the stricter of the runbook's and of what the platform asks at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<Gate>,
    /// What the platform asks at least, where that is more than the runbook asks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 256)))]
    pub floors: Vec<String>,
    /// Who may not approve it beside whoever asked: the author of what the runbook does, where the gate excludes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub excluded: Option<String>,
    /// Where it undoes what another run did: the approval of that run, which covers it, so that nobody is asked again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub covered: Option<Cover>,
    /// Names of the ballots that open the gate, with the role of each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub ballots: Vec<Slot>,
    /// Until when its ballots may be marked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// Digest of everything that bears on the effect.
    #[schemars(length(max = 80))]
    pub plan_hash: String,
    /// The short form of the digest that an approval repeats.
    #[schemars(length(max = 8))]
    pub code: String,
    /// The plan in one line.
    #[schemars(length(max = 256))]
    pub summary: String,
    /// Why this revision was made, where it is not the first.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub revised_because: String,
    /// The steps.
    #[schemars(length(max = 32))]
    pub steps: Vec<PlannedStep>,
}

/// A ballot of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Slot {
    /// Name of the Approval.
    #[schemars(length(max = 63))]
    pub name: String,
    /// The role in which it is marked.
    #[schemars(length(max = 40))]
    pub role: String,
}

/// What one step will do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlannedStep {
    /// Name of the step.
    #[schemars(length(max = 64))]
    pub step: String,
    /// The attempt of which this is the intent.
    pub attempt: i32,
    /// The action: `scale`.
    #[schemars(length(max = 32))]
    pub action: String,
    /// The object that is changed or judged.
    pub target: Target,
    /// The version of the target that was looked at; it binds nobody.
    #[serde(default)]
    pub seen: SeenVersion,
    /// What was found.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "schema::opaque")]
    pub before: Map<String, Value>,
    /// What will be.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "schema::opaque")]
    pub after: Map<String, Value>,
    /// The facts on which an approval of this step rests.
    pub holds: Holds,
    /// How it is undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Undo>,
    /// What a person would type instead.
    #[schemars(length(max = 1024))]
    pub by_hand: String,
    /// What the act leaves on the target: `<run>/<run uid>/<step>/<attempt>`.
    #[schemars(length(max = 256))]
    pub token: String,
    /// Whether the target is already as wanted, so that nothing will be written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub already: bool,
    /// What people should know before they approve.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 512)))]
    pub warnings: Vec<String>,
    /// The effect in one line: `scale Deployment/checkout 4 -> 10`.
    #[schemars(length(max = 256))]
    pub summary: String,
}

/// An object of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// API group and version.
    #[schemars(length(max = 128))]
    pub api_version: String,
    /// Kind.
    #[schemars(length(max = 64))]
    pub kind: String,
    /// Namespace.
    #[schemars(length(max = 63))]
    pub namespace: String,
    /// Name.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Uid: an object of the same name that was made anew is another object.
    #[schemars(length(max = 64))]
    pub uid: String,
}

impl Target {
    /// `Deployment/checkout`.
    pub fn display(&self) -> String {
        format!("{}/{}", self.kind, self.name)
    }
}

/// A version of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SeenVersion {
    /// Generation of its spec, for kinds that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// Resource version.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 64))]
    pub resource_version: String,
}

/// The facts on which an approval rests. While they hold, nothing that moves by itself voids it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Holds {
    /// For people: `it is the same object and still below 10`.
    #[schemars(length(max = 512))]
    pub sentence: String,
    /// The same as data.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "schema::opaque")]
    pub facts: Map<String, Value>,
}

/// How a step is undone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Undo {
    /// For people: `scale Deployment/checkout back to 4`.
    #[schemars(length(max = 512))]
    pub summary: String,
    /// What a person would type instead.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub by_hand: String,
    /// What is restored.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "schema::opaque")]
    pub restore: Map<String, Value>,
}

impl Undo {
    /// Within the bounds of its texts.
    pub fn cut(self) -> Self {
        Self { summary: cut(&self.summary, 512), by_hand: cut(&self.by_hand, 1024), ..self }
    }
}

/// What is known of one attempt at a step. Each part is written once.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepJournal {
    /// What will be done: for a later attempt and for an undo. The plan is the intent of the first attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<Intent>,
    /// What became of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Whether it took hold, and the place in the chain of records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<Settled>,
}

/// The intent of a later attempt or of an undo.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Intent {
    /// When it was written.
    pub at: MicroTime,
    /// The plan under whose approval it stands.
    #[schemars(length(max = 16))]
    pub plan: String,
    /// What will be done.
    pub step: PlannedStep,
}

/// What became of an act.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Outcome {
    /// Done: with proof. Refused: nothing was written, and why. Failed: a check did not come true. Unknown: it could not be read back.
    pub result: Result,
    /// Why, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 2048))]
    pub message: String,
    /// The plan under which it was done.
    #[schemars(length(max = 16))]
    pub plan: String,
    /// When the intent was written.
    pub intent_at: MicroTime,
    /// When it was sent, where something was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acted_at: Option<MicroTime>,
    /// When this was known.
    pub known_at: MicroTime,
    /// Whether this run changed something: false where the target was already as wanted.
    pub changed: bool,
    /// What the act itself read.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "schema::opaque")]
    pub before: Map<String, Value>,
    /// What was written.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "schema::opaque")]
    pub after: Map<String, Value>,
    /// How it is undone, with the values that the act itself read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Undo>,
    /// The votes that opened the gate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub approvals: Vec<CountedVote>,
}

/// What became of an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Result {
    /// It took place, with proof.
    Done,
    /// It was refused; nothing was written.
    Refused,
    /// A check did not come true.
    Failed,
    /// Whether it took place could not be established.
    Unknown,
}

/// Whether an effect took hold, and its place in the chain of records. Written before the record is created, so that a
/// repeated create is the same byte for byte.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Settled {
    /// Whether it was seen to take hold.
    pub verified: Verified,
    /// What was seen, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 2048))]
    pub message: String,
    /// What it was judged by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub evidence: Vec<Evidence>,
    /// When.
    pub at: MicroTime,
    /// Name of the record.
    #[schemars(length(max = 253))]
    pub record: String,
    /// Place in the run's chain, from 1.
    pub seq: i32,
    /// Hash of the record before it; empty for the first.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 80))]
    pub prev_hash: String,
    /// Hash of the record.
    #[schemars(length(max = 80))]
    pub hash: String,
}

/// Whether an effect was seen to take hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Verified {
    /// It was.
    Yes,
    /// It was not, in the time given.
    No,
    /// It could not be read.
    Unknown,
    /// There is nothing to verify.
    NotApplicable,
}

/// A piece of evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// What it is: `ready replicas`.
    #[schemars(length(max = 128))]
    pub what: String,
    /// What was seen, cut to its bound.
    #[schemars(length(max = 1024))]
    pub seen: String,
    /// SHA-256 of the whole where it was cut.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 80))]
    pub hash: String,
}
