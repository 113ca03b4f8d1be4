//! What an operator decides in a pass, as `src/plan` does.

use super::protocol::{Driver, Fence, Journal, MOST_STEPS, Memory, Outcome, Reply, Seen, Sent, State, Version, What};
use super::world::World;

/// Whether an intent whose token is not on the target may have been acted on.
#[derive(PartialEq, Eq)]
enum Certainty {
    NothingLanded,
    Unclear,
}

impl World {
    /// Reads the journal and the vote.
    pub fn look(&self, state: &mut State, index: usize) {
        let (journal, target) = (state.journal, state.target);
        let on_its_way = (0..self.steps)
            .find(|step| journal.outcomes[*step].is_none())
            .is_some_and(|step| state.is_on_its_way(step));
        let seen = Seen { journal, target, on_its_way, approved: state.approved, stopped: state.stopped };
        let life = state.operators[index].life;
        let memory = &mut state.operators[index].memory;
        let other = journal.driver.is_some_and(|driver| (driver.operator, driver.life) != (index, life));
        if other && self.has(Fence::DriverForgets) {
            memory.untouched = [false; MOST_STEPS];
            memory.sent.iter_mut().flatten().for_each(|sent| sent.doubtful = true);
        }
        if seen.journal.planned.is_some() {
            // Behind a closed gate nobody acts, and on no step before its turn.
            let first = (0..self.steps).find(|step| seen.journal.outcomes[*step].is_none()).unwrap_or(self.steps);
            let from = if seen.approved { first + 1 } else { 0 };
            memory.untouched[from.min(self.steps)..self.steps].fill(true);
        }
        state.operators[index].seen = Some(seen);
    }

    /// Reads the target, and does one thing.
    pub fn decide(&self, state: &mut State, index: usize) {
        let Some(seen) = state.operators[index].seen.take() else { return };
        if let Some(what) = self.next(state, index, &seen) {
            state.send(index, what);
        } else {
            World::end_if_late(&mut state.operators[index]);
        }
    }

    fn next(&self, state: &mut State, index: usize, seen: &Seen) -> Option<What> {
        let Seen { journal, approved, stopped, .. } = *seen;
        let memory = state.operators[index].memory.clone();
        // An end without its records would be final.
        let unrecorded = (0..self.steps).find(|step| journal.outcomes[*step].is_some() && !memory.recorded[*step]);
        if let Some(step) = unrecorded.filter(|_| !journal.ended && self.has(Fence::RecordBeforeEnd)) {
            return Some(What::Record { step });
        }
        let own = Driver { operator: index, life: state.operators[index].life, claim: memory.claim };
        let driver_before = journal.driver;
        let is_named = driver_before == Some(own);
        let journal = Journal { driver: Some(own), ..journal };
        let over = What::Write(Journal { ended: true, ..journal });
        if journal.ended {
            return None;
        }
        let Some(planned) = journal.planned else {
            if stopped {
                return Some(over);
            }
            if !self.has(Fence::JournalBeforeAct) {
                return self.act(state, index, seen, 0);
            }
            return Some(What::Write(Journal { planned: Some(seen.target.version), ..journal }));
        };
        let Some(step) = (0..self.steps).find(|step| journal.outcomes[*step].is_none()) else { return Some(over) };
        let said = |outcome| {
            let mut outcomes = journal.outcomes;
            outcomes[step] = Some(outcome);
            Some(What::Write(Journal { outcomes, ..journal }))
        };
        if stopped || !approved && self.has(Fence::LiveVote) {
            // Nothing is declared over before it is known that nothing was done, and that nothing can arrive.
            if !stopped {
                return None;
            }
            return match self.rule_out(seen, &memory, step, planned) {
                Some(Some(outcome)) => said(outcome),
                Some(None) => Some(over),
                None => None,
            };
        }
        let own_only = driver_before.is_some_and(|driver| (driver.operator, driver.life) == (own.operator, own.life));
        match self.send(seen, &memory, step, planned, own_only)? {
            Sending::Say(outcome) => said(outcome),
            Sending::Act if !is_named && self.has(Fence::Driver) => Some(What::Write(journal)),
            Sending::Act => self.act(state, index, seen, step),
        }
    }

    fn act(&self, state: &mut State, index: usize, seen: &Seen, step: usize) -> Option<What> {
        let tested = seen.target.version;
        let memory = &mut state.operators[index].memory;
        let earlier = memory.sent[step];
        let doubtful = (earlier.is_none() && !memory.untouched[step])
            || earlier.is_some_and(|sent| sent.doubtful || sent.reply == Reply::None);
        memory.sent[step] = Some(Sent { tested, reply: Reply::None, doubtful });
        Some(What::Act { step, tested })
    }

    /// The last look at the target before an act.
    fn send(&self, seen: &Seen, memory: &Memory, step: usize, planned: Version, own: bool) -> Option<Sending> {
        if memory.sent[step].is_some_and(|sent| sent.reply == Reply::Landed) {
            return Some(Sending::Say(Outcome::Done));
        }
        let (target, journal) = (&seen.target, &seen.journal);
        if target.token == Some(step) {
            let forged = self.nothing_sent(memory, step);
            return Some(Sending::Say(if forged { Outcome::Unknown } else { Outcome::Done }));
        }
        // Another operator has acted for this run, and has not yet said what came of it.
        if target.token.is_some_and(|other| journal.outcomes[other].is_none()) {
            return None;
        }
        if target.version.uid != planned.uid {
            if self.late_copies(seen, memory, step) {
                return None;
            }
            let nothing = self.certainty(seen, memory, step, planned) == Certainty::NothingLanded;
            return Some(Sending::Say(if nothing { Outcome::Refused } else { Outcome::Unknown }));
        }
        match self.certainty(seen, memory, step, planned) {
            Certainty::NothingLanded => Some(Sending::Act),
            // One of its own that is on its way fits no longer.
            Certainty::Unclear if (!own || memory.sent[step].is_none()) && self.late_copies(seen, memory, step) => None,
            Certainty::Unclear => Some(Sending::Say(Outcome::Unknown)),
        }
    }

    /// Before the run is over: an outcome that has to be said first, or none; nothing while it cannot be told yet.
    fn rule_out(&self, seen: &Seen, memory: &Memory, step: usize, planned: Version) -> Option<Option<Outcome>> {
        if self.nothing_sent(memory, step) && (memory.sent[step].is_none() || seen.target.token != Some(step)) {
            return Some(None);
        }
        if memory.sent[step].is_some_and(|sent| sent.reply == Reply::Landed) || seen.target.token == Some(step) {
            return Some(Some(Outcome::Done));
        }
        if self.late_copies(seen, memory, step) {
            return None;
        }
        match self.certainty(seen, memory, step, planned) {
            Certainty::NothingLanded => Some(None),
            Certainty::Unclear => Some(Some(Outcome::Unknown)),
        }
    }

    fn nothing_sent(&self, memory: &Memory, step: usize) -> bool {
        match &memory.sent[step] {
            Some(sent) => sent.was_refused(),
            None => memory.untouched[step] || !self.has(Fence::ForgetfulIsCareful),
        }
    }

    /// Whether it waits, since a request may still arrive.
    fn late_copies(&self, seen: &Seen, memory: &Memory, step: usize) -> bool {
        self.has(Fence::RequestsEnd) && !self.nothing_sent(memory, step) && seen.on_its_way
    }

    fn certainty(&self, seen: &Seen, memory: &Memory, step: usize, planned: Version) -> Certainty {
        let (target, journal) = (&seen.target, &seen.journal);
        let same = target.version.uid == planned.uid;
        let unchanged_since = |then: Version| same && then == target.version;
        let nothing = match &memory.sent[step] {
            Some(sent) if sent.was_refused() => true,
            Some(sent) => unchanged_since(sent.tested),
            None => {
                memory.untouched[step]
                    || !self.has(Fence::ForgetfulIsCareful)
                    || unchanged_since(planned)
                    || (same && target.token.is_some_and(|token| journal.outcomes[token].is_some()))
                    || (same && target.version.generation == planned.generation + 1 && target.value != Some(step))
            }
        };
        if nothing { Certainty::NothingLanded } else { Certainty::Unclear }
    }

    /// Whether the run ends where nothing more goes wrong and a person votes, however it came to be as it is.
    pub fn ends_if_left_alone(&self, state: &State) -> bool {
        let mut state = state.clone();
        for _ in 0..40 * MOST_STEPS {
            if state.journal.ended {
                return true;
            }
            while !state.network.is_empty() {
                let event = super::protocol::Event::Arrive { index: 0, answered: true, copied: false };
                state = self.after(&state, event);
            }
            state.approved |= state.journal.planned.is_some();
            let leader = state.leader;
            if state.operators[1 - leader].late {
                // What it has read it acts on, or it finds out first.
                let other = 1 - leader;
                let waits = state.operators[other].waits.is_some();
                let event =
                    if waits { super::protocol::Event::GiveUp(other) } else { super::protocol::Event::Decide(other) };
                state = self.after(&state, event);
                continue;
            }
            let event = match &state.operators[leader] {
                operator if operator.waits.is_some() => super::protocol::Event::GiveUp(leader),
                operator if operator.seen.is_some() => super::protocol::Event::Decide(leader),
                _ => super::protocol::Event::Look(leader),
            };
            state = self.after(&state, event);
        }
        false
    }
}

/// What follows from the last look.
enum Sending {
    Act,
    Say(Outcome),
}
