//! What a person asks for with the kubectl plugin, with that person's own client and rights: nothing that plain kubectl
//! could not write. Each is sent once; what the API server makes of it is told as it says it.

use k8s_openapi::api::authentication::v1::SelfSubjectReview;
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use serde_json::{Map, Value, json};

use super::guard::{OUR_SENTENCE, decided_ballot};
use crate::api::Approval;

/// The field manager of what people write with the plugin.
const BY_HAND: &str = "kubectl-firstaid";

/// Whether something is written, or only tried: all of admission runs, and nothing is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sending {
    /// It is written.
    Real,
    /// It is tried.
    DryRun,
}

/// Sets annotations on an object, as `kubectl annotate` does.
///
/// # Errors
/// What the API server says.
pub async fn annotate<K: Resource<DynamicType = ()>>(
    client: &Client,
    namespace: &str,
    name: &str,
    marks: &[(String, String)],
    sending: Sending,
) -> kube::Result<Value> {
    let marks: Map<String, Value> = marks.iter().map(|(key, value)| (key.clone(), json!(value))).collect();
    merge::<K>(client, namespace, name, &json!({"metadata": {"annotations": marks}}), sending).await
}

/// Changes an object by a merge patch. With `metadata.resourceVersion` in it, only as it was read.
///
/// # Errors
/// What the API server says.
pub async fn merge<K: Resource<DynamicType = ()>>(
    client: &Client,
    namespace: &str,
    name: &str,
    patch: &Value,
    sending: Sending,
) -> kube::Result<Value> {
    let params = PatchParams {
        field_manager: Some(BY_HAND.to_owned()),
        dry_run: sending == Sending::DryRun,
        ..PatchParams::default()
    };
    let object = api::<K>(client, namespace).patch(name, &params, &Patch::Merge(patch)).await?;
    serde_json::to_value(object).map_err(kube::Error::SerdeError)
}

/// Makes an object, as `kubectl create` does.
///
/// # Errors
/// What the API server says.
pub async fn make<K: Resource<DynamicType = ()>>(
    client: &Client,
    namespace: &str,
    object: &Value,
    sending: Sending,
) -> kube::Result<Value> {
    let params = PostParams { field_manager: Some(BY_HAND.to_owned()), dry_run: sending == Sending::DryRun };
    let object: DynamicObject = serde_json::from_value(object.clone()).map_err(kube::Error::SerdeError)?;
    let made = api::<K>(client, namespace).create(&params, &object).await?;
    serde_json::to_value(made).map_err(kube::Error::SerdeError)
}

fn api<K: Resource<DynamicType = ()>>(client: &Client, namespace: &str) -> Api<DynamicObject> {
    Api::namespaced_with(client.clone(), namespace, &ApiResource::erase::<K>(&()))
}

/// Who the API server says that we are.
///
/// # Errors
/// What the API server says.
pub async fn who_am_i(client: &Client) -> kube::Result<SelfSubjectReview> {
    Api::all(client.clone()).create(&PostParams::default(), &SelfSubjectReview::default()).await
}

/// Whether the API server would let us.
///
/// # Errors
/// What the API server says.
pub async fn may_i(client: &Client, what: ResourceAttributes) -> kube::Result<bool> {
    let asked = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec { resource_attributes: Some(what), ..SelfSubjectAccessReviewSpec::default() },
        ..SelfSubjectAccessReview::default()
    };
    let answer = Api::all(client.clone()).create(&PostParams::default(), &asked).await?;
    Ok(answer.status.is_some_and(|status| status.allowed))
}

/// What became of a ballot that nobody may ever create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Canary {
    /// The chart's policy refused it.
    RefusedByOurs,
    /// Something else refused it, such as a missing right.
    RefusedOtherwise(String),
    /// It would have been accepted.
    Accepted,
}

/// Tries, as a dry run, to create a ballot that is decided already.
pub async fn try_decided_ballot(client: &Client, namespace: &str) -> Canary {
    let params = PostParams { field_manager: Some(BY_HAND.to_owned()), dry_run: true };
    let ballots = Api::<Approval>::namespaced(client.clone(), namespace);
    match ballots.create(&params, &decided_ballot()).await {
        Ok(_) => Canary::Accepted,
        // To anybody but the operator the policy says that before anything else.
        Err(error) if error.to_string().contains("ballots are issued by first-aid only") => Canary::RefusedByOurs,
        Err(error) if error.to_string().contains(OUR_SENTENCE) => Canary::RefusedByOurs,
        Err(error) => Canary::RefusedOtherwise(error.to_string()),
    }
}

/// Whether we could install the chart: what of it is for the whole cluster.
///
/// # Errors
/// What the API server says.
pub async fn may_install(client: &Client) -> kube::Result<bool> {
    for (group, resource) in [
        ("apiextensions.k8s.io", "customresourcedefinitions"),
        ("rbac.authorization.k8s.io", "clusterroles"),
        ("admissionregistration.k8s.io", "validatingadmissionpolicies"),
    ] {
        let what = ResourceAttributes {
            group: Some(group.to_owned()),
            resource: Some(resource.to_owned()),
            verb: Some("create".to_owned()),
            ..ResourceAttributes::default()
        };
        if !may_i(client, what).await? {
            return Ok(false);
        }
    }
    Ok(true)
}
