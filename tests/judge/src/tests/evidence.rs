//! Forged evidence: J6, J7, J8 and J9.

use serde_json::{Value, json};

use super::world::{FINISHED, OPERATOR, SETTLED, World, sound, time};
use super::{breaks, stands};
use crate::canonical::digest;
use crate::{Case, Rule};

/// A sound case after which somebody writes the run, and what they wrote stands in the end.
fn rewritten(place: &str, value: &Value) -> Case {
    let mut world = World::made();
    world.case = sound();
    world.clock = 5000;
    world.run = world.case.runs.remove(0);
    *world.run.pointer_mut(place).unwrap() = value.clone();
    // Later than all that went before.
    let mut run = world.run.clone();
    world.log("mallory", "update", "runbookruns/status", json!({}), &mut run);
    run["metadata"]["resourceVersion"] = json!("200");
    world.case.entries.last_mut().unwrap()["responseObject"] = run.clone();
    world.run = run;
    world.done()
}

#[test]
fn j6_a_phase_that_goes_back() {
    let again = rewritten("/status/phase", &json!("Acting"));
    breaks(
        &again,
        &[Rule::Forward],
        "it had ended Succeeded, and is \"Acting\", by mallory: update runbookruns/room-1 at 03:00:05.000000 (audit line update-8)",
    );
    breaks(
        &rewritten("/status/phase", &json!("Failed")),
        &[Rule::Forward],
        "it had ended Succeeded, and is \"Failed\"",
    );
    breaks(
        &rewritten("/status/finished", &json!(false)),
        &[Rule::Forward],
        "it was finished (Succeeded), and is so no longer",
    );
}

#[test]
fn j6_a_journal_that_forgets() {
    for (place, says, with) in [
        ("/status/plans/0.1/summary", "plan 0.1 was changed", None),
        ("/status/steps/scale-out.1/outcome", "the outcome of scale-out.1 was changed", None),
        ("/status/steps/scale-out.1", "the settled of scale-out.1 vanished", Some([Rule::Chain, Rule::Head])),
        ("/status/plans", "plan 0.1 vanished", None),
    ] {
        let mut case = rewritten("/status/phase", &json!("Succeeded"));
        let spoil = |run: &mut Value| match place.rsplit_once('/') {
            Some((_, "summary")) => run["status"]["plans"]["0.1"]["summary"] = json!("nothing"),
            Some((_, "outcome")) => run["status"]["steps"]["scale-out.1"]["outcome"]["result"] = json!("Refused"),
            _ => *run.pointer_mut(place).unwrap() = json!({}),
        };
        spoil(&mut case.runs[0]);
        spoil(&mut case.entries.last_mut().unwrap()["responseObject"]);
        let rules: Vec<Rule> = [Rule::Forward].into_iter().chain(with.into_iter().flatten()).collect();
        breaks(&case, &rules, says);
    }
}

/// What is only seen in the end was changed past the log.
#[test]
fn j6_a_change_that_the_log_does_not_show() {
    let mut case = sound();
    case.runs[0]["status"]["frozen"]["steps"] = json!([{"name": "scale-out", "gate": "on-call", "more": 1}]);
    breaks(&case, &[Rule::Forward], "the frozen runbook was changed, in the end");
}

/// Requests that overlap are stored in another order than that in which they came in, or were answered.
#[test]
fn j6_versions_count_and_not_the_order_of_the_log() {
    let mut case = sound();
    let (settled, finished) = (SETTLED as u64 * 100, FINISHED as u64 * 100);
    case.entries[SETTLED]["requestReceivedTimestamp"] = json!(time(finished));
    case.entries[FINISHED]["requestReceivedTimestamp"] = json!(time(settled));
    stands(&case);
    // Where versions have no number, the order in which the requests came in is the best there is.
    case.entries[SETTLED]["responseObject"]["metadata"]["resourceVersion"] = json!("none");
    breaks(&case, &[Rule::Forward], "it was finished (Succeeded), and is so no longer");
}

#[test]
fn j7_a_record_that_was_changed() {
    let mut case = sound();
    case.records[0]["spec"]["before"]["share"] = json!(0.26);
    breaks(&case, &[Rule::Chain], "record room-1-uid-o-scale-out-1 was changed: its content gives sha256:");
    // Hashed anew it is whole, and not the one of the journal.
    let mut spec = case.records[0]["spec"].clone();
    spec.as_object_mut().unwrap().remove("hash");
    case.records[0]["spec"]["hash"] = json!(digest(&spec));
    breaks(&case, &[Rule::Chain], "is not the one of the journal, with number 1 and hash sha256:");
}

#[test]
fn j7_a_record_that_is_missing() {
    let mut world = World::gated(1);
    world.vote("bob", 1);
    world.settle("scale-out", 1, "Refused", false);
    world.finish("Failed");
    breaks(&world.done(), &[Rule::Chain], "record room-1-uid-o-scale-out-1 (seq 1) is missing");
    let mut world = World::gated(1);
    world.settle("scale-out", 1, "Refused", false);
    world.settle("look", 1, "Failed", false);
    world.record();
    let says = "record room-1-uid-o-look-1 has number 2, and its place is 1";
    breaks(&world.done(), &[Rule::Chain], says);
}

#[test]
fn j7_a_record_that_nobody_knows() {
    let mut world = World::gated(1);
    world.settle("scale-out", 1, "Refused", false);
    world.record();
    let run = world.run.clone();
    world.settle("look", 1, "Failed", false);
    world.record();
    world.finish("Failed");
    let case = world.done();
    stands(&case);
    let mut without = case.clone();
    without.entries.retain(|entry| entry["responseObject"]["status"]["steps"].get("look.1").is_none());
    without.runs = vec![run];
    breaks(&without, &[Rule::Chain], "the journal knows of no record room-1-uid-o-look-1");
    let mut twice = case;
    twice.records[1]["spec"]["seq"] = json!(1);
    breaks(&twice, &[Rule::Chain], "has number 1, and its place is 2");
}

#[test]
fn j9_a_head_that_is_not_the_newest() {
    let mut case = sound();
    case.runs[0]["status"]["recordHead"] = json!("sha256:older");
    breaks(
        &case,
        &[Rule::Head],
        "the run's head of the chain is \"sha256:older\", and the newest entry's is \"sha256:",
    );
}

#[test]
fn j7_records_of_a_run_that_there_is_not() {
    let mut orphan = sound();
    orphan.records[0]["spec"]["runUID"] = json!("gone");
    let verdict = crate::judge(&orphan).to_string();
    assert!(verdict.contains("there are records of a run with uid gone, and no such run"), "{verdict}");
}

/// A sound case in which somebody asked for this afterwards.
fn deleted(user: &str, verb: &str, resource: &str, answer: &Value) -> Case {
    let mut world = World::made();
    world.case = sound();
    world.clock = 5000;
    let mut object = json!({"metadata": {"name": "shop"}});
    world.log(user, verb, resource, json!({}), &mut object);
    world.case.entries.last_mut().unwrap()["responseObject"] = answer.clone();
    world.case
}

#[test]
fn j8_evidence_that_was_taken_away() {
    for resource in ["runbookruns", "approvals", "actionrecords"] {
        let case = deleted("root", "delete", resource, &json!({"status": "Success"}));
        breaks(&case, &[Rule::Evidence], &format!("root took it away: delete {resource}/shop at 03:00:05"));
        let mut refused = case.clone();
        refused.entries.last_mut().unwrap()["responseStatus"]["code"] = json!(403);
        stands(&refused);
        let mut rehearsed = case;
        rehearsed.entries.last_mut().unwrap()["requestObject"] = json!({"dryRun": ["All"]});
        stands(&rehearsed);
    }
    let some = json!({"items": [{"metadata": {"name": "x"}}]});
    breaks(&deleted(OPERATOR, "deletecollection", "approvals", &some), &[Rule::Evidence], "firstaid took it away");
    stands(&deleted("root", "deletecollection", "approvals", &json!({"items": []})));
    stands(&deleted("root", "delete", "runbooks", &json!({})));
}

/// A delete is answered with a `Status`: whose record it was is told by how it was made.
#[test]
fn j8_a_breach_names_the_run() {
    let mut case = deleted("root", "delete", "actionrecords", &json!({"status": "Success"}));
    case.entries.last_mut().unwrap()["objectRef"]["name"] = json!("room-1-uid-o-scale-out-1");
    let verdict = crate::judge(&case).to_string();
    assert!(verdict.contains("J8 (evidence) run room-1: root took it away"), "{verdict}");
}

#[test]
fn j8_evidence_that_is_gone() {
    let mut world = World::gated(2);
    world.ask(3);
    world.case.ballots.pop();
    breaks(&world.done(), &[Rule::Evidence], "approvals room-1-3 was made and is gone");
    let mut case = sound();
    case.runs.clear();
    breaks(&case, &[Rule::Evidence], "runbookruns room-1 was made and is gone");
}

/// With its namespace everything goes, and is judged by the log.
#[test]
fn j8_a_namespace_that_was_deleted() {
    let emptied = |user: &str| {
        let mut case = deleted(user, "delete", "namespaces", &json!({}));
        let controller = "system:serviceaccount:kube-system:namespace-controller";
        case.entries.extend(deleted(controller, "deletecollection", "approvals", &json!({})).entries.pop());
        case.runs.clear();
        case.ballots.clear();
        case.records.clear();
        case
    };
    let verdict = stands(&emptied("root"));
    assert_eq!((verdict.runs, verdict.effects, verdict.records, verdict.approvals), (1, 1, 1, 1));
    let mut kept = emptied("root");
    kept.entries.retain(|entry| entry["objectRef"]["resource"] != "namespaces");
    let verdict = crate::judge(&kept).to_string();
    assert!(verdict.contains("actionrecords room-1-uid-o-scale-out-1 was made and is gone"), "{verdict}");
}

/// A sound case after which somebody takes everything of the run away, that an archive holds.
fn retained(user: &str) -> Case {
    let mut case = sound();
    let of = |kind: &'static str, objects: Vec<Value>| objects.into_iter().map(move |object| (kind, object));
    let ballots = of("approvals", std::mem::take(&mut case.ballots));
    let records = of("actionrecords", std::mem::take(&mut case.records));
    let runs = of("runbookruns", std::mem::take(&mut case.runs));
    for (resource, object) in ballots.chain(records).chain(runs).collect::<Vec<_>>() {
        let mut gone = deleted(user, "delete", resource, &json!({"details": {"uid": object["metadata"]["uid"]}}));
        let mut entry = gone.entries.pop().unwrap();
        entry["auditID"] = json!(format!("{resource} goes"));
        entry["objectRef"]["name"] = object["metadata"]["name"].clone();
        case.entries.push(entry);
        case.archive.push(object);
    }
    case
}

#[test]
fn j8_what_an_archive_holds_may_go() {
    let verdict = stands(&retained(OPERATOR));
    assert_eq!((verdict.runs, verdict.effects, verdict.records, verdict.approvals), (1, 1, 1, 1));
    breaks(&retained("root"), &[Rule::Evidence], "root took it away: delete runbookruns/room-1");
    // In the archive it is judged like anything else.
    let mut spoilt = retained(OPERATOR);
    spoilt.archive[1]["spec"]["summary"] = json!("all was well");
    breaks(&spoilt, &[Rule::Chain, Rule::Evidence], "was changed: its content gives");
}

#[test]
fn j8_what_an_archive_does_not_hold_may_not_go() {
    let rules = [[Rule::Approval, Rule::Evidence].as_slice(), &[Rule::Record, Rule::Chain, Rule::Evidence]];
    for (place, rules) in rules.into_iter().enumerate() {
        let mut case = retained(OPERATOR);
        case.archive.remove(place);
        breaks(&case, rules, "");
    }
    let mut going_on = retained(OPERATOR);
    for object in going_on.entries.iter_mut().map(|entry| &mut entry["responseObject"]).chain(&mut going_on.archive) {
        if let Some(finished) = object.pointer_mut("/status/finished") {
            *finished = json!(false);
        }
    }
    breaks(&going_on, &[Rule::Evidence], "firstaid took it away: delete approvals/room-1-1");
}
