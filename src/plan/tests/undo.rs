//! A run that undoes another one: what is put back, what is left alone, and whose approval it needs.

use jiff::SignedDuration;
use rstest::rstest;
use serde_json::{Value, json};

use super::cluster::{Cluster, on_call, scale, with};
use crate::action::{Answer, Gap};
use crate::api::action_record::RecordState;
use crate::api::run::{Phase, Result};
use crate::api::vote::DecidedAs;
use crate::plan::Floor;

/// The gate of most tests, whose approval covers the undo for half an hour.
fn covering() -> Value {
    let Value::Array(gates) = on_call() else { panic!("gates") };
    Value::Array(gates.into_iter().map(|gate| with(gate, json!({"coversUndo": "30m"}))).collect())
}

/// Two changes that bob has approved and that are done.
fn done(gates: Value) -> Cluster {
    let basket = json!({"name": "basket", "gate": "on-call", "scale": {"target": {"kind": "Deployment", "name": "basket"}, "replicas": 5}});
    let mut c = Cluster::new(gates, json!([scale("out", "on-call", 10), basket]));
    c.pass();
    c.approve();
    assert_eq!(c.until_the_end(), Phase::Succeeded, "{}", c.message());
    assert_eq!((c.replicas("checkout"), c.replicas("basket")), (10, 5));
    c
}

#[test]
fn a_run_is_undone_in_reverse_order_behind_its_gate() {
    let mut c = done(on_call());
    let command = c.status().next_commands.iter().find(|command| command.contains("revertOf")).unwrap();
    assert!(
        command.contains("\"revertOf\":\"shed-1\"") && command.contains("| kubectl create -n shop -f -"),
        "{command}"
    );
    let original = c.record_of("out").metadata.name.clone();
    c.undo("back", json!({}));
    c.pass();
    assert_eq!(c.phase(), Phase::Waiting);
    assert_eq!(c.writes.len(), 2, "nothing is undone before somebody approves it");
    assert_eq!(c.status().plans["0.1"].summary, "scale Deployment/basket back 5 -> 2 (+1 more)");
    c.approve();
    assert_eq!(c.until_the_end(), Phase::Succeeded);
    assert_eq!((c.replicas("checkout"), c.replicas("basket")), (4, 2));
    assert_eq!(c.writes[2..], ["back/back-uid/basket/1", "back/back-uid/out/1"]);
    assert_eq!(c.message(), "all 2 changes of run shed-1 are undone");
    let record = c.record_of("out");
    assert_eq!((&record.spec.revert_of, c.record_state("out")), (&original, RecordState::OneShot));
    assert_eq!(c.records[&original.unwrap()].status.as_ref().unwrap().state, RecordState::Reverted);
    assert_eq!(c.status().in_place_at_end, Some(0), "an undo leaves nothing behind");
}

#[test]
fn what_is_back_already_is_not_undone_twice() {
    let mut c = done(on_call());
    c.undo("back", json!({"steps": ["out"]}));
    c.pass();
    c.approve();
    c.until_the_end();
    assert_eq!((c.replicas("checkout"), c.replicas("basket")), (4, 5), "{}", c.message());
    // Another run does the same again: that change is its own.
    c.start("again", json!({}));
    c.pass();
    c.approve();
    c.until_the_end();
    c.somebody_scales("basket", 2);
    let writes = c.writes.len();
    c.start("twice", json!({"revertOf": "shed-1"}));
    assert_eq!(c.until_the_end(), Phase::Succeeded);
    assert_eq!(c.message(), "nothing of run shed-1 is left to undo");
    assert_eq!((c.replicas("checkout"), c.writes.len()), (10, writes), "nobody was asked, and nothing was written");
    let state = |step: &str| {
        let record = c.records.values().find(|r| r.spec.run == "shed-1" && r.spec.step == step).unwrap();
        record.status.as_ref().unwrap().state
    };
    assert_eq!((state("out"), state("basket")), (RecordState::Reverted, RecordState::Drifted));
}

#[test]
fn what_somebody_changed_is_left_alone_unless_it_is_forced() {
    let mut c = done(covering());
    c.somebody_scales("checkout", 7);
    c.undo("back", json!({}));
    // What can be planned is undone, and the rest is told.
    assert_eq!(c.until_the_end(), Phase::Failed);
    let words = c.message();
    assert!(words.starts_with("1 of 2 changes of run shed-1 undone; not: step out: ChangedSince: "), "{words}");
    assert!(words.contains("Deployment/checkout is at 7 replicas, neither the 10 that First Aid set"), "{words}");
    assert_eq!((c.replicas("checkout"), c.replicas("basket")), (7, 2));

    c.start("force", json!({"revertOf": "shed-1", "steps": ["out"], "force": true}));
    c.pass();
    assert_eq!(c.phase(), Phase::Waiting, "nobody has approved that somebody's change is lost");
    let plan = &c.status().plans["0.1"];
    assert_eq!(plan.steps[0].warnings, ["forced: First Aid had set 10; the 7 that somebody set since is lost"]);
    c.somebody_scales("checkout", 8);
    c.until(|c| c.status().plans.contains_key("0.2"));
    c.approve();
    assert_eq!(c.until_the_end(), Phase::Succeeded);
    assert_eq!(c.replicas("checkout"), 4);
}

#[test]
fn an_approval_covers_the_undo_for_a_while() {
    let mut c = done(covering());
    let ballots = c.ballots.len();
    c.undo("back", json!({}));
    assert_eq!(c.until_the_end(), Phase::Succeeded, "{}", c.message());
    assert_eq!((c.replicas("checkout"), c.replicas("basket"), c.ballots.len()), (4, 2, ballots), "nobody was asked");
    let votes = &c.record_of("out").spec.approvals;
    assert_eq!(votes.len(), 1);
    assert_eq!((votes[0].by.as_str(), votes[0].ballot.as_str()), ("bob", "shed-1-1"));
}

/// After this, the approval that covered the undo does so no longer, and somebody is asked.
#[rstest]
#[case::time(|c: &mut Cluster| c.now += SignedDuration::from_mins(31), "")]
#[case::rights(|c: &mut Cluster| c.access = Answer::No("no".into()), "bob may no longer approve as sre")]
#[case::ballot_gone(|c: &mut Cluster| c.ballots.clear(), "ballot shed-1-1 covers no undo: it is gone")]
#[case::another_vote(|c: &mut Cluster| c.mark("shed-1-1", "dave", "approve", "CODE why not"), "ballot shed-1-1 covers no undo: it does not say what was counted")]
#[case::denied(|c: &mut Cluster| c.mark("shed-1-1", "bob", "deny", "no"), "ballot shed-1-1 covers no undo: it does not say what was counted")]
#[case::floor(|c: &mut Cluster| c.floors = vec![floor()], "")]
#[case::unguarded(|c: &mut Cluster| { c.now += SignedDuration::from_secs(60); c.guards = Answer::InForce(vec![Gap { from: Some(c.now - SignedDuration::from_secs(40)), until: c.now - SignedDuration::from_secs(20) }]); }, "what was said before covers no undo")]
fn an_approval_that_counts_no_longer_covers_nothing(#[case] change: fn(&mut Cluster), #[case] why: &str) {
    let mut c = done(covering());
    // As the API server notes it.
    let at = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(c.now);
    c.ballots.values_mut().for_each(|ballot| ballot.metadata.creation_timestamp = Some(at.clone()));
    change(&mut c);
    c.undo("back", json!({}));
    c.until_phase(Phase::Waiting);
    assert_eq!((c.writes.len(), c.replicas("checkout")), (2, 10));
    let (_, plan) = c.status().plans.last_key_value().unwrap();
    assert!(plan.covered.is_none() && plan.revised_because.contains(why), "{:?}", plan.revised_because);
    c.access = Answer::Yes;
    c.guards = Answer::Yes;
    for (ballot, by) in c.open_ballots().into_iter().zip(["dave", "erin"]) {
        c.mark(&ballot, by, "approve", "CODE it is over");
    }
    assert_eq!(c.until_the_end(), Phase::Succeeded);
    assert_eq!(c.record_of("out").spec.approvals[0].by, "dave");
}

fn floor() -> Floor {
    serde_json::from_value(json!({"action": "scale", "requires": [{"role": "sre", "count": 2}]})).unwrap()
}

#[test]
fn an_approval_covers_nothing_of_what_another_run_did_since() {
    let mut c = done(covering());
    c.somebody_scales("checkout", 4);
    c.somebody_scales("basket", 2);
    // The same again, behind a gate of its own: the value is the same, and another approval stands behind it.
    c.start("again", json!({}));
    c.pass();
    c.approve();
    c.until_the_end();
    assert_eq!((c.replicas("checkout"), c.replicas("basket"), c.writes.len()), (10, 5, 4), "{}", c.message());
    c.start("back", json!({"revertOf": "shed-1"}));
    c.pass();
    assert_eq!((c.phase(), c.writes.len()), (Phase::Waiting, 4));
    assert!(c.status().plans["0.1"].covered.is_none());
    let plan = &c.status().plans["0.1"];
    let warned = plan.steps[0].warnings.iter().any(|w| w.starts_with("run again acted on Deployment/basket since"));
    assert!(warned, "{:?}", plan.steps[0].warnings);
    c.approve();
    c.until_the_end();
    assert_eq!((c.replicas("checkout"), c.replicas("basket")), (4, 2));
}

#[test]
fn an_approval_covers_nothing_of_what_another_run_did_while_it_was_undone() {
    let mut c = done(covering());
    c.healthy = false;
    c.start("back", json!({"revertOf": "shed-1"}));
    c.until_phase(Phase::Verifying);
    assert_eq!(c.writes.len(), 3, "the first is put back without a further vote");
    let checkout = c.objects.get_mut("Deployment/checkout").unwrap();
    checkout["metadata"]["annotations"]["firstaid.dev/last-action"] = json!("other/other-uid/out/1");
    c.healthy = true;
    c.somebody_scales("basket", 2);
    c.until_phase(Phase::Waiting);
    assert_eq!((c.replicas("checkout"), c.open_ballots().len()), (10, 1), "{}", c.waiting_on());
}

#[test]
fn broken_glass_covers_no_undo() {
    let mut c = Cluster::new(covering(), json!([scale("out", "on-call", 10)]));
    c.pass();
    c.annotate("breakglass", "nobody answers and the shop is down");
    c.annotate("breakglass-by", "alice");
    c.until_the_end();
    assert_eq!(c.record_of("out").spec.approvals[0].decided_as, DecidedAs::BreakGlass);
    c.undo("back", json!({}));
    c.pass();
    assert_eq!((c.phase(), c.replicas("checkout")), (Phase::Waiting, 10));
}

#[test]
fn a_cover_that_somebody_wrote_into_the_journal_covers_nothing() {
    let mut c = done(covering());
    let cover = serde_json::to_value(&c.run.status).unwrap();
    let votes = cover.pointer("/steps/out.1/outcome/approvals").unwrap().clone();
    let plan_hash = cover.pointer("/plans/0.1/planHash").unwrap().clone();
    c.undo("back", json!({"force": true}));
    c.pass();
    let mut forged = serde_json::to_value(&c.run).unwrap();
    forged["status"]["plans"]["0.1"]["covered"] =
        json!({"until": "2027-01-01T00:00:00.000000Z", "runUID": "run-uid", "planHash": plan_hash, "votes": votes});
    c.run = serde_json::from_value(forged).unwrap();
    assert_eq!(c.until_the_end(), Phase::Failed);
    assert!(c.message().contains("was not frozen with this run"), "{}", c.message());
    assert_eq!(c.replicas("checkout"), 10);
}

#[rstest]
#[case(json!({"revertOf": "shed-1", "steps": ["in"]}), "run shed-1 has no step \"in\"; it has: out, basket")]
#[case(json!({"revertOf": "shed-1", "runbook": "other"}), "run shed-1 is one of runbook shed-load; say runbook: shed-load to undo it")]
#[case(json!({"revertOf": "shed-0"}), "there is no run \"shed-0\" in this namespace; see what there is with: kubectl get rbr -n shop")]
fn what_cannot_be_undone_is_told(#[case] spec: Value, #[case] sentence: &str) {
    let mut c = done(on_call());
    c.start("back", spec);
    assert_eq!(c.until_the_end(), Phase::Failed);
    assert_eq!(c.message(), sentence);
    assert_eq!(c.writes.len(), 2);
}

#[test]
fn a_run_that_has_not_ended_is_stopped_first() {
    let mut c = Cluster::ungated();
    c.healthy = false;
    c.until_phase(Phase::Verifying);
    c.undo("back", json!({}));
    assert_eq!(c.until_the_end(), Phase::Failed);
    let words = c.message();
    assert!(words.ends_with("stop it first: kubectl annotate rbr -n shop shed-1 abort=\"WHY\""), "{words}");
}

#[test]
fn an_undo_is_done_once_wherever_the_operator_dies() {
    for turns in 1..60 {
        let mut c = done(covering());
        c.undo("back", json!({}));
        c.dies_after_turns = Some(turns);
        assert_eq!(c.until_the_end(), Phase::Succeeded, "after {turns} turns: {}", c.message());
        assert_eq!((c.replicas("checkout"), c.replicas("basket")), (4, 2), "after {turns} turns");
        assert_eq!(c.writes.len(), 4, "after {turns} turns");
        assert_eq!(c.record_of("out").spec.result, Result::Done, "after {turns} turns");
        assert!(c.created.values().all(|times| *times == 1), "{:?}", c.created);
    }
}

#[test]
fn whoever_asks_for_an_undo_is_not_the_one_whose_approval_covers_it() {
    let mut c = done(covering());
    c.undo("back", json!({"requestedBy": {"username": "bob"}}));
    c.pass();
    assert_eq!((c.phase(), c.writes.len()), (Phase::Waiting, 2), "bob approved the act, and asks for its undo");
}

#[test]
fn a_decision_alone_covers_an_undo_only_when_somebody_has_ratified_it() {
    for (reason, covers) in [("Alone", false), ("Disowned", false), ("Ratified", true)] {
        let gate = with(covering()[0].clone(), json!({"aloneAfter": "5m"}));
        let mut c = Cluster::new(json!([gate]), json!([scale("out", "on-call", 10)]));
        c.pass();
        c.now += SignedDuration::from_mins(6);
        c.pass();
        let open = c.open_ballots();
        c.mark(&open[0], "alice", "approve", "CODE nobody answers");
        c.until_the_end();
        let conditions = &mut c.run.status.as_mut().unwrap().conditions;
        conditions.iter_mut().find(|c| c.kind == "Ratified").unwrap().reason = reason.to_owned();
        c.undo("back", json!({}));
        c.until(|c| c.phase() == Phase::Waiting || c.status().finished);
        assert_eq!(c.phase() == Phase::Succeeded, covers, "{reason}: {}", c.message());
    }
}

#[test]
fn an_undo_that_takes_a_service_away_says_so() {
    let mut c = Cluster::gated();
    c.somebody_scales("checkout", 0);
    c.pass();
    c.approve();
    c.until_the_end();
    c.undo("back", json!({}));
    c.pass();
    let warnings = &c.status().plans["0.1"].steps[0].warnings;
    assert_eq!(warnings, &["Deployment/checkout had no replicas before: this takes the service away"]);
}
