//! Gaps: times in which the approval policies may have been away, so that nobody judged what was said in them.

use jiff::SignedDuration;
use rstest::rstest;
use serde_json::json;

use super::cluster::{Cluster, on_call, scale};
use crate::action::{Answer, Gap};
use crate::api::run::Phase;

fn waiting() -> Cluster {
    let mut c = Cluster::gated();
    c.pass();
    c
}

#[test]
fn a_vote_that_was_given_while_nobody_judged_it_proves_nothing() {
    let mut c = waiting();
    c.guards = Answer::No("the policy is gone".to_owned());
    c.approve();
    c.pass();
    assert_eq!(c.sent, 0);
    c.seconds_later(30);
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

/// Two steps behind one gate; the first is done by a word of a gap that nobody knows of until it is done.
fn first_of_two_by(word: fn(&mut Cluster)) -> Cluster {
    let basket = json!({"name": "basket", "gate": "on-call", "scale": {"target": {"kind": "Deployment", "name": "basket"}, "replicas": 3}});
    let mut c = Cluster::new(on_call(), json!([scale("out", "on-call", 10), basket]));
    c.healthy = false;
    c.pass();
    c.now += SignedDuration::from_secs(10);
    word(&mut c);
    c.until_phase(Phase::Verifying);
    assert_eq!((c.sent, c.replicas("checkout")), (1, 10));
    c.now += SignedDuration::from_secs(40);
    let from = c.now - SignedDuration::from_secs(45);
    c.guards = Answer::InForce(vec![Gap { from: Some(from), until: c.now - SignedDuration::from_secs(10) }]);
    c.healthy = true;
    c.somebody_scales("checkout", 10);
    c
}

#[test]
fn a_vote_of_a_gap_that_is_found_between_two_acts_lets_no_further_one() {
    let mut c = first_of_two_by(Cluster::approve);
    c.until_phase(Phase::Waiting);
    assert_eq!((c.sent, c.replicas("basket")), (1, 2));
    assert_eq!(c.open_ballots(), ["shed-1-2"], "people are asked anew");
    c.approve();
    assert_eq!((c.until_the_end(), c.replicas("basket")), (Phase::Succeeded, 3));
}

#[test]
fn glass_of_a_gap_that_is_found_between_two_acts_lets_no_further_one() {
    let mut c = first_of_two_by(|c| {
        c.annotate("breakglass", "the database is down and nobody answers");
        c.annotate("breakglass-by", "carol");
    });
    assert_eq!((c.until_the_end(), c.sent, c.replicas("basket")), (Phase::Failed, 1, 2));
    assert!(c.message().contains("what was said before proves nothing; start another run"), "{}", c.message());
}
