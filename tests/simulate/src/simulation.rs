//! One schedule: events in the order of virtual time, until everything has ended and nothing is on its way any more.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Waker};

use firstaid::perform::CallError;
use jiff::{SignedDuration, Timestamp};

use crate::api_server::{ApiServer, Change, Key, Kind, Reply, Request, Stored, Who};
use crate::calls::{cut, error_of};
use crate::choices::Choices;
use crate::fences::{Down, Fence};
use crate::judge::{Judge, Violation};
use crate::network::{Fate, Fault, Hits, Weather};
use crate::operator::{Next, Process, pass};
use crate::people::Happening;
use crate::scenario::{self, Scenario};
use crate::wire::{Act, Call, Remark};

/// The storm is over after so much time, or so many requests.
const STORM: SignedDuration = SignedDuration::from_secs(100);
const STORM_REQUESTS: u64 = 160;
/// How long runs may take to end once the storm is over, and how many events that may take.
const CALM: SignedDuration = SignedDuration::from_mins(30);
const MOST_EVENTS: u64 = 15_000;
/// As in `src/perform`.
const DEADLINE: i64 = firstaid::perform::DEADLINE.as_millis() as i64;

/// What happens at some time.
#[derive(Debug)]
pub(crate) enum Event {
    /// A request reaches the API server; `down`: how long the answer takes, none where it never arrives.
    Arrives {
        from: Sender,
        request: Rc<Request>,
        act: Option<Act>,
        down: Option<i64>,
        instead: Option<u16>,
        kills: bool,
    },
    /// An answer reaches an operator.
    Answered { from: Sender, answer: Result<Reply, CallError> },
    /// A run has its turn.
    Turn { operator: usize, life: u64, run: String, due: Timestamp },
    /// A watch tells of an object; none where it has gone, or where the run has ended.
    Told { operator: usize, life: u64, watch: u64, key: Key, object: Option<Rc<Stored>> },
    /// A watch is made anew, and lists everything.
    Listed { operator: usize, life: u64, old: usize },
    /// An operator starts.
    Starts { operator: usize },
    /// An operator finds that its lease is another's, and ends.
    LosesLease { operator: usize, life: u64 },
    /// Something that people, controllers or chance do.
    Happens(Happening),
    /// The storm is over.
    Calm,
}

/// Which call of which operator.
#[derive(Clone, Debug)]
pub(crate) struct Sender {
    pub operator: usize,
    pub life: u64,
    pub number: u64,
    pub run: String,
}

/// Where a run stands with one operator, as in `src/control/turns.rs`.
enum Place {
    Asleep(Timestamp),
    Running { task: Pin<Box<dyn Future<Output = Next>>>, woken: bool },
}

/// An operator, dead or alive.
pub(crate) struct Operator {
    pub process: Option<Rc<Process>>,
    /// How often it has been started.
    pub life: u64,
    places: BTreeMap<String, Place>,
    /// Which watch it has; what an older one tells is not heard.
    pub watch: u64,
    /// Until when its watch is dead.
    pub deaf_until: Option<Timestamp>,
    /// When its watch has told of everything that it has heard of so far: it tells in order.
    pub told_until: Timestamp,
    /// Until when it gets no time.
    pub frozen_until: Option<Timestamp>,
}

impl Operator {
    /// Its process is gone, and all that it was doing.
    pub fn forget_everything(&mut self) {
        self.places.clear();
    }
}

/// How many operators there are, and what keeps them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Replicas {
    /// One, which is started again when it dies.
    One,
    /// Two and a lease: the other one takes over when the first has died, or seems to have.
    Lease,
    /// Two at once, without a lease.
    Two,
}

/// How a schedule went.
#[derive(Clone, Debug, Default)]
pub struct Course {
    /// The first promise that was broken.
    pub violation: Option<Violation>,
    /// What was chosen.
    pub choices: Vec<u16>,
    pub scenario: Option<Scenario>,
    /// How each run ended.
    pub endings: Vec<String>,
    pub hits: Hits,
    /// Requests that the API server handled, and other events.
    pub transitions: u64,
    /// Effects that took hold.
    pub effects: u64,
    /// What happened, line by line, where it was asked for.
    pub lines: Vec<String>,
}

/// Everything that there is.
pub(crate) struct Simulation {
    pub now: Timestamp,
    pub began: Timestamp,
    pub choices: Choices,
    pub server: ApiServer,
    pub judge: Judge,
    pub scenario: Scenario,
    pub weather: Weather,
    pub calm: bool,
    pub healthy: bool,
    pub hits: Hits,
    pub replicas: Replicas,
    pub operators: Vec<Operator>,
    /// What happens when so many requests have been handled.
    pub later: Vec<(u64, Happening)>,
    pub handled: u64,
    /// Every version of each run, for lists that are old.
    pub history: BTreeMap<String, Vec<Rc<Stored>>>,
    pub down: Down,
    queue: BinaryHeap<Reverse<(Timestamp, u64)>>,
    events: BTreeMap<u64, Event>,
    number: u64,
    transitions: u64,
    violation: Option<Violation>,
    lines: Option<Vec<String>>,
}

/// Runs one schedule.
pub fn run(choices: Choices, down: &Down, told: bool) -> Course {
    let mut simulation = Simulation::new(choices, down, told);
    simulation.begin();
    simulation.go_on();
    simulation.course()
}

impl Simulation {
    fn new(mut choices: Choices, down: &Down, told: bool) -> Self {
        let began: Timestamp = "2026-11-22T03:00:00Z".parse().expect("a time");
        let scenario = Scenario::choose(&mut choices);
        let weather = Weather::choose(&mut choices);
        let replicas = match choices.weighted(&[2, 3]) {
            _ if down.has(Fence::Lease) => Replicas::Two,
            0 => Replicas::One,
            _ => Replicas::Lease,
        };
        let operators = if replicas == Replicas::One { 1 } else { 2 };
        Self {
            now: began,
            began,
            choices,
            server: ApiServer::new(down),
            judge: Judge::new(scenario),
            scenario,
            weather,
            calm: false,
            healthy: true,
            hits: Hits::new(),
            replicas,
            operators: (0..operators)
                .map(|_| Operator {
                    process: None,
                    life: 0,
                    places: BTreeMap::new(),
                    watch: 0,
                    deaf_until: None,
                    told_until: began,
                    frozen_until: None,
                })
                .collect(),
            later: Vec::new(),
            handled: 0,
            history: BTreeMap::new(),
            down: down.clone(),
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            number: 0,
            transitions: 0,
            violation: None,
            lines: told.then(Vec::new),
        }
    }

    fn begin(&mut self) {
        let deployments = [scenario::deployment("checkout", 4), scenario::deployment("basket", 2)];
        for deployment in deployments {
            self.somebody(&Request::Create(Kind::Deployment, deployment));
        }
        self.somebody(&Request::Create(Kind::ConfigMap, scenario::flags()));
        self.somebody(&Request::Create(Kind::Runbook, self.scenario.runbook()));
        for run in self.scenario.runs() {
            self.somebody(&Request::Create(Kind::Run, scenario::run(run, None)));
        }
        self.at(0, Event::Starts { operator: 0 });
        if self.replicas == Replicas::Two {
            let after = [0, 3, 40][self.choices.below(3)];
            self.at(after, Event::Starts { operator: 1 });
        }
        self.foresee();
        self.at(i64::try_from(STORM.as_millis()).unwrap_or_default(), Event::Calm);
    }

    /// Something happens so many milliseconds later.
    pub fn at(&mut self, after: i64, event: Event) {
        self.number += 1;
        let when = self.now + SignedDuration::from_millis(after);
        self.queue.push(Reverse((when, self.number)));
        self.events.insert(self.number, event);
    }

    /// Says what happens, where somebody listens.
    pub fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(lines) = &mut self.lines {
            let since = self.now.duration_since(self.began);
            lines.push(format!("{:>9.3} s  {}", since.as_secs_f64(), line()));
        }
    }

    pub fn is_down(&self, fence: Fence) -> bool {
        self.down.has(fence)
    }

    pub fn hit(&mut self, fault: Fault) {
        *self.hits.entry(fault).or_default() += 1;
    }

    pub fn violated(&mut self, found: Option<Violation>) {
        if self.violation.is_none()
            && let Some(violation) = found
        {
            self.tell(|| format!("BROKEN {violation}"));
            self.violation = Some(violation);
        }
    }

    fn go_on(&mut self) {
        while let Some(Reverse((when, number))) = self.queue.pop() {
            let Some(event) = self.events.remove(&number) else { continue };
            self.now = when;
            self.transitions += 1;
            self.handle(event);
            if self.violation.is_some() {
                return;
            }
            if !self.calm && self.handled >= STORM_REQUESTS {
                self.becomes_calm();
            }
            let over = self.judge.all_ended(&self.server);
            if over && !self.calm {
                self.becomes_calm();
            }
            if self.calm && (self.transitions > MOST_EVENTS || self.now.duration_since(self.began) > CALM) {
                let found = self.judge.endless(&self.server);
                self.violated(found);
                return;
            }
        }
        let found = self.judge.at_the_end(&self.server);
        self.violated(found);
    }

    fn course(self) -> Course {
        let endings = self.server.all(Kind::Run).map(|run| run.text("/status/phase").to_owned()).collect();
        Course {
            violation: self.violation,
            choices: self.choices.taken(),
            scenario: Some(self.scenario),
            endings,
            hits: self.hits,
            transitions: self.transitions,
            effects: self.judge.effects(),
            lines: self.lines.unwrap_or_default(),
        }
    }

    fn handle(&mut self, event: Event) {
        if let Some(until) = self.frozen(&event) {
            let after = i64::try_from(until.duration_since(self.now).as_millis()).unwrap_or_default();
            self.at(after, event);
            return;
        }
        match event {
            Event::Arrives { from, request, act, down, instead, kills } => {
                self.arrives(from, &request, act, down, instead, kills);
            }
            Event::Answered { from, answer } => self.answered(&from, answer),
            Event::Turn { operator, life, run, due } => {
                let asleep =
                    matches!(self.operators[operator].places.get(&run), Some(Place::Asleep(until)) if *until == due);
                if self.operators[operator].life == life && asleep {
                    self.operators[operator].places.remove(&run);
                    self.take_turn(operator, &run);
                }
            }
            Event::Told { operator, life, watch, key, object } => {
                if self.operators[operator].life == life && self.operators[operator].watch == watch {
                    self.told(operator, &key, object);
                }
            }
            Event::Listed { operator, life, old } => {
                if self.operators[operator].life == life {
                    self.listed(operator, old);
                }
            }
            Event::Starts { operator } => self.starts(operator),
            Event::LosesLease { operator, life } => {
                if self.operators[operator].life == life {
                    self.dies(operator);
                }
            }
            Event::Happens(happening) => self.happens(happening),
            Event::Calm if !self.calm => self.becomes_calm(),
            Event::Calm => {}
        }
    }

    /// A request is handled.
    fn arrives(
        &mut self,
        from: Sender,
        request: &Request,
        act: Option<Act>,
        down: Option<i64>,
        instead: Option<u16>,
        kills: bool,
    ) {
        self.handled += 1;
        self.chance();
        let answer = self.server.handle(Who::Operator(from.operator), request, self.now);
        self.tell(|| {
            let outcome = match &answer {
                Ok((_, change)) if request.writes() => if change.is_some() { "stored" } else { "no change" }.to_owned(),
                Ok(_) => "read".to_owned(),
                Err(refusal) => format!("{} {}", refusal.code, refusal.message),
            };
            let lost = if down.is_none() { ", and the answer is lost" } else { "" };
            format!("operator {} {}: {outcome}{lost}", from.operator + 1, describe(request))
        });
        let answer = match answer {
            Ok((reply, change)) => {
                if let Some(change) = change {
                    self.changed(Who::Operator(from.operator), change, act.as_ref());
                }
                Ok(reply)
            }
            Err(refusal) => Err(error_of(refusal)),
        };
        if kills {
            self.dies(from.operator);
            return;
        }
        let answer = match instead {
            Some(code) => Err(error_of(crate::api_server::Refusal { code, message: format!("answered {code}") })),
            None => answer,
        };
        if let Some(down) = down {
            self.at(down, Event::Answered { from, answer });
        }
    }

    /// A change that somebody who needs no network makes.
    pub fn somebody(&mut self, request: &Request) {
        self.by(Who::Somebody, request);
    }

    /// The same by somebody whom policies may bind.
    pub fn by(&mut self, who: Who, request: &Request) {
        let answer = self.server.handle(who, request, self.now);
        let outcome = match &answer {
            Ok((_, Some(_))) => "stored".to_owned(),
            Ok((_, None)) => "no change".to_owned(),
            Err(refusal) => refusal.message.clone(),
        };
        self.tell(|| format!("{who:?} {}: {outcome}", describe(request)));
        if let Ok((_, Some(change))) = answer {
            self.changed(who, change, None);
        }
    }

    /// Something was stored: it is judged, watches tell of it, and people and controllers notice.
    fn changed(&mut self, who: Who, change: Change, act: Option<&Act>) {
        let found = self.judge.changed(&self.server, who, &change, act, self.now);
        self.violated(found);
        if let (Kind::Run, Some(new)) = (change.key.kind, &change.new) {
            self.history.entry(change.key.name.clone()).or_default().push(Rc::clone(new));
        }
        if matches!(change.key.kind, Kind::Run | Kind::Approval) {
            for operator in 0..self.operators.len() {
                self.watch_tells(operator, &change.key, change.new.clone());
            }
        }
        self.is_noticed(&change);
    }

    /// Sends what an operator has called for.
    fn send(&mut self, operator: usize) {
        let Some(process) = self.operators[operator].process.clone() else { return };
        for remark in process.wire.take_remarks() {
            let found = match remark {
                Remark::Silence { run, phase } => Some(Violation::silence(&run, &phase)),
                Remark::Endless { run } => Some(Violation::endless(&run, "a pass asks without end")),
            };
            self.violated(found);
        }
        let life = self.operators[operator].life;
        for call in process.wire.take_calls() {
            if self.operators[operator].life != life || self.operators[operator].process.is_none() {
                return;
            }
            self.send_one(operator, life, call);
        }
    }

    fn send_one(&mut self, operator: usize, life: u64, call: Call) {
        let Call { number, run, request, act } = call;
        let writes = request.writes();
        let fate = if self.calm {
            Fate::Delivered { up: 1, down: 1 }
        } else {
            self.weather.fate(writes, &mut self.choices, &mut self.hits)
        };
        let act = act.map(|act| Act { at: self.now, ..act });
        if let Some(act) = &act
            && fate != Fate::DiesBefore
        {
            let found = self.judge.sent(&self.server, &run, act);
            self.violated(found);
        }
        let harmless = matches!(fate, Fate::Delivered { up: 1, down: 1 });
        if !harmless {
            self.tell(|| format!("operator {} {}: {fate:?}", operator + 1, describe(&request)));
        }
        let from = Sender { operator, life, number, run };
        let request = Rc::new(request);
        let arrives = |down: Option<i64>, instead: Option<u16>, kills: bool| Event::Arrives {
            from: from.clone(),
            request: Rc::clone(&request),
            act: act.clone(),
            down,
            instead,
            kills,
        };
        let silence = |was_cut: bool| {
            let (after, answer) = if was_cut { (2, cut()) } else { (DEADLINE, CallError::Deadline) };
            (after, Event::Answered { from: from.clone(), answer: Err(answer) })
        };
        // A request that is older than 60 s arrives no more: the API server's own limit.
        let late = |after: i64| if self.down.has(Fence::RequestsEnd) { after + 400_000 } else { after };
        let events = match fate {
            Fate::Delivered { up, down } if up + down < DEADLINE => vec![(up, arrives(Some(down), None, false))],
            Fate::Delivered { up, .. } => vec![(up, arrives(None, None, false)), silence(false)],
            Fate::Lost { cut } => vec![silence(cut)],
            Fate::Unanswered { cut } => vec![(1, arrives(None, None, false)), silence(cut)],
            Fate::Late { after, cut } => vec![(late(after), arrives(None, None, false)), silence(cut)],
            Fate::Repeated { again } => {
                vec![(1, arrives(Some(1), None, false)), (late(again), arrives(None, None, false))]
            }
            Fate::Instead(code) => {
                let message = format!("answered {code}");
                let refused = Err(error_of(crate::api_server::Refusal { code, message }));
                vec![(2, Event::Answered { from: from.clone(), answer: refused })]
            }
            Fate::AfterAll(code) => vec![(1, arrives(Some(1), Some(code), false))],
            Fate::DiesBefore => Vec::new(),
            Fate::DiesAfter => vec![(1, arrives(None, None, false))],
            Fate::DiesOnAnswer => vec![(1, arrives(None, None, true))],
        };
        for (after, event) in events {
            self.at(after, event);
        }
        if matches!(fate, Fate::DiesBefore | Fate::DiesAfter) {
            self.dies(operator);
        }
    }

    fn answered(&mut self, from: &Sender, answer: Result<Reply, CallError>) {
        let operator = &mut self.operators[from.operator];
        let (Some(process), true) = (&operator.process, operator.life == from.life) else { return };
        process.wire.answer(from.number, answer);
        self.poll(from.operator, &from.run);
    }

    /// A pass goes on as far as it can.
    fn poll(&mut self, number: usize, run: &str) {
        let operator = &mut self.operators[number];
        let Some(process) = operator.process.clone() else { return };
        process.wire.set_now(self.now);
        let Some(Place::Running { task, woken }) = operator.places.get_mut(run) else { return };
        let ended = task.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let woken = *woken;
        if ended.is_ready() {
            operator.places.remove(run);
        }
        self.send(number);
        if let std::task::Poll::Ready(next) = ended
            && self.operators[number].process.is_some()
        {
            match next {
                _ if woken => self.take_turn(number, run),
                // Where this fence is down nothing but a watch gives another turn.
                Some(_) if self.down.has(Fence::LookAgain) => {}
                Some(due) => {
                    let after = due.duration_since(self.now).as_millis().max(0);
                    let due = self.now + SignedDuration::from_millis(i64::try_from(after).unwrap_or_default());
                    self.operators[number].places.insert(run.to_owned(), Place::Asleep(due));
                    let life = self.operators[number].life;
                    let after = i64::try_from(after).unwrap_or_default();
                    self.at(after, Event::Turn { operator: number, life, run: run.to_owned(), due });
                }
                None => {}
            }
        }
    }

    /// Something happened to this run.
    pub fn wake(&mut self, operator: usize, run: &str) {
        match self.operators[operator].places.get_mut(run) {
            Some(Place::Running { woken, .. }) => *woken = true,
            Some(Place::Asleep(_)) | None => self.take_turn(operator, run),
        }
    }

    fn take_turn(&mut self, number: usize, run: &str) {
        let operator = &mut self.operators[number];
        operator.places.remove(run);
        let Some(process) = operator.process.clone() else { return };
        let Some(known) = process.watched.borrow().get(run).cloned() else {
            process.recall.forget(&crate::operator::name_of(run));
            return;
        };
        process.wire.set_now(self.now);
        let task = Box::pin(pass(process, run.to_owned(), known));
        operator.places.insert(run.to_owned(), Place::Running { task, woken: false });
        self.poll(number, run);
    }
}

/// A request in a few words.
pub(crate) fn describe(request: &Request) -> String {
    let key = request.key().map(|key| format!("{:?}/{}", key.kind, key.name)).unwrap_or_default();
    match request {
        Request::Get(_) => format!("get {key}"),
        Request::List(kind, _) => format!("list {kind:?}"),
        Request::Create(kind, object) => {
            format!("create {kind:?}/{}", object.pointer("/metadata/name").and_then(|n| n.as_str()).unwrap_or_default())
        }
        Request::Replace { object, .. } => {
            let text = |pointer: &str| object.pointer(pointer).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
            format!("put {key} {} {}", text("/status/phase"), text("/status/waitingOn"))
        }
        Request::Merge { patch, .. } => format!("merge {key} {patch}"),
        Request::Json { patch, dry_run, .. } => {
            let writes = patch.iter().filter(|op| op["op"] != "test").map(|op| op["value"].to_string());
            format!("{} {key} {}", if *dry_run { "try" } else { "act on" }, writes.collect::<Vec<_>>().join(" "))
        }
        Request::Delete { .. } => format!("delete {key}"),
        Request::Review(person) => format!("may {person} approve?"),
        Request::Guards => "are the guards in force?".to_owned(),
    }
}
