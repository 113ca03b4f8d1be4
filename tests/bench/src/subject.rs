//! What is measured: one gated action on a target of its own, which is named like the run.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use serde_json::{Value, json};

/// The label of all targets, by which the observer knows them.
pub const LABEL: &str = "firstaid-bench";

/// The key of the flag in its ConfigMap.
const KEY: &str = "RECOMMENDATIONS";

/// The runbooks, both with one step behind one gate.
pub const RUNBOOKS: &str = "
apiVersion: firstaid.dev/v1alpha1
kind: Runbook
metadata: {name: flag}
spec:
  summary: Switch recommendations off
  parameters: [{name: target, type: string, sample: rehearsal, description: The ConfigMap}]
  gates: [{name: on-call, requires: [{role: sre}]}]
  steps:
  - name: switch-off
    gate: on-call
    disable: {flag: recommendations, configMap: {name: '${params.target}', key: RECOMMENDATIONS, format: Plain}}
---
apiVersion: firstaid.dev/v1alpha1
kind: Runbook
metadata: {name: scale}
spec:
  summary: One pod more
  parameters: [{name: target, type: string, sample: rehearsal, description: The Deployment}]
  gates: [{name: on-call, requires: [{role: sre}]}]
  steps:
  - name: scale-out
    gate: on-call
    scale: {target: {kind: Deployment, name: '${params.target}'}, replicas: 1}
";

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A flag in a ConfigMap goes off. Nothing but the API server takes part.
    Flag,
    /// A Deployment goes from no pod to one, which is played by KWOK.
    Scale,
}

impl Subject {
    /// The name of its runbook.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Scale => "scale",
        }
    }

    /// The resource of its targets, as the audit log says it.
    pub fn resource(self) -> &'static str {
        match self {
            Self::Flag => "configmaps",
            Self::Scale => "deployments",
        }
    }

    /// The path of its targets in a namespace.
    pub fn path(self, namespace: &str) -> String {
        match self {
            Self::Flag => format!("/api/v1/namespaces/{namespace}/configmaps"),
            Self::Scale => format!("/apis/apps/v1/namespaces/{namespace}/deployments"),
        }
    }

    /// A target before the action.
    pub fn target(self, name: &str) -> Value {
        let metadata = json!({"name": name, "labels": {LABEL: self.name()}});
        match self {
            Self::Flag => {
                json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {KEY: "true", "OTHER": "1"}})
            }
            Self::Scale => json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {
                "replicas": 0, "selector": {"matchLabels": {"app": name}},
                "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "web", "image": "shop/web:1"}]}}}}),
        }
    }

    /// The bare change: a merge patch.
    pub fn bare_patch(self) -> Value {
        match self {
            Self::Flag => json!({"data": {KEY: "false"}}),
            Self::Scale => json!({"spec": {"replicas": 1}}),
        }
    }

    /// The conditional change, as the design asks for it: the same object, as just read, and the token with the change.
    pub fn conditional_patch(self, object: &Value, token: &str) -> Vec<Value> {
        let at = |pointer: &str| object.pointer(pointer).cloned().unwrap_or_default();
        let mut patch = vec![json!({"op": "test", "path": "/metadata/uid", "value": at("/metadata/uid")})];
        if object.pointer("/metadata/annotations").is_some() {
            let annotation = "/metadata/annotations/firstaid.dev~1last-action";
            patch.push(json!({"op": "test", "path": annotation, "value": null}));
            patch.push(json!({"op": "add", "path": annotation, "value": token}));
        } else {
            patch.push(json!({"op": "test", "path": "/metadata/annotations", "value": null}));
            patch.push(
                json!({"op": "add", "path": "/metadata/annotations", "value": {"firstaid.dev/last-action": token}}),
            );
        }
        match self {
            Self::Flag => {
                let path = format!("/data/{KEY}");
                patch.push(json!({"op": "test", "path": path, "value": at(&path)}));
                patch.push(json!({"op": "add", "path": path, "value": "false"}));
            }
            Self::Scale => {
                patch.push(json!({"op": "test", "path": "/metadata/generation", "value": at("/metadata/generation")}));
                patch.push(json!({"op": "add", "path": "/spec/replicas", "value": 1}));
            }
        }
        patch
    }
}

/// Whether the effect is on this target.
pub trait Effect {
    /// It is.
    fn is_done(&self) -> bool;
}

impl Effect for ConfigMap {
    fn is_done(&self) -> bool {
        self.data.as_ref().and_then(|data| data.get(KEY)).is_some_and(|flag| flag == "false")
    }
}

impl Effect for Deployment {
    fn is_done(&self) -> bool {
        self.spec.as_ref().and_then(|spec| spec.replicas) == Some(1)
    }
}
