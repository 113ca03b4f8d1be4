//! `restart`: roll a workload's pods, as `kubectl rollout restart` does, with the *recorded* time of the intent, so that
//! a repeat writes the same value and rolls nothing.

use serde_json::{Value, json};

use super::observe::{target_of, text, version_of};
use super::{
    Change, Context, Effect, ObjectRef, Obstacle, Prospect, Query, Seen, Verdict, evidence, fields, pointer_token,
    reason, refused,
};
use crate::api::run::{Holds, PlannedStep};
use crate::api::step::Restart;

const RESTARTED_AT: &str = "kubectl.kubernetes.io/restartedAt";
const TEMPLATE_ANNOTATIONS: &str = "/spec/template/metadata/annotations";

pub(super) fn look(restart: &Restart, _: &Context<'_>) -> Vec<Query> {
    ObjectRef::of(&restart.target).map(Query::Object).into_iter().collect()
}

pub(super) fn plan(restart: &Restart, context: &Context<'_>, seen: &Seen) -> Result<Prospect, Obstacle> {
    let reference = ObjectRef::of(&restart.target)?;
    if reference.api_version != "apps/v1"
        || !matches!(reference.kind.as_str(), "Deployment" | "StatefulSet" | "DaemonSet")
    {
        return Err(refused(
            reason::INVALID,
            format!(
                "restart is for Deployment, StatefulSet and DaemonSet of apps/v1, not for {} of {}",
                reference.kind, reference.api_version
            ),
        ));
    }
    let object = seen.object(&reference)?;
    let target = target_of(&reference, context.namespace, object);
    let name = target.display();
    let mut warnings = Vec::new();
    if object.pointer("/spec/paused").and_then(Value::as_bool).unwrap_or_default() {
        return Err(refused(
            reason::INVALID,
            format!(
                "the rollout of {name} is paused, so a restart would not start; go on with: kubectl rollout resume -n {} deployment/{}",
                context.namespace, target.name
            ),
        ));
    }
    if text(object, "/spec/updateStrategy/type") == "OnDelete" {
        warnings
            .push(format!("{name} replaces pods only when they are deleted (OnDelete): the restart waits for that"));
    }
    Ok(Prospect {
        seen: version_of(object),
        before: fields(&json!({"restartedAt": restarted_at(object)})),
        // Written as the journal writes its times, so that both can be compared as texts.
        after: fields(&json!({"restartedAt": context.intent_at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()})),
        holds: Holds {
            sentence: format!("it is the same {name} with the same pod template"),
            facts: fields(&json!({"uid": target.uid, "template": template_digest(object)})),
        },
        undo: None,
        by_hand: format!("kubectl rollout restart -n {} {}/{}", context.namespace, reference.typed(), target.name),
        summary: format!("restart {name}"),
        already: false,
        warnings,
        target,
    })
}

pub(super) fn void(
    restart: &Restart,
    _: &Context<'_>,
    planned: &PlannedStep,
    seen: &Seen,
) -> Result<Option<String>, Obstacle> {
    let object = seen.object(&ObjectRef::of(&restart.target)?)?;
    let same = planned.holds.facts.get("template").and_then(Value::as_str) == Some(template_digest(object).as_str());
    Ok((!same).then(|| format!("the pod template of {} has changed since it was planned", planned.target.display())))
}

pub(super) fn effect(
    restart: &Restart,
    _: &Context<'_>,
    planned: &PlannedStep,
    seen: &Seen,
) -> Result<Effect, Obstacle> {
    let object = seen.object(&ObjectRef::of(&restart.target)?)?;
    let at = planned.after.get("restartedAt").cloned().unwrap_or_default();
    let change = if object.pointer(TEMPLATE_ANNOTATIONS).is_some_and(Value::is_object) {
        let path = format!("{TEMPLATE_ANNOTATIONS}/{}", pointer_token(RESTARTED_AT));
        Change { old: object.pointer(&path).cloned(), path, new: Some(at) }
    } else {
        // The generation test keeps this from wiping a map that appeared since.
        Change { path: TEMPLATE_ANNOTATIONS.to_owned(), old: None, new: Some(json!({RESTARTED_AT: at})) }
    };
    let before = fields(&json!({"restartedAt": restarted_at(object)}));
    Ok(Effect::new(&planned.target, object, &planned.token, &[change], before, planned.after.clone()))
}

pub(super) fn verify(
    restart: &Restart,
    _: &Context<'_>,
    planned: &PlannedStep,
    seen: &Seen,
) -> Result<Verdict, Obstacle> {
    let object = seen.object(&ObjectRef::of(&restart.target)?)?;
    let name = planned.target.display();
    let count = |pointer: &str| object.pointer(pointer).and_then(Value::as_i64).unwrap_or_default();
    let observed = count("/status/observedGeneration") >= count("/metadata/generation");
    let (wanted, updated, available) = if planned.target.kind == "DaemonSet" {
        (
            count("/status/desiredNumberScheduled"),
            count("/status/updatedNumberScheduled"),
            count("/status/numberAvailable"),
        )
    } else {
        let wanted = object.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
        (wanted, count("/status/updatedReplicas"), count("/status/availableReplicas"))
    };
    let old_ones_gone = planned.target.kind == "DaemonSet" || count("/status/replicas") == updated;
    // A StatefulSet counts updated pods only while two revisions differ.
    let rolled = planned.target.kind != "StatefulSet"
        || text(object, "/status/currentRevision") == text(object, "/status/updateRevision");
    let evidence = vec![
        evidence("pods wanted", wanted),
        evidence("pods updated", updated),
        evidence("pods available", available),
        evidence("restartedAt", restarted_at(object)),
    ];
    if restarted_at(object) != planned.after.get("restartedAt").and_then(Value::as_str).unwrap_or_default() {
        return Ok(Verdict::NotYet(format!("somebody changed the pod template of {name} after the restart"), evidence));
    }
    let sentence = format!("{updated} of {wanted} pods of {name} are new, {available} available");
    if observed && old_ones_gone && rolled && updated >= wanted && available >= wanted {
        Ok(Verdict::Yes(sentence, evidence))
    } else {
        Ok(Verdict::NotYet(sentence, evidence))
    }
}

fn restarted_at(object: &Value) -> &str {
    object.pointer(TEMPLATE_ANNOTATIONS).and_then(|a| a.get(RESTARTED_AT)).and_then(Value::as_str).unwrap_or_default()
}

/// What pods are made from. Defaults that the API server fills in are the same on every read.
fn template_digest(object: &Value) -> String {
    crate::digest::of(object.pointer("/spec/template").unwrap_or(&Value::Null))
}

#[cfg(test)]
mod tests {
    use super::super::Answer;
    use super::*;

    fn deployment(extra: &Value) -> Value {
        let mut object = json!({"metadata": {"uid": "u1", "generation": 2}, "spec": {"replicas": 2,
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": []}}},
            "status": {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2}});
        for (pointer, value) in extra.as_object().unwrap() {
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            object.pointer_mut(parent).unwrap()[key] = value.clone();
        }
        object
    }

    fn seen(object: Value) -> Seen {
        let mut seen = Seen::default();
        let reference = ObjectRef { api_version: "apps/v1".into(), kind: "Deployment".into(), name: "web".into() };
        seen.add(Query::Object(reference), Answer::Object(Some(object)));
        seen
    }

    fn context() -> Context<'static> {
        Context { namespace: "shop", params: &Value::Null, intent_at: "2026-11-22T03:04:05.000006Z".parse().unwrap() }
    }

    fn restart() -> Restart {
        serde_json::from_value(json!({"target": {"kind": "Deployment", "name": "web"}})).unwrap()
    }

    fn planned(extra: &Value) -> PlannedStep {
        let prospect = plan(&restart(), &context(), &seen(deployment(extra))).unwrap();
        prospect.planned("restart", 1, "restart", "t")
    }

    #[test]
    fn the_recorded_time_is_written_whenever_the_effect_is_made() {
        let planned = planned(&json!({}));
        for object in [deployment(&json!({})), deployment(&json!({"/spec/template/metadata/annotations": {"a": "b"}}))]
        {
            let effect = effect(&restart(), &context(), &planned, &seen(object)).unwrap();
            let written = effect.patch.last().unwrap().to_string();
            assert!(written.contains("2026-11-22T03:04:05.000006Z"), "{written}");
        }
    }

    #[test]
    fn a_new_template_voids_the_plan_and_replicas_do_not() {
        let planned = planned(&json!({}));
        let moved = deployment(&json!({"/spec/replicas": 9, "/metadata/generation": 5}));
        assert_eq!(void(&restart(), &context(), &planned, &seen(moved)).unwrap(), None);
        let released = deployment(&json!({"/spec/template/spec": {"containers": [{"image": "web:2"}]}}));
        assert!(void(&restart(), &context(), &planned, &seen(released)).unwrap().unwrap().contains("pod template"));
    }

    #[test]
    fn it_is_verified_when_every_pod_is_new() {
        let planned = planned(&json!({}));
        let at = json!({"kubectl.kubernetes.io/restartedAt": "2026-11-22T03:04:05.000006Z"});
        let rolling = deployment(&json!({"/spec/template/metadata/annotations": at, "/status/updatedReplicas": 1}));
        assert!(matches!(verify(&restart(), &context(), &planned, &seen(rolling)).unwrap(), Verdict::NotYet(..)));
        let rolled = deployment(&json!({"/spec/template/metadata/annotations": at}));
        assert!(matches!(verify(&restart(), &context(), &planned, &seen(rolled)).unwrap(), Verdict::Yes(..)));
    }

    #[test]
    fn a_paused_rollout_is_refused_with_the_command_to_go_on() {
        let error =
            plan(&restart(), &context(), &seen(deployment(&json!({"/spec/paused": true})))).unwrap_err().to_string();
        assert!(error.contains("kubectl rollout resume -n shop deployment/web"), "{error}");
    }
}
