//! Forged approvals of a run that undoes another one: J1.

use serde_json::{Value, json};

use super::world::{RUN, World, time};
use super::{breaks, stands};
use crate::{Case, Rule, judge};

/// A step of a forgery.
type Forge<'f> = &'f dyn Fn(&mut Value);

/// The run `room-1` scaled behind its gate, and `back-1` undoes it so many milliseconds later. Each version of a run is
/// forged by its function.
fn undone(later: u64, room: Forge<'_>, back: Forge<'_>) -> Case {
    let mut world = World::gated(1);
    world.vote("bob", 1);
    world.act("scale-out", 1);
    world.settle("scale-out", 1, "Done", true);
    world.record();
    world.finish("Succeeded");
    let covering = |run: &mut Value| {
        if let Some(plan) = run.pointer_mut("/status/plans/0.1") {
            plan["terms"]["coversUndo"] = json!("30m");
        }
        room(run);
    };
    let mut case = forged(world.done(), &covering);

    let mut world = World::made_at("back-1", later, 200);
    world.plan("0.1", 1, 1);
    world.act("scale-out", 1);
    world.settle("scale-out", 1, "Done", true);
    world.record();
    world.finish("Succeeded");
    let covered = |run: &mut Value| {
        run["spec"]["revertOf"] = json!("room-1");
        if let Some(status) = run.get_mut("status") {
            status["frozen"]["revertOf"] = json!({"run": "room-1", "uid": RUN});
            let plan = &mut status["plans"]["0.1"];
            plan["ballots"] = json!([]);
            plan["covered"] = json!({"until": time(1_800_400), "runUID": RUN, "planHash": "sha256:9c41-0.1"});
        }
        back(run);
    };
    let mut undo = forged(world.done(), &covered);
    for entry in &mut undo.entries {
        entry["auditID"] = json!(format!("back-{}", entry["auditID"]));
    }
    case.entries.extend(undo.entries);
    case.runs.extend(undo.runs);
    case.records.extend(undo.records);
    case
}

fn forged(mut case: Case, forge: Forge<'_>) -> Case {
    let shown = case.entries.iter_mut().map(|entry| &mut entry["responseObject"]);
    shown.chain(&mut case.runs).filter(|object| object["kind"] == "RunbookRun").for_each(forge);
    case
}

fn as_it_is(_: &mut Value) {}

/// Sets a place in each version of a run that has its plan.
fn set<'v>(place: &'v str, value: &'v Value) -> impl Fn(&mut Value) + 'v {
    move |run| {
        if run.pointer("/status/plans/0.1").is_some() {
            let (parent, key) = place.rsplit_once('/').unwrap();
            run.pointer_mut(parent).unwrap()[key] = value.clone();
        }
    }
}

#[test]
fn j1_the_approval_of_then_covers_an_undo() {
    let verdict = stands(&undone(10_000, &as_it_is, &as_it_is));
    assert_eq!((verdict.runs, verdict.effects, verdict.records, verdict.approvals), (2, 2, 2, 1));
}

#[test]
fn j1_an_undo_that_nothing_covers() {
    let plan = "/status/plans/0.1";
    for (place, value, says) in [
        ("/covered", json!(null), "1 of sre are asked for, and it has 0 ballots for them"),
        ("/covered/runUID", json!("older"), "it is covered by a run with uid older, which this run does not undo"),
        ("/covered/planHash", json!("sha256:other"), "it is covered by a plan of room-1 with hash \"sha256:other\""),
        ("/covered/until", json!(null), "it says until an unknown time, and was granted until 03:30:01.400000"),
        (
            "/covered/until",
            json!(time(1_802_000)),
            "it says until 03:30:02.000000, and was granted until 03:30:01.400000",
        ),
        ("/terms/requires", json!([{"role": "sre", "count": 2}]), "2 of sre are asked for, and it has 1 ballots"),
        ("/terms/verifiedCredential", json!(true), "it carries no credential id"),
    ] {
        breaks(&undone(10_000, &as_it_is, &set(&format!("{plan}{place}"), &value)), &[Rule::Approval], says);
    }
    for (place, value, says) in [
        ("/spec/force", json!(true), "the undo is forced"),
        ("/spec/revertOf", json!(null), "which this run does not undo"),
        ("/spec/revertOf", json!("room-2"), "it is covered by run room-2 with uid uid-of-room-1, which there is not"),
        ("/status/frozen/revertOf", json!({"uid": "older"}), "which this run does not undo"),
    ] {
        breaks(&undone(10_000, &as_it_is, &set(place, &value)), &[Rule::Approval], says);
    }
}

#[test]
fn j1_an_approval_that_covers_no_undo() {
    let terms = "/status/plans/0.1/terms";
    let granted = |period: Value| undone(10_000, &set(&format!("{terms}/coversUndo"), &period), &as_it_is);
    let uncovered = granted(json!(null));
    breaks(&uncovered, &[Rule::Approval], "the approval of room-1 does not cover it: its gate covers no undo");
    let shorter = granted(json!("5s"));
    breaks(&shorter, &[Rule::Approval], "it says until 03:30:00.400000, and was granted until 03:00:06.400000");
}

/// Nothing of then is taken on trust: the votes are judged again.
#[test]
fn j1_votes_of_then_that_do_not_count() {
    let mut case = undone(10_000, &as_it_is, &as_it_is);
    case.ballots[0]["metadata"]["annotations"]["approve"] = json!("9c41 I never said so");
    let verdict = judge(&case);
    let of = |run: &str| verdict.breaches.iter().filter(|breach| breach.run == run).count();
    assert_eq!((of("room-1"), of("back-1"), verdict.breaches.len()), (1, 1, 2), "{verdict}");
    breaks(&case, &[Rule::Approval], "the approval of room-1 does not cover it: ballot room-1-1 says something else");
}

#[test]
fn j1_an_undo_that_came_too_late() {
    stands(&undone(1_805_000, &as_it_is, &as_it_is));
    breaks(
        &undone(1_815_000, &as_it_is, &as_it_is),
        &[Rule::Approval],
        "its ballots ran out at 03:30:00.400000, and nothing had been done under it by then",
    );
}

/// What is put back must be what was done, on the same object.
#[test]
fn j1_an_undo_of_something_else() {
    let mut case = undone(10_000, &as_it_is, &as_it_is);
    for entry in case.entries.iter_mut().filter(|entry| entry["objectRef"]["resource"] == "deployments") {
        if entry["responseObject"]["metadata"]["annotations"]["firstaid.dev/last-action"]
            .as_str()
            .is_some_and(|token| token.starts_with("back-1"))
        {
            entry["responseObject"]["metadata"]["uid"] = json!("uid-of-ledger");
        }
    }
    breaks(&case, &[Rule::Approval, Rule::Record, Rule::Target], "what it puts back was not done under that plan");
}
