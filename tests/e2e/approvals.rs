//! Votes: who may not, what may not be touched, and how a gate opens, stays shut or runs out.

use anyhow::{Context, Result, ensure};
use firstaid_sandbox::poll;
use serde_json::{Value, json};

use crate::refusal::{copied, create, refused, refused_create, refused_mark, robot, run};
use crate::town::{Leg, Town, WITHIN, number, text};

const RUNBOOKS: &str = "
apiVersion: firstaid.dev/v1alpha1
kind: Runbook
metadata: {name: room}
spec:
  summary: More pods of checkout
  gates: [{name: on-call, requires: [{role: sre}]}]
  steps:
  - {name: scale-out, gate: on-call, scale: {target: {kind: Deployment, name: checkout}, replicas: 7}}
---
apiVersion: firstaid.dev/v1alpha1
kind: Runbook
metadata: {name: two-teams}
spec:
  summary: More pods of the ledger, with leave of two teams
  gates: [{name: both, requires: [{role: sre, count: 2}, {role: db-owner}], reason: Optional}]
  steps:
  - {name: grow, gate: both, scale: {target: {kind: StatefulSet, name: ledger}, replicas: 3}}
---
apiVersion: firstaid.dev/v1alpha1
kind: Runbook
metadata: {name: two-effects}
spec:
  summary: Flag off, then fewer pods
  gates: [{name: on-call, requires: [{role: sre}]}]
  steps:
  - {name: flag-off, gate: on-call, disable: {flag: RECOMMENDATIONS, configMap: {name: shop-flags, key: RECOMMENDATIONS}}}
  - {name: fewer, gate: on-call, scale: {target: {kind: Deployment, name: checkout}, by: -1}}
---
apiVersion: firstaid.dev/v1alpha1
kind: Runbook
metadata: {name: brief}
spec:
  summary: A gate that does not wait long
  gates: [{name: quick, requires: [{role: sre}], validFor: 4s, timeout: 16s}]
  steps:
  - {name: again, gate: quick, restart: {target: {kind: DaemonSet, name: agent}}}
";

/// The whole state of a ballot that a refused attempt might have changed.
fn unchanged(town: &Town, ballot: &Value) -> Result<()> {
    let now = town.get("apv", text(ballot, "/metadata/name"))?;
    ensure!(now == *ballot, "the ballot changed: {now:#}");
    Ok(())
}

fn wait_state(town: &Town, ballot: &str, state: &str) -> Result<Value> {
    poll(&format!("ballot {ballot} {state}"), WITHIN, || {
        let found = town.get("apv", ballot)?;
        ensure!(text(&found, "/status/state") == state, "it is {}", text(&found, "/status/state"));
        Ok(found)
    })
}

fn the_wrong_people_and_the_wrong_words(leg: Leg) -> Result<()> {
    let town = Town::open(leg, "refuse")?;
    town.runbook(RUNBOOKS)?;
    town.start("room", "room-1")?;
    town.wait_phase("room-1", "Waiting")?;
    let ballot = town.ballot("room-1")?;
    let (name, code) = (text(&ballot, "/metadata/name"), text(&ballot, "/spec/request/code"));
    let approve = format!("approve={code} queue grows");
    let robot = robot(&town)?;

    for (person, mark, sentence) in [
        ("alice", approve.as_str(), "you (alice) asked for this run; somebody else must approve it"),
        ("alice", "deny=never mind", "kubectl annotate rbr -n REFUSE room-1 abort=\"why\""),
        (
            "carol",
            &approve,
            "you may not approve runbook room as sre; ask somebody who may, or for the role firstaid-approver-as-sre in REFUSE",
        ),
        ("mallory", &approve, "you may not approve runbook room as sre"),
        ("mallory", "deny=no", "you may not approve runbook room as sre"),
        ("viewer", &approve, "cannot patch resource \"approvals\""),
        (
            &robot,
            &approve,
            "a service account cannot vote (you are system:serviceaccount:REFUSE:bot); vote as yourself",
        ),
        ("operator", &approve, "first-aid cannot vote"),
        (
            "bob",
            "approve=0000 queue grows",
            "the code does not match this plan; read the plan (kubectl describe apv -n REFUSE room-1-1)",
        ),
        ("bob", "approve=", "the code does not match this plan"),
        ("bob", &format!("approve={code}"), &format!("this ballot wants to know why: approve=\"{code} YOUR REASON\"")),
        ("bob", &format!("approve={code} \t "), "this ballot wants to know why"),
        ("bob", "deny= ", "this ballot wants to know why: deny=\"wrong service\""),
        ("bob", &format!("approve={code} {}", "why ".repeat(300)), "say why in at most 1000 characters"),
    ] {
        refused_mark(&town, person, name, mark, &sentence.replace("REFUSE", &town.namespace))?;
    }
    refused(&town, "bob", &["annotate", "apv", name, &approve, "deny=no", "by=bob"], "approve or deny, not both")?;
    refused(&town, "bob", &["annotate", "apv", name, &approve, "by=carol"], "you are bob: write by=bob")?;
    refused(
        &town,
        "bob",
        &["annotate", "apv", name, &approve, "by=bob", "note=x"],
        "a ballot takes approve=\"CODE why\" or deny=\"why\"",
    )?;
    refused(&town, "bob", &["annotate", "apv", name, "by=bob"], "a ballot takes approve=\"CODE why\" or deny=\"why\"")?;
    if leg == Leg::Plain {
        refused(
            &town,
            "bob",
            &["annotate", "apv", name, &approve],
            "this cluster does not fill in names: add by=bob to the command",
        )?;
    }
    unchanged(&town, &ballot)?;

    nobody_touches_a_ballot(&town, &ballot)?;
    nobody_makes_evidence(&town, &ballot, &robot)?;
    nobody_starts_in_another_name(&town)?;
    unchanged(&town, &ballot)?;
    assert_eq!(
        number(&town.get("deployment", "checkout")?, "/spec/replicas"),
        4,
        "nothing is done before the approval"
    );

    // A name that is forged beside the vote is a refusal, or is replaced by the voter's own.
    let forged = json!({"metadata": {"annotations": {"deny": "wrong service", "by": "bob"}},
        "spec": {"voter": {"username": "carol", "groups": ["system:masters"]}}})
    .to_string();
    let forging = ["patch", "apv", name, "--type=merge", "-p", &forged];
    if leg == Leg::Plain {
        refused(&town, "bob", &forging, "spec.voter must be you; leave it out")?;
        town.mark("bob", name, "deny=wrong service")?.ok()?;
    } else {
        town.kubectl("bob", &forging)?.ok()?;
        let voter = town.get("apv", name)?.pointer("/spec/voter").cloned().context("a voter")?;
        assert_eq!(text(&voter, "/username"), "bob");
        assert_eq!(voter.pointer("/groups"), Some(&json!(["sre", "system:authenticated"])));
    }
    let denied = town.wait_phase("room-1", "Denied")?;
    assert_eq!(text(&denied, "/status/message"), "bob said no: wrong service");

    // What is decided stays.
    let at = poll("the time of the vote", WITHIN, || {
        let managers = town.get("apv", name)?.pointer("/metadata/managedFields").cloned().context("managers")?;
        let voted = |entry: &&Value| {
            entry.pointer("/fieldsV1/f:metadata/f:annotations").is_some_and(|marks| marks.get("f:deny").is_some())
        };
        let entry = managers.as_array().into_iter().flatten().find(voted).cloned().context("the voter's")?;
        Ok(text(&entry, "/time").to_owned())
    })?;
    let decided = format!(
        "this ballot is already decided by bob at {at}: deny; to stop the run while it goes on: kubectl annotate rbr -n {} room-1 abort=\"why\"",
        town.namespace
    );
    let late = |more: &str| {
        json!({"metadata": {"annotations": {"approve": format!("{code} {more}"), "by": "dave"}}}).to_string()
    };
    refused(&town, "dave", &["patch", "apv", name, "--type=merge", "-p", &late("me too")], &decided)?;
    refused(&town, "bob", &["annotate", "apv", name, "deny=on second thoughts", "--overwrite"], &decided)?;
    refused(&town, "bob", &["annotate", "apv", name, "deny-"], &decided)?;
    refused(&town, "bob", &["annotate", "apv", name, "by=dave", "--overwrite"], &decided)?;
    assert_eq!(number(&town.get("deployment", "checkout")?, "/spec/replicas"), 4);
    Ok(())
}

/// Edits and deletions, by people whose RBAC would let them.
fn nobody_touches_a_ballot(town: &Town, ballot: &Value) -> Result<()> {
    let name = text(ballot, "/metadata/name");
    let owner = r#"{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"gone","uid":"22222222-2222-4222-8222-222222222222"}]}}"#;
    for (patch, sentence) in [
        (r#"{"spec":{"request":{"code":"aaaa"}}}"#, "a ballot's request is fixed; a new plan gets new ballots"),
        (r#"{"spec":{"request":{"requester":"carol"}}}"#, "a ballot's request is fixed"),
        (r#"{"spec":{"request":{"role":"db-owner"}}}"#, "a ballot's request is fixed"),
        (r#"{"spec":{"voter":{"username":"bob"}}}"#, "a voter is written with the vote only"),
        (
            r#"{"status":{"state":"Expired"}}"#,
            "the state of a ballot is written by first-aid only; to vote, annotate it",
        ),
        (r#"{"status":null}"#, "a ballot's state cannot be removed"),
        (r#"{"metadata":{"labels":{"firstaid.dev/run":"other"}}}"#, "the labels of a ballot are fixed"),
        (r#"{"metadata":{"labels":{"mine":"x"}}}"#, "the labels of a ballot are fixed"),
        (
            r#"{"metadata":{"annotations":{"approved-by":"bob"}}}"#,
            "a ballot takes approve=\"CODE why\" or deny=\"why\"",
        ),
        (owner, "a ballot has no owner and no finalizer, and never gets one"),
        (
            r#"{"metadata":{"finalizers":["x.example/hold"]}}"#,
            "a ballot has no owner and no finalizer, and never gets one",
        ),
    ] {
        for person in ["mallory", "root"] {
            refused(town, person, &["patch", "apv", name, "--type=merge", "-p", patch], sentence)?;
        }
    }
    let stays = "evidence: only first-aid may DELETE";
    for person in ["mallory", "root"] {
        refused(town, person, &["delete", "apv", name], &format!("{stays} approvals; runs, ballots and records stay"))?;
        refused(town, person, &["delete", "apv", "--all"], stays)?;
        refused(town, person, &["delete", "rbr", "room-1"], &format!("{stays} runbookruns"))?;
        let all = format!("/apis/firstaid.dev/v1alpha1/namespaces/{}/approvals", town.namespace);
        refused(town, person, &["delete", "--raw", &all], stays)?;
    }
    Ok(())
}

/// Ballots, records and journals are the operator's to write, and even the operator issues no marked ballot.
fn nobody_makes_evidence(town: &Town, ballot: &Value, robot: &str) -> Result<()> {
    let mut forged = copied(ballot, "room-1-9")?;
    for person in ["mallory", "root", robot] {
        refused_create(town, person, &forged, "ballots are issued by first-aid only")?;
    }
    forged["metadata"]["annotations"] =
        json!({"approve": format!("{} yes", text(ballot, "/spec/request/code")), "by": "bob"});
    refused_create(town, "mallory", &forged, "ballots are issued by first-aid only")?;
    refused_create(town, "operator", &forged, "a ballot is issued empty")?;
    forged["metadata"]["annotations"] = json!({});
    forged["spec"]["voter"] = json!({"username": "bob"});
    refused_create(town, "operator", &forged, "a ballot is issued empty")?;
    let applied = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    let output = town.sandbox.kubectl_input("mallory", &applied, &forged.to_string())?;
    ensure!(output.stderr.contains("ballots are issued by first-aid only"), "{}", output.stderr);

    let status = r#"{"status":{"phase":"Succeeded","finished":true}}"#;
    refused(
        town,
        "mallory",
        &["patch", "rbr", "room-1", "--subresource=status", "--type=merge", "-p", status],
        "evidence: only first-aid may UPDATE runbookruns/status; people annotate ballots (approve, deny) and runs (abort, settle)",
    )?;
    let run = "a run takes abort=\"why\" and, when it asks for it, settle";
    refused(town, "mallory", &["annotate", "rbr", "room-1", "phase=Approved"], run)?;
    refused(town, "mallory", &["label", "rbr", "room-1", "phase=Approved"], "the labels of a run are fixed")?;
    refused(
        town,
        "mallory",
        &["patch", "rbr", "room-1", "--type=merge", "-p", r#"{"spec":{"runbook":"brief"}}"#],
        "a run is fixed once it is made; start another one, or stop this one with: kubectl annotate rbr NAME abort=\"WHY\"",
    )?;
    refused(
        town,
        "mallory",
        &["patch", "rbr", "room-1", "--type=merge", "-p", r#"{"metadata":{"finalizers":["x.example/hold"]}}"#],
        "a run has no owner and no finalizer, and never gets one",
    )
}

/// A run says who asked for it, and nobody asks in another name.
fn nobody_starts_in_another_name(town: &Town) -> Result<()> {
    let mut forged = run(town.leg, "room", "false-name", "alice");
    forged["spec"]["requestedBy"] = json!({"username": "bob", "groups": ["system:masters"]});
    if town.leg == Leg::Plain {
        refused_create(
            town,
            "alice",
            &forged,
            "you are alice: write requestedBy: {username: alice} in the spec of the run",
        )?;
        forged["spec"]["requestedBy"]["username"] = json!("alice");
        refused_create(town, "alice", &forged, "requestedBy must be you; write the username only")?;
        let nameless = run(Leg::Stamping, "room", "nameless", "alice");
        refused_create(
            town,
            "alice",
            &nameless,
            "this cluster does not fill in names: add requestedBy: {username: alice} to the spec of the run",
        )?;
    } else {
        create(town, "alice", &forged)?.ok()?;
        let asked = town.get("rbr", "false-name")?.pointer("/spec/requestedBy").cloned().context("a requester")?;
        assert_eq!(text(&asked, "/username"), "alice");
        assert_eq!(asked.pointer("/groups"), Some(&json!(["sre", "system:authenticated"])));
    }
    // May create runs, but may run no runbook.
    town.kubectl("root", &["create", "role", "creates", "--verb=create", "--resource=runbookruns.firstaid.dev"])?
        .ok()?;
    town.kubectl("root", &["create", "rolebinding", "creates", "--role=creates", "--user=viewer"])?.ok()?;
    let sentence = format!(
        "you may not run runbook room; ask somebody who may, or for the role firstaid-requester in {}",
        town.namespace
    );
    let theirs = run(town.leg, "room", "viewers", "viewer");
    poll("the role to be in force", WITHIN, || refused_create(town, "viewer", &theirs, &sentence))?;
    let mut marked = run(town.leg, "room", "marked", "alice");
    marked["metadata"]["annotations"] = json!({"settle": "done I know it"});
    refused_create(
        town,
        "alice",
        &marked,
        "a run does not start with abort, settle or breakglass; take the annotation away",
    )?;
    let mut labelled = run(town.leg, "room", "labelled", "alice");
    labelled["metadata"]["labels"] = json!({"firstaid.dev/run": "other"});
    refused_create(town, "alice", &labelled, "labels that start with firstaid.dev/ are first-aid's own")
}

fn quorum_veto_and_time(leg: Leg) -> Result<()> {
    let town = Town::open(leg, "quorum")?;
    town.runbook(RUNBOOKS)?;
    // It runs out while the others are decided.
    town.start("brief", "brief-1")?;
    several_people_of_several_roles(&town)?;
    one_no_is_enough(&town)?;
    a_plan_with_several_effects_is_read_first(&town)?;
    a_plan_that_holds_no_longer_is_asked_anew(&town)?;
    nobody_decides(&town)
}

fn several_people_of_several_roles(town: &Town) -> Result<()> {
    town.start("two-teams", "both-1")?;
    let waiting = town.wait_phase("both-1", "Waiting")?;
    assert!(
        text(&waiting, "/status/waitingOn").starts_with("approval by 2 of sre and 1 of db-owner since"),
        "{waiting:#}"
    );
    let ballot = town.ballot("both-1")?;
    let vote = format!("approve={}", text(&ballot, "/spec/request/code"));
    // All slots of a gate are issued at once.
    wait_state(town, "both-1-3", "Open")?;

    refused_mark(town, "carol", "both-1-1", &vote, "you may not approve runbook two-teams as sre")?;
    refused_mark(town, "bob", "both-1-3", &vote, "you may not approve runbook two-teams as db-owner")?;
    town.mark("bob", "both-1-1", &vote)?.ok()?;
    let sentence = "you already voted on this gate (both-1-1); somebody else must mark this ballot";
    // The API server compares with what it has cached, so it is asked without voting until it knows of the first vote.
    let by = if town.leg == Leg::Plain { vec!["by=bob"] } else { vec![] };
    let rehearsed: Vec<&str> =
        ["annotate", "apv", "both-1-2", &vote, "--dry-run=server"].into_iter().chain(by).collect();
    poll("the first vote to be known", WITHIN, || refused(town, "bob", &rehearsed, sentence))?;
    refused_mark(town, "bob", "both-1-2", &vote, sentence)?;
    town.mark("dave", "both-1-2", &vote)?.ok()?;
    assert_eq!(number(&town.get("statefulset", "ledger")?, "/spec/replicas"), 2, "one vote is still missing");
    town.mark("carol", "both-1-3", &format!("{vote} the disk is large enough"))?.ok()?;

    town.wait_phase("both-1", "Succeeded")?;
    assert_eq!(number(&town.get("statefulset", "ledger")?, "/spec/replicas"), 3);
    let records = town.records("both-1")?;
    let record = records.first().context("a record")?;
    assert_eq!(text(record, "/spec/approvedBy"), "bob as sre, dave as sre, carol as db-owner");
    assert_eq!(text(record, "/spec/approvals/2/why"), "the disk is large enough");
    for person in ["mallory", "root"] {
        let name = text(record, "/metadata/name");
        refused(
            town,
            person,
            &["delete", "arec", name],
            "evidence: only first-aid may DELETE actionrecords; runs, ballots and records stay",
        )?;
        refused(town, person, &["delete", "arec", "--all"], "evidence: only first-aid may DELETE actionrecords")?;
        refused(
            town,
            person,
            &["patch", "arec", name, "--type=merge", "-p", r#"{"status":{"state":"Reverted"}}"#],
            "evidence: only first-aid may UPDATE actionrecords",
        )?;
        refused_create(
            town,
            person,
            &copied(record, "invented")?,
            "evidence: only first-aid may CREATE actionrecords",
        )?;
    }
    Ok(())
}

fn one_no_is_enough(town: &Town) -> Result<()> {
    town.kubectl("root", &["scale", "statefulset/ledger", "--replicas=2"])?.ok()?;
    town.start("two-teams", "veto")?;
    town.wait_phase("veto", "Waiting")?;
    let vote = format!("approve={}", text(&town.ballot("veto")?, "/spec/request/code"));
    wait_state(town, "veto-3", "Open")?;
    town.mark("bob", "veto-1", &vote)?.ok()?;
    town.mark("carol", "veto-3", "deny=the disk is full")?.ok()?;
    let denied = town.wait_phase("veto", "Denied")?;
    assert_eq!(text(&denied, "/status/message"), "carol said no: the disk is full");
    // Nobody marks in vain what is over.
    wait_state(town, "veto-2", "Withdrawn")?;
    let over = format!(
        "this ballot is Withdrawn: the run has ended or was stopped (kubectl get rbr -n {0} veto); see what waits: kubectl get apv -n {0}",
        town.namespace
    );
    refused_mark(town, "dave", "veto-2", &vote, &over)?;
    assert_eq!(number(&town.get("statefulset", "ledger")?, "/spec/replicas"), 2);
    Ok(())
}

fn a_plan_with_several_effects_is_read_first(town: &Town) -> Result<()> {
    town.start("two-effects", "several")?;
    let waiting = town.wait_phase("several", "Waiting")?;
    let ballot = town.ballot("several")?;
    let (name, code) = (text(&ballot, "/metadata/name"), text(&ballot, "/spec/request/code"));
    let list = town.kubectl("bob", &["get", "apv", name])?.ok()?;
    assert!(list.contains("describe"), "{list}");
    assert!(list.contains("flag RECOMMENDATIONS true -> false (+1 more)"), "{list}");
    assert!(!list.contains(code), "the code is read under the whole plan: {list}");
    let described = town.kubectl("bob", &["describe", "apv", name])?.ok()?;
    assert!(described.contains(&format!("code: {code}")), "{described}");
    assert!(described.contains("fewer: scale Deployment/checkout 4 -> 3"), "{described}");
    assert!(text(&waiting, "/status/nextCommands/0").starts_with("kubectl describe apv"), "{waiting:#}");
    refused_mark(town, "bob", name, "approve=describe looks good", "the code does not match this plan; read the plan")?;
    town.approve("bob", "several")?;
    town.wait_phase("several", "Succeeded")?;
    assert_eq!(town.records("several")?.len(), 2);
    Ok(())
}

fn a_plan_that_holds_no_longer_is_asked_anew(town: &Town) -> Result<()> {
    town.start("room", "moved")?;
    town.wait_phase("moved", "Waiting")?;
    let old = town.ballot("moved")?;
    let vote = format!("approve={} queue grows", text(&old, "/spec/request/code"));
    town.kubectl("root", &["scale", "deployment/checkout", "--replicas=9"])?.ok()?;
    town.mark("bob", "moved-1", &vote)?.ok()?;
    wait_state(town, "moved-1", "Superseded")?;
    let new = town.ballot("moved")?;
    assert_eq!(text(&new, "/spec/request/summary"), "scale Deployment/checkout 9 -> 7");
    refused_mark(town, "bob", "moved-2", &vote, "the code does not match this plan")?;
    refused_mark(town, "dave", "moved-1", &format!("{vote} indeed"), "--overwrite is false")?;
    assert_eq!(number(&town.get("deployment", "checkout")?, "/spec/replicas"), 9, "the old vote counts for nothing");

    // A ballot that is set aside before anybody marked it.
    let aside = r#"{"status":{"state":"Superseded"}}"#;
    town.kubectl("operator", &["patch", "apv", "moved-2", "--type=merge", "-p", aside])?.ok()?;
    let vote = format!("approve={} queue grows", text(&new, "/spec/request/code"));
    refused_mark(
        town,
        "bob",
        "moved-2",
        &vote,
        "this ballot is Superseded: the plan has changed; look for its new ballot",
    )?;
    town.kubectl("operator", &["patch", "apv", "moved-2", "--type=merge", "-p", r#"{"status":{"state":"Open"}}"#]).map(
        |again| assert!(again.stderr.contains("a ballot that is no longer Open stays as it is"), "{}", again.stderr),
    )
}

/// Ballots run out and are followed by new ones with the same code, until the gate itself has waited long enough.
fn nobody_decides(town: &Town) -> Result<()> {
    let expired = town.wait_phase("brief-1", "Expired")?;
    assert_eq!(text(&expired, "/status/message"), "nobody decided at gate quick within 16s");
    let ballots: Vec<Value> =
        town.list("apv")?.into_iter().filter(|b| text(b, "/spec/request/run") == "brief-1").collect();
    let codes: std::collections::BTreeSet<&str> = ballots.iter().map(|b| text(b, "/spec/request/code")).collect();
    assert!(ballots.len() > 1, "ballots that ran out were not followed by others");
    assert_eq!(codes.len(), 1, "the effect is the same, so is the code");
    let first = wait_state(town, "brief-1-1", "Expired")?;
    let vote = format!("approve={} queue grows", text(&first, "/spec/request/code"));
    refused_mark(
        town,
        "bob",
        "brief-1-1",
        &vote,
        "this ballot is Expired: nobody marked it in time; while the gate waits there is a new one",
    )?;
    assert!(ballots.iter().all(|ballot| text(ballot, "/status/state") != "Open"), "none can be marked any more");
    assert!(town.records("brief-1")?.is_empty());
    Ok(())
}

#[test]
fn the_wrong_people_and_the_wrong_words_where_the_cluster_stamps() -> Result<()> {
    the_wrong_people_and_the_wrong_words(Leg::Stamping)
}

#[test]
fn the_wrong_people_and_the_wrong_words_where_people_type_their_names() -> Result<()> {
    the_wrong_people_and_the_wrong_words(Leg::Plain)
}

#[test]
fn quorum_veto_and_time_where_the_cluster_stamps() -> Result<()> {
    quorum_veto_and_time(Leg::Stamping)
}

#[test]
fn quorum_veto_and_time_where_people_type_their_names() -> Result<()> {
    quorum_veto_and_time(Leg::Plain)
}
