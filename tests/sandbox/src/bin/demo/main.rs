//! `make demo`: a crisis, end to end, on a real Kubernetes API server.

mod aftermath;
mod alarm;
mod stage;
mod story;
mod timeline;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::Parser;
use firstaid_sandbox::{Options, Sandbox, firstaid_program};
use stage::{Ink, Stage};

/// Tells a crisis on a real Kubernetes API server: everything that is shown is typed and answered now.
#[derive(Parser)]
struct Arguments {
    /// The firstaid program [default: the one beside this program].
    #[arg(long, value_name = "PATH")]
    operator: Option<PathBuf>,
    /// Wait for Enter before each part.
    #[arg(long)]
    step: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("\ndemo: FAILED: {reason:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    let firstaid = firstaid_program(arguments.operator.as_deref())?;
    Sandbox::build_programs()?;
    let started = Instant::now();
    let say = |what: &str| println!("demo: {:>4.1} s  {what}", started.elapsed().as_secs_f32());
    say("starting a real Kubernetes control plane, with no containers");
    let sandbox = Sandbox::start(&Options::default())?;
    let operator = sandbox.furnish(&firstaid, story::SHOP, &say)?;
    let stage = Stage::new(&sandbox, firstaid, arguments.step, started);
    let page = story::tell(&stage, &sandbox, &operator).inspect_err(|_| {
        let log = std::fs::read_to_string(operator.log_path()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        eprintln!(
            "\nThe end of the operator's log:\n{}",
            lines.get(lines.len().saturating_sub(15)..).unwrap_or_default().join("\n")
        );
    })?;
    let (checks, seconds) = stage.tally();
    let all_held = format!("demo: all {checks} expectations held, in {seconds:.0} s.");
    println!("\n{}", stage.ink(Ink::Green, &all_held));
    aftermath::say_where(&stage, &page);
    println!("Play it yourself: make sandbox. On a cluster of your own: README.md.");
    Ok(())
}
