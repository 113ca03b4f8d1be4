//! The narrow door to the world: the only module, with `record`, that writes to it.
//!
//! Targets are read and written as the Runbook's ServiceAccount and never as the operator. Every call has a deadline, and
//! nothing is retried here: the planner sees what came back and decides.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod act;
mod alerts;
mod ballots;
pub mod body;
mod events;
mod evidence;
mod guard;
mod identity;
mod in_place;
mod journal;
mod kinds;
mod look;
mod message;
pub mod notify;
pub mod person;
mod readiness;

use std::time::Duration;

use jiff::Timestamp;
use kube::{Client, Config};

pub use alerts::{AUDIENCE, Right};
pub use evidence::{list_ended, list_stored, read_evidence, read_of_incident};
pub use guard::{Guard, Guarding};
pub use in_place::{Left, list_left};
pub use journal::{Journalled, read_journal};

use identity::Identities;

/// How long any one call may take. After that its outcome is unknown.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// Reads, acts, issues ballots and writes journals.
pub struct Performer {
    /// As the operator, without retries.
    operator: Client,
    identities: Identities,
    kinds: kinds::Kinds,
    guard: Guard,
    /// The operator's own namespace.
    namespace: String,
    /// The operator's own user name.
    name: String,
}

impl Performer {
    /// A performer for an operator with these guards. None of its clients retries, whatever the configuration says: a
    /// write that a client sends twice is one that nobody decided.
    ///
    /// # Errors
    /// Where no client can be made of the configuration.
    pub fn new(mut config: Config, guarding: Guarding) -> kube::Result<Self> {
        config.default_retry = false;
        let operator = Client::try_from(config.clone())?;
        Ok(Self {
            kinds: kinds::Kinds::new(operator.clone()),
            namespace: guarding.values.namespace.clone(),
            name: guarding.values.operator(),
            guard: Guard::new(operator.clone(), guarding),
            identities: Identities::new(config),
            operator,
        })
    }

    /// The proof that the approval policies are in force.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// The client without retries.
    pub fn client(&self) -> &Client {
        &self.operator
    }
}

/// The time, to the microsecond: finer than that nothing is stored.
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
}

/// A call that took too long, or failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// There was no answer in time.
    #[error("no answer within {} s", DEADLINE.as_secs())]
    Deadline,
    /// The API server's answer, or the lack of one.
    #[error("{0}")]
    Kube(#[from] Box<kube::Error>),
}

impl CallError {
    /// The HTTP status of a definite answer of the API server.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Deadline => None,
            Self::Kube(error) => match error.as_ref() {
                kube::Error::Api(status) => Some(status.code),
                _ => None,
            },
        }
    }

    /// Whether the API server took the request, judged it and refused it: the same request would be refused again until
    /// something is mended. Not so where it was busy, or where somebody else was first.
    pub fn is_refusal(&self) -> bool {
        matches!(self.code(), Some(400 | 403 | 413 | 422))
    }

    /// What the API server said, without the values that it quotes, else what went wrong.
    pub fn message(&self) -> String {
        match self {
            Self::Deadline => self.to_string(),
            Self::Kube(error) => match error.as_ref() {
                kube::Error::Api(status) => message::without_values(&status.message),
                other => other.to_string(),
            },
        }
    }
}

/// The call, within its deadline.
pub(crate) async fn timely<T>(call: impl Future<Output = kube::Result<T>>) -> Result<T, CallError> {
    match tokio::time::timeout(DEADLINE, call).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(CallError::Kube(Box::new(error))),
        Err(_) => Err(CallError::Deadline),
    }
}
