//! Who may approve beside a second person: the requester alone at night, whoever breaks the glass; and what comes after.

use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use rstest::rstest;
use serde_json::{Value, json};

use super::cluster::{Cluster, on_call, scale, with};
use crate::action::Gap;
use crate::api::approval::{BallotKind, BallotState};
use crate::api::condition::kind;
use crate::api::run::Phase;
use crate::api::vote::DecidedAs;
use crate::api::{LIVE_LABEL, LIVE_RATIFIES, Person};
use crate::plan::{self, Ratification};

/// A run that waits at a gate with these fields more.
fn waiting(more: Value) -> Cluster {
    let gate = with(json!({"name": "on-call", "requires": [{"role": "sre"}]}), more);
    let mut c = Cluster::new(json!([gate]), json!([scale("out", "on-call", 10)]));
    c.pass();
    c
}

fn ratified(c: &Cluster) -> Option<(&str, &str)> {
    let condition = c.status().conditions.iter().find(|c| c.kind == kind::RATIFIED)?;
    Some((condition.status.as_str(), condition.reason.as_str()))
}

/// Somebody marks the ballot of ratification, and the run notes it.
fn ratify(c: &mut Cluster, by: &str, key: &str, value: &str) -> bool {
    let ballot = c.status().ratification.clone();
    c.mark(&ballot, by, key, value);
    let Ratification::Noted(status) = plan::ratified(&c.run, &c.ballots[&ballot], None, c.now) else { return false };
    c.run.status = Some(*status);
    let again = plan::ratified(&c.run, &c.ballots[&ballot], None, c.now);
    assert_eq!(again, Ratification::Closed, "it says nothing new");
    true
}

/// Decided alone and done; the name of the ballot on which it is to be ratified.
fn to_be_ratified() -> (Cluster, String) {
    let mut c = waiting(json!({"aloneAfter": "2m"}));
    c.now += SignedDuration::from_secs(121);
    c.pass();
    c.mark("shed-1-1", "alice", "approve", "CODE nobody answers");
    assert_eq!(c.until_the_end(), Phase::Succeeded);
    let ballot = c.status().ratification.clone();
    (c, ballot)
}

/// The run asks on another ballot, which is empty and can be marked.
fn asked_anew(c: &mut Cluster, ballot: &str, gap: Option<Gap>) -> String {
    let anew = plan::ratified(&c.run, &c.ballots[ballot], gap, c.now);
    let Ratification::Anew { ballot: another, status } = anew else { panic!("{anew:?}") };
    let name = another.metadata.name.clone().unwrap();
    assert_eq!((&status.ratification, another.metadata.annotations.as_ref()), (&name, None));
    assert!(status.next_commands.iter().any(|command| command.ends_with(&name)), "{:?}", status.next_commands);
    c.run.status = Some(*status);
    c.ballots.insert(name.clone(), *another);
    assert_eq!(plan::ratified(&c.run, &c.ballots[ballot], gap, c.now), Ratification::Replaced);
    name
}

#[test]
fn a_mark_that_proves_nothing_is_followed_by_another_ballot() {
    let (mut c, ballot) = to_be_ratified();
    // As it could be written while the policies were away: by whoever decided, who cannot ratify.
    c.mark(&ballot, "alice", "approve", "CODE my own deed");
    let second = asked_anew(&mut c, &ballot, None);
    assert_eq!(second, format!("{ballot}-2"));
    c.mark(&second, "alice", "approve", "CODE my own deed");
    let third = asked_anew(&mut c, &second, None);
    assert_eq!(third, format!("{ballot}-3"));
    assert_eq!(ratified(&c), Some(("False", "Alone")));
    assert!(ratify(&mut c, "carol", "approve", "CODE it was right"));
    assert_eq!(ratified(&c), Some(("True", "Ratified")));
}

#[test]
fn a_mark_that_may_have_been_judged_by_nobody_is_followed_by_another_ballot() {
    let (mut c, ballot) = to_be_ratified();
    c.ballots.get_mut(&ballot).unwrap().metadata.creation_timestamp = Some(Time(c.now));
    c.mark(&ballot, "carol", "approve", "CODE it was right");
    let gap = Gap { from: None, until: c.now + SignedDuration::from_secs(1) };
    let second = asked_anew(&mut c, &ballot, Some(gap));
    c.ballots.get_mut(&second).unwrap().metadata.creation_timestamp = Some(Time(c.now + SignedDuration::from_secs(1)));
    assert!(ratify(&mut c, "carol", "approve", "CODE it was right"));
}

#[test]
fn whoever_asked_may_decide_when_nobody_else_has_for_a_while() {
    let mut c = waiting(json!({"aloneAfter": "2m"}));
    c.now += SignedDuration::from_secs(100);
    c.pass();
    assert!(!c.ballots["shed-1-1"].status.as_ref().unwrap().open_to_requester);
    c.now += SignedDuration::from_secs(21);
    c.pass();
    assert!(c.ballots["shed-1-1"].status.as_ref().unwrap().open_to_requester);
    assert!(c.waiting_on().ends_with("shed-1-1; alice may decide too, since nobody else has"), "{}", c.waiting_on());
    c.mark("shed-1-1", "alice", "approve", "CODE nobody answers");
    assert_eq!(c.until_the_end(), Phase::Succeeded);
    let record = &c.record_of("out").spec;
    assert_eq!(record.approvals[0].decided_as, DecidedAs::Alone);
    assert_eq!(record.approved_by, "alice as sre, ALONE");
    assert_eq!(ratified(&c), Some(("False", "Alone")));
    assert!(c.message().ends_with("alice as sre, ALONE, to be ratified by somebody else"), "{}", c.message());
    assert_eq!(c.status().next_commands[0], "kubectl describe apv -n shop shed-1-runui-ratify");
}

#[test]
fn a_ballot_that_follows_another_is_open_to_the_requester_at_once() {
    let mut c = waiting(json!({"aloneAfter": "2m", "validFor": "4m"}));
    c.until(|c| c.open_ballots() == ["shed-1-2"] && c.ballots["shed-1-2"].status.as_ref().unwrap().open_to_requester);
}

#[rstest]
#[case::never(json!({"selfApproval": "Never"}), "alice")]
#[case::a_robot_is_nobody(json!({"allowServiceAccounts": true}), "system:serviceaccount:shop:robot")]
fn it_is_not_opened(#[case] gate: Value, #[case] requester: &str) {
    let gate = with(json!({"name": "on-call", "requires": [{"role": "sre"}]}), gate);
    let mut c = Cluster::new(json!([gate]), json!([scale("out", "on-call", 10)]));
    c.run.spec.requested_by = Some(Person { username: requester.to_owned(), ..Person::default() });
    c.pass();
    c.now += SignedDuration::from_mins(10);
    c.pass();
    assert!(!c.ballots["shed-1-1"].status.as_ref().unwrap().open_to_requester);
    // Not even where the policies would let it through.
    c.ballots.get_mut("shed-1-1").unwrap().status.as_mut().unwrap().open_to_requester = true;
    c.mark("shed-1-1", requester, "approve", "CODE mine");
    c.pass();
    assert_eq!((c.sent, c.open_ballots()), (0, vec!["shed-1-2".to_owned()]));
}

#[test]
fn nobody_is_alone_where_somebody_else_has_voted() {
    let mut c = waiting(json!({"requires": [{"role": "sre", "count": 2}]}));
    c.mark("shed-1-1", "bob", "approve", "CODE go");
    c.now += SignedDuration::from_mins(6);
    c.pass();
    assert!(!c.ballots["shed-1-2"].status.as_ref().unwrap().open_to_requester);
}

#[test]
fn whoever_is_alone_may_be_the_author_too() {
    let mut c = Cluster::gated();
    c.author("alice");
    c.pass();
    c.now += SignedDuration::from_mins(6);
    c.pass();
    c.mark("shed-1-1", "alice", "approve", "CODE nobody answers");
    assert_eq!(c.until_the_end(), Phase::Succeeded);
}

#[test]
fn an_author_may_approve_where_the_gate_says_so() {
    let gates = json!([with(on_call()[0].clone(), json!({"authorMayApprove": true}))]);
    let mut c = Cluster::new(gates, json!([scale("out", "on-call", 10)]));
    c.author("dora");
    c.pass();
    c.mark("shed-1-1", "dora", "approve", "CODE go");
    assert_eq!(c.until_the_end(), Phase::Succeeded);
    assert_eq!(c.record_of("out").spec.approved_by, "dora as sre");
}

#[test]
fn what_is_harmless_is_approved_by_whoever_asked_and_needs_no_second_look() {
    let mut c = waiting(json!({"selfApproval": "Always"}));
    c.mark("shed-1-1", "alice", "approve", "CODE harmless");
    assert_eq!(c.until_the_end(), Phase::Succeeded);
    assert_eq!(c.record_of("out").spec.approved_by, "alice as sre, who asked for it");
    assert_eq!((ratified(&c), c.status().ratification.as_str()), (None, ""));
}

#[test]
fn robots_vote_where_the_gate_lets_them() {
    let mut c = waiting(json!({"allowServiceAccounts": true}));
    c.mark("shed-1-1", "system:serviceaccount:shop:robot", "approve", "CODE all green");
    assert_eq!(c.until_the_end(), Phase::Succeeded);
}

#[test]
fn a_vote_without_a_credential_does_not_count_where_one_is_asked_for() {
    let mut c = waiting(json!({"verifiedCredential": true}));
    c.mark("shed-1-1", "bob", "approve", "CODE go");
    c.pass();
    assert!(c.status().plans["0.2"].revised_because.ends_with("it carries no credential id"));
    c.mark("shed-1-2", "bob", "approve", "CODE go");
    c.ballots.get_mut("shed-1-2").unwrap().spec.voter.as_mut().unwrap().credential_id = "X509SHA256=1".to_owned();
    assert_eq!(c.until_the_end(), Phase::Succeeded);
}

#[test]
fn people_are_told_apart_by_their_key() {
    let mut c = waiting(json!({"requires": [{"role": "sre", "count": 2}]}));
    let stamp = |c: &mut Cluster, ballot: &str, key: &str| {
        c.mark(ballot, key, "approve", "CODE go");
        let voter = c.ballots.get_mut(ballot).unwrap().spec.voter.as_mut().unwrap();
        (voter.username, voter.key) = ("oncall-shared".to_owned(), key.to_owned());
    };
    stamp(&mut c, "shed-1-1", "bob@corp.example");
    stamp(&mut c, "shed-1-2", "dave@corp.example");
    assert_eq!(c.until_the_end(), Phase::Succeeded, "one user name, two people");
    assert_eq!(c.record_of("out").spec.approved_by, "bob@corp.example as sre, dave@corp.example as sre");

    let mut c = waiting(json!({}));
    c.run.spec.requested_by =
        Some(Person { username: "shared".to_owned(), key: "bob@corp.example".to_owned(), ..Person::default() });
    c.ballots.clear();
    c.run.status = None;
    c.pass();
    assert_eq!(c.ballots["shed-1-1"].spec.request.requester, "bob@corp.example");
    stamp(&mut c, "shed-1-1", "bob@corp.example");
    c.pass();
    assert_eq!(c.sent, 0, "one person under two user names");
}

#[test]
fn breaking_the_glass_opens_the_gate_loudly() {
    let mut c = waiting(json!({}));
    c.annotate("breakglass", "the database is down and nobody answers");
    c.annotate("breakglass-by", "carol");
    assert_eq!(c.until_the_end(), Phase::Succeeded);
    let record = &c.record_of("out").spec;
    assert_eq!(record.approved_by, "BREAK GLASS by carol");
    assert_eq!(record.approvals[0].why, "the database is down and nobody answers");
    assert_eq!(c.state_of("shed-1-1"), BallotState::Withdrawn);
    assert_eq!(ratified(&c), Some(("False", "BreakGlass")));
    assert!(c.message().ends_with("BREAK GLASS by carol, to be ratified by somebody else"), "{}", c.message());
}

#[test]
fn glass_that_nobody_is_named_for_is_whole() {
    let mut c = waiting(json!({}));
    c.annotate("breakglass", "the database is down and nobody answers");
    c.seconds_later(3);
    assert_eq!((c.sent, c.phase()), (0, Phase::Waiting));
}

#[test]
fn a_no_holds_against_broken_glass_and_so_does_a_stop() {
    let mut c = waiting(json!({}));
    c.annotate("breakglass", "the database is down and nobody answers");
    c.annotate("breakglass-by", "carol");
    let mut stopped = waiting(json!({}));
    stopped.run.metadata.annotations.clone_from(&c.run.metadata.annotations);
    c.mark("shed-1-1", "bob", "deny", "it is the wrong database");
    assert_eq!((c.until_the_end(), c.sent), (Phase::Denied, 0));
    stopped.annotate("abort", "wrong service");
    assert_eq!((stopped.until_the_end(), stopped.sent), (Phase::Aborted, 0));
}

#[test]
fn a_no_after_the_act_under_broken_glass_loses_no_record() {
    for crashes in [false, true] {
        let mut c = waiting(json!({}));
        c.annotate("breakglass", "the database is down and nobody answers");
        c.annotate("breakglass-by", "carol");
        c.healthy = false;
        c.pass();
        assert!(c.sent == 1 && c.status().steps.is_empty(), "the outcome is not journalled yet");
        c.mark("shed-1-1", "bob", "deny", "it is the wrong database");
        if crashes {
            c.crash();
        }
        c.healthy = true;
        c.somebody_scales("checkout", 10);
        assert_eq!(c.until_the_end(), Phase::Succeeded, "the only step was done before anybody said no");
        assert_eq!(c.record_of("out").spec.approved_by, "BREAK GLASS by carol", "crashed: {crashes}");
        assert_eq!((c.sent, ratified(&c)), (1, Some(("False", "BreakGlass"))));
        assert!(c.ballots.contains_key("shed-1-runui-ratify"));
    }
}

#[test]
fn a_no_is_heard_between_two_steps_under_broken_glass() {
    let basket = json!({"name": "basket", "gate": "on-call", "scale": {"target": {"kind": "Deployment", "name": "basket"}, "replicas": 3}});
    let mut c = Cluster::new(on_call(), json!([scale("out", "on-call", 10), basket]));
    c.pass();
    c.annotate("breakglass", "the database is down and nobody answers");
    c.annotate("breakglass-by", "carol");
    c.healthy = false;
    c.until_phase(Phase::Verifying);
    c.mark("shed-1-1", "bob", "deny", "it is the wrong database");
    c.healthy = true;
    c.somebody_scales("checkout", 10);
    assert_eq!(c.until_the_end(), Phase::Denied);
    assert_eq!((c.sent, c.replicas("basket")), (1, 2));
}

#[test]
fn broken_glass_opens_no_gate_that_is_met_long_after() {
    let gates = json!([{"name": "one", "requires": [{"role": "sre"}], "validFor": "5m"}, {"name": "two", "requires": [{"role": "sre"}], "validFor": "5m"}]);
    for (minutes, phase) in [(1, Phase::Succeeded), (6, Phase::Waiting)] {
        let calm = with(crate::plan::tests::cluster::check("calm", "object.status.readyReplicas == 99"), json!({}));
        let mut calm = calm;
        calm["check"]["within"] = json!("20m");
        let mut c = Cluster::new(gates.clone(), json!([scale("a", "one", 10), calm, scale("b", "two", 12)]));
        c.annotate("breakglass", "the database is down and nobody answers");
        c.annotate("breakglass-by", "carol");
        c.until(|c| c.waiting_on().contains("== 99"));
        c.now += SignedDuration::from_mins(minutes);
        c.objects.get_mut("Deployment/checkout").unwrap()["status"]["readyReplicas"] = json!(99);
        c.until(|c| c.phase() == phase && (phase == Phase::Succeeded || !c.open_ballots().is_empty()));
        assert_eq!(c.sent, if phase == Phase::Succeeded { 2 } else { 1 });
    }
}

#[test]
fn glass_that_carries_no_credential_opens_no_gate_that_asks_for_one() {
    let mut c = waiting(json!({"verifiedCredential": true}));
    c.annotate("breakglass", "the database is down and nobody answers");
    c.annotate("breakglass-by", "carol");
    c.seconds_later(3);
    assert_eq!((c.sent, c.phase()), (0, Phase::Waiting));
    c.annotate("breakglass-credential", "X509SHA256=1");
    assert_eq!(c.until_the_end(), Phase::Succeeded);
    assert_eq!(c.record_of("out").spec.approvals[0].credential_id, "X509SHA256=1");
}

#[test]
fn whoever_decided_one_of_two_alone_ratifies_neither() {
    let gates = json!([with(on_call()[0].clone(), json!({"aloneAfter": "2m"})), {"name": "two", "requires": [{"role": "sre"}]}]);
    let mut c = Cluster::new(gates, json!([scale("z", "on-call", 10), scale("a", "two", 12)]));
    c.pass();
    c.now += SignedDuration::from_secs(121);
    c.pass();
    c.mark("shed-1-1", "alice", "approve", "CODE nobody answers");
    c.until(|c| c.status().plans.contains_key("1.1"));
    c.annotate("breakglass", &"the database is down and nobody answers ".repeat(40));
    c.annotate("breakglass-by", "carol");
    assert_eq!(c.until_the_end(), Phase::Succeeded);
    let request = &c.ballots["shed-1-runui-ratify"].spec.request;
    assert_eq!(request.excluded, ["alice", "carol"]);
    assert!(request.effects[1].starts_with("DONE ALREADY, under alice as sre, ALONE"), "{:?}", request.effects);
    assert!(request.effects.iter().any(|line| line.starts_with("DONE ALREADY, under BREAK GLASS by carol")));
    assert!(request.effects.iter().all(|line| line.len() <= 1024));
    assert_eq!(*request.effects.last().unwrap(), format!("code: {}", request.code));
}

#[test]
fn an_effect_that_nobody_has_seen_is_not_open_to_the_requester_at_once() {
    let gate = with(on_call()[0].clone(), json!({"aloneAfter": "2m"}));
    let half = json!({"name": "out", "gate": "on-call", "scale": {"target": {"kind": "Deployment", "name": "checkout"}, "by": "50%"}});
    let mut c = Cluster::new(json!([gate]), json!([half]));
    c.pass();
    c.now += SignedDuration::from_secs(121);
    c.somebody_scales("checkout", 100);
    c.until(|c| c.open_ballots() == ["shed-1-2"]);
    c.seconds_later(3);
    assert!(!c.ballots["shed-1-2"].status.as_ref().unwrap().open_to_requester);
    c.seconds_later(120);
    assert!(c.ballots["shed-1-2"].status.as_ref().unwrap().open_to_requester);
}

#[test]
fn broken_glass_does_not_run_out_with_the_ballots() {
    let mut c = waiting(json!({}));
    c.brake = crate::action::Answer::Brake(Some("storm".to_owned()));
    c.annotate("breakglass", "the database is down and nobody answers");
    c.annotate("breakglass-by", "carol");
    c.seconds_later(2);
    c.now += SignedDuration::from_mins(70);
    c.brake = crate::action::Answer::Brake(None);
    assert_eq!(c.until_the_end(), Phase::Succeeded);
}

#[test]
fn somebody_else_ratifies_or_disowns_it_on_a_ballot_of_its_own() {
    for (key, value, wanted) in
        [("approve", "CODE it was right", ("True", "Ratified")), ("deny", "the wrong service", ("False", "Disowned"))]
    {
        let mut c = waiting(json!({}));
        c.annotate("breakglass", "the database is down and nobody answers");
        c.annotate("breakglass-by", "carol");
        c.until_the_end();
        let ballot = &c.ballots["shed-1-runui-ratify"];
        assert_eq!((ballot.spec.request.kind, ballot.spec.request.role.as_str()), (BallotKind::Ratify, "sre"));
        assert_eq!(ballot.metadata.labels.as_ref().unwrap()[LIVE_LABEL], LIVE_RATIFIES);
        assert_eq!(ballot.spec.request.expires_at, None);
        assert_eq!(
            ballot.spec.request.effects[1],
            "DONE ALREADY, under BREAK GLASS by carol: the database is down and nobody answers"
        );
        assert!(!ratify(&mut Cluster { run: c.run.clone(), ..copy(&c) }, "carol", key, value) || key == "deny");
        assert!(!ratify(&mut Cluster { run: c.run.clone(), ..copy(&c) }, "alice", "approve", "CODE mine"));
        assert!(ratify(&mut c, "bob", key, value));
        assert_eq!(ratified(&c), Some(wanted));
        assert!(c.status().next_commands.iter().all(|command| !command.contains("ratify")));
        assert_eq!(c.phase(), Phase::Succeeded, "what was done stays done");
    }
}

fn copy(c: &Cluster) -> Cluster {
    let mut copy = Cluster::gated();
    copy.ballots.clone_from(&c.ballots);
    copy.now = c.now;
    copy
}

#[test]
fn a_ratification_that_was_not_issued_before_a_crash_is_issued_after_it() {
    let mut c = waiting(json!({}));
    c.annotate("breakglass", "the database is down and nobody answers");
    c.annotate("breakglass-by", "carol");
    c.until(|c| !c.status().ratification.is_empty());
    c.crash();
    c.until_the_end();
    assert!(c.ballots.contains_key("shed-1-runui-ratify"));
}

#[test]
fn what_was_as_wanted_already_needs_no_ratification() {
    let mut c = waiting(json!({}));
    c.annotate("breakglass", "the database is down and nobody answers");
    c.annotate("breakglass-by", "carol");
    c.somebody_scales("checkout", 10);
    c.until_the_end();
    assert_eq!((ratified(&c), c.ballots.contains_key("shed-1-runui-ratify")), (None, false));
}

#[test]
fn a_floor_is_in_the_plan_and_asks_for_its_votes() {
    let mut c = Cluster::gated();
    c.floors = serde_json::from_value(json!([{"action": "scale", "requires": [{"role": "sre", "count": 2}]}])).unwrap();
    c.pass();
    assert_eq!(c.open_ballots(), ["shed-1-1", "shed-1-2"]);
    assert_eq!(c.status().plans["0.1"].floors, ["scale: at least 2 of sre"]);
    let lines = &c.ballots["shed-1-1"].spec.request.effects;
    assert!(lines.iter().any(|line| line == "the platform asks for scale: at least 2 of sre"), "{lines:?}");
    assert!(c.waiting_on().starts_with("approval by 2 of sre"), "{}", c.waiting_on());
    c.mark("shed-1-1", "bob", "approve", "CODE go");
    c.seconds_later(2);
    assert_eq!(c.sent, 0);
    // What it asks for no longer stays in the plan that people are reading.
    c.floors.clear();
    c.mark("shed-1-2", "dave", "approve", "CODE go");
    assert_eq!(c.until_the_end(), Phase::Succeeded);
}

#[test]
fn a_step_without_a_gate_is_refused_where_a_floor_asks_for_one() {
    let mut c = Cluster::ungated();
    c.floors = serde_json::from_value(json!([{"action": "*", "requires": [{"role": "sre"}]}])).unwrap();
    assert_eq!(c.until_the_end(), Phase::Failed);
    assert_eq!(
        c.message(),
        "step out: FloorUnmet: the platform asks for more than this runbook (every change: at least 1 of sre): the step \
         has gate: None; give it a gate in the runbook"
    );
    assert_eq!((c.sent, c.record_of("out").spec.result), (0, crate::api::run::Result::Refused));
}
