//! What stops everything: the global brake. And what voids a vote after it was given. Each on an API server of its own,
//! since all runs of a cluster would feel it.

use anyhow::{Context, Result, ensure};
use firstaid_sandbox::poll;
use serde_json::Value;

use crate::refusal::refused_mark;
use crate::town::{Leg, Town, WITHIN, number, text};

const RUNBOOKS: &str = "
apiVersion: firstaid.dev/v1alpha1
kind: Runbook
metadata: {name: room}
spec:
  summary: More pods of checkout
  gates: [{name: on-call, requires: [{role: sre}]}]
  steps:
  - {name: scale-out, gate: on-call, scale: {target: {kind: Deployment, name: checkout}, by: 1}}
---
apiVersion: firstaid.dev/v1alpha1
kind: Runbook
metadata: {name: ledger-room}
spec:
  summary: More pods of the ledger
  gates: [{name: on-call, requires: [{role: sre}]}]
  steps:
  - {name: scale-out, gate: on-call, scale: {target: {kind: StatefulSet, name: ledger}, replicas: 5}}
";

fn brake(town: &Town) -> Result<()> {
    let reason = "--from-literal=reason=the databases fail over";
    town.sandbox
        .kubectl_run("root", &["create", "configmap", "-n", "firstaid-system", "firstaid-brake", reason])?
        .ok()?;
    Ok(())
}

/// Waits until the brake holds a run, and does what the run says to let it go.
fn release(town: &Town, run: &str) -> Result<()> {
    let held = town.wait_held(run, "the global brake: the databases fail over")?;
    let commands = held.pointer("/status/nextCommands").and_then(Value::as_array).context("commands")?;
    let wanted = "kubectl delete configmap -n firstaid-system firstaid-brake";
    ensure!(commands.iter().any(|c| c == wanted), "{commands:?}");
    town.sandbox.kubectl_run("root", &["delete", "configmap", "-n", "firstaid-system", "firstaid-brake"])?.ok()?;
    Ok(())
}

fn the_brake_holds_every_act(town: &Town) -> Result<()> {
    town.runbook(RUNBOOKS)?;
    town.start("room", "held")?;
    town.start("ledger-room", "dropped")?;
    town.wait_phase("held", "Waiting")?;
    town.wait_phase("dropped", "Waiting")?;
    brake(town)?;
    town.approve("bob", "held")?;
    town.approve("bob", "dropped")?;
    town.wait_held("held", "the global brake: the databases fail over")?;
    town.wait_held("dropped", "the global brake: the databases fail over")?;
    town.abort("dropped")?;
    assert_eq!(number(&town.get("deployment", "checkout")?, "/spec/replicas"), 4, "the brake held");
    release(town, "held")?;
    town.wait_phase("held", "Succeeded")?;
    assert_eq!(number(&town.get("deployment", "checkout")?, "/spec/replicas"), 5);
    assert_eq!(
        number(&town.get("statefulset", "ledger")?, "/spec/replicas"),
        2,
        "what was stopped under the brake stays undone"
    );
    Ok(())
}

/// Who may approve is asked again right before the act, where the cluster has stamped the voter's groups.
fn a_vote_whose_right_is_lost(town: &Town) -> Result<()> {
    brake(town)?;
    town.start("room", "lost")?;
    town.wait_phase("lost", "Waiting")?;
    town.approve("bob", "lost")?;
    town.wait_held("lost", "the global brake")?;
    let binding = town.kubectl("root", &["get", "rolebinding", "firstaid-approver-as-sre", "-o", "yaml"])?.ok()?;
    town.kubectl("root", &["delete", "rolebinding", "firstaid-approver-as-sre"])?.ok()?;

    town.wait_held("lost", "approval by 1 of sre")?;
    let run = town.get("rbr", "lost")?;
    assert_eq!(text(&run, "/status/plans/0.2/revisedBecause"), "bob may no longer approve as sre");
    let ballot = town.ballot("lost")?;
    assert_eq!(text(&ballot, "/metadata/name"), "lost-2");
    assert_eq!(text(&town.get("apv", "lost-1")?, "/status/state"), "Superseded");
    let vote = format!("approve={} queue grows", text(&ballot, "/spec/request/code"));
    refused_mark(town, "dave", "lost-2", &vote, "you may not approve runbook room as sre")?;
    town.sandbox.kubectl_run("root", &["delete", "configmap", "-n", "firstaid-system", "firstaid-brake"])?.ok()?;
    assert_eq!(number(&town.get("deployment", "checkout")?, "/spec/replicas"), 5, "the old vote counts for nothing");

    let clean: String = binding
        .lines()
        .filter(|line| !line.contains("resourceVersion") && !line.contains("uid:"))
        .map(|l| format!("{l}\n"))
        .collect();
    town.apply("root", &clean)?;
    poll("the role to be in force again", WITHIN, || town.mark("dave", "lost-2", &vote)?.ok())?;
    let done = town.wait_phase("lost", "Succeeded")?;
    assert_eq!(text(&done, "/status/steps/scale-out.1/outcome/approvals/0/by"), "dave");
    assert_eq!(number(&town.get("deployment", "checkout")?, "/spec/replicas"), 6);
    Ok(())
}

#[test]
fn the_brake_and_lost_rights_where_the_cluster_stamps() -> Result<()> {
    let town = Town::open_alone(Leg::Stamping, "brakes")?;
    the_brake_holds_every_act(&town)?;
    a_vote_whose_right_is_lost(&town)
}

#[test]
fn the_brake_where_people_type_their_names() -> Result<()> {
    the_brake_holds_every_act(&Town::open_alone(Leg::Plain, "brake")?)
}
