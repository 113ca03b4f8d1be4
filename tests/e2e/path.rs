//! The whole path: start, plan, refuse the wrong people, approve, act once, verify, record.

use anyhow::Result;
use serde_json::json;

use crate::town::{Leg, Town, number, text};

const SCALE: &str = "
apiVersion: firstaid.dev/v1alpha1
kind: Runbook
metadata: {name: more-room}
spec:
  summary: More pods of checkout
  gates: [{name: on-call, requires: [{role: sre}]}]
  steps:
  - name: scale-out
    gate: on-call
    scale: {target: {kind: Deployment, name: checkout}, replicas: 7}
";

fn from_start_to_record(leg: Leg) -> Result<()> {
    let town = Town::open(leg, "path")?;
    town.runbook(SCALE)?;
    town.start("more-room", "room-1")?;

    let waiting = town.wait_phase("room-1", "Waiting")?;
    assert_eq!(text(&waiting, "/status/plans/0.1/summary"), "scale Deployment/checkout 4 -> 7");
    assert!(text(&waiting, "/status/waitingOn").starts_with("approval by 1 of sre since"), "{waiting:#}");
    let ballot = town.ballot("room-1")?;
    let (name, code) = (text(&ballot, "/metadata/name"), text(&ballot, "/spec/request/code"));
    assert_eq!(name, "room-1-1");

    for (person, mark, sentence) in [
        ("alice", format!("approve={code} it is me"), "asked for this run; somebody else must approve it"),
        ("carol", format!("approve={code} why not"), "you may not approve runbook more-room as sre"),
        ("bob", "approve=0000 wrong plan".to_owned(), "the code does not match this plan"),
        ("bob", format!("approve={code}"), "wants to know why"),
        ("mallory", format!("approve={code} let me"), "you may not approve runbook more-room as sre"),
    ] {
        let refused = town.mark(person, name, &mark)?;
        assert!(!refused.success(), "{person} was not refused");
        assert!(refused.stderr.contains(sentence), "{person}: {}", refused.stderr);
    }
    assert_eq!(
        number(&town.get("deployment", "checkout")?, "/spec/replicas"),
        4,
        "nothing is done before the approval"
    );

    town.approve("bob", "room-1")?;
    let done = town.wait_phase("room-1", "Succeeded")?;
    assert_eq!(done.pointer("/status/inPlaceAtEnd"), Some(&json!(1)));
    let checkout = town.get("deployment", "checkout")?;
    assert_eq!(number(&checkout, "/spec/replicas"), 7);
    assert_eq!(number(&checkout, "/status/readyReplicas"), 7);

    let records = town.records("room-1")?;
    let [record] = records.as_slice() else { panic!("one record, not {}", records.len()) };
    assert_eq!(text(record, "/spec/result"), "Done");
    assert_eq!(text(record, "/spec/verified"), "Yes");
    assert_eq!(text(record, "/spec/requestedBy/username"), "alice");
    assert_eq!(text(record, "/spec/approvals/0/by"), "bob");
    assert_eq!(text(record, "/spec/approvals/0/why"), "queue grows, capacity is free");
    assert_eq!(record.pointer("/spec/before"), Some(&json!({"replicas": 4})));
    assert_eq!(record.pointer("/spec/after"), Some(&json!({"replicas": 7})));
    assert_eq!(text(record, "/spec/actor"), format!("system:serviceaccount:{}:firstaid", town.namespace));
    assert_eq!(text(record, "/status/state"), "InPlace");
    let second = town.mark("dave", name, &format!("approve={code} me too"))?;
    assert!(
        second.stderr.contains("already decided by bob") || second.stderr.contains("--overwrite is false"),
        "{}",
        second.stderr
    );
    Ok(())
}

#[test]
fn from_start_to_record_where_the_cluster_stamps() -> Result<()> {
    from_start_to_record(Leg::Stamping)
}

#[test]
fn from_start_to_record_where_people_type_their_names() -> Result<()> {
    from_start_to_record(Leg::Plain)
}
