//! Ballots, and who marked them by whose request.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::log::{Entry, annotation, items, text, version};

/// On a ballot: `CODE why`.
const APPROVE: &str = "approve";
/// What the admission policy on ballots writes into the audit log about a vote.
const VOTE: &str = "firstaid-ballot/vote";

/// A ballot, as it was marked and as it is in the end.
#[derive(Clone, Debug, Default)]
pub struct Ballot<'a> {
    /// Its name.
    pub name: &'a str,
    /// The request by which a yes came on it, and the ballot as it was stored then.
    pub marking: Option<(Entry<'a>, &'a Value)>,
    /// As it is in the end.
    pub last: Option<&'a Value>,
}

/// The ballots that are there or were seen in the log.
pub fn ballots<'a>(entries: &[Entry<'a>], last: &'a [Value]) -> Vec<Ballot<'a>> {
    let mut all: BTreeMap<&str, Ballot<'a>> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.is_about("approvals") && entry.is_write()) {
        let Some(object) = entry.object() else { continue };
        let ballot = all.entry(text(object, "/metadata/uid")).or_default();
        ballot.name = text(object, "/metadata/name");
        // Later answers show the mark too: only the first one is of whoever made it.
        let first = ballot.marking.is_none_or(|(_, known)| version(object) < version(known));
        if !annotation(object, APPROVE).is_empty() && first {
            ballot.marking = Some((*entry, object));
        }
    }
    for object in last {
        let ballot = all.entry(text(object, "/metadata/uid")).or_default();
        ballot.name = text(object, "/metadata/name");
        ballot.last = Some(object);
    }
    all.into_values().collect()
}

/// The code that a mark repeats.
pub fn code(ballot: &Value) -> String {
    annotation(ballot, APPROVE).split_whitespace().next().unwrap_or_default().to_ascii_lowercase()
}

/// Why a ballot's word for who marked it is not that of the request that marked it, if it is not. Where the platform says
/// by a rule of its own who is the same person, the policy has written whom it found into the audit log.
pub fn other_person(entry: &Entry<'_>, ballot: &Value) -> Option<String> {
    let (by, stamped) = (annotation(ballot, "by"), text(ballot, "/spec/voter/username"));
    if by.is_empty() {
        return Some("it does not say by whom".to_owned());
    }
    if !stamped.is_empty() && stamped != entry.user {
        return Some(format!("stamped is {stamped}, and the request is by {}", entry.user));
    }
    let found = entry.json.get("annotations").and_then(|all| all.get(VOTE)).and_then(Value::as_str);
    let found = found.and_then(|said| said.rsplit_once(" by=")).map(|(_, person)| person);
    let known = by == entry.user || found == Some(by);
    (!known).then(|| format!("it says by {by}, and the request is by {}", entry.user))
}

/// Whether a user name is a ServiceAccount's.
pub fn is_robot(user: &str) -> bool {
    user.starts_with("system:serviceaccount:")
}

/// How many votes of which role are asked for, by a gate.
pub fn asked(gate: &Value) -> impl Iterator<Item = (&str, usize)> {
    items(gate, "/requires").map(|wanted| {
        let count = wanted.get("count").and_then(Value::as_u64).unwrap_or(1);
        (text(wanted, "/role"), usize::try_from(count).unwrap_or(usize::MAX))
    })
}
