//! Records: created once, complete. A repeat finds the first one and compares. And what becomes of evidence afterwards:
//!
//! ```text
//! export      the file of a run as text, and how it differs from what the cluster has; pure
//! retention   what is to be written, kept, refused or removed; pure
//! archive     the files, on a disk
//! remove      the removal of one object
//! ```
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

pub mod archive;
pub mod export;
pub mod remove;
pub mod retention;

use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

use crate::api::action_record::{ActionRecordStatus, RecordState};
use crate::api::{ActionRecord, FIELD_MANAGER};
use crate::perform::{CallError, body, timely};
use crate::plan::hash_of;

/// Why a record is not there.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Something else is there under its name. Evidence is never overwritten: a person must look.
    #[error("record {name} in {namespace} is there with another content ({found} instead of {wanted})")]
    Differs {
        /// Its name.
        name: String,
        /// Its namespace.
        namespace: String,
        /// The hash of what is there.
        found: String,
        /// The hash of what should be there.
        wanted: String,
    },
    /// The call failed, or its outcome is not known.
    #[error("{0}")]
    Call(#[from] CallError),
}

/// Creates a record, or finds that it is there byte for byte.
///
/// # Errors
/// [`RecordError`].
pub async fn create(client: &Client, record: &ActionRecord) -> Result<(), RecordError> {
    let namespace = record.metadata.namespace.as_deref().unwrap_or_default();
    let name = record.metadata.name.as_deref().unwrap_or_default();
    let records = Api::<ActionRecord>::namespaced(client.clone(), namespace);
    let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
    match timely(records.create(&params, record)).await {
        Ok(_) => Ok(()),
        Err(error) if error.code() == Some(409) => {
            let there = timely(records.get(name)).await?.spec;
            if body::is_same_record(&there, record) {
                return Ok(());
            }
            let (found, wanted) = (hash_of(&there), hash_of(&record.spec));
            Err(RecordError::Differs { name: name.to_owned(), namespace: namespace.to_owned(), found, wanted })
        }
        Err(error) => Err(error.into()),
    }
}

/// Notes that a change has drifted, or is in place again, where its record still says `before`. Whoever has undone it
/// meanwhile is right.
///
/// # Errors
/// [`CallError`] where it was not noted, as far as is known.
pub async fn note(
    client: &Client,
    namespace: &str,
    name: &str,
    before: &ActionRecordStatus,
    after: &ActionRecordStatus,
) -> Result<(), CallError> {
    let records = Api::<ActionRecord>::namespaced(client.clone(), namespace);
    let patch = json!([
        {"op": "test", "path": "/status/state", "value": before.state},
        {"op": "replace", "path": "/status", "value": after},
    ]);
    let patch: json_patch::Patch = serde_json::from_value(patch).unwrap_or_default();
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    match timely(records.patch(name, &params, &Patch::Json::<()>(patch))).await {
        Ok(_) => Ok(()),
        // Gone, or no longer as it was.
        Err(error) if matches!(error.code(), Some(404 | 422)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Notes what became of a recorded effect. A repeat changes nothing.
///
/// # Errors
/// [`CallError`] where it was not noted, as far as is known.
pub async fn mark(client: &Client, namespace: &str, name: &str, state: RecordState) -> Result<(), CallError> {
    let records = Api::<ActionRecord>::namespaced(client.clone(), namespace);
    let patch = body::marking(state);
    match timely(records.patch(name, &PatchParams::apply(FIELD_MANAGER), &Patch::Merge(patch))).await {
        Ok(_) => Ok(()),
        Err(error) if error.code() == Some(404) => Ok(()),
        Err(error) => Err(error),
    }
}
