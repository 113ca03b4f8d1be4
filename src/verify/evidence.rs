//! Evidence as data: runs, ballots and records as they are stored, in the cluster or in a file.
//!
//! They stay JSON: what this version does not know of a record is under its hash all the same.

use serde_json::Value;

/// What is looked at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// RunbookRuns.
    pub runs: Vec<Stored>,
    /// Approvals.
    pub ballots: Vec<Stored>,
    /// ActionRecords.
    pub records: Vec<Stored>,
}

/// An object.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// The whole of it.
    pub object: Value,
}

/// Why a file is no evidence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// A line is torn, or no JSON at all.
    #[error("line {line} is no JSON: {why}")]
    Json {
        /// Which, from 1.
        line: usize,
        /// What the reader says.
        why: String,
    },
    /// There is neither a run nor a record in it.
    #[error("it holds no run and no record")]
    Nothing,
}

impl Stored {
    /// A text in it; empty where there is none.
    pub fn text(&self, pointer: &str) -> &str {
        self.object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        self.text("/metadata/namespace")
    }

    /// Its uid.
    pub fn uid(&self) -> &str {
        self.text("/metadata/uid")
    }

    /// What is under its rules of immutability.
    pub fn spec(&self) -> &Value {
        self.object.get("spec").unwrap_or(&Value::Null)
    }
}

impl Evidence {
    /// Reads a file: a list as kubectl prints it, or objects one a line or one after the other. Objects of other kinds are
    /// passed over, and the same record may stand there often, since an export that grows repeats itself.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn read(text: &str) -> Result<Self, Unreadable> {
        let mut evidence = Self::default();
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
        while let Some(value) = values.next() {
            let value = value.map_err(|error| Unreadable::Json {
                line: text.get(..values.byte_offset()).unwrap_or(text).matches('\n').count() + 1,
                why: error.to_string(),
            })?;
            evidence.add_all(value);
        }
        if evidence.runs.is_empty() && evidence.records.is_empty() { Err(Unreadable::Nothing) } else { Ok(evidence) }
    }

    fn add_all(&mut self, value: Value) {
        match value {
            Value::Object(mut list) if list.get("items").is_some_and(Value::is_array) => {
                if let Some(items) = list.remove("items") {
                    self.add_all(items);
                }
            }
            Value::Array(items) => items.into_iter().for_each(|item| self.add_all(item)),
            object => self.add(object),
        }
    }

    /// Adds an object, if it is of a kind that is evidence. Of a run and of a ballot the latest stays, since they change; of
    /// a record every version stays, since it must not.
    pub fn add(&mut self, object: Value) {
        let ours = object.get("apiVersion").and_then(Value::as_str).is_some_and(|v| v.starts_with("firstaid.dev/"));
        let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
        let stored = Stored { object };
        let same = |other: &Stored| {
            (other.namespace(), other.name(), other.uid()) == (stored.namespace(), stored.name(), stored.uid())
        };
        match kind.as_str() {
            "RunbookRun" if ours => {
                self.runs.retain(|other| !same(other));
                self.runs.push(stored);
            }
            "Approval" if ours => {
                self.ballots.retain(|other| !same(other));
                self.ballots.push(stored);
            }
            "ActionRecord" if ours && !self.records.iter().any(|r| same(r) && r.spec() == stored.spec()) => {
                self.records.push(stored);
            }
            _ => {}
        }
    }
}
