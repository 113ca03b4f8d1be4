//! Installing First Aid's chart, as a platform team does.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;

use crate::kubectl::Output;
use crate::process::clean_command;
use crate::sandbox::Sandbox;
use crate::waiting::poll;

/// The namespace of the operator.
const NAMESPACE: &str = "firstaid-system";
/// The operator's ServiceAccount in it.
const SERVICE_ACCOUNT: &str = "firstaid";
const KINDS: [&str; 5] = ["runbooks", "runbookruns", "approvals", "actionrecords", "incidents"];

/// What the API server says for some seconds after a CRD or a policy has come, until the policy's parts have met: then
/// it refuses every write of that kind, whatever `failurePolicy` says.
const NOT_YET: [&str; 4] =
    ["There can be a delay", "not yet synced", "ServiceUnavailable", "currently unable to handle"];
const CANARY: &str = include_str!("canary.yaml");

/// How our own policy refuses a ballot that somebody other than the operator creates.
const OWN_REFUSAL: &str = "ballots are issued";

impl Sandbox {
    /// Installs the chart into `firstaid-system` as root, with these values, and waits until the CRDs are established and
    /// the admission policies are in force. Makes the operator's kubeconfig (`operator`).
    pub fn install_chart(&self, values: &[(&str, &str)]) -> Result<()> {
        let chart = repository().join("charts/firstaid");
        ensure!(chart.exists(), "there is no chart at {}", chart.display());
        let within = Duration::from_secs(60);
        poll("the API server to take the chart", within, || {
            let output = self.helm_upgrade(&chart, values)?;
            if !output.success() && NOT_YET.iter().any(|words| output.stderr.contains(words)) {
                bail!("{}", output.stderr.trim());
            }
            Ok(output)
        })?
        .ok()
        .context("helm could not install the chart")?;

        let crds = KINDS.map(|kind| format!("crd/{kind}.firstaid.dev"));
        let mut wait = self.kubectl("root");
        Output::of(wait.args(["wait", "--for=condition=Established", "--timeout=60s"]).args(crds))?
            .ok()
            .context("the CRDs are not established")?;
        self.wait_for_policies(within)?;
        poll("the refusal of a ballot by the chart's policies", Duration::from_secs(20), || self.probe_ballots())?;
        self.sign_in_service_account("operator", NAMESPACE, SERVICE_ACCOUNT)?;
        Ok(())
    }

    /// The same command installs and, after a refusal half-way, goes on.
    fn helm_upgrade(&self, chart: &Path, values: &[(&str, &str)]) -> Result<Output> {
        let mut command = clean_command(&self.programs().helm);
        command
            .args(["upgrade", "--install", "firstaid"])
            .arg(chart)
            .args(["--namespace", NAMESPACE, "--create-namespace"])
            // The operator under test is a process beside the control plane, see `start_operator`.
            .args(["--set", "operator.enabled=false", "--set", "alerts.enabled=true"])
            .env("KUBECONFIG", self.kubeconfig("root"));
        for (variable, folder) in
            [("HELM_CACHE_HOME", "cache"), ("HELM_CONFIG_HOME", "config"), ("HELM_DATA_HOME", "data")]
        {
            command.env(variable, self.data().join("helm").join(folder));
        }
        for (name, value) in values {
            command.arg("--set").arg(format!("{name}={value}"));
        }
        Output::of(&mut command)
    }

    /// Waits until every policy that exists now is in force.
    fn wait_for_policies(&self, within: Duration) -> Result<()> {
        let stamps = self.serves_mutating_policies()?;
        let canary = match CANARY.split_once("# The API server of 1.33") {
            Some((verifying, _)) if !stamps => verifying,
            _ => CANARY,
        };
        let expected = if stamps { "verified and stamped" } else { "verified only" };
        self.apply_yaml("root", canary)?;
        poll("the policies to be in force", within, || {
            let args = ["create", "configmap", "firstaid-sandbox-canary", "--dry-run=server"];
            let output = self.kubectl_run("root", &args)?;
            ensure!(output.stderr.contains(expected), "not yet {expected}: {}", output.stderr.trim());
            Ok(())
        })?;
        self.kubectl_input("root", &["delete", "--wait=false", "-f", "-"], canary)?.ok()?;
        Ok(())
    }

    /// Whether this API server stamps (Kubernetes 1.36 and newer).
    pub fn serves_mutating_policies(&self) -> Result<bool> {
        let kinds = self.kubectl_run("root", &["get", "--raw", "/apis/admissionregistration.k8s.io/v1"])?.ok()?;
        Ok(kinds.contains("\"mutatingadmissionpolicies\""))
    }

    /// Root may do anything except issue a ballot: that it is refused in our own words proves the chart's guard.
    fn probe_ballots(&self) -> Result<()> {
        // Valid in everything else: the schema is looked at before the policies.
        let at = "2026-01-01T00:00:00.000000Z";
        let request = json!({
            "run": "probe", "runUID": "probe", "runbook": "probe", "gate": "probe", "role": "sre", "plan": "1.1",
            "planHash": "probe", "code": "0000", "shownCode": "0000", "requester": "nobody", "summary": "probe",
            "effects": [], "reason": "Required", "issuedAt": at, "expiresAt": at,
        });
        let ballot = json!({
            "apiVersion": "firstaid.dev/v1alpha1",
            "kind": "Approval",
            "metadata": {"name": "probe", "namespace": "default"},
            "spec": {"request": request},
            "status": {"state": "Open", "changedAt": at},
        });
        let output = self.kubectl_input("root", &["create", "--dry-run=server", "-f", "-"], &ballot.to_string())?;
        ensure!(!output.success(), "root was allowed to issue a ballot");
        ensure!(output.stderr.contains(OWN_REFUSAL), "root was refused, but in other words: {}", output.stderr.trim());
        Ok(())
    }
}

/// The root of First Aid's repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new("/")).to_owned()
}
