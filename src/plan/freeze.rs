//! Taking a run up: the runbook as it is now, with the run's parameters filled in, frozen for good.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::expression::{self, ExpressionError};
use crate::api::action_record::Cluster;
use crate::api::runbook::{Gate, Parameter, ParameterType, Runbook, RunbookSpec};
use crate::api::step::Action;
use crate::api::{RunbookRun, SCHEMA_VERSION, Step};

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
        let text = given.get(&declared.name).or(declared.default.as_ref()).ok_or_else(|| Unfit::Missing(declared.name.clone()))?;
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
        let text = declared.default.as_ref().or(declared.sample.as_ref()).ok_or_else(|| Unfit::Missing(declared.name.clone()))?;
        parameters.insert(declared.name.clone(), typed(declared, text)?);
    }
    let run = json!({"name": "rehearsal", "namespace": runbook.metadata.namespace, "reason": "rehearsal", "incident": ""});
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

fn resolve(runbook: &Runbook, parameters: Value, run: &Value, cluster: &Cluster, now: Timestamp) -> Result<Frozen, Unfit> {
    consistent(&runbook.spec)?;
    let variables = [("params", &parameters), ("run", run)];
    let steps: Vec<Step> = runbook.spec.steps.iter().map(|step| fill_in(step, &variables)).collect::<Result<_, _>>()?;
    steps.iter().try_for_each(selects)?;
    Ok(Frozen {
        schema_version: SCHEMA_VERSION,
        at: MicroTime(now),
        cluster: cluster.clone(),
        runbook: runbook.metadata.name.clone().unwrap_or_default(),
        runbook_uid: runbook.metadata.uid.clone().unwrap_or_default(),
        runbook_generation: runbook.metadata.generation.unwrap_or_default(),
        runbook_digest: super::digest::of(&runbook.spec),
        service_account: runbook.spec.service_account_name.clone(),
        parameters,
        gates: runbook.spec.gates.clone(),
        steps,
    })
}

/// Whether a step names what it is about, once its expressions are filled in: nothing else checks what a parameter holds.
/// To the API server an empty name is the list of all, and a slash leads somewhere else.
fn selects(step: &Step) -> Result<(), Unfit> {
    let (object, others): (&str, Vec<(&str, &str)>) = match &step.action {
        Action::Scale(scale) => (&scale.target.name, Vec::new()),
        Action::Restart(restart) => (&restart.target.name, Vec::new()),
        Action::Check(check) => (&check.object.name, Vec::new()),
        Action::Disable(disable) => match (&disable.config_map, &disable.feature_flag) {
            (Some(map), _) => (&map.name, vec![("flag", &disable.flag), ("key", &map.key)]),
            (None, resource) => (resource.as_ref().map_or("", |r| r.name.as_str()), vec![("flag", &disable.flag)]),
        },
    };
    if let Some((what, _)) = others.iter().find(|(_, text)| text.trim().is_empty()) {
        return Err(Unfit::Contradiction(format!("step {:?} names no {what}: what is empty selects nothing, and never all", step.name)));
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':');
    if object.is_empty() || matches!(object, "." | "..") || !object.chars().all(fits) {
        return Err(Unfit::Contradiction(format!("step {:?} names the object {object:?}, which is no name of an object", step.name)));
    }
    Ok(())
}

/// The step with its expressions filled in. A check's own expression is no template and stays.
fn fill_in(step: &Step, variables: &[(&str, &Value)]) -> Result<Step, Unfit> {
    let broken = |error| Unfit::Expression { step: step.name.clone(), error };
    if let Some(when) = &step.when {
        expression::compile(when).map_err(broken)?;
    }
    if let Action::Check(check) = &step.action {
        expression::compile(&check.that).map_err(broken)?;
        return Ok(step.clone());
    }
    let raw = serde_json::to_value(&step.action).map_err(|e| Unfit::Shape(e.to_string()))?;
    let filled = expression::fill_in(&raw, variables).map_err(broken)?;
    let action = serde_json::from_value(filled)
        .map_err(|e| Unfit::Contradiction(format!("step {:?}: an expression gives a value of the wrong type: {e}", step.name)))?;
    Ok(Step { action, ..step.clone() })
}

fn typed(declared: &Parameter, text: &str) -> Result<Value, Unfit> {
    let unfit = |wanted: String| Unfit::Value { name: declared.name.clone(), value: text.to_owned(), wanted };
    match declared.kind {
        ParameterType::String if declared.allowed.is_empty() || declared.allowed.iter().any(|a| a == text) => Ok(Value::from(text)),
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
            let fits = declared.minimum.is_none_or(|least| number >= least) && declared.maximum.is_none_or(|most| number <= most);
            if fits { Ok(Value::from(number)) } else { Err(unfit(wanted)) }
        }
    }
}

/// What the API server's rules say of a runbook, for runbooks that have not met it. Guards are never optional.
fn consistent(spec: &RunbookSpec) -> Result<(), Unfit> {
    for (index, step) in spec.steps.iter().enumerate() {
        let name = &step.name;
        if spec.steps.iter().take(index).any(|earlier| earlier.name == *name) {
            return Err(Unfit::Contradiction(format!("two steps have the same name {name:?}")));
        }
        match &step.gate {
            None if step.action.changes() => {
                return Err(Unfit::Contradiction(format!("step {name:?} changes something and needs a gate: the name of one of spec.gates, or None")));
            }
            Some(gate) if gate != crate::api::step::NO_GATE && !spec.gates.iter().any(|g| g.name == *gate) => {
                return Err(Unfit::Contradiction(format!("step {name:?} names the gate {gate:?}, which is not in spec.gates")));
            }
            Some(_) | None => {}
        }
    }
    Ok(())
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
                "steps": [{"name": "out", "gate": "on-call", "scale": {"target": {"kind": "Deployment", "name": "${params.service}"}, "replicas": "${params.replicas}"}}]}})
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

    #[test]
    fn a_rehearsal_uses_defaults_and_samples() {
        let runbook: Runbook = serde_json::from_value(runbook()).unwrap();
        let frozen = rehearse(&runbook, &Cluster::default(), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(frozen.parameters, json!({"replicas": 10, "service": "checkout"}));
    }
}
