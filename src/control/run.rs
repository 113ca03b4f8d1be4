//! Driving runs: ask the planner, do the one thing, tell it what came of it, ask again.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use kube::Client;
use tokio::time::Instant;

use super::recall::RunName;
use super::{Context, PassError, crash_point, note, tell, turns, wake};
use crate::action::{Answer, Query, Seen};
use crate::api::{ABORT_ANNOTATION, Approval, RunbookRun, RunbookRunStatus};
use crate::perform::{self, CallError, Journalled, read_journal};
use crate::plan::{self, Decision, Memory, World};
use crate::record::{self, RecordError};

/// More turns than any pass needs.
const MOST_TURNS: usize = 256;
/// Runs that are driven at the same time. A pass mostly waits for the API server: when that is slow, many of them do, and
/// a vote must not queue behind them.
const AT_ONCE: usize = 64;
/// After an error: again soon, and never later than this.
const AGAIN: Duration = Duration::from_secs(1);
/// After something was refused that the run cannot do without.
const REFUSED: Duration = Duration::from_secs(5);
/// The run and the brake as they were longer ago than this are read once more before an act.
const OLD: Duration = Duration::from_secs(1);
/// How often, at most: where the API server is so slow that they are always old, the act is sent all the same.
const MOST_RENEWALS: usize = 2;

/// Drives every run of these namespaces until the future resolves.
pub async fn drive(
    client: Client,
    namespaces: &[String],
    context: Arc<Context>,
    stop: impl Future<Output = ()> + Send + Sync + Clone + 'static,
) {
    let (active, wakes) = wake::wakes(&client, namespaces, &context);
    let pass = |name: RunName| {
        let (active, context) = (active.clone(), Arc::clone(&context));
        async move {
            let Some(run) = active.get(&name).await else {
                // Ended or deleted: nothing is left to do.
                say_news_of_the_end(&name, &context).await;
                context.recall.forget(&name);
                context.wakes.wake(&name);
                return None;
            };
            let next = reconcile(&run, &name, &context).await.unwrap_or_else(|error| {
                note(run.as_ref(), &error, &context);
                Next::After(AGAIN)
            });
            match next {
                Next::After(pause) => Some(Instant::now() + pause),
                Next::Change => None,
            }
        }
    };
    turns::take(wakes, AT_ONCE, pass, stop).await;
}

/// When a run has its next turn, at the latest: any change of it or of its ballots gives it one.
enum Next {
    /// When this time is over.
    After(Duration),
    /// When something changes.
    Change,
}

/// One pass over a run. Starts from what the watch has; whatever matters is read live before it is acted on.
async fn reconcile(run: &RunbookRun, name: &RunName, context: &Context) -> Result<Next, PassError> {
    let mut pass = Pass::begin(run, name, context);
    for _ in 0..MOST_TURNS {
        pass.world.now = perform::now();
        if pass.world.memory.set_back && !is_told_to_stop(&pass.run) {
            return Ok(Next::After(REFUSED));
        }
        // The watch may be behind what this process wrote itself: a write from there would be refused.
        let decision = if pass.world.memory.knows_newer(&pass.run) && !is_told_to_stop(&pass.run) {
            Decision::Look(vec![Query::Journal])
        } else {
            plan::next(&pass.run, &pass.ballots, &pass.world)
        };
        let point = crash_point::name_of(&decision);
        crash_point::pass("before", point);
        match pass.carry_out(decision).await {
            Ok(None) => {}
            Ok(Some(next)) => return Ok(next),
            Err(PassError::Call { doing, error }) if error.is_refusal() => {
                return pass.say_refused(doing, &error).await;
            }
            Err(error) => return Err(error),
        }
        crash_point::pass("after", point);
    }
    let last = crash_point::name_of(&plan::next(&pass.run, &pass.ballots, &pass.world)).unwrap_or("look or wait");
    Err(PassError::Endless(MOST_TURNS, last.to_owned()))
}

/// Counts and tells what a write of the journal has brought.
fn say_news(before: Option<&RunbookRunStatus>, run: &RunbookRun, context: &Context) {
    let Some(after) = &run.status else { return };
    let uid = run.metadata.uid.as_deref().unwrap_or_default();
    let doubted = context.recall.undoubt(&RunName::of(run), uid);
    let before = doubted.as_ref().map_or(before, |doubted| doubted.status.as_ref());
    for news in tell::news(before, after) {
        context.performer.tell(run, news.warning, news.reason, &news.note);
    }
    context.notify(before, run, "");
    if after.finished && !before.is_some_and(|before| before.finished) {
        context.metrics.finished(after.phase);
    }
}

/// The write that ended a run may have been one without an answer: then nobody was told yet.
async fn say_news_of_the_end(name: &RunName, context: &Context) {
    let Some(before) = context.recall.undoubt_ended(name) else { return };
    match read_journal(context.performer.client(), &before).await {
        Ok(Some((run, _))) if run.metadata.uid == before.metadata.uid => {
            say_news(before.status.as_ref(), &run, context);
        }
        Ok(_) => {}
        Err(error) => {
            tracing::warn!(run = %name.name, namespace = %name.namespace, %error, "how a run ended was told to nobody")
        }
    }
}

struct Pass<'a> {
    context: &'a Context,
    name: &'a RunName,
    uid: String,
    run: RunbookRun,
    ballots: Vec<Approval>,
    world: World,
    /// When the run and the brake were last asked for.
    asked: Instant,
    /// How often they were asked for once more before an act.
    renewals: usize,
}

impl<'a> Pass<'a> {
    fn begin(run: &RunbookRun, name: &'a RunName, context: &'a Context) -> Self {
        let uid = run.metadata.uid.clone().unwrap_or_default();
        let now = perform::now();
        let memory = context.recall.of(name, &uid);
        let memory = Memory { first_seen: memory.first_seen.or(Some(now)), ..memory };
        let world =
            World { now, seen: Seen::default().within(&name.namespace), memory, operator: context.operator.clone() };
        let ballots = context.recall.votes(name);
        let (asked, renewals) = (Instant::now(), 0);
        let pass = Self { ballots, run: run.clone(), context, name, uid, world, asked, renewals };
        pass.remember();
        pass
    }

    /// Whatever happens to this pass, the next one knows.
    fn remember(&self) {
        self.context.recall.keep(self.name, &self.uid, &self.world.memory);
    }

    /// Whether the answers on which an act rests are so old (another one of the same look took long) that a person may have
    /// said stop since.
    fn stop_may_have_come(&self) -> bool {
        self.asked.elapsed() > OLD && self.renewals < MOST_RENEWALS
    }

    /// Does the one thing. `Some(next)` ends the pass.
    async fn carry_out(&mut self, decision: Decision) -> Result<Option<Next>, PassError> {
        let performer = &self.context.performer;
        match decision {
            Decision::Look(queries) => return self.look(queries).await,
            Decision::Wait { until, holding } => {
                self.world.memory.holding = holding;
                self.remember();
                return Ok(Some(until.map_or(Next::Change, |until| Next::After(pause(self.world.now, until)))));
            }
            Decision::Write(status) => {
                let phase = status.phase;
                tracing::info!(run = %self.name.name, namespace = %self.name.namespace, ?phase, message = %status.message, waiting_on = %status.waiting_on, "journal");
                let before = self.run.status.clone();
                // Remembered before it is sent: whatever happens to this task, nobody takes it for arrived.
                self.world.memory.writing();
                self.remember();
                let written = performer.write_status(&self.run, *status).await;
                if written.as_ref().map_or_else(CallError::is_refusal, |_| true) {
                    self.world.memory.written();
                }
                match written {
                    Ok(Journalled::Stored(stored)) => {
                        if let Some(after) = &stored.status {
                            self.world.memory.wrote(before.as_ref(), after);
                        }
                        say_news(before.as_ref(), &stored, self.context);
                        self.world.memory.saw(&stored);
                        self.run = *stored;
                    }
                    // The watch lags behind, or somebody else wrote: the pass goes on from the run as it is now.
                    Ok(Journalled::Stale) => {
                        self.world.seen.clear();
                        return self.look(vec![Query::Journal]).await;
                    }
                    Err(error) => {
                        if !error.is_refusal() {
                            self.context.recall.doubt(self.name, &self.run);
                        }
                        return Err(PassError::Call { doing: "writing the journal", error });
                    }
                }
            }
            Decision::Say(what) => {
                let said = performer.say(&self.run, &what).await;
                said.map_err(|error| PassError::Call { doing: "saying what the run waits for", error })?;
                return Ok(Some(Next::Change));
            }
            Decision::Ask(ballots) => {
                for result in join_all(ballots.iter().map(|ballot| performer.issue(ballot))).await {
                    result.map_err(|error| PassError::Call { doing: "issuing a ballot", error })?;
                }
                self.world.memory.issued.extend(ballots.iter().filter_map(|ballot| ballot.metadata.name.clone()));
            }
            Decision::Admit(ballots) => {
                let admitted = ballots.iter().map(|ballot| performer.admit_requester(&self.name.namespace, ballot));
                for result in join_all(admitted).await {
                    result.map_err(|error| PassError::Call { doing: "opening a ballot to whoever asked", error })?;
                }
            }
            Decision::Retire(retirements) => {
                for result in join_all(retirements.iter().map(|r| performer.retire(&self.name.namespace, r))).await {
                    result.map_err(|error| PassError::Call { doing: "closing a ballot", error })?;
                }
            }
            Decision::Act(_) if self.stop_may_have_come() => {
                self.renewals += 1;
                self.world.seen.forget(&[Query::Journal, Query::Brake]);
                return Ok(None);
            }
            Decision::Act(effect) => {
                let token = effect.token.clone();
                // Remembered before it is sent: whatever happens to this task, nobody takes it for never sent.
                self.world.memory.sending(&effect, perform::now());
                self.remember();
                let reply = performer.act(&self.name.namespace, &self.service_account(), &effect).await;
                tracing::info!(run = %self.name.name, namespace = %self.name.namespace, action = %token, object = %effect.target.display(), ?reply, "acted");
                self.context.metrics.acted(&reply);
                self.world.memory.answered(&token, reply);
            }
            Decision::Record(record) => {
                self.world.memory.disputed = None;
                match record::create(performer.client(), &record).await {
                    Ok(()) => {
                        // The head of the chain, outside of the cluster: whoever rewrites records cannot rewrite this line.
                        let (spec, name) = (&record.spec, record.metadata.name.as_deref().unwrap_or_default());
                        tracing::info!(run = %self.name.name, namespace = %self.name.namespace, run_uid = %self.uid, step = %spec.step, record = %name, seq = spec.seq, hash = %spec.hash, "record");
                        self.world.memory.recorded.extend(record.metadata.name.clone());
                    }
                    Err(RecordError::Call(error)) => {
                        return Err(PassError::Call { doing: "making a record", error });
                    }
                    Err(differs @ RecordError::Differs { .. }) => {
                        tracing::error!(run = %self.name.name, namespace = %self.name.namespace, %differs, "a record is disputed");
                        self.context.metrics.error("record");
                        self.world.memory.disputed = Some((differs.to_string(), perform::now()));
                    }
                }
            }
            Decision::Mark { record, state } => {
                let marked = record::mark(performer.client(), &self.name.namespace, &record, state).await;
                marked.map_err(|error| PassError::Call { doing: "marking a record", error })?;
                self.world.memory.recorded.insert(plan::mark_note(&record, state));
            }
        }
        self.remember();
        // What was seen before a write is old.
        self.world.seen.clear();
        Ok(None)
    }

    /// What is done next was refused, and will be until somebody mends something: people are told, and it is tried again.
    async fn say_refused(&self, doing: &str, refusal: &CallError) -> Result<Next, PassError> {
        tracing::warn!(run = %self.name.name, namespace = %self.name.namespace, doing, %refusal, "the API server refuses");
        self.context.metrics.error("refused");
        match self.context.performer.say_refused(&self.run, doing, refusal).await {
            Ok(()) => Ok(Next::After(REFUSED)),
            Err(error) => Err(PassError::Call { doing: "saying that something was refused", error }),
        }
    }

    /// Reads everything that is asked at once, in parallel.
    async fn look(&mut self, queries: Vec<Query>) -> Result<Option<Next>, PassError> {
        let performer = &self.context.performer;
        let service_account = self.service_account();
        // What is read is at least as new as this.
        let asked = perform::now();
        if queries.contains(&Query::Journal) {
            self.asked = Instant::now();
        }
        let live = async {
            if queries.contains(&Query::Journal) {
                Some(read_journal(performer.client(), &self.run).await)
            } else {
                None
            }
        };
        let answers =
            join_all(queries.iter().map(|query| performer.look(&self.name.namespace, &service_account, query)));
        let (live, answers) = tokio::join!(live, answers);
        match live {
            None => {}
            Some(Ok(Some((run, _)))) if run.metadata.uid.as_deref() != Some(&self.uid) => {
                return Ok(Some(Next::Change));
            }
            Some(Ok(Some((run, _)))) if self.world.memory.knows_newer(&run) && !is_told_to_stop(&run) => {
                return self.say_went_back(&run).await.map(Some);
            }
            Some(Ok(Some((run, ballots)))) => {
                self.world.memory.saw(&run);
                self.world.memory.observed(&run, &ballots, asked, &self.context.operator.process);
                self.remember();
                if let Some(before) = self.context.recall.undoubt(self.name, &self.uid) {
                    say_news(before.status.as_ref(), &run, self.context);
                }
                (self.run, self.ballots) = (run, ballots);
            }
            Some(Ok(None)) => return Ok(Some(Next::Change)),
            Some(Err(error)) => return Err(PassError::Call { doing: "reading the journal", error }),
        }
        for (query, answer) in queries.into_iter().zip(answers) {
            if let Answer::Unreadable(why) = &answer {
                tracing::debug!(run = %self.name.name, ?query, %why, "could not be read");
            }
            self.world.seen.add(query, answer);
        }
        Ok(None)
    }

    /// The storage was set back, or this answer is an old one: nothing is done, and people are told. Where the answer is only
    /// old, what is said is refused, since the run is newer.
    async fn say_went_back(&mut self, run: &RunbookRun) -> Result<Next, PassError> {
        let Some(why) = self.world.memory.went_back(run) else { return Ok(Next::After(AGAIN)) };
        tracing::error!(run = %self.name.name, namespace = %self.name.namespace, why, "history went back");
        self.context.metrics.error("history");
        match self.context.performer.say(run, &why).await {
            // It was stored, so this is no old answer. Every watch begins anew.
            Ok(()) => {
                self.world.memory.set_back = true;
                self.remember();
                self.context.performer.guard().set_back();
            }
            Err(error) => tracing::debug!(run = %self.name.name, %error, "it was not said: the answer was an old one"),
        }
        Ok(Next::After(AGAIN))
    }

    /// The identity of every read and write of this run.
    fn service_account(&self) -> String {
        plan::service_account(&self.run, &self.world.seen)
    }
}

/// Whether somebody has said stop: that is done whatever else is wrong.
fn is_told_to_stop(run: &RunbookRun) -> bool {
    run.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(ABORT_ANNOTATION))
}

/// How long until then; at once where it is past.
fn pause(now: Timestamp, until: Timestamp) -> Duration {
    Duration::try_from(until.duration_since(now)).unwrap_or_default()
}
