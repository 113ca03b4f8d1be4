//! `kubectl firstaid`, as people type it: with their own kubeconfigs, against a real API server and a real operator.

mod crisis;
mod ends;
mod frame;
mod terminal;
mod wording;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use firstaid_sandbox::Output;

use crate::runs::runbook;
use crate::town::Town;

/// What the plugin said, and how it ended.
#[derive(Clone, Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Said {
    /// What it printed, where it ended with this code.
    pub fn ended(self, code: i32) -> Result<String> {
        ensure!(self.code == code, "it ended with {}, not {code}: {}{}", self.code, self.out, self.err);
        Ok(self.out)
    }

    /// That it was refused with this code and these words.
    pub fn refused(&self, code: i32, words: &str) -> Result<()> {
        ensure!(self.code == code && self.err.contains(words), "wanted {code} and {words:?}: {self:#?}");
        Ok(())
    }
}

fn plugin() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_kubectl-firstaid"))
}

/// The plugin as a person, in the namespace of the town.
pub fn firstaid(town: &Town, person: &str, args: &[&str]) -> Result<Said> {
    let mut command = Command::new(plugin());
    command.args(args).args(["-n", &town.namespace]);
    ended(command.env("KUBECONFIG", town.sandbox.kubeconfig(person)).env("LC_ALL", "C.UTF-8"))
}

/// How a command ended that nobody can answer.
pub fn ended(command: &mut Command) -> Result<Said> {
    let output = command.stdin(Stdio::null()).output().context("the plugin")?;
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).context("UTF-8");
    Ok(Said { code: output.status.code().context("a code")?, out: text(output.stdout)?, err: text(output.stderr)? })
}

/// A runbook with a step behind the gate, and a check.
pub fn room(name: &str) -> String {
    let steps = [
        "name: out, gate: on-call, scale: {target: {kind: Deployment, name: checkout}, replicas: 7}",
        "name: look, check: {object: {kind: Deployment, name: checkout}, that: object.spec.replicas == 7}",
    ];
    runbook(name, &steps)
}

/// The name after the slash of the first line: `runbookrun/room-x2x9k asked for by alice`.
pub fn made(out: &str) -> Result<String> {
    let word = out.split_whitespace().next().context("a word")?;
    Ok(word.split_once('/').context("a name")?.1.to_owned())
}

/// A folder to be put on the PATH, with the plugin and nothing else in it.
pub fn folder(town: &Town) -> Result<PathBuf> {
    let folder = town.sandbox.data().join(format!("{}-plugins", town.namespace));
    std::fs::create_dir_all(&folder)?;
    let link = folder.join("kubectl-firstaid");
    if !link.exists() {
        std::os::unix::fs::symlink(plugin(), link)?;
    }
    Ok(folder)
}

/// kubectl as a person, that finds the plugin on its PATH as people have it.
pub fn kubectl_with_plugins(town: &Town, person: &str, args: &[&str]) -> Result<Output> {
    let mut command = town.sandbox.kubectl(person);
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", folder(town)?.display())).args(args);
    Output::of(&mut command)
}
