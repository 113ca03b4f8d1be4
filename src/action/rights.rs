//! The rights that an action needs, so that a namespace grants exactly those.

use kube::core::{ApiResource, GroupVersion};

use super::{ObjectRef, Query, disable};
use crate::api::step::Action;

/// Verbs on objects of one resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    /// API group; empty for the core.
    pub group: String,
    /// Resource, in the plural.
    pub resource: String,
    /// The object; none where an expression chooses it, or where the verb knows no names.
    pub name: Option<String>,
    /// Verb.
    pub verb: &'static str,
}

/// What a question of objects needs; none where it is asked in the operator's own name.
pub fn to_read(query: &Query) -> Option<Right> {
    match query {
        Query::Object(object) => right(&object.api_version, &object.kind, Some(&object.name), "get"),
        Query::Objects { api_version, kind } => right(api_version, kind, None, "list"),
        _ => None,
    }
}

/// A verb on objects of a kind; none where its API version is none.
fn right(api_version: &str, kind: &str, name: Option<&str>, verb: &'static str) -> Option<Right> {
    let resource = ApiResource::from_gvk(&api_version.parse::<GroupVersion>().ok()?.with_kind(kind));
    let name = name.filter(|name| !name.contains("${")).map(str::to_owned);
    Some(Right { group: resource.group, resource: resource.plural, name, verb })
}

/// What the action needs, of its own namespace.
pub fn rights(action: &Action) -> Vec<Right> {
    let (object, verbs): (Option<ObjectRef>, &[&'static str]) = match action {
        Action::Scale(scale) => (ObjectRef::of(&scale.target).ok(), &["get", "patch"]),
        Action::Restart(restart) => (ObjectRef::of(&restart.target).ok(), &["get", "patch"]),
        Action::Disable(disable) => (Some(disable::object(disable)), &["get", "patch"]),
        Action::Check(check) => (ObjectRef::of(&check.object).ok(), &["get"]),
        Action::Undo(undoing) => return rights(&undoing.action),
    };
    let object = object.as_ref();
    let of_object = |verb| object.and_then(|object| right(&object.api_version, &object.kind, Some(&object.name), verb));
    let mut rights: Vec<Right> = verbs.iter().filter_map(|verb| of_object(*verb)).collect();
    if matches!(action, Action::Scale(_)) {
        // An autoscaler that would put the size back is found by listing; RBAC cannot narrow a list by name.
        rights.push(Right {
            group: "autoscaling".to_owned(),
            resource: "horizontalpodautoscalers".to_owned(),
            name: None,
            verb: "list",
        });
    }
    rights
}
