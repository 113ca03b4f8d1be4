//! What becomes of the evidence of a run that has ended: when it is written to the archive, and when it may leave the
//! cluster. Pure: [`next`] is asked again after each thing that was done.
//!
//! ```text
//! no file                                    Write
//! the file is older than the cluster         Write
//! the file has what the cluster has          Keep, or Remove when all of it is so:
//!                                              it ended long enough ago
//!                                              nothing of it is in place, nobody has still to ratify it
//!                                              both stand, each judged against the other
//! some of it was removed already             Remove the rest, under the same conditions
//! anything else                              Refuse: nothing is written over, nothing is removed, people are told
//! ```

use std::fmt;
use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::export::{self, Difference, How, Kind};
use crate::api::condition::kind;
use crate::verify::{Evidence, Finding, RunReport, Stored, Unreadable, judge};

/// How long evidence stays in the cluster after its run has ended: whole seconds, from one second to 36,500 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepFor(SignedDuration);

/// Why a text is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no length of time: write days, hours, minutes and seconds like 90d, 36h or 1d12h, at most 36500d")]
pub struct NotALength(String);

const LONGEST: i64 = 36_500 * 24 * 3600;

impl KeepFor {
    /// Its length.
    pub fn duration(self) -> SignedDuration {
        self.0
    }
}

impl FromStr for KeepFor {
    type Err = NotALength;

    fn from_str(text: &str) -> Result<Self, NotALength> {
        let wrong = || NotALength(text.to_owned());
        let mut seconds = 0i64;
        let mut rest = text;
        while let Some(end) = rest.find(|c: char| !c.is_ascii_digit()) {
            let (number, after) = rest.split_at(end);
            let mut after = after.chars();
            let unit = match after.next() {
                Some('d') => 24 * 3600,
                Some('h') => 3600,
                Some('m') => 60,
                Some('s') => 1,
                _ => return Err(wrong()),
            };
            let number = number.parse::<u32>().map_err(|_| wrong())?;
            seconds = seconds.saturating_add(i64::from(number) * unit);
            rest = after.as_str();
        }
        if !rest.is_empty() || !(1..=LONGEST).contains(&seconds) {
            return Err(wrong());
        }
        Ok(Self(SignedDuration::from_secs(seconds)))
    }
}

/// What the archive has of a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Filed {
    /// No file.
    Nothing,
    /// A file that is none, and why.
    Unreadable(String),
    /// The evidence in it.
    Read(Evidence),
}

impl Filed {
    /// What a file with this text has; none where there is no file.
    pub fn of(text: Option<&str>) -> Self {
        match text.map(Evidence::read) {
            None => Self::Nothing,
            Some(Ok(evidence)) => Self::Read(evidence),
            Some(Err(why @ (Unreadable::Json { .. } | Unreadable::Nothing))) => Self::Unreadable(why.to_string()),
        }
    }
}

/// The one thing to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// The file is written, with what the cluster has.
    Write,
    /// Nothing.
    Keep(Kept),
    /// Nothing, and people are told.
    Refuse(Refusal),
    /// These are removed, in this order.
    Remove(Vec<Doomed>),
}

/// Why evidence stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Kept {
    /// There is no such run, or it has not ended.
    #[error("the run goes on, or there is none")]
    GoesOn,
    /// Nobody wants it removed.
    #[error("evidence is kept for ever")]
    ForEver,
    /// It is not old enough.
    #[error("it is kept until {0}")]
    Until(Timestamp),
    /// What a record tells of is still there.
    #[error("record {0} tells of something that is still in place")]
    InPlace(String),
    /// Somebody has still to ratify it, or has disowned it.
    #[error("what was decided without a second person was not ratified")]
    NotRatified,
}

/// Why nothing is written over and nothing is removed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The file is none.
    #[error("its file in the archive cannot be read: {0}")]
    Unreadable(String),
    /// The file by itself does not stand, and the evidence in the cluster does.
    #[error("its file in the archive was changed: {}", list(.0))]
    Damaged(Vec<String>),
    /// The file and the cluster tell two stories.
    #[error("its file in the archive and the cluster differ: {}", list(.0))]
    Differs(Vec<String>),
    /// They are the same, and do not stand.
    #[error("its evidence does not stand: {}", list(.0))]
    Unsound(Vec<String>),
}

/// More sentences than this say no more.
const MOST_SENTENCES: usize = 3;

fn list(sentences: &[String]) -> String {
    let mut text = sentences.iter().take(MOST_SENTENCES).cloned().collect::<Vec<_>>().join("; ");
    if let Some(more @ 1..) = sentences.len().checked_sub(MOST_SENTENCES) {
        text += &format!("; and {more} more");
    }
    text
}

/// An object that is to be removed, as it was read: no other one, and not if it has changed since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doomed {
    /// Of which kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its resource version.
    pub resource_version: String,
}

impl fmt::Display for Doomed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// The next thing to do with the evidence of one run: `live` is all that the cluster has of it, `filed` what the archive
/// has, `keep_for` how long evidence is kept, if not for ever.
pub fn next(live: &Evidence, filed: &Filed, keep_for: Option<KeepFor>, now: Timestamp) -> Step {
    let [run] = live.runs.as_slice() else { return Step::Keep(Kept::GoesOn) };
    if run.object.pointer("/status/finished") != Some(&Value::Bool(true)) {
        return Step::Keep(Kept::GoesOn);
    }
    let file = match filed {
        Filed::Nothing => return Step::Write,
        Filed::Unreadable(why) => return Step::Refuse(Refusal::Unreadable(why.clone())),
        Filed::Read(file) => file,
    };
    if let Some(refusal) = damage(live, file) {
        return Step::Refuse(refusal);
    }
    let differences = export::differences(live, file);
    if grown(&differences) {
        // Where a judge sees more than we do, the older file is the better witness.
        let against = new_findings(&judge(live, file), &judge(live, &Evidence::default()));
        return if against.is_empty() { Step::Write } else { Step::Refuse(Refusal::Differs(against)) };
    }
    let differs = || Step::Refuse(Refusal::Differs(differences.iter().map(ToString::to_string).collect()));
    let whole = differences.is_empty();
    if !whole && !partly_removed(&differences, live) {
        return differs();
    }
    match kept(run, live, file, keep_for, now) {
        Some(why) if whole => return Step::Keep(why),
        // Nobody would have begun to remove it.
        Some(_) => return differs(),
        None => {}
    }
    // Of a run that was partly removed only what is left can be judged by the file.
    let mut reports = judge(file, live);
    if whole {
        reports.extend(judge(live, file));
    }
    let findings = new_findings(&reports, &[]);
    if !findings.is_empty() {
        return Step::Refuse(Refusal::Unsound(findings));
    }
    match doomed(live) {
        Some(doomed) => Step::Remove(doomed),
        None => Step::Refuse(Refusal::Unsound(vec!["an object has no uid or no resource version".to_owned()])),
    }
}

/// What is wrong with the file by itself, and not in the cluster: whoever wrote it was not the operator.
fn damage(live: &Evidence, file: &Evidence) -> Option<Refusal> {
    let alone = Evidence::default();
    let damage = new_findings(&judge(file, &alone), &judge(live, &alone));
    (!damage.is_empty()).then_some(Refusal::Damaged(damage))
}

/// What these reports find and the others do not, each in a sentence.
fn new_findings(reports: &[RunReport], known: &[RunReport]) -> Vec<String> {
    let all = |reports: &[RunReport]| -> Vec<Finding> {
        reports.iter().flat_map(|report| report.findings.iter().cloned()).collect()
    };
    let known = all(known);
    let mut sentences: Vec<String> = Vec::new();
    for finding in all(reports).iter().filter(|finding| !known.contains(finding)) {
        let sentence = finding.to_string();
        if !sentences.contains(&sentence) {
            sentences.push(sentence);
        }
    }
    sentences
}

/// Whether the cluster only has more than the file.
fn grown(differences: &[Difference]) -> bool {
    !differences.is_empty() && differences.iter().all(|difference| matches!(difference.how, How::New | How::Later))
}

/// Whether the cluster only has less than the file, and lacks what is removed first: no record is removed while there is
/// a ballot.
fn partly_removed(differences: &[Difference], live: &Evidence) -> bool {
    differences.iter().all(|difference| {
        difference.how == How::Gone
            && match difference.kind {
                Kind::Ballot => true,
                Kind::Record => live.ballots.is_empty(),
                Kind::Run => false,
            }
    })
}

/// Why this run is kept, whatever its file says.
fn kept(run: &Stored, live: &Evidence, file: &Evidence, keep_for: Option<KeepFor>, now: Timestamp) -> Option<Kept> {
    let Some(keep_for) = keep_for else { return Some(Kept::ForEver) };
    let ended = run.text("/status/finishedAt").parse::<Timestamp>();
    match ended.ok().and_then(|ended| ended.checked_add(keep_for.duration()).ok()) {
        Some(until) if now > until => {}
        Some(until) => return Some(Kept::Until(until)),
        // It does not say when it ended.
        None => return Some(Kept::ForEver),
    }
    // A record without a state tells of nothing that is over.
    let in_place = |record: &&Stored| matches!(record.text("/status/state"), "InPlace" | "");
    if let Some(record) = live.records.iter().chain(&file.records).find(in_place) {
        return Some(Kept::InPlace(record.name().to_owned()));
    }
    let conditions = run.object.pointer("/status/conditions").and_then(Value::as_array);
    let text = |condition: &Value, key: &str| condition.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let ratified = conditions.into_iter().flatten().find(|condition| text(condition, "type") == kind::RATIFIED);
    ratified.is_some_and(|condition| text(condition, "status") != "True").then_some(Kept::NotRatified)
}

/// Everything of a run, in the order in which it is removed; none where an object cannot be told from another.
fn doomed(live: &Evidence) -> Option<Vec<Doomed>> {
    let mut all = Vec::new();
    for kind in Kind::ALL {
        for stored in kind.of(live) {
            let text = |pointer: &str| Some(stored.text(pointer).to_owned()).filter(|text| !text.is_empty());
            all.push(Doomed {
                kind,
                name: text("/metadata/name")?,
                uid: text("/metadata/uid")?,
                resource_version: text("/metadata/resourceVersion")?,
            });
        }
    }
    Some(all)
}

#[cfg(test)]
mod tests;
