//! Many schedules, each from its seed: every promise holds after every transition, and everything that should be reached is.
#![allow(clippy::panic, clippy::print_stdout, clippy::unwrap_used)]

use std::time::Instant;

use firstaid_simulate::fences::Down;
use firstaid_simulate::figures::many;
use firstaid_simulate::minimise::{minimise, written};
use firstaid_simulate::scenario::Scenario;

/// How many schedules where nobody says otherwise: as many as a build without optimisation runs in some seconds.
const SCHEDULES: u64 = 1_000;

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}")))
}

#[test]
fn every_promise_holds_in_every_schedule() {
    let (count, seed) = (number("FIRSTAID_SCHEDULES", SCHEDULES), number("FIRSTAID_SEED", 1));
    let began = Instant::now();
    let (figures, broken) = many(seed, count, number("FIRSTAID_THREADS", 2), &Down::default());
    println!("seeds from {seed} on, {:.1} s: {figures}", began.elapsed().as_secs_f64());
    if let Some(first) = broken.first() {
        let small = minimise(&first.choices, &Down::default(), first.violation.invariant);
        panic!(
            "seed {} breaks {}; as a regression: {:?}; to see it: cargo run -p firstaid-simulate -- --schedule {}",
            first.seed,
            first.violation,
            written(&small),
            written(&small)
        );
    }
    assert_eq!(figures.missed(), [], "faults that were never hit");
    let endings = ["Succeeded", "Failed", "Denied", "Expired", "Aborted", "Reverted"];
    for ending in endings {
        assert!(figures.endings.keys().any(|(_, phase)| phase == ending), "no run ended {ending}");
    }
    for scenario in Scenario::ALL {
        let ended = figures.endings.keys().filter(|(of, _)| *of == scenario).count();
        assert!(ended >= 2, "{scenario:?} ended in {ended} ways only");
    }
}
