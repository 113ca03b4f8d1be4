//! What many schedules reached, together.

use std::collections::BTreeMap;

use crate::choices::Choices;
use crate::fences::Down;
use crate::judge::{Invariant, Violation};
use crate::network::{Fault, Hits};
use crate::scenario::Scenario;
use crate::simulation::{Course, run};

/// The sum of many courses.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub schedules: u64,
    pub transitions: u64,
    pub effects: u64,
    pub hits: Hits,
    pub endings: BTreeMap<(Scenario, String), u64>,
    /// Schedules that broke each promise.
    pub broken: BTreeMap<Invariant, u64>,
}

impl Figures {
    pub fn add(&mut self, course: &Course) {
        self.schedules += 1;
        self.transitions += course.transitions;
        self.effects += course.effects;
        for (fault, hits) in &course.hits {
            *self.hits.entry(*fault).or_default() += hits;
        }
        for ending in &course.endings {
            if let Some(scenario) = course.scenario {
                *self.endings.entry((scenario, ending.clone())).or_default() += 1;
            }
        }
    }

    pub fn merge(&mut self, other: &Self) {
        self.schedules += other.schedules;
        self.transitions += other.transitions;
        self.effects += other.effects;
        for (fault, hits) in &other.hits {
            *self.hits.entry(*fault).or_default() += hits;
        }
        for (ending, count) in &other.endings {
            *self.endings.entry(ending.clone()).or_default() += count;
        }
        for (invariant, count) in &other.broken {
            *self.broken.entry(*invariant).or_default() += count;
        }
    }

    /// Faults that were never hit.
    pub fn missed(&self) -> Vec<Fault> {
        Fault::ALL.into_iter().filter(|fault| !self.hits.contains_key(fault)).collect()
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(out, "{} schedules, {} transitions, {} effects", self.schedules, self.transitions, self.effects)?;
        let hits: Vec<String> = self.hits.iter().map(|(fault, hits)| format!("{fault:?} {hits}")).collect();
        writeln!(out, "faults: {}", hits.join(", "))?;
        for scenario in Scenario::ALL {
            let of = self.endings.iter().filter(|((of, _), _)| *of == scenario);
            let endings: Vec<String> = of.map(|((_, phase), count)| format!("{phase} {count}")).collect();
            writeln!(out, "{:<12} {}", format!("{scenario:?}"), endings.join(", "))?;
        }
        write!(out, "broken: {:?}", self.broken)
    }
}

/// A schedule that breaks a promise.
#[derive(Clone, Debug)]
pub struct Broken {
    pub seed: u64,
    pub violation: Violation,
    pub choices: Vec<u16>,
}

/// The schedules of so many seeds, on so many threads; and those that break a promise, the first of each promise.
pub fn many(first: u64, count: u64, threads: u64, down: &Down) -> (Figures, Vec<Broken>) {
    let threads = threads.max(1);
    let some = |thread: u64| {
        let (mut figures, mut broken) = (Figures::default(), Vec::<Broken>::new());
        let mut seed = first + thread;
        while seed < first + count {
            let course = run(Choices::from_seed(seed), down, false);
            figures.add(&course);
            if let Some(violation) = course.violation {
                *figures.broken.entry(violation.invariant).or_default() += 1;
                if !broken.iter().any(|known| known.violation.invariant == violation.invariant) {
                    broken.push(Broken { seed, violation, choices: course.choices });
                }
            }
            seed += threads;
        }
        (figures, broken)
    };
    std::thread::scope(|scope| {
        let some = &some;
        let parts: Vec<_> = (0..threads).map(|thread| scope.spawn(move || some(thread))).collect();
        let (mut figures, mut broken) = (Figures::default(), Vec::<Broken>::new());
        for (part, found) in parts.into_iter().map(|part| part.join().expect("a thread")) {
            figures.merge(&part);
            broken.extend(found);
        }
        broken.sort_by_key(|broken| (broken.violation.invariant, broken.seed));
        broken.dedup_by_key(|broken| broken.violation.invariant);
        (figures, broken)
    })
}
