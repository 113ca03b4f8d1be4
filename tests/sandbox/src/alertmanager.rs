//! Alertmanager, as it tells of alerts: with a token that is its own, to one address.

use std::time::Duration;

use anyhow::{Result, bail, ensure};

use crate::http::exchange;
use crate::operator::Operator;
use crate::ports::Port;
use crate::process::Process;
use crate::sandbox::Sandbox;
use crate::waiting::poll;

/// The namespace in which its ServiceAccount is.
const NAMESPACE: &str = "monitoring";
const SERVICE_ACCOUNT: &str = "alertmanager";

/// A running Alertmanager. Dropping it kills it.
pub struct Alertmanager {
    process: Process,
    port: Port,
}

impl Sandbox {
    /// A token of the ServiceAccount `monitoring/alertmanager`, which is made if it is not there.
    pub fn alertmanager_token(&self, audience: &str) -> Result<String> {
        let account = format!(
            "{{apiVersion: v1, kind: Namespace, metadata: {{name: {NAMESPACE}}}}}\n---\n{{apiVersion: v1, kind: ServiceAccount, metadata: {{name: {SERVICE_ACCOUNT}, namespace: {NAMESPACE}}}}}\n"
        );
        self.apply_yaml("root", &account)?;
        let audience = format!("--audience={audience}");
        let token = self.kubectl_run("root", &["create", "token", SERVICE_ACCOUNT, "-n", NAMESPACE, &audience])?;
        Ok(token.ok()?.trim().to_owned())
    }

    /// Lets Alertmanager tell of alerts in a namespace.
    pub fn grant_alerts(&self, namespace: &str) -> Result<()> {
        let account = format!("--serviceaccount={NAMESPACE}:{SERVICE_ACCOUNT}");
        let grant =
            ["create", "rolebinding", "firstaid-alerts", "-n", namespace, "--clusterrole=firstaid-alerts", &account];
        self.kubectl_run("root", &grant)?.ok()?;
        Ok(())
    }

    /// Starts Alertmanager, which tells this operator of every alert as one of a namespace, at once, and of its end, too.
    pub fn start_alertmanager(&self, operator: &Operator, namespace: &str) -> Result<Alertmanager> {
        let port = Port::pick()?;
        let name = format!("alertmanager-{namespace}");
        let folder = self.data().join(&name);
        std::fs::create_dir_all(&folder)?;
        let (token, config) = (folder.join("token"), folder.join("alertmanager.yaml"));
        std::fs::write(&token, self.alertmanager_token("firstaid")?)?;
        std::fs::write(
            &config,
            format!(
                "route: {{receiver: firstaid, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}
receivers:
- name: firstaid
  webhook_configs:
  - url: http://{}/alerts/{namespace}
    http_config: {{authorization: {{credentials_file: {}}}}}
",
                operator.address(),
                token.display()
            ),
        )?;
        let mut command = Process::supervised(self.programs(), &self.programs().alertmanager);
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{}", port.number))
            // It is alone.
            .arg("--cluster.listen-address=");
        let mut alertmanager = Alertmanager { process: Process::start(&name, command, &self.logs())?, port };
        poll("Alertmanager to be ready", Duration::from_secs(30), || {
            if let Some(status) = alertmanager.process.ended()? {
                bail!("it ended with {status}: {}", alertmanager.process.last_words());
            }
            let (code, body) = exchange(alertmanager.port.number, "GET", "/-/ready", &[], "")?;
            ensure!(code == 200, "{code}: {body}");
            Ok(())
        })?;
        Ok(alertmanager)
    }
}

impl Alertmanager {
    /// Tells it of alerts, as Prometheus does: a JSON list with labels, annotations, startsAt and endsAt.
    pub fn post(&self, alerts: &str) -> Result<()> {
        let headers = ["Content-Type: application/json"];
        let (code, body) = exchange(self.port.number, "POST", "/api/v2/alerts", &headers, alerts)?;
        ensure!(code == 200, "Alertmanager answers {code}: {body}");
        Ok(())
    }
}
