//! What the API server refuses, and with which sentence.

use anyhow::{Context, Result, ensure};
use firstaid_sandbox::Output;
use serde_json::{Value, json};

use crate::town::{Leg, Town};

/// The person tries this in vain, and is told why.
pub fn refused(town: &Town, person: &str, args: &[&str], sentence: &str) -> Result<()> {
    judge(person, &args.join(" "), &town.kubectl(person, args)?, sentence)
}

/// The person marks a ballot in vain, and is told why.
pub fn refused_mark(town: &Town, person: &str, ballot: &str, mark: &str, sentence: &str) -> Result<()> {
    judge(person, mark, &town.mark(person, ballot, mark)?, sentence)
}

/// The person creates this in vain, and is told why.
pub fn refused_create(town: &Town, person: &str, object: &Value, sentence: &str) -> Result<()> {
    let output = create(town, person, object)?;
    judge(person, &format!("create {object}"), &output, sentence)
}

/// Creates this, whatever comes of it.
pub fn create(town: &Town, person: &str, object: &Value) -> Result<Output> {
    town.sandbox.kubectl_input(person, &["create", "-n", &town.namespace, "-f", "-"], &object.to_string())
}

fn judge(person: &str, what: &str, output: &Output, sentence: &str) -> Result<()> {
    ensure!(!output.success(), "{person} was not refused: {what}\n{}", output.stdout);
    ensure!(output.stderr.contains(sentence), "{person}, {what}: wanted \"{sentence}\", got: {}", output.stderr);
    Ok(())
}

/// A run of a runbook, as JSON, with the requester's name where it must be typed.
pub fn run(leg: Leg, runbook: &str, name: &str, person: &str) -> Value {
    let mut run = json!({
        "apiVersion": "firstaid.dev/v1alpha1", "kind": "RunbookRun", "metadata": {"name": name},
        "spec": {"runbook": runbook, "reason": "queue grows"},
    });
    if leg == Leg::Plain {
        run["spec"]["requestedBy"] = json!({"username": person});
    }
    run
}

/// The same object under another name, as if it were new.
pub fn copied(object: &Value, name: &str) -> Result<Value> {
    let mut copy = object.clone();
    let namespace = copy.pointer("/metadata/namespace").cloned().context("a namespace")?;
    let labels = copy.pointer("/metadata/labels").cloned().unwrap_or(json!({}));
    copy["metadata"] = json!({"name": name, "namespace": namespace, "labels": labels});
    Ok(copy)
}

/// A robot of this namespace, with every right in the cluster, under the name of a person.
pub fn robot(town: &Town) -> Result<String> {
    let (namespace, name) = (&town.namespace, format!("robot-{}", town.namespace));
    town.kubectl("root", &["create", "serviceaccount", "bot"])?.ok()?;
    let account = format!("--serviceaccount={namespace}:bot");
    town.kubectl("root", &["create", "clusterrolebinding", &name, "--clusterrole=cluster-admin", &account])?.ok()?;
    town.sandbox.sign_in_service_account(&name, namespace, "bot")?;
    Ok(name)
}
