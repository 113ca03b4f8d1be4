//! `check`: what counts as true, how long, and what is no answer at all.

use anyhow::{Result, ensure};
use firstaid_sandbox::poll;
use serde_json::json;

use crate::runs::runbook;
use crate::town::{Leg, Town, WITHIN, text};

const LAMPS: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: lamp}
data: {colour: green}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: door}
";

fn check(name: &str, object: &str, that: &str, how: &str) -> String {
    runbook(name, &[&format!("name: look, check: {{object: {{{object}}}, that: \"{that}\", {how}}}")])
}

#[test]
fn only_what_is_true_long_enough_counts() -> Result<()> {
    let town = Town::open(Leg::Stamping, "check")?;
    town.apply("root", LAMPS)?;
    let (checkout, lamp, door) =
        ("kind: Deployment, name: checkout", "kind: ConfigMap, name: lamp", "kind: ConfigMap, name: door");
    town.runbook(
        &[
            check("calm", checkout, "object.status.readyReplicas == object.spec.replicas", "within: 30s"),
            check("busy", checkout, "object.spec.replicas > 100", "within: 1s"),
            check("held", checkout, "object.spec.replicas == 4", "within: 30s, holdFor: 2s"),
            check("flickering", lamp, "object.data.colour == 'green'", "within: 1s, holdFor: 1h"),
            check("later", door, "object.data.open == 'yes'", "within: 80s"),
            check("number", checkout, "object.spec.replicas", "within: 30s"),
            check("nowhere", "kind: Deployment, name: nobody", "true", "within: 1s"),
        ]
        .concat(),
    )?;
    for run in ["calm", "busy", "held", "flickering", "later", "number"] {
        town.start(run, run)?;
    }
    town.start("nowhere", "nowhere")?;

    let done = town.wait_phase("calm", "Succeeded")?;
    assert_eq!(done.pointer("/status/inPlaceAtEnd"), Some(&json!(0)));
    let record = town.only_record("calm")?;
    assert_eq!(text(&record, "/spec/kind"), "Observation");
    assert_eq!(text(&record, "/spec/verified"), "Yes");
    assert!(text(&record, "/spec/evidence/0/seen").contains("\"readyReplicas\":4"), "{record:#}");

    let words = town.failed("busy")?;
    assert!(words.contains("not within 1s: Deployment/checkout: object.spec.replicas > 100 is false"), "{words}");
    assert_eq!(text(&town.only_record("busy")?, "/spec/verified"), "No");

    town.wait_phase("held", "Succeeded")?;
    let record = town.only_record("held")?;
    let at = |pointer| text(&record, pointer).parse::<jiff::Timestamp>();
    assert!(
        at("/spec/settledAt")?.duration_since(at("/spec/intentAt")?).as_secs() >= 2,
        "it was true, but not for long enough"
    );

    // True at first, and after the last moment at which it could have become true for good, false.
    town.change("configmap", "lamp", &json!({"data": {"colour": "red"}}))?;
    let words = town.failed("flickering")?;
    assert!(words.contains("not within 1s: ConfigMap/lamp: object.data.colour == 'green' is false"), "{words}");

    poll("the run to wait for the door", WITHIN, || {
        let run = town.get("rbr", "later")?;
        let waits = text(&run, "/status/waitingOn").starts_with("object.data.open == 'yes' to be true, until");
        ensure!(waits, "it is {} {}", text(&run, "/status/phase"), text(&run, "/status/waitingOn"));
        Ok(())
    })?;
    town.change("configmap", "door", &json!({"data": {"open": "yes"}}))?;
    town.wait_phase("later", "Succeeded")?;

    let words = town.failed("number")?;
    assert!(words.contains("object.spec.replicas gives a value that is not true or false"), "{words}");
    assert_eq!(text(&town.only_record("number")?, "/spec/verified"), "Unknown", "what cannot be judged proves nothing");

    let words = town.failed("nowhere")?;
    assert!(words.contains("Deployment/nobody does not exist in this namespace"), "{words}");
    Ok(())
}
