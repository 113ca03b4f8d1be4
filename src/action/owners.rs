//! Who else has a say about an object: owners and GitOps tools, which would put a change back. The plan names them.

use serde_json::Value;

use super::observe::text;

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
