//! Each test ends before the judge (`tests/judge`): by the audit log and the objects of its namespace alone, whatever it was
//! about, did First Aid keep its promises to every run?

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use firstaid_judge::{Breach, Case, Rule, Verdict, judge};
use serde_json::Value;

use crate::town::{Leg, Town, text};

/// For how long what looks like a breach is looked at again: what was under way when the operator was killed may be stored
/// a little later, and in the log before it is among the objects.
const SETTLES: Duration = Duration::from_secs(5);

/// What a test forges itself, so that the judge is right to find it.
#[derive(Debug, Default)]
pub struct Forged(Mutex<Vec<Forgery>>);

#[derive(Clone, Copy, Debug)]
struct Forgery {
    rules: &'static [Rule],
    /// Words of the breach: the name of the run, of the object.
    words: &'static str,
    because: &'static str,
}

impl Forged {
    fn all(&self) -> Vec<Forgery> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why a breach is to be there, if it is.
    fn explains(&self, breach: &Breach) -> Option<&'static str> {
        let said = breach.to_string();
        let found =
            self.all().into_iter().find(|forgery| forgery.rules.contains(&breach.rule) && said.contains(forgery.words));
        found.map(|forgery| forgery.because)
    }
}

impl Town {
    /// This test breaks promises by its own hand, as the operator never may: the judge is not to mind a breach of these rules
    /// in whose sentence these words are. All other rules, and these ones elsewhere, are judged as ever.
    pub fn forges(&self, rules: &'static [Rule], words: &'static str, because: &'static str) {
        self.forged.0.lock().unwrap_or_else(PoisonError::into_inner).push(Forgery { rules, words, because });
    }

    /// What the judge gets to see: everything of this namespace since the town began.
    pub fn case(&self) -> Result<Case> {
        // First the log: of what the log tells, the objects must be there.
        let entries = self.log.evidence()?;
        let archive = self.archive.as_deref().map(archived).transpose()?.unwrap_or_default();
        Ok(Case { entries, runs: self.list("rbr")?, ballots: self.list("apv")?, records: self.list("arec")?, archive })
    }

    /// Judges all runs of this namespace. The operator must be gone.
    pub fn judge(&self) -> Result<Verdict> {
        let began = Instant::now();
        loop {
            let mut verdict = judge(&self.case()?);
            verdict.breaches.retain(|breach| match self.forged.explains(breach) {
                Some(because) => {
                    println!("namespace {}: {breach}: {because}", self.namespace);
                    false
                }
                None => true,
            });
            if verdict.breaches.is_empty() || began.elapsed() > SETTLES {
                return Ok(verdict);
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Ends the operator, and fails if it did not keep its promises.
    pub fn end_before_the_judge(&mut self) {
        drop(self.operator.take());
        let verdict = self.judge().expect("the judge reads the namespace");
        println!("namespace {}: {verdict}", self.namespace);
        let breaches: Vec<String> =
            verdict.breaches.iter().map(|breach| format!("namespace {}: {breach}", self.namespace)).collect();
        assert_eq!(breaches, Vec::<String>::new(), "the audit log is {}", self.sandbox.audit_log().display());
    }
}

/// All objects of the runs whose files are in this folder.
fn archived(folder: &Path) -> Result<Vec<Value>> {
    let mut objects = Vec::new();
    for file in std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            for line in std::fs::read_to_string(&path)?.lines() {
                objects.push(serde_json::from_str(line).with_context(|| format!("a line of {}", path.display()))?);
            }
        }
    }
    Ok(objects)
}

const RUNBOOK: &str = "
apiVersion: firstaid.dev/v1alpha1
kind: Runbook
metadata: {name: room}
spec:
  summary: One more
  gates: [{name: on-call, requires: [{role: sre}]}]
  steps:
  - {name: scale-out, gate: on-call, scale: {target: {kind: Deployment, name: checkout}, by: 1}}
";

/// The judge is no idle one: on this log, too, it sees what is missing.
#[test]
fn the_judge_sees_what_is_missing_in_a_real_log() -> Result<()> {
    let mut town = Town::open(Leg::Plain, "judged")?;
    town.runbook(RUNBOOK)?;
    town.start("room", "seen")?;
    town.wait_phase("seen", "Waiting")?;
    town.approve("bob", "seen")?;
    town.wait_phase("seen", "Succeeded")?;
    drop(town.operator.take());
    let Verdict { runs, effects, records, approvals, breaches } = town.judge()?;
    ensure!((runs, effects, records, approvals) == (1, 1, 1, 1) && breaches.is_empty(), "{:?}", town.judge());

    let whole = town.case()?;
    let rules = |case: &Case| {
        let mut rules: Vec<Rule> = judge(case).breaches.iter().map(|breach| breach.rule).collect();
        rules.dedup();
        rules
    };
    let without = |away: &dyn Fn(&Value) -> bool| {
        let mut case = whole.clone();
        case.entries.retain(|entry| !away(entry));
        rules(&case)
    };
    let of = |entry: &Value, verb: &str, resource: &str| {
        text(entry, "/verb") == verb && text(entry, "/objectRef/resource") == resource
    };
    assert_eq!(without(&|entry| of(entry, "patch", "approvals")), [Rule::Approval]);
    assert_eq!(without(&|entry| of(entry, "patch", "deployments")), [Rule::Record]);
    let token = format!("seen/{}/scale-out/1", text(&whole.runs[0], "/metadata/uid"));
    let of_token =
        |entry: &Value| entry.pointer("/responseObject/status").is_some_and(|s| s.to_string().contains(&token));
    assert_eq!(
        without(&|entry| text(entry, "/objectRef/resource") == "runbookruns" && of_token(entry)),
        [Rule::Intent]
    );

    let mut twice = whole.clone();
    let is_act = |entry: &&Value| of(entry, "patch", "deployments") && !text(entry, "/requestURI").contains("dryRun");
    let act = whole.entries.iter().find(is_act).context("an act")?;
    twice.entries.push(act.clone());
    assert_eq!(rules(&twice), [], "a line that is there twice");
    if let Some(act) = twice.entries.last_mut() {
        act["auditID"] = Value::from("another request");
    }
    assert_eq!(rules(&twice), [Rule::Once, Rule::Record]);
    Ok(())
}
