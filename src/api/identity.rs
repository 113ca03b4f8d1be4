//! A person or a robot, as the API server knows them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema;

/// Who did something: what the API server established, never what a client claims.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Person {
    /// User name, as `kubectl auth whoami` prints it.
    #[schemars(length(min = 1, max = 256))]
    pub username: String,
    /// Who this is where the user name does not tell: the value of the chart's `identity.personKey`. Empty: the user name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 256))]
    pub key: String,
    /// User id, where the cluster's authentication gives one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 256))]
    pub uid: String,
    /// Groups at the moment of the request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128), inner(length(max = 256)))]
    pub groups: Vec<String>,
    /// What else the authenticator says, as far as it is short: some authorizers decide by it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::identity_extra")]
    pub extra: BTreeMap<String, Vec<String>>,
    /// Id of the credential (certificate or token) that was used; empty where the request came through impersonation.
    #[serde(default, rename = "credentialID", skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 512))]
    pub credential_id: String,
}

impl Person {
    /// Who this is. Whatever compares people compares this.
    pub fn key(&self) -> &str {
        if self.key.is_empty() { &self.username } else { &self.key }
    }

    /// Whether this is a ServiceAccount, which adds nobody to the count of people.
    pub fn is_robot(&self) -> bool {
        is_robot(&self.username)
    }
}

/// Whether this can be a user name: 1 to 256 characters, none of which does anything to a terminal or is not seen.
pub fn is_user_name(text: &str) -> bool {
    !text.is_empty() && text.chars().count() <= 256 && !text.chars().any(super::line::is_unsafe)
}

/// Whether the user name is a ServiceAccount's.
pub fn is_robot(username: &str) -> bool {
    username.starts_with("system:serviceaccount:")
}
