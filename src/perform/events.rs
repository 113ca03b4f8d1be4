//! Events: told once, without waiting for an answer. Nothing rests on them.

use std::time::Duration;

use kube::Resource;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

use super::Performer;
use crate::api::condition::cut;
use crate::api::{FIELD_MANAGER, RunbookRun};

/// The longest note that the API server takes.
const LONGEST_NOTE: usize = 1024;

impl Performer {
    /// Tells of something that happened to a run. Not on the way of anything: a slow API server holds up nobody.
    pub fn tell(&self, run: &RunbookRun, warning: bool, reason: &'static str, note: &str) {
        let reporter = Reporter { controller: FIELD_MANAGER.to_owned(), instance: None };
        let recorder = Recorder::new(self.operator.clone(), reporter);
        let event = Event {
            type_: if warning { EventType::Warning } else { EventType::Normal },
            reason: reason.to_owned(),
            note: Some(cut(note, LONGEST_NOTE)),
            action: reason.to_owned(),
            secondary: None,
        };
        let run = run.object_ref(&());
        tokio::spawn(async move {
            let told = tokio::time::timeout(Duration::from_secs(5), recorder.publish(&event, &run)).await;
            match told {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::debug!(reason, %error, "an Event was not sent"),
                Err(_) => tracing::debug!(reason, "an Event was not sent in time"),
            }
        });
    }
}
