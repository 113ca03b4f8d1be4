//! Reading objects in this process. Tests look again and again while they wait; a kubectl for each look would be most of
//! what the machine does.
#![allow(clippy::disallowed_types)]

use std::path::Path;
use std::sync::OnceLock;

use anyhow::{Context, Result};
use kube::api::{GetParams, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::Request;
use kube::{Client, Config};
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};

/// Where a kind is served, by the short name that people type; none for the rare ones.
fn base(kind: &str) -> Option<(&'static str, &'static str)> {
    Some(match kind {
        "rbk" => ("/apis/firstaid.dev/v1alpha1", "runbooks"),
        "rbr" => ("/apis/firstaid.dev/v1alpha1", "runbookruns"),
        "apv" => ("/apis/firstaid.dev/v1alpha1", "approvals"),
        "arec" => ("/apis/firstaid.dev/v1alpha1", "actionrecords"),
        "inc" => ("/apis/firstaid.dev/v1alpha1", "incidents"),
        "configmap" => ("/api/v1", "configmaps"),
        "pods" => ("/api/v1", "pods"),
        "deployment" => ("/apis/apps/v1", "deployments"),
        "statefulset" => ("/apis/apps/v1", "statefulsets"),
        "daemonset" => ("/apis/apps/v1", "daemonsets"),
        _ => return None,
    })
}

/// One runtime for all tests: a client lives on the one it was made on.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime"))
}

/// What this kubeconfig says of the API server and of who asks.
pub async fn config(kubeconfig: &Path) -> Result<Config> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    Ok(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)
}

/// Signs in with this kubeconfig.
pub async fn client(kubeconfig: &Path) -> Result<Client> {
    Ok(Client::try_from(config(kubeconfig).await?)?)
}

/// Reads as one person.
pub struct Reader(Client);

impl Reader {
    /// Signs in.
    pub fn new(kubeconfig: &Path) -> Result<Self> {
        runtime().block_on(client(kubeconfig)).map(Self)
    }

    /// An object; none where this kind is left to kubectl.
    pub fn get(&self, namespace: &str, kind: &str, name: &str) -> Option<Result<Value>> {
        let request = path(namespace, kind)?.get(name, &GetParams::default());
        Some(request.map_err(Into::into).and_then(|request| {
            runtime().block_on(self.0.request::<Value>(request)).with_context(|| format!("reading {kind} {name}"))
        }))
    }

    /// All objects of a kind, by name.
    pub fn list(&self, namespace: &str, kind: &str) -> Result<Vec<Value>> {
        let path =
            path(namespace, kind).with_context(|| format!("no test lists {kind} yet: say where it is served"))?;
        let request = path.list(&ListParams::default())?;
        let list = runtime().block_on(self.0.request::<Value>(request)).with_context(|| format!("listing {kind}"))?;
        Ok(list.get("items").and_then(Value::as_array).cloned().unwrap_or_default())
    }
}

/// Writes as one person, where a kubectl for each write would be too slow.
pub struct Writer(Client);

impl Writer {
    /// Signs in.
    pub fn new(kubeconfig: &Path) -> Result<Self> {
        runtime().block_on(client(kubeconfig)).map(Self)
    }

    /// Creates an object.
    pub fn create(&self, namespace: &str, kind: &str, object: &Value) -> Result<()> {
        let path = path(namespace, kind).with_context(|| format!("say where {kind} is served"))?;
        self.send(path.create(&PostParams::default(), object.to_string().into_bytes())?)
    }

    /// Changes an object, by a merge patch.
    pub fn patch(&self, namespace: &str, kind: &str, name: &str, patch: &Value) -> Result<()> {
        let path = path(namespace, kind).with_context(|| format!("say where {kind} is served"))?;
        self.send(path.patch(name, &PatchParams::default(), &Patch::Merge(patch))?)
    }

    fn send(&self, request: http::Request<Vec<u8>>) -> Result<()> {
        runtime().block_on(self.0.request::<Value>(request))?;
        Ok(())
    }
}

fn path(namespace: &str, kind: &str) -> Option<Request> {
    let (base, plural) = base(kind)?;
    Some(Request::new(format!("{base}/namespaces/{namespace}/{plural}")))
}
