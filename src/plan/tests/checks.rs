//! Verifying an effect, and checks: within a time, held for a time, or not readable.

use jiff::SignedDuration;
use serde_json::json;

use super::cluster::{Cluster, check, scale, with};
use crate::action::Answer;
use crate::api::action_record::RecordKind;
use crate::api::run::{Phase, Result, Verified};

fn unhealthy() -> Cluster {
    let mut c = Cluster::new(json!([]), json!([with(scale("out", "None", 10), json!({"timeout": "2m"}))]));
    c.healthy = false;
    c.until_phase(Phase::Verifying);
    c
}

#[test]
fn an_effect_that_does_not_take_hold_in_time_fails_the_step() {
    let mut c = unhealthy();
    let began = c.now;
    assert_eq!(c.until_the_end(), Phase::Failed);
    let record = c.record_of("out");
    assert_eq!(
        (record.spec.result, record.spec.verified),
        (Result::Done, Verified::No),
        "the effect took place all the same"
    );
    assert_eq!(record.spec.verification, "not within 2m: Deployment/checkout has 4 of 10 replicas ready");
    assert!(c.now.duration_since(began) < SignedDuration::from_mins(3));
    assert_eq!(c.status().in_place_at_end, Some(1));
}

#[test]
fn an_effect_that_somebody_takes_back_fails_the_step_and_says_so() {
    let mut c = unhealthy();
    c.somebody_scales("checkout", 5);
    c.until_the_end();
    assert_eq!(
        c.record_of("out").spec.verification,
        "not within 2m: somebody set Deployment/checkout to 5 replicas after it was set to 10"
    );
}

#[test]
fn an_effect_that_cannot_be_read_back_is_unknown_only_when_the_time_is_over() {
    let mut c = unhealthy();
    c.blind.insert("Deployment/checkout".to_owned(), Answer::Unreadable("slow".to_owned()));
    c.seconds_later(100);
    assert_eq!(c.phase(), Phase::Verifying);
    assert_eq!(c.until_the_end(), Phase::Failed);
    assert_eq!(c.record_of("out").spec.verified, Verified::Unknown);
}

#[test]
fn verifying_goes_on_after_a_crash() {
    let mut c = unhealthy();
    c.crash();
    c.healthy = true;
    c.somebody_scales("checkout", 10);
    assert_eq!(c.until_the_end(), Phase::Succeeded);
    assert_eq!((c.sent, c.records.len()), (1, 1));
}

fn ready(more: serde_json::Value) -> Cluster {
    let mut step = check("ready", "object.status.readyReplicas >= 8");
    step["check"] = with(step["check"].clone(), more);
    Cluster::new(json!([]), json!([step]))
}

#[test]
fn a_check_that_is_true_needs_one_look() {
    let mut c = Cluster::new(json!([]), json!([check("ready", "object.status.readyReplicas == 4")]));
    assert_eq!(c.until_the_end(), Phase::Succeeded);
    let record = c.record_of("ready");
    assert_eq!(
        (record.spec.kind, record.spec.result, record.spec.verified, record.spec.changed),
        (RecordKind::Observation, Result::Done, Verified::Yes, false)
    );
    assert_eq!(c.message(), "the only step is done");
}

#[test]
fn a_check_may_become_true_within_its_time() {
    let mut c = ready(json!({"within": "5m"}));
    c.seconds_later(200);
    assert_eq!(c.phase(), Phase::Verifying);
    c.somebody_scales("checkout", 8);
    assert_eq!(c.until_the_end(), Phase::Succeeded);
}

#[test]
fn a_check_that_does_not_become_true_fails() {
    let mut c = ready(json!({"within": "90s"}));
    let began = c.now;
    assert_eq!(c.until_the_end(), Phase::Failed);
    assert_eq!(
        c.message(),
        "step ready: not within 90s: Deployment/checkout: object.status.readyReplicas >= 8 is false"
    );
    assert!(c.now.duration_since(began) >= SignedDuration::from_secs(90));
    assert_eq!(c.record_of("ready").spec.verified, Verified::No);
}

#[test]
fn a_check_must_hold_without_a_break() {
    let mut c = ready(json!({"within": "5m", "holdFor": "30s"}));
    c.pass();
    c.somebody_scales("checkout", 8);
    c.seconds_later(20);
    assert_eq!(
        (c.phase(), c.waiting_on()),
        (Phase::Verifying, "object.status.readyReplicas >= 8 to stay true for 30s")
    );
    c.somebody_scales("checkout", 7);
    c.seconds_later(2);
    c.somebody_scales("checkout", 8);
    c.seconds_later(20);
    assert!(!c.status().finished, "twenty seconds after a break are no thirty");
    c.seconds_later(15);
    assert_eq!(c.phase(), Phase::Succeeded);
}

#[test]
fn a_new_process_counts_the_time_that_it_saw_itself() {
    let mut c = ready(json!({"within": "5m", "holdFor": "30s"}));
    c.somebody_scales("checkout", 8);
    c.seconds_later(25);
    c.crash();
    c.seconds_later(25);
    assert!(!c.status().finished);
    c.seconds_later(10);
    assert_eq!(c.phase(), Phase::Succeeded);
}

#[test]
fn a_check_that_cannot_be_read_in_time_fails_since_it_proves_nothing() {
    let mut c = ready(json!({"within": "60s"}));
    c.pass();
    c.blind.insert("Deployment/checkout".to_owned(), Answer::Unreadable("slow".to_owned()));
    c.seconds_later(50);
    assert!(!c.status().finished, "until then it is tried again");
    assert_eq!(c.until_the_end(), Phase::Failed);
    assert_eq!(c.record_of("ready").spec.verified, Verified::Unknown);
}

#[test]
fn a_check_that_gives_no_truth_fails_at_once() {
    let mut c = Cluster::new(json!([]), json!([check("ready", "object.status.readyReplicas")]));
    assert_eq!(c.until_the_end(), Phase::Failed);
    assert!(c.message().ends_with("gives a value that is not true or false"), "{}", c.message());
}

#[test]
fn the_time_of_a_check_begins_when_the_step_before_it_is_settled() {
    let mut c = Cluster::new(
        json!([]),
        json!([
            with(scale("out", "None", 10), json!({"timeout": "10m"})),
            check("ready", "object.status.readyReplicas > 10")
        ]),
    );
    c.healthy = false;
    c.until_phase(Phase::Verifying);
    c.seconds_later(300);
    c.healthy = true;
    c.somebody_scales("checkout", 10);
    c.seconds_later(30);
    assert!(!c.status().finished, "the check has its own minute");
    assert_eq!(c.until_the_end(), Phase::Failed);
}
