//! Approval: a ballot. The operator issues it empty; one person marks it once, with an annotation.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Person;
use super::runbook::{ReasonRule, SelfApproval};

/// A ballot: one decision by one person on one gate of one plan.
///
/// The operator issues it; the first mark stands. `status` is written by the operator alone.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "firstaid.dev",
    version = "v1alpha1",
    kind = "Approval",
    plural = "approvals",
    shortname = "apv",
    category = "firstaid",
    namespaced,
    derive = "PartialEq",
    status = "ApprovalStatus",
    doc = "A ballot: one decision by one person on one gate of one plan. Mark it with: kubectl annotate apv NAME approve=\"CODE WHY\" (or deny=\"WHY\").",
    validation = Rule::new("self.spec.request == oldSelf.spec.request").message("a ballot's request is fixed; a new plan gets new ballots"),
    validation = Rule::new("!has(oldSelf.spec.voter) || (has(self.spec.voter) && self.spec.voter == oldSelf.spec.voter)").message("a voter is written once"),
    validation = Rule::new("!has(oldSelf.status) || has(self.status)").message("a ballot's state cannot be removed"),
    validation = Rule::new("!has(oldSelf.status) || oldSelf.status.state == 'Open' || self.status == oldSelf.status").message("a ballot that is no longer Open stays as it is"),
    selectable = ".spec.request.run",
    printcolumn = r#"{"name":"State","type":"string","jsonPath":".status.state"}"#,
    printcolumn = r#"{"name":"Decided-By","type":"string","jsonPath":".metadata.annotations.by"}"#,
    printcolumn = r#"{"name":"Role","type":"string","jsonPath":".spec.request.role"}"#,
    printcolumn = r#"{"name":"Action","type":"string","jsonPath":".spec.request.summary"}"#,
    printcolumn = r#"{"name":"Code","type":"string","jsonPath":".spec.request.shownCode"}"#,
    printcolumn = r#"{"name":"Asked-By","type":"string","jsonPath":".spec.request.requester"}"#,
    printcolumn = r#"{"name":"Expires","type":"string","jsonPath":".spec.request.expiresAt"}"#,
    printcolumn = r#"{"name":"Run","type":"string","priority":1,"jsonPath":".spec.request.run"}"#,
    printcolumn = r#"{"name":"Kind","type":"string","priority":1,"jsonPath":".spec.request.kind"}"#,
    printcolumn = r#"{"name":"Gate","type":"string","priority":1,"jsonPath":".spec.request.gate"}"#,
    printcolumn = r#"{"name":"Approve","type":"string","priority":1,"jsonPath":".metadata.annotations.approve"}"#,
    printcolumn = r#"{"name":"Deny","type":"string","priority":1,"jsonPath":".metadata.annotations.deny"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalSpec {
    /// What is asked. Written by the operator when the ballot is issued, and fixed.
    pub request: Request,
    /// Who marked the ballot, stamped by the API server where it stamps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voter: Option<Person>,
}

/// What a ballot asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    /// Name of the run.
    #[schemars(length(max = 63))]
    pub run: String,
    /// Uid of the run: a ballot never counts for another run of the same name.
    #[serde(rename = "runUID")]
    #[schemars(length(max = 64))]
    pub run_uid: String,
    /// Name of the runbook.
    #[schemars(length(max = 63))]
    pub runbook: String,
    /// The gate that is to be opened.
    #[schemars(length(max = 40))]
    pub gate: String,
    /// The role in which the voter decides.
    #[schemars(length(max = 40))]
    pub role: String,
    /// The plan, as the key in the run's `status.plans`.
    #[schemars(length(max = 16))]
    pub plan: String,
    /// Digest of everything in the plan that bears on its effect.
    #[schemars(length(max = 80))]
    pub plan_hash: String,
    /// The short form of the digest that an approval repeats.
    #[schemars(length(min = 4, max = 8))]
    pub code: String,
    /// What the list shows as the code: `describe` where the plan has several effects, because the code is then to be
    /// read under the whole plan.
    #[schemars(length(max = 16))]
    pub shown_code: String,
    /// Decide: whether it may be done. Ratify: whether what was decided without a second person stands.
    #[serde(default)]
    pub kind: BallotKind,
    /// Who asked for the run.
    #[schemars(length(max = 256))]
    pub requester: String,
    /// Whether the requester may mark it: Never, Alone (once `status.openToRequester` is true) or Always.
    #[serde(default = "never")]
    #[schemars(default = "never")]
    pub self_approval: SelfApproval,
    /// Who else may not mark it: on a ballot that decides, whoever wrote what the runbook does; on one that ratifies,
    /// whoever decided without a second person.
    #[serde(default)]
    #[schemars(length(max = 8), inner(length(max = 256)))]
    pub excluded: Vec<String>,
    /// Whether a ServiceAccount may mark it.
    #[serde(default)]
    pub allow_service_accounts: bool,
    /// Whether a vote must carry the id of a credential.
    #[serde(default)]
    pub verified_credential: bool,
    /// Why the run was asked for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1024))]
    pub why: String,
    /// The plan in one line.
    #[schemars(length(max = 256))]
    pub summary: String,
    /// The whole plan, a line for each effect, its undo and each warning.
    #[schemars(length(max = 640), inner(length(max = 1024)))]
    pub effects: Vec<String>,
    /// Whether the vote must say why.
    pub reason: ReasonRule,
    /// When the ballot was issued.
    pub issued_at: MicroTime,
    /// Until when it may be marked; none: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
}

fn never() -> SelfApproval {
    SelfApproval::Never
}

/// What a ballot is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BallotKind {
    /// Whether it may be done.
    #[default]
    Decide,
    /// Whether what was decided without a second person stands.
    Ratify,
}

/// Where a ballot stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApprovalStatus {
    /// Open; Expired: nobody marked it in time; Superseded: the plan it was for holds no longer; Withdrawn: the run has ended or was stopped.
    pub state: BallotState,
    /// When it came into this state.
    pub changed_at: MicroTime,
    /// Whether whoever asked for the run may mark it by now, because nobody else has.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub open_to_requester: bool,
}

/// Where a ballot stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BallotState {
    /// It may be marked, or has been marked.
    Open,
    /// Nobody marked it in time.
    Expired,
    /// The plan that it was for holds no longer.
    Superseded,
    /// The run has ended or was stopped.
    Withdrawn,
}
