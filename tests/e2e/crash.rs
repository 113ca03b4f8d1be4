//! The operator dies, at every point between plan and record, and is started again: one effect, one record.
//!
//! The points are those at which the operator passes on in a run without a death, learnt from its log: before and after
//! each decision that leaves a trace in the world (`src/control/crash_point.rs`).

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use firstaid_sandbox::{Operator, poll};
use serde_json::Value;

use crate::audit::Audit;
use crate::chain;
use crate::town::{Leg, Town, WITHIN, number, text};

/// A runbook, and what a person does before each run of it so that there is something to do.
struct Story {
    runbook: &'static str,
    /// Who approves.
    voters: &'static [&'static str],
    /// Makes the target as it was before the first run.
    reset: fn(&Town) -> Result<()>,
    /// The phase in which each run ends.
    ends: &'static str,
    /// Effects of one run.
    effects: usize,
    /// Records of one run.
    records: usize,
}

const SCALE: Story = Story {
    runbook: "
apiVersion: firstaid.dev/v1alpha1
kind: Runbook
metadata: {name: crash}
spec:
  summary: More pods of checkout
  gates: [{name: on-call, requires: [{role: sre}]}]
  steps:
  - name: scale-out
    gate: on-call
    timeout: 30s
    scale: {target: {kind: Deployment, name: checkout}, replicas: 6}
",
    voters: &["bob"],
    reset: reset_size,
    ends: "Succeeded",
    effects: 1,
    records: 1,
};

const FLAG: Story = Story {
    runbook: "
apiVersion: firstaid.dev/v1alpha1
kind: Runbook
metadata: {name: crash}
spec:
  summary: Recommendations off, and see it
  gates: [{name: on-call, requires: [{role: sre}]}]
  steps:
  - name: switch-off
    gate: on-call
    disable: {flag: recommendations, configMap: {name: shop-flags, key: flags.json, format: Json, pointer: /recommendations}}
  - name: seen
    check: {object: {kind: ConfigMap, name: shop-flags}, that: 'object.data[\"flags.json\"].contains(\"false\")'}
",
    voters: &["bob"],
    reset: reset_flag,
    ends: "Succeeded",
    effects: 1,
    records: 2,
};

/// Two votes, two acts (a change and its undo), and a record whose state is written again.
const REVERT: Story = Story {
    runbook: "
apiVersion: firstaid.dev/v1alpha1
kind: Runbook
metadata: {name: crash}
spec:
  summary: More pods of checkout, which does not help
  gates: [{name: on-call, requires: [{role: sre, count: 2}]}]
  steps:
  - name: scale-out
    gate: on-call
    scale: {target: {kind: Deployment, name: checkout}, replicas: 6}
  - name: helped
    check: {object: {kind: Deployment, name: checkout}, that: 'false', within: 1s}
    onFailure: Revert
",
    voters: &["bob", "dave"],
    reset: reset_size,
    ends: "Reverted",
    effects: 2,
    records: 3,
};

/// As [`SCALE`], with less patience.
const HAND: Story = Story {
    runbook: "
apiVersion: firstaid.dev/v1alpha1
kind: Runbook
metadata: {name: crash}
spec:
  summary: More pods of checkout
  gates: [{name: on-call, requires: [{role: sre}]}]
  steps:
  - name: scale-out
    gate: on-call
    timeout: 20s
    scale: {target: {kind: Deployment, name: checkout}, replicas: 6}
",
    ..SCALE
};

fn reset_size(town: &Town) -> Result<()> {
    town.kubectl("root", &["scale", "deployment/checkout", "--replicas=4"])?.ok()?;
    Ok(())
}

fn reset_flag(town: &Town) -> Result<()> {
    let patch = r#"{"data": {"flags.json": "{\"recommendations\": true}"}}"#;
    town.kubectl("root", &["patch", "configmap", "shop-flags", "--type=merge", "-p", patch])?.ok()?;
    Ok(())
}

/// A town in which operators die.
struct Ward {
    town: Town,
    story: &'static Story,
}

impl Ward {
    fn open(leg: Leg, name: &str, story: &'static Story) -> Result<Self> {
        let town = Town::empty(leg, name)?;
        town.sandbox.open_shop(&town.namespace)?;
        town.runbook(story.runbook)?;
        Ok(Self { town, story })
    }

    /// An operator that dies at this point. Without a lease: a new one need not wait until the dead one's has run out, and
    /// nothing that is tested here may rest on a lease.
    fn operator(&self, dies: &str) -> Result<Operator> {
        let args = ["--namespaces", &self.town.namespace, "--lease-name="];
        let binary = std::path::Path::new(env!("CARGO_BIN_EXE_firstaid"));
        let mut operator =
            self.town.sandbox.start_operator(binary, &args, &[("RUST_LOG", "info"), ("FIRSTAID_CRASH_AT", dies)])?;
        operator.wait_ready(WITHIN)?;
        Ok(operator)
    }

    /// The points that the operator passes on in a run in which it does not die.
    fn points(&self) -> Result<Vec<String>> {
        let mut operator = self.operator("nowhere")?;
        let audit = Audit::begin(&self.town)?;
        (self.story.reset)(&self.town)?;
        self.town.start("crash", "alive")?;
        ensure!(
            !self.follow("alive", &mut operator)?,
            "the operator died by itself: {}",
            operator.log_path().display()
        );
        self.check("alive", &audit)?;
        let log = std::fs::read_to_string(operator.log_path())?;
        let entries = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        Ok(entries
            .filter(|entry| text(entry, "/message") == "crash point")
            .map(|entry| text(&entry, "/point").to_owned())
            .collect())
    }

    /// Approves what is to be approved until the run or the operator ends. Whether it was the operator.
    fn follow(&self, run: &str, operator: &mut Operator) -> Result<bool> {
        poll(&format!("the end of {run}, or of its operator"), WITHIN, || {
            if operator.has_ended()? {
                return Ok(true);
            }
            self.vote(run)?;
            let found = self.town.get("rbr", run)?;
            ensure!(
                found.pointer("/status/finished") == Some(&Value::Bool(true)),
                "{} {}; {}",
                text(&found, "/status/phase"),
                text(&found, "/status/waitingOn"),
                operator.log_path().display()
            );
            Ok(false)
        })
    }

    /// Marks each open ballot of a run that nobody has marked, each by another person.
    fn vote(&self, run: &str) -> Result<()> {
        let ballots: Vec<Value> =
            self.town.list("apv")?.into_iter().filter(|ballot| text(ballot, "/spec/request/run") == run).collect();
        let by = |ballot: &Value| text(ballot, "/metadata/annotations/by").to_owned();
        let mut voted: BTreeSet<String> = ballots.iter().map(by).collect();
        for ballot in &ballots {
            if text(ballot, "/status/state") != "Open" || !by(ballot).is_empty() {
                continue;
            }
            let Some(person) = self.story.voters.iter().find(|person| !voted.contains(**person)) else { continue };
            let mark = format!("approve={} it is needed", text(ballot, "/spec/request/code"));
            let marked = self.town.mark(person, text(ballot, "/metadata/name"), &mark)?;
            // The operator may just have closed it.
            if marked.success() {
                voted.insert((*person).to_owned());
            }
        }
        Ok(())
    }

    /// A run whose operator dies at this point and is started again. Whether the operator came to that point.
    fn die_at(&self, point: &str) -> Result<bool> {
        let run = format!("at-{}", point.replace(':', "-"));
        (self.story.reset)(&self.town)?;
        let audit = Audit::begin(&self.town)?;
        let mut operator = self.operator(point)?;
        self.town.start("crash", &run)?;
        let died = self.follow(&run, &mut operator)?;
        if died {
            operator = self.operator("nowhere")?;
            ensure!(!self.follow(&run, &mut operator)?, "it died again: {}", operator.log_path().display());
        }
        self.check(&run, &audit)?;
        Ok(died)
    }

    /// As [`Ward::die_at`], where `meanwhile` happens between death and new life, which tells how it ends: the run as it ended, and the number of
    /// its effects. There is one record and its chain is whole in any case.
    fn die_and_tell(&self, point: &str, meanwhile: impl FnOnce(&Town, &str) -> Result<()>) -> Result<(Value, usize)> {
        let run = format!("at-{}", point.replace(':', "-"));
        (self.story.reset)(&self.town)?;
        let audit = Audit::begin(&self.town)?;
        let mut operator = self.operator(point)?;
        self.town.start("crash", &run)?;
        ensure!(self.follow(&run, &mut operator)?, "the operator did not come to {point}");
        meanwhile(&self.town, &run)?;
        let mut operator = self.operator("nowhere")?;
        ensure!(!self.follow(&run, &mut operator)?, "it died again: {}", operator.log_path().display());
        let ended = self.town.get("rbr", &run)?;
        let (records, effects) = (self.town.records(&run)?, audit.effects()?);
        ensure!(records.len() == 1, "{} records", records.len());
        self.check_records(&ended, &records, &effects, &audit)?;
        Ok((ended, effects.len()))
    }

    /// One effect for each record that says so, one record for each step, every approval and every hash as it should be.
    fn check(&self, run: &str, audit: &Audit) -> Result<()> {
        let ended = self.town.get("rbr", run)?;
        ensure!(
            text(&ended, "/status/phase") == self.story.ends,
            "it ended {}: {}",
            text(&ended, "/status/phase"),
            text(&ended, "/status/message")
        );
        let records = self.town.records(run)?;
        let effects = audit.effects()?;
        ensure!(records.len() == self.story.records, "{} records instead of {}", records.len(), self.story.records);
        ensure!(
            effects.len() == self.story.effects,
            "{} effects instead of {}: {effects:#?}",
            effects.len(),
            self.story.effects
        );
        self.check_records(&ended, &records, &effects, audit)
    }

    fn check_records(&self, run: &Value, records: &[Value], effects: &[Value], audit: &Audit) -> Result<()> {
        chain::verify(run, records)?;
        let steps: BTreeSet<(&str, i64)> =
            records.iter().map(|r| (text(r, "/spec/step"), number(r, "/spec/attempt"))).collect();
        ensure!(steps.len() == records.len(), "two records of one step: {steps:?}");
        let changes: Vec<&Value> =
            records.iter().filter(|r| r.pointer("/spec/changed") == Some(&Value::Bool(true))).collect();
        ensure!(changes.len() == effects.len(), "{} records of {} effects", changes.len(), effects.len());
        for (record, effect) in changes.into_iter().zip(effects) {
            let token = format!(
                "{}/{}/{}/{}",
                text(run, "/metadata/name"),
                text(run, "/metadata/uid"),
                text(record, "/spec/step"),
                number(record, "/spec/attempt")
            );
            let intended = audit.intent_of(&token)?;
            let sent = text(effect, "/requestReceivedTimestamp");
            ensure!(intended.as_str() < sent, "{token} was sent at {sent}, and its intent was stored at {intended}");
            // Of a ConfigMap the audit log holds no text.
            if let Some(patch) = effect.get("requestObject") {
                ensure!(patch.to_string().contains(&token), "not the effect of {token}: {patch}");
            }
            self.check_approvals(record)?;
        }
        Ok(())
    }

    /// Whoever approved is in the record, and the ballot still says so.
    fn check_approvals(&self, record: &Value) -> Result<()> {
        let votes = record.pointer("/spec/approvals").and_then(Value::as_array).context("no approvals")?;
        let by: BTreeSet<&str> = votes.iter().map(|vote| text(vote, "/by")).collect();
        ensure!(by == self.story.voters.iter().copied().collect(), "approved by {by:?}");
        for vote in votes {
            let ballot = self.town.get("apv", text(vote, "/ballot"))?;
            ensure!(text(&ballot, "/metadata/uid") == text(vote, "/ballotUID"), "another ballot");
            ensure!(text(&ballot, "/metadata/annotations/by") == text(vote, "/by"), "by somebody else");
            ensure!(text(&ballot, "/metadata/annotations/approve").ends_with(text(vote, "/why")), "in other words");
        }
        Ok(())
    }
}

/// Dies at every point of a story, from one on: what comes before has been died through in another story.
fn dies_everywhere(leg: Leg, name: &str, story: &'static Story, from: &str) -> Result<()> {
    let ward = Ward::open(leg, name, story)?;
    let points = ward.points()?;
    for wanted in ["before-write:1", "after-ask:1", "before-act:1", "after-act:1", "before-record:1", "after-record:1"]
    {
        ensure!(points.iter().any(|point| point == wanted), "{wanted} is missing among {points:?}");
    }
    for point in points.iter().skip_while(|point| *point != from) {
        let died = ward.die_at(point).with_context(|| point.clone())?;
        // How often the journal is written depends on how soon the pods are ready; everything else is as it was.
        ensure!(died || point.contains("write"), "the operator did not come to {point}");
    }
    Ok(())
}

#[test]
fn a_scaling_survives_the_death_of_the_operator_at_every_point() -> Result<()> {
    dies_everywhere(Leg::Plain, "crash-scale", &SCALE, "before-write:1")
}

#[test]
fn a_flag_survives_the_death_of_the_operator_at_every_point() -> Result<()> {
    dies_everywhere(Leg::Stamping, "crash-flag", &FLAG, "before-write:1")
}

#[test]
fn an_undo_survives_the_death_of_the_operator_at_every_point() -> Result<()> {
    dies_everywhere(Leg::Stamping, "crash-undo", &REVERT, "before-record:1")
}

/// A person scales by hand while the operator is dead: what was approved still holds (it is still below 6), what was done
/// is not done again, and what cannot be told is asked.
#[test]
fn a_person_changes_the_target_while_the_operator_is_dead() -> Result<()> {
    let ward = Ward::open(Leg::Stamping, "crash-hand", &HAND)?;
    for (point, phase, wanted) in [
        // Nothing was done: 5 -> 6 is still what was approved.
        ("before-write:1", "Succeeded", 6),
        ("after-write:1", "Succeeded", 6),
        ("before-act:1", "Succeeded", 6),
        // It was done, and then undone by hand before it was seen to take hold: said, and not done again.
        ("after-act:1", "Failed", 5),
        ("before-write:2", "Failed", 5),
        // It was done and seen. What a person does later is not the run's business.
        ("before-record:1", "Succeeded", 5),
        ("after-record:1", "Succeeded", 5),
    ] {
        let by_hand = |town: &Town, _: &str| {
            town.kubectl("alice", &["scale", "deployment/checkout", "--replicas=5"])?.ok().map(drop)
        };
        let (ended, effects) = ward.die_and_tell(point, by_hand).with_context(|| point.to_owned())?;
        ensure!(
            text(&ended, "/status/phase") == phase,
            "{point}: {}: {}",
            text(&ended, "/status/phase"),
            text(&ended, "/status/message")
        );
        ensure!(effects == 1, "{point}: {effects} effects");
        let checkout = ward.town.get("deployment", "checkout")?;
        ensure!(
            number(&checkout, "/spec/replicas") == wanted,
            "{point}: {} replicas",
            number(&checkout, "/spec/replicas")
        );
    }
    Ok(())
}

/// A person puts an old copy of the object back while the operator is dead, and wipes the token with it. Nobody can tell
/// any more whether the act took place: a person is asked, and nothing is done until then.
#[test]
fn what_cannot_be_read_back_is_asked() -> Result<()> {
    let ward = Ward::open(Leg::Stamping, "crash-ask", &HAND)?;
    reset_size(&ward.town)?;
    let mut before = ward.town.get("deployment", "checkout")?;
    before["metadata"] =
        serde_json::json!({"name": "checkout", "namespace": ward.town.namespace, "labels": {"app": "checkout"}});
    let put_back = |town: &Town, run: &str| {
        town.sandbox.kubectl_input("alice", &["replace", "-f", "-"], &before.to_string())?.ok()?;
        let mut operator = ward.operator("nowhere")?;
        let asked = town.wait_phase(run, "NeedsHuman")?;
        ensure!(text(&asked, "/status/waitingOn").contains("look, then settle it"), "{asked:#}");
        // It may have taken place, as this one has; whoever looks into the audit log knows.
        let settle = ["settle", run, "done", "--reason", "the audit log shows it"];
        let said = crate::plugin::firstaid(town, "alice", &settle)?.ended(0)?;
        ensure!(said.starts_with(&format!("runbookrun/{run} settled as done by alice")), "{said}");
        town.wait_phase(run, "Failed")?;
        operator.kill()
    };
    let (ended, effects) = ward.die_and_tell("after-act:1", put_back)?;
    assert_eq!(effects, 1, "{ended:#}");
    let record = &ward.town.records(text(&ended, "/metadata/name"))?[0];
    assert_eq!((text(record, "/spec/result"), text(record, "/spec/verified")), ("Unknown", "No"));
    assert!(text(record, "/spec/message").contains("alice said done: the audit log shows it"), "{record:#}");
    Ok(())
}

/// Two operators work on one namespace, without a lease: what one has done the other finds done.
#[test]
fn two_operators_at_once_act_once() -> Result<()> {
    for story in [&SCALE, &FLAG] {
        let ward = Ward::open(Leg::Stamping, "crash-two", story)?;
        let mut operators = [ward.operator("nowhere")?, ward.operator("nowhere")?];
        for number in 0..5 {
            let run = format!("two-{number}");
            (story.reset)(&ward.town)?;
            let audit = Audit::begin(&ward.town)?;
            ward.town.start("crash", &run)?;
            ensure!(!ward.follow(&run, &mut operators[0])?, "an operator died");
            ward.check(&run, &audit).with_context(|| run.clone())?;
        }
        ensure!(!operators[1].has_ended()?, "an operator died");
    }
    Ok(())
}
