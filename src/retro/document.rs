//! The retrospective as data: the source of every other form. `docs/retrospective.schema.json` is its schema.
//!
//! All texts are one line each, of bounded length, and have no names unless the cover says so. They are not escaped: that
//! depends on where they are put, and is done there ([`super::markup`]).

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use super::cover::{Attention, AttentionKind, Generated, Header};
use super::questions::Question;
pub use super::source::Source;
use super::wording::Hint;

/// The name of this form. Fields are only ever added to it.
pub const SCHEMA: &str = "firstaid.retrospective/v1";

/// The milestones, in the order in which they are expected: name in the Incident, and title.
pub const MILESTONES: [(&str, &str); 5] = [
    ("impactStarted", "Impact started"),
    ("detected", "Detected"),
    ("acknowledged", "Acknowledged"),
    ("mitigated", "Mitigated"),
    ("resolved", "Resolved"),
];

/// A retrospective.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Document {
    /// `firstaid.retrospective/v1`.
    pub schema: String,
    /// When it was generated, from how much, with names or with roles.
    pub generated: Generated,
    /// What it is about.
    pub incident: Header,
    /// What is to be known first: evidence that does not stand, first aid in place, decisions without a second person.
    /// Empty where there is nothing of it.
    pub attention: Vec<Attention>,
    /// The whole in at most five sentences, from records.
    pub summary: Vec<String>,
    /// What people say it meant for users; `None`: nobody has said.
    pub impact: Option<String>,
    /// Milestones, in the order in which they are expected.
    pub milestones: Vec<MilestoneLine>,
    /// Durations, each with both ends.
    pub durations: Vec<Duration>,
    /// Every moment, in order of time.
    pub moments: Vec<Moment>,
    /// Intervals of five minutes and more without any record, between detection and mitigation.
    pub gaps: Vec<Gap>,
    /// Intervals in which at least one decision was waited for.
    pub waits: Vec<Span>,
    /// What led to what.
    pub chain: Chain,
    /// First aid that was given, in order of time.
    pub actions: Vec<Action>,
    /// What was decided, in order of time.
    pub decisions: Vec<Decision>,
    /// Runs that ended without having done what they were started for, in order of time.
    pub tried: Vec<Tried>,
    /// What of it is still in place, the oldest first.
    pub in_place: Vec<InPlace>,
    /// What was changed for good.
    pub hot_fixes: Vec<HotFixLine>,
    /// What was seen before.
    pub recurrences: Vec<Recurrence>,
    /// The nine questions, with the evidence beside each.
    pub questions: Vec<Question>,
    /// What people named as factors.
    pub factors: Vec<FactorLine>,
    /// Facts that went well, from records.
    pub went_well: Vec<String>,
    /// Follow-ups.
    pub follow_ups: Vec<FollowUpLine>,
    /// What the team says of itself; `None`: nothing.
    pub team: Option<String>,
    /// What cannot be told, and who could know.
    pub unknown: Vec<Unknown>,
    /// Whether the evidence stands.
    pub integrity: Integrity,
    /// Words in what people wrote that could be more neutral.
    pub hints: Vec<Hint>,
    /// All records, in order of time.
    pub records: Vec<RecordLine>,
}

/// A milestone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MilestoneLine {
    /// Its name in the Incident.
    pub name: String,
    /// Its title.
    pub title: String,
    /// When; `None`: unknown.
    #[schemars(with = "Option<String>")]
    pub at: Option<Timestamp>,
    /// Where it stands.
    pub source: Option<Source>,
    /// How it is known, or why it is not.
    pub how: String,
    /// Who could know, where it is unknown.
    #[serde(default)]
    pub who_could_know: String,
    /// What it was said to be before, and why it was corrected.
    #[serde(default)]
    pub corrected: String,
    /// How far it is before one that should come first.
    #[serde(default)]
    pub out_of_order: Option<String>,
}

/// How long something took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Duration {
    /// `ttd`, `tta`, `first-action`, `decisions`, `ttm`, `ttm-detected`, `ttr`.
    pub key: String,
    /// Its title.
    pub title: String,
    /// From what to what.
    pub definition: String,
    /// In seconds, to the microsecond; `None`: unknown.
    pub seconds: Option<f64>,
    /// In words: `15m 2s`, `unknown`.
    pub text: String,
    /// Its begin.
    pub from: End,
    /// Its end.
    pub to: End,
    /// Why it is unknown, and who could know.
    pub unknown: Option<String>,
}

/// An end of a duration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct End {
    /// What happened then.
    pub title: String,
    /// When; `None`: unknown.
    #[schemars(with = "Option<String>")]
    pub at: Option<Timestamp>,
    /// Where it stands.
    pub source: Option<Source>,
    /// How it is known, or why it is not.
    pub how: String,
    /// Who could know, where it is unknown.
    #[serde(default)]
    pub who_could_know: String,
}

impl End {
    /// A milestone as an end.
    pub fn of(line: &MilestoneLine) -> Self {
        Self {
            title: line.title.clone(),
            at: line.at,
            source: line.source.clone(),
            how: line.how.clone(),
            who_could_know: line.who_could_know.clone(),
        }
    }
}

/// Kinds of moments, in the order in which one leads to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum MomentKind {
    /// An alert began to fire, or ended.
    Alert,
    /// A milestone that people entered.
    Milestone,
    /// What people wrote down.
    Note,
    /// A run was asked for.
    Run,
    /// A plan was made anew.
    Plan,
    /// A decision was asked for, or the request ended without one.
    Ask,
    /// A person decided.
    Decision,
    /// Something was changed, or was to be.
    Action,
    /// Something was put back.
    Undo,
    /// It was seen to take hold.
    Seen,
    /// A check.
    Check,
    /// A run ended.
    End,
    /// Something was changed for good.
    HotFix,
}

/// A moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Moment {
    /// When.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Whether it is only known to be no later than that.
    #[serde(default)]
    pub no_later: bool,
    /// Of what kind.
    pub kind: MomentKind,
    /// Whether it belongs to the story; the rest is detail.
    pub key: bool,
    /// What happened.
    pub what: String,
    /// In which role; empty where it was no person.
    #[serde(default)]
    pub by: String,
    /// On what: `shop/Deployment/checkout`; empty where it is about no object.
    #[serde(default)]
    pub target: String,
    /// Where it stands.
    pub source: Source,
    /// Where more of it stands: a web address, or empty.
    #[serde(default)]
    pub link: String,
}

impl Moment {
    /// A moment of the story.
    pub fn key(at: Timestamp, kind: MomentKind, what: String, source: Source) -> Self {
        let (by, target, link) = Default::default();
        Self { at, no_later: false, kind, key: true, what, by, target, source, link }
    }

    /// A detail.
    pub fn detail(at: Timestamp, kind: MomentKind, what: String, source: Source) -> Self {
        Self { key: false, ..Self::key(at, kind, what, source) }
    }
}

/// An interval without any record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Gap {
    /// The last moment before it.
    #[schemars(with = "String")]
    pub from: Timestamp,
    /// The first one after it.
    #[schemars(with = "String")]
    pub to: Timestamp,
    /// How long, in words.
    pub text: String,
}

/// An interval.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Span {
    /// Its begin.
    #[schemars(with = "String")]
    pub from: Timestamp,
    /// Its end.
    #[schemars(with = "String")]
    pub to: Timestamp,
    /// How long, in words.
    pub text: String,
}

/// What led to what. Between runs, decisions and actions an arrow is a reference in a record; to and from factors it is what
/// people said. None is guessed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Chain {
    /// What there is.
    pub nodes: Vec<Node>,
    /// What led to what.
    pub edges: Vec<Edge>,
    /// Links whose end is nowhere.
    pub loose: Vec<String>,
}

/// A part of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Node {
    /// Its id in the chain.
    pub id: String,
    /// `milestone`, `factor`, `run`, `decision`, `action`, `check`, `undo`.
    pub kind: String,
    /// What it says.
    pub text: String,
}

/// An arrow of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Edge {
    /// From which node.
    pub from: String,
    /// To which.
    pub to: String,
    /// How.
    pub text: String,
    /// Whether people said so; else it is a reference in a record.
    pub said: bool,
}

/// First aid that was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Action {
    /// When.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// In one line.
    pub summary: String,
    /// The object, with its namespace.
    pub target: String,
    /// What was there.
    pub before: String,
    /// What was written.
    pub after: String,
    /// Done, Refused, Failed, Unknown.
    pub result: String,
    /// What was seen afterwards; `not measured` where nothing was.
    pub effect: String,
    /// Who decided, in which role and why; `no gate` where nobody had to.
    pub decided: String,
    /// InPlace, Reverted, Drifted, OneShot, Unknown.
    pub state: String,
    /// The record.
    pub record: String,
    /// The record that this one undoes; empty where it undoes none.
    #[serde(default)]
    pub undoes: String,
}

/// A decision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// When it was asked for.
    #[schemars(with = "Option<String>")]
    pub asked: Option<Timestamp>,
    /// When it was made, or the request ended.
    #[schemars(with = "Option<String>")]
    pub at: Option<Timestamp>,
    /// Whether it is only known to be no later than that.
    #[serde(default)]
    pub no_later: bool,
    /// About what.
    pub summary: String,
    /// Approved, Denied, Ratified, Disowned, Expired, Superseded, Withdrawn, Open.
    pub outcome: String,
    /// In which role.
    pub by: String,
    /// Why.
    pub why: String,
    /// How long it was waited for.
    pub waited: String,
    /// The ballot.
    pub ballot: String,
}

/// A run that did not do what it was started for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tried {
    /// The run.
    pub run: String,
    /// Its namespace.
    #[serde(default)]
    pub namespace: String,
    /// Its runbook.
    pub runbook: String,
    /// How it ended.
    pub phase: String,
    /// Why.
    pub message: String,
    /// How long it took.
    pub took: String,
}

/// First aid that is in place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InPlace {
    /// The record.
    pub record: String,
    /// Its namespace.
    pub namespace: String,
    /// In one line.
    pub summary: String,
    /// Since when.
    #[schemars(with = "Option<String>")]
    pub since: Option<Timestamp>,
    /// For how long, in words.
    pub age: String,
    /// How it is undone, in one line.
    pub undo: String,
    /// The command that starts the undo.
    pub command: String,
}

/// What was changed for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HotFixLine {
    /// Fix, Rollback, LogsAdded.
    pub kind: String,
    /// What.
    pub text: String,
    /// When.
    #[schemars(with = "Option<String>")]
    pub at: Option<Timestamp>,
    /// In which role.
    pub by: String,
    /// The change: a web address, or empty.
    pub link: String,
}

/// What was seen before, in the material that was read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recurrence {
    /// `same runbook`, `same target`, `same factor`.
    pub kind: String,
    /// What.
    pub what: String,
    /// In which other incidents.
    pub incidents: Vec<String>,
    /// How often there.
    pub count: usize,
    /// When last.
    #[schemars(with = "Option<String>")]
    pub last: Option<Timestamp>,
}

/// A factor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FactorLine {
    /// Its id.
    pub id: String,
    /// Contributed, LimitedTheDamage, MadeItHard, Surprised, WentWell, GotLucky.
    pub kind: String,
    /// In a sentence.
    pub text: String,
    /// A web address, or empty.
    pub link: String,
}

/// A follow-up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FollowUpLine {
    /// Its id; empty where the tool proposes it.
    pub id: String,
    /// What is to be done.
    pub text: String,
    /// Investigate, Repair, Detect, Mitigate, Prevent, ReplaceFirstAid.
    pub kind: String,
    /// Who does it; empty: nobody.
    pub owner: String,
    /// Until which day; empty: none.
    pub due: String,
    /// Open, InProgress, Done, Dropped, Overdue, Regressed (the cluster shows that it is not done any more), Proposed.
    pub state: String,
    /// Why it was dropped, how it was done, what its check found, or why it is proposed.
    pub why: String,
    /// A web address, or empty.
    pub link: String,
}

/// What cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Unknown {
    /// What.
    pub what: String,
    /// Who could know.
    pub who_could_know: String,
}

impl Unknown {
    /// What, and who could know.
    pub fn new(what: String, who_could_know: &str) -> Self {
        Self { what, who_could_know: who_could_know.to_owned() }
    }
}

/// Whether the evidence stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Integrity {
    /// Whether nothing is wrong with any run. It says nothing of what is not there at all.
    pub stands: bool,
    /// What this cannot see: where it looked, and what could be missing all the same.
    #[serde(default)]
    pub unseen: Vec<String>,
    /// Each run.
    pub runs: Vec<RunIntegrity>,
}

/// Whether the evidence of a run stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunIntegrity {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub run: String,
    /// How many records it has.
    pub records: usize,
    /// The hash of the last one; empty where there is none.
    pub head: String,
    /// What is wrong.
    pub findings: Vec<String>,
    /// What cannot be told.
    pub notes: Vec<String>,
    /// Whether the run itself is not here: then nothing tells how many records it had.
    #[serde(default)]
    pub gone: bool,
}

/// A record, for the annex.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RecordLine {
    /// When it was settled.
    #[schemars(with = "Option<String>")]
    pub at: Option<Timestamp>,
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// In one line.
    pub summary: String,
    /// Done, Refused, Failed, Unknown.
    pub result: String,
    /// Yes, No, Unknown, NotApplicable.
    pub verified: String,
    /// InPlace, Reverted, Drifted, OneShot, Unknown.
    pub state: String,
    /// Its hash.
    pub hash: String,
}
