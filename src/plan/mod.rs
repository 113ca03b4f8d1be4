//! What happens next in a run. Pure: no client, no clock, no randomness; the same facts give the same decision.
//!
//! ```text
//!            take up             gate open            act sent             verified          record there
//!  (created) -------> Planning ----------> (Waiting) --------> (Acting) ----------> Verifying ----------> next step
//!                        ^                     |  |                |                    |                  or the end
//!                        |   the plan is void  |  | denied,        | cannot be read     | not in time
//!                        +---------------------+  | expired,       v back               v
//!                                                 | aborted    NeedsHuman           Stop | Continue | Revert
//!                                                 v            (settle="done|not-done WHY")
//!                                      Denied, Expired, Aborted
//! ```
//!
//! [`next`] returns one [`Decision`] with at most one effect. Whoever carries it out brings back what came of it, and
//! asks again. Everything that must survive a crash is in the run's status before the effect: the plan is the intent.

mod act;
mod asking;
mod ballot;
mod check;
pub mod command;
mod cover;
mod finish;
mod floor;
mod freeze;
mod gate;
mod guards;
mod in_place;
mod intent;
mod journal;
mod memory;
mod pass;
mod ratify;
mod record;
mod rehearse;
mod revert;
mod segment;
mod settle;
mod tally;
#[cfg(test)]
pub(crate) mod tests;
mod undo;

use jiff::{SignedDuration, Timestamp};

pub use finish::still_in_place;
pub use floor::Floor;
pub use freeze::{Frozen, Unfit};
pub use in_place::{Aftermath, Standing, Timed};
pub use memory::{Memory, Reply, Sent};
pub use pass::service_account;
pub use ratify::{Ratification, ratified};
pub use record::{hash_of, mark as mark_note};
pub use rehearse::{Rehearsal, rehearse};

use crate::action::{Effect, Query, Seen};
use crate::api::action_record::{Cluster, RecordState};
use crate::api::approval::BallotState;
use crate::api::{ActionRecord, Approval, RunbookRun, RunbookRunStatus};

/// What the planner knows beside the run and its ballots.
#[derive(Clone, Debug)]
pub struct World {
    /// The time.
    pub now: Timestamp,
    /// What was read in this pass.
    pub seen: Seen,
    /// What this process remembers of the run.
    pub memory: Memory,
    /// The operator itself.
    pub operator: Operator,
}

/// What the operator knows of itself.
#[derive(Clone, Debug, Default)]
pub struct Operator {
    /// Its namespace, where the global brake is.
    pub namespace: String,
    /// The cluster.
    pub cluster: Cluster,
    /// Whether the cluster fills in who voted; where it does not, people type their name.
    pub stamps: bool,
    /// What is asked of gates at least.
    pub floors: Vec<Floor>,
    /// This process: another name after each start.
    pub process: String,
}

/// What to do next. At most one effect.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Find out, all at once, and ask again.
    Look(Vec<Query>),
    /// Write the journal, on condition that nobody else has, and ask again.
    Write(Box<RunbookRunStatus>),
    /// Say on the run what it waits for, change nothing else of it, and look again later: it was written by another version,
    /// and what this one does not know of it must stay.
    Say(String),
    /// Issue ballots. One that is there already is fine.
    Ask(Vec<Approval>),
    /// Let whoever asked for the run mark these ballots: nobody else has decided.
    Admit(Vec<String>),
    /// Bring ballots into a state in which nobody can mark them any more.
    Retire(Vec<Retirement>),
    /// Change the target, once.
    Act(Box<Effect>),
    /// Create a record, or find that it is there.
    Record(Box<ActionRecord>),
    /// Note what became of an earlier effect.
    Mark {
        /// Name of the record.
        record: String,
        /// Its state.
        state: RecordState,
    },
    /// Nothing until then, or until something changes.
    Wait {
        /// When to look again; none where there is nothing left to do.
        until: Option<Timestamp>,
        /// A check that is true, and since when: it must hold for a while, and this process watches.
        holding: Option<(String, Timestamp)>,
    },
}

/// A ballot that nobody shall mark any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retirement {
    /// Name of the Approval.
    pub ballot: String,
    /// Its new state; none where it was decided and only stops being compared with other votes.
    pub state: Option<BallotState>,
}

/// A gate is read live at least this often, however dead every watch is.
const GATE_LOOK: SignedDuration = SignedDuration::from_secs(5);
/// Between two looks at something that is expected any moment.
const SOON: SignedDuration = SignedDuration::from_millis(250);
/// Between two tries to read what cannot be read.
const RETRY: SignedDuration = SignedDuration::from_secs(1);
/// How long a request may still arrive: the API server's own limit is 60 s.
const LATE_COPIES: SignedDuration = SignedDuration::from_secs(65);
/// An act that is seen to take hold within this time is journalled in one write instead of two.
const ONE_WRITE: SignedDuration = SignedDuration::from_secs(2);
/// How often a segment's plan may become void before the run gives up.
const MOST_VOID_PLANS: usize = 5;

/// Decides what happens next in a run.
pub fn next(run: &RunbookRun, ballots: &[Approval], world: &World) -> Decision {
    if run.status.as_ref().is_some_and(|status| status.finished) {
        return Decision::Wait { until: None, holding: None };
    }
    pass::Pass::new(run, ballots, world).and_then(|mut pass| pass.decide()).unwrap_or_else(|early| early)
}
