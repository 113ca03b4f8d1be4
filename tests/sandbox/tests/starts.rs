//! The sandbox itself: it starts, runs pods, knows its people, and leaves nothing behind.

use std::fs::Permissions;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use firstaid_sandbox::{Options, Output, PEOPLE, Sandbox, poll};
use serde_json::Value;

const WITHIN: Duration = Duration::from_secs(60);

#[test]
fn two_at_once() -> Result<()> {
    Sandbox::build_programs()?;
    let started = Instant::now();
    let emulated = Options { emulated_version: Some("1.33".to_owned()), ..Options::default() };
    let (newest, oldest) = std::thread::scope(|scope| {
        let oldest = scope.spawn(|| Sandbox::start(&emulated));
        (Sandbox::start(&Options::default()), oldest.join())
    });
    let (newest, oldest) = (newest?, oldest.ok().context("the start panicked")??);
    println!("both started in {:?}", started.elapsed());
    assert!(newest.serves_mutating_policies()?);
    assert!(!oldest.serves_mutating_policies()?, "1.33 does not serve MutatingAdmissionPolicy");
    for sandbox in [&newest, &oldest] {
        takes_the_chart(sandbox)?;
        runs_pods(sandbox)?;
    }
    knows_people(&newest)?;
    knows_service_accounts(&newest)?;
    writes_audit_log(&newest)?;
    supervises_the_operator(&newest)?;
    let data = newest.data().to_owned();
    drop(newest);
    assert!(!data.exists(), "{} should be gone", data.display());
    Ok(())
}

fn takes_the_chart(sandbox: &Sandbox) -> Result<()> {
    let started = Instant::now();
    sandbox.install_chart(&[])?;
    println!("chart in force after {:?}", started.elapsed());
    let (name, _, credential) = whoami(sandbox, "operator")?;
    assert_eq!(name, "system:serviceaccount:firstaid-system:firstaid");
    assert!(credential.starts_with("JTI="), "{credential}");
    sandbox.join_namespace("shop")?;
    let may_approve = |person: &str, role: &str| -> Result<bool> {
        let subresource = format!("--subresource=as-{role}");
        let args = ["auth", "can-i", "approve", "runbooks.firstaid.dev/any", &subresource, "-n", "shop"];
        Ok(sandbox.kubectl_run(person, &args)?.success())
    };
    for (person, role, expected) in [
        ("alice", "sre", true),
        ("bob", "db-owner", false),
        ("carol", "db-owner", true),
        ("carol", "sre", false),
        ("author", "sre", false),
        ("mallory", "sre", false),
        ("viewer", "sre", false),
    ] {
        assert_eq!(may_approve(person, role)?, expected, "{person} as {role}");
    }
    Ok(())
}

fn runs_pods(sandbox: &Sandbox) -> Result<()> {
    sandbox.kubectl_run("root", &["create", "deployment", "web", "--image=web", "--replicas=2"])?.ok()?;
    poll("two ready pods", WITHIN, || {
        let ready = ["get", "deployment", "web", "-o", "jsonpath={.status.readyReplicas}"];
        let ready = sandbox.kubectl_run("root", &ready)?.ok()?;
        ensure!(ready == "2", "{ready} pods are ready");
        Ok(())
    })?;
    sandbox.open_shop("shop")?;
    let hands = sandbox.kubectl_run("alice", &["scale", "-n", "shop", "deployment/checkout", "--replicas=5"])?;
    assert!(hands.success(), "alice could not do it by hand: {}", hands.stderr);
    let hands = sandbox.kubectl_run("viewer", &["scale", "-n", "shop", "deployment/checkout", "--replicas=9"])?;
    assert!(hands.stderr.contains("forbidden"), "viewer: {}", hands.stderr);
    Ok(())
}

fn whoami(sandbox: &Sandbox, person: &str) -> Result<(String, String, String)> {
    let who = sandbox.kubectl_run(person, &["auth", "whoami", "-o", "json"])?.ok()?;
    let who: Value = serde_json::from_str(&who)?;
    let text = |path: &str| who.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let credential = "/status/userInfo/extra/authentication.kubernetes.io~1credential-id/0";
    Ok((text("/status/userInfo/username"), text("/status/userInfo/groups/0"), text(credential)))
}

fn knows_people(sandbox: &Sandbox) -> Result<()> {
    for person in PEOPLE {
        let (name, group, credential) = whoami(sandbox, person.name)?;
        assert_eq!(name, person.name);
        assert_eq!(group, person.group.unwrap_or("system:authenticated"));
        assert!(credential.starts_with("X509SHA256="), "{name} has no credential id: {credential}");
    }
    Ok(())
}

fn knows_service_accounts(sandbox: &Sandbox) -> Result<()> {
    sandbox.kubectl_run("root", &["create", "serviceaccount", "robot", "-n", "shop"])?.ok()?;
    sandbox.sign_in_service_account("robot", "shop", "robot")?;
    let (name, group, credential) = whoami(sandbox, "robot")?;
    assert_eq!(name, "system:serviceaccount:shop:robot");
    assert_eq!(group, "system:serviceaccounts");
    assert!(credential.starts_with("JTI="), "{credential}");
    Ok(())
}

fn writes_audit_log(sandbox: &Sandbox) -> Result<()> {
    let log = std::fs::read_to_string(sandbox.audit_log())?;
    let mut lines = log.lines().map(serde_json::from_str::<Value>);
    let by_hand = lines.find(|event| {
        let says = |path: &str, text: &str| event.as_ref().is_ok_and(|e| e.pointer(path).is_some_and(|v| v == text));
        says("/user/username", "alice") && says("/verb", "patch") && says("/objectRef/resource", "deployments")
    });
    let by_hand = by_hand.context("alice's scaling by hand is not in the audit log")??;
    assert_eq!(by_hand.pointer("/requestObject/spec/replicas"), Some(&Value::from(5)));
    Ok(())
}

fn supervises_the_operator(sandbox: &Sandbox) -> Result<()> {
    let path = tempfile::tempdir()?;
    let sleeper = script(path.path(), "sleeper", "exec sleep 600")?;
    let mut operator = sandbox.start_operator(&sleeper, &[], &[])?;
    let pid = poll("the operator's pid", WITHIN, || operator.pid())?;
    operator.signal("STOP")?;
    assert!(!operator.has_ended()? && runs(pid));
    operator.kill()?;
    assert!(operator.has_ended()? && !runs(pid), "not even when it is paused");

    let stumbler = script(path.path(), "stumbler", "echo $1 $KUBECONFIG $FIRSTAID_LISTEN $COLOUR; exit 3")?;
    let mut operator = sandbox.start_operator(&stumbler, &[], &[("COLOUR", "red")])?;
    let error = format!("{:#}", operator.wait_ready(WITHIN).err().context("it was ready")?);
    for expected in ["operator-2.log", "operator /", "operator.kubeconfig 127.0.0.1:", " red", "exit status: 3"] {
        assert!(error.contains(expected), "{expected} is missing: {error}");
    }
    Ok(())
}

#[test]
fn a_failed_start_shows_its_logs() -> Result<()> {
    let impossible = Options { emulated_version: Some("1.20".to_owned()), ..Options::default() };
    let error = format!("{:#}", Sandbox::start(&impossible).err().context("1.20 was emulated")?);
    let (_, rest) = error.split_once("--- kube-apiserver (").context(error.clone())?;
    let (log, _) = rest.split_once(')').context(error.clone())?;
    assert!(Path::new(log).exists(), "{log} was not kept: {error}");
    assert!(error.contains("1.20"), "the reason is not shown: {error}");
    std::fs::remove_dir_all(Path::new(log).ancestors().nth(2).context("the data folder")?)?;
    Ok(())
}

#[test]
fn a_killed_driver_leaves_no_process() -> Result<()> {
    let kubeconfigs = tempfile::tempdir()?;
    let mut driver = Command::new(env!("CARGO_BIN_EXE_sandbox"))
        .args(["--bare", "--kubeconfigs"])
        .arg(kubeconfigs.path())
        .stdout(Stdio::piped())
        .spawn()?;
    let printed = driver.stdout.take().context("no standard output")?;
    let ready = BufReader::new(printed).lines().map_while(Result::ok).any(|line| line.contains("Ctrl-C ends it all"));
    let mut pids = children(driver.id())?;
    for pid in pids.clone() {
        pids.extend(children(pid)?); // KWOK is the child of the process that supervises it
    }
    driver.kill()?;
    driver.wait()?;
    assert!(ready, "the sandbox did not start");
    assert_eq!(pids.len(), 6, "etcd, API server, manager, scheduler, supervisor, KWOK");
    poll("the processes to end", WITHIN, || {
        let left: Vec<_> = pids.iter().filter(|pid| runs(**pid)).collect();
        ensure!(left.is_empty(), "processes {left:?} still run");
        Ok(())
    })
}

fn children(parent: u32) -> Result<Vec<u32>> {
    let output = Output::of(Command::new("pgrep").args(["-P", &parent.to_string()]))?;
    output.stdout.lines().map(|pid| Ok(pid.parse()?)).collect()
}

/// Whether the process runs. One that has ended may stay in the list (as `Z`) until somebody asks how it ended.
fn runs(pid: u32) -> bool {
    let state = Output::of(Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]));
    state.is_ok_and(|state| !state.stdout.trim().is_empty() && !state.stdout.starts_with('Z'))
}

#[test]
fn old_or_missing_go_is_said_in_a_sentence() -> Result<()> {
    let missing = build_with(None)?;
    assert!(missing.contains("Go is missing. Install Go 1.26 or newer"), "{missing}");
    let old = build_with(Some("go1.21.3"))?;
    assert!(old.contains("Go is too old: this is go1.21.3"), "{old}");
    for said in [missing, old] {
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    Ok(())
}

/// What `build.sh` says when the only Go is one of this version.
fn build_with(go: Option<&str>) -> Result<String> {
    let path = tempfile::tempdir()?;
    for tool in ["bash", "dirname"] {
        let found = Output::of(Command::new("sh").args(["-c", &format!("command -v {tool}")]))?.ok()?;
        symlink(found.trim(), path.path().join(tool))?;
    }
    if let Some(version) = go {
        script(path.path(), "go", &format!("echo {version}"))?;
    }
    let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("build.sh");
    let output = Output::of(Command::new("bash").arg(build).env("PATH", path.path()))?;
    assert!(!output.success());
    assert_eq!(output.stdout, "");
    Ok(output.stderr)
}

fn script(folder: &Path, name: &str, commands: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{commands}\n"))?;
    std::fs::set_permissions(&path, Permissions::from_mode(0o755))?;
    Ok(path)
}
