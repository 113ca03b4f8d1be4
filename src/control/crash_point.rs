//! Points at which a test lets the operator die, in debug builds only: before and after carrying out each decision.
//!
//! The variable `FIRSTAID_CRASH_AT` names one of them: `before-act:1` dies before the first act, `after-write:2` when the
//! second write of the journal is known to be stored. The process dies as by `SIGKILL`: nothing is unwound, nothing is
//! tidied up. A release build knows nothing of this.

use crate::plan::Decision;

/// What is being carried out; none where it leaves no trace in the world.
pub(super) fn name_of(decision: &Decision) -> Option<&'static str> {
    match decision {
        Decision::Write(_) => Some("write"),
        Decision::Ask(_) => Some("ask"),
        Decision::Retire(_) => Some("retire"),
        Decision::Act(_) => Some("act"),
        Decision::Record(_) => Some("record"),
        Decision::Mark { .. } => Some("mark"),
        Decision::Look(_) | Decision::Wait { .. } => None,
    }
}

/// Passes a point, or dies there.
#[cfg(debug_assertions)]
pub(super) fn pass(side: &str, decision: Option<&str>) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicUsize, Ordering};

    static FATAL: LazyLock<Option<(String, usize)>> = LazyLock::new(|| {
        let text = std::env::var("FIRSTAID_CRASH_AT").ok()?;
        let (point, occurrence) = text.split_once(':')?;
        Some((point.to_owned(), occurrence.parse().ok()?))
    });
    static PASSED: AtomicUsize = AtomicUsize::new(0);

    let (Some(decision), Some((point, occurrence))) = (decision, FATAL.as_ref()) else { return };
    if *point == format!("{side}-{decision}") && PASSED.fetch_add(1, Ordering::SeqCst) + 1 == *occurrence {
        tracing::warn!(point, occurrence, "dying here, as a test asked for");
        std::process::abort();
    }
}

/// Nothing: a release build has no such points.
#[cfg(not(debug_assertions))]
pub(super) fn pass(_: &str, _: Option<&str>) {}
