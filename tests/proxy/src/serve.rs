//! Passing requests on, and what happens to some of them.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt};
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, RETRY_AFTER, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use kube::Client;
use kube::client::Body;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::fault::Then;
use crate::{Asked, Fault, Rule, Seen};

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Answer = Response<BoxBody<Bytes, BoxError>>;

/// An answer of which everything is here.
#[derive(Clone)]
pub(crate) struct Whole {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

pub(crate) struct Shared {
    upstream: Client,
    rules: Mutex<Vec<Rule>>,
    seen: Mutex<Vec<Seen>>,
    answers: Mutex<HashMap<String, Whole>>,
    released: Notify,
}

fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub fn new(upstream: Client) -> Self {
        Self {
            upstream,
            rules: Mutex::default(),
            seen: Mutex::default(),
            answers: Mutex::default(),
            released: Notify::new(),
        }
    }

    pub fn rules(&self) -> MutexGuard<'_, Vec<Rule>> {
        held(&self.rules)
    }

    pub fn seen(&self) -> MutexGuard<'_, Vec<Seen>> {
        held(&self.seen)
    }

    pub fn answers(&self) -> MutexGuard<'_, HashMap<String, Whole>> {
        held(&self.answers)
    }

    /// Whatever stalls breaks.
    pub fn release(&self) {
        self.released.notify_waiters();
    }

    /// What happens to this request, and what is to be done then.
    fn fate(&self, asked: &Asked) -> Option<(Fault, Option<Then>)> {
        for rule in self.rules().iter_mut() {
            if !(rule.matches)(asked) {
                continue;
            }
            if rule.after > 0 {
                rule.after -= 1;
            } else if rule.times > 0 {
                rule.times = if rule.times == usize::MAX { usize::MAX } else { rule.times - 1 };
                return Some((rule.fault.clone(), rule.then.take()));
            }
        }
        None
    }

    /// Sends it to the API server.
    async fn send(&self, asked: &Sent) -> Result<Response<Body>, BoxError> {
        let mut request = Request::builder().method(asked.parts.method.clone()).uri(asked.path());
        if let Some(headers) = request.headers_mut() {
            headers.extend(asked.parts.headers.clone());
            for hop in [HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE] {
                headers.remove(hop);
            }
        }
        Ok(self.upstream.send(request.body(Body::from(asked.body.to_vec()))?).await?)
    }

    async fn whole(&self, asked: &Sent) -> Result<Whole, BoxError> {
        let (head, body) = self.send(asked).await?.into_parts();
        Ok(Whole { status: head.status, headers: head.headers, body: body.collect().await?.to_bytes() })
    }
}

/// A request with its whole body, so that it can be sent more than once.
struct Sent {
    parts: http::request::Parts,
    body: Bytes,
}

impl Sent {
    fn path(&self) -> &str {
        self.parts.uri.path_and_query().map_or("/", |path| path.as_str())
    }
}

pub(crate) async fn accept(listener: TcpListener, shared: Arc<Shared>) -> Infallible {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, Arc::clone(&shared)));
            // It ends with an error whenever a fault breaks it.
            let _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Answer, BoxError> {
    let asked = Asked::of(&request);
    let (parts, body) = request.into_parts();
    let sent = Sent { parts, body: body.collect().await?.to_bytes() };
    let fate = shared.fate(&asked);
    shared.seen().push(Seen { asked: asked.clone(), fault: fate.as_ref().map(|(fault, _)| fault.name()) });
    let Some((fault, then)) = fate else { return pass(&asked, &sent, &shared).await };
    let then = || {
        if let Some(then) = then {
            then();
        }
    };
    match fault {
        Fault::LoseRequest => {
            then();
            Err("the request was lost".into())
        }
        Fault::LoseAnswer => {
            shared.whole(&sent).await?;
            then();
            Err("the answer was lost".into())
        }
        Fault::Delay(time) => {
            then();
            tokio::time::sleep(time).await;
            pass(&asked, &sent, &shared).await
        }
        Fault::Repeat => {
            let first = shared.whole(&sent).await?;
            let _ = shared.whole(&sent).await;
            then();
            Ok(given(first))
        }
        Fault::ArriveLate(time) => {
            then();
            tokio::spawn(async move {
                tokio::time::sleep(time).await;
                let _ = shared.whole(&sent).await;
            });
            Err("the request is on its way".into())
        }
        Fault::Refuse(code) => {
            then();
            Ok(refusal(code))
        }
        Fault::Misreport(code) => {
            shared.whole(&sent).await?;
            then();
            Ok(refusal(code))
        }
        Fault::CutAnswer => {
            let whole = shared.whole(&sent).await?;
            then();
            let half = whole.body.slice(..whole.body.len() / 2);
            let parts = stream::iter([Ok(Frame::data(half)), Err("the answer was cut".into())]);
            Ok(with_head(whole.status, &whole.headers, BodyExt::boxed(StreamBody::new(parts))))
        }
        Fault::Stall => {
            let (head, _) = shared.send(&sent).await?.into_parts();
            then();
            let stalled = stream::once(async move {
                shared.released.notified().await;
                Err("it stalled".into())
            });
            Ok(with_head(head.status, &head.headers, BodyExt::boxed(StreamBody::new(stalled))))
        }
        Fault::OldAnswer => {
            then();
            let old = shared.answers().get(&question(&asked, &sent)).cloned();
            match old {
                Some(old) => Ok(given(old)),
                None => pass(&asked, &sent, &shared).await,
            }
        }
    }
}

/// The same question, by the same user.
fn question(asked: &Asked, sent: &Sent) -> String {
    format!("{} {}", asked.user, sent.path())
}

/// As it is. The first answer to each question is kept.
async fn pass(asked: &Asked, sent: &Sent, shared: &Shared) -> Result<Answer, BoxError> {
    if matches!(asked.verb.as_str(), "get" | "list") {
        let whole = shared.whole(sent).await?;
        if whole.status.is_success() {
            shared.answers().entry(question(asked, sent)).or_insert_with(|| whole.clone());
        }
        return Ok(given(whole));
    }
    let (head, body) = shared.send(sent).await?.into_parts();
    let frames = body.into_data_stream().map(|chunk| chunk.map(Frame::data).map_err(BoxError::from));
    // What a client may await is only the body, and that must be allowed to be moved between threads and shared.
    Ok(with_head(head.status, &head.headers, BodyExt::boxed(StreamBody::new(sync(frames)))))
}

/// A stream that is only ever polled by one task at a time may be shared.
fn sync(
    frames: impl futures::Stream<Item = Result<Frame<Bytes>, BoxError>> + Send + 'static,
) -> impl futures::Stream<Item = Result<Frame<Bytes>, BoxError>> + Send + Sync {
    let (sender, receiver) = tokio::sync::mpsc::channel(16);
    tokio::spawn(async move {
        let mut frames = std::pin::pin!(frames);
        while let Some(frame) = frames.next().await {
            if sender.send(frame).await.is_err() {
                break;
            }
        }
    });
    stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)))
}

fn given(whole: Whole) -> Answer {
    let body = Full::new(whole.body).map_err(|never| match never {}).boxed();
    with_head(whole.status, &whole.headers, body)
}

fn with_head(status: StatusCode, headers: &HeaderMap, body: BoxBody<Bytes, BoxError>) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    for (name, value) in headers {
        if ![CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name) {
            answer.headers_mut().append(name, value.clone());
        }
    }
    answer
}

/// A refusal in the words of the API server.
fn refusal(code: u16) -> Answer {
    let (reason, message) = match code {
        409 => {
            ("Conflict", "the object has been modified; please apply your changes to the latest version and try again")
        }
        413 => ("RequestEntityTooLarge", "limit is 3145728"),
        422 => ("Invalid", "the server rejected our request due to an error in our request"),
        429 => ("TooManyRequests", "too many requests, please try again later"),
        503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
        504 => ("Timeout", "request did not complete within the allotted timeout"),
        _ => ("InternalError", "etcdserver: request timed out"),
    };
    let status = serde_json::json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code});
    let body = Full::new(Bytes::from(status.to_string())).map_err(|never| match never {}).boxed();
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    if code == 429 {
        headers.insert(RETRY_AFTER, http::HeaderValue::from_static("1"));
    }
    with_head(StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), &headers, body)
}
