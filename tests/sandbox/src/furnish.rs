//! First Aid and the shop, as the sandbox and the demo want them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::kubectl::Output;
use crate::operator::Operator;
use crate::sandbox::Sandbox;

impl Sandbox {
    /// Installs the chart, opens the shop in `namespace` and starts the operator. Says each step before it is taken.
    pub fn furnish(&self, firstaid: &Path, namespace: &str, say: &dyn Fn(&str)) -> Result<Operator> {
        say("installing First Aid's chart: kinds, roles, admission policies");
        self.install_chart(&[])?;
        say("opening a shop: checkout with 4 pods, a database, an agent, a file of feature flags");
        self.open_shop(namespace)?;
        say("starting the operator");
        let mut operator = self.start_operator(firstaid, &["--cluster-name=sandbox", "--alerts"], &[])?;
        operator.wait_ready(Duration::from_secs(60))?;
        Ok(operator)
    }

    /// Lets the namespace join: applies what `firstaid onboard` prints for these runbooks (a file or a folder), with the
    /// kind of impersonation that this API server has.
    pub fn onboard(&self, firstaid: &Path, namespace: &str, runbooks: &Path) -> Result<()> {
        let mode = if self.serves_mutating_policies()? { "constrained" } else { "legacy" };
        let mut command = Command::new(firstaid);
        command.args(["onboard", "-n", namespace, "--impersonation", mode, "--from"]).arg(runbooks);
        let yaml = Output::of(&mut command)?.ok().context("firstaid onboard")?;
        self.apply_yaml("root", &yaml)?;
        Ok(())
    }
}

/// The firstaid program: this one, or the one beside the program that runs.
pub fn firstaid_program(named: Option<&Path>) -> Result<PathBuf> {
    let program = match named {
        Some(path) => path.to_owned(),
        None => std::env::current_exe()?.with_file_name("firstaid"),
    };
    ensure!(
        program.exists(),
        "there is no firstaid at {}; build it first: cargo build --bin firstaid",
        program.display()
    );
    Ok(std::fs::canonicalize(program)?)
}
