//! `kubectl annotate rbr NAME abort="WHY"`: in every phase, the same words in both legs.

use anyhow::{Context, Result};
use firstaid_sandbox::poll;
use serde_json::{Value, json};

use crate::refusal::refused;
use crate::town::{Leg, Town, WITHIN, number, text};

const RUNBOOKS: &str = "
apiVersion: firstaid.dev/v1alpha1
kind: Runbook
metadata: {name: room}
spec:
  summary: More pods of checkout
  gates: [{name: on-call, requires: [{role: sre, count: 2}]}]
  steps:
  - {name: scale-out, gate: on-call, scale: {target: {kind: Deployment, name: checkout}, replicas: 7}}
---
apiVersion: firstaid.dev/v1alpha1
kind: Runbook
metadata: {name: in-vain}
spec:
  summary: Pods that no node takes
  steps:
  - {name: grow, gate: None, timeout: 1h, scale: {target: {kind: Deployment, name: stuck}, replicas: 2}}
  - {name: never, gate: None, restart: {target: {kind: DaemonSet, name: agent}}}
---
apiVersion: firstaid.dev/v1alpha1
kind: Runbook
metadata: {name: patient}
spec:
  summary: Wait for what never comes, then act
  steps:
  - {name: quiet, check: {object: {kind: Deployment, name: checkout}, that: object.spec.replicas == 99, within: 1h}}
  - {name: then, gate: None, restart: {target: {kind: DaemonSet, name: agent}}}
";

/// Its pods are never ready: no node has that label.
const STUCK: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: stuck}
spec:
  replicas: 0
  selector: {matchLabels: {app: stuck}}
  template:
    metadata: {labels: {app: stuck}}
    spec:
      nodeSelector: {nobody: has-this}
      containers: [{name: stuck, image: shop/stuck:1}]
";

fn stopped_in_every_phase(leg: Leg) -> Result<()> {
    let mut town = Town::open(leg, "stop")?;
    town.apply("root", STUCK)?;
    town.runbook(RUNBOOKS)?;
    // Each in its phase before the first is stopped.
    town.start("room", "at-gate")?;
    town.start("in-vain", "verifying")?;
    town.start("patient", "checking")?;
    who_may_not_stop_it(&town)?;
    at_a_gate(&town)?;
    while_it_looks_whether_it_took_hold(&town)?;

    let checking = town.wait_held("checking", "object.spec.replicas == 99 to be true")?;
    assert_eq!(text(&checking, "/status/phase"), "Verifying");
    town.abort("checking")?;
    assert!(town.records("checking")?.is_empty(), "nothing was settled");

    // Before anybody has looked at it.
    town.kill_operator()?;
    town.start("room", "early")?;
    town.kubectl("bob", &["annotate", "rbr", "early", "abort=wrong service"])?.ok()?;
    town.start_operator()?;
    let early = town.wait_phase("early", "Aborted")?;
    assert!(text(&early, "/status/message").contains("wrong service"), "{early:#}");
    assert!(
        !town.list("apv")?.iter().any(|b| text(b, "/spec/request/run") == "early"),
        "nobody is asked about a run that is stopped"
    );
    assert_eq!(number(&town.get("deployment", "checkout")?, "/spec/replicas"), 4);
    let agent = town.get("daemonset", "agent")?;
    assert!(agent.pointer("/spec/template/metadata/annotations").is_none(), "no step after the stop was taken");
    Ok(())
}

fn who_may_not_stop_it(town: &Town) -> Result<()> {
    town.wait_phase("at-gate", "Waiting")?;
    refused(town, "viewer", &["annotate", "rbr", "at-gate", "abort=why"], "cannot patch resource \"runbookruns\"")?;
    // May write on runs, but may not abort.
    town.kubectl("root", &["create", "role", "writes", "--verb=patch,get", "--resource=runbookruns.firstaid.dev"])?
        .ok()?;
    town.kubectl("root", &["create", "rolebinding", "writes", "--role=writes", "--user=viewer"])?.ok()?;
    let sentence = format!(
        "you may not abort runs of room; ask somebody who may, or for the role firstaid-requester in {}",
        town.namespace
    );
    poll("the role to be in force", WITHIN, || {
        refused(town, "viewer", &["annotate", "rbr", "at-gate", "abort=why"], &sentence)
    })?;
    for (mark, sentence) in [
        ("abort=", "say why it must stop, as in abort=\"wrong service\""),
        ("abort= \t ", "say why it must stop, as in abort=\"wrong service\""),
        (
            "settle=done it has 7",
            "this run does not ask to be settled (it is Waiting); wait until it is NeedsHuman, or stop it with abort=\"why\"",
        ),
        ("abort-by=bob", "a run takes abort=\"why\""),
    ] {
        refused(town, "bob", &["annotate", "rbr", "at-gate", mark], sentence)?;
    }
    refused(
        town,
        "bob",
        &["annotate", "rbr", "at-gate", "abort=why", "abort-by=carol"],
        "you are bob; leave abort-by and settle-by out",
    )?;
    refused(town, "bob", &["annotate", "rbr", "at-gate", "abort=why", "note=x"], "a run takes abort=\"why\"")?;
    refused(
        town,
        "bob",
        &["annotate", "rbr", "at-gate", &format!("abort={}", "why ".repeat(300))],
        "say why in at most 1000 characters",
    )?;
    assert_eq!(text(&town.get("rbr", "at-gate")?, "/status/phase"), "Waiting");
    Ok(())
}

fn at_a_gate(town: &Town) -> Result<()> {
    // One of two votes is there already: it stays as it was given.
    let ballot = town.ballot("at-gate")?;
    let code = text(&ballot, "/spec/request/code").to_owned();
    town.mark("dave", "at-gate-1", &format!("approve={code} queue grows"))?.ok()?;
    let ended = town.abort("at-gate")?;
    assert_eq!(text(&ended, "/status/conditions/0/reason"), "Aborted");
    let left = town.get("apv", "at-gate-2")?;
    assert_eq!(text(&left, "/status/state"), "Withdrawn");
    let late = town.mark("bob", "at-gate-2", &format!("approve={code} why not"))?;
    assert!(late.stderr.contains("this ballot is Withdrawn: the run has ended or was stopped"), "{}", late.stderr);

    let again = format!(
        "what was said about a run stays: it is already told to stop; see how it stands: kubectl get rbr -n {} at-gate",
        town.namespace
    );
    refused(town, "alice", &["annotate", "rbr", "at-gate", "abort=me too", "--overwrite"], &again)?;
    refused(town, "bob", &["annotate", "rbr", "at-gate", "abort-"], &again)?;
    if town.leg == Leg::Stamping {
        refused(town, "bob", &["annotate", "rbr", "at-gate", "abort-by=alice", "--overwrite"], &again)?;
    }
    assert_eq!(number(&town.get("deployment", "checkout")?, "/spec/replicas"), 4);
    Ok(())
}

fn while_it_looks_whether_it_took_hold(town: &Town) -> Result<()> {
    let verifying = town.wait_held("verifying", "the effect on Deployment/stuck")?;
    assert_eq!(text(&verifying, "/status/phase"), "Verifying");
    // Another run on the same target waits until this one has ended.
    town.start("in-vain", "second")?;
    town.wait_held("second", "run verifying, which holds the same target until it ends")?;
    town.abort("second")?;
    assert!(town.records("second")?.is_empty());

    let ended = town.abort("verifying")?;
    assert!(text(&ended, "/status/message").ends_with("1 change is still in place"), "{ended:#}");
    assert_eq!(ended.pointer("/status/inPlaceAtEnd"), Some(&json!(1)));
    let undo = ended.pointer("/status/nextCommands").and_then(Value::as_array).context("commands")?;
    assert!(
        undo.iter().any(|c| c.as_str().is_some_and(|c| c.contains("scale") && c.contains("--replicas=0"))),
        "{undo:?}"
    );
    // What had been sent is settled, and said as it is: done, and not seen to take hold.
    let records = town.records("verifying")?;
    let [record] = records.as_slice() else { panic!("one record, not {}", records.len()) };
    assert_eq!(text(record, "/spec/result"), "Done");
    assert_eq!(text(record, "/spec/verified"), "Unknown");
    assert!(text(record, "/spec/verification").starts_with("the run was stopped while"), "{record:#}");
    assert_eq!(text(record, "/status/state"), "InPlace");
    let over = "this run has ended (Failed); there is nothing left to stop";
    town.start_with("room", "unfit", "  parameters: {speed: \"9\"}\n")?;
    town.wait_phase("unfit", "Failed")?;
    refused(town, "bob", &["annotate", "rbr", "unfit", "abort=why"], over)
}

#[test]
fn stopped_in_every_phase_where_the_cluster_stamps() -> Result<()> {
    stopped_in_every_phase(Leg::Stamping)
}

#[test]
fn stopped_in_every_phase_where_people_type_their_names() -> Result<()> {
    stopped_in_every_phase(Leg::Plain)
}
