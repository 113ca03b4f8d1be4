//! What goes wrong around a run, one named test for each way: the network, the API server and its storage, and whoever else
//! works on the same objects. `docs/faults.md` has the table. The judge of every town looks at what came of it.

mod crisis;
mod crowd;
mod network;
mod others;
mod server;

use anyhow::{Context, Result};
use firstaid_proxy::Proxy;
use firstaid_sandbox::{Operator, Sandbox};

use crate::runs::runbook;
use crate::town::{Leg, Town, WITHIN, number};

/// Scales checkout from 4 to 6 behind a gate.
const SCALE: &str = "name: scale-out, gate: on-call, scale: {target: {kind: Deployment, name: checkout}, replicas: 6}";

/// A town whose operator reaches the API server through a network of the test's own.
struct Behind {
    // Before the town, which ends before the judge: then nothing moves any more.
    operator: Option<Operator>,
    proxy: Proxy,
    town: Town,
}

impl Behind {
    /// Without an operator as yet.
    fn open(name: &str) -> Result<Self> {
        Self::of(Town::empty(Leg::Stamping, name)?)
    }

    fn of(town: Town) -> Result<Self> {
        town.sandbox.open_shop(&town.namespace)?;
        town.runbook(&runbook("shed", &[SCALE]))?;
        let proxy = Proxy::start(&town.sandbox.kubeconfig("operator"))?;
        Ok(Self { operator: None, proxy, town })
    }

    fn start_operator(&mut self) -> Result<()> {
        self.operator = Some(operator(self.town.sandbox, &self.town.namespace, &self.proxy, &["--lease-name="])?);
        Ok(())
    }

    fn replicas(&self) -> Result<i64> {
        replicas(&self.town)
    }
}

/// An operator of a namespace that asks through this network.
fn operator(sandbox: &Sandbox, namespace: &str, proxy: &Proxy, more: &[&str]) -> Result<Operator> {
    let mut operator = unready(sandbox, namespace, proxy, more)?;
    operator.wait_ready(WITHIN)?;
    Ok(operator)
}

/// The same, which may take its time to be ready.
fn unready(sandbox: &Sandbox, namespace: &str, proxy: &Proxy, more: &[&str]) -> Result<Operator> {
    let through = proxy.kubeconfig(&sandbox.data().join(format!("{namespace}.kubeconfig")))?;
    let mut args = vec!["--namespaces", namespace, "--cluster-name=sandbox"];
    args.extend(more);
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_firstaid"));
    let through = through.to_str().context("a path that is text")?;
    sandbox.start_operator(binary, &args, &[("RUST_LOG", "info,firstaid=debug"), ("KUBECONFIG", through)])
}

fn replicas(town: &Town) -> Result<i64> {
    Ok(number(&town.get("deployment", "checkout")?, "/spec/replicas"))
}
