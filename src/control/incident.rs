//! The status of Incidents: what its runs and records say of it, looked at again and again, since most of it changes
//! without a change of the Incident.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt, select_all};
use jiff::Timestamp;
use kube::Client;
use kube::runtime::controller::{Action, Config, Controller};
use serde_json::json;

use super::{Context, PassError, apis, note, served, watch};
use crate::action::Seen;
use crate::api::follow_up::CheckedFollowUp;
use crate::api::incident::{Incident, IncidentPhase};
use crate::follow_up;
use crate::perform::{self, CallError, Performer, read_of_incident};
use crate::retro::{Material, Names, retrospective, status};

/// Between two looks at an incident that is open: whoever wants to close it waits no longer than that.
const AGAIN: Duration = Duration::from_secs(15);
/// At one that is closed: its follow-ups go on, and what was accepted may be undone.
const AGAIN_CLOSED: Duration = Duration::from_secs(600);
/// After an error of the API server's.
const AGAIN_AFTER_ERROR: Duration = Duration::from_secs(5);
/// Objects that are read at the same time for the checks of one incident's follow-ups.
const LOOKS_AT_ONCE: usize = 4;
/// Between two looks whether the kind is there: Incidents are optional, and an older chart has none.
const SERVED: Duration = Duration::from_secs(60);

/// Keeps the status of every Incident of these namespaces until the future resolves.
pub async fn drive(
    client: Client,
    namespaces: &[String],
    context: Arc<Context>,
    stop: impl Future<Output = ()> + Send + Sync + Clone + 'static,
) {
    while let Err(error) = served::<Incident>(&client, namespaces).await {
        tracing::debug!(%error, "incidents cannot be listed; everything else works without");
        tokio::select! {
            () = tokio::time::sleep(SERVED) => {}
            () = stop.clone() => return,
        }
    }
    let looking = Arc::new((context, client.clone()));
    let drivers = apis::<Incident>(&client, namespaces).into_iter().map(|incidents| {
        Controller::new(incidents, watch())
            .with_config(Config::default().concurrency(2))
            .graceful_shutdown_on(stop.clone())
            .run(reconcile, again, Arc::clone(&looking))
            .boxed()
    });
    select_all(drivers)
        .for_each(|result| async move {
            if let Err(error) = result {
                tracing::debug!(%error, "an incident was not looked at");
            }
        })
        .await;
}

type Looking = (Arc<Context>, Client);

fn again(incident: Arc<Incident>, error: &PassError, looking: Arc<Looking>) -> Action {
    note(incident.as_ref(), error, &looking.0);
    Action::requeue(AGAIN_AFTER_ERROR)
}

/// Client: reads what belongs to it, and what the checks of its follow-ups are about. No client: what that says. Client: writes
/// the status, if it is another one.
async fn reconcile(incident: Arc<Incident>, looking: Arc<Looking>) -> Result<Action, PassError> {
    let (context, client) = looking.as_ref();
    let namespace = incident.metadata.namespace.as_deref().unwrap_or_default();
    let name = incident.metadata.name.as_deref().unwrap_or_default();
    let failed = |doing| move |error: CallError| PassError::Call { doing, error };
    let objects = read_of_incident(client, namespace, name).await.map_err(failed("reading an incident's records"))?;
    let mut material = Material::default();
    material.extend(objects);
    let now = perform::now();
    let mut looked = (*incident).clone();
    let before = looked.status.get_or_insert_default();
    before.checks = look_at_follow_ups(&incident, namespace, &before.checks, now, &context.performer).await;
    material.extend([json!(looked)]);
    let mut closed = false;
    if let Some(document) = retrospective(&material, name, now, Names::Roles) {
        let status = status::status(&looked, &document, now);
        closed = status.phase == IncidentPhase::Closed;
        if incident.status.as_ref() != Some(&status) {
            match context.performer.write_incident(namespace, name, incident.status.as_ref(), &status).await {
                Err(error) if error.code() == Some(404) => return Ok(Action::await_change()),
                written => written.map_err(failed("writing the status of an incident"))?,
            }
        }
    }
    Ok(Action::requeue(if closed { AGAIN_CLOSED } else { AGAIN }))
}

/// Whether the cluster shows that its follow-ups are done, read as the incident's ServiceAccount.
async fn look_at_follow_ups(
    incident: &Incident,
    namespace: &str,
    before: &[CheckedFollowUp],
    now: Timestamp,
    performer: &Performer,
) -> Vec<CheckedFollowUp> {
    let account = &incident.spec.service_account_name;
    let looks = stream::iter(follow_up::look(&incident.spec)).map(|query| async move {
        let answer = performer.look(namespace, account, &query).await;
        (query, answer)
    });
    let mut seen = Seen::default().within(namespace);
    for (query, answer) in looks.buffer_unordered(LOOKS_AT_ONCE).collect::<Vec<_>>().await {
        seen.add(query, answer);
    }
    follow_up::judge(incident, &seen, before, now)
}
