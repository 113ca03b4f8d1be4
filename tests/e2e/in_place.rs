//! What is still in place after a run: who took it back, and what is undone when its time is over.

use anyhow::{Context, Result, ensure};
use firstaid_sandbox::poll;
use serde_json::{Value, json};

use crate::runs::runbook;
use crate::town::{Leg, Town, WITHIN, number, text};
use crate::verify::verify;

/// Looks at what is in place every second.
const OFTEN: &str = "--in-place-seconds=1";

/// A change of the size of checkout, from 4 to 6, with more fields of its step.
fn scale(more: &str) -> String {
    format!(
        "name: scale-out, gate: on-call, scale: {{target: {{kind: Deployment, name: checkout}}, replicas: 6}}{more}"
    )
}

fn town(leg: Leg, name: &str) -> Result<Town> {
    let mut town = Town::empty(leg, name)?;
    town.sandbox.open_shop(&town.namespace)?;
    town.start_operator_with(&[OFTEN])?;
    Ok(town)
}

fn replicas(town: &Town) -> Result<i64> {
    Ok(number(&town.get("deployment", "checkout")?, "/spec/replicas"))
}

/// Waits until the record of the only change of a run says this became of it; and what was seen.
fn wait_state(town: &Town, run: &str, state: &str) -> Result<String> {
    poll(&format!("the record of {run} to be {state}"), WITHIN, || {
        let record = town.only_record(run)?;
        let found = text(&record, "/status/state");
        ensure!(found == state, "it is {found}: {}", text(&record, "/status/note"));
        Ok(text(&record, "/status/note").to_owned())
    })
}

/// Waits for the run that undoes another one in time, and gives its name.
fn wait_timed(town: &Town, of: &str) -> Result<String> {
    poll(&format!("a run that undoes {of}"), WITHIN, || {
        let runs = town.list("rbr")?;
        let timed = runs.iter().find(|run| text(run, "/spec/revertOf") == of).context("there is none yet")?;
        assert_eq!(text(timed, "/spec/trigger"), "RevertAfter");
        Ok(text(timed, "/metadata/name").to_owned())
    })
}

#[test]
fn who_took_a_change_back_is_told_and_that_it_is_there_again() -> Result<()> {
    let mut town = town(Leg::Stamping, "drift")?;
    town.runbook(&runbook("shed", &[&scale("")]))?;
    town.start("shed", "first")?;
    town.approved("first")?;
    assert_eq!(wait_state(&town, "first", "InPlace")?, "");
    town.kubectl("root", &["scale", "deployment/checkout", "--replicas=5"])?.ok()?;
    let seen = wait_state(&town, "first", "Drifted")?;
    assert!(!text(&town.only_record("first")?, "/status/changedAt").is_empty());
    assert!(seen.starts_with("Deployment/checkout is at 5 replicas, neither the 6 that First Aid set"), "{seen}");
    // The API server notes no time for a write by `kubectl scale`, which is one to a subresource.
    assert!(seen.contains("(kubectl)"), "{seen}");
    // With the operator away meanwhile.
    town.kill_operator()?;
    town.kubectl("root", &["scale", "deployment/checkout", "--replicas=6"])?.ok()?;
    town.start_operator_with(&[OFTEN])?;
    assert_eq!(wait_state(&town, "first", "InPlace")?, "");
    town.kubectl("root", &["patch", "deployment/checkout", "-p", r#"{"spec": {"replicas": 4}}"#])?.ok()?;
    let seen = wait_state(&town, "first", "Drifted")?;
    assert!(seen.starts_with("Deployment/checkout is at 4 again, as before (kubectl-patch at 20"), "{seen}");
    // It has nothing to say of it to whoever reads evidence.
    let (code, words) = verify(&town, "bob", &["-n", &town.namespace])?;
    assert_eq!(code, 0, "{words}");
    assert_eq!(town.writes("deployments", "checkout")?, 1, "to look is not to write");
    Ok(())
}

fn asked_when_its_time_is_over(leg: Leg) -> Result<()> {
    let town = town(leg, "in-time")?;
    town.runbook(&runbook("shed", &[&scale(", revertAfter: 3s")]))?;
    town.start("shed", "first")?;
    let effects = town.ballot("first")?.pointer("/spec/request/effects").context("effects")?.to_string();
    assert!(effects.contains("after 3s you are asked to undo it"), "{effects}");
    let record = town.approved("first")?;
    let (acted, due) = (text(&record, "/spec/actedAt"), text(&record, "/spec/revertDue"));
    assert!(acted < due, "{acted} {due}");
    let undo = wait_timed(&town, "first")?;
    let made = town.get("rbr", &undo)?;
    assert_eq!(text(&made, "/spec/requestedBy/username"), "system:serviceaccount:firstaid-system:firstaid");
    assert_eq!(text(&made, "/spec/reason"), "revertAfter 3s is over for: scale-out");
    town.wait_phase(&undo, "Waiting")?;
    assert_eq!(replicas(&town)?, 6, "nothing is undone before somebody approves it");
    town.approve("bob", &undo)?;
    town.wait_phase(&undo, "Succeeded")?;
    assert_eq!(replicas(&town)?, 4);
    wait_state(&town, "first", "Reverted")?;
    let (code, words) = verify(&town, "bob", &["-n", &town.namespace])?;
    assert_eq!(code, 0, "{words}");
    Ok(())
}

#[test]
fn people_are_asked_to_undo_what_has_had_its_time_where_votes_are_stamped() -> Result<()> {
    asked_when_its_time_is_over(Leg::Stamping)
}

#[test]
fn people_are_asked_to_undo_what_has_had_its_time_where_people_type_their_names() -> Result<()> {
    asked_when_its_time_is_over(Leg::Plain)
}

#[test]
fn what_has_had_its_time_is_undone_without_anybody_where_its_approval_covers_that() -> Result<()> {
    let town = town(Leg::Stamping, "auto")?;
    let yaml = runbook("shed", &[&scale(", revertAfter: 3s, autoRevert: true")]);
    town.runbook(&yaml.replace("requires: [{role: sre}]", "requires: [{role: sre}], coversUndo: 30m"))?;
    town.start("shed", "first")?;
    town.approved("first")?;
    let undo = wait_timed(&town, "first")?;
    town.wait_phase(&undo, "Succeeded")?;
    assert_eq!(replicas(&town)?, 4);
    let record = town.only_record(&undo)?;
    assert!(text(&record, "/spec/approvedBy").starts_with("bob as sre"), "{record}");
    assert_eq!(town.list("apv")?.len(), 1, "nobody was asked");
    wait_state(&town, "first", "Reverted")?;
    Ok(())
}

#[test]
fn a_change_is_asked_about_once_and_not_at_all_where_somebody_took_it_back() -> Result<()> {
    let town = town(Leg::Stamping, "once")?;
    town.runbook(&runbook("shed", &[&scale(", revertAfter: 3s")]))?;
    town.start("shed", "first")?;
    town.approved("first")?;
    let undo = wait_timed(&town, "first")?;
    town.abort(&undo)?;
    // Another change has had its time since, and is asked about: so the first one was looked at, too.
    town.change("deployment", "checkout", &json!({"spec": {"replicas": 4}}))?;
    town.start("shed", "second")?;
    town.approved("second")?;
    let other = wait_timed(&town, "second")?;
    let of_first = |run: &&Value| text(run, "/spec/revertOf") == "first";
    assert_eq!(town.list("rbr")?.iter().filter(of_first).count(), 1, "{undo} is all");
    town.abort(&other)?;
    Ok(())
}

#[test]
fn what_makes_no_sense_is_refused_with_a_sentence() -> Result<()> {
    let town = Town::empty(Leg::Stamping, "no-time")?;
    for (step, sentence) in [
        (scale(", autoRevert: true"), "autoRevert says how revertAfter is done: say revertAfter, too"),
        (
            scale(", revertAfter: 1h, autoRevert: true"),
            "the coversUndo of the step's gate must be longer than its revertAfter",
        ),
        (
            scale(", revertAfter: 1h").replace("gate: on-call", "gate: None"),
            "say autoRevert: true with its revertAfter",
        ),
        (
            "name: again, gate: on-call, revertAfter: 1h, restart: {target: {kind: Deployment, name: checkout}}"
                .to_owned(),
            "revertAfter is for scale and disable: nothing else is undone",
        ),
    ] {
        let refused = town.runbook(&runbook("shed", &[&step])).map_err(|error| format!("{error:#}"));
        assert!(refused.as_ref().is_err_and(|said| said.contains(sentence)), "{step}: {refused:?}");
    }
    Ok(())
}
