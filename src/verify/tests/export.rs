//! The cluster against an older export.

use serde_json::json;

use super::*;

fn said_against(evidence: &Evidence, export: &Evidence) -> Vec<String> {
    report(evidence, export).findings.iter().map(ToString::to_string).collect()
}

/// Everything rewritten so that it fits: only what was carried out before can tell.
#[test]
fn a_tail_that_was_rewritten_with_its_journal_is_told_by_the_export() {
    let export = sound();
    let mut evidence = sound();
    record(&mut evidence, 4)["spec"]["verification"] = json!("all was well");
    let head = rehash(record(&mut evidence, 4));
    let status = &mut evidence.runs[0].object["status"];
    status["steps"]["calm.1"]["settled"]["hash"] = json!(head);
    status["recordHead"] = json!(head);
    assert_eq!(said(&evidence), [""; 0], "it all fits");
    let old = hash(&export, 4);
    assert_eq!(
        said_against(&evidence, &export),
        [
            format!(
                "record shed-1-runui-calm-1 (seq 4) is not what the export has: its hash is {head}, in the export it is {old}"
            ),
            format!("the head of the run in the export is {old}, and no record has that hash any more"),
        ]
    );
}

#[test]
fn a_tail_that_was_cut_with_its_run_is_told_by_the_export() {
    let export = sound();
    let mut evidence = sound();
    evidence.runs.clear();
    evidence.records.truncate(3);
    assert_eq!(said(&evidence), [""; 0], "nobody else knows of the fourth");
    let old = hash(&export, 4);
    assert_eq!(
        said_against(&evidence, &export),
        [
            "record shed-1-runui-calm-1 (seq 4) is in the export and is gone".to_owned(),
            format!("the head of the run in the export is {old}, and no record has that hash any more"),
        ]
    );
}

#[test]
fn a_run_of_which_nothing_is_left_is_told_by_the_export() {
    let said = said_against(&Evidence::default(), &sound());
    assert_eq!(said[0], "record shed-1-runui-out-1 (seq 1) is in the export and is gone");
    assert_eq!(said.last().unwrap(), "ballot shed-1-1 is not what the export has: there is no such ballot");
}

#[test]
fn an_export_of_earlier_days_is_an_anchor_for_what_it_has() {
    let mut export = sound();
    export.records.truncate(2);
    let head = hash(&export, 2);
    export.runs[0].object["status"]["recordHead"] = json!(head);
    assert_eq!(said_against(&sound(), &export), [""; 0]);
}

#[test]
fn an_export_that_was_changed_is_named() {
    let mut export = sound();
    export.records[1].object["spec"]["reason"] = json!("another");
    let said = said_against(&sound(), &export);
    assert!(
        said[0].starts_with("the export was changed: its record shed-1-runui-ready-1 (seq 2) gives sha256:"),
        "{said:#?}"
    );
}

#[test]
fn an_export_that_grew_shows_two_versions_of_a_record_as_a_fork() {
    let mut export = sound();
    let mut other = with(&export.records[2], "/spec/summary", json!("scale nothing"));
    rehash(&mut other);
    export.add(other);
    let said = said(&export);
    assert!(
        said.contains(
            &"the chain has a fork: record shed-1-runui-down-1 and record shed-1-runui-down-1 all have seq 3"
                .to_owned()
        ),
        "{said:#?}"
    );
}

#[test]
fn a_mark_that_was_changed_since_the_export_is_named() {
    let mut evidence = sound();
    evidence.ballots[0].object["metadata"]["annotations"]["approve"] = json!("0000 another reason");
    let said = said_against(&evidence, &sound());
    assert_eq!(said.last().unwrap(), "ballot shed-1-1 is not what the export has: its request or its mark was changed");
}
