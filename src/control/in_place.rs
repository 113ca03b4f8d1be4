//! What is still in place: the changes of runs that have ended are looked at again and again, as the ServiceAccount that
//! made them. Their records say which somebody took back, and what has had its time is undone by a run of its own.
//!
//! Nothing is remembered between two passes: the records, the targets and the runs that there are say all of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::{Api, Client};

use super::recall::RunName;
use super::{Context, PassError, apis};
use crate::action::Seen;
use crate::api::action_record::{ActionRecordStatus, RecordState};
use crate::api::{ActionRecord, RunbookRun};
use crate::metrics::InPlace;
use crate::perform::{self, Left};
use crate::plan::{Aftermath, Standing, Timed};
use crate::record;

/// Runs that are looked at at the same time.
const AT_ONCE: usize = 4;
/// The least pause between two passes, however soon something has had its time.
const REST: Duration = Duration::from_secs(1);

/// Looks at what is in place in these namespaces, that often, until the future resolves.
pub async fn drive(
    client: Client,
    namespaces: &[String],
    context: Arc<Context>,
    period: Duration,
    stop: impl Future<Output = ()>,
) {
    let records = apis::<ActionRecord>(&client, namespaces);
    let work = async {
        loop {
            let next = pass(&records, &context).await;
            let soon = next.map(|next| Duration::try_from(next.duration_since(perform::now())).unwrap_or_default());
            tokio::time::sleep(soon.unwrap_or(period).clamp(REST, period.max(REST))).await;
        }
    };
    tokio::select! {
        () = work => {}
        () = stop => {}
    }
}

/// Looks at every change once. When the next one has had its time, where that is known.
async fn pass(records: &[Api<ActionRecord>], context: &Context) -> Option<Timestamp> {
    let mut runs: BTreeMap<RunName, Vec<Left>> = BTreeMap::new();
    for records in records {
        match perform::list_left(records).await {
            Ok(left) => left.into_iter().for_each(|left| {
                let run = RunName { namespace: left.namespace.clone(), name: left.run.clone() };
                runs.entry(run).or_default().push(left);
            }),
            Err(error) => {
                tracing::warn!(%error, "what is in place cannot be listed");
                context.metrics.error("call");
                return None;
            }
        }
    }
    let looks = stream::iter(runs).map(|(name, left)| async move {
        let looked = look_at(&name, &left, context).await;
        looked.unwrap_or_else(|error| {
            tracing::warn!(run = name.name, namespace = name.namespace, %error, "what a run left was not looked at");
            context.metrics.error(error.category());
            (InPlace { unknown: left.len(), ..InPlace::default() }, None)
        })
    });
    let looked: Vec<(InPlace, Option<Timestamp>)> = looks.buffer_unordered(AT_ONCE).collect().await;
    let sum = looked.iter().fold(InPlace::default(), |sum, (one, _)| InPlace {
        in_place: sum.in_place + one.in_place,
        overdue: sum.overdue + one.overdue,
        drifted: sum.drifted + one.drifted,
        unknown: sum.unknown + one.unknown,
    });
    context.metrics.in_place(sum);
    looked.into_iter().filter_map(|(_, next)| next).min()
}

/// Looks at what one run left, notes what became of it, and makes the run that undoes what has had its time.
async fn look_at(name: &RunName, left: &[Left], context: &Context) -> Result<(InPlace, Option<Timestamp>), PassError> {
    let failed = |doing: &'static str| move |error| PassError::Call { doing, error };
    let run = context.performer.read_run(&name.namespace, &name.name).await.map_err(failed("reading a run"))?;
    // Another one of that name left nothing of this.
    let Some(run) = run.filter(|run| left.iter().any(|left| run.metadata.uid.as_ref() == Some(&left.run_uid))) else {
        return Ok((InPlace::default(), None));
    };
    // While it works it may still take back itself what it did.
    let Some(aftermath) = Aftermath::of(&run) else { return Ok((InPlace::default(), None)) };
    let (mut count, mut still) = (InPlace::default(), Vec::new());
    for change in aftermath.changes() {
        let Some(left) = left.iter().find(|left| left.record == change.record) else { continue };
        let mut seen = Seen::default().within(&name.namespace);
        for query in aftermath.look(change) {
            let answer = context.performer.look(&name.namespace, aftermath.service_account(), &query).await;
            seen.add(query, answer);
        }
        let standing = aftermath.standing(change, &seen);
        match &standing {
            Standing::InPlace => still.push(change),
            Standing::Drifted(_) => count.drifted += 1,
            Standing::Unknown(why) => {
                tracing::debug!(run = name.name, namespace = name.namespace, record = left.record, why, "not known");
                count.unknown += 1;
            }
        }
        note(name, left, standing, context).await?;
    }
    let now = perform::now();
    let overdue = still.iter().filter(|change| aftermath.is_overdue(&[change], now)).count();
    (count.in_place, count.overdue) = (still.len() - overdue, overdue);
    // Only where there is something to ask about: this lists runs.
    let undos = match overdue {
        0 => Vec::new(),
        _ => context.performer.undos_of(&name.namespace, &name.name).await.map_err(failed("listing undos"))?,
    };
    let Timed { undo, next } = aftermath.timed(&still, &undos, now);
    if let Some(undo) = undo {
        start(&undo, context).await?;
    }
    Ok((count, next))
}

/// Writes down what became of a change, where that is new.
async fn note(run: &RunName, left: &Left, standing: Standing, context: &Context) -> Result<(), PassError> {
    let (state, note) = match standing {
        Standing::InPlace => (RecordState::InPlace, String::new()),
        Standing::Drifted(note) => (RecordState::Drifted, note),
        Standing::Unknown(_) => return Ok(()),
    };
    if (left.status.state, &left.status.note) == (state, &note) {
        return Ok(());
    }
    tracing::info!(run = run.name, namespace = run.namespace, record = left.record, ?state, note, "what became of it");
    let status = ActionRecordStatus { state, note, changed_at: Some(MicroTime(perform::now())) };
    let client = context.performer.client();
    let noted = record::note(client, &run.namespace, &left.record, &left.status, &status).await;
    noted.map_err(|error| PassError::Call { doing: "noting what became of a change", error })?;
    context.wakes.wake(run);
    Ok(())
}

/// Makes a run that undoes what has had its time.
async fn start(undo: &RunbookRun, context: &Context) -> Result<(), PassError> {
    let name = RunName::of(undo);
    // A run that is made while nobody judges who asks for it does nothing, and its time is asked about once.
    if let Err(why) = context.performer.guard().renew().await {
        tracing::warn!(run = name.name, namespace = name.namespace, why, "an undo waits for proof of the policies");
        return Ok(());
    }
    match context.performer.start(undo).await {
        Ok(true) => tracing::info!(run = name.name, namespace = name.namespace, reason = undo.spec.reason, "undo made"),
        Ok(false) => {}
        Err(error) => return Err(PassError::Call { doing: "making a run that undoes what has had its time", error }),
    }
    Ok(())
}
