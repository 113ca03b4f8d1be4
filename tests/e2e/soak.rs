//! A long time with everything at once: two replicas that are killed, halted and told to end, an API server that begins anew,
//! people who approve, deny, stop and settle, and a rival that edits the targets. `make soak MINUTES=60`; the judge of the town
//! looks at what came of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use firstaid_sandbox::{Operator, poll};
use serde_json::{Value, json};

use crate::runs::runbook_with;
use crate::town::{Leg, Town, WITHIN, text};

/// How long it lasts in `make test`.
const SECONDS: u64 = 60;
/// Groups of people that work at the same time, each on a target of its own.
const LANES: usize = 4;
/// A leader that is halted for so long has lost its lease, which is held for 3 s.
const HALT: Duration = Duration::from_secs(5);
/// More than a process of ours ever has open at once. What leaks is more in the end.
const MOST_FILES: usize = 200;

fn number_of(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

/// Numbers below a hundred from a seed, for whoever asks.
struct Dice(AtomicU64);

impl Dice {
    fn roll(&self) -> usize {
        // splitmix64: https://prng.di.unimi.it/splitmix64.c
        let mut mixed = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % 100).unwrap_or_default()
    }
}

fn has_ended(run: &Value) -> bool {
    run.pointer("/status/finished") == Some(&Value::Bool(true))
}

/// What people of one group do: one run after the other on their own target, each carried to its end.
struct Lane<'a> {
    town: &'a Town,
    number: usize,
}

impl Lane<'_> {
    fn runbook(&self) -> &'static str {
        if self.number == 0 { "more" } else { "flags-off" }
    }

    /// What was done last time is taken back by hand.
    fn set_up(&self) -> Result<()> {
        if self.number == 0 {
            return self.town.kubectl("root", &["scale", "deployment/checkout", "--replicas=4"])?.ok().map(drop);
        }
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": self.map(), "namespace": self.town.namespace},
            "data": {"flags.json": "{\"f\": true}"}});
        self.town.sandbox.apply_yaml("root", &object.to_string()).map(drop)
    }

    fn map(&self) -> String {
        format!("map-{}", self.number)
    }

    /// Whether the run is there: an answer to its creation may have been lost.
    fn started(&self, run: &str) -> Result<()> {
        let more = if self.number == 0 { String::new() } else { format!("  parameters: {{map: {}}}\n", self.map()) };
        if self.town.get("rbr", run).is_ok() {
            return Ok(());
        }
        self.town.start_with(self.runbook(), run, &more)
    }

    /// What somebody does about a run that goes on, by its number: approve it, deny it, or stop it before or after a vote.
    fn decide(&self, number: usize, run: &Value) -> Result<()> {
        let name = text(run, "/metadata/name");
        let stop = || self.town.kubectl("bob", &["annotate", "rbr", name, "abort=wrong service"])?.ok().map(drop);
        match (text(run, "/status/phase"), number % 6) {
            ("NeedsHuman", _) => self.settle(run).or_else(|_| stop()),
            ("Waiting", 3) => self.mark(run, |_| "deny=not now".to_owned()),
            ("Waiting", 4) => stop(),
            ("Waiting", wish) => {
                self.mark(run, |code| format!("approve={code} queue grows"))?;
                if wish == 5 { stop() } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }

    fn mark(&self, run: &Value, mark: impl Fn(&str) -> String) -> Result<()> {
        let open = |ballot: &Value| {
            text(ballot, "/spec/request/run") == text(run, "/metadata/name")
                && text(ballot, "/status/state") == "Open"
                && ballot.pointer("/metadata/annotations/approve").is_none()
        };
        match self.town.list("apv")?.into_iter().rfind(open) {
            Some(ballot) => {
                let mark = mark(text(&ballot, "/spec/request/code"));
                self.town.mark("bob", text(&ballot, "/metadata/name"), &mark)?.ok().map(drop)
            }
            None => Ok(()),
        }
    }

    /// Somebody looks at the target: the token of an act stays there whatever the rival does.
    fn settle(&self, run: &Value) -> Result<()> {
        let (kind, name) =
            if self.number == 0 { ("deployment", "checkout".to_owned()) } else { ("configmap", self.map()) };
        let target = self.town.get(kind, &name)?;
        let token = text(&target, "/metadata/annotations/firstaid.dev~1last-action");
        let run = text(run, "/metadata/name");
        let word = if token.starts_with(&format!("{run}/")) { "done" } else { "not-done" };
        self.town.kubectl("bob", &["annotate", "rbr", run, &format!("settle={word} I looked")])?.ok().map(drop)
    }

    /// From its start to its end; how it ended.
    fn carry(&self, number: usize) -> Result<String> {
        let run = format!("run-{}-{number}", self.number);
        poll(&format!("the target of {run}"), 4 * WITHIN, || self.set_up())?;
        poll(&format!("{run} to be started"), 4 * WITHIN, || self.started(&run))?;
        let ended = poll(&format!("{run} to end"), 6 * WITHIN, || {
            let found = self.town.get("rbr", &run)?;
            if !has_ended(&found) {
                self.decide(number, &found)?;
                bail!("{}: {}", text(&found, "/status/phase"), text(&found, "/status/waitingOn"));
            }
            Ok(found)
        })?;
        Ok(text(&ended, "/status/phase").to_owned())
    }
}

/// Edits targets beside what the runs are about, and sometimes just that.
fn rival(town: &Town, dice: &Dice, over: &dyn Fn() -> bool) -> usize {
    let mut edits = 0;
    while !over() {
        let map = format!("map-{}", 1 + dice.roll() % (LANES - 1));
        let done = match dice.roll() {
            0..60 => town.change("configmap", &map, &json!({"data": {"beside": dice.roll().to_string()}})),
            60..80 => {
                let flags = format!("{{\"f\": true, \"other\": {}}}", dice.roll());
                town.change("configmap", &map, &json!({"data": {"flags.json": flags}}))
            }
            80..90 => town.change(
                "deployment",
                "checkout",
                &json!({"metadata": {"labels": {"seen": dice.roll().to_string()}}}),
            ),
            _ => town.change("deployment", "checkout", &json!({"spec": {"replicas": 3 + dice.roll() % 3}})),
        };
        // An API server that begins anew takes nothing; the next one is for it.
        edits += usize::from(done.is_ok());
        std::thread::sleep(Duration::from_millis(500));
    }
    edits
}

/// One that has ended by itself meanwhile, having lost its lease, hears nothing any more.
fn signal(operator: &Operator, name: &str) {
    if let Err(error) = operator.signal(name) {
        println!("soak: {name}: {error:#}");
    }
}

/// The two replicas, and what was seen of them.
struct Replicas<'a> {
    town: &'a Town,
    running: Vec<Operator>,
    /// Seconds since the begin, process, resident memory in KiB, open files.
    seen: Vec<(u64, u32, u64, usize)>,
    done: BTreeMap<&'static str, usize>,
}

impl Replicas<'_> {
    fn start(town: &Town) -> Result<Operator> {
        let lease = format!("--lease-name={}", town.namespace);
        let args = ["--namespaces", &town.namespace, &lease, "--lease-seconds=3", "--cluster-name=sandbox"];
        let binary = std::path::Path::new(env!("CARGO_BIN_EXE_firstaid"));
        town.sandbox.start_operator(binary, &args, &[("RUST_LOG", "info,firstaid=debug")])
    }

    /// As a cluster does: whatever has ended is started again.
    fn revive(&mut self) -> Result<()> {
        for operator in &mut self.running {
            if operator.has_ended()? {
                *operator = Self::start(self.town)?;
            }
        }
        Ok(())
    }

    fn look(&mut self, second: u64) {
        for operator in &self.running {
            let Ok(pid) = operator.pid() else { continue };
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            let resident = resident.and_then(|line| line.split_whitespace().next()?.parse().ok());
            let files = std::fs::read_dir(format!("/proc/{pid}/fd")).map(Iterator::count);
            if let (Some(resident), Ok(files)) = (resident, files) {
                self.seen.push((second, pid, resident, files));
            }
        }
    }

    /// One thing goes wrong. `calm`: only with the second replica, so that the first one lives long enough to be measured.
    fn harm(&mut self, dice: &Dice, calm: bool) -> Result<()> {
        let which = if calm { 1 } else { dice.roll() % 2 };
        let operator = self.running.get_mut(which).context("two replicas")?;
        let what = match dice.roll() {
            0..40 => {
                operator.kill()?;
                "SIGKILL"
            }
            40..65 => {
                signal(operator, "STOP");
                std::thread::sleep(HALT);
                signal(operator, "CONT");
                "SIGSTOP"
            }
            65..85 => {
                signal(operator, "TERM");
                "SIGTERM"
            }
            _ if calm => "nothing",
            _ => {
                self.town.sandbox.end("kube-apiserver")?;
                self.town.sandbox.start_again("kube-apiserver")?;
                "API server anew"
            }
        };
        *self.done.entry(what).or_default() += 1;
        Ok(())
    }

    /// The growth of the process that was seen longest, in KiB a minute (least squares), and over how many seconds.
    fn growth(&self) -> Option<(f64, u64)> {
        let mut by_process = BTreeMap::<u32, Vec<(f64, f64)>>::new();
        for (second, pid, resident, _) in &self.seen {
            // As floats, of numbers that are far below 2^52.
            by_process.entry(*pid).or_default().push((*second as f64 / 60.0, *resident as f64));
        }
        let longest = by_process.into_values().max_by_key(Vec::len)?;
        let count = longest.len() as f64;
        let (x, y) = longest.iter().fold((0.0, 0.0), |(x, y), (a, b)| (x + a / count, y + b / count));
        let (over, under) =
            longest.iter().fold((0.0, 0.0), |(o, u), (a, b)| (o + (a - x) * (b - y), u + (a - x) * (a - x)));
        let lived = longest.last()?.0 - longest.first()?.0;
        (under > 0.0).then_some((over / under, (lived * 60.0) as u64))
    }
}

fn soak(seconds: u64, seed: u64) -> Result<()> {
    let mut town = Town::open_alone(Leg::Stamping, "soak")?;
    town.kill_operator()?;
    let more =
        "name: out, gate: on-call, timeout: 20s, scale: {target: {kind: Deployment, name: checkout}, replicas: 6}";
    let off = "name: flag-off, gate: on-call, timeout: 20s, disable: {flag: f, configMap: {name: '${params.map}', key: flags.json, format: Json, pointer: /f}}";
    town.runbook(&runbook_with("more", "", &[more]))?;
    town.runbook(&runbook_with(
        "flags-off",
        "  parameters: [{name: map, type: string, sample: shop-flags}]\n",
        &[off],
    ))?;
    let dice = Dice(AtomicU64::new(seed));
    let began = Instant::now();
    let over = || began.elapsed() > Duration::from_secs(seconds);
    let running = vec![Replicas::start(&town)?, Replicas::start(&town)?];
    let mut replicas = Replicas { town: &town, running, seen: Vec::new(), done: BTreeMap::new() };
    let (phases, edits) = std::thread::scope(|scope| -> Result<_> {
        let (town, dice) = (&town, &dice);
        let lanes: Vec<_> = (0..LANES)
            .map(|number| {
                scope.spawn(move || -> Result<Vec<String>> {
                    let lane = Lane { town, number };
                    (0..).take_while(|_| !over()).map(|run| lane.carry(run + number)).collect()
                })
            })
            .collect();
        let rival = scope.spawn(move || rival(town, dice, &over));
        // Whatever happens, the people's runs can go on to their end.
        let mut harmed = Ok(());
        while !over() && harmed.is_ok() {
            std::thread::sleep(Duration::from_millis(500 + 40 * dice.roll() as u64));
            replicas.look(began.elapsed().as_secs());
            harmed = replicas
                .harm(dice, began.elapsed() > Duration::from_secs(seconds / 2))
                .and_then(|()| replicas.revive());
        }
        while !lanes.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            std::thread::sleep(Duration::from_millis(200));
            replicas.revive()?;
        }
        let ended: Result<Vec<_>> = lanes.into_iter().map(|lane| lane.join().map_err(|_| anyhow!("people"))?).collect();
        harmed?;
        Ok((ended?.concat(), rival.join().map_err(|_| anyhow!("the rival"))?))
    })?;
    let mut ends = BTreeMap::<&str, usize>::new();
    for phase in &phases {
        *ends.entry(phase).or_default() += 1;
    }
    let (most, files) = replicas
        .seen
        .iter()
        .fold((0, 0), |(most, files), (_, _, resident, open)| (most.max(*resident), files.max(*open)));
    println!("soak: {seconds} s, {} runs {ends:?}, {edits} edits by the rival, {:?}", phases.len(), replicas.done);
    println!("soak: at most {} MB resident and {files} open files (a build without optimisation)", most / 1024);
    if let Some((growth, lived)) = replicas.growth() {
        println!(
            "soak: the process that lived longest was seen for {lived} s; its memory grew by {growth:.0} KiB a minute"
        );
    }
    ensure!(files > 0 && files < MOST_FILES, "{files} open files");
    ensure!(ends.contains_key("Succeeded"), "no run succeeded: {ends:?}");
    Ok(())
}

#[test]
fn two_replicas_and_a_rival_for_a_while_and_every_run_ends() -> Result<()> {
    let seed = number_of("FIRSTAID_SOAK_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("soak: FIRSTAID_SOAK_SEED={seed}");
    soak(number_of("FIRSTAID_SOAK_SECONDS").unwrap_or(SECONDS), seed)
}
