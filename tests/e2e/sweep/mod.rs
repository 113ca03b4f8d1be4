//! The sweep: every kind of run, with every kind of fault, at every request that the operator makes for it, and the operator
//! lives or dies at that request. Then all is well again, and the run ends; nothing is done twice and nothing is lost, by
//! the judge, before whom every namespace ends (`judged.rs`).
//!
//! `make test` tries a part of it that is spread over all kinds, by a seed that it prints; `make sweep` tries all.

mod lane;
mod scenario;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, ensure};
use firstaid_proxy::Fault;
use serde_json::json;

use crate::town::Leg;
use lane::{Lane, Verdict};
use scenario::{SCENARIOS, Scenario};

/// What happens at a request.
#[derive(Clone, Debug)]
struct Kind {
    fault: Fault,
    /// Whether the operator is killed at that moment.
    dies: bool,
}

/// A kind of run, and what happens at which of its requests.
struct Case {
    scenario: &'static Scenario,
    request: usize,
    kind: Kind,
}

impl Case {
    fn name(&self) -> String {
        let dies = if self.kind.dies { ", and the operator dies" } else { "" };
        format!("{}: {} at request {}{dies}", self.scenario.name, self.kind.fault.name(), self.request)
    }
}

/// What is tried.
#[derive(Clone, Copy)]
enum Part {
    /// So many cases, spread by a seed.
    Some {
        cases: usize,
        seed: u64,
    },
    All,
}

/// All cases, given the requests of each kind of run.
fn cases(requests: &[(&'static Scenario, Vec<firstaid_proxy::Asked>)]) -> Vec<Case> {
    let mut cases = Vec::new();
    for (scenario, asked) in requests {
        for (request, asked) in asked.iter().enumerate() {
            for fault in Fault::all().into_iter().filter(|fault| fault.fits(asked)) {
                for dies in [false, true] {
                    cases.push(Case { scenario, request, kind: Kind { fault: fault.clone(), dies } });
                }
            }
        }
    }
    cases
}

/// Some of them, so that each kind of run with each kind of fault comes as often as each other one, as far as they go.
fn spread(cases: Vec<Case>, most: usize, seed: u64) -> Vec<Case> {
    let mut random = Random(seed);
    let mut cells: BTreeMap<(String, bool, &str), Vec<Case>> = BTreeMap::new();
    for case in cases {
        cells.entry((case.kind.fault.name(), case.kind.dies, case.scenario.name)).or_default().push(case);
    }
    let mut cells: Vec<Vec<Case>> = cells.into_values().collect();
    let mut chosen = Vec::new();
    while chosen.len() < most && !cells.is_empty() {
        let cell = random.below(cells.len());
        let mut of_cell = cells.swap_remove(cell);
        chosen.push(of_cell.swap_remove(random.below(of_cell.len())));
    }
    chosen
}

/// SplitMix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(most.max(1)).unwrap_or(1)).unwrap_or_default()
    }
}

/// Whether a run may end so. What the API server refuses for good, or answers so that nobody can tell, may end it.
fn is_fine(case: &Case, verdict: &Verdict) -> bool {
    let refused = matches!(case.kind.fault, Fault::Refuse(409 | 413 | 422) | Fault::Misreport(_));
    case.scenario.ends.contains(&&*verdict.phase)
        || (refused && matches!(&*verdict.phase, "Failed" | "Reverted" | "Aborted" | "Expired"))
        || (case.kind.fault == Fault::OldAnswer && verdict.phase == "Failed")
}

fn sweep(leg: Leg, name: &str, lanes: usize, part: Part) -> Result<()> {
    let first = Lane::open(leg, name)?;
    let requests: Vec<_> = SCENARIOS
        .iter()
        .map(|scenario| Ok((scenario, first.requests(scenario).context(scenario.name)?)))
        .collect::<Result<_>>()?;
    drop(first);
    let all = cases(&requests);
    let (cases, seed) = match part {
        Part::Some { cases, seed } => (spread(all, cases, seed), Some(seed)),
        Part::All => (all, None),
    };
    eprintln!("sweep: {} cases{}", cases.len(), seed.map(|seed| format!(", seed {seed}")).unwrap_or_default());
    let (next, verdicts) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| -> Result<()> {
        let lanes: Vec<_> = (0..lanes)
            .map(|number| {
                let (next, verdicts, cases) = (&next, &verdicts, &cases);
                scope.spawn(move || -> Result<()> {
                    let lane = Lane::open(leg, &format!("{name}-{number}"))?;
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let Some(case) = cases.get(index) else { return Ok(()) };
                        let verdict = lane.try_case(case).with_context(|| case.name())?;
                        let fine = is_fine(case, &verdict);
                        if !fine {
                            eprintln!("{} ended {}: {}", case.name(), verdict.phase, verdict.message);
                        }
                        let mut verdicts = verdicts.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                        verdicts.push((case, verdict, fine));
                        if verdicts.len() % 100 == 0 {
                            eprintln!("sweep: {} of {}", verdicts.len(), cases.len());
                        }
                    }
                })
            })
            .collect();
        for lane in lanes {
            lane.join().map_err(|_| anyhow::anyhow!("a lane ended before the judge"))??;
        }
        Ok(())
    })?;
    let verdicts = verdicts.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    write_table(&verdicts, seed)?;
    let wrong: Vec<String> = verdicts.iter().filter(|(_, _, fine)| !fine).map(|(case, ..)| case.name()).collect();
    ensure!(wrong.is_empty(), "{} runs ended otherwise than they may: {wrong:#?}", wrong.len());
    Ok(())
}

/// What was tried and how it ended, in `target/sweep.json`.
fn write_table(verdicts: &[(&Case, Verdict, bool)], seed: Option<u64>) -> Result<()> {
    let hit = verdicts.iter().filter(|(_, verdict, _)| verdict.hit.is_some()).count();
    let mut kinds: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    for (case, verdict, _) in verdicts.iter().filter(|(_, verdict, _)| verdict.hit.is_some()) {
        let kind = format!("{}{}", case.kind.fault.name(), if case.kind.dies { " + death" } else { "" });
        *kinds.entry(kind).or_default().entry(verdict.phase.clone()).or_default() += 1;
    }
    let slowest = verdicts.iter().map(|(_, verdict, _)| verdict.took).max().unwrap_or_default();
    eprintln!("sweep: {} cases, in {hit} of them the fault happened; the slowest took {slowest:?}", verdicts.len());
    for (kind, phases) in &kinds {
        eprintln!("  {kind:30} {phases:?}");
    }
    let table = json!({"cases": verdicts.len(), "hit": hit, "seed": seed, "slowestSeconds": slowest.as_secs_f64(), "kinds": kinds,
        "runs": verdicts.iter().map(|(case, verdict, fine)| json!({"scenario": case.scenario.name, "request": case.request,
            "fault": case.kind.fault.name(), "dies": case.kind.dies, "at": verdict.hit, "phase": verdict.phase,
            "seconds": verdict.took.as_secs_f64(), "fine": fine})).collect::<Vec<_>>()});
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/sweep.json");
    std::fs::write(&path, format!("{table:#}")).with_context(|| format!("writing {}", path.display()))
}

/// Another seed, and another number of cases, may be said by `FIRSTAID_SWEEP_SEED` and `FIRSTAID_SWEEP_CASES`.
fn said(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn a_part_of_the_sweep_over_all_kinds_of_faults() -> Result<()> {
    let cases = said("FIRSTAID_SWEEP_CASES").and_then(|cases| usize::try_from(cases).ok()).unwrap_or(60);
    let seed = said("FIRSTAID_SWEEP_SEED").unwrap_or(20_261_123);
    sweep(Leg::Stamping, "sweep", 2, Part::Some { cases, seed })
}

#[test]
#[ignore = "hours: make sweep"]
fn all_of_the_sweep() -> Result<()> {
    sweep(Leg::Stamping, "sweep", 4, Part::All)
}
