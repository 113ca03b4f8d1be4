//! One process of the sandbox: it has a log file and a lifeline.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};

use crate::programs::Programs;
use crate::waiting::poll;

/// Tells the control plane's programs that standard input is a lifeline (see `controlplane/lifeline.go`).
const LIFELINE: &str = "FIRSTAID_SANDBOX_LIFELINE";

/// A running process that ends with us. Its standard input is the lifeline, held open inside `child`.
pub(crate) struct Process {
    name: String,
    log: PathBuf,
    command: Command,
    child: Child,
}

impl Process {
    /// Starts `command`, with everything that it prints in `logs/<name>.log`.
    pub(crate) fn start(name: &str, mut command: Command, logs: &Path) -> Result<Process> {
        let log = logs.join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("creating {}", log.display()))?;
        command.env(LIFELINE, "1").stdin(Stdio::piped()).stdout(file.try_clone()?).stderr(file);
        let child = command.spawn().with_context(|| format!("starting {name}"))?;
        Ok(Process { name: name.to_owned(), log, command, child })
    }

    /// Starts it once more, after it has ended, with the same command and log.
    pub(crate) fn start_again(&mut self) -> Result<()> {
        self.child = self.command.spawn().with_context(|| format!("starting {} again", self.name))?;
        Ok(())
    }

    /// A command for a program that knows nothing of the lifeline: `supervise` kills it when the lifeline closes.
    pub(crate) fn supervised(programs: &Programs, program: &Path) -> Command {
        let mut command = clean_command(&programs.controlplane);
        command.arg("supervise").arg(program);
        command
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("asking whether {} has ended", self.name))
    }

    /// Ends the process at once by closing its lifeline, and waits for the end.
    pub(crate) fn stop(&mut self) -> Result<()> {
        drop(self.child.stdin.take());
        let ended = poll(&format!("the end of {}", self.name), Duration::from_secs(10), || {
            self.ended()?.ok_or_else(|| anyhow!("process {} still runs", self.pid()))
        });
        if ended.is_err() {
            self.child.kill()?;
            self.child.wait()?;
        }
        Ok(())
    }

    /// The last lines of the log, for a person who looks for the reason of a failure.
    pub(crate) fn last_words(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let mut lines: Vec<_> = text.lines().rev().filter(|line| !line.trim().is_empty()).take(6).collect();
        lines.reverse();
        format!("--- {} ({})\n{}\n", self.name, self.log.display(), lines.join("\n"))
    }
}

/// A command without what the outside might have set and the sandbox must not obey: another cluster, or a proxy on the
/// way to 127.0.0.1.
pub(crate) fn clean_command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_remove(LIFELINE).env_remove("KUBECONFIG");
    for proxy in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env_remove(proxy).env_remove(proxy.to_lowercase());
    }
    command
}
