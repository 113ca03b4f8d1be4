//! Taking evidence out of the cluster, one object at a time: exactly the one that was read, as it was read.

use kube::api::{ApiResource, DeleteParams, DynamicObject, Preconditions};
use kube::{Api, Client};

use super::export::Kind;
use super::retention::Doomed;
use crate::api::{ActionRecord, Approval, RunbookRun};
use crate::perform::{CallError, timely};

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// It is gone.
    Gone,
    /// It is another one now, or has changed: look again.
    Stale,
}

/// Removes an object, on condition that it is the one that was read and has not changed since.
///
/// # Errors
/// [`CallError`] where it is not known to be gone. A repeat is harmless.
pub async fn remove(client: &Client, namespace: &str, doomed: &Doomed) -> Result<Removed, CallError> {
    let resource = match doomed.kind {
        Kind::Ballot => ApiResource::erase::<Approval>(&()),
        Kind::Record => ApiResource::erase::<ActionRecord>(&()),
        Kind::Run => ApiResource::erase::<RunbookRun>(&()),
    };
    let api = Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &resource);
    let as_read =
        Preconditions { uid: Some(doomed.uid.clone()), resource_version: Some(doomed.resource_version.clone()) };
    let params = DeleteParams { preconditions: Some(as_read), ..DeleteParams::default() };
    match timely(api.delete(&doomed.name, &params)).await {
        Ok(_) => Ok(Removed::Gone),
        Err(error) if error.code() == Some(404) => Ok(Removed::Gone),
        Err(error) if error.code() == Some(409) => Ok(Removed::Stale),
        Err(error) => Err(error),
    }
}
