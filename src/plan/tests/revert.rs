//! `onFailure: Revert`: what the run did is undone, in reverse order, and only where it is still ours.

use serde_json::json;

use super::cluster::{Cluster, Fate, check, on_call, scale, with};
use crate::action::Answer;
use crate::api::action_record::RecordState;
use crate::api::run::{Phase, Result, Verified};

/// Two changes behind a gate, then a check that fails.
fn failing() -> Cluster {
    let basket = json!({"name": "basket", "gate": "on-call", "scale": {"target": {"kind": "Deployment", "name": "basket"}, "replicas": 5}});
    let mut sick = with(check("calm", "false"), json!({"onFailure": "Revert"}));
    sick["check"]["within"] = json!("2s");
    let mut c = Cluster::new(on_call(), json!([scale("out", "on-call", 10), basket, sick]));
    c.pass();
    c.approve();
    c.until(|c| c.waiting_on().starts_with("false to be true"));
    c
}

#[test]
fn what_was_done_is_undone_in_reverse_order() {
    let mut c = failing();
    assert_eq!(c.until_the_end(), Phase::Reverted);
    assert_eq!((c.replicas("checkout"), c.replicas("basket")), (4, 2));
    assert_eq!(c.writes[2..], ["shed-1/run-uid/basket.undo/1", "shed-1/run-uid/out.undo/1"]);
    assert_eq!(c.message(), "undone, because step calm: not within 2s: Deployment/checkout: false is false");
    assert_eq!((c.records.len(), c.status().in_place_at_end), (5, Some(0)));
}

#[test]
fn the_records_of_what_was_undone_are_marked_and_name_each_other() {
    let mut c = failing();
    c.until_the_end();
    assert_eq!((c.record_state("out"), c.record_state("basket")), (RecordState::Reverted, RecordState::Reverted));
    let undo = c.record_of("out.undo");
    assert_eq!(undo.spec.revert_of, c.record_of("out").metadata.name);
    assert_eq!(
        (&undo.spec.before, &undo.spec.after),
        (&c.record_of("out").spec.after, &c.record_of("out").spec.before)
    );
    assert_eq!(undo.spec.approved_by, "bob as sre", "the undo is part of the approved plan");
    assert_eq!(undo.metadata.name.as_deref(), Some("shed-1-runui-out.undo-1"));
}

#[test]
fn what_somebody_else_changed_since_is_left_alone() {
    let mut c = failing();
    c.somebody_scales("checkout", 7);
    assert_eq!(c.until_the_end(), Phase::Failed);
    assert_eq!((c.replicas("checkout"), c.replicas("basket")), (7, 2), "the rest is undone all the same");
    let undo = c.record_of("out.undo");
    assert_eq!(undo.spec.result, Result::Refused);
    assert!(
        undo.spec.message.starts_with("ChangedSince: Deployment/checkout is at 7 replicas, neither the 10"),
        "{}",
        undo.spec.message
    );
    assert_eq!((c.record_state("out"), c.record_state("basket")), (RecordState::InPlace, RecordState::Reverted));
    assert!(
        c.message().contains("could not be undone wholly: ChangedSince: Deployment/checkout is at 7 replicas"),
        "{}",
        c.message()
    );
    assert_eq!(c.status().in_place_at_end, Some(1));
}

#[test]
fn what_somebody_changes_between_the_intent_and_the_undo_is_left_alone_too() {
    let mut c = failing();
    // The first undo is of basket; its race is lost to somebody at checkout, which comes next.
    c.races.extend([7]);
    assert_eq!(c.until_the_end(), Phase::Failed);
    assert_eq!(c.replicas("checkout"), 7);
}

#[test]
fn what_is_back_already_is_not_written() {
    let mut c = failing();
    c.somebody_scales("checkout", 4);
    assert_eq!(c.until_the_end(), Phase::Reverted);
    let undo = c.record_of("out.undo");
    assert_eq!((undo.spec.result, undo.spec.changed), (Result::Done, false));
    assert_eq!(c.record_state("out"), RecordState::Reverted);
}

#[test]
fn an_undo_is_not_done_twice_either() {
    for fate in [Fate::Lost, Fate::DiesAfter, Fate::DiesBefore, Fate::Cut, Fate::Late] {
        let mut c = failing();
        c.fates.push_back(fate.clone());
        c.until(|c| c.sent > 2);
        c.late_copies_arrive();
        assert_eq!(c.until_the_end(), Phase::Reverted, "{fate:?}");
        assert_eq!(c.writes.len(), 4, "{fate:?}");
    }
}

#[test]
fn the_brake_holds_an_undo_too() {
    let mut c = failing();
    c.brake = Answer::Brake(Some("storm".to_owned()));
    c.seconds_later(90);
    assert_eq!((c.sent, c.waiting_on()), (2, "the global brake: storm"));
    c.brake = Answer::Brake(None);
    assert_eq!(c.until_the_end(), Phase::Reverted);
}

#[test]
fn an_undo_that_does_not_take_hold_leaves_the_change_in_place() {
    let mut c = failing();
    c.healthy = false;
    assert_eq!(c.until_the_end(), Phase::Failed);
    assert_eq!(c.record_of("out.undo").spec.verified, Verified::No);
    assert_eq!(c.record_state("out"), RecordState::InPlace);
}

#[test]
fn the_step_that_failed_is_undone_itself() {
    let mut c = Cluster::new(
        json!([]),
        json!([with(scale("out", "None", 10), json!({"onFailure": "Revert", "timeout": "1m"}))]),
    );
    c.healthy = false;
    c.until_phase(Phase::Verifying);
    assert_eq!(c.until_the_end(), Phase::Reverted);
    assert_eq!(c.replicas("checkout"), 4);
}

#[test]
fn where_nothing_was_done_nothing_is_undone() {
    let mut c = Cluster::new(json!([]), json!([with(check("calm", "false"), json!({"onFailure": "Revert"}))]));
    assert_eq!(c.until_the_end(), Phase::Reverted);
    assert_eq!(c.sent, 0);
}

#[test]
fn a_run_that_dies_while_it_reverts_goes_on() {
    for turns in (1..32).step_by(3) {
        let mut c = failing();
        c.dies_after_turns = Some(turns);
        assert_eq!(c.until_the_end(), Phase::Reverted, "after {turns} turns");
        assert_eq!((c.writes.len(), c.records.len()), (4, 5), "after {turns} turns");
        assert_eq!(c.record_state("out"), RecordState::Reverted, "after {turns} turns");
    }
}
