//! The archive, and retention: the evidence of each run that has ended is written to a file, and written again when
//! something was added; and where retention is on, what the file holds leaves the cluster after its time.
//!
//! One run at a time, and only one in memory. What to do is decided by [`retention::next`]; whatever was done, it is asked
//! again with the file as it was read back from the disk.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::recall::RunName;
use super::{Context, apis, crash_point};
use crate::api::RunbookRun;
use crate::perform::{self, CallError};
use crate::record::archive::{Archive, ArchiveError};
use crate::record::export;
use crate::record::remove::{Removed, remove};
use crate::record::retention::{self, Doomed, Filed, KeepFor, Refusal, Step};
use crate::verify::Evidence;

/// Between two passes over all runs that have ended: what nobody woke us for is seen then.
const PASS: Duration = Duration::from_secs(600);
/// The same after something went wrong.
const AGAIN: Duration = Duration::from_secs(60);
/// A pass that took long is followed by a pause that is longer: most of the time the API server is left alone.
const REST: u32 = 4;
/// Runs that wait to be looked after. More than these are found by the next pass.
const MOST_WOKEN: usize = 256;
/// What is written is read back and looked at once more; what is then still not in order is looked at in the next pass.
const MOST_STEPS: usize = 2;

/// Tells the keeper of evidence that a run has ended, or that something was added. Where there is no archive nobody hears.
#[derive(Clone, Default)]
pub struct Wakes(Option<mpsc::Sender<RunName>>);

impl Wakes {
    /// Something is new.
    pub(super) fn wake(&self, run: &RunName) {
        if let Some(wakes) = &self.0 {
            // One that is lost is found by the next pass.
            let _ = wakes.try_send(run.clone());
        }
    }
}

/// Where evidence is kept, and for how long it also stays in the cluster.
pub struct Keeping {
    archive: Archive,
    keep_for: Option<KeepFor>,
    woken: mpsc::Receiver<RunName>,
}

impl Keeping {
    /// With this archive; evidence stays in the cluster for ever where no length is given. And whoever wakes it.
    pub fn new(archive: Archive, keep_for: Option<KeepFor>) -> (Self, Wakes) {
        let (wakes, woken) = mpsc::channel(MOST_WOKEN);
        (Self { archive, keep_for, woken }, Wakes(Some(wakes)))
    }

    /// Between two passes: what is kept for a short time is looked at more often.
    fn period(&self) -> Duration {
        let half = self.keep_for.and_then(|length| Duration::try_from(length.duration() / 2).ok());
        half.unwrap_or(PASS).clamp(Duration::from_secs(1), PASS)
    }
}

/// Keeps the evidence of every run of these namespaces until the future resolves.
pub async fn drive(
    client: Client,
    namespaces: &[String],
    context: Arc<Context>,
    keeping: Keeping,
    stop: impl Future<Output = ()>,
) {
    let keeper = Keeper {
        runs: apis(&client, namespaces),
        period: keeping.period(),
        keeping,
        context,
        left: VecDeque::new(),
        said: HashMap::new(),
        failed: false,
    };
    tokio::select! {
        () = keeper.work() => {}
        () = stop => {}
    }
}

/// Why a run was not looked after. It is tried again.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error("{doing}: {error}")]
    Call { doing: &'static str, error: CallError },
    #[error("{0}")]
    Archive(#[from] ArchiveError),
    #[error("nothing is removed without proof of the approval policies: {0}")]
    Unproven(String),
    #[error("the file was written and is not what was written")]
    NotAsWritten,
}

impl KeepError {
    /// A word for metrics, of a closed set. That there is no proof is counted where it is made.
    fn category(&self) -> Option<&'static str> {
        match self {
            Self::Call { .. } => Some("call"),
            Self::Archive(_) | Self::NotAsWritten => Some("archive"),
            Self::Unproven(_) => None,
        }
    }
}

struct Keeper {
    runs: Vec<kube::Api<RunbookRun>>,
    period: Duration,
    keeping: Keeping,
    context: Arc<Context>,
    /// What is left of this pass: names alone.
    left: VecDeque<RunName>,
    /// What was last said of a run whose file differs, so that it is said once. By its uid.
    said: HashMap<String, String>,
    /// Whether something went wrong since this pass began.
    failed: bool,
}

impl Keeper {
    async fn work(mut self) {
        if let Err(error) = self.keeping.archive.sweep().await {
            self.note(None, &error.into());
        }
        loop {
            let began = Instant::now();
            self.begin_pass().await;
            let runs = self.left.len();
            while let Some(run) = self.left.pop_front() {
                // Whoever waits for a file that is new does not wait for a long pass.
                while let Ok(woken) = self.keeping.woken.try_recv() {
                    self.look_after(&woken).await;
                }
                self.look_after(&run).await;
            }
            tracing::debug!(runs, "the evidence of all runs was looked after");
            let (ended, rest) = (Instant::now(), began.elapsed() * REST);
            loop {
                // What goes wrong meanwhile brings the next pass nearer.
                let pause = if self.failed { AGAIN.min(self.period) } else { self.period };
                let woken = tokio::time::timeout_at(ended + pause.max(rest), self.keeping.woken.recv());
                let Ok(Some(woken)) = woken.await else { break };
                self.look_after(&woken).await;
            }
        }
    }

    /// Learns which runs there are.
    async fn begin_pass(&mut self) {
        self.failed = false;
        for runs in &self.runs {
            match perform::list_ended(runs).await {
                Ok(names) => {
                    let names = names.into_iter().map(|(namespace, name)| RunName { namespace, name });
                    self.left.extend(names);
                }
                Err(error) => {
                    self.failed = true;
                    tracing::warn!(%error, "the runs that have ended cannot be listed");
                    self.context.metrics.error("call");
                }
            }
        }
    }

    async fn look_after(&mut self, run: &RunName) {
        if let Err(error) = self.keep(run).await {
            self.note(Some(run), &error);
        }
    }

    fn note(&mut self, run: Option<&RunName>, error: &KeepError) {
        self.failed = true;
        let (namespace, run) = run.map(|run| (run.namespace.as_str(), run.name.as_str())).unwrap_or_default();
        if let Some(category) = error.category() {
            self.context.metrics.error(category);
        }
        tracing::warn!(namespace, run, %error, "evidence was not looked after");
    }

    /// Does what is to be done with the evidence of one run.
    async fn keep(&mut self, name: &RunName) -> Result<(), KeepError> {
        let RunName { namespace, name: run } = name;
        let client = self.context.performer.client();
        let live = perform::read_evidence(client, namespace, run).await;
        let live = live.map_err(|error| KeepError::Call { doing: "reading the evidence of a run", error })?;
        let Some(uid) = live.runs.first().map(|run| run.uid().to_owned()) else { return Ok(()) };
        let file = self.keeping.archive.file_of(namespace, run, &uid)?;
        let head = live.runs.first().map(|run| run.text("/status/recordHead")).unwrap_or_default();
        for _ in 0..MOST_STEPS {
            let filed = Filed::of(self.keeping.archive.read(&file).await?.as_deref());
            match retention::next(&live, &filed, self.keeping.keep_for, perform::now()) {
                Step::Write => {
                    self.keeping.archive.write(&file, export::render(&live)).await?;
                    let (ballots, records) = (live.ballots.len(), live.records.len());
                    tracing::info!(run, namespace, file = %file.display(), head, ballots, records, "archived");
                    self.context.metrics.archived();
                }
                Step::Keep(why) => {
                    self.said.remove(&uid);
                    tracing::debug!(run, namespace, %why, "evidence stays in the cluster");
                    return Ok(());
                }
                Step::Refuse(why) => {
                    self.refuse(name, &uid, &live, &file, &why);
                    return Ok(());
                }
                Step::Remove(doomed) => {
                    self.said.remove(&uid);
                    return self.remove(name, &doomed, &file, head).await;
                }
            }
        }
        Err(KeepError::NotAsWritten)
    }

    /// The archive and the cluster tell two stories: people are told, once for each sentence.
    fn refuse(&mut self, name: &RunName, uid: &str, live: &Evidence, file: &Path, why: &Refusal) {
        let RunName { namespace, name: run } = name;
        let said = why.to_string();
        if self.said.get(uid) == Some(&said) {
            return;
        }
        tracing::warn!(
            run,
            namespace,
            file = %file.display(),
            why = said,
            "the archive differs: nothing of this run is removed, and its file is not written over"
        );
        self.context.metrics.error("archive");
        let found = live.runs.first().map(|run| serde_json::from_value::<RunbookRun>(run.object.clone()));
        if let Some(Ok(found)) = found {
            let file = file.display();
            let note = format!(
                "{said}; nothing of this run is removed, and the file is not written over; look with: firstaid verify \
                 -n {namespace} --run {run} -f {file}; when the file is moved away it is written anew"
            );
            self.context.performer.tell(&found, true, "ArchiveDiffers", &note);
        }
        self.said.insert(uid.to_owned(), said);
    }

    /// Removes what the archive holds. Whoever dies in between, or is overtaken, goes on in a later pass.
    async fn remove(&self, name: &RunName, doomed: &[Doomed], file: &Path, head: &str) -> Result<(), KeepError> {
        let RunName { namespace, name: run } = name;
        let performer = &self.context.performer;
        // Without the policies anybody could have written what we have read.
        performer.guard().renew().await.map_err(KeepError::Unproven)?;
        let objects = doomed.len();
        tracing::info!(run, namespace, file = %file.display(), head, objects, "retention removes evidence");
        for one in doomed {
            crash_point::pass("before", Some("remove"));
            let removed = remove(performer.client(), namespace, one).await;
            match removed.map_err(|error| KeepError::Call { doing: "removing evidence", error })? {
                Removed::Gone => tracing::debug!(run, namespace, object = %one, "removed"),
                Removed::Stale => {
                    tracing::info!(run, namespace, object = %one, "it has changed since it was read: retention waits");
                    return Ok(());
                }
            }
            crash_point::pass("after", Some("remove"));
        }
        tracing::info!(run, namespace, file = %file.display(), head, objects, "retention has removed evidence");
        self.context.metrics.removed();
        Ok(())
    }
}
