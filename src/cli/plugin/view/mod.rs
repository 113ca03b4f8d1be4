//! What stored objects look like to people. Pure: no client, no clock; lines come out.

pub mod ballot;
pub mod changes;
pub mod run;
