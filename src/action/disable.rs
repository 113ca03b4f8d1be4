//! `disable`: force a feature flag to its off value, in a ConfigMap or in an OpenFeature `FeatureFlag` resource.
//!
//! What a flag is, what its off is, and which bytes change is [`super::flag`]'s knowledge; this file joins it to objects.

use serde_json::{Map, Value, json};

use super::flag::{self, DocumentError, Pointer, Preserved};
use super::observe::{other_object, target_of, version_of};
use super::{
    Change, Context, Done, Effect, ObjectRef, Obstacle, Prospect, Query, Seen, Verdict, evidence, fields, owners,
    pointer_token, reason, refused,
};
use crate::api::run::{Holds, PlannedStep, Target, Undo};
use crate::api::step::{ConfigMapFlag, Disable, Format, Rules};
use crate::digest;

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
    if disable.config_map.is_some() {
        warnings.push(format!(
            "pods that read {} as environment variables or by subPath see the change only after a restart",
            target.display()
        ));
        if let Some(Preserved::Reformatted(what)) = changed_text(disable, live, &after)?.map(|edited| edited.preserved)
        {
            warnings.push(what);
        }
    }
    Ok(Prospect {
        seen: version_of(live),
        before: fields(&json!({"flag": found.flag})),
        holds: Holds {
            sentence: format!("flag {} still has the value that it had ({})", disable.flag, off.before),
            facts: fields(&json!({"uid": target.uid, "flag": digest::of(&found.flag)})),
        },
        undo: Some(undo_words(disable, context, &found.flag)),
        by_hand: by_hand(disable, context, &after),
        summary: format!("flag {} {} -> {}", disable.flag, off.before, off.after),
        already: off.already,
        warnings,
        after: fields(&json!({"flag": after})),
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
    let before = fields(&json!({"flag": now}));
    let changes = match &disable.config_map {
        Some(map) => changed_text(disable, live, &after)?
            .map(|edited| Change {
                path: format!("/data/{}", pointer_token(&map.key)),
                old: live.get("data").and_then(|data| data.get(&map.key)).cloned(),
                new: Some(Value::String(edited.text)),
            })
            .into_iter()
            .collect(),
        None => {
            let place = flag::resource_place(&disable.flag).to_string();
            differences(&now, &after)
                .into_iter()
                .map(|(pointer, new)| Change {
                    path: format!("{place}{pointer}"),
                    old: now.pointer(&pointer.to_string()).cloned(),
                    new,
                })
                .collect::<Vec<_>>()
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
    let mut after = now.clone();
    // Only what we changed is compared and restored; what others changed beside it stays.
    for (pointer, back) in differences(ours, before) {
        let place = pointer.to_string();
        let (live, ours) = (now.pointer(&place), ours.pointer(&place));
        if live == ours {
            match back {
                Some(value) => put(&mut after, &pointer, value),
                None => take(&mut after, &pointer),
            }
        } else if live != before.pointer(&place) {
            return Err(refused(
                reason::CHANGED_SINCE,
                format!(
                    "somebody changed {} of flag {} since, so it is left alone",
                    if place.is_empty() { "the value" } else { &place },
                    disable.flag
                ),
            ));
        }
    }
    Ok(Prospect {
        target: done.target.clone(),
        seen: version_of(live),
        already: after == now,
        before: fields(&json!({"flag": now})),
        holds: Holds {
            sentence: format!("flag {} still has the value that First Aid set", disable.flag),
            facts: fields(&json!({"uid": done.target.uid, "flag": digest::of(&now)})),
        },
        undo: None,
        by_hand: by_hand(disable, context, &after),
        summary: format!("flag {} back to what it was", disable.flag),
        warnings: Vec::new(),
        after: fields(&json!({"flag": after})),
    })
}

pub(super) fn undo_note(
    disable: &Disable,
    context: &Context<'_>,
    _: &Target,
    before: &Map<String, Value>,
) -> Option<Undo> {
    before.get("flag").map(|flag| undo_words(disable, context, flag))
}

fn undo_words(disable: &Disable, context: &Context<'_>, before: &Value) -> Undo {
    let was = match before.get("defaultVariant").and_then(Value::as_str) {
        Some(variant) => format!("what it was ({variant})"),
        None if before.is_object() => "what it was".to_owned(),
        None => before.to_string(),
    };
    Undo {
        summary: format!("flag {} back to {was}", disable.flag),
        by_hand: by_hand(disable, context, before),
        restore: fields(&json!({"flag": before})),
    }
}

/// Finds the flag in its object.
fn find(disable: &Disable, live: &Value) -> Result<Found, Obstacle> {
    let Some(map) = &disable.config_map else {
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
    let text = text(map, live)?;
    let place = place(map)?;
    let unfit = |e: DocumentError| unfit(disable, map, &e);
    let flag = flag::read(text, format(map.format), &place).map_err(unfit)?;
    let key = place.tokens().last().cloned().unwrap_or_else(|| disable.flag.clone());
    let document = match map.format {
        Format::Json | Format::Yaml => flag::read(text, format(map.format), &Pointer::root()).map_err(unfit)?,
        Format::Plain | Format::Properties => Value::Null,
    };
    let document = if document.get("flags").is_some_and(|flags| flags.get(&key).is_some()) {
        document
    } else {
        json!({"flags": {key.as_str(): flag}})
    };
    Ok(Found { flag, document, key })
}

/// The text of the ConfigMap's key.
fn text<'a>(map: &ConfigMapFlag, live: &'a Value) -> Result<&'a str, Obstacle> {
    let data = live.get("data").and_then(Value::as_object);
    data.and_then(|data| data.get(&map.key)).and_then(Value::as_str).ok_or_else(|| {
        let known: Vec<&str> = data.into_iter().flat_map(Map::keys).map(String::as_str).collect();
        refused(
            reason::FLAG_UNKNOWN,
            format!("ConfigMap/{} has no key {:?}; it has: {}", map.name, map.key, known.join(", ")),
        )
    })
}

/// The ConfigMap's text with the flag as wanted; none where it is so already.
fn changed_text(disable: &Disable, live: &Value, after: &Value) -> Result<Option<flag::Edited>, Obstacle> {
    let Some(map) = &disable.config_map else { return Ok(None) };
    let place = place(map)?;
    let places: Vec<(Pointer, Value)> = differences(&find(disable, live)?.flag, after)
        .into_iter()
        .filter_map(|(pointer, value)| Some((place.join(&pointer), value?)))
        .collect();
    if places.is_empty() {
        return Ok(None);
    }
    flag::write(text(map, live)?, format(map.format), &places).map(Some).map_err(|e| unfit(disable, map, &e))
}

fn unfit(disable: &Disable, map: &ConfigMapFlag, error: &DocumentError) -> Obstacle {
    let reason = match error {
        DocumentError::NotFound { .. } | DocumentError::ThroughScalar { .. } => reason::FLAG_UNKNOWN,
        _ => reason::DOCUMENT_UNFIT,
    };
    refused(reason, format!("flag {} in key {} of ConfigMap/{}: {error}", disable.flag, map.key, map.name))
}

fn place(map: &ConfigMapFlag) -> Result<Pointer, Obstacle> {
    map.pointer.as_deref().map_or(Ok(Pointer::root()), |text| {
        text.parse().map_err(|e: flag::PointerError| refused(reason::INVALID, e.to_string()))
    })
}

fn format(format: Format) -> flag::Format {
    match format {
        Format::Plain => flag::Format::Plain,
        Format::Json => flag::Format::Json,
        Format::Yaml => flag::Format::Yaml,
        Format::Properties => flag::Format::Properties,
    }
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
mod tests {
    use super::super::Answer;
    use super::*;

    fn disable(fields: Value) -> Disable {
        let mut whole = json!({"flag": "recs"});
        whole.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        serde_json::from_value(whole).unwrap()
    }

    fn in_document() -> Disable {
        disable(json!({"configMap": {"name": "flags", "key": "f.json", "format": "Json", "pointer": "/recs"}}))
    }

    fn map(text: &str) -> Value {
        json!({"metadata": {"uid": "u1", "resourceVersion": "7"}, "data": {"f.json": text, "OTHER": "x"}})
    }

    fn seen(disable: &Disable, object: Value) -> Seen {
        let mut seen = Seen::default();
        seen.add(Query::Object(super::object(disable)), Answer::Object(Some(object)));
        seen
    }

    fn context() -> Context<'static> {
        Context { namespace: "shop", params: &Value::Null, intent_at: jiff::Timestamp::UNIX_EPOCH }
    }

    fn planned(prospect: Prospect) -> PlannedStep {
        prospect.planned("off", 1, "disable", "t")
    }

    #[test]
    fn one_place_of_a_document_changes_and_every_other_byte_stays() {
        let disable = in_document();
        let before = "{ \"a\": 1,\n  \"recs\" : true , \"z\":[ ] }\n";
        let seen = seen(&disable, map(before));
        let planned = planned(plan(&disable, &context(), &seen).unwrap());
        assert_eq!(planned.summary, "flag recs true -> false");
        let effect = effect(&disable, &context(), &planned, &seen).unwrap();
        assert_eq!(
            effect.patch.last().unwrap(),
            &json!({"op": "add", "path": "/data/f.json", "value": before.replace("true", "false")})
        );
        assert!(
            effect.patch.contains(&json!({"op": "test", "path": "/data/f.json", "value": before})),
            "kinds without generation test the old value"
        );
    }

    #[test]
    fn undo_leaves_what_others_changed_beside_it() {
        let disable = disable(json!({"featureFlag": {"name": "ff"}, "rules": "Suspend"}));
        let flag = |default: &str, targeting: Value| {
            json!({"metadata": {"uid": "u1", "generation": 1}, "spec": {"flagSpec": {"flags": {
            "recs": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": default, "targeting": targeting}}}}})
        };
        let rule = json!({"if": [{"var": "x"}, "on", "off"]});
        let first = plan(&disable, &context(), &seen(&disable, flag("on", rule.clone()))).unwrap();
        let done = Done { target: &first.target, before: &first.before, after: &first.after };
        let mut others = flag("off", json!({}));
        others["spec"]["flagSpec"]["flags"]["recs"]["variants"]["blue"] = json!(true);
        let back = undo(&disable, &context(), &done, &seen(&disable, others)).unwrap();
        assert_eq!(back.after["flag"]["defaultVariant"], json!("on"));
        assert_eq!(back.after["flag"]["targeting"], rule);
        assert_eq!(back.after["flag"]["variants"]["blue"], json!(true));
        let mut restored = flag("off", json!({}));
        restored["spec"]["flagSpec"]["flags"]["recs"] = back.after["flag"].clone();
        let verdict = verify(&disable, &context(), &planned(back), &seen(&disable, restored));
        assert!(
            matches!(verdict, Ok(Verdict::Yes(..))),
            "the rules decide again, so the default is not for everybody: {verdict:?}"
        );
        let mut theirs = flag("off", json!({}));
        theirs["spec"]["flagSpec"]["flags"]["recs"]["defaultVariant"] = json!("blue");
        let error = undo(&disable, &context(), &done, &seen(&disable, theirs)).unwrap_err().to_string();
        assert!(error.contains("left alone"), "{error}");
    }

    #[test]
    fn what_is_not_there_is_named() {
        let gone =
            disable(json!({"configMap": {"name": "flags", "key": "g.json", "format": "Json", "pointer": "/recs"}}));
        let error = plan(&gone, &context(), &seen(&gone, map("{}"))).unwrap_err().to_string();
        assert!(error.contains("no key \"g.json\"; it has: OTHER, f.json"), "{error}");
        let resource = disable(json!({"featureFlag": {"name": "ff"}}));
        let object = json!({"metadata": {"uid": "u"}, "spec": {"flagSpec": {"flags": {"basket": {}}}}});
        let error = plan(&resource, &context(), &seen(&resource, object)).unwrap_err().to_string();
        assert!(error.contains("has no flag \"recs\"; it has: basket"), "{error}");
    }
}
