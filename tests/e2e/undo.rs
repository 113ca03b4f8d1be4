//! A run that undoes another one, as people start it: with the line that the run itself shows at its end.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use firstaid_sandbox::{Output, poll};
use serde_json::{Value, json};

use crate::runs::runbook;
use crate::town::{Leg, Town, WITHIN, number, text};
use crate::verify::verify;

/// Two changes behind the gate of most tests.
const STEPS: [&str; 2] = [
    "name: flag-off, gate: on-call, disable: {flag: recs, configMap: {name: shop-flags, key: flags.json, format: Json, pointer: /recommendations}}",
    "name: scale-out, gate: on-call, scale: {target: {kind: Deployment, name: checkout}, replicas: 6}",
];

/// The same, and an approval covers the undo for half an hour.
fn covering(name: &str) -> String {
    runbook(name, &STEPS).replace("requires: [{role: sre}]", "requires: [{role: sre}], coversUndo: 30m")
}

/// Pastes the line that undoes a run, as alice, and gives the name of the run that comes of it.
fn paste_undo(town: &Town, run: &str, change: &[(&str, &str)]) -> Result<String> {
    let ended = town.get("rbr", run)?;
    let commands = ended.pointer("/status/nextCommands").and_then(Value::as_array).context("commands")?;
    let line = commands.iter().filter_map(Value::as_str).find(|line| line.contains("revertOf")).context("no undo")?;
    let mut line = line.replace("WHY", "it is over");
    for (old, new) in change {
        line = line.replace(old, new);
    }
    let kubectl = town.sandbox.programs().kubectl.parent().context("a folder")?;
    let path = format!("{}:{}", kubectl.display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("bash");
    shell
        .args(["-c", &format!("{line} -o name")])
        .env("KUBECONFIG", town.sandbox.kubeconfig("alice"))
        .env("PATH", path);
    let made = Output::of(&mut shell)?.ok()?;
    Ok(made.trim().rsplit('/').next().unwrap_or_default().to_owned())
}

fn done(town: &Town, run: &str) -> Result<()> {
    town.start("shed", run)?;
    town.approve("bob", run)?;
    let ended = town.wait_phase(run, "Succeeded")?;
    assert_eq!(ended.pointer("/status/inPlaceAtEnd"), Some(&json!(2)));
    Ok(())
}

fn replicas(town: &Town) -> Result<i64> {
    Ok(number(&town.get("deployment", "checkout")?, "/spec/replicas"))
}

fn states(town: &Town, run: &str) -> Result<Vec<String>> {
    Ok(town.records(run)?.iter().map(|record| text(record, "/status/state").to_owned()).collect())
}

fn undone_behind_its_gate(leg: Leg) -> Result<()> {
    let town = Town::open(leg, "undo")?;
    town.runbook(&runbook("shed", &STEPS))?;
    let flags = text(&town.get("configmap", "shop-flags")?, "/data/flags.json").to_owned();
    done(&town, "first")?;
    // Beside the flag somebody adds another one: that stays.
    let theirs = |text: &str| text.replacen('{', "{\"new\": 1, ", 1);
    let now = theirs(text(&town.get("configmap", "shop-flags")?, "/data/flags.json"));
    town.change("configmap", "shop-flags", &json!({"data": {"flags.json": now}}))?;
    let undo = paste_undo(&town, "first", &[])?;
    let ballot = town.ballot(&undo)?;
    let said = ballot.pointer("/spec/request/effects").context("effects")?.to_string();
    assert!(
        said.contains("scale Deployment/checkout back 6 -> 4") && said.contains("recs back to what it was"),
        "{said}"
    );
    assert_eq!(replicas(&town)?, 6, "nothing is undone before somebody approves it");
    town.approve("bob", &undo)?;
    let ended = town.wait_phase(&undo, "Succeeded")?;
    assert_eq!(text(&ended, "/status/message"), "all 2 changes of run first are undone");
    assert_eq!(replicas(&town)?, 4);
    assert_eq!(text(&town.get("configmap", "shop-flags")?, "/data/flags.json"), theirs(&flags), "byte for byte");
    assert_eq!(
        (states(&town, "first")?, states(&town, &undo)?),
        (vec!["Reverted".to_owned(); 2], vec!["OneShot".to_owned(); 2])
    );
    let (record, original) = (town.record(&undo, "scale-out")?, town.record("first", "scale-out")?);
    assert_eq!(text(&record, "/spec/revertOf"), text(&original, "/metadata/name"));
    assert_eq!(text(&town.get("rbr", "first")?, "/status/phase"), "Succeeded", "a run that has ended stays as it is");

    // Once more is no harm: nobody is asked, nothing is written.
    let again = paste_undo(&town, "first", &[])?;
    let ended = town.wait_phase(&again, "Succeeded")?;
    assert_eq!(text(&ended, "/status/message"), "nothing of run first is left to undo");
    assert_eq!(town.writes("deployments", "checkout")?, 2);
    let (code, words) = verify(&town, "bob", &["-n", &town.namespace])?;
    assert_eq!(code, 0, "{words}");
    Ok(())
}

#[test]
fn a_run_is_undone_behind_its_gate_where_votes_are_stamped() -> Result<()> {
    undone_behind_its_gate(Leg::Stamping)
}

#[test]
fn a_run_is_undone_behind_its_gate_where_people_type_their_names() -> Result<()> {
    undone_behind_its_gate(Leg::Plain)
}

#[test]
fn an_approval_covers_the_undo_as_long_as_it_would_count() -> Result<()> {
    let town = Town::open(Leg::Stamping, "cover")?;
    town.runbook(&covering("shed"))?;
    done(&town, "first")?;
    let undo = paste_undo(&town, "first", &[])?;
    town.wait_phase(&undo, "Succeeded")?;
    assert_eq!(replicas(&town)?, 4);
    let of_undo = |ballot: &Value| text(ballot, "/spec/request/run") == undo;
    assert!(!town.list("apv")?.iter().any(of_undo), "nobody was asked");
    let record = town.record(&undo, "scale-out")?;
    assert_eq!((text(&record, "/spec/approvals/0/by"), text(&record, "/spec/approvals/0/ballot")), ("bob", "first-1"));
    let (code, words) = verify(&town, "bob", &["-n", &town.namespace])?;
    assert_eq!(code, 0, "{words}");

    // Whoever approved has lost the role since: their word of then lets nothing be undone.
    done(&town, "second")?;
    town.kubectl("root", &["delete", "rolebinding", "firstaid-approver-as-sre"])?.ok()?;
    let undo = paste_undo(&town, "second", &[])?;
    town.wait_held(&undo, "approval by 1 of sre")?;
    assert_eq!(replicas(&town)?, 6);
    let waiting = town.get("rbr", &undo)?;
    let because = text(&waiting, "/status/plans/0.2/revisedBecause");
    assert_eq!(because, "bob may no longer approve as sre");
    town.abort_as("alice", &undo)?;
    Ok(())
}

#[test]
fn what_somebody_changed_since_is_left_alone_unless_it_is_forced() -> Result<()> {
    let town = Town::open(Leg::Stamping, "force")?;
    town.runbook(&covering("shed"))?;
    done(&town, "first")?;
    town.kubectl("root", &["scale", "deployment/checkout", "--replicas=5"])?.ok()?;
    let undo = paste_undo(&town, "first", &[])?;
    let words = town.failed(&undo)?;
    assert!(words.starts_with("1 of 2 changes of run first undone; not: step scale-out: ChangedSince:"), "{words}");
    assert!(words.contains("somebody changed it (kubectl), so"), "the program that wrote it is named: {words}");
    assert_eq!((replicas(&town)?, states(&town, "first")?), (5, vec!["Reverted".to_owned(), "InPlace".to_owned()]));

    let force = [("\"revertOf\":\"first\"", "\"revertOf\":\"first\",\"force\":true,\"steps\":[\"scale-out\"]")];
    let forced = paste_undo(&town, "first", &force)?;
    let said = town.ballot(&forced)?.pointer("/spec/request/effects").context("effects")?.to_string();
    assert!(
        said.contains("beware: forced: First Aid had set 6; the 5 that somebody set since (kubectl) is lost"),
        "{said}"
    );
    town.approve("bob", &forced)?;
    town.wait_phase(&forced, "Succeeded")?;
    assert_eq!((replicas(&town)?, states(&town, "first")?), (4, vec!["Reverted".to_owned(); 2]));
    Ok(())
}

#[test]
fn what_makes_no_sense_is_refused_with_a_sentence() -> Result<()> {
    let town = Town::open(Leg::Stamping, "nonsense")?;
    town.runbook(&runbook("shed", &STEPS))?;
    town.runbook(&runbook("other", &STEPS[..1]))?;
    for (more, sentence) in [
        ("  steps: [scale-out]\n", "steps and force are for a run that undoes another one: say which with revertOf"),
        ("  force: true\n", "steps and force are for a run that undoes another one: say which with revertOf"),
        ("  revertOf: first\n  parameters: {a: b}\n", "an undo takes no parameters: it puts back what was there"),
        ("  revertOf: first\n  steps: []\n", "should have at least 1 items"),
        ("  revertOf: ../x\n", "this is no name of a run"),
    ] {
        let refusal = town.start_with("shed", "never", more).expect_err(more).to_string();
        assert!(refusal.contains(sentence), "{more}: {refusal}");
    }
    town.start_with("shed", "of-nothing", "  revertOf: first\n")?;
    assert!(town.failed("of-nothing")?.starts_with("there is no run \"first\" in this namespace"));
    town.start("shed", "first")?;
    town.wait_phase("first", "Waiting")?;
    town.start_with("shed", "too-soon", "  revertOf: first\n")?;
    let words = town.failed("too-soon")?;
    assert!(words.starts_with("run first has not ended") && words.contains("abort=\"WHY\""), "{words}");
    town.abort("first")?;
    town.start_with("other", "mixed-up", "  revertOf: first\n")?;
    assert_eq!(town.failed("mixed-up")?, "run first is one of runbook shed; say runbook: shed to undo it");
    town.start_with("shed", "nothing-done", "  revertOf: first\n")?;
    let ended = town.wait_phase("nothing-done", "Succeeded")?;
    assert_eq!(text(&ended, "/status/message"), "nothing of run first is left to undo");
    Ok(())
}

impl Town {
    /// Stops a run as somebody, and waits until it has ended.
    fn abort_as(&self, person: &str, run: &str) -> Result<()> {
        self.kubectl(person, &["annotate", "rbr", run, "abort=enough"])?.ok()?;
        poll("the end", WITHIN, || {
            ensure!(text(&self.get("rbr", run)?, "/status/phase") == "Aborted", "it goes on");
            Ok(())
        })
    }
}
