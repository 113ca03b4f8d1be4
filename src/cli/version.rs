//! `firstaid version`.

/// Prints the version.
///
/// # Errors
/// None; the signature is that of every verb.
pub fn run() -> anyhow::Result<()> {
    println!("firstaid {}", env!("CARGO_PKG_VERSION"));
    Ok(())
}
