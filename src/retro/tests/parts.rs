//! Each part of a document, where the records say something out of the ordinary.

use serde_json::json;

use super::super::document::{AttentionKind, MomentKind};
use super::*;

fn duration<'a>(document: &'a Document, key: &str) -> &'a super::super::document::Duration {
    document.durations.iter().find(|duration| duration.key == key).unwrap()
}

fn record<'a>(material: &'a mut Material, step: &str) -> &'a mut Value {
    let of = |r: &&mut crate::verify::Stored| r.name().starts_with("shed-load-x2x9k") && r.text("/spec/step") == step;
    &mut material.evidence.records.iter_mut().find(of).unwrap().object
}

#[test]
fn durations_have_both_ends_and_their_sources() {
    let document = crisis(Names::Roles);
    let ttd = duration(&document, "ttd");
    assert_eq!((ttd.text.as_str(), ttd.seconds), ("7m 15s", Some(435.0)));
    assert_eq!(ttd.from.source.as_ref().unwrap().field, "spec.milestones.impactStarted");
    let first = duration(&document, "first-action");
    assert_eq!(first.to.source.as_ref().unwrap().kind, "ActionRecord");
    assert!(first.from.how.contains("first run was asked for"), "derived: {}", first.from.how);
}

#[test]
fn what_was_waited_for_at_the_same_time_counts_once() {
    let mut material = material();
    let before = duration(&of(&material, Names::Roles), "decisions").seconds;
    let mut twin = material.evidence.ballots.iter().find(|b| b.name() == "shed-load-x2x9k-2").unwrap().clone();
    twin.object["metadata"]["name"] = json!("shed-load-x2x9k-3");
    twin.object["metadata"]["uid"] = json!("another");
    material.evidence.ballots.push(twin);
    assert_eq!(duration(&of(&material, Names::Roles), "decisions").seconds, before);
}

#[test]
fn from_records_alone_a_duration_is_unknown_and_says_who_could_know() {
    let document = of(&untold(), Names::Roles);
    let ttm = duration(&document, "ttm");
    assert_eq!((ttm.text.as_str(), ttm.seconds), ("unknown", None));
    assert!(ttm.unknown.as_ref().unwrap().contains("who could know: the service owner"), "{:?}", ttm.unknown);
    assert!(!document.incident.told);
    assert!(document.gaps.is_empty() || document.milestones.iter().any(|line| line.at.is_some()));
}

#[test]
fn milestones_out_of_order_are_shown_and_no_duration_is_negative() {
    let mut material = material();
    told(&mut material)["spec"]["milestones"]["mitigated"]["at"] = json!("2026-11-23T09:50:00Z");
    let document = of(&material, Names::Roles);
    let ttm = duration(&document, "ttm");
    assert_eq!(ttm.seconds, None);
    assert!(ttm.unknown.as_ref().unwrap().starts_with("out of order"), "{:?}", ttm.unknown);
    assert!(document.attention.iter().any(|item| item.kind == AttentionKind::Order));
}

#[test]
fn without_managed_fields_a_decision_is_no_later_than_what_followed() {
    let mut material = material();
    for ballot in &mut material.evidence.ballots {
        ballot.object["metadata"].as_object_mut().unwrap().remove("managedFields");
    }
    let document = of(&material, Names::Roles);
    let decisions: Vec<_> = document.moments.iter().filter(|m| m.kind == MomentKind::Decision).collect();
    assert!(!decisions.is_empty() && decisions.iter().all(|moment| moment.no_later));
    assert!(
        document.unknown.iter().any(|unknown| unknown.what.starts_with("when exactly 3 decision(s)")),
        "{:?}",
        document.unknown
    );
}

#[test]
fn evidence_that_does_not_stand_is_on_the_first_page() {
    let mut material = material();
    record(&mut material, "scale-out")["spec"]["summary"] = json!("scale Deployment/checkout 4 -> 5");
    material
        .evidence
        .records
        .retain(|r| !(r.name().starts_with("shed-load-x2x9k") && r.text("/spec/step") == "recovered"));
    let document = of(&material, Names::Roles);
    assert!(!document.integrity.stands);
    let first = &document.attention[0];
    assert_eq!(first.kind, AttentionKind::Evidence);
    assert!(first.text.contains("was changed"), "{}", first.text);
    assert!(document.attention[1].text.contains("tail is missing"), "{}", document.attention[1].text);
}

#[test]
fn what_is_in_place_has_an_age_and_a_command() {
    let document = crisis(Names::Roles);
    let [in_place] = document.in_place.as_slice() else { panic!("{:?}", document.in_place) };
    assert_eq!(in_place.age, "5h 54m");
    assert!(in_place.command.contains(r#""revertOf":"shed-load-x2x9k""#), "{}", in_place.command);
    assert!(
        in_place.command.contains(r#""steps":["scale-out"]"#) && in_place.command.contains(r#""incident":"inc-7f3""#)
    );
    // A forged record could say anything, and somebody would paste it.
    let mut material = material();
    record(&mut material, "scale-out")["spec"]["runbook"] = json!("x'; rm -rf ~; '");
    assert_eq!(of(&material, Names::Roles).in_place[0].command, "");
}

#[test]
fn a_decision_without_a_second_person_waits_for_its_ratification() {
    let mut material = material();
    let run = material.evidence.runs.iter_mut().find(|run| run.name() == "shed-load-x2x9k").unwrap();
    let condition = json!({"type": "Ratified", "status": "False", "reason": "Alone", "message": "bob as sre, ALONE: somebody else is to ratify it",
        "lastTransitionTime": "2026-11-23T10:05:10Z"});
    run.object["status"]["conditions"].as_array_mut().unwrap().push(condition);
    let document = of(&material, Names::Roles);
    let found = document.attention.iter().find(|item| item.kind == AttentionKind::Unratified).unwrap();
    assert!(found.text.contains("not ratified yet: sre"), "{}", found.text);
}

#[test]
fn what_happened_before_is_named() {
    let document = crisis(Names::Roles);
    let seen: Vec<String> = document
        .recurrences
        .iter()
        .map(|r| format!("{} {} in {:?} x{}", r.kind, r.what, r.incidents, r.count))
        .collect();
    assert_eq!(
        seen,
        [
            r#"same runbook shop/shed-load in ["inc-6c1"] x1"#,
            r#"same target shop/ConfigMap/shop-flags in ["inc-6c1"] x1"#,
            r#"same target shop/Deployment/checkout in ["inc-6c1"] x1"#,
        ]
    );
}

#[test]
fn an_undo_without_the_key_belongs_to_what_it_undoes() {
    let mut material = material();
    let undo = material.evidence.runs.iter_mut().find(|run| run.name() == "undo-flag-m5v3z").unwrap();
    undo.object["spec"].as_object_mut().unwrap().remove("incident");
    let document = of(&material, Names::Roles);
    assert_eq!(document.generated.runs, 4);
    assert!(document.actions.iter().any(|action| !action.undoes.is_empty()));
}

#[test]
fn the_chain_is_what_people_drew_and_what_records_refer_to() {
    let document = crisis(Names::Roles);
    let said = document.chain.edges.iter().filter(|edge| edge.said).count();
    assert_eq!(said, 4);
    let mut material = material();
    told(&mut material)["spec"]["links"] = json!([{"from": "three-calls", "to": "nothing-of-that-name"}]);
    let document = of(&material, Names::Roles);
    assert!(document.chain.edges.iter().all(|edge| !edge.said));
    assert_eq!(
        document.chain.loose,
        ["a link names nothing-of-that-name, which is no factor, milestone or run of this incident"]
    );
}

#[test]
fn follow_ups_are_overdue_and_missing_ones_are_proposed() {
    let document = crisis(Names::Roles);
    let states: Vec<String> = document.follow_ups.iter().map(|f| format!("{} {} {}", f.id, f.kind, f.state)).collect();
    assert_eq!(
        states,
        [
            "queue-alert Detect InProgress",
            "queue-limit Prevent Open",
            "load-test Prevent Overdue",
            "others Investigate Open",
            " ReplaceFirstAid Proposed",
        ]
    );
}

#[test]
fn words_of_blame_are_pointed_out() {
    let document = crisis(Names::Roles);
    let hints: Vec<(&str, &str)> =
        document.hints.iter().map(|hint| (hint.place.as_str(), hint.found.as_str())).collect();
    assert_eq!(hints, [("spec.answers, question 6", "should have")]);
}

#[test]
fn every_question_has_evidence() {
    let document = crisis(Names::Roles);
    assert_eq!(document.questions.len(), 9);
    for question in &document.questions {
        assert!(!question.evidence.is_empty(), "{}", question.text);
    }
    assert_eq!(document.questions.iter().filter(|question| question.answer.is_some()).count(), 6);
}

#[test]
fn what_a_person_said_was_done_is_in_place_and_not_denied() {
    let mut material = material();
    for record in &mut material.evidence.records {
        if record.object["spec"]["changed"] == true && record.object["spec"]["revertOf"].is_null() {
            record.object["spec"]["result"] = json!("Unknown");
        }
    }
    let summary = of(&material, Names::Roles).summary.join("\n");
    assert!(
        !summary.contains("First Aid changed nothing") && summary.contains("could not see whether it was done"),
        "{summary}"
    );
}

#[test]
fn a_change_of_which_nothing_is_noted_is_not_said_to_be_gone() {
    for state in [json!(null), json!("Drifted"), json!("Unknown"), json!("Unheard")] {
        let mut material = material();
        record(&mut material, "scale-out")["status"]["state"] = state.clone();
        let document = of(&material, Names::Roles);
        let said = format!("{}\n{}", document.summary.join("\n"), document.went_well.join("\n"));
        assert!(
            !said.contains("Nothing of it is in place") && !said.contains("has been undone since"),
            "{state}: {said}"
        );
    }
}

#[test]
fn a_check_that_was_passed_by_neither_held_nor_failed() {
    let mut material = material();
    for record in &mut material.evidence.records {
        if record.text("/spec/kind") == "Observation" {
            record.object["spec"]["verified"] = json!("NotApplicable");
        }
    }
    let document = of(&material, Names::Roles);
    let said = format!("{:?}", (&document.moments, &document.actions, &document.went_well));
    assert!(
        said.contains("the check was passed by") && !said.contains("held") && !said.contains("come true"),
        "{said}"
    );
}

#[test]
fn a_no_without_a_word_is_a_no() {
    let mut material = material();
    let name = of(&material, Names::Roles).decisions[0].ballot.clone();
    let ballot = material.evidence.ballots.iter_mut().find(|ballot| ballot.name() == name).unwrap();
    ballot.object["metadata"]["annotations"] = json!({"deny": "", "by": "bob"});
    let document = of(&material, Names::Roles);
    let decision = document.decisions.iter().find(|decision| decision.ballot == name).unwrap();
    assert_eq!(decision.outcome, "Denied");
}

#[test]
fn an_alert_says_when_it_began_when_it_was_noticed_and_when_it_was_over() {
    let mut material = material();
    let incident = told(&mut material);
    incident["spec"]["milestones"] = json!({});
    incident["metadata"]["creationTimestamp"] = json!("2026-11-23T10:02:25Z");
    incident["status"] = json!({"phase": "Open", "alertsLeftOut": 3, "alerts": {
        "a1-1": {"name": "Checkout5xxHigh", "summary": "5xx at 4%", "startedAt": "2026-11-23T10:01:10Z",
            "endedAt": "2026-11-23T10:31:00Z", "receivedAt": "2026-11-23T10:02:25.7Z"},
        "b2-2": {"name": "QueueGrows", "startedAt": "2026-11-23T10:05:00Z", "receivedAt": "2026-11-23T10:05:30Z"},
    }});
    let mut before = material.incidents[0].clone();
    before.object["metadata"]["name"] = json!("inc-001");
    before.object["status"]["alerts"]["a1-1"]["startedAt"] = json!("2026-10-01T10:01:10Z");
    material.incidents.push(before);
    let document = of(&material, Names::Roles);
    let line = |name: &str| document.milestones.iter().find(|line| line.name == name).unwrap().clone();
    assert_eq!(line("impactStarted").at.unwrap().to_string(), "2026-11-23T10:01:10Z");
    // Not when the Incident was made, which is known to the second.
    assert_eq!(line("detected").at.unwrap().to_string(), "2026-11-23T10:02:25.7Z");
    assert_eq!(line("detected").how, "alert Checkout5xxHigh was told");
    let told: Vec<_> =
        document.moments.iter().filter(|m| m.kind == MomentKind::Alert).map(|m| m.what.as_str()).collect();
    assert_eq!(told, ["Checkout5xxHigh fires: 5xx at 4%", "QueueGrows fires", "Checkout5xxHigh has ended"]);
    let evidence = document.questions.iter().flat_map(|question| &question.evidence);
    let alerts: Vec<_> = evidence.filter(|line| line.contains("fired ") || line.contains("not kept")).collect();
    assert_eq!(
        alerts,
        [
            "alert Checkout5xxHigh fired once; all of it has ended",
            "alert QueueGrows fired once; of 1 no end was told",
            "3 more alert(s) are not kept here",
        ]
    );
    let again = document.recurrences.iter().filter(|recurrence| recurrence.kind == "same alert");
    assert_eq!(
        again.map(|r| (r.what.as_str(), r.count)).collect::<Vec<_>>(),
        [("Checkout5xxHigh", 1)],
        "the other one fired there at the same time, and not before"
    );
}

#[test]
fn within_the_second_to_which_a_creation_is_known_nothing_is_out_of_order() {
    let mut material = material();
    let acknowledged = |line: &&crate::retro::document::MilestoneLine| line.name == "acknowledged";
    let asked = of(&material, Names::Roles).milestones.iter().find(acknowledged).and_then(|line| line.at).unwrap();
    let detected =
        |ahead| json!({"at": (asked + jiff::SignedDuration::from_millis(ahead)).to_string(), "source": "alert"});
    told(&mut material)["spec"]["milestones"]["detected"] = detected(900);
    let tta = duration(&of(&material, Names::Roles), "tta").clone();
    assert_eq!((tta.seconds, tta.unknown), (Some(0.0), None));
    told(&mut material)["spec"]["milestones"]["detected"] = detected(1100);
    assert!(duration(&of(&material, Names::Roles), "tta").unknown.is_some(), "more than rounding");
}

#[test]
fn an_undo_is_asked_for_after_the_end_of_what_it_undoes() {
    let mut material = material();
    let ours = |run: &crate::verify::Stored| run.text("/spec/incident") == "inc-7f3";
    let undo =
        material.evidence.runs.iter().position(|run| ours(run) && !run.text("/spec/revertOf").is_empty()).unwrap();
    let undone = material.evidence.runs[undo].text("/spec/revertOf").to_owned();
    let name = material.evidence.runs[undo].name().to_owned();
    let ended = material.evidence.runs.iter().find(|run| run.name() == undone).unwrap().text("/status/finishedAt");
    let second: jiff::Timestamp = ended.parse().unwrap();
    let second = jiff::Timestamp::from_second(second.as_second()).unwrap();
    material.evidence.runs[undo].object["metadata"]["creationTimestamp"] = json!(second.to_string());
    let document = of(&material, Names::Roles);
    let place =
        |kind, name: &str| document.moments.iter().position(|m| m.kind == kind && m.source.name == name).unwrap();
    assert!(place(MomentKind::Run, &name) > place(MomentKind::End, &undone), "{:#?}", document.moments);
}
