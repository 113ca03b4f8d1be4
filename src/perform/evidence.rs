//! Reading evidence as it is stored: objects stay JSON, since a field that this version does not know is under the hash all
//! the same.

use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::{Api, Client, Resource};
use serde_json::{Value, json};

use super::{CallError, timely};
use crate::api::{ActionRecord, Approval, RunbookRun};
use crate::verify::Evidence;

/// Objects of a kind at once; a namespace that is years old has thousands of ballots.
const PAGE: u32 = 500;
/// Names of runs at once. Each comes with the metadata of its run.
const NAMES: u32 = 100;

/// All objects of a kind in a namespace, or in all where it is empty, that these parameters select.
///
/// # Errors
/// [`kube::Error`] where they cannot be listed.
pub async fn list_stored<K: Resource<DynamicType = ()>>(
    client: &Client,
    namespace: &str,
    params: ListParams,
) -> kube::Result<Vec<Value>> {
    let resource = ApiResource::erase::<K>(&());
    let api = match namespace {
        "" => Api::<DynamicObject>::all_with(client.clone(), &resource),
        namespace => Api::namespaced_with(client.clone(), namespace, &resource),
    };
    let mut params = params.limit(PAGE);
    let mut objects = Vec::new();
    loop {
        let page = api.list(&params).await?;
        for object in page.items {
            objects.push(stored(&object, &resource)?);
        }
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(objects),
        }
    }
}

/// An object as JSON. In a list the items need not say what they are.
fn stored(object: &DynamicObject, resource: &ApiResource) -> kube::Result<Value> {
    let mut object = serde_json::to_value(object).map_err(kube::Error::SerdeError)?;
    if let Some(fields) = object.as_object_mut() {
        fields.insert("apiVersion".to_owned(), json!(resource.api_version));
        fields.insert("kind".to_owned(), json!(resource.kind));
    }
    Ok(object)
}

/// All that is stored of a run, live: it, its ballots, its records. Nothing at all where there is no such run. Who wrote
/// which field is left out, as kubectl does.
///
/// # Errors
/// [`CallError`] where it could not be read.
pub async fn read_evidence(client: &Client, namespace: &str, run: &str) -> Result<Evidence, CallError> {
    let resource = ApiResource::erase::<RunbookRun>(&());
    let runs = Api::<DynamicObject>::namespaced_with(client.clone(), namespace, &resource);
    let mut evidence = Evidence::default();
    let Some(found) = timely(runs.get_opt(run)).await? else { return Ok(evidence) };
    let uid = found.metadata.uid.clone().unwrap_or_default();
    // After the run: what it names is there by then.
    let of_run = |field: &str| ListParams::default().fields(&format!("{field}={run}"));
    let (ballots, records) = tokio::join!(
        timely(list_stored::<Approval>(client, namespace, of_run("spec.request.run"))),
        timely(list_stored::<ActionRecord>(client, namespace, of_run("spec.run"))),
    );
    let found = stored(&found, &resource).map_err(|error| CallError::Kube(Box::new(error)))?;
    for mut object in [found].into_iter().chain(ballots?).chain(records?) {
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
        evidence.add(object);
    }
    // Another run had the same name.
    evidence.ballots.retain(|ballot| ballot.text("/spec/request/runUID") == uid);
    evidence.records.retain(|record| record.text("/spec/runUID") == uid);
    Ok(evidence)
}

/// All that is stored of an incident in a namespace, live: its runs, their ballots, its records. The key is the name of an
/// Incident, which no selector can take for anything else.
///
/// # Errors
/// [`CallError`] where it could not be read.
pub async fn read_of_incident(client: &Client, namespace: &str, key: &str) -> Result<Vec<Value>, CallError> {
    let of_key = || ListParams::default().fields(&format!("spec.incident={key}"));
    let (runs, records) = tokio::join!(
        timely(list_stored::<RunbookRun>(client, namespace, of_key())),
        timely(list_stored::<ActionRecord>(client, namespace, of_key())),
    );
    let (mut objects, records) = (runs?, records?);
    let names: Vec<String> =
        objects.iter().filter_map(|run| Some(run.pointer("/metadata/name")?.as_str()?.to_owned())).collect();
    for name in names {
        let of_run = ListParams::default().fields(&format!("spec.request.run={name}"));
        objects.extend(timely(list_stored::<Approval>(client, namespace, of_run)).await?);
    }
    objects.extend(records);
    Ok(objects)
}

/// The names of all runs that have ended, each with its namespace: names alone, a page at a time.
///
/// # Errors
/// [`CallError`] where they could not be listed.
pub async fn list_ended(runs: &Api<RunbookRun>) -> Result<Vec<(String, String)>, CallError> {
    let mut params = ListParams::default().fields("status.finished=true").limit(NAMES);
    let mut names = Vec::new();
    loop {
        let page = timely(runs.list_metadata(&params)).await?;
        names.extend(page.items.into_iter().filter_map(|run| Some((run.metadata.namespace?, run.metadata.name?))));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(names),
        }
    }
}
