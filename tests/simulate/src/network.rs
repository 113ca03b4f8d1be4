//! The network: what becomes of a request and of its answer.

use std::collections::BTreeMap;

use crate::choices::Choices;

/// Everything bad that can happen, for the figures: each must be hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fault {
    SlowRequest,
    SlowAnswer,
    LostRequest,
    LostAnswer,
    LateRequest,
    RepeatedRequest,
    Busy,
    ErrorBefore,
    ErrorAfter,
    DiesBeforeSending,
    DiesAfterSending,
    DiesOnAnswer,
    WatchLags,
    WatchIsDead,
    ListIsOld,
    SomebodyScales,
    SomebodyReplaces,
    TargetRecreated,
    TargetGone,
    SomebodyEditsConfig,
    TokenWiped,
    Noise,
    Stop,
    Brake,
    RightLost,
    Forbidden,
    Unhealthy,
    RunbookEdited,
    Killed,
    Frozen,
    LeaseLostUnseen,
    WrongVote,
    Denied,
    NobodyVotes,
    VoteAtTheEdge,
    Settled,
    AbortedInsteadOfSettled,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 37] = [
        Self::SlowRequest,
        Self::SlowAnswer,
        Self::LostRequest,
        Self::LostAnswer,
        Self::LateRequest,
        Self::RepeatedRequest,
        Self::Busy,
        Self::ErrorBefore,
        Self::ErrorAfter,
        Self::DiesBeforeSending,
        Self::DiesAfterSending,
        Self::DiesOnAnswer,
        Self::WatchLags,
        Self::WatchIsDead,
        Self::ListIsOld,
        Self::SomebodyScales,
        Self::SomebodyReplaces,
        Self::TargetRecreated,
        Self::TargetGone,
        Self::SomebodyEditsConfig,
        Self::TokenWiped,
        Self::Noise,
        Self::Stop,
        Self::Brake,
        Self::RightLost,
        Self::Forbidden,
        Self::Unhealthy,
        Self::RunbookEdited,
        Self::Killed,
        Self::Frozen,
        Self::LeaseLostUnseen,
        Self::WrongVote,
        Self::Denied,
        Self::NobodyVotes,
        Self::VoteAtTheEdge,
        Self::Settled,
        Self::AbortedInsteadOfSettled,
    ];
}

/// How often each fault was hit.
pub type Hits = BTreeMap<Fault, u64>;

/// What becomes of one call. Times are milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives, and is answered.
    Delivered { up: i64, down: i64 },
    /// It never arrives; the caller hears that the connection was cut, or nothing.
    Lost { cut: bool },
    /// It arrives, and the answer does not.
    Unanswered { cut: bool },
    /// It arrives when nobody waits any more.
    Late { after: i64, cut: bool },
    /// It arrives, is answered, and arrives once more.
    Repeated { again: i64 },
    /// It is not looked at, and this is answered.
    Instead(u16),
    /// It is carried out, and this is answered.
    AfterAll(u16),
    /// The operator dies before it sends it.
    DiesBefore,
    /// The operator dies when it has sent it.
    DiesAfter,
    /// The operator dies of the answer.
    DiesOnAnswer,
}

/// Which faults there are in a schedule, and how often: each schedule has its own weather, so that some see much of one
/// kind and nothing of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    Calm,
    Slow,
    Lossy,
    Repeating,
    Deadly,
    Everything,
}

impl Weather {
    /// Chooses one.
    pub fn choose(choices: &mut Choices) -> Self {
        match choices.weighted(&[2, 2, 4, 2, 4, 4]) {
            0 => Self::Calm,
            1 => Self::Slow,
            2 => Self::Lossy,
            3 => Self::Repeating,
            4 => Self::Deadly,
            _ => Self::Everything,
        }
    }

    /// The weights of: fine, slow, slow answer, lost, unanswered, late, repeated, busy, error before, error after, dies
    /// before, dies after, dies on the answer. Writes are hit more often than reads, which are many.
    fn weights(self, writes: bool) -> [u32; 13] {
        let fine = if writes { 60 } else { 400 };
        match self {
            Self::Calm => [fine, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            Self::Slow => [fine, 12, 12, 0, 0, 4, 0, 2, 0, 0, 0, 0, 0],
            Self::Lossy => [fine, 2, 2, 8, 12, 10, 0, 2, 2, 4, 0, 0, 0],
            Self::Repeating => [fine, 2, 2, 0, 2, 6, 20, 0, 0, 2, 0, 0, 0],
            Self::Deadly => [fine, 1, 1, 0, 0, 1, 0, 0, 0, 0, 5, 8, 6],
            Self::Everything => [fine, 3, 3, 4, 5, 5, 5, 2, 2, 3, 2, 4, 3],
        }
    }

    /// What becomes of a call.
    pub fn fate(self, writes: bool, choices: &mut Choices, hits: &mut Hits) -> Fate {
        let kind = choices.weighted(&self.weights(writes));
        let mut hit = |fault| *hits.entry(fault).or_default() += 1;
        match kind {
            1 => {
                hit(Fault::SlowRequest);
                Fate::Delivered { up: [20, 400, 2_000, 8_000][choices.below(4)], down: 1 }
            }
            2 => {
                hit(Fault::SlowAnswer);
                Fate::Delivered { up: 1, down: [20, 400, 2_000, 8_000][choices.below(4)] }
            }
            3 => {
                hit(Fault::LostRequest);
                Fate::Lost { cut: choices.below(2) == 1 }
            }
            4 => {
                hit(Fault::LostAnswer);
                Fate::Unanswered { cut: choices.below(2) == 1 }
            }
            5 => {
                hit(Fault::LateRequest);
                Fate::Late { after: [11_000, 3_000, 30_000, 59_000][choices.below(4)], cut: choices.below(2) == 1 }
            }
            6 => {
                hit(Fault::RepeatedRequest);
                Fate::Repeated { again: [2, 500, 5_000, 59_000][choices.below(4)] }
            }
            7 => {
                hit(Fault::Busy);
                Fate::Instead(429)
            }
            8 => {
                hit(Fault::ErrorBefore);
                Fate::Instead([500, 503, 504][choices.below(3)])
            }
            9 => {
                hit(Fault::ErrorAfter);
                Fate::AfterAll([500, 504][choices.below(2)])
            }
            10 => {
                hit(Fault::DiesBeforeSending);
                Fate::DiesBefore
            }
            11 => {
                hit(Fault::DiesAfterSending);
                Fate::DiesAfter
            }
            12 => {
                hit(Fault::DiesOnAnswer);
                Fate::DiesOnAnswer
            }
            _ => Fate::Delivered { up: 1, down: 1 },
        }
    }

    /// How long a watch takes to tell, in milliseconds; none where it has died without a word.
    pub fn lag(self, choices: &mut Choices, hits: &mut Hits) -> Option<i64> {
        let weights: [u32; 4] = match self {
            Self::Calm | Self::Repeating => [40, 1, 0, 0],
            Self::Slow => [20, 6, 4, 1],
            Self::Lossy | Self::Deadly | Self::Everything => [30, 4, 2, 1],
        };
        match choices.weighted(&weights) {
            0 => Some(1),
            lag @ (1 | 2) => {
                *hits.entry(Fault::WatchLags).or_default() += 1;
                Some(if lag == 1 { 300 } else { 4_000 })
            }
            _ => {
                *hits.entry(Fault::WatchIsDead).or_default() += 1;
                None
            }
        }
    }
}
