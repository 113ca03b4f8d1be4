//! The API server in a crisis of its own, while people start, approve and stop runs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail, ensure};
use firstaid_proxy::{Fault, Rule};
use firstaid_sandbox::poll;
use serde_json::{Value, json};

use super::Behind;
use crate::runs::runbook_with;
use crate::town::{WITHIN, text};

/// How long it lasts in `make test`; `make crisis MINUTES=10` is the whole of it.
const SECONDS: u64 = 40;

/// Of a hundred requests so many fail, each in one of these ways, and others are slow.
const FAILING: u64 = 30;
const SLOW: u64 = 30;

/// Groups of people that work at the same time.
const LANES: usize = 4;

fn seconds() -> u64 {
    std::env::var("FIRSTAID_CRISIS_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(SECONDS)
}

fn seed() -> u64 {
    let said = std::env::var("FIRSTAID_CRISIS_SEED").ok().and_then(|text| text.parse().ok());
    said.unwrap_or_else(|| u64::from(std::process::id()))
}

/// Numbers below a hundred, one for each question; the same ones for the same seed.
struct Dice(AtomicU64);

impl Dice {
    fn roll(&self) -> u64 {
        // splitmix64: https://prng.di.unimi.it/splitmix64.c
        let mut mixed = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % 100
    }
}

/// Nearly a third of what the operator asks fails, another third takes two seconds.
fn rage(behind: &Behind, seed: u64) {
    let faults = [
        Fault::Refuse(500),
        Fault::Refuse(503),
        Fault::Refuse(429),
        Fault::Misreport(504),
        Fault::LoseRequest,
        Fault::LoseAnswer,
    ];
    let share = FAILING / faults.len() as u64;
    for (number, fault) in faults.into_iter().enumerate() {
        // Each rule rolls for what the rules before it have let pass.
        let dice = Dice(AtomicU64::new(seed.wrapping_add(number as u64 * 0x1234_5678)));
        behind.proxy.inject(Rule::always(move |_| dice.roll() < share, fault));
    }
    let dice = Dice(AtomicU64::new(!seed));
    behind.proxy.inject(Rule::always(move |_| dice.roll() < SLOW, Fault::Delay(Duration::from_secs(2))));
}

fn has_ended(run: &Value) -> bool {
    run.pointer("/status/finished") == Some(&Value::Bool(true))
}

/// Whether a run that goes on tells people where it stands, and what they could type instead.
fn tells(run: &Value) -> Result<()> {
    if has_ended(run) || run.get("status").is_none() {
        return Ok(());
    }
    let name = text(run, "/metadata/name");
    ensure!(!text(run, "/status/waitingOn").is_empty(), "{name} is {} and says nothing", text(run, "/status/phase"));
    let plans = run.pointer("/status/plans").and_then(Value::as_object);
    let steps = plans.into_iter().flatten().filter_map(|(_, plan)| plan.get("steps")?.as_array()).flatten();
    for step in steps {
        ensure!(text(step, "/byHand").starts_with("kubectl "), "{name} shows no command: {step}");
    }
    Ok(())
}

/// What people do to the run of this number: approve it, stop it, deny it, in turn.
fn decide(behind: &Behind, number: usize, run: &str) -> Result<()> {
    let town = &behind.town;
    match number % 4 {
        0 | 1 => town.approve("bob", run),
        2 => stop(behind, run),
        _ => {
            let ballot = town.ballot(run)?;
            town.mark("bob", text(&ballot, "/metadata/name"), "deny=not now")?.ok().map(drop)
        }
    }
}

fn stop(behind: &Behind, run: &str) -> Result<()> {
    behind.town.kubectl("bob", &["annotate", "rbr", run, "abort=wrong service"])?.ok().map(drop)
}

/// Starts one run after the other until the time is over; their names. Each has a flag of its own: whoever writes to a target
/// of which no answer came back makes the operator ask a person, and rightly so (`src/plan/tests/ambiguous.rs`).
fn people(behind: &Behind, lane: usize, over: &dyn Fn() -> bool) -> Result<Vec<String>> {
    let town = &behind.town;
    let mut started = Vec::new();
    while !over() {
        let (run, map) = (format!("run-{lane}-{}", started.len()), format!("map-{lane}-{}", started.len()));
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": map, "namespace": town.namespace},
                            "data": {"flags.json": "{\"f\": true}"}});
        town.sandbox.apply_yaml("root", &object.to_string())?;
        town.start_with("crisis", &run, &format!("  parameters: {{map: {map}}}\n"))?;
        if decide(behind, started.len() + lane, &run).is_err() {
            stop(behind, &run)?;
        }
        tells(&town.get("rbr", &run)?)?;
        started.push(run);
    }
    Ok(started)
}

/// A rage of so many seconds, with a restart of the operator in the middle of it.
fn crisis(seconds: u64, seed: u64) -> Result<()> {
    let mut behind = Behind::open("crisis")?;
    let step = "name: flag-off, gate: on-call, disable: {flag: f, configMap: {name: '${params.map}', key: flags.json, format: Json, pointer: /f}}";
    behind.town.runbook(&runbook_with(
        "crisis",
        "  parameters: [{name: map, type: string, sample: shop-flags}]\n",
        &[step],
    ))?;
    behind.start_operator()?;
    rage(&behind, seed);
    let (began, lasts) = (Instant::now(), Duration::from_secs(seconds));
    let mut operator = behind.operator.take();
    let started = std::thread::scope(|scope| -> Result<Vec<String>> {
        let over = || began.elapsed() > lasts;
        let lanes: Vec<_> = (0..LANES)
            .map(|lane| {
                let behind = &behind;
                scope.spawn(move || people(behind, lane, &over))
            })
            .collect();
        std::thread::sleep(lasts / 2);
        drop(operator.take());
        operator =
            Some(super::unready(behind.town.sandbox, &behind.town.namespace, &behind.proxy, &["--lease-name="])?);
        let started: Result<Vec<_>> =
            lanes.into_iter().map(|lane| lane.join().map_err(|_| anyhow!("people"))?).collect();
        Ok(started?.concat())
    })?;
    behind.proxy.lift();
    behind.operator = operator;
    let hindered = behind.proxy.seen().iter().filter(|seen| seen.fault.is_some()).count();
    let all = behind.proxy.seen().len();
    let mut phases = BTreeMap::<String, usize>::new();
    for run in &started {
        let ended = poll(&format!("{run} to end"), 2 * WITHIN, || {
            let found = behind.town.get("rbr", run)?;
            if !has_ended(&found) {
                bail!("{}: {}", text(&found, "/status/phase"), text(&found, "/status/waitingOn"));
            }
            Ok(found)
        })?;
        let (phase, message) = (text(&ended, "/status/phase"), text(&ended, "/status/message"));
        ensure!(
            matches!(phase, "Succeeded" | "Aborted" | "Denied"),
            "{run} was {phase} for what could be tried again: {message}"
        );
        *phases.entry(phase.to_owned()).or_default() += 1;
    }
    println!("crisis: {seconds} s, {} runs {phases:?}, {hindered} of {all} requests hindered", started.len());
    ensure!(hindered > 20, "only {hindered} requests were hindered");
    Ok(())
}

#[test]
fn in_a_crisis_of_the_api_server_every_run_ends_and_nothing_is_refused_that_could_be_tried_again() -> Result<()> {
    let seed = seed();
    println!("crisis: FIRSTAID_CRISIS_SEED={seed}");
    crisis(seconds(), seed)
}
