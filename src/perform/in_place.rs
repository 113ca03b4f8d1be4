//! Reading what runs have left behind, and making the run that undoes what has had its time.

use kube::api::{ListParams, PostParams};
use kube::{Api, ResourceExt};

use super::{CallError, Performer, timely};
use crate::api::action_record::ActionRecordStatus;
use crate::api::{ActionRecord, FIELD_MANAGER, Person, RunbookRun};

/// Records at once.
const PAGE: u32 = 50;

/// Records of which the effect is there, or may be there again: all others are left where they are.
const LEFT: &str = "status.state!=Reverted,status.state!=OneShot,status.state!=Unknown";

/// The record of a change that is still there, or has drifted.
#[derive(Clone, Debug)]
pub struct Left {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub record: String,
    /// Name of its run.
    pub run: String,
    /// Uid of its run.
    pub run_uid: String,
    /// What it says became of it.
    pub status: ActionRecordStatus,
}

/// The records of all changes that are still there or have drifted, a page at a time.
///
/// # Errors
/// [`CallError`] where they could not be listed.
pub async fn list_left(records: &Api<ActionRecord>) -> Result<Vec<Left>, CallError> {
    let mut params = ListParams::default().fields(LEFT).limit(PAGE);
    let mut left = Vec::new();
    loop {
        let page = timely(records.list(&params)).await?;
        left.extend(page.items.into_iter().filter_map(|record| {
            Some(Left {
                namespace: record.namespace()?,
                record: record.name_any(),
                run: record.spec.run,
                run_uid: record.spec.run_uid,
                status: record.status?,
            })
        }));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(left),
        }
    }
}

impl Performer {
    /// A run, if it is there.
    ///
    /// # Errors
    /// [`CallError`] where it could not be read.
    pub async fn read_run(&self, namespace: &str, name: &str) -> Result<Option<RunbookRun>, CallError> {
        let runs = Api::<RunbookRun>::namespaced(self.operator.clone(), namespace);
        timely(runs.get_opt(name)).await
    }

    /// The runs that undo this one.
    ///
    /// # Errors
    /// [`CallError`] where they could not be listed.
    pub async fn undos_of(&self, namespace: &str, run: &str) -> Result<Vec<RunbookRun>, CallError> {
        let runs = Api::<RunbookRun>::namespaced(self.operator.clone(), namespace);
        let of_run = ListParams::default().fields(&format!("spec.revertOf={run}"));
        timely(runs.list(&of_run)).await.map(|list| list.items)
    }

    /// Makes a run in the operator's own name; whether it was not there already.
    ///
    /// # Errors
    /// [`CallError`]: refused, or not known. A repeat is harmless: the name is taken if the first one landed.
    pub async fn start(&self, run: &RunbookRun) -> Result<bool, CallError> {
        let namespace = run.metadata.namespace.as_deref().unwrap_or_default();
        let runs = Api::<RunbookRun>::namespaced(self.operator.clone(), namespace);
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let mut run = run.clone();
        run.spec.requested_by = Some(Person { username: self.name.clone(), ..Person::default() });
        match timely(runs.create(&params, &run)).await {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some(409) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
