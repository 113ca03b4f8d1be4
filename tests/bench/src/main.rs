//! `make bench`: from an approval to its effect, beside two floors on the same API server, in the same minutes.
//!
//! * The raw floor is a watch and a merge patch: the least that any actor on an approval costs.
//! * The safe floor is the same with what the design asks for before an act (the run, its ballots, the voter's rights, the
//!   brake and the target, read live at once) and the act itself (one conditional patch in the name of the runbook's
//!   ServiceAccount), by hand in one loop.
//!
//! An independent observer, a watch on the targets, stops the clock for all three. Figures of one run compare with each
//! other; figures of different machines or minutes do not.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

mod audit;
mod board;
mod floor;
mod follow;
mod memory;
mod race;
mod report;
mod subject;
mod town;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use serde_json::json;

use crate::audit::Audit;
use crate::race::Race;
use crate::report::{Report, load, round};
use crate::subject::Subject;
use crate::town::{Actor, Town};

/// How much is measured.
#[derive(Parser)]
struct Args {
    /// Laps of each actor with a flag in a ConfigMap, which is what the goals are about.
    #[arg(long, default_value_t = 300)]
    runs: usize,
    /// Laps of each actor with the replicas of a Deployment.
    #[arg(long, default_value_t = 40)]
    scale_runs: usize,
    /// Laps of each actor before the clock counts.
    #[arg(long, default_value_t = 10)]
    warm_up: usize,
    /// Finished runs that are stored when the memory is looked at, all of them real ones; 0 leaves memory out.
    #[arg(long, default_value_t = 1000)]
    stored: usize,
    /// Another build of the operator, to compare with; else it is built from here.
    #[arg(long)]
    operator: Option<PathBuf>,
}

/// How long the operator's memory is watched before it is told: its peaks come right after a start.
const SETTLE: Duration = Duration::from_secs(10);

fn main() -> Result<()> {
    let args = Args::parse();
    let mut town = Town::open(args.operator.clone())?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(measure(&args, &mut town))
}

async fn measure(args: &Args, town: &mut Town) -> Result<()> {
    let mut report = Report::default();
    for floor in [Actor::Raw, Actor::Safe] {
        floor::start(floor, town.sandbox.kubeconfig("operator"))?;
    }
    let seen = board::start(town.sandbox.kubeconfig("root")).await?;
    let mut race = Race::new(town, seen).await?;
    let mut resident = vec![("idle, nothing stored".to_owned(), settled(town).await?)];

    eprintln!("warming up ...");
    race.warm_up().await?;
    race.run(Subject::Flag, "warm", args.warm_up).await?;
    let load_before = load();
    eprintln!("measuring (load {load_before}) ...");
    let flag = race.run(Subject::Flag, "flag", args.runs).await?;
    let load_after = load();
    let scale = race.run(Subject::Scale, "scale", args.scale_runs).await?;

    println!("load {load_before} at the start, {load_after} after the laps with flags");
    report.note("load", json!({"before": load_before, "after": load_after, "atTheEnd": load()}));
    report.times(Subject::Flag, &flag);
    report.times(Subject::Scale, &scale);
    let audit = Audit::read(&town.sandbox.audit_log())?;
    for (subject, laps) in [(Subject::Flag, &flag), (Subject::Scale, &scale)] {
        report.courses(subject, laps, &audit);
        report.writes(subject, laps, &audit);
    }
    let own = flag.iter().chain(&scale).filter(|lap| lap.actor == Actor::Operator);
    let mut known: Vec<String> = own.map(|lap| lap.name.clone()).collect();
    known.extend((0..args.warm_up).map(|number| format!("warm-{number:04}")));
    known.push("first".to_owned());
    let others = audit.other_writes(&known);
    println!("\noperator's writes for no run: {others:?} (rehearsals of runbooks)");
    report.note("otherWrites", json!(others));

    if args.stored > 0 {
        let more = args.stored.saturating_sub(known.len());
        eprintln!("storing {more} more finished runs ...");
        let took = race.pile_up(more).await?;
        #[expect(clippy::cast_precision_loss, reason = "they are few")]
        let pace = more as f64 / took.as_secs_f64();
        println!(
            "\n{more} more gated runs from start to end, 16 at once: {pace:.0} a second (the people's requests included)"
        );
        report.note("pile", json!({"runs": more, "atOnce": 16, "perSecond": round(pace)}));
        let stored = known.len() + more;
        resident.push((format!("after {stored} finished runs, all stored"), settled(town).await?));
        town.restart_operator()?;
        resident.push((format!("started with {stored} finished runs stored"), settled(town).await?));
    }
    println!("\nresident memory of the operator, MB              now     most  of it data");
    for (when, memory) in &resident {
        println!("  {when:<42}{:>8.1}{:>9.1}{:>12.1}", memory.now, memory.most, memory.own);
        report.goal(format!("under 25 MB resident, {when}"), 25.0, memory.now);
    }
    let figures: Vec<_> = resident
        .iter()
        .map(|(when, m)| json!({"when": when, "nowMB": round(m.now), "mostMB": round(m.most), "dataMB": round(m.own)}))
        .collect();
    report.note("resident", json!(figures));
    let path = report.finish()?;
    println!("\nwritten to {}", path.display());
    Ok(())
}

/// The operator's memory when nothing has gone on for a while.
async fn settled(town: &Town) -> Result<memory::Resident> {
    tokio::time::sleep(SETTLE).await;
    memory::of(town.operator.pid()?)
}
