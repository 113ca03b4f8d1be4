//! The planner against a cluster in memory.

mod act;
mod alone;
mod ambiguous;
mod api_server;
mod checks;
pub(crate) mod cluster;
mod fuzz;
mod gaps;
mod gates;
mod hash;
mod in_place;
mod journey;
mod people;
mod revert;
mod schedules;
mod undo;
mod words;
