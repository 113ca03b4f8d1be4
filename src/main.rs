//! `firstaid`: the operator and the tools beside it.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use firstaid::{app, cli, telemetry};

/// Declarative runbooks for the worst half hour, behind approval gates, with a record of every action.
#[derive(Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run the operator.
    Operator(Box<app::OperatorArgs>),
    /// Write the CustomResourceDefinitions.
    Crds(cli::crds::CrdsArgs),
    /// Print what a namespace needs to join: a ServiceAccount, the least Role for its runbooks, the grant to the operator.
    Onboard(cli::onboard::OnboardArgs),
    /// Look at runbooks in files, without a cluster. Ends with 1 where something is wrong, with 2 where that could not be told.
    Lint(cli::lint::LintArgs),
    /// Recompute the chain of records and compare it with journals, ballots and an older export. Ends with 1 where something
    /// is wrong, with 2 where that could not be told.
    Verify(cli::verify::VerifyArgs),
    /// Write the retrospective of an incident from its records, and from what people added. Changes nothing.
    Retro(cli::retro::RetroArgs),
    /// Print what happened in an incident, in order of time.
    Timeline(cli::timeline::TimelineArgs),
    /// Print the version.
    Version,
}

/// The stack of each thread, in bytes. Expressions and documents of strangers are parsed by libraries that call themselves:
/// what is accepted is bounded so that a fraction of this is enough. Only what is used takes memory.
const STACK: usize = 16 << 20;

fn main() -> ExitCode {
    // It waits for the API server most of its time: two threads, however large the node is.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_stack_size(STACK).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return cli::fail(&anyhow::Error::new(error).context("starting threads")),
    };
    // The main thread has whatever stack the machine gives it: the work is done on one of ours.
    match runtime.block_on(runtime.spawn(run())) {
        Ok(code) => code,
        Err(error) => cli::fail(&anyhow::Error::new(error)),
    }
}

async fn run() -> ExitCode {
    let done = match Cli::parse().verb {
        Verb::Operator(args) => {
            telemetry::start();
            app::run(*args).await
        }
        Verb::Crds(args) => cli::crds::run(&args),
        Verb::Onboard(args) => cli::onboard::run(&args),
        Verb::Lint(args) => return cli::lint::run(&args),
        Verb::Verify(args) => return cli::verify::run(&args).await,
        Verb::Retro(args) => cli::retro::run(&args).await,
        Verb::Timeline(args) => cli::timeline::run(&args).await,
        Verb::Version => cli::version::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::fail(&error),
    }
}
