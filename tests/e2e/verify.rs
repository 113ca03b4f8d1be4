//! `firstaid verify` on evidence of a real run: it stands; then somebody with every right, to whom no policy and no rule
//! of a kind applies any more, damages it.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use firstaid_judge::Rule;
use firstaid_sandbox::{Output, poll};
use serde_json::Value;

use crate::runs::runbook;
use crate::town::{Leg, Town, WITHIN, text};

/// `firstaid verify` as a person, and how it ended.
pub fn verify(town: &Town, person: &str, args: &[&str]) -> Result<(i32, String)> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_firstaid"));
    command.arg("verify").args(args).env("KUBECONFIG", town.sandbox.kubeconfig(person));
    let output = Output::of(&mut command)?;
    Ok((output.status.code().context("it was killed")?, output.stdout + &output.stderr))
}

/// Three records, two of them under bob's vote.
fn a_run(town: &Town) -> Result<Vec<Value>> {
    let steps = [
        "name: out, gate: on-call, scale: {target: {kind: Deployment, name: checkout}, replicas: 7}",
        "name: look, check: {object: {kind: Deployment, name: checkout}, that: object.spec.replicas == 7}",
        "name: ledger, gate: on-call, scale: {target: {kind: StatefulSet, name: ledger}, replicas: 3}",
    ];
    town.runbook(&runbook("three", &steps))?;
    town.start("three", "three-1")?;
    town.wait_phase("three-1", "Waiting")?;
    town.approve("bob", "three-1")?;
    town.wait_phase("three-1", "Succeeded")?;
    let records = town.records("three-1")?;
    ensure!(records.len() == 3, "{records:#?}");
    Ok(records)
}

/// What plain kubectl makes of it, as the manual says: a list, and a line for each object.
fn exports(town: &Town) -> Result<[String; 2]> {
    let lines = "-o=jsonpath={range .items[*]}{@}{\"\\n\"}{end}";
    let mut paths = Vec::new();
    for (name, form) in [("export.json", "-o=json"), ("export.jsonl", lines)] {
        let path = town.sandbox.data().join(format!("{}-{name}", town.namespace));
        std::fs::write(&path, town.kubectl("bob", &["get", "rbr,apv,arec", form])?.ok()?)?;
        paths.push(path.to_string_lossy().into_owned());
    }
    paths.try_into().map_err(|_| anyhow::anyhow!("two"))
}

#[test]
fn the_evidence_of_a_run_stands_until_somebody_damages_it() -> Result<()> {
    let mut town = Town::open_alone(Leg::Stamping, "verify")?;
    let records = a_run(&town)?;
    let head = text(&town.get("rbr", "three-1")?, "/status/recordHead").to_owned();
    let namespace = town.namespace.clone();
    let exports = exports(&town)?;

    let sound = format!("three-1: 3 records, chain unbroken, head {head}\n");
    assert_eq!(verify(&town, "bob", &["-n", &namespace])?, (0, sound.clone()));
    for export in &exports {
        assert_eq!(verify(&town, "bob", &["-f", export])?, (0, sound.clone()), "the file alone");
        assert_eq!(
            verify(&town, "bob", &["-n", &namespace, "-f", export])?,
            (0, sound.clone()),
            "the file as an anchor"
        );
    }
    let (code, json) = verify(&town, "bob", &["-n", &namespace, "--run", "three-1", "-o", "json"])?;
    let json: Value = serde_json::from_str(&json)?;
    assert_eq!((code, text(&json, "/runs/0/head"), &json["ok"]), (0, head.as_str(), &Value::Bool(true)));
    each_record_is_in_the_log(&town, &records)?;
    what_cannot_be_checked_is_no_pass(&town)?;

    let because = "root changes a record, deletes another one, and the run";
    town.forges(&[Rule::Record, Rule::Chain, Rule::Evidence], "run three-1:", because);
    take_the_guards_away(&mut town)?;
    let second = text(&records[1], "/metadata/name");
    let forged = r#"{"spec":{"verification":"all was well"}}"#;
    poll("the record to be open to anybody", WITHIN, || {
        town.kubectl("root", &["patch", "arec", second, "--type=merge", "-p", forged])?.ok()
    })?;
    town.kubectl("root", &["delete", "arec", text(&records[2], "/metadata/name")])?.ok()?;
    let (code, said) = verify(&town, "bob", &["-n", &namespace])?;
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!((code, lines[0]), (1, "three-1: 2 records, 2 findings"), "{said}");
    assert!(
        lines[1].starts_with(&format!("  record {second} (seq 2) was changed: its content gives sha256:")),
        "{said}"
    );
    let third = text(&records[2], "/metadata/name");
    assert_eq!(
        lines[2],
        format!(
            "  the tail is missing: the journal of the run has 3 records, the last that is there is seq 2; missing: {third} (seq 3)"
        )
    );
    without_the_run_the_export_tells(&town, &records, &exports[1])
}

/// The head of the chain also stands outside of the cluster's own store.
fn each_record_is_in_the_log(town: &Town, records: &[Value]) -> Result<()> {
    let log = std::fs::read_to_string(town.operator.as_ref().context("an operator")?.log_path())?;
    let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    for record in records {
        let line = lines.iter().find(|line| text(line, "/hash") == text(record, "/spec/hash"));
        let line = line.with_context(|| format!("no line has the hash of {}", text(record, "/metadata/name")))?;
        assert_eq!((text(line, "/message"), text(line, "/run")), ("record", "three-1"));
        assert_eq!(text(line, "/record"), text(record, "/metadata/name"));
        assert_eq!((text(line, "/step"), line.get("seq")), (text(record, "/spec/step"), record.pointer("/spec/seq")));
    }
    Ok(())
}

fn what_cannot_be_checked_is_no_pass(town: &Town) -> Result<()> {
    let namespace = town.namespace.as_str();
    for (args, sentence) in [
        (vec!["-n", namespace, "--run", "thee-1"], "there is no run thee-1, and no record of one"),
        (vec!["-f", "/nowhere/export.json"], "reading /nowhere/export.json"),
        (vec!["-f", "/dev/null"], "make one with: kubectl get rbr,apv,arec -n NAMESPACE -o json > export.json"),
    ] {
        let (code, said) = verify(town, "bob", &args)?;
        ensure!(code == 2 && said.contains(sentence), "{args:?} ended with {code}: {said}");
    }
    let (code, said) = verify(town, "mallory", &["-n", "kube-system"])?;
    ensure!(
        code == 2 && said.contains("see: kubectl auth can-i list runbookruns.firstaid.dev -n kube-system"),
        "{code}: {said}"
    );
    Ok(())
}

/// What only somebody with every right in the cluster can do.
fn take_the_guards_away(town: &mut Town) -> Result<()> {
    town.kill_operator()?;
    let bindings = ["get", "validatingadmissionpolicybinding", "-o", "name"];
    for binding in town.kubectl("root", &bindings)?.ok()?.lines().filter(|name| name.contains("/firstaid-")) {
        town.kubectl("root", &["delete", binding])?.ok()?;
    }
    let rules = r#"[{"op": "remove", "path": "/spec/versions/0/schema/openAPIV3Schema/x-kubernetes-validations"}]"#;
    poll("the kind to be open to anybody", WITHIN, || {
        town.kubectl("root", &["patch", "crd", "actionrecords.firstaid.dev", "--type=json", "-p", rules])?.ok()
    })?;
    Ok(())
}

/// With the run gone, too, nothing in the cluster knows of the third record.
fn without_the_run_the_export_tells(town: &Town, records: &[Value], export: &str) -> Result<()> {
    town.kubectl("root", &["delete", "rbr", "three-1"])?.ok()?;
    let namespace = town.namespace.as_str();
    let (code, said) = verify(town, "bob", &["-n", namespace])?;
    ensure!(code == 1 && said.contains("the run is gone: the head cannot be compared"), "{code}: {said}");
    ensure!(!said.contains("(seq 3)"), "{said}");
    let (code, said) = verify(town, "bob", &["-n", namespace, "-f", export])?;
    let gone = format!("record {} (seq 3) is in the export and is gone", text(&records[2], "/metadata/name"));
    ensure!(code == 1 && said.contains(&gone), "{code}: {said}");
    ensure!(said.contains("(seq 2) is not what the export has: its hash is"), "{said}");
    Ok(())
}
