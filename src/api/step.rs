//! A runbook's step: common fields and exactly one action.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::run::Target;
use super::vote::Cover;
use super::{Period, schema};

/// What is written as `gate` of a step that changes something without a person's approval.
pub const NO_GATE: &str = "None";

/// One step. Exactly one of `scale`, `restart`, `disable`, `check`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Name of the step, unique in the runbook: lower-case letters, digits and dashes.
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub name: String,
    /// What the step is for, for the people who read the plan.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub description: String,
    /// The gate that people open before this step acts: the name of one of the runbook's gates, or `None`, which needs
    /// the right to `update` `runbooks/approvalpolicy`. Required for `scale`, `restart` and `disable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 40))]
    pub gate: Option<String>,
    /// CEL that must be true for the step to be taken, else it is passed by: `params` are the run's parameters,
    /// `steps['NAME'].ok` tells whether an earlier step went as wanted. It is judged when it is the step's turn, and the
    /// plan that people approve says that it may be passed by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub when: Option<String>,
    /// How long the step may take from its act until it is verified. Default 5m.
    #[serde(default = "default_timeout")]
    #[schemars(default = "default_timeout")]
    pub timeout: Period,
    /// What follows when the step fails or cannot be verified. Stop: the run ends Failed (the default). Continue: the
    /// next step is taken. Revert: what this run did is undone, in reverse order.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// How long the change may stay, counted from the act; for `scale` and `disable`. When that time is over and the run has
    /// ended, a run that undoes it is made, within a minute, and waits at the step's gate. Default: it stays until
    /// somebody undoes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revert_after: Option<Period>,
    /// With `revertAfter`: nobody is asked anew. The gate's `coversUndo` must be longer than `revertAfter`. A step with
    /// `gate: None` asks nobody, so its `revertAfter` needs this.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub auto_revert: bool,
    /// The action.
    #[serde(flatten)]
    pub action: Action,
}

fn default_timeout() -> Period {
    Period::from_seconds(300)
}

/// What follows when a step fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnFailure {
    /// The run ends Failed.
    #[default]
    Stop,
    /// The next step is taken.
    Continue,
    /// What this run did is undone, in reverse order.
    Revert,
}

/// The actions. In a step the key names the action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// Change the number of replicas of a workload.
    Scale(Scale),
    /// Restart the pods of a workload, as `kubectl rollout restart` does.
    Restart(Restart),
    /// Switch a feature flag to its off value.
    Disable(Disable),
    /// Judge an object by an expression. Changes nothing.
    Check(Check),
    /// Put back what a step of another run changed. No runbook has this: a run with `revertOf` is made of it.
    #[schemars(skip)]
    Undo(Box<Undoing>),
}

impl Action {
    /// The key in the step, which is also the action's name in plans and records.
    pub fn key(&self) -> &'static str {
        match self {
            Self::Scale(_) => "scale",
            Self::Restart(_) => "restart",
            Self::Disable(_) => "disable",
            Self::Check(_) => "check",
            // A platform that asks for two people wherever something is scaled means the way back, too.
            Self::Undo(undoing) => undoing.action.key(),
        }
    }

    /// Whether the action changes anything: only then does it need a gate.
    pub fn changes(&self) -> bool {
        !matches!(self, Self::Check(_))
    }
}

/// An object of the run's namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetRef {
    /// API group and version, such as `apps/v1`. May be left out for Deployment, StatefulSet, DaemonSet, ReplicaSet (apps/v1) and
    /// ConfigMap, Service, Pod (v1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128), regex(pattern = "^([a-z0-9]([a-z0-9.-]*[a-z0-9])?/)?v[0-9][a-z0-9]*$"))]
    pub api_version: Option<String>,
    /// Kind, such as `Deployment`.
    #[schemars(length(min = 1, max = 64), regex(pattern = "^[A-Z][A-Za-z0-9]*$"))]
    pub kind: String,
    /// Name. There is no namespace: targets live in the run's namespace.
    #[schemars(length(min = 1, max = 253), extend("x-kubernetes-validations" = [
        {"rule": "self.matches('^([a-z0-9]([a-z0-9.-]*[a-z0-9])?|[$][{].+[}])$')",
         "message": "this is no name of an object: lower-case letters, digits, dashes and dots, or an expression that is the whole value: ${params.NAME}"}]))]
    pub name: String,
}

impl TargetRef {
    /// The API version, filled in for the kinds of which it may be left out.
    pub fn resolved_api_version(&self) -> Option<&str> {
        self.api_version.as_deref().or(match self.kind.as_str() {
            "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" => Some("apps/v1"),
            "ConfigMap" | "Service" | "Pod" => Some("v1"),
            _ => None,
        })
    }
}

/// Change the number of replicas. Exactly one of `replicas`, `atLeast`, `by`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "(has(self.replicas) ? 1 : 0) + (has(self.atLeast) ? 1 : 0) + (has(self.by) ? 1 : 0) == 1",
     "message": "scale needs exactly one of replicas, atLeast, by"},
    {"rule": "!has(self.replicas) || type(self.replicas) != int || self.replicas >= 0",
     "message": "scale: replicas is 0 or more"},
    {"rule": "!has(self.replicas) || type(self.replicas) != int || self.replicas != 0 || (has(self.contain) && self.contain)",
     "message": "scale to zero takes the service away: say so with contain: true"},
    {"rule": "!has(self.min) || !has(self.max) || type(self.min) != int || type(self.max) != int || self.min <= self.max",
     "message": "scale: min is greater than max"}
]))]
pub struct Scale {
    /// The workload: Deployment, StatefulSet, ReplicaSet or a kind with a scale subresource.
    pub target: TargetRef,
    /// The number of replicas afterwards: a number, or `${...}`. Zero needs `contain`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::number_or_expression")]
    pub replicas: Option<serde_json::Value>,
    /// The least number of replicas afterwards: a number, or `${...}`. A workload that is larger already is left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::number_or_expression")]
    pub at_least: Option<serde_json::Value>,
    /// How many more (or, with a minus, fewer): a number, a percentage of the present number rounded away from zero,
    /// or `${...}`. It becomes a number when the run is planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::amount_or_expression")]
    pub by: Option<serde_json::Value>,
    /// Never fewer replicas than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::number_or_expression")]
    pub min: Option<serde_json::Value>,
    /// Never more replicas than this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::number_or_expression")]
    pub max: Option<serde_json::Value>,
    /// Says that scaling to zero is meant: the service is taken away to contain the damage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contain: Option<bool>,
}

/// Restart a workload's pods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Restart {
    /// The workload: Deployment, StatefulSet or DaemonSet.
    pub target: TargetRef,
}

/// Switch a feature flag off. Exactly one of `configMap`, `featureFlag`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "has(self.configMap) != has(self.featureFlag)", "message": "disable needs exactly one of configMap, featureFlag"}
]))]
pub struct Disable {
    /// The flag, by the name that people know. In a FeatureFlag resource it is the flag's key.
    #[schemars(length(min = 1, max = 253))]
    pub flag: String,
    /// The flag is a key of a ConfigMap, or a place in a document that a ConfigMap holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapFlag>,
    /// The flag is in an OpenFeature `FeatureFlag` resource (core.openfeature.dev/v1beta1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feature_flag: Option<FeatureFlagRef>,
    /// The value that is off, where it is not plain: a variant's name, or `true` for a flag whose off is true. Without it: the
    /// only variant whose value is false, else the variant named `off`, else a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub to: Option<String>,
    /// What becomes of targeting rules. Refuse: a flag with rules is refused (the default). Suspend: the rules are taken
    /// away, and the undo puts them back. Keep: they stay, and whom they match keeps what they say.
    #[serde(default)]
    pub rules: Rules,
    /// Contexts in which the flag is evaluated to prove that it is off. Default: an empty one and two users.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::contexts")]
    pub contexts: Vec<serde_json::Value>,
}

/// A flag in a ConfigMap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = [
    {"rule": "(has(self.format) && self.format != 'Plain') == has(self.pointer)",
     "message": "a document (format Json, Yaml or Properties) needs a pointer such as /recommendations, a plain key takes none"}
]))]
pub struct ConfigMapFlag {
    /// Name of the ConfigMap.
    #[schemars(length(min = 1, max = 253), extend("x-kubernetes-validations" = [
        {"rule": "self.matches('^([a-z0-9]([a-z0-9.-]*[a-z0-9])?|[$][{].+[}])$')",
         "message": "this is no name of a ConfigMap: lower-case letters, digits, dashes and dots, or an expression that is the whole value: ${params.NAME}"}]))]
    pub name: String,
    /// Key in its data.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
    /// What the key holds. Plain: `true` or `false` (the default). Json, Yaml, Properties: a document, and `pointer` says where.
    #[serde(default)]
    pub format: Format,
    /// The flag's place in the document, as a JSON pointer (RFC 6901): `/recommendations`, `/flags/recommendations`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512), regex(pattern = "^/"))]
    pub pointer: Option<String>,
}

/// A FeatureFlag resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FeatureFlagRef {
    /// Name of the FeatureFlag resource.
    #[schemars(length(min = 1, max = 253), extend("x-kubernetes-validations" = [
        {"rule": "self.matches('^([a-z0-9]([a-z0-9.-]*[a-z0-9])?|[$][{].+[}])$')",
         "message": "this is no name of a FeatureFlag: lower-case letters, digits, dashes and dots, or an expression that is the whole value: ${params.NAME}"}]))]
    pub name: String,
}

/// What a ConfigMap's key holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Format {
    /// `true` or `false`.
    #[default]
    Plain,
    /// A JSON document.
    Json,
    /// A YAML document.
    Yaml,
    /// A Java properties document.
    Properties,
}

/// What becomes of targeting rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Rules {
    /// A flag with rules is refused.
    #[default]
    Refuse,
    /// The rules are taken away until the undo.
    Suspend,
    /// The rules stay.
    Keep,
}

/// Judge an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// The object to read.
    pub object: TargetRef,
    /// CEL that must be true; `object` is the object as read, `params` the run's parameters:
    /// `object.status.readyReplicas >= 3`.
    #[schemars(length(min = 1, max = 1024))]
    pub that: String,
    /// How long to wait for it to become true. Default 1m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Period>,
    /// How long it must stay true. Default: one look is enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_for: Option<Period>,
}

/// What a step of another run did, to be put back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Undoing {
    /// The action of that step, without expressions.
    pub action: Action,
    /// The object, with the uid that it had.
    pub target: Target,
    /// What the act itself read.
    pub before: serde_json::Map<String, serde_json::Value>,
    /// What it wrote.
    pub after: serde_json::Map<String, serde_json::Value>,
    /// Name of the record of that step.
    pub record: String,
    /// What marks every act of that run on its targets: `<run>/<run uid>/`.
    pub mark: String,
    /// Whether it is put back even where somebody else changed it since.
    #[serde(default)]
    pub force: bool,
    /// The approval that covers it, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub covered: Option<Cover>,
}
