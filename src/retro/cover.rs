//! The cover of a retrospective: when and from what it was generated, what it is about, and what is to be known first.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// When and from what it was generated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Generated {
    /// The time to which ages are counted.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// By which version.
    pub by: String,
    /// Whether it has names: then it is for an audit.
    pub full_names: bool,
    /// From how many records.
    pub records: usize,
    /// Of how many runs.
    pub runs: usize,
    /// With how many ballots.
    pub ballots: usize,
    /// Of the whole document as JSON with nothing here: whether somebody wrote into that since. Other forms end with theirs.
    #[serde(default)]
    pub digest: String,
}

/// What it is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Header {
    /// The key.
    pub key: String,
    /// Whether there is an Incident of that name that could be read.
    pub told: bool,
    /// Whether Incidents could not be read: then nobody can tell from here what people wrote, and whether they did.
    #[serde(default)]
    pub unread: bool,
    /// In one line; empty where nobody wrote it.
    pub summary: String,
    /// In people's own words; empty where nobody wrote it.
    pub severity: String,
    /// The services.
    pub services: Vec<String>,
    /// Where its runs and records are.
    pub namespaces: Vec<String>,
    /// The cluster's name, as its operator was told.
    pub clusters: Vec<String>,
    /// Whether the incident is closed, as its operator took it.
    #[serde(default)]
    pub closed: bool,
    /// Where the retrospective stands: Draft, InReview, Reviewed, Closed; Unknown where the Incident could not be read.
    pub state: String,
    /// Who looks after the document; empty where nobody does.
    pub owner: String,
}

/// What is to be known first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attention {
    /// Of what kind.
    pub kind: AttentionKind,
    /// In a sentence.
    pub text: String,
    /// What to type, where there is something.
    #[serde(default)]
    pub command: String,
}

/// Kinds of [`Attention`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum AttentionKind {
    /// The evidence does not stand.
    Evidence,
    /// An outcome is unknown, what people wrote could not be read, or a person is asked.
    Person,
    /// First aid is in place.
    InPlace,
    /// A decision has no second person.
    Unratified,
    /// A milestone is out of order.
    Order,
}
