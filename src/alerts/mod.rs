//! Alerts, as the webhook of Alertmanager tells of them, and which Incident they open or feed.
//!
//! The message: <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>. Grafana sends nearly the same.
//! Nothing in it says where it belongs: whoever sends it is allowed to tell one namespace, and its labels select nothing.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::api::Incident;
use crate::api::alert::{ALERT_GROUP_LABEL, FiredAlert, MOST_ALERTS};
use crate::api::incident::IncidentPhase;
use crate::api::line::cut;
use crate::digest::sha256;

/// The most bytes of one message.
pub const MOST_BYTES: usize = 512 << 10;
/// The most Incidents that alerts may have open in one namespace: a storm of groups opens no more.
pub const MOST_OPEN: usize = 32;
/// On an Incident that an alert has opened: who told of it.
const TOLD_BY_ANNOTATION: &str = "firstaid.dev/told-by";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    #[serde(default)]
    group_key: String,
    #[serde(default)]
    truncated_alerts: u32,
    alerts: Vec<Sent>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sent {
    status: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    starts_at: Timestamp,
    #[serde(default)]
    ends_at: Option<Timestamp>,
    #[serde(default, rename = "generatorURL")]
    generator_url: String,
    #[serde(default)]
    fingerprint: String,
}

/// What one message tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The group of alerts, as [`ALERT_GROUP_LABEL`] has it.
    group: String,
    /// Its alerts, as an Incident keeps them.
    alerts: BTreeMap<String, FiredAlert>,
    /// How many more there are.
    left_out: i32,
}

/// What is to be done about a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Course {
    /// It tells of what has ended, and of which there is no Incident: an alert that is over starts nothing.
    Nothing,
    /// This Incident knows all of it.
    Known(String),
    /// This Incident's status is to be changed by this merge patch.
    Feed {
        /// Its name.
        incident: String,
        /// The change.
        change: Value,
    },
    /// There is none yet: this one is to be made, and then fed.
    Open(Value),
    /// There is none, and there are as many open ones as there may be.
    TooMany,
}

/// Reads a message that was received at this time.
///
/// # Errors
/// A sentence for whoever sends such things.
pub fn read(body: &[u8], received: Timestamp) -> Result<Told, String> {
    let message: Message = serde_json::from_slice(body).map_err(|error| {
        format!("this is no message of Alertmanager's webhook: {error}; it is JSON with a groupKey and alerts, each with status, labels and startsAt")
    })?;
    if message.alerts.is_empty() {
        return Err("the message has no alerts".to_owned());
    }
    let group = if message.group_key.is_empty() {
        // Of somebody who does not group: every alert by itself.
        message.alerts.first().map(|alert| format!("{:?}", alert.labels)).unwrap_or_default()
    } else {
        message.group_key
    };
    let told = message.alerts.len();
    let alerts: BTreeMap<String, FiredAlert> =
        message.alerts.into_iter().take(MOST_ALERTS).map(|alert| fired(alert, received)).collect();
    let left_out =
        message.truncated_alerts.saturating_add(u32::try_from(told.saturating_sub(MOST_ALERTS)).unwrap_or(u32::MAX));
    Ok(Told { group: short(&group, 16), alerts, left_out: i32::try_from(left_out).unwrap_or(i32::MAX) })
}

/// An alert with its key: the same alert that fires again later has another one.
fn fired(alert: Sent, received: Timestamp) -> (String, FiredAlert) {
    let named = |character: char| character.is_ascii_hexdigit() && !character.is_ascii_uppercase();
    let fingerprint = match alert.fingerprint.as_str() {
        given if (1..=32).contains(&given.len()) && given.chars().all(named) => given.to_owned(),
        _ => short(&format!("{:?}", alert.labels), 16),
    };
    let text =
        |map: &BTreeMap<String, String>, key: &str, most| map.get(key).map_or(String::new(), |text| cut(text, most));
    let web = |address: &str| {
        let rest = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"));
        let whole = address.len() <= 1024 && !address.contains(|c: char| c.is_whitespace() || c.is_control());
        rest.is_some_and(|rest| !rest.is_empty()) && whole
    };
    let ended = alert.ends_at.filter(|_| alert.status == "resolved");
    let key = format!("{fingerprint}-{}", alert.starts_at.as_second());
    let labels = alert.labels.iter().filter(|(name, _)| name.len() <= 128).take(24);
    let fired = FiredAlert {
        name: text(&alert.labels, "alertname", 128),
        summary: text(&alert.annotations, "summary", 512),
        labels: labels.map(|(name, value)| (name.clone(), cut(value, 128))).collect(),
        started_at: MicroTime(micro(alert.starts_at)),
        ended_at: ended.map(|at| MicroTime(micro(at))),
        received_at: MicroTime(received),
        link: if web(&alert.generator_url) { alert.generator_url } else { String::new() },
    };
    (key, fired)
}

impl Told {
    /// What is to be done, where these are the open Incidents of the namespace that alerts feed. `taken`: whether there is one
    /// of another group by the name that is thought of first. `sender`: who told it.
    pub fn course(&self, open: &[Incident], sender: &str, taken: bool) -> Course {
        let mut of_group: Vec<&Incident> =
            open.iter().filter(|incident| self.feeds(incident) && is_open(incident)).collect();
        of_group.sort_by_key(|incident| incident.metadata.creation_timestamp.as_ref().map(|time| time.0));
        let knows = |incident: &&&Incident| {
            incident.status.as_ref().is_some_and(|status| self.alerts.keys().any(|key| status.alerts.contains_key(key)))
        };
        let home = of_group.iter().rev().find(knows).or_else(|| of_group.last());
        match home {
            Some(incident) => self.feed(incident),
            None if self.alerts.values().all(|alert| alert.ended_at.is_some()) => Course::Nothing,
            None if open.iter().filter(|incident| is_open(incident)).count() >= MOST_OPEN => Course::TooMany,
            None => Course::Open(self.incident(sender, taken)),
        }
    }

    /// Whether an Incident is one of this group.
    pub fn feeds(&self, incident: &Incident) -> bool {
        let labels = incident.metadata.labels.as_ref();
        labels.and_then(|labels| labels.get(ALERT_GROUP_LABEL)).is_some_and(|group| *group == self.group)
    }

    /// What of this an Incident does not know yet.
    pub fn feed(&self, incident: &Incident) -> Course {
        let name = incident.metadata.name.clone().unwrap_or_default();
        let status = incident.status.as_ref();
        let known = status.map(|status| &status.alerts);
        let room = MOST_ALERTS.saturating_sub(known.map_or(0, BTreeMap::len));
        let news = |(key, alert): (&String, &FiredAlert)| match known.and_then(|known| known.get(key)) {
            None => Some((key.clone(), alert.clone())),
            // When it was first heard of stays, and messages can overtake each other: an end is not taken back.
            Some(before) if before.ended_at.is_none() && alert.ended_at.is_some() => {
                Some((key.clone(), FiredAlert { ended_at: alert.ended_at.clone(), ..before.clone() }))
            }
            Some(_) => None,
        };
        let (old, new): (Vec<_>, Vec<_>) = self
            .alerts
            .iter()
            .filter_map(news)
            .partition(|(key, _)| known.is_some_and(|known| known.contains_key(key)));
        let over = i32::try_from(new.len().saturating_sub(room)).unwrap_or(i32::MAX).saturating_add(self.left_out);
        let left_out = status.and_then(|status| status.alerts_left_out).unwrap_or_default().max(over);
        let alerts: BTreeMap<String, FiredAlert> = old.into_iter().chain(new.into_iter().take(room)).collect();
        let mut change = Map::new();
        if !alerts.is_empty() {
            change.insert("alerts".to_owned(), json!(alerts));
        }
        if status.and_then(|status| status.alerts_left_out).unwrap_or_default() != left_out {
            change.insert("alertsLeftOut".to_owned(), json!(left_out));
        }
        if change.is_empty() {
            return Course::Known(name);
        }
        if status.is_none() {
            change.insert("phase".to_owned(), json!(IncidentPhase::Open));
        }
        Course::Feed { incident: name, change: json!({"status": change}) }
    }

    /// The Incident that it opens. Its name is made of the first alert that fires and of when it began, so that a message
    /// that comes twice opens one.
    fn incident(&self, sender: &str, taken: bool) -> Value {
        let firing = self.alerts.values().filter(|alert| alert.ended_at.is_none());
        let first = firing.min_by_key(|alert| (alert.started_at.0, &alert.name));
        let (name, summary, label) = match first {
            Some(alert) => {
                let label = |name: &str| alert.labels.get(name).cloned().unwrap_or_default();
                let at = alert.started_at.0.strftime("%y%m%d-%H%M");
                (
                    format!("{}-{at}", slug(&alert.name)),
                    if alert.summary.is_empty() { alert.name.clone() } else { cut(&alert.summary, 200) },
                    label,
                )
            }
            None => return Value::Null,
        };
        let name = if taken { format!("{name}-{}", short(&self.group, 4)) } else { name };
        let services: Vec<String> =
            ["service", "app"].map(&label).into_iter().find(|name| !name.is_empty()).into_iter().collect();
        json!({
            "apiVersion": "firstaid.dev/v1alpha1",
            "kind": "Incident",
            "metadata": {
                "name": name,
                "labels": {ALERT_GROUP_LABEL: self.group},
                "annotations": {TOLD_BY_ANNOTATION: sender},
            },
            "spec": {"summary": summary, "severity": cut(&label("severity"), 16), "services": services},
        })
    }
}

/// Whether alerts of its group are part of it. One that was over, and a new alert: that is the next incident.
fn is_open(incident: &Incident) -> bool {
    let over = incident.spec.closed.is_some() || incident.spec.milestones.resolved.is_some();
    !over && incident.status.as_ref().is_none_or(|status| status.phase != IncidentPhase::Closed)
}

/// Lower-case letters and digits, with dashes between them.
fn slug(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let text: String = words.collect::<Vec<_>>().join("-").to_ascii_lowercase().chars().take(40).collect();
    match text.trim_matches('-') {
        "" => "alert".to_owned(),
        text => text.to_owned(),
    }
}

/// The first hexadecimal digits of a text's digest.
fn short(text: &str, digits: usize) -> String {
    sha256(text.as_bytes()).trim_start_matches("sha256:").chars().take(digits).collect()
}

/// Finer than a microsecond nothing is stored.
fn micro(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}

#[cfg(test)]
mod tests;
