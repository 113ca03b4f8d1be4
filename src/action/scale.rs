//! `scale`: change the number of replicas of a workload.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::observe::{other_object, target_of, version_of};
use super::{
    AutoscalerFacts, Change, Context, Done, Effect, ObjectRef, Obstacle, Prospect, Query, ScalePaths, Seen, Verdict,
    evidence, fields, owners, reason, refused, typed,
};
use crate::api::run::{Holds, PlannedStep, Target, Undo};
use crate::api::step::Scale;

/// The size of a workload, in plans and records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Size {
    replicas: i64,
}

pub(super) fn look(scale: &Scale, _: &Context<'_>) -> Vec<Query> {
    let Ok(object) = ObjectRef::of(&scale.target) else { return Vec::new() };
    let mut queries = vec![Query::Autoscalers];
    if built_in_paths(&object).is_none() {
        queries.push(Query::ScalePaths { api_version: object.api_version.clone(), kind: object.kind.clone() });
    }
    queries.push(Query::Object(object));
    queries
}

pub(super) fn plan(scale: &Scale, context: &Context<'_>, seen: &Seen) -> Result<Prospect, Obstacle> {
    let reference = ObjectRef::of(&scale.target)?;
    let object = seen.object(&reference)?;
    let paths = paths(&reference, seen)?;
    let from = replicas(object, &paths.spec);
    let to = wanted(scale, from)?;
    let target = target_of(&reference, context.namespace, object);
    let name = target.display();
    let mut warnings = owners::warnings(object);
    if let Some(owner) = owners::controller(object) {
        return Err(refused(
            reason::OWNED,
            format!("{owner} owns {name} and would put its size back; scale the owner instead"),
        ));
    }
    for autoscaler in seen.autoscalers()? {
        if autoscaler.kind != reference.kind || autoscaler.target != reference.name {
            continue;
        }
        if to != 0 {
            return Err(refused(
                reason::AUTOSCALED,
                format!(
                    "HorizontalPodAutoscaler/{} keeps {name} between {} and {} and would put {to} back; change its bounds instead: \
                     kubectl patch hpa -n {} {} -p '{}'",
                    autoscaler.name,
                    autoscaler.min,
                    autoscaler.max,
                    context.namespace,
                    autoscaler.name,
                    bounds_for(autoscaler, from, to)
                ),
            ));
        }
        warnings.push(format!("HorizontalPodAutoscaler/{} rests while {name} is at zero", autoscaler.name));
    }
    if to == 0 && !scale.contain.unwrap_or_default() {
        return Err(refused(
            reason::INVALID,
            format!(
                "scaling {name} to zero takes the service away; if that is meant, say contain: true in the runbook"
            ),
        ));
    }
    if to == 0 {
        warnings.push(format!("{name} will serve nobody until this is undone"));
    }
    let direction = match to.cmp(&from) {
        std::cmp::Ordering::Greater => "still below",
        std::cmp::Ordering::Less => "still above",
        std::cmp::Ordering::Equal => "at",
    };
    Ok(Prospect {
        seen: version_of(object),
        before: fields(&Size { replicas: from }),
        after: fields(&Size { replicas: to }),
        holds: Holds {
            sentence: format!("it is the same {name} and {direction} {to}"),
            facts: fields(&json!({"uid": target.uid, "direction": direction, "replicas": to})),
        },
        undo: Some(undo_of(&target.display(), &by_hand(&reference, context, from), from)),
        by_hand: by_hand(&reference, context, to),
        summary: format!("scale {name} {from} -> {to}"),
        already: from == to,
        warnings,
        target,
    })
}

pub(super) fn void(
    scale: &Scale,
    _: &Context<'_>,
    planned: &PlannedStep,
    seen: &Seen,
) -> Result<Option<String>, Obstacle> {
    let reference = ObjectRef::of(&scale.target)?;
    let object = seen.object(&reference)?;
    let now = replicas(object, &paths(&reference, seen)?.spec);
    let planned_from = typed::<Size>(&planned.before)?.replicas;
    let to = typed::<Size>(&planned.after)?.replicas;
    let holds = match to.cmp(&planned_from) {
        std::cmp::Ordering::Greater => now < to,
        std::cmp::Ordering::Less => now > to,
        std::cmp::Ordering::Equal => now == to,
    };
    // Where it is at the wanted number already, nothing is left to do, and that voids nothing.
    Ok((!holds && now != to).then(|| {
        format!(
            "{} is at {now} replicas now, so {planned_from} -> {to} is not what was approved",
            planned.target.display()
        )
    }))
}

pub(super) fn effect(scale: &Scale, _: &Context<'_>, planned: &PlannedStep, seen: &Seen) -> Result<Effect, Obstacle> {
    let reference = ObjectRef::of(&scale.target)?;
    let object = seen.object(&reference)?;
    let path = paths(&reference, seen)?.spec;
    let before = fields(&Size { replicas: replicas(object, &path) });
    let to = typed::<Size>(&planned.after)?.replicas;
    let change = Change { old: object.pointer(&path).cloned(), path, new: Some(json!(to)) };
    Ok(Effect::new(&planned.target, object, &planned.token, &[change], before, planned.after.clone()))
}

pub(super) fn verify(scale: &Scale, _: &Context<'_>, planned: &PlannedStep, seen: &Seen) -> Result<Verdict, Obstacle> {
    let reference = ObjectRef::of(&scale.target)?;
    let object = seen.object(&reference)?;
    let paths = paths(&reference, seen)?;
    let to = typed::<Size>(&planned.after)?.replicas;
    let wanted = replicas(object, &paths.spec);
    let there = object.pointer(&paths.status).and_then(Value::as_i64).unwrap_or_default();
    // Where a custom kind counts its replicas it counts those that exist; which of them are ready it does not say.
    let counted = if built_in_paths(&reference).is_some() { "ready" } else { "observed" };
    let seen = vec![evidence("wanted replicas", wanted), evidence(&format!("{counted} replicas"), there)];
    let name = planned.target.display();
    if wanted == to && there == to {
        Ok(Verdict::Yes(format!("{name} has {there} of {to} replicas {counted}"), seen))
    } else if wanted == to {
        Ok(Verdict::NotYet(format!("{name} has {there} of {to} replicas {counted}"), seen))
    } else {
        Ok(Verdict::NotYet(format!("somebody set {name} to {wanted} replicas after it was set to {to}"), seen))
    }
}

pub(super) fn undo(scale: &Scale, context: &Context<'_>, done: &Done<'_>, seen: &Seen) -> Result<Prospect, Obstacle> {
    let reference = ObjectRef::of(&scale.target)?;
    let object = seen.object(&reference)?;
    let name = done.target.display();
    if let Some(why) = other_object(done.target, object) {
        return Err(refused(reason::CHANGED_SINCE, why));
    }
    let path = &paths(&reference, seen)?.spec;
    let now = replicas(object, path);
    let ours = typed::<Size>(done.after)?.replicas;
    let back = typed::<Size>(done.before)?.replicas;
    let theirs = now != ours && now != back;
    let who = || owners::last_writer(object, path).map(|who| format!(" ({who})")).unwrap_or_default();
    if theirs && !done.force {
        return Err(refused(
            reason::CHANGED_SINCE,
            format!(
                "{name} is at {now} replicas, neither the {ours} that First Aid set nor the {back} of before; somebody changed it{}, so it is left alone",
                who()
            ),
        ));
    }
    let held = if theirs { now } else { ours };
    let away = (back == 0 && now != 0).then(|| format!("{name} had no replicas before: this takes the service away"));
    Ok(Prospect {
        target: done.target.clone(),
        seen: version_of(object),
        before: fields(&Size { replicas: now }),
        after: fields(&Size { replicas: back }),
        holds: Holds {
            sentence: format!("{name} is still at {held}"),
            facts: fields(&json!({"uid": done.target.uid, "replicas": held})),
        },
        undo: None,
        by_hand: by_hand(&reference, context, back),
        summary: format!("scale {name} back {now} -> {back}"),
        already: now == back,
        warnings: away
            .into_iter()
            .chain(match (theirs, now == back) {
                (true, _) => {
                    vec![format!(
                        "forced: First Aid had set {ours}; the {now} that somebody set since{} is lost",
                        who()
                    )]
                }
                (false, true) => vec![format!("{name} is at {back} again, as before{}", who())],
                (false, false) => Vec::new(),
            })
            .collect(),
    })
}

pub(super) fn undo_note(
    scale: &Scale,
    context: &Context<'_>,
    target: &Target,
    before: &Map<String, Value>,
) -> Option<Undo> {
    let back = typed::<Size>(before).ok()?.replicas;
    let reference = ObjectRef::of(&scale.target).ok()?;
    Some(undo_of(&target.display(), &by_hand(&reference, context, back), back))
}

fn undo_of(name: &str, by_hand: &str, back: i64) -> Undo {
    Undo {
        summary: format!("scale {name} back to {back}"),
        by_hand: by_hand.to_owned(),
        restore: fields(&Size { replicas: back }),
    }
}

fn by_hand(reference: &ObjectRef, context: &Context<'_>, to: i64) -> String {
    format!("kubectl scale -n {} {}/{} --replicas={to}", context.namespace, reference.typed(), reference.name)
}

/// The bounds of an autoscaler that bring its target from one size to another. The bound on the side to which it goes does
/// it; the other one must not lie beyond, or the API server refuses both.
fn bounds_for(autoscaler: &AutoscalerFacts, from: i64, to: i64) -> Value {
    let bounds = match to < from {
        true if to < autoscaler.min => json!({"maxReplicas": to, "minReplicas": to}),
        true => json!({"maxReplicas": to}),
        false if to > autoscaler.max => json!({"maxReplicas": to, "minReplicas": to}),
        false => json!({"minReplicas": to}),
    };
    json!({"spec": bounds})
}

/// Whether it says how far, whatever the cluster holds.
pub(super) fn sound(scale: &Scale) -> Result<(), Obstacle> {
    wanted(scale, 1).map(drop)
}

/// The wanted number, from the present one.
fn wanted(scale: &Scale, from: i64) -> Result<i64, Obstacle> {
    let least = scale.min.as_ref().map(|v| number("min", v)).transpose()?;
    let most = scale.max.as_ref().map(|v| number("max", v)).transpose()?;
    let to = match (&scale.replicas, &scale.at_least, &scale.by) {
        (Some(replicas), None, None) => number("replicas", replicas)?,
        (None, Some(at_least), None) => number("atLeast", at_least)?.max(from),
        (None, None, Some(by)) => from.saturating_add(difference(by, from)?),
        _ => return Err(refused(reason::INVALID, "scale needs exactly one of replicas, atLeast, by")),
    };
    if let (Some(least), Some(most)) = (least, most)
        && least > most
    {
        return Err(refused(reason::INVALID, format!("scale: min {least} is greater than max {most}")));
    }
    let to = to.max(least.unwrap_or(i64::MIN)).min(most.unwrap_or(i64::MAX)).max(0);
    if to > MOST {
        return Err(refused(
            reason::INVALID,
            format!("scale to {to} replicas is more than {MOST}; that is surely a mistake"),
        ));
    }
    Ok(to)
}

/// More replicas than any workload has: a wrong parameter, not a wish.
const MOST: i64 = 10_000;

fn number(field: &str, value: &Value) -> Result<i64, Obstacle> {
    let found = match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    found.filter(|n| *n >= 0).ok_or_else(|| {
        refused(reason::INVALID, format!("scale: {field} must be a whole number, 0 or more, but is {value}"))
    })
}

fn difference(by: &Value, from: i64) -> Result<i64, Obstacle> {
    let unfit =
        || refused(reason::INVALID, format!("scale: by must be a number or a percentage such as 50%, but is {by}"));
    if let Some(number) = by.as_i64() {
        return Ok(number);
    }
    let text = by.as_str().ok_or_else(unfit)?.trim();
    let Some(percent) = text.strip_suffix('%') else { return text.parse().map_err(|_| unfit()) };
    let percent: i64 = percent.parse().map_err(|_| unfit())?;
    let hundredths = from.saturating_mul(percent);
    // Away from zero: 50% more of 1 is one more, not none.
    Ok(if hundredths >= 0 { hundredths.saturating_add(99) / 100 } else { hundredths.saturating_sub(99) / 100 })
}

fn built_in_paths(object: &ObjectRef) -> Option<ScalePaths> {
    let workload =
        object.api_version == "apps/v1" && matches!(object.kind.as_str(), "Deployment" | "StatefulSet" | "ReplicaSet");
    workload.then(|| ScalePaths { spec: "/spec/replicas".to_owned(), status: "/status/readyReplicas".to_owned() })
}

fn paths(object: &ObjectRef, seen: &Seen) -> Result<ScalePaths, Obstacle> {
    match built_in_paths(object) {
        Some(paths) => Ok(paths),
        None => seen.scale_paths(&object.api_version, &object.kind).cloned(),
    }
}

/// The wanted number of replicas; a workload that does not say has one.
fn replicas(object: &Value, path: &str) -> i64 {
    object.pointer(path).and_then(Value::as_i64).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::super::Answer;
    use super::*;

    fn scale(fields: Value) -> Scale {
        let mut whole = json!({"target": {"kind": "Deployment", "name": "checkout"}});
        whole.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        serde_json::from_value(whole).unwrap()
    }

    fn seen(replicas: i64, ready: i64, autoscalers: Vec<AutoscalerFacts>) -> Seen {
        let mut seen = Seen::default();
        let object = json!({"metadata": {"uid": "u1", "generation": 7, "resourceVersion": "42"},
            "spec": {"replicas": replicas}, "status": {"readyReplicas": ready}});
        let reference = ObjectRef { api_version: "apps/v1".into(), kind: "Deployment".into(), name: "checkout".into() };
        seen.add(Query::Object(reference), Answer::Object(Some(object)));
        seen.add(Query::Autoscalers, Answer::Autoscalers(autoscalers));
        seen
    }

    fn context() -> Context<'static> {
        Context { namespace: "shop", params: &Value::Null, intent_at: jiff::Timestamp::UNIX_EPOCH }
    }

    #[rstest]
    #[case(json!({"replicas": 10}), 4, 10)]
    #[case(json!({"replicas": "10"}), 4, 10)]
    #[case(json!({"atLeast": 3}), 4, 4)]
    #[case(json!({"atLeast": 6}), 4, 6)]
    #[case(json!({"by": 3}), 4, 7)]
    #[case(json!({"by": "50%"}), 4, 6)]
    #[case(json!({"by": "50%"}), 1, 2)]
    #[case(json!({"by": "-50%"}), 5, 2)]
    #[case(json!({"by": "-200%", "min": 1}), 5, 1)]
    #[case(json!({"by": "300%", "max": 8}), 4, 8)]
    #[case(json!({"replicas": 0, "contain": true}), 4, 0)]
    fn the_wanted_number(#[case] fields: Value, #[case] from: i64, #[case] to: i64) {
        let plan = plan(&scale(fields), &context(), &seen(from, from, vec![])).unwrap();
        assert_eq!(plan.after.get("replicas"), Some(&json!(to)));
        assert_eq!(plan.already, from == to);
    }

    #[rstest]
    #[case(json!({"replicas": "ten"}), "must be a whole number")]
    #[case(json!({"by": "a lot"}), "a number or a percentage")]
    #[case(json!({"replicas": 0}), "contain: true")]
    #[case(json!({"by": -4}), "contain: true")]
    #[case(json!({"replicas": 20000}), "surely a mistake")]
    #[case(json!({"replicas": 5, "min": 9, "max": 3}), "min 9 is greater than max 3")]
    #[case(json!({}), "exactly one of replicas, atLeast, by")]
    fn what_is_refused(#[case] fields: Value, #[case] sentence: &str) {
        let error = plan(&scale(fields), &context(), &seen(4, 4, vec![])).unwrap_err().to_string();
        assert!(error.contains(sentence), "{error}");
    }

    #[test]
    fn an_autoscaler_would_put_it_back() {
        let hpa = AutoscalerFacts {
            name: "checkout".into(),
            kind: "Deployment".into(),
            target: "checkout".into(),
            min: 2,
            max: 6,
        };
        let error =
            plan(&scale(json!({"replicas": 10})), &context(), &seen(4, 4, vec![hpa.clone()])).unwrap_err().to_string();
        assert!(
            error.contains("HorizontalPodAutoscaler/checkout keeps Deployment/checkout between 2 and 6"),
            "{error}"
        );
        let zero = plan(&scale(json!({"replicas": 0, "contain": true})), &context(), &seen(4, 4, vec![hpa])).unwrap();
        assert!(zero.warnings[0].contains("rests while"));
    }

    /// What is advised where an autoscaler keeps it between 2 and 6.
    #[rstest]
    #[case::up_within(3, 5, r#"{"spec":{"minReplicas":5}}"#)]
    #[case::up_to_the_most(3, 6, r#"{"spec":{"minReplicas":6}}"#)]
    #[case::up_beyond(3, 9, r#"{"spec":{"maxReplicas":9,"minReplicas":9}}"#)]
    #[case::down_within(6, 3, r#"{"spec":{"maxReplicas":3}}"#)]
    #[case::down_to_the_least(6, 2, r#"{"spec":{"maxReplicas":2}}"#)]
    #[case::down_beyond(3, 1, r#"{"spec":{"maxReplicas":1,"minReplicas":1}}"#)]
    #[case::to_stay(4, 4, r#"{"spec":{"minReplicas":4}}"#)]
    fn the_advised_bounds_do_it_and_stand_in_order(#[case] from: i64, #[case] to: i64, #[case] patch: &str) {
        let (name, kind, target) = ("checkout".to_owned(), "Deployment".to_owned(), "checkout".to_owned());
        let hpa = AutoscalerFacts { name, kind, target, min: 2, max: 6 };
        let error = plan(&scale(json!({"replicas": to})), &context(), &seen(from, from, vec![hpa])).unwrap_err();
        let command = format!("change its bounds instead: kubectl patch hpa -n shop checkout -p '{patch}'");
        assert!(error.to_string().ends_with(&command), "{error}");
        let patch: Value = serde_json::from_str(patch).unwrap();
        let bound = |key: &str, now: i64| patch["spec"].get(key).and_then(Value::as_i64).unwrap_or(now);
        let (least, most) = (bound("minReplicas", 2), bound("maxReplicas", 6));
        assert!(least <= most, "the API server refuses them");
        assert_eq!(from.clamp(least, most), to, "the autoscaler goes there");
    }

    #[test]
    fn what_a_custom_kind_counts_is_not_called_ready() {
        let action: Scale = serde_json::from_value(
            json!({"target": {"apiVersion": "test.example/v1", "kind": "Kitchen", "name": "main"}, "replicas": 4}),
        )
        .unwrap();
        let look = |cooks: i64| {
            let mut seen = Seen::default();
            for query in look(&action, &context()) {
                let answer = match query {
                    Query::Object(_) => Answer::Object(Some(
                        json!({"metadata": {"uid": "u1"}, "spec": {"cooks": 4}, "status": {"cooks": cooks}}),
                    )),
                    Query::ScalePaths { .. } => Answer::ScalePaths(Some(ScalePaths {
                        spec: "/spec/cooks".to_owned(),
                        status: "/status/cooks".to_owned(),
                    })),
                    _ => Answer::Autoscalers(Vec::new()),
                };
                seen.add(query, answer);
            }
            seen
        };
        let planned = plan(&action, &context(), &look(2)).unwrap().planned("size", 1, "scale", "t");
        let verdict = verify(&action, &context(), &planned, &look(2)).unwrap();
        let counts = |cooks| vec![evidence("wanted replicas", 4), evidence("observed replicas", cooks)];
        assert_eq!(verdict, Verdict::NotYet("Kitchen/main has 2 of 4 replicas observed".to_owned(), counts(2)));
        let verdict = verify(&action, &context(), &planned, &look(4)).unwrap();
        assert_eq!(verdict, Verdict::Yes("Kitchen/main has 4 of 4 replicas observed".to_owned(), counts(4)));
    }

    #[test]
    fn noise_voids_nothing_and_a_passed_goal_does() {
        let action = scale(json!({"replicas": 10}));
        let prospect = plan(&action, &context(), &seen(4, 4, vec![])).unwrap();
        let planned = prospect.planned("scale", 1, "scale", "t");
        assert_eq!(void(&action, &context(), &planned, &seen(6, 6, vec![])).unwrap(), None, "an autoscaler moved it");
        assert_eq!(void(&action, &context(), &planned, &seen(10, 6, vec![])).unwrap(), None, "already there");
        let why = void(&action, &context(), &planned, &seen(12, 12, vec![])).unwrap().unwrap();
        assert!(why.contains("is at 12 replicas now"), "{why}");
    }

    #[test]
    fn undo_compares_three_ways() {
        let action = scale(json!({"replicas": 10}));
        let prospect = plan(&action, &context(), &seen(4, 4, vec![])).unwrap();
        let done = Done { target: &prospect.target, before: &prospect.before, after: &prospect.after, force: false };
        assert_eq!(
            undo(&action, &context(), &done, &seen(10, 10, vec![])).unwrap().summary,
            "scale Deployment/checkout back 10 -> 4"
        );
        assert!(undo(&action, &context(), &done, &seen(4, 4, vec![])).unwrap().already);
        assert!(undo(&action, &context(), &done, &seen(7, 7, vec![])).unwrap_err().to_string().contains("left alone"));
    }
}
