//! Figures, ratios, verdicts: as a table and as JSON.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result};
use firstaid_sandbox::repository;
use serde_json::{Value, json};

use crate::audit::{Audit, Course};
use crate::race::Lap;
use crate::subject::Subject;
use crate::town::Actor;

/// Times of one actor, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Half of the laps were as quick.
    pub p50: f64,
    /// Nine of ten.
    pub p90: f64,
    /// All but one in a hundred.
    pub p99: f64,
    /// The slowest.
    pub most: f64,
}

impl Times {
    fn of(laps: &[Lap], actor: Actor) -> Self {
        let mut times: Vec<f64> =
            laps.iter().filter(|lap| lap.actor == actor).map(|lap| lap.took.as_secs_f64() * 1e3).collect();
        times.sort_by(f64::total_cmp);
        Self {
            p50: quantile(&times, 0.5),
            p90: quantile(&times, 0.9),
            p99: quantile(&times, 0.99),
            most: quantile(&times, 1.0),
        }
    }

    fn json(self) -> Value {
        json!({"p50": round(self.p50), "p90": round(self.p90), "p99": round(self.p99), "max": round(self.most)})
    }
}

/// The smallest value that is not exceeded by this share of them (nearest rank).
fn quantile(sorted: &[f64], share: f64) -> f64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank is small and not negative")]
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
}

/// What the design asks for, and what was measured.
struct Goal {
    text: String,
    limit: f64,
    value: f64,
}

impl Goal {
    fn is_met(&self) -> bool {
        self.value <= self.limit
    }
}

/// All of it.
#[derive(Default)]
pub struct Report {
    json: serde_json::Map<String, Value>,
    goals: Vec<Goal>,
}

impl Report {
    /// A fact beside the figures.
    pub fn note(&mut self, key: &str, value: Value) {
        self.json.insert(key.to_owned(), value);
    }

    /// A goal, met or not.
    pub fn goal(&mut self, text: impl Into<String>, limit: f64, value: f64) {
        self.goals.push(Goal { text: text.into(), limit, value });
    }

    /// The times of a subject. The goals are set for the flag; for scale they are shown.
    pub fn times(&mut self, subject: Subject, laps: &[Lap]) {
        let [raw, safe, own] = Actor::ALL.map(|actor| Times::of(laps, actor));
        let count = laps.len() / Actor::ALL.len();
        println!("\napproval sent -> effect seen, {} ({count} laps each, interleaved), ms", subject.name());
        println!(
            "  {:<12}{:>9}{:>9}{:>9}{:>9}   {:>12}{:>12}",
            "", "p50", "p90", "p99", "max", "p50 / raw", "p50 / safe"
        );
        for (actor, times) in Actor::ALL.into_iter().zip([raw, safe, own]) {
            let Times { p50, p90, p99, most } = times;
            println!(
                "  {:<12}{p50:>9.2}{p90:>9.2}{p99:>9.2}{most:>9.2}   {:>12.2}{:>12.2}",
                actor.title(),
                p50 / raw.p50,
                p50 / safe.p50
            );
        }
        let figures = json!({
            "laps": count, "rawFloor": raw.json(), "safeFloor": safe.json(), "firstAid": own.json(),
            "p50ToRaw": round(own.p50 / raw.p50), "p50ToSafe": round(own.p50 / safe.p50), "p99ToRaw": round(own.p99 / raw.p99),
            "p99ToSafe": round(own.p99 / safe.p99), "safeP50ToRaw": round(safe.p50 / raw.p50), "safeP99ToRaw": round(safe.p99 / raw.p99),
        });
        self.note(&format!("{}Ms", subject.name()), figures);
        if subject == Subject::Flag {
            self.goal("p50 at most 1.5 of the raw floor", 1.5, own.p50 / raw.p50);
            self.goal("p50 at most 1.1 of the safe floor", 1.1, own.p50 / safe.p50);
            self.goal("p99 at most 2 of the raw floor", 2.0, own.p99 / raw.p99);
        }
    }

    /// Where the milliseconds of a subject went, by the API server's clock.
    pub fn courses(&mut self, subject: Subject, laps: &[Lap], audit: &Audit) {
        println!("\nwhere they went, {}: medians by the audit log, ms", subject.name());
        println!(
            "  {:<12}{:>11}{:>11}{:>11}{:>11}{:>11}{:>9}{:>9}",
            "", "approving", "-> look", "looking", "deciding", "acting", "reads", "rounds"
        );
        let mut figures = serde_json::Map::new();
        for actor in Actor::ALL {
            let courses: Vec<Course> =
                laps.iter().filter(|lap| lap.actor == actor).filter_map(|lap| audit.course(lap, subject)).collect();
            let median = |of: fn(&Course) -> f64| {
                let mut values: Vec<f64> = courses.iter().map(of).collect();
                values.sort_by(f64::total_cmp);
                quantile(&values, 0.5)
            };
            #[expect(clippy::cast_precision_loss, reason = "they are few")]
            let (reads, rounds) = (median(|c| c.reads as f64), median(|c| c.rounds as f64));
            let times = [
                median(|c| c.approving),
                median(|c| c.waking),
                median(|c| c.looking),
                median(|c| c.deciding),
                median(|c| c.acting),
            ];
            let columns: String = times.iter().map(|time| format!("{time:>11.2}")).collect();
            println!("  {:<12}{columns}{reads:>9}{rounds:>9}", actor.title());
            let [approving, waking, looking, deciding, acting] = times.map(round);
            figures.insert(
                actor.title().to_owned(),
                json!({"approving": approving, "untilLook": waking, "looking": looking, "deciding": deciding, "acting": acting,
                    "reads": reads, "rounds": rounds, "laps": courses.len()}),
            );
            if actor == Actor::Operator {
                let between: usize = courses.iter().map(|course| course.writes_between).max().unwrap_or_default();
                #[expect(clippy::cast_precision_loss, reason = "they are few")]
                self.goal(format!("no write between approval and act ({})", subject.name()), 0.0, between as f64);
            }
        }
        self.note(&format!("{}Course", subject.name()), Value::Object(figures));
    }

    /// The operator's writes per run.
    pub fn writes(&mut self, subject: Subject, laps: &[Lap], audit: &Audit) {
        let mut shapes: BTreeMap<String, usize> = BTreeMap::new();
        let mut most = 0;
        for lap in laps.iter().filter(|lap| lap.actor == Actor::Operator) {
            let (writes, written) = audit.writes(&lap.name);
            most = most.max(written);
            *shapes.entry(format!("{written}: {}", writes.join(", "))).or_default() += 1;
        }
        println!(
            "\noperator's writes in a gated one-action run, {} (no SubjectAccessReviews, dry runs, Events, leases)",
            subject.name()
        );
        for (shape, runs) in &shapes {
            println!("  {runs:>4} runs  {shape}");
        }
        self.note(&format!("{}Writes", subject.name()), json!({"mostPerRun": most, "runsByShape": shapes}));
        #[expect(clippy::cast_precision_loss, reason = "they are few")]
        self.goal(format!("at most 6 operator writes in a run ({})", subject.name()), 6.0, most as f64);
    }

    /// Prints the verdicts and writes everything to `target/bench/latest.json`.
    pub fn finish(mut self) -> Result<PathBuf> {
        println!("\ngoals");
        for Goal { text, limit, value } in &self.goals {
            let verdict = if value <= limit { "met" } else { "MISSED" };
            println!("  {verdict:<7} {text}: {value:.2}");
        }
        let goals: Vec<Value> = self
            .goals
            .iter()
            .map(|goal| json!({"goal": goal.text, "limit": goal.limit, "value": round(goal.value), "met": goal.is_met()}))
            .collect();
        self.note("goals", Value::Array(goals));
        let folder = repository().join("target/bench");
        std::fs::create_dir_all(&folder)?;
        let path = folder.join("latest.json");
        let text = serde_json::to_string_pretty(&Value::Object(self.json))? + "\n";
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        Ok(path)
    }
}

/// To a thousandth: more digits would only look exact.
pub fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// How many processes wanted a core, over the last minute, and how many cores there are.
pub fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{} on {cores} cores", load.split(' ').next().unwrap_or("unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=300).map(f64::from).collect();
        assert_eq!([0.5, 0.99, 1.0].map(|share| quantile(&values, share)), [150.0, 297.0, 300.0]);
        assert!(quantile(&[], 0.5).is_nan());
    }
}
