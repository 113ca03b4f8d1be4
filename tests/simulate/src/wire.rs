//! Between an operator's tasks and the simulation: calls go out, answers come back, and nothing else happens.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use firstaid::action::Effect;
use firstaid::perform::CallError;
use jiff::Timestamp;

use crate::api_server::{Reply, Request, Stored};

/// A call that an operator makes.
#[derive(Debug)]
pub struct Call {
    pub number: u64,
    pub run: String,
    pub request: Request,
    /// Where it is an act: what is sent, and on what it rests.
    pub act: Option<Act>,
}

/// An act that is sent.
#[derive(Clone, Debug)]
pub struct Act {
    pub effect: Rc<Effect>,
    /// The target as it was read before.
    pub read: Option<Rc<Stored>>,
    /// When it was sent; set by the simulation.
    pub at: Timestamp,
}

/// What an operator says of itself, for the judge.
#[derive(Debug)]
pub enum Remark {
    /// A pass waits, and the run as it was read does not say for what.
    Silence { run: String, phase: String },
    /// A pass asks without end.
    Endless { run: String },
}

/// One operator's connection to everything.
#[derive(Debug)]
pub struct Wire {
    now: Cell<Timestamp>,
    numbers: Cell<u64>,
    calls: RefCell<Vec<Call>>,
    answers: RefCell<BTreeMap<u64, Result<Reply, CallError>>>,
    remarks: RefCell<Vec<Remark>>,
}

impl Wire {
    pub fn new(now: Timestamp, first: u64) -> Self {
        Self {
            now: Cell::new(now),
            numbers: Cell::new(first),
            calls: RefCell::default(),
            answers: RefCell::default(),
            remarks: RefCell::default(),
        }
    }

    /// The time, as the operator's clock has it.
    pub fn now(&self) -> Timestamp {
        self.now.get()
    }

    pub fn set_now(&self, now: Timestamp) {
        self.now.set(now);
    }

    /// Makes a call. It is sent at once; the answer comes when it comes.
    pub fn call(self: &Rc<Self>, run: &str, request: Request) -> Answer {
        self.send(run, request, None)
    }

    /// Sends an act.
    pub fn act(self: &Rc<Self>, run: &str, request: Request, effect: Rc<Effect>, read: Option<Rc<Stored>>) -> Answer {
        self.send(run, request, Some(Act { effect, read, at: self.now() }))
    }

    fn send(self: &Rc<Self>, run: &str, request: Request, act: Option<Act>) -> Answer {
        let number = self.numbers.get();
        self.numbers.set(number + 1);
        self.calls.borrow_mut().push(Call { number, run: run.to_owned(), request, act });
        Answer { wire: Rc::clone(self), number }
    }

    pub fn remark(&self, remark: Remark) {
        self.remarks.borrow_mut().push(remark);
    }

    /// What has been called since the last time.
    pub fn take_calls(&self) -> Vec<Call> {
        std::mem::take(&mut self.calls.borrow_mut())
    }

    pub fn take_remarks(&self) -> Vec<Remark> {
        std::mem::take(&mut self.remarks.borrow_mut())
    }

    /// An answer arrives. The first one counts: a call that was given up hears no more.
    pub fn answer(&self, number: u64, answer: Result<Reply, CallError>) {
        self.answers.borrow_mut().insert(number, answer);
    }
}

/// The answer to a call, which may never come.
pub struct Answer {
    wire: Rc<Wire>,
    number: u64,
}

impl Future for Answer {
    type Output = Result<Reply, CallError>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        match self.wire.answers.borrow_mut().remove(&self.number) {
            Some(answer) => Poll::Ready(answer),
            None => Poll::Pending,
        }
    }
}
