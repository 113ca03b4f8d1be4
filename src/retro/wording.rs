//! Words that look for somebody to blame, and what could stand there instead. Hints, never a refusal, and never about what
//! records say: only about what people wrote for others to read.
//!
//! English words alone: of another language nothing is said, which is better than something wrong.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::facts::Facts;
use crate::api::line::cut;

/// A hint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Hint {
    /// The field of the Incident.
    pub place: String,
    /// The words.
    pub found: String,
    /// What could stand there instead, or what could be asked.
    pub instead: String,
    /// The text, without names.
    pub text: String,
}

/// The words, and what is offered. The longest of a group comes first.
const WORDS: [(&[&str], &str); 8] = [
    (
        &["should have", "should've", "shouldn't have", "could have", "would have", "ought to have", "if only"],
        "say what was done, and what was known then",
    ),
    (
        &[
            "human error",
            "operator error",
            "user error",
            "careless",
            "carelessness",
            "negligence",
            "negligent",
            "sloppy",
            "incompetent",
        ],
        "ask what made the action look right at that time",
    ),
    (
        &["failed to", "forgot to", "forgot", "neglected to", "did not bother", "didn't bother"],
        "say what would have made it easy; of a system: \"did not\"",
    ),
    (
        &["who did", "why did you", "whose fault", "at fault", "to blame", "blame", "fault of"],
        "ask how and what, not who and why",
    ),
    (&["root cause", "the cause"], "contributing factors: there are always several"),
    (&["outage"], "only if all was down; else say what was degraded, and for whom"),
    (&["obviously", "simply", "of course"], "leave it out: it was not obvious then"),
    (&["be more careful", "pay more attention", "pay attention", "try harder"], "name a change to the system"),
];

/// The hints for all that people wrote, in the order of the fields.
pub fn hints(facts: &Facts<'_>) -> Vec<Hint> {
    let Some(told) = &facts.incident else { return Vec::new() };
    let spec = &told.spec;
    let mut texts: Vec<(String, &str)> = vec![
        ("spec.summary".to_owned(), &spec.summary),
        ("spec.impact".to_owned(), &spec.impact),
        ("spec.team".to_owned(), &spec.team),
    ];
    texts.extend(spec.notes.iter().map(|note| ("spec.notes".to_owned(), note.text.as_str())));
    texts.extend(spec.hot_fixes.iter().map(|fix| ("spec.hotFixes".to_owned(), fix.text.as_str())));
    texts.extend(spec.factors.iter().map(|factor| (format!("spec.factors, id {}", factor.id), factor.text.as_str())));
    texts.extend(spec.answers.iter().map(|a| (format!("spec.answers, question {}", a.question), a.text.as_str())));
    texts.extend(spec.follow_ups.iter().map(|f| (format!("spec.followUps, id {}", f.id), f.text.as_str())));
    let of_text = texts.into_iter().flat_map(|(place, text)| {
        let named = facts.people.named_in(text).then_some(("a name", "use the role"));
        let said: Vec<(String, &str)> =
            found(text).into_iter().chain(named.map(|(what, instead)| (what.to_owned(), instead))).collect();
        said.into_iter().map(move |(found, instead)| hint(facts, &place, &found, instead, text))
    });
    of_text.chain(links(facts)).collect()
}

fn hint(facts: &Facts<'_>, place: &str, found: &str, instead: &str, text: &str) -> Hint {
    // An id in a place, too, is what a person wrote.
    Hint {
        place: facts.people.text(place),
        found: found.to_owned(),
        instead: instead.to_owned(),
        text: cut(&facts.people.text(text), 200),
    }
}

/// Links whose address names somebody, which a document with roles leaves out.
fn links(facts: &Facts<'_>) -> Vec<Hint> {
    let Some(spec) = facts.incident.as_ref().map(|told| &told.spec) else { return Vec::new() };
    let notes = spec.notes.iter().map(|note| ("spec.notes".to_owned(), &note.link));
    let fixes = spec.hot_fixes.iter().map(|fix| ("spec.hotFixes".to_owned(), &fix.link));
    let factors = spec.factors.iter().map(|factor| (format!("spec.factors, id {}", factor.id), &factor.link));
    let follow_ups = spec.follow_ups.iter().map(|f| (format!("spec.followUps, id {}", f.id), &f.link));
    let named = notes.chain(fixes).chain(factors).chain(follow_ups).filter(|(_, link)| facts.people.named_in(link));
    let instead = "a document with roles leaves this link out: link what has no name in its address";
    named.map(|(place, link)| hint(facts, &place, "a name in a link", instead, link)).collect()
}

/// The words that are found in a text, one of each group.
fn found(text: &str) -> Vec<(String, &'static str)> {
    let lower = text.to_lowercase().replace('’', "'");
    let holds = |word: &str| {
        lower.match_indices(word).any(|(at, _)| {
            let before = lower.get(..at).unwrap_or_default();
            let after = lower.get(at + word.len()..).unwrap_or_default();
            !before.ends_with(char::is_alphanumeric) && !after.starts_with(char::is_alphanumeric)
        })
    };
    let first = |words: &&[&str]| words.iter().find(|word| holds(word)).map(|word| (*word).to_owned());
    WORDS.iter().filter_map(|(words, instead)| Some((first(words)?, *instead))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blame_is_found_and_something_else_is_offered() {
        let words = |text: &str| found(text).into_iter().map(|(word, _)| word).collect::<Vec<_>>();
        assert_eq!(words("The deployer should have looked, and simply forgot."), ["should have", "forgot", "simply"]);
        assert_eq!(words("HUMAN ERROR was the root cause"), ["human error", "root cause"]);
        assert_eq!(words("The retry budget of checkout was unlimited."), Vec::<String>::new());
        assert_eq!(words("outages of simplydb are unforgotten"), Vec::<String>::new());
        assert_eq!(words("We shouldn’t have shipped"), ["shouldn't have"]);
        assert_eq!(words("كان يجب أن"), Vec::<String>::new());
    }
}
