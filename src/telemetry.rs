//! Logs: one JSON object a line, with stable fields.

use tracing_subscriber::EnvFilter;

/// Starts logging to standard error. `RUST_LOG` chooses what is logged.
pub fn start() {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,kube=warn,kube_runtime=warn"));
    tracing_subscriber::fmt().json().flatten_event(true).with_env_filter(filter).with_writer(std::io::stderr).init();
}
