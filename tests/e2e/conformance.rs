//! The real API server does what the simulator's does: one table for both. On an API server of its own, without the chart
//! and with its controllers stopped: nobody else judges or writes.
#![allow(clippy::disallowed_types)]

use std::process::Command;

use anyhow::{Context, Result, ensure};
use firstaid_sandbox::{Options, Sandbox};
use firstaid_simulate::api_server::Kind;
use firstaid_simulate::api_server::conformance::{Server, Verb, differs, table};
use kube::Client;
use serde_json::{Value, json};

use crate::read::{client, runtime};

const NAMESPACE: &str = "conformance";

/// The real one.
struct Real(Client);

impl Real {
    /// The HTTP status and the body of whatever it answers.
    fn send(&self, request: http::request::Builder, body: &Value, made: u16) -> (u16, Value) {
        let body = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request = request.body(body).expect("a request");
        match runtime().block_on(self.0.request::<Value>(request)) {
            Ok(object) => (made, object),
            Err(kube::Error::Api(status)) => (status.code, json!({"message": status.message})),
            Err(other) => panic!("there was no answer: {other}"),
        }
    }
}

fn path(kind: Kind) -> String {
    let (base, plural) = match kind {
        Kind::Run => ("/apis/firstaid.dev/v1alpha1", "runbookruns"),
        Kind::Approval => ("/apis/firstaid.dev/v1alpha1", "approvals"),
        Kind::Record => ("/apis/firstaid.dev/v1alpha1", "actionrecords"),
        Kind::Runbook => ("/apis/firstaid.dev/v1alpha1", "runbooks"),
        Kind::Deployment => ("/apis/apps/v1", "deployments"),
        Kind::ConfigMap => ("/api/v1", "configmaps"),
        Kind::ServiceAccount => ("/api/v1", "serviceaccounts"),
    };
    format!("{base}/namespaces/{NAMESPACE}/{plural}")
}

impl Server for Real {
    fn ask(&mut self, kind: Kind, name: &str, verb: Verb, body: &Value) -> (u16, Value) {
        let object = format!("{}/{name}", path(kind));
        let (method, place, content) = match verb {
            Verb::Create => ("POST", path(kind), "application/json"),
            Verb::Put => ("PUT", object, "application/json"),
            Verb::PutStatus => ("PUT", format!("{object}/status"), "application/json"),
            Verb::Merge => ("PATCH", object, "application/merge-patch+json"),
            Verb::MergeStatus => ("PATCH", format!("{object}/status"), "application/merge-patch+json"),
            Verb::Json => ("PATCH", object, "application/json-patch+json"),
            Verb::JsonDryRun => ("PATCH", format!("{object}?dryRun=All"), "application/json-patch+json"),
            Verb::Delete => ("DELETE", object, "application/json"),
        };
        let mut body = body.clone();
        if verb == Verb::Delete {
            body["apiVersion"] = json!("v1");
            body["kind"] = json!("DeleteOptions");
        }
        let made = if verb == Verb::Create { 201 } else { 200 };
        self.send(http::Request::builder().method(method).uri(place).header("Content-Type", content), &body, made)
    }

    fn read(&mut self, kind: Kind, name: &str) -> Option<Value> {
        let request = http::Request::builder().uri(format!("{}/{name}", path(kind)));
        let (code, object) = self.send(request, &Value::Null, 200);
        (code == 200).then_some(object)
    }
}

#[test]
fn conformance_of_the_real_api_server_with_the_table_of_the_simulator() -> Result<()> {
    let sandbox = Sandbox::start(&Options { audit: false, ..Options::default() })?;
    for (_, crd) in firstaid::cli::crds::files()? {
        sandbox.apply_yaml("root", &crd)?;
    }
    sandbox.kubectl_run("root", &["create", "namespace", NAMESPACE])?.ok()?;
    sandbox.kubectl_run("root", &["wait", "--for=condition=Established", "crd", "--all"])?.ok()?;
    let processes = sandbox.processes();
    let (_, controllers) =
        processes.iter().find(|(name, _)| name == "kube-controller-manager").context("the controllers")?;
    let signal = |name: &str| Command::new("kill").args([name, &controllers.to_string()]).status();
    ensure!(signal("-STOP")?.success(), "the controllers were not stopped");
    let mut real = Real(runtime().block_on(client(&sandbox.kubeconfig("root")))?);
    let rows = table();
    let wrong: Vec<String> =
        rows.iter().enumerate().filter_map(|(number, row)| differs(&mut real, row, &format!("row-{number}"))).collect();
    ensure!(signal("-CONT")?.success(), "the controllers do not go on");
    ensure!(wrong.is_empty(), "{} of {} rows are otherwise: {wrong:#?}", wrong.len(), rows.len());
    Ok(())
}
