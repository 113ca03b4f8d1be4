//! Bad input, each with the sentence that it gets: from the API server where admission can tell, else from the rehearsal
//! of the runbook and from the run itself.

use anyhow::{Context, Result, ensure};
use firstaid_sandbox::poll;
use serde_json::{Value, json};

use crate::refusal::{create, refused_create, run};
use crate::town::{Leg, Town, WITHIN, text};

/// A runbook in which everything is right.
pub fn runbook(name: &str) -> Value {
    json!({
        "apiVersion": "firstaid.dev/v1alpha1", "kind": "Runbook", "metadata": {"name": name},
        "spec": {
            "summary": "More pods, then less work",
            "parameters": [
                {"name": "replicas", "type": "integer", "default": "7", "minimum": 2, "maximum": 20},
                {"name": "service", "type": "string", "default": "checkout"},
            ],
            "gates": [{"name": "on-call", "requires": [{"role": "sre"}]}],
            "steps": [
                {"name": "out", "gate": "on-call", "scale": {"target": {"kind": "Deployment", "name": "${params.service}"}, "replicas": "${params.replicas}"}},
                {"name": "off", "gate": "on-call", "disable": {"flag": "recommendations",
                    "configMap": {"name": "shop-flags", "key": "flags.json", "format": "Json", "pointer": "/recommendations"}}},
                {"name": "look", "check": {"object": {"kind": "Deployment", "name": "checkout"}, "that": "object.spec.replicas > 0"}},
            ],
        },
    })
}

/// The runbook with another value at a place; null takes the place away.
pub fn with(mut runbook: Value, pointer: &str, value: Value) -> Value {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    let parent = runbook.pointer_mut(parent).expect("a place");
    match (parent, value) {
        (Value::Object(fields), Value::Null) => drop(fields.remove(key)),
        (Value::Object(fields), value) => drop(fields.insert(key.to_owned(), value)),
        (Value::Array(items), value) => match key.parse::<usize>() {
            Ok(index) => items[index] = value,
            Err(_) => items.push(value),
        },
        _ => panic!("{pointer} is no place"),
    }
    runbook
}

const TARGET: &str = "this is no name of an object: lower-case letters, digits, dashes and dots, or an expression that is the whole value: ${params.NAME}";

pub fn refused_runbooks() -> Vec<(&'static str, Value, &'static str)> {
    let target = "/spec/steps/0/scale/target/name";
    let scale = "/spec/steps/0/scale";
    vec![
        ("/spec/steps/0/scael", json!({}), "unknown field \"spec.steps[0].scael\""),
        (
            "/spec/steps/0/scale/target/namespace",
            json!("bank"),
            "unknown field \"spec.steps[0].scale.target.namespace\"",
        ),
        (
            "/spec/steps/0/restart",
            json!({"target": {"kind": "Deployment", "name": "checkout"}}),
            "every step has exactly one action: scale, restart, disable or check",
        ),
        (scale, Value::Null, "every step has exactly one action: scale, restart, disable or check"),
        ("/spec/steps/1/name", json!("out"), "two steps have the same name"),
        (
            "/spec/steps/0/gate",
            Value::Null,
            "every step that changes something needs a gate: the name of one of spec.gates, or None",
        ),
        ("/spec/steps/0/gate", json!("on-holiday"), "a step names a gate that is not in spec.gates"),
        ("/spec/steps/2/gate", json!("on-call"), "a check changes nothing and takes no gate"),
        ("/spec/steps", json!([]), "spec.steps in body should have at least 1 items"),
        ("/spec/gates/-", json!({"name": "on-call", "requires": [{"role": "sre"}]}), "two gates have the same name"),
        ("/spec/gates/0/name", json!("None"), "None is the word for no gate; give the gate another name"),
        ("/spec/gates/0/requires", json!([]), "spec.gates[0].requires in body should have at least 1 items"),
        ("/spec/gates/0/requires/-", json!({"role": "sre"}), "a gate names the same role twice; use count"),
        ("/spec/gates/0/timeout", json!("5m"), "a gate's timeout is at least as long as its ballots are valid"),
        (
            "/spec/gates/0/validFor",
            json!("2m"),
            "a gate's timeout is at most 20 times as long as its ballots are valid",
        ),
        ("/spec/gates/0/validFor", json!("soon"), "a length of time like 90s, 15m or 1h30m, at most 168h"),
        (
            "/spec/parameters/-",
            json!({"name": "service", "type": "string", "default": "x"}),
            "two parameters have the same name",
        ),
        ("/spec/parameters/0/minimum", json!(30), "a parameter's minimum is greater than its maximum"),
        ("/spec/parameters/0/type", json!("string"), "minimum and maximum are for integers"),
        (
            "/spec/parameters/1/default",
            Value::Null,
            "a parameter without a default needs a sample, with which the runbook is rehearsed",
        ),
        ("/spec/steps/0/scale/replicas", Value::Null, "scale needs exactly one of replicas, atLeast, by"),
        ("/spec/steps/0/scale/by", json!(2), "scale needs exactly one of replicas, atLeast, by"),
        (
            "/spec/steps/0/scale/replicas",
            json!("ten"),
            "a number, or an expression that is the whole value: ${params.NAME}",
        ),
        ("/spec/steps/0/scale/replicas", json!(-1), "scale: replicas is 0 or more"),
        ("/spec/steps/0/scale/replicas", json!(0), "scale to zero takes the service away: say so with contain: true"),
        ("/spec/steps/1/disable/configMap", Value::Null, "disable needs exactly one of configMap, featureFlag"),
        (
            "/spec/steps/1/disable/configMap/pointer",
            Value::Null,
            "a document (format Json, Yaml or Properties) needs a pointer such as /recommendations, a plain key takes none",
        ),
        // Empty is never "all".
        (target, json!(""), "spec.steps[0].scale.target.name in body should be at least 1 chars long"),
        (target, Value::Null, "spec.steps[0].scale.target.name: Required value"),
        ("/spec/steps/1/disable/flag", json!(""), "spec.steps[1].disable.flag in body should be at least 1 chars long"),
        (
            "/spec/steps/1/disable/configMap/name",
            json!(""),
            "spec.steps[1].disable.configMap.name in body should be at least 1 chars long",
        ),
        (
            "/spec/steps/1/disable/configMap/key",
            json!(""),
            "spec.steps[1].disable.configMap.key in body should be at least 1 chars long",
        ),
        ("/spec/steps/2/check/that", json!(""), "spec.steps[2].check.that in body should be at least 1 chars long"),
        // A name is no path.
        (target, json!("../../secrets/x"), TARGET),
        (target, json!("a/b"), TARGET),
        (target, json!("a?x"), TARGET),
        (target, json!("checkout-${params.service}"), TARGET),
        ("/spec/steps/2/check/object/name", json!(".."), TARGET),
        ("/spec/steps/1/disable/configMap/name", json!("../secrets/x"), "this is no name of a ConfigMap"),
        ("/spec/serviceAccountName", json!("../firstaid"), "this is no name of a ServiceAccount"),
        (
            "/spec/serviceAccountName",
            json!("other"),
            "you may not act as service account other, so you may not write a runbook that does",
        ),
        // Too long, too much.
        (
            "/metadata/name",
            json!("a".repeat(41)),
            "the name of a runbook is at most 40 characters long: the names of runs, ballots and records are made from it",
        ),
        ("/spec/steps/0/name", json!("a".repeat(41)), "spec.steps[0].name: Too long: may not be more than 40 bytes"),
        ("/spec/summary", json!("a".repeat(1 << 20)), "spec.summary: Too long: may not be more than 200 bytes"),
        (
            "/spec/steps/2/check/that",
            json!("a".repeat(1 << 20)),
            "spec.steps[2].check.that: Too long: may not be more than 1024 bytes",
        ),
        (
            "/spec/steps",
            json!(vec![json!({"name": "a", "check": {"object": {"kind": "Pod", "name": "a"}, "that": "true"}}); 9000]),
            "spec.steps: Too many: 9000: must have at most 32 items",
        ),
    ]
}

#[test]
fn a_bad_runbook_is_refused_with_a_sentence() -> Result<()> {
    let town = Town::empty(Leg::Stamping, "bad-runbook")?;
    let dry_run = |runbook: &Value| {
        let args = ["create", "-n", &town.namespace, "--dry-run=server", "-f", "-"];
        town.sandbox.kubectl_input("author", &args, &runbook.to_string())
    };
    dry_run(&runbook("good"))?.ok().context("the runbook that all others are made from")?;
    for (pointer, value, sentence) in refused_runbooks() {
        let shown = value.to_string();
        let shown: String = shown.chars().take(60).collect();
        let output = dry_run(&with(runbook("bad"), pointer, value))?;
        let words: String = output.stderr.chars().take(2000).collect();
        ensure!(!output.success(), "{pointer} {shown} was not refused");
        ensure!(output.stderr.contains(sentence), "{pointer} {shown}: wanted \"{sentence}\", got: {words}");
        ensure!(output.stderr.len() < 5000, "{pointer} {shown}: nobody reads {} bytes: {words}", output.stderr.len());
    }
    Ok(())
}

#[test]
fn a_bad_run_is_refused_with_a_sentence() -> Result<()> {
    for leg in [Leg::Stamping, Leg::Plain] {
        let town = Town::empty(leg, "bad-run")?;
        for (pointer, value, sentence) in [
            (
                "/spec/reason",
                json!("  \t "),
                "say why the runbook is started, in words of your own: the reason is blank",
            ),
            ("/spec/reason", json!(""), "spec.reason in body should be at least 1 chars long"),
            ("/spec/reason", Value::Null, "spec.reason: Required value"),
            ("/spec/runbook", Value::Null, "spec.runbook: Required value"),
            ("/spec/runbook", json!("../room"), "this is no name of a runbook"),
            ("/spec/parameters", json!({"replicas": 7}), "spec.parameters.replicas: Invalid value: \"integer\""),
            (
                "/spec/mode",
                json!("Try"),
                "spec.mode: Unsupported value: \"Try\": supported values: \"Execute\", \"Plan\"",
            ),
            ("/spec/speed", json!("9"), "unknown field \"spec.speed\""),
            ("/spec/incident", json!("i".repeat(64)), "spec.incident: Too long: may not be more than 63 bytes"),
            (
                "/metadata/name",
                json!("r".repeat(53)),
                "the name of a run is at most 52 characters long: the names of its ballots and records are made from it",
            ),
            (
                "/metadata/finalizers",
                json!(["x.example/hold"]),
                "a run has no owner and no finalizer, and never gets one",
            ),
        ] {
            refused_create(&town, "alice", &with(run(leg, "room", "bad", "alice"), pointer, value), sentence)?;
        }
    }
    Ok(())
}

/// What only a look at the cluster, or an evaluation, can tell: the rehearsal says it, and so does a run all the same.
pub fn stalled_runbooks() -> Vec<(&'static str, Value, &'static str, &'static str)> {
    let flags = "/spec/steps/1/disable/configMap";
    let edit = |name: &'static str, pointer: &str, value: Value, reason: &'static str, sentence: &'static str| {
        (name, with(runbook(name), pointer, value), reason, sentence)
    };
    vec![
        edit(
            "broken-check",
            "/spec/steps/2/check/that",
            json!("object.spec.replicas >"),
            "Invalid",
            "step \"look\": the expression \"object.spec.replicas >\" does not compile",
        ),
        edit(
            "deep-check",
            "/spec/steps/2/check/that",
            json!("(".repeat(40) + "true" + &")".repeat(40)),
            "Invalid",
            "is too long or too deeply nested",
        ),
        edit(
            "broken-when",
            "/spec/steps/1/when",
            json!("steps[.ok"),
            "Invalid",
            "step \"off\": the expression \"steps[.ok\" does not compile",
        ),
        edit(
            "broken-value",
            "/spec/steps/0/scale/replicas",
            json!("${params.}"),
            "Invalid",
            "step \"out\": the expression \"params.\" does not compile",
        ),
        edit(
            "no-parameter",
            "/spec/steps/0/scale/replicas",
            json!("${params.speed}"),
            "Invalid",
            "step \"out\": the expression \"params.speed\" gives no value",
        ),
        edit(
            "wrong-type",
            "/spec/steps/0/scale/replicas",
            json!("${params.service}"),
            "Invalid",
            "must be a whole number",
        ),
        edit(
            "default-too-large",
            "/spec/parameters/0/default",
            json!("99"),
            "Invalid",
            "parameter \"replicas\" is \"99\", but must be a whole number from 2 to 20",
        ),
        edit(
            "a-path",
            "/spec/parameters/1/default",
            json!("../../secrets/x"),
            "Invalid",
            "step \"out\": \"../../secrets/x\" is no name of a Deployment: a name has lower-case letters, digits, dashes and dots",
        ),
        edit(
            "a-query",
            "/spec/parameters/1/default",
            json!("checkout?dryRun=All"),
            "Invalid",
            "is no name of a Deployment",
        ),
        edit(
            "an-empty-name",
            "/spec/parameters/1/default",
            json!(""),
            "Invalid",
            "step \"out\": \"\" is no name of a Deployment",
        ),
        edit(
            "no-target",
            "/spec/parameters/1/default",
            json!("chekcout"),
            "TargetGone",
            "Deployment/chekcout does not exist in this namespace; look with: kubectl get -n NAMESPACE deployment",
        ),
        edit(
            "no-map",
            &format!("{flags}/name"),
            json!("flags-of-shop"),
            "TargetGone",
            "ConfigMap/flags-of-shop does not exist in this namespace; look with: kubectl get -n NAMESPACE configmap",
        ),
        edit(
            "no-kind",
            "/spec/steps/0/scale/target/kind",
            json!("Shop"),
            "Invalid",
            "needs an apiVersion, such as apps/v1",
        ),
        edit("no-flag", &format!("{flags}/pointer"), json!("/recomendations"), "FlagUnknown", "flag recommendations"),
        edit("no-key", &format!("{flags}/key"), json!("flags.yml"), "FlagUnknown", "flags.yml"),
        edit(
            "no-document",
            flags,
            json!({"name": "torn", "key": "flags.json", "format": "Json", "pointer": "/recommendations"}),
            "DocumentUnfit",
            "flags.json",
        ),
        edit(
            "a-megabyte",
            flags,
            json!({"name": "large", "key": "flags.yaml", "format": "Yaml", "pointer": "/recommendations"}),
            "DocumentUnfit",
            "flag recommendations in key flags.yaml of ConfigMap/large: the text has 1000022 bytes, and at most 262144 are read as a document: keep the flags in a smaller one",
        ),
        edit(
            "no-yaml",
            flags,
            json!({"name": "torn", "key": "flags.yaml", "format": "Yaml", "pointer": "/recommendations"}),
            "DocumentUnfit",
            "flags.yaml",
        ),
    ]
}

const TORN: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: torn}
data:
  flags.json: '{\"recommendations\": tru'
  flags.yaml: 'recommendations: [true'
";

#[test]
fn a_runbook_that_would_not_work_says_why_and_so_does_its_run() -> Result<()> {
    let town = Town::open(Leg::Stamping, "bad-input")?;
    town.apply("root", TORN)?;
    let document = (0..40_000)
        .map(|n| format!("flag-{n:06}: true # kept\n"))
        .chain(["recommendations: true\n".to_owned()])
        .collect::<String>();
    // Not applied: kubectl would keep a second copy of it in an annotation, for which there is no room.
    create(&town, "root", &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "large"}, "data": {"flags.yaml": document}}))?.ok()?;
    let mut yaml = runbook("good").to_string();
    for (_, runbook, ..) in stalled_runbooks() {
        yaml += &format!("\n---\n{runbook}");
    }
    town.runbook(&yaml)?;
    for (name, ..) in stalled_runbooks() {
        // A run is never refused because its rehearsal failed: it plans live and says what is wrong.
        town.start(name, name)?;
    }
    for (name, _, reason, sentence) in stalled_runbooks() {
        stalled(&town, name, reason, sentence)?;
        failed(&town, name, sentence)?;
    }
    bad_parameters(&town)?;
    the_account_and_its_rights(&town)
}

/// The rehearsal says so.
fn stalled(town: &Town, name: &str, reason: &str, sentence: &str) -> Result<()> {
    let sentence = sentence.replace("NAMESPACE", &town.namespace);
    poll(&format!("the rehearsal of {name}: {sentence}"), WITHIN, || {
        let found = town.get("rbk", name)?;
        let conditions = found.pointer("/status/conditions").and_then(Value::as_array).context("not rehearsed yet")?;
        let stalled = conditions.iter().find(|c| text(c, "/type") == "Stalled").context("not stalled")?;
        ensure!(text(stalled, "/status") == "True", "{stalled:#}");
        ensure!(
            text(stalled, "/reason") == reason && text(stalled, "/message").contains(&sentence),
            "{name}: {stalled:#}"
        );
        Ok(())
    })
}

/// The run ends Failed and says so, with nobody asked.
fn failed(town: &Town, run: &str, sentence: &str) -> Result<()> {
    let sentence = sentence.replace("NAMESPACE", &town.namespace);
    let ended = town.wait_phase(run, "Failed")?;
    let message = text(&ended, "/status/message");
    ensure!(message.contains(&sentence), "{run}: wanted \"{sentence}\", got: {message}");
    ensure!(
        !town.list("apv")?.iter().any(|ballot| text(ballot, "/spec/request/run") == run),
        "somebody was asked about {run}"
    );
    Ok(())
}

fn bad_parameters(town: &Town) -> Result<()> {
    for (name, runbook, parameters, sentence) in [
        (
            "type",
            "good",
            json!({"replicas": "ten"}),
            "parameter \"replicas\" is \"ten\", but must be a whole number from 2 to 20",
        ),
        (
            "range",
            "good",
            json!({"replicas": "99"}),
            "parameter \"replicas\" is \"99\", but must be a whole number from 2 to 20",
        ),
        ("unknown", "good", json!({"speed": "9"}), "the runbook has no parameter \"speed\"; it has: replicas, service"),
        ("path", "good", json!({"service": "a/b"}), "step \"out\": \"a/b\" is no name of a Deployment"),
        ("injected", "good", json!({"service": "\"}},\"x\":{"}), "is no name of a Deployment"),
        (
            "gone",
            "godo",
            json!({}),
            "there is no runbook \"godo\" in this namespace; see what there is with: kubectl get rbk",
        ),
    ] {
        let mut run = run(town.leg, runbook, name, "alice");
        run["spec"]["parameters"] = parameters;
        create(town, "alice", &run)?.ok()?;
        failed(town, name, sentence)?;
    }
    Ok(())
}

/// Rehearsed again: an annotation is enough of a change.
fn touch(town: &Town, runbook: &str, word: &str) -> Result<()> {
    town.kubectl("author", &["annotate", "rbk", runbook, &format!("rehearse={word}"), "--overwrite"])?.ok()?;
    Ok(())
}

fn the_account_and_its_rights(town: &Town) -> Result<()> {
    let missing = format!("there is no ServiceAccount firstaid in namespace {}", town.namespace);
    town.kubectl("root", &["delete", "serviceaccount", "firstaid"])?.ok()?;
    town.start("good", "no-account")?;
    failed(town, "no-account", &missing)?;
    touch(town, "good", "no-account")?;
    stalled(town, "good", "PermissionMissing", &missing)?;
    let bindings = town.kubectl("root", &["get", "rolebinding", "-o", "name"])?.ok()?;
    for binding in bindings.lines().filter(|binding| binding.contains("/runbook-")) {
        town.kubectl("root", &["delete", binding])?.ok()?;
    }
    town.start("good", "neither")?;
    failed(town, "neither", &missing)?;

    town.kubectl("root", &["create", "serviceaccount", "firstaid"])?.ok()?;
    let sentence = "the runbook's ServiceAccount may not";
    town.start("good", "no-right")?;
    failed(town, "no-right", sentence)?;
    failed(town, "no-right", "grant it with: firstaid onboard -n")?;
    touch(town, "good", "no-right")?;
    stalled(town, "good", "PermissionMissing", sentence)
}
