//! End to end on a real control plane: real API server, real policies, real kubectl, the real operator.
//!
//! All tests share one API server that stamps votes and one that does not (`--emulated-version=1.33`). Each test has a
//! namespace and an operator of its own, so that no test is healed by another's operator.
// A test ends by a panic; clippy's own exception for tests does not reach their helpers.
#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod alerts;
mod alone;
mod approvals;
mod attacks;
mod audit;
mod bad_input;
mod brake;
mod chain;
mod check;
mod conformance;
mod crash;
mod disable;
mod dry_run;
mod faults;
mod first_five_minutes;
mod follow_up;
mod hindered;
mod in_place;
mod incident;
mod journal;
mod judged;
mod keep;
mod lint;
mod named;
mod notify;
mod odd_input;
mod path;
mod plugin;
mod policies;
mod read;
mod refusal;
mod restart;
mod revert;
mod runbooks;
mod runs;
mod scale;
mod secrets;
mod soak;
mod stop;
mod sweep;
mod town;
mod undo;
mod verify;
