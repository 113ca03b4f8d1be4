//! The operator under test, as a process beside the control plane.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};

use crate::http::exchange;
use crate::ports::Port;
use crate::process::Process;
use crate::sandbox::Sandbox;
use crate::waiting::poll;

/// A running operator. Dropping it kills it.
pub struct Operator {
    process: Process,
    port: Port,
}

impl Sandbox {
    /// Starts `binary operator ARGS` as the chart's ServiceAccount, which needs [`Sandbox::install_chart`] first. It serves
    /// its probes and metrics on a port of its own ([`Operator::get`]), logs to `logs/operator-N.log`, and ends with us.
    pub fn start_operator(&self, binary: &Path, args: &[&str], env: &[(&str, &str)]) -> Result<Operator> {
        let kubeconfig = self.kubeconfig("operator");
        ensure!(kubeconfig.exists(), "the operator has no identity yet: install the chart first");
        let port = Port::pick()?;
        let mut command = Process::supervised(self.programs(), binary);
        command
            .arg("operator")
            .args(args)
            .env("KUBECONFIG", kubeconfig)
            .env("FIRSTAID_LISTEN", format!("127.0.0.1:{}", port.number))
            .envs(env.iter().copied());
        let name = format!("operator-{}", self.next_operator());
        let process = Process::start(&name, command, &self.logs())?;
        Ok(Operator { process, port })
    }
}

impl Operator {
    /// Kills it (`SIGKILL`) at once and waits for its end.
    pub fn kill(&mut self) -> Result<()> {
        self.process.stop()
    }

    /// Sends a signal to the operator itself, such as `TERM`, or `STOP` and `CONT` for a leader that pauses and comes back.
    pub fn signal(&self, name: &str) -> Result<()> {
        let pid = self.pid()?.to_string();
        let status = Command::new("kill").args(["-s", name, &pid]).status()?;
        ensure!(status.success(), "kill -s {name} {pid} failed");
        Ok(())
    }

    /// The process id of the operator itself, not of the process that supervises it.
    pub fn pid(&self) -> Result<u32> {
        let parent = self.process.pid().to_string();
        let output = Command::new("pgrep").args(["-P", &parent]).output().context("running pgrep")?;
        let text = String::from_utf8_lossy(&output.stdout);
        text.trim().parse().context("the operator does not run")
    }

    /// Whether it has ended, by itself or killed.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.process.ended()?.is_some())
    }

    /// Waits until it has ended by itself.
    pub fn wait_ended(&mut self, within: Duration) -> Result<()> {
        poll("the operator to end", within, || {
            ensure!(self.process.ended()?.is_some(), "it still runs");
            Ok(())
        })
    }

    /// Waits until `/readyz` answers 200; fails at once if the operator has ended.
    pub fn wait_ready(&mut self, within: Duration) -> Result<()> {
        poll("the operator to be ready", within, || {
            if let Some(status) = self.process.ended()? {
                return Ok(Err(anyhow!("it has ended ({status})")));
            }
            let (code, body) = self.get("/readyz")?;
            ensure!(code == 200, "/readyz answers {code}: {body}");
            Ok(Ok(()))
        })
        .flatten()
        .with_context(|| self.process.last_words())
    }

    /// What its own web server answers: the status code and the body, for `/livez`, `/readyz` and `/metrics`.
    pub fn get(&self, path: &str) -> Result<(u16, String)> {
        exchange(self.port.number, "GET", path, &[], "")
    }

    /// What it answers to somebody who sends this, with these headers.
    pub fn post(&self, path: &str, headers: &[&str], body: &str) -> Result<(u16, String)> {
        exchange(self.port.number, "POST", path, headers, body)
    }

    /// Where its own web server listens.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port.number)
    }

    /// Where it logs.
    pub fn log_path(&self) -> &Path {
        self.process.log()
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = self.process.stop();
    }
}
