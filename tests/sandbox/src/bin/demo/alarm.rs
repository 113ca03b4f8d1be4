//! The alert: Prometheus tells Alertmanager of it, and Alertmanager tells First Aid.

#![allow(clippy::disallowed_methods, reason = "an alert bears the time of day")]

use anyhow::{Result, ensure};
use firstaid_sandbox::{Alertmanager, Operator, Sandbox, poll};
use jiff::{Timestamp, ToSpan};
use serde_json::{Value, json};

use crate::stage::{Show, Stage};
use crate::story::{SHOP, WITHIN};
use crate::timeline;

/// A real Alertmanager, and the alert that it was told of.
pub struct Alarm {
    alertmanager: Alertmanager,
    began: Timestamp,
    /// The incident that the alert has opened.
    pub incident: String,
}

impl Alarm {
    /// Lets Alertmanager tell of alerts in the shop, in calm times.
    pub fn allow(stage: &Stage<'_>) -> Result<()> {
        let grant = format!(
            "kubectl create rolebinding firstaid-alerts -n {SHOP} --clusterrole=firstaid-alerts --serviceaccount=monitoring:alertmanager"
        );
        stage.does("root", &grant, Show::All)?;
        stage.means("Alertmanager may now tell of alerts in the shop. An alert opens an incident, and starts nothing.");
        Ok(())
    }

    /// The alert fires. Nobody types anything: the incident is there.
    pub fn fires(stage: &Stage<'_>, sandbox: &Sandbox, operator: &Operator) -> Result<Alarm> {
        let alertmanager = sandbox.start_alertmanager(operator, SHOP)?;
        let began = Timestamp::now();
        alertmanager.post(&alert(began, began + 1.hour()))?;
        let incident = poll("the incident that the alert opens", WITHIN, || {
            let incidents = timeline::all(stage, "inc")?;
            let told = incidents.iter().find(|incident| incident.pointer("/status/alerts").is_some());
            let name = told.and_then(|incident| incident.pointer("/metadata/name").and_then(Value::as_str));
            ensure!(name.is_some(), "there is none");
            Ok(name.unwrap_or_default().to_owned())
        })?;
        stage
            .means("Prometheus has told Alertmanager that Checkout5xxHigh fires, and Alertmanager has told First Aid:");
        stage.does("carol", &format!("kubectl get inc -n {SHOP}"), Show::Table)?;
        Ok(Alarm { alertmanager, began, incident })
    }

    /// It is over for whoever watches.
    pub fn ends(&self, stage: &Stage<'_>) -> Result<()> {
        self.alertmanager.post(&alert(self.began, Timestamp::now()))?;
        poll("the end of the alert to be told", WITHIN, || {
            let incident = timeline::object(stage, "inc", &self.incident)?;
            let alerts = incident.pointer("/status/alerts").and_then(Value::as_object);
            let over = alerts.is_some_and(|alerts| alerts.values().all(|alert| alert.get("endedAt").is_some()));
            ensure!(over, "it still fires");
            Ok(())
        })
    }
}

fn alert(from: Timestamp, to: Timestamp) -> String {
    let alert = json!({
        "labels": {"alertname": "Checkout5xxHigh", "severity": "SEV2", "service": "checkout"},
        "annotations": {"summary": "Checkout answers slowly, one order in 25 fails"},
        "startsAt": from.to_string(),
        "endsAt": to.to_string(),
    });
    json!([alert]).to_string()
}
