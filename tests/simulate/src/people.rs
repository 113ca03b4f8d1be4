//! People, another controller, and chance: everything that happens and is neither an operator nor the network.

use std::rc::Rc;

use firstaid::api::approval::{BallotKind, BallotState};
use serde_json::{Value, json};

use crate::api_server::{Change, Key, Kind, Request, Stored, Who};
use crate::calls::BRAKE;
use crate::network::Fault;
use crate::scenario;
use crate::simulation::{Event, Simulation};

/// Something that happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// A person marks a ballot.
    Vote {
        ballot: String,
        by: &'static str,
        mark: Mark,
    },
    /// A person looks at the target and says what became of the act.
    Settle {
        run: String,
    },
    /// A person stops a run.
    Stop {
        run: String,
    },
    /// The workload's controller brings the pods.
    Pods {
        name: String,
    },
    SomebodyScales(i64),
    /// The same, and the annotations are gone, as after an `apply` of a whole object.
    SomebodyReplaces(i64),
    Recreate,
    Remove,
    EditFlags(&'static str),
    WipeToken,
    Noise,
    Brake(bool),
    RightLost,
    Forbid(bool),
    Healthy(bool),
    EditRunbook,
    Kill(usize),
    /// A process gets no time, as by SIGSTOP, and goes on later as if nothing had been.
    Freeze(usize),
    /// The first run has ended, and alice undoes it.
    Undo {
        of: String,
        name: &'static str,
    },
}

/// What is written on a ballot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    Approve,
    Deny,
    WrongCode,
}

const CHECKOUT: &str = "checkout";

impl Simulation {
    /// What happens after so many requests.
    pub(crate) fn foresee(&mut self) {
        let count = [0, 0, 1, 1, 2, 3, 5][self.choices.below(7)];
        for _ in 0..count {
            let at = [2, 6, 10, 14, 18, 22, 26, 30, 36, 42, 50, 60, 80, 110][self.choices.below(14)];
            let jitter = self.choices.below(4) as u64;
            let happening = self.something();
            self.later.push((at + jitter, happening));
        }
    }

    fn something(&mut self) -> Happening {
        let size = [6, 2, 10, 12, 7][self.choices.below(5)];
        let flags = [
            r#"{"recommendations": true, "search": false}"#,
            r#"{"recommendations": false, "search": true}"#,
            r#"{"recommendations": true, "search": true}"#,
        ];
        let (fault, happening) = match self.choices.weighted(&[2, 5, 4, 2, 1, 4, 3, 6, 2, 2, 2, 2, 1, 3, 4]) {
            0 => (Fault::Noise, Happening::Noise),
            1 => (Fault::SomebodyScales, Happening::SomebodyScales(size)),
            2 => (Fault::SomebodyReplaces, Happening::SomebodyReplaces(size)),
            3 => (Fault::TargetRecreated, Happening::Recreate),
            4 => (Fault::TargetGone, Happening::Remove),
            5 => (Fault::SomebodyEditsConfig, Happening::EditFlags(flags[self.choices.below(3)])),
            6 => (Fault::TokenWiped, Happening::WipeToken),
            7 => {
                let runs = self.scenario.runs();
                (Fault::Stop, Happening::Stop { run: runs[self.choices.below(runs.len())].to_owned() })
            }
            8 => (Fault::Brake, Happening::Brake(true)),
            9 => (Fault::RightLost, Happening::RightLost),
            10 => (Fault::Forbidden, Happening::Forbid(true)),
            11 => (Fault::Unhealthy, Happening::Healthy(false)),
            12 => (Fault::RunbookEdited, Happening::EditRunbook),
            13 => (Fault::Killed, Happening::Kill(self.choices.below(self.operators.len()))),
            _ => (Fault::Frozen, Happening::Freeze(self.choices.below(self.operators.len()))),
        };
        self.hit(fault);
        happening
    }

    /// What was foreseen for now.
    pub(crate) fn chance(&mut self) {
        while let Some(at) = self.later.iter().position(|(when, _)| *when <= self.handled) {
            let (_, happening) = self.later.swap_remove(at);
            self.happens(happening);
        }
    }

    pub(crate) fn happens(&mut self, happening: Happening) {
        let checkout = Key::new(Kind::Deployment, CHECKOUT);
        match happening {
            Happening::Vote { ballot, by, mark } => self.vote(&ballot, by, mark),
            Happening::Settle { run } => self.settle(&run),
            Happening::Stop { run } => {
                let patch = json!({"metadata": {"annotations": {"abort": "enough"}}});
                let request = Request::Merge { key: Key::new(Kind::Run, &run), patch, status: false };
                self.by(Who::Person, &request);
            }
            Happening::Pods { name } => self.pods(&Key::new(Kind::Deployment, &name)),
            Happening::SomebodyScales(to) => {
                self.somebody(&merge(checkout, json!({"spec": {"replicas": to}})));
            }
            Happening::SomebodyReplaces(to) => {
                self.somebody(&merge(checkout, json!({"metadata": {"annotations": null}, "spec": {"replicas": to}})));
            }
            Happening::Recreate => {
                self.somebody(&Request::Delete { key: checkout, uid: None });
                self.somebody(&Request::Create(Kind::Deployment, scenario::deployment(CHECKOUT, 4)));
            }
            Happening::Remove => self.somebody(&Request::Delete { key: checkout, uid: None }),
            Happening::EditFlags(text) => {
                let patch = json!({"data": {"flags.json": text}});
                self.somebody(&merge(Key::new(Kind::ConfigMap, "flags"), patch));
            }
            Happening::WipeToken => {
                let patch = json!({"metadata": {"annotations": null}});
                self.somebody(&merge(checkout, patch.clone()));
                self.somebody(&merge(Key::new(Kind::ConfigMap, "flags"), patch));
            }
            Happening::Noise => {
                let label = json!({"metadata": {"labels": {"noise": self.handled.to_string()}}});
                self.somebody(&merge(checkout, label.clone()));
                self.somebody(&merge(Key::new(Kind::ConfigMap, "flags"), label));
            }
            Happening::Brake(true) => {
                let brake = json!({"metadata": {"name": BRAKE}, "data": {"reason": "storm"}});
                self.somebody(&Request::Create(Kind::ConfigMap, brake));
                self.at(15_000, Event::Happens(Happening::Brake(false)));
            }
            Happening::Brake(false) => {
                self.somebody(&Request::Delete { key: Key::new(Kind::ConfigMap, BRAKE), uid: None });
            }
            Happening::RightLost => {
                self.server.outcasts = vec!["bob".to_owned()];
                self.judge.lost_right("bob", self.now);
                self.tell(|| "bob may no longer approve".to_owned());
            }
            Happening::Forbid(on) => {
                self.server.forbidden = on.then_some(checkout);
                self.tell(|| format!("the ServiceAccount may touch checkout: {}", !on));
                if on {
                    self.at(20_000, Event::Happens(Happening::Forbid(false)));
                }
            }
            Happening::Healthy(healthy) => self.becomes_healthy(healthy),
            Happening::EditRunbook => {
                let patch = json!({"spec": {"summary": "Something else", "steps": []}});
                self.somebody(&merge(Key::new(Kind::Runbook, "shed-load"), patch));
            }
            Happening::Kill(operator) => self.dies(operator),
            Happening::Freeze(operator) => self.freezes(operator),
            Happening::Undo { of, name } => {
                self.somebody(&Request::Create(Kind::Run, scenario::run(name, Some(&of))));
            }
        }
    }

    fn becomes_healthy(&mut self, healthy: bool) {
        self.healthy = healthy;
        self.tell(|| format!("pods become ready: {healthy}"));
        if healthy {
            for name in [CHECKOUT, "basket"] {
                self.at(5, Event::Happens(Happening::Pods { name: name.to_owned() }));
            }
        }
    }

    /// What is noticed by people and controllers.
    pub(crate) fn is_noticed(&mut self, change: &Change) {
        let Some(new) = &change.new else { return };
        match change.key.kind {
            Kind::Deployment => {
                let ready =
                    new.value.pointer("/status/observedGeneration") == new.value.pointer("/metadata/generation");
                if !ready && self.healthy {
                    let after = if self.calm { 5 } else { [5, 1_500, 12_000][self.choices.weighted(&[6, 2, 1])] };
                    self.at(after, Event::Happens(Happening::Pods { name: change.key.name.clone() }));
                }
            }
            Kind::Approval if change.old.is_none() => self.ballot_is_seen(new),
            Kind::Approval if self.calm => {}
            Kind::Approval => self.is_opened(new, change.old.as_deref()),
            Kind::Run => self.run_is_seen(new, change.old.as_deref()),
            Kind::Record | Kind::Runbook | Kind::ConfigMap | Kind::ServiceAccount => {}
        }
    }

    fn ballot_is_seen(&mut self, ballot: &Rc<Stored>) {
        if ballot.ballot().spec.request.kind != BallotKind::Decide {
            return;
        }
        let name = ballot.text("/metadata/name").to_owned();
        // So that two ballots are marked by two people.
        let usual = if name.ends_with(['1', '3', '5', '7', '9']) { "bob" } else { "carol" };
        let vote = |by, mark| Happening::Vote { ballot: name.clone(), by, mark };
        if self.calm {
            self.at(1_000, Event::Happens(vote(usual, Mark::Approve)));
            return;
        }
        let alone = self.scenario == scenario::Scenario::Alone;
        let weights = if alone { [2, 1, 1, 12, 1, 1, 1] } else { [20, 8, 2, 1, 2, 2, 2] };
        let (after, vote) = match self.choices.weighted(&weights) {
            0 => (700, Some(vote(usual, Mark::Approve))),
            1 => (0, Some(vote(usual, Mark::Approve))),
            2 => {
                self.hit(Fault::Denied);
                (1_000, Some(vote("dave", Mark::Deny)))
            }
            3 => {
                self.hit(Fault::NobodyVotes);
                (0, None)
            }
            4 => {
                self.hit(Fault::WrongVote);
                (900, Some(vote("bob", Mark::WrongCode)))
            }
            5 => {
                self.hit(Fault::WrongVote);
                (900, Some(vote("alice", Mark::Approve)))
            }
            _ => {
                self.hit(Fault::VoteAtTheEdge);
                let edge = [44_990, 43_500, 44_300][self.choices.below(3)];
                (edge, Some(vote(usual, Mark::Approve)))
            }
        };
        if let Some(vote) = vote {
            self.at(after, Event::Happens(vote));
        }
    }

    /// A ballot was opened to whoever asked.
    fn is_opened(&mut self, ballot: &Stored, old: Option<&Stored>) {
        let open = |ballot: &Stored| ballot.value.pointer("/status/openToRequester") == Some(&Value::Bool(true));
        if open(ballot) && !old.is_some_and(open) {
            let ballot = ballot.text("/metadata/name").to_owned();
            self.at(800, Event::Happens(Happening::Vote { ballot, by: "alice", mark: Mark::Approve }));
        }
    }

    fn run_is_seen(&mut self, run: &Rc<Stored>, old: Option<&Stored>) {
        let phase = |run: &Stored| run.text("/status/phase").to_owned();
        let name = run.text("/metadata/name").to_owned();
        // A question that was put anew is another one.
        let asked = |run: &Stored| (phase(run), run.text("/status/waitingOn").to_owned());
        if phase(run) == "NeedsHuman" && old.is_none_or(|old| asked(old) != asked(run)) {
            self.is_asked(&name, run);
        }
        let ended = |run: &Stored| run.value.pointer("/status/finished") == Some(&Value::Bool(true));
        if ended(run)
            && !old.is_some_and(ended)
            && let Some(undo) = self.scenario.undo().filter(|undo| *undo != name)
        {
            let after = [2_000, 0, 30_000][if self.calm { 0 } else { self.choices.below(3) }];
            self.at(after, Event::Happens(Happening::Undo { of: name, name: undo }));
        }
    }

    /// A run asks a person.
    fn is_asked(&mut self, name: &str, run: &Stored) {
        let word_is_used = run.value.pointer("/metadata/annotations/settle").is_some();
        let stop = Happening::Stop { run: name.to_owned() };
        let settle = Happening::Settle { run: name.to_owned() };
        if word_is_used || run.text("/status/waitingOn").contains("then stop it") {
            self.at(5_000, Event::Happens(stop));
            return;
        }
        let chosen = if self.calm { 0 } else { self.choices.weighted(&[4, 4, 2, 2]) };
        let (after, fault, happening) = match chosen {
            0 => (5_000, Fault::Settled, settle),
            1 => (0, Fault::Settled, settle),
            2 => (70_000, Fault::Settled, settle),
            _ => (5_000, Fault::AbortedInsteadOfSettled, stop),
        };
        self.hit(fault);
        self.at(after, Event::Happens(happening));
    }

    /// Says the truth as it is at this moment: a person can see who last changed what.
    fn settle(&mut self, run: &str) {
        let key = Key::new(Kind::Run, run);
        let Some(stored) = self.server.get(&key).cloned() else { return };
        let word = if self.judge.last_intent_took_hold(stored.run()) { "done I saw it" } else { "not-done I looked" };
        let patch = json!({"metadata": {"annotations": {"settle": word, "settle-by": "bob"}}});
        self.by(Who::Person, &Request::Merge { key, patch, status: false });
    }

    fn vote(&mut self, ballot: &str, by: &str, mark: Mark) {
        let key = Key::new(Kind::Approval, ballot);
        let Some(stored) = self.server.get(&key) else { return };
        let code = stored.text("/spec/request/code").to_owned();
        let (word, text) = match mark {
            Mark::Approve => ("approve", format!("{code} go")),
            Mark::Deny => ("deny", "wrong service".to_owned()),
            Mark::WrongCode => ("approve", "0000 go".to_owned()),
        };
        // The voter is what the API server stamps.
        let patch = json!({"metadata": {"annotations": {word: text, "by": by}},
            "spec": {"voter": {"username": by, "groups": ["oncall"]}}});
        self.by(Who::Person, &Request::Merge { key, patch, status: false });
    }

    /// The workload's controller: as many pods as are wanted.
    fn pods(&mut self, key: &Key) {
        let Some(object) = self.server.get(key).filter(|_| self.healthy) else { return };
        let wanted = object.value["spec"]["replicas"].clone();
        let status = json!({"observedGeneration": object.value["metadata"]["generation"], "replicas": wanted,
            "readyReplicas": wanted, "updatedReplicas": wanted, "availableReplicas": wanted});
        self.somebody(&Request::Merge { key: key.clone(), patch: json!({"status": status}), status: true });
    }

    /// Whatever was in the way is gone, and people do what they are asked for.
    pub(crate) fn all_is_well(&mut self) {
        self.server.outcasts.clear();
        self.judge.rights_are_back();
        self.server.forbidden = None;
        self.somebody(&Request::Delete { key: Key::new(Kind::ConfigMap, BRAKE), uid: None });
        self.becomes_healthy(true);
        if self.server.get(&Key::new(Kind::Deployment, CHECKOUT)).is_none() {
            self.somebody(&Request::Create(Kind::Deployment, scenario::deployment(CHECKOUT, 4)));
        }
        let open: Vec<Rc<Stored>> = self
            .server
            .all(Kind::Approval)
            .filter(|ballot| ballot.text("/status/state") == format!("{:?}", BallotState::Open))
            .cloned()
            .collect();
        for ballot in open {
            self.ballot_is_seen(&ballot);
        }
        let runs: Vec<Rc<Stored>> = self.server.all(Kind::Run).cloned().collect();
        for run in runs {
            if run.text("/status/phase") == "NeedsHuman" {
                self.is_asked(run.text("/metadata/name"), &run);
            }
        }
    }
}

fn merge(key: Key, patch: Value) -> Request {
    Request::Merge { key, patch, status: false }
}
