//! `disable`: force a feature flag to its off value, in a ConfigMap or in an OpenFeature `FeatureFlag` resource.
//!
//! What a flag is, what its off is, and which bytes change is [`super::flag`]'s knowledge; this file joins it to objects,
//! and [`text`] to the text of a ConfigMap.

mod text;

use serde_json::{Map, Value, json};

use super::flag::{self, Pointer};
use super::observe::{other_object, target_of, version_of};
use super::{
    Change, Context, Done, Effect, ObjectRef, Obstacle, Prospect, Query, Seen, Verdict, evidence, fields, owners,
    reason, refused,
};
use crate::api::run::{Holds, PlannedStep, Target, Undo};
use crate::api::step::{Disable, Format, Rules};
use crate::digest;
use text::InText;

/// The flag as the cluster holds it.
struct Found {
    /// The flag's own value: a boolean, or a definition.
    flag: Value,
    /// The document around it, for its evaluator.
    document: Value,
    /// The flag's name in the document.
    key: String,
}

pub(super) fn object(disable: &Disable) -> ObjectRef {
    match (&disable.config_map, &disable.feature_flag) {
        (Some(map), _) => {
            ObjectRef { api_version: "v1".to_owned(), kind: "ConfigMap".to_owned(), name: map.name.clone() }
        }
        (None, resource) => ObjectRef {
            api_version: "core.openfeature.dev/v1beta1".to_owned(),
            kind: "FeatureFlag".to_owned(),
            name: resource.as_ref().map(|r| r.name.clone()).unwrap_or_default(),
        },
    }
}

pub(super) fn look(disable: &Disable, _: &Context<'_>) -> Vec<Query> {
    vec![Query::Object(object(disable))]
}

pub(super) fn plan(disable: &Disable, context: &Context<'_>, seen: &Seen) -> Result<Prospect, Obstacle> {
    let reference = object(disable);
    let live = seen.object(&reference)?;
    if live.get("immutable").and_then(Value::as_bool).unwrap_or_default() {
        return Err(refused(
            reason::DOCUMENT_UNFIT,
            format!(
                "ConfigMap/{} is immutable; make a new ConfigMap and roll the workloads that read it",
                reference.name
            ),
        ));
    }
    let found = find(disable, live)?;
    let to = disable.to.as_ref().map(|to| match (&found.flag, to.as_str()) {
        (Value::Bool(_), "true") => Value::Bool(true),
        (Value::Bool(_), "false") => Value::Bool(false),
        _ => Value::String(to.clone()),
    });
    let off = flag::off(&found.flag, to.as_ref(), rules(disable.rules))
        .map_err(|e| refused(reason::FLAG_UNKNOWN, format!("flag {}: {e}", disable.flag)))?;
    let mut after = found.flag.clone();
    for edit in &off.edits {
        put(&mut after, &edit.pointer, edit.value.clone());
    }
    let target = target_of(&reference, context.namespace, live);
    let mut warnings = owners::warnings(live);
    warnings.extend(off.warnings.iter().cloned());
    let mut before = state(&found.flag, &Map::new());
    if let Some(text) = InText::of(disable) {
        warnings.push(format!(
            "pods that read {} as environment variables or by subPath see the change only after a restart",
            target.display()
        ));
        if let Some(edit) = text.edit(live, (&found.flag, &after), None)? {
            before = state(&found.flag, &edit.written);
            warnings.extend(edit.warning);
        }
    }
    Ok(Prospect {
        seen: version_of(live),
        undo: Some(undo_words(disable, context, &found.flag, &before)),
        before,
        holds: Holds {
            sentence: format!("flag {} still has the value that it had ({})", disable.flag, off.before),
            facts: fields(&json!({"uid": target.uid, "flag": digest::of(&found.flag)})),
        },
        by_hand: by_hand(disable, context, &after),
        summary: format!("flag {} {} -> {}", disable.flag, off.before, off.after),
        already: off.already,
        warnings,
        after: state(&after, &Map::new()),
        target,
    })
}

pub(super) fn void(
    disable: &Disable,
    _: &Context<'_>,
    planned: &PlannedStep,
    seen: &Seen,
) -> Result<Option<String>, Obstacle> {
    let live = seen.object(&object(disable))?;
    let now = find(disable, live)?.flag;
    let held = Some(&now) == planned.before.get("flag") || Some(&now) == planned.after.get("flag");
    Ok((!held).then(|| format!("flag {} was changed since it was planned", disable.flag)))
}

pub(super) fn effect(
    disable: &Disable,
    _: &Context<'_>,
    planned: &PlannedStep,
    seen: &Seen,
) -> Result<Effect, Obstacle> {
    let live = seen.object(&object(disable))?;
    let now = find(disable, live)?.flag;
    let after = planned.after.get("flag").cloned().unwrap_or_default();
    let plain = state(&now, &Map::new());
    if now == after {
        // Somebody brought it there already, in words of their own.
        return Ok(Effect::new(&planned.target, live, &planned.token, &[], plain.clone(), plain));
    }
    let (before, changes) = match InText::of(disable) {
        Some(text) => match text.edit(live, (&now, &after), planned.after.get("written"))? {
            Some(edit) => (state(&now, &edit.written), vec![edit.change]),
            None => (plain, Vec::new()),
        },
        None => {
            let place = flag::resource_place(&disable.flag).to_string();
            let changes = differences(&now, &after).into_iter().map(|(pointer, new)| Change {
                path: format!("{place}{pointer}"),
                old: now.pointer(&pointer.to_string()).cloned(),
                new,
            });
            (plain, changes.collect())
        }
    };
    Ok(Effect::new(&planned.target, live, &planned.token, &changes, before, planned.after.clone()))
}

pub(super) fn verify(
    disable: &Disable,
    context: &Context<'_>,
    planned: &PlannedStep,
    seen: &Seen,
) -> Result<Verdict, Obstacle> {
    let live = seen.object(&object(disable))?;
    let found = find(disable, live)?;
    let wanted = planned.after.get("flag").cloned().unwrap_or_default();
    let mut seen = vec![evidence("flag as read back", &found.flag)];
    if found.flag != wanted {
        return Ok(Verdict::NotYet(format!("somebody changed flag {} afterwards", disable.flag), seen));
    }
    if planned.undo.is_none() {
        // An undo: it brings back rules, or a disabled state, by which not everybody gets the default variant again.
        return Ok(Verdict::Yes(format!("flag {} reads back as it was", disable.flag), seen));
    }
    let Value::Object(definition) = &found.flag else {
        return Ok(Verdict::Yes(format!("flag {} reads back as {}", disable.flag, found.flag), seen));
    };
    let wanted = definition.get("defaultVariant").and_then(Value::as_str).unwrap_or_default();
    let evaluations = flag::evaluate(&found.document, &found.key, &disable.contexts, context.intent_at.as_second())
        .map_err(|e| refused(reason::FLAG_UNKNOWN, format!("flag {}: {e}", disable.flag)))?;
    let mut differing = Vec::new();
    for evaluation in &evaluations {
        let variant = evaluation.variant.clone().unwrap_or_else(|| "the caller's own default".to_owned());
        seen.push(evidence(
            &format!("evaluated for {}", crate::api::condition::cut(&evaluation.context.to_string(), 100)),
            &variant,
        ));
        if evaluation.variant.as_deref() != Some(wanted) {
            differing.push(format!("{} gets {variant}", evaluation.context));
        }
    }
    if differing.is_empty() {
        Ok(Verdict::Yes(
            format!("flag {} evaluates to {wanted} for {} contexts", disable.flag, evaluations.len()),
            seen,
        ))
    } else if disable.rules == Rules::Keep {
        Ok(Verdict::Yes(
            format!("flag {} is {wanted} by default; its rules stay: {}", disable.flag, differing.join("; ")),
            seen,
        ))
    } else {
        Ok(Verdict::NotYet(
            format!("flag {} is not {wanted} for everybody: {}", disable.flag, differing.join("; ")),
            seen,
        ))
    }
}

pub(super) fn undo(
    disable: &Disable,
    context: &Context<'_>,
    done: &Done<'_>,
    seen: &Seen,
) -> Result<Prospect, Obstacle> {
    let live = seen.object(&object(disable))?;
    if let Some(why) = other_object(done.target, live) {
        return Err(refused(reason::CHANGED_SINCE, why));
    }
    let now = find(disable, live)?.flag;
    let nothing = Value::Null;
    let (before, ours) = (done.before.get("flag").unwrap_or(&nothing), done.after.get("flag").unwrap_or(&nothing));
    let (mut after, mut written, mut warnings) = (now.clone(), Map::new(), Vec::new());
    let who = || owners::last_writer(live, &noted_at(disable)).map(|who| format!(" ({who})")).unwrap_or_default();
    // Only what we changed is compared and restored; what others changed beside it stays.
    for (pointer, back) in differences(ours, before) {
        let place = pointer.to_string();
        let (live, ours, was) = (now.pointer(&place), ours.pointer(&place), before.pointer(&place));
        let what = if place.is_empty() { "the value" } else { &place };
        let theirs = live != ours && live != was;
        if theirs && !done.force {
            return Err(refused(
                reason::CHANGED_SINCE,
                format!("somebody changed {what} of flag {} since{}, so it is left alone", disable.flag, who()),
            ));
        }
        if theirs {
            warnings.push(format!(
                "forced: what somebody made of {what} of flag {} since{} is lost",
                disable.flag,
                who()
            ));
        }
        if live != was {
            let words = done.before.get("written").and_then(|written| written.get(&place));
            written.extend(words.map(|words| (place.clone(), words.clone())));
            match back {
                Some(value) => put(&mut after, &pointer, value),
                None => take(&mut after, &pointer),
            }
        }
    }
    if after == now {
        warnings.push(format!("flag {} is again as it was before{}", disable.flag, who()));
    }
    Ok(Prospect {
        target: done.target.clone(),
        seen: version_of(live),
        already: after == now,
        before: state(&now, &Map::new()),
        holds: Holds {
            sentence: format!("flag {} still has the value that First Aid set", disable.flag),
            facts: fields(&json!({"uid": done.target.uid, "flag": digest::of(&now)})),
        },
        undo: None,
        by_hand: by_hand(disable, context, &after),
        summary: format!("flag {} back to what it was", disable.flag),
        warnings,
        after: state(&after, &written),
    })
}

pub(super) fn undo_note(
    disable: &Disable,
    context: &Context<'_>,
    _: &Target,
    before: &Map<String, Value>,
) -> Option<Undo> {
    before.get("flag").map(|flag| undo_words(disable, context, flag, before))
}

fn undo_words(disable: &Disable, context: &Context<'_>, flag: &Value, before: &Map<String, Value>) -> Undo {
    let was = match flag.get("defaultVariant").and_then(Value::as_str) {
        Some(variant) => format!("what it was ({variant})"),
        None if flag.is_object() => "what it was".to_owned(),
        None => flag.to_string(),
    };
    let words = if before.contains_key("written") { ", as in before.written of the record" } else { "" };
    Undo {
        summary: format!("flag {} back to {was}", disable.flag),
        by_hand: format!("{}{words}", by_hand(disable, context, flag)),
        restore: before.clone(),
    }
}

/// The place by which the API server notes who wrote the flag: a ConfigMap's key as a whole.
fn noted_at(disable: &Disable) -> String {
    match &disable.config_map {
        Some(map) => format!("/data/{}", super::pointer_token(&map.key)),
        None => flag::resource_place(&disable.flag).to_string(),
    }
}

/// Finds the flag in its object.
fn find(disable: &Disable, live: &Value) -> Result<Found, Obstacle> {
    let Some(text) = InText::of(disable) else {
        let spec = live.pointer("/spec/flagSpec").cloned().unwrap_or_default();
        let flags = spec.get("flags").and_then(Value::as_object);
        let Some(flag) = flags.and_then(|flags| flags.get(&disable.flag)) else {
            let known: Vec<&str> = flags.into_iter().flat_map(Map::keys).map(String::as_str).collect();
            return Err(refused(
                reason::FLAG_UNKNOWN,
                format!(
                    "FeatureFlag/{} has no flag {:?}; it has: {}",
                    object(disable).name,
                    disable.flag,
                    known.join(", ")
                ),
            ));
        };
        return Ok(Found { flag: flag.clone(), key: disable.flag.clone(), document: spec });
    };
    let (flag, document, key) = text.find(live)?;
    let document = if document.get("flags").is_some_and(|flags| flags.get(&key).is_some()) {
        document
    } else {
        json!({"flags": {key.as_str(): flag}})
    };
    Ok(Found { flag, document, key })
}

/// The flag's value as a plan and its records say it, and how it is written where that must be kept for the undo.
fn state(flag: &Value, written: &Map<String, Value>) -> Map<String, Value> {
    let mut state = fields(&json!({"flag": flag}));
    if !written.is_empty() {
        state.insert("written".to_owned(), Value::Object(written.clone()));
    }
    state
}

fn rules(rules: Rules) -> flag::Rules {
    match rules {
        Rules::Refuse => flag::Rules::Refuse,
        Rules::Suspend => flag::Rules::Suspend,
        Rules::Keep => flag::Rules::Keep,
    }
}

/// The places, below the flag, at which the second value differs from the first, and what is there: none where it is gone.
fn differences(from: &Value, to: &Value) -> Vec<(Pointer, Option<Value>)> {
    let (Value::Object(old), Value::Object(new)) = (from, to) else {
        return if from == to { Vec::new() } else { vec![(Pointer::root(), Some(to.clone()))] };
    };
    let changed =
        new.iter().filter(|(key, value)| old.get(*key) != Some(value)).map(|(key, value)| (key, Some(value.clone())));
    let gone = old.keys().filter(|key| !new.contains_key(*key)).map(|key| (key, None));
    changed.chain(gone).map(|(key, value)| (Pointer::root().child(key), value)).collect()
}

fn put(flag: &mut Value, pointer: &Pointer, value: Value) {
    match pointer.tokens() {
        [] => *flag = value,
        [key] => {
            if let Some(fields) = flag.as_object_mut() {
                fields.insert(key.clone(), value);
            }
        }
        _ => {
            if let Some(place) = flag.pointer_mut(&pointer.to_string()) {
                *place = value;
            }
        }
    }
}

fn take(flag: &mut Value, pointer: &Pointer) {
    if let ([key], Some(fields)) = (pointer.tokens(), flag.as_object_mut()) {
        fields.remove(key);
    }
}

fn by_hand(disable: &Disable, context: &Context<'_>, to: &Value) -> String {
    let reference = object(disable);
    let (name, kind) = (&reference.name, reference.typed());
    let namespace = context.namespace;
    match &disable.config_map {
        Some(map) if map.format == Format::Plain => {
            format!(
                "kubectl patch {kind} -n {namespace} {name} --type merge -p '{}'",
                quoted(&json!({"data": {map.key.as_str(): to.to_string()}}))
            )
        }
        Some(map) => format!(
            "kubectl edit {kind} -n {namespace} {name}   # in {}, set {} to {}",
            map.key,
            map.pointer.as_deref().unwrap_or_default(),
            // JSON has no line breaks of its own, so this stays behind the comment sign.
            crate::api::condition::cut(&to.to_string(), 256)
        ),
        None => format!(
            "kubectl patch {kind} -n {namespace} {name} --type merge -p '{}'",
            quoted(&json!({"spec": {"flagSpec": {"flags": {disable.flag.as_str(): to}}}}))
        ),
    }
}

/// JSON between the single quotes of a shell: people paste it, and others may have written what it holds.
fn quoted(json: &Value) -> String {
    json.to_string().replace('\'', r"'\''")
}

#[cfg(test)]
mod tests;
