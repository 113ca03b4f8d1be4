//! The fences, each of which a test takes away to see that the simulator notices.

/// What keeps a promise: a test of a patch, a rule of the API server, or a habit of whoever sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fence {
    /// The API server judges `test /metadata/uid`.
    UidTest,
    /// The API server judges `test /metadata/generation`.
    GenerationTest,
    /// The API server judges the `test` of the token, and those of old values.
    OldValueTest,
    /// The API server judges the resource version of a journal that is written.
    JournalVersion,
    /// The API server holds the journal to its rules.
    JournalRules,
    /// A request that is older than 60 s arrives no more.
    RequestsEnd,
    /// The journal is read live before an act.
    LiveJournal,
    /// The brake is read live before an act.
    LiveBrake,
    /// Votes are read live, and as they are.
    LiveVotes,
    /// The target is read live before an act.
    LiveTarget,
    /// The run that holds a target is asked for.
    LiveHolder,
    /// What is not known to be stored is not taken for stored.
    JournalBeforeAct,
    /// An answer that never came is no refusal.
    NoAnswerIsNoAnswer,
    /// A process that has just started assumes that anything may have been sent.
    ForgetfulIsCareful,
    /// A record counts as made only when it is.
    RecordBeforeEnd,
    /// A process that the journal does not name writes it before it acts.
    Driver,
    /// One operator acts at a time, but for the moments in which one that was frozen has not yet found out.
    Lease,
    /// A gate is looked at again, though nothing wakes anybody.
    LookAgain,
}

impl Fence {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::UidTest,
        Self::GenerationTest,
        Self::OldValueTest,
        Self::JournalVersion,
        Self::JournalRules,
        Self::RequestsEnd,
        Self::LiveJournal,
        Self::LiveBrake,
        Self::LiveVotes,
        Self::LiveTarget,
        Self::LiveHolder,
        Self::JournalBeforeAct,
        Self::NoAnswerIsNoAnswer,
        Self::ForgetfulIsCareful,
        Self::RecordBeforeEnd,
        Self::Driver,
        Self::Lease,
        Self::LookAgain,
    ];
}

/// The fences that are down: none, in the product.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Down(Vec<Fence>);

impl Down {
    /// All fences stand but these.
    pub fn these(fences: &[Fence]) -> Self {
        Self(fences.to_vec())
    }

    /// Whether this one is down.
    pub fn has(&self, fence: Fence) -> bool {
        self.0.contains(&fence)
    }
}
