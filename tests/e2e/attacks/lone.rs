//! What only a cluster administrator can do, or somebody before the policies are there: each on an API server of its own,
//! since all others would feel it.

use anyhow::{Context, Result, ensure};
use firstaid_judge::Rule;
use firstaid_sandbox::poll;

use super::By::{Chain, Operator, Rbac};
use super::Sees::Stamping;
use super::{Row, Scene, Seen, in_vain, stage};
use crate::chain;
use crate::town::{Leg, Town, WITHIN, number, text};
use crate::verify::verify;

pub const ROWS: &[Row] = &[
    Row {
        id: "27a",
        title: "to take the policies away",
        who: "mallory",
        call: "kubectl delete validatingadmissionpolicybinding firstaid-ballot",
        sees: Stamping(
            Rbac,
            r#"User "mallory" cannot delete resource "validatingadmissionpolicybindings" in API group "admissionregistration.k8s.io" at the cluster scope"#,
        ),
        play: in_vain,
    },
    Row {
        id: "27b",
        title: "to make a policy toothless",
        who: "mallory",
        call: r#"kubectl patch validatingadmissionpolicybinding firstaid-ballot --type=merge -p '{"spec":{"validationActions":["Audit"]}}'"#,
        sees: Stamping(
            Rbac,
            r#"User "mallory" cannot get resource "validatingadmissionpolicybindings" in API group "admissionregistration.k8s.io" at the cluster scope"#,
        ),
        play: in_vain,
    },
    Row {
        id: "27c",
        title: "to make a policy toothless, as a cluster administrator, who may: the operator does nothing from then on",
        who: "root",
        call: r#"kubectl patch validatingadmissionpolicybinding firstaid-ballot --type=merge -p '{"spec":{"validationActions":["Audit"]}}'"#,
        sees: Stamping(
            Operator,
            r#"proof that the approval policies are in force: the API server would accept a ballot that is decided already: install the chart's policies again; ValidatingAdmissionPolicyBinding firstaid-ballot is not as it was shipped: spec.validationActions is ["Audit"], not ["Deny","Audit"]; to put it back: helm get manifest firstaid -n firstaid-system | kubectl replace -f -; nothing is done until then"#,
        ),
        play: nothing_is_done_without_proof,
    },
    Row {
        id: "27d",
        title: "to take the policies away, as a cluster administrator, who may: the operator does nothing from then on",
        who: "root",
        call: "kubectl delete validatingadmissionpolicybinding firstaid-ballot",
        sees: Stamping(
            Operator,
            "proof that the approval policies are in force: the API server would accept a ballot that is decided already: install the chart's policies again; ValidatingAdmissionPolicyBinding firstaid-ballot is gone; to put it back: helm get manifest firstaid -n firstaid-system | kubectl apply -f -; nothing is done until then",
        ),
        play: nothing_is_done_without_proof,
    },
    Row {
        id: "27e",
        title: "to take one rule out of a policy: all else still refuses",
        who: "root",
        call: r#"kubectl patch validatingadmissionpolicy firstaid-ballot --type=json -p '[{"op":"remove","path":"/spec/validations/9"}]'"#,
        sees: Stamping(
            Operator,
            "proof that the approval policies are in force: ValidatingAdmissionPolicy firstaid-ballot is not as it was shipped: spec.validations has N entries, not N; to put it back: helm get manifest firstaid -n firstaid-system | kubectl replace -f -; nothing is done until then",
        ),
        play: nothing_is_done_without_proof,
    },
    Row {
        id: "54a",
        title: "to vote in somebody else's name while there is no policy for ballots: the stamp still tells",
        who: "mallory",
        call: r#"kubectl annotate apv $BALLOT approve="$CODE queue grows" by=bob"#,
        sees: Stamping(Operator, "the vote on run-54a-1 does not count: the names on it differ"),
        play: when_the_policies_are_back,
    },
    Row {
        id: "54b",
        title: "to vote in somebody else's name, with a forged voter, while there is no policy at all",
        who: "mallory",
        call: r#"kubectl patch apv $BALLOT --type=merge -p '{"metadata":{"annotations":{"approve":"'$CODE' queue grows","by":"bob"}},"spec":{"voter":{"username":"bob","groups":["sre"]}}}'"#,
        sees: Stamping(
            Operator,
            "the approval policies were not in force for certain between TIME and TIME: what was said before proves nothing",
        ),
        play: without_any_policy,
    },
    Row {
        id: "30a",
        title: "to lose the last record, with every right, every policy and every rule away",
        who: "root",
        call: "kubectl delete arec $LAST",
        sees: Stamping(
            Chain,
            "the tail is missing: the journal of the run has 2 records, the last that is there is seq 1; missing: RECORD (seq 2)",
        ),
        play: the_chain_tells,
    },
    Row {
        id: "30b",
        title: "to rewrite a record, with every right, every policy and every rule away",
        who: "root",
        call: r#"kubectl patch arec $RECORD --type=merge -p '{"spec":{"summary":"never happened"}}'"#,
        sees: Stamping(Chain, "record RECORD (seq 1) was changed: its content gives HASH, and it says HASH"),
        play: the_chain_tells,
    },
];

const RUNBOOK: &str = "
apiVersion: firstaid.dev/v1alpha1
kind: Runbook
metadata: {name: room}
spec:
  summary: More pods of checkout
  gates: [{name: on-call, requires: [{role: sre}], selfApproval: Never}]
  steps:
  - {name: scale-out, gate: on-call, scale: {target: {kind: Deployment, name: checkout}, by: 1}}
---
apiVersion: firstaid.dev/v1alpha1
kind: Runbook
metadata: {name: two-records}
spec:
  summary: More pods of the ledger, and new agents
  gates: [{name: on-call, requires: [{role: sre}], selfApproval: Never}]
  steps:
  - {name: scale-out, gate: on-call, scale: {target: {kind: StatefulSet, name: ledger}, by: 1}}
  - {name: restart, gate: on-call, restart: {target: {kind: DaemonSet, name: agent}}}
";

pub fn open() -> Result<Scene> {
    let town = Town::open_alone_with(Leg::Stamping, "lone", &[], &["--guard-seconds=1", "--guard-settle-seconds=0"])?;
    stage::cast(&town)?;
    town.runbook(RUNBOOK)?;
    Scene::begin(town)
}

fn waiting(scene: &mut Scene, name: &str) -> Result<()> {
    scene.town.start("room", name)?;
    scene.town.wait_guarded(name, "Waiting")?;
    let ballot = scene.town.ballot(name)?;
    scene.word("BALLOT", text(&ballot, "/metadata/name"));
    scene.word("CODE", text(&ballot, "/spec/request/code"));
    Ok(())
}

/// The operator has seen whether its guard is there.
fn guard_is(scene: &Scene, proven: bool) -> Result<()> {
    let operator = scene.town.operator.as_ref().context("an operator")?;
    poll("the operator to look after its guard", WITHIN, || {
        let (_, metrics) = operator.get("/metrics")?;
        let line = metrics.lines().find(|l| l.contains("guards_proven") && !l.starts_with('#')).context("no metric")?;
        ensure!(line.ends_with(if proven { " 1" } else { " 0" }), "{line}");
        Ok(())
    })
}

/// Why the approved run is not acted on.
fn held(scene: &Scene, run: &str, words: &str) -> Result<String> {
    let held = scene.town.wait_held(run, words)?;
    ensure!(number(&scene.town.get("deployment", "checkout")?, "/spec/replicas") == 4, "the operator wrote");
    let waits = text(&held, "/status/waitingOn");
    Ok(waits.split(" since ").next().unwrap_or_default().to_owned())
}

/// Puts everything of the chart back, however it was changed.
fn restore(scene: &Scene) -> Result<()> {
    let kubectl = |args: &[&str]| scene.town.sandbox.kubectl_run("root", args)?.ok();
    for kind in ["validatingadmissionpolicybinding", "mutatingadmissionpolicybinding"] {
        for name in kubectl(&["get", kind, "-o", "name"])?.lines().filter(|name| name.contains("/firstaid-")) {
            kubectl(&["delete", name])?;
        }
    }
    // helm does not overwrite what somebody else has edited.
    kubectl(&["delete", "validatingadmissionpolicy", "firstaid-ballot"])?;
    scene.town.sandbox.install_chart(&[])?;
    guard_is(scene, true)
}

fn nothing_is_done_without_proof(scene: &mut Scene, row: &Row) -> Result<Seen> {
    let name = format!("run-{}", row.id);
    waiting(scene, &name)?;
    scene.shell(row.who, row.call)?.ok()?;
    guard_is(scene, false)?;
    scene.town.approve("bob", &name)?;
    // That the binding differs is seen at once; that votes would be taken, when the API server has learnt of it too.
    let words = if row.id == "27e" { "proof that the approval policies are in force" } else { "would accept a ballot" };
    let why = held(scene, &name, words)?;
    scene.town.abort(&name)?;
    restore(scene)?;
    // How many rules a policy has changes with the product.
    let numbers: Vec<&str> = why.split(|c: char| !c.is_ascii_digit()).filter(|number| !number.is_empty()).collect();
    let steady = numbers.into_iter().fold(why.clone(), |why, number| why.replacen(number, "N", 1));
    scene.saw(Operator, &steady)
}

/// The vote is taken and held; when the policies are back it does not count.
fn when_the_policies_are_back(scene: &mut Scene, row: &Row) -> Result<Seen> {
    let name = format!("run-{}", row.id);
    waiting(scene, &name)?;
    let binding = ["delete", "validatingadmissionpolicybinding", "firstaid-ballot"];
    scene.town.sandbox.kubectl_run("root", &binding)?.ok()?;
    guard_is(scene, false)?;
    forged_and_found(scene, row, &name)
}

fn without_any_policy(scene: &mut Scene, row: &Row) -> Result<Seen> {
    let name = format!("run-{}", row.id);
    waiting(scene, &name)?;
    let kubectl = |args: &[&str]| scene.town.sandbox.kubectl_run("root", args)?.ok();
    for kind in ["validatingadmissionpolicybinding", "mutatingadmissionpolicybinding"] {
        for binding in kubectl(&["get", kind, "-o", "name"])?.lines().filter(|name| name.contains("/firstaid-")) {
            kubectl(&["delete", binding])?;
        }
    }
    poll("the stamp to be gone", WITHIN, || {
        let rehearsed = format!("{} --dry-run=server -o jsonpath={{.spec.voter.username}}", row.call);
        let voter = scene.shell(row.who, &rehearsed)?.ok()?;
        ensure!(voter == "bob", "it is stamped as {voter}");
        Ok(())
    })?;
    guard_is(scene, false)?;
    forged_and_found(scene, row, &name)
}

fn forged_and_found(scene: &mut Scene, row: &Row, run: &str) -> Result<Seen> {
    let asked = scene.town.ballot(run)?;
    poll("the vote to be taken", WITHIN, || scene.shell(row.who, row.call)?.ok())?;
    let marked = scene.town.get("apv", text(&asked, "/metadata/name"))?;
    ensure!(text(&marked, "/metadata/annotations/by") == "bob", "{marked:#}");
    restore(scene)?;
    let found = poll("the vote to be judged", WITHIN, || {
        let found = scene.town.get("rbr", run)?;
        let over = found.pointer("/status/finished") == Some(&serde_json::Value::Bool(true));
        let anew = found.pointer("/status/plans/0.2").is_some();
        ensure!(over || anew, "{}", text(&found, "/status/waitingOn"));
        Ok(found)
    })?;
    ensure!(scene.town.records(run)?.is_empty(), "the forged vote was counted: {found:#}");
    let why = text(&found, "/status/plans/0.2/revisedBecause").to_owned();
    scene.town.ballot(run)?;
    scene.town.abort(run)?;
    scene.saw(Operator, &why)
}

/// A run with two records, after which nothing guards them any more: no operator, no policy, no rule of the kind.
fn two_records_and_no_guard(scene: &mut Scene) -> Result<()> {
    let because = "root changes one of its records and deletes the other";
    scene.town.forges(&[Rule::Record, Rule::Chain, Rule::Evidence], "run two:", because);
    scene.town.start("two-records", "two")?;
    scene.town.wait_phase("two", "Waiting")?;
    scene.town.approve("bob", "two")?;
    scene.town.wait_phase("two", "Succeeded")?;
    let (run, records) = (scene.town.get("rbr", "two")?, scene.town.records("two")?);
    let [first, last] = records.as_slice() else { anyhow::bail!("{} records", records.len()) };
    chain::verify(&run, &records)?;
    scene.word("RECORD", text(first, "/metadata/name"));
    scene.word("LAST", text(last, "/metadata/name"));
    scene.town.kill_operator()?;
    let kubectl = |args: &[&str]| scene.town.sandbox.kubectl_run("root", args)?.ok();
    let bindings = kubectl(&["get", "validatingadmissionpolicybinding", "-o", "name"])?;
    for binding in bindings.lines().filter(|name| name.contains("/firstaid-")) {
        kubectl(&["delete", binding])?;
    }
    let rules = r#"[{"op":"remove","path":"/spec/versions/0/schema/openAPIV3Schema/x-kubernetes-validations"}]"#;
    poll("the kind to be open to anybody", WITHIN, || {
        kubectl(&["patch", "crd", "actionrecords.firstaid.dev", "--type=json", "-p", rules])
    })?;
    Ok(())
}

/// `firstaid verify` recomputes the chain, and names what is wrong.
fn the_chain_tells(scene: &mut Scene, row: &Row) -> Result<Seen> {
    if scene.town.get("rbr", "two").is_err() {
        two_records_and_no_guard(scene)?;
    }
    poll("it to be taken", WITHIN, || scene.shell(row.who, row.call)?.ok())?;
    let (code, told) = verify(&scene.town, "bob", &["-n", &scene.town.namespace, "--run", "two"])?;
    ensure!(code == 1, "nobody sees it: {told}");
    let said = told.lines().nth(1).context("a finding")?.trim();
    // Names of records hold a part of the run's uid.
    let fixed = said.split(' ').map(|word| match word.trim_end_matches([',', ':']) {
        name if name.starts_with("two-") => word.replace(name, "RECORD"),
        hash if hash.starts_with("sha256:") => word.replace(hash, "HASH"),
        _ => word.to_owned(),
    });
    scene.saw(Chain, &fixed.collect::<Vec<_>>().join(" "))
}
