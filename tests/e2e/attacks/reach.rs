//! Runs, runbooks and the operator's identity: to stop or start without the right, to widen what a runbook may do, to use
//! the operator's power. To tell of alerts. And what is not there at all: no step takes an address.

use anyhow::{Result, ensure};
use firstaid_sandbox::poll;
use serde_json::json;

use super::By::{ApiServer, Dropped, Kind, Nobody, Operator, Policy, Rbac};
use super::Sees::{Both, Each};
use super::{Row, Scene, Seen, in_vain};
use crate::town::{Leg, WITHIN, text};

const RUN: super::By = Policy("firstaid-run");
const RUNBOOK: super::By = Policy("firstaid-runbook");
const HOME: super::By = Policy("firstaid-home");

pub const ROWS: &[Row] = &[
    Row {
        id: "20a",
        title: "to stop a run without the right",
        who: "clerk",
        call: r#"kubectl annotate rbr room-1 abort="wrong service""#,
        sees: Both(
            RUN,
            "you may not abort runs of room; ask somebody who may, or for the role firstaid-requester in NAMESPACE",
        ),
        play: in_vain,
    },
    Row {
        id: "20b",
        title: "to stop a run in the old form, a label",
        who: "clerk",
        call: "kubectl label rbr room-1 abort=yes",
        sees: Both(RUN, "the labels of a run are fixed"),
        play: in_vain,
    },
    Row {
        id: "20c",
        title: "to stop a run in the old form, a field",
        who: "clerk",
        call: r#"kubectl patch rbr room-1 --type=merge -p '{"spec":{"abort":true}}'"#,
        sees: Both(Dropped, r#"Warning: unknown field "spec.abort""#),
        play: in_vain,
    },
    Row {
        id: "20d",
        title: "to take a stop back",
        who: "alice",
        call: "kubectl annotate rbr stopped abort-",
        sees: Both(
            RUN,
            "what was said about a run stays: it is already told to stop; see how it stands: kubectl get rbr -n NAMESPACE stopped",
        ),
        play: in_vain,
    },
    Row {
        id: "20e",
        title: "to stop a run in the name of somebody else",
        who: "bob",
        call: r#"kubectl annotate rbr room-1 abort="wrong service" abort-by=carol"#,
        sees: Both(RUN, "you are bob; leave abort-by and settle-by out"),
        play: in_vain,
    },
    Row {
        id: "20f",
        title: "to start a run without the right",
        who: "clerk",
        call: "kubectl create -f run.json",
        sees: Both(
            RUN,
            "you may not run runbook room; ask somebody who may, or for the role firstaid-requester in NAMESPACE",
        ),
        play: in_vain,
    },
    Row {
        id: "31a",
        title: "to use the operator's own rights on a workload: it has none",
        who: "operator",
        call: "kubectl get deployment checkout",
        sees: Both(
            Rbac,
            r#"User "system:serviceaccount:firstaid-system:firstaid" cannot get resource "deployments" in API group "apps" in the namespace "NAMESPACE""#,
        ),
        play: in_vain,
    },
    Row {
        id: "31b",
        title: "to use the operator's own rights on a workload: it has none",
        who: "operator",
        call: "kubectl delete deployment checkout",
        sees: Both(
            Rbac,
            r#"User "system:serviceaccount:firstaid-system:firstaid" cannot delete resource "deployments" in API group "apps" in the namespace "NAMESPACE""#,
        ),
        play: in_vain,
    },
    Row {
        id: "31c",
        title: "to use the operator's own rights on a Secret: it has none",
        who: "operator",
        call: "kubectl get secret till",
        sees: Both(
            Rbac,
            r#"User "system:serviceaccount:firstaid-system:firstaid" cannot get resource "secrets" in API group "" in the namespace "NAMESPACE""#,
        ),
        play: in_vain,
    },
    Row {
        id: "32a",
        title: "to plan ten thousand effects",
        who: "author",
        call: "kubectl create -f runbook-with-10000-steps.json",
        sees: Both(
            Kind,
            "spec.steps: Too many: 10000: must have at most 32 items\nnull: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation",
        ),
        play: in_vain,
    },
    Row {
        id: "32b",
        title: "to fill the store: a runbook of 5 MiB",
        who: "author",
        call: "kubectl create -f runbook-of-5-MiB.json",
        sees: Both(
            ApiServer,
            r#"Error from server (RequestEntityTooLarge): error when creating "runbook-of-5-MiB.json": Request entity too large: limit is 3145728"#,
        ),
        play: in_vain,
    },
    Row {
        id: "33a",
        title: "to act as an account that one may not be",
        who: "author",
        call: "kubectl create -f runbook-as-other.json",
        sees: Both(
            RUNBOOK,
            "you may not act as service account bot, so you may not write a runbook that does; you need the verb impersonate on serviceaccounts/bot in NAMESPACE, or somebody offers it to whoever may write runbooks there: kubectl create rolebinding -n NAMESPACE bot-offered --clusterrole=firstaid-offered --serviceaccount=NAMESPACE:bot",
        ),
        play: in_vain,
    },
    Row {
        id: "33b",
        title: "to act as an account that one may not be",
        who: "author",
        call: r#"kubectl patch rbk room --type=merge -p '{"spec":{"serviceAccountName":"bot"}}'"#,
        sees: Both(
            RUNBOOK,
            "you may not act as service account bot, so you may not write a runbook that does; you need the verb impersonate on serviceaccounts/bot in NAMESPACE, or somebody offers it to whoever may write runbooks there: kubectl create rolebinding -n NAMESPACE bot-offered --clusterrole=firstaid-offered --serviceaccount=NAMESPACE:bot",
        ),
        play: in_vain,
    },
    Row {
        id: "33c",
        title: "to bring one's own steps along with a run",
        who: "alice",
        call: "kubectl create -f run-with-steps.json",
        sees: Both(
            ApiServer,
            r#"Error from server (BadRequest): error when creating "run-with-steps.json": RunbookRun in version "v1alpha1" cannot be handled as a RunbookRun: strict decoding error: unknown field "spec.steps[0].gate", unknown field "spec.steps[0].name", unknown field "spec.steps[0].scale""#,
        ),
        play: in_vain,
    },
    Row {
        id: "33d",
        title: "to bring one's own steps along with a run, with a client that does not ask for strictness",
        who: "alice",
        call: "kubectl create --validate=warn --dry-run=server -f run-with-steps.json",
        sees: Both(
            Kind,
            "spec.steps[0]: Invalid value: \"object\": spec.steps[0] in body must be of type string: \"object\"\nnull: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation",
        ),
        play: in_vain,
    },
    Row {
        id: "33e",
        title: "to have an account offered to authors, without holding its rights",
        who: "mallory",
        call: "kubectl create rolebinding bot-offered --clusterrole=firstaid-offered --serviceaccount=$NS:bot",
        sees: Both(
            Rbac,
            r#"User "mallory" cannot create resource "rolebindings" in API group "rbac.authorization.k8s.io" in the namespace "NAMESPACE""#,
        ),
        play: in_vain,
    },
    Row {
        id: "34a",
        title: "to take the gates away",
        who: "writer",
        call: r#"kubectl patch rbk room --type=merge -p '{"spec":{"gates":null}}'"#,
        sees: Both(Kind, "spec: Invalid value: a step names a gate that is not in spec.gates"),
        play: in_vain,
    },
    Row {
        id: "34b",
        title: "to take the gate from a step",
        who: "writer",
        call: r#"kubectl patch rbk room --type=json -p '[{"op":"replace","path":"/spec/steps/0/gate","value":"None"}]'"#,
        sees: Both(
            RUNBOOK,
            "you may not change the gates of a runbook, nor which step has which gate; ask somebody who may, or for the role firstaid-policy-admin in NAMESPACE",
        ),
        play: in_vain,
    },
    Row {
        id: "34c",
        title: "to ask another role",
        who: "writer",
        call: r#"kubectl patch rbk room --type=json -p '[{"op":"replace","path":"/spec/gates/0/requires/0/role","value":"interns"}]'"#,
        sees: Both(
            RUNBOOK,
            "you may not change the gates of a runbook, nor which step has which gate; ask somebody who may, or for the role firstaid-policy-admin in NAMESPACE",
        ),
        play: in_vain,
    },
    Row {
        id: "34d",
        title: "to write a runbook that asks nobody",
        who: "writer",
        call: "kubectl create -f runbook-without-gate.json",
        sees: Both(
            RUNBOOK,
            "step out changes something with gate: None; give it a gate, or ask somebody who has the role firstaid-policy-admin in NAMESPACE to apply this runbook",
        ),
        play: in_vain,
    },
    Row {
        id: "34e",
        title: "to take the gates away in the old form",
        who: "writer",
        call: r#"kubectl patch rbk room --type=merge -p '{"spec":{"approval":null}}'"#,
        sees: Both(Nobody, "runbook.firstaid.dev/room patched (no change)"),
        play: in_vain,
    },
    Row {
        id: "34f",
        title: "to set other gates by making a runbook anew",
        who: "writer",
        call: "kubectl create -f runbook-with-a-gate.json",
        sees: Both(
            RUNBOOK,
            "you may not make a runbook with gates, since making one anew would change them; ask somebody who may, or for the role firstaid-policy-admin in NAMESPACE",
        ),
        play: in_vain,
    },
    Row {
        id: "35a",
        title: "to get the operator's token",
        who: "root",
        call: "kubectl create token firstaid -n firstaid-system",
        sees: Both(
            Policy("firstaid-token"),
            "tokens of first-aid are issued to the kubelet of its pod only; act as yourself",
        ),
        play: in_vain,
    },
    Row {
        id: "35b",
        title: "to get the operator's token as a Secret",
        who: "root",
        call: "kubectl create -f token-secret.json",
        sees: Both(HOME, "no long-lived tokens in the namespace of first-aid"),
        play: in_vain,
    },
    Row {
        id: "35c",
        title: "to run a pod that has the operator's token",
        who: "root",
        call: r#"kubectl run mine -n firstaid-system --image=mine --overrides='{"spec":{"serviceAccountName":"firstaid"}}'"#,
        sees: Both(
            HOME,
            "only the Deployment of first-aid runs as system:serviceaccount:firstaid-system:firstaid; give the pod another service account",
        ),
        play: in_vain,
    },
    Row {
        id: "35d",
        title: "to read the operator's token inside its pod",
        who: "mallory",
        call: "kubectl exec -n firstaid-system beside -- cat /var/run/secrets/kubernetes.io/serviceaccount/token",
        sees: Both(
            HOME,
            "nobody runs a command in a pod of the namespace of first-aid; read its logs instead (kubectl logs), or ask somebody who has the cluster-wide role firstaid-maintainer",
        ),
        play: as_an_editor_at_home,
    },
    Row {
        id: "35e",
        title: "to have a Job run as the operator",
        who: "mallory",
        call: r#"kubectl create job mine -n firstaid-system --image=mine --dry-run=client -o json | kubectl patch --local -f - --type=merge -p '{"spec":{"template":{"spec":{"serviceAccountName":"firstaid"}}}}' -o json | kubectl create -n firstaid-system -f -"#,
        sees: Both(
            HOME,
            "you may not change what runs as system:serviceaccount:firstaid-system:firstaid; whoever upgrades first-aid needs the cluster-wide role firstaid-maintainer",
        ),
        play: as_an_editor_at_home,
    },
    Row {
        id: "44c",
        title: "to forge since when the policies are in force",
        who: "mallory",
        call: r#"kubectl annotate lease firstaid-guards -n firstaid-system --overwrite firstaid.dev/guards='{}'"#,
        sees: Both(HOME, "leases that start with firstaid are first-aid's own; name yours otherwise"),
        play: as_an_editor_at_home,
    },
    Row {
        id: "44d",
        title: "to have it forgotten since when they are",
        who: "mallory",
        call: "kubectl delete lease firstaid-guards -n firstaid-system",
        sees: Both(HOME, "leases that start with firstaid are first-aid's own; name yours otherwise"),
        play: as_an_editor_at_home,
    },
    Row {
        id: "36a",
        title: "with the operator's token: to be another account of the namespace",
        who: "operator",
        call: "kubectl --as=system:serviceaccount:$NS:bot get deployment checkout",
        sees: Each(
            (
                Rbac,
                r#"User "system:serviceaccount:firstaid-system:firstaid" cannot impersonate:serviceaccount resource "serviceaccounts" in API group "authentication.k8s.io" in the namespace "NAMESPACE""#,
            ),
            (
                Rbac,
                r#"User "system:serviceaccount:firstaid-system:firstaid" cannot impersonate resource "serviceaccounts" in API group "" in the namespace "NAMESPACE""#,
            ),
        ),
        play: in_vain,
    },
    Row {
        id: "36b",
        title: "with the operator's token: to be a controller of the control plane",
        who: "operator",
        call: "kubectl --as=system:serviceaccount:kube-system:clusterrole-aggregation-controller get deployment checkout",
        sees: Each(
            (
                Rbac,
                r#"User "system:serviceaccount:firstaid-system:firstaid" cannot impersonate:serviceaccount resource "serviceaccounts" in API group "authentication.k8s.io" in the namespace "kube-system""#,
            ),
            (
                Rbac,
                r#"User "system:serviceaccount:firstaid-system:firstaid" cannot impersonate resource "serviceaccounts" in API group "" in the namespace "kube-system""#,
            ),
        ),
        play: in_vain,
    },
    Row {
        id: "36c",
        title: "with the operator's token: to be a cluster administrator",
        who: "operator",
        call: "kubectl --as=alice --as-group=system:masters get deployment checkout",
        sees: Each(
            (
                Rbac,
                r#"User "system:serviceaccount:firstaid-system:firstaid" cannot impersonate-on:user-info:get resource "deployments" in API group "apps" in the namespace "NAMESPACE""#,
            ),
            (
                Rbac,
                r#"User "system:serviceaccount:firstaid-system:firstaid" cannot impersonate resource "users" in API group "" at the cluster scope"#,
            ),
        ),
        play: in_vain,
    },
    Row {
        id: "36d",
        title: "with the operator's token: to be the same account with one more group",
        who: "operator",
        call: "kubectl --as=system:serviceaccount:$NS:firstaid --as-group=system:masters get deployment checkout",
        sees: Each(
            (
                Rbac,
                r#"User "system:serviceaccount:firstaid-system:firstaid" cannot impersonate resource "serviceaccounts" in API group "" in the namespace "NAMESPACE""#,
            ),
            (
                Rbac,
                r#"User "system:serviceaccount:firstaid-system:firstaid" cannot impersonate resource "groups" in API group "" at the cluster scope"#,
            ),
        ),
        play: in_vain,
    },
    Row {
        id: "37",
        title: "with the operator's token: to read a Secret as the runbook's account, which may read it (not stamped: this cluster has no constrained impersonation)",
        who: "operator",
        call: "kubectl --as=system:serviceaccount:$NS:firstaid get secret till -o name",
        sees: Each(
            (
                Rbac,
                r#"User "system:serviceaccount:firstaid-system:firstaid" cannot impersonate-on:serviceaccount:get resource "secrets" in API group "" in the namespace "NAMESPACE""#,
            ),
            (Nobody, "secret/till"),
        ),
        play: in_vain,
    },
    Row {
        id: "38a",
        title: "to reach into another namespace",
        who: "author",
        call: "kubectl create -f runbook-elsewhere.json",
        sees: Both(
            ApiServer,
            r#"Error from server (BadRequest): error when creating "runbook-elsewhere.json": Runbook in version "v1alpha1" cannot be handled as a Runbook: strict decoding error: unknown field "spec.steps[0].scale.target.namespace""#,
        ),
        play: in_vain,
    },
    Row {
        id: "38b",
        title: "to reach into another namespace, with a client that does not ask for strictness",
        who: "author",
        call: "kubectl create --validate=warn --dry-run=server -f runbook-elsewhere.json",
        sees: Both(Dropped, r#"Warning: unknown field "spec.steps[0].scale.target.namespace""#),
        play: in_vain,
    },
    Row {
        id: "38c",
        title: "with the operator's token: to be the runbook's account in another namespace",
        who: "operator",
        call: "kubectl --as=system:serviceaccount:$NS:firstaid -n default get deployment checkout",
        sees: Each(
            (
                Rbac,
                r#"User "system:serviceaccount:firstaid-system:firstaid" cannot impersonate-on:serviceaccount:get resource "deployments" in API group "apps" in the namespace "default""#,
            ),
            (
                Rbac,
                r#"User "system:serviceaccount:NAMESPACE:firstaid" cannot get resource "deployments" in API group "apps" in the namespace "default""#,
            ),
        ),
        play: in_vain,
    },
    Row {
        id: "41a",
        title: "to make the operator call an address",
        who: "author",
        call: "kubectl create -f runbook-with-url.json",
        sees: Both(
            ApiServer,
            r#"Error from server (BadRequest): error when creating "runbook-with-url.json": Runbook in version "v1alpha1" cannot be handled as a Runbook: strict decoding error: unknown field "spec.steps[0].disable.url""#,
        ),
        play: in_vain,
    },
    Row {
        id: "41b",
        title: "to make the operator call an address, with a client that does not ask for strictness",
        who: "author",
        call: "kubectl create --validate=warn -f runbook-with-url.json",
        sees: Both(Kind, "spec.steps[0].disable: Invalid value: disable needs exactly one of configMap, featureFlag"),
        play: in_vain,
    },
    Row {
        id: "42a",
        title: "to tell of an alert without a token",
        who: "mallory",
        call: r#"curl -s -o answer -w 'HTTP %{http_code}\n' -d @event.json http://$OPERATOR/alerts/$NS"#,
        sees: Both(Operator, "HTTP 401"),
        play: in_vain,
    },
    Row {
        id: "42b",
        title: "to tell of an alert with a token that was made for the API server",
        who: "mallory",
        call: r#"curl -s -o answer -w 'HTTP %{http_code}\n' -H "Authorization: Bearer $(kubectl create token bot)" -d @event.json http://$OPERATOR/alerts/$NS"#,
        sees: Both(Operator, "HTTP 401"),
        play: in_vain,
    },
    Row {
        id: "42c",
        title: "to tell of an alert with a token for somebody else",
        who: "mallory",
        call: r#"curl -s -o answer -w 'HTTP %{http_code}\n' -H "Authorization: Bearer $(kubectl create token bot --audience=elsewhere)" -d @event.json http://$OPERATOR/alerts/$NS"#,
        sees: Both(Operator, "HTTP 401"),
        play: in_vain,
    },
    Row {
        id: "42d",
        title: "to tell of an alert with a token for First Aid, and without the right",
        who: "mallory",
        call: r#"curl -s -o answer -w 'HTTP %{http_code}\n' -H "Authorization: Bearer $(kubectl create token default --audience=firstaid)" -d @event.json http://$OPERATOR/alerts/$NS"#,
        sees: Both(Operator, "HTTP 403"),
        play: in_vain,
    },
    Row {
        id: "43",
        title: "to tell of a thousand alerts",
        who: "mallory",
        call: r#"curl -s -o answer -w 'HTTP %{http_code}\n' -d @event.json "http://$OPERATOR/alerts/$NS?n=[1-1000]" | sort | uniq -c"#,
        sees: Both(Operator, "1000 HTTP 401"),
        play: in_vain,
    },
    Row {
        id: "45a",
        title: "to make the operator stumble over an odd runbook",
        who: "mallory",
        call: "kubectl create -f odd-runbook.json",
        sees: Both(
            Kind,
            "spec.summary: Too long: may not be more than 200 bytes\nnull: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation",
        ),
        play: in_vain,
    },
    Row {
        id: "49a",
        title: "to slip out of a policy by a label of the namespace",
        who: "mallory",
        call: "kubectl label ns $NS kubernetes.io/metadata.name=elsewhere --overwrite",
        sees: Both(
            Rbac,
            r#"User "mallory" cannot patch resource "namespaces" in API group "" in the namespace "NAMESPACE""#,
        ),
        play: in_vain,
    },
    Row {
        id: "49b",
        title: "to slip out of a policy by a label of the namespace: the API server puts it back",
        who: "root",
        call: "kubectl label ns $NS kubernetes.io/metadata.name=elsewhere --overwrite",
        sees: Both(Nobody, "namespace/NAMESPACE labeled"),
        play: the_label_is_put_back,
    },
    Row {
        id: "51a",
        title: "to start a run in somebody else's name: where the cluster stamps, alice stands there",
        who: "alice",
        call: "kubectl create -f run-as-bob.json",
        sees: Each(
            (Nobody, "runbookrun.firstaid.dev/as-bob created"),
            (RUN, "you are alice: write requestedBy: {username: alice} in the spec of the run"),
        ),
        play: the_run_is_alices,
    },
    Row {
        id: "51b",
        title: "to start a run as a member of another group: where the cluster stamps, alice's own groups stand there",
        who: "alice",
        call: "kubectl create -f run-in-groups.json",
        sees: Each(
            (Nobody, "runbookrun.firstaid.dev/in-groups created"),
            (RUN, "requestedBy must be you; write the username only"),
        ),
        play: the_run_is_alices,
    },
];

fn the_label_is_put_back(scene: &mut Scene, row: &Row) -> Result<Seen> {
    let seen = in_vain(scene, row)?;
    let label = r"jsonpath={.metadata.labels.kubernetes\.io/metadata\.name}";
    let now = scene.town.kubectl("root", &["get", "ns", &scene.town.namespace, "-o", label])?.ok()?;
    ensure!(now == scene.town.namespace, "the label says {now}");
    Ok(seen)
}

/// Where the cluster stamps, what is claimed is replaced; where not, it is refused.
fn the_run_is_alices(scene: &mut Scene, row: &Row) -> Result<Seen> {
    if scene.town.leg == Leg::Plain {
        return in_vain(scene, row);
    }
    let seen = scene.types(row)?;
    let name = seen.raw.split(['/', ' ']).nth(1).unwrap_or_default().to_owned();
    let run = scene.town.wait_phase(&name, "Waiting")?;
    ensure!(text(&run, "/spec/requestedBy/username") == "alice", "{run:#}");
    ensure!(run.pointer("/spec/requestedBy/groups") == Some(&json!(["sre", "system:authenticated"])), "{run:#}");
    scene.town.ballot(&name)?;
    Ok(seen)
}

/// Somebody who has the built-in `edit` where the operator lives, and a pod there.
fn as_an_editor_at_home(scene: &mut Scene, row: &Row) -> Result<Seen> {
    let root = |args: &[&str]| scene.town.sandbox.kubectl_run("root", args);
    // Both may be there already: other tests share the API server.
    root(&["create", "rolebinding", "mallory-edits", "-n", "firstaid-system", "--clusterrole=edit", "--user=mallory"])?;
    root(&["run", "beside", "-n", "firstaid-system", "--image=beside"])?;
    poll("mallory to have edit there, and the pod to have a node", WITHIN, || {
        let may = ["auth", "can-i", "create", "pods/exec", "-n", "firstaid-system"];
        scene.town.sandbox.kubectl_run("mallory", &may)?.ok()?;
        let pod = root(&["get", "pod", "beside", "-n", "firstaid-system", "-o", "jsonpath={.spec.nodeName}"])?.ok()?;
        ensure!(!pod.is_empty(), "it has no node");
        Ok(())
    })?;
    in_vain(scene, row)
}
