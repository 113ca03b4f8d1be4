//! The real kubectl, as each person runs it.

use std::io::Write;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};

use crate::process::clean_command;
use crate::sandbox::Sandbox;

/// What a program printed and how it ended.
#[derive(Clone, Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed on standard output.
    pub stdout: String,
    /// What it printed on standard error.
    pub stderr: String,
}

impl Output {
    /// Runs the command to its end.
    pub fn of(command: &mut Command) -> Result<Output> {
        let output = command.output().with_context(|| format!("running {:?}", command.get_program()))?;
        Ok(Output::from(output))
    }

    /// Runs the command to its end, with this on its standard input.
    pub fn of_input(command: &mut Command, input: &str) -> Result<Output> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("running {:?}", command.get_program()))?;
        if let Some(mut stdin) = child.stdin.take() {
            // kubectl reads all of its input before it prints; one that ends early (a wrong flag) closes the pipe, and
            // its own words tell why.
            let _ = stdin.write_all(input.as_bytes());
        }
        Ok(Output::from(child.wait_with_output()?))
    }

    /// Whether the program succeeded.
    pub fn success(&self) -> bool {
        self.status.success()
    }

    /// Standard output if the program succeeded, else an error with what it printed.
    pub fn ok(self) -> Result<String> {
        if !self.status.success() {
            bail!("{} ({})", self.stderr.trim(), self.status);
        }
        Ok(self.stdout)
    }
}

impl From<std::process::Output> for Output {
    fn from(output: std::process::Output) -> Output {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Output { status: output.status, stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

impl Sandbox {
    /// A kubectl that is signed in as this person, to be given arguments.
    pub fn kubectl(&self, person: &str) -> Command {
        let mut command = clean_command(&self.programs().kubectl);
        command
            .env("KUBECONFIG", self.kubeconfig(person))
            // What kubectl remembers of a server's kinds is filed under its address, and ports are used again.
            .env("KUBECACHEDIR", self.data().join("kubectl-cache"));
        command
    }

    /// Runs kubectl as this person; a refusal is no error here, see [`Output::ok`].
    pub fn kubectl_run(&self, person: &str, args: &[&str]) -> Result<Output> {
        Output::of(self.kubectl(person).args(args))
    }

    /// As [`Sandbox::kubectl_run`], with `input` on standard input (for `-f -`).
    pub fn kubectl_input(&self, person: &str, args: &[&str], input: &str) -> Result<Output> {
        Output::of_input(self.kubectl(person).args(args), input)
    }

    /// Applies these objects as this person; returns what kubectl printed, and fails if it was refused.
    pub fn apply_yaml(&self, person: &str, yaml: &str) -> Result<String> {
        let output = self.kubectl_input(person, &["apply", "-f", "-"], yaml)?;
        output.ok().with_context(|| format!("kubectl apply as {person}"))
    }
}
