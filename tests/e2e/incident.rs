//! An incident: its status is made of runs and records, and it is not closed while first aid is in place.

use anyhow::{Result, ensure};
use firstaid_sandbox::poll;
use serde_json::json;

use crate::town::{Leg, Town, WITHIN};

const RUNBOOK: &str = r#"
apiVersion: firstaid.dev/v1alpha1
kind: Runbook
metadata: {name: room}
spec:
  summary: More room
  steps:
  - name: out
    gate: None
    scale: {target: {kind: Deployment, name: checkout}, replicas: 7}
"#;

#[test]
fn an_incident_is_not_closed_while_first_aid_is_in_place() -> Result<()> {
    let town = Town::open(Leg::Stamping, "incident")?;
    town.runbook(RUNBOOK)?;
    let namespace = town.namespace.clone();
    let incident = json!({"apiVersion": "firstaid.dev/v1alpha1", "kind": "Incident",
        "metadata": {"name": "inc-7f3", "namespace": namespace}, "spec": {"summary": "checkout answers slowly"}});
    town.sandbox.apply_yaml("root", &incident.to_string())?;
    let run = json!({"apiVersion": "firstaid.dev/v1alpha1", "kind": "RunbookRun", "metadata": {"name": "more", "namespace": namespace},
        "spec": {"runbook": "room", "reason": "queue grows", "incident": "inc-7f3"}});
    town.sandbox.apply_yaml("alice", &run.to_string())?;
    town.wait_phase("more", "Succeeded")?;
    let status = |wanted: &str| {
        poll("the status of the incident", WITHIN, || {
            let incident = town.get("inc", "inc-7f3")?;
            let told = format!("{} {}", incident["status"]["phase"], incident["status"]["inPlace"]);
            ensure!(told == wanted, "it is {told}");
            Ok(())
        })
    };
    status("\"Acknowledged\" 1")?;
    let close = |closed: &str| {
        let patch = format!(r#"{{"spec":{{"closed":{closed}}}}}"#);
        town.kubectl("root", &["patch", "inc", "inc-7f3", "--type=merge", "-p", &patch])
    };
    let refused = close("{}")?;
    ensure!(refused.stderr.contains("first aid is still in place"), "{}", refused.stderr);
    let forged = r#"{"status":{"inPlace":0}}"#;
    let forged =
        town.kubectl("root", &["patch", "inc", "inc-7f3", "--subresource=status", "--type=merge", "-p", forged])?;
    ensure!(forged.stderr.contains("only first-aid may UPDATE incidents/status"), "{}", forged.stderr);
    close(r#"{"acceptInPlace":"the sale goes on until Monday"}"#)?.ok()?;
    status("\"Closed\" 1")
}
