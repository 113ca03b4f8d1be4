//! Gates: votes, expiry, void plans, rights.

use jiff::SignedDuration;
use rstest::rstest;
use serde_json::json;

use super::cluster::{Cluster, Fate, on_call, scale, with};
use crate::action::Answer;
use crate::api::approval::BallotState;
use crate::api::run::{Phase, Plan};
use crate::api::runbook::{ReasonRule, SelfApproval};
use crate::api::{LIVE_LABEL, Period};
use crate::plan::Floor;

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
#[case::by_whoever_asked(|plan: &mut Plan| plan.terms.as_mut().unwrap().self_approval = SelfApproval::Always)]
#[case::alone_at_once(|plan: &mut Plan| { let terms = plan.terms.as_mut().unwrap(); (terms.self_approval, terms.alone_after) = (SelfApproval::Alone, Some(Period::from_seconds(1))); })]
#[case::without_a_credential(|plan: &mut Plan| plan.terms.as_mut().unwrap().verified_credential = false)]
#[case::without_a_reason(|plan: &mut Plan| plan.terms.as_mut().unwrap().reason = ReasonRule::Optional)]
#[case::by_robots(|plan: &mut Plan| plan.terms.as_mut().unwrap().allow_service_accounts = true)]
#[case::by_the_author(|plan: &mut Plan| plan.terms.as_mut().unwrap().author_may_approve = true)]
#[case::for_ever(|plan: &mut Plan| plan.terms.as_mut().unwrap().valid_for = Period::from_seconds(80_000))]
#[case::with_its_undo(|plan: &mut Plan| plan.terms.as_mut().unwrap().covers_undo = Some(Period::from_seconds(80_000)))]
#[case::without_excluding_the_author(|plan: &mut Plan| plan.excluded = None)]
fn a_plan_that_somebody_added_to_the_journal_opens_no_gate(#[case] forge: fn(&mut Plan)) {
    let gate = json!({"verifiedCredential": true, "selfApproval": "Never"});
    let mut c = Cluster::new(json!([with(on_call()[0].clone(), gate)]), json!([scale("out", "on-call", 10)]));
    c.author("dora");
    c.pass();
    let mut status = c.status().clone();
    let mut plan = status.plans["0.1"].clone();
    assert_eq!(plan.excluded.as_deref(), Some("dora"));
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
fn votes_that_ran_out_with_their_ballots_are_told_and_so_is_who_did_not_decide() {
    let mut c = two_roles();
    c.mark("shed-1-1", "bob", "approve", "CODE now");
    c.pass();
    let asked = c.waiting_on().to_owned();
    assert!(asked.contains("1 of db-owner") && !asked.contains("count no longer"), "{asked}");
    c.until(|c| c.status().plans.contains_key("0.2"));
    c.pass();
    let asked = c.waiting_on();
    assert!(asked.starts_with("approval by 1 of sre and 1 of db-owner since"), "{asked}");
    assert!(asked.ends_with("the votes of bob as sre were on earlier ballots and count no longer"), "{asked}");
    let newest = c.open_ballots().into_iter().next().unwrap();
    c.mark(&newest, "bob", "approve", "CODE now");
    c.pass();
    assert!(!c.waiting_on().contains("count no longer"), "{}", c.waiting_on());
    let mut last = Cluster::new(
        json!([{"name": "both", "requires": [{"role": "sre"}, {"role": "db-owner"}], "validFor": "1h", "timeout": "1h"}]),
        json!([scale("out", "both", 10)]),
    );
    last.pass();
    last.mark("shed-1-1", "bob", "approve", "CODE now");
    assert_eq!(last.until_the_end(), Phase::Expired);
    assert_eq!(last.message(), "bob as sre approved, and nobody else decided at gate both within 1h");
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

#[test]
fn an_approval_that_was_begun_is_not_used_for_ever() {
    let basket = json!({"name": "basket", "gate": "on-call", "scale": {"target": {"kind": "Deployment", "name": "basket"}, "replicas": 5}});
    let mut c = Cluster::new(on_call(), json!([scale("out", "on-call", 10), basket]));
    c.pass();
    c.approve();
    // Whoever may write the second target says that another run holds it, for as long as they like.
    let target = c.objects.get_mut("Deployment/basket").unwrap();
    target["metadata"]["annotations"] = json!({"firstaid.dev/last-action": "other/other-uid/out/1"});
    c.holder = Answer::Yes;
    c.until(|c| c.waiting_on().starts_with("run other"));
    c.now += SignedDuration::from_mins(70);
    c.pass();
    assert!(c.waiting_on().starts_with("run other"), "{}", c.waiting_on());
    c.now += SignedDuration::from_mins(10);
    c.holder = Answer::No("it has ended".to_owned());
    assert_eq!((c.until_the_end(), c.replicas("basket")), (Phase::Expired, 2));
    assert!(
        c.message().starts_with("what was approved was begun, but could not go on for too long"),
        "{}",
        c.message()
    );
}

#[test]
fn a_floor_that_came_after_the_plan_holds() {
    let floor: Floor =
        serde_json::from_value(json!({"action": "*", "requires": [{"role": "sre", "count": 2}]})).unwrap();
    // Nobody was asked, and the run was held until the platform asked for somebody.
    let mut c = Cluster::ungated();
    c.brake = Answer::Brake(Some("storm".to_owned()));
    c.until(|c| c.waiting_on().starts_with("the global brake"));
    c.floors = vec![floor.clone()];
    c.crash();
    c.brake = Answer::Brake(None);
    assert_eq!(c.until_the_end(), Phase::Failed);
    assert!(
        c.message().contains("the platform asks for more than this runbook (every change: at least 2 of sre)"),
        "{}",
        c.message()
    );
    assert_eq!(c.replicas("checkout"), 4);

    // One vote was enough when it was given.
    let mut c = Cluster::gated();
    c.pass();
    c.floors = vec![floor];
    c.crash();
    c.approve();
    c.until(|c| c.open_ballots().len() == 2);
    assert_eq!((c.replicas("checkout"), c.status().plans.len()), (4, 2));
    let why = &c.status().plans["0.2"].revised_because;
    assert_eq!(why, "the platform asks for more since it was planned (every change: at least 2 of sre)");
    for (ballot, who) in c.open_ballots().into_iter().zip(["bob", "carol"]) {
        c.mark(&ballot, who, "approve", "CODE it grows");
    }
    assert_eq!(c.until_the_end(), Phase::Succeeded, "{}", c.message());
    assert_eq!((c.replicas("checkout"), c.record_of("out").spec.approvals.len()), (10, 2));
}
