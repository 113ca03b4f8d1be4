//! The approvals of a record against its ballots.

use rstest::rstest;
use serde_json::json;

use super::*;

/// What is said of a vote on the two records of changes, after this was done to its ballot.
fn but(damage: impl FnOnce(&mut Value)) -> String {
    let said = said_after(|evidence| damage(&mut evidence.ballots[0].object));
    let begins = |seq: i64, step: &str| {
        format!("record shed-1-runui-{step}-1 (seq {seq}) says that bob approved on ballot shed-1-1, but ")
    };
    let (first, second) = (begins(1, "out"), begins(3, "down"));
    assert_eq!(said.len(), 2, "{said:#?}");
    assert!(said[1].starts_with(&second), "{said:#?}");
    said[0].strip_prefix(&first).unwrap_or_else(|| panic!("{said:#?}")).to_owned()
}

#[rstest]
#[case::uid("/metadata/uid", json!("u9"), "the ballot of that name is another one: its uid is u9, in the record it is uid-shed-1-1")]
#[case::run("/spec/request/runUID", json!("u9"), "it is a ballot of another run: shed-1")]
#[case::plan("/spec/request/planHash", json!("sha256:11"), "it is about another plan: sha256:11")]
#[case::role("/spec/request/role", json!("intern"), "it is of another role: intern")]
#[case::code("/spec/request/code", json!("zzzz"), "it is marked with another code: ")]
#[case::voter("/metadata/annotations/by", json!("mallory"), "it is marked by another: mallory")]
#[case::stamp("/spec/voter/username", json!("mallory"), "the API server stamped another voter on it: mallory")]
#[case::unmarked("/metadata/annotations", json!({"by": "bob"}), "it is not marked approve")]
#[case::denied("/metadata/annotations", json!({"by": "bob", "deny": "no", "approve": "x"}), "it is not marked approve")]
fn a_vote_that_its_ballot_does_not_show(#[case] pointer: &str, #[case] value: Value, #[case] sentence: &str) {
    let said = but(|ballot| *ballot.pointer_mut(pointer).unwrap() = value);
    assert!(said.starts_with(sentence), "{said}");
}

#[test]
fn a_ballot_that_is_not_there() {
    let said = said_after(|evidence| evidence.ballots.clear());
    assert_eq!(
        said[0],
        "record shed-1-runui-out-1 (seq 1) says that bob approved on ballot shed-1-1, but there is no such ballot"
    );
}

#[test]
fn an_approval_that_was_written_into_a_record_has_no_ballot() {
    let mut evidence = sound();
    evidence.runs.clear();
    let last = record(&mut evidence, 4);
    last["spec"]["approvals"] = json!([{"by": "carol", "role": "sre", "ballot": "shed-1-9", "ballotUID": "u9"}]);
    rehash(last);
    assert_eq!(
        said(&evidence),
        ["record shed-1-runui-calm-1 (seq 4) says that carol approved on ballot shed-1-9, but there is no such ballot"]
    );
}

#[test]
fn whoever_asked_needs_leave_to_decide() {
    let opened = |evidence: &mut Evidence| {
        evidence.ballots[0].object["spec"]["request"]["requester"] = json!("bob");
    };
    assert_eq!(
        said_after(opened)[0],
        "record shed-1-runui-out-1 (seq 1) says that bob approved on ballot shed-1-1, but it gave no leave to decide as \
         whoever asked"
    );
}

#[test]
fn broken_glass_is_on_the_run() {
    let broken = json!([{"by": "carol", "decidedAs": "BreakGlass", "why": "the database is down"}]);
    let mut evidence = sound();
    let last = record(&mut evidence, 4);
    last["spec"]["approvals"] = broken;
    rehash(last);
    let run = evidence.runs[0].name().to_owned();
    let lie =
        format!("record shed-1-runui-calm-1 (seq 4) says that carol broke the glass, but run {run} does not say so");
    assert!(said(&evidence).contains(&lie), "{:?}", said(&evidence));
    evidence.runs[0].object["metadata"]["annotations"] =
        json!({"breakglass": "the database is down", "breakglass-by": "carol"});
    assert!(!said(&evidence).contains(&lie));
}

#[test]
fn where_the_cluster_does_not_stamp_the_mark_is_all_there_is() {
    let said = said_after(|evidence| drop(evidence.ballots[0].object["spec"].as_object_mut().unwrap().remove("voter")));
    assert_eq!(said, [""; 0]);
}

#[test]
fn a_ballot_may_be_closed_after_it_was_used() {
    assert_eq!(said_after(|evidence| evidence.ballots[0].object["status"]["state"] = json!("Withdrawn")), [""; 0]);
}

/// A run, and the undo of it that stands under its approval; what is said after this was done to the undo's JSON, and after that
/// to the other's.
fn said_of_an_undo(undo: impl Fn(String) -> String, original: impl Fn(String) -> String) -> Vec<String> {
    let gates = json!([{"name": "on-call", "requires": [{"role": "sre"}], "validFor": "15m", "timeout": "1h", "coversUndo": "30m"}]);
    let mut c = Cluster::new(gates, json!([scale("out", "on-call", 10)]));
    c.pass();
    c.approve();
    c.until_the_end();
    c.undo("back", json!({}));
    c.until_the_end();
    let mut evidence = Evidence::default();
    let mut add = |text: String| evidence.add(serde_json::from_str(&text).unwrap());
    c.ballots.values().for_each(|ballot| add(json!(ballot).to_string()));
    c.earlier.values().for_each(|run| add(original(json!(run).to_string())));
    let mut run = undo(json!(c.run).to_string());
    for record in c.records.values() {
        let mut object = json!(record);
        if record.spec.run == "back" {
            let old = object["spec"]["hash"].as_str().unwrap().to_owned();
            object = serde_json::from_str(&undo(object.to_string())).unwrap();
            let new = rehash(&mut object);
            run = run.replace(&old, &new);
        }
        add(object.to_string());
    }
    add(run);
    let reports = judge(&evidence, &Evidence::default());
    assert_eq!(reports.len(), 2);
    reports.iter().flat_map(|report| &report.findings).map(ToString::to_string).collect()
}

#[test]
fn a_claim_to_be_a_covered_undo_has_to_be_borne_out() {
    let same = |text: String| text;
    assert_eq!(said_of_an_undo(same, same), [""; 0]);
    for (from, to, but) in [
        ("uid-checkout", "uid-payments", "it changed another target"),
        ("\"after\":{\"replicas\":4}", "\"after\":{\"replicas\":0}", "it did not put back what was there before"),
        ("2026-11-22", "2026-12-22", "that covered its undo until 2026-11-22T03:"),
        ("\"username\":\"carol\"", "\"username\":\"bob\"", "bob asked for it, and may not be the one"),
        ("\"runUID\":\"run-uid\"", "\"runUID\":\"u9\"", "its run is covered by the approval of another plan"),
    ] {
        let said = said_of_an_undo(|text| text.replace(from, to), same);
        let found = said.iter().any(|said| {
            said.contains("stands under the approval of record shed-1-runui-out-1, but ") && said.contains(but)
        });
        assert!(found, "{from} -> {to}: {said:#?}");
    }
    let said = said_of_an_undo(same, |text| {
        text.replace("\"coversUndo\":\"30m\",", "").replace(",\"coversUndo\":\"30m\"", "")
    });
    assert!(said.iter().any(|said| said.ends_with("but the gate before that covers no undo")), "{said:#?}");
}
