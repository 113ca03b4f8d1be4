//! The verbs of `firstaid`, one file each.
#![allow(clippy::print_stderr)]

pub mod crds;
pub mod lint;
pub mod material;
pub mod onboard;
pub mod plugin;
pub mod retro;
pub mod timeline;
pub mod verify;
pub mod version;

mod stored;

use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;

/// Writes to standard output. Where whoever read it has read enough, such as `head`, there is nobody to write to, and that is
/// no error.
///
/// # Errors
/// Where it cannot be written otherwise, such as on a full disk.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error).context("writing to standard output"),
        _ => Ok(()),
    }
}

/// Says what went wrong, with its causes.
pub fn fail(error: &anyhow::Error) -> ExitCode {
    // Some of the words may be a stranger's: not a character may move the cursor.
    eprintln!("firstaid: {}", crate::api::line::one_line(&format!("{error:#}")));
    ExitCode::FAILURE
}
