//! The programs of the sandbox, built from Go modules by `build.sh`.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, bail};

/// Where the built programs are.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The folder that holds them all. It is outside the repository and is built once for all sandboxes.
    pub folder: PathBuf,
    /// etcd, kube-apiserver, kube-controller-manager, kube-scheduler and `supervise`, by the first argument.
    pub controlplane: PathBuf,
    /// kubectl, of the same version as the API server.
    pub kubectl: PathBuf,
    /// helm.
    pub helm: PathBuf,
    /// KWOK, which plays the nodes and their pods.
    pub kwok: PathBuf,
    /// Alertmanager.
    pub alertmanager: PathBuf,
    /// What KWOK does with nodes and pods.
    pub stages: PathBuf,
}

static BUILT: OnceLock<Result<Programs, String>> = OnceLock::new();

impl Programs {
    /// Builds what is not built yet, once per process. The first build of all takes minutes and reports its progress on
    /// standard error.
    pub(crate) fn built() -> Result<Programs> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("build.sh");
        let built = BUILT.get_or_init(|| build(&script).map_err(|error| format!("{error:#}")));
        built.clone().map_err(|reason| anyhow!(reason))
    }
}

fn build(script: &Path) -> Result<Programs> {
    let mut child = Command::new("bash")
        .arg(script)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("running bash {}", script.display()))?;
    let mut last_words = String::new();
    if let Some(progress) = child.stderr.take() {
        for line in BufReader::new(progress).lines() {
            let line = line.context("reading the progress of the build")?;
            // Not `eprintln`: a test run would hold that back until the end, and look dead for minutes.
            let _ = writeln!(std::io::stderr(), "{line}");
            last_words = line;
        }
    }
    let mut printed = String::new();
    if let Some(mut stdout) = child.stdout.take() {
        stdout.read_to_string(&mut printed)?;
    }
    let status = child.wait()?;
    let folder = match printed.lines().last() {
        Some(folder) if status.success() => PathBuf::from(folder),
        _ => bail!("the sandbox's programs could not be built: {last_words}"),
    };
    let at = |name: &str| folder.join(OsStr::new(name));
    Ok(Programs {
        controlplane: at("controlplane"),
        kubectl: at("kubectl"),
        helm: at("helm"),
        kwok: at("kwok"),
        alertmanager: at("alertmanager"),
        stages: at("stages.yaml"),
        folder,
    })
}
