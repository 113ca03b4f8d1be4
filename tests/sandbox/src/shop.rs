//! A namespace with something in it to give first aid to.

use anyhow::{Context, Result};

use crate::sandbox::Sandbox;

/// The workloads of `shop.yaml`.
const SHOP: &str = include_str!("../shop.yaml");

impl Sandbox {
    /// Joins a namespace ([`Sandbox::join_namespace`]), applies `shop.yaml` there as root and waits until all pods are
    /// ready: Deployment `checkout` (4), StatefulSet `ledger` (2), DaemonSet `agent` (2), ConfigMap `shop-flags`.
    pub fn open_shop(&self, namespace: &str) -> Result<()> {
        self.join_namespace(namespace)?;
        self.kubectl_input("root", &["apply", "-n", namespace, "-f", "-"], SHOP)?.ok().context("applying shop.yaml")?;
        for workload in ["deployment/checkout", "statefulset/ledger", "daemonset/agent"] {
            let args = ["rollout", "status", "-n", namespace, workload, "--timeout=60s"];
            self.kubectl_run("root", &args)?.ok().with_context(|| format!("waiting for the pods of {workload}"))?;
        }
        Ok(())
    }
}
