//! Acting: one conditional patch of one object, sent once, as the Runbook's ServiceAccount.

use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};

use super::kinds::UnknownKind;
use super::{CallError, Performer, body, timely};
use crate::action::{Answer, Effect, ObjectRef, version_of};
use crate::api::FIELD_MANAGER;
use crate::plan::Reply;

impl Performer {
    /// Sends the effect once. What comes back is judged by the planner.
    pub async fn act(&self, namespace: &str, service_account: &str, effect: &Effect) -> Reply {
        match self.patch(namespace, service_account, effect, &PatchParams::apply(FIELD_MANAGER)).await {
            Ok(_) => Reply::Landed,
            Err(error)
                if error.code() == Some(403)
                    && let Some(why) = self.not_ready().await =>
            {
                Reply::Ambiguous(format!("{}; but {why}", error.message()))
            }
            Err(error) => body::reply_of(&error),
        }
    }

    /// Whether the API server would accept the effect: all of admission runs, and nothing is stored.
    pub(super) async fn dry_run(&self, namespace: &str, service_account: &str, effect: &Effect) -> Answer {
        let params = PatchParams::apply(FIELD_MANAGER).dry_run();
        let (missing, tried) = tokio::join!(
            self.account_missing(namespace, service_account),
            self.patch(namespace, service_account, effect, &params)
        );
        if let Some(missing) = missing {
            return Answer::Forbidden(missing);
        }
        match tried {
            Ok(_) => Answer::Yes,
            Err(error) => {
                let changed =
                    body::may_be_a_failed_test(&error) && self.has_changed(namespace, service_account, effect).await;
                body::refused_dry_run(effect, &error, changed)
            }
        }
    }

    /// Whether the target is no longer as it was when the effect was made. Its tests fail then with the same status as a
    /// change that is invalid, and say nothing of the change.
    async fn has_changed(&self, namespace: &str, service_account: &str, effect: &Effect) -> bool {
        let target = &effect.target;
        let object =
            ObjectRef { api_version: target.api_version.clone(), kind: target.kind.clone(), name: target.name.clone() };
        let Answer::Object(now) = self.object(namespace, service_account, &object).await else { return true };
        now.is_none_or(|now| version_of(&now).resource_version != effect.seen.resource_version)
    }

    async fn patch(
        &self,
        namespace: &str,
        service_account: &str,
        effect: &Effect,
        params: &PatchParams,
    ) -> Result<DynamicObject, CallError> {
        let target = &effect.target;
        let resource =
            self.kinds.resource(&target.api_version, &target.kind).await.map_err(|unknown| match unknown {
                UnknownKind::Call(error) => error,
                other => CallError::Kube(Box::new(kube::Error::Service(other.into()))),
            })?;
        let client = self.identities.client(namespace, service_account).map_err(Box::new)?;
        let objects = Api::<DynamicObject>::namespaced_with(client, namespace, &resource);
        let patch: json_patch::Patch = serde_json::from_value(serde_json::Value::Array(effect.patch.clone()))
            .map_err(|e| CallError::Kube(Box::new(kube::Error::SerdeError(e))))?;
        timely(objects.patch(&target.name, params, &Patch::Json::<()>(patch))).await
    }
}
