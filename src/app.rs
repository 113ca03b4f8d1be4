//! Wiring: clients, lease, drivers, HTTP, shutdown.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use clap::{ArgAction, Args};
use futures::FutureExt;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client, Config};
use kube_lease_manager::LeaseManagerBuilder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::api::action_record::Cluster;
use crate::api::{ActionRecord, Approval, Runbook, RunbookRun};
use crate::control::keep::{Keeping, Wakes};
use crate::control::{self, Context, GuardNews, Recall};
use crate::guard::shipped::Values;
use crate::metrics::Metrics;
use crate::perform::notify::{Notifier, Webhook};
use crate::perform::{Guarding, Performer};
use crate::plan::{Floor, Operator};
use crate::record::archive::Archive;
use crate::record::retention::KeepFor;
use crate::{http, perform};

/// How the operator is run.
#[derive(Args, Clone, Debug)]
pub struct OperatorArgs {
    /// Look after these namespaces only. Default: all.
    #[arg(long, env = "FIRSTAID_NAMESPACES", value_delimiter = ',')]
    namespaces: Vec<String>,
    /// Name of the Lease that one replica holds; empty for none, for one operator that is certainly alone: two that work at the
    /// same time without one do nothing twice, but get into each other's way, and may record a wrong value before.
    #[arg(long, env = "FIRSTAID_LEASE_NAME", default_value = "firstaid")]
    lease_name: String,
    /// How long a lease lasts after its holder died, in seconds.
    #[arg(long, env = "FIRSTAID_LEASE_SECONDS", default_value_t = 15)]
    lease_seconds: u64,
    /// The operator's own namespace, where the Lease and the global brake are.
    #[arg(long, env = "FIRSTAID_OPERATOR_NAMESPACE", default_value = "firstaid-system")]
    operator_namespace: String,
    /// The operator's own ServiceAccount there, as the chart was told.
    #[arg(long, env = "FIRSTAID_SERVICE_ACCOUNT", default_value = "firstaid")]
    service_account: String,
    /// Whether the chart's policies take a request for the operator's only if it carries a credential id
    /// (operator.requireCredential).
    #[arg(long, env = "FIRSTAID_OPERATOR_CREDENTIAL", default_value_t = true, action = ArgAction::Set)]
    operator_credential: bool,
    /// Whether they take a vote only if it carries one (ballots.requireCredential).
    #[arg(long, env = "FIRSTAID_BALLOT_CREDENTIAL", default_value_t = false, action = ArgAction::Set)]
    ballot_credential: bool,
    /// How long a proof that the policies are in force counts, in seconds. It is made anew in half of that.
    #[arg(long, env = "FIRSTAID_GUARD_SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=60))]
    guard_seconds: u64,
    /// How long policies that are new or were changed must be seen to stand before they count, in seconds: API servers read
    /// them anew about once a second, and clocks differ.
    #[arg(long, env = "FIRSTAID_GUARD_SETTLE_SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(0..=60))]
    guard_settle_seconds: u64,
    /// How often what is in place is looked at, in seconds: whether somebody took it back, and whether it has had its time.
    #[arg(long, env = "FIRSTAID_IN_PLACE_SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    in_place_seconds: u64,
    /// The cluster's name, as records say it.
    #[arg(long, env = "FIRSTAID_CLUSTER_NAME", default_value = "")]
    cluster_name: String,
    /// CEL over a request, by which the policies tell people apart: the chart's value `identity.personKey`.
    #[arg(long, env = "FIRSTAID_PERSON_KEY", default_value = "request.userInfo.username")]
    person_key: String,
    /// What is asked of gates at least, as JSON: the chart's value `floors`.
    #[arg(long, env = "FIRSTAID_FLOORS", default_value = "[]", value_parser = floors)]
    floors: Floors,
    /// Write the evidence of each run that has ended to a file below this directory. It must be there. Default: no archive.
    #[arg(long, env = "FIRSTAID_ARCHIVE", value_name = "DIR")]
    archive: Option<PathBuf>,
    /// Remove evidence from the cluster so long after its run has ended, like 90d or 36h, once the archive is seen to hold
    /// it. Needs an archive. Default: it stays for ever.
    #[arg(long, env = "FIRSTAID_KEEP_FOR", value_name = "TIME")]
    keep_for: Option<KeepFor>,
    /// A file that holds the URL of a webhook to which people are told what they must know. Read anew for each message.
    /// Default: nobody is told.
    // Whoever sets the URL itself by mistake shall not find it in a log of `--help`.
    #[arg(long, env = "FIRSTAID_NOTIFY_URL_FILE", value_name = "PATH", hide_env_values = true)]
    notify_url_file: Option<PathBuf>,
    /// Whether that URL may be one with http, or lead to a loopback or link-local address: for tests and for receivers in the
    /// cluster.
    #[arg(long, env = "FIRSTAID_NOTIFY_INSECURE")]
    notify_insecure: bool,
    /// Take alerts from Alertmanager at /alerts/NAMESPACE, from whoever shows a token of the audience firstaid and may create
    /// incidents/alerts there. An alert opens or feeds an Incident, and starts nothing.
    #[arg(long, env = "FIRSTAID_ALERTS")]
    alerts: bool,
    /// Where /livez, /readyz, /metrics and /alerts are served.
    #[arg(long, env = "FIRSTAID_LISTEN", default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
}

/// What is asked of gates at least. A type of its own: clap takes a list for an argument that is given several times.
#[derive(Clone, Debug, Default)]
struct Floors(Vec<Floor>);

/// A guard that is not understood is no reason to go on without it: the operator does not start.
fn floors(text: &str) -> Result<Floors, String> {
    if text.trim().is_empty() {
        return Ok(Floors::default());
    }
    serde_json::from_str(text).map(Floors).map_err(|error| {
        format!("{error}; a floor is like {{\"action\": \"scale\", \"toZero\": true, \"requires\": [{{\"role\": \"sre\", \"count\": 2}}]}}")
    })
}

impl OperatorArgs {
    /// With which values the chart was installed, as far as its policies differ by them.
    fn values(&self) -> Values {
        Values {
            namespace: self.operator_namespace.clone(),
            person_key: self.person_key.clone(),
            service_account: self.service_account.clone(),
            operator_credential: self.operator_credential,
            ballot_credential: self.ballot_credential,
        }
    }

    /// Where evidence is kept, and who wakes whoever keeps it. Nothing is removed that is not kept elsewhere.
    fn keeping(&self) -> anyhow::Result<Option<(Keeping, Wakes)>> {
        let Some(directory) = &self.archive else {
            anyhow::ensure!(self.keep_for.is_none(), NO_ARCHIVE);
            return Ok(None);
        };
        Ok(Some(Keeping::new(Archive::at(directory.clone()), self.keep_for)))
    }
}

const NO_ARCHIVE: &str = "--keep-for removes evidence that the archive holds, and there is no archive: name a directory with \
                          --archive, or leave --keep-for out, and evidence stays for ever";

/// Runs the operator until a signal, or until its lease is lost.
///
/// # Errors
/// Where it cannot start, with what was being done; where it is to remove evidence and there is no archive; or where the
/// lease was lost.
pub async fn run(args: OperatorArgs) -> anyhow::Result<()> {
    tracing::info!(version = env!("CARGO_PKG_VERSION"), namespaces = ?args.namespaces, "first aid starts");
    let (keeping, wakes) = args.keeping()?.unzip();
    let config = Config::infer().await.context("finding the API server: no kubeconfig and not in a cluster")?;
    let watching = patient(&config, QUIET).context("making a client that watches")?;
    let third = Duration::from_secs((args.lease_seconds / 3).max(1));
    let leasing = patient(&config, third).context("making a client for the lease")?;
    let metrics = Metrics::default();
    let (ready, is_ready) = watch::channel(Err("waiting for the API server, the kinds and the policies".to_owned()));
    let stop = stop_signal()?.shared();
    let hearing = args.alerts.then(http::Hearing::default);
    let server = tokio::spawn(http::serve(args.listen, is_ready, metrics.clone(), hearing.clone(), stop.clone()));

    let context = tokio::select! {
        context = prepare(&args, &watching, config, metrics.clone(), wakes.unwrap_or_default()) => Arc::new(context?),
        () = stop.clone() => return Ok(()),
    };
    // Before it leads, too: a Service leads to every replica that is ready, and an Incident is opened once whoever hears of it.
    if let Some(hearing) = hearing {
        let _ = hearing.set(control::alerts::Receiver::new(Arc::clone(&context), args.namespaces.clone()));
    }
    // Before it leads, for it is ready with its first proof, and a rolling update waits for the new replica to be ready,
    // which waits for the lease of the old one.
    let period = Duration::from_secs(args.guard_seconds) / 2;
    let works = Arc::new(AtomicBool::new(false));
    let _proving = tokio::spawn(keep_proving(Arc::clone(&context), ready, period, Arc::clone(&works), stop.clone()));
    tracing::info!(stamps = context.operator.stamps, "first aid is prepared");
    let lost = tokio::select! {
        lost = lease(&args, leasing) => lost?,
        () = stop.clone() => return Ok(()),
    };
    works.store(true, Ordering::Relaxed);
    tracing::info!("first aid works");
    let keep = async {
        if let Some(keeping) = keeping {
            control::keep::drive(watching.clone(), &args.namespaces, Arc::clone(&context), keeping, stop.clone()).await;
        }
    };
    let looks = Duration::from_secs(args.in_place_seconds);
    let mut setbacks = context.performer.guard().setbacks();
    let watch_and_drive = || {
        futures::future::join5(
            control::run::drive(watching.clone(), &args.namespaces, Arc::clone(&context), stop.clone()),
            control::runbook::drive(watching.clone(), &args.namespaces, Arc::clone(&context), stop.clone()),
            control::ratify::drive(watching.clone(), &args.namespaces, Arc::clone(&context), stop.clone()),
            control::in_place::drive(watching.clone(), &args.namespaces, Arc::clone(&context), looks, stop.clone()),
            control::incident::drive(watching.clone(), &args.namespaces, Arc::clone(&context), stop.clone()),
        )
    };
    let drive = async {
        loop {
            tokio::select! {
                _ = watch_and_drive() => break,
                // What is remembered of each run stays: its journal is compared with it.
                Ok(()) = setbacks.changed() => tracing::warn!("every watch begins anew"),
            }
        }
    };
    tokio::select! {
        _ = futures::future::join(drive, keep) => {}
        // Whoever lost the lease must not act any more: the process ends, it does not wind down.
        () = lost => anyhow::bail!("the lease {} was lost", args.lease_name),
    }
    context.notifier.drain(LAST_WORDS).await;
    server.abort();
    Ok(())
}

/// A watch is ended by the API server after 30 s. One that is still silent after this time is on a connection that died without
/// a word, and is begun anew on another one.
const QUIET: Duration = Duration::from_secs(40);

/// A client that gives up an answer of which nothing comes for so long.
fn patient(config: &Config, silence: Duration) -> kube::Result<Client> {
    let mut config = config.clone();
    config.read_timeout = Some(silence);
    Client::try_from(config)
}

/// Waits for the API server and the kinds, and learns what the cluster offers.
async fn prepare(
    args: &OperatorArgs,
    watching: &Client,
    config: Config,
    metrics: Metrics,
    wakes: Wakes,
) -> anyhow::Result<Context> {
    loop {
        let served = tokio::try_join!(
            control::served::<Runbook>(watching, &args.namespaces),
            control::served::<RunbookRun>(watching, &args.namespaces),
            control::served::<Approval>(watching, &args.namespaces),
            control::served::<ActionRecord>(watching, &args.namespaces),
        );
        match served {
            Ok(_) => break,
            Err(error) => {
                tracing::warn!(%error, "the kinds of First Aid cannot be listed; is the chart installed? trying again")
            }
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let uid = match perform::timely(Api::<Namespace>::all(watching.clone()).get_metadata("kube-system")).await {
        Ok(namespace) => namespace.metadata.uid.unwrap_or_default(),
        Err(error) => {
            tracing::warn!(%error, "the cluster's uid cannot be read; records will not carry it");
            String::new()
        }
    };
    // What is served, not which version: an API server can emulate an older one.
    let stamps = watching
        .list_api_group_resources("admissionregistration.k8s.io/v1")
        .await
        .is_ok_and(|list| list.resources.iter().any(|r| r.kind == "MutatingAdmissionPolicy"));
    let operator = Operator {
        namespace: args.operator_namespace.clone(),
        cluster: Cluster { name: args.cluster_name.clone(), uid },
        stamps,
        floors: args.floors.0.clone(),
        process: process(),
    };
    let guarding = Guarding {
        values: args.values(),
        good_for: Duration::from_secs(args.guard_seconds),
        settle: Duration::from_secs(args.guard_settle_seconds),
    };
    let performer = Performer::new(config, guarding).context("making a client that does not retry")?;
    let webhook = args.notify_url_file.as_deref().filter(|file| !file.as_os_str().is_empty());
    let notifier = Notifier::start(webhook.map(|file| Webhook::new(file, args.notify_insecure)), metrics.clone());
    Ok(Context { performer, recall: Recall::default(), operator, metrics, wakes, notifier })
}

/// A name of this process that no other one has: in a pod each start has the same id.
fn process() -> String {
    let host = std::env::var("HOSTNAME").unwrap_or_default();
    format!("{host}/{}/{}", std::process::id(), perform::now())
}

/// Waits for the lease. What it returns resolves when the lease is lost.
async fn lease(args: &OperatorArgs, client: Client) -> anyhow::Result<futures::future::BoxFuture<'static, ()>> {
    if args.lease_name.is_empty() {
        return Ok(futures::future::pending().boxed());
    }
    let manager = LeaseManagerBuilder::new(client, &args.lease_name)
        .with_namespace(&args.operator_namespace)
        .with_duration(args.lease_seconds)
        .with_grace((args.lease_seconds / 3).max(1))
        .build()
        .await
        .with_context(|| format!("taking the lease {}", args.lease_name))?;
    let (mut held, task) = manager.watch().await;
    tracing::info!(lease = args.lease_name, "waiting for the lease");
    held.wait_for(|held| *held).await.context("waiting for the lease")?;
    Ok(async move {
        let _task = task;
        let _ = held.wait_for(|held| !*held).await;
    }
    .boxed())
}

/// How long an operator that ends waits for what is still to be told.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Between two looks at guards that are not in force.
const MISSING: Duration = Duration::from_secs(2);

/// Proves the guards at the start and again before each proof grows old, and says how they stand: without them the
/// operator does nothing, so it is not ready.
async fn keep_proving(
    context: Arc<Context>,
    ready: watch::Sender<Result<(), String>>,
    period: Duration,
    works: Arc<AtomicBool>,
    stop: impl Future<Output = ()>,
) {
    let proving = async {
        let mut news = GuardNews::default();
        loop {
            let guard = context.performer.guard();
            let standing = guard.renew().await;
            context.metrics.guards(standing.is_ok());
            let seen = standing.as_ref().copied().map_err(String::as_str);
            let gap = guard.gaps().last().copied();
            let cluster = &context.operator.cluster;
            let told = news.look(seen, works.load(Ordering::Relaxed), gap, cluster, perform::now());
            told.into_iter().for_each(|notice| context.notifier.tell(notice));
            let before = ready.send_replace(standing.clone());
            match (&before, &standing) {
                (Err(_), Ok(())) => tracing::info!("the approval policies are proven to be in force"),
                (before, Err(why)) if before.as_ref().err() != Some(why) => tracing::error!(
                    why,
                    "the approval policies are not proven to be in force; nothing is done until they are"
                ),
                _ => {}
            }
            // What is away is missed by people: it is looked at often until it is back.
            tokio::time::sleep(if standing.is_ok() { period } else { period.min(MISSING) }).await;
        }
    };
    tokio::select! {
        () = proving => {}
        () = stop => {}
    }
}

/// Resolves at the first SIGTERM or SIGINT.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
