//! Records by themselves.

use serde_json::json;

use super::*;
use crate::verify::Note;

/// The evidence of a run that was deleted: its records alone.
fn of_a_run_that_is_gone() -> Evidence {
    let mut evidence = sound();
    evidence.runs.clear();
    evidence
}

#[test]
fn an_edited_record_is_named_by_its_place() {
    let mut computed = String::new();
    let mut evidence = sound();
    record(&mut evidence, 2)["spec"]["summary"] = json!("check nothing");
    computed += &digest::of_record(&record(&mut evidence, 2)["spec"]);
    let says = hash(&evidence, 2);
    assert_eq!(
        said(&evidence),
        [format!("record shed-1-runui-ready-1 (seq 2) was changed: its content gives {computed}, and it says {says}")]
    );
}

#[test]
fn a_field_that_this_version_does_not_know_is_under_the_hash_too() {
    let said = said_after(|evidence| record(evidence, 2)["spec"]["later"] = json!("added"));
    assert!(said[0].starts_with("record shed-1-runui-ready-1 (seq 2) was changed: "), "{said:#?}");
}

#[test]
fn what_became_of_the_effect_since_may_change() {
    assert_eq!(said_after(|evidence| record(evidence, 1)["status"]["state"] = json!("Reverted")), [""; 0]);
}

#[test]
fn the_first_bad_record_is_named_first() {
    let said = said_after(|evidence| {
        record(evidence, 3)["spec"]["changed"] = json!(false);
        record(evidence, 1)["spec"]["reason"] = json!("another");
    });
    assert!(said[0].starts_with("record shed-1-runui-out-1 (seq 1) was changed"), "{said:#?}");
    assert!(said[1].starts_with("record shed-1-runui-down-1 (seq 3) was changed"), "{said:#?}");
}

#[test]
fn a_record_that_was_edited_and_hashed_anew_breaks_the_chain_behind_it() {
    let mut evidence = of_a_run_that_is_gone();
    let old = hash(&evidence, 2);
    record(&mut evidence, 2)["spec"]["verification"] = json!("all is well");
    let new = rehash(record(&mut evidence, 2));
    assert_eq!(
        said(&evidence),
        [format!(
            "record shed-1-runui-down-1 (seq 3) does not follow record shed-1-runui-ready-1: it says {old}, and the hash of \
             shed-1-runui-ready-1 is {new}; one of the two was changed"
        )]
    );
}

#[test]
fn the_first_record_follows_none() {
    let mut evidence = of_a_run_that_is_gone();
    evidence.records.truncate(1);
    record(&mut evidence, 1)["spec"]["prevHash"] = json!("sha256:00");
    rehash(record(&mut evidence, 1));
    assert_eq!(
        said(&evidence),
        ["record shed-1-runui-out-1 (seq 1) is the first and says that sha256:00 is before it"]
    );
}

#[test]
fn a_gap_is_named() {
    let mut evidence = of_a_run_that_is_gone();
    evidence.records.remove(1);
    assert_eq!(said(&evidence), ["the chain has a gap: no record has seq 2"]);
    evidence.records.remove(0);
    assert_eq!(
        said(&evidence),
        ["the chain has a gap: no record has seq 1", "the chain has a gap: no record has seq 2"],
        "at the beginning too"
    );
}

#[test]
fn two_records_at_one_place_are_a_fork() {
    let mut evidence = sound();
    let mut twin = evidence.records[3].object.clone();
    twin["metadata"]["name"] = json!("shed-1-runui-twin-1");
    twin["spec"]["step"] = json!("twin");
    rehash(&mut twin);
    evidence.add(twin);
    assert_eq!(
        said(&evidence),
        [
            "the chain has a fork: record shed-1-runui-calm-1 and record shed-1-runui-twin-1 all have seq 4",
            "record shed-1-runui-twin-1 (seq 4) is not in the journal of the run",
        ]
    );
}

#[test]
fn two_records_behind_one_are_a_fork() {
    let mut evidence = of_a_run_that_is_gone();
    let first = hash(&evidence, 1);
    record(&mut evidence, 3)["spec"]["prevHash"] = json!(first);
    rehash(record(&mut evidence, 3));
    let said = said(&evidence);
    let fork = format!(
        "the chain has a fork: record shed-1-runui-ready-1 (seq 2) and record shed-1-runui-down-1 (seq 3) all follow {first}"
    );
    assert!(said.contains(&fork), "{said:#?}");
    assert!(said[0].starts_with("record shed-1-runui-down-1 (seq 3) does not follow record shed-1-runui-ready-1"));
}

#[test]
fn a_record_of_a_run_that_is_gone_is_judged_by_its_chain_alone() {
    let evidence = of_a_run_that_is_gone();
    let report = report(&evidence, &Evidence::default());
    assert_eq!((report.findings, report.notes.clone()), (vec![], vec![Note::RunGone]));
    assert_eq!(
        report.notes[0].to_string(),
        "the run is gone: the head cannot be compared, and records after the last one may be gone with it"
    );
}

#[test]
fn another_run_of_the_same_name_is_another_run() {
    let mut evidence = sound();
    evidence.runs[0].object["metadata"]["uid"] = json!("made-anew");
    evidence.runs[0].object["status"] = json!({"phase": "Planning"});
    let reports = judge(&evidence, &Evidence::default());
    let all: Vec<(usize, usize)> = reports.iter().map(|r| (r.records, r.findings.len())).collect();
    assert_eq!(all, [(0, 0), (4, 0)], "{reports:#?}");
}

#[test]
fn a_record_without_a_place_or_a_hash_is_no_record() {
    let said = said_after(|evidence| record(evidence, 2)["spec"]["seq"] = json!("two"));
    assert_eq!(said[0], "record shed-1-runui-ready-1 cannot be judged: it has no seq");
    let said = said_after(|evidence| record(evidence, 2)["spec"]["hash"] = json!(""));
    assert_eq!(said[0], "record shed-1-runui-ready-1 cannot be judged: it has no hash");
    let said = said_after(|evidence| record(evidence, 2)["spec"]["seq"] = json!(0));
    assert_eq!(said[0], "record shed-1-runui-ready-1 cannot be judged: its seq is less than 1");
}
