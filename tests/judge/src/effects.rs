//! Effects: the writes to targets that took effect in the name of a runbook's ServiceAccount.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::journal::{Intent, Journal, entry_of};
use crate::log::{Entry, annotation, is_true, items, text, version};
use crate::moment::{Moment, at, is_before};
use crate::{Breach, Rule};

/// The annotation that an act leaves on its target.
pub const TOKEN: &str = "firstaid.dev/last-action";
/// The same as a place in a JSON patch.
const TOKEN_PLACE: &str = "/metadata/annotations/firstaid.dev~1last-action";
/// Within how many seconds after a stop the one act that was in flight must have come in.
const IN_FLIGHT: i64 = 1;

/// What an act leaves on its target: `<run>/<run uid>/<step>/<attempt>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// The whole of it.
    pub text: &'a str,
    /// Name of the run.
    pub run: &'a str,
    /// Uid of the run.
    pub uid: &'a str,
    /// The step.
    pub step: &'a str,
    /// The attempt.
    pub attempt: i64,
}

impl<'a> Token<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let mut parts = text.split('/');
        let (run, uid, step) = (parts.next()?, parts.next()?, parts.next()?);
        let attempt = parts.next()?.parse().ok()?;
        parts.next().is_none().then_some(Self { text, run, uid, step, attempt })
    }
}

/// A write in the name of a runbook's ServiceAccount.
#[derive(Clone, Copy, Debug)]
pub struct Effect<'a> {
    /// The request and its answer.
    pub entry: Entry<'a>,
    /// The token that it wrote, if it wrote one.
    pub token: Option<Token<'a>>,
    /// The object as it was after it, if the log shows it.
    pub object: Option<&'a Value>,
    /// Uid of the object that was written; empty where the log does not say.
    pub target: &'a str,
    /// The count of the write, see [`version`].
    pub version: Option<u64>,
}

impl<'a> Effect<'a> {
    fn of(entry: Entry<'a>) -> Self {
        let token = entry.json.get("requestObject").and_then(written_token).and_then(Token::read);
        Self { entry, token, object: None, target: "", version: None }.shown_by(entry.object())
    }

    /// The same, with the object as an answer shows it.
    pub fn shown_by(self, object: Option<&'a Value>) -> Self {
        let target = object.map(|object| text(object, "/metadata/uid")).unwrap_or_default();
        Self { object, target, version: object.and_then(version), ..self }
    }

    /// The run of which it is.
    pub fn journal<'j>(&self, journals: &'j [Journal<'a>]) -> Option<&'j Journal<'a>> {
        let token = self.token?;
        journals.iter().find(|journal| journal.uid == token.uid && journal.name == token.run)
    }

    /// The intent that was stored before it came in.
    pub fn intent(&self, journal: &Journal<'a>) -> Option<Intent<'a>> {
        let token = self.token?;
        journal.intent_before(token.text, token.step, token.attempt, self.entry.received)
    }

    /// A breach by this act.
    pub fn breach(&self, rule: Rule, says: &str) -> Breach {
        let run = self.token.map_or("", |token| token.run);
        Breach::new(rule, run, format!("{}: {says}", self.entry.says()))
    }
}

/// The token that a write brings along. The object after the write does not tell: it may bear an older one.
fn written_token(request: &Value) -> Option<&str> {
    if request.is_object() {
        return Some(annotation(request, TOKEN));
    }
    items(request, "").filter(|step| matches!(text(step, "/op"), "add" | "replace")).find_map(|step| {
        match text(step, "/path") {
            TOKEN_PLACE => step.get("value")?.as_str(),
            "/metadata/annotations" => step.get("value")?.get(TOKEN)?.as_str(),
            _ => None,
        }
    })
}

/// The writes in the name of the ServiceAccounts of these runs, in the order in which they came in: those that took effect,
/// and those whose answer does not say.
pub fn effects<'a>(entries: &[Entry<'a>], journals: &[Journal<'a>]) -> (Vec<Effect<'a>>, Vec<Effect<'a>>) {
    let accounts: Vec<String> = journals.iter().map(Journal::account).filter(|account| !account.is_empty()).collect();
    let mut acts: Vec<Entry<'a>> = entries
        .iter()
        .filter(|entry| entry.impersonates && accounts.iter().any(|account| account == entry.user))
        // To ask what one may do is a `create` too, and stores nothing.
        .filter(|entry| entry.is_write() && entry.group != "authorization.k8s.io")
        .copied()
        .collect();
    acts.sort_by_key(|entry| entry.received);
    let (sure, others): (Vec<_>, Vec<_>) = acts.into_iter().partition(Entry::succeeded);
    let unclear = others.into_iter().filter(Entry::is_unclear);
    (sure.into_iter().map(Effect::of).collect(), unclear.map(Effect::of).collect())
}

/// J1: nothing is done without a durable intent.
///
/// *Proved*: each write that took effect in the name of a runbook's ServiceAccount, whoever sent it, wrote a token, which
/// stands on the object after it; the token is of a run that there is; and an answer of the API server that shows the token
/// as an intent in the journal of that very run was given before the write came in.
///
/// *From*: requests and answers of writes in those names, and answers of requests on runs.
///
/// *Not seen*: what a ServiceAccount does with a token of its own, without impersonation (its pods may); a write whose answer
/// does not say that it took effect (5xx) where no later answer shows the object; whether the values written are those that
/// were planned.
pub fn intents(effects: &[Effect<'_>], journals: &[Journal<'_>]) -> Vec<Breach> {
    effects.iter().filter_map(|effect| Some(effect.breach(Rule::Intent, &without_intent(effect, journals)?))).collect()
}

fn without_intent(effect: &Effect<'_>, journals: &[Journal<'_>]) -> Option<String> {
    let Some(object) = effect.object.filter(|_| effect.entry.json.get("requestObject").is_some()) else {
        return Some("the log holds no request or no answer, so that nobody can tell whose act it is".to_owned());
    };
    let Some(token) = effect.token else {
        return Some(format!("it is in the name of {} and leaves no token", effect.entry.user));
    };
    let stands = annotation(object, TOKEN);
    if stands != token.text {
        return Some(format!("it wrote the token {}, and on the object stands {stands:?}", token.text));
    }
    let Some(journal) = effect.journal(journals) else {
        return Some(format!("there is no run {} with uid {}", token.run, token.uid));
    };
    if effect.intent(journal).is_some() {
        return None;
    }
    Some(match journal.first_intent(token.text) {
        Some(later) => format!("the intent of {} was stored later, at {later}", token.text),
        None => format!("no intent of {} is in the journal", token.text),
    })
}

/// J2: nothing is done twice.
///
/// *Proved*: of one run, step and target there is at most one write that took effect; a second one is of another attempt,
/// and came in after the journal had settled each attempt before it as one that changed nothing (`outcome.changed` false).
///
/// *From*: as J1.
///
/// *Not seen*: a write whose answer does not say that it took effect, where no later answer shows the object.
pub fn doubles(effects: &[Effect<'_>], journals: &[Journal<'_>]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut earlier: BTreeMap<(&str, &str, &str), Vec<&Effect<'_>>> = BTreeMap::new();
    for effect in effects {
        let Some(token) = effect.token else { continue };
        let known = earlier.entry((token.uid, token.step, effect.target)).or_default();
        for first in known.iter() {
            let Some(of) = first.token else { continue };
            let settled = of.attempt != token.attempt
                && effect.journal(journals).is_some_and(|journal| is_not_done(journal, of, effect.entry.received));
            if !settled {
                let says = format!(
                    "{} acted already, by {}, as attempt {} that was not settled as not done",
                    token.step,
                    first.entry.says(),
                    of.attempt
                );
                breaches.push(effect.breach(Rule::Once, &says));
            }
        }
        known.push(effect);
    }
    breaches
}

/// Whether the journal said, before a moment, that an attempt had changed nothing.
fn is_not_done(journal: &Journal<'_>, token: Token<'_>, before: Option<Moment>) -> bool {
    journal.before(before).filter_map(|v| entry_of(v.run, token.step, token.attempt)).any(|entry| {
        entry.get("settled").is_some() && entry.get("outcome").is_some() && !is_true(entry, "/outcome/changed")
    })
}

/// J4: a stop wins.
///
/// *Proved*: no write of a run came in after the run's annotation `abort` was answered; an undo neither. But for one that was
/// in flight: of the writes that were answered later than the stop the first may be there, if it came in before the stop was
/// answered or within a second (L3) after it.
///
/// *From*: as J1, and the answer to the write that put the annotation there.
///
/// *Not seen*: whether what was in flight had been sent before the stop.
pub fn stops(effects: &[Effect<'_>], journals: &[Journal<'_>]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for journal in journals {
        let Some(stop) = journal.said("abort").and_then(|v| v.entry) else { continue };
        let of_run = |effect: &&Effect<'_>| effect.token.is_some_and(|token| token.uid == journal.uid);
        let after = effects.iter().filter(of_run).filter(|effect| is_before(stop.answered, effect.entry.answered));
        for (place, effect) in after.enumerate() {
            let late = stop.answered.map(|moment| moment.plus(IN_FLIGHT));
            if place > 0 || is_before(late, effect.entry.received) {
                let says =
                    format!("{} had stopped the run, answered at {}: {}", stop.user, at(stop.answered), stop.says());
                breaches.push(effect.breach(Rule::Stop, &says));
            }
        }
    }
    breaches
}

/// J5: never wider than planned.
///
/// *Proved*: each write that took effect was on the object (by its uid) that the intent of its token names.
///
/// *From*: the uid in the answer, and the intent by which J1 found it in order.
///
/// *Not seen*: what controllers did in consequence.
pub fn targets(effects: &[Effect<'_>], journals: &[Journal<'_>]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for effect in effects {
        let Some(intent) = effect.journal(journals).and_then(|journal| effect.intent(journal)) else { continue };
        if intent.target != effect.target {
            let says = format!("it is on the object {:?}, and planned was {:?}", effect.target, intent.target);
            breaches.push(effect.breach(Rule::Target, &says));
        }
    }
    breaches
}
