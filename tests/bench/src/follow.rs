//! A watch, as bare as it can be: list for a version, then follow the events.

use std::fmt::Debug;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use futures::StreamExt;
use futures::stream::BoxStream;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

/// Follows the objects of a kind from now on.
pub struct Follow<K> {
    api: Api<K>,
    labels: String,
    version: String,
    events: Option<BoxStream<'static, kube::Result<WatchEvent<K>>>>,
}

impl<K> Follow<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    /// From now on: what is there already is not told.
    pub async fn from_now(api: Api<K>, labels: &str) -> Result<Self> {
        let version = api.list_metadata(&ListParams::default().limit(1)).await?.metadata.resource_version;
        Ok(Self { api, labels: labels.to_owned(), version: version.context("a list has a version")?, events: None })
    }

    /// The next object that was created or changed, and when this process learned of it.
    pub async fn next(&mut self) -> Result<(K, Instant)> {
        loop {
            let events = match &mut self.events {
                Some(events) => events,
                none => {
                    let params = WatchParams::default().labels(&self.labels);
                    none.insert(self.api.watch(&params, &self.version).await?.boxed())
                }
            };
            let Some(event) = events.next().await else {
                // The API server ends a watch after some minutes; the next one goes on where this one stopped.
                self.events = None;
                continue;
            };
            let seen = Instant::now();
            match event? {
                WatchEvent::Added(object) | WatchEvent::Modified(object) => {
                    if let Some(version) = &object.meta().resource_version {
                        self.version.clone_from(version);
                    }
                    return Ok((object, seen));
                }
                WatchEvent::Deleted(_) => {}
                WatchEvent::Bookmark(mark) => self.version = mark.metadata.resource_version,
                WatchEvent::Error(status) => bail!("the watch ended: {}", status.message),
            }
        }
    }
}
