//! What each event does: the API server's side, and the world's.

use super::protocol::{
    Event, Fence, Journal, MOST_STEPS, Operator, Outcome, Reply, Request, Sent, State, Version, What,
};

/// How often the journal is written, at most.
const MOST_WRITES: u8 = 14;

/// The model: how many steps, what may go wrong, and the fence that is away.
#[derive(Clone, Debug)]
pub struct World {
    pub steps: usize,
    pub left: super::protocol::Left,
    pub without: Option<Fence>,
    /// The promises that are judged, by the beginnings of their names.
    pub promises: &'static [&'static str],
}

impl World {
    pub fn has(&self, fence: Fence) -> bool {
        self.without != Some(fence)
    }

    fn fail(&self, state: &mut State, promise: &'static str) {
        if self.promises.iter().any(|judged| promise.starts_with(judged)) {
            state.broken.get_or_insert(promise);
        }
    }

    pub fn start(&self) -> State {
        State {
            journal: Journal::default(),
            target: super::protocol::Target::default(),
            records: [false; MOST_STEPS],
            approved: false,
            stopped: false,
            operators: [Operator::default(), Operator::default()],
            leader: 0,
            network: Vec::new(),
            left: self.left,
            effects: [0; MOST_STEPS],
            broken: None,
        }
    }

    /// All that may happen now.
    pub fn events(&self, state: &State) -> Vec<Event> {
        let mut events = Vec::new();
        // Two operators without a lease could take the run from each other without end.
        if state.broken.is_some() || state.journal.version >= MOST_WRITES {
            return events;
        }
        let open = !state.journal.ended;
        if open && state.journal.planned.is_some() && !state.approved {
            events.push(Event::Approve);
        }
        if open && !state.stopped {
            events.push(Event::Stop);
        }
        if state.left.edits > 0 {
            events.extend([Event::Edit { token: false }, Event::Edit { token: true }, Event::Remake]);
        }
        for (index, operator) in state.operators.iter().enumerate() {
            let works = state.leader == index || !self.has(Fence::Lease);
            if let Some(request) = &operator.waits {
                if state.left.silences > 0 || !state.network.contains(request) {
                    events.push(Event::GiveUp(index));
                }
            } else if works && operator.seen.is_none() {
                events.push(Event::Look(index));
            } else if operator.seen.is_some() {
                events.push(Event::Decide(index));
            }
            let fresh = Operator { life: operator.life, ..Operator::default() };
            if state.left.crashes > 0 && *operator != fresh {
                events.push(Event::Crash(index));
            }
        }
        for index in 0..state.network.len() {
            for answered in [true, false] {
                if answered || state.left.silences > 0 {
                    events.push(Event::Arrive { index, answered, copied: false });
                }
                if state.left.copies > 0 && (answered || state.left.silences > 0) {
                    events.push(Event::Arrive { index, answered, copied: true });
                }
            }
            if state.left.silences > 0 {
                events.push(Event::Lose(index));
            }
        }
        if state.left.handovers > 0 && self.has(Fence::Lease) {
            events.push(Event::Handover);
        }
        events
    }

    /// The world after it.
    pub fn after(&self, last: &State, event: Event) -> State {
        let mut state = last.clone();
        match event {
            Event::Approve => state.approved = true,
            Event::Stop => state.stopped = true,
            Event::Edit { token } => {
                state.left.edits -= 1;
                state.target.version.generation += 1;
                state.target.value = None;
                if token {
                    state.target.token = None;
                }
            }
            Event::Remake => {
                state.left.edits -= 1;
                let uid = state.target.version.uid + 1;
                state.target =
                    super::protocol::Target { version: Version { uid, generation: 0 }, token: None, value: None };
            }
            Event::Look(index) => self.look(&mut state, index),
            Event::Decide(index) => self.decide(&mut state, index),
            Event::Arrive { index, answered, copied } => {
                let request = state.network[index];
                if copied {
                    state.left.copies -= 1;
                } else {
                    state.network.remove(index);
                }
                let accepted = self.arrive(&mut state, request.what);
                if answered {
                    self.answer(&mut state, request, accepted);
                } else {
                    state.left.silences -= 1;
                }
            }
            Event::Lose(index) => {
                state.left.silences -= 1;
                state.network.remove(index);
            }
            Event::GiveUp(index) => {
                if state.operators[index].waits.is_some_and(|request| state.network.contains(&request)) {
                    state.left.silences -= 1;
                }
                self.give_up(&mut state, index);
            }
            Event::Crash(index) => {
                state.left.crashes -= 1;
                state.operators[index].end();
            }
            Event::Handover => {
                state.left.handovers -= 1;
                let (old, new) = (state.leader, 1 - state.leader);
                state.leader = new;
                // What it has read it may act on before it finds out; then the process ends.
                state.operators[old].late = true;
                if state.operators[old].seen.is_none() {
                    state.operators[old].end();
                }
                state.operators[new].end();
            }
        }
        state.network.sort_unstable();
        state
    }

    /// The API server takes a request, or refuses it.
    fn arrive(&self, state: &mut State, what: What) -> bool {
        match what {
            What::Write(wanted) => {
                if self.has(Fence::JournalVersion) && wanted.version != state.journal.version {
                    return false;
                }
                let now = state.journal;
                let kept = |(now, wanted): (&Option<Outcome>, &Option<Outcome>)| now.is_none() || now == wanted;
                let grows = now.outcomes.iter().zip(&wanted.outcomes).all(kept)
                    && (now.planned.is_none() || now.planned == wanted.planned)
                    && (!now.ended || wanted.ended);
                if !grows {
                    self.fail(state, "S7: the journal only grows");
                }
                if wanted.ended {
                    self.judge_end(state, &wanted);
                }
                state.journal = Journal { version: now.version + 1, ..wanted };
                true
            }
            What::Act { step, tested } => {
                let now = state.target.version;
                if (self.has(Fence::Uid) && tested.uid != now.uid)
                    || (self.has(Fence::Generation) && tested.generation != now.generation)
                {
                    return false;
                }
                self.judge_act(state, step, tested);
                state.effects[step] += 1;
                state.target.version.generation += 1;
                state.target.token = Some(step);
                state.target.value = Some(step);
                true
            }
            What::Record { step } => {
                state.records[step] = true;
                true
            }
        }
    }

    fn judge_act(&self, state: &mut State, step: usize, tested: Version) {
        let (journal, target) = (state.journal, state.target.version);
        if journal.planned.is_none() {
            self.fail(state, "S1: no act without a stored intent");
        } else if state.effects[step] > 0 {
            self.fail(state, "S2: no act twice");
        } else if !state.approved {
            self.fail(state, "S3: no act without the vote");
        } else if journal.planned.is_some_and(|planned| planned.uid != target.uid) {
            self.fail(state, "S4: no act on another object");
        } else if tested != target {
            self.fail(state, "S5: no act on what was not read");
        } else if journal.outcomes[step].is_some() || journal.ended {
            self.fail(state, "S6: no act after its outcome");
        }
    }

    fn judge_end(&self, state: &mut State, journal: &Journal) {
        for step in 0..self.steps {
            let happened = state.effects[step] > 0;
            match journal.outcomes[step] {
                Some(Outcome::Done) if !happened => self.fail(state, "S8: what is said to be done was done"),
                Some(Outcome::Refused) | None if happened => self.fail(state, "S8: what was done is said"),
                Some(_) if !state.records[step] => self.fail(state, "L2: each outcome has a record at the end"),
                _ => {}
            }
        }
    }

    /// The answer comes back, if somebody waits for it.
    fn answer(&self, state: &mut State, request: Request, accepted: bool) {
        let steps = self.steps;
        let operator = &mut state.operators[request.from];
        if operator.waits != Some(request) {
            return;
        }
        operator.waits = None;
        match request.what {
            What::Write(wanted) if accepted => {
                // The intents are new: nobody can have acted on them.
                if wanted.planned.is_some() && wanted.version == 0 {
                    operator.memory.untouched[..steps].fill(true);
                }
            }
            What::Write(_) => {}
            What::Act { step, .. } => {
                if let Some(sent) = operator.memory.sent[step].as_mut() {
                    sent.reply = if accepted { Reply::Landed } else { Reply::Refused };
                }
            }
            What::Record { step } => operator.memory.recorded[step] = true,
        }
        Self::end_if_late(operator);
    }

    fn give_up(&self, state: &mut State, index: usize) {
        let operator = &mut state.operators[index];
        match operator.waits.take().map(|request| request.what) {
            Some(What::Act { step, .. }) if !self.has(Fence::NoAnswerIsNoAnswer) => {
                if let Some(sent) = operator.memory.sent[step].as_mut() {
                    sent.reply = Reply::Refused;
                }
            }
            Some(What::Write(_)) => operator.memory.claim += 1,
            _ => {}
        }
        Self::end_if_late(operator);
    }

    /// A process that finds its lease gone ends, and nothing of it is remembered.
    pub fn end_if_late(operator: &mut Operator) {
        if operator.late {
            operator.end();
        }
    }
}

impl State {
    /// Sends a request, and waits for its answer.
    pub fn send(&mut self, from: usize, what: What) {
        let request = Request { from, what };
        if !self.network.contains(&request) {
            self.network.push(request);
        }
        self.operators[from].waits = Some(request);
    }

    /// Whether an act for a step may still arrive: one that was sent, or that an operator is about to send which has lost its lease
    /// and has not found out. Both are over within the time that is waited for.
    pub fn is_on_its_way(&self, step: usize) -> bool {
        self.operators.iter().any(|operator| operator.late && operator.seen.is_some())
            || self.network.iter().any(|request| matches!(request.what, What::Act { step: other, .. } if other == step))
    }
}

impl Operator {
    /// The process is over, and nothing of it is remembered; another one may start.
    pub fn end(&mut self) {
        *self = Self { life: self.life + 1, ..Self::default() };
    }
}

impl Sent {
    pub fn was_refused(&self) -> bool {
        self.reply == Reply::Refused && !self.doubtful
    }
}
