//! Each kind of damage, and the sentence that names it.

mod ballots;
mod chain;
mod export;
mod journal;

use std::sync::LazyLock;

use serde_json::{Value, json};

use super::{Evidence, RunReport, Stored, judge};
use crate::digest;
use crate::plan::tests::cluster::{Cluster, check, on_call, scale};

/// What is left of a real run of four steps behind one gate, as it is stored.
fn sound() -> Evidence {
    static SOUND: LazyLock<Evidence> = LazyLock::new(run_of_four_steps);
    SOUND.clone()
}

fn run_of_four_steps() -> Evidence {
    let mut c = Cluster::new(
        on_call(),
        json!([
            scale("out", "on-call", 10),
            check("ready", "object.spec.replicas == 10"),
            json!({"name": "down", "gate": "on-call", "scale": {"target": {"kind": "Deployment", "name": "basket"}, "replicas": 1}}),
            check("calm", "object.spec.replicas == 10"),
        ]),
    );
    c.pass();
    c.approve();
    assert_eq!(c.until_the_end(), crate::api::run::Phase::Succeeded);
    let mut evidence = Evidence::default();
    evidence.add(json!(c.run));
    c.ballots.values().for_each(|ballot| evidence.add(json!(ballot)));
    c.records.values().for_each(|record| evidence.add(json!(record)));
    evidence.records.sort_by_key(|record| record.object["spec"]["seq"].as_i64());
    evidence
}

/// The same of a run of another name and uid: hashed anew, from the first record to the head.
pub(crate) fn sound_as(name: &str, uid: &str) -> Evidence {
    let short: String = uid.chars().take(5).collect();
    let renamed = |stored: &Stored| {
        let text = stored.object.to_string().replace("runui", &short).replace("run-uid", uid).replace("shed-1", name);
        Stored { object: serde_json::from_str(&text).unwrap() }
    };
    let old = sound();
    let mut evidence = Evidence {
        runs: old.runs.iter().map(renamed).collect(),
        ballots: old.ballots.iter().map(renamed).collect(),
        records: old.records.iter().map(renamed).collect(),
    };
    let mut journal = evidence.runs[0].object.to_string();
    let mut previous = None;
    for (seq, old) in (1..).zip(&old.records) {
        if let Some(previous) = previous {
            record(&mut evidence, seq)["spec"]["prevHash"] = json!(previous);
        }
        let new = rehash(record(&mut evidence, seq));
        journal = journal.replace(old.text("/spec/hash"), &new);
        previous = Some(new);
    }
    evidence.runs[0].object = serde_json::from_str(&journal).unwrap();
    evidence
}

/// A record, by its place.
fn record(evidence: &mut Evidence, seq: usize) -> &mut Value {
    &mut evidence.records[seq - 1].object
}

/// Gives a record the hash of its content.
fn rehash(record: &mut Value) -> String {
    let hash = digest::of_record(&record["spec"]);
    record["spec"]["hash"] = json!(hash);
    hash
}

/// The hash that a record has.
fn hash(evidence: &Evidence, seq: usize) -> String {
    evidence.records[seq - 1].text("/spec/hash").to_owned()
}

fn report(evidence: &Evidence, export: &Evidence) -> RunReport {
    let mut reports = judge(evidence, export);
    assert_eq!(reports.len(), 1, "{reports:#?}");
    reports.remove(0)
}

/// What is said of the damaged evidence.
fn said(evidence: &Evidence) -> Vec<String> {
    report(evidence, &Evidence::default()).findings.iter().map(ToString::to_string).collect()
}

/// What is said of damage that was done like this.
fn said_after(damage: impl FnOnce(&mut Evidence)) -> Vec<String> {
    let mut evidence = sound();
    damage(&mut evidence);
    said(&evidence)
}

#[test]
fn sound_evidence_stands() {
    let evidence = sound();
    let report = report(&evidence, &evidence);
    assert_eq!((report.findings, report.notes), (vec![], vec![]));
    assert_eq!((report.records, report.run.as_str()), (4, "shed-1"));
    assert_eq!(report.head, evidence.runs[0].text("/status/recordHead"));
}

#[test]
fn nothing_at_all_is_no_damage() {
    assert_eq!(judge(&Evidence::default(), &Evidence::default()), []);
    let mut evidence = Evidence::default();
    evidence.add(json!({"apiVersion": "firstaid.dev/v1alpha1", "kind": "RunbookRun", "metadata": {"namespace": "shop", "name": "new", "uid": "u"}}));
    let report = report(&evidence, &evidence);
    assert_eq!((report.findings.len(), report.records), (0, 0));
}

#[test]
fn a_file_is_read_in_each_form_that_kubectl_prints() {
    let evidence = sound();
    let objects: Vec<&Value> =
        evidence.runs.iter().chain(&evidence.ballots).chain(&evidence.records).map(|stored| &stored.object).collect();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects}).to_string();
    let lines: String = objects.iter().map(|object| format!("{object}\n")).collect();
    let pretty: String = objects.iter().map(|object| format!("{object:#}\n")).collect();
    for text in [&list, &lines, &pretty, &format!("{lines}\n{lines}{list}")] {
        assert_eq!(Evidence::read(text).unwrap(), evidence);
    }
}

#[test]
fn a_file_that_is_none_is_refused() {
    let torn = |text: &str| Evidence::read(text).unwrap_err().to_string();
    assert_eq!(torn(""), "it holds no run and no record");
    assert_eq!(torn("{\"kind\": \"Secret\"}"), "it holds no run and no record");
    assert_eq!(torn("{}\n{}\n{\"kind\": "), "line 3 is no JSON: EOF while parsing a value at line 3 column 9");
    assert!(torn("no json").starts_with("line 1 is no JSON: "));
    assert!(torn(&"[".repeat(100_000)).contains("recursion limit"), "depth is bounded");
}

#[test]
fn whatever_else_stands_there_is_judged_without_a_crash() {
    for strange in [Value::Null, json!(-1), json!(i64::MAX), json!("x"), json!([[]]), json!({"seq": 1.5})] {
        for place in ["/spec", "/spec/seq", "/spec/prevHash", "/spec/approvals", "/metadata/name", "/metadata"] {
            let mut evidence = sound();
            *record(&mut evidence, 3).pointer_mut(place).unwrap() = strange.clone();
            let findings = judge(&evidence, &Evidence::default()).into_iter().flat_map(|report| report.findings);
            assert!(findings.count() > 0, "{place} {strange}");
        }
        for place in ["/status", "/status/steps", "/status/steps/out.1/settled", "/status/recordHead"] {
            let mut evidence = sound();
            *evidence.runs[0].object.pointer_mut(place).unwrap() = strange.clone();
            assert!(!said(&evidence).is_empty(), "{place} {strange}");
        }
    }
}

/// An object as another one of its kind.
fn with(stored: &Stored, pointer: &str, value: Value) -> Value {
    let mut object = stored.object.clone();
    *object.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = value;
    object
}
