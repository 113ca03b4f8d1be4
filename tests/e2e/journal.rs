//! The API server holds the operator to its own journal: with the operator's identity nothing that is written is taken
//! back, however it is tried.

use anyhow::{Context, Result, bail, ensure};
use firstaid::api::ActionRecord;
use firstaid::record::{RecordError, create};
use serde_json::json;

use crate::read::client;
use crate::refusal::refused;
use crate::town::{Leg, Town, text};

const RUNBOOK: &str = "
apiVersion: firstaid.dev/v1alpha1
kind: Runbook
metadata: {name: room}
spec:
  summary: More pods of checkout
  gates: [{name: on-call, requires: [{role: sre}]}]
  steps:
  - {name: scale-out, gate: on-call, scale: {target: {kind: Deployment, name: checkout}, by: 1}}
";

const REMOVED: &str = "the journal of a run cannot be removed";
const PLAN: &str = "a plan is written once and stays";
const STEP: &str = "what is written about a step stays";
const FROZEN: &str = "the frozen runbook of a run cannot be changed";
const OVER: &str = "a run that has ended does not go on";
const FIXED: &str =
    "a run is fixed once it is made; start another one, or stop this one with: kubectl annotate rbr NAME abort=\"WHY\"";

fn nothing_is_taken_back(leg: Leg) -> Result<()> {
    let mut town = Town::open(leg, "journal")?;
    town.runbook(RUNBOOK)?;
    town.start("room", "done")?;
    town.start("room", "waits")?;
    town.wait_phase("done", "Waiting")?;
    town.approve("bob", "done")?;
    town.wait_phase("done", "Succeeded")?;
    town.wait_phase("waits", "Waiting")?;
    let ballot = town.ballot("waits")?;
    // Nobody else writes from here on.
    town.kill_operator()?;
    let before = (town.get("rbr", "done")?, town.get("rbr", "waits")?, town.records("done")?);

    for (run, patch, sentence) in [
        ("waits", json!({"status": null}), REMOVED),
        ("waits", json!({"status": {"plans": {"0.1": {"summary": "nothing"}}}}), PLAN),
        ("waits", json!({"status": {"plans": {"0.1": {"expiresAt": "2036-01-01T00:00:00Z"}}}}), PLAN),
        ("waits", json!({"status": {"plans": {"0.1": null}}}), PLAN),
        ("waits", json!({"status": {"plans": null}}), PLAN),
        ("waits", json!({"status": {"frozen": {"serviceAccount": "other"}}}), FROZEN),
        ("waits", json!({"status": {"frozen": {"steps": []}}}), FROZEN),
        ("waits", json!({"status": {"frozen": null}}), FROZEN),
        ("done", json!({"status": null}), REMOVED),
        ("done", json!({"status": {"steps": {"scale-out.1": {"outcome": {"result": "Refused"}}}}}), STEP),
        ("done", json!({"status": {"steps": {"scale-out.1": {"outcome": {"before": {"replicas": 9}}}}}}), STEP),
        ("done", json!({"status": {"steps": {"scale-out.1": {"outcome": {"approvals": []}}}}}), STEP),
        ("done", json!({"status": {"steps": {"scale-out.1": {"settled": {"verified": "No"}}}}}), STEP),
        ("done", json!({"status": {"steps": {"scale-out.1": {"settled": null}}}}), STEP),
        ("done", json!({"status": {"steps": {"scale-out.1": null}}}), STEP),
        ("done", json!({"status": {"steps": null}}), STEP),
        ("done", json!({"status": {"phase": "Acting", "finished": false}}), OVER),
        ("done", json!({"status": {"finished": false}}), OVER),
        ("done", json!({"status": {"finished": null}}), OVER),
        ("done", json!({"status": {"phase": "Failed"}}), OVER),
    ] {
        let args = ["patch", "rbr", run, "--subresource=status", "--type=merge", "-p", &patch.to_string()];
        refused(&town, "operator", &args, sentence)?;
    }
    let removed = r#"[{"op":"remove","path":"/status"}]"#;
    refused(
        &town,
        "operator",
        &["patch", "rbr", "done", "--subresource=status", "--type=json", "-p", removed],
        REMOVED,
    )?;
    for spec in [
        r#"{"spec":{"reason":"another"}}"#,
        r#"{"spec":{"requestedBy":{"username":"bob"}}}"#,
        r#"{"spec":{"mode":"Plan"}}"#,
    ] {
        refused(&town, "root", &["patch", "rbr", "waits", "--type=merge", "-p", spec], FIXED)?;
    }
    // Adding is what a journal is for.
    let said = json!({"status": {"message": "a test was here"}}).to_string();
    town.kubectl(
        "operator",
        &["patch", "rbr", "waits", "--subresource=status", "--type=merge", "-p", &said, "--dry-run=server"],
    )?
    .ok()?;

    let record = before.2.first().context("a record")?;
    for (patch, sentence) in [
        (json!({"spec": {"message": "never happened"}}), "a record is evidence and never changes"),
        (json!({"spec": {"before": {"replicas": 9}}}), "a record is evidence and never changes"),
        (json!({"spec": {"approvals": null}}), "a record is evidence and never changes"),
        (json!({"status": null}), "the state of a record cannot be removed"),
        (
            json!({"metadata": {"labels": {"firstaid.dev/run": "other"}}}),
            "the labels and annotations of a record are fixed",
        ),
        (json!({"metadata": {"annotations": {"note": "x"}}}), "the labels and annotations of a record are fixed"),
        (
            json!({"metadata": {"finalizers": ["x.example/hold"]}}),
            "a record has no owner and no finalizer, and never gets one",
        ),
    ] {
        refused(
            &town,
            "operator",
            &["patch", "arec", text(record, "/metadata/name"), "--type=merge", "-p", &patch.to_string()],
            sentence,
        )?;
    }

    // Its own ballots too: it issues them and closes them, and that is all.
    for (patch, sentence) in [
        (
            json!({"spec": {"request": {"requester": "carol"}}}),
            "a ballot's request is fixed; a new plan gets new ballots",
        ),
        (json!({"metadata": {"labels": {"firstaid.dev/run": "other"}}}), "the labels of a ballot are fixed"),
        (
            json!({"metadata": {"annotations": {"approve": format!("{} yes", text(&ballot, "/spec/request/code")), "by": "bob"}}}),
            "first-aid cannot vote",
        ),
        (json!({"spec": {"voter": {"username": "bob"}}}), "a voter is written with the vote only"),
    ] {
        refused(
            &town,
            "operator",
            &["patch", "apv", text(&ballot, "/metadata/name"), "--type=merge", "-p", &patch.to_string()],
            sentence,
        )?;
    }
    let closed = ["patch", "apv", text(&ballot, "/metadata/name"), "--type=merge", "-p"];
    town.kubectl("operator", &[&closed[..], &[r#"{"status":{"state":"Expired"}}"#]].concat())?.ok()?;
    refused(
        &town,
        "operator",
        &[&closed[..], &[r#"{"status":{"state":"Open"}}"#]].concat(),
        "a ballot that is no longer Open stays as it is",
    )?;

    assert_eq!(
        before,
        (town.get("rbr", "done")?, town.get("rbr", "waits")?, town.records("done")?),
        "something changed after all"
    );
    Ok(())
}

#[test]
fn nothing_is_taken_back_where_the_cluster_stamps() -> Result<()> {
    nothing_is_taken_back(Leg::Stamping)
}

#[test]
fn nothing_is_taken_back_with_the_rules_of_an_older_cluster() -> Result<()> {
    nothing_is_taken_back(Leg::Plain)
}

#[test]
fn a_namespace_that_holds_evidence_stays_until_a_copy_is_kept() -> Result<()> {
    let town = Town::empty(Leg::Stamping, "evidence")?;
    let label = |value: &str| {
        let label = format!("firstaid.dev/evidence={value}");
        town.kubectl("root", &["label", "ns", &town.namespace, &label, "--overwrite"])?.ok()
    };
    let delete = ["delete", "ns", &town.namespace, "--wait=false"];
    label("held")?;
    refused(&town, "root", &delete, "holds first-aid records; keep a copy of them (kubectl get rbr,apv,arec -n")?;
    label("exported")?;
    town.kubectl("root", &delete)?.ok()?;
    Ok(())
}

#[test]
fn a_record_that_is_there_is_known_by_the_hash_in_the_journal_and_never_overwritten() -> Result<()> {
    let mut town = Town::open(Leg::Stamping, "record")?;
    town.runbook(RUNBOOK)?;
    town.start("room", "done")?;
    town.approved("done")?;
    town.kill_operator()?;
    let before = town.records("done")?;
    let record: ActionRecord = serde_json::from_value(before.first().context("a record")?.clone())?;
    let runtime = tokio::runtime::Runtime::new()?;
    let client = runtime.block_on(client(&town.sandbox.kubeconfig("operator")))?;
    let again = |change: &dyn Fn(&mut ActionRecord)| {
        let mut again = ActionRecord { metadata: Default::default(), ..record.clone() };
        again.metadata.name.clone_from(&record.metadata.name);
        again.metadata.namespace.clone_from(&record.metadata.namespace);
        change(&mut again);
        runtime.block_on(create(&client, &again))
    };
    again(&|_| {})?;
    again(&|record| record.spec.summary = "worded otherwise by a later version".to_owned())?;
    let of_another_entry = again(&|record| {
        record.spec.summary = "something else was done".to_owned();
        record.spec.hash = "of another entry".to_owned();
    });
    let Err(RecordError::Differs { .. }) = of_another_entry else {
        bail!("a record of another entry was taken for the one that is there")
    };
    ensure!(before == town.records("done")?, "a record was changed");
    Ok(())
}
