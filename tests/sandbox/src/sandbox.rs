//! Starting and stopping one control plane.

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::api_server::COMPONENTS;
use crate::identity::Authority;
use crate::people::PEOPLE;
use crate::ports::Port;
use crate::process::Process;
use crate::programs::Programs;
use crate::waiting::poll;

const FOLDER_PREFIX: &str = "firstaid-sandbox-";
const NODES: [&str; 2] = ["node-1", "node-2"];
const START_WITHIN: Duration = Duration::from_secs(90);

/// How a sandbox is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Behave as this older version of Kubernetes, such as `1.33` (the oldest that can be emulated), in which the API
    /// server does not stamp votes: MutatingAdmissionPolicy is not served. `/version` still tells the real version.
    pub emulated_version: Option<String>,
    /// Write an audit log, see [`Sandbox::audit_log`].
    pub audit: bool,
    /// Keep the data folder (logs, audit log, kubeconfigs) when the sandbox ends. The environment variable
    /// `FIRSTAID_SANDBOX_KEEP` does the same from outside.
    pub keep: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options { emulated_version: None, audit: true, keep: std::env::var_os("FIRSTAID_SANDBOX_KEEP").is_some() }
    }
}

/// A running control plane with two nodes. Dropping it stops everything and removes its data folder.
///
/// It can be shared between threads. A sandbox in a `static` is never dropped: its processes end with this one all the
/// same, and its folder is swept away by the next sandbox that starts.
pub struct Sandbox {
    programs: Programs,
    authority: Authority,
    server: String,
    /// In the order of their start; they are stopped the other way round.
    processes: Mutex<Vec<Process>>,
    operators: AtomicUsize,
    options: Options,
    _ports: Vec<Port>,
    data: TempDir,
    /// Tells other sandboxes that this folder is in use. Last, so that it is let go after the folder is removed.
    _in_use: File,
}

impl Sandbox {
    /// Starts etcd, the API server, the controller manager, the scheduler and KWOK, and returns when both nodes are
    /// ready and pods can be created. When that fails, the error shows the last lines of each log, and the logs are kept.
    pub fn start(options: &Options) -> Result<Sandbox> {
        let programs = Programs::built()?;
        sweep(&std::env::temp_dir());
        let data = tempfile::Builder::new().prefix(FOLDER_PREFIX).tempdir().context("creating the data folder")?;
        let in_use = mark_in_use(data.path())?;
        for folder in ["logs", "keys", "kubeconfig"] {
            fs::create_dir(data.path().join(folder))?;
        }
        let ports = (0..3).map(|_| Port::pick()).collect::<Result<Vec<_>>>()?;
        let [etcd, etcd_peer, api] = ports.as_slice() else { bail!("three ports were picked") };
        let numbers = (etcd.number, etcd_peer.number, api.number);
        let mut sandbox = Sandbox {
            authority: Authority::new(&data.path().join("keys"))?,
            server: format!("https://127.0.0.1:{}", api.number),
            programs,
            processes: Mutex::default(),
            operators: AtomicUsize::new(0),
            options: options.clone(),
            _ports: ports,
            data,
            _in_use: in_use,
        };
        match sandbox.bring_up(numbers) {
            Ok(()) => Ok(sandbox),
            Err(reason) => {
                sandbox.options.keep = true;
                let last_words: String = sandbox.components().iter().map(Process::last_words).collect();
                Err(reason
                    .context(format!("the sandbox did not start; the end of its logs, which are kept:\n{last_words}")))
            }
        }
    }

    /// The programs that sandboxes run, built first if need be (minutes, once; progress goes to standard error).
    pub fn build_programs() -> Result<Programs> {
        Programs::built()
    }

    /// The programs that this sandbox runs.
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// The kubeconfig of a person ([`PEOPLE`]), of `operator` once the chart is installed, or of a ServiceAccount that
    /// [`Sandbox::sign_in_service_account`] has signed in. It holds all that it needs and can be copied elsewhere.
    pub fn kubeconfig(&self, person: &str) -> PathBuf {
        self.data().join("kubeconfig").join(format!("{person}.kubeconfig"))
    }

    /// The address of the API server.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The folder with everything of this sandbox: `logs`, `kubeconfig`, `keys`, `etcd`, `audit.log`.
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// The audit log, one JSON object a line: our kinds, workloads, documents of flags, and what the operator writes with
    /// requests and responses, all else as metadata.
    pub fn audit_log(&self) -> PathBuf {
        self.data().join("audit.log")
    }

    /// The components that run, by name and process id. KWOK's is that of the process which supervises it.
    pub fn processes(&self) -> Vec<(String, u32)> {
        self.components().iter().map(|process| (process.name().to_owned(), process.pid())).collect()
    }

    fn components(&self) -> MutexGuard<'_, Vec<Process>> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_component<T>(&self, name: &str, act: impl FnOnce(&mut Process) -> Result<T>) -> Result<T> {
        let mut components = self.components();
        let component = components.iter_mut().find(|process| process.name() == name);
        act(component.with_context(|| format!("there is no component {name}"))?)
    }

    /// Ends a component (`etcd`, `kube-apiserver`, ...) at once, as if its machine had died.
    pub fn end(&self, component: &str) -> Result<()> {
        self.with_component(component, Process::stop)
    }

    /// Starts a component that has ended, with what it has on its disk. The API server is ready when this returns; what
    /// it answers in its first second is still of its own beginning.
    pub fn start_again(&self, component: &str) -> Result<()> {
        self.with_component(component, Process::start_again)?;
        if component == "kube-apiserver" {
            self.wait("the API server to be ready again", |sandbox| sandbox.get("/readyz").map(drop))?;
            // It is ready before it serves the kinds that are not its own.
            if self.kubeconfig("operator").exists() {
                let ballots = "/apis/firstaid.dev/v1alpha1/approvals?limit=1";
                self.wait("our kinds to be served again", |sandbox| sandbox.get(ballots).map(drop))?;
            }
        }
        Ok(())
    }

    /// Sends a signal to a component, such as `STOP` and `CONT`.
    pub fn signal(&self, component: &str, name: &str) -> Result<()> {
        let pid = self.with_component(component, |process| Ok(process.pid()))?.to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status()?;
        ensure!(status.success(), "kill -s {name} {pid} failed");
        Ok(())
    }

    /// A copy of what etcd has on its disk, which must have ended.
    pub fn copy_storage(&self) -> Result<TempDir> {
        let copy = tempfile::tempdir()?;
        copy_folder(&self.data().join("etcd"), &copy.path().join("etcd"))?;
        Ok(copy)
    }

    /// Puts a copy of etcd's storage in place of what it has now. It must have ended.
    pub fn restore_storage(&self, copy: &TempDir) -> Result<()> {
        fs::remove_dir_all(self.data().join("etcd"))?;
        copy_folder(&copy.path().join("etcd"), &self.data().join("etcd"))
    }

    /// Signs in somebody who is not among [`PEOPLE`], with a certificate, under their own name.
    pub fn sign_in_user(&self, name: &str, group: Option<&str>) -> Result<()> {
        self.write_kubeconfig(name, name, group)
    }

    /// Signs in a ServiceAccount, which must exist, under the name of a person: `kubectl_run("robot", ...)`.
    pub fn sign_in_service_account(&self, person: &str, namespace: &str, name: &str) -> Result<PathBuf> {
        let output = self
            .kubectl_run("root", &["get", "serviceaccount", "-n", namespace, name, "-o", "jsonpath={.metadata.uid}"])?;
        let uid = output.ok().with_context(|| format!("looking for ServiceAccount {namespace}/{name}"))?;
        let config = self.authority.kubeconfig_for_service_account(&self.server, namespace, name, &uid)?;
        let path = self.kubeconfig(person);
        fs::write(&path, config)?;
        Ok(path)
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.data().join("logs")
    }

    /// 1 for the first operator, 2 for the second, so that each has a log of its own.
    pub(crate) fn next_operator(&self) -> usize {
        self.operators.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn bring_up(&self, (etcd, etcd_peer, api): (u16, u16, u16)) -> Result<()> {
        let url = |port| format!("http://127.0.0.1:{port}");
        self.run("etcd", self.etcd(&url(etcd), &url(etcd_peer)))?;
        // The certificates are made while etcd starts.
        self.authority.write_server_certificate()?;
        for person in PEOPLE {
            self.write_kubeconfig(person.name, person.name, person.group)?;
        }
        for (name, user, group) in COMPONENTS {
            self.write_kubeconfig(name, user, *group)?;
        }
        self.run("kube-apiserver", self.api_server(api, &url(etcd), &self.options)?)?;
        self.wait("the API server to listen", |_| Ok(TcpStream::connect(("127.0.0.1", api)).map(drop)?))?;
        self.wait("the API server to be ready", |sandbox| sandbox.get("/readyz").map(drop))?;
        self.run("kube-controller-manager", self.controller_manager(&self.options))?;
        self.run("kube-scheduler", self.scheduler(&self.options))?;
        self.run("kwok", self.kwok())?;
        self.create_nodes()?;
        self.wait("the nodes to be ready", Sandbox::look_for_nodes)?;
        self.wait("the first ServiceAccount", |sandbox| {
            sandbox.get("/api/v1/namespaces/default/serviceaccounts/default").map(drop)
        })?;
        self.wait("the role view to be filled", |sandbox| {
            let role = sandbox.get("/apis/rbac.authorization.k8s.io/v1/clusterroles/view")?;
            let rules = role.pointer("/rules").and_then(Value::as_array).map_or(0, Vec::len);
            ensure!(rules > 0, "ClusterRole view has no rules yet");
            Ok(())
        })
    }

    fn run(&self, name: &str, command: Command) -> Result<()> {
        let process = Process::start(name, command, &self.logs())?;
        self.components().push(process);
        Ok(())
    }

    /// Waits, but not for a control plane of which a part has ended.
    fn wait(&self, what: &str, mut look: impl FnMut(&Sandbox) -> Result<()>) -> Result<()> {
        poll(what, START_WITHIN, || {
            for process in self.components().iter_mut() {
                if let Some(status) = process.ended()? {
                    return Ok(Err(anyhow!("{} has ended ({status})", process.name())));
                }
            }
            look(self).map(Ok)
        })?
    }

    fn write_kubeconfig(&self, name: &str, user: &str, group: Option<&str>) -> Result<()> {
        let config = self.authority.kubeconfig_for_user(&self.server, user, group)?;
        fs::write(self.kubeconfig(name), config).with_context(|| format!("writing the kubeconfig of {name}"))
    }

    fn get(&self, path: &str) -> Result<Value> {
        let answer = self.kubectl_run("root", &["get", "--raw", path])?.ok()?;
        Ok(serde_json::from_str(&answer).unwrap_or(Value::Null))
    }

    fn create_nodes(&self) -> Result<()> {
        let nodes = NODES.map(|name| {
            let metadata = json!({"name": name, "labels": {"kubernetes.io/hostname": name, "type": "kwok"}});
            json!({"apiVersion": "v1", "kind": "Node", "metadata": metadata})
        });
        let list = json!({"apiVersion": "v1", "kind": "List", "items": nodes});
        self.kubectl_input("root", &["create", "--validate=false", "-f", "-"], &list.to_string())?
            .ok()
            .context("creating the nodes")?;
        Ok(())
    }

    fn look_for_nodes(&self) -> Result<()> {
        let list = self.get("/api/v1/nodes")?;
        let nodes = list.pointer("/items").and_then(Value::as_array).context("no list of nodes")?;
        let ready = nodes.iter().filter(|node| is_ready(node)).count();
        ensure!(ready == NODES.len(), "{ready} of {} nodes are ready", NODES.len());
        Ok(())
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        // The managers first: an API server that they still watch takes long to end.
        for process in self.components().iter_mut().rev() {
            let _ = process.stop();
        }
        if self.options.keep {
            let _ = fs::remove_dir_all(self.data().join("etcd"));
            let _ = fs::remove_file(self.data().join(IN_USE));
            self.data.disable_cleanup(true);
        }
    }
}

/// Ready, and without the taint that keeps pods away until the node controller has seen that it is ready.
fn is_ready(node: &Value) -> bool {
    let conditions = node.pointer("/status/conditions").and_then(Value::as_array);
    let ready = conditions.into_iter().flatten().any(|condition| {
        condition.get("type").is_some_and(|kind| kind == "Ready")
            && condition.get("status").is_some_and(|status| status == "True")
    });
    ready && node.pointer("/spec/taints").is_none()
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

const IN_USE: &str = "in-use";

/// Locks a file in the folder for as long as this process lives.
fn mark_in_use(folder: &Path) -> Result<File> {
    // Locked before it has its name, so that nobody sees it unlocked.
    let unnamed = folder.join("in-use.new");
    let file = File::create(&unnamed)?;
    file.lock().context("locking the data folder")?;
    fs::rename(&unnamed, folder.join(IN_USE))?;
    Ok(file)
}

/// Removes the data folders of sandboxes whose process was killed. A kept folder has no lock file and stays.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(FOLDER_PREFIX) {
            continue;
        }
        let Ok(lock) = File::open(entry.path().join(IN_USE)) else { continue };
        if lock.try_lock().is_ok() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweeps_what_nobody_uses() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let at = |name: &str| folder.path().join(FOLDER_PREFIX.to_owned() + name);
        for name in ["used", "left", "kept"] {
            fs::create_dir(at(name))?;
        }
        let _used = mark_in_use(&at("used"))?;
        drop(mark_in_use(&at("left"))?);
        sweep(folder.path());
        assert!(at("used").exists() && at("kept").exists() && !at("left").exists());
        Ok(())
    }
}
