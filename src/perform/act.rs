//! Acting: one conditional patch of one object, sent once, as the Runbook's ServiceAccount.

use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};

use super::kinds::UnknownKind;
use super::{CallError, Performer, timely};
use crate::action::{Answer, Effect, ObjectRef, version_of};
use crate::api::FIELD_MANAGER;
use crate::plan::Reply;

impl Performer {
    /// Sends the effect once. What comes back is judged by the planner.
    pub async fn act(&self, namespace: &str, service_account: &str, effect: &Effect) -> Reply {
        match self.patch(namespace, service_account, effect, &PatchParams::apply(FIELD_MANAGER)).await {
            Ok(_) => Reply::Landed,
            Err(error) => reply_of(&error),
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
            Err(error) => match error.code() {
                Some(403) => Answer::Forbidden(error.message()),
                Some(409 | 422) if self.has_changed(namespace, service_account, effect).await => Answer::Unreadable(
                    format!("{} was changed by somebody else while its change was tried", effect.target.display()),
                ),
                Some(400 | 404 | 405 | 413 | 422) => Answer::No(error.message()),
                _ => Answer::Unreadable(error.message()),
            },
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

/// What an error says of a write. Only a definite answer of the API server says that nothing was written; a time-out, a
/// cut connection or a 5xx says nothing at all.
pub fn reply_of(error: &CallError) -> Reply {
    match error.code() {
        Some(code) if (400..500).contains(&code) => Reply::Refused { code, message: error.message() },
        _ => Reply::Ambiguous(error.message()),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    fn answered(code: u16) -> Reply {
        reply_of(&CallError::Kube(Box::new(kube::Error::Api(Box::new(Status { code, ..Status::default() })))))
    }

    #[test]
    fn only_a_definite_answer_says_that_nothing_was_written() {
        for code in [400, 403, 404, 409, 422, 429] {
            assert!(matches!(answered(code), Reply::Refused { .. }), "{code}");
        }
        for code in [500, 502, 503, 504] {
            assert!(matches!(answered(code), Reply::Ambiguous(_)), "{code}");
        }
        assert!(matches!(reply_of(&CallError::Deadline), Reply::Ambiguous(_)));
    }
}
