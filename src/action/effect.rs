//! An effect: one conditional write to one object, as a JSON patch.
//!
//! Every patch tests the uid (the same object), the generation as just read (the same spec; kinds without one: the old
//! value) and the previous token, and leaves its own token. So of several senders or copies at most one can pass, and
//! reading the token tells whether it did.

use serde_json::{Map, Value, json};

use super::observe::{text, token_of, version_of};
use crate::api::TOKEN_ANNOTATION;
use crate::api::run::{SeenVersion, Target};

/// One conditional write.
#[derive(Clone, PartialEq)]
pub struct Effect {
    /// The object.
    pub target: Target,
    /// The JSON patch.
    pub patch: Vec<Value>,
    /// What the patch leaves on the object.
    pub token: String,
    /// The version of the object on which the patch was made.
    pub seen: SeenVersion,
    /// What was read just before.
    pub before: Map<String, Value>,
    /// What is written.
    pub after: Map<String, Value>,
}

/// For logs: where it writes, and none of the values. A document is tested and written whole, with everything that stands
/// beside the flag.
impl std::fmt::Debug for Effect {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = |operation: &Value, key: &str| {
            operation.get(key).and_then(Value::as_str).map(str::to_owned).unwrap_or_default()
        };
        let patch: Vec<String> =
            self.patch.iter().map(|op| format!("{} {}", word(op, "op"), word(op, "path"))).collect();
        out.debug_struct("Effect")
            .field("target", &self.target)
            .field("patch", &patch)
            .field("token", &self.token)
            .finish_non_exhaustive()
    }
}

/// A change of one place in an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// JSON pointer.
    pub path: String,
    /// The value that is there now; none where the place does not exist yet.
    pub old: Option<Value>,
    /// The value that will be there; none where it is taken away.
    pub new: Option<Value>,
}

/// What keeps a change from overwriting another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fence {
    /// The generation of the object's spec.
    Generation,
    /// The old values themselves: for kinds without a generation, such as ConfigMap.
    OldValues,
}

impl Effect {
    /// The effect that makes these changes to an object as read.
    pub fn new(
        target: &Target,
        object: &Value,
        token: &str,
        changes: &[Change],
        before: Map<String, Value>,
        after: Map<String, Value>,
    ) -> Self {
        let seen = version_of(object);
        let mut patch = vec![json!({"op": "test", "path": "/metadata/uid", "value": text(object, "/metadata/uid")})];
        let fence = match seen.generation {
            Some(generation) => {
                patch.push(json!({"op": "test", "path": "/metadata/generation", "value": generation}));
                Fence::Generation
            }
            None => Fence::OldValues,
        };
        let annotation = format!("/metadata/annotations/{}", pointer_token(TOKEN_ANNOTATION));
        if object.pointer("/metadata/annotations").is_some_and(Value::is_object) {
            patch.push(json!({"op": "test", "path": annotation, "value": token_of(object)}));
            patch.push(json!({"op": "add", "path": annotation, "value": token}));
        } else {
            // The map must be added whole, and only while it is really missing: a bare add would wipe others' annotations.
            patch.push(json!({"op": "test", "path": "/metadata/annotations", "value": null}));
            patch.push(json!({"op": "add", "path": "/metadata/annotations", "value": {TOKEN_ANNOTATION: token}}));
        }
        for change in changes {
            if fence == Fence::OldValues {
                patch.push(json!({"op": "test", "path": change.path, "value": change.old}));
            }
            patch.push(match &change.new {
                Some(value) => json!({"op": "add", "path": change.path, "value": value}),
                None => json!({"op": "remove", "path": change.path}),
            });
        }
        Self { target: target.clone(), patch, token: token.to_owned(), seen, before, after }
    }
}

/// A key as one token of a JSON pointer (RFC 6901).
pub fn pointer_token(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> Target {
        Target { kind: "Deployment".into(), name: "checkout".into(), uid: "u1".into(), ..Target::default() }
    }

    fn changes() -> Vec<Change> {
        vec![Change { path: "/spec/replicas".into(), old: Some(json!(4)), new: Some(json!(10)) }]
    }

    #[test]
    fn an_object_with_annotations_gets_one_more() {
        let object = json!({"metadata": {"uid": "u1", "generation": 3, "annotations": {"a": "b"}}});
        let effect = Effect::new(&target(), &object, "run/r1/scale/1", &changes(), Map::new(), Map::new());
        assert_eq!(
            Value::Array(effect.patch),
            json!([
                {"op": "test", "path": "/metadata/uid", "value": "u1"},
                {"op": "test", "path": "/metadata/generation", "value": 3},
                {"op": "test", "path": "/metadata/annotations/firstaid.dev~1last-action", "value": null},
                {"op": "add", "path": "/metadata/annotations/firstaid.dev~1last-action", "value": "run/r1/scale/1"},
                {"op": "add", "path": "/spec/replicas", "value": 10},
            ])
        );
    }

    #[test]
    fn an_object_without_annotations_gets_the_map_only_while_it_is_missing() {
        let object = json!({"metadata": {"uid": "u1", "generation": 3}});
        let effect = Effect::new(&target(), &object, "t", &changes(), Map::new(), Map::new());
        assert!(effect.patch.contains(&json!({"op": "test", "path": "/metadata/annotations", "value": null})));
        assert!(effect.patch.contains(
            &json!({"op": "add", "path": "/metadata/annotations", "value": {"firstaid.dev/last-action": "t"}})
        ));
    }

    #[test]
    fn a_log_shows_where_it_writes_and_no_value() {
        let object = json!({"metadata": {"uid": "u1", "annotations": {"firstaid.dev/last-action": "earlier"}}});
        let before = Map::from_iter([("flag".to_owned(), json!("hunter2"))]);
        let change = Change { path: "/data/f.json".into(), old: Some(json!("hunter2")), new: Some(json!("hunter2")) };
        let shown = format!("{:?}", Effect::new(&target(), &object, "t", &[change], before.clone(), before));
        assert!(shown.contains("add /data/f.json") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn a_kind_without_generation_is_fenced_by_its_old_values() {
        let object = json!({"metadata": {"uid": "u1", "annotations": {"firstaid.dev/last-action": "earlier"}}});
        let effect = Effect::new(&target(), &object, "t", &changes(), Map::new(), Map::new());
        assert!(effect.patch.contains(&json!({"op": "test", "path": "/spec/replicas", "value": 4})));
        assert!(effect.patch.contains(
            &json!({"op": "test", "path": "/metadata/annotations/firstaid.dev~1last-action", "value": "earlier"})
        ));
    }
}
