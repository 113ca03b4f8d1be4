//! Roles in place of names: records keep who it was, a document says in which role.
//!
//! A name is replaced wherever it stands as a word of its own, in what a machine wrote and in what people wrote, also where
//! it is a word by chance. That is on purpose: a document that leaks one name has leaked it.

use std::collections::{BTreeMap, BTreeSet};

use super::material::{Joined, Material};
use crate::api::identity::is_robot;
use crate::api::line::{cut, one_line};
use crate::verify::Stored;

/// Whether a document has names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Names {
    /// Roles alone.
    #[default]
    Roles,
    /// Names, for an audit; the cover says so.
    Full,
}

/// The longest text of a stranger that a document takes over, in bytes. The kinds bound theirs at half of it.
const LONGEST: usize = 4096;
/// Shorter names are not looked for in text: there are too many words like them.
const SHORTEST: usize = 2;

/// Who is called what.
#[derive(Clone, Debug, Default)]
pub struct People {
    names: Names,
    /// What each user name is called.
    called: BTreeMap<String, String>,
    /// What is looked for in text, in lower case, the longest first, and what is put there.
    words: Vec<(String, String)>,
}

impl People {
    /// Everybody of an incident, numbered in the order in which they appear in it.
    pub fn of(material: &Material, joined: &Joined<'_>, names: Names) -> Self {
        let roles = roles(material);
        let mut order: Vec<String> = Vec::new();
        let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
        for (_, name) in appearances(joined) {
            if !order.contains(&name) {
                order.push(name);
            }
        }
        // Of other incidents, too: their names may stand in what people wrote of this one.
        for name in material.evidence.runs.iter().chain(&material.evidence.ballots).flat_map(names_in) {
            if !order.contains(&name) {
                order.push(name);
            }
        }
        let role_of = |name: &str| match roles.get(name) {
            _ if is_robot(name) => "automation",
            Some(role) => role.as_str(),
            None => "requester",
        };
        let mut called = BTreeMap::new();
        for name in &order {
            let role = role_of(name);
            let number = numbers.entry(role).or_default();
            *number += 1;
            let alone = order.iter().filter(|other| role_of(other) == role).count() == 1;
            let role = if alone { one_line(role) } else { format!("{} {number}", one_line(role)) };
            called.insert(name.clone(), role);
        }
        let words = words(&called);
        Self { names, called, words }
    }

    /// What a person is called in this document.
    pub fn called(&self, name: &str) -> String {
        let role = self.called.get(name).map_or("somebody", String::as_str);
        match self.names {
            _ if name.is_empty() => "unknown".to_owned(),
            Names::Roles => role.to_owned(),
            Names::Full => format!("{} ({role})", cut(name, 256)),
        }
    }

    /// A stranger's text as a document has it: one line, of bounded length, without names.
    pub fn text(&self, text: &str) -> String {
        let text = cut(text.trim(), LONGEST);
        match self.names {
            Names::Roles => self.veil(&text),
            Names::Full => text,
        }
    }

    /// Whether a text names somebody.
    pub fn named_in(&self, text: &str) -> bool {
        self.veil(text) != *text
    }

    fn veil(&self, text: &str) -> String {
        let lower = text.to_ascii_lowercase();
        let mut veiled = String::with_capacity(text.len());
        let mut at = 0;
        while let Some(rest) = lower.get(at..).filter(|rest| !rest.is_empty()) {
            let ends = |word: &str| rest.strip_prefix(word).is_some_and(|after| !continues(after));
            if let Some((word, called)) = self.words.iter().find(|(word, _)| ends(word)) {
                veiled += called;
                at += word.len();
            } else if let Some(length) = address(rest) {
                veiled += "(a person)";
                at += length;
            }
            // The rest of this word, and what stands before the next.
            let rest = text.get(at..).unwrap_or_default();
            let word = rest.find(|c| !is_of_word(c)).unwrap_or(rest.len());
            let (_, after) = rest.split_at_checked(word).unwrap_or((rest, ""));
            let next = word + after.find(is_of_word).unwrap_or(after.len());
            veiled += rest.get(..next).unwrap_or_default();
            at += next;
        }
        veiled
    }
}

fn is_of_word(character: char) -> bool {
    character.is_alphanumeric() || matches!(character, '-' | '_')
}

/// Whether a word goes on here: `bob-7f3` is not bob, and `bob.` is.
fn continues(after: &str) -> bool {
    let mut characters = after.chars();
    match characters.next() {
        Some('@') => true,
        Some('.') => characters.next().is_some_and(is_of_word),
        Some(character) => is_of_word(character),
        None => false,
    }
}

/// The length of an address of e-mail with which the text begins.
fn address(text: &str) -> Option<usize> {
    let of_address = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '%' | '@');
    let word = text.split(|c| !of_address(c)).next()?.trim_end_matches('.');
    let (local, domain) = word.split_once('@')?;
    (!local.is_empty() && domain.contains('.') && !domain.contains('@')).then_some(word.len())
}

/// What is looked for in text: each user name, and of an address what stands before the `@`.
fn words(called: &BTreeMap<String, String>) -> Vec<(String, String)> {
    let mut words: BTreeMap<String, String> = BTreeMap::new();
    for (name, called) in called {
        let local = name.split_once('@').map(|(local, _)| local.rsplit([':', '\\', '/']).next().unwrap_or(local));
        // It is looked for where a word begins.
        let begun =
            [Some(name.as_str()), local].into_iter().flatten().map(|word| word.trim_start_matches(|c| !is_of_word(c)));
        for word in begun.filter(|word| word.len() > SHORTEST) {
            words.entry(word.to_ascii_lowercase()).or_insert_with(|| called.clone());
        }
    }
    let mut words: Vec<(String, String)> = words.into_iter().collect();
    words.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.cmp(b)));
    words
}

/// The role in which each person decided; the first by name where there were several.
fn roles(material: &Material) -> BTreeMap<String, String> {
    let mut roles: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut add = |name: &str, role: &str| {
        if !name.is_empty() && !role.is_empty() {
            roles.entry(name.to_owned()).or_default().insert(role.to_owned());
        }
    };
    for ballot in &material.evidence.ballots {
        add(voter(ballot), ballot.text("/spec/request/role"));
    }
    for record in &material.evidence.records {
        let approvals = record.object.pointer("/spec/approvals").and_then(serde_json::Value::as_array);
        for vote in approvals.into_iter().flatten() {
            let text = |key: &str| vote.get(key).and_then(serde_json::Value::as_str).unwrap_or_default();
            add(text("by"), text("role"));
        }
    }
    roles.into_iter().filter_map(|(name, roles)| Some((name, roles.into_iter().next()?))).collect()
}

/// Who marked a ballot: as stamped, else as typed and verified.
pub(super) fn voter(ballot: &Stored) -> &str {
    let stamped = ballot.text("/spec/voter/username");
    if stamped.is_empty() { ballot.text("/metadata/annotations/by") } else { stamped }
}

fn names_in(object: &Stored) -> Vec<String> {
    let places = [
        "/spec/requestedBy/username",
        "/spec/voter/username",
        "/metadata/annotations/by",
        "/spec/request/requester",
        "/metadata/annotations/abort-by",
        "/metadata/annotations/settle-by",
        "/metadata/annotations/breakglass-by",
    ];
    let mut names: Vec<&str> = places.iter().map(|place| object.text(place)).collect();
    let excluded = object.object.pointer("/spec/request/excluded").and_then(serde_json::Value::as_array);
    names.extend(excluded.into_iter().flatten().filter_map(serde_json::Value::as_str));
    let approvals = object.object.pointer("/spec/approvals").and_then(serde_json::Value::as_array);
    names.extend(approvals.into_iter().flatten().filter_map(|vote| vote.get("by")?.as_str()));
    names.into_iter().filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Who appears when, in order of time. Times are compared as text: of what is RFC 3339 in UTC that is their order, and of
/// what is not there is no order to be kept.
fn appearances(joined: &Joined<'_>) -> Vec<(String, String)> {
    let mut all = Vec::new();
    let objects = joined.runs.iter().chain(&joined.ballots).chain(&joined.records);
    for object in objects {
        let at = ["/spec/request/issuedAt", "/spec/intentAt", "/metadata/creationTimestamp"]
            .iter()
            .map(|place| object.text(place))
            .find(|at| !at.is_empty())
            .unwrap_or_default();
        all.extend(names_in(object).into_iter().map(|name| (at.to_owned(), name)));
    }
    all.sort();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people(names: &[&str]) -> People {
        let called: BTreeMap<String, String> =
            names.iter().enumerate().map(|(n, name)| ((*name).to_owned(), format!("sre {}", n + 1))).collect();
        People { names: Names::Roles, words: words(&called), called }
    }

    #[test]
    fn a_name_is_replaced_where_it_is_a_word() {
        let people = people(&["bob", "carol@corp.example", "oidc:dave"]);
        for (text, veiled) in [
            ("bob said no", "sre 1 said no"),
            ("Ask BOB, or Bob's team.", "Ask sre 1, or sre 1's team."),
            ("bobby and bob-7f3 and bob.example stay", "bobby and bob-7f3 and bob.example stay"),
            ("carol@corp.example; Carol", "sre 2; sre 2"),
            ("oidc:dave (on call)", "sre 3 (on call)"),
            ("write to erin+x@corp.example.", "write to (a person)."),
            ("größer als bob", "größer als sre 1"),
            ("@home at 5 @ 3", "@home at 5 @ 3"),
            ("thanks @bob!", "thanks @sre 1!"),
            ("bob", "sre 1"),
        ] {
            assert_eq!(people.text(text), veiled);
        }
        assert!(people.named_in("because Bob forgot") && !people.named_in("because nobody knew"));
    }
}
