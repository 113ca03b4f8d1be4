//! The journal: reading it live, and writing it on condition that nobody else has; and what a rehearsal found.

use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

use super::{CallError, Performer, timely};
use crate::api::{Approval, FIELD_MANAGER, RUN_LABEL, Runbook, RunbookRun, RunbookRunStatus, RunbookStatus};

/// What came of a write.
#[derive(Debug)]
pub enum Journalled {
    /// It is stored; the run as it is now.
    Stored(Box<RunbookRun>),
    /// Somebody else wrote first, or the run is gone: look again.
    Stale,
}

impl Performer {
    /// Writes the status, on condition that the run is as it was read.
    ///
    /// # Errors
    /// [`CallError`]: refused, or not known. A repeat is harmless: its resource version is old if the first one landed.
    pub async fn write_status(&self, run: &RunbookRun, status: RunbookRunStatus) -> Result<Journalled, CallError> {
        let namespace = run.metadata.namespace.as_deref().unwrap_or_default();
        let name = run.metadata.name.as_deref().unwrap_or_default();
        let runs = Api::<RunbookRun>::namespaced(self.operator.clone(), namespace);
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let mut run = run.clone();
        run.status = Some(status);
        match timely(runs.replace_status(name, &params, &run)).await {
            Ok(stored) => Ok(Journalled::Stored(Box::new(stored))),
            Err(error) if matches!(error.code(), Some(404 | 409)) => Ok(Journalled::Stale),
            Err(error) => Err(error),
        }
    }

    /// Writes what a rehearsal found. The newest word wins: nothing rests on it.
    ///
    /// # Errors
    /// [`CallError`] where it was not written, as far as is known.
    pub async fn write_rehearsal(
        &self,
        namespace: &str,
        runbook: &str,
        status: &RunbookStatus,
    ) -> Result<(), CallError> {
        let runbooks = Api::<Runbook>::namespaced(self.operator.clone(), namespace);
        let patch = Patch::Merge(json!({"status": status}));
        timely(runbooks.patch_status(runbook, &PatchParams::apply(FIELD_MANAGER), &patch)).await.map(drop)
    }
}

/// The run and its ballots, live. None where the run is gone.
///
/// # Errors
/// [`CallError`] where they could not be read.
pub async fn read_journal(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<Option<(RunbookRun, Vec<Approval>)>, CallError> {
    let runs = Api::<RunbookRun>::namespaced(client.clone(), namespace);
    let approvals = Api::<Approval>::namespaced(client.clone(), namespace);
    let of_run = ListParams::default().labels(&format!("{RUN_LABEL}={name}"));
    let (run, ballots) = tokio::join!(timely(runs.get_opt(name)), timely(approvals.list(&of_run)));
    Ok(run?.zip(Some(ballots?.items)))
}
