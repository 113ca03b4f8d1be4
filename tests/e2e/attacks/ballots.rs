//! Votes: in another name, without the right, with the wrong words, too late, twice.

use anyhow::{Result, ensure};
use firstaid_sandbox::poll;
use serde_json::json;

use super::By::{ApiServer, Dropped, Kind, Nobody, Policy, Rbac};
use super::Sees::{Both, Each, Plain, Stamping};
use super::{Row, Scene, Seen, in_vain};
use crate::town::{Leg, WITHIN, text};

const BALLOT: super::By = Policy("firstaid-ballot");
const EVIDENCE: super::By = Policy("firstaid-evidence");

pub const ROWS: &[Row] = &[
    Row {
        id: "1a",
        title: "to vote as carol, in the old form: a field for the decision",
        who: "bob",
        call: r#"kubectl patch apv $BALLOT --type=merge -p '{"spec":{"decision":"Approve","code":"'$CODE'","decidedBy":{"username":"carol"}}}'"#,
        sees: Both(
            Dropped,
            "Warning: unknown field \"spec.code\"\nWarning: unknown field \"spec.decidedBy\"\nWarning: unknown field \"spec.decision\"",
        ),
        play: in_vain,
    },
    Row {
        id: "1b",
        title: "to vote as carol, with her name beside the vote",
        who: "bob",
        call: r#"kubectl annotate apv $BALLOT approve="$CODE queue grows" by=carol"#,
        sees: Both(BALLOT, "you are bob: write by=bob, or leave by out where the cluster fills it in"),
        play: in_vain,
    },
    Row {
        id: "1c",
        title: "to vote without the right, in somebody else's name",
        who: "mallory",
        call: r#"kubectl annotate apv $BALLOT approve="$CODE queue grows" by=bob"#,
        sees: Both(
            BALLOT,
            "you may not approve runbook room as sre; ask somebody who may, or for the role firstaid-approver-as-sre in NAMESPACE",
        ),
        play: in_vain,
    },
    Row {
        id: "1d",
        title: "to vote without the right, in somebody else's name",
        who: "eve",
        call: r#"kubectl annotate apv $BALLOT approve="$CODE queue grows" by=bob"#,
        sees: Both(
            BALLOT,
            "you may not approve runbook room as sre; ask somebody who may, or for the role firstaid-approver-as-sre in NAMESPACE",
        ),
        play: in_vain,
    },
    Row {
        id: "1e",
        title: "to be stamped as carol, a cluster administrator: where the cluster stamps, bob stands there",
        who: "bob",
        call: r#"kubectl patch apv $DECIDED --type=merge -p '{"metadata":{"annotations":{"deny":"wrong service","by":"bob"}},"spec":{"voter":{"username":"carol","groups":["system:masters"]}}}'"#,
        sees: Each(
            (Nobody, "approval.firstaid.dev/denied-1 patched"),
            (BALLOT, "spec.voter must be you; leave it out"),
        ),
        play: is_stamped_as_oneself,
    },
    Row {
        id: "2a",
        title: "to vote without a name where names are typed",
        who: "bob",
        call: r#"kubectl annotate apv $BALLOT approve="$CODE queue grows""#,
        sees: Plain(BALLOT, "this cluster does not fill in names: add by=bob to the command"),
        play: in_vain,
    },
    Row {
        id: "2b",
        title: "to claim groups",
        who: "bob",
        call: r#"kubectl patch apv $BALLOT --type=merge -p '{"metadata":{"annotations":{"approve":"'$CODE' yes","by":"bob"}},"spec":{"voter":{"username":"bob","groups":["db-owner"]}}}'"#,
        sees: Plain(BALLOT, "spec.voter must be you; leave it out"),
        play: in_vain,
    },
    Row {
        id: "2c",
        title: "to claim a uid",
        who: "bob",
        call: r#"kubectl patch apv $BALLOT --type=merge -p '{"metadata":{"annotations":{"approve":"'$CODE' yes","by":"bob"}},"spec":{"voter":{"username":"bob","uid":"u-17"}}}'"#,
        sees: Plain(BALLOT, "spec.voter must be you; leave it out"),
        play: in_vain,
    },
    Row {
        id: "2d",
        title: "to claim a credential id",
        who: "bob",
        call: r#"kubectl patch apv $BALLOT --type=merge -p '{"metadata":{"annotations":{"approve":"'$CODE' yes","by":"bob"}},"spec":{"voter":{"username":"bob","credentialID":"X509SHA256=00"}}}'"#,
        sees: Plain(BALLOT, "spec.voter must be you; leave it out"),
        play: in_vain,
    },
    Row {
        id: "3a",
        title: "to make a ballot that is already decided",
        who: "mallory",
        call: "kubectl create -f decided-ballot.json",
        sees: Both(BALLOT, "ballots are issued by first-aid only"),
        play: in_vain,
    },
    Row {
        id: "3b",
        title: "to make a ballot that is already decided",
        who: "eve",
        call: "kubectl create -f decided-ballot.json",
        sees: Both(
            Rbac,
            r#"User "eve" cannot create resource "approvals" in API group "firstaid.dev" in the namespace "NAMESPACE""#,
        ),
        play: in_vain,
    },
    Row {
        id: "3c",
        title: "to make a ballot that is already decided, with the operator's token",
        who: "operator",
        call: "kubectl create -f decided-ballot.json",
        sees: Both(BALLOT, "a ballot is issued empty"),
        play: in_vain,
    },
    Row {
        id: "3d",
        title: "to make a ballot that has a voter, with the operator's token",
        who: "operator",
        call: "kubectl create -f voted-ballot.json",
        sees: Both(BALLOT, "a ballot is issued empty"),
        play: in_vain,
    },
    Row {
        id: "3e",
        title: "to vote with the operator's token",
        who: "operator",
        call: r#"kubectl annotate apv $BALLOT approve="$CODE queue grows" by=bob"#,
        sees: Both(BALLOT, "first-aid cannot vote"),
        play: in_vain,
    },
    Row {
        id: "3f",
        title: "to be the operator: whoever may impersonate its ServiceAccount",
        who: "root",
        call: "kubectl create -f empty-ballot.json --as=system:serviceaccount:firstaid-system:firstaid",
        sees: Both(BALLOT, "ballots are issued by first-aid only"),
        play: in_vain,
    },
    Row {
        id: "4a",
        title: "to approve what one asked for oneself",
        who: "alice",
        call: r#"kubectl annotate apv $BALLOT approve="$CODE queue grows" $BY"#,
        sees: Both(BALLOT, "you (alice) asked for this run; somebody else must approve it"),
        play: in_vain,
    },
    Row {
        id: "4b",
        title: "to approve what one asked for oneself, in the old form: a label",
        who: "alice",
        call: "kubectl label apv $BALLOT approve=$CODE",
        sees: Both(BALLOT, "the labels of a ballot are fixed"),
        play: in_vain,
    },
    Row {
        id: "5a",
        title: "to vote as a robot of the namespace, which the built-in role edit lets one be",
        who: "mallory",
        call: r#"kubectl --as=system:serviceaccount:$NS:bot annotate apv $BALLOT approve="$CODE queue grows" by=system:serviceaccount:$NS:bot"#,
        sees: Both(
            BALLOT,
            "a service account cannot vote (you are system:serviceaccount:NAMESPACE:bot); vote as yourself",
        ),
        play: in_vain,
    },
    Row {
        id: "5b",
        title: "to vote as a robot that has every right in the cluster",
        who: "bot",
        call: r#"kubectl annotate apv $BALLOT approve="$CODE queue grows" $BY"#,
        sees: Both(
            BALLOT,
            "a service account cannot vote (you are system:serviceaccount:NAMESPACE:bot); vote as yourself",
        ),
        play: in_vain,
    },
    Row {
        id: "6b",
        title: "to forge the credential id that an impersonated vote lacks",
        who: "forger",
        call: r#"kubectl --as=zoe --as-group=sre --as-user-extra=authentication.kubernetes.io/credential-id=X509SHA256=00 annotate apv $BALLOT approve="$CODE queue grows" by=zoe"#,
        sees: Each(
            (
                Rbac,
                r#"User "forger" cannot impersonate-on:user-info:get resource "approvals" in API group "firstaid.dev" in the namespace "NAMESPACE""#,
            ),
            (
                Rbac,
                r#"User "forger" cannot impersonate resource "userextras/authentication.kubernetes.io/credential-id" in API group "authentication.k8s.io" at the cluster scope"#,
            ),
        ),
        play: in_vain,
    },
    Row {
        id: "7",
        title: "to vote in a role that one does not hold",
        who: "carol",
        call: r#"kubectl annotate apv $BALLOT approve="$CODE queue grows" $BY"#,
        sees: Both(
            BALLOT,
            "you may not approve runbook room as sre; ask somebody who may, or for the role firstaid-approver-as-sre in NAMESPACE",
        ),
        play: in_vain,
    },
    Row {
        id: "8a",
        title: "to approve without having read (in good faith): a wrong code",
        who: "bob",
        call: r#"kubectl annotate apv $BALLOT approve="0000 queue grows" $BY"#,
        sees: Both(
            BALLOT,
            r#"the code does not match this plan; read the plan (kubectl describe apv -n NAMESPACE room-1-1) and approve with the code that stands there: approve="CODE why""#,
        ),
        play: in_vain,
    },
    Row {
        id: "8b",
        title: "to approve with the code of another plan",
        who: "bob",
        call: r#"kubectl annotate apv $BALLOT approve="$CODE_OF_TWO queue grows" $BY"#,
        sees: Both(
            BALLOT,
            r#"the code does not match this plan; read the plan (kubectl describe apv -n NAMESPACE room-1-1) and approve with the code that stands there: approve="CODE why""#,
        ),
        play: in_vain,
    },
    Row {
        id: "8c",
        title: "to approve without a word why",
        who: "bob",
        call: "kubectl annotate apv $BALLOT approve=$CODE $BY",
        sees: Both(BALLOT, r#"this ballot wants to know why: approve="CODE YOUR REASON""#),
        play: in_vain,
    },
    Row {
        id: "9a",
        title: "to change a vote",
        who: "bob",
        call: r#"kubectl annotate apv $DECIDED deny="on second thoughts" --overwrite"#,
        sees: Both(
            BALLOT,
            r#"this ballot is already decided by bob at TIME: deny; to stop the run while it goes on: kubectl annotate rbr -n NAMESPACE denied abort="why""#,
        ),
        play: in_vain,
    },
    Row {
        id: "9b",
        title: "to turn a no into a yes",
        who: "dave",
        call: r#"kubectl annotate apv $DECIDED deny- approve="$CODE queue grows" by=dave --overwrite"#,
        sees: Both(
            BALLOT,
            r#"this ballot is already decided by bob at TIME: deny; to stop the run while it goes on: kubectl annotate rbr -n NAMESPACE denied abort="why""#,
        ),
        play: in_vain,
    },
    Row {
        id: "9c",
        title: "to change a vote, in the old form",
        who: "bob",
        call: r#"kubectl patch apv $DECIDED --type=merge -p '{"spec":{"decision":"Deny"}}'"#,
        sees: Both(Dropped, r#"Warning: unknown field "spec.decision""#),
        play: in_vain,
    },
    Row {
        id: "10a",
        title: "to mark a ballot that has run out",
        who: "bob",
        call: r#"kubectl annotate apv $EXPIRED approve="$CODE queue grows" $BY"#,
        sees: Both(
            BALLOT,
            "this ballot is Expired: nobody marked it in time; while the gate waits there is a new one; see what waits: kubectl get apv -n NAMESPACE",
        ),
        play: in_vain,
    },
    Row {
        id: "10b",
        title: "to mark a ballot of a plan that has changed",
        who: "bob",
        call: r#"kubectl annotate apv $SUPERSEDED approve="$CODE queue grows" $BY"#,
        sees: Both(
            BALLOT,
            "this ballot is Superseded: the plan has changed; look for its new ballot; see what waits: kubectl get apv -n NAMESPACE",
        ),
        play: in_vain,
    },
    Row {
        id: "10c",
        title: "to mark a ballot of a run that was stopped",
        who: "bob",
        call: r#"kubectl annotate apv $WITHDRAWN approve="$CODE queue grows" $BY"#,
        sees: Both(
            BALLOT,
            "this ballot is Withdrawn: the run has ended or was stopped (kubectl get rbr -n NAMESPACE stopped); see what waits: kubectl get apv -n NAMESPACE",
        ),
        play: in_vain,
    },
    Row {
        id: "11",
        title: "to be two people: both slots of one gate",
        who: "dave",
        call: r#"kubectl annotate apv both-2 approve="$CODE_OF_TWO queue grows" $BY"#,
        sees: Both(
            Policy("firstaid-one-vote"),
            "you already voted on this gate (both-1); somebody else must mark this ballot",
        ),
        play: after_the_first_slot,
    },
    Row {
        id: "14a",
        title: "to open a ballot again",
        who: "mallory",
        call: r#"kubectl patch apv $EXPIRED --type=merge -p '{"status":{"state":"Open"}}'"#,
        sees: Both(Kind, "a ballot that is no longer Open stays as it is"),
        play: in_vain,
    },
    Row {
        id: "14b",
        title: "to close a ballot that others are to mark",
        who: "mallory",
        call: r#"kubectl patch apv $BALLOT --type=merge -p '{"status":{"state":"Expired"}}'"#,
        sees: Both(
            BALLOT,
            r#"the state of a ballot is written by first-aid only; to vote, annotate it with approve="CODE why" or deny="why""#,
        ),
        play: in_vain,
    },
    Row {
        id: "14c",
        title: "to close a ballot through a subresource (there is none)",
        who: "mallory",
        call: r#"kubectl patch apv $BALLOT --subresource=status --type=merge -p '{"status":{"state":"Expired"}}'"#,
        sees: Both(ApiServer, r#"Error from server (NotFound): approvals.firstaid.dev "room-1-1" not found"#),
        play: in_vain,
    },
    Row {
        id: "14d",
        title: "to write that a run has succeeded",
        who: "mallory",
        call: r#"kubectl patch rbr room-1 --subresource=status --type=merge -p '{"status":{"phase":"Succeeded","finished":true}}'"#,
        sees: Both(
            EVIDENCE,
            "evidence: only first-aid may UPDATE runbookruns/status; people annotate ballots (approve, deny) and runs (abort, settle)",
        ),
        play: in_vain,
    },
    Row {
        id: "14e",
        title: "to write that a run has succeeded",
        who: "eve",
        call: r#"kubectl patch rbr room-1 --subresource=status --type=merge -p '{"status":{"phase":"Succeeded","finished":true}}'"#,
        sees: Both(
            Rbac,
            r#"User "eve" cannot get resource "runbookruns/status" in API group "firstaid.dev" in the namespace "NAMESPACE""#,
        ),
        play: in_vain,
    },
    Row {
        id: "15a",
        title: "to write a vote where no vote is",
        who: "mallory",
        call: "kubectl annotate apv $BALLOT approved-by=bob",
        sees: Both(
            BALLOT,
            r#"a ballot takes approve="CODE why" or deny="why", and by=YOUR-NAME where the cluster does not fill it in; nothing else"#,
        ),
        play: in_vain,
    },
    Row {
        id: "15b",
        title: "to move a ballot to another run",
        who: "eve",
        call: "kubectl label apv $BALLOT firstaid.dev/run=other --overwrite",
        sees: Both(BALLOT, "the labels of a ballot are fixed"),
        play: in_vain,
    },
    Row {
        id: "15c",
        title: "to write a decision on the run",
        who: "eve",
        call: "kubectl annotate rbr room-1 phase=Approved",
        sees: Both(
            Policy("firstaid-run"),
            r#"a run takes abort="why" and, when it asks for it, settle="done why" or settle="not-done why"; in need, from whoever may, breakglass="why"; nothing else"#,
        ),
        play: in_vain,
    },
    Row {
        id: "15d",
        title: "to write a decision on the run, as a label",
        who: "mallory",
        call: "kubectl label rbr room-1 phase=Approved",
        sees: Both(Policy("firstaid-run"), "the labels of a run are fixed"),
        play: in_vain,
    },
    Row {
        id: "16a",
        title: "to take a vote back",
        who: "bob",
        call: "kubectl annotate apv $DECIDED deny-",
        sees: Both(
            BALLOT,
            r#"this ballot is already decided by bob at TIME: deny; to stop the run while it goes on: kubectl annotate rbr -n NAMESPACE denied abort="why""#,
        ),
        play: in_vain,
    },
    Row {
        id: "16b",
        title: "to take the voter away",
        who: "bob",
        call: r#"kubectl patch apv $DECIDED --type=merge -p '{"spec":{"voter":null}}'"#,
        sees: Stamping(Kind, "a voter is written once"),
        play: in_vain,
    },
    Row {
        id: "16c",
        title: "to take a vote back, in the old form",
        who: "bob",
        call: r#"kubectl patch apv $DECIDED --type=merge -p '{"spec":{"decision":null,"decidedBy":null}}'"#,
        sees: Both(Nobody, "approval.firstaid.dev/denied-1 patched (no change)"),
        play: in_vain,
    },
    Row {
        id: "17",
        title: "to make one's own code right",
        who: "bob",
        call: r#"kubectl patch apv $BALLOT --type=json -p '[{"op":"replace","path":"/spec/request/code","value":"aaaa"}]'"#,
        sees: Both(Kind, "a ballot's request is fixed; a new plan gets new ballots"),
        play: in_vain,
    },
    Row {
        id: "18a",
        title: "to make a ballot by a patch",
        who: "mallory",
        call: "kubectl apply --server-side --force-conflicts -f decided-ballot.json",
        sees: Both(BALLOT, "ballots are issued by first-aid only"),
        play: in_vain,
    },
    Row {
        id: "18b",
        title: "to make a ballot by a patch",
        who: "eve",
        call: "kubectl apply --server-side --force-conflicts -f decided-ballot.json",
        sees: Both(
            Rbac,
            r#"User "eve" cannot create resource "approvals" in API group "firstaid.dev" in the namespace "NAMESPACE""#,
        ),
        play: in_vain,
    },
    Row {
        id: "19a",
        title: "to delete a ballot and make it anew",
        who: "mallory",
        call: "kubectl replace --force -f ballot.json",
        sees: Both(EVIDENCE, "evidence: only first-aid may DELETE approvals; runs, ballots and records stay"),
        play: in_vain,
    },
    Row {
        id: "19b",
        title: "to delete a ballot and make it anew",
        who: "eve",
        call: "kubectl replace --force -f ballot.json",
        sees: Both(
            Rbac,
            r#"User "eve" cannot delete resource "approvals" in API group "firstaid.dev" in the namespace "NAMESPACE""#,
        ),
        play: in_vain,
    },
    Row {
        id: "47",
        title: "to have a rehearsed vote counted: nothing is stored",
        who: "bob",
        call: r#"kubectl annotate apv $BALLOT approve="$CODE queue grows" $BY --dry-run=server"#,
        sees: Both(Nobody, "approval.firstaid.dev/room-1-1 annotated (server dry run)"),
        play: in_vain,
    },
];

/// Where the cluster stamps, what is claimed is replaced; where not, it is refused. In the end bob has said no.
fn is_stamped_as_oneself(scene: &mut Scene, row: &Row) -> Result<Seen> {
    let seen;
    if scene.town.leg == Leg::Stamping {
        seen = scene.types(row)?;
        let ballot = scene.town.get("apv", "denied-1")?;
        ensure!(text(&ballot, "/spec/voter/username") == "bob", "{ballot:#}");
        ensure!(ballot.pointer("/spec/voter/groups") == Some(&json!(["sre", "system:authenticated"])), "{ballot:#}");
        ensure!(text(&ballot, "/spec/voter/credentialID").starts_with("X509SHA256="), "{ballot:#}");
    } else {
        seen = in_vain(scene, row)?;
        scene.town.mark("bob", "denied-1", "deny=wrong service")?.ok()?;
    }
    scene.town.wait_phase("denied", "Denied")?;
    Ok(seen)
}

/// Dave marks the first slot. The API server compares with what it has cached, so it is asked without voting until it
/// knows of that vote.
fn after_the_first_slot(scene: &mut Scene, row: &Row) -> Result<Seen> {
    scene.shell("dave", r#"kubectl annotate apv both-1 approve="$CODE_OF_TWO queue grows" $BY"#)?.ok()?;
    poll("the first vote to be known", WITHIN, || {
        let rehearsed = scene.shell(row.who, &format!("{} --dry-run=server", row.call))?;
        ensure!(!rehearsed.success(), "{}", rehearsed.stdout);
        Ok(())
    })?;
    in_vain(scene, row)
}
