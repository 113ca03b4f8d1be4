//! Whether a refusal is meant. An API server that has just begun answers before it has read roles, bindings and policies, and
//! refuses meanwhile whatever it is asked: requests with 403, access reviews with a no. `/readyz` is red until it has
//! (its check `informer-sync`).

use axum::http::Request;

use super::{Performer, timely};

impl Performer {
    /// Why a refusal of this moment tells nothing: the API server is not ready. None where it is.
    pub(super) async fn not_ready(&self) -> Option<String> {
        let request = Request::get("/readyz").body(Vec::new()).ok()?;
        let error = timely(self.operator.request_text(request)).await.err()?;
        // Not its text, which is a line for each of its sixty checks.
        let why = error.code().map_or_else(|| error.message(), |code| format!("answers {code}"));
        Some(format!("the API server is not ready (/readyz: {why}) and may not know yet what it allows"))
    }
}
