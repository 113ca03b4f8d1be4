//! Gates: votes, expiry, void plans, rights.

use jiff::SignedDuration;
use rstest::rstest;
use serde_json::json;

use super::cluster::{Cluster, Fate, on_call, scale};
use crate::action::{Answer, Gap};
use crate::api::LIVE_LABEL;
use crate::api::approval::BallotState;
use crate::api::run::{Phase, Plan};

/// Two people: one of each role.
fn two_roles() -> Cluster {
    let gates = json!([{"name": "both", "requires": [{"role": "sre"}, {"role": "db-owner"}]}]);
    let mut c = Cluster::new(gates, json!([scale("out", "both", 10)]));
    c.pass();
    c
}

fn waiting() -> Cluster {
    let mut c = Cluster::gated();
    c.pass();
    c
}

#[test]
fn a_ballot_that_ran_out_is_followed_by_one_with_the_same_code() {
    let mut c = waiting();
    let code = c.status().plans["0.1"].code.clone();
    c.until(|c| c.status().plans.contains_key("0.2"));
    assert_eq!(c.status().plans["0.2"].code, code);
    assert_eq!(c.status().plans["0.2"].revised_because, "its ballots ran out");
    c.pass();
    assert_eq!(c.state_of("shed-1-1"), BallotState::Expired);
    assert_eq!(c.open_ballots(), ["shed-1-2"]);
    c.approve();
    assert_eq!(c.until_the_end(), Phase::Succeeded);
}

#[test]
fn when_nobody_decides_the_run_expires() {
    let mut c = waiting();
    assert_eq!(c.until_the_end(), Phase::Expired);
    assert_eq!(c.message(), "nobody decided at gate on-call within 1h");
    assert!(c.status().plans.len() >= 4, "one ballot follows the other, a quarter of an hour each");
    assert_eq!((c.sent, c.records.len()), (0, 0));
    assert_eq!(c.state_of("shed-1-3"), BallotState::Expired);
}

#[test]
fn a_plan_that_holds_no_longer_is_made_anew_with_another_code() {
    let mut c = waiting();
    let before = c.status().plans["0.1"].clone();
    c.somebody_scales("checkout", 12);
    c.approve();
    c.pass();
    let after = &c.status().plans["0.2"];
    assert_eq!(after.summary, "scale Deployment/checkout 12 -> 10");
    assert_ne!(after.code, before.code);
    assert_eq!(after.revised_because, "Deployment/checkout is at 12 replicas now, so 4 -> 10 is not what was approved");
    assert_eq!(c.state_of("shed-1-1"), BallotState::Superseded);
    assert_eq!((c.open_ballots(), c.sent), (vec!["shed-1-2".to_owned()], 0));
}

#[test]
fn noise_voids_nothing() {
    let mut c = waiting();
    c.somebody_scales("checkout", 6);
    c.approve();
    assert_eq!(c.until_the_end(), Phase::Succeeded);
    assert_eq!(
        c.record_of("out").spec.before,
        *json!({"replicas": 6}).as_object().unwrap(),
        "the undo rests on what the act itself read"
    );
    assert_eq!(c.status().plans.len(), 1);
}

#[test]
fn another_object_of_the_same_name_voids_the_plan() {
    let mut c = waiting();
    c.objects.get_mut("Deployment/checkout").unwrap()["metadata"]["uid"] = json!("made-anew");
    c.approve();
    c.pass();
    assert!(c.status().plans["0.2"].revised_because.contains("deleted and made anew"));
}

#[test]
fn a_plan_that_is_void_again_and_again_ends_the_run() {
    let mut c = waiting();
    for round in 0..6 {
        c.somebody_scales("checkout", if round % 2 == 0 { 12 } else { 4 });
        c.approve();
        c.pass();
    }
    assert_eq!(c.phase(), Phase::Failed);
    assert!(
        c.message().starts_with("planned 6 times, and void each time; last: Deployment/checkout is at 4"),
        "{}",
        c.message()
    );
}

#[test]
fn the_void_plans_of_one_segment_are_not_counted_against_another() {
    let gates = json!([{"name": "one", "requires": [{"role": "sre"}]}, {"name": "two", "requires": [{"role": "sre"}]}]);
    let mut c = Cluster::new(gates, json!([scale("a", "one", 10), scale("b", "two", 20)]));
    c.pass();
    for to in [12, 4, 12, 4, 12] {
        c.somebody_scales("checkout", to);
        c.approve();
        c.pass();
    }
    c.approve();
    c.until(|c| c.status().plans.contains_key("1.1"));
    c.somebody_scales("checkout", 25);
    c.until(|c| !c.open_ballots().is_empty());
    c.approve();
    c.pass();
    assert!(c.status().plans.contains_key("1.2"), "{}", c.message());
}

#[test]
fn one_no_is_enough() {
    let mut c = two_roles();
    c.mark("shed-1-1", "bob", "approve", "CODE go");
    c.mark("shed-1-2", "carol", "deny", "not during the failover");
    assert_eq!(c.until_the_end(), Phase::Denied);
    assert_eq!(c.message(), "carol said no: not during the failover");
    assert_eq!(c.sent, 0);
}

#[test]
fn a_no_on_a_plan_that_is_just_being_made_anew_is_heard() {
    let mut c = waiting();
    c.somebody_scales("checkout", 12);
    c.until(|c| c.status().plans.contains_key("0.2"));
    let ballot = c.ballots.get_mut("shed-1-1").unwrap();
    ballot.status.as_mut().unwrap().state = BallotState::Open;
    c.mark("shed-1-1", "bob", "deny", "not now");
    assert_eq!((c.until_the_end(), c.message()), (Phase::Denied, "bob said no: not now"));
}

#[rstest]
#[case::no_gate(|plan: &mut Plan| (plan.gate, plan.terms) = (None, None))]
#[case::no_terms(|plan: &mut Plan| plan.terms = None)]
#[case::another_role(|plan: &mut Plan| plan.terms.as_mut().unwrap().requires[0].role = "intern".to_owned())]
#[case::nobody(|plan: &mut Plan| plan.terms.as_mut().unwrap().requires.clear())]
fn a_plan_that_somebody_added_to_the_journal_opens_no_gate(#[case] forge: fn(&mut Plan)) {
    let mut c = waiting();
    let mut status = c.status().clone();
    let mut plan = status.plans["0.1"].clone();
    forge(&mut plan);
    plan.ballots.clear();
    status.plans.insert("0.2".to_owned(), plan);
    c.run.status = Some(status);
    assert_eq!((c.until_the_end(), c.sent), (Phase::Failed, 0));
    let said = "the plan in the journal asks for less than gate on-call of the runbook that was frozen";
    assert_eq!(c.message(), said);
}

#[test]
fn a_gate_that_is_not_there_is_not_none() {
    let (only_planned, renamed) = (json!({"mode": "Plan"}), json!([{"name": "other", "requires": [{"role": "sre"}]}]));
    for (spec, gates) in [(json!({}), json!([])), (json!({}), renamed.clone()), (only_planned, renamed)] {
        let mut c = waiting();
        let mut run = serde_json::to_value(&c.run).unwrap();
        run["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        run["status"]["frozen"]["gates"] = gates;
        // Taken up, and not planned yet.
        run["status"].as_object_mut().unwrap().remove("plans");
        c.run = serde_json::from_value(run).unwrap();
        c.ballots.clear();
        assert_eq!((c.until_the_end(), c.sent), (Phase::Failed, 0));
        assert!(c.message().contains("its gate on-call is not among the gates of the runbook"), "{}", c.message());
        assert!(c.ballots.is_empty());
    }
}

#[test]
fn a_ballot_that_somebody_made_beforehand_counts_for_nothing() {
    let mut c = waiting();
    let mut planted = c.ballots["shed-1-1"].clone();
    planted.metadata.name = Some("shed-1-2".to_owned());
    c.ballots.insert("shed-1-2".to_owned(), planted);
    c.mark("shed-1-2", "bob", "approve", "CODE go");
    c.ballots.get_mut("shed-1-2").unwrap().spec.voter = None;
    c.now += SignedDuration::from_mins(16);
    c.seconds_later(3);
    assert_eq!(c.sent, 0);
}

#[test]
fn both_roles_are_needed_and_both_votes_are_recorded() {
    let mut c = two_roles();
    assert_eq!(c.open_ballots(), ["shed-1-1", "shed-1-2"], "all slots are issued at once");
    assert!(c.ballots.values().all(|b| b.metadata.labels.as_ref().unwrap().contains_key(LIVE_LABEL)));
    c.mark("shed-1-1", "bob", "approve", "CODE go");
    c.seconds_later(10);
    assert_eq!((c.phase(), c.sent), (Phase::Waiting, 0));
    c.mark("shed-1-2", "carol", "approve", "CODE go");
    assert_eq!(c.until_the_end(), Phase::Succeeded);
    assert_eq!(c.record_of("out").spec.approved_by, "bob as sre, carol as db-owner");
    assert!(
        c.ballots.values().all(|b| !b.metadata.labels.as_ref().unwrap().contains_key(LIVE_LABEL)),
        "they are no longer compared"
    );
}

#[test]
fn one_person_counts_once() {
    let mut c = two_roles();
    c.mark("shed-1-1", "bob", "approve", "CODE go");
    c.mark("shed-1-2", "bob", "approve", "CODE go");
    c.pass();
    assert_eq!(c.sent, 0);
    assert_eq!(c.status().plans["0.2"].revised_because, "bob voted twice, and counts once");
    assert_eq!(c.open_ballots(), ["shed-1-3", "shed-1-4"]);
}

#[rstest]
#[case("alice", "CODE it is mine", "it is by whoever asked for the run")]
#[case("system:serviceaccount:shop:robot", "CODE beep", "it is by a ServiceAccount")]
#[case("bob", "0000 go", "its code is of another plan")]
#[case("bob", "CODE   ", "it does not say why")]
#[case("bob", "CODE", "it does not say why")]
#[case("dora", "CODE go", "it is by whoever wrote what the runbook does")]
#[case("", "CODE go", "it does not say who voted")]
fn a_vote_that_does_not_count_is_followed_by_a_new_ballot(#[case] by: &str, #[case] vote: &str, #[case] why: &str) {
    let mut c = Cluster::gated();
    c.author("dora");
    c.pass();
    c.mark("shed-1-1", by, "approve", vote);
    c.pass();
    assert_eq!(c.sent, 0);
    assert_eq!(c.status().plans["0.2"].revised_because, format!("the vote on shed-1-1 does not count: {why}"));
    assert_eq!(c.open_ballots(), ["shed-1-2"]);
    assert_eq!(c.status().plans["0.2"].code, c.status().plans["0.1"].code);
}

#[test]
fn a_vote_whose_stamp_is_of_another_person_does_not_count() {
    let mut c = waiting();
    c.mark("shed-1-1", "bob", "approve", "CODE go");
    c.ballots.get_mut("shed-1-1").unwrap().spec.voter.as_mut().unwrap().username = "mallory".to_owned();
    c.pass();
    assert!(c.status().plans["0.2"].revised_because.ends_with("the names on it differ"));
}

#[test]
fn where_a_reason_is_optional_the_code_is_enough() {
    let gates = json!([{"name": "on-call", "requires": [{"role": "sre"}], "reason": "Optional"}]);
    let mut c = Cluster::new(gates, json!([scale("out", "on-call", 10)]));
    c.pass();
    c.mark("shed-1-1", "bob", "approve", "CODE");
    assert_eq!(c.until_the_end(), Phase::Succeeded);
}

#[test]
fn who_lost_the_right_since_the_vote_does_not_count() {
    let mut c = waiting();
    c.approve();
    c.access = Answer::No("bob may not".to_owned());
    c.pass();
    assert_eq!((c.sent, c.status().plans["0.2"].revised_because.as_str()), (0, "bob may no longer approve as sre"));
    c.access = Answer::Yes;
    c.pass();
    c.mark("shed-1-2", "dave", "approve", "CODE go");
    assert_eq!(c.until_the_end(), Phase::Succeeded);
}

#[test]
fn rights_that_cannot_be_asked_are_waited_for() {
    let mut c = waiting();
    c.approve();
    c.access = Answer::Unreadable("no answer within 10 s".to_owned());
    c.seconds_later(5);
    assert_eq!(c.sent, 0);
    assert!(c.waiting_on().contains("whether bob may still approve as sre cannot be asked"), "{}", c.waiting_on());
    c.access = Answer::Yes;
    assert_eq!(c.until_the_end(), Phase::Succeeded);
}

#[test]
fn where_the_cluster_does_not_stamp_there_is_nothing_to_ask() {
    let mut c = Cluster::gated();
    c.stamps = false;
    c.access = Answer::No("never asked".to_owned());
    c.pass();
    c.approve();
    assert_eq!(c.until_the_end(), Phase::Succeeded);
}

#[test]
fn a_vote_that_was_given_while_nobody_judged_it_proves_nothing() {
    let mut c = waiting();
    c.guards = Answer::No("the policy is gone".to_owned());
    c.approve();
    c.pass();
    assert_eq!(c.sent, 0);
    c.now += SignedDuration::from_secs(30);
    let from = Some(c.now - SignedDuration::from_secs(25));
    c.guards = Answer::InForce(vec![Gap { from, until: c.now }]);
    c.pass();
    assert_eq!((c.sent, c.open_ballots()), (0, vec!["shed-1-2".to_owned()]));
    assert_eq!(
        c.status().plans["0.2"].revised_because,
        "the approval policies were not in force for certain between 2026-11-22T03:00:05Z and 2026-11-22T03:00:30Z: what \
         was said before proves nothing"
    );
    c.now += SignedDuration::from_secs(1);
    c.pass();
    c.approve();
    assert_eq!(c.until_the_end(), Phase::Succeeded);
}

/// What a run does that was made at three o'clock, with gaps that began and ended so many seconds before or after.
#[rstest]
#[case::made_before_the_gap(&[(Some(10), 20)], None)]
#[case::made_in_the_gap(&[(Some(-2), 5)], Some("between 2026-11-22T02:59:58Z and 2026-11-22T03:00:05Z"))]
#[case::made_in_the_second_in_which_the_gap_began(&[(Some(0), 5)], Some("when this run was made"))]
#[case::made_in_the_second_in_which_the_gap_ended(&[(Some(-9), 0)], None)]
#[case::made_in_the_second_before(&[(Some(-9), 1)], Some("when this run was made"))]
#[case::made_after_the_gap(&[(Some(-20), -1)], None)]
#[case::made_in_an_earlier_gap(&[(Some(-2), 2), (Some(20), 30)], Some("when this run was made"))]
#[case::made_when_nobody_had_ever_looked(&[(None, 30)], Some("until 2026-11-22T03:00:30Z"))]
fn a_run_that_was_made_while_nobody_judged_it_does_nothing(
    #[case] gaps: &[(Option<i64>, i64)],
    #[case] failed: Option<&str>,
) {
    let mut c = waiting();
    let made = c.run.metadata.creation_timestamp.as_ref().unwrap().0;
    let at = |second| made + SignedDuration::from_secs(second);
    let gaps = gaps.iter().map(|(from, until)| Gap { from: from.map(at), until: at(*until) }).collect();
    c.guards = Answer::InForce(gaps);
    c.pass();
    match failed {
        Some(words) => {
            assert_eq!((c.phase(), c.sent), (Phase::Failed, 0));
            assert!(c.message().contains(words), "{}", c.message());
            assert!(c.message().ends_with("who asked for it is not known; make it again"), "{}", c.message());
        }
        None => assert_eq!(c.phase(), Phase::Waiting),
    }
}

#[test]
fn a_run_is_taken_up_only_if_somebody_judged_who_asked_for_it() {
    let mut c = Cluster::gated();
    c.guards = Answer::No("the policy is gone".to_owned());
    c.pass();
    assert_eq!((c.status().frozen.is_some(), c.phase()), (false, Phase::Planning));
    assert!(c.waiting_on().starts_with("proof that the approval policies are in force: the policy is gone"));
    let mut stopped = Cluster::gated();
    stopped.guards = c.guards.clone();
    stopped.annotate("abort", "wrong shop");
    assert_eq!(stopped.until_the_end(), Phase::Aborted);
    assert_eq!(stopped.message(), "stopped: wrong shop");
    c.guards = Answer::InForce(vec![Gap { from: None, until: c.now + SignedDuration::from_secs(1) }]);
    assert_eq!((c.until_the_end(), c.sent), (Phase::Failed, 0));
    assert!(c.message().ends_with("when this run was made: who asked for it is not known; make it again"));
}

#[test]
fn glass_that_was_broken_while_nobody_judged_it_opens_nothing() {
    let mut c = waiting();
    c.annotate("breakglass", "the database is down and nobody answers");
    c.annotate("breakglass-by", "carol");
    c.guards = Answer::InForce(vec![Gap {
        from: Some(c.now + SignedDuration::from_secs(1)),
        until: c.now + SignedDuration::from_secs(2),
    }]);
    assert_eq!((c.until_the_end(), c.sent), (Phase::Failed, 0));
    assert!(c.message().ends_with("what was said before proves nothing; start another run"), "{}", c.message());
}

#[test]
fn a_vote_that_is_seen_too_late_does_not_bind() {
    let mut c = waiting();
    c.approve();
    c.now += SignedDuration::from_mins(16);
    c.pass();
    assert_eq!((c.sent, c.open_ballots()), (0, vec!["shed-1-2".to_owned()]));
}

#[test]
fn what_was_done_before_a_crash_is_found_although_the_ballots_ran_out() {
    let mut c = waiting();
    c.approve();
    c.fates.push_back(Fate::DiesAfter);
    c.pass();
    c.now += SignedDuration::from_mins(16);
    assert_eq!(c.until_the_end(), Phase::Succeeded);
    assert_eq!(c.record_of("out").spec.before, *json!({"replicas": 4}).as_object().unwrap());
    assert_eq!(c.writes.len(), 1);
}

#[rstest]
#[case::expired(SignedDuration::from_mins(61), Answer::Yes)]
#[case::lost_rights(SignedDuration::from_secs(1), Answer::No("no".to_owned()))]
fn what_was_done_before_a_crash_is_found_before_the_gate_is_judged(
    #[case] later: SignedDuration,
    #[case] access: Answer,
) {
    let mut c = waiting();
    c.approve();
    c.fates.push_back(Fate::DiesAfter);
    c.pass();
    (c.now, c.access) = (c.now + later, access);
    assert_eq!(c.until_the_end(), Phase::Succeeded, "{}", c.message());
    assert_eq!(c.records.len(), 1);
}

#[test]
fn what_may_be_on_its_way_is_waited_for_before_a_gate_is_given_up() {
    let mut c = waiting();
    c.now += SignedDuration::from_secs(15 * 60 - 5);
    c.approve();
    c.fates.push_back(Fate::Late);
    c.pass();
    c.crash();
    c.now += SignedDuration::from_secs(10);
    c.pass();
    assert!(c.waiting_on().starts_with("the network, until"), "{}", c.waiting_on());
    c.late_copies_arrive();
    assert_eq!(c.until_the_end(), Phase::Succeeded);
}

#[test]
fn an_approved_run_that_was_kept_from_acting_says_so() {
    let mut c = waiting();
    c.brake = Answer::Brake(Some("storm".to_owned()));
    c.until(|c| c.status().plans.len() == 4 && !c.open_ballots().is_empty());
    c.approve();
    c.pass();
    c.now += SignedDuration::from_mins(20);
    assert_eq!(c.until_the_end(), Phase::Expired);
    assert_eq!(
        c.message(),
        "it was approved, but could not be done before the ballots ran out, at gate on-call within 1h"
    );
}

#[test]
fn a_name_that_an_older_run_has_taken_is_skipped() {
    let mut older = waiting();
    let mut c = Cluster::gated();
    let mut ballot = older.ballots.remove("shed-1-1").unwrap();
    ballot.spec.request.run_uid = "older-run".to_owned();
    c.ballots.insert("shed-1-1".to_owned(), ballot);
    c.pass();
    assert_eq!(c.status().plans["0.1"].ballots[0].name, "shed-1-2");
    c.mark("shed-1-1", "bob", "approve", "CODE go");
    c.seconds_later(3);
    assert_eq!(c.sent, 0, "a vote for an older run counts for none");
    c.mark("shed-1-2", "bob", "approve", "CODE go");
    assert_eq!(c.until_the_end(), Phase::Succeeded);
}

#[test]
fn a_later_step_of_the_segment_needs_no_second_vote_but_its_plan_must_hold() {
    let basket = json!({"name": "basket", "gate": "on-call", "scale": {"target": {"kind": "Deployment", "name": "basket"}, "replicas": 3}});
    let mut c = Cluster::new(on_call(), json!([scale("out", "on-call", 10), basket]));
    c.healthy = false;
    c.pass();
    c.approve();
    c.until_phase(Phase::Verifying);
    c.somebody_scales("basket", 7);
    c.healthy = true;
    c.somebody_scales("checkout", 10);
    c.until(|c| c.open_ballots().len() == 1);
    assert_eq!(c.status().plans["0.2"].steps.len(), 1, "what is done already is not planned again");
    assert!(c.status().plans["0.2"].gate_since.0 > c.status().plans["0.1"].gate_since.0, "another wait has begun");
    c.approve();
    assert_eq!(c.until_the_end(), Phase::Succeeded);
    assert_eq!(c.replicas("basket"), 3);
}
