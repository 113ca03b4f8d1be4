//! The judge: whether First Aid kept its promises in a namespace, by the API server's audit log and the objects that are
//! there in the end. It knows nothing of the operator's code, and believes the operator's records only where the log bears
//! them out.
//!
//! The log must hold requests and answers in full (level `RequestResponse`) of the kinds of `firstaid.dev`, and of what is
//! written in the name of a runbook's ServiceAccount: an act without its body is a breach. One etcd must hold everything, so
//! that resource versions tell the order of writes.

mod approvals;
mod ballots;
mod canonical;
mod chain;
mod cover;
mod effects;
mod evidence;
mod journal;
mod log;
mod moment;
mod records;
#[cfg(test)]
mod tests;
mod unclear;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use ballots::Ballot;
use effects::Effect;
use journal::Journal;
use log::{Entry, text};

/// What is judged: one namespace, from its beginning, and everything read when nothing moved any more.
#[derive(Clone, Debug, Default)]
pub struct Case {
    /// The entries of the audit log about this namespace. Lines may be doubled or out of order, and may be of any stage.
    /// Reading may be left out but for single runs and targets.
    pub entries: Vec<Value>,
    /// The runs that are there in the end.
    pub runs: Vec<Value>,
    /// The ballots that are there in the end.
    pub ballots: Vec<Value>,
    /// The records that are there in the end.
    pub records: Vec<Value>,
    /// What an archive holds, to which evidence goes before it may leave the cluster: runs, ballots and records.
    pub archive: Vec<Value>,
}

impl Case {
    /// The same, with what the archive alone holds beside what is there in the end.
    fn with_archive(&self) -> Self {
        let mut whole = self.clone();
        for object in &self.archive {
            let list = match text(object, "/kind") {
                "RunbookRun" => &mut whole.runs,
                "Approval" => &mut whole.ballots,
                "ActionRecord" => &mut whole.records,
                _ => continue,
            };
            let uid = text(object, "/metadata/uid");
            if !list.iter().any(|known| text(known, "/metadata/uid") == uid) {
                list.push(object.clone());
            }
        }
        whole
    }
}

/// A promise, in the order of its weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// J1: nothing is done without a durable intent.
    Intent,
    /// J1: nothing is done behind a gate that was not open.
    Approval,
    /// J2: nothing is done twice.
    Once,
    /// J3: what was done is on record, once, and what is on record was done.
    Record,
    /// J4: a stop wins.
    Stop,
    /// J5: never wider than planned.
    Target,
    /// J6: phases only go forward, and what is written stays.
    Forward,
    /// J7: the chain of records is whole.
    Chain,
    /// J8: evidence is never deleted, but for what an archive holds.
    Evidence,
    /// J9: the head in the run's status is the last record.
    Head,
}

impl fmt::Display for Rule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Intent => "J1 (intent)",
            Self::Approval => "J1 (approval)",
            Self::Once => "J2 (once)",
            Self::Record => "J3 (record)",
            Self::Stop => "J4 (stop)",
            Self::Target => "J5 (target)",
            Self::Forward => "J6 (forward)",
            Self::Chain => "J7 (chain)",
            Self::Evidence => "J8 (evidence)",
            Self::Head => "J9 (head)",
        })
    }
}

/// A promise that was not kept.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Breach {
    /// Which.
    pub rule: Rule,
    /// Name of the run; empty where it cannot be told.
    pub run: String,
    /// What happened, in a sentence.
    pub says: String,
}

impl Breach {
    fn new(rule: Rule, run: &str, says: String) -> Self {
        Self { rule, run: run.to_owned(), says }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} run {}: {}", self.rule, if self.run.is_empty() { "?" } else { &self.run }, self.says)
    }
}

/// What the judge found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The breaches, by rule, run and words.
    pub breaches: Vec<Breach>,
    /// How many runs were judged.
    pub runs: usize,
    /// How many writes took effect in the name of their ServiceAccounts.
    pub effects: usize,
    /// How many records were judged.
    pub records: usize,
    /// How many votes (or broken glasses) opened a gate for an effect.
    pub approvals: usize,
}

impl Verdict {
    /// Whether nothing was there to judge: no breach then proves nothing.
    pub fn is_empty(&self) -> bool {
        self.runs == 0 && self.effects == 0 && self.records == 0
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            write!(out, "nothing was judged: no run, no effect, no record")?;
        } else {
            let Self { runs, effects, records, approvals, .. } = self;
            write!(out, "judged: {runs} runs, {effects} effects, {records} records, {approvals} approvals; ")?;
            write!(out, "breaches: {}", self.breaches.len())?;
        }
        self.breaches.iter().try_for_each(|breach| write!(out, "\n  {breach}"))
    }
}

/// What all rules look at.
struct Facts<'a> {
    journals: Vec<Journal<'a>>,
    /// The writes that took effect: by their answer, or by what was answered later.
    effects: Vec<Effect<'a>>,
    /// The writes of which neither tells.
    unclear: Vec<Effect<'a>>,
    ballots: Vec<Ballot<'a>>,
    records: Vec<&'a Value>,
    /// Who wrote journals: the operator, by what it does.
    operators: BTreeSet<&'a str>,
    /// Whether the namespace was deleted, and the final objects tell nothing of what there was.
    namespace_goes: bool,
}

impl<'a> Facts<'a> {
    fn of(entries: &[Entry<'a>], case: &'a Case) -> Self {
        let namespace_goes = evidence::namespace_goes(entries);
        let journals = journal::journals(entries, &case.runs);
        let (effects, unclear) = unclear::cleared(entries, effects::effects(entries, &journals));
        let mut records: BTreeMap<&str, &Value> =
            case.records.iter().map(|record| (text(record, "/metadata/uid"), record)).collect();
        // With their namespace went the records; the log still shows how they were made.
        for entry in
            entries.iter().filter(|entry| namespace_goes && entry.is_about("actionrecords") && entry.is_write())
        {
            if let Some(record) = entry.object() {
                records.entry(text(record, "/metadata/uid")).or_insert(record);
            }
        }
        let writes =
            |entry: &&Entry<'a>| entry.is_about("runbookruns") && entry.subresource == "status" && entry.is_write();
        Self {
            journals,
            effects,
            unclear,
            ballots: ballots::ballots(entries, &case.ballots),
            records: records.into_values().collect(),
            operators: entries
                .iter()
                .filter(writes)
                .filter(|entry| entry.succeeded())
                .map(|entry| entry.user)
                .collect(),
            namespace_goes,
        }
    }
}

/// Judges a case.
pub fn judge(case: &Case) -> Verdict {
    let case = &case.with_archive();
    let entries = log::read(&case.entries);
    let facts = Facts::of(&entries, case);
    let Facts { effects, journals, records, .. } = &facts;
    let (approvals, votes) = approvals::approvals(&facts);
    let mut breaches: Vec<Breach> = [
        effects::intents(effects, journals),
        approvals,
        effects::doubles(effects, journals),
        records::records(&facts),
        effects::stops(effects, journals),
        effects::targets(effects, journals),
        journal::forward(journals),
        chain::chains(&facts),
        chain::heads(journals),
        evidence::kept(&entries, case, &facts.operators),
    ]
    .concat();
    breaches.sort();
    breaches.dedup();
    Verdict { breaches, runs: journals.len(), effects: effects.len(), records: records.len(), approvals: votes }
}
