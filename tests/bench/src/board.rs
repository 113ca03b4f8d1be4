//! What the driver knows of the world: the runs and ballots of the operator, and the effects that the observer saw.

use std::collections::HashMap;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use firstaid::api::{Approval, RunbookRun};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client, Resource, ResourceExt};
use tokio::sync::watch;

use crate::follow::Follow;
use crate::subject::{Effect, LABEL};
use crate::town::{Actor, client};

const PATIENCE: Duration = Duration::from_secs(60);

/// Filled by watches, waited for by the driver.
#[derive(Default)]
pub struct Board {
    /// Ballots of the operator, by run.
    ballots: HashMap<String, Approval>,
    /// Runs of the operator, as last seen, until they are asked for.
    runs: HashMap<String, RunbookRun>,
    /// When the observer first saw the effect, by namespace and name.
    effects: HashMap<(String, String), Instant>,
}

/// The driver's end of the board.
#[derive(Clone)]
pub struct Seen(watch::Receiver<Board>);

impl Seen {
    /// The operator's ballot of a run.
    pub async fn ballot(&mut self, run: &str) -> Result<Approval> {
        self.wait(&format!("the ballot of {run}"), |board| board.ballots.get(run).cloned()).await
    }

    /// A run, once it has ended.
    pub async fn ended(&mut self, run: &str) -> Result<RunbookRun> {
        let ended = |run: &&RunbookRun| run.status.as_ref().is_some_and(|status| status.finished);
        self.wait(&format!("the end of {run}"), |board| board.runs.get(run).filter(ended).cloned()).await
    }

    /// A run, once it waits for an approval.
    pub async fn waiting(&mut self, run: &str) -> Result<RunbookRun> {
        self.wait(&format!("{run} to be planned"), |board| {
            board.runs.get(run).filter(|run| run.status.is_some()).cloned()
        })
        .await
    }

    /// When the observer first saw the effect on a target.
    pub async fn effect(&mut self, namespace: &str, name: &str) -> Result<Instant> {
        let key = (namespace.to_owned(), name.to_owned());
        self.wait(&format!("the effect on {namespace}/{name}"), |board| board.effects.get(&key).copied()).await
    }

    async fn wait<T>(&mut self, what: &str, look: impl Fn(&Board) -> Option<T>) -> Result<T> {
        let found = async {
            loop {
                if let Some(found) = look(&self.0.borrow_and_update()) {
                    return Ok(found);
                }
                self.0.changed().await.context("the watches ended")?;
            }
        };
        tokio::time::timeout(PATIENCE, found).await.with_context(|| format!("waited {PATIENCE:?} in vain: {what}"))?
    }
}

/// Starts the observer of the targets, on a thread of its own, and the watches of the operator's runs and ballots, on
/// another one. Returns when they watch.
pub async fn start(kubeconfig: PathBuf) -> Result<Seen> {
    let (board, seen) = watch::channel(Board::default());
    let (ready, mut is_ready) = tokio::sync::mpsc::channel::<()>(4);
    let spawn = |name: &str, observes: bool| -> Result<()> {
        let (board, kubeconfig, ready) = (board.clone(), kubeconfig.clone(), ready.clone());
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let ended = runtime.map_err(Into::into).and_then(|runtime| {
                runtime.block_on(async {
                    let root = client(&kubeconfig, None).await?;
                    if observes { observe(root, &board, &ready).await } else { keep_up(root, &board, &ready).await }
                })
            });
            if let Err(error) = ended {
                eprintln!("a watch ended: {error:#}");
            }
        })?;
        Ok(())
    };
    spawn("observer", true)?;
    spawn("board", false)?;
    drop((board, ready));
    for _ in 0..4 {
        is_ready.recv().await.context("a watch did not start")?;
    }
    Ok(Seen(seen))
}

type Ready = tokio::sync::mpsc::Sender<()>;

async fn observe(root: Client, board: &watch::Sender<Board>, ready: &Ready) -> Result<()> {
    tokio::try_join!(
        observe_kind(Api::<ConfigMap>::all(root.clone()), board, ready),
        observe_kind(Api::<Deployment>::all(root), board, ready),
    )?;
    Ok(())
}

async fn observe_kind<K>(api: Api<K>, board: &watch::Sender<Board>, ready: &Ready) -> Result<()>
where
    K: Resource + Effect + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + 'static,
{
    let mut targets = Follow::from_now(api, LABEL).await?;
    ready.send(()).await?;
    loop {
        let (target, at) = targets.next().await?;
        if target.is_done() {
            let key = (target.namespace().unwrap_or_default(), target.name_any());
            board.send_modify(|board| {
                board.effects.entry(key).or_insert(at);
            });
        }
    }
}

async fn keep_up(root: Client, board: &watch::Sender<Board>, ready: &Ready) -> Result<()> {
    let namespace = Actor::Operator.namespace();
    let ballots = async {
        let mut ballots = Follow::from_now(Api::<Approval>::namespaced(root.clone(), namespace), "").await?;
        ready.send(()).await?;
        loop {
            let (ballot, _) = ballots.next().await?;
            board.send_modify(|board| drop(board.ballots.insert(ballot.spec.request.run.clone(), ballot)));
        }
        #[allow(unreachable_code, reason = "it says of what type the result is")]
        Ok::<(), anyhow::Error>(())
    };
    let runs = async {
        let mut runs = Follow::from_now(Api::<RunbookRun>::namespaced(root.clone(), namespace), "").await?;
        ready.send(()).await?;
        loop {
            let (run, _) = runs.next().await?;
            board.send_modify(|board| drop(board.runs.insert(run.name_any(), run)));
        }
        #[allow(unreachable_code, reason = "it says of what type the result is")]
        Ok::<(), anyhow::Error>(())
    };
    tokio::try_join!(ballots, runs)?;
    Ok(())
}
