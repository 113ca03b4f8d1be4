//! Whatever happens in whatever order: the promises hold. Most of them are asserted by the cluster at every turn (one
//! effective write of a token, an intent before each act, a journal that only grows, no silent wait, one unbroken chain
//! of records); here are the schedules, and what must be true at the end.

use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::json;

use super::cluster::{Cluster, Fate, check, scale, with};
use crate::action::Answer;
use crate::api::run::{Phase, Result};

/// Something that happens.
#[derive(Clone, Debug)]
enum Happening {
    Seconds(i64),
    Minutes(i64),
    Vote { by: &'static str, vote: &'static str },
    Stop,
    Settle(&'static str),
    Crash,
    DiesAfterTurns(usize),
    Next(Fate),
    LateCopiesArrive,
    SomebodyScales(i64),
    SomebodyReplaces(i64),
    SomebodyIsFaster(i64),
    Brake(bool),
    Blind(bool),
    Healthy(bool),
    MayApprove(bool),
}

fn happening() -> impl Strategy<Value = Happening> {
    let fate = prop_oneof![
        3 => Just(Fate::Answered),
        1 => prop_oneof![Just(403u16), Just(409), Just(422), Just(429)].prop_map(Fate::Refused),
        2 => Just(Fate::Lost),
        2 => Just(Fate::Cut),
        2 => Just(Fate::Late),
        2 => Just(Fate::DiesAfter),
        1 => Just(Fate::DiesBefore),
    ];
    let size = prop_oneof![Just(2i64), Just(4), Just(6), Just(10), Just(12)];
    let vote = prop_oneof![
        8 => Just(("bob", "CODE go")),
        4 => Just(("carol", "CODE go")),
        1 => Just(("alice", "CODE mine")),
        1 => Just(("bob", "0000 typo")),
        1 => Just(("dave", "CODE")),
    ];
    prop_oneof![
        8 => (1i64..20).prop_map(Happening::Seconds),
        1 => (1i64..20).prop_map(Happening::Minutes),
        8 => vote.prop_map(|(by, vote)| Happening::Vote { by, vote }),
        1 => Just(Happening::Stop),
        1 => prop_oneof![Just("done I saw it"), Just("not-done I looked"), Just("maybe")].prop_map(Happening::Settle),
        3 => Just(Happening::Crash),
        3 => (1usize..20).prop_map(Happening::DiesAfterTurns),
        6 => fate.prop_map(Happening::Next),
        3 => Just(Happening::LateCopiesArrive),
        2 => size.clone().prop_map(Happening::SomebodyScales),
        2 => size.clone().prop_map(Happening::SomebodyReplaces),
        2 => size.prop_map(Happening::SomebodyIsFaster),
        1 => any::<bool>().prop_map(Happening::Brake),
        1 => any::<bool>().prop_map(Happening::Blind),
        2 => any::<bool>().prop_map(Happening::Healthy),
        1 => any::<bool>().prop_map(Happening::MayApprove),
    ]
}

fn happens(c: &mut Cluster, happening: &Happening) {
    match happening.clone() {
        Happening::Seconds(seconds) => c.seconds_later(seconds),
        Happening::Minutes(minutes) => c.now += SignedDuration::from_mins(minutes),
        Happening::Vote { by, vote } => {
            if let Some(ballot) = c.open_ballots().first().cloned() {
                c.mark(&ballot, by, "approve", vote);
            }
        }
        Happening::Stop => c.annotate("abort", "enough"),
        // The API server takes this word only while the run asks for it.
        Happening::Settle(word) if c.phase() == Phase::NeedsHuman => c.annotate("settle", word),
        Happening::Settle(_) => {}
        Happening::Crash => c.crash(),
        Happening::DiesAfterTurns(turns) => c.dies_after_turns = Some(turns),
        Happening::Next(fate) => c.fates.push_back(fate),
        Happening::LateCopiesArrive => c.late_copies_arrive(),
        Happening::SomebodyScales(to) => c.somebody_scales("checkout", to),
        Happening::SomebodyReplaces(to) => c.somebody_replaces("checkout", to),
        Happening::SomebodyIsFaster(to) => c.races.push_back(to),
        Happening::Brake(on) => c.brake = Answer::Brake(on.then(|| "storm".to_owned())),
        Happening::Blind(true) => {
            drop(c.blind.insert("Deployment/checkout".to_owned(), Answer::Unreadable("slow".to_owned())))
        }
        Happening::Blind(false) => c.blind.clear(),
        Happening::Healthy(healthy) => c.healthy = healthy,
        Happening::MayApprove(may) => c.access = if may { Answer::Yes } else { Answer::No("no".to_owned()) },
    }
    if c.run.status.as_ref().is_none_or(|status| !status.finished) {
        c.pass();
    }
}

/// The kinds of runs.
fn runs() -> impl Strategy<Value = Cluster> {
    let gates = || {
        json!([{"name": "on-call", "requires": [{"role": "sre"}], "validFor": "5m", "timeout": "20m"},
            {"name": "both", "requires": [{"role": "sre", "count": 2}], "validFor": "5m", "timeout": "20m"}])
    };
    let basket = || json!({"name": "basket", "gate": "on-call", "when": "params.replicas > 5", "scale": {"target": {"kind": "Deployment", "name": "basket"}, "by": "50%"}});
    let short = |step, on_failure: &str| with(step, json!({"timeout": "30s", "onFailure": on_failure}));
    (0usize..5).prop_map(move |kind| {
        let steps = match kind {
            0 => json!([short(scale("out", "on-call", 10), "Stop")]),
            1 => json!([short(scale("out", "None", 10), "Continue"), check("calm", "object.spec.replicas == 10")]),
            2 => json!([
                short(scale("out", "on-call", 10), "Revert"),
                basket(),
                short(check("calm", "object.spec.replicas > 10"), "Revert")
            ]),
            3 => json!([
                check("sick", "true"),
                scale("out", "both", 10),
                with(scale("down", "on-call", 3), json!({"when": "steps['out'].ok"}))
            ]),
            _ => json!([
                short(scale("out", "None", 10), "Revert"),
                short(scale("down", "None", 3), "Revert"),
                short(check("calm", "false"), "Revert")
            ]),
        };
        Cluster::new(gates(), steps)
    })
}

/// The storm is over and people do what they are asked for.
fn comes_to_an_end(c: &mut Cluster) {
    c.brake = Answer::Brake(None);
    c.access = Answer::Yes;
    c.blind.clear();
    c.fates.clear();
    c.races.clear();
    c.dies_after_turns = None;
    for _ in 0..3000 {
        if c.run.status.as_ref().is_some_and(|status| status.finished) {
            c.pass();
            return;
        }
        let person = if c.now.as_millisecond() % 2 == 0 { "bob" } else { "carol" };
        if let Some(ballot) = c.open_ballots().first().cloned() {
            c.mark(&ballot, person, "approve", "CODE go");
        }
        if c.phase() == Phase::NeedsHuman {
            c.annotate("settle", "done I saw it");
            c.annotate("abort", "I do not know");
        }
        c.pass();
        c.now = c.now.max(c.last_wait.unwrap_or(c.now));
    }
    panic!("it does not end: {:?}, waiting on {:?}", c.phase(), c.waiting_on());
}

fn nothing_is_lost(c: &Cluster) {
    let status = c.status();
    assert!(status.phase.is_final());
    let settled: Vec<&str> =
        status.steps.values().filter_map(|step| step.settled.as_ref().map(|s| s.record.as_str())).collect();
    let records: Vec<&str> = c.records.keys().map(String::as_str).collect();
    assert_eq!(
        {
            let mut sorted = settled.clone();
            sorted.sort_unstable();
            sorted
        },
        records,
        "each settled step has exactly one record"
    );
    for token in &c.writes {
        let mut parts = token.rsplit('/');
        let (attempt, step) = (parts.next().unwrap(), parts.next().unwrap());
        let record = c.records.values().find(|r| r.spec.step == step && r.spec.attempt.to_string() == attempt);
        let record = record.unwrap_or_else(|| panic!("{token} was written and has no record"));
        assert!(
            matches!(record.spec.result, Result::Done | Result::Unknown),
            "{token} was written and is recorded as {:?}",
            record.spec.result
        );
        let gated = status.frozen.as_ref().unwrap()["steps"]
            .as_array()
            .unwrap()
            .iter()
            .any(|s| s["name"] == step && s["gate"] != "None" && s["gate"] != json!(null));
        assert!(!gated || !record.spec.approvals.is_empty(), "{token} was written without a vote");
    }
    for (key, step) in &status.steps {
        if let Some(outcome) = step.outcome.as_ref().filter(|o| o.result == Result::Done && o.acted_at.is_some()) {
            assert!(c.writes.iter().any(|token| key.ends_with(token.rsplit('/').next().unwrap())), "{outcome:?}");
        }
    }
    assert_eq!(
        status.record_head,
        c.records.values().max_by_key(|r| r.spec.seq).map(|r| r.spec.hash.clone()).unwrap_or_default()
    );
}

/// How many schedules are tried; more cost time only.
const CASES: u32 = 48;

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_promises_hold_in_every_schedule(mut c in runs(), happenings in prop::collection::vec(happening(), 0..40)) {
        for happening in &happenings {
            happens(&mut c, happening);
        }
        comes_to_an_end(&mut c);
        nothing_is_lost(&c);
    }

    #[test]
    fn a_late_copy_changes_nothing_after_the_end(mut c in runs(), happenings in prop::collection::vec(happening(), 0..25)) {
        for happening in &happenings {
            happens(&mut c, happening);
        }
        comes_to_an_end(&mut c);
        c.late_copies_arrive();
        nothing_is_lost(&c);
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let steps = match &self.runbook {
            Answer::Object(Some(runbook)) => runbook["spec"]["steps"].to_string(),
            other => format!("{other:?}"),
        };
        write!(f, "a run of {steps}")
    }
}
