//! Proving that the approval policies are in force, by trying what they must refuse.
//!
//! A dry-run creation of a ballot that is decided already must be refused *with our own sentence*: any other refusal (a
//! missing right, say) proves nothing. An act needs a proof that is not older than a minute.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};

use super::timely;
use crate::api::approval::{ApprovalSpec, BallotKind, Request};
use crate::api::runbook::{ReasonRule, SelfApproval};
use crate::api::{APPROVE_ANNOTATION, Approval, BY_ANNOTATION};

/// How long a proof counts.
const GOOD_FOR: Duration = Duration::from_secs(60);
/// The sentence with which the chart's policy refuses it.
const OUR_SENTENCE: &str = "a ballot is issued empty";

/// The newest proof.
pub struct Guard {
    approvals: Api<Approval>,
    proven: Mutex<Option<Instant>>,
    /// One at a time makes a proof. Whoever has a good one does not wait for it: the next one is made while it still counts.
    proving: tokio::sync::Mutex<()>,
}

impl Guard {
    pub(super) fn new(client: Client, namespace: &str) -> Self {
        Self {
            approvals: Api::namespaced(client, namespace),
            proven: Mutex::default(),
            proving: tokio::sync::Mutex::default(),
        }
    }

    /// A proof that is not older than a minute, made anew where there is none.
    ///
    /// # Errors
    /// Why there is no proof, in a sentence.
    pub async fn proof(&self) -> Result<(), String> {
        if self.is_proven() {
            return Ok(());
        }
        let _alone = self.proving.lock().await;
        if self.is_proven() { Ok(()) } else { self.prove().await }
    }

    /// Makes a proof anew, however old the newest is.
    ///
    /// # Errors
    /// Why there is no proof, in a sentence.
    pub async fn renew(&self) -> Result<(), String> {
        let _alone = self.proving.lock().await;
        self.prove().await
    }

    fn is_proven(&self) -> bool {
        self.proven.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|at| at.elapsed() < GOOD_FOR)
    }

    fn note(&self, proven: Option<Instant>) {
        *self.proven.lock().unwrap_or_else(PoisonError::into_inner) = proven;
    }

    async fn prove(&self) -> Result<(), String> {
        let started = Instant::now();
        let params = PostParams { dry_run: true, ..PostParams::default() };
        match timely(self.approvals.create(&params, &decided())).await {
            Err(error) if error.code().is_some() && error.message().contains(OUR_SENTENCE) => {
                self.note(Some(started));
                Ok(())
            }
            Err(error) => {
                Err(format!("a ballot that is decided already was refused for another reason: {}", error.message()))
            }
            Ok(_) => {
                self.note(None);
                Err("the API server would accept a ballot that is decided already: install the chart's policies again"
                    .to_owned())
            }
        }
    }
}

/// A ballot that nobody may ever create.
fn decided() -> Approval {
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
