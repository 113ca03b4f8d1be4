//! The journal: reading it live, and writing it on condition that nobody else has; and what a rehearsal found, and what is
//! known of an incident.

use std::collections::BTreeSet;

use futures::future::join_all;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;

use super::body::{self, ballots_of};
use super::{CallError, Performer, timely};
use crate::api::incident::{Incident, IncidentStatus};
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
            Ok(stored) => {
                let version = stored.metadata.resource_version.as_ref().and_then(|version| version.parse().ok());
                version.into_iter().for_each(|version| self.guard.saw_version(version));
                Ok(Journalled::Stored(Box::new(stored)))
            }
            Err(error) if matches!(error.code(), Some(404 | 409)) => Ok(Journalled::Stale),
            Err(error) => Err(error),
        }
    }

    /// Says on the run that the API server refuses what is done next: by somebody else's policy, say, or a quota. Nothing else
    /// of it is changed, so that this much can be said.
    ///
    /// # Errors
    /// [`CallError`] where not even that was written, as far as is known.
    pub async fn say_refused(&self, run: &RunbookRun, doing: &str, refusal: &CallError) -> Result<(), CallError> {
        self.say(run, &body::refusal_sentence(run, doing, refusal)).await
    }

    /// Says what a run waits for, and changes nothing else of it, on condition that it is as it was read.
    ///
    /// # Errors
    /// [`CallError`] where it was not written, as far as is known.
    pub async fn say(&self, run: &RunbookRun, what: &str) -> Result<(), CallError> {
        let namespace = run.metadata.namespace.as_deref().unwrap_or_default();
        let name = run.metadata.name.as_deref().unwrap_or_default();
        let runs = Api::<RunbookRun>::namespaced(self.operator.clone(), namespace);
        let patch = body::saying(run, what);
        timely(runs.patch_status(name, &PatchParams::apply(FIELD_MANAGER), &Patch::Merge(patch))).await.map(drop)
    }

    /// A ballot of ratification and its run, live. None where one of them is gone.
    ///
    /// # Errors
    /// [`CallError`] where they could not be read.
    pub async fn read_ratification(
        &self,
        namespace: &str,
        ballot: &str,
    ) -> Result<Option<(RunbookRun, Approval)>, CallError> {
        let approvals = Api::<Approval>::namespaced(self.operator.clone(), namespace);
        let Some(ballot) = timely(approvals.get_opt(ballot)).await? else { return Ok(None) };
        let runs = Api::<RunbookRun>::namespaced(self.operator.clone(), namespace);
        let run = timely(runs.get_opt(&ballot.spec.request.run)).await?;
        Ok(run.map(|run| (run, ballot)))
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

    /// Writes what is known of an incident; `before`: what was known before. The alerts that were told of it are left as they
    /// are: whoever is told of them writes them. The newest word wins: nothing rests on it but the leave to close it.
    ///
    /// # Errors
    /// [`CallError`] where it was not written, as far as is known.
    pub async fn write_incident(
        &self,
        namespace: &str,
        incident: &str,
        before: Option<&IncidentStatus>,
        status: &IncidentStatus,
    ) -> Result<(), CallError> {
        let incidents = Api::<Incident>::namespaced(self.operator.clone(), namespace);
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let patch = Patch::Merge(body::incident_status(before, status));
        timely(incidents.patch_status(incident, &params, &patch)).await.map(drop)
    }
}

/// The run and the ballots of its plans, live. None where the run is gone.
///
/// The run as the caller knows it only says which ballots to read in the same breath: those of plans that it does not
/// know yet are read after it, so that no vote on any plan is missed. Ballots are read by their names: a list would be
/// answered from the API server's cache, after etcd has confirmed that nothing is missing there, which it is asked ten
/// times a second. Where there is no plan yet they are listed, to learn which names an older run has taken.
///
/// # Errors
/// [`CallError`] where they could not be read.
pub async fn read_journal(
    client: &Client,
    known: &RunbookRun,
) -> Result<Option<(RunbookRun, Vec<Approval>)>, CallError> {
    let namespace = known.metadata.namespace.as_deref().unwrap_or_default();
    let name = known.metadata.name.as_deref().unwrap_or_default();
    let runs = Api::<RunbookRun>::namespaced(client.clone(), namespace);
    let approvals = Api::<Approval>::namespaced(client.clone(), namespace);
    let expected = ballots_of(known);
    let (run, ballots) = tokio::join!(timely(runs.get_opt(name)), async {
        if expected.is_empty() {
            let of_run = ListParams::default().labels(&format!("{RUN_LABEL}={name}"));
            return timely(approvals.list(&of_run)).await.map(|list| list.items);
        }
        read_ballots(&approvals, &expected).await
    });
    let (Some(run), mut ballots) = (run?, ballots?) else { return Ok(None) };
    let newer: BTreeSet<&str> = ballots_of(&run).difference(&expected).copied().collect();
    ballots.retain(|ballot| ballot.metadata.name.as_deref().is_none_or(|name| !newer.contains(name)));
    ballots.extend(read_ballots(&approvals, &newer).await?);
    Ok(Some((run, ballots)))
}

/// Those of them that are there.
async fn read_ballots(approvals: &Api<Approval>, names: &BTreeSet<&str>) -> Result<Vec<Approval>, CallError> {
    let found = join_all(names.iter().map(|name| timely(approvals.get_opt(name)))).await;
    found.into_iter().filter_map(Result::transpose).collect()
}
