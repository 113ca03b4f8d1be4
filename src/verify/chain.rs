//! The chain by itself: each record's hash is that of its content, and names the record before it.

use std::collections::{BTreeMap, BTreeSet};

use super::evidence::Stored;
use super::finding::Finding;
use crate::digest;

/// A record that can be judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link<'a> {
    pub record: &'a Stored,
    pub name: &'a str,
    /// Its place, from 1.
    pub seq: i64,
    pub prev_hash: &'a str,
    /// The hash that it says it has.
    pub hash: &'a str,
}

impl<'a> Link<'a> {
    /// The record as a link.
    ///
    /// # Errors
    /// [`Finding::Unreadable`].
    pub fn of(record: &'a Stored) -> Result<Self, Box<Finding>> {
        let unreadable =
            |why: &str| Box::new(Finding::Unreadable { record: record.name().to_owned(), why: why.to_owned() });
        let seq = record.object.pointer("/spec/seq").and_then(serde_json::Value::as_i64);
        let link = Self {
            record,
            name: record.name(),
            seq: seq.ok_or_else(|| unreadable("it has no seq"))?,
            prev_hash: record.text("/spec/prevHash"),
            hash: record.text("/spec/hash"),
        };
        match link {
            _ if link.seq < 1 => Err(unreadable("its seq is less than 1")),
            _ if link.hash.is_empty() => Err(unreadable("it has no hash")),
            _ => Ok(link),
        }
    }

    /// The hash of its content.
    pub fn computed(&self) -> String {
        digest::of_record(self.record.spec())
    }

    /// `shed-1-runui-out-1 (seq 3)`.
    fn display(&self) -> String {
        format!("record {} (seq {})", self.name, self.seq)
    }
}

/// Judges the records of one run, in the order of their places.
pub(super) fn judge(links: &[Link<'_>], findings: &mut Vec<Finding>) {
    let mut places: BTreeMap<i64, Vec<&Link<'_>>> = BTreeMap::new();
    let mut followers: BTreeMap<&str, Vec<&Link<'_>>> = BTreeMap::new();
    for link in links {
        places.entry(link.seq).or_default().push(link);
        followers.entry(link.prev_hash).or_default().push(link);
        let computed = link.computed();
        if computed != link.hash {
            findings.push(Finding::Changed {
                record: link.name.to_owned(),
                seq: link.seq,
                computed,
                says: link.hash.to_owned(),
            });
        }
    }
    for (seq, at) in &places {
        if at.len() > 1 {
            let records = at.iter().map(|link| format!("record {}", link.name)).collect();
            findings.push(Finding::Fork { seq: *seq, records });
        }
        for link in at {
            let before = seq.checked_sub(1).and_then(|before| places.get(&before));
            findings.extend(follows(link, before.map_or(&[], Vec::as_slice)));
        }
    }
    for (after, following) in followers {
        let seqs: BTreeSet<i64> = following.iter().map(|link| link.seq).collect();
        if seqs.len() > 1 && !after.is_empty() {
            let records = following.iter().map(|link| link.display()).collect();
            findings.push(Finding::ForkAfter { after: after.to_owned(), records });
        }
    }
}

/// The places up to the last one at which there is no record. A last place out of all reason is one gap, not billions.
pub(super) fn gaps(links: &[Link<'_>]) -> Vec<i64> {
    let there: BTreeSet<i64> = links.iter().map(|link| link.seq).collect();
    let last = there.last().copied().unwrap_or_default();
    (1..last).filter(|seq| !there.contains(seq)).take(MOST_GAPS).collect()
}

/// More gaps than this say no more than these.
const MOST_GAPS: usize = 256;

/// Whether a record names one of those at the place before it.
fn follows(link: &Link<'_>, before: &[&Link<'_>]) -> Option<Finding> {
    if link.seq == 1 {
        return (!link.prev_hash.is_empty())
            .then(|| Finding::NotFirst { record: link.name.to_owned(), says: link.prev_hash.to_owned() });
    }
    // Where there is none, the gap is the finding.
    let first = before.first()?;
    (!before.iter().any(|before| before.hash == link.prev_hash)).then(|| Finding::NotFollowing {
        record: link.name.to_owned(),
        seq: link.seq,
        before: first.name.to_owned(),
        says: if link.prev_hash.is_empty() { "nothing".to_owned() } else { link.prev_hash.to_owned() },
        hash: first.hash.to_owned(),
    })
}
