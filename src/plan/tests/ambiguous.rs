//! Acts without an answer: reading back settles them, or a person does; nothing is done twice.

use jiff::{SignedDuration, Timestamp};
use rstest::rstest;
use serde_json::json;

use super::cluster::{Cluster, Fate, on_call, scale};
use crate::action::{Answer, Gap};
use crate::api::TOKEN_ANNOTATION;
use crate::api::run::{Phase, Result, Verified};

fn approved(fates: &[Fate]) -> Cluster {
    let mut c = Cluster::gated();
    c.pass();
    c.approve();
    c.fates.extend(fates.iter().cloned());
    c
}

#[rstest]
#[case::the_answer_was_lost(Fate::Lost)]
#[case::the_operator_died(Fate::DiesAfter)]
fn the_token_on_the_target_shows_that_it_took_place(#[case] fate: Fate) {
    let mut c = approved(&[fate]);
    assert_eq!(c.until_the_end(), Phase::Succeeded);
    let record = c.record_of("out");
    assert_eq!((record.spec.result, record.spec.changed, c.sent), (Result::Done, true, 1));
    assert_eq!(record.spec.message, "no answer came back; the token on the target shows that it took place");
}

#[rstest]
#[case::cut(Fate::Cut)]
#[case::late(Fate::Late)]
#[case::the_operator_died(Fate::DiesBefore)]
fn where_nothing_has_changed_the_same_patch_is_sent_again(#[case] fate: Fate) {
    let mut c = approved(&[fate]);
    c.until(|c| c.sent == 2);
    c.late_copies_arrive();
    assert_eq!(c.until_the_end(), Phase::Succeeded);
    assert_eq!((c.sent, c.writes.len()), (2, 1));
}

#[test]
fn without_an_answer_it_is_not_repeated_at_once() {
    let mut c = approved(&[Fate::Cut, Fate::Cut, Fate::Cut]);
    c.pass();
    assert_eq!((c.sent, c.waiting_on()), (1, "the API server: connection reset; it is tried again"));
    assert_eq!(c.until_the_end(), Phase::Succeeded);
}

#[rstest]
#[case::cut(Fate::Cut)]
#[case::landed_and_overwritten(Fate::Lost)]
fn where_the_target_has_changed_a_person_is_asked(#[case] fate: Fate) {
    let mut c = approved(&[fate]);
    c.replace_after_act = Some(6);
    c.pass();
    assert_eq!((c.phase(), c.sent), (Phase::NeedsHuman, 1));
    assert!(
        c.waiting_on().starts_with("a person: whether \"scale Deployment/checkout 4 -> 10\" took place"),
        "{}",
        c.waiting_on()
    );
    c.seconds_later(600);
    assert_eq!((c.phase(), c.sent), (Phase::NeedsHuman, 1), "it waits as long as it takes");
}

#[test]
fn a_new_process_that_finds_the_target_changed_asks_a_person_too() {
    let mut c = approved(&[Fate::DiesAfter]);
    c.pass();
    c.somebody_replaces("checkout", 6);
    c.pass();
    // Another copy of what the process before it sent may still arrive, and overtake what a person says.
    assert!(c.waiting_on().starts_with("the network, until "), "{}", c.waiting_on());
    c.seconds_later(66);
    assert_eq!(c.phase(), Phase::NeedsHuman);
}

fn writes_of_a_quiet_run() -> usize {
    let mut c = approved(&[]);
    c.until_the_end();
    c.journal_writes
}

#[test]
fn a_new_process_has_written_the_journal_before_it_acts() {
    let mut c = Cluster::gated();
    c.pass();
    assert_eq!(c.status().driver.as_ref().unwrap().process, "firstaid-0/1");
    c.crash();
    c.pass();
    assert_eq!(c.status().driver.as_ref().unwrap().process, "firstaid-0/1", "while it waits there is nothing to write");
    c.approve();
    c.until_the_end();
    assert_eq!(
        (c.journal_writes, c.status().driver.as_ref().unwrap().process.as_str()),
        (writes_of_a_quiet_run() + 1, "firstaid-0/2")
    );
}

#[test]
fn a_process_that_does_not_know_what_became_of_a_write_makes_another_one_before_it_acts() {
    let mut c = Cluster::gated();
    c.pass();
    c.approve();
    c.memory.writing();
    c.until_the_end();
    assert_eq!((c.journal_writes, c.status().driver.as_ref().unwrap().claim), (writes_of_a_quiet_run() + 1, 1));
}

/// A proxy on the way may repeat a request. The second time it is refused, because of the first time.
#[test]
fn a_request_that_was_repeated_is_not_said_to_be_refused() {
    for stops in [false, true] {
        let mut c = approved(&[Fate::Repeated]);
        c.until(|c| c.sent == 1);
        if stops {
            c.annotate("abort", "wrong service");
        }
        c.until_phase(Phase::NeedsHuman);
        assert!(c.waiting_on().contains("is not known (its token is there"), "{}", c.waiting_on());
        c.annotate("settle", "done it has 10");
        c.until_the_end();
        assert_eq!((c.record_of("out").spec.result, c.status().in_place_at_end), (Result::Unknown, Some(1)));
    }
}

fn asked() -> Cluster {
    let mut c = approved(&[Fate::Lost]);
    c.replace_after_act = Some(6);
    c.pass();
    assert_eq!(c.phase(), Phase::NeedsHuman);
    c
}

#[test]
fn a_person_says_that_it_was_done_and_it_is_seen_to_hold() {
    let mut c = asked();
    c.somebody_scales("checkout", 10);
    c.annotate("settle", "done the audit log shows it");
    c.annotate("settle-by", "dave");
    assert_eq!(c.until_the_end(), Phase::Succeeded);
    let record = c.record_of("out");
    assert_eq!((record.spec.result, record.spec.verified), (Result::Unknown, Verified::Yes));
    assert_eq!(
        record.spec.message,
        "whether Deployment/checkout was changed could not be read back; dave said done: the audit log shows it"
    );
}

#[test]
fn a_person_says_that_it_was_done_and_it_is_not_seen_to_hold() {
    let mut c = asked();
    c.annotate("settle", "done I think");
    assert_eq!(c.until_the_end(), Phase::Failed, "{}", c.message());
    assert_eq!((c.sent, c.records.len()), (1, 1), "what was done is not tried again");
    assert_eq!(c.status().in_place_at_end, Some(1), "a person said that it is in place");
}

#[test]
fn a_person_says_that_it_was_not_done_and_it_is_approved_and_tried_again() {
    let mut c = asked();
    c.annotate("settle", "not-done I looked");
    c.until(|c| !c.open_ballots().is_empty());
    assert_eq!(c.sent, 1, "another attempt needs another approval");
    c.approve();
    assert_eq!(c.until_the_end(), Phase::Succeeded);
    assert_eq!(c.writes, ["shed-1/run-uid/out/1", "shed-1/run-uid/out/2"]);
    assert_eq!(c.status().in_place_at_end, Some(1), "the attempt that was not done is not in place");
    let attempts: Vec<_> = c.records.values().map(|r| (r.spec.attempt, r.spec.result, r.spec.changed)).collect();
    assert_eq!(attempts, [(1, Result::Unknown, false), (2, Result::Done, true)]);
}

/// The guards were away after the run was made, for a second until then.
fn away_until(c: &Cluster, until: Timestamp) -> Answer {
    let from = until - SignedDuration::from_secs(1);
    assert!(from > c.run.metadata.creation_timestamp.as_ref().unwrap().0);
    Answer::InForce(vec![Gap { from: Some(from), until }])
}

#[test]
fn a_word_that_may_have_been_judged_by_nobody_settles_nothing() {
    let mut c = asked();
    c.seconds_later(10);
    c.annotate("settle", "not-done I looked");
    c.guards = away_until(&c, c.now);
    c.seconds_later(60);
    assert_eq!((c.phase(), c.sent), (Phase::NeedsHuman, 1));
    let said = "what settle says may have been judged by nobody, so look, then stop it";
    assert!(c.waiting_on().ends_with(said), "{}", c.waiting_on());
    c.annotate("abort", "give up");
    assert_eq!(c.until_the_end(), Phase::Aborted);
    assert_eq!(c.record_of("out").spec.result, Result::Unknown);
}

#[test]
fn who_has_not_answered_before_the_guards_are_back_is_asked_anew() {
    let mut c = asked();
    c.seconds_later(10);
    c.guards = away_until(&c, c.now);
    // Votes from before are no reason to go on either: it is given up, once nothing can be on its way any more.
    c.seconds_later(80);
    c.annotate("settle", "done I saw it");
    c.somebody_scales("checkout", 10);
    assert_eq!(c.until_the_end(), Phase::Succeeded);
}

#[test]
fn a_word_that_is_heard_while_the_guards_are_away_waits_until_they_are_back_as_they_were() {
    let mut c = asked();
    c.guards = Answer::Unreadable("slow".to_owned());
    c.annotate("settle", "done I saw it");
    c.annotate("abort", "wrong service");
    c.seconds_later(120);
    assert!(c.waiting_on().starts_with("proof that the approval policies are in force: slow"), "{}", c.waiting_on());
    c.guards = Answer::Yes;
    assert_eq!(c.until_the_end(), Phase::Aborted);
    assert!(c.record_of("out").spec.message.ends_with("I saw it"));
}

#[test]
fn any_other_word_settles_nothing() {
    let mut c = asked();
    c.annotate("settle", "dunno really");
    c.seconds_later(60);
    assert_eq!((c.phase(), c.sent), (Phase::NeedsHuman, 1));
    c.annotate("abort", "give up");
    assert_eq!(c.until_the_end(), Phase::Aborted);
    assert_eq!(c.record_of("out").spec.result, Result::Unknown);
}

#[test]
fn a_new_process_knows_what_this_run_itself_changed() {
    for turns in 1..30 {
        let mut c = Cluster::new(json!([]), json!([scale("out", "None", 10), scale("down", "None", 3)]));
        c.dies_after_turns = Some(turns);
        assert_eq!(c.until_the_end(), Phase::Succeeded, "after {turns} turns");
        assert_eq!(c.writes.len(), 2, "after {turns} turns");
    }
}

#[test]
fn the_word_answers_one_question_only() {
    let mut c = asked();
    c.annotate("settle", "not-done I looked");
    c.until(|c| !c.open_ballots().is_empty());
    c.fates.push_back(Fate::Lost);
    c.replace_after_act = Some(7);
    c.approve();
    c.pass();
    assert_eq!((c.phase(), c.sent), (Phase::NeedsHuman, 2));
    assert!(
        c.waiting_on().ends_with("the word settle has been used on this run, so look, then stop it"),
        "{}",
        c.waiting_on()
    );
    assert_eq!(c.status().next_commands.last().unwrap(), "kubectl annotate rbr -n shop shed-1 abort=\"WHY\"");
    c.annotate("abort", "enough");
    assert_eq!(c.until_the_end(), Phase::Aborted);
    assert_eq!(c.records.len(), 2);
}

#[test]
fn a_refusal_after_an_unanswered_send_says_nothing_of_that_send() {
    // The first copy lands late and is overwritten; the second is refused because of it.
    let mut c = approved(&[Fate::Late]);
    c.pass();
    c.late_before_next_act = true;
    c.replace_after_act = Some(6);
    c.until(|c| c.sent == 2);
    assert_eq!(c.phase(), Phase::NeedsHuman, "the refusal may be the work of the first copy");
    c.seconds_later(70);
    assert_eq!((c.sent, c.writes.len()), (2, 1));
}

#[test]
fn a_refusal_after_an_unanswered_send_is_final_only_when_that_send_cannot_arrive_any_more() {
    let mut c = approved(&[Fate::Late, Fate::Refused(403)]);
    c.until(|c| c.sent == 2);
    assert!(c.waiting_on().starts_with("the network, until"), "{}", c.waiting_on());
    c.now += SignedDuration::from_secs(66);
    assert_eq!(c.until_the_end(), Phase::Failed);
    assert_eq!(c.record_of("out").spec.result, Result::Refused);
}

#[test]
fn a_target_that_can_no_longer_be_read_back_is_for_a_person() {
    let mut c = approved(&[Fate::Lost]);
    c.blind_after_act = Some(Answer::Forbidden("the role was taken away".to_owned()));
    c.pass();
    assert!(c.waiting_on().starts_with("the network, until"), "{}", c.waiting_on());
    c.until_phase(Phase::NeedsHuman);
    c.annotate("settle", "done I saw it");
    c.blind.clear();
    assert_eq!(c.until_the_end(), Phase::Succeeded);
}

#[test]
fn a_kind_without_generation_is_known_by_its_resource_version() {
    let disable = json!({"name": "off", "gate": "on-call", "disable": {"flag": "recs", "configMap": {"name": "flags", "key": "recs"}}});
    let mut c = Cluster::new(on_call(), json!([disable]));
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "flags", "uid": "map-uid", "resourceVersion": "1"}, "data": {"recs": "true"}});
    c.objects.insert("ConfigMap/flags".to_owned(), map);
    c.pass();
    c.approve();
    c.fates.extend([Fate::Late, Fate::Lost]);
    c.until(|c| c.sent == 2);
    c.late_copies_arrive();
    assert_eq!(c.until_the_end(), Phase::Succeeded);
    assert_eq!(c.objects["ConfigMap/flags"]["data"]["recs"], json!("false"));
    assert_eq!(c.writes.len(), 1);
}

#[test]
fn a_late_copy_never_lands_over_a_later_step() {
    let mut c = Cluster::new(json!([]), json!([scale("out", "None", 10), scale("down", "None", 3)]));
    c.fates.extend([Fate::Late, Fate::Answered, Fate::Answered]);
    assert_eq!(c.until_the_end(), Phase::Succeeded);
    c.late_copies_arrive();
    assert_eq!((c.replicas("checkout"), c.writes.len()), (3, 2));
}

#[test]
fn a_token_that_this_operator_has_not_sent_proves_nothing() {
    let mut c = Cluster::gated();
    c.pass();
    let token = c.status().plans["0.1"].steps[0].token.clone();
    c.somebody_scales("checkout", 7);
    let annotations = json!({ TOKEN_ANNOTATION: token });
    c.objects.get_mut("Deployment/checkout").unwrap()["metadata"]["annotations"] = annotations;
    c.approve();
    c.seconds_later(5);
    assert_eq!((c.phase(), c.sent, c.records.len()), (Phase::NeedsHuman, 0, 0));
    let said = "this operator has not sent it: another one has, or somebody wrote it); look, then settle it";
    assert!(c.waiting_on().ends_with(said), "{}", c.waiting_on());
    c.annotate("settle", "not-done mallory wrote it");
    c.until(|c| !c.open_ballots().is_empty());
    assert_eq!(c.record_of("out").spec.result, Result::Unknown);
}

/// A process that was stopped for longer than its lease lasts, and goes on as if nothing had been.
#[test]
fn what_nobody_had_touched_another_one_may_have_while_this_one_was_stopped() {
    let mut c = Cluster::gated();
    c.until_phase(Phase::Waiting);
    c.pass();
    let stopped = c.memory.clone();
    assert!(!stopped.untouched.is_empty());
    c.crash();
    c.approve();
    c.fates.push_back(Fate::DiesAfter);
    c.pass();
    assert_eq!(c.writes.len(), 1);
    c.memory = stopped;
    c.now += SignedDuration::from_secs(20);
    c.annotate("abort", "enough");
    assert_eq!(c.until_the_end(), Phase::Aborted);
    assert_eq!(c.step("out.1").outcome.as_ref().unwrap().result, Result::Done, "what was done is recorded");
}

#[test]
fn a_value_before_that_nobody_can_know_is_not_made_up() {
    let mut c = Cluster::gated();
    c.until_phase(Phase::Waiting);
    c.somebody_scales("checkout", 6);
    c.approve();
    c.fates.push_back(Fate::DiesAfter);
    c.pass();
    assert_eq!(c.until_the_end(), Phase::Succeeded);
    let outcome = c.step("out.1").outcome.as_ref().unwrap();
    assert!(outcome.message.ends_with("before is what the plan found"), "{}", outcome.message);
}
