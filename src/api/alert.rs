//! An alert, as an Incident keeps it: what Alertmanager told of it, in the fields that a retrospective needs.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most alerts that one Incident keeps. Those that come later are counted.
pub const MOST_ALERTS: usize = 64;
/// On an Incident: the group of alerts that feeds it, as a part of the digest of Alertmanager's `groupKey`. Whoever puts the
/// label on an Incident of their own has it fed from then on.
pub const ALERT_GROUP_LABEL: &str = "firstaid.dev/alert-group";

/// One time that an alert fired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FiredAlert {
    /// Its label `alertname`.
    #[schemars(length(max = 128))]
    pub name: String,
    /// Its annotation `summary`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub summary: String,
    /// All its labels, as far as there is room.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "super::schema::alert_labels")]
    pub labels: BTreeMap<String, String>,
    /// When it began to fire. What it is about began then or before: a rule with `for` fires only after that time.
    pub started_at: MicroTime,
    /// When it had ended, as Alertmanager says; not there while it fires, as far as is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<MicroTime>,
    /// When First Aid was told for the first time.
    pub received_at: MicroTime,
    /// The query behind it: an address that begins with https:// or http://.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(schema_with = "super::schema::web_address")]
    pub link: String,
}
