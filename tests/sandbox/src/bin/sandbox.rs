//! A cluster to try First Aid on, on a bare machine: it stays until Ctrl-C.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::Parser;
use firstaid_sandbox::{Operator, Options, PEOPLE, Sandbox, firstaid_program, repository};
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
    let options = Options { emulated_version: arguments.emulated_version, ..Options::default() };
    let sandbox = Sandbox::start(&options)?;
    let firstaid = if arguments.bare { None } else { Some(firstaid_program(arguments.operator.as_deref())?) };
    let operator = firstaid.as_deref().map(|firstaid| furnish(&sandbox, firstaid)).transpose()?;
    let folder = arguments.kubeconfigs.unwrap_or_else(|| repository().join("target/sandbox"));
    let folder = write_kubeconfigs(&sandbox, &folder, firstaid.as_deref())?;
    println!("\nready after {:.0} s", started.elapsed().as_secs_f32());
    print_what_next(&sandbox, &folder, operator.as_ref())?;
    until_interrupted()?;
    println!("\ncleaning up");
    Ok(())
}

/// The chart, the shop, the operator and the runbooks of this repository.
fn furnish(sandbox: &Sandbox, firstaid: &Path) -> Result<Operator> {
    let operator = sandbox.furnish(firstaid, SHOP, &|what| println!("{what}"))?;
    println!("onboarding the shop and applying the runbooks");
    let runbooks = repository().join("runbooks");
    sandbox.onboard(firstaid, SHOP, &runbooks)?;
    sandbox.kubectl_run("author", &["apply", "-n", SHOP, "-f", &runbooks.to_string_lossy()])?.ok()?;
    let ready = ["wait", "rbk", "--all", "-n", SHOP, "--for=condition=Ready", "--timeout=60s"];
    sandbox.kubectl_run("author", &ready)?.ok().context("the runbooks are not ready")?;
    Ok(operator)
}

/// For each person a kubeconfig, and a file to source that makes a shell theirs.
fn write_kubeconfigs(sandbox: &Sandbox, folder: &Path, operator: Option<&Path>) -> Result<PathBuf> {
    fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    let folder = fs::canonicalize(folder)?;
    let programs = sandbox.programs().folder.display().to_string();
    let path = operator
        .and_then(Path::parent)
        .map_or(programs.clone(), |firstaid| format!("{programs}:{}", firstaid.display()));
    // What kubectl remembers of a server's kinds is filed under its address, and ports are used again.
    let cache = sandbox.data().join("kubectl-cache");
    for name in PEOPLE.iter().map(|person| person.name).chain(["operator"]) {
        let kubeconfig = folder.join(format!("{name}.kubeconfig"));
        if !sandbox.kubeconfig(name).exists() {
            continue;
        }
        fs::copy(sandbox.kubeconfig(name), &kubeconfig)?;
        let (kubeconfig, cache) = (kubeconfig.display(), cache.display());
        let lines = format!(
            "export PATH=\"{path}:$PATH\"\nexport KUBECONFIG=\"{kubeconfig}\"\nexport KUBECACHEDIR=\"{cache}\"\nPS1='{name}$ '\n"
        );
        fs::write(folder.join(format!("{name}.env")), lines)?;
    }
    Ok(folder)
}

fn print_what_next(sandbox: &Sandbox, folder: &Path, operator: Option<&Operator>) -> Result<()> {
    let source = |person: &str| format!("source {}", folder.join(format!("{person}.env")).display());
    println!("  logs       {}", sandbox.data().join("logs").display());
    println!("  audit log  {}", sandbox.audit_log().display());
    if operator.is_none() {
        println!("\nIn another terminal:\n  {}\n  kubectl get nodes", source("root"));
        println!("\nCtrl-C ends it all.");
        return Ok(());
    }
    let by = if sandbox.serves_mutating_policies()? { "" } else { " by=bob" };
    println!("\nIn another terminal you are alice, who is on call.");
    println!("  {}", source("alice"));
    println!("  kubectl get rbk -n {SHOP}");
    println!("  kubectl get rbk -n {SHOP} shed-load -o jsonpath='{{.status.startCommand}}{{\"\\n\"}}'");
    println!("  (Paste what that prints, with your reason for WHY.)");
    println!("\nIn a third one you are bob, who reads the plan and approves it with the code that stands under it:");
    println!("  {}", source("bob"));
    println!("  kubectl get apv -n {SHOP}");
    println!("  kubectl describe apv -n {SHOP}");
    println!("  kubectl annotate apv -n {SHOP} BALLOT approve=\"CODE WHY\"{by}");
    println!("  kubectl get rbr -n {SHOP}");
    println!("  kubectl get arec -n {SHOP}");
    if !by.is_empty() {
        println!("  (by=bob: an API server as old as this one does not fill in names. It checks them.)");
    }
    println!("\nOthers: dave (sre), carol (db-owner), author (runbooks), viewer, mallory (may too much), root.");
    println!("Ctrl-C ends it all.");
    Ok(())
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
