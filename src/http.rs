//! `/livez`, `/readyz` and `/metrics`.

use std::net::SocketAddr;

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::sync::watch;

use crate::metrics::Metrics;

#[derive(Clone)]
struct Shared {
    ready: watch::Receiver<Result<(), String>>,
    metrics: Metrics,
}

/// Serves until the future resolves.
///
/// # Errors
/// Where the address cannot be listened on.
pub async fn serve(
    address: SocketAddr,
    ready: watch::Receiver<Result<(), String>>,
    metrics: Metrics,
    stop: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind(address).await.with_context(|| format!("listening on {address}"))?;
    let router = Router::new()
        .route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(measured))
        .with_state(Shared { ready, metrics });
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
