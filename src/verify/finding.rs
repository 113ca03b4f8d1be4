//! What is wrong with evidence, each in a sentence that names the object.

use serde::Serialize;

/// Something that is wrong.
///
/// `seq` is the place in the run's chain, from 1. Hashes are as the objects have them: `sha256:` and 64 digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "finding", rename_all_fields = "camelCase")]
pub enum Finding {
    /// A record that is none.
    #[error("record {record} cannot be judged: {why}")]
    Unreadable {
        /// Its name.
        record: String,
        /// What is missing in it.
        why: String,
    },
    /// Its content is not what was hashed.
    #[error("record {record} (seq {seq}) was changed: its content gives {computed}, and it says {says}")]
    Changed {
        /// Its name.
        record: String,
        /// Its place.
        seq: i64,
        /// The hash of its content.
        computed: String,
        /// The hash that it has.
        says: String,
    },
    /// It does not name the record before it.
    #[error(
        "record {record} (seq {seq}) does not follow record {before}: it says {says}, and the hash of {before} is {hash}; \
         one of the two was changed"
    )]
    NotFollowing {
        /// Its name.
        record: String,
        /// Its place.
        seq: i64,
        /// The record before it.
        before: String,
        /// Its `prevHash`.
        says: String,
        /// The hash of the one before it.
        hash: String,
    },
    /// The first of a chain names one before it.
    #[error("record {record} (seq 1) is the first and says that {says} is before it")]
    NotFirst {
        /// Its name.
        record: String,
        /// Its `prevHash`.
        says: String,
    },
    /// There is a hole in the chain.
    #[error("the chain has a gap: no record has seq {seq}")]
    Gap {
        /// The missing place.
        seq: i64,
    },
    /// The journal knows a record that is not there, and there are later ones.
    #[error("record {record} (seq {seq}) of step {step} is missing: the journal of the run names it")]
    Missing {
        /// Its name.
        record: String,
        /// Its place.
        seq: i64,
        /// The entry of the journal.
        step: String,
    },
    /// The journal knows more records than there are.
    #[error("the tail is missing: the journal of the run has {journal} records, the last that is there is seq {last}; missing: {}", missing.join(", "))]
    MissingTail {
        /// The last place that is there; 0 where there is none.
        last: i64,
        /// How many records the journal names.
        journal: usize,
        /// Their names with their places.
        missing: Vec<String>,
    },
    /// The head of the run is the hash of no record.
    #[error("the tail is missing: the head of the run is {head}, and no record has that hash")]
    HeadMissing {
        /// The run's `recordHead`.
        head: String,
    },
    /// Two records at one place.
    #[error("the chain has a fork: {} all have seq {seq}", records.join(" and "))]
    Fork {
        /// The place.
        seq: i64,
        /// The records.
        records: Vec<String>,
    },
    /// Two records behind one.
    #[error("the chain has a fork: {} all follow {after}", records.join(" and "))]
    ForkAfter {
        /// Their `prevHash`.
        after: String,
        /// The records.
        records: Vec<String>,
    },
    /// The journal has another hash for it.
    #[error("record {record} (seq {seq}) was replaced: its hash is {says}, and the journal of the run has {journal}")]
    NotAsJournalled {
        /// Its name.
        record: String,
        /// Its place.
        seq: i64,
        /// The hash that it has.
        says: String,
        /// The hash in the journal.
        journal: String,
    },
    /// The journal knows nothing of it.
    #[error("record {record} (seq {seq}) is not in the journal of the run")]
    NotInJournal {
        /// Its name.
        record: String,
        /// Its place.
        seq: i64,
    },
    /// A step has ended and was never recorded.
    #[error("step {step} has an outcome in the journal and no record, and the run has ended")]
    NeverRecorded {
        /// The entry of the journal.
        step: String,
    },
    /// The journal contradicts itself.
    #[error("the journal of the run was changed: its head is {head}, and its last step has {last}")]
    HeadDiffers {
        /// The run's `recordHead`.
        head: String,
        /// The hash of the last settled step; empty where there is none.
        last: String,
    },
    /// Something was changed behind a gate, and nobody approved it.
    #[error("record {record} (seq {seq}) has no approval, and the plan of its step is behind the gate {gate}")]
    NotApproved {
        /// Its name.
        record: String,
        /// Its place.
        seq: i64,
        /// The gate.
        gate: String,
    },
    /// What a record says of an approval is not what the ballot says.
    #[error("record {record} (seq {seq}) says that {by} approved on ballot {ballot}, but {but}")]
    Ballot {
        /// Its name.
        record: String,
        /// Its place.
        seq: i64,
        /// Who approved, as the record says.
        by: String,
        /// The ballot.
        ballot: String,
        /// What is wrong with the ballot.
        but: But,
    },
    /// A record stands under the approval of what it says it undoes, which does not reach so far.
    #[error("record {record} (seq {seq}) stands under the approval of record {original}, but {beyond}")]
    NotCovered {
        /// Its name.
        record: String,
        /// Its place.
        seq: i64,
        /// The record whose approval it is.
        original: String,
        /// What that does not reach.
        beyond: Beyond,
    },
    /// A record says that somebody broke the glass, and the run does not.
    #[error("record {record} (seq {seq}) says that {by} broke the glass, but run {run} does not say so")]
    Glass {
        /// Its name.
        record: String,
        /// Its place.
        seq: i64,
        /// Who, as the record says.
        by: String,
        /// The run.
        run: String,
    },
    /// A record of the export is gone.
    #[error("record {record} (seq {seq}) is in the export and is gone")]
    Gone {
        /// Its name.
        record: String,
        /// Its place.
        seq: i64,
    },
    /// A record is another one than in the export.
    #[error("record {record} (seq {seq}) is not what the export has: its hash is {says}, in the export it is {export}")]
    NotAsExported {
        /// Its name.
        record: String,
        /// Its place.
        seq: i64,
        /// The hash that it has.
        says: String,
        /// The hash in the export.
        export: String,
    },
    /// The export itself is damaged.
    #[error("the export was changed: its record {record} (seq {seq}) gives {computed}, and says {says}")]
    ExportChanged {
        /// Its name.
        record: String,
        /// Its place.
        seq: i64,
        /// The hash of its content.
        computed: String,
        /// The hash that it has.
        says: String,
    },
    /// The head of the run at the time of the export is in the chain no more.
    #[error("the head of the run in the export is {head}, and no record has that hash any more")]
    ExportedHeadGone {
        /// The run's `recordHead` in the export.
        head: String,
    },
    /// A ballot that was marked in the export is gone or marked otherwise.
    #[error("ballot {ballot} is not what the export has: {but}")]
    BallotNotAsExported {
        /// Its name.
        ballot: String,
        /// What is wrong with it.
        but: But,
    },
}

/// What is wrong with a ballot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "but", rename_all_fields = "camelCase")]
pub enum But {
    /// It is not there.
    #[error("there is no such ballot")]
    NotThere,
    /// It is another one of that name.
    #[error("the ballot of that name is another one: its uid is {uid}, in the record it is {recorded}")]
    Another {
        /// Its uid.
        uid: String,
        /// The uid in the record.
        recorded: String,
    },
    /// It is of another run.
    #[error("it is a ballot of another run: {run}")]
    AnotherRun {
        /// That run.
        run: String,
    },
    /// It asks for another plan.
    #[error("it is about another plan: {plan}")]
    AnotherPlan {
        /// The hash of that plan.
        plan: String,
    },
    /// It is asked in another role.
    #[error("it is of another role: {role}")]
    AnotherRole {
        /// That role.
        role: String,
    },
    /// It is not marked, or denied.
    #[error("it is not marked approve")]
    NotMarked,
    /// It has the code of another plan.
    #[error("it is marked with another code: {code}")]
    AnotherCode {
        /// That code.
        code: String,
    },
    /// Somebody else marked it.
    #[error("it is marked by another: {by}")]
    AnotherVoter {
        /// Who.
        by: String,
    },
    /// The name that was typed is not the one that the API server stamped.
    #[error("the API server stamped another voter on it: {stamped}")]
    StampedOtherwise {
        /// Who.
        stamped: String,
    },
    /// It did not let them.
    #[error("it gave no leave to decide as {decided_as}")]
    WithoutLeave {
        /// As what.
        decided_as: String,
    },
    /// It is marked otherwise than it was.
    #[error("its request or its mark was changed")]
    Changed,
}

/// Why an approval does not cover an undo.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "beyond", rename_all_fields = "camelCase")]
pub enum Beyond {
    /// Its run names other votes.
    #[error("its run is covered by the approval of another plan")]
    AnotherPlan,
    /// It is about something else.
    #[error("it changed another target")]
    AnotherTarget,
    /// It made something that was not there before.
    #[error("it did not put back what was there before")]
    NotPutBack,
    /// Nobody gave leave for an undo.
    #[error("the gate before that covers no undo")]
    NoLeave,
    /// The leave had ended.
    #[error("that covered its undo until {until} only")]
    TooLate {
        /// Until when.
        until: String,
    },
    /// Whoever asked for it is who approved it.
    #[error("{by} asked for it, and may not be the one who approves")]
    OwnVote {
        /// Who.
        by: String,
    },
}

/// What cannot be told, and why; nothing wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
pub enum Note {
    /// There is no run to compare with.
    #[error("the run is gone: the head cannot be compared, and records after the last one may be gone with it")]
    RunGone,
    /// There will be more.
    #[error("the run goes on")]
    GoesOn,
    /// An undo stands under the approval of what it undoes, and that is not here.
    #[error("record {record} stands under the approval of record {original}, which is not here: look at both together")]
    ApprovedElsewhere {
        /// The record of the undo.
        record: String,
        /// The record of what it undoes.
        original: String,
    },
}

impl Finding {
    /// Where in the chain it is, so that the first bad record is named first; the whole run comes last.
    pub(super) fn place(&self) -> i64 {
        match self {
            Self::Unreadable { .. } => 0,
            Self::NotFirst { .. } => 1,
            Self::Changed { seq, .. }
            | Self::NotFollowing { seq, .. }
            | Self::Gap { seq }
            | Self::Missing { seq, .. }
            | Self::Fork { seq, .. }
            | Self::NotAsJournalled { seq, .. }
            | Self::NotInJournal { seq, .. }
            | Self::NotApproved { seq, .. }
            | Self::Ballot { seq, .. }
            | Self::NotCovered { seq, .. }
            | Self::Glass { seq, .. }
            | Self::Gone { seq, .. }
            | Self::NotAsExported { seq, .. }
            | Self::ExportChanged { seq, .. } => *seq,
            Self::MissingTail { last, .. } => last.saturating_add(1),
            Self::ForkAfter { .. }
            | Self::HeadMissing { .. }
            | Self::NeverRecorded { .. }
            | Self::HeadDiffers { .. }
            | Self::ExportedHeadGone { .. }
            | Self::BallotNotAsExported { .. } => i64::MAX,
        }
    }
}
