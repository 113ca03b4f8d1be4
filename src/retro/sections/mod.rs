//! The sections of a retrospective, one file each.

pub mod actions;
pub mod attention;
pub mod chain;
pub mod decisions;
pub mod follow_ups;
pub mod in_place;
pub mod integrity;
pub mod recurrences;
pub mod summary;
