//! Roles in place of names: records keep who it was, a document says in which role.
//!
//! A name is replaced wherever it stands as a word of its own, in what a machine wrote and in what people wrote, also where
//! it is a word by chance. That is on purpose: a document that leaks one name has leaked it.

use std::collections::{BTreeMap, BTreeSet};

use super::markup::web_address;
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
/// The longest address of e-mail, as RFC 5321 has it.
const LONGEST_ADDRESS: usize = 254;
/// Shorter names are not looked for in text: they are letters, and every list has them.
const SHORTEST: usize = 2;

/// Who is called what.
#[derive(Clone, Debug, Default)]
pub struct People {
    names: Names,
    /// What each user name is called.
    called: BTreeMap<String, String>,
    /// What is looked for in text, by its first letter.
    words: BTreeMap<char, Vec<Word>>,
}

/// What is looked for in text, letter by letter in one case, and what is put there.
#[derive(Clone, Debug)]
struct Word {
    letters: Vec<char>,
    called: String,
}

impl People {
    /// Everybody of an incident, numbered in the order in which they appear in it.
    pub fn of(material: &Material, joined: &Joined<'_>, names: Names) -> Self {
        let evidence = &material.evidence;
        let everything = || evidence.runs.iter().chain(&evidence.ballots).chain(&evidence.records);
        // One person may stand in one place by a user name and in another by a key.
        let keys: BTreeMap<&str, &str> = everything().flat_map(keyed).collect();
        let person = |name: &str| keys.get(name).copied().unwrap_or(name).to_owned();
        let roles = roles(material, person);
        let mut order: Vec<String> = Vec::new();
        let mut known: BTreeSet<String> = BTreeSet::new();
        // Of other incidents, too: their names may stand in what people wrote of this one.
        let others = everything().flat_map(names_in);
        for name in appearances(joined).into_iter().map(|(_, name)| name).chain(others) {
            let name = person(&name);
            if known.insert(name.clone()) {
                order.push(name);
            }
        }
        let role_of = |name: &str| match roles.get(name) {
            _ if is_robot(name) => "automation",
            Some(role) => role.as_str(),
            None => "requester",
        };
        let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
        order.iter().for_each(|name| *sizes.entry(role_of(name)).or_default() += 1);
        let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
        let mut called = BTreeMap::new();
        for name in &order {
            let role = role_of(name);
            let number = numbers.entry(role).or_default();
            *number += 1;
            let alone = sizes.get(role) == Some(&1);
            let role = if alone { one_line(role) } else { format!("{} {number}", one_line(role)) };
            called.insert(name.clone(), role);
        }
        for (name, key) in keys {
            if let Some(role) = called.get(key).cloned() {
                called.insert(name.to_owned(), role);
            }
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

    /// A link of a stranger's as a document has it: an address that names somebody is left out, since with a role in the place
    /// of the name it would lead nowhere.
    pub fn link(&self, link: &str) -> String {
        let address = web_address(link);
        if self.names == Names::Roles && self.named_in(&address) { String::new() } else { address }
    }

    /// Whether a text names somebody.
    pub fn named_in(&self, text: &str) -> bool {
        self.veil(text) != *text
    }

    fn veil(&self, text: &str) -> String {
        // Letters in one case, each with the place of what it was made of: that of another case may be longer.
        let letters: Vec<(usize, char)> =
            text.char_indices().flat_map(|(at, c)| c.to_lowercase().map(move |lower| (at, lower))).collect();
        let folded: Vec<char> = letters.iter().map(|(_, letter)| *letter).collect();
        let mut veiled = String::with_capacity(text.len());
        let (mut at, mut shown) = (0, 0);
        while let Some(rest) = folded.get(at..).filter(|rest| !rest.is_empty()) {
            let found = begins(folded.get(..at).unwrap_or_default()).then(|| self.found(rest)).flatten();
            let Some((length, called)) = found else {
                at += 1;
                continue;
            };
            let place = |letter: usize| letters.get(letter).map_or(text.len(), |(place, _)| *place);
            veiled += text.get(shown..place(at)).unwrap_or_default();
            veiled += called;
            at += length;
            shown = place(at);
        }
        veiled + text.get(shown..).unwrap_or_default()
    }

    /// The name with which a text begins: its length, and what is put there.
    fn found(&self, text: &[char]) -> Option<(usize, &str)> {
        let known = self.words.get(text.first()?).into_iter().flatten();
        let address = address(text);
        let mut named = known.filter(|word| text.starts_with(&word.letters));
        // Of `bob@elsewhere.example` nobody knows that it is the bob of here.
        let ends = |word: &&Word| match text.get(word.letters.len()..).unwrap_or_default() {
            ['@', ..] => address.is_none(),
            after => !continues(after),
        };
        let named = named.find(ends).map(|word| (word.letters.len(), word.called.as_str()));
        named.or_else(|| address.map(|length| (length, "(a person)")))
    }
}

/// Whether a word may begin behind this: `-bob` is bob, and the bob of `x-bob` is none. `_bob_` is how people write bob in
/// Markdown.
fn begins(before: &[char]) -> bool {
    match before {
        [.., within, '-'] => !within.is_alphanumeric(),
        [.., last] => !last.is_alphanumeric(),
        [] => true,
    }
}

/// Whether a word goes on here: `bob-7f3` and `bob.example` are not bob, and `bob.` and `bob--` are.
fn continues(after: &[char]) -> bool {
    match after {
        ['-' | '.', next, ..] => next.is_alphanumeric(),
        [next, ..] => next.is_alphanumeric(),
        [] => false,
    }
}

/// The length of an address of e-mail with which the text begins.
fn address(text: &[char]) -> Option<usize> {
    let of_address = |c: &char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '%' | '@');
    // No address is longer: without that bound a text that is one long word would be read again at each of its parts.
    let end = text.iter().take(LONGEST_ADDRESS).position(|c| !of_address(c)).unwrap_or(text.len().min(LONGEST_ADDRESS));
    let word: String = text.iter().take(end).collect();
    let word = word.trim_end_matches('.');
    let (local, domain) = word.split_once('@')?;
    (!local.is_empty() && domain.contains('.') && !domain.contains('@')).then(|| word.chars().count())
}

/// What is looked for in text: each user name, and what of it a person goes by.
fn words(called: &BTreeMap<String, String>) -> BTreeMap<char, Vec<Word>> {
    let mut all: BTreeMap<Vec<char>, &str> = BTreeMap::new();
    for (name, called) in called {
        let mut forms = vec![name.as_str()];
        // The last part of a robot's name is that of a program, which many have.
        if !name.starts_with("system:") {
            forms.extend(goes_by(name));
        }
        for form in forms {
            // It is looked for where a word begins.
            let form = form.trim_matches(|c: char| !c.is_alphanumeric());
            let letters: Vec<char> = form.chars().flat_map(char::to_lowercase).collect();
            if letters.len() >= SHORTEST {
                all.entry(letters).or_insert(called);
            }
        }
    }
    let mut words: BTreeMap<char, Vec<Word>> = BTreeMap::new();
    for (letters, called) in all {
        if let Some(first) = letters.first().copied() {
            words.entry(first).or_default().push(Word { letters, called: called.to_owned() });
        }
    }
    // The longest first: carol@corp.example is found before carol.
    words.values_mut().for_each(|of_letter| of_letter.sort_by_key(|word| std::cmp::Reverse(word.letters.len())));
    words
}

/// What a person goes by, of a user name as providers make it: `oidc:bob`, `https://idp.example#bob`, `CORP\\bob`,
/// `CN=bob,OU=ops`, `bob@corp.example`.
fn goes_by(name: &str) -> impl Iterator<Item = &str> {
    // What stands first in a distinguished name is the person; in others it is the provider.
    let person = match name.split_once('=') {
        Some((_, rest)) => rest.split([',', '+']).next().unwrap_or(rest),
        None => name.rsplit([':', '\\', '/', '#', '|']).next().unwrap_or(name),
    };
    let before = |text: &str| -> usize { text.find('@').unwrap_or(text.len()) };
    [Some(person), person.get(..before(person)), name.get(..before(name))].into_iter().flatten()
}

/// The role in which each person decided; the first by name where there were several.
fn roles(material: &Material, person: impl Fn(&str) -> String) -> BTreeMap<String, String> {
    let mut roles: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut add = |name: &str, role: &str| {
        if !name.is_empty() && !role.is_empty() {
            roles.entry(person(name)).or_default().insert(role.to_owned());
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

/// User names with their keys, where an object has both.
fn keyed(object: &Stored) -> Vec<(&str, &str)> {
    let pair = |who: &str| {
        let at =
            |field: &str| object.object.pointer(&format!("/spec/{who}/{field}")).and_then(serde_json::Value::as_str);
        let filled = |text: &&str| !text.is_empty();
        at("username").filter(filled).zip(at("key").filter(filled))
    };
    ["requestedBy", "voter"].into_iter().filter_map(pair).filter(|(name, key)| name != key).collect()
}

fn names_in(object: &Stored) -> Vec<String> {
    let places = [
        "/spec/requestedBy/username",
        "/spec/requestedBy/key",
        "/spec/voter/username",
        "/spec/voter/key",
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
            (
                "_bob_ and **bob** and bob-- and -bob and ssh bob@host",
                "_sre 1_ and **sre 1** and sre 1-- and -sre 1 and ssh sre 1@host",
            ),
            ("bob@elsewhere.example", "(a person)"),
        ] {
            assert_eq!(people.text(text), veiled);
        }
        assert!(people.named_in("because Bob forgot") && !people.named_in("because nobody knew"));
    }

    #[test]
    fn a_name_is_replaced_in_whatever_form_a_provider_gives_it() {
        for name in [
            "oidc:bob",
            "https://idp.example#bob",
            "CORP\\bob",
            "corp/bob",
            "CN=bob,OU=ops",
            "oidc:bob@corp.example",
            "Bob",
        ] {
            assert_eq!(
                people(&[name]).text("bob said no, and so BOB went"),
                "sre 1 said no, and so sre 1 went",
                "{name}"
            );
            assert_eq!(people(&[name]).text(&format!("{name}: no")), "sre 1: no", "{name}");
        }
        assert_eq!(people(&["ÖZGÜR", "al"]).text("Özgür and al; özgürce, Alp"), "sre 1 and sre 2; özgürce, Alp");
        assert_eq!(people(&["İpek"]).text("a İPEK b"), "a sre 1 b", "a letter that is longer in the other case");
        let robot = people(&["system:serviceaccount:shop:deploy"]);
        assert_eq!(robot.text("deploy by system:serviceaccount:shop:deploy"), "deploy by sre 1");
    }

    #[test]
    fn an_address_that_names_somebody_is_left_out() {
        let people = people(&["bob"]);
        assert_eq!(people.link("https://chat.example/bob/1"), "");
        assert_eq!(people.link("https://chat.example/bobby/1"), "https://chat.example/bobby/1");
        let full = People { names: Names::Full, ..people };
        assert_eq!(full.link("https://chat.example/bob/1"), "https://chat.example/bob/1");
    }
}
