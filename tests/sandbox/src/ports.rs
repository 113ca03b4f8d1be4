//! Free ports on 127.0.0.1 that no other sandbox takes, in this process or another.

use std::fs::{self, File};
use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context, Result, bail};

/// Below the range from which the kernel takes the source ports of outgoing connections (32768 and up on Linux). A port
/// that the kernel hands out for "port 0" is in that range, and may be somebody's source port a moment later, just
/// before the API server wants to listen there.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port that is ours until this value is dropped: a lock on a file named after it tells the other sandboxes.
pub(crate) struct Port {
    pub(crate) number: u16,
    _lock: File,
}

impl Port {
    pub(crate) fn pick() -> Result<Port> {
        let folder = std::env::temp_dir().join("firstaid-sandbox-ports");
        fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
        // Each process begins elsewhere, so that the ports of a sandbox that just ended (and what clients remember of
        // it) are seldom used again soon.
        let start = (std::process::id() % u32::from(COUNT)) as u16;
        for _ in 0..COUNT {
            let step = NEXT.fetch_add(1, Ordering::Relaxed);
            let number = FIRST + (start + step % COUNT) % COUNT;
            // A file of another user cannot be opened: somebody else's port, then.
            let Ok(lock) = File::options().create(true).append(true).open(folder.join(number.to_string())) else {
                continue;
            };
            if lock.try_lock().is_ok() && TcpListener::bind(("127.0.0.1", number)).is_ok() {
                return Ok(Port { number, _lock: lock });
            }
        }
        bail!("no free port between {FIRST} and {} on 127.0.0.1", FIRST + COUNT)
    }
}
