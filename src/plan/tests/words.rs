//! What people read: ballots, what a run waits for, what to type, how it ended. Changed words are reviewed here.

use insta::assert_snapshot;
use serde_json::json;

use super::cluster::{Cluster, Fate, check, on_call, scale, with};
use crate::action::Answer;
use crate::api::Approval;
use crate::api::run::Phase;

/// What `kubectl get` and `kubectl describe` show of a run.
fn words(c: &Cluster) -> String {
    let status = c.status();
    let mut lines = vec![
        format!("{:?}  {}", status.phase, status.progress),
        format!("waiting on: {}", status.waiting_on),
        format!("message: {}", status.message),
    ];
    lines.extend(status.next_commands.iter().map(|command| format!("  {command}")));
    lines.join("\n")
}

fn ballot(ballot: &Approval) -> String {
    let request = &ballot.spec.request;
    let mut lines = vec![format!(
        "{}  as {}  {}  code {}  asked by {}: {}",
        ballot.metadata.name.as_deref().unwrap(),
        request.role,
        request.summary,
        request.shown_code,
        request.requester,
        request.why
    )];
    lines.extend(request.effects.iter().cloned());
    lines.join("\n")
}

fn storm() -> Cluster {
    let gates = json!([{"name": "both", "requires": [{"role": "sre"}, {"role": "db-owner"}]}]);
    let off = json!({"name": "recommendations-off", "gate": "both", "disable": {"flag": "recommendations", "configMap": {"name": "flags", "key": "recs"}}});
    let zero = json!({"name": "contain", "gate": "both", "when": "params.replicas > 5", "scale": {"target": {"kind": "Deployment", "name": "basket"}, "replicas": 0, "contain": true}});
    let mut c = Cluster::new(
        gates,
        json!([off, scale("scale-out", "both", 10), zero, check("recovered", "object.status.readyReplicas == 10")]),
    );
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "flags", "uid": "map-uid", "resourceVersion": "1"}, "data": {"recs": "true"}});
    c.objects.insert("ConfigMap/flags".to_owned(), map);
    c.pass();
    c
}

#[test]
fn a_ballot_of_one_effect() {
    let mut c = Cluster::gated();
    c.pass();
    assert_snapshot!("ballot_of_one_effect", ballot(&c.ballots["shed-1-1"]));
    assert_snapshot!("waiting_for_one_vote", words(&c));
}

#[test]
fn a_ballot_of_several_effects_shows_its_code_under_the_whole_plan() {
    let c = storm();
    assert_snapshot!("ballot_of_several_effects", ballot(&c.ballots["shed-1-1"]));
    assert_snapshot!("waiting_for_two_roles", words(&c));
}

#[test]
fn where_the_cluster_does_not_stamp_people_type_their_names() {
    let mut c = Cluster::gated();
    c.stamps = false;
    c.pass();
    assert_snapshot!("waiting_where_names_are_typed", words(&c));
}

#[test]
fn a_run_that_succeeded() {
    let mut c = storm();
    c.mark("shed-1-1", "bob", "approve", "CODE go");
    c.mark("shed-1-2", "carol", "approve", "CODE go");
    assert_eq!(c.until_the_end(), Phase::Succeeded);
    assert_snapshot!("succeeded", words(&c));
}

#[test]
fn a_run_whose_plan_is_void() {
    let mut c = Cluster::gated();
    c.pass();
    c.somebody_scales("checkout", 12);
    c.approve();
    c.pass();
    assert_snapshot!("planned_anew", format!("{}\nbecause: {}", words(&c), c.status().plans["0.2"].revised_because));
}

#[test]
fn a_run_that_was_denied() {
    let mut c = Cluster::gated();
    c.pass();
    c.mark("shed-1-1", "bob", "deny", "wrong service");
    c.until_the_end();
    assert_snapshot!("denied", words(&c));
}

#[test]
fn a_run_that_nobody_decided() {
    let mut c = Cluster::gated();
    c.until_the_end();
    assert_snapshot!("expired", words(&c));
}

#[test]
fn a_run_that_waits_for_the_brake_for_the_guards_and_for_another_run() {
    let mut c = Cluster::gated();
    c.pass();
    c.approve();
    c.brake = Answer::Brake(Some("the payment provider is down".to_owned()));
    c.pass();
    assert_snapshot!("waiting_for_the_brake", words(&c));
    c.brake = Answer::Brake(None);
    c.guards = Answer::No("the API server would accept a ballot that is decided already".to_owned());
    c.pass();
    assert_snapshot!("waiting_for_the_guards", words(&c));
    c.guards = Answer::Yes;
    c.holder = Answer::Yes;
    c.objects.get_mut("Deployment/checkout").unwrap()["metadata"]["annotations"] =
        json!({"firstaid.dev/last-action": "drain-9/other-uid/out/1"});
    c.pass();
    assert_snapshot!("waiting_for_another_run", words(&c));
}

#[test]
fn a_run_that_needs_a_person() {
    let mut c = Cluster::gated();
    c.pass();
    c.approve();
    c.fates.push_back(Fate::Cut);
    c.replace_after_act = Some(6);
    c.pass();
    assert_snapshot!("needs_human", words(&c));
}

#[test]
fn a_run_that_was_stopped_while_an_act_may_be_on_its_way() {
    let mut c = Cluster::gated();
    c.pass();
    c.approve();
    c.fates.push_back(Fate::Late);
    c.pass();
    c.annotate("abort", "wrong service");
    c.annotate("abort-by", "dave");
    c.pass();
    assert_snapshot!("waiting_for_late_copies", words(&c));
    c.late_copies_arrive();
    c.until_the_end();
    assert_snapshot!("stopped", words(&c));
}

#[test]
fn a_run_that_verifies_and_fails() {
    let mut c = Cluster::ungated();
    c.healthy = false;
    c.until_phase(Phase::Verifying);
    assert_snapshot!("verifying", words(&c));
    c.until_the_end();
    assert_snapshot!("failed", words(&c));
}

#[test]
fn a_run_that_checks() {
    let mut step = check("recovered", "object.status.readyReplicas == 10");
    step["check"]["holdFor"] = json!("30s");
    let mut c = Cluster::new(json!([]), json!([step]));
    c.pass();
    assert_snapshot!("checking", words(&c));
    c.somebody_scales("checkout", 10);
    c.seconds_later(2);
    assert_snapshot!("check_holds", words(&c));
}

#[test]
fn a_run_that_was_reverted_and_one_that_could_not_be() {
    let failing = || {
        let mut c = Cluster::new(
            on_call(),
            json!([scale("out", "on-call", 10), with(check("calm", "false"), json!({"onFailure": "Revert"}))]),
        );
        c.pass();
        c.approve();
        c.until(|c| c.waiting_on().starts_with("false to be true"));
        c
    };
    let mut c = failing();
    c.until_the_end();
    assert_snapshot!("reverted", words(&c));
    let mut c = failing();
    c.somebody_scales("checkout", 7);
    c.until_the_end();
    assert_snapshot!("revert_incomplete", words(&c));
}

#[test]
fn a_run_that_is_refused() {
    let mut c = Cluster::gated();
    c.dry_run = Answer::Forbidden("deployments.apps \"checkout\" is forbidden".to_owned());
    c.until_the_end();
    assert_snapshot!("refused", words(&c));
}
