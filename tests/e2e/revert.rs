//! What follows a failure, whose turn it is on a target, and planning without doing.

use anyhow::{Context, Result, ensure};
use firstaid_sandbox::poll;
use serde_json::{Value, json};

use crate::runs::{evidence, runbook, runbook_with};
use crate::town::{Leg, Town, WITHIN, number, text};

const NEVER: &str =
    "check: {object: {kind: Deployment, name: checkout}, that: \"object.spec.replicas > 100\", within: 1s}";

// As people write it: what is inside the rules and around them must come back byte for byte.
const FLAGS_YAML: &str = "# kept by hand
flags:
  basket: {state: ENABLED, variants: {on: true, off: false}, defaultVariant: on}
  recs:
    state: ENABLED   # since May
    variants: {on: true, off: false}
    defaultVariant: on # a bare word
    targeting: # gold first
      if:
        # why: the contract
        - {\"==\": [{var: tier}, gold]}
        - 'off'   # theirs
        - null
";

#[test]
fn a_failed_check_undoes_everything_in_reverse_order() -> Result<()> {
    let town = Town::open(Leg::Stamping, "revert")?;
    let rules = json!({"if": [{"==": [{"var": "tier"}, "gold"]}, "off", null]});
    let flag =
        json!({"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "on", "targeting": rules});
    town.apply(
        "root",
        &json!({"apiVersion": "core.openfeature.dev/v1beta1", "kind": "FeatureFlag", "metadata": {"name": "ff"},
        "spec": {"flagSpec": {"flags": {"recs": flag}}}})
        .to_string(),
    )?;
    let steps = [
        "name: scale-out, gate: on-call, scale: {target: {kind: Deployment, name: checkout}, replicas: 6}",
        "name: flag-off, gate: on-call, disable: {flag: recs, featureFlag: {name: ff}, rules: Suspend, contexts: [{tier: gold}, {}]}",
        "name: map-off, gate: on-call, disable: {flag: recs, configMap: {name: shop-flags, key: flags.json, format: Json, pointer: /recommendations}}",
        "name: yaml-off, gate: on-call, disable: {flag: recs, configMap: {name: shop-flags, key: flags.yaml, format: Yaml, pointer: /flags/recs}, rules: Suspend, contexts: [{tier: gold}, {}]}",
        &format!("name: recovered, onFailure: Revert, {NEVER}"),
    ];
    town.change("configmap", "shop-flags", &json!({"data": {"flags.yaml": FLAGS_YAML}}))?;
    town.runbook(&runbook("shed", &steps))?;
    let documents = town.get("configmap", "shop-flags")?.pointer("/data").cloned();
    town.start("shed", "shed")?;
    let ballot = town.ballot("shed")?.pointer("/spec/request/effects").context("effects")?.to_string();
    let said = "comments inside `/flags/recs/targeting` go with it; the record keeps them, and the undo brings them back if they still fit";
    assert!(ballot.contains(said), "{ballot}");
    town.approve("bob", "shed")?;

    let done = town.wait_phase("shed", "Reverted")?;
    let words = text(&done, "/status/message");
    assert!(words.starts_with("undone, because step recovered: not within 1s"), "{words}");
    assert_eq!(done.pointer("/status/inPlaceAtEnd"), Some(&json!(0)));
    let checkout = town.get("deployment", "checkout")?;
    assert_eq!((number(&checkout, "/spec/replicas"), number(&checkout, "/status/readyReplicas")), (4, 4));
    assert_eq!(town.get("featureflag", "ff")?.pointer("/spec/flagSpec/flags/recs"), Some(&flag));
    assert_eq!(town.get("configmap", "shop-flags")?.pointer("/data").cloned(), documents, "byte for byte");

    let records = town.records("shed")?;
    let named: Vec<&str> = records.iter().map(|record| text(record, "/spec/step")).collect();
    assert_eq!(
        named,
        [
            "scale-out",
            "flag-off",
            "map-off",
            "yaml-off",
            "recovered",
            "yaml-off.undo",
            "map-off.undo",
            "flag-off.undo",
            "scale-out.undo"
        ]
    );
    let suspended = town.record("shed", "yaml-off")?;
    assert_eq!(suspended.pointer("/spec/after/flag/targeting"), Some(&json!({})), "it was really off");
    assert_eq!(evidence(&suspended, "evaluated for {\"tier\":\"gold\"}"), Some("off"));
    let written = text(&suspended, "/spec/before/written/~1targeting");
    assert!(written.starts_with("if:\n        # why: the contract\n") && written.ends_with("- null"), "{written}");
    for step in ["scale-out", "flag-off", "map-off", "yaml-off"] {
        let (original, undo) = (town.record("shed", step)?, town.record("shed", &format!("{step}.undo"))?);
        assert_eq!(text(&original, "/status/state"), "Reverted", "{step}");
        assert_eq!(text(&undo, "/spec/revertOf"), text(&original, "/metadata/name"), "{step}");
        assert_eq!(text(&undo, "/spec/verified"), "Yes", "{undo:#}");
        assert_eq!(undo.pointer("/spec/after"), original.pointer("/spec/before"), "{step}");
        assert_eq!(text(&undo, "/spec/approvals/0/by"), "bob", "the undo was part of the approved plan");
    }
    // Each record names the one before it, so none can be left out.
    for pair in records.windows(2) {
        let [earlier, later] = pair else { continue };
        assert_eq!(text(later, "/spec/prevHash"), text(earlier, "/spec/hash"));
    }
    Ok(())
}

#[test]
fn what_somebody_else_changed_is_not_undone() -> Result<()> {
    let town = Town::open(Leg::Stamping, "theirs")?;
    let gate = "check: {object: {kind: ConfigMap, name: shop-flags}, that: \"object.data.done == 'yes'\", within: 80s}";
    town.change("configmap", "shop-flags", &json!({"data": {"flags.yaml": FLAGS_YAML}}))?;
    town.runbook(&runbook(
        "shed",
        &[
            "name: scale-out, gate: on-call, scale: {target: {kind: Deployment, name: checkout}, replicas: 6}",
            "name: grow, gate: on-call, scale: {target: {kind: StatefulSet, name: ledger}, replicas: 3}",
            "name: yaml-off, gate: on-call, disable: {flag: recs, configMap: {name: shop-flags, key: flags.yaml, format: Yaml, pointer: /flags/recs}, rules: Suspend}",
            &format!("name: wait, {gate}"),
            &format!("name: recovered, onFailure: Revert, {NEVER}"),
        ],
    ))?;
    town.start("shed", "shed")?;
    town.approve("bob", "shed")?;
    poll("all to be done", WITHIN, || {
        let run = town.get("rbr", "shed")?;
        ensure!(text(&run, "/status/progress") == "4/5 wait", "it is at {}", text(&run, "/status/progress"));
        Ok(())
    })?;
    town.kubectl("root", &["scale", "deployment/checkout", "--replicas=9"])?.ok()?;
    // Beside the flag somebody turns off another one, and adds a third.
    let theirs = |text: &str| text.replace("defaultVariant: on}\n", "defaultVariant: off}\n  third: {variants: {}}\n");
    let suspended = town.get("configmap", "shop-flags")?;
    let suspended = text(&suspended, "/data/flags.yaml");
    assert!(suspended.contains("# gold first\n      {}\n"), "{suspended}");
    town.change("configmap", "shop-flags", &json!({"data": {"done": "yes", "flags.yaml": theirs(suspended)}}))?;

    let words = town.failed("shed")?;
    assert!(words.contains("could not be undone wholly") && words.contains("1 change is still in place"), "{words}");
    assert_eq!(number(&town.get("deployment", "checkout")?, "/spec/replicas"), 9, "it is left alone");
    assert_eq!(
        number(&town.get("statefulset", "ledger")?, "/spec/replicas"),
        2,
        "the other one is undone all the same"
    );
    assert_ne!(theirs(FLAGS_YAML), FLAGS_YAML);
    let flags = town.get("configmap", "shop-flags")?;
    assert_eq!(text(&flags, "/data/flags.yaml"), theirs(FLAGS_YAML), "what they did beside it stays");
    let refused = town.record("shed", "scale-out.undo")?;
    assert_eq!(text(&refused, "/spec/result"), "Refused");
    assert!(
        text(&refused, "/spec/message").contains("neither the 6 that First Aid set nor the 4 of before"),
        "{refused:#}"
    );
    assert_eq!(text(&town.record("shed", "scale-out")?, "/status/state"), "InPlace");
    assert_eq!(text(&town.record("shed", "grow")?, "/status/state"), "Reverted");
    Ok(())
}

#[test]
fn a_failure_stops_the_run_or_is_passed_over() -> Result<()> {
    let town = Town::open(Leg::Stamping, "failure")?;
    town.runbook(&[
        runbook("continue", &[
            &format!("name: looks-bad, onFailure: Continue, {NEVER}"),
            "name: grow, gate: on-call, scale: {target: {kind: StatefulSet, name: ledger}, replicas: 3}",
        ]),
        runbook("stop", &[
            "name: scale-out, gate: on-call, scale: {target: {kind: Deployment, name: checkout}, replicas: 5}",
            &format!("name: looks-bad, {NEVER}"),
            "name: again, gate: on-call, restart: {target: {kind: DaemonSet, name: agent}}",
        ]),
        // Whether it is needed depends on a step that there is not.
        runbook("unsure", &[
            &format!("name: looks-bad, onFailure: Continue, {NEVER}"),
            "name: again, gate: on-call, when: \"!steps['looks-good'].ok\", restart: {target: {kind: DaemonSet, name: agent}}",
        ]),
        runbook("no-cooks", &[
            "name: more, gate: on-call, timeout: 2s, onFailure: Revert, scale: {target: {apiVersion: test.example/v1, kind: Kitchen, name: main}, by: 2}",
        ]),
    ].concat())?;
    let kitchen = "apiVersion: test.example/v1\nkind: Kitchen\nmetadata: {name: main}\nspec: {cooks: {wanted: 2}}\n";
    town.apply("root", kitchen)?;
    town.change_status("kitchen", "main", &json!({"cooks": 2}))?;
    for run in ["continue", "stop", "unsure", "no-cooks"] {
        town.start(run, run)?;
    }
    town.approve("bob", "no-cooks")?;
    town.approve("bob", "stop")?;
    town.approve("bob", "continue")?;

    let done = town.wait_phase("continue", "Succeeded")?;
    let words = text(&done, "/status/message");
    assert!(words.starts_with("1 of 2 steps done; passed over: step looks-bad: not within 1s"), "{words}");
    assert_eq!(number(&town.get("statefulset", "ledger")?, "/spec/replicas"), 3);

    let words = town.failed("stop")?;
    assert!(
        words.starts_with("step looks-bad: not within 1s") && words.ends_with("1 change is still in place"),
        "{words}"
    );
    assert_eq!(number(&town.get("deployment", "checkout")?, "/spec/replicas"), 5, "it stays");
    assert_eq!(text(&town.record("stop", "scale-out")?, "/status/state"), "InPlace");
    assert!(town.record("stop", "again").is_err(), "the step after the failure is not taken");
    assert_eq!(town.writes("daemonsets", "agent")?, 0);
    let by_hand = town.get("rbr", "stop")?.pointer("/status/nextCommands").context("commands")?.to_string();
    assert!(
        by_hand.contains(&format!("kubectl scale -n {} deployment/checkout --replicas=4", town.namespace)),
        "{by_hand}"
    );

    let words = town.failed("unsure")?;
    assert!(words.starts_with("step again: Invalid: when:") && words.contains("gives no value"), "{words}");
    assert_eq!(
        text(&town.record("unsure", "again")?, "/spec/result"),
        "Refused",
        "it is not taken for a step that was not needed"
    );

    // The effect itself does not take hold: nobody comes to cook.
    town.wait_phase("no-cooks", "Reverted")?;
    let record = town.record("no-cooks", "more")?;
    assert!(
        text(&record, "/spec/verification").starts_with("not within 2s: Kitchen/main has 2 of 4 replicas observed"),
        "{record:#}"
    );
    assert_eq!((text(&record, "/spec/verified"), text(&record, "/status/state")), ("No", "Reverted"));
    assert_eq!(number(&town.get("kitchen", "main")?, "/spec/cooks/wanted"), 2);
    Ok(())
}

#[test]
fn one_run_at_a_time_holds_a_target() -> Result<()> {
    let town = Town::open(Leg::Stamping, "holder")?;
    town.runbook(&[
        runbook("first", &[
            "name: size, gate: on-call, scale: {target: {kind: Deployment, name: checkout}, replicas: 5}",
            "name: hold, check: {object: {kind: ConfigMap, name: shop-flags}, that: \"object.data.done == 'yes'\", within: 80s}",
        ]),
        runbook("second", &["name: size, gate: on-call, scale: {target: {kind: Deployment, name: checkout}, replicas: 6}"]),
    ].concat())?;
    town.start("first", "first")?;
    town.approve("bob", "first")?;
    poll("the first run to have scaled", WITHIN, || {
        let run = town.get("rbr", "first")?;
        ensure!(text(&run, "/status/progress") == "2/2 hold", "it is at {}", text(&run, "/status/progress"));
        Ok(())
    })?;
    town.start("second", "second")?;
    town.approve("bob", "second")?;
    poll("the second run to wait for the first", WITHIN, || {
        let run = town.get("rbr", "second")?;
        let waits = text(&run, "/status/waitingOn") == "run first, which holds the same target until it ends";
        ensure!(waits && text(&run, "/status/phase") == "Waiting", "it waits on {:?}", text(&run, "/status/waitingOn"));
        Ok(())
    })?;
    assert_eq!(number(&town.get("deployment", "checkout")?, "/spec/replicas"), 5);
    town.change("configmap", "shop-flags", &json!({"data": {"done": "yes"}}))?;
    town.wait_phase("first", "Succeeded")?;
    town.wait_phase("second", "Succeeded")?;
    assert_eq!(town.only_record("second")?.pointer("/spec/before"), Some(&json!({"replicas": 5})));
    assert_eq!(number(&town.get("deployment", "checkout")?, "/spec/replicas"), 6);
    Ok(())
}

#[test]
fn a_run_that_only_plans_changes_nothing() -> Result<()> {
    let town = Town::open(Leg::Stamping, "plan")?;
    town.runbook(&runbook_with(
        "all",
        "  owner: team-checkout\n",
        &[
            "name: before, check: {object: {kind: Deployment, name: checkout}, that: \"object.spec.replicas > 100\"}",
            "name: scale-out, gate: on-call, scale: {target: {kind: Deployment, name: checkout}, by: 50%}",
            "name: flag-off, gate: on-call, disable: {flag: recs, configMap: {name: shop-flags, key: RECOMMENDATIONS}}",
            "name: again, gate: None, restart: {target: {kind: DaemonSet, name: agent}}",
        ],
    ))?;
    let looked_at = [("deployment", "checkout"), ("configmap", "shop-flags"), ("daemonset", "agent")];
    let versions = |town: &Town| -> Result<Vec<Value>> {
        looked_at
            .iter()
            .map(|(kind, name)| Ok(json!([town.get(kind, name)?.get("spec"), town.get(kind, name)?.get("data")])))
            .collect()
    };
    let before = versions(&town)?;
    town.start_with("all", "only", "  mode: Plan\n")?;
    let done = town.wait_phase("only", "Succeeded")?;
    let plans = done.pointer("/status/plans").and_then(Value::as_object).context("plans")?;
    let summaries: Vec<&str> = plans.values().map(|plan| text(plan, "/summary")).collect();
    assert_eq!(
        summaries,
        [
            "check Deployment/checkout: object.spec.replicas > 100",
            "scale Deployment/checkout 4 -> 6 (+1 more)",
            "restart DaemonSet/agent",
        ]
    );
    assert_eq!(done.pointer("/status/conditions/0/reason"), Some(&json!("PlanOnly")));
    assert_eq!(versions(&town)?, before);
    assert!(town.list("apv")?.is_empty(), "nobody is asked");
    assert!(town.records("only")?.is_empty(), "nothing was done, so there is nothing to record");
    for (resource, name) in [("deployments", "checkout"), ("configmaps", "shop-flags"), ("daemonsets", "agent")] {
        assert_eq!(town.writes(resource, name)?, 0, "{name}");
    }
    Ok(())
}
