//! `make simulate`: so many schedules from a seed on, and what they reached; the first one that breaks a promise, made small.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;
use std::time::Instant;

use firstaid_simulate::choices::Choices;
use firstaid_simulate::fences::{Down, Fence};
use firstaid_simulate::figures::{Broken, many};
use firstaid_simulate::minimise::{minimise, read, written};
use firstaid_simulate::simulation::run;

/// The fences that `FIRSTAID_WITHOUT` names, as in `UidTest,Lease`.
fn down() -> Down {
    let named = std::env::var("FIRSTAID_WITHOUT").unwrap_or_default();
    let is_named = |fence: &Fence| named.split(',').any(|name| name == format!("{fence:?}"));
    Down::these(&Fence::ALL.into_iter().filter(is_named).collect::<Vec<_>>())
}

fn main() -> ExitCode {
    let down = down();
    let mut arguments = std::env::args().skip(1);
    let first = arguments.next().unwrap_or_default();
    if first == "--schedule" {
        let list = read(&arguments.collect::<Vec<_>>().join(" "));
        let course = run(Choices::from_list(&list), &down, true);
        course.lines.iter().for_each(|line| println!("{line}"));
        return if course.violation.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    if first == "--seed" {
        let seed = arguments.next().and_then(|seed| seed.parse().ok()).unwrap_or(1);
        let course = run(Choices::from_seed(seed), &down, true);
        course.lines.iter().for_each(|line| println!("{line}"));
        println!("--schedule {}", written(&course.choices));
        return if course.violation.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    let count: u64 = first.parse().unwrap_or(100_000);
    let seed: u64 = arguments.next().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let threads = arguments.next().and_then(|threads| threads.parse().ok()).unwrap_or(1u64);
    let began = Instant::now();
    let (figures, broken) = many(seed, count, threads, &down);
    println!(
        "seeds {seed} to {}, {threads} at once, {:.1} s: {figures}",
        seed + count - 1,
        began.elapsed().as_secs_f64()
    );
    for Broken { seed, violation, choices } in &broken {
        println!("seed {seed} breaks {violation}");
        if std::env::var_os("FIRSTAID_BRIEF").is_some() {
            continue;
        }
        let small = minimise(choices, &down, violation.invariant);
        let course = run(Choices::from_list(&small), &down, true);
        course.lines.iter().for_each(|line| println!("{line}"));
        println!("again: target/simulate/firstaid-simulate --schedule {}", written(&small));
    }
    if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
