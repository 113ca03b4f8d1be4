//! J3: whether the records tell what the log tells.

use serde_json::Value;

use crate::effects::Effect;
use crate::log::{is_true, number, text};
use crate::{Breach, Facts, Rule};

/// J3: what was done is on record, once, and what is on record was done.
///
/// *Proved*: of each write that took effect, of a run that has ended, there is exactly one ActionRecord (by run uid, step,
/// attempt and uid of the target), and never two. Each record that says Done and changed has exactly one such write, or none
/// and a request whose answer was lost (5xx), where no later answer shows the object either. A record that says that nothing was written (Refused, Failed, or Done and not
/// changed) has none.
///
/// *From*: the records as they are in the end, and the effects of J1.
///
/// *Not seen*: of a record that says Unknown, which of the two is true; a record that is still to be made, while a run goes
/// on; whether `before` and `after` in a record are what was there.
pub fn records(facts: &Facts<'_>) -> Vec<Breach> {
    facts
        .effects
        .iter()
        .filter_map(|effect| unrecorded(facts, effect))
        .chain(facts.records.iter().filter_map(|record| untrue(facts, record)))
        .collect()
}

/// Whether a record is of this act.
fn is_of(record: &Value, effect: &Effect<'_>) -> bool {
    effect.token.is_some_and(|token| {
        text(record, "/spec/runUID") == token.uid
            && text(record, "/spec/step") == token.step
            && number(record, "/spec/attempt") == token.attempt
            && text(record, "/spec/target/uid") == effect.target
    })
}

fn unrecorded(facts: &Facts<'_>, effect: &Effect<'_>) -> Option<Breach> {
    let journal = effect.journal(&facts.journals)?;
    let says = match facts.records.iter().filter(|record| is_of(record, effect)).count() {
        1 => return None,
        0 if !journal.is_finished() => return None,
        0 => "the run has ended, and there is no record of it".to_owned(),
        several => format!("there are {several} records of it"),
    };
    Some(effect.breach(Rule::Record, &says))
}

fn untrue(facts: &Facts<'_>, record: &Value) -> Option<Breach> {
    let written = facts.effects.iter().filter(|effect| is_of(record, effect)).count();
    // What was not answered does not say on which object it was; its token does not lie about the rest.
    let unclear = facts.unclear.iter().any(|effect| {
        effect.token.is_some_and(|token| {
            token.uid == text(record, "/spec/runUID")
                && token.step == text(record, "/spec/step")
                && token.attempt == number(record, "/spec/attempt")
        })
    });
    let (result, changed) = (text(record, "/spec/result"), is_true(record, "/spec/changed"));
    let says = match (result, changed) {
        ("Done", true) if written == 0 && !unclear => "says that it was done, and no write in the log took effect",
        ("Done", true) if written > 1 => "is of several writes",
        ("Done", false) | ("Refused" | "Failed", _) if written > 0 => {
            "says that nothing was written, and the log shows a write"
        }
        ("Done" | "Refused" | "Failed" | "Unknown", _) => return None,
        _ => "has a result that nobody knows",
    };
    let says = format!("record {} ({result}) {says}", text(record, "/metadata/name"));
    Some(Breach::new(Rule::Record, text(record, "/spec/run"), says))
}
