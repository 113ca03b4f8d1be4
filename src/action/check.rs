//! `check`: judge an object by an expression. It changes nothing.

use serde_json::Value;

use super::observe::{target_of, version_of};
use super::{Context, ObjectRef, Obstacle, Prospect, Query, Seen, Verdict, evidence, reason, refused};
use crate::api::run::Holds;
use crate::api::step::Check;
use crate::plan::expression::{self, ExpressionError};

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
        by_hand: format!("kubectl get -n {} {} {} -o yaml", context.namespace, target.kind.to_lowercase(), target.name),
        summary: crate::api::condition::cut(&format!("check {name}: {}", check.that), 256),
        already: false,
        warnings: Vec::new(),
        target,
    })
}

pub(super) fn verify(check: &Check, context: &Context<'_>, seen: &Seen) -> Result<Verdict, Obstacle> {
    let object = seen.object(&ObjectRef::of(&check.object)?)?;
    let name = format!("{}/{}", check.object.kind, check.object.name);
    let status = object.get("status").cloned().unwrap_or_default();
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
    fn it_judges_by_the_expression() {
        let object = json!({"status": {"readyReplicas": 2}});
        assert!(matches!(judge("object.status.readyReplicas >= params.least", object.clone()), Ok(Verdict::Yes(..))));
        assert!(matches!(judge("object.status.readyReplicas > 2", object.clone()), Ok(Verdict::NotYet(..))));
        assert!(matches!(judge("object.status.absent > 2", object.clone()), Ok(Verdict::NotYet(..))));
        assert!(judge("object.status.readyReplicas", object).unwrap_err().to_string().contains("not true or false"));
    }
}
