//! What is around the verbs: who you are, whether it works, what a runbook is and would do, and words for the shell.

use anyhow::{Result, ensure};
use serde_json::Value;

use super::{firstaid, kubectl_with_plugins, made, room};
use crate::runs::runbook;
use crate::town::{Leg, Town, number, text};

#[test]
fn what_is_around_the_verbs() -> Result<()> {
    let town = Town::open(Leg::Stamping, "plugin-frame")?;
    town.runbook(&room("room"))?;
    let namespace = town.namespace.clone();
    kubectl_finds_it(&town)?;
    firstaid(&town, "bob", &["-A", "approvals"])?.refused(2, "stand after the verb")?;
    let all = firstaid(&town, "bob", &["-o", "jsonpath=$.waiting"])?.ended(0)?;
    ensure!(all == "[]\n", "{all}");
    who_and_whether(&town)?;
    a_plan_changes_nothing(&town)?;

    let explained = firstaid(&town, "viewer", &["explain-runbook", "room"])?.ended(0)?;
    for words in [
        "1. out: scale",
        "Deployment/checkout",
        "waits at gate on-call",
        "on-call: needs 1 of sre",
        "stays until somebody undoes it",
    ] {
        ensure!(explained.contains(words), "{words:?} is missing: {explained}");
    }
    let dry = firstaid(&town, "alice", &["run", "room", "--reason", "x", "--dry-run", "server"])?.ended(0)?;
    ensure!(dry.contains("would accept it, asked for by alice. Nothing was stored."), "{dry}");
    firstaid(&town, "alice", &["run", "rooms", "--reason", "x"])?.refused(1, "there is no Runbook rooms")?;
    firstaid(&town, "alice", &["run", "room"])?.refused(2, "say why")?;
    firstaid(&town, "alice", &["run", "room", "--reason", "WHY"])?.refused(1, "say why the runbook is started")?;
    firstaid(&town, "viewer", &["run", "room", "--reason", "x"])?
        .refused(7, "cannot create resource \"runbookruns\"")?;
    firstaid(&town, "alice", &["run", "room", "--set", "x=1", "--reason", "x", "--dry-run", "plan"])?
        .refused(5, "the runbook has no parameter")?;

    words_for_the_shell(&town, &namespace)
}

fn kubectl_finds_it(town: &Town) -> Result<()> {
    let said = kubectl_with_plugins(town, "bob", &["firstaid", "version"])?.ok()?;
    ensure!(said.contains("server serves firstaid.dev/v1alpha1"), "{said}");
    Ok(())
}

fn who_and_whether(town: &Town) -> Result<()> {
    let bob = firstaid(town, "bob", &["whoami"])?.ended(0)?;
    ensure!(bob.contains("user      bob\ngroups    sre, system:authenticated") && bob.contains("sre"), "{bob}");
    let carol = firstaid(town, "carol", &["whoami"])?.ended(0)?;
    ensure!(carol.contains("- (not as sre)"), "{carol}");
    let json = firstaid(town, "bob", &["whoami", "-o", "json"])?.ended(0)?;
    let json: Value = serde_json::from_str(&json)?;
    ensure!(json["runbooks"][0]["roles"]["sre"] == true && json["runbooks"][0]["breakglass"] == false, "{json:#}");

    let lease = ["--operator-lease", town.namespace.as_str()];
    let root = firstaid(town, "root", &[&["check", "--wait", "30s"], &lease[..]].concat())?.ended(0)?;
    for words in [
        "needs 1.33 or newer",
        "5 kinds are served",
        "the operator works, seen",
        "already decided is refused (dry run)",
    ] {
        ensure!(root.contains(words), "{words:?} is missing: {root}");
    }
    let bob = firstaid(town, "bob", &["check"])?.ended(0)?;
    ensure!(bob.contains("admission: not tried") && bob.contains("you may start runs"), "{bob}");
    let pre = firstaid(town, "bob", &["check", "--pre"])?;
    ensure!(pre.code == 1 && pre.out.contains("ask a cluster-admin"), "{pre:?}");
    firstaid(town, "root", &["check", "--pre"])?.ended(0)?;
    Ok(())
}

fn a_plan_changes_nothing(town: &Town) -> Result<()> {
    let plan = firstaid(town, "alice", &["plan", "room"])?.ended(0)?;
    for words in ["scale Deployment/checkout 4 -> 7", "on-call: 1 of sre", "Nothing was changed."] {
        ensure!(plan.contains(words), "{words:?} is missing: {plan}");
    }
    ensure!(number(&town.get("deployment", "checkout")?, "/spec/replicas") == 4);
    ensure!(town.list("apv")?.is_empty(), "nobody is asked");
    Ok(())
}

fn words_for_the_shell(town: &Town, namespace: &str) -> Result<()> {
    let run = made(&firstaid(town, "alice", &["run", "room", "--reason", "queue grows"])?.ended(0)?)?;
    town.wait_phase(&run, "Waiting")?;
    let ballot = town.ballot(&run)?;
    let name = text(&ballot, "/metadata/name");
    // As kubectl calls it: the words so far, the last one empty or begun.
    let offered = |words: &[&str]| {
        let mut command = std::process::Command::new(super::plugin());
        command.arg("__complete").args(words).env("KUBECONFIG", town.sandbox.kubeconfig("bob"));
        super::ended(&mut command)?.ended(0)
    };
    let approvals = offered(&["approve", "-n", namespace, ""])?;
    ensure!(approvals == format!("{name}\tscale Deployment/checkout 4 -> 7 (asked by alice)\n:36\n"), "{approvals}");
    ensure!(offered(&["approve", "-n", namespace, name, ""])? == ":36\n", "it is not offered twice");
    let runs = offered(&["abort", &format!("--namespace={namespace}"), ""])?;
    ensure!(runs.starts_with(&format!("{run}\tWaiting")), "{runs}");
    let runbooks = offered(&["run", "-n", namespace, "r"])?;
    ensure!(runbooks == "room\troom\n:36\n", "{runbooks}");
    ensure!(offered(&["appr"])?.starts_with("approvals\t"));
    ensure!(offered(&["follow-up", ""])?.starts_with("add\t"));
    ensure!(offered(&["run", "--dry-run", ""])?.contains("plan\t"));
    ensure!(offered(&["get", "run", "--out"])?.starts_with("--output\t"));
    for shell in ["bash", "zsh", "fish", "kubectl"] {
        let script = firstaid(town, "bob", &["completion", shell])?.ended(0)?;
        ensure!(script.contains("kubectl-firstaid"), "{shell}: {script}");
    }
    // kubectl itself asks a script by that name.
    let script = super::folder(town)?.join("kubectl_complete-firstaid");
    std::fs::write(&script, firstaid(town, "bob", &["completion", "kubectl"])?.ended(0)?)?;
    let mut mode = std::fs::metadata(&script)?.permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
    std::fs::set_permissions(&script, mode)?;
    let said = kubectl_with_plugins(town, "bob", &["__complete", "firstaid", "approve", "-n", namespace, ""])?.ok()?;
    ensure!(said.contains(name), "{said}");
    Ok(())
}

#[test]
fn glass_is_broken_by_whoever_may_and_somebody_else_ratifies_it() -> Result<()> {
    let town = Town::open(Leg::Plain, "plugin-glass")?;
    town.runbook(&runbook(
        "room",
        &["name: out, gate: on-call, scale: {target: {kind: Deployment, name: checkout}, replicas: 7}"],
    ))?;
    let run = made(&firstaid(&town, "alice", &["run", "room", "--reason", "queue grows"])?.ended(0)?)?;
    town.wait_phase(&run, "Waiting")?;
    let why = "the database is down and nobody answers";
    let glass = ["breakglass", run.as_str(), "--yes", "--reason", why];
    firstaid(&town, "dave", &glass)?.refused(7, "you may not break the glass of room")?;
    let bind = ["create", "rolebinding", "commander", "--clusterrole=firstaid-incident-commander", "--user=dave"];
    town.kubectl("root", &bind)?.ok()?;
    firstaid(&town, "dave", &["breakglass", &run, "--yes", "--reason", "short"])?
        .refused(7, "at least 20 characters")?;
    let out = firstaid_sandbox::poll("the right to be known", crate::town::WITHIN, || {
        firstaid(&town, "dave", &glass)?.ended(0)
    })?;
    ensure!(out.contains("glass broken by dave"), "{out}");
    town.wait_phase(&run, "Succeeded")?;
    let waits = firstaid(&town, "bob", &["approvals", "-o", "name"])?.ended(0)?;
    let ballot = waits.trim().rsplit('/').next().unwrap_or_default().to_owned();
    ensure!(ballot.ends_with("-ratify"), "{waits}");
    let tree = firstaid(&town, "bob", &["get", "run", &run])?.ended(0)?;
    ensure!(tree.contains("Ratified:  no:") && tree.contains(&format!("kubectl firstaid ratify {ballot}")), "{tree}");
    let ratify = ["ratify", ballot.as_str(), "--yes", "--reason", "it was right"];
    firstaid(&town, "dave", &ratify)?.refused(7, "")?;
    let out = firstaid(&town, "bob", &ratify)?.ended(0)?;
    ensure!(out.contains("ratified by bob"), "{out}");
    Ok(())
}
