//! Issuing ballots, and closing them.

use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};

use super::{CallError, Performer, body, timely};
use crate::api::{Approval, FIELD_MANAGER};
use crate::plan::Retirement;

impl Performer {
    /// Issues a ballot. One that is there already is fine: the next live read tells whether it is ours.
    ///
    /// # Errors
    /// [`CallError`] where it was not issued, as far as is known.
    pub async fn issue(&self, ballot: &Approval) -> Result<(), CallError> {
        let namespace = ballot.metadata.namespace.as_deref().unwrap_or_default();
        let approvals = Api::<Approval>::namespaced(self.operator.clone(), namespace);
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        match timely(approvals.create(&params, ballot)).await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some(409) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Lets whoever asked for the run mark a ballot.
    ///
    /// # Errors
    /// [`CallError`] where it was not done, as far as is known.
    pub async fn admit_requester(&self, namespace: &str, ballot: &str) -> Result<(), CallError> {
        let approvals = Api::<Approval>::namespaced(self.operator.clone(), namespace);
        let patch = Patch::Merge(body::admission());
        match timely(approvals.patch(ballot, &PatchParams::apply(FIELD_MANAGER), &patch)).await {
            Ok(_) => Ok(()),
            // Closed or gone since it was read: the next look tells.
            Err(error) if matches!(error.code(), Some(404 | 422)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Closes a ballot, so that nobody marks it in vain.
    ///
    /// # Errors
    /// [`CallError`] where it was not closed, as far as is known. One that is gone is closed.
    pub async fn retire(&self, namespace: &str, retirement: &Retirement) -> Result<(), CallError> {
        let approvals = Api::<Approval>::namespaced(self.operator.clone(), namespace);
        let patch = Patch::Merge(body::retirement(retirement, super::now()));
        match timely(approvals.patch(&retirement.ballot, &PatchParams::apply(FIELD_MANAGER), &patch)).await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some(404) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
