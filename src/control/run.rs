//! Driving runs: ask the planner, do the one thing, tell it what came of it, ask again.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use futures::stream::{StreamExt, select_all};
use jiff::Timestamp;
use kube::Client;
use kube::runtime::controller::{Action, Config, Controller};
use kube::runtime::reflector::ObjectRef;

use super::{Context, PassError, again, apis, crash_point, watch};
use crate::action::{Answer, Query, Seen};
use crate::api::{Approval, RunbookRun};
use crate::perform::{self, Journalled, read_journal};
use crate::plan::{self, Decision, Memory, World};
use crate::record;

/// More turns than any pass needs.
const MOST_TURNS: usize = 256;
/// Runs that are driven at the same time.
const AT_ONCE: u16 = 16;

/// Drives every run of these namespaces until the future resolves.
pub async fn drive(
    client: Client,
    namespaces: &[String],
    context: Arc<Context>,
    stop: impl Future<Output = ()> + Send + Sync + Clone + 'static,
) {
    let runs = apis::<RunbookRun>(&client, namespaces).into_iter().zip(apis::<Approval>(&client, namespaces));
    let drivers = runs.map(|(runs, approvals)| {
        let recall = Arc::clone(&context);
        // Memory follows the active runs: the API server sends no others.
        Controller::new(runs, watch().fields("status.finished!=true"))
            .with_config(Config::default().concurrency(AT_ONCE))
            .watches(approvals, watch(), move |ballot| run_of(&recall, &ballot))
            .graceful_shutdown_on(stop.clone())
            .run(reconcile, again, Arc::clone(&context))
            .boxed()
    });
    select_all(drivers)
        .for_each(|result| async move {
            if let Err(error) = result {
                tracing::debug!(%error, "a run was not driven");
            }
        })
        .await;
}

/// The run of a ballot, which is woken by it. Ballots of runs that have ended wake nobody and are not kept.
fn run_of(context: &Context, ballot: &Approval) -> Option<ObjectRef<RunbookRun>> {
    let request = &ballot.spec.request;
    if !context.recall.knows(&request.run_uid) {
        return None;
    }
    let namespace = ballot.metadata.namespace.as_deref()?;
    context.recall.saw(namespace, ballot);
    Some(ObjectRef::new(&request.run).within(namespace))
}

/// One pass over a run. Starts from what the watch has; whatever matters is read live before it is acted on.
async fn reconcile(run: Arc<RunbookRun>, context: Arc<Context>) -> Result<Action, PassError> {
    if run.metadata.uid.as_deref().is_some_and(|uid| context.recall.has_ended(uid)) {
        return Ok(Action::await_change());
    }
    let mut pass = Pass::begin(&run, &context);
    for _ in 0..MOST_TURNS {
        pass.world.now = perform::now();
        let decision = plan::next(&pass.run, &pass.ballots, &pass.world);
        let point = crash_point::name_of(&decision);
        crash_point::pass("before", point);
        if let Some(action) = pass.carry_out(decision).await? {
            return Ok(action);
        }
        crash_point::pass("after", point);
    }
    let last = crash_point::name_of(&plan::next(&pass.run, &pass.ballots, &pass.world)).unwrap_or("look or wait");
    Err(PassError::Endless(MOST_TURNS, last.to_owned()))
}

struct Pass<'a> {
    context: &'a Context,
    namespace: String,
    name: String,
    uid: String,
    run: RunbookRun,
    ballots: Vec<Approval>,
    world: World,
}

impl<'a> Pass<'a> {
    fn begin(run: &RunbookRun, context: &'a Context) -> Self {
        let namespace = run.metadata.namespace.clone().unwrap_or_default();
        let name = run.metadata.name.clone().unwrap_or_default();
        let uid = run.metadata.uid.clone().unwrap_or_default();
        let now = perform::now();
        let memory = context.recall.of(&uid);
        let memory = Memory { first_seen: memory.first_seen.or(Some(now)), ..memory };
        context.recall.keep(&uid, &memory);
        let world = World { now, seen: Seen::default(), memory, operator: context.operator.clone() };
        Self {
            ballots: context.recall.ballots(&namespace, &name),
            run: run.clone(),
            context,
            namespace,
            name,
            uid,
            world,
        }
    }

    /// Does the one thing. `Some(action)` ends the pass.
    async fn carry_out(&mut self, decision: Decision) -> Result<Option<Action>, PassError> {
        let performer = &self.context.performer;
        match decision {
            Decision::Look(queries) => return self.look(queries).await,
            Decision::Wait { until, holding } => {
                self.world.memory.holding = holding;
                self.context.recall.keep(&self.uid, &self.world.memory);
                if self.run.status.as_ref().is_some_and(|status| status.finished) {
                    self.context.recall.forget(&self.uid, &self.namespace, &self.name);
                }
                return Ok(Some(
                    until.map_or_else(Action::await_change, |until| Action::requeue(pause(self.world.now, until))),
                ));
            }
            Decision::Write(status) => {
                let phase = status.phase;
                tracing::info!(run = %self.name, namespace = %self.namespace, ?phase, message = %status.message, waiting_on = %status.waiting_on, "journal");
                let before = self.run.status.clone();
                match performer.write_status(&self.run, *status).await {
                    Ok(Journalled::Stored(stored)) => {
                        if let Some(after) = &stored.status {
                            self.world.memory.wrote(before.as_ref(), after);
                            if after.finished {
                                self.context.metrics.finished(after.phase);
                            }
                        }
                        self.run = *stored;
                    }
                    Ok(Journalled::Stale) => return Ok(Some(Action::requeue(Duration::from_millis(50)))),
                    Err(error) => return Err(PassError::Call { doing: "writing the journal", error }),
                }
            }
            Decision::Ask(ballots) => {
                for result in join_all(ballots.iter().map(|ballot| performer.issue(ballot))).await {
                    result.map_err(|error| PassError::Call { doing: "issuing a ballot", error })?;
                }
            }
            Decision::Retire(retirements) => {
                for result in join_all(retirements.iter().map(|r| performer.retire(&self.namespace, r))).await {
                    result.map_err(|error| PassError::Call { doing: "closing a ballot", error })?;
                }
            }
            Decision::Act(effect) => {
                let token = effect.token.clone();
                // Remembered before it is sent: whatever happens to this task, nobody takes it for never sent.
                self.world.memory.sending(&effect, perform::now());
                self.context.recall.keep(&self.uid, &self.world.memory);
                let reply = performer.act(&self.namespace, &self.service_account(), &effect).await;
                tracing::info!(run = %self.name, namespace = %self.namespace, action = %token, object = %effect.target.display(), ?reply, "acted");
                self.context.metrics.acted(&reply);
                self.world.memory.answered(&token, reply);
            }
            Decision::Record(record) => {
                record::create(performer.client(), &record).await?;
                self.world.memory.recorded.extend(record.metadata.name.clone());
            }
            Decision::Mark { record, state } => {
                let marked = record::mark(performer.client(), &self.namespace, &record, state).await;
                marked.map_err(|error| PassError::Call { doing: "marking a record", error })?;
                self.world.memory.recorded.insert(plan::mark_note(&record, state));
            }
        }
        self.context.recall.keep(&self.uid, &self.world.memory);
        // What was seen before a write is old.
        self.world.seen.clear();
        Ok(None)
    }

    /// Reads everything that is asked at once, in parallel.
    async fn look(&mut self, queries: Vec<Query>) -> Result<Option<Action>, PassError> {
        let performer = &self.context.performer;
        let service_account = self.service_account();
        let live = async {
            if queries.contains(&Query::Journal) {
                Some(read_journal(performer.client(), &self.namespace, &self.name).await)
            } else {
                None
            }
        };
        let answers = join_all(queries.iter().map(|query| performer.look(&self.namespace, &service_account, query)));
        let (live, answers) = tokio::join!(live, answers);
        match live {
            None => {}
            Some(Ok(Some((run, _)))) if run.metadata.uid.as_deref() != Some(&self.uid) => {
                return Ok(Some(Action::await_change()));
            }
            Some(Ok(Some((run, ballots)))) => {
                self.world.memory.observed(&run, &ballots);
                self.context.recall.keep(&self.uid, &self.world.memory);
                (self.run, self.ballots) = (run, ballots);
            }
            Some(Ok(None)) => return Ok(Some(Action::await_change())),
            Some(Err(error)) => return Err(PassError::Call { doing: "reading the journal", error }),
        }
        for (query, answer) in queries.into_iter().zip(answers) {
            if let Answer::Unreadable(why) = &answer {
                tracing::debug!(run = %self.name, ?query, %why, "could not be read");
            }
            self.world.seen.add(query, answer);
        }
        Ok(None)
    }

    /// The identity of every read and write of this run.
    fn service_account(&self) -> String {
        let frozen = self.run.status.as_ref().and_then(|status| status.frozen.as_ref());
        let name = frozen.and_then(|frozen| frozen.get("serviceAccount")).and_then(serde_json::Value::as_str);
        match name {
            Some(name) => name.to_owned(),
            // Not frozen yet: the runbook was read in this pass.
            None => match self.world.seen.answer(&Query::Runbook(self.run.spec.runbook.clone())) {
                Some(Answer::Object(Some(runbook))) => runbook
                    .pointer("/spec/serviceAccountName")
                    .and_then(serde_json::Value::as_str)
                    .unwrap_or_default()
                    .to_owned(),
                _ => String::new(),
            },
        }
    }
}

/// How long until then; at once where it is past.
fn pause(now: Timestamp, until: Timestamp) -> Duration {
    Duration::try_from(until.duration_since(now)).unwrap_or_default()
}
