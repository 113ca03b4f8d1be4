//! `/livez`, `/readyz`, `/metrics`, and where alerts are told if that is wanted.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use tokio::sync::watch;

use crate::alerts::MOST_BYTES;
use crate::control::alerts::Receiver;
use crate::metrics::Metrics;

/// Who hears of alerts, once there is somebody.
pub type Hearing = Arc<OnceLock<Receiver>>;

#[derive(Clone)]
struct Shared {
    ready: watch::Receiver<Result<(), String>>,
    metrics: Metrics,
}

/// Serves until the future resolves. Alerts are taken only where somebody will hear of them: else there is no such address.
///
/// # Errors
/// Where the address cannot be listened on.
pub async fn serve(
    address: SocketAddr,
    ready: watch::Receiver<Result<(), String>>,
    metrics: Metrics,
    hearing: Option<Hearing>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind(address).await.with_context(|| format!("listening on {address}"))?;
    let alerts = hearing
        .map_or_else(Router::new, |hearing| Router::new().route("/alerts/{namespace}", post(tell)).with_state(hearing));
    let router = Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(measured))
        .with_state(Shared { ready, metrics })
        .merge(alerts);
    axum::serve(listener, router).with_graceful_shutdown(stop).await.context("serving HTTP")
}

/// 503 says that it would do nothing, and why. It goes on by itself: only `/livez` is a reason to start it anew.
async fn readyz(State(shared): State<Shared>) -> (StatusCode, String) {
    match &*shared.ready.borrow() {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

async fn measured(State(shared): State<Shared>) -> Result<String, StatusCode> {
    shared.metrics.encode().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

async fn tell(
    State(hearing): State<Hearing>,
    Path(namespace): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> (StatusCode, String) {
    let Some(receiver) = hearing.get() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "not ready yet; try again\n".to_owned());
    };
    let shown = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = shown.and_then(|shown| shown.strip_prefix("Bearer ")).map(str::trim).filter(|token| !token.is_empty());
    // Read only once it is known who sends it: a stranger fills no memory.
    let message = async { to_bytes(body, MOST_BYTES).await.map_err(|error| error.to_string()) };
    let (code, said) = receiver.hear(&namespace, token, message).await;
    (StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), said)
}
