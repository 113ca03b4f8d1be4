//! `kubectl firstaid`: the verbs of the kubectl plugin, one file each. It does nothing that plain kubectl could not do: it
//! reads with your rights, and writes the annotations and objects that you could write yourself.

mod ended;
mod out;
mod session;
mod usual;
mod view;

mod abort;
mod approvals;
mod approve;
mod ballots;
mod breakglass;
mod check;
mod completion;
mod deny;
mod explain;
mod export;
mod follow;
mod follow_up;
mod get;
mod in_place;
mod incident;
mod note;
mod overview;
mod plan;
mod retro;
mod revert;
mod run;
mod settle;
mod show;
mod status;
mod timeline;
mod verify;
mod version;
mod whoami;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use ended::{Ended, Failure};
use session::Session;
use usual::Usual;

/// Run approved first aid, undo it, write it up.
#[derive(Parser, Debug)]
#[command(name = "kubectl-firstaid", bin_name = "kubectl firstaid", version, after_help = CODES)]
struct Cli {
    #[command(flatten)]
    usual: Usual,
    #[command(flatten)]
    overview: overview::OverviewArgs,
    #[command(subcommand)]
    verb: Option<Verb>,
}

/// How verbs end.
const CODES: &str = "Without a verb: the overview.\n\n\
    It ends with 0: done, or true; 1: an error; 2: the command was not understood; 3: somebody said no; 4: it took too \
    long, or nobody decided in time; 5: the run failed; 6: the run was stopped; 7: the API server does not let you.";

#[derive(Subcommand, Debug)]
enum Verb {
    /// Open incidents, decisions that wait (yours first), and first aid that is still in place.
    Overview(overview::OverviewArgs),
    /// Show a run: its steps, what they wait for, and what was done.
    Get(get::GetArgs),
    /// Wait until a run has ended, and say how in one line; the code of the process says it too.
    Status(status::StatusArgs),
    /// Explain a runbook in words: when to use it, what it does, who must approve, how it is undone.
    ExplainRunbook(explain::ExplainArgs),
    /// Show what a runbook would do if it ran now. Nothing is changed.
    Plan(plan::PlanArgs),
    /// Start a runbook.
    Run(run::RunArgs),
    /// List what waits for a decision.
    Approvals(approvals::ApprovalsArgs),
    /// Show what an approval is about: its whole plan, and who may decide.
    Show(show::ShowArgs),
    /// Say yes to exactly what is shown.
    Approve(approve::ApproveArgs),
    /// Say no. One no ends the run.
    Deny(deny::DenyArgs),
    /// Say that what was decided without a second person stands.
    Ratify(approve::ApproveArgs),
    /// Say that what was decided without a second person does not stand. It undoes nothing.
    Disown(deny::DenyArgs),
    /// Stop a run: no further step. What was done stays.
    Abort(abort::AbortArgs),
    /// Undo what a run changed, through the same gates.
    Revert(revert::RevertArgs),
    /// Say what you found where a run asks whether something was done.
    Settle(settle::SettleArgs),
    /// Open the gates of a run without a vote, loudly and for ever on record.
    Breakglass(breakglass::BreakglassArgs),
    /// List first aid that is still in place.
    InPlace(in_place::InPlaceArgs),
    /// Say how an incident stands.
    Incident(incident::IncidentArgs),
    /// Add a line to the timeline of an incident.
    Note(note::NoteArgs),
    /// Add, list and end follow-ups of an incident.
    FollowUp(follow_up::FollowUpArgs),
    /// Print what happened in an incident, in order of time.
    Timeline(timeline::TimelineArgs),
    /// Write the retrospective of an incident; or look what is missing; or answer its questions.
    Retro(retro::RetroArgs),
    /// Write all evidence of an incident to a file, to keep it.
    Export(export::ExportArgs),
    /// Recompute the evidence and compare it with what was recorded.
    Verify(verify::VerifyArgs),
    /// Look at runbooks in files, without a cluster. It ends with 1 where something is wrong, and with 2 where a file could not be read.
    Lint(crate::cli::lint::LintArgs),
    /// Say who you are to the server, and which gates you may open.
    Whoami(whoami::WhoamiArgs),
    /// Check whether First Aid is installed and works.
    Check(check::CheckArgs),
    /// Write a script that completes words in your shell.
    Completion(completion::CompletionArgs),
    /// Print the versions of the plugin and of the server.
    Version(version::VersionArgs),
    #[command(name = "__complete", hide = true)]
    Complete(completion::WordsArgs),
}

/// The stack of each thread, in bytes: documents of strangers are parsed by libraries that call themselves.
const STACK: usize = 16 << 20;

/// Runs the plugin.
pub fn main() -> ExitCode {
    let cli = Cli::parse();

    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::error(format!("starting: {error}")))?;
        runtime.block_on(run(cli))
    };
    // The main thread has whatever stack the machine gives it: the work is done on one of ours.
    let ended = match std::thread::Builder::new().stack_size(STACK).spawn(work) {
        Ok(thread) => thread.join().unwrap_or_else(|_| Err(Failure::error("a mistake of ours: please report it"))),
        Err(error) => Err(Failure::error(format!("starting a thread: {error}"))),
    };
    match ended {
        Ok(ended) => ended.code(),
        Err(failure) => {
            failure.say();
            failure.ended.code()
        }
    }
}

async fn run(cli: Cli) -> Result<Ended, Failure> {
    if cli.verb.is_some() && cli.overview.is_asked() {
        // They would be passed over without a word.
        return Err(Failure::usage("-A, -w and -o stand after the verb that they are for"));
    }
    let verb = match cli.verb {
        // These need no cluster.
        Some(Verb::Completion(args)) => return args.run(),
        Some(Verb::Complete(args)) => return args.run(&cli.usual).await,
        Some(Verb::Version(args)) => return args.run(&cli.usual).await,
        Some(Verb::Lint(args)) => return Ok(lint(&args)),
        Some(verb) => verb,
        None => Verb::Overview(cli.overview),
    };
    let session = Session::open(&cli.usual).await?;
    match verb {
        Verb::Overview(args) => args.run(&session).await,
        Verb::Get(args) => args.run(&session).await,
        Verb::Status(args) => args.run(&session).await,
        Verb::ExplainRunbook(args) => args.run(&session).await,
        Verb::Plan(args) => args.run(&session).await,
        Verb::Run(args) => args.run(&session).await,
        Verb::Approvals(args) => args.run(&session).await,
        Verb::Show(args) => args.run(&session).await,
        Verb::Approve(args) => args.run(&session, false).await,
        Verb::Deny(args) => args.run(&session, false).await,
        Verb::Ratify(args) => args.run(&session, true).await,
        Verb::Disown(args) => args.run(&session, true).await,
        Verb::Abort(args) => args.run(&session).await,
        Verb::Revert(args) => args.run(&session).await,
        Verb::Settle(args) => args.run(&session).await,
        Verb::Breakglass(args) => args.run(&session).await,
        Verb::InPlace(args) => args.run(&session).await,
        Verb::Incident(args) => args.run(&session).await,
        Verb::Note(args) => args.run(&session).await,
        Verb::FollowUp(args) => args.run(&session).await,
        Verb::Timeline(args) => args.run(&session).await,
        Verb::Retro(args) => args.run(&session).await,
        Verb::Export(args) => args.run(&session).await,
        Verb::Verify(args) => args.run(&session).await,
        Verb::Whoami(args) => args.run(&session).await,
        Verb::Check(args) => args.run(&session).await,
        Verb::Completion(args) => args.run(),
        Verb::Complete(args) => args.run(&cli.usual).await,
        Verb::Version(args) => args.run(&cli.usual).await,
        Verb::Lint(args) => Ok(lint(&args)),
    }
}

fn lint(args: &crate::cli::lint::LintArgs) -> Ended {
    match crate::cli::lint::report(args) {
        0 => Ended::Done,
        1 => Ended::Error,
        _ => Ended::Usage,
    }
}

#[cfg(test)]
mod tests;
