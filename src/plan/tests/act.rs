//! What stands between an approval and the act, and what becomes of an act that is answered.

use rstest::rstest;
use serde_json::json;

use super::cluster::{Cluster, Fate, deployment, scale};
use crate::action::Answer;
use crate::api::TOKEN_ANNOTATION;
use crate::api::run::{Phase, Result, Verified};

fn approved() -> Cluster {
    let mut c = Cluster::gated();
    c.pass();
    c.approve();
    c
}

#[rstest]
#[case(Answer::No("the policies are gone".to_owned()), "proof that the approval policies are in force: the policies are gone; nothing is done until then")]
#[case(Answer::Unreadable("slow".to_owned()), "proof that the approval policies are in force: slow; nothing is done until then")]
fn without_a_proof_of_the_guards_nothing_is_done(#[case] guards: Answer, #[case] waiting_on: &str) {
    let mut c = approved();
    c.guards = guards;
    c.seconds_later(3);
    assert_eq!((c.sent, c.phase(), c.waiting_on()), (0, Phase::Waiting, waiting_on));
    c.guards = Answer::Yes;
    assert_eq!(c.until_the_end(), Phase::Succeeded);
}

#[rstest]
#[case(Answer::Brake(Some("payment provider is down".to_owned())), "the global brake: payment provider is down")]
#[case(Answer::Unreadable("slow".to_owned()), "the global brake, which cannot be read: slow")]
#[case(Answer::Forbidden("no".to_owned()), "the global brake, which cannot be read: no")]
fn the_brake_holds_every_act(#[case] brake: Answer, #[case] waiting_on: &str) {
    let mut c = approved();
    c.brake = brake;
    c.seconds_later(3);
    assert_eq!((c.sent, c.phase(), c.waiting_on()), (0, Phase::Waiting, waiting_on));
    assert_eq!(c.status().next_commands[0], "kubectl delete configmap -n firstaid-system firstaid-brake");
    c.brake = Answer::Brake(None);
    assert_eq!(c.until_the_end(), Phase::Succeeded);
}

#[test]
fn the_brake_keeps_nobody_from_journalling_what_was_done() {
    let mut c = approved();
    c.fates.push_back(Fate::DiesAfter);
    c.pass();
    c.brake = Answer::Brake(Some("storm".to_owned()));
    assert_eq!(c.until_the_end(), Phase::Succeeded);
}

fn held_by_another() -> Cluster {
    let mut c = approved();
    let mut object = deployment("checkout", 4);
    object["metadata"]["annotations"] = json!({TOKEN_ANNOTATION: "drain-9/other-uid/out/1"});
    c.objects.insert("Deployment/checkout".to_owned(), object);
    c
}

#[rstest]
#[case(Answer::Yes, "run drain-9, which holds the same target until it ends")]
#[case(Answer::Unreadable("slow".to_owned()), "run drain-9, which may hold the same target and cannot be read")]
fn the_target_of_an_active_run_is_left_to_it(#[case] holder: Answer, #[case] waiting_on: &str) {
    let mut c = held_by_another();
    c.holder = holder;
    c.seconds_later(3);
    assert_eq!((c.sent, c.waiting_on()), (0, waiting_on));
    assert_eq!(c.status().next_commands[0], "kubectl get rbr -n shop drain-9");
    c.holder = Answer::No("it has ended".to_owned());
    assert_eq!(c.until_the_end(), Phase::Succeeded);
}

#[test]
fn a_run_holds_its_own_target() {
    let mut c = Cluster::new(json!([]), json!([scale("out", "None", 6), scale("more", "None", 10)]));
    c.holder = Answer::Yes;
    assert_eq!(c.until_the_end(), Phase::Succeeded);
}

#[test]
fn what_is_as_wanted_already_is_not_written_and_not_ours_to_undo() {
    let mut c = approved();
    c.somebody_scales("checkout", 10);
    assert_eq!(c.until_the_end(), Phase::Succeeded);
    let record = c.record_of("out");
    assert_eq!((record.spec.result, record.spec.changed, &record.spec.undo), (Result::Done, false, &None));
    assert_eq!(record.spec.message, "Deployment/checkout was already as wanted; nothing was written");
    assert_eq!((c.sent, c.status().in_place_at_end), (0, Some(0)));
}

#[rstest]
#[case(403, "PermissionMissing: refused with 403")]
#[case(422, "WriteRefused: refused with 422")]
#[case(404, "WriteRefused: refused with 404")]
fn a_refusal_with_nothing_changed_is_final(#[case] code: u16, #[case] message: &str) {
    let mut c = approved();
    c.fates.push_back(Fate::Refused(code));
    assert_eq!(c.until_the_end(), Phase::Failed);
    let record = c.record_of("out");
    assert_eq!(
        (record.spec.result, record.spec.verified, record.spec.message.as_str()),
        (Result::Refused, Verified::NotApplicable, message)
    );
    assert_eq!((c.sent, c.replicas("checkout")), (1, 4));
}

#[rstest]
#[case(409)]
#[case(429)]
fn a_refusal_for_the_moment_is_tried_again_but_not_at_once(#[case] code: u16) {
    let mut c = approved();
    c.fates.extend([Fate::Refused(code), Fate::Refused(code)]);
    c.pass();
    assert_eq!(c.sent, 1);
    assert_eq!(c.waiting_on(), format!("the API server: refused with {code}; it is tried again"));
    assert_eq!(c.until_the_end(), Phase::Succeeded);
    assert_eq!((c.sent, c.writes.len()), (3, 1));
}

#[test]
fn a_lost_race_is_run_again_at_once_on_what_is_there_now() {
    let mut c = approved();
    c.races.push_back(5);
    assert_eq!(c.until_the_end(), Phase::Succeeded);
    assert_eq!((c.sent, c.writes.len()), (2, 1));
    assert_eq!(c.record_of("out").spec.before, *json!({"replicas": 5}).as_object().unwrap());
}

#[test]
fn a_lost_race_that_voids_the_plan_asks_again() {
    let mut c = approved();
    c.races.push_back(15);
    c.pass();
    assert_eq!(c.status().plans["0.2"].summary, "scale Deployment/checkout 15 -> 10");
    c.approve();
    assert_eq!(c.until_the_end(), Phase::Succeeded);
}

#[test]
fn a_target_that_is_gone_at_the_act_is_refused() {
    let mut c = approved();
    c.objects.remove("Deployment/checkout");
    assert_eq!(c.until_the_end(), Phase::Failed);
    assert!(c.record_of("out").spec.message.starts_with("TargetGone: "));
}

#[test]
fn a_target_that_cannot_be_read_is_waited_for() {
    let mut c = approved();
    c.blind.insert("Deployment/checkout".to_owned(), Answer::Unreadable("slow".to_owned()));
    c.seconds_later(100);
    assert_eq!(
        (c.sent, c.waiting_on()),
        (0, "the API server: could not read Deployment/checkout: slow; it is tried again")
    );
    c.blind.clear();
    assert_eq!(c.until_the_end(), Phase::Succeeded);
}

#[test]
fn an_object_without_annotations_keeps_those_that_appear() {
    let mut c = approved();
    c.objects.get_mut("Deployment/checkout").unwrap()["metadata"].as_object_mut().unwrap().remove("annotations");
    assert_eq!(c.until_the_end(), Phase::Succeeded);
}

#[test]
fn what_another_operator_did_for_this_run_is_waited_for() {
    let mut c = Cluster::new(json!([]), json!([scale("out", "None", 10), scale("back", "None", 6)]));
    // Its journal was not read yet: what this process remembers says that nothing was done.
    c.objects.get_mut("Deployment/checkout").unwrap()["metadata"]["annotations"] =
        json!({"firstaid.dev/last-action": "shed-1/run-uid/back/1"});
    c.seconds_later(10);
    assert_eq!(
        c.waiting_on(),
        "the journal: another operator has acted for this run, and has not yet said what came of it"
    );
    assert_eq!((c.sent, c.replicas("checkout")), (0, 4), "neither step is done a second time");
}
