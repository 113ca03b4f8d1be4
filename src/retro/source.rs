//! Where a fact stands: every moment and every end of a duration has one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::line::one_line;
use crate::verify::Stored;

/// Where something stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// The kind of the object.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The field.
    pub field: String,
    /// How whoever wrote it knows; empty where it is no person's word.
    #[serde(default)]
    pub says: String,
}

impl Source {
    /// A field of an object.
    pub fn of(object: &Stored, field: &str) -> Self {
        let line = |pointer: &str| one_line(object.text(pointer));
        Self {
            kind: line("/kind"),
            namespace: line("/metadata/namespace"),
            name: line("/metadata/name"),
            field: field.to_owned(),
            says: String::new(),
        }
    }

    /// A field in which a person wrote how it is known.
    pub fn said(object: &Stored, field: &str, says: &str) -> Self {
        Self { says: says.to_owned(), ..Self::of(object, field) }
    }
}
