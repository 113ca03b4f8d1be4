//! No more is said than is known: what could not be read, what is gone, what only seems to have happened.

use serde_json::json;

use super::super::document::{AttentionKind, MomentKind};
use super::super::mermaid;
use super::super::picture::picture;
use super::super::render::{Form, Templates, render};
use super::*;
use crate::verify::Stored;

fn pages(document: &Document) -> String {
    let page = |form| render(document, form, &Templates::default()).unwrap();
    format!("{}{}{}", page(Form::Json), page(Form::Markdown), page(Form::Html))
}

fn run<'a>(material: &'a mut Material, name: &str) -> &'a mut Value {
    &mut material.evidence.runs.iter_mut().find(|run| run.name() == name).unwrap().object
}

#[test]
fn what_could_not_be_read_is_not_said_to_be_missing() {
    let mut unheard = material();
    told(&mut unheard)["spec"]["followUps"][0]["kind"] = json!("Unheard");
    let refused = Material { incidents_unread: Some("bob may not list them".to_owned()), ..untold() };
    for material in [unheard, refused] {
        let document = of(&material, Names::Roles);
        assert!(document.incident.unread && !document.incident.told);
        assert_eq!(document.incident.state, "Unknown");
        let first = &document.attention[0];
        assert_eq!(first.kind, AttentionKind::Person);
        assert!(first.text.starts_with("What people wrote of it could not be read"), "{}", first.text);
        let said = pages(&document).to_lowercase();
        for wrong in
            ["nobody has", "nobody entered", "there is no incident", "not answered yet", "none yet", "no follow-up"]
        {
            assert_eq!(said.find(wrong).map(|at| &said[at.saturating_sub(80)..at + 40]), None, "{wrong}");
        }
        assert!(!said.contains("bob"), "and why names nobody");
    }
    assert!(!of(&untold(), Names::Roles).incident.unread, "where nobody wrote one it was not unread");
}

#[test]
fn when_an_incident_was_made_is_known_though_it_cannot_be_read() {
    let mut material = material();
    told(&mut material)["spec"]["followUps"][0]["kind"] = json!("Unheard");
    let document = of(&material, Names::Roles);
    let detected = document.milestones.iter().find(|line| line.name == "detected").unwrap();
    assert_eq!(detected.at, Some("2026-11-23T10:02:40Z".parse().unwrap()));
    assert!(detected.how.ends_with("what people entered could not be read"), "{}", detected.how);
}

#[test]
fn of_a_run_that_is_gone_nothing_is_said_to_be_whole() {
    let mut material = material();
    material.evidence.runs.retain(|run| run.name() != "shed-load-x2x9k");
    let tail = |r: &Stored| r.name().starts_with("shed-load-x2x9k") && r.text("/spec/step") == "recovered";
    material.evidence.records.retain(|record| !tail(record));
    let document = of(&material, Names::Roles);
    assert!(document.integrity.stands, "nothing here tells that a record is gone: {:?}", document.integrity);
    assert!(!document.went_well.iter().any(|fact| fact.contains("chain is unbroken")), "{:?}", document.went_well);
    assert!(
        document.integrity.unseen[0].starts_with("of shop/shed-load-x2x9k the run is gone"),
        "{:?}",
        document.integrity
    );
    let markdown = render(&document, Form::Markdown, &Templates::default()).unwrap();
    assert!(
        markdown.contains("The evidence that is here stands")
            && markdown.contains("1 run is gone, and records may be gone with it")
    );
    // And where nothing is gone that could be seen, it is said what could not.
    assert_eq!(crisis(Names::Roles).integrity.unseen.len(), 1);
}

#[test]
fn seen_before_is_what_was_before_and_within_ninety_days() {
    let seen = |material: &Material| -> Vec<String> {
        of(material, Names::Roles).recurrences.iter().map(|r| format!("{} {}", r.kind, r.count)).collect()
    };
    let mut all = material();
    let mut other = all.incidents[0].clone();
    other.object["metadata"]["name"] = json!("inc-6c1");
    all.incidents.push(other);
    let at = |material: &mut Material, time: &str| {
        let other = &mut material.incidents[1].object;
        other["metadata"]["creationTimestamp"] = json!(time);
        other["spec"]["milestones"] = json!({});
        let evidence = &mut material.evidence;
        for object in evidence.runs.iter_mut().chain(&mut evidence.records) {
            if object.text("/spec/incident") == "inc-6c1" {
                object.object["metadata"]["creationTimestamp"] = json!(time);
                object.object["spec"]["settledAt"] = json!(time);
            }
        }
    };
    at(&mut all, "2026-08-26T00:00:00Z");
    assert!(seen(&all).contains(&"same runbook 1".to_owned()), "{:?}", seen(&all));
    assert_eq!(seen(&all).iter().filter(|seen| seen.starts_with("same factor")).count(), 7);
    for (time, why) in [
        ("2026-08-24T00:00:00Z", "more than ninety days before"),
        ("2026-11-23T12:00:00Z", "later"),
        ("some day", "at a time that nobody knows"),
    ] {
        at(&mut all, time);
        assert_eq!(seen(&all), [""; 0], "{why}");
    }
}

#[test]
fn what_was_refused_was_no_first_aid() {
    let mut material = material();
    for record in &mut material.evidence.records {
        if record.text("/spec/incident") == "inc-6c1" {
            record.object["spec"]["result"] = json!("Refused");
            record.object["spec"]["changed"] = json!(false);
        }
    }
    let kinds: Vec<String> = of(&material, Names::Roles).recurrences.into_iter().map(|r| r.kind).collect();
    assert_eq!(kinds, ["same runbook"], "it was asked for, and changed nothing");
}

#[test]
fn glass_that_somebody_wanted_to_break_is_not_said_to_be_broken() {
    let said = |material: &Material| -> Vec<String> {
        let moments = of(material, Names::Roles).moments.into_iter().filter(|moment| moment.what.contains("glass"));
        moments.map(|moment| format!("{} {}", moment.no_later, moment.what)).collect()
    };
    let mark = json!({"breakglass": "nobody answers", "breakglass-by": "bob"});
    let mut denied = material();
    run(&mut denied, "restart-stuck-service-4tq7c")["metadata"]["annotations"] = mark.clone();
    assert_eq!(
        said(&denied),
        ["true somebody wanted to break the glass; no act is known whose gate went open by it: nobody answers"]
    );
    let mut broken = material();
    run(&mut broken, "shed-load-x2x9k")["metadata"]["annotations"] = mark;
    let of_run = |r: &&mut Stored| r.name().starts_with("shed-load-x2x9k") && r.text("/spec/step") == "scale-out";
    let record = broken.evidence.records.iter_mut().find(of_run).unwrap();
    record.object["spec"]["approvals"] = json!([{"by": "bob", "decidedAs": "BreakGlass", "why": "nobody answers"}]);
    assert_eq!(said(&broken), ["true the glass was broken, the gate went open without its votes: nobody answers"]);
}

#[test]
fn who_is_not_known_is_not_counted_as_a_person() {
    let mut material = material();
    run(&mut material, "shed-load-x2x9k")["spec"].as_object_mut().unwrap().remove("requestedBy");
    run(&mut material, "undo-flag-m5v3z")["spec"]["requestedBy"]["username"] = json!("system:serviceaccount:a:b");
    let evidence = of(&material, Names::Roles).questions[4].evidence.join("\n");
    assert!(
        evidence.contains("of 4 run(s) asked for: 2 by people, 1 by automation, 1 by whom their runs do not say"),
        "{evidence}"
    );
}

#[test]
fn names_leak_by_no_other_way() {
    let mut material = material();
    let spec = &mut told(&mut material)["spec"];
    spec["notes"] = json!([{"at": "2026-11-23T10:04:00Z", "text": "_bob_ and KEY-OF-ALICE", "link": "https://chat.example/~bob/1"}]);
    spec["links"] = json!([{"from": "bob", "to": "three-calls"}]);
    spec["factors"][0]["id"] = json!("bob");
    spec["factors"][0]["text"] = json!("alice should have known");
    spec["hotFixes"][0]["link"] = json!("https://ci.example/Bob/2");
    spec["followUps"][0]["link"] = json!("https://ci.example/bob/3");
    for run in &mut material.evidence.runs {
        if run.text("/spec/requestedBy/username") == "alice" {
            run.object["spec"]["requestedBy"]["key"] = json!("key-of-alice");
        }
    }
    let document = of(&material, Names::Roles);
    let said = pages(&document).to_lowercase();
    for name in ["bob", "alice"] {
        assert_eq!(said.find(name).map(|at| &said[at.saturating_sub(60)..at + 40]), None);
    }
    let links = document.hints.iter().filter(|hint| hint.found == "a name in a link").count();
    assert_eq!(links, 3, "that a link is left out is said: {:?}", document.hints);
    // A name and its key are one person.
    let by = document.moments.iter().find(|moment| moment.kind == MomentKind::Run).map(|moment| moment.by.as_str());
    let noted =
        document.moments.iter().find(|moment| moment.kind == MomentKind::Note).map(|moment| moment.what.as_str());
    assert!(noted.unwrap().ends_with(&format!("and {}", by.unwrap())), "{noted:?} {by:?}");
}

#[test]
fn runs_of_one_name_in_two_namespaces_are_two() {
    let mut material = material();
    let mut twin = material.evidence.runs.iter().find(|run| run.name() == "shed-load-x2x9k").unwrap().clone();
    twin.object["metadata"]["namespace"] = json!("basket");
    twin.object["metadata"]["uid"] = json!("another");
    twin.object["status"]["phase"] = json!("Failed");
    twin.object["status"]["finishedAt"] = json!("2026-11-23T10:09:00Z");
    material.evidence.runs.push(twin);
    told(&mut material)["spec"]["links"] = json!([{"from": "shed-load-x2x9k", "to": "three-calls"}]);
    let document = of(&material, Names::Roles);
    let drawn = picture(&document);
    let lane = drawn.lanes.iter().find(|lane| lane.name == "runs").unwrap();
    let shed: Vec<(&str, bool)> = lane
        .items
        .iter()
        .filter(|item| item.label.starts_with("shed-load"))
        .map(|item| (item.kind.as_str(), item.title.contains("ended Failed")))
        .collect();
    assert_eq!(shed.len(), 2, "{:?}", lane.items);
    assert_eq!(shed.iter().filter(|item| **item == ("tried", true)).count(), 1, "{shed:?}");
    assert_eq!(shed.iter().filter(|item| **item == ("run", false)).count(), 1, "{shed:?}");
    assert_eq!(
        document.chain.loose,
        ["a link names shed-load-x2x9k, which is the name of 2 runs, each in a namespace of its own"]
    );
}

#[test]
fn incidents_of_one_name_in_two_namespaces_are_told_first() {
    let mut material = material();
    let mut twin = material.incidents[0].clone();
    twin.object["metadata"]["namespace"] = json!("zoo");
    twin.object["metadata"]["uid"] = json!("another");
    material.incidents.push(twin);
    let document = of(&material, Names::Roles);
    assert_eq!(
        document.attention[0].text,
        "Incidents of this name are in shop, zoo: runs and records of all are here, and what people wrote in shop alone; \
         if they are not one crisis, look at each by itself with -n NAMESPACE"
    );
}

#[test]
fn it_was_quiet_after_a_detection_that_nobody_entered() {
    let mut material = material();
    told(&mut material)["metadata"]["creationTimestamp"] = json!("2026-11-23T09:50:00Z");
    let milestones = &mut told(&mut material)["spec"]["milestones"];
    milestones.as_object_mut().unwrap().remove("detected");
    milestones["impactStarted"]["at"] = json!("2026-11-23T09:49:00Z");
    let document = of(&material, Names::Roles);
    let gap = &document.gaps[0];
    assert_eq!((gap.from.to_string().as_str(), gap.text.as_str()), ("2026-11-23T09:50:00Z", "13m 6s"));
    let markdown = render(&document, Form::Markdown, &Templates::default()).unwrap();
    assert!(markdown.contains("| | | no record for 13m 6s | |"));
}

#[test]
fn a_diagram_has_nobody_in_it_who_took_no_part() {
    let mut material = material();
    told(&mut material)["spec"]["notes"][0]["text"] = json!("others looked on");
    let document = of(&material, Names::Roles);
    assert!(!mermaid::sequence(&document).contains("participant others"));
    let mut crowd = document.clone();
    for number in 0..40 {
        let mut moment = document.moments.iter().find(|moment| moment.kind == MomentKind::Action).unwrap().clone();
        moment.target = format!("shop/Deployment/x{number}");
        crowd.moments.insert(0, moment);
    }
    assert!(mermaid::sequence(&crowd).contains("participant others as others"));
}

#[test]
fn labels_of_arrows_are_in_quotes() {
    let mut material = material();
    for link in told(&mut material)["spec"]["links"].as_array_mut().unwrap() {
        link["text"] = json!(";;");
    }
    let document = of(&material, Names::Roles);
    let chart = mermaid::flowchart(&document);
    assert!(chart.contains("==>|\"(no text)\"| "), "{chart}");
    for line in chart.lines().filter(|line| line.contains("->|") || line.contains("=>|")) {
        let (_, label) = line.split_once('|').unwrap();
        assert!(label.starts_with('"') && label.split_once('|').unwrap().0.ends_with('"'), "{line}");
    }
}
