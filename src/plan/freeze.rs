//! Taking a run up: the runbook as it is now, with the run's parameters filled in, frozen for good.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::undo::Original;
use crate::action;
use crate::api::action_record::Cluster;
use crate::api::runbook::{Gate, Parameter, ParameterType, Runbook, RunbookSpec};
use crate::api::step::{Action, Check, Undoing};
use crate::api::{AUTHOR_ANNOTATION, RunbookRun, SCHEMA_VERSION, Step};
use crate::expression::{self, ExpressionError};

/// What a run works from: validated once, then the runbook itself is never looked at again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Frozen {
    /// Version of this format.
    pub schema_version: i32,
    /// When it was frozen.
    pub at: MicroTime,
    /// The cluster, so that records say the same however often they are made.
    pub cluster: Cluster,
    /// Name of the runbook.
    pub runbook: String,
    /// Uid of the runbook.
    #[serde(rename = "runbookUID")]
    pub runbook_uid: String,
    /// Generation of the runbook.
    pub runbook_generation: i64,
    /// Who last changed what the runbook does, where the cluster stamps that.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// Digest of the runbook's spec.
    pub runbook_digest: String,
    /// Identity of every read and write.
    pub service_account: String,
    /// The parameters, typed.
    pub parameters: Value,
    /// The gates.
    pub gates: Vec<Gate>,
    /// The steps, without expressions.
    pub steps: Vec<Step>,
    /// The run that this one undoes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revert_of: Option<Original>,
}

impl Frozen {
    /// What a step undoes of another run, where it does.
    pub(super) fn undoing(&self, step: &str) -> Option<&Undoing> {
        match &self.steps.iter().find(|found| found.name == step)?.action {
            Action::Undo(undoing) => Some(undoing),
            Action::Scale(_) | Action::Restart(_) | Action::Disable(_) | Action::Check(_) => None,
        }
    }
}

/// Why a run cannot be taken up.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The runbook is not of the shape that this version knows.
    #[error("the runbook cannot be read: {0}")]
    Shape(String),
    /// A parameter is not declared.
    #[error("the runbook has no parameter {name:?}; it has: {known}")]
    Unknown {
        /// Its name.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// A parameter has no value.
    #[error("parameter {0:?} needs a value: add it to spec.parameters of the run")]
    Missing(String),
    /// A value is not what the declaration says.
    #[error("parameter {name:?} is {value:?}, but must be {wanted}")]
    Value {
        /// Its name.
        name: String,
        /// What was given.
        value: String,
        /// What it must be.
        wanted: String,
    },
    /// An expression is broken.
    #[error("step {step:?}: {error}")]
    Expression {
        /// The step.
        step: String,
        /// What is wrong.
        error: ExpressionError,
    },
    /// The runbook contradicts itself. The API server refuses these too; a runbook read from a file has not met it yet.
    #[error("{0}")]
    Contradiction(String),
}

/// The run's view of its runbook.
///
/// # Errors
/// [`Unfit`], with a sentence for whoever started the run.
pub fn freeze(run: &RunbookRun, runbook: &Value, cluster: &Cluster, now: Timestamp) -> Result<Frozen, Unfit> {
    let runbook: Runbook = serde_json::from_value(runbook.clone()).map_err(|e| Unfit::Shape(e.to_string()))?;
    let given = &run.spec.parameters;
    if let Some(name) = given.keys().find(|name| !runbook.spec.parameters.iter().any(|p| p.name == **name)) {
        let known: Vec<&str> = runbook.spec.parameters.iter().map(|p| p.name.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(Unfit::Unknown { name: name.clone(), known });
    }
    let mut parameters = Map::new();
    for declared in &runbook.spec.parameters {
        let text = given
            .get(&declared.name)
            .or(declared.default.as_ref())
            .ok_or_else(|| Unfit::Missing(declared.name.clone()))?;
        parameters.insert(declared.name.clone(), typed(declared, text)?);
    }
    resolve(&runbook, Value::Object(parameters), &run_variables(run), cluster, now)
}

/// The runbook with its defaults and samples, for a rehearsal.
///
/// # Errors
/// [`Unfit`], with a sentence for whoever wrote the runbook.
pub fn rehearse(runbook: &Runbook, cluster: &Cluster, now: Timestamp) -> Result<Frozen, Unfit> {
    let mut parameters = Map::new();
    for declared in &runbook.spec.parameters {
        let text = declared
            .default
            .as_ref()
            .or(declared.sample.as_ref())
            .ok_or_else(|| Unfit::Missing(declared.name.clone()))?;
        parameters.insert(declared.name.clone(), typed(declared, text)?);
    }
    let run =
        json!({"name": "rehearsal", "namespace": runbook.metadata.namespace, "reason": "rehearsal", "incident": ""});
    resolve(runbook, Value::Object(parameters), &run, cluster, now)
}

fn run_variables(run: &RunbookRun) -> Value {
    json!({
        "name": run.metadata.name,
        "namespace": run.metadata.namespace,
        "reason": run.spec.reason,
        "incident": run.spec.incident.clone().unwrap_or_default(),
    })
}

fn resolve(
    runbook: &Runbook,
    parameters: Value,
    run: &Value,
    cluster: &Cluster,
    now: Timestamp,
) -> Result<Frozen, Unfit> {
    consistent(&runbook.spec)?;
    let variables = [("params", &parameters), ("run", run)];
    let steps: Vec<Step> = runbook.spec.steps.iter().map(|step| fill_in(step, &variables)).collect::<Result<_, _>>()?;
    steps.iter().try_for_each(names_its_flag)?;
    Ok(Frozen {
        schema_version: SCHEMA_VERSION,
        at: MicroTime(now),
        cluster: cluster.clone(),
        runbook: runbook.metadata.name.clone().unwrap_or_default(),
        runbook_uid: runbook.metadata.uid.clone().unwrap_or_default(),
        runbook_generation: runbook.metadata.generation.unwrap_or_default(),
        author: annotation(runbook, AUTHOR_ANNOTATION),
        runbook_digest: crate::digest::of(&runbook.spec),
        service_account: runbook.spec.service_account_name.clone(),
        parameters,
        gates: runbook.spec.gates.clone(),
        steps,
        revert_of: None,
    })
}

fn annotation(runbook: &Runbook, key: &str) -> String {
    let annotations = runbook.metadata.annotations.as_ref();
    // Whole or not at all: a part of a name is nobody's.
    annotations.and_then(|a| a.get(key)).filter(|value| value.chars().count() <= 256).cloned().unwrap_or_default()
}

/// Whether a flag is named at all, once the expressions are filled in: an empty flag or key selects nothing, and never all.
fn names_its_flag(step: &Step) -> Result<(), Unfit> {
    let Action::Disable(disable) = &step.action else { return Ok(()) };
    let key = disable.config_map.as_ref().map(|map| map.key.as_str());
    if disable.flag.trim().is_empty() || key.is_some_and(|key| key.trim().is_empty()) {
        return Err(Unfit::Contradiction(format!("step {:?} names no flag, or no key of its ConfigMap", step.name)));
    }
    Ok(())
}

/// The step with its expressions filled in. What a check wants to be true is no template and stays, its object is one.
fn fill_in(step: &Step, variables: &[(&str, &Value)]) -> Result<Step, Unfit> {
    let broken = |error| Unfit::Expression { step: step.name.clone(), error };
    if let Some(when) = &step.when {
        expression::compile(when).map_err(broken)?;
    }
    if let Action::Check(check) = &step.action {
        expression::compile(&check.that).map_err(broken)?;
        let object = filled(step, &check.object, variables)?;
        return named(Step { action: Action::Check(Check { object, ..check.clone() }), ..step.clone() });
    }
    named(Step { action: filled(step, &step.action, variables)?, ..step.clone() })
}

/// The step, if its object has a name that can be a part of a request's path.
fn named(step: Step) -> Result<Step, Unfit> {
    match action::object_of(&step.action).map(|object| object.named()) {
        Some(Err(sentence)) => Err(Unfit::Contradiction(format!("step {:?}: {sentence}", step.name))),
        Some(Ok(())) | None => Ok(step),
    }
}

fn filled<T: Serialize + DeserializeOwned>(step: &Step, part: &T, variables: &[(&str, &Value)]) -> Result<T, Unfit> {
    let raw = serde_json::to_value(part).map_err(|e| Unfit::Shape(e.to_string()))?;
    let filled =
        expression::fill_in(&raw, variables).map_err(|error| Unfit::Expression { step: step.name.clone(), error })?;
    serde_json::from_value(filled).map_err(|e| {
        Unfit::Contradiction(format!("step {:?}: an expression gives a value of the wrong type: {e}", step.name))
    })
}

fn typed(declared: &Parameter, text: &str) -> Result<Value, Unfit> {
    let unfit = |wanted: String| Unfit::Value { name: declared.name.clone(), value: text.to_owned(), wanted };
    match declared.kind {
        ParameterType::String if declared.allowed.is_empty() || declared.allowed.iter().any(|a| a == text) => {
            Ok(Value::from(text))
        }
        ParameterType::String => Err(unfit(format!("one of {}", declared.allowed.join(", ")))),
        ParameterType::Boolean => text.parse::<bool>().map(Value::from).map_err(|_| unfit("true or false".to_owned())),
        ParameterType::Integer => {
            let wanted = match (declared.minimum, declared.maximum) {
                (Some(least), Some(most)) => format!("a whole number from {least} to {most}"),
                (Some(least), None) => format!("a whole number, {least} or more"),
                (None, Some(most)) => format!("a whole number, at most {most}"),
                (None, None) => "a whole number".to_owned(),
            };
            let number: i64 = text.parse().map_err(|_| unfit(wanted.clone()))?;
            let fits = declared.minimum.is_none_or(|least| number >= least)
                && declared.maximum.is_none_or(|most| number <= most);
            if fits { Ok(Value::from(number)) } else { Err(unfit(wanted)) }
        }
    }
}

/// What the API server's rules say of a runbook, for runbooks that have not met it. Guards are never optional.
fn consistent(spec: &RunbookSpec) -> Result<(), Unfit> {
    for (index, step) in spec.steps.iter().enumerate() {
        let name = &step.name;
        if matches!(step.action, Action::Undo(_)) {
            return Err(Unfit::Contradiction(format!(
                "step {name:?} is an undo: no runbook has one; undo a run with revertOf"
            )));
        }
        if spec.steps.iter().take(index).any(|earlier| earlier.name == *name) {
            return Err(Unfit::Contradiction(format!("two steps have the same name {name:?}")));
        }
        reverts_in_time(spec, step)?;
        match &step.gate {
            None if step.action.changes() => {
                return Err(Unfit::Contradiction(format!(
                    "step {name:?} changes something and needs a gate: the name of one of spec.gates, or None"
                )));
            }
            Some(gate) if gate != crate::api::step::NO_GATE && !spec.gates.iter().any(|g| g.name == *gate) => {
                return Err(Unfit::Contradiction(format!(
                    "step {name:?} names the gate {gate:?}, which is not in spec.gates"
                )));
            }
            Some(_) | None => {}
        }
    }
    Ok(())
}

/// What `revertAfter` and `autoRevert` of a step must be.
fn reverts_in_time(spec: &RunbookSpec, step: &Step) -> Result<(), Unfit> {
    let unfit = |what: &str| Err(Unfit::Contradiction(format!("step {:?}: {what}", step.name)));
    let Some(period) = &step.revert_after else {
        return if step.auto_revert {
            unfit("autoRevert says how revertAfter is done: say revertAfter, too")
        } else {
            Ok(())
        };
    };
    if !matches!(step.action, Action::Scale(_) | Action::Disable(_)) {
        return unfit("revertAfter is for scale and disable: nothing else is undone");
    }
    let covers = |gate: &Gate| gate.covers_undo.as_ref().is_some_and(|covered| covered.seconds() > period.seconds());
    let gate = spec.gates.iter().find(|gate| step.gate.as_ref() == Some(&gate.name));
    match (step.auto_revert, gate) {
        (false, None) => {
            unfit("a step without a gate asks nobody, neither when its time is over: say autoRevert: true")
        }
        (true, Some(gate)) if !covers(gate) => {
            unfit("autoRevert asks nobody anew: the coversUndo of its gate must be longer than its revertAfter")
        }
        (false, Some(_)) | (true, _) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn runbook() -> Value {
        json!({"apiVersion": "firstaid.dev/v1alpha1", "kind": "Runbook",
            "metadata": {"name": "shed-load", "namespace": "shop", "uid": "rb", "generation": 3},
            "spec": {"summary": "s",
                "parameters": [
                    {"name": "replicas", "type": "integer", "default": "10", "minimum": 2, "maximum": 20},
                    {"name": "service", "type": "string", "sample": "checkout", "enum": ["checkout", "basket"]}],
                "gates": [{"name": "on-call", "requires": [{"role": "sre"}]}],
                "steps": [{"name": "out", "gate": "on-call", "scale": {"target": {"kind": "Deployment", "name": "${params.service}"}, "replicas": "${params.replicas}"}},
                    {"name": "there", "check": {"object": {"kind": "Deployment", "name": "${params.service}"}, "that": "object.metadata.name == params.service"}}]}})
    }

    fn run(parameters: Value) -> RunbookRun {
        serde_json::from_value(json!({"apiVersion": "firstaid.dev/v1alpha1", "kind": "RunbookRun", "metadata": {"name": "r", "namespace": "shop"},
            "spec": {"runbook": "shed-load", "reason": "why", "parameters": parameters}})).unwrap()
    }

    fn frozen(runbook: &Value, parameters: Value) -> Result<Frozen, Unfit> {
        freeze(&run(parameters), runbook, &Cluster::default(), Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn parameters_are_typed_and_filled_in() {
        let frozen = frozen(&runbook(), json!({"service": "basket", "replicas": "12"})).unwrap();
        let step = serde_json::to_value(&frozen.steps[0]).unwrap();
        assert_eq!(step["scale"]["replicas"], json!(12));
        assert_eq!(step["scale"]["target"]["name"], json!("basket"));
        let check = serde_json::to_value(&frozen.steps[1]).unwrap();
        assert_eq!(check["check"]["object"]["name"], json!("basket"));
        assert_eq!(check["check"]["that"], json!("object.metadata.name == params.service"), "it is judged later");
    }

    #[rstest]
    #[case(json!({"service": "basket", "replicas": "ten"}), "is \"ten\", but must be a whole number from 2 to 20")]
    #[case(json!({"service": "basket", "replicas": "99"}), "but must be a whole number from 2 to 20")]
    #[case(json!({"service": "ledger"}), "must be one of checkout, basket")]
    #[case(json!({}), "parameter \"service\" needs a value")]
    #[case(json!({"service": "basket", "speed": "9"}), "no parameter \"speed\"; it has: replicas, service")]
    fn what_is_refused(#[case] parameters: Value, #[case] sentence: &str) {
        let error = frozen(&runbook(), parameters).unwrap_err().to_string();
        assert!(error.contains(sentence), "{error}");
    }

    #[test]
    fn a_changing_step_without_a_gate_is_refused_here_too() {
        let mut runbook = runbook();
        runbook["spec"]["steps"][0].as_object_mut().unwrap().remove("gate");
        assert!(frozen(&runbook, json!({"service": "basket"})).unwrap_err().to_string().contains("needs a gate"));
    }

    #[rstest]
    #[case("../../secrets/x")]
    #[case("a/b")]
    #[case("a?x")]
    #[case("")]
    #[case("a%2fb")]
    fn a_name_that_would_lead_a_request_elsewhere_is_refused(#[case] name: &str) {
        let mut runbook = runbook();
        runbook["spec"]["parameters"][1]["enum"] = json!([]);
        let error = frozen(&runbook, json!({"service": name})).unwrap_err().to_string();
        assert!(error.contains("is no name of a Deployment"), "{error}");
    }

    #[test]
    fn a_check_names_its_object_by_a_parameter_and_keeps_its_own_expression() {
        let mut runbook = runbook();
        let check = json!({"name": "look-too", "check": {"object": {"kind": "Deployment", "name": "${params.service}"}, "that": "object.spec.replicas == params.replicas"}});
        runbook["spec"]["steps"].as_array_mut().unwrap().push(check);
        let frozen = frozen(&runbook, json!({"service": "basket"})).unwrap();
        let step = serde_json::to_value(frozen.steps.last().unwrap()).unwrap();
        assert_eq!(step["check"]["object"]["name"], json!("basket"));
        assert_eq!(step["check"]["that"], json!("object.spec.replicas == params.replicas"));
    }

    #[test]
    fn a_rehearsal_uses_defaults_and_samples() {
        let runbook: Runbook = serde_json::from_value(runbook()).unwrap();
        let frozen = rehearse(&runbook, &Cluster::default(), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(frozen.parameters, json!({"replicas": 10, "service": "checkout"}));
    }
}
