//! Whether a runbook makes sense, as the operator itself sees it: it is rehearsed with a cluster of which nothing is known.

use jiff::Timestamp;
use serde_json::Value;

use super::finding::Problem;
use super::reference::{Known, strangers};
use super::schema::Path;
use super::yaml::{Node, Place, What};
use crate::action::Seen;
use crate::api::runbook::Requirement;
use crate::api::step::{Action, NO_GATE, OnFailure};
use crate::api::{Runbook, Step};
use crate::plan::{self, Memory, Operator, Rehearsal, World};

/// What the operator would say of it without having seen the cluster, and what a reviewer would ask.
pub fn nonsense(runbook: &Runbook, node: &Node, roles: &[String]) -> Vec<Problem> {
    let spec = Path::parse("spec");
    let mut found = of_parameters(runbook, node, &spec);
    let parameters_fit = found.is_empty();
    for (index, step) in runbook.spec.steps.iter().enumerate() {
        let path = spec.field("steps").item(index);
        let strange = of_references(runbook, index, node, &path);
        // The operator stumbles over the same.
        if strange.is_empty() && parameters_fit {
            found.extend(of_step(runbook, step, node, &path));
        }
        found.extend(strange);
    }
    found.extend(of_roles(runbook, node, &spec, roles));
    found.extend(warnings(runbook, node, &spec));
    found
}

/// What a rehearsal says of a runbook that has these parts alone.
fn refused(runbook: &Runbook) -> Option<String> {
    let world = World {
        now: Timestamp::UNIX_EPOCH,
        seen: Seen::default().within("NAMESPACE"),
        memory: Memory::default(),
        operator: Operator::default(),
    };
    match plan::rehearse(runbook, &world) {
        Rehearsal::Stalled { sentence, .. } => Some(sentence),
        Rehearsal::Ready(_) | Rehearsal::Look(_) | Rehearsal::Unclear(_) => None,
    }
}

fn of_parameters(runbook: &Runbook, node: &Node, spec: &Path) -> Vec<Problem> {
    let mut found = Vec::new();
    for (index, parameter) in runbook.spec.parameters.iter().enumerate() {
        let path = spec.field("parameters").item(index);
        let mut alone = runbook.clone();
        alone.spec.parameters = vec![parameter.clone()];
        alone.spec.steps.clear();
        if let Some(sentence) = refused(&alone) {
            let here = path.in_node(node);
            let value = here.get("default").or_else(|| here.get("sample")).map_or(here.place, |value| value.place);
            found.push(Problem::at(value, &path, sentence, "give it a value that its own type and bounds allow"));
        }
    }
    found
}

fn of_step(runbook: &Runbook, step: &Step, node: &Node, path: &Path) -> Option<Problem> {
    let mut alone = runbook.clone();
    alone.spec.steps = vec![step.clone()];
    let sentence = refused(&alone)?;
    let here = path.in_node(node);
    let action = here.field(step.action.key());
    // `scale: replicas must be ...`
    let named = action.and_then(|action| match &action.value.what {
        What::Fields(fields) => fields.iter().find(|field| sentence.contains(&format!(": {} ", field.key))),
        _ => None,
    });
    // A step's own name is quoted in front.
    let (_, said) = sentence.split_once(": ").unwrap_or(("", &sentence));
    let place = quoted_in(here, said)
        .or(named.map(|field| field.value.place))
        .or_else(|| quoted_in(Path::parse("spec.parameters").in_node(node), said))
        .or(action.map(|action| action.place))
        .unwrap_or(here.place);
    Some(Problem::at(place, path, sentence, "mend it here: the operator would say the same of it on the cluster"))
}

/// The value that a sentence quotes: of several the longest.
fn quoted_in(node: &Node, sentence: &str) -> Option<Place> {
    scalars(node)
        .into_iter()
        .filter(|(_, text)| {
            let inner = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
            !inner.is_empty() && (sentence.contains(&format!("{inner:?}")) || sentence.contains(&format!("{text:?}")))
        })
        .max_by_key(|(_, text)| text.len())
        .map(|(place, _)| place)
}

fn scalars(node: &Node) -> Vec<(Place, String)> {
    match &node.what {
        What::List(items) => items.iter().flat_map(scalars).collect(),
        What::Fields(fields) => fields.iter().flat_map(|field| scalars(&field.value)).collect(),
        What::Text(text) => vec![(node.place, text.clone())],
        What::Null | What::Bool(_) | What::Number(_) => vec![(node.place, node.written.clone())],
    }
}

/// Names in expressions that nothing has.
fn of_references(runbook: &Runbook, index: usize, node: &Node, path: &Path) -> Vec<Problem> {
    let here = path.in_node(node);
    let known = |roots| Known {
        roots,
        parameters: runbook.spec.parameters.iter().map(|p| p.name.as_str()).collect(),
        earlier: runbook.spec.steps.iter().take(index).map(|s| s.name.as_str()).collect(),
        later: runbook.spec.steps.iter().skip(index).map(|s| s.name.as_str()).collect(),
    };
    let mut found = Vec::new();
    let mut look = |place: Place, expression: &str, known: &Known<'_>| {
        for (sentence, instead) in strangers(expression, known) {
            found.push(Problem::at(place, path, sentence, instead));
        }
    };
    if let Some(when) = here.get("when")
        && let Some(text) = when.text()
    {
        look(when.place, text, &known(&["params", "steps"]));
    }
    let that = here.get("check").and_then(|check| check.get("that"));
    if let Some(that) = that
        && let Some(text) = that.text()
    {
        look(that.place, text, &known(&["object", "params"]));
    }
    for (place, text) in scalars(here) {
        let is_code =
            that.is_some_and(|that| that.place == place) || here.get("when").is_some_and(|when| when.place == place);
        if let Some(inner) = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).filter(|_| !is_code) {
            look(place, inner, &known(&["params", "run"]));
        }
    }
    found
}

/// Roles that nobody can have, where it was said which there are.
fn of_roles(runbook: &Runbook, node: &Node, spec: &Path, roles: &[String]) -> Vec<Problem> {
    let mut found = Vec::new();
    let unknown = |required: &Requirement| !roles.is_empty() && !roles.contains(&required.role);
    for (g, gate) in runbook.spec.gates.iter().enumerate() {
        for (r, required) in gate.requires.iter().enumerate().filter(|(_, required)| unknown(required)) {
            let path = spec.field("gates").item(g).field("requires").item(r).field("role");
            let known: Vec<&str> = roles.iter().map(String::as_str).collect();
            found.push(Problem::at(
                path.in_node(node).place,
                &path,
                format!("gate {} could never be opened: nobody has the role {}", gate.name, required.role),
                super::schema::offer(&required.role, &known),
            ));
        }
    }
    found
}

fn warnings(runbook: &Runbook, node: &Node, spec: &Path) -> Vec<Problem> {
    let mut found = Vec::new();
    let steps = &runbook.spec.steps;
    let written: String = scalars(spec.field("steps").in_node(node)).into_iter().map(|(_, text)| text + "\n").collect();
    for (index, step) in steps.iter().enumerate().filter(|(_, step)| step.action.changes()) {
        let path = spec.field("steps").item(index);
        let here = path.in_node(node);
        if step.gate.as_deref() == Some(NO_GATE) {
            let place = here.get("gate").map_or(here.place, |gate| gate.place);
            let sentence = format!("step {} changes something, and nobody is asked before", step.name);
            let instead = "name a gate; whoever applies this as it is needs the role firstaid-policy-admin";
            found.push(Problem::at(place, &path, sentence, instead).warning());
        }
        let checked = steps.iter().skip(index).any(|later| !later.action.changes());
        let undone = step.on_failure == OnFailure::Revert || step.revert_after.is_some();
        if !checked && !undone {
            let place = here.field(step.action.key()).map_or(here.place, |field| field.place);
            let sentence =
                format!("after step {} nothing checks whether it helped, and nothing takes it back", step.name);
            let instead = match step.action {
                Action::Restart(_) => {
                    "add a step with check: {object: {kind: KIND, name: NAME}, that: \"object.status.readyReplicas >= 1\"}"
                }
                _ => "add a step with check, or onFailure: Revert, or revertAfter: 2h",
            };
            found.push(Problem::at(place, &path, sentence, instead).warning());
        }
    }
    for (index, gate) in runbook.spec.gates.iter().enumerate() {
        if !steps.iter().any(|step| step.gate.as_ref() == Some(&gate.name)) {
            let path = spec.field("gates").item(index).field("name");
            let sentence = format!("no step names the gate {}: nobody is asked by it", gate.name);
            found.push(
                Problem::at(path.in_node(node).place, &path, sentence, "name it in a step, or leave it out").warning(),
            );
        }
    }
    for (index, parameter) in runbook.spec.parameters.iter().enumerate() {
        let used = ["params.", "params['", "params[\""].iter().any(|prefix| names(&written, prefix, &parameter.name));
        if !used {
            let path = spec.field("parameters").item(index).field("name");
            let sentence = format!("no step uses the parameter {}: whoever sets it changes nothing", parameter.name);
            let instead = format!("write ${{params.{}}} where its value is meant, or leave it out", parameter.name);
            found.push(Problem::at(path.in_node(node).place, &path, sentence, instead).warning());
        }
    }
    if let Some(status) = node.field("status") {
        let sentence = "status is written by the operator, and the API server drops it here";
        found.push(Problem::at(status.place, &Path::parse("status"), sentence, "leave it out").warning());
    }
    found
}

/// Whether the text has the name after the prefix, and no longer name.
fn names(text: &str, prefix: &str, name: &str) -> bool {
    text.split(prefix).skip(1).any(|rest| {
        rest.strip_prefix(name).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_'))
    })
}

/// The runbook of a document that fits its schema.
pub fn runbook(object: &Value) -> Result<Runbook, String> {
    serde_json::from_value(object.clone()).map_err(|error| error.to_string())
}
