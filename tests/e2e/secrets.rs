//! Nothing secret in what is written: markers stand in every place that a runbook reads or passes by, runs succeed and fail
//! in every way, and then everything that was written is searched.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use firstaid_sandbox::poll;
use serde_json::{Value, json};

use crate::audit::Audit;
use crate::refusal::create;
use crate::runs::runbook;
use crate::town::{Leg, Town, WITHIN, text};

/// Markers by the place in which they were planted. Letters and digits alone, so that they survive any format; random, so
/// that what is found was planted by this test.
struct Planted(Vec<(String, String)>);

impl Planted {
    fn marker(&mut self, place: &str) -> String {
        let random = RandomState::new().build_hasher().finish();
        let marker = format!("s3cr3t{random:016x}");
        self.0.push((place.to_owned(), marker.clone()));
        marker
    }

    /// Fails where a marker does not stand where it was planted: what is not there is found nowhere.
    fn stand(&self, town: &Town) -> Result<()> {
        let all = town.kubectl("root", &["get", "deploy,sts,cm,secret,featureflag", "-o", "json"])?.ok()?;
        for (place, marker) in &self.0 {
            ensure!(place == "a Secret" || all.contains(marker), "nothing stands in {place}");
        }
        Ok(())
    }

    /// Fails where a text holds a marker, and says which.
    fn absent(&self, what: &str, text: &str) -> Result<()> {
        for (place, marker) in &self.0 {
            if let Some(at) = text.find(marker) {
                let around: String = text[..at].chars().rev().take(300).collect::<Vec<_>>().into_iter().rev().collect();
                anyhow::bail!("{what} holds what stood in {place}, after: {around}");
            }
        }
        Ok(())
    }
}

/// Standard base64 of a text whose length is a multiple of three, or padded by the caller.
fn base64(text: &str) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let whole = text.as_bytes().chunks_exact(3).flat_map(|bytes| {
        let bits = u32::from(bytes[0]) << 16 | u32::from(bytes[1]) << 8 | u32::from(bytes[2]);
        [18, 12, 6, 0].map(|shift| char::from(LETTERS[(bits >> shift) as usize & 63]))
    });
    whole.collect()
}

/// Plants a marker in each place of the workloads, and applies them so that kubectl keeps a copy in its annotation.
fn plant_in_workloads(town: &Town, planted: &mut Planted) -> Result<()> {
    // 22 letters, and two more for base64 without padding.
    let secret = format!("{}==", planted.marker("a Secret"));
    planted.0.push(("a Secret, in base64".to_owned(), base64(&secret[..21])));
    town.apply(
        "root",
        &json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keys"}, "stringData": {"token": secret}})
            .to_string(),
    )?;
    for (kind, name, replicas) in [("Deployment", "checkout", 4), ("StatefulSet", "ledger", 2)] {
        let mut place = |what: &str| planted.marker(&format!("{what} of {kind}/{name}"));
        let metadata = json!({"name": name,
            "labels": {"app": name, "team": place("a label")},
            "annotations": {"note": place("an annotation"), "example.org/password": place("an annotation named password")}});
        let container = json!({"name": name, "image": "shop/checkout:1.7", "args": ["--key", place("an argument")], "env": [
            {"name": "API_TOKEN", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "token"}}},
            {"name": "DB_PASSWORD", "value": place("a plain variable")}]});
        let template = json!({"metadata": {"labels": {"app": name}, "annotations": {"seed": place("an annotation of the pods")}},
            "spec": {"containers": [container]}});
        let spec = json!({"replicas": replicas, "serviceName": name, "selector": {"matchLabels": {"app": name}}, "template": template});
        let mut whole = json!({"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": spec});
        let fields = whole["spec"].as_object_mut().context("a spec")?;
        if kind == "Deployment" {
            fields.remove("serviceName");
        } else {
            fields.insert("podManagementPolicy".to_owned(), json!("Parallel"));
        }
        town.apply("root", &whole.to_string())?;
    }
    Ok(())
}

/// A ConfigMap and a FeatureFlag whose flags have secret neighbours.
fn plant_in_flags(town: &Town, planted: &mut Planted) -> Result<()> {
    let mut place = |what: &str| planted.marker(what);
    let metadata = json!({"name": "flags", "labels": {"team": place("a label of the map")}, "annotations": {"note": place("an annotation of the map")}});
    let data = json!({
        "RECS": "true",
        "PASSWORD": place("another key"),
        "f.json": json!({"recs": true, "apiKey": place("JSON"), "deep": {"list": [place("a list in JSON")]}}).to_string(),
        "f.yaml": format!("recs: on\npassword: {} # {}\nlist: [{}]\n", place("YAML"), place("a comment in YAML"), place("a list in YAML")),
        "f.properties": format!("recs=true\ndb.password={}\n", place("properties")),
        "flagd.json": json!({"flags": {
            "recs": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "on"},
            "other": {"state": "ENABLED", "variants": {"key": place("another flag's variant")}, "defaultVariant": "key", "metadata": {"token": place("another flag's metadata")}}},
            "$evaluators": {"vip": {"in": [place("a shared rule"), {"var": "email"}]}}}).to_string(),
        "torn.json": format!("{{\"password\": \"{}\", \"recs\": tru", place("torn JSON")),
        "torn.yaml": format!("recs: [true\npassword: {}\n{}: ]: x", place("torn YAML"), place("a key in torn YAML")),
        "torn.properties": format!("password={}\\u00zz\nrecs=true\n", place("torn properties")),
        "twice.json": format!("{{\"recs\": true, \"password\": \"{}\", \"recs\": false}}", place("JSON with a key twice")),
        "anchors.yaml": format!("base: &b {{recs: true, password: {}}}\nuse: *b\n", place("YAML with anchors")),
    });
    town.apply(
        "root",
        &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}).to_string(),
    )?;
    let locked = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "locked"}, "immutable": true,
        "data": {"f.json": json!({"recs": true, "password": place("a locked map")}).to_string()}});
    town.apply("root", &locked.to_string())?;
    let flag = json!({"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "on"});
    let other = json!({"state": "ENABLED", "variants": {"key": place("another flag of the resource")}, "defaultVariant": "key"});
    let resource = json!({"apiVersion": "core.openfeature.dev/v1beta1", "kind": "FeatureFlag",
        "metadata": {"name": "features", "annotations": {"note": place("an annotation of the resource")}},
        "spec": {"flagSpec": {"flags": {"recs": flag, "other": other}}}});
    town.apply("root", &resource.to_string())
}

fn disable(name: &str, place: &str) -> String {
    format!("name: {name}, gate: on-call, disable: {{flag: recs, {place}}}")
}

fn in_map(key: &str, more: &str) -> String {
    format!("configMap: {{name: flags, key: {key}{more}}}")
}

/// What goes well.
fn good() -> String {
    let mut steps = vec![
        "name: out, gate: on-call, scale: {target: {kind: Deployment, name: checkout}, replicas: 6}".to_owned(),
        "name: ledger, gate: on-call, scale: {target: {kind: StatefulSet, name: ledger}, replicas: 3}".to_owned(),
        "name: again, gate: on-call, restart: {target: {kind: Deployment, name: checkout}}".to_owned(),
        disable("plain", &in_map("RECS", "")),
        disable("resource", "featureFlag: {name: features}"),
    ];
    for (name, format, pointer) in [
        ("f.json", "Json", "/recs"),
        ("f.yaml", "Yaml", "/recs"),
        ("f.properties", "Properties", "/recs"),
        ("flagd.json", "Json", "/flags/recs"),
    ] {
        steps.push(disable(&name.replace('.', "-"), &in_map(name, &format!(", format: {format}, pointer: {pointer}"))));
    }
    steps.push("name: ready, check: {object: {kind: Deployment, name: checkout}, that: 'object.status.readyReplicas == 6', within: 60s}".to_owned());
    runbook("good", &steps.iter().map(String::as_str).collect::<Vec<_>>())
}

/// What is refused when it is planned, and what is judged and fails: a runbook each.
fn bad() -> Vec<(String, String)> {
    let mut steps: Vec<String> = Vec::new();
    for (key, format) in [("f.json", "Json"), ("f.yaml", "Yaml"), ("f.properties", "Properties")] {
        for pointer in [
            "/nothing",
            "/apiKey",
            "/password",
            "/db.password",
            "/password/x",
            "/apiKey/x",
            "/db.password/x",
            "/list",
            "/deep/list/0",
        ] {
            steps.push(disable("turn", &in_map(key, &format!(", format: {format}, pointer: {pointer}"))));
        }
    }
    for (key, format) in [
        ("torn.json", "Json"),
        ("torn.yaml", "Yaml"),
        ("torn.properties", "Properties"),
        ("twice.json", "Json"),
        ("f.yaml", "Json"),
        ("f.json", "Properties"),
        ("flagd.json", "Yaml"),
    ] {
        steps.push(disable("turn", &in_map(key, &format!(", format: {format}, pointer: /recs"))));
    }
    steps.push(disable("turn", &in_map("anchors.yaml", ", format: Yaml, pointer: /use/recs")));
    steps.push(disable("turn", &in_map("flagd.json", ", format: Json, pointer: /flags/none")));
    steps.push(disable("turn", &in_map("PASSWORD", "")));
    steps.push(disable("turn", &in_map("NONE", "")));
    steps.push(disable("turn", "configMap: {name: locked, key: f.json, format: Json, pointer: /recs}"));
    steps.push("name: turn, gate: on-call, disable: {flag: none, featureFlag: {name: features}}".to_owned());
    for that in [
        "object.metadata.annotations.note == 'x'",
        "object.metadata.annotations.note > 3",
        "object.metadata.annotations.note",
        "object.metadata.annotations",
        "int(object.metadata.annotations.note) == 1",
        "object.metadata.labels[object.metadata.labels.team] == 'x'",
        "'x'.matches(object.metadata.annotations.note + '(')",
        "object.spec.template.spec.containers[0].env[1].value + 1 == 2",
        "object.spec.template.spec.containers.filter(c, c.args)",
    ] {
        steps.push(format!(
            "name: look, check: {{object: {{kind: Deployment, name: checkout}}, that: \"{that}\", within: 1s}}"
        ));
    }
    steps.push("name: look, check: {object: {apiVersion: v1, kind: Secret, name: keys}, that: \"object.data.token == 'x'\", within: 1s}".to_owned());
    let named = |(index, step): (usize, &String)| (format!("bad-{index}"), runbook(&format!("bad-{index}"), &[step]));
    steps.iter().enumerate().map(named).collect()
}

/// Everything that First Aid wrote.
fn everything_written(town: &Town, audit: &Audit, planted: &Planted) -> Result<()> {
    for kind in ["rbk", "rbr", "apv", "arec", "events"] {
        let all = town.kubectl("root", &["get", kind, "-o", "json"])?.ok()?;
        ensure!(kind == "events" || all.contains("firstaid.dev"), "there is no {kind}");
        // What a run holds is what its people wrote and what First Aid did; neither has a marker.
        planted.absent(kind, &all)?;
    }
    let operator = town.operator.as_ref().context("an operator")?;
    let log = std::fs::read_to_string(operator.log_path())?;
    ensure!(log.contains("DEBUG"), "the log is not at debug level");
    planted.absent("the operator's log", &log)?;
    planted.absent("/metrics", &operator.get("/metrics")?.1)?;
    let mut requests = 0;
    for entry in audit.entries()? {
        let operator = text(&entry, "/user/username").starts_with("system:serviceaccount:firstaid-system:");
        // The write of the target itself carries the document with its neighbours, as the runbook's ServiceAccount.
        let act = text(&entry, "/verb") == "patch" && entry.get("impersonatedUser").is_some();
        if operator && !act {
            requests += 1;
            let body = entry.get("requestObject").map(Value::to_string).unwrap_or_default();
            planted.absent(&format!("a request: {} {}", text(&entry, "/verb"), text(&entry, "/requestURI")), &body)?;
        }
    }
    ensure!(requests > 100, "{requests} requests were found in the audit log");
    Ok(())
}

#[test]
fn no_secret_is_in_anything_that_is_written() -> Result<()> {
    let mut town = Town::empty(Leg::Stamping, "secrets")?;
    let mut planted = Planted(Vec::new());
    town.sandbox.open_shop(&town.namespace)?;
    plant_in_workloads(&town, &mut planted)?;
    plant_in_flags(&town, &mut planted)?;
    planted.stand(&town)?;
    let audit = Audit::begin(&town)?;
    let lease = format!("--lease-name={}", town.namespace);
    let args = ["--namespaces", &town.namespace, &lease, "--lease-seconds=3"];
    let binary = Path::new(env!("CARGO_BIN_EXE_firstaid"));
    let mut operator = town.sandbox.start_operator(binary, &args, &[("RUST_LOG", "debug")])?;
    operator.wait_ready(WITHIN)?;
    town.operator = Some(operator);

    let bad = bad();
    town.runbook(&bad.iter().map(|(_, yaml)| yaml.clone()).chain([good()]).collect::<String>())?;
    town.start("good", "good")?;
    let runs: Vec<Value> = bad
        .iter()
        .map(|(name, _)| json!({"apiVersion": "firstaid.dev/v1alpha1", "kind": "RunbookRun", "metadata": {"name": name}, "spec": {"runbook": name, "reason": "why not"}}))
        .collect();
    create(&town, "alice", &json!({"apiVersion": "v1", "kind": "List", "items": runs}))?.ok()?;
    for (name, _) in &bad {
        let words = town.failed(name)?;
        planted.absent(name, &words)?;
    }
    town.wait_phase("good", "Waiting")?;
    town.approve("bob", "good")?;
    town.wait_phase("good", "Succeeded")?;
    a_shipped_runbook(&town)?;
    a_forbidden_change(&town)?;
    everything_written(&town, &audit, &planted)
}

fn a_shipped_runbook(town: &Town) -> Result<()> {
    let yaml = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/runbooks/shed-load.yaml"))?;
    town.runbook(&yaml)?;
    town.start("shed-load", "shed-load-1")?;
    town.wait_phase("shed-load-1", "Waiting")?;
    town.approve("bob", "shed-load-1")?;
    town.wait_phase("shed-load-1", "Succeeded")?;
    Ok(())
}

/// The dry run of an effect is refused.
fn a_forbidden_change(town: &Town) -> Result<()> {
    let rules = r#"[{"op": "replace", "path": "/rules", "value": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}]}]"#;
    for role in ["runbook-bad-0", "runbook-good", "runbook-shed-load"] {
        town.kubectl("root", &["patch", "role", role, "--type=json", "-p", rules])?;
    }
    let account = format!("--as=system:serviceaccount:{}:firstaid", town.namespace);
    poll("the right to be gone", WITHIN, || {
        let may = town.kubectl("root", &["auth", "can-i", "patch", "deployment/checkout", &account])?;
        ensure!(!may.success(), "{}", may.stdout);
        Ok(())
    })?;
    town.start("good", "forbidden")?;
    let words = town.failed("forbidden")?;
    ensure!(words.contains("may not"), "{words}");
    Ok(())
}
