//! A network between an operator and its API server that loses, repeats, delays and lies on demand.
//!
//! ```text
//! operator --http--> Proxy --https--> API server
//! ```
//!
//! Requests keep their own credentials; the proxy has none. It speaks HTTP/1.1 and HTTP/2, and passes watches on as they
//! come. [`Proxy::inject`] says what happens to which request; [`Proxy::seen`] tells what was asked.
#![allow(clippy::disallowed_types)]

mod fault;
mod request;
mod serve;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

pub use fault::{Fault, Rule};
pub use request::Asked;
use serve::Shared;

/// A request that came by.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What it asked.
    pub asked: Asked,
    /// What happened to it; none where it was passed on as it was.
    pub fault: Option<String>,
}

/// The network. Dropping it breaks every connection.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
    kubeconfig: Kubeconfig,
}

impl Proxy {
    /// A network to the API server of this kubeconfig, on a port of its own on the loopback.
    ///
    /// # Errors
    /// Where the kubeconfig cannot be read or the port cannot be had.
    pub fn start(kubeconfig: &Path) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let kubeconfig = Kubeconfig::read_from(kubeconfig).context("reading the kubeconfig")?;
        let (address, shared) = runtime.block_on(async {
            let mut config = Config::from_custom_kubeconfig(kubeconfig.clone(), &KubeConfigOptions::default()).await?;
            // Whoever sends a request says who they are.
            config.auth_info = AuthInfo::default();
            config.default_retry = false;
            let shared = Arc::new(Shared::new(Client::try_from(config)?));
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let address = listener.local_addr()?;
            tokio::spawn(serve::accept(listener, Arc::clone(&shared)));
            anyhow::Ok((address, shared))
        })?;
        Ok(Self { address, shared, runtime: Some(runtime), kubeconfig })
    }

    /// Writes the kubeconfig with which the same user asks through this network.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn kubeconfig(&self, into: &Path) -> Result<PathBuf> {
        let mut through = serde_json::to_value(&self.kubeconfig)?;
        let clusters = through.get_mut("clusters").and_then(serde_json::Value::as_array_mut).context("no clusters")?;
        for cluster in clusters {
            if let Some(fields) = cluster.as_object_mut() {
                let server = format!("http://{}", self.address);
                fields.insert("cluster".to_owned(), serde_json::json!({"server": server}));
            }
        }
        std::fs::write(into, through.to_string()).with_context(|| format!("writing {}", into.display()))?;
        Ok(into.to_owned())
    }

    /// From now on, until it is used up or [lifted](Self::lift). Of several rules the first one that matches counts.
    pub fn inject(&self, rule: Rule) {
        self.shared.rules().push(rule);
    }

    /// All is well again for whatever is asked from now on, and answers that stall break.
    pub fn lift(&self) {
        self.shared.rules().clear();
        self.shared.release();
    }

    /// What was asked since it was last [forgotten](Self::forget), in the order in which it came.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen().clone()
    }

    /// Forgets what was asked, and the answers.
    pub fn forget(&self) {
        self.shared.seen().clear();
        self.shared.answers().clear();
    }

    /// Waits until something has happened to a request.
    ///
    /// # Errors
    /// Where nothing has, within this time.
    pub fn wait_hit(&self, within: Duration) -> Result<Seen> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(hit) = self.seen().into_iter().find(|seen| seen.fault.is_some()) {
                return Ok(hit);
            }
            if Instant::now() > deadline {
                bail!("no request came to which the fault could happen, within {within:?}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
