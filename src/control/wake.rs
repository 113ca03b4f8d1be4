//! What wakes a run: that it was made or changed, that it has left the watch, or that one of its ballots was marked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{self, BoxStream, Stream, StreamExt, select, select_all};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{WatchStreamExt, utils::Backoff};
use kube::{Api, Client, Resource};

use super::recall::RunName;
use super::{Context, apis, watch};
use crate::api::{Approval, RunbookRun};

/// The active runs, as the watch has them. Every entry is old by nature: whatever matters is read live.
#[derive(Clone)]
pub(super) struct ActiveRuns(Vec<Store<RunbookRun>>);

impl ActiveRuns {
    /// The run, if it is active. Waits for the first list: before it, no run is known to have ended, and nothing that is
    /// remembered of one may be forgotten.
    pub async fn get(&self, run: &RunName) -> Option<Arc<RunbookRun>> {
        for store in &self.0 {
            // An error means that the watch has ended, and we with it.
            let _ = store.wait_until_ready().await;
        }
        let reference = ObjectRef::new(&run.name).within(&run.namespace);
        self.0.iter().find_map(|store| store.get(&reference))
    }

    fn names(&self) -> Vec<RunName> {
        self.0.iter().flat_map(Store::state).map(|run| RunName::of(&run)).collect()
    }
}

/// The wakes of all runs of these namespaces, and the active runs.
pub(super) fn wakes(
    client: &Client,
    namespaces: &[String],
    context: &Arc<Context>,
) -> (ActiveRuns, impl Stream<Item = RunName> + Send + 'static) {
    let apis_of_runs = apis::<RunbookRun>(client, namespaces);
    let (stores, writers): (Vec<_>, Vec<_>) = apis_of_runs.iter().map(|_| reflector::store::<RunbookRun>()).unzip();
    let active = ActiveRuns(stores);
    let by_runs: Vec<BoxStream<'static, RunName>> = apis_of_runs
        .into_iter()
        .zip(writers)
        .map(|(runs, writer)| {
            // Memory follows the active runs: the API server sends no others.
            let runs = watcher(runs, watch().fields("status.finished!=true")).backoff(Pause::default());
            let runs = runs.modify(forget_what_is_never_read);
            by_runs(reflector::reflector(writer, runs), active.clone(), Arc::clone(context)).boxed()
        })
        .collect();
    let by_ballots =
        apis::<Approval>(client, namespaces).into_iter().map(|api| by_ballots(api, Arc::clone(context)).boxed());
    let wakes = select(select_all(by_ballots), select_all(by_runs));
    (active, wakes)
}

/// Each run that was made or changed, or has left the watch; after each list, all of them.
fn by_runs(
    events: impl Stream<Item = watcher::Result<Event<RunbookRun>>> + Send,
    active: ActiveRuns,
    context: Arc<Context>,
) -> impl Stream<Item = RunName> + Send {
    events.flat_map(move |event| {
        stream::iter(match event {
            Ok(Event::Apply(run) | Event::Delete(run)) => vec![RunName::of(&run)],
            // Only now they can be found in the store. What ended while nobody watched is told by its absence.
            Ok(Event::InitDone) => {
                let mut names = active.names();
                context.recall.forget_all_but(&names.iter().cloned().collect());
                names.extend(context.recall.doubted());
                names
            }
            Ok(Event::Init | Event::InitApply(_)) => Vec::new(),
            Err(error) => {
                tracing::debug!(%error, "the watch on runs is made anew");
                Vec::new()
            }
        })
    })
}

/// The run of each ballot that was made or changed.
fn by_ballots(ballots: Api<Approval>, context: Arc<Context>) -> impl Stream<Item = RunName> + Send {
    let ballots = watcher(ballots, watch()).backoff(Pause::default()).modify(forget_what_is_never_read);
    ballots.filter_map(move |event| {
        std::future::ready(match event {
            Ok(Event::Apply(ballot) | Event::InitApply(ballot)) => context.recall.saw(&ballot),
            Ok(Event::Delete(_) | Event::Init | Event::InitDone) => None,
            Err(error) => {
                tracing::debug!(%error, "the watch on ballots is made anew");
                None
            }
        })
    })
}

/// Who wrote which field is read by nobody here, and is as large as whoever writes makes it. It is kept out of memory; a
/// write of the status without it leaves it as it is.
fn forget_what_is_never_read<K: Resource>(object: &mut K) {
    object.meta_mut().managed_fields = None;
}

/// Between two tries to watch. kube's own goes up to 30 s, which is long when people wait for a vote to count. And it
/// begins anew with the beginning of each list, so that one that is refused for ever would be tried at the shortest pause
/// for ever: this one begins anew when there was no error for a while.
struct Pause {
    next: Duration,
    last_error: Option<Instant>,
}

impl Pause {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(2);
    const CALM: Duration = Duration::from_secs(10);
}

impl Default for Pause {
    fn default() -> Self {
        Self { next: Self::FIRST, last_error: None }
    }
}

impl Iterator for Pause {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.last_error.is_some_and(|last| last.elapsed() > Self::CALM) {
            self.next = Self::FIRST;
        }
        self.last_error = Some(Instant::now());
        let this_time = self.next;
        self.next = (this_time * 2).min(Self::LONGEST);
        Some(this_time)
    }
}

impl Backoff for Pause {
    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_is_refused_for_ever_is_not_tried_for_ever_at_the_shortest_pause() {
        let mut pause = Pause::default();
        let pauses: Vec<u128> = (0..7)
            .map(|_| {
                pause.reset();
                pause.next().unwrap().as_millis()
            })
            .collect();
        assert_eq!(pauses, [100, 200, 400, 800, 1600, 2000, 2000]);
    }
}
