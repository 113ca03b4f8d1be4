//! What the operator does with what it finds: a moved target, an edited runbook, a lost right, a stop that it has not seen.
//!
//! The operator is halted (`SIGSTOP`) between the approval and the act, and goes on afterwards: what it acts on then is
//! what it reads then.

use anyhow::{Context, Result, ensure};
use firstaid_judge::Rule;
use firstaid_sandbox::poll;
use serde_json::{Value, json};

use super::By::{Nobody, Operator, Policy, Rbac};
use super::Sees::{Both, Each, Stamping};
use super::{Row, Scene, Seen, in_vain, stage};
use crate::refusal::run;
use crate::town::{Leg, Town, WITHIN, number, text};

pub const ROWS: &[Row] = &[
    Row {
        id: "12a",
        title: "to inherit votes: delete the run and make it again under its name",
        who: "alice",
        call: "kubectl delete rbr heir",
        sees: Both(
            Rbac,
            r#"User "alice" cannot delete resource "runbookruns" in API group "firstaid.dev" in the namespace "NAMESPACE""#,
        ),
        play: in_vain_on_a_waiting_run,
    },
    Row {
        id: "12b",
        title: "the same with the operator's token, to which somebody gave the right to delete: the new run asks anew",
        who: "operator",
        call: "kubectl delete rbr heir",
        sees: Both(Operator, "approval by 1 of sre"),
        play: nothing_is_inherited,
    },
    Row {
        id: "13a",
        title: "to change the target between approval and act",
        who: "mallory",
        call: "kubectl scale deployment checkout --replicas=9",
        sees: Both(Operator, "Deployment/checkout is at 9 replicas now, so 4 -> 7 is not what was approved"),
        play: the_target_moves,
    },
    Row {
        id: "13b",
        title: "to change the runbook between approval and act: what was approved is done",
        who: "author",
        call: r#"kubectl patch rbk room --type=json -p '[{"op":"replace","path":"/spec/steps/0/scale/replicas","value":20}]'"#,
        sees: Both(Operator, "scale Deployment/checkout 4 -> 7"),
        play: the_runbook_changes,
    },
    Row {
        id: "13c",
        title: "to have a change by hand taken for First Aid's, by the token that the plan shows",
        who: "mallory",
        call: "kubectl annotate deployment checkout --overwrite firstaid.dev/last-action=$TOKEN",
        sees: Both(
            Operator,
            r#"a person: whether "scale Deployment/checkout 4 -> 7" took place is not known (its token is there, but this operator has not sent it: another one has, or somebody wrote it); look, then settle it"#,
        ),
        play: the_token_is_planted,
    },
    Row {
        id: "52",
        title: "to act on a vote of somebody who has lost the right meanwhile",
        who: "root",
        call: "kubectl delete rolebinding firstaid-approver-as-sre",
        sees: Each((Operator, "bob may no longer approve as sre"), (Nobody, "bob as sre")),
        play: the_right_is_lost,
    },
    Row {
        id: "53",
        title: "to act on a run that was stopped while the operator did not look",
        who: "alice",
        call: r#"kubectl annotate rbr stopped abort="wrong service""#,
        sees: Both(Operator, "stopped: wrong service"),
        play: stopped_unseen,
    },
    Row {
        id: "6a",
        title: "to vote as somebody else by impersonation, which admission cannot see: it counts, and the audit log tells",
        who: "helpdesk",
        call: r#"kubectl --as=zoe --as-group=sre annotate apv $BALLOT approve="$CODE queue grows" by=zoe"#,
        sees: Both(Nobody, "approval.firstaid.dev/impersonated-1 annotated"),
        play: an_impersonated_vote,
    },
    Row {
        id: "32c",
        title: "to make the operator read a document of a megabyte",
        who: "alice",
        call: "kubectl create -f run-of-large.json",
        sees: Both(
            Operator,
            "step flag-off: DocumentUnfit: flag x in key flags.yaml of ConfigMap/large: the text has 900008 bytes, and at most 262144 are read as a document: keep the flags in a smaller one",
        ),
        play: the_run_says_why,
    },
    Row {
        id: "39",
        title: "to change what belongs to the cluster",
        who: "alice",
        call: "kubectl create -f run-of-on-clusterrole.json",
        sees: Both(
            Operator,
            "step more: TargetGone: ClusterRole/cluster-admin does not exist in this namespace; look with: kubectl get -n NAMESPACE clusterrole.rbac.authorization.k8s.io",
        ),
        play: the_run_says_why,
    },
    Row {
        id: "40a",
        title: "to break out of a value",
        who: "alice",
        call: "kubectl create -f run-with-quotes.json",
        sees: Both(
            Operator,
            "step \"more\": \"\\\"}},\\\"x\\\":{\\\"\" is no name of a Deployment: a name has lower-case letters, digits, dashes and dots",
        ),
        play: the_run_says_why,
    },
    Row {
        id: "40b",
        title: "to have a shell run something",
        who: "alice",
        call: "kubectl create -f run-with-command.json",
        sees: Both(
            Operator,
            r#"step "more": "$(id)" is no name of a Deployment: a name has lower-case letters, digits, dashes and dots"#,
        ),
        play: the_run_says_why,
    },
    Row {
        id: "40c",
        title: "to have a template filled in",
        who: "alice",
        call: "kubectl create -f run-with-template.json",
        sees: Both(
            Operator,
            r#"step "more": "{{ .Values }}" is no name of a Deployment: a name has lower-case letters, digits, dashes and dots"#,
        ),
        play: the_run_says_why,
    },
    Row {
        id: "40d",
        title: "to add a field through a number",
        who: "alice",
        call: "kubectl create -f run-with-field.json",
        sees: Both(Operator, "parameter \"pods\" is \"7, \\\"paused\\\": true\", but must be a whole number"),
        play: the_run_says_why,
    },
    Row {
        id: "44a",
        title: "to hold the operator up by a Lease in one's own namespace: another run goes on",
        who: "mallory",
        call: "kubectl create -f lease.json",
        sees: Both(Nobody, "lease.coordination.k8s.io/NAMESPACE created"),
        play: another_run_goes_on,
    },
    Row {
        id: "44b",
        title: "to take the operator's Lease",
        who: "mallory",
        call: "kubectl create -f lease-in-firstaid-system.json",
        sees: Both(
            Rbac,
            r#"User "mallory" cannot create resource "leases" in API group "coordination.k8s.io" in the namespace "firstaid-system""#,
        ),
        play: in_vain,
    },
    Row {
        id: "45b",
        title: "to make the operator stumble over a very long annotation: another run goes on",
        who: "mallory",
        call: r#"kubectl annotate rbk room x="$(head -c 100000 /dev/zero | tr '\0' a)""#,
        sees: Both(Nobody, "runbook.firstaid.dev/room annotated"),
        play: another_run_goes_on,
    },
    Row {
        id: "46",
        title: "to change the name after the stamp, by another mutating policy",
        who: "bob",
        call: r#"kubectl annotate apv $BALLOT approve="$CODE queue grows""#,
        sees: Stamping(
            Policy("firstaid-ballot"),
            "you are bob: write by=bob, or leave by out where the cluster fills it in",
        ),
        play: under_a_hostile_policy,
    },
    Row {
        id: "6c",
        title: "to vote by impersonation where the gate asks for a credential",
        who: "helpdesk",
        call: r#"kubectl --as=zoe --as-group=sre annotate apv $BALLOT approve="$CODE queue grows" by=zoe"#,
        sees: Both(
            Policy("firstaid-ballot"),
            "a vote must carry a credential id here; impersonation (--as) is not accepted",
        ),
        play: at_a_strict_gate,
    },
];

/// How many of the rows end in an act.
pub fn acts(leg: Leg) -> usize {
    if leg == Leg::Plain { 6 } else { 5 }
}

const RUNBOOKS: &str = "
apiVersion: firstaid.dev/v1alpha1
kind: Runbook
metadata: {name: room}
spec:
  summary: More pods of checkout
  gates: [{name: on-call, requires: [{role: sre}], selfApproval: Never}]
  steps:
  - {name: scale-out, gate: on-call, scale: {target: {kind: Deployment, name: checkout}, replicas: 7}}
---
apiVersion: firstaid.dev/v1alpha1
kind: Runbook
metadata: {name: agents}
spec:
  summary: New agents
  gates: [{name: on-call, requires: [{role: sre}], selfApproval: Never}]
  steps:
  - {name: restart, gate: on-call, restart: {target: {kind: DaemonSet, name: agent}}}
---
apiVersion: firstaid.dev/v1alpha1
kind: Runbook
metadata: {name: strict}
spec:
  summary: More pods of checkout, and no impersonation
  gates: [{name: on-call, requires: [{role: sre}], verifiedCredential: true}]
  steps:
  - {name: scale-out, gate: on-call, scale: {target: {kind: Deployment, name: checkout}, replicas: 7}}
---
apiVersion: firstaid.dev/v1alpha1
kind: Runbook
metadata: {name: large}
spec:
  summary: A flag in a very large document
  gates: [{name: on-call, requires: [{role: sre}], selfApproval: Never}]
  steps:
  - {name: flag-off, gate: on-call, disable: {flag: x, configMap: {name: large, key: flags.yaml, format: Yaml, pointer: /x}}}
---
apiVersion: firstaid.dev/v1alpha1
kind: Runbook
metadata: {name: on-clusterrole}
spec:
  summary: More of cluster-admin
  gates: [{name: on-call, requires: [{role: sre}], selfApproval: Never}]
  steps:
  - {name: more, gate: on-call, scale: {target: {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, name: cluster-admin}, replicas: 7}}
---
apiVersion: firstaid.dev/v1alpha1
kind: Runbook
metadata: {name: named}
spec:
  summary: Pods of what the run names
  parameters: [{name: service, type: string, default: checkout}, {name: pods, type: integer, default: '7'}]
  gates: [{name: on-call, requires: [{role: sre}], selfApproval: Never}]
  steps:
  - {name: more, gate: on-call, scale: {target: {kind: Deployment, name: '${params.service}'}, replicas: '${params.pods}'}}
";

/// A town whose operator keeps its lease while it is halted.
pub fn open(leg: Leg) -> Result<Scene> {
    let mut town = Town::empty(leg, "acts")?;
    town.sandbox.open_shop(&town.namespace)?;
    let lease = format!("--lease-name={}", town.namespace);
    let args = ["--namespaces", &town.namespace, &lease, "--lease-seconds=120", "--cluster-name=sandbox"];
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_firstaid"));
    let mut operator = town.sandbox.start_operator(binary, &args, &[("RUST_LOG", "info,firstaid=debug")])?;
    operator.wait_ready(WITHIN)?;
    town.operator = Some(operator);
    stage::cast(&town)?;
    town.runbook(RUNBOOKS)?;
    let delete = ["create", "role", "deletes", "--verb=delete,get", "--resource=runbookruns.firstaid.dev"];
    town.kubectl("root", &delete)?.ok()?;
    town.kubectl(
        "root",
        &["create", "rolebinding", "deletes", "--role=deletes", "--serviceaccount=firstaid-system:firstaid"],
    )?
    .ok()?;

    let scene = Scene::begin(town)?;
    let large = format!("{}x: true\n", "y: true # kept\n".repeat(60_000));
    let map =
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "large"}, "data": {"flags.yaml": large}});
    scene.file("large.json", &map)?;
    // Not applied: kubectl would keep a second copy of it in an annotation, for which there is no room.
    scene.shell("root", "kubectl create -f large.json")?.ok()?;
    for (name, runbook, parameters) in [
        ("of-large", "large", json!({})),
        ("of-on-clusterrole", "on-clusterrole", json!({})),
        ("with-quotes", "named", json!({"service": "\"}},\"x\":{\""})),
        ("with-command", "named", json!({"service": "$(id)"})),
        ("with-template", "named", json!({"service": "{{ .Values }}"})),
        ("with-field", "named", json!({"pods": "7, \"paused\": true"})),
    ] {
        let mut asked = run(leg, runbook, name, "alice");
        asked["spec"]["parameters"] = parameters;
        scene.file(&format!("run-{name}.json"), &asked)?;
    }
    for (name, file, namespace) in [
        (scene.town.namespace.as_str(), "lease.json", scene.town.namespace.as_str()),
        ("firstaid", "lease-in-firstaid-system.json", "firstaid-system"),
    ] {
        scene.file(file, &json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name, "namespace": namespace},
            "spec": {"holderIdentity": "mallory", "leaseDurationSeconds": 3600},
        }))?;
    }
    Ok(scene)
}

/// A run of `room` that waits, with its ballot in the attacker's shell.
pub(super) fn waiting(scene: &mut Scene, name: &str) -> Result<()> {
    waiting_of(scene, "room", name)
}

/// The same of another runbook.
fn waiting_of(scene: &mut Scene, runbook: &str, name: &str) -> Result<()> {
    scene.town.start(runbook, name)?;
    scene.town.wait_phase(name, "Waiting")?;
    let ballot = scene.town.ballot(name)?;
    scene.word("BALLOT", text(&ballot, "/metadata/name"));
    scene.word("CODE", text(&ballot, "/spec/request/code"));
    Ok(())
}

/// A run of `room` that bob has approved, of which the operator does not know yet.
fn approved_unseen(scene: &mut Scene, name: &str) -> Result<()> {
    waiting(scene, name)?;
    scene.town.operator.as_ref().context("an operator")?.signal("STOP")?;
    scene.town.approve("bob", name)
}

/// What was typed while the operator was halted was taken; now it goes on.
fn typed_unseen(scene: &Scene, row: &Row) -> Result<()> {
    scene.shell(row.who, row.call)?.ok()?;
    scene.town.operator.as_ref().context("an operator")?.signal("CONT")
}

pub(super) fn replicas(scene: &Scene) -> Result<i64> {
    Ok(number(&scene.town.get("deployment", "checkout")?, "/spec/replicas"))
}

/// Ends what still waits, and makes checkout what it was.
fn tidy(scene: &Scene, run: &str) -> Result<()> {
    if scene.town.get("rbr", run)?.pointer("/status/finished") != Some(&json!(true)) {
        scene.town.abort(run)?;
    }
    scene.town.kubectl("root", &["scale", "deployment/checkout", "--replicas=4"])?.ok()?;
    scene.town.kubectl("root", &["rollout", "status", "deployment/checkout"])?.ok()?;
    Ok(())
}

/// The second revision of a run's plan, and why there is one. The old vote is worth nothing.
fn planned_anew(scene: &Scene, run: &str) -> Result<String> {
    poll("the old ballot to be set aside", WITHIN, || {
        let old = scene.town.get("apv", &format!("{run}-1"))?;
        ensure!(text(&old, "/status/state") == "Superseded", "it is {}", text(&old, "/status/state"));
        Ok(())
    })?;
    scene.town.ballot(run)?;
    let found = scene.town.wait_phase(run, "Waiting")?;
    ensure!(scene.town.records(run)?.is_empty(), "something was done");
    Ok(text(&found, "/status/plans/0.2/revisedBecause").to_owned())
}

fn in_vain_on_a_waiting_run(scene: &mut Scene, row: &Row) -> Result<Seen> {
    waiting(scene, "heir")?;
    in_vain(scene, row)
}

/// The run of row 12a is approved, deleted and made again: the new one asks anew.
fn nothing_is_inherited(scene: &mut Scene, row: &Row) -> Result<Seen> {
    let because = "this row deletes it, by a right that the operator has from this test alone";
    scene.town.forges(&[Rule::Evidence], "run heir:", because);
    scene.town.operator.as_ref().context("an operator")?.signal("STOP")?;
    scene.town.approve("bob", "heir")?;
    let old = text(&scene.town.get("rbr", "heir")?, "/metadata/uid").to_owned();
    scene.shell(row.who, row.call)?.ok()?;
    scene.town.start("room", "heir")?;
    scene.town.operator.as_ref().context("an operator")?.signal("CONT")?;
    let found = scene.town.wait_phase("heir", "Waiting")?;
    ensure!(text(&found, "/metadata/uid") != old, "it is the old run");
    let asked = scene.town.ballot("heir")?;
    ensure!(text(&asked, "/metadata/name") == "heir-2", "{asked:#}");
    ensure!(text(&asked, "/spec/request/runUID") == text(&found, "/metadata/uid"), "{asked:#}");
    ensure!(replicas(scene)? == 4, "the old vote was counted");
    let waits = text(&found, "/status/waitingOn").split(" since").next().unwrap_or_default().to_owned();
    tidy(scene, "heir")?;
    ensure!(scene.town.records("heir")?.is_empty(), "something was done");
    scene.saw(Operator, &waits)
}

fn the_target_moves(scene: &mut Scene, row: &Row) -> Result<Seen> {
    approved_unseen(scene, "moves")?;
    typed_unseen(scene, row)?;
    let why = planned_anew(scene, "moves")?;
    ensure!(replicas(scene)? == 9, "the operator wrote");
    tidy(scene, "moves")?;
    scene.saw(Operator, &why)
}

/// The deed is not taken for done, and it is not done: nobody knows who has done what.
fn the_token_is_planted(scene: &mut Scene, row: &Row) -> Result<Seen> {
    waiting(scene, "planted")?;
    let run = scene.town.get("rbr", "planted")?;
    scene.word("TOKEN", text(&run, "/status/plans/0.1/steps/0/token"));
    scene.shell(row.who, row.call)?.ok()?;
    scene.town.approve("bob", "planted")?;
    let asked = scene.town.wait_phase("planted", "NeedsHuman")?;
    ensure!(replicas(scene)? == 4, "the operator wrote");
    ensure!(scene.town.records("planted")?.is_empty(), "it is on record as done");
    tidy(scene, "planted")?;
    scene.saw(Operator, text(&asked, "/status/waitingOn"))
}

/// What was approved is done, and not what the runbook says now.
fn the_runbook_changes(scene: &mut Scene, row: &Row) -> Result<Seen> {
    approved_unseen(scene, "frozen")?;
    typed_unseen(scene, row)?;
    scene.town.wait_phase("frozen", "Succeeded")?;
    ensure!(replicas(scene)? == 7, "it is {}", replicas(scene)?);
    let done = text(&scene.town.only_record("frozen")?, "/spec/summary").to_owned();
    tidy(scene, "frozen")?;
    scene.town.runbook(RUNBOOKS)?;
    scene.saw(Operator, &done)
}

/// Where the cluster has stamped the voter's groups, the right is asked for again right before the act. Where names are
/// typed the groups are not known, so that nobody can ask, and the vote counts.
fn the_right_is_lost(scene: &mut Scene, row: &Row) -> Result<Seen> {
    let binding =
        scene.town.kubectl("root", &["get", "rolebinding", "firstaid-approver-as-sre", "-o", "json"])?.ok()?;
    approved_unseen(scene, "lost")?;
    typed_unseen(scene, row)?;
    let seen = if scene.town.leg == Leg::Stamping {
        let why = planned_anew(scene, "lost")?;
        ensure!(replicas(scene)? == 4, "the operator wrote");
        scene.saw(Operator, &why)?
    } else {
        scene.town.wait_phase("lost", "Succeeded")?;
        let record = scene.town.only_record("lost")?;
        scene.saw(Nobody, text(&record, "/spec/approvedBy"))?
    };
    tidy(scene, "lost")?;
    let mut binding: Value = serde_json::from_str(&binding)?;
    let metadata = binding.pointer_mut("/metadata").and_then(Value::as_object_mut).context("metadata")?;
    metadata.retain(|key, _| key == "name" || key == "namespace");
    scene.town.apply("root", &binding.to_string())?;
    poll("the role to be in force again", WITHIN, || {
        let may = ["auth", "can-i", "approve", "runbooks.firstaid.dev/room", "--subresource=as-sre"];
        scene.town.kubectl("bob", &may)?.ok()
    })?;
    Ok(seen)
}

fn stopped_unseen(scene: &mut Scene, row: &Row) -> Result<Seen> {
    approved_unseen(scene, "stopped")?;
    typed_unseen(scene, row)?;
    let ended = scene.town.wait_phase("stopped", "Aborted")?;
    ensure!(replicas(scene)? == 4 && scene.town.records("stopped")?.is_empty(), "the operator wrote");
    let message = text(&ended, "/status/message").replace(" by alice", "");
    scene.saw(Operator, &message)
}

/// It counts, and its record lacks the credential id that a vote of one's own has; who it really was stands in the audit log.
fn an_impersonated_vote(scene: &mut Scene, row: &Row) -> Result<Seen> {
    waiting(scene, "impersonated")?;
    let seen = scene.types(row)?;
    scene.town.wait_phase("impersonated", "Succeeded")?;
    let record = scene.town.only_record("impersonated")?;
    ensure!(text(&record, "/spec/approvals/0/by") == "zoe", "{record:#}");
    ensure!(record.pointer("/spec/approvals/0/credentialID").is_none(), "{record:#}");
    poll("the vote to be in the audit log", WITHIN, || {
        let by_helpdesk = scene.requests()?.into_iter().any(|entry| {
            text(&entry, "/user/username") == "helpdesk"
                && text(&entry, "/impersonatedUser/username") == "zoe"
                && text(&entry, "/annotations/firstaid-ballot~1vote").contains("by=zoe")
        });
        ensure!(by_helpdesk, "it is not there");
        Ok(())
    })?;
    tidy(scene, "impersonated")?;
    Ok(seen)
}

/// The run ends Failed before anybody is asked, and says why.
fn the_run_says_why(scene: &mut Scene, row: &Row) -> Result<Seen> {
    let created = scene.types(row)?;
    let name = created.raw.split(['/', ' ']).nth(1).unwrap_or_default().to_owned();
    let why = scene.town.failed(&name)?;
    ensure!(!scene.town.list("apv")?.iter().any(|b| text(b, "/spec/request/run") == name), "somebody was asked");
    scene.saw(Operator, &why)
}

/// It is taken, and another run goes its way all the same.
fn another_run_goes_on(scene: &mut Scene, row: &Row) -> Result<Seen> {
    let seen = scene.types(row)?;
    let name = format!("after-{}", row.id);
    scene.town.start("agents", &name)?;
    scene.town.wait_phase(&name, "Waiting")?;
    scene.town.approved(&name)?;
    Ok(seen)
}

/// A policy of somebody else's, bound to this namespace alone, that says that carol votes.
fn hostile(namespace: &str) -> String {
    format!(
        "
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {{name: hostile-{namespace}}}
spec:
  failurePolicy: Ignore
  reinvocationPolicy: IfNeeded
  matchConstraints:
    resourceRules: [{{apiGroups: [firstaid.dev], apiVersions: [v1alpha1], operations: [UPDATE], resources: [approvals]}}]
  mutations:
  - patchType: JSONPatch
    jsonPatch: {{expression: \"[JSONPatch{{op: 'add', path: '/metadata/annotations/by', value: 'carol'}}]\"}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {{name: hostile-{namespace}}}
spec:
  policyName: hostile-{namespace}
  matchResources: {{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {namespace}}}}}}}
"
    )
}

fn under_a_hostile_policy(scene: &mut Scene, row: &Row) -> Result<Seen> {
    waiting(scene, "hostile")?;
    let policy = hostile(&scene.town.namespace);
    scene.town.sandbox.apply_yaml("root", &policy)?;
    poll("the hostile policy to be in force", WITHIN, || {
        let rehearsed = scene.shell(row.who, &format!("{} --dry-run=server", row.call))?;
        ensure!(rehearsed.stderr.contains("you are bob"), "{} {}", rehearsed.stdout, rehearsed.stderr);
        Ok(())
    })?;
    let seen = in_vain(scene, row)?;
    scene.town.sandbox.kubectl_input("root", &["delete", "-f", "-"], &policy)?.ok()?;
    tidy(scene, "hostile")?;
    Ok(seen)
}

fn at_a_strict_gate(scene: &mut Scene, row: &Row) -> Result<Seen> {
    waiting_of(scene, "strict", "strict")?;
    let seen = in_vain(scene, row)?;
    tidy(scene, "strict")?;
    Ok(seen)
}
