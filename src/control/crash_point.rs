//! Points at which a test lets the operator die, in debug builds only: before and after carrying out each decision, and
//! each removal of evidence.
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
        Decision::Admit(_) => Some("admit"),
        Decision::Retire(_) => Some("retire"),
        Decision::Act(_) => Some("act"),
        Decision::Record(_) => Some("record"),
        Decision::Mark { .. } => Some("mark"),
        Decision::Say(_) | Decision::Look(_) | Decision::Wait { .. } => None,
    }
}

/// Passes a point, or dies there.
#[cfg(debug_assertions)]
pub(super) fn pass(side: &str, decision: Option<&str>) {
    use std::collections::BTreeMap;
    use std::sync::{LazyLock, Mutex, PoisonError};

    static FATAL: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("FIRSTAID_CRASH_AT").ok());
    static PASSED: Mutex<BTreeMap<String, usize>> = Mutex::new(BTreeMap::new());

    let (Some(decision), Some(fatal)) = (decision, FATAL.as_ref()) else { return };
    let mut passed = PASSED.lock().unwrap_or_else(PoisonError::into_inner);
    let occurrence = passed.entry(format!("{side}-{decision}")).or_default();
    *occurrence += 1;
    let point = format!("{side}-{decision}:{occurrence}");
    // A test learns from the log which points there are.
    tracing::info!(point, "crash point");
    if point == *fatal {
        std::process::abort();
    }
}

/// Nothing: a release build has no such points.
#[cfg(not(debug_assertions))]
pub(super) fn pass(_: &str, _: Option<&str>) {}
