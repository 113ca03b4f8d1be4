use serde_json::json;

use super::*;
use crate::cli::plugin::view::changes::{changes, news};

fn run(status: Value) -> RunbookRun {
    serde_json::from_value(json!({
        "apiVersion": "firstaid.dev/v1alpha1", "kind": "RunbookRun",
        "metadata": {"name": "room-x2x9k", "namespace": "shop", "uid": "u", "creationTimestamp": "2026-11-22T14:13:20Z"},
        "spec": {"runbook": "room", "reason": "queue grows\u{1b}[2J", "incident": "inc-7f3", "requestedBy": {"username": "alice"}},
        "status": status,
    }))
    .unwrap()
}

fn planned(step: &str, action: &str, summary: &str) -> Value {
    json!({"step": step, "attempt": 1, "action": action, "target": {"apiVersion": "apps/v1", "kind": "Deployment", "namespace": "shop", "name": "checkout", "uid": "d"},
        "holds": {"sentence": ""}, "byHand": "", "token": "", "summary": summary})
}

fn plan(gate: Option<&str>, steps: Value) -> Value {
    json!({"schemaVersion": 1, "plannedAt": "2026-11-22T14:13:21.000000Z", "gateSince": "2026-11-22T14:13:22.000000Z", "gate": gate,
        "planHash": "sha256:ab", "code": "9c41", "summary": "scale Deployment/checkout 4 -> 10", "steps": steps,
        "ballots": [{"name": "room-x2x9k-1", "role": "sre"}]})
}

fn ballot(name: &str, annotations: Value, state: &str) -> Approval {
    serde_json::from_value(json!({
        "apiVersion": "firstaid.dev/v1alpha1", "kind": "Approval", "metadata": {"name": name, "namespace": "shop", "annotations": annotations},
        "spec": {"request": {"run": "room-x2x9k", "runUID": "u", "runbook": "room", "gate": "on-call", "role": "sre", "plan": "0.1", "planHash": "sha256:ab",
            "code": "9c41", "shownCode": "9c41", "requester": "alice", "why": "queue grows", "summary": "scale Deployment/checkout 4 -> 10",
            "effects": ["out: scale Deployment/checkout 4 -> 10", "code: 9c41"], "reason": "Required",
            "issuedAt": "2026-11-22T14:13:22.000000Z", "expiresAt": "2026-11-22T14:28:22Z"}},
        "status": {"state": state, "changedAt": "2026-11-22T14:13:22.000000Z"},
    }))
    .unwrap()
}

fn waiting() -> (RunbookRun, Vec<Approval>) {
    let status = json!({
        "phase": "Waiting", "progress": "1/2 out", "waitingOn": "approval by 1 of sre",
        "frozen": {"steps": [{"name": "out"}, {"name": "look"}]},
        "plans": {"0.1": plan(Some("on-call"), json!([planned("out", "scale", "scale Deployment/checkout 4 -> 10")]))},
    });
    let ballots = vec![ballot("room-x2x9k-0", json!({}), "Superseded"), ballot("room-x2x9k-1", json!({}), "Open")];
    (run(status), ballots)
}

fn ended() -> (RunbookRun, Vec<Approval>) {
    let outcome = |result: &str| {
        json!({"result": result, "plan": "0.1", "intentAt": "2026-11-22T14:15:11.000000Z", "actedAt": "2026-11-22T14:15:12.000000Z",
            "knownAt": "2026-11-22T14:15:12.000000Z", "changed": true, "message": if result == "Failed" { "4 of 10 are ready" } else { "" }})
    };
    let settled = json!({"verified": "Yes", "message": "10 of 10 are ready", "at": "2026-11-22T14:16:40.000000Z", "record": "room-x2x9k-u-out-1", "seq": 1, "hash": "sha256:cd"});
    let status = json!({
        "phase": "Failed", "finished": true, "message": "step look: 4 of 10 are ready", "inPlaceAtEnd": 1, "finishedAt": "2026-11-22T14:16:41.000000Z",
        "frozen": {"steps": [{"name": "out"}, {"name": "look"}, {"name": "more"}]},
        "plans": {
            "0.1": plan(Some("on-call"), json!([planned("out", "scale", "scale Deployment/checkout 4 -> 10")])),
            "1.1": plan(None, json!([planned("look", "check", "check Deployment/checkout")])),
        },
        "steps": {"out.1": {"outcome": outcome("Done"), "settled": settled}, "look.1": {"outcome": outcome("Failed")},
            "out.undo.1": {"outcome": outcome("Refused")}},
    });
    let voted = json!({"approve": "9c41 capacity is free", "by": "bob"});
    (run(status), vec![ballot("room-x2x9k-1", voted, "Open")])
}

fn shown(icons: Icons, all: bool) -> Shown {
    Shown { all, depth: 9, icons, headers: true, now: "2026-11-22T14:16:42Z".parse().unwrap() }
}

fn text(of: &(RunbookRun, Vec<Approval>), shown: &Shown) -> String {
    let view = RunView { run: &of.0, ballots: &of.1 };
    view.lines(shown).iter().map(|line| format!("{}\n", line.text())).collect()
}

#[test]
fn a_run_that_waits_says_for_whom_and_what_to_type() {
    insta::assert_snapshot!(text(&waiting(), &shown(Icons::Unicode, false)));
}

#[test]
fn a_run_that_ended_shows_what_was_done() {
    insta::assert_snapshot!(text(&ended(), &shown(Icons::Ascii, true)));
}

#[test]
fn what_happened_is_a_line_each_and_told_once() {
    let (run, ballots) = ended();
    let view = RunView { run: &run, ballots: &ballots };
    let now = "2026-11-22T14:16:42Z".parse().unwrap();
    let mut told = Vec::new();
    let lines: Vec<String> =
        news(changes(view, now), &mut told).iter().map(|change| change.line("room-x2x9k")).collect();
    insta::assert_snapshot!(lines.join("\n"));
    assert!(news(changes(view, now), &mut told).is_empty());
}

/// The API server cuts the time of a vote to the second, and its clock may be behind the operator's.
#[test]
fn nobody_answers_before_they_are_asked() {
    let (run, mut ballots) = ended();
    let ballot = ballots.first_mut().unwrap();
    ballot.spec.request.issued_at = serde_json::from_value(json!("2026-11-22T14:13:22.600000Z")).unwrap();
    for voted in ["2026-11-22T14:13:22Z", "2026-11-22T14:13:20Z"] {
        let marked = json!([{"manager": "kubectl", "operation": "Update", "time": voted,
            "fieldsType": "FieldsV1", "fieldsV1": {"f:metadata": {"f:annotations": {"f:approve": {}}}}}]);
        ballots.first_mut().unwrap().metadata.managed_fields = serde_json::from_value(marked).unwrap();
        let all = changes(RunView { run: &run, ballots: &ballots }, "2026-11-22T14:16:42Z".parse().unwrap());
        let lines: Vec<String> = all.iter().map(|change| change.line("r")).collect();
        assert!(lines.first().is_some_and(|line| line.contains(" ApprovalAsked ")), "{lines:#?}");
        assert!(lines.get(1).is_some_and(|line| line.contains(" Approved by=bob wait=0s ")), "{lines:#?}");
    }
}

#[test]
fn numbers_of_plans_and_attempts_are_numbers() {
    assert!(place("10.1") > place("9.2") && place("9.10") > place("9.2"));
    let status = |keys: [&str; 2]| -> RunbookRunStatus {
        let journals: serde_json::Map<String, Value> = keys.iter().map(|key| ((*key).to_owned(), json!({}))).collect();
        serde_json::from_value(json!({"phase": "Acting", "steps": journals})).unwrap()
    };
    assert!(newest_attempt(&status(["out.9", "out.10"]), "out").is_some());
    assert!(
        newest_attempt(&status(["out.undo.1", "outer.1"]), "out").is_none(),
        "an undo and another step are no attempts"
    );
}
