//! The verbs of `firstaid`, one file each.
#![allow(clippy::print_stderr, clippy::print_stdout)]

pub mod crds;
pub mod onboard;
pub mod verify;
pub mod version;

use std::process::ExitCode;

/// Says what went wrong, with its causes.
pub fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("firstaid: {error:#}");
    ExitCode::FAILURE
}
