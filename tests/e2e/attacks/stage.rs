//! The town in which most attacks are tried: runs that wait, have ended or were stopped, their ballots and a record, and
//! people who have more than the sandbox's own: see [`CAST`].

use anyhow::{Context, Result, ensure};
use firstaid_sandbox::poll;
use serde_json::{Value, json};

use super::Scene;
use crate::refusal::{copied, robot, run};
use crate::town::{Leg, Town, WITHIN, text};

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
metadata: {name: two-people}
spec:
  summary: More pods of the ledger, if two people say so
  gates: [{name: both, requires: [{role: sre, count: 2}], selfApproval: Never}]
  steps:
  - {name: grow, gate: both, scale: {target: {kind: StatefulSet, name: ledger}, replicas: 3}}
---
apiVersion: firstaid.dev/v1alpha1
kind: Runbook
metadata: {name: spare-room}
spec:
  summary: More pods of spare
  gates: [{name: on-call, requires: [{role: sre}], selfApproval: Never}]
  steps:
  - {name: grow, gate: on-call, scale: {target: {kind: Deployment, name: spare}, replicas: 2}}
---
apiVersion: firstaid.dev/v1alpha1
kind: Runbook
metadata: {name: again}
spec:
  summary: New agents
  gates: [{name: quick, requires: [{role: sre}], validFor: 4s, timeout: 8s, selfApproval: Never}]
  steps:
  - {name: restart, gate: quick, restart: {target: {kind: DaemonSet, name: agent}}}
---
apiVersion: firstaid.dev/v1alpha1
kind: Runbook
metadata: {name: spare-more}
spec:
  summary: One more pod of spare
  gates: [{name: on-call, requires: [{role: sre}], selfApproval: Never}]
  steps:
  - {name: more, gate: on-call, scale: {target: {kind: Deployment, name: spare}, by: 1}}
";

const SPARE: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: spare}
spec:
  replicas: 1
  selector: {matchLabels: {app: spare}}
  template:
    metadata: {labels: {app: spare}}
    spec: {containers: [{name: spare, image: shop/spare:1}]}
---
apiVersion: v1
kind: Secret
metadata: {name: till}
stringData: {key: secret}
";

/// Who has which roles in the namespace, beside the sandbox's people. ClusterRoles of the chart and built-in ones.
const CAST: &[(&str, &[&str])] = &[
    // All that the chart gives to people on call, except the role as which one approves.
    ("eve", &["firstaid-viewer", "firstaid-requester", "firstaid-approver", "edit"]),
    // Writes runbooks, may not change gates.
    ("writer", &["firstaid-author", "view"]),
    // May write on runs; holds none of our own verbs.
    ("clerk", &["view", "firstaid-viewer"]),
    // Every verb on everything of our group, by wildcards.
    ("boss", &[]),
    // May impersonate users and groups. Two of them: the API server remembers in which way one did so last, and words its
    // refusals by that.
    ("helpdesk", &[]),
    ("forger", &[]),
    // May break the glass, and approve.
    ("commander", &["firstaid-incident-commander", "firstaid-approver", "firstaid-approver-as-sre"]),
    // Every verb on the cluster's kinds.
    ("kinds-admin", &[]),
];

/// Roles of their own: who, whether for the whole cluster, and the rule.
fn own_roles() -> Vec<(&'static str, bool, Value)> {
    let act = json!({"apiGroups": [""], "resources": ["serviceaccounts"], "resourceNames": ["firstaid"], "verbs": ["impersonate"]});
    vec![
        ("writer", false, act),
        (
            "clerk",
            false,
            json!({"apiGroups": ["firstaid.dev"], "resources": ["runbookruns"], "verbs": ["create", "patch"]}),
        ),
        ("boss", false, json!({"apiGroups": ["firstaid.dev"], "resources": ["*"], "verbs": ["*"]})),
        ("helpdesk", true, json!({"apiGroups": [""], "resources": ["users", "groups"], "verbs": ["impersonate"]})),
        ("forger", true, json!({"apiGroups": [""], "resources": ["users", "groups"], "verbs": ["impersonate"]})),
        (
            "kinds-admin",
            true,
            json!({"apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions"], "verbs": ["*"]}),
        ),
    ]
}

/// Signs the cast in and gives them their roles.
pub fn cast(town: &Town) -> Result<()> {
    let api = "rbac.authorization.k8s.io";
    let mut items = Vec::new();
    for (who, roles) in CAST {
        town.sandbox.sign_in_user(who, None)?;
        for role in *roles {
            items.push(json!({
                "apiVersion": format!("{api}/v1"), "kind": "RoleBinding", "metadata": {"name": format!("{who}-{role}"), "namespace": town.namespace},
                "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": role},
                "subjects": [{"apiGroup": api, "kind": "User", "name": who}],
            }));
        }
    }
    let (ns, account) =
        (&town.namespace, json!([{"kind": "ServiceAccount", "name": "firstaid", "namespace": town.namespace}]));
    // The runbooks' account may read Secrets; the question is whether the operator may, as that account.
    let secrets = json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]});
    for (who, clusterwide, rule) in own_roles().into_iter().chain([("account", false, secrets)]) {
        let (role, binding) = if clusterwide { ("ClusterRole", "ClusterRoleBinding") } else { ("Role", "RoleBinding") };
        let metadata = if clusterwide {
            json!({"name": format!("{who}-{ns}")})
        } else {
            json!({"name": format!("own-{who}"), "namespace": ns})
        };
        let subjects =
            if who == "account" { account.clone() } else { json!([{"apiGroup": api, "kind": "User", "name": who}]) };
        items.push(json!({"apiVersion": format!("{api}/v1"), "kind": role, "metadata": metadata, "rules": [rule]}));
        items.push(json!({
            "apiVersion": format!("{api}/v1"), "kind": binding, "metadata": metadata, "subjects": subjects,
            "roleRef": {"apiGroup": api, "kind": role, "name": metadata["name"]},
        }));
    }
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    town.sandbox.apply_yaml("root", &list.to_string())?;
    Ok(())
}

/// The name by which the API server knows whoever signs in so.
pub fn user(scene: &Scene, who: &str) -> String {
    match who {
        "operator" => "system:serviceaccount:firstaid-system:firstaid".to_owned(),
        "bot" => format!("system:serviceaccount:{}:bot", scene.town.namespace),
        _ => who.to_owned(),
    }
}

fn closed(town: &Town, ballot: &str, state: &str) -> Result<()> {
    poll(&format!("ballot {ballot} {state}"), WITHIN, || {
        let found = town.get("apv", ballot)?;
        ensure!(text(&found, "/status/state") == state, "it is {}", text(&found, "/status/state"));
        Ok(())
    })
}

/// Opens it. From here on nothing of it changes by itself.
pub fn open(leg: Leg) -> Result<Scene> {
    let mut town = Town::empty(leg, "attack")?;
    town.sandbox.open_shop(&town.namespace)?;
    town.start_operator_with(&["--alerts"])?;
    town.apply("root", SPARE)?;
    cast(&town)?;
    robot(&town)?;
    town.runbook(RUNBOOKS)?;
    for (runbook, run) in [
        ("again", "late"),
        ("spare-more", "done"),
        ("room", "room-1"),
        ("room", "denied"),
        ("two-people", "both"),
        ("room", "stopped"),
    ] {
        town.start(runbook, run)?;
    }
    town.wait_phase("done", "Waiting")?;
    town.approve("bob", "done")?;
    town.wait_phase("done", "Succeeded")?;
    town.wait_phase("stopped", "Waiting")?;
    let withdrawn = text(&town.ballot("stopped")?, "/metadata/name").to_owned();
    town.abort("stopped")?;

    // A plan that holds no longer, with a ballot that nobody has marked.
    town.kubectl("root", &["scale", "deployment/spare", "--replicas=1"])?.ok()?;
    town.start("spare-room", "moved")?;
    town.wait_phase("moved", "Waiting")?;
    let superseded = text(&town.ballot("moved")?, "/metadata/name").to_owned();
    town.kubectl("root", &["scale", "deployment/spare", "--replicas=5"])?.ok()?;
    closed(&town, &superseded, "Superseded")?;
    town.ballot("moved")?;
    town.kubectl("root", &["rollout", "status", "deployment/spare"])?.ok()?;

    town.wait_phase("late", "Expired")?;
    closed(&town, "late-1", "Expired")?;
    for run in ["room-1", "denied", "both"] {
        town.wait_phase(run, "Waiting")?;
    }
    let ballots = ["room-1", "denied", "both"].map(|run| town.ballot(run));
    let [ballot, denied, both] = ballots;
    let (ballot, denied, both) = (ballot?, denied?, both?);
    let record = town.records("done")?.into_iter().next().context("a record")?;
    let run_1 = town.get("rbr", "room-1")?;

    let mut scene = Scene::begin(town)?;
    let code = |ballot: &Value| text(ballot, "/spec/request/code").to_owned();
    for (name, value) in [
        ("BALLOT", text(&ballot, "/metadata/name").to_owned()),
        ("CODE", code(&ballot)),
        ("BALLOT_OF_TWO", text(&both, "/metadata/name").to_owned()),
        ("CODE_OF_TWO", code(&both)),
        ("DECIDED", text(&denied, "/metadata/name").to_owned()),
        ("EXPIRED", "late-1".to_owned()),
        ("SUPERSEDED", superseded),
        ("WITHDRAWN", withdrawn),
        ("RECORD", text(&record, "/metadata/name").to_owned()),
    ] {
        scene.word(name, &value);
    }
    files(&scene, &ballot, &record, &run_1)?;
    Ok(scene)
}

/// What attackers bring along; `docs/security.md` says what is in each.
fn files(scene: &Scene, ballot: &Value, record: &Value, waiting: &Value) -> Result<()> {
    scene.file("ballot.json", ballot)?;
    let empty = copied(ballot, "room-1-9")?;
    scene.file("empty-ballot.json", &empty)?;
    let mut forged = empty.clone();
    forged["metadata"]["annotations"] =
        json!({"approve": format!("{} yes", text(ballot, "/spec/request/code")), "by": "bob"});
    scene.file("decided-ballot.json", &forged)?;
    let mut voted = empty;
    voted["spec"]["voter"] = json!({"username": "bob"});
    scene.file("voted-ballot.json", &voted)?;
    scene.file("record.json", &copied(record, "invented")?)?;
    let mut owned = copied(record, "owned")?;
    owned["metadata"]["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": "22222222-2222-4222-8222-222222222222"}]);
    scene.file("owned-record.json", &owned)?;
    let mut as_bob = run(scene.town.leg, "room", "as-bob", "alice");
    as_bob["spec"]["requestedBy"] = json!({"username": "bob", "groups": ["system:masters"]});
    scene.file("run-as-bob.json", &as_bob)?;
    let mut in_groups = run(scene.town.leg, "room", "in-groups", "alice");
    in_groups["spec"]["requestedBy"] = json!({"username": "alice", "groups": ["system:masters"]});
    scene.file("run-in-groups.json", &in_groups)?;
    scene.file("run.json", &run(scene.town.leg, "room", "mine", "clerk"))?;
    let mut own_steps = run(scene.town.leg, "room", "own-steps", "alice");
    own_steps["spec"]["steps"] = json!([{"name": "all", "gate": "None", "scale": {"target": {"kind": "Deployment", "name": "checkout"}, "replicas": 99}}]);
    scene.file("run-with-steps.json", &own_steps)?;
    scene.file(
        "event.json",
        &json!({
            "apiVersion": "v1", "kind": "Event", "metadata": {"name": "approved"}, "reason": "Approved", "type": "Normal",
            "message": "bob approved as sre: queue grows", "source": {"component": "firstaid"}, "reportingComponent": "firstaid",
            "involvedObject": {"apiVersion": "firstaid.dev/v1alpha1", "kind": "RunbookRun", "name": "room-1",
                "namespace": scene.town.namespace, "uid": text(waiting, "/metadata/uid")},
        }),
    )?;
    scene.file(
        "token-secret.json",
        &json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
            "metadata": {"name": "mine", "namespace": "firstaid-system", "annotations": {"kubernetes.io/service-account.name": "firstaid"}},
        }),
    )?;
    let runbook = |name: &str, more: Value, step: Value| {
        let mut runbook = json!({
            "apiVersion": "firstaid.dev/v1alpha1", "kind": "Runbook", "metadata": {"name": name},
            "spec": {"summary": "mine", "gates": [{"name": "on-call", "requires": [{"role": "sre"}]}], "steps": [step]},
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            runbook["spec"][key] = value.clone();
        }
        runbook
    };
    let scale = |target: Value| json!({"name": "out", "gate": "on-call", "scale": {"target": target, "replicas": 7}});
    let checkout = json!({"kind": "Deployment", "name": "checkout"});
    scene.file(
        "runbook-as-other.json",
        &runbook("as-other", json!({"serviceAccountName": "bot"}), scale(checkout.clone())),
    )?;
    scene.file(
        "runbook-elsewhere.json",
        &runbook("elsewhere", json!({}), scale(json!({"kind": "Deployment", "name": "checkout", "namespace": "bank"}))),
    )?;
    scene.file(
        "runbook-with-url.json",
        &runbook(
            "with-url",
            json!({}),
            json!({"name": "off", "gate": "on-call", "disable": {"flag": "x", "url": "http://169.254.169.254/latest"}}),
        ),
    )?;
    let mut free = scale(checkout.clone());
    free["gate"] = json!("None");
    scene.file("runbook-without-gate.json", &runbook("without-gate", json!({"gates": []}), free))?;
    scene.file("runbook-with-a-gate.json", &runbook("with-a-gate", json!({}), scale(checkout.clone())))?;
    let mut many = runbook("many", json!({}), scale(checkout.clone()));
    many["spec"]["steps"] = (0..10_000)
        .map(|n| json!({"name": format!("out-{n}"), "gate": "on-call", "scale": {"target": checkout, "replicas": 7}}))
        .collect();
    scene.file("runbook-with-10000-steps.json", &many)?;
    scene.file(
        "runbook-of-5-MiB.json",
        &runbook("large", json!({"summary": "a".repeat(5 << 20)}), scale(checkout.clone())),
    )?;
    scene.file(
        "odd-runbook.json",
        &runbook(
            "odd",
            json!({"summary": "a".repeat(1 << 20)}),
            scale(json!({"kind": "Deployment", "name": "../../secrets/x"})),
        ),
    )
}
