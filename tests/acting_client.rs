//! A write is sent once. A client of kube's default sends it again, up to 15 times, when the answer is 429, 503 or 504:
//! a write that is sent twice by a client is one that nobody decided.
#![allow(clippy::unwrap_used)]
#![allow(clippy::disallowed_types)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use firstaid::action::Effect;
use firstaid::api::action_record::RecordState;
use firstaid::api::run::Target;
use firstaid::api::{Approval, RunbookRun, RunbookRunStatus, RunbookStatus};
use firstaid::perform::{Guarding, Performer};
use firstaid::plan::Reply;
use firstaid::record;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client, Config};
use serde_json::{Map, json};
use tokio::sync::Notify;

/// An API server that has no time for anybody, and counts who asks.
struct Busy {
    config: Config,
    asked: Arc<AtomicUsize>,
    asked_again: Arc<Notify>,
}

impl Busy {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let config = Config::new(format!("http://{}", listener.local_addr().unwrap()).parse().unwrap());
        let (asked, asked_again) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let (count, again) = (Arc::clone(&asked), Arc::clone(&asked_again));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (count, again) = (Arc::clone(&count), Arc::clone(&again));
                std::thread::spawn(move || {
                    let mut stream = BufReader::new(stream.unwrap());
                    // Counted before it is answered: whoever has the answer can rely on the count.
                    while listen(&mut stream) {
                        if count.fetch_add(1, Ordering::SeqCst) > 0 {
                            again.notify_one();
                        }
                        refuse(&mut stream);
                    }
                });
            }
        });
        Self { config, asked, asked_again }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

/// Reads one request; false where there is none any more.
fn listen(stream: &mut BufReader<TcpStream>) -> bool {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).unwrap_or_default() == 0 {
            return false;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    stream.read_exact(&mut vec![0; length]).is_ok()
}

fn refuse(stream: &mut BufReader<TcpStream>) {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "ServiceUnavailable", "message": "busy", "code": 503});
    let body = status.to_string();
    let head = format!(
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.get_mut().write_all(format!("{head}{body}").as_bytes()).unwrap();
}

fn effect() -> Effect {
    let target = Target {
        api_version: "apps/v1".into(),
        kind: "Deployment".into(),
        namespace: "shop".into(),
        name: "checkout".into(),
        uid: "u1".into(),
    };
    Effect::new(
        &target,
        &json!({"metadata": {"uid": "u1", "generation": 1}}),
        "run/r1/scale/1",
        &[],
        Map::new(),
        Map::new(),
    )
}

fn run() -> RunbookRun {
    let run = json!({"apiVersion": "firstaid.dev/v1alpha1", "kind": "RunbookRun", "metadata": {"name": "r", "namespace": "shop"},
        "spec": {"runbook": "b", "reason": "queue grows"}});
    serde_json::from_value(run).unwrap()
}

fn ballot() -> Approval {
    let at = "2026-11-22T03:10:00.000000Z";
    let request = json!({"run": "r", "runUID": "r1", "runbook": "b", "gate": "g", "role": "sre", "plan": "0.1", "planHash": "sha256:0", "code": "0000",
        "shownCode": "0000", "requester": "alice", "why": "queue grows", "summary": "s", "effects": [], "reason": "Required", "issuedAt": at, "expiresAt": at});
    let ballot = json!({"apiVersion": "firstaid.dev/v1alpha1", "kind": "Approval", "metadata": {"name": "r-1", "namespace": "shop"}, "spec": {"request": request}});
    serde_json::from_value(ballot).unwrap()
}

#[tokio::test]
async fn every_write_of_ours_is_sent_once() {
    let busy = Busy::start();
    assert!(busy.config.default_retry, "this is kube's default, which the performer must not take over");
    let performer = Performer::new(busy.config.clone(), Guarding::default()).unwrap();

    let reply = performer.act("shop", "firstaid", &effect()).await;
    assert!(matches!(&reply, Reply::Ambiguous(why) if why == "busy"), "{reply:?}");
    assert_eq!(busy.asked(), 1, "an act was sent more than once");

    assert!(performer.write_status(&run(), RunbookRunStatus::default()).await.is_err());
    assert_eq!(busy.asked(), 2, "the journal was written more than once");

    let issued = performer.issue(&ballot()).await;
    assert!(matches!(&issued, Err(error) if error.message() == "busy"), "{issued:?}");
    assert_eq!(busy.asked(), 3, "a ballot was issued more than once");

    assert!(performer.write_rehearsal("shop", "b", &RunbookStatus::default()).await.is_err());
    assert_eq!(busy.asked(), 4, "what a rehearsal found was written more than once");

    assert!(record::mark(performer.client(), "shop", "r-1", RecordState::Reverted).await.is_err());
    assert_eq!(busy.asked(), 5, "a record was marked more than once");
}

/// Shows that the test above can fail.
#[tokio::test]
async fn a_client_of_kubes_default_sends_a_write_again() {
    let busy = Busy::start();
    let maps = Api::<ConfigMap>::namespaced(Client::try_from(busy.config.clone()).unwrap(), "shop");
    let (params, patch) = (PatchParams::default(), Patch::Merge(json!({"data": {}})));
    tokio::select! {
        answer = maps.patch("flags", &params, &patch) => assert!(busy.asked() > 1, "it was sent once: {answer:?}"),
        () = busy.asked_again.notified() => {}
    }
}
