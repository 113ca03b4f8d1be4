//! The rights that an action needs, so that a namespace grants exactly those.

use kube::core::{ApiResource, GroupVersion};

use super::{ObjectRef, disable};
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

/// What the action needs, of its own namespace.
pub fn rights(action: &Action) -> Vec<Right> {
    let (object, verbs): (Option<ObjectRef>, &[&'static str]) = match action {
        Action::Scale(scale) => (ObjectRef::of(&scale.target).ok(), &["get", "patch"]),
        Action::Restart(restart) => (ObjectRef::of(&restart.target).ok(), &["get", "patch"]),
        Action::Disable(disable) => (Some(disable::object(disable)), &["get", "patch"]),
        Action::Check(check) => (ObjectRef::of(&check.object).ok(), &["get"]),
        Action::Undo(undoing) => return rights(&undoing.action),
    };
    let mut rights = Vec::new();
    if let Some(object) = object
        && let Ok(version) = object.api_version.parse::<GroupVersion>()
    {
        let resource = ApiResource::from_gvk(&version.with_kind(&object.kind));
        let name = Some(object.name).filter(|name| !name.contains("${"));
        rights.extend(verbs.iter().map(|verb| Right {
            group: resource.group.clone(),
            resource: resource.plural.clone(),
            name: name.clone(),
            verb,
        }));
    }
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
