//! Many people want many things at once.

use anyhow::{Context, Result, ensure};
use firstaid_sandbox::poll;
use serde_json::{Value, json};

use crate::read::Writer;
use crate::runs::runbook_with;
use crate::town::{Leg, Town, WITHIN, text};

/// Runs, each with a flag of its own.
const CROWD: usize = 100;

#[test]
fn a_stop_in_a_crowd_of_approvals_is_heard() -> Result<()> {
    let town = Town::open(Leg::Stamping, "crowd")?;
    let step = "name: flag-off, gate: on-call, disable: {flag: f, configMap: {name: '${params.map}', key: flags.json, format: Json, pointer: /f}}";
    let parameters = "  parameters: [{name: map, type: string, sample: shop-flags}]\n";
    town.runbook(&runbook_with("crowd", parameters, &[step]))?;
    let (alice, bob, root) = (writer(&town, "alice")?, writer(&town, "bob")?, writer(&town, "root")?);
    for number in 0..CROWD {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": format!("map-{number}")}, "data": {"flags.json": "{\"f\": true}"}});
        root.create(&town.namespace, "configmap", &map)?;
        let run = json!({"apiVersion": "firstaid.dev/v1alpha1", "kind": "RunbookRun", "metadata": {"name": format!("run-{number}")},
            "spec": {"runbook": "crowd", "reason": "queue grows", "parameters": {"map": format!("map-{number}")}}});
        alice.create(&town.namespace, "rbr", &run)?;
    }
    let ballots = poll("a ballot for each", 2 * WITHIN, || {
        let ballots = town.list("apv")?;
        ensure!(ballots.len() == CROWD, "{} ballots", ballots.len());
        Ok(ballots)
    })?;
    // One is stopped in the middle of it all.
    let (last, others) = ballots.split_last().context("there are some")?;
    for (number, ballot) in others.iter().enumerate() {
        let mark =
            json!({"metadata": {"annotations": {"approve": format!("{} now", text(ballot, "/spec/request/code"))}}});
        bob.patch(&town.namespace, "apv", text(ballot, "/metadata/name"), &mark)?;
        if number == CROWD / 2 {
            let stop = json!({"metadata": {"annotations": {"abort": "wrong service"}}});
            bob.patch(&town.namespace, "rbr", text(last, "/spec/request/run"), &stop)?;
        }
    }
    let ended = poll("all to end", 2 * WITHIN, || {
        let runs = town.list("rbr")?;
        let left = runs.iter().filter(|run| run.pointer("/status/finished") != Some(&Value::Bool(true))).count();
        ensure!(left == 0, "{left} runs go on");
        Ok(runs)
    })?;
    let of = |phase: &str| ended.iter().filter(|run| text(run, "/status/phase") == phase).count();
    assert_eq!((of("Succeeded"), of("Aborted")), (CROWD - 1, 1));
    Ok(())
}

fn writer(town: &Town, person: &str) -> Result<Writer> {
    Writer::new(&town.sandbox.kubeconfig(person))
}
