//! Rehearsing runbooks, so that none fails for the first time on the night it is needed.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use futures::stream::{StreamExt, select_all};
use kube::Client;
use kube::runtime::controller::{Action, Config, Controller};

use super::{Context, PassError, apis, note, watch};
use crate::action::Seen;
use crate::api::condition::{self, cut, kind};
use crate::api::{Runbook, RunbookStatus};
use crate::perform;
use crate::plan::{self, Memory, Rehearsal, World};

/// A runbook that would work is rehearsed again after this time; the cluster moves on without its doing.
const AGAIN: Duration = Duration::from_secs(15 * 60);
/// One that would not work, sooner: somebody is mending it.
const AGAIN_STALLED: Duration = Duration::from_secs(30);

/// After an error of the API server's.
const AGAIN_AFTER_ERROR: Duration = Duration::from_secs(1);

/// Rehearses every runbook of these namespaces until the future resolves.
pub async fn drive(
    client: Client,
    namespaces: &[String],
    context: Arc<Context>,
    stop: impl Future<Output = ()> + Send + Sync + Clone + 'static,
) {
    let drivers = apis::<Runbook>(&client, namespaces).into_iter().map(|runbooks| {
        Controller::new(runbooks, watch())
            .with_config(Config::default().concurrency(4))
            .graceful_shutdown_on(stop.clone())
            .run(reconcile, again, Arc::clone(&context))
            .boxed()
    });
    select_all(drivers)
        .for_each(|result| async move {
            if let Err(error) = result {
                tracing::debug!(%error, "a runbook was not rehearsed");
            }
        })
        .await;
}

/// After an error: again soon.
fn again(runbook: Arc<Runbook>, error: &PassError, context: Arc<Context>) -> Action {
    note(runbook.as_ref(), error, &context);
    Action::requeue(AGAIN_AFTER_ERROR)
}

async fn reconcile(runbook: Arc<Runbook>, context: Arc<Context>) -> Result<Action, PassError> {
    let namespace = runbook.metadata.namespace.clone().unwrap_or_default();
    let name = runbook.metadata.name.clone().unwrap_or_default();
    let (ready, reason, message, rehearsal) = match rehearse(&runbook, &namespace, &context).await {
        Ok(effects) => (true, "Rehearsed".to_owned(), "every step would work now".to_owned(), effects),
        Err(Hindrance::Stalled { reason, sentence }) => (false, reason, sentence, Vec::new()),
        Err(Hindrance::Unclear(why)) => {
            // It says nothing about the runbook, so nothing is said.
            tracing::warn!(namespace, runbook = name, why, "a rehearsal could not be finished");
            return Ok(Action::requeue(AGAIN_STALLED));
        }
    };
    let old = runbook.status.clone().unwrap_or_default();
    let generation = runbook.metadata.generation;
    let mut conditions = old.conditions.clone();
    let now = perform::now();
    condition::set(&mut conditions, kind::READY, ready, &reason, &message, generation, now);
    condition::set(&mut conditions, kind::STALLED, !ready, &reason, &message, generation, now);
    let status = RunbookStatus {
        observed_generation: generation,
        conditions,
        start_command: plan::command::start(&runbook, context.operator.stamps),
        step_count: i32::try_from(runbook.spec.steps.len()).unwrap_or(i32::MAX),
        gate_count: gates(&runbook),
        touches: touches(&runbook),
        rehearsal: rehearsal.iter().map(|line| cut(line, 512)).collect(),
    };
    if status != old {
        match context.performer.write_rehearsal(&namespace, &name, &status).await {
            Ok(_) => tracing::info!(namespace, runbook = name, ready, reason, message, "rehearsed"),
            Err(error) if error.code() == Some(404) => return Ok(Action::await_change()),
            Err(error) => return Err(PassError::Call { doing: "writing the status of a runbook", error }),
        }
    }
    Ok(Action::requeue(if ready { AGAIN } else { AGAIN_STALLED }))
}

enum Hindrance {
    Stalled { reason: String, sentence: String },
    Unclear(String),
}

async fn rehearse(runbook: &Runbook, namespace: &str, context: &Context) -> Result<Vec<String>, Hindrance> {
    let mut world = World {
        now: perform::now(),
        seen: Seen::default().within(namespace),
        memory: Memory::default(),
        operator: context.operator.clone(),
    };
    for _ in 0..16 {
        match plan::rehearse(runbook, &world) {
            Rehearsal::Ready(effects) => return Ok(effects),
            Rehearsal::Stalled { reason, sentence } => return Err(Hindrance::Stalled { reason, sentence }),
            Rehearsal::Unclear(why) => return Err(Hindrance::Unclear(why)),
            Rehearsal::Look(queries) => {
                let service_account = &runbook.spec.service_account_name;
                let answers =
                    join_all(queries.iter().map(|query| context.performer.look(namespace, service_account, query)))
                        .await;
                queries.into_iter().zip(answers).for_each(|(query, answer)| world.seen.add(query, answer));
            }
        }
    }
    Err(Hindrance::Unclear("it asked more questions than any runbook has".to_owned()))
}

fn gates(runbook: &Runbook) -> i32 {
    let named: std::collections::BTreeSet<&str> = runbook
        .spec
        .steps
        .iter()
        .filter_map(|s| s.gate.as_deref())
        .filter(|gate| *gate != crate::api::step::NO_GATE)
        .collect();
    i32::try_from(named.len()).unwrap_or(i32::MAX)
}

fn touches(runbook: &Runbook) -> String {
    let mut keys: Vec<&str> =
        runbook.spec.steps.iter().filter(|s| s.action.changes()).map(|s| s.action.key()).collect();
    keys.dedup();
    cut(&keys.join(", "), 256)
}
