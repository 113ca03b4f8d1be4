//! Forged acts: J1, J2, J3, J4 and J5.

use serde_json::json;

use super::world::{ACCOUNT, ACTED, CHECKOUT, FINISHED, PLANNED, RUN, World, sound, time, token};
use super::{breaks, stands};
use crate::{Case, Rule, judge};

/// A second write of the account, of something else.
fn with_stray(annotations: &serde_json::Value) -> Case {
    let mut world = World::gated(1);
    world.case = sound();
    world.clock = 5000;
    let mut object = json!({"metadata": {"name": "flags", "uid": "uid-of-flags", "annotations": annotations}});
    world.log(ACCOUNT, "patch", "configmaps", json!({"metadata": {"annotations": annotations}}), &mut object);
    world.case
}

#[test]
fn j1_a_write_without_a_token() {
    breaks(
        &with_stray(&json!({})),
        &[Rule::Intent],
        "in the name of system:serviceaccount:shop:firstaid and leaves no token",
    );
    breaks(&with_stray(&json!({"firstaid.dev/last-action": "by hand"})), &[Rule::Intent], "leaves no token");
}

#[test]
fn j1_a_token_of_no_run() {
    let theirs = json!({"firstaid.dev/last-action": "other/uid/scale-out/1"});
    breaks(&with_stray(&theirs), &[Rule::Intent], "there is no run other with uid uid");
    let renamed = json!({"firstaid.dev/last-action": format!("room-2/{RUN}/scale-out/1")});
    breaks(&with_stray(&renamed), &[Rule::Intent], "there is no run room-2 with uid uid-of-room-1");
}

#[test]
fn j1_an_intent_that_nobody_wrote() {
    let unplanned = json!({"firstaid.dev/last-action": token("restart", 1)});
    let says = format!("no intent of {} is in the journal", token("restart", 1));
    breaks(&with_stray(&unplanned), &[Rule::Intent, Rule::Record], &says);
}

#[test]
fn j1_an_intent_that_was_stored_after_the_act() {
    let mut case = sound();
    case.entries[PLANNED]["stageTimestamp"] = json!(time(450));
    breaks(
        &case,
        &[Rule::Intent],
        &format!("the intent of {} was stored later, at 03:00:00.450000", token("scale-out", 1)),
    );
    // A read in between shows that it was there all the same: its own answer was late, or lost.
    let mut read = case.entries[PLANNED].clone();
    read["verb"] = json!("get");
    read["auditID"] = json!("the read");
    read["stageTimestamp"] = json!(time(350));
    case.entries.insert(PLANNED + 1, read);
    stands(&case);
}

#[test]
fn j1_an_object_that_bears_another_token() {
    let mut case = sound();
    case.entries[ACTED]["responseObject"]["metadata"]["annotations"]["firstaid.dev/last-action"] =
        json!("an older one");
    breaks(&case, &[Rule::Intent], "and on the object stands \"an older one\"");
}

#[test]
fn j1_a_log_without_bodies() {
    for body in ["requestObject", "responseObject"] {
        let mut case = sound();
        case.entries[ACTED].as_object_mut().unwrap().remove(body);
        let verdict = judge(&case);
        assert!(verdict.breaches.iter().any(|b| b.says.contains("the log holds no request or no answer")), "{verdict}");
    }
}

#[test]
fn j1_what_was_only_rehearsed_or_refused_is_no_effect() {
    for (place, value) in [
        ("/requestURI", json!("/apis/apps/v1/namespaces/shop/deployments/checkout?dryRun=All")),
        ("/responseStatus/code", json!(422)),
        ("/objectRef/apiGroup", json!("authorization.k8s.io")),
        ("/verb", json!("get")),
    ] {
        let mut case = with_stray(&json!({}));
        *case.entries.last_mut().unwrap().pointer_mut(place).unwrap() = value;
        stands(&case);
    }
}

/// A first attempt that was settled like this, and a second one.
fn two_attempts(result: &str, changed: bool) -> Case {
    let mut world = World::gated(1);
    world.vote("bob", 1);
    world.act("scale-out", 1);
    world.settle("scale-out", 1, result, changed);
    world.record();
    world.plan("0.2", 2, 1);
    world.ask(2);
    world.vote("bob", 2);
    world.act("scale-out", 2);
    world.settle("scale-out", 2, "Done", true);
    world.record();
    world.finish("Succeeded");
    world.done()
}

#[test]
fn j2_a_second_attempt_is_for_what_was_not_done() {
    let verdict = stands(&two_attempts("Unknown", false));
    assert_eq!((verdict.effects, verdict.records, verdict.approvals), (2, 2, 2));
    breaks(&two_attempts("Done", true), &[Rule::Once], "as attempt 1 that was not settled as not done");
    breaks(
        &two_attempts("Unknown", true),
        &[Rule::Once],
        "scale-out acted already, by patch deployments/checkout at 03:00:00.4",
    );
}

#[test]
fn j2_the_same_act_twice() {
    let mut case = sound();
    let mut again = case.entries[ACTED].clone();
    again["auditID"] = json!("again");
    again["requestReceivedTimestamp"] = json!(time(420));
    case.entries.insert(ACTED + 1, again);
    breaks(&case, &[Rule::Once, Rule::Record], "scale-out acted already, by patch deployments/checkout at 03:00:00.4");
    // Its copy on another object is none of the plan's.
    case.entries[ACTED + 1]["responseObject"]["metadata"]["uid"] = json!("another");
    breaks(&case, &[Rule::Target, Rule::Record], "on the object \"another\", and planned was \"uid-of-checkout\"");
}

#[test]
fn j3_what_was_done_is_on_record() {
    let mut world = World::gated(1);
    world.vote("bob", 1);
    world.act("scale-out", 1);
    world.finish("Succeeded");
    breaks(&world.done(), &[Rule::Record], "the run has ended, and there is no record of it");
    let mut case = sound();
    case.records.push(json!({"metadata": {"name": "copy", "uid": "copy"}, "spec": case.records[0]["spec"]}));
    breaks(&case, &[Rule::Record, Rule::Chain], "there are 2 records of it");
}

#[test]
fn j3_what_is_on_record_was_done() {
    let mut case = sound();
    let act = case.entries.remove(ACTED);
    let says = "record room-1-uid-o-scale-out-1 (Done) says that it was done, and no write in the log took effect";
    breaks(&case, &[Rule::Record], says);
    // An answer that was lost may have been a yes.
    let mut lost = act;
    lost["responseStatus"]["code"] = json!(504);
    lost.as_object_mut().unwrap().remove("responseObject");
    case.entries.insert(ACTED, lost);
    stands(&case);
}

#[test]
fn j3_a_record_that_denies_what_was_done() {
    for (result, changed) in [("Refused", false), ("Done", false), ("Failed", false), ("Refused", true)] {
        let mut world = World::gated(1);
        world.vote("bob", 1);
        world.act("scale-out", 1);
        world.settle("scale-out", 1, result, changed);
        world.record();
        world.finish("Failed");
        breaks(&world.done(), &[Rule::Record], "says that nothing was written, and the log shows a write");
    }
}

/// A run that acts after somebody has stopped it, so many milliseconds later.
fn stopped(later: u64, undo: bool) -> Case {
    let mut world = World::gated(1);
    world.vote("bob", 1);
    if undo {
        world.act("scale-out", 1);
        world.settle("scale-out", 1, "Done", true);
        world.record();
        world.intend_undo();
    }
    let step = if undo { "scale-out.undo" } else { "scale-out" };
    world.say("carol", "abort", "wrong service");
    world.clock += later;
    world.act(step, 1);
    world.settle(step, 1, "Done", true);
    world.record();
    world.finish("Aborted");
    world.done()
}

#[test]
fn j4_no_act_after_a_stop_and_no_undo() {
    breaks(&stopped(2000, false), &[Rule::Stop], "carol had stopped the run, answered at 03:00:00.405000");
    breaks(
        &stopped(2000, true),
        &[Rule::Stop],
        "patch deployments/checkout at 03:00:02.900000 (audit line patch-9): carol had stopped the run",
    );
    stands(&stopped(300, false));
}

#[test]
fn j4_of_two_acts_one_was_in_flight() {
    let mut world = World::gated(1);
    world.vote("bob", 1);
    world.intend_undo();
    world.say("carol", "abort", "wrong service");
    world.act("scale-out", 1);
    world.act("scale-out.undo", 1);
    for step in ["scale-out", "scale-out.undo"] {
        world.settle(step, 1, "Done", true);
        world.record();
    }
    world.finish("Aborted");
    let mut case = world.done();
    breaks(&case, &[Rule::Stop], "at 03:00:00.700000 (audit line patch-7): carol had stopped the run");
    // Whoever reads the run sees the word too, and has not said it.
    let mut read = case.entries[5].clone();
    read["verb"] = json!("get");
    read["auditID"] = json!("the read");
    read["user"]["username"] = json!("viewer");
    case.entries.insert(5, read);
    breaks(&case, &[Rule::Stop], "carol had stopped the run");
}

#[test]
fn j5_an_object_that_was_made_anew() {
    let mut world = World::gated(1);
    world.vote("bob", 1);
    world.act("scale-out", 1);
    world.settle("scale-out", 1, "Refused", false);
    world.record();
    world.finish("Failed");
    let mut case = world.done();
    case.entries[ACTED]["responseObject"]["metadata"]["uid"] = json!("made-anew");
    breaks(
        &case,
        &[Rule::Target, Rule::Record],
        "it is on the object \"made-anew\", and planned was \"uid-of-checkout\"",
    );
}

#[test]
fn j5_a_plan_of_another_object() {
    let mut case = sound();
    for object in case.entries.iter_mut().map(|entry| &mut entry["responseObject"]).chain(&mut case.runs) {
        if let Some(uid) = object.pointer_mut("/status/plans/0.1/steps/0/target/uid") {
            *uid = json!("uid-of-ledger");
        }
    }
    breaks(&case, &[Rule::Target], &format!("it is on the object {CHECKOUT:?}, and planned was \"uid-of-ledger\""));
}

/// A step that is planned anew keeps its token; what it may be done to is what the outcome's plan says, or the newest.
#[test]
fn j5_of_two_plans_the_one_in_force_counts() {
    let mut world = World::gated(1);
    world.plan("0.2", 1, 1);
    world.ask(2);
    world.vote("bob", 2);
    world.act("scale-out", 1);
    let mut case = world.done();
    for object in case.entries.iter_mut().map(|entry| &mut entry["responseObject"]).chain(&mut case.runs) {
        if let Some(uid) = object.pointer_mut("/status/plans/0.1/steps/0/target/uid") {
            *uid = json!("of-before");
        }
    }
    stands(&case);
    case.runs[0]["status"]["steps"]["scale-out.1"]["outcome"] =
        json!({"plan": "0.1", "result": "Done", "changed": true});
    breaks(&case, &[Rule::Target, Rule::Approval], "planned was \"of-before\"");
}

#[test]
fn a_run_that_goes_on_may_still_owe_a_record() {
    let mut case = sound();
    case.entries.truncate(FINISHED - 1);
    case.records.clear();
    let run = case.entries[FINISHED - 2]["responseObject"].clone();
    case.runs = vec![run];
    stands(&case);
}
