//! Operators live and die: by a signal, frozen and thawed, and with or without a lease.

use std::rc::Rc;

use jiff::{SignedDuration, Timestamp};

use crate::network::Fault;
use crate::operator::Process;
use crate::simulation::{Event, Operator, Replicas, Simulation};
use crate::wire::Wire;

/// How long a lease lasts after its holder was last heard of.
const LEASE: i64 = 15_000;

impl Simulation {
    /// An operator dies as by SIGKILL. It is started again.
    pub fn dies(&mut self, number: usize) {
        let operator = &mut self.operators[number];
        if operator.process.take().is_none() {
            return;
        }
        operator.life += 1;
        operator.forget_everything();
        operator.frozen_until = None;
        self.tell(|| format!("operator {} dies", number + 1));
        let after = if self.calm { 1_000 } else { [1_000, 20, 20_000, 70_000][self.choices.below(4)] };
        // Where there is a lease another one waits for it.
        let next = if self.replicas == Replicas::Lease { 1 - number } else { number };
        self.at(after, Event::Starts { operator: next });
    }

    pub fn starts(&mut self, number: usize) {
        let held =
            |other: &Operator| other.process.is_some() && other.frozen_until.is_none_or(|until| until <= self.now);
        let lease_is_held = self.replicas == Replicas::Lease && self.operators.iter().any(held);
        if self.operators[number].process.is_some() || lease_is_held {
            return;
        }
        self.tell(|| format!("operator {} starts", number + 1));
        let first = (self.operators[number].life + 1) * 1_000_000;
        let wire = Rc::new(Wire::new(self.now, first));
        let life = self.operators[number].life;
        self.operators[number].process = Some(Rc::new(Process::new(wire, &self.down, number, life)));
        self.operators[number].deaf_until = None;
        let old = if self.calm { 0 } else { self.choices.weighted(&[12, 1, 1]) };
        if old > 0 {
            self.hit(Fault::ListIsOld);
        }
        let life = self.operators[number].life;
        self.at(3, Event::Listed { operator: number, life, old });
    }

    /// A process gets no time for a while. Where there is a lease and that is long enough, another one takes over, and the
    /// first goes on for a moment before it finds that out.
    pub fn freezes(&mut self, number: usize) {
        if self.operators[number].process.is_none() {
            return;
        }
        let length = [2_000, 20_000, 80_000][self.choices.below(3)];
        self.operators[number].frozen_until = Some(self.now + SignedDuration::from_millis(length));
        self.tell(|| format!("operator {} is frozen for {length} ms", number + 1));
        if self.replicas == Replicas::Lease && length > LEASE {
            self.hit(Fault::LeaseLostUnseen);
            let life = self.operators[number].life;
            let goes_on = [500, 1, 50][self.choices.below(3)];
            self.at(LEASE, Event::Starts { operator: 1 - number });
            self.at(length + goes_on, Event::LosesLease { operator: number, life });
        }
    }

    /// Until when the operator of an event is frozen.
    pub fn frozen(&self, event: &Event) -> Option<Timestamp> {
        let operator = match event {
            Event::Answered { from, .. } => from.operator,
            Event::Turn { operator, .. } | Event::Told { operator, .. } | Event::Listed { operator, .. } => *operator,
            Event::Arrives { .. }
            | Event::Starts { .. }
            | Event::LosesLease { .. }
            | Event::Happens(_)
            | Event::Calm => return None,
        };
        self.operators[operator].frozen_until.filter(|until| *until > self.now)
    }

    /// Whether somebody is there to drive runs.
    pub fn somebody_is_alive(&self) -> bool {
        self.operators.iter().any(|operator| operator.process.is_some())
    }
}
