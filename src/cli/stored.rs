//! Reading what is stored, for the verbs that look at evidence: with sentences for whoever typed the command.
#![allow(clippy::disallowed_types)]

use anyhow::Error;
use kube::api::ListParams;
use kube::{Client, Resource};
use serde_json::Value;

use crate::perform::list_stored;

/// All objects of a kind in a namespace, as they are stored; in all of them where its name is empty.
///
/// # Errors
/// What the API server said, or that it does not answer, with the command to go on.
pub(super) async fn list<K: Resource<DynamicType = ()>>(
    client: &Client,
    namespace: &str,
) -> anyhow::Result<Vec<Value>> {
    let plural = format!("{}.{}", K::plural(&()), K::group(&()));
    list_stored::<K>(client, namespace, ListParams::default())
        .await
        .map_err(|error| Error::new(refusal(&error, &plural, namespace)))
}

/// What could not be read, and why, for people; and the status with which the API server said so.
#[derive(Debug, thiserror::Error)]
#[error("{said}")]
pub(super) struct Refusal {
    /// The status; `None` where there was no answer.
    pub(super) code: Option<u16>,
    /// The sentence.
    pub(super) said: String,
}

/// Not as `kube` says it: that repeats the whole answer, in the words of a program.
fn refusal(error: &kube::Error, plural: &str, namespace: &str) -> Refusal {
    let (place, option) = match namespace {
        "" => ("all namespaces".to_owned(), "-A".to_owned()),
        namespace => (namespace.to_owned(), format!("-n {namespace}")),
    };
    let said = match error {
        kube::Error::Api(status) if status.code == 403 => {
            format!("listing {plural} in {place}: {}; see: kubectl auth can-i list {plural} {option}", status.message)
        }
        kube::Error::Api(status) if status.code == 404 => {
            format!(
                "listing {plural} in {place}: {}; is First Aid installed? see: kubectl get crd {plural}",
                status.message
            )
        }
        kube::Error::Api(status) => format!("listing {plural} in {place}: {}", status.message),
        other => format!("listing {plural} in {place}: {other}; does the API server answer? see: kubectl cluster-info"),
    };
    let code = match error {
        kube::Error::Api(status) => Some(status.code),
        _ => None,
    };
    Refusal { code, said }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;

    #[test]
    fn a_refusal_is_said_once_and_with_what_to_do() {
        let said = |code, message: &str| {
            let status = Status { code, message: message.to_owned(), ..Status::default() };
            refusal(&kube::Error::Api(Box::new(status)), "approvals.firstaid.dev", "shop").to_string()
        };
        assert_eq!(
            said(403, "carol may not"),
            "listing approvals.firstaid.dev in shop: carol may not; see: kubectl auth can-i list approvals.firstaid.dev -n shop"
        );
        assert!(
            said(404, "not found").ends_with("is First Aid installed? see: kubectl get crd approvals.firstaid.dev")
        );
        assert_eq!(said(500, "no"), "listing approvals.firstaid.dev in shop: no");
    }
}
