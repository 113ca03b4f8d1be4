//! Who else has a say about an object: owners and GitOps tools, which would put a change back. The plan names them.

use serde_json::Value;

use super::observe::text;
use crate::api::FIELD_MANAGER;
use crate::api::line::one_line;

/// Where GitOps tools leave their marks, and what each is called.
const MARKS: [(&str, &str, &str); 4] = [
    ("/metadata/annotations", "argocd.argoproj.io/tracking-id", "Argo CD"),
    ("/metadata/labels", "argocd.argoproj.io/instance", "Argo CD"),
    ("/metadata/labels", "kustomize.toolkit.fluxcd.io/name", "Flux (Kustomization)"),
    ("/metadata/labels", "helm.toolkit.fluxcd.io/name", "Flux (HelmRelease)"),
];

/// The object's controller, as `Deployment/checkout`.
pub(super) fn controller(object: &Value) -> Option<String> {
    let owners = object.pointer("/metadata/ownerReferences")?.as_array()?;
    let owner = owners.iter().find(|o| o.get("controller").and_then(Value::as_bool).unwrap_or_default())?;
    Some(format!("{}/{}", text(owner, "/kind"), text(owner, "/name")))
}

/// Who last wrote this place (a JSON pointer) of an object, and when: `kubectl-edit at 2026-11-22T03:04:05Z`. By field
/// managers, which are names of programs, not of people. None where nobody is noted.
pub(super) fn last_writer(object: &Value, place: &str) -> Option<String> {
    let managers = object.pointer("/metadata/managedFields")?.as_array()?;
    let wrote = managers.iter().filter(|entry| owns(entry.get("fieldsV1"), place));
    // Times of RFC 3339 in one zone: later is greater.
    let last = wrote.max_by_key(|entry| text(entry, "/time").to_owned())?;
    let (manager, at) = (text(last, "/manager"), text(last, "/time"));
    // Its time is that of its newest write, of whatever field.
    if manager == FIELD_MANAGER {
        return Some("First Aid, for another run".to_owned());
    }
    Some(if at.is_empty() { one_line(manager) } else { format!("{} at {}", one_line(manager), one_line(at)) })
}

/// Whether a set of fields has a place: a field without fields below it has all of them.
fn owns(fields: Option<&Value>, place: &str) -> bool {
    let Some(mut fields) = fields.and_then(Value::as_object) else { return false };
    for token in place.split('/').skip(1) {
        let key = format!("f:{}", token.replace("~1", "/").replace("~0", "~"));
        match fields.get(&key).and_then(Value::as_object) {
            Some(below) => fields = below,
            None => return false,
        }
        if fields.is_empty() {
            return true;
        }
    }
    true
}

/// A sentence for each GitOps tool that manages the object.
pub(super) fn warnings(object: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for (place, mark, tool) in MARKS {
        let value = object.pointer(place).and_then(|marks| marks.get(mark)).and_then(Value::as_str);
        let sentence = value
            .map(|value| format!("{tool} manages this object ({value}) and may put the change back at its next sync"));
        found.extend(sentence.filter(|sentence| !found.contains(sentence)));
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn whoever_wrote_last_is_named() {
        let entry =
            |manager: &str, at: &str, fields: Value| json!({"manager": manager, "time": at, "fieldsV1": fields});
        let object = json!({"metadata": {"managedFields": [
            entry("firstaid", "2026-11-22T03:00:00Z", json!({"f:metadata": {}, "f:spec": {"f:replicas": {}}})),
            entry("kubectl", "2026-11-22T03:07:00Z", json!({"f:spec": {"f:replicas": {}}, "f:data": {"f:a/b.json": {}}})),
            entry("helm", "2026-11-22T03:09:00Z", json!({"f:spec": {"f:template": {}, "f:flagSpec": {}}}))]}});
        assert_eq!(last_writer(&object, "/spec/replicas").as_deref(), Some("kubectl at 2026-11-22T03:07:00Z"));
        assert_eq!(last_writer(&object, "/data/a~1b.json").as_deref(), Some("kubectl at 2026-11-22T03:07:00Z"));
        assert_eq!(last_writer(&object, "/spec/flagSpec/flags/recs").as_deref(), Some("helm at 2026-11-22T03:09:00Z"));
        assert_eq!(last_writer(&object, "/spec/paused"), None);
        assert_eq!(last_writer(&json!({}), "/spec/replicas"), None);
    }

    #[test]
    fn the_owner_and_the_tool_are_named() {
        let object = json!({"metadata": {
            "ownerReferences": [{"kind": "Thing", "name": "no"}, {"kind": "Deployment", "name": "web", "controller": true}],
            "labels": {"kustomize.toolkit.fluxcd.io/name": "apps"}}});
        assert_eq!(controller(&object).as_deref(), Some("Deployment/web"));
        assert_eq!(
            warnings(&object),
            ["Flux (Kustomization) manages this object (apps) and may put the change back at its next sync"]
        );
        assert!(warnings(&json!({"metadata": {}})).is_empty());
    }
}
