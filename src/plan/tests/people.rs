//! A person stops the run, in whatever phase it is.

use jiff::SignedDuration;
use serde_json::json;

use super::cluster::{Cluster, Fate, check, scale, with};
use crate::action::Answer;
use crate::api::approval::BallotState;
use crate::api::run::{Phase, Result, Verified};

fn stop(c: &mut Cluster) {
    c.annotate("abort", "wrong service");
    c.annotate("abort-by", "dave");
}

fn approved(fates: &[Fate]) -> Cluster {
    let mut c = Cluster::gated();
    c.pass();
    c.approve();
    c.fates.extend(fates.iter().cloned());
    c
}

#[test]
fn before_it_was_planned() {
    let mut c = Cluster::gated();
    stop(&mut c);
    assert_eq!(c.until_the_end(), Phase::Aborted);
    assert_eq!(c.message(), "stopped by dave: wrong service");
    assert!(c.records.is_empty());
}

#[test]
fn while_it_waits_and_its_ballots_are_withdrawn() {
    let mut c = Cluster::gated();
    c.pass();
    stop(&mut c);
    assert_eq!(c.until_the_end(), Phase::Aborted);
    assert_eq!(c.state_of("shed-1-1"), BallotState::Withdrawn);
}

#[test]
fn after_the_approval_and_before_the_act() {
    let mut c = approved(&[]);
    stop(&mut c);
    assert_eq!(c.until_the_end(), Phase::Aborted);
    assert_eq!((c.sent, c.replicas("checkout")), (0, 4));
}

#[test]
fn while_the_brake_is_on() {
    let mut c = approved(&[]);
    c.brake = Answer::Brake(Some("storm".to_owned()));
    c.seconds_later(2);
    stop(&mut c);
    assert_eq!(c.until_the_end(), Phase::Aborted);
}

#[test]
fn when_it_has_acted_what_was_done_is_read_back_and_recorded() {
    let mut c = approved(&[]);
    c.healthy = false;
    c.until_phase(Phase::Verifying);
    stop(&mut c);
    assert_eq!(c.until_the_end(), Phase::Aborted);
    let record = c.record_of("out");
    assert_eq!((record.spec.result, record.spec.verified), (Result::Done, Verified::Unknown));
    assert_eq!(record.spec.verification, "the run was stopped while Deployment/checkout has 4 of 10 replicas ready");
    assert_eq!(c.message(), "stopped by dave after the last step: wrong service; 1 change is still in place");
    assert_eq!(c.status().next_commands[2], "kubectl scale -n shop deployment/checkout --replicas=4");
}

#[test]
fn when_the_act_has_just_been_answered() {
    let mut c = approved(&[]);
    c.healthy = false;
    c.pass();
    assert!(c.sent == 1 && c.status().steps.is_empty(), "the outcome is not journalled yet");
    stop(&mut c);
    assert_eq!(c.until_the_end(), Phase::Aborted);
    assert_eq!(c.record_of("out").spec.result, Result::Done);
}

#[test]
fn when_what_was_done_cannot_be_read_back() {
    let mut c = approved(&[]);
    c.healthy = false;
    c.until_phase(Phase::Verifying);
    c.blind.insert("Deployment/checkout".to_owned(), Answer::Unreadable("slow".to_owned()));
    stop(&mut c);
    assert_eq!(c.until_the_end(), Phase::Aborted);
    assert_eq!(
        c.record_of("out").spec.verification,
        "it could not be read back: could not read Deployment/checkout: slow"
    );
}

#[test]
fn an_act_that_may_be_on_its_way_is_waited_for() {
    let mut c = approved(&[Fate::Late]);
    c.pass();
    stop(&mut c);
    c.seconds_later(50);
    assert!(!c.status().finished && c.waiting_on().starts_with("the network, until"), "{}", c.waiting_on());
    c.late_copies_arrive();
    assert_eq!(c.until_the_end(), Phase::Aborted);
    assert_eq!(c.record_of("out").spec.result, Result::Done, "what arrived late is on record");
    assert_eq!(c.status().in_place_at_end, Some(1));
}

#[test]
fn an_act_that_can_no_longer_arrive_is_not_waited_for() {
    let mut c = approved(&[Fate::Cut]);
    c.pass();
    stop(&mut c);
    assert_eq!(c.until_the_end(), Phase::Aborted);
    assert_eq!((c.sent, c.records.len()), (1, 0));
}

#[test]
fn a_new_process_waits_for_what_the_old_one_may_have_sent() {
    let mut c = approved(&[Fate::Late]);
    c.pass();
    c.crash();
    stop(&mut c);
    c.seconds_later(64);
    assert!(!c.status().finished);
    c.seconds_later(3);
    assert_eq!(c.until_the_end(), Phase::Aborted);
}

#[test]
fn a_target_that_cannot_be_read_keeps_the_run_from_being_declared_over() {
    let mut c = approved(&[Fate::Lost]);
    c.blind_after_act = Some(Answer::Unreadable("slow".to_owned()));
    c.pass();
    stop(&mut c);
    c.seconds_later(120);
    assert!(!c.status().finished, "it may have landed: {}", c.message());
    c.blind.clear();
    assert_eq!(c.until_the_end(), Phase::Aborted);
    assert_eq!(c.record_of("out").spec.result, Result::Done);
}

#[test]
fn a_question_that_only_a_person_can_answer_stays() {
    let mut c = approved(&[Fate::Lost]);
    c.replace_after_act = Some(6);
    c.pass();
    assert_eq!(c.phase(), Phase::NeedsHuman);
    stop(&mut c);
    c.seconds_later(120);
    assert_eq!(c.phase(), Phase::NeedsHuman);
    c.annotate("settle", "not-done I looked");
    assert_eq!(c.until_the_end(), Phase::Aborted);
    assert_eq!((c.sent, c.records.len(), c.status().in_place_at_end), (1, 1, Some(0)));
}

#[test]
fn between_two_steps() {
    let mut c =
        Cluster::new(json!([]), json!([scale("out", "None", 10), check("calm", "false"), scale("down", "None", 3)]));
    c.until(|c| c.waiting_on().starts_with("false to be true"));
    stop(&mut c);
    assert_eq!(c.until_the_end(), Phase::Aborted);
    assert_eq!((c.replicas("checkout"), c.records.len()), (10, 1));
    assert_eq!(c.message(), "stopped by dave: wrong service; 1 change is still in place");
}

/// A run whose second step fails, so that the first is undone.
fn reverting(fates: &[Fate]) -> Cluster {
    let sick = with(check("calm", "false"), json!({"onFailure": "Revert"}));
    let mut c = Cluster::new(json!([]), json!([scale("out", "None", 10), sick, scale("never", "None", 7)]));
    c.until(|c| c.waiting_on().starts_with("false to be true"));
    c.healthy = false;
    c.fates.extend(fates.iter().cloned());
    c.until(|c| c.sent == 2);
    c
}

#[test]
fn during_a_revert_what_was_undone_is_recorded() {
    for later in [0, 5] {
        let mut c = reverting(&[]);
        c.seconds_later(later);
        stop(&mut c);
        assert_eq!(c.until_the_end(), Phase::Aborted);
        assert_eq!(c.record_of("out.undo").spec.result, Result::Done, "after {later} s");
        assert_eq!(c.replicas("checkout"), 4);
    }
}

#[test]
fn during_a_revert_an_undo_that_may_be_on_its_way_is_waited_for() {
    let mut c = reverting(&[Fate::Late]);
    stop(&mut c);
    c.seconds_later(30);
    assert!(!c.status().finished);
    c.late_copies_arrive();
    c.now += SignedDuration::from_secs(1);
    assert_eq!(c.until_the_end(), Phase::Aborted);
    assert_eq!(c.record_of("out.undo").spec.result, Result::Done);
}
