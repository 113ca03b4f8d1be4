//! Runbook: what is to be done, written in calm times.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Condition, Period, Step};

/// First aid for one kind of crisis: steps, parameters and gates. It does nothing until a RunbookRun starts it.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "firstaid.dev",
    version = "v1alpha1",
    kind = "Runbook",
    plural = "runbooks",
    shortname = "rbk",
    category = "firstaid",
    namespaced,
    derive = "PartialEq",
    status = "RunbookStatus",
    doc = "First aid for one kind of crisis: steps, parameters and gates. It does nothing until a RunbookRun starts it.",
    validation = Rule::new("self.metadata.name.size() <= 40").message("the name of a runbook is at most 40 characters long: the names of runs, ballots and records are made from it"),
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Steps","type":"integer","jsonPath":".status.stepCount"}"#,
    printcolumn = r#"{"name":"Gates","type":"integer","jsonPath":".status.gateCount"}"#,
    printcolumn = r#"{"name":"Touches","type":"string","jsonPath":".status.touches"}"#,
    printcolumn = r#"{"name":"Owner","type":"string","jsonPath":".spec.owner"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name":"Message","type":"string","priority":1,"jsonPath":".status.conditions[?(@.type==\"Ready\")].message"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.steps.all(s, (has(s.scale) ? 1 : 0) + (has(s.restart) ? 1 : 0) + (has(s.disable) ? 1 : 0) + (has(s.check) ? 1 : 0) == 1)").message("every step has exactly one action: scale, restart, disable or check"),
    validation = Rule::new("self.steps.all(s, has(s.gate) || has(s.check))").message("every step that changes something needs a gate: the name of one of spec.gates, or None"),
    validation = Rule::new("self.steps.all(s, !has(s.gate) || !has(s.check))").message("a check changes nothing and takes no gate"),
    validation = Rule::new("self.steps.all(s, !has(s.gate) || s.gate == 'None' || (has(self.gates) && self.gates.exists(g, g.name == s.gate)))").message("a step names a gate that is not in spec.gates"),
    validation = Rule::new("self.steps.all(s, !has(s.revertAfter) || has(s.scale) || has(s.disable))").message("revertAfter is for scale and disable: nothing else is undone"),
    validation = Rule::new("self.steps.all(s, !has(s.autoRevert) || !s.autoRevert || has(s.revertAfter))").message("autoRevert says how revertAfter is done: say revertAfter, too"),
    validation = Rule::new("self.steps.all(s, !has(s.revertAfter) || !has(s.gate) || s.gate != 'None' || (has(s.autoRevert) && s.autoRevert))").message("a step without a gate asks nobody, neither when its time is over: say autoRevert: true with its revertAfter"),
    validation = Rule::new("self.steps.all(s, !has(s.autoRevert) || !s.autoRevert || !has(s.revertAfter) || !has(s.gate) || s.gate == 'None' || (has(self.gates) && self.gates.exists(g, g.name == s.gate && has(g.coversUndo) && duration(g.coversUndo) > duration(s.revertAfter))))").message("autoRevert asks nobody anew: the coversUndo of the step's gate must be longer than its revertAfter"),
    validation = Rule::new("self.steps.all(s, self.steps.filter(t, t.name == s.name).size() == 1)").message("two steps have the same name"),
    validation = Rule::new("!has(self.gates) || self.gates.all(g, self.gates.filter(h, h.name == g.name).size() == 1)").message("two gates have the same name"),
    validation = Rule::new("!has(self.parameters) || self.parameters.all(p, self.parameters.filter(q, q.name == p.name).size() == 1)").message("two parameters have the same name")
)]
pub struct RunbookSpec {
    /// What this runbook does, in one line.
    #[schemars(length(min = 1, max = 200))]
    pub summary: String,
    /// The signs by which one knows that this runbook helps.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1000))]
    pub when_to_use: String,
    /// When it would do harm.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1000))]
    pub when_not_to_use: String,
    /// The team or person to ask about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 100))]
    pub owner: String,
    /// The ServiceAccount of this namespace as which every read and every write of this runbook is done.
    #[serde(default = "default_service_account")]
    #[schemars(length(min = 1, max = 253), default = "default_service_account", extend("x-kubernetes-validations" = [
        {"rule": "self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')",
         "message": "this is no name of a ServiceAccount: lower-case letters, digits, dashes and dots"}]))]
    pub service_account_name: String,
    /// What whoever starts it may choose.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub parameters: Vec<Parameter>,
    /// Who must approve.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub gates: Vec<Gate>,
    /// The steps, in the order in which they are taken.
    #[schemars(length(min = 1, max = 32))]
    pub steps: Vec<Step>,
}

fn default_service_account() -> String {
    "firstaid".to_owned()
}

/// A parameter of a runbook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "!has(self.minimum) || !has(self.maximum) || self.minimum <= self.maximum", "message": "a parameter's minimum is greater than its maximum"},
    {"rule": "self.type == 'integer' || (!has(self.minimum) && !has(self.maximum))", "message": "minimum and maximum are for integers"},
    {"rule": "has(self.default) || has(self.sample)", "message": "a parameter without a default needs a sample, with which the runbook is rehearsed"}
]))]
pub struct Parameter {
    /// Name, used as `${params.NAME}`.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z][A-Za-z0-9_]*$"))]
    pub name: String,
    /// Type of the value, which is always written as a string.
    #[serde(rename = "type")]
    pub kind: ParameterType,
    /// What it means.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub description: String,
    /// The value where a run gives none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub default: Option<String>,
    /// The value for the rehearsal where there is no default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub sample: Option<String>,
    /// The least value of an integer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<i64>,
    /// The greatest value of an integer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum: Option<i64>,
    /// The values that a string may have.
    #[serde(default, rename = "enum", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 256)))]
    pub allowed: Vec<String>,
}

/// Types of parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ParameterType {
    /// Any text.
    String,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
}

/// A gate: who must approve before the steps that name it act.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "self.name != 'None'", "message": "None is the word for no gate; give the gate another name"},
    {"rule": "duration(self.timeout) >= duration(self.validFor)", "message": "a gate's timeout is at least as long as its ballots are valid"},
    {"rule": "duration(self.timeout).getSeconds() <= 20 * duration(self.validFor).getSeconds()", "message": "a gate's timeout is at most 20 times as long as its ballots are valid"},
    {"rule": "!has(self.aloneAfter) || self.selfApproval == 'Alone'", "message": "aloneAfter is for selfApproval: Alone"},
    {"rule": "!has(self.aloneAfter) || duration(self.aloneAfter) < duration(self.timeout)", "message": "a gate's aloneAfter is shorter than its timeout; else whoever is alone could never decide"},
    {"rule": "self.requires.all(r, self.requires.filter(q, q.role == r.role).size() == 1)", "message": "a gate names the same role twice; use count"},
    {"rule": "self.requires.map(r, r.count).sum() <= 8", "message": "a gate asks for at most 8 votes"}
]))]
pub struct Gate {
    /// Name of the gate.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$"))]
    pub name: String,
    /// How many different people of which roles.
    #[schemars(length(min = 1, max = 4))]
    pub requires: Vec<Requirement>,
    /// How long a ballot may be marked, counted from its issue. Default 15m.
    #[serde(default = "default_valid_for")]
    #[schemars(default = "default_valid_for")]
    pub valid_for: Period,
    /// How long the gate waits for people; then the run ends Expired. A timer never approves. Default 1h.
    #[serde(default = "default_gate_timeout")]
    #[schemars(default = "default_gate_timeout")]
    pub timeout: Period,
    /// Whether a vote must say why. Required is the default.
    #[serde(default)]
    pub reason: ReasonRule,
    /// Whether whoever asked for the run may approve it, with the role like everybody. Never; Alone (the default): when
    /// nobody else has decided after aloneAfter, and then somebody else ratifies or disowns it later; Always: for what
    /// is harmless.
    #[serde(default)]
    pub self_approval: SelfApproval,
    /// How long the others have before whoever asked may decide alone. Default 5m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alone_after: Option<Period>,
    /// For how long after an act its approval covers the undo, too: within that time a run with `revertOf` needs no other, as
    /// long as whoever approved still may, and nobody else changed the values since. Default: an undo is approved anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub covers_undo: Option<Period>,
    /// Whether whoever last changed what the runbook does may approve it. Default false. Where that is not known (a
    /// cluster that does not stamp), nobody is excluded, and the plan says so.
    #[serde(default)]
    pub author_may_approve: bool,
    /// Whether a ServiceAccount may vote. Default false. One that asked for the run never may.
    #[serde(default)]
    pub allow_service_accounts: bool,
    /// Whether a vote must carry the id of a credential, so that nobody votes through impersonation. Default false: access
    /// proxies impersonate, and some authenticators give no id.
    #[serde(default)]
    pub verified_credential: bool,
}

impl Gate {
    /// How long the others have before whoever asked may decide alone; none where that never comes.
    pub fn alone_after(&self) -> Option<Period> {
        let after = || self.alone_after.clone().unwrap_or_else(|| Period::from_seconds(300));
        (self.self_approval == SelfApproval::Alone).then(after)
    }
}

/// Whether whoever asked for a run may approve it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub enum SelfApproval {
    /// As others may.
    Always,
    /// When nobody else has decided for a while, and to be ratified by somebody else.
    #[default]
    Alone,
    /// Not at all.
    Never,
}

fn default_valid_for() -> Period {
    Period::from_seconds(900)
}

fn default_gate_timeout() -> Period {
    Period::from_seconds(3600)
}

/// So many different people of a role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Requirement {
    /// The role: whoever may `approve` `runbooks/as-ROLE` holds it.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub role: String,
    /// How many people. Default 1.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 5), default = "one")]
    pub count: i32,
}

fn one() -> i32 {
    1
}

/// Whether a vote must say why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ReasonRule {
    /// A vote says why.
    #[default]
    Required,
    /// A vote may say why.
    Optional,
}

/// What the operator found when it last rehearsed the runbook.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RunbookStatus {
    /// The generation that was rehearsed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready` and `Stalled`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The one line to paste to start it; put your reason where it says WHY.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 2048))]
    pub start_command: String,
    /// Number of steps.
    #[serde(default)]
    pub step_count: i32,
    /// Number of gates that its steps name.
    #[serde(default)]
    pub gate_count: i32,
    /// What it changes, in short: `disable, scale`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 256))]
    pub touches: String,
    /// What each step would do if it ran now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 512)))]
    pub rehearsal: Vec<String>,
}
