//! The kinds as the API server gets them: the committed files are those that the types give, every field is explained and
//! bounded, and nothing in them gives a message that nobody understands.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::LazyLock;

use firstaid::cli::crds::files;
use serde_json::Value;

/// A schema, and where it stands: `Runbook.spec.steps[].gate`.
struct Found<'a> {
    path: String,
    schema: &'a Value,
    /// Whether it has a name of its own, which `kubectl explain` shows; an item of a list has none.
    named: bool,
}

impl Found<'_> {
    fn is(&self, kind: &str) -> bool {
        self.schema.get("type").and_then(Value::as_str) == Some(kind)
    }

    fn has(&self, key: &str) -> bool {
        self.schema.get(key).is_some()
    }
}

fn crds() -> &'static [Value] {
    static CRDS: LazyLock<Vec<Value>> =
        LazyLock::new(|| files().unwrap().iter().map(|(_, text)| serde_yaml::from_str(text).unwrap()).collect());
    &CRDS
}

fn kind(crd: &Value) -> &str {
    crd.pointer("/spec/names/kind").and_then(Value::as_str).unwrap()
}

fn version(crd: &Value) -> &Value {
    crd.pointer("/spec/versions/0").unwrap()
}

fn walk<'a>(path: String, schema: &'a Value, named: bool, found: &mut Vec<Found<'a>>) {
    for (name, field) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        walk(format!("{path}.{name}"), field, true, found);
    }
    for (key, mark) in [("items", "[]"), ("additionalProperties", "{}")] {
        if let Some(inner) = schema.get(key).filter(|inner| inner.is_object()) {
            walk(format!("{path}{mark}"), inner, false, found);
        }
    }
    found.push(Found { path, schema, named });
}

/// Where this holds, among all schemas of all kinds.
fn places(wrong: impl Fn(&Found<'_>) -> bool) -> Vec<String> {
    let mut all = Vec::new();
    for crd in crds() {
        walk(kind(crd).to_owned(), version(crd).pointer("/schema/openAPIV3Schema").unwrap(), true, &mut all);
    }
    assert!(all.len() > 200, "only {} schemas were looked at", all.len());
    all.iter().filter(|found| wrong(found)).map(|found| found.path.clone()).collect()
}

const NONE: [&str; 0] = [];

#[test]
fn the_committed_files_are_those_that_the_types_give() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("crds");
    let generated = files().unwrap();
    for (name, text) in &generated {
        let committed = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        assert!(committed == *text, "crds/{name} is not what the types give; write it anew with: cargo run -- crds");
    }
    let mut names: Vec<String> =
        std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    let mut wanted: Vec<String> = generated.into_iter().map(|(name, _)| name).collect();
    wanted.sort();
    assert_eq!(names, wanted, "crds/ holds other files than `cargo run -- crds` writes");
}

#[test]
fn every_field_is_explained() {
    assert_eq!(
        places(
            |it| it.named && it.schema.get("description").and_then(Value::as_str).is_none_or(|d| d.trim().is_empty())
        ),
        NONE
    );
}

#[test]
fn every_text_has_a_maximum() {
    let free = |it: &Found<'_>| it.is("string") && it.schema.get("format").and_then(Value::as_str) != Some("date-time");
    assert_eq!(places(|it| free(it) && !it.has("enum") && !it.has("maxLength")), NONE);
    assert_eq!(places(|it| it.has("x-kubernetes-int-or-string") && !it.has("maxLength")), NONE);
}

#[test]
fn every_list_and_every_map_has_a_maximum() {
    assert_eq!(places(|it| it.is("array") && !it.has("maxItems")), NONE);
    assert_eq!(places(|it| it.is("object") && it.has("additionalProperties") && !it.has("maxProperties")), NONE);
}

#[test]
fn every_place_has_a_type_and_only_copies_are_opaque() {
    assert_eq!(places(|it| !it.has("type") && !it.has("x-kubernetes-int-or-string")), NONE);
    let mut opaque = places(|it| it.has("x-kubernetes-preserve-unknown-fields"));
    opaque.retain(|path| {
        let name = path.rsplit('.').next().unwrap_or_default();
        !["frozen", "before", "after", "facts", "restore", "contexts[]"].contains(&name)
    });
    assert_eq!(
        opaque, NONE,
        "what is not checked by the API server is a copy of what was read, or a caller's own context"
    );
}

#[test]
fn nothing_is_said_by_alternatives_whose_refusal_nobody_can_read() {
    assert_eq!(places(|it| ["oneOf", "anyOf", "allOf", "not"].iter().any(|key| it.has(key))), NONE);
}

#[test]
fn every_rule_has_a_sentence() {
    let silent = |rule: &Value| {
        let message = rule.get("message").and_then(Value::as_str).unwrap_or_default();
        message.split_whitespace().count() < 3 && rule.get("messageExpression").is_none()
    };
    let rules = |it: &Found<'_>| {
        it.schema.get("x-kubernetes-validations").and_then(Value::as_array).cloned().unwrap_or_default()
    };
    assert_eq!(places(|it| rules(it).iter().any(silent)), NONE);
    assert!(places(|it| !rules(it).is_empty()).len() > 5, "the rules were not found");
}

fn texts<'a>(crd: &'a Value, list: &str, key: &str) -> Vec<&'a str> {
    let items = version(crd).get(list).and_then(Value::as_array);
    items.into_iter().flatten().map(|item| item.get(key).and_then(Value::as_str).unwrap()).collect()
}

#[test]
fn kubectl_get_shows_what_a_person_looks_for() {
    let shown: Vec<String> = crds()
        .iter()
        .map(|crd| format!("{}: {}", kind(crd), texts(crd, "additionalPrinterColumns", "name").join(" ")))
        .collect();
    assert_eq!(
        shown,
        [
            "Runbook: Ready Steps Gates Touches Owner Reason Message Age",
            "RunbookRun: Phase Step Waiting-On Runbook Incident Asked-By Ratified In-Place Message Age",
            "Approval: State Decided-By Role Action Code Asked-By Expires Run Kind Gate Approve Deny",
            "ActionRecord: Result Verified State Approved-By Summary Time Action Target Incident Run Step Revert-Due Note Revert-Of",
            "Incident: Phase Severity Summary Runs In-Place Started TTD TTA TTM TTR Follow-Ups Retro Age",
        ]
    );
}

#[test]
fn every_column_and_every_selector_is_a_field() {
    for crd in crds() {
        let mut paths = texts(crd, "additionalPrinterColumns", "jsonPath");
        paths.extend(texts(crd, "selectableFields", "jsonPath"));
        for path in paths {
            // Metadata is Kubernetes' own, and `conditions[?(...)]` is looked for in the list.
            let plain = path.split('[').next().unwrap();
            if plain.starts_with(".metadata.") {
                continue;
            }
            let pointer: String =
                plain.trim_start_matches('.').split('.').map(|name| format!("/properties/{name}")).collect();
            let schema = version(crd).pointer("/schema/openAPIV3Schema").unwrap();
            assert!(schema.pointer(&pointer).is_some(), "{}: there is no {path}", kind(crd));
        }
    }
}

#[test]
fn runs_and_records_can_be_selected_by_what_they_are_looked_for() {
    let selectable: Vec<String> = crds()
        .iter()
        .map(|crd| format!("{}: {}", kind(crd), texts(crd, "selectableFields", "jsonPath").join(" ")))
        .collect();
    assert_eq!(
        selectable,
        [
            "Runbook: ",
            "RunbookRun: .spec.runbook .spec.incident .spec.revertOf .status.phase .status.finished",
            "Approval: .spec.request.run",
            "ActionRecord: .spec.run .spec.incident .status.state",
            "Incident: .status.phase",
        ]
    );
}

#[test]
fn names_are_short_and_together() {
    let named: Vec<String> = crds()
        .iter()
        .map(|crd| {
            let names = crd.pointer("/spec/names").unwrap();
            let word = |key: &str| names.get(key).unwrap().to_string().replace('"', "");
            format!(
                "{} {} {} {}",
                word("plural"),
                word("shortNames"),
                word("categories"),
                crd.pointer("/spec/scope").unwrap().as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(
        named,
        [
            "runbooks [rbk] [firstaid] Namespaced",
            "runbookruns [rbr] [firstaid] Namespaced",
            "approvals [apv] [firstaid] Namespaced",
            "actionrecords [arec] [firstaid-records] Namespaced",
            "incidents [inc] [firstaid] Namespaced",
        ]
    );
}
