//! `scale` through approval: which kinds, how much, when it is refused, and what voids an approval.

use anyhow::{Context, Result, ensure};
use firstaid_sandbox::poll;
use serde_json::{Value, json};

use crate::runs::{evidence, runbook, runbook_with};
use crate::town::{Leg, Town, WITHIN, number, text};

const OTHER_KINDS: &str = "
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: canary}
spec:
  replicas: 1
  selector: {matchLabels: {app: canary}}
  template:
    metadata: {labels: {app: canary}}
    spec: {containers: [{name: canary, image: shop/canary:1}]}
---
apiVersion: test.example/v1
kind: Kitchen
metadata: {name: main}
spec: {cooks: {wanted: 2}}
";

#[test]
fn every_kind_with_a_size_is_scaled_and_seen_to_be_ready() -> Result<()> {
    let town = Town::open(Leg::Stamping, "scale")?;
    town.apply("root", OTHER_KINDS)?;
    let scale = |name, target, how| {
        runbook(name, &[&format!("name: size, gate: on-call, scale: {{target: {{{target}}}, {how}}}")])
    };
    town.runbook(
        &[
            scale("deployment", "kind: Deployment, name: checkout", "by: 50%"),
            scale("statefulset", "kind: StatefulSet, name: ledger", "atLeast: 3"),
            scale("replicaset", "kind: ReplicaSet, name: canary", "replicas: 3"),
            scale("kitchen", "apiVersion: test.example/v1, kind: Kitchen, name: main", "by: 5, max: 4"),
        ]
        .concat(),
    )?;

    let granted = town.get("role", "runbook-kitchen")?;
    let kitchens = json!({"apiGroups": ["test.example"], "resources": ["kitchens"], "resourceNames": ["main"], "verbs": ["get", "patch"]});
    assert!(granted.pointer("/rules").and_then(Value::as_array).context("rules")?.contains(&kitchens), "{granted:#}");

    let sizes = [
        ("deployment", "deployments", "checkout", "/spec/replicas", 4, 6),
        ("statefulset", "statefulsets", "ledger", "/spec/replicas", 2, 3),
        ("replicaset", "replicasets", "canary", "/spec/replicas", 1, 3),
        ("kitchen", "kitchens", "main", "/spec/cooks/wanted", 2, 4),
    ];
    for (run, ..) in sizes {
        town.start(run, run)?;
    }
    for (run, ..) in sizes {
        town.approve("bob", run)?;
    }
    // Nobody cooks until somebody comes to cook: the test is the controller of kitchens.
    poll("four cooks to be wanted", WITHIN, || {
        let wanted = number(&town.get("kitchen", "main")?, "/spec/cooks/wanted");
        ensure!(wanted == 4, "{wanted} are wanted");
        Ok(())
    })?;
    poll("the run to wait for the cooks", WITHIN, || {
        let run = town.get("rbr", "kitchen")?;
        let waits = text(&run, "/status/waitingOn").starts_with("the effect on Kitchen/main");
        ensure!(waits, "it is {} {}", text(&run, "/status/phase"), text(&run, "/status/waitingOn"));
        Ok(())
    })?;
    town.change_status("kitchen", "main", &json!({"cooks": 4}))?;

    for (run, resource, name, place, from, to) in sizes {
        town.wait_phase(run, "Succeeded")?;
        let record = town.only_record(run)?;
        assert_eq!(number(&town.get(resource, name)?, place), to, "{run}");
        assert_eq!(record.pointer("/spec/before"), Some(&json!({"replicas": from})), "{run}");
        assert_eq!(record.pointer("/spec/after"), Some(&json!({"replicas": to})), "{run}");
        // What a kitchen counts are its cooks; which of them are ready it does not say.
        let (counted, other) = if run == "kitchen" { ("observed", "ready") } else { ("ready", "observed") };
        assert_eq!(evidence(&record, &format!("{counted} replicas")), Some(to.to_string().as_str()), "{run}");
        assert_eq!(evidence(&record, &format!("{other} replicas")), None, "{run}");
        assert_eq!(record.pointer("/spec/changed"), Some(&json!(true)), "{run}");
        assert_eq!(town.writes(resource, name)?, 1, "{run}");
    }
    Ok(())
}

#[test]
fn how_much_is_planned_within_its_bounds() -> Result<()> {
    let town = Town::open(Leg::Stamping, "bounds")?;
    let scale = |name, how| {
        let step = format!("name: size, gate: on-call, scale: {{target: {{kind: Deployment, name: checkout}}, {how}}}");
        runbook_with(name, "  parameters: [{name: size, type: integer, default: \"6\"}]\n", &[&step])
    };
    town.runbook(
        &[
            scale("half", "by: -50%, min: 3"),
            scale("tenfold", "by: 900%, max: 8"),
            scale("two-more", "by: 2"),
            scale("enough", "atLeast: 3"),
            scale("chosen", "replicas: \"${params.size}\""),
            scale("nobody", "by: -4"),
            scale("nothing", "replicas: 0, contain: true"),
        ]
        .concat(),
    )?;
    let before = town.get("deployment", "checkout")?;

    let planned = [
        ("half", "4 -> 3"),
        ("tenfold", "4 -> 8"),
        ("two-more", "4 -> 6"),
        ("enough", "4 -> 4"),
        ("chosen", "4 -> 6"),
        ("nothing", "4 -> 0"),
    ];
    for (run, _) in planned {
        town.start_with(run, run, "  mode: Plan\n")?;
    }
    town.start_with("chosen", "chosen-zero", "  mode: Plan\n  parameters: {size: \"0\"}\n")?;
    town.start("nobody", "nobody")?;

    for (run, wanted) in planned {
        let done = town.wait_phase(run, "Succeeded")?;
        assert_eq!(text(&done, "/status/message"), format!("only planned: scale Deployment/checkout {wanted}"));
    }
    for run in ["chosen-zero", "nobody"] {
        let words = town.failed(run)?;
        assert!(
            words.contains(
                "scaling Deployment/checkout to zero takes the service away; if that is meant, say contain: true"
            ),
            "{words}"
        );
    }
    let refused = town.apply("author", &scale("careless", "replicas: 0")).unwrap_err().to_string();
    assert!(refused.contains("scale to zero takes the service away: say so with contain: true"), "{refused}");
    let after = town.get("deployment", "checkout")?;
    assert_eq!(after.pointer("/metadata/generation"), before.pointer("/metadata/generation"), "nothing was changed");
    Ok(())
}

#[test]
fn an_autoscaler_is_not_fought_and_what_is_right_already_is_left_alone() -> Result<()> {
    let town = Town::open(Leg::Stamping, "right")?;
    let ledger = "target: {kind: StatefulSet, name: ledger}";
    town.runbook(
        &[
            runbook("grow", &[&format!("name: size, gate: on-call, scale: {{{ledger}, replicas: 5}}")]),
            runbook("surge", &[&format!("name: size, gate: on-call, scale: {{{ledger}, replicas: 9}}")]),
            runbook(
                "contain",
                &[&format!("name: size, gate: on-call, scale: {{{ledger}, replicas: 0, contain: true}}")],
            ),
            runbook(
                "stay",
                &["name: size, gate: on-call, scale: {target: {kind: Deployment, name: checkout}, replicas: 4}"],
            ),
        ]
        .concat(),
    )?;
    town.kubectl("root", &["autoscale", "statefulset/ledger", "--name=ledger", "--min=2", "--max=6", "--cpu=80%"])?
        .ok()?;
    let before = town.get("deployment", "checkout")?;
    for run in ["grow", "surge", "contain", "stay"] {
        town.start(run, run)?;
    }

    let words = town.failed("grow")?;
    assert!(
        words.contains("HorizontalPodAutoscaler/ledger keeps StatefulSet/ledger between 2 and 6 and would put 5 back"),
        "{words}"
    );
    assert_eq!(text(&town.only_record("grow")?, "/spec/result"), "Refused");
    // What is advised instead is accepted, also where it lies beyond the present bounds.
    let words = town.failed("surge")?;
    let (command, patch) = words
        .split_once("would put 9 back; change its bounds instead: kubectl ")
        .and_then(|(_, command)| command.trim_end_matches('\'').split_once(" '"))
        .context(words.clone())?;
    let typed: Vec<&str> = command.split(' ').chain([patch, "--dry-run=server", "-o", "jsonpath={.spec}"]).collect();
    let bounds: Value = serde_json::from_str(&town.kubectl("root", &typed)?.ok()?)?;
    assert_eq!((number(&bounds, "/minReplicas"), number(&bounds, "/maxReplicas")), (9, 9), "{words}");

    let ballot = town.ballot("contain")?;
    let effects = ballot.pointer("/spec/request/effects").context("effects")?.to_string();
    assert!(effects.contains("HorizontalPodAutoscaler/ledger rests while StatefulSet/ledger is at zero"), "{effects}");
    assert!(effects.contains("will serve nobody until this is undone"), "{effects}");
    let record = town.approved("contain")?;
    assert_eq!(evidence(&record, "ready replicas"), Some("0"));
    assert_eq!(number(&town.get("statefulset", "ledger")?, "/spec/replicas"), 0);

    let record = town.approved("stay")?;
    let after = town.get("deployment", "checkout")?;
    assert_eq!(record.pointer("/spec/changed"), Some(&json!(false)));
    assert_eq!(record.pointer("/spec/undo"), None, "it is not ours to undo");
    assert_eq!(text(&record, "/status/state"), "OneShot");
    assert_eq!(after.pointer("/metadata/generation"), before.pointer("/metadata/generation"));
    assert_eq!(after.pointer("/metadata/annotations/firstaid.dev~1last-action"), None);
    assert_eq!(town.writes("deployments", "checkout")?, 0);
    Ok(())
}

#[test]
fn noise_voids_no_approval_and_a_passed_goal_does() -> Result<()> {
    let town = Town::open(Leg::Stamping, "noise")?;
    town.runbook(
        &[
            runbook(
                "ten",
                &["name: size, gate: on-call, scale: {target: {kind: Deployment, name: checkout}, replicas: 10}"],
            ),
            runbook(
                "four",
                &["name: size, gate: on-call, scale: {target: {kind: StatefulSet, name: ledger}, replicas: 4}"],
            ),
        ]
        .concat(),
    )?;
    town.start("ten", "ten")?;
    town.start("four", "four")?;
    town.ballot("ten")?;
    let old = town.ballot("four")?;

    // Noise: an autoscaler, a person's note, a controller's status.
    town.kubectl("root", &["scale", "deployment/checkout", "--replicas=6"])?.ok()?;
    town.kubectl("root", &["annotate", "deployment/checkout", "note=watched"])?.ok()?;
    town.change_status("deployment", "checkout", &json!({"collisionCount": 1}))?;
    let record = town.approved("ten")?;
    assert_eq!(record.pointer("/spec/before"), Some(&json!({"replicas": 6})), "as the act itself read it");
    assert_eq!(text(&record, "/spec/undo/summary"), "scale Deployment/checkout back to 6");
    assert_eq!(number(&town.get("deployment", "checkout")?, "/spec/replicas"), 10);
    assert_eq!(text(&town.get("deployment", "checkout")?, "/metadata/annotations/note"), "watched");
    assert_eq!(town.get("rbr", "ten")?.pointer("/status/plans/0.2"), None, "it was approved once");

    // A passed goal: 2 -> 4 was asked for, and somebody has made it 6.
    town.kubectl("root", &["scale", "statefulset/ledger", "--replicas=6"])?.ok()?;
    town.approve("bob", "four")?;
    let again = poll("a new plan", WITHIN, || {
        let run = town.get("rbr", "four")?;
        ensure!(run.pointer("/status/plans/0.2").is_some(), "it is {}", text(&run, "/status/phase"));
        Ok(run)
    })?;
    assert_eq!(text(&again, "/status/plans/0.2/summary"), "scale StatefulSet/ledger 6 -> 4");
    let because = text(&again, "/status/plans/0.2/revisedBecause");
    assert!(
        because.contains("StatefulSet/ledger is at 6 replicas now, so 2 -> 4 is not what was approved"),
        "{because}"
    );
    let new = town.ballot("four")?;
    assert_ne!(text(&new, "/spec/request/code"), text(&old, "/spec/request/code"));
    poll("the old ballot to be superseded", WITHIN, || {
        let state = town.get("apv", text(&old, "/metadata/name"))?;
        ensure!(text(&state, "/status/state") == "Superseded", "it is {}", text(&state, "/status/state"));
        Ok(())
    })?;
    let vote = format!("approve={} as before", text(&old, "/spec/request/code"));
    let refused = town.mark("bob", text(&new, "/metadata/name"), &vote)?;
    assert!(refused.stderr.contains("the code does not match this plan"), "{}", refused.stderr);
    assert!(!town.mark("dave", text(&old, "/metadata/name"), &vote)?.success(), "the old ballot is closed");
    assert_eq!(
        number(&town.get("statefulset", "ledger")?, "/spec/replicas"),
        6,
        "nothing is done without a new approval"
    );

    let record = town.approved("four")?;
    assert_eq!(record.pointer("/spec/before"), Some(&json!({"replicas": 6})));
    assert_eq!(number(&town.get("statefulset", "ledger")?, "/spec/replicas"), 4);
    Ok(())
}
