//! Writes whose answer does not say whether they took effect (5xx): what later answers show of the object does.

use serde_json::Value;

use crate::effects::{Effect, TOKEN};
use crate::log::{Entry, annotation, version};
use crate::moment::is_before;

/// The effects, and the writes of which nothing tells, out of the sure and the unclear ones. An unclear write
///
/// * took effect, if an answer shows its token on the object, and no sure write had put it there by then. Of several with
///   one token it is the first: each was on condition that the token was not there yet;
/// * took none, if the first answer that shows the object later has another token on it;
/// * stays unclear, if the object was not shown any more.
pub fn cleared<'a>(
    entries: &[Entry<'a>],
    (mut effects, unclear): (Vec<Effect<'a>>, Vec<Effect<'a>>),
) -> (Vec<Effect<'a>>, Vec<Effect<'a>>) {
    let mut open = Vec::new();
    for write in unclear {
        let mut shown = answers(entries, &write);
        shown.sort_by_key(|(_, object)| version(object));
        let bears = |object: &Value| write.token.is_some_and(|token| annotation(object, TOKEN) == token.text);
        let by_another = |object: &Value| {
            let same = |effect: &&Effect<'_>| effect.token.zip(write.token).is_some_and(|(a, b)| a == b);
            effects.iter().filter(same).any(|effect| effect.version.zip(version(object)).is_none_or(|(a, b)| a <= b))
        };
        let landed = shown.iter().find(|(_, object)| bears(object) && !by_another(object));
        let later = |(entry, _): &&(Entry<'_>, &Value)| is_before(write.entry.answered, entry.received);
        if let Some((_, object)) = landed {
            effects.push(write.shown_by(Some(object)));
        } else if !shown.iter().any(|shown| later(&shown)) {
            open.push(write);
        }
    }
    effects.sort_by_key(|effect| effect.entry.received);
    (effects, open)
}

/// The answers to other requests that show the object of a write.
fn answers<'a>(entries: &[Entry<'a>], write: &Effect<'a>) -> Vec<(Entry<'a>, &'a Value)> {
    let of = |entry: &Entry<'a>| (entry.group, entry.resource, entry.name);
    let same = |entry: &&Entry<'a>| of(entry) == of(&write.entry) && is_before(write.entry.received, entry.answered);
    entries.iter().filter(same).filter_map(|entry| Some((*entry, entry.object()?))).collect()
}
