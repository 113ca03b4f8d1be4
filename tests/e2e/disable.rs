//! `disable` through approval: flags in documents and in FeatureFlag resources, and what is not touched.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::runs::{evidence, runbook};
use crate::town::{Leg, Town, text};

// Written as people write them: odd spacing, comments, other words for true. All but one value must stay byte for byte.
const JSON: &str = "{ \"a\":1.50,\n\t\"recs\" : true , \"z\" : [ ]}\n";
const YAML: &str = "# kept by hand\nother: [1,   2]\nrecs: on   # since May\nlast: \"x\"\n";
const PROPERTIES: &str = "! kept by hand\nfeature.recs : TRUE\nfeature.\\\n  basket=true\n";
const FLAGD: &str = r#"{"flags": {
  "basket": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "on"},
  "recs":   {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "on",
             "targeting": {"if": [{"==": [{"var": "tier"}, "gold"]}, "on", null]}}
}}"#;

#[test]
fn a_flag_in_a_document_goes_off_and_every_other_byte_stays() -> Result<()> {
    let town = Town::open(Leg::Stamping, "documents")?;
    let data = json!({"RECS": "True", "OTHER": "true", "f.json": JSON, "f.yaml": YAML, "f.properties": PROPERTIES, "flagd.json": FLAGD});
    town.apply(
        "root",
        &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "docs"}, "data": data}).to_string(),
    )?;
    let step = |name: &str, place: &str, more: &str| {
        format!("name: {name}, gate: on-call, disable: {{flag: recs, configMap: {{name: docs, {place}}}{more}}}")
    };
    let steps = [
        step("plain", "key: RECS", ""),
        step("json", "key: f.json, format: Json, pointer: /recs", ""),
        step("yaml", "key: f.yaml, format: Yaml, pointer: /recs", ""),
        step("properties", "key: f.properties, format: Properties, pointer: /feature.recs", ""),
        step(
            "flagd",
            "key: flagd.json, format: Json, pointer: /flags/recs",
            ", rules: Suspend, contexts: [{tier: gold}, {}]",
        ),
    ];
    town.runbook(&runbook("flags-off", &steps.each_ref().map(String::as_str)))?;
    town.start("flags-off", "flags-off")?;
    let ballot = town.ballot("flags-off")?;
    assert_eq!(text(&ballot, "/spec/request/summary"), "flag recs true -> false (+4 more)");
    assert_eq!(
        text(&ballot, "/spec/request/shownCode"),
        "describe",
        "the code of a plan with several effects is read under the whole plan"
    );
    town.approve("bob", "flags-off")?;
    town.wait_phase("flags-off", "Succeeded")?;

    let suspended = FLAGD.replace(r#"{"if": [{"==": [{"var": "tier"}, "gold"]}, "on", null]}"#, "{}");
    let (rest, recs) = suspended.split_once("\"recs\"").context("the flag")?;
    let wanted = json!({
        "RECS": "False",
        "OTHER": "true",
        "f.json": JSON.replace("true", "false"),
        "f.yaml": YAML.replace("on   #", "off   #"),
        "f.properties": PROPERTIES.replace("TRUE", "FALSE"),
        "flagd.json": format!("{rest}\"recs\"{}", recs.replace(r#""defaultVariant": "on""#, r#""defaultVariant": "off""#)),
    });
    assert_eq!(town.get("configmap", "docs")?.pointer("/data"), Some(&wanted));

    let records = town.records("flags-off")?;
    assert_eq!(records.len(), steps.len());
    for record in &records {
        assert_eq!(text(record, "/spec/result"), "Done", "{record:#}");
        assert_eq!(text(record, "/spec/verified"), "Yes", "{record:#}");
        assert_eq!(text(record, "/status/state"), "InPlace", "{record:#}");
    }
    assert_eq!(evidence(&town.record("flags-off", "yaml")?, "flag as read back"), Some("false"));
    let flagd = town.record("flags-off", "flagd")?;
    assert_eq!(text(&flagd, "/spec/summary"), "flag recs on with rules -> off, rules suspended");
    assert_eq!(evidence(&flagd, "evaluated for {\"tier\":\"gold\"}"), Some("off"), "{flagd:#}");
    assert_eq!(evidence(&flagd, "evaluated for {}"), Some("off"));
    assert_eq!(town.writes("configmaps", "docs")?, steps.len());
    Ok(())
}

/// A FeatureFlag resource with a flag that has rules, and another one.
fn feature_flag(name: &str, recs: &Value) -> String {
    let basket = json!({"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "on"});
    json!({"apiVersion": "core.openfeature.dev/v1beta1", "kind": "FeatureFlag", "metadata": {"name": name},
        "spec": {"flagSpec": {"flags": {"basket": basket, "recs": recs}}}})
    .to_string()
}

#[test]
fn a_feature_flag_goes_off_and_its_rules_become_what_the_author_says() -> Result<()> {
    let town = Town::open(Leg::Stamping, "resource")?;
    let rules = json!({"if": [{"==": [{"var": "tier"}, "gold"]}, "full", null]});
    // The variant called `off` is not the one that is off: the only one whose value is false is.
    let ruled = json!({"state": "ENABLED", "variants": {"full": true, "none": false}, "defaultVariant": "full", "targeting": rules});
    let plain =
        json!({"state": "DISABLED", "variants": {"big": {"size": 9}, "off": {"size": 0}}, "defaultVariant": "big"});
    for name in ["refuse", "suspend", "keep"] {
        town.apply("root", &feature_flag(name, &ruled))?;
    }
    town.apply("root", &feature_flag("plain", &plain))?;
    let off = |name: &str, more: &str| {
        runbook(
            name,
            &[&format!("name: switch, gate: on-call, disable: {{flag: recs, featureFlag: {{name: {name}}}{more}}}")],
        )
    };
    let contexts = "contexts: [{tier: gold}, {tier: none}]";
    town.runbook(
        &[
            off("refuse", ""),
            off("suspend", &format!(", rules: Suspend, {contexts}")),
            off("keep", &format!(", rules: Keep, {contexts}")),
            off("plain", ""),
        ]
        .concat(),
    )?;
    for run in ["refuse", "suspend", "keep", "plain"] {
        town.start(run, run)?;
    }

    let words = town.failed("refuse")?;
    assert!(
        words.contains("flag recs: it has targeting rules, which would go on deciding for the callers they match"),
        "{words}"
    );
    assert!(words.contains("`rules: Suspend` sets them aside until the undo"), "{words}");

    let flag = |name: &str| -> Result<Value> {
        let whole = town.get("featureflag", name)?;
        assert_eq!(text(&whole, "/spec/flagSpec/flags/basket/defaultVariant"), "on", "the other flag is not touched");
        Ok(whole.pointer("/spec/flagSpec/flags/recs").context("the flag")?.clone())
    };
    let gold = "evaluated for {\"tier\":\"gold\"}";

    let record = town.approved("suspend")?;
    let mut wanted = ruled.clone();
    wanted["defaultVariant"] = json!("none");
    wanted["targeting"] = json!({});
    assert_eq!(flag("suspend")?, wanted);
    assert_eq!(evidence(&record, gold), Some("none"));
    assert_eq!(text(&record, "/spec/verification"), "flag recs evaluates to none for 2 contexts");
    assert_eq!(record.pointer("/spec/before/flag"), Some(&ruled), "the undo knows the rules");

    let record = town.approved("keep")?;
    wanted["targeting"] = rules;
    assert_eq!(flag("keep")?, wanted);
    assert_eq!(
        (evidence(&record, gold), evidence(&record, "evaluated for {\"tier\":\"none\"}")),
        (Some("full"), Some("none"))
    );
    let said = text(&record, "/spec/verification");
    assert!(said.contains("its rules stay: {\"tier\":\"gold\"} gets full"), "{said}");

    // Disabled is not off: every caller gets what its own code says.
    let ballot = town.ballot("plain")?.pointer("/spec/request/effects").context("effects")?.to_string();
    assert!(ballot.contains("the flag is DISABLED: every caller now gets the default in its own code"), "{ballot}");
    let record = town.approved("plain")?;
    assert_eq!(text(&record, "/spec/summary"), "flag recs disabled (default in code) -> off");
    assert_eq!(flag("plain")?.get("state"), Some(&json!("ENABLED")));
    assert_eq!(flag("plain")?.get("defaultVariant"), Some(&json!("off")));
    assert_eq!(evidence(&record, "evaluated for {\"targetingKey\":\"firstaid-a\"}"), Some("off"));
    assert_eq!(evidence(&record, gold), None, "nobody asked for it");
    assert_eq!(town.writes("featureflags", "refuse")?, 0);
    Ok(())
}

#[test]
fn what_cannot_be_switched_is_said_before_anybody_is_asked() -> Result<()> {
    let town = Town::open(Leg::Stamping, "unfit")?;
    let map = |name: &str, immutable: bool| {
        let data = json!({"RECS": "true", "MAYBE": "maybe", "f.json": "{\"recs\": true}", "broken.json": "{\n  \"recs\": true,\n}"});
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "immutable": immutable, "data": data}).to_string()
    };
    town.apply("root", &map("flags", false))?;
    town.apply("root", &map("stone", true))?;
    town.apply(
        "root",
        &feature_flag(
            "ff",
            &json!({"state": "ENABLED", "variants": {"blue": "b", "green": "g"}, "defaultVariant": "blue"}),
        ),
    )?;

    let cases = [
        (
            "immutable",
            "flag: recs, configMap: {name: stone, key: RECS}",
            "ConfigMap/stone is immutable; make a new ConfigMap",
        ),
        (
            "no-key",
            "flag: recs, configMap: {name: flags, key: absent}",
            "ConfigMap/flags has no key \"absent\"; it has: MAYBE, RECS, broken.json, f.json",
        ),
        (
            "no-flag",
            "flag: absent, configMap: {name: flags, key: f.json, format: Json, pointer: /absent}",
            "flag absent in key f.json of ConfigMap/flags: there is no `/absent`: the whole document has only `recs`",
        ),
        (
            "no-flag-there",
            "flag: absent, featureFlag: {name: ff}",
            "FeatureFlag/ff has no flag \"absent\"; it has: basket, recs",
        ),
        (
            "no-resource",
            "flag: recs, featureFlag: {name: absent}",
            "FeatureFlag/absent does not exist in this namespace",
        ),
        (
            "ambiguous",
            "flag: recs, featureFlag: {name: ff}",
            "which variant is off? not exactly one has the value false and none is called `off`; say it with `to`: `blue` = \"b\", `green` = \"g\"",
        ),
        (
            "no-variant",
            "flag: recs, featureFlag: {name: ff}, to: red",
            "`to` is \"red\", and the flag has no such variant",
        ),
        (
            "broken",
            "flag: recs, configMap: {name: flags, key: broken.json, format: Json, pointer: /recs}",
            "flag recs in key broken.json of ConfigMap/flags: the text is not JSON: line 3",
        ),
        (
            "no-switch",
            "flag: maybe, configMap: {name: flags, key: MAYBE}",
            "flag maybe: it holds a text, which is neither true or false",
        ),
    ];
    town.runbook(
        &cases
            .map(|(name, how, _)| runbook(name, &[&format!("name: switch, gate: on-call, disable: {{{how}}}")]))
            .concat(),
    )?;
    for (run, ..) in cases {
        town.start(run, run)?;
    }
    for (run, _, sentence) in cases {
        let words = town.failed(run)?;
        assert!(words.contains(sentence), "{run}: {words}");
        let record = town.only_record(run)?;
        assert_eq!(text(&record, "/spec/result"), "Refused", "{run}");
        assert_eq!(record.pointer("/spec/changed"), Some(&json!(false)), "{run}");
    }
    assert!(town.list("apv")?.is_empty(), "nobody was asked");
    Ok(())
}
