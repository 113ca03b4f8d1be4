//! What kinds the cluster serves, and where each keeps its replicas.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::core::gvk::ParseGroupVersionError;
use kube::core::{ApiResource, GroupVersion};
use kube::{Api, Client};

use super::{CallError, timely};
use crate::action::ScalePaths;

/// Kinds by API version, as discovery names them.
pub struct Kinds {
    client: Client,
    known: Mutex<HashMap<(String, String), ApiResource>>,
}

/// Why a kind is not known.
#[derive(Debug, thiserror::Error)]
pub enum UnknownKind {
    /// The API version is none.
    #[error("{0}")]
    Version(#[from] ParseGroupVersionError),
    /// The cluster does not serve it.
    #[error("the cluster serves no kind {kind} of {api_version}")]
    NotServed {
        /// API group and version.
        api_version: String,
        /// Kind.
        kind: String,
    },
    /// Discovery failed.
    #[error("{0}")]
    Call(#[from] CallError),
}

impl Kinds {
    pub(super) fn new(client: Client) -> Self {
        Self { client, known: Mutex::default() }
    }

    /// The resource of a kind. Well-known kinds need no question.
    pub(super) async fn resource(&self, api_version: &str, kind: &str) -> Result<ApiResource, UnknownKind> {
        let version: GroupVersion = api_version.parse()?;
        let gvk = version.with_kind(kind);
        let plural = match (api_version, kind) {
            ("apps/v1", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet")
            | ("v1", "ConfigMap" | "Service" | "Pod") => {
                format!("{}s", kind.to_lowercase())
            }
            ("core.openfeature.dev/v1beta1", "FeatureFlag") => "featureflags".to_owned(),
            _ => return self.discover(api_version, kind).await,
        };
        Ok(ApiResource::from_gvk_with_plural(&gvk, &plural))
    }

    async fn discover(&self, api_version: &str, kind: &str) -> Result<ApiResource, UnknownKind> {
        let key = (api_version.to_owned(), kind.to_owned());
        if let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(known.clone());
        }
        let version: GroupVersion = api_version.parse()?;
        let found = timely(async {
            let list = if version.group.is_empty() {
                self.client.list_core_api_resources(&version.version).await?
            } else {
                self.client.list_api_group_resources(api_version).await?
            };
            Ok(list.resources.into_iter().find(|r| r.kind == kind && !r.name.contains('/')))
        })
        .await;
        let found = match found {
            Err(error) if error.code() == Some(404) => None,
            other => other?,
        };
        let Some(found) = found else {
            return Err(UnknownKind::NotServed { api_version: key.0, kind: key.1 });
        };
        let resource = ApiResource::from_gvk_with_plural(&version.with_kind(kind), &found.name);
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(key, resource.clone());
        Ok(resource)
    }

    /// Where a custom kind keeps its replicas, from its definition: none where it has no scale subresource.
    pub(super) async fn scale_paths(&self, api_version: &str, kind: &str) -> Result<Option<ScalePaths>, UnknownKind> {
        let resource = self.resource(api_version, kind).await?;
        let name = format!("{}.{}", resource.plural, resource.group);
        let crd = match timely(Api::<CustomResourceDefinition>::all(self.client.clone()).get(&name)).await {
            Ok(crd) => crd,
            Err(error) if error.code() == Some(404) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let version = crd.spec.versions.into_iter().find(|v| v.name == resource.version);
        let scale = version.and_then(|v| v.subresources).and_then(|s| s.scale);
        // The definition has `.spec.replicas`; a JSON pointer has `/spec/replicas`. Array notation is not allowed there.
        let pointer = |path: String| path.replace('.', "/");
        Ok(scale.map(|s| ScalePaths { spec: pointer(s.spec_replicas_path), status: pointer(s.status_replicas_path) }))
    }
}
