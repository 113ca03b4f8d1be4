//! The file of a run in the archive, as text, and how it differs from what the cluster has. Pure.
//!
//! A file is the run, its ballots and its records, one JSON object a line: what `firstaid verify -f` reads.

use std::fmt;

use serde_json::Value;

use crate::api::{APPROVE_ANNOTATION, BY_ANNOTATION, DENY_ANNOTATION};
use crate::verify::{Evidence, Stored};

/// Which kind of evidence, in the order in which it is removed: whoever is interrupted still finds the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An Approval.
    Ballot,
    /// An ActionRecord.
    Record,
    /// The RunbookRun.
    Run,
}

impl Kind {
    /// All of them, in that order.
    pub const ALL: [Self; 3] = [Self::Ballot, Self::Record, Self::Run];

    /// The objects of this kind.
    pub(super) fn of(self, evidence: &Evidence) -> &[Stored] {
        match self {
            Self::Ballot => &evidence.ballots,
            Self::Record => &evidence.records,
            Self::Run => &evidence.runs,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ballot => "ballot",
            Self::Record => "record",
            Self::Run => "run",
        })
    }
}

/// How an object in a file differs from the one in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// The file has it, the cluster has it no more.
    Gone,
    /// The cluster has it, the file does not.
    New,
    /// Something was added since that may be added: a mark, a ratification, the state of a record.
    Later,
    /// What may not change is not the same.
    Changed,
}

/// An object that is not the same in a file and in the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub kind: Kind,
    pub name: String,
    pub how: How,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, name, how } = self;
        match how {
            How::Gone => write!(f, "{kind} {name} is in the file and gone from the cluster"),
            How::New => write!(f, "{kind} {name} is in the cluster and not in the file"),
            How::Later => write!(f, "{kind} {name} has changed since the file was written"),
            How::Changed => write!(f, "{kind} {name} in the file is not the one in the cluster"),
        }
    }
}

/// The text of a file: the run, its ballots by name, its records by their place, each on a line of its own.
pub fn render(evidence: &Evidence) -> String {
    let mut ballots: Vec<&Stored> = evidence.ballots.iter().collect();
    ballots.sort_by_key(|ballot| ballot.name());
    let mut records: Vec<&Stored> = evidence.records.iter().collect();
    records.sort_by_key(|record| (place(record), record.name()));
    evidence.runs.iter().chain(ballots).chain(records).map(|stored| format!("{}\n", stored.object)).collect()
}

/// The place of a record in the chain of its run, from 1; 0 where it says none.
pub(super) fn place(record: &Stored) -> i64 {
    record.object.pointer("/spec/seq").and_then(Value::as_i64).unwrap_or_default()
}

/// Each object that is not the same in both; none where the file has exactly what the cluster has.
pub(super) fn differences(live: &Evidence, file: &Evidence) -> Vec<Difference> {
    let mut found = Vec::new();
    for kind in Kind::ALL {
        let (now, then) = (kind.of(live), kind.of(file));
        let mut note = |stored: &Stored, how| found.push(Difference { kind, name: stored.name().to_owned(), how });
        for then in then {
            match now.iter().find(|now| is_same(now, then)) {
                None => note(then, How::Gone),
                Some(now) if now == then => {}
                Some(now) if may_become(kind, then, now) => note(then, How::Later),
                Some(_) => note(then, How::Changed),
            }
        }
        now.iter().filter(|now| !then.iter().any(|then| is_same(now, then))).for_each(|now| note(now, How::New));
    }
    found
}

fn is_same(one: &Stored, other: &Stored) -> bool {
    (one.namespace(), one.name(), one.uid()) == (other.namespace(), other.name(), other.uid())
}

/// Whether an object of a run that has ended may have become another like this. Whatever else is different, somebody did
/// who may write what nobody may.
fn may_become(kind: Kind, then: &Stored, now: &Stored) -> bool {
    match kind {
        // What became of its effect is said in its status.
        Kind::Record => then.spec() == now.spec(),
        Kind::Ballot => {
            let request = |ballot: &Stored| ballot.object.pointer("/spec/request").cloned();
            let marks = [APPROVE_ANNOTATION, DENY_ANNOTATION, BY_ANNOTATION];
            let mark = |ballot: &Stored, key: &str| annotation(ballot, key).cloned();
            let unmarked = marks.iter().all(|key| mark(then, key).is_none());
            let as_marked = || then.spec() == now.spec() && marks.iter().all(|key| mark(then, key) == mark(now, key));
            request(then) == request(now) && (unmarked || as_marked())
        }
        Kind::Run => then.spec() == now.spec() && journal(then) == journal(now),
    }
}

fn annotation<'a>(stored: &'a Stored, key: &str) -> Option<&'a Value> {
    stored.object.pointer("/metadata/annotations")?.get(key)
}

/// What is written of a run that has ended, without what a ratification still changes.
fn journal(run: &Stored) -> Option<Value> {
    let mut status = run.object.get("status")?.clone();
    if let Some(fields) = status.as_object_mut() {
        for later in ["conditions", "nextCommands", "ratification"] {
            fields.remove(later);
        }
    }
    Some(status)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::verify::judge;
    use crate::verify::tests::sound_as;

    fn sound() -> Evidence {
        sound_as("shed-1", "run-uid")
    }

    fn told(live: &Evidence, file: &Evidence) -> Vec<String> {
        differences(live, file).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_file_is_what_verify_reads_and_stands_by_itself() {
        let live = sound();
        let text = render(&live);
        assert_eq!(text.lines().count(), 1 + live.ballots.len() + live.records.len());
        let read = Evidence::read(&text).unwrap();
        assert_eq!(read, live);
        let reports = judge(&read, &Evidence::default());
        assert_eq!((reports.len(), reports[0].findings.len(), reports[0].notes.len()), (1, 0, 0));
        assert_eq!(render(&read), text, "it does not depend on the order in which objects were read");
    }

    #[test]
    fn what_may_come_later_is_told_from_what_may_not() {
        let file = sound();
        assert_eq!(told(&file, &file), [""; 0]);
        let mut ratified = file.clone();
        ratified.runs[0].object["status"]["conditions"] = json!([]);
        ratified.records[0].object["status"]["state"] = json!("Reverted");
        ratified.records[0].object["metadata"]["resourceVersion"] = json!("99");
        assert_eq!(
            told(&ratified, &file),
            [
                "record shed-1-run-u-out-1 has changed since the file was written",
                "run shed-1 has changed since the file was written",
            ]
        );
        let mut forged = file.clone();
        forged.runs[0].object["status"]["message"] = json!("all was well");
        forged.records[0].object["spec"]["reason"] = json!("another");
        forged.ballots[0].object["metadata"]["annotations"]["approve"] = json!("0000 another");
        assert_eq!(
            told(&forged, &file),
            [
                "ballot shed-1-1 in the file is not the one in the cluster",
                "record shed-1-run-u-out-1 in the file is not the one in the cluster",
                "run shed-1 in the file is not the one in the cluster",
            ]
        );
    }

    #[test]
    fn what_is_only_on_one_side_is_named() {
        let file = sound();
        let mut fewer = file.clone();
        fewer.records.truncate(3);
        assert_eq!(told(&fewer, &file), ["record shed-1-run-u-calm-1 is in the file and gone from the cluster"]);
        assert_eq!(told(&file, &fewer), ["record shed-1-run-u-calm-1 is in the cluster and not in the file"]);
        // Another one of the same name is another one.
        let mut anew = file.clone();
        anew.ballots[0].object["metadata"]["uid"] = json!("anew");
        assert_eq!(told(&anew, &file).len(), 2);
    }

    #[test]
    fn a_ballot_may_be_marked_later_and_then_no_more() {
        let marked = sound();
        let mut open = marked.clone();
        open.ballots[0].object["metadata"]["annotations"] = json!({});
        open.ballots[0].object["spec"].as_object_mut().unwrap().remove("voter");
        assert_eq!(told(&marked, &open), ["ballot shed-1-1 has changed since the file was written"]);
        assert_eq!(told(&open, &marked), ["ballot shed-1-1 in the file is not the one in the cluster"]);
    }
}
