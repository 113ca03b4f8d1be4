//! The digest that people approve: it changes with everything that bears on the effect, and with nothing else.

use rstest::rstest;
use serde_json::{Value, json};

use super::cluster::Cluster;
use crate::api::run::PlannedStep;
use crate::api::runbook::Gate;
use crate::plan::Frozen;
use crate::plan::floor::Terms;
use crate::plan::segment::plan_hash;

/// Everything that a hash is made from, as JSON, so that a test can change one place.
fn facts() -> Value {
    let mut c = Cluster::gated();
    c.pass();
    json!({"run": "run-uid", "frozen": c.status().frozen, "gate": c.status().frozen.as_ref().unwrap()["gates"][0], "floors": [], "excluded": "dora", "steps": c.status().plans["0.1"].steps})
}

fn hash(facts: &Value) -> String {
    let frozen: Frozen = serde_json::from_value(facts["frozen"].clone()).unwrap();
    let gate: Option<Gate> = serde_json::from_value(facts["gate"].clone()).unwrap();
    let terms = Terms { gate, floors: serde_json::from_value(facts["floors"].clone()).unwrap() };
    let steps: Vec<PlannedStep> = serde_json::from_value(facts["steps"].clone()).unwrap();
    plan_hash(facts["run"].as_str().unwrap(), &frozen, &terms, facts["excluded"].as_str(), &steps)
}

fn hash_with(place: &str, value: Value) -> String {
    let mut facts = facts();
    let (parent, key) = place.rsplit_once('/').unwrap();
    let parent = facts.pointer_mut(parent).unwrap_or_else(|| panic!("there is no {parent}"));
    match key.parse::<usize>() {
        Ok(index) => parent[index] = value,
        Err(_) => parent[key] = value,
    }
    hash(&facts)
}

#[test]
fn it_is_the_one_in_the_plan() {
    let mut c = Cluster::gated();
    c.pass();
    assert_eq!(c.status().plans["0.1"].plan_hash, hash_with("/excluded", Value::Null));
    assert!(c.status().plans["0.1"].plan_hash.starts_with(&format!("sha256:{}", c.status().plans["0.1"].code)));
}

#[rstest]
#[case("/run", json!("another-run"))]
#[case("/frozen/runbookUID", json!("another"))]
#[case("/frozen/runbookDigest", json!("sha256:0"))]
#[case("/frozen/serviceAccount", json!("admin"))]
#[case("/frozen/parameters/replicas", json!(11))]
#[case("/gate", Value::Null)]
#[case("/gate/name", json!("another"))]
#[case("/gate/requires/0/role", json!("intern"))]
#[case("/gate/requires/0/count", json!(2))]
#[case("/gate/reason", json!("Optional"))]
#[case("/gate/validFor", json!("16m"))]
#[case("/gate/timeout", json!("2h"))]
#[case("/gate/selfApproval", json!("Always"))]
#[case("/gate/aloneAfter", json!("1m"))]
#[case("/gate/authorMayApprove", json!(true))]
#[case("/gate/allowServiceAccounts", json!(true))]
#[case("/gate/verifiedCredential", json!(true))]
#[case("/floors", json!(["scale: at least 2 of sre"]))]
#[case("/excluded", json!("carol"))]
#[case("/steps", json!([]))]
#[case("/steps/0/step", json!("another"))]
#[case("/steps/0/action", json!("disable"))]
#[case("/steps/0/target/apiVersion", json!("apps/v2"))]
#[case("/steps/0/target/kind", json!("StatefulSet"))]
#[case("/steps/0/target/namespace", json!("kube-system"))]
#[case("/steps/0/target/name", json!("ledger"))]
#[case("/steps/0/target/uid", json!("made-anew"))]
#[case("/steps/0/after/replicas", json!(11))]
#[case("/steps/0/holds/facts/direction", json!("still above"))]
#[case("/steps/0/holds/facts/replicas", json!(9))]
fn what_bears_on_the_effect_is_in_it(#[case] place: &str, #[case] value: Value) {
    assert_ne!(hash_with(place, value), hash(&facts()), "{place}");
}

#[rstest]
#[case("/steps/0/before/replicas", json!(5))]
#[case("/steps/0/warnings", json!(["beware"]))]
#[case("/steps/0/summary", json!("another sentence"))]
#[case("/steps/0/byHand", json!("kubectl delete everything"))]
#[case("/steps/0/seen/generation", json!(99))]
#[case("/steps/0/seen/resourceVersion", json!("99"))]
#[case("/steps/0/token", json!("a/b/c/9"))]
#[case("/steps/0/undo", Value::Null)]
#[case("/steps/0/attempt", json!(2))]
#[case("/steps/0/holds/sentence", json!("it is Tuesday"))]
#[case("/frozen/at", json!("2027-01-01T00:00:00.000000Z"))]
#[case("/frozen/runbookGeneration", json!(9))]
fn noise_is_not_in_it(#[case] place: &str, #[case] value: Value) {
    assert_eq!(hash_with(place, value), hash(&facts()), "{place}");
}

#[test]
fn the_order_of_the_steps_is_in_it() {
    let mut two = facts();
    let mut second = two["steps"][0].clone();
    second["step"] = json!("second");
    two["steps"].as_array_mut().unwrap().push(second);
    let mut swapped = two.clone();
    swapped["steps"].as_array_mut().unwrap().swap(0, 1);
    assert_ne!(hash(&two), hash(&swapped));
}

#[test]
fn the_time_that_a_restart_writes_is_not_in_it() {
    let restart = |at: &str| {
        let mut facts = facts();
        facts["steps"][0]["action"] = json!("restart");
        facts["steps"][0]["after"] = json!({"restartedAt": at});
        hash(&facts)
    };
    assert_eq!(restart("2026-11-22T03:00:00Z"), restart("2026-11-22T04:00:00Z"));
}
