//! Records against the journal of their run.

use serde_json::json;

use super::*;
use crate::verify::Note;

#[test]
fn a_missing_tail_is_named_with_each_record() {
    assert_eq!(
        said_after(|evidence| evidence.records.truncate(2)),
        ["the tail is missing: the journal of the run has 4 records, the last that is there is seq 2; missing: \
          shed-1-runui-down-1 (seq 3), shed-1-runui-calm-1 (seq 4)"]
    );
    assert_eq!(
        said_after(|evidence| evidence.records.clear())[0],
        "the tail is missing: the journal of the run has 4 records, the last that is there is seq 0; missing: \
         shed-1-runui-out-1 (seq 1), shed-1-runui-ready-1 (seq 2), shed-1-runui-down-1 (seq 3), shed-1-runui-calm-1 (seq 4)"
    );
}

#[test]
fn a_record_that_is_missing_amid_others_is_named() {
    assert_eq!(
        said_after(|evidence| drop(evidence.records.remove(1))),
        ["record shed-1-runui-ready-1 (seq 2) of step ready.1 is missing: the journal of the run names it"]
    );
}

#[test]
fn one_edited_and_the_last_one_dropped_are_both_named_the_first_first() {
    let said = said_after(|evidence| {
        record(evidence, 2)["spec"]["message"] = json!("nothing happened");
        evidence.records.pop();
    });
    assert!(said[0].starts_with("record shed-1-runui-ready-1 (seq 2) was changed: "), "{said:#?}");
    assert!(said[1].starts_with("the tail is missing: the journal of the run has 4 records"), "{said:#?}");
    assert_eq!(said.len(), 2);
}

#[test]
fn a_tail_that_was_rewritten_consistently_differs_from_the_journal() {
    let mut evidence = sound();
    let journalled = hash(&evidence, 3);
    record(&mut evidence, 3)["spec"]["approvedBy"] = json!("mallory as sre");
    let third = rehash(record(&mut evidence, 3));
    record(&mut evidence, 4)["spec"]["prevHash"] = json!(third);
    rehash(record(&mut evidence, 4));
    let said = said(&evidence);
    assert_eq!(
        said[0],
        format!(
            "record shed-1-runui-down-1 (seq 3) was replaced: its hash is {third}, and the journal of the run has {journalled}"
        )
    );
    assert!(said[1].starts_with("record shed-1-runui-calm-1 (seq 4) was replaced: "), "{said:#?}");
    assert_eq!(said.len(), 2);
}

#[test]
fn a_record_that_the_journal_does_not_know_is_named() {
    let said = said_after(|evidence| {
        evidence.runs[0].object["status"]["steps"].as_object_mut().unwrap().remove("ready.1");
    });
    assert_eq!(said, ["record shed-1-runui-ready-1 (seq 2) is not in the journal of the run"]);
}

#[test]
fn a_head_that_is_not_that_of_the_journal_is_named() {
    let last = hash(&sound(), 4);
    assert_eq!(
        said_after(|evidence| evidence.runs[0].object["status"]["recordHead"] = json!("sha256:00")),
        [
            format!("the journal of the run was changed: its head is sha256:00, and its last step has {last}"),
            "the tail is missing: the head of the run is sha256:00, and no record has that hash".to_owned(),
        ]
    );
}

#[test]
fn an_outcome_that_was_never_recorded_is_named_when_the_run_has_ended() {
    let damage = |evidence: &mut Evidence, finished: bool| {
        let status = &mut evidence.runs[0].object["status"];
        status["steps"]["late.1"] = json!({"outcome": {"result": "Done"}});
        status["finished"] = json!(finished);
    };
    assert_eq!(
        said_after(|evidence| damage(evidence, true)),
        ["step late.1 has an outcome in the journal and no record, and the run has ended"]
    );
    assert_eq!(said_after(|evidence| damage(evidence, false)), [""; 0], "it is being verified");
}

#[test]
fn a_run_that_goes_on_may_owe_its_last_record_and_no_other() {
    let mut evidence = sound();
    evidence.runs[0].object["status"]["finished"] = json!(false);
    evidence.records.pop();
    let found = report(&evidence, &Evidence::default());
    assert_eq!((found.findings, found.notes), (vec![], vec![Note::GoesOn]));
    evidence.records.pop();
    assert!(said(&evidence)[0].starts_with("the tail is missing"));
}

#[test]
fn a_change_behind_a_gate_that_nobody_approved_is_named() {
    let mut evidence = sound();
    record(&mut evidence, 1)["spec"].as_object_mut().unwrap().remove("approvals");
    let hash = rehash(record(&mut evidence, 1));
    // Whoever may write everything makes the journal fit.
    evidence.runs[0].object["status"]["steps"]["out.1"]["settled"]["hash"] = json!(hash);
    assert_eq!(
        said(&evidence)[0],
        "record shed-1-runui-out-1 (seq 1) has no approval, and the plan of its step is behind the gate on-call"
    );
}
