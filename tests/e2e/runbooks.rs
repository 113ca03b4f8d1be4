//! The shipped runbooks, each with exactly the rights that `firstaid onboard` prints for it, run to its end; and what a
//! rehearsal says of a runbook before the night it is needed.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use firstaid_sandbox::{poll, repository};
use serde_json::{Value, json};

use crate::runs::runbook;
use crate::town::{Leg, Town, WITHIN, number, text};

const FLAG: &str = "/data/flags.json";

fn shipped(name: &str) -> PathBuf {
    repository().join("runbooks").join(format!("{name}.yaml"))
}

/// A town in which a shipped runbook is ready: with what onboarding prints for that one file, and nothing more.
fn town_with(leg: Leg, name: &str, shorten: (&str, &str)) -> Result<Town> {
    let town = Town::open(leg, name)?;
    let file = shipped(name);
    town.onboard(&file.to_string_lossy())?;
    let whole = std::fs::read_to_string(&file)?;
    ensure!(whole.contains(shorten.0), "{name} does not say {:?} any more", shorten.0);
    town.apply("author", &whole.replace(shorten.0, shorten.1))?;
    let ready = town.wait_condition(name, "Ready")?;
    assert_eq!(text(&ready, "/message"), "every step would work now");
    Ok(town)
}

/// Whether the ServiceAccount of the runbooks may do this, by RBAC alone.
fn may(town: &Town, verb: &str, what: &str) -> Result<bool> {
    let account = format!("--as=system:serviceaccount:{}:firstaid", town.namespace);
    Ok(town.kubectl("root", &["auth", "can-i", verb, what, &account])?.success())
}

fn shed_load(leg: Leg) -> Result<()> {
    let town = town_with(leg, "shed-load", ("", ""))?;
    for (verb, what, allowed) in [
        ("patch", "deployments.apps/checkout", true),
        ("patch", "configmaps/shop-flags", true),
        ("patch", "deployments.apps/other", false),
        ("list", "deployments.apps", false),
        ("delete", "deployments.apps/checkout", false),
        ("get", "secrets", false),
    ] {
        assert_eq!(may(&town, verb, what)?, allowed, "{verb} {what}");
    }
    // The operator itself may touch nothing here, and where the cluster can tell, not even all that the ServiceAccount may.
    for (verb, what, allowed) in [
        ("get", "deployments.apps/checkout", false),
        ("get", "configmaps/shop-flags", false),
        ("impersonate", "serviceaccounts/firstaid", leg == Leg::Plain),
    ] {
        assert_eq!(
            town.kubectl("operator", &["auth", "can-i", verb, what])?.success(),
            allowed,
            "operator: {verb} {what}"
        );
    }
    let before = town.get("configmap", "shop-flags")?;
    town.start_with("shed-load", "shed", "  parameters: {replicas: \"6\"}\n  incident: INC-7\n")?;
    town.approve("bob", "shed")?;
    let done = town.wait_phase("shed", "Succeeded")?;
    assert_eq!(text(&done, "/status/message"), "all 3 steps done; 2 changes are still in place");
    let after = town.get("configmap", "shop-flags")?;
    assert_eq!(
        text(&after, FLAG),
        text(&before, FLAG).replace("\"recommendations\": true", "\"recommendations\": false")
    );
    assert_ne!(text(&after, FLAG), text(&before, FLAG));
    assert_eq!(after.pointer("/data/RECOMMENDATIONS"), before.pointer("/data/RECOMMENDATIONS"));
    assert_eq!(number(&town.get("deployment", "checkout")?, "/status/readyReplicas"), 6);

    let records = town.records("shed")?;
    let steps: Vec<&str> = records.iter().map(|record| text(record, "/spec/step")).collect();
    assert_eq!(steps, ["recommendations-off", "scale-out", "recovered"]);
    for record in &records {
        assert_eq!(text(record, "/spec/verified"), "Yes", "{record:#}");
        assert_eq!(text(record, "/spec/incident"), "INC-7");
        assert_eq!(text(record, "/spec/actor"), format!("system:serviceaccount:{}:firstaid", town.namespace));
    }
    Ok(())
}

#[test]
fn shed_load_where_impersonation_is_constrained() -> Result<()> {
    shed_load(Leg::Stamping)
}

#[test]
fn shed_load_with_the_legacy_grant() -> Result<()> {
    shed_load(Leg::Plain)
}

#[test]
fn restart_stuck_service_restarts_and_checks_the_service_that_was_named() -> Result<()> {
    let town = town_with(Leg::Stamping, "restart-stuck-service", ("", ""))?;
    // Not the default: a service of another name.
    let basket = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "basket"}, "spec": {
        "replicas": 2, "selector": {"matchLabels": {"app": "basket"}},
        "template": {"metadata": {"labels": {"app": "basket"}}, "spec": {"containers": [{"name": "basket", "image": "shop/basket:1"}]}}}});
    town.apply("root", &basket.to_string())?;
    town.kubectl("root", &["rollout", "status", "deployment/basket", "--timeout=60s"])?.ok()?;
    town.start_with("restart-stuck-service", "restart", "  parameters: {service: basket}\n")?;
    town.approve("bob", "restart")?;
    town.wait_phase("restart", "Succeeded")?;
    let restarted = "/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt";
    assert!(town.get("deployment", "basket")?.pointer(restarted).is_some());
    assert!(town.get("deployment", "checkout")?.pointer(restarted).is_none());
    for record in town.records("restart")? {
        assert_eq!(text(&record, "/spec/targetName"), "Deployment/basket");
        assert_eq!(text(&record, "/spec/verified"), "Yes");
    }
    Ok(())
}

/// Makes a pod of the ledger sick, or well again. KWOK leaves a pod that it has started alone.
fn ledger_is_well(town: &Town, well: bool) -> Result<()> {
    let ready = if well { "True" } else { "False" };
    town.change_status("pod", "ledger-0", &json!({"conditions": [{"type": "Ready", "status": ready}]}))?;
    let wanted = if well { 2 } else { 1 };
    poll("the ledger to notice", WITHIN, || {
        let ledger = town.get("statefulset", "ledger")?;
        ensure!(
            number(&ledger, "/status/readyReplicas") == wanted,
            "it has {}",
            ledger.pointer("/status").unwrap_or(&Value::Null)
        );
        Ok(())
    })
}

#[test]
fn break_retry_loop_is_done_with_the_flag_where_the_victim_recovers() -> Result<()> {
    let town = town_with(Leg::Stamping, "break-retry-loop", ("within: 1m", "within: 80s"))?;
    ledger_is_well(&town, false)?;
    town.start("break-retry-loop", "loop")?;
    town.approve("bob", "loop")?;
    poll("the victim to be looked at", WITHIN, || {
        let run = town.get("rbr", "loop")?;
        ensure!(
            text(&run, "/status/progress") == "2/3 victim-recovered",
            "it is at {}",
            text(&run, "/status/progress")
        );
        Ok(())
    })?;
    ledger_is_well(&town, true)?;
    let done = town.wait_phase("loop", "Succeeded")?;
    assert_eq!(text(&done, "/status/message"), "2 of 3 steps done, 1 not needed; 1 change is still in place");
    assert!(text(&town.get("configmap", "shop-flags")?, FLAG).contains("\"recommendations\": false"));
    let passed_by = town.record("loop", "contain-caller")?;
    assert_eq!(passed_by.pointer("/spec/changed"), Some(&json!(false)));
    assert!(text(&passed_by, "/spec/message").starts_with("not needed:"), "{passed_by:#}");
    assert_eq!(number(&town.get("deployment", "checkout")?, "/spec/replicas"), 4, "the caller goes on serving");
    assert_eq!(town.writes("deployments", "checkout")?, 0);
    Ok(())
}

#[test]
fn break_retry_loop_contains_the_caller_where_the_victim_does_not_recover() -> Result<()> {
    let town = town_with(Leg::Stamping, "break-retry-loop", ("within: 1m", "within: 2s"))?;
    ledger_is_well(&town, false)?;
    town.start("break-retry-loop", "loop")?;
    let ballot = town.ballot("loop")?;
    let effects = ballot.pointer("/spec/request/effects").unwrap_or(&Value::Null).to_string();
    assert!(effects.contains("contain-caller: scale Deployment/checkout 4 -> 0"), "{effects}");
    assert!(
        effects.contains("only when !steps['victim-recovered'].ok"),
        "people approve it knowing that it may not be needed: {effects}"
    );
    town.approve("bob", "loop")?;
    let done = town.wait_phase("loop", "Succeeded")?;
    assert!(
        text(&done, "/status/message").contains("2 of 3 steps done; passed over: step victim-recovered: not within 2s"),
        "{done:#}"
    );
    let checkout = town.get("deployment", "checkout")?;
    assert_eq!((number(&checkout, "/spec/replicas"), number(&checkout, "/status/readyReplicas")), (0, 0));
    assert_eq!(
        text(&town.record("loop", "contain-caller")?, "/spec/approvals/0/by"),
        "bob",
        "the one approval covered it"
    );
    Ok(())
}

#[test]
fn a_rehearsal_says_what_would_fail() -> Result<()> {
    let town = Town::open(Leg::Stamping, "rehearsal")?;
    let (gone, unknown, forbidden) = (
        runbook("gone", &["name: size, gate: on-call, scale: {target: {kind: Deployment, name: nobody}, replicas: 5}"]),
        runbook(
            "unknown",
            &[
                "name: switch, gate: on-call, disable: {flag: x, configMap: {name: shop-flags, key: flags.json, format: Json, pointer: /x}}",
            ],
        ),
        runbook("forbidden", &["name: again, gate: on-call, restart: {target: {kind: DaemonSet, name: agent}}"]),
    );
    town.runbook(&[gone, unknown].concat())?;
    town.apply("author", &forbidden)?;
    for (name, reason, sentence) in [
        ("gone", "TargetGone", "step size: Deployment/nobody does not exist in this namespace"),
        ("unknown", "FlagUnknown", "step switch: flag x in key flags.json of ConfigMap/shop-flags: there is no `/x`"),
        ("forbidden", "PermissionMissing", "step again: the runbook's ServiceAccount may not read DaemonSet/agent"),
    ] {
        let stalled = town.wait_condition(name, "Stalled")?;
        assert_eq!(text(&stalled, "/reason"), reason, "{stalled:#}");
        assert!(text(&stalled, "/message").contains(sentence), "{stalled:#}");
    }
    // A run is not refused because of a rehearsal: it plans live, and says what is wrong.
    town.start("gone", "gone")?;
    let words = town.failed("gone")?;
    assert!(words.contains("TargetGone: Deployment/nobody does not exist"), "{words}");
    town.start("forbidden", "forbidden")?;
    let words = town.failed("forbidden")?;
    assert!(words.contains("PermissionMissing: the runbook's ServiceAccount may not read DaemonSet/agent"), "{words}");
    Ok(())
}
