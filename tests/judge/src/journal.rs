//! The journal of each run (its status), version by version, and that it only grows.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::log::{Entry, annotation, is_true, members, text, version};
use crate::moment::{Moment, is_before};
use crate::{Breach, Rule};

const FINAL: [&str; 6] = ["Succeeded", "Failed", "Denied", "Expired", "Aborted", "Reverted"];

/// A version of a run, as the API server answered it.
#[derive(Clone, Copy, Debug)]
pub struct Version<'a> {
    /// The run.
    pub run: &'a Value,
    /// The request that was answered with it; none for the run as it was found in the end.
    pub entry: Option<Entry<'a>>,
}

/// A run with all versions of it that are known, the oldest first.
#[derive(Clone, Debug)]
pub struct Journal<'a> {
    /// Uid of the run.
    pub uid: &'a str,
    /// Its name.
    pub name: &'a str,
    /// The versions; at least one.
    pub versions: Vec<Version<'a>>,
    /// The newest of them.
    pub last: &'a Value,
}

/// Something that the journal says is to be done, written before it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Intent<'a> {
    /// The plan under which it stands, by its key `<segment>.<revision>`.
    pub plan: &'a str,
    /// What the act leaves on its target.
    pub token: &'a str,
    /// Uid of the target.
    pub target: &'a str,
}

impl Intent<'_> {
    /// The revision of its plan.
    fn revision(&self) -> u64 {
        self.plan.split_once('.').and_then(|(_, revision)| revision.parse().ok()).unwrap_or_default()
    }
}

/// The runs that are there or were seen in the log, by uid.
///
/// Every answer with the whole run in it counts, of whatever write, and of a read too: what was read was stored before.
pub fn journals<'a>(entries: &[Entry<'a>], runs: &'a [Value]) -> Vec<Journal<'a>> {
    let mut all: BTreeMap<&str, Vec<Version<'a>>> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.is_about("runbookruns")) {
        if let Some(run) = entry.object() {
            all.entry(text(run, "/metadata/uid")).or_default().push(Version { run, entry: Some(*entry) });
        }
    }
    for run in runs {
        all.entry(text(run, "/metadata/uid")).or_default().push(Version { run, entry: None });
    }
    all.into_iter().filter_map(|(uid, versions)| Journal::new(uid, versions)).collect()
}

impl<'a> Journal<'a> {
    fn new(uid: &'a str, mut versions: Vec<Version<'a>>) -> Option<Self> {
        // Requests that overlap are logged in the order of their answers, which is not always that of the versions. Where a
        // version has no number the order of the log is the best there is.
        if versions.iter().all(|v| version(v.run).is_some()) {
            versions.sort_by_key(|v| version(v.run));
        }
        let last = versions.last()?.run;
        Some(Self { uid, name: text(last, "/metadata/name"), versions, last })
    }

    /// The ServiceAccount as which the run acts; empty before it was taken up.
    pub fn account(&self) -> String {
        match text(self.last, "/status/frozen/serviceAccount") {
            "" => String::new(),
            name => format!("system:serviceaccount:{}:{name}", text(self.last, "/metadata/namespace")),
        }
    }

    /// Whether it has ended.
    pub fn is_finished(&self) -> bool {
        is_true(self.last, "/status/finished")
    }

    /// The versions that were stored, and known to be, before a moment.
    pub fn before(&self, moment: Option<Moment>) -> impl Iterator<Item = &Version<'a>> {
        self.versions.iter().filter(move |v| v.entry.is_some_and(|entry| is_before(entry.answered, moment)))
    }

    /// The intent of a token that was in force at a moment: of the plan that the outcome names, else of the newest one that
    /// was there. A step that is planned anew keeps its token.
    pub fn intent_before(&self, token: &str, step: &str, attempt: i64, moment: Option<Moment>) -> Option<Intent<'a>> {
        let known: Vec<Intent<'a>> =
            self.before(moment).flat_map(|v| intents(v.run)).filter(|intent| intent.token == token).collect();
        let done_under = self.entry(step, attempt).map(|entry| text(entry, "/outcome/plan")).unwrap_or_default();
        let named = known.iter().find(|intent| intent.plan == done_under);
        named.or_else(|| known.iter().max_by_key(|intent| intent.revision())).copied()
    }

    /// When an intent of a token is first known to have been stored, if ever.
    pub fn first_intent(&self, token: &str) -> Option<Moment> {
        let with = |v: &&Version<'a>| intents(v.run).iter().any(|intent| intent.token == token);
        self.versions.iter().filter(with).filter_map(|v| v.entry?.answered).min()
    }

    /// What the journal says in the end of an attempt at a step.
    pub fn entry(&self, step: &str, attempt: i64) -> Option<&'a Value> {
        entry_of(self.last, step, attempt)
    }

    /// A plan; it is written once, so any version that has it tells.
    pub fn plan(&self, key: &str) -> Option<&'a Value> {
        let plan_of = |v: &Version<'a>| members(v.run, "/status/plans").find(|(k, _)| *k == key).map(|(_, plan)| plan);
        self.versions.iter().find_map(plan_of)
    }

    /// The write by which a person put this annotation on the run: the first version that has it. A read of the same version
    /// may be in the log before it.
    pub fn said(&self, key: &str) -> Option<Version<'a>> {
        let said =
            |v: &&Version<'a>| !annotation(v.run, key).is_empty() && v.entry.is_some_and(|entry| entry.is_write());
        self.versions.iter().find(said).copied()
    }
}

/// The journal's entry of an attempt in a version of a run.
pub fn entry_of<'a>(run: &'a Value, step: &str, attempt: i64) -> Option<&'a Value> {
    let key = format!("{step}.{attempt}");
    members(run, "/status/steps").find(|(k, _)| *k == key).map(|(_, entry)| entry)
}

/// All intents in a version of a run: of the plans, and those that stand beside them (of an undo).
fn intents(run: &Value) -> Vec<Intent<'_>> {
    let of = |plan, step| Intent { plan, token: text(step, "/token"), target: text(step, "/target/uid") };
    let planned = members(run, "/status/plans")
        .flat_map(|(key, plan)| crate::log::items(plan, "/steps").map(move |step| of(key, step)));
    let beside = members(run, "/status/steps")
        .filter_map(|(_, entry)| Some(of(text(entry, "/intent/plan"), entry.pointer("/intent/step")?)));
    planned.chain(beside).collect()
}

/// J6: phases only go forward, and what is written stays.
///
/// *Proved*: between any two versions of a run that the log or the final objects show, one after the other by the API
/// server's own count, no plan, no frozen runbook and no part of an attempt's entry (`intent`, `outcome`, `settled`) changed
/// or vanished; a run that was finished stayed so, in the phase in which it ended; a final phase stayed.
///
/// *From*: the answers to all requests on runs, and the runs as they are in the end.
///
/// *Not seen*: a version that nobody was answered with (written past the API server, and undone before anybody looked).
pub fn forward(journals: &[Journal<'_>]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for journal in journals {
        for (old, new) in journal.versions.iter().zip(journal.versions.iter().skip(1)) {
            let by = new
                .entry
                .map_or_else(|| "in the end".to_owned(), |entry| format!("by {}: {}", entry.user, entry.says()));
            let says = taken_back(old.run, new.run).into_iter().map(|what| format!("{what}, {by}"));
            breaches.extend(says.map(|says| Breach::new(Rule::Forward, journal.name, says)));
        }
    }
    breaches
}

/// What the newer version of a run has not got any more as the older one had it.
fn taken_back(old: &Value, new: &Value) -> Vec<String> {
    let mut all = Vec::new();
    let mut stays = |what: String, pointer: &[&str]| {
        let (before, now) = (find(old, pointer), find(new, pointer));
        if before.is_some() && before != now {
            all.push(format!("{what} {}", if now.is_some() { "was changed" } else { "vanished" }));
        }
    };
    stays("the frozen runbook".to_owned(), &["frozen"]);
    for (key, _) in members(old, "/status/plans") {
        stays(format!("plan {key}"), &["plans", key]);
    }
    for (key, entry) in members(old, "/status/steps") {
        for part in ["intent", "outcome", "settled"].into_iter().filter(|part| entry.get(part).is_some()) {
            stays(format!("the {part} of {key}"), &["steps", key, part]);
        }
    }
    let (was, is) = (text(old, "/status/phase"), text(new, "/status/phase"));
    if was != is && FINAL.contains(&was) {
        all.push(format!("it had ended {was}, and is {is:?}"));
    }
    if is_true(old, "/status/finished") && !is_true(new, "/status/finished") {
        all.push(format!("it was finished ({was}), and is so no longer"));
    }
    all
}

/// What stands at a path below the status. Keys of plans and steps hold dots and may hold anything, so this is no pointer.
fn find<'a>(run: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(run.get("status")?, |value, key| value.get(key))
}
