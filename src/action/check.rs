//! `check`: judge an object by an expression. It changes nothing.

use serde_json::Value;

use super::observe::{target_of, version_of};
use super::{Context, ObjectRef, Obstacle, Prospect, Query, Seen, Verdict, evidence, reason, refused};
use crate::api::run::Holds;
use crate::api::step::Check;
use crate::expression::{self, ExpressionError};

pub(super) fn look(check: &Check, _: &Context<'_>) -> Vec<Query> {
    ObjectRef::of(&check.object).map(Query::Object).into_iter().collect()
}

pub(super) fn plan(check: &Check, context: &Context<'_>, seen: &Seen) -> Result<Prospect, Obstacle> {
    let reference = ObjectRef::of(&check.object)?;
    expression::compile(&check.that).map_err(|e| refused(reason::INVALID, format!("check: {e}")))?;
    let object = seen.object(&reference)?;
    let target = target_of(&reference, context.namespace, object);
    let name = target.display();
    Ok(Prospect {
        seen: version_of(object),
        before: serde_json::Map::new(),
        after: serde_json::Map::new(),
        holds: Holds::default(),
        undo: None,
        by_hand: format!("kubectl get -n {} {} {} -o yaml", context.namespace, reference.typed(), target.name),
        summary: crate::api::condition::cut(&format!("check {name}: {}", check.that), 256),
        already: false,
        warnings: Vec::new(),
        target,
    })
}

pub(super) fn verify(check: &Check, context: &Context<'_>, seen: &Seen) -> Result<Verdict, Obstacle> {
    let object = seen.object(&ObjectRef::of(&check.object)?)?;
    let name = format!("{}/{}", check.object.kind, check.object.name);
    let status = without_texts(object.get("status").unwrap_or(&Value::Null));
    match expression::evaluate(&check.that, &[("object", object), ("params", context.params)]) {
        Ok(Value::Bool(true)) => {
            Ok(Verdict::Yes(format!("{name}: {} is true", check.that), vec![evidence("status", &status)]))
        }
        Ok(Value::Bool(false)) => {
            Ok(Verdict::NotYet(format!("{name}: {} is false", check.that), vec![evidence("status", &status)]))
        }
        // The value itself is not said: it is the object's, and would stand in the record.
        Ok(_) => {
            Err(refused(reason::INVALID, format!("check: {} gives a value that is not true or false", check.that)))
        }
        // A field that is not there yet is a false, not a broken runbook: a fresh object has no status.
        Err(ExpressionError::Evaluate { why, .. }) => Ok(Verdict::NotYet(
            format!("{name}: {} gives no value yet: {why}", check.that),
            vec![evidence("status", &status)],
        )),
        Err(broken) => Err(refused(reason::INVALID, format!("check: {broken}"))),
    }
}

/// The words of a status that are from a fixed choice: of conditions, pods and the like.
const WORDS: [&str; 4] = ["phase", "reason", "status", "type"];

/// A status as evidence: its numbers, its yes and no, and the words that are from a fixed choice. Any other text may be
/// anything (some operators publish passwords there), and would stand in a record for good.
fn without_texts(status: &Value) -> Value {
    match status {
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| match value {
                Value::String(text) if WORDS.contains(&key.as_str()) && is_word(text) => (key.clone(), value.clone()),
                value => (key.clone(), without_texts(value)),
            })
            .collect(),
        Value::Array(items) => items.iter().map(without_texts).collect(),
        Value::String(text) => Value::from(format!("(text, {} bytes)", text.len())),
        Value::Null | Value::Bool(_) | Value::Number(_) => status.clone(),
    }
}

/// `MinimumReplicasAvailable`: letters, and not many.
fn is_word(text: &str) -> bool {
    text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Answer;
    use super::*;

    fn judge(that: &str, object: Value) -> Result<Verdict, Obstacle> {
        let check: Check =
            serde_json::from_value(json!({"object": {"kind": "Deployment", "name": "web"}, "that": that})).unwrap();
        let mut seen = Seen::default();
        let reference = ObjectRef { api_version: "apps/v1".into(), kind: "Deployment".into(), name: "web".into() };
        seen.add(Query::Object(reference), Answer::Object(Some(object)));
        let context =
            Context { namespace: "shop", params: &json!({"least": 2}), intent_at: jiff::Timestamp::UNIX_EPOCH };
        verify(&check, &context, &seen)
    }

    #[test]
    fn nothing_that_the_object_holds_is_repeated_but_what_a_status_counts() {
        let object = json!({
            "metadata": {"annotations": {"note": "hunter2"}}, "data": {"token": "hunter2", "list": ["hunter2"]},
            "status": {"readyReplicas": 2, "password": "hunter2", "phase": "Running", "reason": "hunter2",
                "conditions": [{"type": "Available", "status": "True", "message": "hunter2", "hunter": 1}]},
        });
        for that in [
            "object.metadata.annotations.note > 3",
            "object.metadata.annotations.note",
            "object.metadata.annotations",
            "object.data",
            "object.data.list",
            "object.data[object.data.token] == 'x'",
            "int(object.data.token) == 1",
            "object.data.token + 1 == 2",
            "-object.data.token == 2",
            "object.data.token.matches('(')",
            "'x'.matches(object.data.token + '(')",
            "object.data.list[object.data.token] == 'x'",
            "object.data.token in object.data.token",
            "object.data.token ? true : false",
            "object.data.token.size() / 0 == 1",
            "object.status.readyReplicas == 2",
            "object.status.readyReplicas == 3",
            "object.data.token == 'x'",
            "duration(object.data.token) > duration('1s')",
            "quantity(object.data.token) == quantity('1')",
            "object.data.token.map(x, x) == []",
        ] {
            let said = match judge(that, object.clone()) {
                Ok(Verdict::Yes(message, evidence) | Verdict::NotYet(message, evidence)) => {
                    format!("{message} {evidence:?}")
                }
                Err(obstacle) => obstacle.to_string(),
            };
            assert!(!said.contains("hunter2"), "{that}: {said}");
        }
        let Ok(Verdict::Yes(_, evidence)) = judge("true", object) else { panic!("it is true") };
        assert_eq!(
            evidence[0].seen,
            r#"{"conditions":[{"hunter":1,"message":"(text, 7 bytes)","status":"True","type":"Available"}],"password":"(text, 7 bytes)","phase":"Running","readyReplicas":2,"reason":"(text, 7 bytes)"}"#
        );
    }

    #[test]
    fn it_judges_by_the_expression() {
        let object = json!({"status": {"readyReplicas": 2}});
        assert!(matches!(judge("object.status.readyReplicas >= params.least", object.clone()), Ok(Verdict::Yes(..))));
        assert!(matches!(judge("object.status.readyReplicas > 2", object.clone()), Ok(Verdict::NotYet(..))));
        assert!(matches!(judge("object.status.absent > 2", object.clone()), Ok(Verdict::NotYet(..))));
        assert!(judge("object.status.readyReplicas", object).unwrap_err().to_string().contains("not true or false"));
    }
}
