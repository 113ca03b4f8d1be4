//! What is modelled: one run of a few steps on one target behind one gate, two operators of which one holds the lease, one
//! person, one other controller, and a network that loses, delays and repeats. Each is as small as the promises allow: a value is
//! a number, a version of the journal too.

/// The most steps that a run has here.
pub const MOST_STEPS: usize = 3;

/// What keeps the promises. A test takes each away and sees one of them broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fence {
    /// The patch tests the uid of the target.
    Uid,
    /// The patch tests the generation of the target.
    Generation,
    /// The journal is written at the version that was read.
    JournalVersion,
    /// The intent is stored before the act is sent.
    JournalBeforeAct,
    /// An answer that never came is no refusal.
    NoAnswerIsNoAnswer,
    /// A process that has just started assumes that anything may have been sent.
    ForgetfulIsCareful,
    /// Nothing is declared over while a request may still arrive.
    RequestsEnd,
    /// The run ends only when its records are made.
    RecordBeforeEnd,
    /// The vote is read before the act is sent.
    LiveVote,
    /// A process acts only while the stored journal names it, and no write of it is in doubt: what another one, or it itself,
    /// wrote before can no longer arrive.
    Driver,
    /// Whoever finds another one named believes nothing any more of what it knew.
    DriverForgets,
    /// One operator acts at a time, but for what one has read that has lost the lease and does not know. It keeps them out of
    /// each other's way; no promise rests on it.
    Lease,
}

/// What may go wrong, how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Left {
    /// Operators that die.
    pub crashes: u8,
    /// Times that the lease goes to the other operator while its holder knows nothing of it.
    pub handovers: u8,
    /// Requests that arrive and stay on their way.
    pub copies: u8,
    /// Requests that are lost, whose answer is, or that take longer than anybody waits.
    pub silences: u8,
    /// Changes that another controller makes.
    pub edits: u8,
}

/// The whole world.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub journal: Journal,
    pub target: Target,
    /// Records that are stored.
    pub records: [bool; MOST_STEPS],
    pub approved: bool,
    pub stopped: bool,
    pub operators: [Operator; 2],
    /// Who holds the lease.
    pub leader: usize,
    /// Requests on their way, in an order that tells nothing.
    pub network: Vec<Request>,
    pub left: Left,
    /// How often a step's act took hold.
    pub effects: [u8; MOST_STEPS],
    /// The first promise that was broken.
    pub broken: Option<&'static str>,
}

/// What is stored of the run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Journal {
    pub version: u8,
    /// As the target was when the steps were planned: their intent. All are planned at once.
    pub planned: Option<Version>,
    pub outcomes: [Option<Outcome>; MOST_STEPS],
    pub ended: bool,
    pub driver: Option<Driver>,
}

/// Which process drives the run, in which claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Driver {
    pub operator: usize,
    /// Each start is another process.
    pub life: u8,
    pub claim: u8,
}

/// What is said of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    Done,
    Refused,
    /// Nobody can tell: a person was asked.
    Unknown,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version {
    pub uid: u8,
    pub generation: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Target {
    pub version: Version,
    /// Whose act is noted on it.
    pub token: Option<usize>,
    /// Whose value it has: a step's, or somebody else's.
    pub value: Option<usize>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Operator {
    pub memory: Memory,
    /// Each start is another process.
    pub life: u8,
    /// What it has read in this pass, all at once.
    pub seen: Option<Seen>,
    /// What it sent and has no answer to.
    pub waits: Option<Request>,
    /// It has lost the lease and does not know: what it has read it may act on once more.
    pub late: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seen {
    pub journal: Journal,
    pub target: Target,
    /// Whether an act may still have arrived after this look: no time was enough to rule it out.
    pub on_its_way: bool,
    pub approved: bool,
    pub stopped: bool,
}

/// What a process knows of its own doing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Memory {
    /// Nobody can have acted on these.
    pub untouched: [bool; MOST_STEPS],
    pub sent: [Option<Sent>; MOST_STEPS],
    /// Records that are known to be there.
    pub recorded: [bool; MOST_STEPS],
    /// How often a write of the journal was in doubt.
    pub claim: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sent {
    /// The target as it was tested.
    pub tested: Version,
    pub reply: Reply,
    /// An earlier send had no definite answer.
    pub doubtful: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reply {
    Landed,
    Refused,
    None,
}

/// A request, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Request {
    pub from: usize,
    pub what: What,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum What {
    /// The journal as it shall be; its version is the one that was read.
    Write(Journal),
    Act {
        step: usize,
        tested: Version,
    },
    Record {
        step: usize,
    },
}

/// What happens next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    Approve,
    Stop,
    /// Another controller changes the target; with the token it may take what is noted on it.
    Edit {
        token: bool,
    },
    /// The target is made anew.
    Remake,
    /// An operator reads the journal and the target.
    Look(usize),
    /// It does what follows.
    Decide(usize),
    /// A request arrives; the answer may be lost, and a copy may stay behind.
    Arrive {
        index: usize,
        answered: bool,
        copied: bool,
    },
    /// A request is lost.
    Lose(usize),
    /// An operator waits no longer; its request may arrive all the same.
    GiveUp(usize),
    Crash(usize),
    /// The lease goes to the other one.
    Handover,
}
