//! Evidence: to make it go away, to rewrite it, to make it up.

use anyhow::{Result, ensure};

use super::By::{Kind, Nobody, Policy, Rbac};
use super::Sees::Both;
use super::{Row, Scene, Seen, in_vain};
use crate::town::text;

const BALLOT: super::By = Policy("firstaid-ballot");
const EVIDENCE: super::By = Policy("firstaid-evidence");
const RUN: super::By = Policy("firstaid-run");

pub const ROWS: &[Row] = &[
    Row {
        id: "21a",
        title: "to make a ballot go away",
        who: "mallory",
        call: "kubectl delete apv $BALLOT",
        sees: Both(EVIDENCE, "evidence: only first-aid may DELETE approvals; runs, ballots and records stay"),
        play: in_vain,
    },
    Row {
        id: "21b",
        title: "to make a ballot go away",
        who: "root",
        call: "kubectl delete apv $BALLOT",
        sees: Both(EVIDENCE, "evidence: only first-aid may DELETE approvals; runs, ballots and records stay"),
        play: in_vain,
    },
    Row {
        id: "21c",
        title: "to make a ballot go away",
        who: "eve",
        call: "kubectl delete apv $BALLOT",
        sees: Both(
            Rbac,
            r#"User "eve" cannot delete resource "approvals" in API group "firstaid.dev" in the namespace "NAMESPACE""#,
        ),
        play: in_vain,
    },
    Row {
        id: "21d",
        title: "to make a record go away",
        who: "mallory",
        call: "kubectl delete arec $RECORD",
        sees: Both(EVIDENCE, "evidence: only first-aid may DELETE actionrecords; runs, ballots and records stay"),
        play: in_vain,
    },
    Row {
        id: "21e",
        title: "to make a record go away",
        who: "root",
        call: "kubectl delete arec $RECORD",
        sees: Both(EVIDENCE, "evidence: only first-aid may DELETE actionrecords; runs, ballots and records stay"),
        play: in_vain,
    },
    Row {
        id: "21f",
        title: "to make a run go away",
        who: "mallory",
        call: "kubectl delete rbr done",
        sees: Both(EVIDENCE, "evidence: only first-aid may DELETE runbookruns; runs, ballots and records stay"),
        play: in_vain,
    },
    Row {
        id: "21g",
        title: "to make a run go away",
        who: "root",
        call: "kubectl delete rbr done",
        sees: Both(EVIDENCE, "evidence: only first-aid may DELETE runbookruns; runs, ballots and records stay"),
        play: in_vain,
    },
    Row {
        id: "22a",
        title: "to make all ballots go away",
        who: "mallory",
        call: "kubectl delete apv --all",
        sees: Both(EVIDENCE, "evidence: only first-aid may DELETE approvals; runs, ballots and records stay"),
        play: in_vain,
    },
    Row {
        id: "22b",
        title: "to make all ballots go away, in one request",
        who: "mallory",
        call: "kubectl delete --raw /apis/firstaid.dev/v1alpha1/namespaces/$NS/approvals",
        sees: Both(EVIDENCE, "evidence: only first-aid may DELETE approvals; runs, ballots and records stay"),
        play: in_vain,
    },
    Row {
        id: "22c",
        title: "to make all records go away, in one request",
        who: "root",
        call: "kubectl delete --raw /apis/firstaid.dev/v1alpha1/namespaces/$NS/actionrecords",
        sees: Both(EVIDENCE, "evidence: only first-aid may DELETE actionrecords; runs, ballots and records stay"),
        play: in_vain,
    },
    Row {
        id: "22d",
        title: "to make all ballots go away",
        who: "eve",
        call: "kubectl delete --raw /apis/firstaid.dev/v1alpha1/namespaces/$NS/approvals",
        sees: Both(
            Rbac,
            r#"User "eve" cannot deletecollection resource "approvals" in API group "firstaid.dev" in the namespace "NAMESPACE""#,
        ),
        play: in_vain,
    },
    Row {
        id: "23a",
        title: "to have a ballot collected as garbage",
        who: "eve",
        call: r#"kubectl patch apv $BALLOT --type=merge -p '{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"gone","uid":"22222222-2222-4222-8222-222222222222"}]}}'"#,
        sees: Both(BALLOT, "a ballot has no owner and no finalizer, and never gets one"),
        play: in_vain,
    },
    Row {
        id: "23b",
        title: "to have a run collected as garbage",
        who: "mallory",
        call: r#"kubectl patch rbr room-1 --type=merge -p '{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"gone","uid":"22222222-2222-4222-8222-222222222222"}]}}'"#,
        sees: Both(RUN, "a run has no owner and no finalizer, and never gets one"),
        play: in_vain,
    },
    Row {
        id: "23c",
        title: "to have a record collected as garbage",
        who: "mallory",
        call: r#"kubectl patch arec $RECORD --type=merge -p '{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"gone","uid":"22222222-2222-4222-8222-222222222222"}]}}'"#,
        sees: Both(
            EVIDENCE,
            "evidence: only first-aid may UPDATE actionrecords; people annotate ballots (approve, deny) and runs (abort, settle)",
        ),
        play: in_vain,
    },
    Row {
        id: "23d",
        title: "to have a record collected as garbage",
        who: "operator",
        call: r#"kubectl patch arec $RECORD --type=merge -p '{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"gone","uid":"22222222-2222-4222-8222-222222222222"}]}}'"#,
        sees: Both(EVIDENCE, "a record has no owner and no finalizer, and never gets one"),
        play: in_vain,
    },
    Row {
        id: "23e",
        title: "to make a record that will be collected as garbage",
        who: "operator",
        call: "kubectl create -f owned-record.json",
        sees: Both(EVIDENCE, "a record has no owner and no finalizer, and never gets one"),
        play: in_vain,
    },
    Row {
        id: "24a",
        title: "to hold a ballot by a finalizer",
        who: "mallory",
        call: r#"kubectl patch apv $BALLOT --type=merge -p '{"metadata":{"finalizers":["x.example/hold"]}}'"#,
        sees: Both(BALLOT, "a ballot has no owner and no finalizer, and never gets one"),
        play: in_vain,
    },
    Row {
        id: "24b",
        title: "to hold a run by a finalizer",
        who: "eve",
        call: r#"kubectl patch rbr room-1 --type=merge -p '{"metadata":{"finalizers":["x.example/hold"]}}'"#,
        sees: Both(RUN, "a run has no owner and no finalizer, and never gets one"),
        play: in_vain,
    },
    Row {
        id: "24c",
        title: "to hold a record by a finalizer",
        who: "operator",
        call: r#"kubectl patch arec $RECORD --type=merge -p '{"metadata":{"finalizers":["x.example/hold"]}}'"#,
        sees: Both(EVIDENCE, "a record has no owner and no finalizer, and never gets one"),
        play: in_vain,
    },
    Row {
        id: "25",
        title: "to make everything go away with the namespace",
        who: "root",
        call: "kubectl delete ns $NS",
        sees: Both(
            Policy("firstaid-namespace"),
            "namespace NAMESPACE holds first-aid records; keep a copy of them (kubectl get rbr,apv,arec -n NAMESPACE -o json), then: kubectl label ns NAMESPACE firstaid.dev/evidence=exported --overwrite",
        ),
        play: with_a_namespace_that_holds_evidence,
    },
    Row {
        id: "26a",
        title: "to take the kinds away, and every object with them",
        who: "kinds-admin",
        call: "kubectl delete crd actionrecords.firstaid.dev",
        sees: Both(
            Policy("firstaid-crds"),
            "you may not change or remove the kinds of first-aid; whoever upgrades it needs the cluster-wide role firstaid-maintainer",
        ),
        play: in_vain,
    },
    Row {
        id: "26b",
        title: "to take the rules of a kind away",
        who: "kinds-admin",
        call: r#"kubectl patch crd actionrecords.firstaid.dev --type=json -p '[{"op":"remove","path":"/spec/versions/0/schema/openAPIV3Schema/x-kubernetes-validations"}]'"#,
        sees: Both(
            Policy("firstaid-crds"),
            "you may not change or remove the kinds of first-aid; whoever upgrades it needs the cluster-wide role firstaid-maintainer",
        ),
        play: in_vain,
    },
    Row {
        id: "26c",
        title: "to take the kinds away as a cluster administrator, who may: it stands in the audit log",
        who: "root",
        call: "kubectl delete crd actionrecords.firstaid.dev --dry-run=server",
        sees: Both(
            Nobody,
            r#"customresourcedefinition.apiextensions.k8s.io "actionrecords.firstaid.dev" deleted (server dry run)"#,
        ),
        play: in_vain,
    },
    Row {
        id: "28a",
        title: "to rewrite a record",
        who: "operator",
        call: r#"kubectl patch arec $RECORD --type=merge -p '{"spec":{"action":"nothing"}}'"#,
        sees: Both(Kind, "a record is evidence and never changes"),
        play: in_vain,
    },
    Row {
        id: "28b",
        title: "to rewrite a record",
        who: "root",
        call: r#"kubectl patch arec $RECORD --type=merge -p '{"spec":{"summary":"never happened"}}'"#,
        sees: Both(Kind, "a record is evidence and never changes"),
        play: in_vain,
    },
    Row {
        id: "28c",
        title: "to rewrite what became of it",
        who: "root",
        call: r#"kubectl patch arec $RECORD --type=merge -p '{"status":{"state":"Reverted"}}'"#,
        sees: Both(
            EVIDENCE,
            "evidence: only first-aid may UPDATE actionrecords; people annotate ballots (approve, deny) and runs (abort, settle)",
        ),
        play: in_vain,
    },
    Row {
        id: "28d",
        title: "to remove what became of it",
        who: "operator",
        call: r#"kubectl patch arec $RECORD --type=json -p '[{"op":"remove","path":"/status"}]'"#,
        sees: Both(Kind, "the state of a record cannot be removed"),
        play: in_vain,
    },
    Row {
        id: "28e",
        title: "to remove the journal of a run",
        who: "operator",
        call: r#"kubectl patch rbr done --subresource=status --type=json -p '[{"op":"remove","path":"/status"}]'"#,
        sees: Both(
            Kind,
            "the journal of a run cannot be removed\nthe frozen runbook of a run cannot be changed\na plan is written once and stays\nwhat is written about a step stays\na run that has ended does not go on",
        ),
        play: in_vain,
    },
    Row {
        id: "28f",
        title: "to rewrite what the journal says was done",
        who: "operator",
        call: r#"kubectl patch rbr done --subresource=status --type=merge -p '{"status":{"steps":{"more.1":{"outcome":{"result":"Refused"}}}}}'"#,
        sees: Both(Kind, "what is written about a step stays"),
        play: in_vain,
    },
    Row {
        id: "28g",
        title: "to rewrite what was asked for",
        who: "root",
        call: r#"kubectl patch rbr done --type=merge -p '{"spec":{"reason":"another"}}'"#,
        sees: Both(
            Kind,
            r#"a run is fixed once it is made; start another one, or stop this one with: kubectl annotate rbr NAME abort="WHY""#,
        ),
        play: in_vain,
    },
    Row {
        id: "29a",
        title: "to make up a record",
        who: "mallory",
        call: "kubectl create -f record.json",
        sees: Both(
            EVIDENCE,
            "evidence: only first-aid may CREATE actionrecords; people annotate ballots (approve, deny) and runs (abort, settle)",
        ),
        play: in_vain,
    },
    Row {
        id: "29b",
        title: "to make up a record",
        who: "root",
        call: "kubectl create -f record.json",
        sees: Both(
            EVIDENCE,
            "evidence: only first-aid may CREATE actionrecords; people annotate ballots (approve, deny) and runs (abort, settle)",
        ),
        play: in_vain,
    },
    Row {
        id: "29c",
        title: "to make up a record",
        who: "eve",
        call: "kubectl create -f record.json",
        sees: Both(
            Rbac,
            r#"User "eve" cannot create resource "actionrecords" in API group "firstaid.dev" in the namespace "NAMESPACE""#,
        ),
        play: in_vain,
    },
    Row {
        id: "50a",
        title: "to make evidence with every verb on all kinds of the group",
        who: "boss",
        call: "kubectl create -f decided-ballot.json",
        sees: Both(BALLOT, "ballots are issued by first-aid only"),
        play: in_vain,
    },
    Row {
        id: "50b",
        title: "to make evidence with every verb on all kinds of the group",
        who: "boss",
        call: "kubectl create -f record.json",
        sees: Both(
            EVIDENCE,
            "evidence: only first-aid may CREATE actionrecords; people annotate ballots (approve, deny) and runs (abort, settle)",
        ),
        play: in_vain,
    },
    Row {
        id: "50c",
        title: "to delete evidence with every verb on all kinds of the group",
        who: "boss",
        call: "kubectl delete arec --all",
        sees: Both(EVIDENCE, "evidence: only first-aid may DELETE actionrecords; runs, ballots and records stay"),
        play: in_vain,
    },
    Row {
        id: "50d",
        title: "to write the journal with every verb on all kinds of the group",
        who: "boss",
        call: r#"kubectl patch rbr room-1 --subresource=status --type=merge -p '{"status":{"phase":"Succeeded","finished":true}}'"#,
        sees: Both(
            EVIDENCE,
            "evidence: only first-aid may UPDATE runbookruns/status; people annotate ballots (approve, deny) and runs (abort, settle)",
        ),
        play: in_vain,
    },
    Row {
        id: "50e",
        title: "to vote with every verb on all kinds of the group: wildcards hold the roles too",
        who: "boss",
        call: r#"kubectl annotate apv $BALLOT approve="$CODE queue grows" $BY --dry-run=server"#,
        sees: Both(Nobody, "approval.firstaid.dev/room-1-1 annotated (server dry run)"),
        play: in_vain,
    },
    Row {
        id: "55",
        title: "to make people believe that a run was approved: an Event is not read as a fact",
        who: "mallory",
        call: "kubectl create -f event.json",
        sees: Both(Nobody, "event/approved created"),
        play: events_are_not_read,
    },
];

/// `firstaid onboard` gives the namespace this label.
fn with_a_namespace_that_holds_evidence(scene: &mut Scene, row: &Row) -> Result<Seen> {
    scene
        .town
        .kubectl("root", &["label", "ns", &scene.town.namespace, "firstaid.dev/evidence=held", "--overwrite"])?
        .ok()?;
    let seen = in_vain(scene, row)?;
    let namespace =
        scene.town.kubectl("root", &["get", "ns", &scene.town.namespace, "-o", "jsonpath={.status.phase}"])?;
    ensure!(namespace.ok()? == "Active", "the namespace goes");
    Ok(seen)
}

/// The event is there and the run waits as before; that nobody acted is asked of the audit log when the scene ends.
fn events_are_not_read(scene: &mut Scene, row: &Row) -> Result<Seen> {
    let seen = in_vain(scene, row)?;
    ensure!(text(&scene.town.get("rbr", "room-1")?, "/status/phase") == "Waiting", "the run went on");
    Ok(seen)
}
