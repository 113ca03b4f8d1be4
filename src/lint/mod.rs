//! `firstaid lint`: whether a file holds runbooks that the API server takes and the operator can rehearse, told without a
//! cluster, for whoever reviews a change before it is needed at night.
//!
//! ```text
//! text -> yaml (as kubectl reads it, with places) -> schema and rules (of the installed kind itself)
//!                                                 -> sense (the operator's own rehearsal, and expressions' references)
//! ```
//!
//! No rule is written twice: the schema and its CEL are those of [`crate::api::crds`], and what an expression or a parameter
//! must be is asked of [`crate::plan::rehearse`].

mod finding;
mod instead;
mod reference;
mod rules;
mod schema;
mod sense;
mod yaml;

#[cfg(test)]
mod tests;

pub use finding::{Finding, Level, Problem};
pub use yaml::Place;

use kube::{CustomResourceExt as _, Resource as _};
use serde_json::{Value, json};

use self::rules::Rules;
use self::schema::Path;
use self::yaml::Node;
use crate::api::{Runbook, crds};

/// The largest file that is read: a hundred times what the API server takes of one object.
pub const LARGEST: usize = 16 << 20;
/// The most findings of one file that are shown.
const MOST_FINDINGS: usize = 200;

/// What was found in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// In the order of the file.
    pub findings: Vec<Finding>,
    /// How many runbooks there are, in order or not.
    pub runbooks: usize,
    /// How many other objects there are, which are not looked at.
    pub others: usize,
}

/// What files are held against.
pub struct Linter {
    schema: Value,
    rules: Rules,
    roles: Vec<String>,
}

impl Linter {
    /// The linter for the kind as this program installs it. Roles: those that people have on the platform; where none is
    /// named every role is taken for one.
    ///
    /// # Errors
    /// Where the kind has no schema, which a test would have shown.
    pub fn new(roles: Vec<String>) -> serde_json::Result<Self> {
        let schema = schema_of_kind()?;
        Ok(Self { rules: Rules::of(&schema), schema, roles })
    }

    /// What is wrong with a text.
    pub fn lint(&self, file: &str, text: &str) -> Report {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut report = Report::default();
        let mut problems = Vec::new();
        for (line, document) in yaml::documents(text) {
            match yaml::read(&document, line) {
                Ok(Some(node)) => self.object(&node, &mut report, &mut problems),
                Ok(None) => {}
                Err(broken) => {
                    // What cannot be read may be a runbook, and is not to be passed by.
                    report.runbooks += 1;
                    problems.push(Problem::at(broken.place, &Path::default(), broken.sentence, broken.instead));
                }
            }
        }
        problems.sort_by_key(|problem| (problem.place, problem.level));
        problems.dedup_by(|a, b| a.place == b.place && a.sentence == b.sentence);
        // Nobody reads more of one file, and each holds a line of it.
        if problems.len() > MOST_FINDINGS {
            // What a pipeline stops at is not what is left out.
            problems.sort_by_key(|problem| problem.level);
            problems.truncate(MOST_FINDINGS);
            problems.sort_by_key(|problem| (problem.place, problem.level));
            if let Some(last) = problems.last_mut() {
                last.sentence += &format!("; and more than {MOST_FINDINGS} findings are not shown");
            }
        }
        let lines: Vec<&str> = yaml::lines(text).collect();
        let line = |place: Place| lines.get(place.line.saturating_sub(1)).copied().unwrap_or_default().to_owned();
        report.findings = problems
            .into_iter()
            .map(|problem| Finding { file: file.to_owned(), line: line(problem.place), problem })
            .collect();
        report
    }

    /// One object, or a list of them as `kubectl get -o yaml` prints it.
    fn object(&self, node: &Node, report: &mut Report, problems: &mut Vec<Problem>) {
        let root = Path::default();
        // Values of a chart, a schema, a text: whoever names a folder has more in it than objects.
        if node.get("kind").is_none() && node.get("apiVersion").is_none() {
            report.others += 1;
            return;
        }
        let named = |field: &str| node.get(field).and_then(Node::text).unwrap_or_default();
        let (kind, version) = (named("kind"), named("apiVersion"));
        let (ours, wanted) = (format!("{}/", Runbook::group(&())), Runbook::api_version(&()));
        if kind == "List" && version == "v1" {
            node.get("items")
                .map(Node::items)
                .into_iter()
                .flatten()
                .for_each(|item| self.object(item, report, problems));
            return;
        }
        if version.starts_with(&ours) && version != wanted {
            let place = node.get("apiVersion").map_or(node.place, |value| value.place);
            let sentence = format!("there is no version {version}");
            problems.push(Problem::at(place, &root.field("apiVersion"), sentence, format!("write {wanted}")));
        } else if kind == "Runbook" && version != wanted && (version.is_empty() || version.contains("firstaid")) {
            let place = node.get("apiVersion").map_or(node.place, |value| value.place);
            let sentence = "this Runbook does not say in which version it is written";
            problems.push(Problem::at(
                place,
                &root.field("apiVersion"),
                sentence,
                format!("write apiVersion: {wanted}"),
            ));
        } else if version == wanted && !KINDS.contains(&kind) {
            let place = node.get("kind").map_or(node.place, |value| value.place);
            let sentence = format!("First Aid has no kind {kind:?}");
            problems.push(Problem::at(place, &root.field("kind"), sentence, schema::offer(kind, &KINDS)));
        } else if kind != "Runbook" || version != wanted {
            report.others += 1;
            return;
        }
        report.runbooks += 1;
        if kind == "Runbook" && version == wanted {
            problems.extend(self.runbook(node));
        }
    }

    fn runbook(&self, node: &Node) -> Vec<Problem> {
        let mut problems = schema::unfit(&self.schema, node, &Path::default());
        let mut object = schema::as_stored(&self.schema, &node.json());
        if object.get("spec").is_some_and(is_out_of_bounds) {
            return problems;
        }
        let broken = self.rules.broken(&object, node);
        // What is said of a part in which something else is wrong already may come of that alone.
        add(&mut problems, broken);
        if let Some(fields) = object.as_object_mut() {
            fields.remove("status");
        }
        match sense::runbook(&object) {
            Ok(runbook) => add(&mut problems, sense::nonsense(&runbook, node, &self.roles)),
            Err(_) if problems.iter().any(|problem| problem.level == Level::Error) => {}
            Err(why) => {
                let place = node.field("spec").map_or(node.place, |spec| spec.place);
                let instead = "look at the example: kubectl explain runbook.spec";
                problems.push(Problem::at(
                    place,
                    &Path::parse("spec"),
                    format!("this runbook cannot be read: {why}"),
                    instead,
                ));
            }
        }
        problems
    }
}

/// The kinds of First Aid.
const KINDS: [&str; 5] = ["Runbook", "RunbookRun", "Approval", "ActionRecord", "Incident"];

/// Whether it is larger than any schema of ours allows: that has been said, and rules over all pairs of 9,000 steps take
/// longer than anybody waits.
fn is_out_of_bounds(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.len() > 64 || items.iter().any(is_out_of_bounds),
        Value::Object(fields) => fields.len() > 256 || fields.values().any(is_out_of_bounds),
        Value::String(text) => text.len() > 1 << 16,
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Adds what is about other parts than what was found before.
fn add(problems: &mut Vec<Problem>, more: Vec<Problem>) {
    let errors: Vec<Path> = problems.iter().filter(|p| p.level == Level::Error).map(|p| p.path.clone()).collect();
    let is_new = |problem: &Problem| !errors.iter().any(|path| problem.path.holds(path) || path.holds(&problem.path));
    problems.extend(more.into_iter().filter(is_new));
}

/// The schema of a Runbook as it is installed, with what the API server knows of every object.
fn schema_of_kind() -> serde_json::Result<Value> {
    let crd = Runbook::crd_name();
    let all = crds::all()?;
    let found = all.into_iter().find(|(file, _)| file.strip_suffix(".yaml") == Some(crd)).map(|(_, crd)| crd);
    let mut schema = found
        .and_then(|crd| crd.pointer("/spec/versions/0/schema/openAPIV3Schema").cloned())
        .unwrap_or_else(|| json!({"type": "object"}));
    let text = json!({"type": "string"});
    let texts = json!({"type": "object", "additionalProperties": {"type": "string"}});
    let anything = json!({"x-kubernetes-preserve-unknown-fields": true});
    let name = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";
    let metadata = json!({
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "minLength": 1, "maxLength": 253, "pattern": name,
                "description": "A name has lower-case letters, digits and dashes"},
            "generateName": text, "namespace": text, "labels": texts, "annotations": texts,
            "finalizers": {"type": "array", "items": text}, "ownerReferences": anything, "managedFields": anything,
            "uid": text, "resourceVersion": text, "generation": {"type": "integer"}, "selfLink": text,
            "creationTimestamp": anything, "deletionTimestamp": anything, "deletionGracePeriodSeconds": {"type": "integer"},
        },
    });
    for (pointer, key, value) in [
        ("/properties", "apiVersion", text.clone()),
        ("/properties", "kind", text),
        ("/properties", "metadata", metadata),
        ("/properties", "status", anything),
        ("", "required", json!(["apiVersion", "kind", "metadata", "spec"])),
    ] {
        if let Some(fields) = schema.pointer_mut(pointer).and_then(Value::as_object_mut) {
            fields.insert(key.to_owned(), value);
        }
    }
    Ok(schema)
}
