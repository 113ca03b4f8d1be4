//! Forged approvals: J1.

use serde_json::{Value, json};

use super::world::{ACTED, ISSUED, OPERATOR, VOTED, World, sound, time};
use super::{breaks, stands};
use crate::{Case, Rule};

/// A run with so many ballots, marked by these, that scaled.
fn voted(voters: &[&str]) -> Case {
    let mut world = World::gated(voters.len() as u64);
    for (place, person) in voters.iter().enumerate() {
        world.vote(person, place + 1);
    }
    acted(world)
}

fn acted(mut world: World) -> Case {
    world.act("scale-out", 1);
    world.settle("scale-out", 1, "Done", true);
    world.record();
    world.finish("Succeeded");
    world.done()
}

/// The same at a place of the ballot, wherever it is shown marked.
fn forged(place: &str, value: &Value) -> Case {
    let mut case = sound();
    let marked = case.entries[VOTED].pointer_mut("/responseObject").unwrap();
    *marked.pointer_mut(place).unwrap() = value.clone();
    *case.ballots[0].pointer_mut(place).unwrap() = value.clone();
    case
}

/// A case in which every version of the run has this in a place.
fn rewritten(mut case: Case, place: &str, value: &Value) -> Case {
    let (parent, key) = place.rsplit_once('/').unwrap();
    for object in case.entries.iter_mut().map(|entry| &mut entry["responseObject"]).chain(&mut case.runs) {
        if let Some(found) = object.pointer_mut(parent) {
            found[key] = value.clone();
        }
    }
    case
}

#[test]
fn j1_a_vote_that_nobody_gave() {
    let mut case = sound();
    case.entries.remove(VOTED);
    breaks(&case, &[Rule::Approval], "plan 0.1: ballot room-1-1 was marked with a yes by no request in the log");
    case.ballots.clear();
    case.entries.remove(ISSUED);
    breaks(&case, &[Rule::Approval], "ballot room-1-1 is not there");
    let mut refused = sound();
    refused.entries[VOTED]["responseStatus"]["code"] = json!(403);
    breaks(&refused, &[Rule::Approval], "by no request in the log");
    let mut rehearsed = sound();
    rehearsed.entries[VOTED]["requestURI"] = json!("/x?dryRun=All");
    breaks(&rehearsed, &[Rule::Approval], "by no request in the log");
}

#[test]
fn j1_a_vote_for_something_else() {
    for (place, value, says) in [
        ("/metadata/annotations/approve", "1234 yes", "was marked for code \"1234\", and it takes \"9c41\""),
        ("/metadata/annotations/approve", " ", "was marked for code \"\""),
        ("/spec/request/planHash", "sha256:other", "was marked for hash \"sha256:other\""),
        ("/spec/request/plan", "0.2", "was marked for plan \"0.2\""),
        ("/spec/request/kind", "Ratify", "was marked for kind \"Ratify\""),
        ("/spec/request/role", "db-owner", "was marked for role \"db-owner\""),
        ("/spec/request/runUID", "older", "ballot room-1-1 is of another run"),
        ("/status/state", "Superseded", "was marked for state \"Superseded\""),
    ] {
        breaks(&forged(place, &json!(value)), &[Rule::Approval], says);
    }
    stands(&forged("/metadata/annotations/approve", &json!("  9C41\tqueue grows")));
}

#[test]
fn j1_a_vote_that_came_too_late() {
    let mut case = sound();
    case.entries[VOTED]["requestReceivedTimestamp"] = json!(time(450));
    breaks(&case, &[Rule::Approval], "was marked at 03:00:00.450000, which is not before the act");
    // By the clock it came in first, and was stored later.
    let mut case = sound();
    case.entries[VOTED]["responseObject"]["metadata"]["resourceVersion"] = json!("109");
    breaks(&case, &[Rule::Approval], "which is not before the act");
    let late = forged("/spec/request/expiresAt", &json!(time(200)));
    breaks(&late, &[Rule::Approval], "was marked at 03:00:00.300000, and ran out at 03:00:00.200000");
    breaks(&forged("/spec/request/expiresAt", &json!(null)), &[Rule::Approval], "ran out at an unknown time");
}

#[test]
fn j1_an_act_that_came_too_late() {
    let slow = |seconds: u64| {
        let mut world = World::gated(1);
        world.vote("bob", 1);
        world.clock += seconds * 1000;
        acted(world)
    };
    stands(&slow(65));
    breaks(
        &slow(75),
        &[Rule::Approval],
        "its ballots ran out at 03:01:00.000000, and nothing had been done under it by then",
    );
    // An undo rests on what was done in time.
    let mut world = World::gated(1);
    world.vote("bob", 1);
    world.act("scale-out", 1);
    world.settle("scale-out", 1, "Done", true);
    world.record();
    world.clock += 300_000;
    world.intend_undo();
    world.act("scale-out.undo", 1);
    world.settle("scale-out.undo", 1, "Done", true);
    world.record();
    world.finish("Reverted");
    let case = world.done();
    stands(&case);
    // So does a step after one that found its target as wanted, and wrote nothing.
    let mut without = case;
    without.entries.remove(ACTED);
    breaks(&without, &[Rule::Record], "says that it was done, and no write in the log took effect");
}

#[test]
fn j1_by_somebody_who_has_no_vote() {
    breaks(&voted(&["alice"]), &[Rule::Approval], "alice asked for the run");
    breaks(&voted(&[OPERATOR]), &[Rule::Approval], "writes the journal, and has no vote");
    breaks(&voted(&["system:serviceaccount:shop:bot"]), &[Rule::Approval], "shop:bot is a ServiceAccount");
    breaks(&voted(&["bob", "bob"]), &[Rule::Approval], "bob voted twice");
    assert_eq!(stands(&voted(&["bob", "dave"])).approvals, 2);
    let excluded = rewritten(sound(), "/status/plans/0.1/excluded", &json!("bob"));
    breaks(&excluded, &[Rule::Approval], "bob is excluded by the plan");
    let strict = rewritten(sound(), "/status/plans/0.1/terms/verifiedCredential", &json!(true));
    breaks(&strict, &[Rule::Approval], "it carries no credential id");
}

#[test]
fn j1_in_somebody_elses_name() {
    breaks(
        &forged("/metadata/annotations/by", &json!("carol")),
        &[Rule::Approval],
        "it says by carol, and the request is by bob",
    );
    breaks(
        &forged("/spec/voter/username", &json!("carol")),
        &[Rule::Approval],
        "stamped is carol, and the request is by bob",
    );
    breaks(&forged("/metadata/annotations/by", &json!("")), &[Rule::Approval], "it does not say by whom");
    // The platform may know people by another name than the API server does.
    let mut known = forged("/metadata/annotations/by", &json!("robert"));
    known.entries[VOTED]["annotations"] = json!({"firstaid-ballot/vote": "approve shop/room-1 by=robert"});
    stands(&known);
}

#[test]
fn j1_whoever_asked_may_where_the_gate_lets_them() {
    let alone = |open| {
        let mut case = rewritten(voted(&["alice"]), "/status/plans/0.1/terms/selfApproval", &json!("Alone"));
        case.entries[VOTED]["responseObject"]["status"]["openToRequester"] = json!(open);
        case
    };
    stands(&alone(true));
    breaks(&alone(false), &[Rule::Approval], "alice asked for the run");
    stands(&rewritten(voted(&["alice"]), "/status/plans/0.1/terms/selfApproval", &json!("Always")));
}

#[test]
fn j1_a_plan_that_asks_for_less() {
    let plan = "/status/plans/0.1";
    for (place, value, says) in [
        ("/gate", json!("lax"), "it is for gate \"lax\", and the runbook puts step scale-out behind \"on-call\""),
        ("/gate", json!(null), "it is for gate \"\""),
        ("/terms", json!(null), "it does not say what gate on-call asks for"),
        ("/ballots", json!([]), "1 of sre are asked for, and it has 0 ballots for them"),
        ("/terms/requires", json!([{"role": "sre", "count": 2}]), "2 of sre are asked for, and it has 1 ballots"),
        ("/expiresAt", json!(null), "it does not say when its ballots run out"),
    ] {
        breaks(&rewritten(sound(), &format!("{plan}{place}"), &value), &[Rule::Approval], says);
    }
    let frozen = "/status/frozen/gates/0/requires";
    let case = rewritten(sound(), frozen, &json!([{"role": "sre"}, {"role": "db-owner"}]));
    breaks(&case, &[Rule::Approval], "1 of db-owner are asked for, and it has 0 ballots");
}

#[test]
fn j1_a_mark_that_says_something_else_in_the_end() {
    let mut case = sound();
    case.ballots[0]["metadata"]["annotations"]["approve"] = json!("9c41 I never said so");
    breaks(&case, &[Rule::Approval], "says something else in the end than what was marked");
    case.ballots.clear();
    breaks(&case, &[Rule::Approval, Rule::Evidence], "was marked, and is not there in the end");
}

#[test]
fn j1_no_gate_no_vote() {
    let mut world = World::made();
    world.plan("0.1", 1, 0);
    let verdict = stands(&acted(world));
    assert_eq!((verdict.effects, verdict.approvals), (1, 0));
}

#[test]
fn j1_broken_glass() {
    let glass = |person: &str, before: bool| {
        let mut world = World::gated(1);
        if before {
            world.say(person, "breakglass", "the database is down and nobody answers");
            return acted(world);
        }
        world.act("scale-out", 1);
        world.say(person, "breakglass", "the database is down and nobody answers");
        world.settle("scale-out", 1, "Done", true);
        world.record();
        world.finish("Succeeded");
        world.done()
    };
    assert_eq!(stands(&glass("dave", true)).approvals, 1);
    breaks(
        &glass("dave", false),
        &[Rule::Approval],
        "and the glass: it was broken at 03:00:00.400000, which is not before",
    );
    breaks(
        &glass("system:serviceaccount:shop:bot", true),
        &[Rule::Approval],
        "and the glass: system:serviceaccount:shop:bot is",
    );
    let strict = rewritten(glass("dave", true), "/status/plans/0.1/terms/verifiedCredential", &json!(true));
    breaks(&strict, &[Rule::Approval], "and the glass: it carries no credential id");
}
