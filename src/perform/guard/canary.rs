//! What the guards must refuse: a ballot that nobody may ever create.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use kube::api::ObjectMeta;

use crate::api::approval::{ApprovalSpec, BallotKind, Request};
use crate::api::runbook::{ReasonRule, SelfApproval};
use crate::api::{APPROVE_ANNOTATION, Approval, BY_ANNOTATION};

/// The sentence with which the chart's policy refuses it.
pub(in crate::perform) const OUR_SENTENCE: &str = "a ballot is issued empty";

/// A ballot that nobody may ever create.
pub(in crate::perform) fn decided_ballot() -> Approval {
    let never = jiff::Timestamp::UNIX_EPOCH;
    let mut ballot = Approval::new(
        "firstaid-guard-proof",
        ApprovalSpec {
            request: Request {
                run: "guard-proof".to_owned(),
                run_uid: "guard-proof".to_owned(),
                runbook: "guard-proof".to_owned(),
                gate: "guard-proof".to_owned(),
                role: "guard-proof".to_owned(),
                plan: "0.0".to_owned(),
                plan_hash: String::new(),
                code: "0000".to_owned(),
                shown_code: "0000".to_owned(),
                kind: BallotKind::Decide,
                requester: "guard-proof".to_owned(),
                self_approval: SelfApproval::Never,
                excluded: Vec::new(),
                allow_service_accounts: false,
                verified_credential: false,
                why: String::new(),
                summary: "a proof that this is refused".to_owned(),
                effects: Vec::new(),
                reason: ReasonRule::Required,
                issued_at: MicroTime(never),
                expires_at: Some(Time(never)),
            },
            voter: None,
        },
    );
    let votes = [(APPROVE_ANNOTATION, "0000 proof"), (BY_ANNOTATION, "guard-proof")];
    let annotations: BTreeMap<String, String> = votes.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    ballot.metadata = ObjectMeta { annotations: Some(annotations), ..ballot.metadata };
    ballot
}
