//! What is known of the guards outlives the operator on a Lease of its own in its namespace: whether they were away while
//! no operator ran is told by what the one before saw.

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};

use super::standing::Known;
use crate::api::FIELD_MANAGER;
use crate::perform::{CallError, timely};

/// The Lease. All replicas share it.
const NAME: &str = "firstaid-guards";
/// What is known, as JSON.
const ANNOTATION: &str = "firstaid.dev/guards";

/// What is known, with the version that it was read at.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    /// What is known; nothing where nobody ever noted anything.
    pub known: Known,
    lease: Option<Lease>,
}

/// Where it is kept.
pub(super) struct Memory {
    leases: Api<Lease>,
}

impl Memory {
    pub fn new(client: Client, namespace: &str) -> Self {
        Self { leases: Api::namespaced(client, namespace) }
    }

    /// What is kept. What cannot be understood counts as nothing: nothing is then known of what was before.
    ///
    /// # Errors
    /// [`CallError`] where it cannot be read.
    pub async fn read(&self) -> Result<Kept, CallError> {
        let lease = timely(self.leases.get_opt(NAME)).await?;
        let text = lease.as_ref().and_then(|lease| lease.metadata.annotations.as_ref()?.get(ANNOTATION));
        let known = text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        Ok(Kept { known, lease })
    }

    /// Keeps what is known, on condition that nobody has kept anything since it was read. The version of the Lease now: that of
    /// the whole storage, since each write has a newer one and this one always changes something.
    ///
    /// # Errors
    /// [`CallError`] where it was not kept, as far as is known.
    pub async fn write(&self, kept: Kept, known: &Known) -> Result<Option<u64>, CallError> {
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let new = kept.lease.is_none();
        let mut lease = kept.lease.unwrap_or_else(|| Lease {
            metadata: ObjectMeta { name: Some(NAME.to_owned()), ..ObjectMeta::default() },
            ..Lease::default()
        });
        let text = serde_json::to_string(known).unwrap_or_default();
        lease.metadata.annotations.get_or_insert_default().insert(ANNOTATION.to_owned(), text);
        lease.metadata.managed_fields = None;
        // For whoever looks with kubectl; nothing reads it.
        let holder = Some("first-aid".to_owned());
        lease.spec =
            Some(LeaseSpec { holder_identity: holder, renew_time: known.seen.map(MicroTime), ..LeaseSpec::default() });
        let written = if new {
            timely(self.leases.create(&params, &lease)).await
        } else {
            timely(self.leases.replace(NAME, &params, &lease)).await
        };
        Ok(written?.metadata.resource_version.and_then(|version| version.parse().ok()))
    }
}
