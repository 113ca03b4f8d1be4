//! Who tells of alerts, and the Incidents that these open and feed.

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use serde_json::Value;

use super::{CallError, Performer, timely};
use crate::api::alert::ALERT_GROUP_LABEL;
use crate::api::{FIELD_MANAGER, Incident, Person};

/// For whom a token must be made that is shown here. One that was made for the API server, which a pod has, would let us act
/// in its name; and one that another service was shown is not for us.
pub const AUDIENCE: &str = "firstaid";

/// Whether somebody may do something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Right {
    /// Yes.
    Yes,
    /// No.
    No,
    /// The API server cannot say as yet, and why.
    NotKnown(String),
}

impl Performer {
    /// Whose token it is; none where it is nobody's, or was made for somebody else.
    ///
    /// # Errors
    /// [`CallError`] where the API server does not say.
    pub async fn who_shows(&self, token: &str) -> Result<Option<Person>, CallError> {
        let spec = TokenReviewSpec { token: Some(token.to_owned()), audiences: Some(vec![AUDIENCE.to_owned()]) };
        let review = TokenReview { spec, ..TokenReview::default() };
        let reviews = Api::<TokenReview>::all(self.operator.clone());
        let status = timely(reviews.create(&PostParams::default(), &review)).await?.status.unwrap_or_default();
        // An authenticator that knows nothing of audiences leaves them out, and its token was made for the API server.
        let for_us = status.audiences.unwrap_or_default().iter().any(|audience| audience == AUDIENCE);
        let user = status.user.filter(|_| status.authenticated == Some(true) && for_us);
        Ok(user.map(|user| Person {
            username: user.username.unwrap_or_default(),
            uid: user.uid.unwrap_or_default(),
            groups: user.groups.unwrap_or_default(),
            extra: user.extra.unwrap_or_default(),
            ..Person::default()
        }))
    }

    /// Whether somebody may tell of alerts in a namespace: `create` on `incidents/alerts`.
    ///
    /// # Errors
    /// [`CallError`] where the API server does not say.
    pub async fn may_alert(&self, sender: &Person, namespace: &str) -> Result<Right, CallError> {
        let attributes = ResourceAttributes {
            group: Some("firstaid.dev".to_owned()),
            resource: Some("incidents".to_owned()),
            subresource: Some("alerts".to_owned()),
            verb: Some("create".to_owned()),
            namespace: Some(namespace.to_owned()),
            ..ResourceAttributes::default()
        };
        if self.may(sender, attributes).await? {
            return Ok(Right::Yes);
        }
        Ok(self.not_ready().await.map_or(Right::No, Right::NotKnown))
    }

    /// Whether somebody may do something, as the API server sees it now.
    pub(super) async fn may(&self, who: &Person, attributes: ResourceAttributes) -> Result<bool, CallError> {
        let spec = SubjectAccessReviewSpec {
            user: Some(who.username.clone()),
            uid: Some(who.uid.clone()).filter(|uid| !uid.is_empty()),
            groups: Some(who.groups.clone()),
            extra: Some(who.extra.clone()).filter(|extra| !extra.is_empty()),
            resource_attributes: Some(attributes),
            ..SubjectAccessReviewSpec::default()
        };
        let reviews = Api::<SubjectAccessReview>::all(self.operator.clone());
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let answer = timely(reviews.create(&PostParams::default(), &review)).await?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }

    /// The Incidents of a namespace that alerts feed, but for those that are closed.
    ///
    /// # Errors
    /// [`CallError`] where they could not be listed.
    pub async fn fed_incidents(&self, namespace: &str) -> Result<Vec<Incident>, CallError> {
        let incidents = Api::<Incident>::namespaced(self.operator.clone(), namespace);
        let open = ListParams::default().labels(ALERT_GROUP_LABEL).fields("status.phase!=Closed");
        Ok(timely(incidents.list(&open)).await?.items)
    }

    /// An Incident, if it is there.
    ///
    /// # Errors
    /// [`CallError`] where it could not be read.
    pub async fn read_incident(&self, namespace: &str, name: &str) -> Result<Option<Incident>, CallError> {
        timely(Api::<Incident>::namespaced(self.operator.clone(), namespace).get_opt(name)).await
    }

    /// Makes an Incident. False where there is one of that name.
    ///
    /// # Errors
    /// [`CallError`]: refused, or not known. A repeat is harmless: the name is taken if the first one landed.
    pub async fn open_incident(&self, namespace: &str, incident: &Value) -> Result<bool, CallError> {
        let incidents = Api::<Incident>::namespaced(self.operator.clone(), namespace);
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let made = serde_json::from_value(incident.clone()).map_err(|e| Box::new(kube::Error::SerdeError(e)))?;
        match timely(incidents.create(&params, &made)).await {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some(409) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Adds to the status of an Incident.
    ///
    /// # Errors
    /// [`CallError`]: refused, or not known. A repeat is harmless: what is there is there.
    pub async fn feed_incident(&self, namespace: &str, name: &str, change: &Value) -> Result<(), CallError> {
        let incidents = Api::<Incident>::namespaced(self.operator.clone(), namespace);
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        timely(incidents.patch_status(name, &params, &Patch::Merge(change))).await.map(drop)
    }
}
