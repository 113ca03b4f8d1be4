//! The kinds of First Aid, as people and the API server see them. No client here.
//!
//! What can be checked at admission is a CEL rule on the type, with a sentence that a tired person understands.

pub mod action_record;
pub mod alert;
pub mod approval;
pub mod condition;
pub mod crds;
pub mod follow_up;
pub mod identity;
pub mod incident;
pub mod line;
pub mod period;
pub mod run;
pub mod runbook;
mod schema;
pub mod step;
pub mod vote;

pub use action_record::{ActionRecord, ActionRecordSpec};
pub use approval::{Approval, ApprovalSpec};
pub use condition::Condition;
pub use identity::Person;
pub use incident::{Incident, IncidentSpec};
pub use period::Period;
pub use run::{RunbookRun, RunbookRunSpec, RunbookRunStatus};
pub use runbook::{Runbook, RunbookSpec, RunbookStatus};
pub use step::Step;

/// The field manager of every write, on our kinds and on targets.
pub const FIELD_MANAGER: &str = "firstaid";

/// Version of frozen plans and records. It only ever grows, and fields are only ever added: evidence lives for years.
pub const SCHEMA_VERSION: i32 = 1;

/// On a target: who acted on it last, as `<run>/<run uid>/<step>/<attempt>`.
pub const TOKEN_ANNOTATION: &str = "firstaid.dev/last-action";

/// On a run: a person's wish to stop it, with the reason as its value.
pub const ABORT_ANNOTATION: &str = "abort";
/// On a run: who stopped it, filled in where the cluster stamps.
pub const ABORT_BY_ANNOTATION: &str = "abort-by";
/// On a run: a person's word on an outcome that could not be read back: `done WHY` or `not-done WHY`.
pub const SETTLE_ANNOTATION: &str = "settle";
/// On a run: who settled it, filled in where the cluster stamps.
pub const SETTLE_BY_ANNOTATION: &str = "settle-by";

/// On a run: the wish to go on without the votes that its gates ask for, with the reason as its value.
pub const BREAKGLASS_ANNOTATION: &str = "breakglass";
/// On a run: who broke the glass, verified by the API server.
pub const BREAKGLASS_BY_ANNOTATION: &str = "breakglass-by";
/// On a run: the id of the credential with which the glass was broken, verified by the API server.
pub const BREAKGLASS_CREDENTIAL_ANNOTATION: &str = "breakglass-credential";
/// On a runbook: who last changed what it does, stamped and verified by the API server.
pub const AUTHOR_ANNOTATION: &str = "firstaid.dev/author";

/// On a ballot: `CODE WHY`.
pub const APPROVE_ANNOTATION: &str = "approve";
/// On a ballot: why not.
pub const DENY_ANNOTATION: &str = "deny";
/// On a ballot: who the voter is, verified by the API server.
pub const BY_ANNOTATION: &str = "by";

/// Label of ballots and records: the run's name.
pub const RUN_LABEL: &str = "firstaid.dev/run";
/// Label of ballots and records: the runbook's name.
pub const RUNBOOK_LABEL: &str = "firstaid.dev/runbook";
/// Label of records: the incident's key, where it can be a label.
pub const INCIDENT_LABEL: &str = "firstaid.dev/incident";
/// Label of ballots that somebody looks after: [`LIVE_COMPARED`] or [`LIVE_RATIFIES`]. The operator removes it.
pub const LIVE_LABEL: &str = "firstaid.dev/live";
/// Of open ballots whose gate needs several votes: the API server compares only these with each other.
pub const LIVE_COMPARED: &str = "true";
/// Of ballots on which a decision is to be ratified: the operator watches only these after a run has ended.
pub const LIVE_RATIFIES: &str = "ratify";
