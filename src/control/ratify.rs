//! Ratification: a run that was decided without a second person says so until somebody else has ratified or disowned it,
//! which mostly happens after it has ended.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{StreamExt, select_all};
use kube::runtime::controller::{Action, Config, Controller};
use kube::{Client, ResourceExt};

use super::recall::RunName;
use super::{Context, PassError, apis, note, tell, watch};
use crate::api::approval::BallotState;
use crate::api::{APPROVE_ANNOTATION, Approval, BY_ANNOTATION, DENY_ANNOTATION, LIVE_LABEL, LIVE_RATIFIES};
use crate::perform::{self, Journalled};
use crate::plan::{self, Ratification, Retirement};

/// After an error, or while something is in the way.
const AGAIN: Duration = Duration::from_secs(2);

/// Notes every ratification in these namespaces until the future resolves.
pub async fn drive(
    client: Client,
    namespaces: &[String],
    context: Arc<Context>,
    stop: impl Future<Output = ()> + Send + Sync + Clone + 'static,
) {
    // Few: the label goes when the word is noted.
    let awaited = watch().labels(&format!("{LIVE_LABEL}={LIVE_RATIFIES}"));
    let drivers = apis::<Approval>(&client, namespaces).into_iter().map(|ballots| {
        Controller::new(ballots, awaited.clone())
            .with_config(Config::default().concurrency(2))
            .graceful_shutdown_on(stop.clone())
            .run(reconcile, again, Arc::clone(&context))
            .boxed()
    });
    select_all(drivers)
        .for_each(|result| async move {
            if let Err(error) = result {
                tracing::debug!(%error, "a ratification was not noted");
            }
        })
        .await;
}

fn again(ballot: Arc<Approval>, error: &PassError, context: Arc<Context>) -> Action {
    note(ballot.as_ref(), error, &context);
    Action::requeue(AGAIN)
}

async fn reconcile(ballot: Arc<Approval>, context: Arc<Context>) -> Result<Action, PassError> {
    let marks = ballot.annotations();
    if !marks.contains_key(APPROVE_ANNOTATION) && !marks.contains_key(DENY_ANNOTATION) {
        return Ok(Action::await_change());
    }
    let (namespace, name) = (ballot.namespace().unwrap_or_default(), ballot.name_any());
    let guard = context.performer.guard();
    // Without the policies anybody could ratify in any name. Seen now: what is noted here is never asked again.
    if let Err(why) = guard.renew().await {
        tracing::warn!(namespace, ballot = name, why, "a ratification waits for proof of the approval policies");
        return Ok(Action::requeue(AGAIN));
    }
    let failed = |doing: &'static str| move |error| PassError::Call { doing, error };
    let read = context.performer.read_ratification(&namespace, &name).await;
    let Some((run, ballot)) = read.map_err(failed("reading a ratification"))? else {
        return Ok(Action::await_change());
    };
    let (status, state) = match plan::ratified(&run, &ballot, guard.gaps().last().copied(), perform::now()) {
        Ratification::Noted(status) => (Some(status), None),
        Ratification::Anew { ballot, status } => {
            context.performer.issue(&ballot).await.map_err(failed("issuing a ballot of ratification"))?;
            (Some(status), Some(BallotState::Superseded))
        }
        Ratification::Closed => (None, None),
        Ratification::Replaced => (None, Some(BallotState::Superseded)),
        Ratification::Nothing => return Ok(Action::await_change()),
    };
    if let Some(status) = status {
        match context.performer.write_status(&run, *status).await.map_err(failed("noting a ratification"))? {
            Journalled::Stored(stored) => {
                tracing::info!(namespace, run = run.name_any(), ballot = name, "ratification noted");
                let by = ballot.annotations().get(BY_ANNOTATION).map(String::as_str).unwrap_or_default();
                context.notify(run.status.as_ref(), &stored, by);
                if let Some(news) = tell::ratification(&stored) {
                    context.performer.tell(&run, news.warning, news.reason, &news.note);
                }
            }
            Journalled::Stale => return Ok(Action::requeue(Duration::ZERO)),
        }
    }
    let retirement = Retirement { ballot: name, state };
    context.performer.retire(&namespace, &retirement).await.map_err(failed("closing a ballot of ratification"))?;
    context.wakes.wake(&RunName::of(&run));
    Ok(Action::await_change())
}
