//! What an operator hears of: late, in order, or not at all until its watch is made anew.

use std::rc::Rc;

use jiff::SignedDuration;

use crate::api_server::{Key, Kind, Stored};
use crate::fences::Fence;
use crate::network::Weather;
use crate::operator::name_of;
use crate::simulation::{Event, Replicas, Simulation};

/// A watch is made anew after so long, however dead it was.
const WATCH_ENDS: i64 = 30_000;

impl Simulation {
    /// A watch tells one operator of a change.
    pub(crate) fn watch_tells(&mut self, number: usize, key: &Key, object: Option<Rc<Stored>>) {
        let deaf = self.operators[number].deaf_until.is_some_and(|until| self.now < until);
        if self.operators[number].process.is_none() || deaf {
            return;
        }
        let lag = if self.calm { Some(1) } else { self.weather.lag(&mut self.choices, &mut self.hits) };
        let life = self.operators[number].life;
        let Some(lag) = lag else {
            self.operators[number].deaf_until = Some(self.now + SignedDuration::from_millis(WATCH_ENDS));
            self.operators[number].watch += 1;
            self.tell(|| format!("the watch of operator {} dies", number + 1));
            self.at(WATCH_ENDS, Event::Listed { operator: number, life, old: 0 });
            return;
        };
        let when = (self.now + SignedDuration::from_millis(lag)).max(self.operators[number].told_until);
        self.operators[number].told_until = when;
        let after = i64::try_from(when.duration_since(self.now).as_millis()).unwrap_or_default();
        let watch = self.operators[number].watch;
        self.at(after, Event::Told { operator: number, life, watch, key: key.clone(), object });
    }

    /// An operator hears of an object.
    pub(crate) fn told(&mut self, number: usize, key: &Key, object: Option<Rc<Stored>>) {
        let Some(process) = self.operators[number].process.clone() else { return };
        match (key.kind, object) {
            (Kind::Run, Some(run)) if !is_finished(&run) => {
                process.watched.borrow_mut().insert(key.name.clone(), run);
                self.wake(number, &key.name);
            }
            (Kind::Run, _) => {
                process.watched.borrow_mut().remove(&key.name);
                self.wake(number, &key.name);
            }
            (Kind::Approval, Some(ballot)) => {
                if let Some(run) = process.recall.saw(ballot.ballot()) {
                    self.wake(number, &run.name);
                }
            }
            _ => {}
        }
    }

    /// A watch begins with a list of everything, which may be some versions old.
    pub(crate) fn listed(&mut self, number: usize, old: usize) {
        let Some(process) = self.operators[number].process.clone() else { return };
        self.operators[number].deaf_until = None;
        self.operators[number].watch += 1;
        self.operators[number].told_until = self.now;
        let then = |versions: &Vec<Rc<Stored>>| versions.get(versions.len().saturating_sub(1 + old)).cloned();
        let listed: Vec<Rc<Stored>> = self.history.values().filter_map(then).collect();
        let before: Vec<String> = process.watched.borrow().keys().cloned().collect();
        let runs = listed
            .iter()
            .filter(|run| !is_finished(run))
            .map(|run| (run.text("/metadata/name").to_owned(), Rc::clone(run)));
        *process.watched.borrow_mut() = runs.collect();
        let active: Vec<String> = process.watched.borrow().keys().cloned().collect();
        process.recall.forget_all_but(&active.iter().map(|run| name_of(run)).collect());
        if old > 0 {
            // What has happened since is told in its time.
            let newest: Vec<Rc<Stored>> =
                self.history.values().filter_map(|versions| versions.last().cloned()).collect();
            for run in newest {
                let key = Key::new(Kind::Run, run.text("/metadata/name"));
                self.watch_tells(number, &key, Some(run));
            }
        }
        for run in active.iter().chain(before.iter().filter(|run| !active.contains(run))) {
            self.wake(number, run);
        }
        let ballots: Vec<Rc<Stored>> = self.server.all(Kind::Approval).cloned().collect();
        for ballot in ballots {
            if let Some(run) = process.recall.saw(ballot.ballot()) {
                self.wake(number, &run.name);
            }
        }
    }

    /// The storm is over: the network delivers, everybody is alive, nobody is in the way, people do what they are asked.
    pub(crate) fn becomes_calm(&mut self) {
        self.calm = true;
        self.weather = Weather::Calm;
        self.tell(|| "the storm is over".to_owned());
        self.later.clear();
        for number in 0..self.operators.len() {
            self.operators[number].frozen_until = None;
            if self.operators[number].process.is_none() {
                if self.replicas != Replicas::Lease || (number == 0 && !self.somebody_is_alive()) {
                    self.at(1, Event::Starts { operator: number });
                }
            } else if !self.is_down(Fence::LookAgain) {
                let life = self.operators[number].life;
                self.at(1, Event::Listed { operator: number, life, old: 0 });
            }
        }
        self.all_is_well();
    }
}

fn is_finished(run: &Stored) -> bool {
    run.value.pointer("/status/finished").and_then(serde_json::Value::as_bool).unwrap_or_default()
}
