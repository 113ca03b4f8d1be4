//! One operator, as `src/control/run.rs` drives a run: ask the planner, do the one thing, tell it what came of it, ask
//! again. The planner, what is remembered, what is sent and how an answer is read are the product's own; here is only the
//! order of the calls.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use firstaid::action::{Effect, Query, Seen};
use firstaid::api::{Approval, RunbookRun};
use firstaid::control::{Recall, RunName};
use firstaid::perform::{CallError, body};
use firstaid::plan::{self, Decision, Memory, Reply, World};
use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};

use crate::api_server::{Key, Kind, Request, Stored};
use crate::calls::{self, Journalled};
use crate::fences::{Down, Fence};
use crate::wire::{Remark, Wire};

/// As in `src/control/run.rs`.
const MOST_TURNS: usize = 256;
const AGAIN: SignedDuration = SignedDuration::from_secs(1);
const REFUSED: SignedDuration = SignedDuration::from_secs(5);
const OLD: SignedDuration = SignedDuration::from_secs(1);
const MOST_RENEWALS: usize = 2;

/// A process, until it dies: what all its tasks share.
pub struct Process {
    pub wire: Rc<Wire>,
    pub recall: Recall,
    pub identity: plan::Operator,
    pub down: Down,
    /// The active runs, as its watch has them.
    pub watched: RefCell<BTreeMap<String, Rc<Stored>>>,
    /// What was read first, where a fence is down that would have it read anew.
    pub old_answers: RefCell<Vec<(Query, firstaid::action::Answer)>>,
}

impl Process {
    /// The process of an operator in one of its lives.
    pub fn new(wire: Rc<Wire>, down: &Down, operator: usize, life: u64) -> Self {
        // Where all have one name the journal names each of them.
        let process = if down.has(Fence::Driver) { String::new() } else { format!("firstaid-{operator}/{life}") };
        let namespace = "firstaid-system".to_owned();
        let identity = plan::Operator { namespace, stamps: true, process, ..plan::Operator::default() };
        Self {
            wire,
            recall: Recall::default(),
            identity,
            down: down.clone(),
            watched: RefCell::default(),
            old_answers: RefCell::default(),
        }
    }
}

/// The name under which a run is remembered.
pub fn name_of(run: &str) -> RunName {
    RunName { namespace: "shop".to_owned(), name: run.to_owned() }
}

/// When a run has its next turn, if nothing wakes it earlier; none where something must change first.
pub type Next = Option<Timestamp>;

/// A call failed in the middle of a pass.
struct Failed {
    doing: &'static str,
    error: CallError,
}

/// One pass over a run, from what the watch has.
pub async fn pass(process: Rc<Process>, name: String, run: Rc<Stored>) -> Next {
    let mut pass = Pass::begin(process, name, run.run());
    for _ in 0..MOST_TURNS {
        pass.world.now = pass.process.wire.now();
        let decision = plan::next(&pass.run, &pass.ballots, &pass.world);
        match pass.carry_out(decision).await {
            Ok(None) => {}
            Ok(Some(next)) => return next,
            Err(Failed { doing, error }) if error.is_refusal() => {
                let sentence = body::refusal_sentence(&pass.run, doing, &error);
                let said = calls::say(&pass.process.wire, &pass.name, &pass.run, &sentence).await;
                let pause = if said.is_ok() { REFUSED } else { AGAIN };
                return Some(pass.process.wire.now() + pause);
            }
            Err(_) => return Some(pass.process.wire.now() + AGAIN),
        }
    }
    pass.process.wire.remark(Remark::Endless { run: pass.name.clone() });
    Some(pass.process.wire.now() + AGAIN)
}

struct Pass {
    process: Rc<Process>,
    name: String,
    uid: String,
    run: RunbookRun,
    ballots: Vec<Approval>,
    world: World,
    /// When the run and the brake were last asked for.
    asked: Timestamp,
    renewals: usize,
    /// Targets as they were last read, for the judge.
    read: BTreeMap<Key, Rc<Stored>>,
}

impl Pass {
    fn begin(process: Rc<Process>, name: String, run: &RunbookRun) -> Self {
        let uid = run.metadata.uid.clone().unwrap_or_default();
        let now = process.wire.now();
        let remembered = process.recall.of(&name_of(&name), &uid);
        let mut memory = Memory { first_seen: remembered.first_seen.or(Some(now)), ..remembered };
        if process.down.has(Fence::ForgetfulIsCareful) {
            let planned = run.status.iter().flat_map(|status| status.plans.values()).flat_map(|plan| &plan.steps);
            memory.untouched.extend(planned.map(|step| step.token.clone()));
        }
        let world = World { now, seen: Seen::default().within("shop"), memory, operator: process.identity.clone() };
        let ballots = process.recall.votes(&name_of(&name));
        let run = run.clone();
        let pass = Self { process, name, uid, run, ballots, world, asked: now, renewals: 0, read: BTreeMap::new() };
        pass.remember();
        pass
    }

    /// Whatever happens to this pass, the next one knows.
    fn remember(&self) {
        self.process.recall.keep(&name_of(&self.name), &self.uid, &self.world.memory);
    }

    /// Whether a person may have said stop since the answers on which an act rests.
    fn stop_may_have_come(&self) -> bool {
        self.process.wire.now().duration_since(self.asked) > OLD && self.renewals < MOST_RENEWALS
    }

    /// Does the one thing. `Some(next)` ends the pass.
    async fn carry_out(&mut self, decision: Decision) -> Result<Option<Next>, Failed> {
        let wire = Rc::clone(&self.process.wire);
        match decision {
            Decision::Look(queries) => return self.look(queries).await,
            Decision::Wait { until, holding } => {
                self.world.memory.holding = holding;
                self.remember();
                self.remark_on_the_wait();
                return Ok(Some(until));
            }
            Decision::Write(status) => {
                let before = self.run.status.clone();
                if !self.process.down.has(Fence::Driver) {
                    self.world.memory.writing();
                }
                self.remember();
                let written = calls::write_status(&wire, &self.name, &self.run, &status).await;
                if written.as_ref().map_or_else(CallError::is_refusal, |_| true) {
                    self.world.memory.written();
                }
                match written {
                    Ok(Journalled::Stored(stored)) => {
                        let stored = stored.run();
                        if let Some(after) = &stored.status {
                            self.world.memory.wrote(before.as_ref(), after);
                        }
                        self.run = stored.clone();
                    }
                    Ok(Journalled::Stale) => {
                        self.world.seen.clear();
                        return self.look(vec![Query::Journal]).await;
                    }
                    Err(error) if !error.is_refusal() && self.process.down.has(Fence::JournalBeforeAct) => {
                        self.world.memory.wrote(before.as_ref(), &status);
                        self.world.memory.written();
                        self.run.status = Some(*status);
                    }
                    Err(error) => {
                        if !error.is_refusal() {
                            self.process.recall.doubt(&name_of(&self.name), &self.run);
                        }
                        return Err(Failed { doing: "writing the journal", error });
                    }
                }
            }
            Decision::Say(what) => {
                let said = calls::say(&wire, &self.name, &self.run, &what).await;
                said.map_err(|error| Failed { doing: "saying what the run waits for", error })?;
                return Ok(Some(None));
            }
            Decision::Ask(ballots) => {
                for result in join_all(ballots.iter().map(|ballot| calls::issue(&wire, &self.name, ballot))).await {
                    result.map_err(|error| Failed { doing: "issuing a ballot", error })?;
                }
                self.world.memory.issued.extend(ballots.iter().filter_map(|ballot| ballot.metadata.name.clone()));
            }
            Decision::Admit(ballots) => {
                for result in join_all(ballots.iter().map(|ballot| calls::admit(&wire, &self.name, ballot))).await {
                    result.map_err(|error| Failed { doing: "opening a ballot to whoever asked", error })?;
                }
            }
            Decision::Retire(retirements) => {
                for result in join_all(retirements.iter().map(|r| calls::retire(&wire, &self.name, r))).await {
                    result.map_err(|error| Failed { doing: "closing a ballot", error })?;
                }
            }
            Decision::Act(_) if self.stop_may_have_come() => {
                self.renewals += 1;
                self.world.seen.forget(&[Query::Journal, Query::Brake]);
                return Ok(None);
            }
            Decision::Act(effect) => {
                self.world.memory.sending(&effect, wire.now());
                self.remember();
                let reply = self.act(&effect).await;
                self.world.memory.answered(&effect.token, reply);
            }
            Decision::Record(record) => {
                self.world.memory.disputed = None;
                match calls::record(&wire, &self.name, &record).await {
                    Ok(true) => self.world.memory.recorded.extend(record.metadata.name.clone()),
                    Err(_) if self.process.down.has(Fence::RecordBeforeEnd) => {
                        self.world.memory.recorded.extend(record.metadata.name.clone());
                    }
                    Err(error) => return Err(Failed { doing: "making a record", error }),
                    Ok(false) => {
                        self.world.memory.disputed = Some(("another record is in its place".to_owned(), wire.now()));
                    }
                }
            }
            Decision::Mark { record, state } => {
                let marked = calls::mark(&wire, &self.name, &record, state).await;
                marked.map_err(|error| Failed { doing: "marking a record", error })?;
                self.world.memory.recorded.insert(plan::mark_note(&record, state));
            }
        }
        self.remember();
        // What was seen before a write is old.
        self.world.seen.clear();
        Ok(None)
    }

    async fn act(&self, effect: &Effect) -> Reply {
        let key = calls::target_key(effect);
        let read = self.read.get(&key).cloned();
        let request = Request::Json { key, patch: effect.patch.clone(), dry_run: false };
        match self.process.wire.act(&self.name, request, Rc::new(effect.clone()), read).await {
            Ok(_) => Reply::Landed,
            Err(error) => match body::reply_of(&error) {
                Reply::Ambiguous(message) if self.process.down.has(Fence::NoAnswerIsNoAnswer) => {
                    Reply::Refused { code: 422, message }
                }
                reply => reply,
            },
        }
    }

    /// Reads everything that is asked at once, in parallel.
    async fn look(&mut self, queries: Vec<Query>) -> Result<Option<Next>, Failed> {
        let wire = Rc::clone(&self.process.wire);
        let journal = queries.contains(&Query::Journal);
        if journal {
            self.asked = wire.now();
        }
        let live = async {
            if journal { Some(calls::read_journal(&self.process, &self.name, &self.run).await) } else { None }
        };
        let answers = join_all(queries.iter().map(|query| calls::look(&self.process, &self.name, query)));
        let (live, answers) = futures::future::join(live, answers).await;
        match live {
            None => {}
            Some(Ok(Some((run, _)))) if run.metadata.uid.as_deref() != Some(&self.uid) => return Ok(Some(None)),
            Some(Ok(Some((run, mut ballots)))) => {
                if self.process.down.has(Fence::LiveVotes) {
                    ballots.iter_mut().for_each(calls::forge_a_vote);
                }
                let process = self.process.identity.process.clone();
                self.world.memory.observed(&run, &ballots, self.asked, &process);
                self.remember();
                let _ = self.process.recall.undoubt(&name_of(&self.name), &self.uid);
                (self.run, self.ballots) = (run, ballots);
            }
            Some(Ok(None)) => return Ok(Some(None)),
            Some(Err(error)) => return Err(Failed { doing: "reading the journal", error }),
        }
        for (query, (answer, read)) in queries.into_iter().zip(answers) {
            if let (Query::Object(object), Some(read)) = (&query, read)
                && let Some(kind) = Kind::of(&object.kind)
            {
                self.read.insert(Key::new(kind, &object.name), read);
            }
            self.world.seen.add(query, answer);
        }
        Ok(None)
    }

    /// Whoever waits says for what. An act that was answered a moment ago is watched for 2 s before anything is written.
    fn remark_on_the_wait(&self) {
        let now = self.process.wire.now();
        let just_landed = self
            .world
            .memory
            .sent
            .values()
            .any(|sent| sent.reply == Reply::Landed && now.duration_since(sent.at) < SignedDuration::from_secs(2));
        let told = self.run.status.as_ref().is_some_and(|status| status.finished || !status.waiting_on.is_empty());
        if !told && !just_landed {
            let phase = self.run.status.as_ref().map(|status| status.phase);
            self.process.wire.remark(Remark::Silence { run: self.name.clone(), phase: format!("{phase:?}") });
        }
    }
}
