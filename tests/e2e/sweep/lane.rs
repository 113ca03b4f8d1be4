//! A namespace with an operator behind a bad network, in which one case is tried after the other.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use firstaid_proxy::{Asked, Proxy, Rule};
use firstaid_sandbox::Operator;
use serde_json::{Value, json};

use super::scenario::{SCENARIOS, Scenario};
use super::{Case, Kind};
use crate::read::Writer;
use crate::town::{Leg, Town, WITHIN, number, text};

/// A run that ends later than this is lost: an act that may be on its way is waited for, up to 65 s, more than once.
const LOST: Duration = Duration::from_secs(240);

pub struct Lane {
    // Before the town, which ends before the judge: then nothing moves any more.
    operator: RefCell<Option<Operator>>,
    town: Town,
    proxy: Proxy,
    people: Vec<(&'static str, Writer)>,
    number: Cell<usize>,
}

/// What came of a case.
pub struct Verdict {
    /// Whether the request came to which the fault was to happen.
    pub hit: Option<String>,
    pub phase: String,
    pub message: String,
    pub took: Duration,
}

impl Lane {
    pub fn open(leg: Leg, name: &str) -> Result<Self> {
        let town = Town::empty(leg, name)?;
        town.sandbox.open_shop(&town.namespace)?;
        let books: String = SCENARIOS.iter().map(Scenario::runbook).collect();
        town.runbook(&books)?;
        let proxy = Proxy::start(&town.sandbox.kubeconfig("operator"))?;
        proxy.kubeconfig(&town.sandbox.data().join(format!("{}.kubeconfig", town.namespace)))?;
        let people = ["bob", "dave", "root", "alice"];
        let people: Result<Vec<_>> =
            people.into_iter().map(|person| Ok((person, Writer::new(&town.sandbox.kubeconfig(person))?))).collect();
        let lane = Self { town, proxy, operator: RefCell::default(), people: people?, number: Cell::new(0) };
        lane.start_operator()?;
        Ok(lane)
    }

    /// Without a lease: a new one need not wait until the dead one's has run out.
    fn start_operator(&self) -> Result<()> {
        let kubeconfig = self.town.sandbox.data().join(format!("{}.kubeconfig", self.town.namespace));
        let kubeconfig = kubeconfig.to_string_lossy();
        let args = ["--namespaces", &self.town.namespace, "--lease-name=", "--cluster-name=sandbox"];
        let binary = std::path::Path::new(env!("CARGO_BIN_EXE_firstaid"));
        let env = [("RUST_LOG", "info"), ("KUBECONFIG", &*kubeconfig)];
        let mut operator = self.town.sandbox.start_operator(binary, &args, &env)?;
        operator.wait_ready(WITHIN)?;
        *self.operator.borrow_mut() = Some(operator);
        Ok(())
    }

    /// Whether a request is counted: what is asked for a run, and for nothing else.
    fn counts(&self) -> impl Fn(&Asked) -> bool + Send + 'static {
        let namespace = self.town.namespace.clone();
        move |asked: &Asked| {
            let about_runs = asked.namespace == namespace && asked.resource != "runbooks/status";
            asked.verb != "watch"
                && (about_runs || asked.resource == "subjectaccessreviews" || asked.name == "firstaid-brake")
        }
    }

    /// The requests that are counted in a run to which nothing happens.
    pub fn requests(&self, scenario: &'static Scenario) -> Result<Vec<Asked>> {
        let verdict = self.attempt(scenario, None)?;
        ensure!(
            scenario.ends.contains(&&*verdict.phase),
            "{} ended {}: {}",
            scenario.name,
            verdict.phase,
            verdict.message
        );
        let counts = self.counts();
        Ok(self.proxy.seen().into_iter().map(|seen| seen.asked).filter(|asked| counts(asked)).collect())
    }

    /// Tries a case.
    pub fn try_case(&self, case: &Case) -> Result<Verdict> {
        self.attempt(case.scenario, Some((case.request, &case.kind)))
    }

    fn attempt(&self, scenario: &'static Scenario, fault: Option<(usize, &Kind)>) -> Result<Verdict> {
        self.number.set(self.number.get() + 1);
        let run = format!("run-{}", self.number.get());
        self.proxy.lift();
        self.resize(4)?;
        self.say_flags("{\"recommendations\": true}")?;
        if scenario.undoes.is_some() {
            let before = format!("{run}-before");
            self.start(scenario, &before, None)?;
            self.follow(scenario, &before)?;
        }
        self.proxy.forget();
        if let Some((number, kind)) = fault {
            let mut rule = Rule::nth(number, kind.fault.clone());
            rule.matches = Box::new(self.counts());
            if kind.dies {
                let pid = self.operator.borrow().as_ref().context("an operator")?.pid()?.to_string();
                rule = rule.then(move || {
                    let _ = std::process::Command::new("kill").args(["-9", &pid]).status();
                });
            }
            self.proxy.inject(rule);
        }
        let began = Instant::now();
        let undone = scenario.undoes.map(|_| format!("{run}-before"));
        self.start(scenario, &run, undone.as_deref())?;
        let ended = self.follow(scenario, &run)?;
        let hit = self.proxy.seen().into_iter().find(|seen| seen.fault.is_some()).map(|seen| seen.asked.to_string());
        Ok(Verdict {
            hit,
            phase: text(&ended, "/status/phase").to_owned(),
            message: text(&ended, "/status/message").to_owned(),
            took: began.elapsed(),
        })
    }

    fn start(&self, scenario: &Scenario, run: &str, undone: Option<&str>) -> Result<()> {
        let mut spec = json!({"runbook": scenario.runbook_name(), "reason": "queue grows"});
        if let Some(undone) = undone {
            spec["revertOf"] = json!(undone);
        }
        if self.town.leg == Leg::Plain {
            spec["requestedBy"] = json!({"username": "alice"});
        }
        let object = json!({"apiVersion": "firstaid.dev/v1alpha1", "kind": "RunbookRun",
            "metadata": {"name": run, "namespace": self.town.namespace}, "spec": spec});
        self.as_person("alice")?.create(&self.town.namespace, "rbr", &object)
    }

    /// People do their part until the run has ended; an operator that has died is started again.
    fn follow(&self, scenario: &Scenario, run: &str) -> Result<Value> {
        let deadline = Instant::now() + LOST;
        loop {
            let died = self.operator.borrow_mut().as_mut().context("an operator")?.has_ended()?;
            if died {
                self.start_operator()?;
            }
            let found = self.town.get("rbr", run)?;
            if found.pointer("/status/finished") == Some(&Value::Bool(true)) {
                return Ok(found);
            }
            (scenario.act)(self, &found)?;
            self.settle(&found)?;
            if Instant::now() > deadline {
                let log = self.operator.borrow().as_ref().map(|operator| operator.log_path().display().to_string());
                bail!(
                    "{run} is lost: {} {}; log: {}",
                    text(&found, "/status/phase"),
                    text(&found, "/status/waitingOn"),
                    log.unwrap_or_default()
                );
            }
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Where the run asks a person whether it has acted, somebody looks at the target and says what is there.
    fn settle(&self, run: &Value) -> Result<()> {
        if text(run, "/status/phase") != "NeedsHuman" || run.pointer("/metadata/annotations/settle").is_some() {
            return Ok(());
        }
        let tokens =
            format!("{} {}", self.town.get("deployment", "checkout")?, self.town.get("configmap", "shop-flags")?);
        let ours = format!("{}/{}/", text(run, "/metadata/name"), text(run, "/metadata/uid"));
        let word = if tokens.contains(&ours) { "done its token is there" } else { "not-done its token is not there" };
        self.say("bob", "rbr", text(run, "/metadata/name"), &json!({"settle": word}))
    }

    fn as_person(&self, person: &str) -> Result<&Writer> {
        let found = self.people.iter().find(|(name, _)| *name == person);
        Ok(&found.with_context(|| format!("{person} is nobody here"))?.1)
    }

    /// Annotates an object as a person. It may be too late for that.
    pub fn say(&self, person: &str, kind: &str, name: &str, words: &Value) -> Result<()> {
        let patch = json!({"metadata": {"annotations": words}});
        match self.as_person(person)?.patch(&self.town.namespace, kind, name, &patch) {
            Err(error) if error.to_string().contains("may not") => Err(error),
            _ => Ok(()),
        }
    }

    /// Marks each open ballot of a run that nobody has marked, each by another person.
    pub fn vote(&self, run: &str) -> Result<()> {
        self.vote_and_tell(run).map(|_| ())
    }

    /// The same. Whether somebody has voted by now.
    pub fn vote_and_tell(&self, run: &str) -> Result<bool> {
        let mut ballots = self.town.list("apv")?;
        ballots.retain(|ballot| text(ballot, "/spec/request/run") == run);
        let by = |ballot: &Value| text(ballot, "/metadata/annotations/by").to_owned();
        let open: Vec<&Value> = ballots.iter().filter(|ballot| text(ballot, "/status/state") == "Open").collect();
        let mut voted: BTreeSet<String> = open.iter().map(|ballot| by(ballot)).collect();
        for ballot in open.into_iter().filter(|ballot| by(ballot).is_empty()) {
            let Some(person) = ["bob", "dave"].into_iter().find(|person| !voted.contains(*person)) else { continue };
            let mut words = json!({"approve": format!("{} it is needed", text(ballot, "/spec/request/code"))});
            if self.town.leg == Leg::Plain {
                words["by"] = json!(person);
            }
            self.say(person, "apv", text(ballot, "/metadata/name"), &words)?;
            voted.insert(person.to_owned());
        }
        Ok(voted.len() > 1)
    }

    pub fn size(&self) -> Result<i64> {
        Ok(number(&self.town.get("deployment", "checkout")?, "/spec/replicas"))
    }

    pub fn resize(&self, to: i64) -> Result<()> {
        self.as_person("root")?.patch(
            &self.town.namespace,
            "deployment",
            "checkout",
            &json!({"spec": {"replicas": to}}),
        )
    }

    fn say_flags(&self, flags: &str) -> Result<()> {
        let patch = json!({"data": {"flags.json": flags}});
        self.as_person("root")?.patch(&self.town.namespace, "configmap", "shop-flags", &patch)
    }
}
