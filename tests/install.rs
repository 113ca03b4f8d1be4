//! The way from an empty cluster to a first run, as the chart's notes tell it: helm install, onboard, the runbooks, a run;
//! then helm upgrade, and helm uninstall, which leaves the evidence.
#![allow(clippy::indexing_slicing)]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use firstaid_sandbox::{Options, Output, Sandbox, poll, repository};
use serde_json::Value;

const WITHIN: Duration = Duration::from_secs(90);

fn helm(sandbox: &Sandbox, arguments: &[&str]) -> Result<Output> {
    let mut command = Command::new(&sandbox.programs().helm);
    command.args(arguments).current_dir(repository()).env("KUBECONFIG", sandbox.kubeconfig("root"));
    for folder in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        command.env(folder, sandbox.data().join("helm"));
    }
    for proxy in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env_remove(proxy).env_remove(proxy.to_lowercase());
    }
    Output::of(&mut command)
}

fn firstaid(arguments: &[&str]) -> Result<String> {
    Output::of(Command::new(env!("CARGO_BIN_EXE_firstaid")).args(arguments).current_dir(repository()))?.ok()
}

fn get(sandbox: &Sandbox, arguments: &[&str]) -> Result<Value> {
    let text = sandbox.kubectl_run("root", &[&["get", "-o", "json"], arguments].concat())?.ok()?;
    Ok(serde_json::from_str(&text)?)
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn items(list: &Value) -> Vec<Value> {
    list.get("items").and_then(Value::as_array).cloned().unwrap_or_default()
}

/// Starts a run of shed-load as alice, as its start command says it, and approves it as bob. Ends where it has succeeded.
fn run(sandbox: &Sandbox, pods: &str) -> Result<String> {
    let start = poll("the start command of shed-load", WITHIN, || {
        let runbook = get(sandbox, &["rbk", "-n", "shop", "shed-load"])?;
        let command = text(&runbook, "/status/startCommand").to_owned();
        ensure!(!command.is_empty(), "it has not been rehearsed yet");
        Ok(command)
    })?;
    let spec = start.split('\'').nth(1).context("the start command holds the run between quotes")?;
    let mut wanted: Value = serde_json::from_str(spec)?;
    wanted["spec"]["reason"] = "queue grows".into();
    wanted["spec"]["parameters"] = serde_json::json!({"replicas": pods});
    let created = sandbox
        .kubectl_input("alice", &["create", "-n", "shop", "-o", "name", "-f", "-"], &wanted.to_string())?
        .ok()?;
    let name = created.trim().rsplit('/').next().unwrap_or_default().to_owned();
    let ballot = poll("a ballot", WITHIN, || {
        let open = |ballot: &Value| text(ballot, "/spec/request/run") == name;
        items(&get(sandbox, &["apv", "-n", "shop"])?).into_iter().find(open).context("there is none")
    })?;
    let mark = format!("approve={} capacity is free", text(&ballot, "/spec/request/code"));
    sandbox.kubectl_run("bob", &["annotate", "apv", "-n", "shop", text(&ballot, "/metadata/name"), &mark])?.ok()?;
    poll(&format!("the end of {name}"), WITHIN, || {
        let run = get(sandbox, &["rbr", "-n", "shop", &name])?;
        ensure!(run.pointer("/status/finished") == Some(&Value::Bool(true)), "{run:#}");
        Ok(run)
    })
    .and_then(|run| {
        ensure!(text(&run, "/status/phase") == "Succeeded", "{run:#}");
        Ok(name)
    })
}

fn records(sandbox: &Sandbox) -> Result<Vec<Value>> {
    Ok(items(&get(sandbox, &["arec", "-n", "shop"])?))
}

/// What the next test is about: a ballot that somebody other than the operator issues is refused by the chart's policies.
fn guards_hold(sandbox: &Sandbox) -> Result<()> {
    let mut ballot = items(&get(sandbox, &["apv", "-n", "shop"])?).into_iter().next().context("there is a ballot")?;
    ballot["metadata"] = serde_json::json!({"name": "forged", "namespace": "shop"});
    let forged = sandbox.kubectl_input("root", &["create", "-f", "-"], &ballot.to_string())?;
    ensure!(forged.stderr.contains("ballots are issued by first-aid only"), "{}{}", forged.stdout, forged.stderr);
    Ok(())
}

/// Namespaces with a label get their grant at the next upgrade, and no others.
fn tenants_by_their_label(sandbox: &Sandbox) -> Result<()> {
    for namespace in ["bank", "museum"] {
        sandbox.kubectl_run("root", &["create", "namespace", namespace])?.ok()?;
    }
    sandbox.kubectl_run("root", &["label", "namespace", "bank", "firstaid.dev/tenant=yes"])?.ok()?;
    let tenants = r#"tenants=[{"namespacesWithLabel":"firstaid.dev/tenant=yes","impersonation":"legacy"}]"#;
    let upgrade =
        ["upgrade", "firstaid", "charts/firstaid", "-n", "firstaid-system", "--reuse-values", "--set-json", tenants];
    helm(sandbox, &upgrade)?.ok().context("helm upgrade")?;
    get(sandbox, &["role,rolebinding", "-n", "bank", "firstaid-acts-as-firstaid"])?;
    let elsewhere = get(sandbox, &["role,rolebinding", "-n", "museum"])?;
    ensure!(items(&elsewhere).is_empty(), "{elsewhere:#}");
    Ok(())
}

#[test]
fn from_an_empty_cluster_to_a_first_run_and_away_again() -> Result<()> {
    let sandbox = Sandbox::start(&Options::default())?;

    // 1. The chart, with the very command of the README.
    let install = ["install", "firstaid", "charts/firstaid", "-n", "firstaid-system", "--create-namespace"];
    let notes = helm(&sandbox, &install)?.ok().context("helm install")?;
    assert!(notes.contains("firstaid onboard -n shop --from runbooks/"), "{notes}");
    // The sandbox plays pods and pulls no image: the pod of the Deployment does nothing, the operator runs beside it.
    let rollout = ["rollout", "status", "deployment/firstaid", "-n", "firstaid-system", "--timeout=60s"];
    sandbox.kubectl_run("root", &rollout)?.ok().context("waiting for the Deployment")?;
    sandbox.sign_in_service_account("operator", "firstaid-system", "firstaid")?;
    let mut operator =
        sandbox.start_operator(Path::new(env!("CARGO_BIN_EXE_firstaid")), &["--lease-seconds=3"], &[])?;
    operator.wait_ready(WITHIN)?;

    // 2. What onboard prints, and 3. the runbooks. Neither more nor less.
    sandbox.open_shop("shop")?;
    let grant = firstaid(&["onboard", "-n", "shop", "--from", "runbooks/", "--impersonation", "constrained"])?;
    sandbox.apply_yaml("root", &grant)?;
    let folder = repository().join("runbooks");
    sandbox
        .kubectl_run("author", &["apply", "-n", "shop", "-f", &folder.to_string_lossy()])?
        .ok()
        .context("applying the runbooks")?;
    for runbook in ["break-retry-loop", "restart-stuck-service", "shed-load"] {
        let ready = ["wait", "-n", "shop", "--for=condition=Ready", &format!("rbk/{runbook}"), "--timeout=60s"];
        sandbox.kubectl_run("root", &ready)?.ok().with_context(|| format!("{runbook} is not ready"))?;
    }
    run(&sandbox, "6")?;
    assert_eq!(records(&sandbox)?.len(), 3);
    guards_hold(&sandbox)?;

    // An upgrade changes what it is told to change, and nothing that has happened.
    let before = records(&sandbox)?;
    let upgrade =
        ["upgrade", "firstaid", "charts/firstaid", "-n", "firstaid-system", "--set", "roles={sre,db-owner,net}"];
    helm(&sandbox, &upgrade)?.ok().context("helm upgrade")?;
    get(&sandbox, &["clusterrole", "firstaid-approver-as-net"])?;
    assert_eq!(records(&sandbox)?, before);
    guards_hold(&sandbox)?;
    tenants_by_their_label(&sandbox)?;
    run(&sandbox, "8")?;
    let before = records(&sandbox)?;
    assert_eq!(before.len(), 6);

    // What is uninstalled takes no evidence with it, and comes back as it was.
    operator.kill()?;
    helm(&sandbox, &["uninstall", "firstaid", "-n", "firstaid-system"])?.ok().context("helm uninstall")?;
    for kind in ["runbooks", "runbookruns", "approvals", "actionrecords"] {
        get(&sandbox, &["crd", &format!("{kind}.firstaid.dev")]).with_context(|| format!("{kind} are gone"))?;
    }
    assert_eq!(records(&sandbox)?, before);
    assert_eq!(items(&get(&sandbox, &["rbr", "-n", "shop"])?).len(), 2);
    assert!(
        items(&get(&sandbox, &["validatingadmissionpolicies"])?).is_empty(),
        "a policy without an operator refuses everybody"
    );
    helm(&sandbox, &install)?.ok().context("helm install once more, over the kinds that stayed")?;
    assert_eq!(records(&sandbox)?, before);
    Ok(())
}
