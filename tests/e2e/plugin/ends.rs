//! How runs end that do not end well, and what is said where nobody answers: with the code that scripts read.

use anyhow::{Context, Result, ensure};
use firstaid_sandbox::poll;

use super::{ended, firstaid, made, plugin};
use crate::runs::runbook;
use crate::town::{Leg, Town, WITHIN, text};

const BRIEF: &str = "---
apiVersion: firstaid.dev/v1alpha1
kind: Runbook
metadata: {name: brief}
spec:
  summary: A gate that does not wait long
  gates: [{name: quick, requires: [{role: sre}], validFor: 4s, timeout: 16s}]
  steps:
  - {name: again, gate: quick, restart: {target: {kind: DaemonSet, name: agent}}}
";

#[test]
fn what_expires_and_what_fails_has_a_code_of_its_own() -> Result<()> {
    let town = Town::open(Leg::Stamping, "plugin-ends")?;
    let never =
        "name: look, check: {object: {kind: Deployment, name: checkout}, that: object.spec.replicas == 99, within: 1s}";
    town.runbook(&(runbook("never", &[never]) + BRIEF))?;
    let run = made(&firstaid(&town, "alice", &["run", "brief", "--reason", "queue grows"])?.ended(0)?)?;
    town.wait_phase(&run, "Waiting")?;
    let first = text(&town.ballot(&run)?, "/metadata/name").to_owned();
    let approve = ["approve", first.as_str(), "--reason", "late", "--yes"];
    // Another ballot takes its place while the gate still waits, and is named.
    poll("the first ballot to expire", WITHIN, || {
        let said = firstaid(&town, "bob", &["show", &first])?.ended(0)?;
        ensure!(said.contains("without a decision") && said.contains("look again (with the same code)"), "{said}");
        Ok(())
    })?;
    firstaid(&town, "bob", &approve)?.refused(4, "expired at ")?;
    let said = firstaid(&town, "bob", &["status", "run", &run, "--timeout", "90s"])?;
    ensure!(said.code == 4 && said.out.contains("Expired"), "{said:?}");
    firstaid(&town, "bob", &approve)?.refused(4, "ask again: kubectl firstaid run brief")?;

    let failed = firstaid(&town, "alice", &["run", "never", "--reason", "queue grows", "--wait", "--timeout", "90s"])?;
    ensure!(failed.code == 5 && failed.out.contains("✖ Failed"), "{failed:?}");
    let watched = firstaid(&town, "alice", &["run", "never", "--reason", "queue grows", "-w", "--timeout", "90s"])?;
    ensure!(
        watched.code == 5 && watched.out.lines().last().context("a line")?.contains(" - Failed duration="),
        "{watched:?}"
    );
    nobody_answers(&town)
}

fn nobody_answers(town: &Town) -> Result<()> {
    let kubeconfig = std::fs::read_to_string(town.sandbox.kubeconfig("bob"))?;
    let path = town.sandbox.data().join(format!("{}-nobody", town.namespace));
    std::fs::write(&path, kubeconfig.replace(town.sandbox.server(), "https://127.0.0.1:1"))?;
    let ask = |args: &[&str]| ended(std::process::Command::new(plugin()).args(args).env("KUBECONFIG", &path));
    let said = ask(&["approvals", "-n", &town.namespace, "--request-timeout", "5s"])?;
    said.refused(1, "does the API server answer? see: kubectl cluster-info")?;
    ensure!(said.err.lines().count() == 2, "{said:?}");
    let said = ask(&["check", "-n", &town.namespace, "--request-timeout", "5s"])?;
    ensure!(said.code == 1 && said.out.contains("✖"), "{said:?}");
    let missing = ["--kubeconfig", "/nowhere/config", "approvals"];
    ask(&missing)?.refused(1, "reading the kubeconfig: ")?;
    ask(&["--context", "nowhere", "approvals"])?.refused(1, "reading the kubeconfig: ")?;
    ask(&["aprove"])?.refused(2, "unrecognized subcommand")?;
    Ok(())
}
