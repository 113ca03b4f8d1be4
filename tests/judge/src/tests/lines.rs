//! Logs as they are: lines out of order, doubled, of earlier stages, and answers that refuse or do not say.

use serde_json::{Value, json};

use super::world::{ACTED, World, sound, time, token};
use super::{breaks, stands};
use crate::{Case, Rule, judge};

#[test]
fn lines_out_of_order_tell_the_same() {
    let whole = sound();
    for turn in 0..whole.entries.len() {
        let mut case = whole.clone();
        case.entries.rotate_left(turn);
        assert_eq!(judge(&case), judge(&whole));
        case.entries.reverse();
        assert_eq!(judge(&case), judge(&whole));
    }
}

/// What is wrong is found in any order, too.
#[test]
fn lines_out_of_order_hide_nothing() {
    let mut case = sound();
    case.entries[ACTED]["requestReceivedTimestamp"] = json!(time(50));
    let breaches = judge(&case).breaches;
    assert!(breaches.iter().any(|breach| breach.rule == Rule::Intent), "{breaches:?}");
    case.entries.reverse();
    assert_eq!(judge(&case).breaches, breaches);
}

#[test]
fn a_line_that_is_there_twice_is_one_request() {
    let mut case = sound();
    case.entries.extend(sound().entries);
    let verdict = stands(&case);
    assert_eq!((verdict.runs, verdict.effects, verdict.records, verdict.approvals), (1, 1, 1, 1));
    // The same words under another id are another request.
    case.entries[ACTED]["auditID"] = json!("another");
    breaks(&case, &[Rule::Once, Rule::Record], "scale-out acted already");
}

#[test]
fn a_request_counts_when_it_is_answered() {
    let mut case = sound();
    let received = |entry: &Value| {
        let mut entry = entry.clone();
        entry["stage"] = json!("RequestReceived");
        entry["stageTimestamp"] = entry["requestReceivedTimestamp"].clone();
        for part in ["responseStatus", "responseObject"] {
            entry.as_object_mut().unwrap().remove(part);
        }
        entry
    };
    case.entries = case.entries.iter().flat_map(|entry| [received(entry), entry.clone()]).collect();
    assert_eq!(judge(&case), judge(&sound()));
    // That an act came in does not say that it was done.
    let mut case = sound();
    case.entries[ACTED] = received(&case.entries[ACTED]);
    breaks(&case, &[Rule::Record], "says that it was done, and no write in the log took effect");
}

/// A run whose first act was answered like this, and then what, and how it was settled.
fn answered(code: i64, then: impl Fn(&mut World), result: &str, changed: bool) -> Case {
    let mut world = World::gated(1);
    world.vote("bob", 1);
    world.act_without_answer("scale-out", 1, code);
    then(&mut world);
    world.settle("scale-out", 1, result, changed);
    world.record();
    world.finish(if changed { "Succeeded" } else { "Failed" });
    world.done()
}

#[test]
fn what_was_refused_was_not_done() {
    for code in [409, 422, 429] {
        let nothing = |_: &mut World| {};
        assert_eq!(stands(&answered(code, nothing, "Refused", false)).effects, 0);
        breaks(&answered(code, nothing, "Done", true), &[Rule::Record], "no write in the log took effect");
        // Sent again, it is the first write that takes effect.
        assert_eq!(stands(&answered(code, |world| world.act("scale-out", 1), "Done", true)).effects, 1);
    }
}

#[test]
fn what_has_no_clear_answer_is_told_by_the_object_later() {
    let ours = token("scale-out", 1);
    for code in [500, 503, 504, 0] {
        let looked = |token: &str| {
            let token = token.to_owned();
            move |world: &mut World| world.look(&token)
        };
        // It bears the token: it was done.
        assert_eq!(stands(&answered(code, looked(&ours), "Done", true)).effects, 1);
        stands(&answered(code, looked(&ours), "Unknown", false));
        let denied = answered(code, looked(&ours), "Refused", false);
        breaks(&denied, &[Rule::Record], "says that nothing was written, and the log shows a write");
        // It bears another: it was not.
        assert_eq!(stands(&answered(code, looked("an older one"), "Refused", false)).effects, 0);
        stands(&answered(code, looked("an older one"), "Unknown", false));
        let claimed = answered(code, looked("an older one"), "Done", true);
        breaks(&claimed, &[Rule::Record], "says that it was done, and no write in the log took effect");
        // Nobody looked: nobody can tell.
        stands(&answered(code, |_| {}, "Done", true));
        stands(&answered(code, |_| {}, "Unknown", false));
        stands(&answered(code, |_| {}, "Refused", false));
    }
}

#[test]
fn what_was_sent_again_after_no_clear_answer_is_done_once() {
    let ours = token("scale-out", 1);
    // The first was lost, and the second one done.
    let lost = answered(
        504,
        |world| {
            world.look("an older one");
            world.act("scale-out", 1);
            world.look(&ours);
        },
        "Done",
        true,
    );
    assert_eq!(stands(&lost).effects, 1);
    // The first was done, and the second one refused.
    let done = answered(
        504,
        |world| {
            world.act_without_answer("scale-out", 1, 422);
            world.look(&ours);
        },
        "Done",
        true,
    );
    assert_eq!(stands(&done).effects, 1);
    // Both were done: the object bore the token before the second one.
    let both = answered(
        504,
        |world| {
            world.look(&ours);
            world.act("scale-out", 1);
        },
        "Done",
        true,
    );
    breaks(&both, &[Rule::Once, Rule::Record], "scale-out acted already");
    // Neither answer was clear, and one of them was done.
    let unclear = answered(
        504,
        |world| {
            world.act_without_answer("scale-out", 1, 504);
            world.look(&ours);
        },
        "Done",
        true,
    );
    assert_eq!(stands(&unclear).effects, 1);
}

/// What landed late counts like any other act: here without a vote.
#[test]
fn what_landed_without_a_clear_answer_needs_its_vote_too() {
    let mut world = World::gated(1);
    world.act_without_answer("scale-out", 1, 504);
    world.look(&token("scale-out", 1));
    world.settle("scale-out", 1, "Done", true);
    world.record();
    world.finish("Succeeded");
    breaks(&world.done(), &[Rule::Approval], "marked with a yes by no request in the log");
}
