//! The rows of the conformance table.

use serde_json::{Value, json};

use super::Kind;
use super::conformance::{AT, Asked, Row, Verb, example, refused, taken};

fn test(path: &str, value: Value) -> Value {
    json!({"op": "test", "path": path, "value": value})
}

fn add(path: &str, value: Value) -> Value {
    json!({"op": "add", "path": path, "value": value})
}

pub(super) fn of_targets() -> Vec<Row> {
    use Kind::{ConfigMap, Deployment};
    let size = |to: i64| json!({"spec": {"replicas": to}});
    let paused = || (Verb::Merge, json!({"spec": {"paused": true}}));
    let note = || (Verb::Merge, json!({"metadata": {"annotations": {"a": "1"}}}));
    let json = |operations: &[Value]| (Verb::Json, Value::Array(operations.to_vec()));
    let paths = ("/metadata/uid", "/metadata/generation", "/spec/paused", "/metadata/annotations");
    let (uid, generation, pause, notes) = paths;
    let own = || [test(uid, json!("$uid")), test(generation, json!("$generation"))];
    let failed = "";
    vec![
        refused(
            "a PUT of an old version is refused",
            Deployment,
            vec![paused()],
            (Verb::Put, {
                let mut object = example(Deployment, "$name");
                object["metadata"] = json!({"name": "$name", "resourceVersion": "$first"});
                object["spec"] = json!("$spec");
                object["spec"] = json!("$spec");
                object
            }),
            409,
            "the object has been modified",
        ),
        refused(
            "a merge patch with an old version is refused",
            Deployment,
            vec![paused()],
            (Verb::Merge, json!({"metadata": {"resourceVersion": "$first"}, "spec": {"paused": false}})),
            409,
            "the object has been modified",
        ),
        taken(
            "a merge patch with the present version is taken",
            Deployment,
            vec![paused()],
            (Verb::Merge, json!({"metadata": {"resourceVersion": "$version"}, "spec": {"revisionHistoryLimit": 3}})),
            1,
            vec![("/spec/revisionHistoryLimit", json!(3))],
        ),
        refused(
            "a merge patch with another uid is refused",
            Deployment,
            vec![],
            (Verb::Merge, json!({"metadata": {"uid": "another"}, "spec": {"paused": true}})),
            422,
            "field is immutable",
        ),
        refused(
            "a test of another uid fails",
            Deployment,
            vec![],
            json(&[test(uid, json!("x")), add(pause, json!(true))]),
            422,
            failed,
        ),
        refused(
            "a test of an old generation fails",
            Deployment,
            vec![paused()],
            json(&[test(generation, json!(1)), add("/spec/revisionHistoryLimit", json!(3))]),
            422,
            failed,
        ),
        taken(
            "a patch whose tests hold is taken and counts one generation",
            Deployment,
            vec![],
            json(&[own().as_slice(), &[add(pause, json!(true))]].concat()),
            1,
            vec![(pause, json!(true))],
        ),
        refused(
            "the same patch a second time is refused, though somebody has set the old value back",
            Deployment,
            vec![paused(), (Verb::Merge, json!({"spec": {"paused": null}}))],
            json(&[test(generation, json!(1)), add(pause, json!(true))]),
            422,
            failed,
        ),
        taken(
            "null passes a test of what is not there",
            Deployment,
            vec![],
            json(&[test(notes, Value::Null), add(notes, json!({"a": "1"}))]),
            1,
            vec![("/metadata/annotations/a", json!("1"))],
        ),
        refused(
            "null does not pass a test of what is there",
            Deployment,
            vec![note()],
            json(&[test(notes, Value::Null), add(notes, json!({}))]),
            422,
            failed,
        ),
        refused(
            "nothing is added to a map that is not there",
            ConfigMap,
            vec![],
            json(&[add("/metadata/annotations/a", json!("1"))]),
            422,
            failed,
        ),
        refused(
            "a test of another token fails",
            Deployment,
            vec![note()],
            json(&[test("/metadata/annotations/a", json!("0")), add("/metadata/annotations/a", json!("2"))]),
            422,
            failed,
        ),
        refused(
            "nothing is removed that is not there",
            ConfigMap,
            vec![],
            json(&[json!({"op": "remove", "path": "/data/no"})]),
            422,
            failed,
        ),
        taken("an annotation of a Deployment counts a generation", Deployment, vec![], note(), 1, vec![]),
        taken(
            "a status that is written counts no generation, and brings no spec along",
            Deployment,
            vec![],
            (Verb::MergeStatus, json!({"spec": {"replicas": 9}, "status": {"replicas": 3}})),
            0,
            vec![("/spec/replicas", json!(0)), ("/status/replicas", json!(3))],
        ),
        Row {
            is_stored: false,
            ..taken(
                "the main resource brings no status along, and a write that changes nothing is none",
                Deployment,
                vec![],
                (Verb::Merge, json!({"status": {"replicas": 3}})),
                0,
                vec![("/status/replicas", Value::Null)],
            )
        },
        Row {
            is_stored: false,
            ..taken("a value that is there already is no write", Deployment, vec![], (Verb::Merge, size(0)), 0, vec![])
        },
        Row {
            is_stored: false,
            ..taken(
                "a dry run changes nothing",
                Deployment,
                vec![],
                (Verb::JsonDryRun, json!([add(pause, json!(true))])),
                0,
                vec![(pause, Value::Null)],
            )
        },
        refused(
            "the tests of a dry run are judged",
            Deployment,
            vec![],
            (Verb::JsonDryRun, json!([test(uid, json!("x")), add(pause, json!(true))])),
            422,
            failed,
        ),
        refused(
            "a name is taken once",
            Deployment,
            vec![],
            (Verb::Create, example(Deployment, "$name")),
            409,
            "already exists",
        ),
        refused(
            "an object of another uid is not removed",
            ConfigMap,
            vec![],
            (Verb::Delete, json!({"preconditions": {"uid": "another"}})),
            409,
            "UID",
        ),
        Row {
            then: None,
            ..taken(
                "an object of this uid is removed",
                ConfigMap,
                vec![],
                (Verb::Delete, json!({"preconditions": {"uid": "$uid"}})),
                0,
                vec![],
            )
        },
        Row {
            generations: 0,
            ..taken(
                "what bears a finalizer stays until that is gone",
                ConfigMap,
                vec![(Verb::Merge, json!({"metadata": {"finalizers": ["test.example/hold"]}}))],
                (Verb::Delete, json!({})),
                0,
                vec![("/data/flag", json!("on"))],
            )
        },
        Row {
            then: None,
            ..taken(
                "with its last finalizer it goes",
                ConfigMap,
                vec![
                    (Verb::Merge, json!({"metadata": {"finalizers": ["test.example/hold"]}})),
                    (Verb::Delete, json!({})),
                ],
                (Verb::Merge, json!({"metadata": {"finalizers": null}})),
                0,
                vec![],
            )
        },
        refused(
            "of what has no generation the old value is tested",
            ConfigMap,
            vec![(Verb::Merge, json!({"data": {"flag": "off"}}))],
            json(&[test("/data/flag", json!("on")), add("/data/flag", json!("off"))]),
            422,
            failed,
        ),
        taken(
            "and an old value that came back passes",
            ConfigMap,
            vec![(Verb::Merge, json!({"data": {"flag": "off"}})), (Verb::Merge, json!({"data": {"flag": "on"}}))],
            json(&[test("/data/flag", json!("on")), add("/data/flag", json!("off"))]),
            0,
            vec![("/data/flag", json!("off"))],
        ),
    ]
}

fn status(status: Value) -> Asked {
    (Verb::MergeStatus, json!({"status": status}))
}

fn plan(summary: &str) -> Value {
    json!({"schemaVersion": 1, "plannedAt": AT, "gateSince": AT, "planHash": "h", "code": "1234", "summary": summary, "steps": []})
}

fn outcome(result: &str) -> Value {
    json!({"result": result, "plan": "0.1", "intentAt": AT, "knownAt": AT, "changed": false})
}

pub(super) fn of_ours() -> Vec<Row> {
    use Kind::{Approval, Record, Run};
    let begun = || status(json!({"phase": "Acting", "frozen": {"a": 1}, "plans": {"0.1": plan("one")}}));
    let done = || status(json!({"phase": "Acting", "steps": {"out.1": {"outcome": outcome("Done")}}}));
    let ended = || status(json!({"phase": "Failed", "finished": true}));
    let put = |metadata: Value| {
        (
            Verb::PutStatus,
            json!({"apiVersion": "firstaid.dev/v1alpha1", "kind": "RunbookRun", "metadata": metadata,
            "spec": "$spec", "status": {"phase": "Waiting"}}),
        )
    };
    let journal = [
        ("a journal is not removed", begun(), json!(null), "the journal of a run cannot be removed"),
        (
            "a frozen runbook stays",
            begun(),
            json!({"frozen": {"a": 2}}),
            "the frozen runbook of a run cannot be changed",
        ),
        (
            "a frozen runbook is not removed",
            begun(),
            json!({"frozen": null}),
            "the frozen runbook of a run cannot be changed",
        ),
        ("a plan stays", begun(), json!({"plans": {"0.1": {"summary": "two"}}}), "a plan is written once and stays"),
        ("a plan is not removed", begun(), json!({"plans": {"0.1": null}}), "a plan is written once and stays"),
        ("plans are not removed", begun(), json!({"plans": null}), "a plan is written once and stays"),
        (
            "an outcome stays",
            done(),
            json!({"steps": {"out.1": {"outcome": {"result": "Refused"}}}}),
            "what is written about a step stays",
        ),
        (
            "an outcome is not removed",
            done(),
            json!({"steps": {"out.1": {"outcome": null}}}),
            "what is written about a step stays",
        ),
        ("an entry is not removed", done(), json!({"steps": {"out.1": null}}), "what is written about a step stays"),
        (
            "a run that has ended does not go on",
            ended(),
            json!({"finished": false, "phase": "Acting"}),
            "a run that has ended does not go on",
        ),
        ("an end stays as it is", ended(), json!({"phase": "Succeeded"}), "a run that has ended does not go on"),
    ];
    let journal = journal
        .into_iter()
        .map(|(rule, before, change, says)| refused(rule, Run, vec![before], status(change), 422, says));
    let ballot = |state: &str| (Verb::Merge, json!({"status": {"state": state, "changedAt": AT}}));
    let mut rows: Vec<Row> = journal.collect();
    rows.extend([
        refused(
            "a journal is written over the version that was read",
            Run,
            vec![begun()],
            put(json!({"name": "$name", "resourceVersion": "$first"})),
            409,
            "the object has been modified",
        ),
        refused(
            "a journal is written to the very run that was read",
            Run,
            vec![],
            put(json!({"name": "$name", "resourceVersion": "$version", "uid": "another"})),
            409,
            "UID",
        ),
        taken(
            "a journal that is written counts no generation",
            Run,
            vec![],
            put(json!({"name": "$name", "resourceVersion": "$version"})),
            0,
            vec![("/status/phase", json!("Waiting"))],
        ),
        taken(
            "in a merge patch of a status a wrong uid is not looked at",
            Run,
            vec![],
            (Verb::MergeStatus, json!({"metadata": {"uid": "another"}, "status": {"phase": "Waiting"}})),
            0,
            vec![("/status/phase", json!("Waiting"))],
        ),
        taken(
            "an entry is added to a journal",
            Run,
            vec![begun()],
            status(json!({"plans": {"0.2": plan("two")}})),
            0,
            vec![("/status/plans/0.1/summary", json!("one")), ("/status/plans/0.2/summary", json!("two"))],
        ),
        refused(
            "a run is fixed",
            Run,
            vec![],
            (Verb::Merge, json!({"spec": {"reason": "another"}})),
            422,
            "a run is fixed once it is made",
        ),
        refused(
            "a ballot's request is fixed",
            Approval,
            vec![],
            (Verb::Merge, json!({"spec": {"request": {"code": "9999"}}})),
            422,
            "a ballot's request is fixed",
        ),
        refused(
            "a ballot's state is not removed",
            Approval,
            vec![],
            (Verb::Merge, json!({"status": null})),
            422,
            "a ballot's state cannot be removed",
        ),
        taken(
            "a ballot is closed, and has one generation more",
            Approval,
            vec![],
            ballot("Withdrawn"),
            1,
            vec![("/status/state", json!("Withdrawn"))],
        ),
        refused(
            "a ballot that is closed stays as it is",
            Approval,
            vec![ballot("Withdrawn")],
            ballot("Open"),
            422,
            "a ballot that is no longer Open stays as it is",
        ),
        refused(
            "a ballot is issued once",
            Approval,
            vec![],
            (Verb::Create, example(Approval, "$name")),
            409,
            "already exists",
        ),
        refused(
            "a record is evidence",
            Record,
            vec![],
            (Verb::Merge, json!({"spec": {"message": "never happened"}})),
            422,
            "a record is evidence and never changes",
        ),
        refused(
            "the state of a record is not removed",
            Record,
            vec![],
            (Verb::Merge, json!({"status": null})),
            422,
            "the state of a record cannot be removed",
        ),
        taken(
            "the state of a record is noted",
            Record,
            vec![],
            (Verb::Merge, json!({"status": {"state": "Reverted"}})),
            1,
            vec![("/status/state", json!("Reverted"))],
        ),
        refused(
            "a record is made once",
            Record,
            vec![],
            (Verb::Create, example(Record, "$name")),
            409,
            "already exists",
        ),
    ]);
    rows
}
