//! What the API server refuses the operator, by somebody else's policy: the run says so, and goes on when it is mended.

use anyhow::{Result, ensure};
use firstaid_sandbox::poll;

use crate::town::{Leg, Town, WITHIN, number, text};

const RUNBOOK: &str = "
apiVersion: firstaid.dev/v1alpha1
kind: Runbook
metadata: {name: room}
spec:
  summary: More pods of checkout
  gates: [{name: on-call, requires: [{role: sre}]}]
  steps:
  - {name: scale-out, gate: on-call, scale: {target: {kind: Deployment, name: checkout}, by: 1}}
";

/// A policy of somebody else, for one namespace.
fn policy(town: &Town, what: &str, operation: &str, resource: &str, expression: &str) -> String {
    let (namespace, name) = (&town.namespace, format!("{}-{what}", town.namespace));
    format!(
        "
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {{name: {name}}}
spec:
  matchConstraints:
    resourceRules:
    - {{apiGroups: [firstaid.dev], apiVersions: ['*'], operations: [{operation}], resources: [{resource}]}}
  validations:
  - {{expression: \"{expression}\", message: 'the {what} are full'}}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: {name}}}
spec:
  policyName: {name}
  validationActions: [Deny]
  matchResources: {{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {namespace}}}}}}}
"
    )
}

fn install(town: &Town, yaml: &str) -> Result<()> {
    town.sandbox.kubectl_input("root", &["create", "-f", "-"], yaml)?.ok()?;
    Ok(())
}

fn remove(town: &Town, yaml: &str) -> Result<()> {
    town.sandbox.kubectl_input("root", &["delete", "-f", "-"], yaml)?.ok()?;
    Ok(())
}

/// The first run that is refused: until the API server knows of the policy others pass.
fn refused_run(town: &Town, prefix: &str, words: &str) -> Result<String> {
    let mut number = 0;
    poll("a run that is refused something", WITHIN, || {
        number += 1;
        let name = format!("{prefix}-{number}");
        town.start("room", &name)?;
        let run = poll("it to say where it stands", WITHIN, || {
            let run = town.get("rbr", &name)?;
            ensure!(!text(&run, "/status/waitingOn").is_empty(), "nothing");
            Ok(run)
        })?;
        let waits = text(&run, "/status/waitingOn");
        ensure!(waits.contains(words), "{waits}");
        Ok(name)
    })
}

#[test]
fn what_the_api_server_refuses_is_said_and_tried_again() -> Result<()> {
    let town = Town::open(Leg::Stamping, "hindered")?;
    town.runbook(RUNBOOK)?;

    let no_plans = policy(&town, "plans", "UPDATE", "runbookruns/status", "!has(object.status.plans)");
    install(&town, &no_plans)?;
    let run = refused_run(&town, "planned", "the API server refuses writing the journal: ")?;
    let held = town.get("rbr", &run)?;
    let waits = text(&held, "/status/waitingOn");
    ensure!(
        waits.contains("the plans are full; nothing is done until that is mended; to stop the run: kubectl"),
        "{waits}"
    );
    town.abort(&run)?;
    let run = refused_run(&town, "later", "the API server refuses writing the journal: ")?;
    remove(&town, &no_plans)?;
    town.wait_phase(&run, "Waiting")?;

    let no_ballots = policy(&town, "ballots", "CREATE", "approvals", "false");
    install(&town, &no_ballots)?;
    let run = refused_run(&town, "asked", "the API server refuses issuing a ballot: ")?;
    remove(&town, &no_ballots)?;
    town.approve("bob", &run)?;
    town.wait_phase(&run, "Succeeded")?;
    assert_eq!(number(&town.get("deployment", "checkout")?, "/spec/replicas"), 5);
    Ok(())
}
