//! `firstaid version`.

/// Prints the version.
///
/// # Errors
/// Where it cannot be written.
pub fn run() -> anyhow::Result<()> {
    super::print(concat!("firstaid ", env!("CARGO_PKG_VERSION"), "\n"))
}
