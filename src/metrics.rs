//! What is counted, with closed label sets.

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::api::run::Phase;
use crate::plan::Reply;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Label {
    value: String,
}

/// The operator's metrics. Cloning shares them.
#[derive(Clone, Default)]
pub struct Metrics {
    finished: Family<Label, Counter>,
    acted: Family<Label, Counter>,
    errors: Family<Label, Counter>,
    guards: Gauge,
}

impl Metrics {
    /// A run has ended.
    pub fn finished(&self, phase: Phase) {
        self.finished.get_or_create(&Label { value: format!("{phase:?}") }).inc();
    }

    /// An act was sent.
    pub fn acted(&self, reply: &Reply) {
        let value = match reply {
            Reply::Landed => "landed",
            Reply::Refused { .. } => "refused",
            Reply::Ambiguous(_) => "ambiguous",
        };
        self.acted.get_or_create(&Label { value: value.to_owned() }).inc();
    }

    /// A pass ended early.
    pub fn error(&self, category: &'static str) {
        self.errors.get_or_create(&Label { value: category.to_owned() }).inc();
    }

    /// Whether the approval policies were last proven to be in force.
    pub fn guards(&self, proven: bool) {
        self.guards.set(i64::from(proven));
    }

    /// In the OpenMetrics text format.
    ///
    /// # Errors
    /// Where a value cannot be written as text.
    pub fn encode(&self) -> Result<String, std::fmt::Error> {
        let mut registry = Registry::with_prefix("firstaid");
        registry.register("runs_finished", "Runs that ended, by phase", self.finished.clone());
        registry.register("acts", "Acts that were sent, by what came back", self.acted.clone());
        registry.register("pass_errors", "Passes that ended early, by category", self.errors.clone());
        registry.register(
            "guards_proven",
            "1 while the approval policies are proven to be in force",
            self.guards.clone(),
        );
        let mut text = String::new();
        text::encode(&mut text, &registry)?;
        Ok(text)
    }
}
