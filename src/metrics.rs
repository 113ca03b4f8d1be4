//! What is counted, with closed label sets. `docs/architecture.md` has the table for whoever looks at it.

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::api::run::Phase;
use crate::plan::Reply;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    phase: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    reply: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failed {
    category: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Stands {
    standing: &'static str,
}

/// How many changes of runs that have ended stand how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InPlace {
    /// As the run left them, in their time if they have one.
    pub in_place: usize,
    /// The same, with their `revertAfter` over.
    pub overdue: usize,
    /// Somebody took them back, or made something else of them.
    pub drifted: usize,
    /// They could not be looked at.
    pub unknown: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Told {
    result: &'static str,
}

/// What became of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notified {
    /// The receiver took it.
    Sent,
    /// The receiver did not take it, however often it was tried.
    Failed,
    /// There is no address that may be used: the file cannot be read, holds no URL, or a URL that is refused.
    Unusable,
    /// Too many were waiting; this was the oldest.
    Dropped,
}

/// What became of a message about alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It opened an Incident.
    Opened,
    /// It told an Incident something new.
    Told,
    /// Nothing of it was new.
    Known,
    /// Whoever sent it may not, or it is no such message.
    Refused,
    /// It could not be taken now.
    Failed,
}

/// The operator's metrics. Cloning shares them.
#[derive(Clone, Default)]
pub struct Metrics {
    finished: Family<Ended, Counter>,
    acted: Family<Answered, Counter>,
    errors: Family<Failed, Counter>,
    archived: Counter,
    removed: Counter,
    notified: Family<Told, Counter>,
    alerts: Family<Told, Counter>,
    in_place: Family<Stands, Gauge>,
    guards: Gauge,
}

impl Metrics {
    /// A run has ended.
    pub fn finished(&self, phase: Phase) {
        self.finished.get_or_create(&Ended { phase: format!("{phase:?}") }).inc();
    }

    /// An act was sent.
    pub fn acted(&self, reply: &Reply) {
        let reply = match reply {
            Reply::Landed => "landed",
            Reply::Refused { .. } => "refused",
            Reply::Ambiguous(_) => "ambiguous",
        };
        self.acted.get_or_create(&Answered { reply }).inc();
    }

    /// Something that should have been done was not: a word of a closed set says what.
    pub fn error(&self, category: &'static str) {
        self.errors.get_or_create(&Failed { category }).inc();
    }

    /// The evidence of a run was written to the archive.
    pub fn archived(&self) {
        self.archived.inc();
    }

    /// The evidence of a run was removed from the cluster.
    pub fn removed(&self) {
        self.removed.inc();
    }

    /// What became of a message about alerts.
    pub fn alert(&self, heard: Heard) {
        let result = match heard {
            Heard::Opened => "opened",
            Heard::Told => "told",
            Heard::Known => "known",
            Heard::Refused => "refused",
            Heard::Failed => "failed",
        };
        self.alerts.get_or_create(&Told { result }).inc();
    }

    /// What became of a notification.
    pub fn notified(&self, result: Notified) {
        let result = match result {
            Notified::Sent => "sent",
            Notified::Failed => "failed",
            Notified::Unusable => "unusable",
            Notified::Dropped => "dropped",
        };
        self.notified.get_or_create(&Told { result }).inc();
    }

    /// How many changes stand how.
    pub fn in_place(&self, now: InPlace) {
        let all =
            [("in-place", now.in_place), ("overdue", now.overdue), ("drifted", now.drifted), ("unknown", now.unknown)];
        for (standing, count) in all {
            self.in_place.get_or_create(&Stands { standing }).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
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
        registry.register("errors", "What could not be done, by category", self.errors.clone());
        registry.register("files_written", "Files that were written to the archive", self.archived.clone());
        registry.register("runs_removed", "Runs whose evidence was removed by retention", self.removed.clone());
        registry.register("notifications", "Notifications, by what became of them", self.notified.clone());
        registry.register("alert_messages", "Messages about alerts, by what became of them", self.alerts.clone());
        registry.register("changes", "Changes of runs that have ended, by how they stand", self.in_place.clone());
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Each metric with its label, as a line of the table in the document begins.
    fn shown() -> BTreeSet<String> {
        let metrics = Metrics::default();
        metrics.finished(Phase::Succeeded);
        metrics.acted(&Reply::Landed);
        metrics.error("call");
        metrics.notified(Notified::Sent);
        metrics.alert(Heard::Opened);
        metrics.in_place(InPlace::default());
        metrics.guards(true);
        let text = metrics.encode().unwrap();
        let row = |line: &str| match line.split_once('{') {
            Some((name, labels)) => format!("| `{name}` | `{}` |", labels.split('=').next().unwrap()),
            None => format!("| `{}` | |", line.split(' ').next().unwrap()),
        };
        text.lines().filter(|line| !line.starts_with('#')).map(row).collect()
    }

    #[test]
    fn the_document_has_every_metric_with_its_label_and_no_other() {
        let document = include_str!("../docs/architecture.md");
        let rows = document.lines().filter(|line| line.starts_with("| `firstaid_"));
        let documented: BTreeSet<String> = rows.map(|row| row.split_inclusive('|').take(3).collect()).collect();
        assert_eq!(shown(), documented);
    }

    #[test]
    fn each_label_says_what_its_value_is() {
        let metrics = Metrics::default();
        metrics.finished(Phase::Denied);
        metrics.acted(&Reply::Landed);
        metrics.error("refused");
        for result in [Notified::Sent, Notified::Failed, Notified::Unusable, Notified::Dropped] {
            metrics.notified(result);
        }
        for heard in [Heard::Opened, Heard::Told, Heard::Known, Heard::Refused, Heard::Failed] {
            metrics.alert(heard);
        }
        metrics.in_place(InPlace { overdue: 2, ..InPlace::default() });
        let text = metrics.encode().unwrap();
        for line in [
            "firstaid_runs_finished_total{phase=\"Denied\"} 1",
            "firstaid_acts_total{reply=\"landed\"} 1",
            "firstaid_errors_total{category=\"refused\"} 1",
            "firstaid_notifications_total{result=\"sent\"} 1",
            "firstaid_notifications_total{result=\"failed\"} 1",
            "firstaid_notifications_total{result=\"unusable\"} 1",
            "firstaid_notifications_total{result=\"dropped\"} 1",
            "firstaid_alert_messages_total{result=\"opened\"} 1",
            "firstaid_alert_messages_total{result=\"told\"} 1",
            "firstaid_alert_messages_total{result=\"known\"} 1",
            "firstaid_alert_messages_total{result=\"refused\"} 1",
            "firstaid_alert_messages_total{result=\"failed\"} 1",
            "firstaid_changes{standing=\"overdue\"} 2",
            "firstaid_guards_proven 0",
        ] {
            assert!(text.lines().any(|seen| seen == line), "{line} is not in:\n{text}");
        }
    }
}
