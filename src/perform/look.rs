//! Reading: each question of the planner answered live.

use std::fmt::Debug;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::authorization::v1::ResourceAttributes;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::api::{DynamicObject, ListParams, VersionMatch};
use kube::{Api, Resource};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::kinds::UnknownKind;
use super::{CallError, DEADLINE, Performer, body, timely};
use crate::action::{Answer, AutoscalerFacts, ObjectRef, Query};
use crate::api::{ActionRecord, Approval, Person, Runbook, RunbookRun};

/// The name of the ConfigMap that is the global brake.
const BRAKE: &str = "firstaid-brake";
/// The most objects of one kind that are read at once.
const MOST_OBJECTS: u32 = 500;

/// Whether this answer says that somebody may not do something.
fn refuses(query: &Query, answer: &Answer) -> bool {
    matches!((query, answer), (_, Answer::Forbidden(_)) | (Query::Access { .. }, Answer::No(_)))
}

impl Performer {
    /// Answers a question about this namespace, as this ServiceAccount. [`Query::Journal`] is the caller's: it replaces
    /// what the caller holds.
    pub async fn look(&self, namespace: &str, service_account: &str, query: &Query) -> Answer {
        let answer = self.ask(namespace, service_account, query).await;
        let (Answer::Forbidden(message) | Answer::No(message)) = &answer else { return answer };
        if !refuses(query, &answer) {
            return answer;
        }
        match self.not_ready().await {
            Some(why) => Answer::Unreadable(format!("{message}; but {why}")),
            // It may have become so in between.
            None => self.ask(namespace, service_account, query).await,
        }
    }

    async fn ask(&self, namespace: &str, service_account: &str, query: &Query) -> Answer {
        match query {
            Query::Journal => Answer::Yes,
            Query::Runbook(name) => self.own::<Runbook>(namespace, name).await,
            Query::Run(name) => self.own::<RunbookRun>(namespace, name).await,
            Query::Record(name) => self.own::<ActionRecord>(namespace, name).await,
            Query::Ballot(name) => self.own::<Approval>(namespace, name).await,
            Query::Object(object) => self.object(namespace, service_account, object).await,
            Query::Autoscalers => self.autoscalers(namespace, service_account).await,
            Query::Objects { api_version, kind } => self.objects(namespace, service_account, api_version, kind).await,
            Query::ScalePaths { api_version, kind } => match self.kinds.scale_paths(api_version, kind).await {
                Ok(paths) => Answer::ScalePaths(paths),
                Err(UnknownKind::NotServed { .. } | UnknownKind::Version(_)) => Answer::ScalePaths(None),
                Err(UnknownKind::Call(error)) => Answer::Unreadable(error.message()),
            },
            Query::DryRun(effect) => self.dry_run(namespace, service_account, effect).await,
            Query::Access { voter, role, runbook } => self.access(namespace, voter, role, runbook).await,
            Query::Brake => self.brake().await,
            // The deadline is for the wait behind others, too: whoever waits long would act on what was read long ago.
            Query::Guards => match tokio::time::timeout(DEADLINE, self.guard.proof()).await {
                Ok(Ok(())) => Answer::InForce(self.guard.gaps()),
                Ok(Err(why)) => Answer::No(why),
                Err(_) => Answer::No(CallError::Deadline.to_string()),
            },
            Query::Holder { run, uid } => self.holder(namespace, run, uid).await,
        }
    }

    /// An object of one of our own kinds.
    async fn own<K>(&self, namespace: &str, name: &str) -> Answer
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + Debug + DeserializeOwned + Serialize,
    {
        let objects = Api::<K>::namespaced(self.operator.clone(), namespace);
        match timely(objects.get_opt(name)).await {
            Ok(found) => Answer::Object(found.and_then(|found| serde_json::to_value(found).ok())),
            Err(error) => body::unread(&error),
        }
    }

    pub(super) async fn object(&self, namespace: &str, service_account: &str, object: &ObjectRef) -> Answer {
        let resource = match self.kinds.resource(&object.api_version, &object.kind).await {
            Ok(resource) => resource,
            Err(UnknownKind::NotServed { .. } | UnknownKind::Version(_)) => return Answer::Object(None),
            Err(UnknownKind::Call(error)) => return body::unread(&error),
        };
        let client = match self.identities.client(namespace, service_account) {
            Ok(client) => client,
            Err(error) => return Answer::Unreadable(error.to_string()),
        };
        let objects = Api::<DynamicObject>::namespaced_with(client, namespace, &resource);
        match timely(objects.get_opt(&object.name)).await {
            Ok(found) => Answer::Object(found.and_then(|found| serde_json::to_value(found).ok())),
            Err(error) => self.failure_as(namespace, service_account, &error).await,
        }
    }

    async fn objects(&self, namespace: &str, service_account: &str, api_version: &str, kind: &str) -> Answer {
        let resource = match self.kinds.resource(api_version, kind).await {
            Ok(resource) => resource,
            Err(UnknownKind::NotServed { .. } | UnknownKind::Version(_)) => {
                return Answer::No(format!("this cluster has no kind {kind} of {api_version}"));
            }
            Err(UnknownKind::Call(error)) => return body::unread(&error),
        };
        let client = match self.identities.client(namespace, service_account) {
            Ok(client) => client,
            Err(error) => return Answer::Unreadable(error.to_string()),
        };
        let objects = Api::<DynamicObject>::namespaced_with(client, namespace, &resource);
        match timely(objects.list(&ListParams::default().limit(MOST_OBJECTS))).await {
            Ok(found) if found.metadata.continue_.as_ref().is_some_and(|token| !token.is_empty()) => {
                Answer::Unreadable(format!("there are more than {MOST_OBJECTS} {kind} in {namespace}"))
            }
            Ok(found) => Answer::Objects(
                found.items.into_iter().filter_map(|object| serde_json::to_value(object).ok()).collect(),
            ),
            Err(error) => self.failure_as(namespace, service_account, &error).await,
        }
    }

    async fn autoscalers(&self, namespace: &str, service_account: &str) -> Answer {
        let client = match self.identities.client(namespace, service_account) {
            Ok(client) => client,
            Err(error) => return Answer::Unreadable(error.to_string()),
        };
        let autoscalers = Api::<HorizontalPodAutoscaler>::namespaced(client, namespace);
        // From the API server's cache, which follows within milliseconds. A list of what was last stored is answered from
        // there too, but only once etcd has confirmed that nothing is missing, which it is asked ten times a second: 50 ms
        // on the way from a vote to its effect. An autoscaler that was made in this very moment is found by verification.
        match timely(autoscalers.list(&ListParams::default().at("0").matching(VersionMatch::NotOlderThan))).await {
            Ok(found) => Answer::Autoscalers(
                found
                    .items
                    .into_iter()
                    .filter_map(|hpa| {
                        let spec = hpa.spec?;
                        Some(AutoscalerFacts {
                            name: hpa.metadata.name?,
                            kind: spec.scale_target_ref.kind,
                            target: spec.scale_target_ref.name,
                            min: i64::from(spec.min_replicas.unwrap_or(1)),
                            max: i64::from(spec.max_replicas),
                        })
                    })
                    .collect(),
            ),
            Err(error) => self.failure_as(namespace, service_account, &error).await,
        }
    }

    /// A read as the ServiceAccount that gave nothing. Where it does not exist, that is the reason, and the better sentence.
    async fn failure_as(&self, namespace: &str, service_account: &str, error: &CallError) -> Answer {
        match body::unread(error) {
            Answer::Forbidden(message) => {
                Answer::Forbidden(self.account_missing(namespace, service_account).await.unwrap_or(message))
            }
            other => other,
        }
    }

    /// The sentence for a ServiceAccount that is not there. Impersonation does not ask whether it exists, so whoever takes
    /// a runbook's power away by deleting its account would be surprised.
    pub(super) async fn account_missing(&self, namespace: &str, service_account: &str) -> Option<String> {
        let accounts = Api::<ServiceAccount>::namespaced(self.operator.clone(), namespace);
        let found = timely(accounts.get_opt(service_account)).await.ok()?;
        found.is_none().then(|| format!("there is no ServiceAccount {service_account} in namespace {namespace}"))
    }

    async fn access(&self, namespace: &str, voter: &Person, role: &str, runbook: &str) -> Answer {
        let attributes = ResourceAttributes {
            group: Some("firstaid.dev".to_owned()),
            resource: Some("runbooks".to_owned()),
            subresource: Some(format!("as-{role}")),
            verb: Some("approve".to_owned()),
            namespace: Some(namespace.to_owned()),
            name: Some(runbook.to_owned()),
            ..ResourceAttributes::default()
        };
        match self.may(voter, attributes).await {
            Ok(true) => Answer::Yes,
            Ok(false) => Answer::No(format!("{} may not approve as {role}", voter.username)),
            Err(error) => Answer::Unreadable(error.message()),
        }
    }

    async fn brake(&self) -> Answer {
        let maps = Api::<ConfigMap>::namespaced(self.operator.clone(), &self.namespace);
        match timely(maps.get_opt(BRAKE)).await {
            Ok(None) => Answer::Brake(None),
            Ok(Some(brake)) => {
                let reason = brake.data.and_then(|data| data.get("reason").cloned());
                Answer::Brake(Some(reason.unwrap_or_else(|| "no reason given".to_owned())))
            }
            Err(error) => Answer::Unreadable(error.message()),
        }
    }

    async fn holder(&self, namespace: &str, run: &str, uid: &str) -> Answer {
        let runs = Api::<RunbookRun>::namespaced(self.operator.clone(), namespace);
        match timely(runs.get_opt(run)).await {
            Ok(Some(holder)) if holder.metadata.uid.as_deref() == Some(uid) => {
                let finished = holder.status.is_some_and(|status| status.finished);
                if finished { Answer::No("it has ended".to_owned()) } else { Answer::Yes }
            }
            Ok(_) => Answer::No("there is no such run".to_owned()),
            Err(error) => Answer::Unreadable(error.message()),
        }
    }
}
