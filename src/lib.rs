//! First Aid: declarative runbooks for the worst half hour of a service's month.
//!
//! ```text
//! api  <-  action  <-  plan        pure: no client, no clock, no randomness
//!             ^          ^
//!             +- perform |  record the only writers
//!                   ^    |    ^
//!                   +- control       ask the planner, do the one thing, ask again
//!                        ^
//!                   app, main        wiring
//!
//! alerts    pure: which incident an alert opens, or feeds
//! digest, expression   pure: hashes of canonical JSON, and CEL; they know nothing of ours
//! follow_up pure: whether the cluster shows that a follow-up of an incident is done
//! guard     pure: the admission policies as they were shipped, and what differs from them
//! verify    pure: whether the records, and what they say of ballots and runs, still stand
//! lint      pure: whether a file holds runbooks that the API server takes and the operator can rehearse
//! retro     pure: from records, and from what people add, to the retrospective
//! ```
//!
//! Start with [`plan`], whose first page is the state diagram of a run.

pub mod action;
pub mod alerts;
pub mod api;
pub mod app;
pub mod cli;
pub mod control;
pub mod digest;
pub mod expression;
pub mod follow_up;
pub mod guard;
pub mod http;
pub mod lint;
pub mod metrics;
pub mod perform;
pub mod plan;
pub mod record;
pub mod retro;
pub mod telemetry;
pub mod verify;
