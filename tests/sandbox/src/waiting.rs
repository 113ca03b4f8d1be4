//! Waiting for something to become so: never a fixed sleep.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Tries `look` again and again until it succeeds, and returns what it found. When it did not succeed `within` that
/// time, the error says what was waited for and why the last look failed. Looks come ever more seldom, up to five a second.
pub fn poll<T>(what: &str, within: Duration, mut look: impl FnMut() -> Result<T>) -> Result<T> {
    let started = Instant::now();
    let mut pause = Duration::from_millis(10);
    loop {
        match look() {
            Ok(found) => return Ok(found),
            Err(reason) if started.elapsed() >= within => {
                return Err(reason).with_context(|| format!("waited {within:?} in vain: {what}"));
            }
            Err(_) => {
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(200));
            }
        }
    }
}
