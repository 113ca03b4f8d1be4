//! A namespace with a shop, people and an operator of its own, and what tests do in it.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use firstaid_sandbox::{Operator, Options, Output, Sandbox, poll};
use serde_json::{Value, json};

use crate::audit::Audit;
use crate::judged::Forged;
use crate::read::Reader;

/// How long anything that should happen may take on a busy machine.
pub const WITHIN: Duration = Duration::from_secs(90);

/// Which API server: the newest, which stamps votes, or one that does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leg {
    Stamping,
    Plain,
}

/// The API server of a leg, started once and shared by all tests of this process.
pub fn control_plane(leg: Leg) -> &'static Sandbox {
    static STAMPING: OnceLock<Sandbox> = OnceLock::new();
    static PLAIN: OnceLock<Sandbox> = OnceLock::new();
    match leg {
        Leg::Stamping => STAMPING.get_or_init(|| start(leg)),
        Leg::Plain => PLAIN.get_or_init(|| start(leg)),
    }
}

fn start(leg: Leg) -> Sandbox {
    let emulated_version = (leg == Leg::Plain).then(|| "1.33".to_owned());
    let sandbox = Sandbox::start(&Options { emulated_version, ..Options::default() }).expect("a control plane");
    sandbox.install_chart(&[]).expect("the chart");
    sandbox.apply_yaml("root", include_str!("kinds.yaml")).expect("kinds of other projects");
    sandbox
}

/// A namespace of a test's own.
pub struct Town {
    pub leg: Leg,
    pub sandbox: &'static Sandbox,
    pub namespace: String,
    pub operator: Option<Operator>,
    /// The audit log from where this town began.
    pub log: Audit,
    /// What its test forges by its own hand.
    pub forged: Forged,
    /// Where the archive has the files of this namespace, if evidence leaves the cluster.
    pub archive: Option<PathBuf>,
    reader: Reader,
    /// Whether it is on an API server that others use too.
    shared: bool,
}

/// Whatever a test was about: the operator touched nothing in its own name that is not its own, and kept its promises.
impl Drop for Town {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        if self.shared {
            let seen = self.log.overreach_here().expect("the audit log");
            assert_eq!(seen, Vec::<String>::new(), "the operator overreached in {}", self.namespace);
        }
        self.end_before_the_judge();
    }
}

impl Town {
    /// A namespace with the shop in it, joined, with an operator that looks after it alone.
    pub fn open(leg: Leg, name: &str) -> Result<Self> {
        let mut town = Self::empty(leg, name)?;
        town.sandbox.open_shop(&town.namespace)?;
        town.start_operator()?;
        Ok(town)
    }

    /// The same on an API server of its own, for a test that does what all others would feel: the global brake, or a
    /// policy that is taken away. Its processes end with this one.
    pub fn open_alone(leg: Leg, name: &str) -> Result<Self> {
        Self::open_alone_with(leg, name, &[], &[])
    }

    /// The same, with values of the chart, and the operator's arguments that go with them.
    pub fn open_alone_with(leg: Leg, name: &str, values: &[(&str, &str)], more: &[&str]) -> Result<Self> {
        let sandbox = Box::leak(Box::new(start(leg)));
        if !values.is_empty() {
            sandbox.install_chart(values)?;
        }
        let mut town = Self::empty_on(sandbox, false, leg, name)?;
        town.sandbox.open_shop(&town.namespace)?;
        town.start_operator_with(more)?;
        Ok(town)
    }

    /// A namespace with its people, without shop and operator.
    pub fn empty(leg: Leg, name: &str) -> Result<Self> {
        Self::empty_on(control_plane(leg), true, leg, name)
    }

    fn empty_on(sandbox: &'static Sandbox, shared: bool, leg: Leg, name: &str) -> Result<Self> {
        static NUMBER: AtomicUsize = AtomicUsize::new(1);
        let namespace = format!("{name}-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let log = Audit::of(sandbox, &namespace)?;
        sandbox.join_namespace(&namespace)?;
        let reader = Reader::new(&sandbox.kubeconfig("root"))?;
        Ok(Self {
            leg,
            sandbox,
            namespace,
            operator: None,
            log,
            forged: Forged::default(),
            archive: None,
            reader,
            shared,
        })
    }

    /// Starts the operator, or starts it again after a kill.
    pub fn start_operator(&mut self) -> Result<()> {
        self.start_operator_with(&[])
    }

    /// The same with more arguments.
    pub fn start_operator_with(&mut self, more: &[&str]) -> Result<()> {
        let lease = format!("--lease-name={}", self.namespace);
        let mut args = vec!["--namespaces", &self.namespace, &lease, "--lease-seconds=3", "--cluster-name=sandbox"];
        // What became of a record is noted while a test looks at it only where the test is about that.
        if !more.iter().any(|arg| arg.starts_with("--in-place-seconds")) {
            args.push("--in-place-seconds=3600");
        }
        args.extend(more);
        let binary = std::path::Path::new(env!("CARGO_BIN_EXE_firstaid"));
        let mut operator = self.sandbox.start_operator(binary, &args, &[("RUST_LOG", "info,firstaid=debug")])?;
        operator.wait_ready(WITHIN)?;
        self.operator = Some(operator);
        Ok(())
    }

    /// Kills the operator, as if its machine had died.
    pub fn kill_operator(&mut self) -> Result<()> {
        self.operator.take().context("there is an operator")?.kill()
    }

    /// Applies a runbook as its author, and what `firstaid onboard` prints for it as root.
    pub fn runbook(&self, yaml: &str) -> Result<()> {
        let file = self.sandbox.data().join(format!("{}-runbook.yaml", self.namespace));
        std::fs::write(&file, yaml)?;
        self.onboard(&file.to_string_lossy())?;
        self.apply("author", yaml)
    }

    /// Applies what `firstaid onboard` prints for these files.
    pub fn onboard(&self, from: &str) -> Result<()> {
        let mode = if self.leg == Leg::Stamping { "constrained" } else { "legacy" };
        let printed = Output::of(std::process::Command::new(env!("CARGO_BIN_EXE_firstaid")).args([
            "onboard",
            "-n",
            &self.namespace,
            "--impersonation",
            mode,
            "--from",
            from,
        ]))?
        .ok()?;
        self.sandbox.apply_yaml("root", &printed)?;
        Ok(())
    }

    /// Applies YAML in this namespace.
    pub fn apply(&self, person: &str, yaml: &str) -> Result<()> {
        let output = self.sandbox.kubectl_input(person, &["apply", "-n", &self.namespace, "-f", "-"], yaml)?;
        ensure!(output.success(), "{}", output.stderr);
        Ok(())
    }

    /// kubectl in this namespace, as a person.
    pub fn kubectl(&self, person: &str, args: &[&str]) -> Result<Output> {
        let mut all = vec!["-n", &self.namespace];
        all.extend(args);
        self.sandbox.kubectl_run(person, &all)
    }

    /// Starts a run of a runbook, as alice.
    pub fn start(&self, runbook: &str, name: &str) -> Result<()> {
        self.start_with(runbook, name, "")
    }

    /// Starts a run with more fields in its spec, each line indented by two blanks.
    pub fn start_with(&self, runbook: &str, name: &str, more: &str) -> Result<()> {
        let who = if self.leg == Leg::Plain { "  requestedBy: {username: alice}\n" } else { "" };
        let run = format!(
            "apiVersion: firstaid.dev/v1alpha1\nkind: RunbookRun\nmetadata: {{name: {name}}}\nspec:\n  runbook: {runbook}\n  reason: queue grows\n{who}{more}"
        );
        let output = self.sandbox.kubectl_input("alice", &["create", "-n", &self.namespace, "-f", "-"], &run)?;
        ensure!(output.success(), "{}", output.stderr);
        Ok(())
    }

    /// An object as JSON.
    pub fn get(&self, kind: &str, name: &str) -> Result<Value> {
        if let Some(read) = self.reader.get(&self.namespace, kind, name) {
            return read;
        }
        let text = self.kubectl("root", &["get", kind, name, "-o", "json"])?.ok()?;
        Ok(serde_json::from_str(&text)?)
    }

    /// All objects of a kind.
    pub fn list(&self, kind: &str) -> Result<Vec<Value>> {
        self.reader.list(&self.namespace, kind)
    }

    /// Waits until a run is in a phase. A final phase that is another one fails at once.
    pub fn wait_phase(&self, run: &str, phase: &str) -> Result<Value> {
        let mut ended = None;
        let found = poll(&format!("run {run} {phase}"), WITHIN, || {
            let found = self.get("rbr", run)?;
            let now = text(&found, "/status/phase");
            if now == phase {
                return Ok(Some(found));
            }
            if found.pointer("/status/finished") == Some(&Value::Bool(true)) {
                ended = Some(format!("run {run} ended {now}: {}", text(&found, "/status/message")));
                return Ok(None);
            }
            bail!("it is {now}: {} {}", text(&found, "/status/waitingOn"), text(&found, "/status/message"))
        });
        match (found, ended) {
            (Ok(Some(found)), _) => Ok(found),
            (_, Some(ended)) => bail!("{ended}{}", self.operator_log()),
            (Ok(None), None) => bail!("no answer"),
            (Err(error), None) => Err(error.context(self.operator_log())),
        }
    }

    fn operator_log(&self) -> String {
        self.operator
            .as_ref()
            .map(|operator| format!("; operator's log: {}", operator.log_path().display()))
            .unwrap_or_default()
    }

    /// Waits until the operator, whose guards need not stand for any time, has seen them in force after a run was made: with
    /// what becomes of them later the run has nothing to do. Then, as by `wait_phase`, the run.
    pub fn wait_guarded(&self, run: &str, phase: &str) -> Result<Value> {
        let found = self.wait_phase(run, phase)?;
        let second = |time: &str| time.get(..19).unwrap_or_default().to_owned();
        let made = second(text(&found, "/metadata/creationTimestamp"));
        poll("the operator to look at its guards", WITHIN, || {
            let path = "jsonpath={.metadata.annotations.firstaid\\.dev/guards}";
            let lease = ["get", "lease", "-n", "firstaid-system", "firstaid-guards", "-o", path];
            let known: Value = serde_json::from_str(&self.sandbox.kubectl_run("root", &lease)?.ok()?)?;
            ensure!(second(text(&known, "/seen")) > made, "the run was made at {made}: {known}");
            Ok(())
        })?;
        Ok(found)
    }

    /// The newest open ballot of a run that nobody has marked.
    pub fn ballot(&self, run: &str) -> Result<Value> {
        poll(&format!("an open ballot of {run}"), WITHIN, || {
            let open = |ballot: &Value| {
                text(ballot, "/spec/request/run") == run
                    && text(ballot, "/status/state") == "Open"
                    && ballot.pointer("/metadata/annotations/approve").is_none()
            };
            self.list("apv")?.into_iter().rfind(open).context("there is none")
        })
    }

    /// Marks a ballot as a person would type it, with the name where the cluster does not fill it in.
    pub fn mark(&self, person: &str, ballot: &str, mark: &str) -> Result<Output> {
        let by = format!("by={person}");
        let mut args = vec!["annotate", "apv", ballot, mark];
        if self.leg == Leg::Plain {
            args.push(&by);
        }
        self.kubectl(person, &args)
    }

    /// Approves the newest open ballot of a run, reading its code from it.
    pub fn approve(&self, person: &str, run: &str) -> Result<()> {
        let ballot = self.ballot(run)?;
        let mark = format!("approve={} queue grows, capacity is free", text(&ballot, "/spec/request/code"));
        self.mark(person, text(&ballot, "/metadata/name"), &mark)?.ok()?;
        Ok(())
    }

    /// The records of a run, in the order of their chain.
    pub fn records(&self, run: &str) -> Result<Vec<Value>> {
        let mut records: Vec<Value> = self.list("arec")?.into_iter().filter(|r| text(r, "/spec/run") == run).collect();
        records.sort_by_key(|r| r.pointer("/spec/seq").and_then(Value::as_i64));
        Ok(records)
    }

    /// Stops a run as bob, and waits until it has ended. The same words on every cluster.
    pub fn abort(&self, run: &str) -> Result<Value> {
        self.kubectl("bob", &["annotate", "rbr", run, "abort=wrong service"])?.ok()?;
        let ended = self.wait_phase(run, "Aborted")?;
        let by = match self.leg {
            Leg::Stamping => {
                assert_eq!(text(&ended, "/metadata/annotations/abort-by"), "bob");
                " by bob"
            }
            Leg::Plain => "",
        };
        let message = text(&ended, "/status/message");
        ensure!(message.starts_with(&format!("stopped{by}: wrong service")), "{message}");
        ensure!(ended.pointer("/status/finished") == Some(&json!(true)), "{ended:#}");
        let open: Vec<Value> = self
            .list("apv")?
            .into_iter()
            .filter(|b| text(b, "/spec/request/run") == run && text(b, "/status/state") == "Open")
            .collect();
        ensure!(
            open.iter().all(|ballot| ballot.pointer("/metadata/annotations/approve").is_some()),
            "a ballot can still be marked: {open:#?}"
        );
        Ok(ended)
    }

    /// Waits until a run waits for this.
    pub fn wait_held(&self, run: &str, by: &str) -> Result<Value> {
        poll(&format!("run {run} to wait for {by}"), WITHIN, || {
            let found = self.get("rbr", run)?;
            let waiting = text(&found, "/status/waitingOn");
            ensure!(
                waiting.contains(by),
                "it is {}: {waiting} {}",
                text(&found, "/status/phase"),
                text(&found, "/status/message")
            );
            Ok(found)
        })
    }
}

/// A text inside an object.
pub fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A number inside an object.
pub fn number(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
}
