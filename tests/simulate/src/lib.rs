//! The simulator: First Aid's planner between a fake API server, a bad network, people and a second operator, in virtual
//! time, from one seed.
//!
//! ```text
//! choices      where every choice comes from: a seed, or a list that was recorded; 0 is always the harmless one
//! scenario     what a schedule is about
//! simulation   events in the order of virtual time
//!   operator   the loop of `src/control/run.rs`; `calls`, `wire`: its requests, as `src/perform` sends them
//!   lives      how operators die and take over
//!   network    what becomes of a request; `watch`: what an operator hears of
//!   people     people, another controller, chance
//! api_server   a small API server, as strict as the real one in what the promises rest on
//! judge        after every transition: whether a promise was broken
//! fences       what a test takes away to see that the simulator notices
//! minimise     the smallest list of choices that still breaks a promise
//! figures      what the schedules reached
//! ```
// This is a test from end to end; clippy's own exception for tests does not reach it.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, missing_docs)]

pub mod api_server;
mod calls;
pub mod choices;
pub mod fences;
pub mod figures;
pub mod judge;
mod lives;
pub mod minimise;
pub mod network;
mod operator;
mod people;
pub mod scenario;
pub mod simulation;
mod watch;
mod wire;
