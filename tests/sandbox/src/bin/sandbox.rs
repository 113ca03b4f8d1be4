//! A cluster to try First Aid on, on a bare machine: it stays until Ctrl-C.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use firstaid_sandbox::{Operator, Options, Output, PEOPLE, Sandbox, repository};
use tokio::signal::unix::{SignalKind, signal};

const SHOP: &str = "shop";

/// Starts a real Kubernetes control plane with First Aid and a small shop in it, and keeps it until Ctrl-C.
#[derive(Parser)]
struct Arguments {
    /// Behave as an older Kubernetes, such as 1.33, which does not fill in who voted.
    #[arg(long, value_name = "VERSION")]
    emulated_version: Option<String>,
    /// The firstaid program [default: the one beside this program].
    #[arg(long, value_name = "PATH")]
    operator: Option<PathBuf>,
    /// Start the control plane and its nodes only.
    #[arg(long)]
    bare: bool,
    /// Where to write a kubeconfig for each person [default: target/sandbox].
    #[arg(long, value_name = "FOLDER")]
    kubeconfigs: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("sandbox: {reason:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    Sandbox::build_programs()?;
    let started = Instant::now();
    println!("starting a control plane");
    let options = Options { emulated_version: arguments.emulated_version.clone(), ..Options::default() };
    let sandbox = Sandbox::start(&options)?;
    let operator = if arguments.bare { None } else { furnish(&sandbox, &arguments)? };
    let folder = arguments.kubeconfigs.unwrap_or_else(|| repository().join("target/sandbox"));
    let folder = write_kubeconfigs(&sandbox, &folder)?;
    println!("\nready after {:.0} s", started.elapsed().as_secs_f32());
    print_what_next(&sandbox, &folder, arguments.bare, operator.as_ref());
    until_interrupted()?;
    println!("\ncleaning up");
    Ok(())
}

/// The chart, the shop, the operator and its runbooks: as much of it as is there.
fn furnish(sandbox: &Sandbox, arguments: &Arguments) -> Result<Option<Operator>> {
    println!("installing the chart");
    sandbox.install_chart(&[])?;
    println!("opening the shop");
    sandbox.open_shop(SHOP)?;
    let binary = match &arguments.operator {
        Some(path) => fs::canonicalize(path).with_context(|| format!("there is no operator at {}", path.display()))?,
        None => std::env::current_exe()?.with_file_name("firstaid"),
    };
    if !binary.exists() {
        println!("no operator: {} is missing (cargo build --bin firstaid)", binary.display());
        return Ok(None);
    }
    let runbooks = repository().join("runbooks");
    if runbooks.exists() {
        println!("onboarding the shop");
        onboard(sandbox, &binary, &runbooks, arguments.emulated_version.is_some())?;
    }
    println!("starting the operator");
    let mut operator = sandbox.start_operator(&binary, &[], &[])?;
    operator.wait_ready(Duration::from_secs(60))?;
    if runbooks.exists() {
        println!("applying the runbooks, as author");
        sandbox.kubectl_run("author", &["apply", "-n", SHOP, "-f", &runbooks.to_string_lossy()])?.ok()?;
    }
    Ok(Some(operator))
}

/// `firstaid onboard ... | kubectl apply -f -`
fn onboard(sandbox: &Sandbox, binary: &Path, runbooks: &Path, emulated: bool) -> Result<()> {
    let mut command = Command::new(binary);
    command.args(["onboard", "-n", SHOP, "--from"]).arg(runbooks);
    if emulated {
        command.args(["--impersonation", "legacy"]);
    }
    let yaml = Output::of(&mut command)?.ok().context("firstaid onboard")?;
    sandbox.apply_yaml("root", &yaml)?;
    Ok(())
}

fn write_kubeconfigs(sandbox: &Sandbox, folder: &Path) -> Result<PathBuf> {
    fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    for name in PEOPLE.iter().map(|person| person.name).chain(["operator"]) {
        let file = sandbox.kubeconfig(name);
        if file.exists() {
            fs::copy(&file, folder.join(format!("{name}.kubeconfig")))?;
        }
    }
    Ok(fs::canonicalize(folder)?)
}

fn print_what_next(sandbox: &Sandbox, folder: &Path, bare: bool, operator: Option<&Operator>) {
    let kubeconfig = |person: &str| folder.join(format!("{person}.kubeconfig")).display().to_string();
    println!("audit log: {}", sandbox.audit_log().display());
    if let Some(operator) = operator {
        println!("operator log: {}", operator.log_path().display());
    }
    println!("\nIn another terminal:");
    println!("  export PATH={}:$PATH    # kubectl, helm", sandbox.programs().folder.display());
    if bare {
        println!("  export KUBECONFIG={}", kubeconfig("root"));
        println!("  kubectl get nodes");
    } else {
        println!("  export KUBECONFIG={}    # alice is on call", kubeconfig("alice"));
        println!("  kubectl get runbooks,deployments -n {SHOP}");
        println!("  kubectl describe runbook -n {SHOP}    # how to start one: status.startCommand");
        println!("  export KUBECONFIG={}    # bob approves", kubeconfig("bob"));
        println!("  kubectl get approvals -n {SHOP}");
        println!("Others: carol (db-owner), dave (sre), author, viewer, mallory (may too much), root");
    }
    println!("Ctrl-C ends it all.");
}

fn until_interrupted() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = signal(SignalKind::hangup())?;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
        Ok(())
    })
}
