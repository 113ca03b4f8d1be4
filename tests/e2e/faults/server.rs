//! An API server and a storage that end, come back, crawl, or forget.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use firstaid_judge::Rule;
use firstaid_sandbox::poll;
use serde_json::Value;

use super::{SCALE, replicas};
use crate::runs::runbook;
use crate::town::{Leg, Town, WITHIN, text};

/// Switches a flag off: nothing of it waits for pods, whose nodes the control plane may have given up meanwhile.
const FLAG: &str = "name: flag-off, gate: on-call, disable: {flag: recs, configMap: {name: shop-flags, key: flags.json, format: Json, pointer: /recommendations}}";

/// A town on an API server of its own.
fn town(name: &str) -> Result<Town> {
    let mut town = Town::open_alone(Leg::Stamping, name)?;
    town.kill_operator()?;
    start_operator(&mut town)?;
    town.runbook(&runbook("shed", &[SCALE]))?;
    Ok(town)
}

/// Without a lease: it would lose that while the API server is away, and end, and here nobody starts it again.
fn start_operator(town: &mut Town) -> Result<()> {
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_firstaid"));
    let args = ["--namespaces", &town.namespace, "--lease-name=", "--cluster-name=sandbox"];
    let mut operator = town.sandbox.start_operator(binary, &args, &[("RUST_LOG", "info,firstaid=debug")])?;
    operator.wait_ready(WITHIN)?;
    town.operator = Some(operator);
    Ok(())
}

/// Approves a run as bob. An API server that has just begun may not serve every kind yet.
fn approve(town: &Town, run: &str) -> Result<()> {
    poll("bob to approve", WITHIN, || town.approve("bob", run))
}

#[test]
fn an_api_server_that_begins_anew_is_waited_for_and_denies_nothing() -> Result<()> {
    let town = town("restart-api")?;
    town.start("shed", "before")?;
    town.ballot("before")?;
    town.sandbox.end("kube-apiserver")?;
    town.sandbox.start_again("kube-apiserver")?;
    approve(&town, "before")?;
    town.wait_phase("before", "Succeeded")?;
    // Once more, with the vote there already: it may act before, while or after.
    town.kubectl("root", &["scale", "deployment/checkout", "--replicas=4"])?.ok()?;
    town.start("shed", "between")?;
    approve(&town, "between")?;
    town.sandbox.end("kube-apiserver")?;
    town.sandbox.start_again("kube-apiserver")?;
    town.wait_phase("between", "Succeeded")?;
    assert_eq!((town.writes("deployments", "checkout")?, replicas(&town)?), (2, 6));
    Ok(())
}

#[test]
fn a_vote_that_ran_out_while_the_api_server_was_gone_does_not_act() -> Result<()> {
    let town = town("gone-api")?;
    let brief = runbook("brief", &[FLAG])
        .replace("requires: [{role: sre}]", "requires: [{role: sre}], validFor: 20s, timeout: 5m");
    town.runbook(&brief)?;
    town.start("brief", "waited")?;
    let ballot = town.ballot("waited")?;
    // The operator hears nothing of the vote: it sleeps until the API server is gone.
    let operator = town.operator.as_ref().expect("there is one");
    operator.signal("STOP")?;
    approve(&town, "waited")?;
    town.sandbox.end("kube-apiserver")?;
    operator.signal("CONT")?;
    let over: jiff::Timestamp = text(&ballot, "/spec/request/expiresAt").parse()?;
    poll("the ballot to run out", WITHIN, || {
        ensure!(firstaid::perform::now() > over, "not yet");
        Ok(())
    })?;
    town.sandbox.start_again("kube-apiserver")?;
    let name = text(&ballot, "/metadata/name").to_owned();
    poll("people to be asked anew", WITHIN, || {
        let ballot = town.ballot("waited")?;
        ensure!(text(&ballot, "/metadata/name") != name, "it is the first one");
        Ok(())
    })?;
    assert_eq!(town.writes("configmaps", "shop-flags")?, 0);
    approve(&town, "waited")?;
    town.wait_phase("waited", "Succeeded")?;
    Ok(())
}

#[test]
fn a_storage_that_ends_and_comes_back_loses_nothing() -> Result<()> {
    let town = town("restart-etcd")?;
    town.start("shed", "stored")?;
    town.ballot("stored")?;
    approve(&town, "stored")?;
    town.sandbox.end("etcd")?;
    town.sandbox.start_again("etcd")?;
    town.wait_phase("stored", "Succeeded")?;
    assert_eq!((town.writes("deployments", "checkout")?, replicas(&town)?), (1, 6));
    Ok(())
}

#[test]
fn a_storage_that_crawls_makes_it_slower_and_never_wrong() -> Result<()> {
    let town = town("slow-etcd")?;
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let crawl = scope.spawn(|| -> Result<()> {
            while !over.load(Ordering::Relaxed) {
                town.sandbox.signal("etcd", "STOP")?;
                std::thread::sleep(Duration::from_millis(400));
                town.sandbox.signal("etcd", "CONT")?;
                std::thread::sleep(Duration::from_millis(100));
            }
            Ok(())
        });
        let done = (0..3).try_for_each(|number| -> Result<()> {
            let run = format!("slow-{number}");
            town.kubectl("root", &["scale", "deployment/checkout", "--replicas=4"])?.ok()?;
            town.start("shed", &run)?;
            approve(&town, &run)?;
            town.wait_phase(&run, "Succeeded").map(drop)
        });
        over.store(true, Ordering::Relaxed);
        crawl.join().map_err(|_| anyhow::anyhow!("the storage"))??;
        done
    })?;
    assert_eq!((town.writes("deployments", "checkout")?, replicas(&town)?), (3, 6));
    Ok(())
}

#[test]
fn a_storage_that_is_set_back_freezes_a_run_until_somebody_has_looked() -> Result<()> {
    let mut town = town("restored")?;
    // What waits has voted, acted, and waits again; the backup is from before the vote.
    let steps = [
        SCALE,
        "name: never, check: {object: {kind: Deployment, name: checkout}, that: 'object.spec.replicas == 99', within: 10m}",
    ];
    town.runbook(&runbook("long", &steps))?;
    town.start("long", "frozen")?;
    town.ballot("frozen")?;
    let sandbox = town.sandbox;
    sandbox.end("kube-apiserver")?;
    sandbox.end("etcd")?;
    let backup = sandbox.copy_storage()?;
    sandbox.start_again("etcd")?;
    sandbox.start_again("kube-apiserver")?;
    approve(&town, "frozen")?;
    town.wait_phase("frozen", "Verifying")?;
    poll("the act to be in the journal", WITHIN, || {
        let run = town.get("rbr", "frozen")?;
        ensure!(run.pointer("/status/steps/scale-out.1/settled").is_some(), "not yet");
        Ok(())
    })?;
    assert_eq!(replicas(&town)?, 6);
    sandbox.end("kube-apiserver")?;
    sandbox.end("etcd")?;
    // Whatever a failure of this test would be, the judge has nothing to go by.
    let because =
        "the storage was set back: the log has what the objects have no longer, and what is stored began before";
    let lost = &[Rule::Approval, Rule::Once, Rule::Record, Rule::Forward, Rule::Chain, Rule::Evidence, Rule::Head];
    town.forges(lost, "run frozen", because);
    sandbox.restore_storage(&backup)?;
    sandbox.start_again("etcd")?;
    sandbox.start_again("kube-apiserver")?;
    town.wait_held("frozen", "its storage was set back, and what was done since is not in this journal")?;
    // A vote does not thaw it.
    approve(&town, "frozen")?;
    town.start("shed", "other")?;
    town.ballot("other")?;
    assert_eq!(replicas(&town)?, 4, "the target is as it was, too");
    town.abort("other")?;
    // Whoever has looked lets it go on from what is stored. Whether the policies stood meanwhile may not be known: then people
    // are asked anew.
    town.kill_operator()?;
    start_operator(&mut town)?;
    poll("it to act again", 2 * WITHIN, || {
        if replicas(&town)? == 6 {
            return Ok(());
        }
        let ballots = town.list("apv")?;
        let is_open = |ballot: &&Value| {
            text(ballot, "/status/state") == "Open" && text(ballot, "/metadata/annotations/by").is_empty()
        };
        if let Some(ballot) =
            ballots.iter().filter(|ballot| text(ballot, "/spec/request/run") == "frozen").find(is_open)
        {
            let mark = format!("approve={} queue grows", text(ballot, "/spec/request/code"));
            town.mark("bob", text(ballot, "/metadata/name"), &mark)?.ok()?;
        }
        anyhow::bail!("not yet")
    })?;
    town.abort("frozen")?;
    Ok(())
}
