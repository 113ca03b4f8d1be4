//! What has become of what runs left behind, and what has had its time.

use jiff::{SignedDuration, Timestamp};
use rstest::rstest;
use serde_json::{Value, json};

use super::cluster::{Cluster, on_call, scale, with};
use crate::action::{Answer, Seen};
use crate::api::RunbookRun;
use crate::api::run::{Phase, Trigger};
use crate::plan::{Aftermath, Standing};

/// A gate whose approval covers an undo for so long.
fn gates(covers: &str) -> Value {
    json!([with(on_call()[0].clone(), json!({"coversUndo": covers}))])
}

/// Two changes that are done; both are to be undone in time, one of them a little later.
fn done(covers: &str, more: Value) -> Cluster {
    let basket = json!({"name": "basket", "gate": "on-call", "scale": {"target": {"kind": "Deployment", "name": "basket"}, "replicas": 5}});
    let steps = json!([with(scale("out", "on-call", 10), more.clone()), with(basket, more)]);
    let mut c = Cluster::new(gates(covers), steps);
    c.pass();
    c.approve();
    assert_eq!(c.until_the_end(), Phase::Succeeded, "{}", c.message());
    c
}

/// How each change of the run stands.
fn standings(c: &mut Cluster) -> Vec<Standing> {
    let run = c.run.clone();
    let aftermath = Aftermath::of(&run).unwrap();
    let look = |change| {
        let mut seen = Seen::default().within("shop");
        for query in aftermath.look(change) {
            let answer = c.answer(&query);
            seen.add(query, answer);
        }
        aftermath.standing(change, &seen)
    };
    aftermath.changes().iter().map(look).collect()
}

/// The run that undoes what has had its time by now, with those that there are; and when the next time is over.
fn timed(c: &Cluster, undos: &[RunbookRun], now: Timestamp) -> (Option<RunbookRun>, Option<Timestamp>) {
    let aftermath = Aftermath::of(&c.run).unwrap();
    let timed = aftermath.timed(&aftermath.changes().iter().collect::<Vec<_>>(), undos, now);
    (timed.undo.map(|run| *run), timed.next)
}

#[test]
fn what_somebody_took_back_has_drifted_until_it_is_there_again() {
    let mut c = done("1h", json!({}));
    assert_eq!(standings(&mut c), [Standing::InPlace, Standing::InPlace]);
    c.somebody_scales("checkout", 7);
    c.somebody_scales("basket", 2);
    let [Standing::Drifted(theirs), Standing::Drifted(back)] = &standings(&mut c)[..] else { panic!() };
    assert!(theirs.starts_with("Deployment/checkout is at 7 replicas, neither the 10 that First Aid set"), "{theirs}");
    assert_eq!(back, "Deployment/basket is at 2 again, as before");
    c.somebody_scales("checkout", 10);
    assert_eq!(standings(&mut c)[0], Standing::InPlace);
    c.objects.remove("Deployment/checkout");
    assert!(matches!(standings(&mut c)[0], Standing::Drifted(_)), "it is gone");
}

#[rstest]
#[case(Answer::Unreadable("timeout".to_owned()))]
#[case(Answer::Forbidden("no".to_owned()))]
fn of_what_cannot_be_read_nothing_is_noted(#[case] answer: Answer) {
    let mut c = done("1h", json!({}));
    c.blind.insert("Deployment/checkout".to_owned(), answer);
    assert!(matches!(standings(&mut c)[0], Standing::Unknown(_)));
}

#[test]
fn a_run_that_has_not_ended_or_left_nothing_has_no_aftermath() {
    let mut c = Cluster::gated();
    c.pass();
    assert!(Aftermath::of(&c.run).is_none());
    c.mark("shed-1-1", "bob", "deny", "no");
    c.until_the_end();
    assert!(Aftermath::of(&c.run).is_none());
}

#[test]
fn nothing_is_undone_before_its_time_nor_where_no_time_is_said() {
    let c = done("1h", json!({"revertAfter": "30m"}));
    let (none, next) = timed(&c, &[], c.now);
    let due = c.record_of("out").spec.revert_due.clone().unwrap().0;
    assert_eq!((none, next), (None, Some(due)));
    let acted = c.record_of("out").spec.acted_at.clone().unwrap().0;
    assert_eq!(due.duration_since(acted), SignedDuration::from_mins(30));
    let c = done("1h", json!({}));
    assert_eq!(timed(&c, &[], c.now + SignedDuration::from_hours(100)), (None, None));
    assert_eq!(c.record_of("out").spec.revert_due, None);
}

#[test]
fn what_has_had_its_time_is_asked_about_once_and_together() {
    let c = done("1h", json!({"revertAfter": "30m"}));
    let due = c.record_of("out").spec.revert_due.clone().unwrap().0;
    let (undo, _) = timed(&c, &[], due);
    let mut undo = undo.unwrap();
    assert_eq!(undo.spec.steps, ["out", "basket"], "the second falls due in a moment");
    assert_eq!(undo.spec.revert_of.as_deref(), Some("shed-1"));
    assert_eq!(undo.spec.incident.as_deref(), Some("INC-7"));
    assert_eq!(undo.spec.reason, "revertAfter 30m is over for: out, basket");
    assert_eq!(undo, timed(&c, &[], due).0.unwrap(), "however often it is made it is the same");
    let later = due + SignedDuration::from_hours(1);
    assert_eq!(timed(&c, &[undo.clone()], later).0, None, "it is at it");
    undo.status = serde_json::from_value(json!({"phase": "Expired", "finished": true})).unwrap();
    assert_eq!(timed(&c, &[undo.clone()], later).0, None, "nobody decided: nobody is asked again");
    let mut persons = undo.clone();
    persons.spec.trigger = None;
    assert!(timed(&c, &[persons.clone()], later).0.is_some(), "what a person tried is no answer to this");
    persons.status = None;
    assert_eq!(timed(&c, &[persons], later).0, None, "a person is at it");
    undo.spec.steps.pop();
    let rest = timed(&c, &[undo.clone()], later).0.unwrap();
    assert_eq!(rest.spec.steps, ["basket"]);
    assert_ne!(rest.metadata.name, undo.metadata.name);
    let aftermath = Aftermath::of(&c.run).unwrap();
    assert_eq!(aftermath.timed(&[], &[], later).undo, None, "what is not there is not undone");
}

/// Lets the time of a run pass, and starts what undoes it then.
fn in_time(c: &mut Cluster) {
    let due = c.record_of("basket").spec.revert_due.clone().unwrap().0;
    c.now = due + SignedDuration::from_secs(1);
    let undo = timed(c, &[], c.now).0.unwrap();
    assert_eq!(undo.spec.trigger, Some(Trigger::RevertAfter));
    let name = undo.metadata.name.clone().unwrap();
    assert!(name.starts_with("shed-1-time-") && name.len() <= 52, "{name}");
    c.start(&name, json!({"revertOf": "shed-1", "steps": undo.spec.steps, "trigger": "RevertAfter"}));
}

#[test]
fn people_are_asked_although_the_approval_covers_the_undo() {
    let mut c = done("1h", json!({"revertAfter": "30m"}));
    in_time(&mut c);
    c.pass();
    assert_eq!((c.phase(), c.writes.len()), (Phase::Waiting, 2));
    c.approve();
    assert_eq!((c.until_the_end(), c.replicas("checkout"), c.replicas("basket")), (Phase::Succeeded, 4, 2));
    assert_eq!(c.record_of("out").spec.revert_due, None, "an undo is not undone");
}

#[test]
fn nobody_is_asked_where_the_step_says_so_and_the_approval_covers_it() {
    let mut c = done("1h", json!({"revertAfter": "30m", "autoRevert": true}));
    let told = c.earlier.is_empty().then(|| c.status().plans["0.1"].steps[0].warnings.clone()).unwrap();
    assert!(told.contains(&"after 30m it is undone without asking anew".to_owned()), "{told:?}");
    in_time(&mut c);
    assert_eq!((c.until_the_end(), c.replicas("checkout"), c.replicas("basket")), (Phase::Succeeded, 4, 2));
    assert!(c.ballots.values().all(|ballot| ballot.spec.request.run == "shed-1"), "nobody was asked");
    assert!(c.record_of("out").spec.approved_by.starts_with("bob as sre"), "{}", c.record_of("out").spec.approved_by);
}

#[rstest]
#[case(json!({"autoRevert": true}), "autoRevert says how revertAfter is done")]
#[case(json!({"revertAfter": "1h", "autoRevert": true}), "must be longer than its revertAfter")]
#[case(json!({"revertAfter": "1h", "gate": "None"}), "say autoRevert: true")]
fn what_makes_no_sense_is_refused(#[case] more: Value, #[case] sentence: &str) {
    let mut c = Cluster::new(gates("1h"), json!([with(scale("out", "on-call", 10), more)]));
    assert_eq!(c.until_the_end(), Phase::Failed);
    assert!(c.message().contains(sentence), "{}", c.message());
}

#[test]
fn a_restart_has_no_time() {
    let restart = json!({"name": "again", "gate": "on-call", "revertAfter": "1h", "restart": {"target": {"kind": "Deployment", "name": "checkout"}}});
    let mut c = Cluster::new(on_call(), json!([restart]));
    assert_eq!(c.until_the_end(), Phase::Failed);
    assert!(c.message().contains("revertAfter is for scale and disable"), "{}", c.message());
}
