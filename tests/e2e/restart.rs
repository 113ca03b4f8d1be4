//! `restart` through approval: every pod is new, the time is the recorded one, and a new template is another plan.

use anyhow::{Context, Result, ensure};
use firstaid_sandbox::poll;
use serde_json::Value;

use crate::runs::{evidence, runbook};
use crate::town::{Leg, Town, WITHIN, number, text};

const RESTARTED_AT: &str = "/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt";

fn restart(name: &str, kind: &str, workload: &str) -> String {
    runbook(name, &[&format!("name: restart, gate: on-call, restart: {{target: {{kind: {kind}, name: {workload}}}}}")])
}

#[test]
fn every_pod_is_made_anew_at_the_recorded_time() -> Result<()> {
    let town = Town::open(Leg::Stamping, "restart")?;
    let workloads = [
        ("Deployment", "deployments", "checkout", 4),
        ("StatefulSet", "statefulsets", "ledger", 2),
        ("DaemonSet", "daemonsets", "agent", 2),
    ];
    town.runbook(&workloads.map(|(kind, _, name, _)| restart(name, kind, name)).concat())?;
    for (_, _, name, _) in workloads {
        town.start(name, name)?;
    }
    for (_, _, name, _) in workloads {
        town.approve("bob", name)?;
    }
    for (_, resource, name, pods) in workloads {
        let run = town.wait_phase(name, "Succeeded")?;
        let record = town.only_record(name)?;
        let at = text(&run, "/status/plans/0.1/steps/0/after/restartedAt");
        assert!(!at.is_empty(), "{run:#}");
        assert_eq!(at, text(&run, "/status/plans/0.1/plannedAt"), "the intent's time is written");
        assert_eq!(text(&town.get(resource, name)?, RESTARTED_AT), at);
        assert_eq!(evidence(&record, "restartedAt"), Some(at));
        assert_eq!(evidence(&record, "pods updated"), Some(pods.to_string().as_str()));
        assert_eq!(text(&record, "/spec/verified"), "Yes");
        assert_eq!(text(&record, "/status/state"), "OneShot", "there is nothing to undo");
        assert_eq!(town.writes(resource, name)?, 1, "{name}");
        let new = |pod: &&Value| {
            text(pod, "/metadata/labels/app") == name
                && text(pod, "/metadata/annotations/kubectl.kubernetes.io~1restartedAt") == at
        };
        assert_eq!(town.list("pods")?.iter().filter(new).count(), pods, "{name}");
    }
    Ok(())
}

#[test]
fn a_new_template_voids_the_plan() -> Result<()> {
    let town = Town::open(Leg::Stamping, "template")?;
    town.runbook(&restart("checkout", "Deployment", "checkout"))?;
    town.start("checkout", "release")?;
    let old = town.ballot("release")?;
    // More pods are noise to a restart; another image is not.
    town.kubectl("root", &["scale", "deployment/checkout", "--replicas=3"])?.ok()?;
    town.kubectl("root", &["set", "image", "deployment/checkout", "checkout=shop/checkout:1.8"])?.ok()?;
    town.approve("bob", "release")?;

    let again = poll("a new plan", WITHIN, || {
        let run = town.get("rbr", "release")?;
        ensure!(run.pointer("/status/plans/0.2").is_some(), "it is {}", text(&run, "/status/phase"));
        Ok(run)
    })?;
    assert_eq!(
        text(&again, "/status/plans/0.2/revisedBecause"),
        "the pod template of Deployment/checkout has changed since it was planned"
    );
    assert_eq!(town.get("deployment", "checkout")?.pointer(RESTARTED_AT), None, "nothing is done under a void plan");
    let new = town.ballot("release")?;
    assert_ne!(text(&new, "/spec/request/code"), text(&old, "/spec/request/code"));

    town.approved("release")?;
    let checkout = town.get("deployment", "checkout")?;
    assert_eq!(text(&checkout, "/spec/template/spec/containers/0/image"), "shop/checkout:1.8");
    assert_eq!(
        text(&checkout, RESTARTED_AT),
        text(&town.get("rbr", "release")?, "/status/plans/0.2/steps/0/after/restartedAt")
    );
    assert_eq!(number(&checkout, "/status/updatedReplicas"), 3);
    assert_eq!(text(&town.get("apv", text(&old, "/metadata/name"))?, "/status/state"), "Superseded");

    // A rollout that is paused would not start.
    let before = town.get("deployment", "checkout")?;
    town.kubectl("root", &["rollout", "pause", "deployment/checkout"])?.ok()?;
    town.start("checkout", "paused")?;
    let words = town.failed("paused")?;
    let wanted = format!(
        "is paused, so a restart would not start; go on with: kubectl rollout resume -n {} deployment/checkout",
        town.namespace
    );
    assert!(words.contains(&wanted), "{words}");
    assert_eq!(text(&town.only_record("paused")?, "/spec/result"), "Refused");
    let after = town.get("deployment", "checkout")?;
    assert_eq!(
        after.pointer(RESTARTED_AT).context("restarted once")?,
        before.pointer(RESTARTED_AT).context("restarted once")?
    );
    Ok(())
}
