//! Notifications, as a receiver at the end of the wire sees them: what is told, that it is told once, that nobody waits for
//! it, and that its URL, which is a secret, is seen nowhere else.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use anyhow::{Context, Result, bail, ensure};
use firstaid_sandbox::poll;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned, crypto};

use crate::alone::{GLASS, dave_may_break_the_glass};
use crate::town::{Leg, Town, WITHIN, text};

/// What a receiver does with each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Takes,
    Fails,
    /// Reads and never answers, for as long as it is in that mood.
    Hangs,
}

struct Shared {
    mood: Mood,
    /// What it took.
    taken: Vec<Value>,
    /// What it did not take, each try.
    refused: Vec<Value>,
    /// Connections that are not answered.
    open: Vec<TcpStream>,
}

/// An HTTP server of this test. It ends with the process.
struct Receiver {
    url: String,
    shared: Arc<Mutex<Shared>>,
}

impl Receiver {
    /// One that takes everything; `secret` is in its URL.
    fn start(secret: &str) -> Result<Self> {
        Self::start_with(secret, None)
    }

    fn start_with(secret: &str, tls: Option<Arc<ServerConfig>>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        let url = format!("{scheme}://{}/services/T0/{secret}?key={secret}", listener.local_addr()?);
        let shared = Shared { mood: Mood::Takes, taken: Vec::new(), refused: Vec::new(), open: Vec::new() };
        let shared = Arc::new(Mutex::new(shared));
        let served = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // One that does not speak as it should is what some of the tests are about.
                let _ = match &tls {
                    None => serve(stream, &served),
                    Some(config) => ServerConnection::new(Arc::clone(config))
                        .map_err(anyhow::Error::from)
                        .and_then(|connection| answer(&mut StreamOwned::new(connection, stream), &served).map(drop)),
                };
            }
        });
        Ok(Self { url, shared })
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().expect("no other test panics with it")
    }

    fn set(&self, mood: Mood) {
        let mut shared = self.shared();
        shared.mood = mood;
        shared.open.clear();
    }

    /// All messages about this run that were taken.
    fn about(&self, run: &str) -> Vec<Value> {
        self.shared().taken.iter().filter(|message| text(message, "/run") == run).cloned().collect()
    }

    /// Waits for a message of this about this run, which is the only one.
    fn wait(&self, event: &str, run: &str) -> Result<Value> {
        poll(&format!("{event} of {run}"), WITHIN, || {
            let mut found = self.about(run);
            let seen: Vec<String> = found.iter().map(|message| text(message, "/event").to_owned()).collect();
            found.retain(|message| text(message, "/event") == event);
            match found.as_slice() {
                [only] => Ok(only.clone()),
                _ => bail!("{} of them; all: {seen:?}", found.len()),
            }
        })
    }
}

fn serve(mut stream: TcpStream, shared: &Mutex<Shared>) -> Result<()> {
    stream.set_read_timeout(Some(WITHIN))?;
    if !answer(&mut stream, shared)? {
        shared.lock().expect("no panic").open.push(stream);
    }
    Ok(())
}

/// Reads one request and answers it, or does not. Whether it did.
fn answer(stream: &mut (impl Read + Write), shared: &Mutex<Shared>) -> Result<bool> {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    let body = loop {
        let whole = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = whole.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            if head.starts_with("POST /services/T0/") && body.len() >= length.unwrap_or(usize::MAX) {
                break body.to_owned();
            }
        }
        let read = stream.read(&mut buffer)?;
        ensure!(read > 0, "no whole request: {whole}");
        request.extend(&buffer[..read]);
    };
    let message: Value = serde_json::from_str(&body)?;
    let mut shared = shared.lock().expect("no panic");
    match shared.mood {
        Mood::Takes => {
            shared.taken.push(message);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")?;
        }
        Mood::Fails => {
            shared.refused.push(message);
            stream.write_all(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n")?;
        }
        Mood::Hangs => {
            shared.refused.push(message);
            return Ok(false);
        }
    }
    stream.flush()?;
    Ok(true)
}

const RUNBOOKS: &str = "
apiVersion: firstaid.dev/v1alpha1
kind: Runbook
metadata: {name: room}
spec:
  summary: More pods of checkout
  gates: [{name: on-call, requires: [{role: sre}]}]
  steps:
  - {name: scale-out, gate: on-call, scale: {target: {kind: Deployment, name: checkout}, by: 1}}
---
apiVersion: firstaid.dev/v1alpha1
kind: Runbook
metadata: {name: never}
spec:
  summary: More pods of checkout
  gates: [{name: on-call, requires: [{role: sre}], selfApproval: Never}]
  steps:
  - {name: scale-out, gate: on-call, scale: {target: {kind: Deployment, name: checkout}, by: 1}}
";

/// A namespace with these runbooks, and a file for the URL.
fn town(name: &str) -> Result<(Town, PathBuf)> {
    let town = Town::empty(Leg::Stamping, name)?;
    town.sandbox.open_shop(&town.namespace)?;
    town.runbook(RUNBOOKS)?;
    let file = town.sandbox.data().join(format!("{}-url", town.namespace));
    Ok((town, file))
}

/// An operator that tells what is in this file, with logs as loud as they can be.
fn start_operator(town: &mut Town, file: &Path, env: &[(&str, &str)]) -> Result<()> {
    let lease = format!("--lease-name={}", town.namespace);
    let file = file.to_string_lossy();
    let args =
        ["--namespaces", &town.namespace, &lease, "--lease-seconds=3", "--cluster-name=sandbox", "--notify-insecure"];
    let mut env = env.to_vec();
    env.extend([("RUST_LOG", "trace"), ("FIRSTAID_NOTIFY_URL_FILE", &file)]);
    let mut operator = town.sandbox.start_operator(Path::new(env!("CARGO_BIN_EXE_firstaid")), &args, &env)?;
    operator.wait_ready(WITHIN)?;
    town.operator = Some(operator);
    Ok(())
}

/// How many notifications the operator has counted with this result.
fn counted(town: &Town, result: &str) -> Result<u64> {
    let metrics = town.operator.as_ref().context("an operator")?.get("/metrics")?.1;
    let name = format!("firstaid_notifications_total{{result=\"{result}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    Ok(line.map_or(Ok(0), str::parse)?)
}

/// Nothing that is written or served holds this.
fn is_nowhere(town: &Town, secret: &str, logs: &[PathBuf]) -> Result<()> {
    let operator = town.operator.as_ref().context("an operator")?;
    let logs = logs.iter().cloned().chain([operator.log_path().to_owned()]);
    let logs: String = logs.map(std::fs::read_to_string).collect::<std::io::Result<_>>()?;
    ensure!(logs.contains("\"TRACE\"") && logs.contains("notification"), "the logs are not as loud as they can be");
    let kinds = "rbk,rbr,apv,arec,events,events.events.k8s.io,leases";
    let objects = town.kubectl("root", &["get", kinds, "-o", "json"])?.ok()?;
    ensure!(objects.contains("firstaid.dev"), "{objects}");
    let help = std::process::Command::new(env!("CARGO_BIN_EXE_firstaid"))
        .args(["operator", "--help"])
        .env("FIRSTAID_NOTIFY_URL_FILE", secret)
        .output()?;
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    ensure!(help.contains("--notify-url-file"), "{help}");
    let metrics = operator.get("/metrics")?.1;
    for (place, words) in [("a log", &logs), ("an object", &objects), ("--help", &help), ("/metrics", &metrics)] {
        let line = words.lines().find(|line| line.contains(secret));
        ensure!(line.is_none(), "the URL is in {place}: {line:?}");
    }
    Ok(())
}

/// What was decided after everybody was asked.
fn an_approval(town: &Town, receiver: &Receiver) -> Result<()> {
    town.start_with("room", "asked", "  incident: INC-7\n")?;
    let ballot = town.ballot("asked")?;
    let asked = receiver.wait("ApprovalAsked", "asked")?;
    let (name, code) = (text(&ballot, "/metadata/name"), text(&ballot, "/spec/request/code"));
    let command = format!("kubectl describe apv -n {} {name}", town.namespace);
    for (field, wanted) in [
        ("cluster", json!("sandbox")),
        ("namespace", json!(town.namespace)),
        ("runbook", json!("room")),
        ("incident", json!("INC-7")),
        ("summary", ballot["spec"]["request"]["summary"].clone()),
        ("until", ballot["spec"]["request"]["expiresAt"].clone()),
        ("needed", json!(["1 of sre"])),
        ("ballots", json!([name])),
        ("by", json!("alice")),
        ("command", json!(command)),
    ] {
        assert_eq!(asked.get(field), Some(&wanted), "{field}: {asked:#}");
    }
    let line = text(&asked, "/text");
    assert!(line.starts_with(&format!("[sandbox] APPROVAL NEEDED: {}/asked (runbook room", town.namespace)), "{line}");
    // The command is one to paste, and the code is read there, not here.
    let words: Vec<&str> = command.split(' ').skip(1).collect();
    let shown = town.sandbox.kubectl_run("bob", &words)?.ok()?;
    assert!(shown.contains(code), "{shown}");
    assert!(!asked.to_string().contains(code), "{asked:#}");
    town.approve("bob", "asked")?;
    let done = town.wait_phase("asked", "Succeeded")?;
    let ended = receiver.wait("Ended", "asked")?;
    let head = text(&done, "/status/recordHead");
    assert!(head.starts_with("sha256:"), "{done:#}");
    assert_eq!((text(&ended, "/recordHead"), text(&ended, "/phase")), (head, "Succeeded"));
    assert_eq!(text(&ended, "/message"), text(&done, "/status/message"));
    assert_eq!(ended["inPlace"], json!([text(&asked, "/summary")]));
    assert!(text(&ended, "/text").contains(head), "{ended:#}");
    Ok(())
}

fn broken_glass(town: &Town, receiver: &Receiver) -> Result<()> {
    town.start("never", "glass")?;
    receiver.wait("ApprovalAsked", "glass")?;
    dave_may_break_the_glass(town, "glass")?;
    town.kubectl("dave", &["annotate", "rbr", "glass", GLASS])?.ok()?;
    let broken = receiver.wait("BrokenGlass", "glass")?;
    let line = text(&broken, "/text");
    let said = format!(
        "[sandbox] BROKEN GLASS by dave: {}/glass (runbook never). Somebody else is asked to ratify or disown it ",
        town.namespace
    );
    assert!(line.starts_with(&said) && line.ends_with(". “the database is down and nobody answers”"), "{line}");
    let done = town.wait_phase("glass", "Succeeded")?;
    assert_eq!(text(&receiver.wait("Ended", "glass")?, "/recordHead"), text(&done, "/status/recordHead"));
    let due = receiver.wait("RatificationDue", "glass")?;
    let ballot = text(&due, "/ballots/0");
    assert_eq!((ballot, text(&due, "/by")), (text(&done, "/status/ratification"), "dave"));
    town.mark("bob", ballot, "deny=the database was never down")?.ok()?;
    let disowned = receiver.wait("Disowned", "glass")?;
    assert_eq!(text(&disowned, "/by"), "bob");
    assert!(text(&disowned, "/text").contains("bob disowned it: the database was never down"), "{disowned:#}");
    Ok(())
}

#[test]
fn people_are_told_once_what_they_must_know() -> Result<()> {
    let secret = "PLANTED-fd93ab";
    let (mut town, file) = town("notify")?;
    let receiver = Receiver::start(secret)?;
    std::fs::write(&file, &receiver.url)?;
    start_operator(&mut town, &file, &[])?;
    an_approval(&town, &receiver)?;
    broken_glass(&town, &receiver)?;

    // Another operator tells nobody again what was told, and goes on from there, at a URL that is new by now.
    town.start("room", "later")?;
    let before = receiver.wait("ApprovalAsked", "later")?;
    let log = town.operator.as_ref().context("an operator")?.log_path().to_owned();
    town.kill_operator()?;
    let other = Receiver::start(secret)?;
    std::fs::write(&file, &other.url)?;
    start_operator(&mut town, &file, &[])?;
    town.approve("bob", "later")?;
    town.wait_phase("later", "Succeeded")?;
    let ended = other.wait("Ended", "later")?;
    let told: Vec<Value> = receiver.about("later").into_iter().chain(other.about("later")).collect();
    assert_eq!(told, [before, ended]);
    for run in ["asked", "glass"] {
        assert_eq!(other.about(run), Vec::<Value>::new(), "the past is no news");
    }
    poll("all of it to be counted", WITHIN, || {
        ensure!(counted(&town, "sent")? == 1, "{}", counted(&town, "sent")?);
        Ok(())
    })?;
    for other_result in ["failed", "unusable", "dropped"] {
        assert_eq!(counted(&town, other_result)?, 0, "{other_result}");
    }
    is_nowhere(&town, secret, &[log])
}

#[test]
fn a_receiver_that_hangs_or_fails_holds_up_nobody() -> Result<()> {
    let secret = "PLANTED-0c41ae";
    let (mut town, file) = town("notify-bad")?;
    let receiver = Receiver::start(secret)?;
    std::fs::write(&file, &receiver.url)?;
    start_operator(&mut town, &file, &[])?;
    let whole_run = |name: &str| -> Result<()> {
        town.start("room", name)?;
        town.wait_phase(name, "Waiting")?;
        let ballot = town.ballot(name)?;
        town.approve("bob", name)?;
        let done = town.wait_phase(name, "Succeeded")?;
        // Were anybody to wait for the message that tells of the plan, it would take the twenty seconds of three tries.
        let at = |object: &Value, field: &str| -> Result<Timestamp> { Ok(text(object, field).parse()?) };
        let issued = at(&ballot, "/metadata/creationTimestamp")?;
        let waited = issued.duration_since(at(&done, "/status/plans/0.1/plannedAt")?);
        ensure!(waited < SignedDuration::from_secs(10), "its ballot was issued {waited} after the plan");
        Ok(())
    };
    receiver.set(Mood::Hangs);
    whole_run("hung")?;
    receiver.set(Mood::Fails);
    whole_run("failed")?;
    poll("a message that was refused", WITHIN, || {
        let refused = receiver.shared().refused.len();
        ensure!(refused >= 3, "{refused} tries");
        Ok(())
    })?;
    receiver.set(Mood::Takes);
    whole_run("told")?;
    receiver.wait("Ended", "told")?;
    // Each message was taken once, or tried three times and counted.
    poll("all of it to be counted", WITHIN, || {
        let (sent, failed) = (counted(&town, "sent")?, counted(&town, "failed")?);
        ensure!(sent + failed == 6, "{sent} sent, {failed} failed");
        Ok(())
    })?;
    let failed = counted(&town, "failed")?;
    let shared = receiver.shared();
    let tried: BTreeSet<String> = shared.refused.iter().map(Value::to_string).collect();
    for message in &tried {
        let tries = shared.refused.iter().filter(|other| other.to_string() == *message).count();
        assert!(tries <= 3, "{tries} tries of {message}");
    }
    let taken: BTreeSet<String> = shared.taken.iter().map(Value::to_string).collect();
    let lost = tried.difference(&taken).count();
    assert_eq!(u64::try_from(lost)?, failed, "what is lost is counted");
    assert!((1..=4).contains(&lost), "{lost} were lost");
    drop(shared);
    is_nowhere(&town, secret, &[])
}

/// The certificate of the API server, which is of 127.0.0.1.
fn tls(town: &Town) -> Result<Arc<ServerConfig>> {
    let keys = town.sandbox.data().join("keys");
    let certificates = CertificateDer::pem_file_iter(keys.join("server.crt"))?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(keys.join("server.key"))?;
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(certificates, key)?;
    Ok(Arc::new(config))
}

#[test]
fn https_is_spoken_with_whoever_has_a_certificate_that_is_trusted() -> Result<()> {
    let secret = "PLANTED-77e0d2";
    let (mut town, file) = town("notify-tls")?;
    let receiver = Receiver::start_with(secret, Some(tls(&town)?))?;
    std::fs::write(&file, &receiver.url)?;
    start_operator(&mut town, &file, &[])?;
    town.start("room", "doubted")?;
    poll("a message that is given up", WITHIN, || {
        ensure!(counted(&town, "failed")? == 1, "not yet");
        Ok(())
    })?;
    assert_eq!(receiver.about("doubted"), Vec::<Value>::new());
    let log = town.operator.as_ref().context("an operator")?.log_path().to_owned();
    let said = std::fs::read_to_string(&log)?;
    ensure!(said.contains("no TLS connection: the certificate is not trusted"), "the log does not say why");
    town.kill_operator()?;

    let trusted = town.sandbox.data().join("keys/ca.crt");
    start_operator(&mut town, &file, &[("SSL_CERT_FILE", &trusted.to_string_lossy())])?;
    town.start("room", "trusted")?;
    receiver.wait("ApprovalAsked", "trusted")?;
    is_nowhere(&town, secret, &[log])
}

/// On an API server of its own, since all runs of a cluster would feel it.
#[test]
fn people_are_told_that_the_operator_stopped_and_that_it_acts_again() -> Result<()> {
    let secret = "PLANTED-b19b70";
    let receiver = Receiver::start(secret)?;
    let file = std::env::temp_dir().join(format!("firstaid-{}-{secret}", std::process::id()));
    std::fs::write(&file, &receiver.url)?;
    let path = file.to_string_lossy().into_owned();
    let more = ["--notify-insecure", "--notify-url-file", &path, "--guard-seconds=4", "--guard-settle-seconds=1"];
    let town = Town::open_alone_with(Leg::Stamping, "notify-guards", &[], &more)?;
    let patch = |actions: Value| {
        let patch = json!([{"op": "replace", "path": "/spec/validationActions", "value": actions}]).to_string();
        let binding = ["patch", "validatingadmissionpolicybinding", "firstaid-ballot", "--type=json", "-p", &patch];
        town.sandbox.kubectl_run("root", &binding)?.ok()
    };
    for _ in 0..2 {
        receiver.shared().taken.clear();
        patch(json!(["Audit"]))?;
        let away = receiver.wait("GuardsAway", "")?;
        let line = text(&away, "/text");
        assert!(line.starts_with("[sandbox] FIRST AID HAS STOPPED ACTING: "), "{line}");
        assert!(line.contains("spec.validationActions is ['Audit']"), "{line}");
        assert!(text(&away, "/message").contains(r#"spec.validationActions is ["Audit"]"#), "{away:#}");
        patch(json!(["Deny", "Audit"]))?;
        receiver.wait("GuardsBack", "")?;
        let told: Vec<String> = receiver.shared().taken.iter().map(|m| text(m, "/event").to_owned()).collect();
        assert_eq!(told, ["GuardsAway", "GuardsBack"]);
    }
    std::fs::remove_file(&file)?;
    Ok(())
}
