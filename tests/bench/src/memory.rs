//! The operator's resident memory, as the kernel counts it.

use anyhow::{Context, Result};

/// Resident memory.
#[derive(Clone, Copy, Debug)]
pub struct Resident {
    /// Now, in MB (10^6 bytes).
    pub now: f64,
    /// The most since its start.
    pub most: f64,
    /// Of that now, its own data; the rest are pages of the program file, which the kernel may drop and read again.
    pub own: f64,
}

/// What `/proc/PID/status` says. Only Linux has it.
pub fn of(pid: u32) -> Result<Resident> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
    Ok(Resident { now: field(&status, "VmRSS:")?, most: field(&status, "VmHWM:")?, own: field(&status, "RssAnon:")? })
}

fn field(status: &str, name: &str) -> Result<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).with_context(|| format!("no {name}"))?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().with_context(|| format!("{name} {line}"))?;
    Ok(kib * 1024.0 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kib_of_the_kernel_are_not_mb() {
        assert_eq!(field("Name:\tx\nVmRSS:\t   20000 kB\n", "VmRSS:").unwrap(), 20.48);
        assert!(field("Name:\tx\n", "VmRSS:").is_err());
    }
}
