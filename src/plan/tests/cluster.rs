//! A cluster in memory: it answers the planner's questions, carries out its decisions as `control` does, and refuses
//! what the API server refuses. Whatever test uses it, the promises that hold always are checked at every turn.

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::action::{Answer, AutoscalerFacts, Effect, Query, Seen};
use crate::api::approval::{ApprovalStatus, BallotKind, BallotState};
use crate::api::run::{Phase, StepJournal};
use crate::api::{ActionRecord, Approval, LIVE_LABEL, Person, RunbookRun, RunbookRunStatus};
use crate::plan::{self, Decision, Memory, World};

/// What becomes of the next act that is sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// It arrives and is answered.
    Answered,
    /// It is refused with this status before anything is tested.
    Refused(u16),
    /// It arrives, and the answer is lost.
    Lost,
    /// It arrives twice on its way, and the answer is that of the second time.
    Repeated,
    /// It does not arrive, and there is no answer.
    Cut,
    /// It is on its way: it arrives when the test says so, and there is no answer.
    Late,
    /// It arrives, and the operator dies before it hears of it.
    DiesAfter,
    /// The operator dies before it is sent.
    DiesBefore,
}

/// The cluster, with one run.
pub struct Cluster {
    pub now: Timestamp,
    pub run: RunbookRun,
    /// Runs before this one, by name.
    pub earlier: BTreeMap<String, RunbookRun>,
    pub runbook: Answer,
    /// Objects by `Kind/name`.
    pub objects: BTreeMap<String, Value>,
    pub ballots: BTreeMap<String, Approval>,
    pub records: BTreeMap<String, ActionRecord>,
    pub memory: Memory,
    /// The name of the operator's process: another one after a crash.
    pub process: String,
    pub stamps: bool,
    pub floors: Vec<plan::Floor>,
    pub brake: Answer,
    /// Somebody put a record of their own in the place of each of ours.
    pub record_in_the_way: bool,
    pub guards: Answer,
    pub access: Answer,
    pub holder: Answer,
    pub dry_run: Answer,
    pub autoscalers: Answer,
    /// Objects that cannot be read, with what is answered.
    pub blind: BTreeMap<String, Answer>,
    /// Whether pods become ready at once.
    pub healthy: bool,
    pub fates: VecDeque<Fate>,
    /// Sizes that somebody gives checkout between the last look and the act.
    pub races: VecDeque<i64>,
    /// After the next act somebody sets checkout to this size, and wipes the token.
    pub replace_after_act: Option<i64>,
    /// After the next act checkout cannot be read any more.
    pub blind_after_act: Option<Answer>,
    /// What is on its way arrives just before the next act is sent.
    pub late_before_next_act: bool,
    /// Acts that are on their way.
    pub late: Vec<(Timestamp, Effect)>,
    /// How often the journal was written.
    pub journal_writes: usize,
    /// Tokens of the writes that changed something.
    pub writes: Vec<String>,
    /// Acts that were sent.
    pub sent: usize,
    /// How often each record was created.
    pub created: BTreeMap<String, usize>,
    /// Turns after which the operator dies.
    pub dies_after_turns: Option<usize>,
    pub last_wait: Option<Timestamp>,
}

pub fn time(text: &str) -> Timestamp {
    format!("2026-11-22T{text}Z").parse().unwrap()
}

/// A Deployment with so many replicas, all ready.
pub fn deployment(name: &str, replicas: i64) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-{name}"), "generation": 1, "resourceVersion": "1"},
        "spec": {"replicas": replicas, "template": {"metadata": {}, "spec": {"containers": []}}},
        "status": {"readyReplicas": replicas}})
}

pub fn runbook(gates: Value, steps: Value) -> Value {
    json!({"apiVersion": "firstaid.dev/v1alpha1", "kind": "Runbook",
        "metadata": {"name": "shed-load", "namespace": "shop", "uid": "rb-uid", "generation": 1},
        "spec": {"summary": "Take load off", "gates": gates, "steps": steps,
            "parameters": [{"name": "service", "type": "string", "default": "checkout"}, {"name": "replicas", "type": "integer", "default": "10", "minimum": 1, "maximum": 20}]}})
}

/// The gate of most tests.
pub fn on_call() -> Value {
    json!([{"name": "on-call", "requires": [{"role": "sre"}], "validFor": "15m", "timeout": "1h"}])
}

/// A step that scales checkout.
pub fn scale(name: &str, gate: &str, to: i64) -> Value {
    json!({"name": name, "gate": gate, "scale": {"target": {"kind": "Deployment", "name": "checkout"}, "replicas": to}})
}

/// A check of checkout.
pub fn check(name: &str, that: &str) -> Value {
    json!({"name": name, "check": {"object": {"kind": "Deployment", "name": "checkout"}, "that": that}})
}

/// The value with more fields.
pub fn with(mut value: Value, more: Value) -> Value {
    value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    value
}

impl Cluster {
    /// A run of these steps, which alice asked for.
    pub fn new(gates: Value, steps: Value) -> Self {
        let run = serde_json::from_value(json!({"apiVersion": "firstaid.dev/v1alpha1", "kind": "RunbookRun",
            "metadata": {"name": "shed-1", "namespace": "shop", "uid": "run-uid", "generation": 1, "creationTimestamp": "2026-11-22T03:00:00Z"},
            "spec": {"runbook": "shed-load", "reason": "queue grows", "incident": "INC-7", "requestedBy": {"username": "alice"}}}));
        Self {
            now: time("03:00:00"),
            run: run.unwrap(),
            earlier: BTreeMap::new(),
            runbook: Answer::Object(Some(runbook(gates, steps))),
            objects: [
                ("Deployment/checkout".to_owned(), deployment("checkout", 4)),
                ("Deployment/basket".to_owned(), deployment("basket", 2)),
            ]
            .into(),
            ballots: BTreeMap::new(),
            records: BTreeMap::new(),
            memory: Memory::default(),
            process: "firstaid-0/1".to_owned(),
            stamps: true,
            floors: Vec::new(),
            brake: Answer::Brake(None),
            record_in_the_way: false,
            guards: Answer::Yes,
            access: Answer::Yes,
            holder: Answer::No("it has ended".to_owned()),
            dry_run: Answer::Yes,
            autoscalers: Answer::Autoscalers(Vec::<AutoscalerFacts>::new()),
            blind: BTreeMap::new(),
            healthy: true,
            fates: VecDeque::new(),
            races: VecDeque::new(),
            replace_after_act: None,
            blind_after_act: None,
            late_before_next_act: false,
            late: Vec::new(),
            journal_writes: 0,
            writes: Vec::new(),
            sent: 0,
            created: BTreeMap::new(),
            dies_after_turns: None,
            last_wait: None,
        }
    }

    /// One gated step that scales checkout from 4 to 10.
    pub fn gated() -> Self {
        Self::new(on_call(), json!([scale("out", "on-call", 10)]))
    }

    /// The same without a gate.
    pub fn ungated() -> Self {
        Self::new(json!([]), json!([scale("out", "None", 10)]))
    }

    /// The run has ended, and somebody starts one that undoes it; `more` is said in its spec.
    pub fn undo(&mut self, name: &str, more: Value) {
        let of = self.run.metadata.name.clone().unwrap();
        self.start(name, with(json!({"revertOf": of}), more));
    }

    /// Another run; the one before it stays as it is.
    pub fn start(&mut self, name: &str, more: Value) {
        let spec =
            with(json!({"runbook": "shed-load", "reason": "it is over", "requestedBy": {"username": "carol"}}), more);
        let run = serde_json::from_value(json!({"apiVersion": "firstaid.dev/v1alpha1", "kind": "RunbookRun",
            "metadata": {"name": name, "namespace": "shop", "uid": format!("{name}-uid"), "generation": 1, "creationTimestamp": self.now.to_string()},
            "spec": spec}));
        let before = std::mem::replace(&mut self.run, run.unwrap());
        self.earlier.insert(before.metadata.name.clone().unwrap(), before);
        self.memory = Memory::default();
    }

    /// The operator dies: what it remembers is gone.
    pub fn crash(&mut self) {
        self.memory = Memory::default();
        let starts: u32 = self.process.rsplit('/').next().and_then(|starts| starts.parse().ok()).unwrap_or_default();
        self.process = format!("firstaid-0/{}", starts + 1);
    }

    pub fn status(&self) -> &RunbookRunStatus {
        self.run.status.as_ref().unwrap()
    }

    pub fn phase(&self) -> Phase {
        self.run.status.as_ref().map(|s| s.phase).unwrap_or_default()
    }

    pub fn message(&self) -> &str {
        &self.status().message
    }

    pub fn waiting_on(&self) -> &str {
        &self.status().waiting_on
    }

    pub fn step(&self, key: &str) -> &StepJournal {
        &self.status().steps[key]
    }

    pub fn replicas(&self, name: &str) -> i64 {
        self.objects[&format!("Deployment/{name}")]["spec"]["replicas"].as_i64().unwrap()
    }

    /// Somebody else changes the size of a Deployment. The token of the last act stays.
    pub fn somebody_scales(&mut self, name: &str, to: i64) {
        let key = format!("Deployment/{name}");
        let mut object = self.objects[&key].clone();
        object["spec"]["replicas"] = json!(to);
        self.store(&key, object);
    }

    /// Somebody else changes the size, and wipes the token.
    pub fn somebody_replaces(&mut self, name: &str, to: i64) {
        let key = format!("Deployment/{name}");
        let mut object = self.objects[&key].clone();
        object["spec"]["replicas"] = json!(to);
        object["metadata"].as_object_mut().unwrap().remove("annotations");
        self.store(&key, object);
    }

    /// This person last changed what the runbook does.
    pub fn author(&mut self, name: &str) {
        let Answer::Object(Some(runbook)) = &mut self.runbook else { panic!("there is a runbook") };
        runbook["metadata"]["annotations"] = json!({"firstaid.dev/author": name});
    }

    pub fn annotate(&mut self, key: &str, value: &str) {
        self.run.metadata.annotations.get_or_insert_default().entry(key.to_owned()).or_insert(value.to_owned());
    }

    /// Of those that open gates.
    pub fn open_ballots(&self) -> Vec<String> {
        let open = |b: &&Approval| {
            b.spec.request.kind == BallotKind::Decide
                && b.status.as_ref().unwrap().state == BallotState::Open
                && b.metadata.annotations.is_none()
        };
        self.ballots.values().filter(open).map(|b| b.metadata.name.clone().unwrap()).collect()
    }

    pub fn state_of(&self, ballot: &str) -> BallotState {
        self.ballots[ballot].status.as_ref().unwrap().state
    }

    /// Somebody marks a ballot: `approve` with its code, or anything else.
    pub fn mark(&mut self, ballot: &str, by: &str, key: &str, value: &str) {
        let stamps = self.stamps;
        let ballot = self.ballots.get_mut(ballot).unwrap();
        let value = value.replace("CODE", &ballot.spec.request.code);
        ballot.metadata.annotations = Some([(key.to_owned(), value), ("by".to_owned(), by.to_owned())].into());
        if stamps {
            ballot.spec.voter =
                Some(Person { username: by.to_owned(), groups: vec!["oncall".to_owned()], ..Person::default() });
        }
    }

    /// Bob approves the only open ballot.
    pub fn approve(&mut self) {
        let open = self.open_ballots();
        let [ballot] = open.as_slice() else { panic!("one open ballot, not {open:?}") };
        self.mark(&ballot.clone(), "bob", "approve", "CODE capacity is free");
    }

    /// One pass: turns until the planner waits. False where it waits for nothing any more.
    pub fn pass(&mut self) -> bool {
        self.memory.first_seen = self.memory.first_seen.or(Some(self.now));
        let mut seen = Seen::default().within("shop");
        for _ in 0..64 {
            // Time passes between any two questions.
            self.now += SignedDuration::from_millis(1);
            if self.dies_after_turns.as_mut().is_some_and(|turns| {
                *turns = turns.saturating_sub(1);
                *turns == 0
            }) {
                self.dies_after_turns = None;
                self.crash();
                return true;
            }
            let ballots: Vec<Approval> = self.ballots.values().cloned().collect();
            let world =
                World { now: self.now, seen: seen.clone(), memory: self.memory.clone(), operator: self.operator() };
            let decision = plan::next(&self.run, &ballots, &world);
            match decision {
                Decision::Look(queries) => {
                    assert!(!queries.is_empty(), "it asks for nothing");
                    if queries.contains(&Query::Journal) {
                        self.memory.observed(&self.run, &ballots, self.now, &self.process);
                    }
                    for query in queries {
                        let answer = self.answer(&query);
                        seen.add(query, answer);
                    }
                    continue;
                }
                Decision::Wait { until, holding } => {
                    self.memory.holding = holding;
                    self.last_wait = until;
                    self.check_the_wait();
                    return until.is_some();
                }
                Decision::Write(status) => self.write(*status),
                Decision::Say(what) => {
                    let status = self.run.status.get_or_insert_default();
                    assert_ne!(status.waiting_on, what, "it says nothing new");
                    status.waiting_on = what;
                }
                Decision::Ask(ballots) => self.issue(ballots),
                Decision::Admit(ballots) => {
                    for name in ballots {
                        let status = self.ballots.get_mut(&name).unwrap().status.as_mut().unwrap();
                        assert!(!status.open_to_requester && status.state == BallotState::Open, "{name}");
                        status.open_to_requester = true;
                    }
                }
                Decision::Retire(retirements) => {
                    for retirement in retirements {
                        let now = self.now;
                        let ballot = self.ballots.get_mut(&retirement.ballot).unwrap();
                        ballot.metadata.labels.as_mut().unwrap().remove(LIVE_LABEL);
                        if let Some(state) = retirement.state {
                            let old = ballot.status.as_ref().unwrap().state;
                            assert!(old == BallotState::Open, "{} is no longer open", retirement.ballot);
                            let open_to_requester = ballot.status.as_ref().unwrap().open_to_requester;
                            ballot.status = Some(ApprovalStatus { state, changed_at: micro(now), open_to_requester });
                        }
                    }
                }
                Decision::Act(effect) => {
                    if !self.act(&effect) {
                        self.last_wait = None;
                        return true;
                    }
                }
                Decision::Record(record) => self.record(*record),
                Decision::Mark { record, state } => {
                    self.records.get_mut(&record).unwrap().status.as_mut().unwrap().state = state;
                    self.memory.recorded.insert(plan::mark_note(&record, state));
                }
            }
            seen.clear();
        }
        panic!("a pass without end: {:?} {:?}", self.phase(), self.waiting_on());
    }

    /// Passes until the run has ended or this holds; the clock follows what the planner waits for.
    pub fn until(&mut self, wanted: impl Fn(&Self) -> bool) {
        for _ in 0..3000 {
            let goes_on = self.pass();
            if wanted(self) {
                return;
            }
            assert!(goes_on, "it ended as {:?}: {}", self.phase(), self.message());
            self.now = self.now.max(self.last_wait.unwrap_or(self.now));
        }
        panic!("it never came: {:?}, waiting on {:?}", self.phase(), self.waiting_on());
    }

    pub fn until_phase(&mut self, phase: Phase) {
        self.until(|c| c.phase() == phase);
    }

    /// Until the run has ended and nothing is left to do.
    pub fn until_the_end(&mut self) -> Phase {
        self.until(|c| c.run.status.as_ref().is_some_and(|s| s.finished));
        self.pass();
        self.phase()
    }

    /// The time goes on, with a pass every second.
    pub fn seconds_later(&mut self, seconds: i64) {
        for _ in 0..seconds {
            self.now += SignedDuration::from_secs(1);
            self.pass();
        }
    }

    /// Those acts that are on their way arrive now, but for those that the API server has given up: after 60 s.
    pub fn late_copies_arrive(&mut self) {
        for (sent, effect) in std::mem::take(&mut self.late) {
            if self.now.duration_since(sent) <= SignedDuration::from_secs(60) {
                let _ = self.apply(&effect);
            }
        }
    }
}

pub(super) fn micro(time: Timestamp) -> k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime {
    k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime(time)
}
