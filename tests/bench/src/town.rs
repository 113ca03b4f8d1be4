//! The control plane with three namespaces: the operator's, and one for each floor.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use firstaid_sandbox::{Operator, Options, Output, Sandbox, repository};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::subject::{RUNBOOKS, Subject};

const READY_WITHIN: Duration = Duration::from_secs(60);

/// Who acts on an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Actor {
    /// A watch and a patch.
    Raw,
    /// The same with the live reads and the fences of the design, in one loop.
    Safe,
    /// First Aid.
    Operator,
}

impl Actor {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Raw, Self::Safe, Self::Operator];

    /// Its namespace.
    pub fn namespace(self) -> &'static str {
        match self {
            Self::Raw => "floor-raw",
            Self::Safe => "floor-safe",
            Self::Operator => "bench",
        }
    }

    /// What it is called in the output.
    pub fn title(self) -> &'static str {
        match self {
            Self::Raw => "raw floor",
            Self::Safe => "safe floor",
            Self::Operator => "First Aid",
        }
    }
}

/// The control plane, its people, and the operator under test.
pub struct Town {
    /// The control plane.
    pub sandbox: Sandbox,
    /// The operator under test.
    pub operator: Operator,
    binary: PathBuf,
}

impl Town {
    /// Starts everything, with this build of the operator or else with one from here.
    pub fn open(operator: Option<PathBuf>) -> Result<Self> {
        let binary = operator.map_or_else(operator_binary, Ok)?;
        eprintln!("starting a control plane ...");
        let sandbox = Sandbox::start(&Options::default())?;
        sandbox.install_chart(&[])?;
        let runbooks = sandbox.data().join("runbooks.yaml");
        std::fs::write(&runbooks, RUNBOOKS)?;
        for actor in Actor::ALL {
            let namespace = actor.namespace();
            sandbox.join_namespace(namespace)?;
            match actor {
                // Without impersonation, so the operator's identity itself needs the right.
                Actor::Raw => sandbox.apply_yaml("root", BARE_RIGHTS).map(drop)?,
                Actor::Safe | Actor::Operator => onboard(&sandbox, &binary, namespace, &runbooks)?,
            }
        }
        let namespace = Actor::Operator.namespace();
        for subject in [Subject::Flag, Subject::Scale] {
            apply(&sandbox, "root", namespace, &subject.target("rehearsal").to_string())?;
        }
        apply(&sandbox, "author", namespace, RUNBOOKS)?;
        let operator = start_operator(&sandbox, &binary)?;
        Ok(Self { sandbox, operator, binary })
    }

    /// Ends the operator and starts it again.
    pub fn restart_operator(&mut self) -> Result<()> {
        self.operator.kill()?;
        self.operator = start_operator(&self.sandbox, &self.binary)?;
        Ok(())
    }

    /// A client without retries: what is sent is sent once.
    pub async fn client(&self, person: &str) -> Result<Client> {
        client(&self.sandbox.kubeconfig(person), None).await
    }
}

/// A client without retries, perhaps in the name of somebody else.
pub async fn client(kubeconfig: &Path, acting_as: Option<String>) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    config.default_retry = false;
    config.auth_info.impersonate = acting_as;
    Ok(Client::try_from(config)?)
}

/// The release build of the operator, made now if it is not there. Named together with this program, so that both are
/// built with the same features and nothing is built twice.
fn operator_binary() -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--release", "--package", "firstaid", "--package", "firstaid-bench"])
        .current_dir(repository())
        .status()
        .context("running cargo")?;
    ensure!(status.success(), "the operator could not be built");
    let here = std::env::current_exe()?;
    let binary = here.parent().context("a program is in a folder")?.join("firstaid");
    ensure!(binary.exists(), "there is no {}: run the benchmark with cargo run --release", binary.display());
    Ok(binary)
}

fn start_operator(sandbox: &Sandbox, binary: &Path) -> Result<Operator> {
    let namespaces = format!("--namespaces={}", Actor::Operator.namespace());
    let args = [namespaces.as_str(), "--lease-name=bench", "--lease-seconds=3", "--cluster-name=sandbox"];
    let mut operator = sandbox.start_operator(binary, &args, &[])?;
    operator.wait_ready(READY_WITHIN)?;
    Ok(operator)
}

fn onboard(sandbox: &Sandbox, binary: &Path, namespace: &str, runbooks: &Path) -> Result<()> {
    let mode = if sandbox.serves_mutating_policies()? { "constrained" } else { "legacy" };
    let mut command = Command::new(binary);
    command.args(["onboard", "-n", namespace, "--impersonation", mode, "--from"]).arg(runbooks);
    let printed = Output::of(&mut command)?.ok()?;
    sandbox.apply_yaml("root", &printed)?;
    Ok(())
}

fn apply(sandbox: &Sandbox, person: &str, namespace: &str, objects: &str) -> Result<()> {
    sandbox.kubectl_input(person, &["apply", "-n", namespace, "-f", "-"], objects)?.ok()?;
    Ok(())
}

const BARE_RIGHTS: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: bare, namespace: floor-raw}
rules:
- {apiGroups: [''], resources: [configmaps], verbs: [patch]}
- {apiGroups: [apps], resources: [deployments], verbs: [patch]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: bare, namespace: floor-raw}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: bare}
subjects: [{kind: ServiceAccount, name: firstaid, namespace: firstaid-system}]
";
