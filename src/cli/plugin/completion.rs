//! `kubectl firstaid completion`: words that the shell offers; also those that only the cluster knows.

use clap::{Args, CommandFactory as _, ValueEnum};
use clap_complete::Shell;
use k8s_openapi::api::core::v1::Namespace;

use super::Cli;
use super::ended::{Ended, Failure};
use super::out::screen::{Colour, Signs};
use super::out::{Screen, time};
use super::session::Session;
use super::usual::Usual;
use super::view::ballot;
use super::view::run::standing;
use crate::api::approval::BallotKind;
use crate::api::{Approval, Incident, Runbook, RunbookRun};

/// For which shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum For {
    /// kubectl itself, in every shell: a script by the name kubectl_complete-firstaid, to be put on the PATH.
    Kubectl,
    /// bash, for the program kubectl-firstaid.
    Bash,
    /// zsh, for the program kubectl-firstaid.
    Zsh,
    /// fish, for the program kubectl-firstaid.
    Fish,
}

/// For which shell.
#[derive(Args, Clone, Debug)]
pub struct CompletionArgs {
    /// For kubectl itself: kubectl firstaid completion kubectl > kubectl_complete-firstaid; make that executable, on the PATH.
    #[arg(value_enum)]
    shell: For,
}

/// What kubectl looks for: it is called with the words so far.
const SCRIPT: &str = "#!/bin/sh\n# Completes `kubectl firstaid`. Put it on the PATH as kubectl_complete-firstaid, executable.\nexec kubectl-firstaid __complete \"$@\"\n";

impl CompletionArgs {
    /// Prints the script.
    pub fn run(&self) -> Result<Ended, Failure> {
        let shell = match self.shell {
            For::Kubectl => {
                let screen = Screen::new(Colour::Never, Signs::Ascii);
                SCRIPT.lines().for_each(|line| screen.say(line));
                return Ok(Ended::Done);
            }
            For::Bash => Shell::Bash,
            For::Zsh => Shell::Zsh,
            For::Fish => Shell::Fish,
        };
        let mut command = Cli::command().bin_name("kubectl-firstaid");
        clap_complete::generate(shell, &mut command, "kubectl-firstaid", &mut std::io::stdout());
        Ok(Ended::Done)
    }
}

/// The words so far, the last of which may be empty.
#[derive(Args, Clone, Debug)]
pub struct WordsArgs {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// No files, in the order as given: cobra's ShellCompDirectiveNoFileComp and KeepOrder.
const DIRECTIVE: &str = ":36";

/// A word, and what it is.
type Choice = (String, String);

impl WordsArgs {
    /// Prints a choice a line, and how they are meant. Nothing is an error here: the shell would show it in the line.
    pub async fn run(&self, usual: &Usual) -> Result<Ended, Failure> {
        let screen = Screen::new(Colour::Never, Signs::Ascii);
        let (done, begun) = match self.words.split_last() {
            Some((last, done)) => (done, last.as_str()),
            None => (self.words.as_slice(), ""),
        };
        for (word, about) in choices(usual, done, begun).await.into_iter().filter(|(word, _)| word.starts_with(begun)) {
            screen.choice(&word, &about);
        }
        screen.say(DIRECTIVE);
        Ok(Ended::Done)
    }
}

/// The options that take a value, of a command.
fn takes_value(command: &clap::Command, word: &str) -> bool {
    let named = |argument: &&clap::Arg| {
        let long = word.strip_prefix("--").is_some_and(|name| argument.get_long() == Some(name));
        let short = word
            .strip_prefix('-')
            .is_some_and(|name| argument.get_short().is_some_and(|letter| name == letter.to_string()));
        long || short
    };
    command.get_arguments().find(named).is_some_and(|argument| argument.get_action().takes_values())
}

async fn choices(usual: &Usual, done: &[String], begun: &str) -> Vec<Choice> {
    let mut root = Cli::command();
    root.build();
    let (mut command, mut usual) = (&root, usual.clone());
    let (mut words, mut positionals) = (done.iter(), Vec::new());
    let mut pending = None;
    while let Some(word) = words.next() {
        if word.starts_with('-') {
            if let Some((name, value)) = word.split_once('=') {
                remember(&mut usual, name, value);
            } else if takes_value(command, word) {
                match words.next() {
                    Some(value) => remember(&mut usual, word, value),
                    None => pending = Some(word.as_str()),
                }
            }
        } else if let Some(next) = command.find_subcommand(word) {
            command = next;
        } else {
            positionals.push(word.as_str());
        }
    }
    if let Some(option) = pending {
        return values(&usual, command, option).await;
    }
    if begun.starts_with('-') {
        return options(command);
    }
    let verbs: Vec<Choice> = command
        .get_subcommands()
        .filter(|verb| !verb.is_hide_set() && verb.get_name() != "help")
        .map(|verb| (verb.get_name().to_owned(), verb.get_about().map(ToString::to_string).unwrap_or_default()))
        .collect();
    if !verbs.is_empty() && positionals.is_empty() && command.get_name() != "retro" {
        return verbs;
    }
    names(&usual, command, &positionals).await
}

fn options(command: &clap::Command) -> Vec<Choice> {
    let shown = command.get_arguments().filter(|argument| !argument.is_hide_set());
    shown
        .filter_map(|argument| {
            Some((
                format!("--{}", argument.get_long()?),
                argument.get_help().map(ToString::to_string).unwrap_or_default(),
            ))
        })
        .collect()
}

fn remember(usual: &mut Usual, option: &str, value: &str) {
    match option {
        "-n" | "--namespace" => usual.namespace = Some(value.to_owned()),
        "--context" => usual.context = Some(value.to_owned()),
        "--kubeconfig" => usual.kubeconfig = Some(value.into()),
        "--as" => usual.act_as = Some(value.to_owned()),
        _ => {}
    }
}

/// The values of an option.
async fn values(usual: &Usual, command: &clap::Command, option: &str) -> Vec<Choice> {
    match option {
        "-n" | "--namespace" => namespaces(usual).await,
        "--incident" => incidents(usual).await,
        _ => {
            let long = option.trim_start_matches('-');
            let argument = command.get_arguments().find(|argument| argument.get_long() == Some(long));
            let possible = argument.map(clap::Arg::get_possible_values).unwrap_or_default();
            possible
                .into_iter()
                .map(|value| {
                    (value.get_name().to_owned(), value.get_help().map(ToString::to_string).unwrap_or_default())
                })
                .collect()
        }
    }
}

/// What the verb takes at this place.
async fn names(usual: &Usual, command: &clap::Command, before: &[&str]) -> Vec<Choice> {
    match (command.get_name(), before.len()) {
        ("approve" | "deny", _) => approvals(usual, BallotKind::Decide, before).await,
        ("ratify" | "disown", _) => approvals(usual, BallotKind::Ratify, before).await,
        ("show", 0) => {
            let mut both = approvals(usual, BallotKind::Decide, before).await;
            both.extend(approvals(usual, BallotKind::Ratify, before).await);
            both
        }
        ("get" | "status", 0) => vec![("run".to_owned(), String::new())],
        ("get" | "status", 1) | ("revert", 0) => runs(usual, true).await,
        ("abort" | "settle" | "breakglass", 0) => runs(usual, false).await,
        ("run" | "plan" | "explain-runbook", 0) => runbooks(usual).await,
        (
            "timeline" | "retro" | "export" | "note" | "ack" | "mitigated" | "resolved" | "close" | "check" | "ask"
            | "add" | "list" | "done" | "drop",
            0,
        ) => incidents(usual).await,
        _ => Vec::new(),
    }
}

async fn approvals(usual: &Usual, kind: BallotKind, before: &[&str]) -> Vec<Choice> {
    let Ok(session) = Session::open(usual).await else { return Vec::new() };
    let found = session.list::<Approval>(&session.namespace, None, None).await.unwrap_or_default();
    let now = session.now();
    let waits =
        found.iter().map(|found| &found.object).filter(|one| ballot::waits(one, now) && one.spec.request.kind == kind);
    waits
        .filter(|one| !before.contains(&ballot::name(one)))
        .map(|one| {
            (
                ballot::name(one).to_owned(),
                format!("{} (asked by {})", one.spec.request.summary, one.spec.request.requester),
            )
        })
        .collect()
}

async fn runs(usual: &Usual, ended: bool) -> Vec<Choice> {
    let Ok(session) = Session::open(usual).await else { return Vec::new() };
    let fields = (!ended).then_some("status.finished!=true");
    let mut found = session.list::<RunbookRun>(&session.namespace, None, fields).await.unwrap_or_default();
    found.sort_by_key(|found| std::cmp::Reverse(found.object.metadata.creation_timestamp.as_ref().map(|made| made.0)));
    let choice = |run: &RunbookRun| {
        let phase = run.status.as_ref().map(|status| status.phase).unwrap_or_default();
        let age =
            run.metadata.creation_timestamp.as_ref().map(|made| time::age(made.0, session.now())).unwrap_or_default();
        Some((run.metadata.name.clone()?, format!("{}, {} ago: {}", standing(phase).1, age, run.spec.reason)))
    };
    found.iter().filter_map(|found| choice(&found.object)).collect()
}

async fn runbooks(usual: &Usual) -> Vec<Choice> {
    let Ok(session) = Session::open(usual).await else { return Vec::new() };
    let found = session.list::<Runbook>(&session.namespace, None, None).await.unwrap_or_default();
    found.into_iter().filter_map(|found| Some((found.object.metadata.name?, found.object.spec.summary))).collect()
}

async fn incidents(usual: &Usual) -> Vec<Choice> {
    let Ok(session) = Session::open(usual).await else { return Vec::new() };
    let found = session.list::<Incident>(&session.namespace, None, None).await.unwrap_or_default();
    found.into_iter().filter_map(|found| Some((found.object.metadata.name?, found.object.spec.summary))).collect()
}

async fn namespaces(usual: &Usual) -> Vec<Choice> {
    let Ok(session) = Session::open(usual).await else { return Vec::new() };
    let found = session.list::<Namespace>("", None, None).await.unwrap_or_default();
    found.into_iter().filter_map(|found| Some((found.object.metadata.name?, String::new()))).collect()
}
