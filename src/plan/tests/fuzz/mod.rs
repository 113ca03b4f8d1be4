//! Objects straight from an attacker, against a world that answers anything: nothing panics, nothing that is written could
//! be refused by the API server for its size (the run would hang on its journal), and no text does more than stand there.
//!
//! Some seconds of it are in every test run; `make fuzz` goes on for as many cases as it is told, and prints its seed.

mod bounds;
mod inputs;
mod shell;
mod texts;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Value, json};

use super::cluster::time;
use crate::action::{Query, Seen};
use crate::api::{ActionRecord, Approval, Runbook, RunbookRun, RunbookRunStatus};
use crate::plan::{self, Decision, Memory, Operator, Rehearsal, Reply, World, rehearse};
use inputs::Case;

/// How many cases a test run takes: some seconds. More of them only cost time.
const CASES: u32 = 192;
/// More turns than anything of interest takes.
const TURNS: usize = 60;

/// Runs the property on as many cases as are wanted, from a seed that is said.
fn fuzz<S: Strategy>(strategy: S, property: impl Fn(S::Value)) {
    let wanted = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let cases = wanted("FIRSTAID_FUZZ_CASES").and_then(|cases| u32::try_from(cases).ok()).unwrap_or(CASES);
    let mut seed = [7u8; 32];
    if let Some(number) = wanted("FIRSTAID_FUZZ_SEED") {
        seed[..8].copy_from_slice(&number.to_le_bytes());
        println!("seed {number}, {cases} cases");
    }
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 2_000, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    let outcome = runner.run(&strategy, |case| {
        property(case);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
}

#[test]
fn no_run_panics_or_writes_what_cannot_be_stored_or_must_not_be_shown() {
    fuzz(inputs::case(), |case| {
        let Ok(run) = serde_json::from_value::<RunbookRun>(case.run.clone()) else { return };
        Drive::new(&case, run).drive();
    });
}

#[test]
fn no_runbook_panics_its_rehearsal_or_makes_it_say_what_must_not_be_shown() {
    fuzz(inputs::case(), |case| {
        let Ok(runbook) = serde_json::from_value::<Runbook>(case.runbook.clone()) else { return };
        let mut world = World {
            now: time("03:00:00"),
            seen: Seen::default().within("shop"),
            memory: Memory::default(),
            operator: Operator::default(),
        };
        for turn in 0..8 {
            match rehearse(&runbook, &world) {
                Rehearsal::Look(queries) => {
                    queries.into_iter().for_each(|query| {
                        let answer = case.answer(&query, turn);
                        world.seen.add(query, answer);
                    });
                }
                Rehearsal::Ready(_) | Rehearsal::Unclear(_) => break,
                Rehearsal::Stalled { reason, sentence } => {
                    let mut conditions = Vec::new();
                    crate::api::condition::set(&mut conditions, "Stalled", true, &reason, &sentence, None, world.now);
                    texts::are_tame("the condition of a runbook", &json!(conditions));
                    break;
                }
            }
        }
    });
}

/// A run with its own small world.
struct Drive<'a> {
    case: &'a Case,
    run: RunbookRun,
    ballots: Vec<Approval>,
    memory: Memory,
    now: Timestamp,
    /// Whether the API server would have taken the run and the runbook: else nothing is promised but that it does not panic.
    admitted: bool,
}

impl<'a> Drive<'a> {
    fn new(case: &'a Case, run: RunbookRun) -> Self {
        let admitted =
            bounds::broken("RunbookRun", &case.run).is_empty() && bounds::broken("Runbook", &case.runbook).is_empty();
        Self { case, run, ballots: Vec::new(), memory: Memory::default(), now: time("03:00:00"), admitted }
    }

    fn drive(&mut self) {
        let mut seen = Seen::default().within("shop");
        for turn in 0..TURNS {
            self.now += SignedDuration::from_millis(3);
            self.memory.first_seen = self.memory.first_seen.or(Some(self.now));
            let world = World {
                now: self.now,
                seen: seen.clone(),
                memory: self.memory.clone(),
                operator: Operator {
                    namespace: "firstaid-system".to_owned(),
                    stamps: turn % 2 == 0,
                    ..Operator::default()
                },
            };
            match plan::next(&self.run, &self.ballots, &world) {
                Decision::Look(queries) => {
                    assert!(!queries.is_empty());
                    for query in queries {
                        if query == Query::Journal {
                            self.memory.observed(&self.run, &self.ballots, self.now, "firstaid-0/1");
                        }
                        let answer = self.case.answer(&query, turn);
                        seen.add(query, answer);
                    }
                    continue;
                }
                Decision::Wait { until: None, .. } => return,
                Decision::Wait { until: Some(until), holding } => {
                    self.memory.holding = holding;
                    self.now = self.now.max(until);
                    // People do what they like meanwhile.
                    self.case.speak(&mut self.run, turn);
                }
                Decision::Write(status) => self.write(*status),
                Decision::Say(what) => self.run.status.get_or_insert_default().waiting_on = what,
                Decision::Ask(ballots) => {
                    for ballot in ballots {
                        self.stored("Approval", &ballot);
                        self.ballots.push(self.case.marked(ballot));
                    }
                }
                Decision::Admit(ballots) => {
                    for name in ballots {
                        let admitted = |b: &&mut Approval| b.metadata.name.as_deref() == Some(&name);
                        let ballot = self.ballots.iter_mut().find(admitted).expect("it is there");
                        ballot.status.as_mut().expect("a state").open_to_requester = true;
                    }
                }
                Decision::Retire(retirements) => {
                    for retirement in retirements {
                        let retired = |b: &&mut Approval| b.metadata.name.as_deref() == Some(&retirement.ballot);
                        let ballot = self.ballots.iter_mut().find(retired).expect("it is there");
                        ballot.metadata.labels = None;
                        if let (Some(state), Some(status)) = (retirement.state, ballot.status.as_mut()) {
                            status.state = state;
                        }
                    }
                }
                Decision::Act(effect) => {
                    self.memory.sending(&effect, self.now);
                    self.memory.answered(&effect.token, self.case.reply(turn));
                    let patch = serde_json::from_value::<json_patch::Patch>(Value::Array(effect.patch.clone()));
                    assert!(patch.is_ok(), "what is sent is no patch: {:?}", effect.patch);
                }
                Decision::Record(record) => {
                    self.record(&record);
                    self.memory.recorded.extend(record.metadata.name);
                }
                Decision::Mark { record, state } => drop(self.memory.recorded.insert(plan::mark_note(&record, state))),
            }
            seen.clear();
        }
    }

    fn write(&mut self, status: RunbookRunStatus) {
        self.run.status = Some(status);
        let whole = json!(self.run);
        if self.admitted {
            texts::are_tame("the journal", &whole["status"]);
            shell::are_safe(&whole["status"]);
            assert_eq!(bounds::broken("RunbookRun", &whole), [""; 0]);
        }
        // As the API server gives it back.
        let stored: RunbookRun = serde_json::from_value(whole).expect("it can be read back");
        self.memory.wrote(None, stored.status.as_ref().expect("a status"));
        self.run = stored;
    }

    fn record(&self, record: &ActionRecord) {
        self.stored("ActionRecord", record);
        let spec = &json!(record)["spec"];
        assert_eq!(crate::digest::of_record(spec), record.spec.hash, "the hash is not that of what is stored");
    }

    fn stored<T: serde::Serialize>(&self, kind: &str, object: &T) {
        let object = json!(object);
        if self.admitted {
            texts::are_tame(kind, &object);
            shell::are_safe(&object);
            assert_eq!(bounds::broken(kind, &object), [""; 0]);
        }
    }
}

impl Case {
    fn reply(&self, turn: usize) -> Reply {
        match (self.choice + turn) % 4 {
            0 => Reply::Ambiguous(self.word(turn)),
            1 => Reply::Refused { code: 422, message: self.word(turn) },
            2 => Reply::Refused { code: 403, message: self.word(turn) },
            _ => Reply::Landed,
        }
    }
}
