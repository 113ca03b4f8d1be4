//! Others who work on the same objects, and rights, quotas and webhooks that change meanwhile.

use anyhow::{Result, ensure};
use firstaid_sandbox::poll;
use serde_json::{Value, json};

use super::{SCALE, replicas};
use crate::runs::runbook;
use crate::town::{Leg, Town, WITHIN, number, text};

fn town(name: &str) -> Result<Town> {
    let town = Town::open(Leg::Stamping, name)?;
    town.runbook(&runbook("shed", &[SCALE]))?;
    Ok(town)
}

fn as_root(town: &Town, args: &[&str]) -> Result<String> {
    town.kubectl("root", args)?.ok()
}

#[test]
fn a_target_that_is_gone_is_not_made_again() -> Result<()> {
    let town = town("gone")?;
    town.start("shed", "gone")?;
    town.ballot("gone")?;
    as_root(&town, &["delete", "deployment", "checkout"])?;
    town.approve("bob", "gone")?;
    let words = town.failed("gone")?;
    ensure!(words.contains("Deployment/checkout"), "{words}");
    ensure!(town.get("deployment", "checkout").is_err(), "it was made again");
    assert_eq!(town.writes("deployments", "checkout")?, 0);
    Ok(())
}

#[test]
fn another_target_of_the_same_name_is_not_what_was_approved() -> Result<()> {
    let town = town("other")?;
    town.start("shed", "other")?;
    let first = town.ballot("other")?;
    let mut copy = town.get("deployment", "checkout")?;
    copy["metadata"] = json!({"name": "checkout", "namespace": town.namespace, "labels": {"app": "checkout"}});
    as_root(&town, &["delete", "deployment", "checkout"])?;
    town.sandbox.kubectl_input("root", &["create", "-f", "-"], &copy.to_string())?.ok()?;
    town.approve("bob", "other")?;
    let name = text(&first, "/metadata/name").to_owned();
    let second = poll("people to be asked anew", WITHIN, || {
        let ballot = town.ballot("other")?;
        ensure!(text(&ballot, "/metadata/name") != name, "it is the first one");
        Ok(ballot)
    })?;
    ensure!(text(&second, "/spec/request/code") != text(&first, "/spec/request/code"), "the same code");
    assert_eq!((town.writes("deployments", "checkout")?, replicas(&town)?), (0, 4));
    town.approve("bob", "other")?;
    town.wait_phase("other", "Succeeded")?;
    Ok(())
}

#[test]
fn whoever_edits_the_target_at_the_same_moment_loses_nothing() -> Result<()> {
    let town = town("race")?;
    // Short, because a run whose size was set back after its act waits that long to see it before it says so.
    town.runbook(&runbook("raced", &[&format!("{SCALE}, timeout: 10s")]))?;
    for attempt in 0..6 {
        as_root(&town, &["scale", "deployment/checkout", "--replicas=4"])?;
        let run = format!("race-{attempt}");
        town.start("raced", &run)?;
        town.ballot(&run)?;
        std::thread::scope(|scope| {
            let edit = scope.spawn(|| as_root(&town, &["scale", "deployment/checkout", "--replicas=5"]));
            town.approve("bob", &run)?;
            edit.join().map_err(|_| anyhow::anyhow!("the edit"))?
        })?;
        poll("the run to end", WITHIN, || {
            let found = town.get("rbr", &run)?;
            ensure!(!text(&found, "/status/finishedAt").is_empty(), "{}", text(&found, "/status/waitingOn"));
            Ok(())
        })?;
        // Either it came first, and the act knew of it (5 is still below the 6 that was approved), or it came later and stands.
        let (stands, knew) = (replicas(&town)?, number(&town.only_record(&run)?, "/spec/before/replicas"));
        ensure!((stands, knew) == (6, 5) || (stands, knew) == (5, 4), "it is at {stands}, and the act saw {knew}");
    }
    Ok(())
}

#[test]
fn a_tool_that_puts_the_size_back_is_not_fought() -> Result<()> {
    let town = town("gitops")?;
    town.runbook(&runbook("watched", &[&format!("{SCALE}, timeout: 10s")]))?;
    // A pod that never becomes ready keeps the step from being over before the tool comes.
    as_root(&town, &["patch", "deployment", "checkout", "-p", r#"{"spec":{"minReadySeconds":300}}"#])?;
    town.start("watched", "fought")?;
    town.approve("bob", "fought")?;
    poll("the size to change", WITHIN, || {
        ensure!(replicas(&town)? == 6, "not yet");
        Ok(())
    })?;
    town.sandbox
        .kubectl_input(
            "root",
            &["apply", "--server-side", "--force-conflicts", "--field-manager=argocd-controller", "-n", &town.namespace, "-f", "-"],
            &json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "checkout"}, "spec": {"replicas": 4}}).to_string(),
        )?
        .ok()?;
    // Whether the step was over before the tool came, or not: it is not done again.
    let ended = poll("the run to end", WITHIN, || {
        let found = town.get("rbr", "fought")?;
        ensure!(!text(&found, "/status/finishedAt").is_empty(), "{}", text(&found, "/status/waitingOn"));
        Ok(found)
    })?;
    let (phase, words) = (text(&ended, "/status/phase"), text(&ended, "/status/message"));
    ensure!(phase == "Succeeded" || words.contains("Deployment/checkout"), "{phase}: {words}");
    assert_eq!((town.writes("deployments", "checkout")?, replicas(&town)?), (1, 4));
    Ok(())
}

#[test]
fn a_webhook_that_cannot_be_reached_is_waited_for() -> Result<()> {
    let town = town("webhook")?;
    let name = format!("dead-{}", town.namespace);
    let hook = json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [{"name": "dead.example.test", "clientConfig": {"url": "https://127.0.0.1:1/"}, "sideEffects": "None",
            "admissionReviewVersions": ["v1"], "failurePolicy": "Fail", "timeoutSeconds": 1,
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": town.namespace}},
            "matchConditions": [{"name": "real", "expression": "!has(request.dryRun) || !request.dryRun"}],
            "rules": [{"apiGroups": ["apps"], "apiVersions": ["*"], "operations": ["UPDATE"], "resources": ["deployments", "deployments/scale"]}]}]});
    town.start("shed", "hooked")?;
    town.ballot("hooked")?;
    town.sandbox.kubectl_input("root", &["create", "-f", "-"], &hook.to_string())?.ok()?;
    town.approve("bob", "hooked")?;
    let held = town.wait_held("hooked", "webhook");
    as_root(&town, &["delete", "validatingwebhookconfiguration", &name])?;
    held?;
    assert_eq!(replicas(&town)?, 4);
    town.wait_phase("hooked", "Succeeded")?;
    assert_eq!((town.writes("deployments", "checkout")?, replicas(&town)?), (1, 6));
    Ok(())
}

#[test]
fn a_full_quota_refuses_a_run_cleanly_and_holds_a_record_until_there_is_room() -> Result<()> {
    let town = town("quota")?;
    town.start("shed", "first")?;
    town.ballot("first")?;
    let quota = |hard: Value| {
        let object = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full", "namespace": town.namespace}, "spec": {"hard": hard}});
        town.sandbox.apply_yaml("root", &object.to_string())?;
        poll("the quota to count", WITHIN, || {
            let path = "jsonpath={.status.hard}";
            let counted: Value = serde_json::from_str(&as_root(&town, &["get", "resourcequota", "full", "-o", path])?)?;
            ensure!(counted == hard, "{counted}");
            Ok(())
        })
    };
    quota(json!({"count/runbookruns.firstaid.dev": "1", "count/actionrecords.firstaid.dev": "0"}))?;
    let refused = town.start("shed", "second").map_err(|error| format!("{error:#}"));
    ensure!(refused.as_ref().is_err_and(|said| said.contains("exceeded quota")), "{refused:?}");
    town.approve("bob", "first")?;
    town.wait_held("first", "the API server refuses making a record: ")?;
    assert_eq!(town.records("first")?.len(), 0);
    quota(json!({"count/runbookruns.firstaid.dev": "9", "count/actionrecords.firstaid.dev": "9"}))?;
    town.wait_phase("first", "Succeeded")?;
    assert_eq!((town.records("first")?.len(), town.writes("deployments", "checkout")?), (1, 1));
    Ok(())
}

#[test]
fn a_right_that_is_taken_away_after_the_vote_is_said_and_recorded() -> Result<()> {
    let town = town("rights")?;
    town.start("shed", "rights")?;
    town.ballot("rights")?;
    as_root(&town, &["delete", "rolebinding", "runbook-shed"])?;
    town.approve("bob", "rights")?;
    let words = town.failed("rights")?;
    ensure!(words.contains("may not") && words.contains("Deployment/checkout"), "{words}");
    assert_eq!((town.writes("deployments", "checkout")?, replicas(&town)?), (0, 4));
    Ok(())
}

#[test]
fn a_namespace_that_goes_waits_for_no_run() -> Result<()> {
    let town = town("goes")?;
    town.start("shed", "left")?;
    town.ballot("left")?;
    as_root(&town, &["label", "namespace", &town.namespace, "firstaid.dev/evidence=exported", "--overwrite"])?;
    as_root(&town, &["delete", "namespace", &town.namespace, "--wait=false"])?;
    poll("the namespace to be gone", WITHIN, || {
        let left = as_root(&town, &["get", "namespace", &town.namespace, "--ignore-not-found", "-o", "name"])?;
        ensure!(left.trim().is_empty(), "it is still there");
        Ok(())
    })?;
    assert_eq!(town.writes("deployments", "checkout")?, 0);
    Ok(())
}

#[test]
fn a_runbook_that_changes_while_a_run_waits_changes_no_run() -> Result<()> {
    let town = town("frozen")?;
    town.start("shed", "frozen")?;
    town.ballot("frozen")?;
    town.runbook(&runbook("shed", &[&SCALE.replace("replicas: 6", "replicas: 9")]))?;
    town.approve("bob", "frozen")?;
    town.wait_phase("frozen", "Succeeded")?;
    assert_eq!(replicas(&town)?, 6);
    Ok(())
}
