//! Evidence as data: runs, ballots and records as they are stored, in the cluster or in a file.
//!
//! They stay JSON: what this version does not know of a record is under its hash all the same.

use std::collections::BTreeMap;

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

/// Namespace, name and uid.
type Identity = (String, String, String);

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

    fn identity(&self) -> Identity {
        (self.namespace().to_owned(), self.name().to_owned(), self.uid().to_owned())
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
        evidence.extend(objects(text)?);
        if evidence.runs.is_empty() && evidence.records.is_empty() { Err(Unreadable::Nothing) } else { Ok(evidence) }
    }

    /// Adds an object: see [`Self::extend`], which takes many at once in less time.
    pub fn add(&mut self, object: Value) {
        self.extend([object]);
    }

    /// Adds objects, if they are of a kind that is evidence. Of a run and of a ballot the latest stays, since they change; of
    /// a record every version stays, since it must not.
    pub fn extend(&mut self, objects: impl IntoIterator<Item = Value>) {
        // Looked up by what they are: among thousands of records each would be compared with each.
        let places = |kept: &[Stored]| {
            let mut places: BTreeMap<Identity, Vec<usize>> = BTreeMap::new();
            kept.iter()
                .enumerate()
                .for_each(|(place, stored)| places.entry(stored.identity()).or_default().push(place));
            places
        };
        let mut known = [places(&self.runs), places(&self.ballots), places(&self.records)];
        for object in objects {
            let ours = object.get("apiVersion").and_then(Value::as_str).is_some_and(|v| v.starts_with("firstaid.dev/"));
            let [runs, ballots, records] = &mut known;
            let (kept, known, changes) = match object.get("kind").and_then(Value::as_str) {
                Some("RunbookRun") if ours => (&mut self.runs, runs, true),
                Some("Approval") if ours => (&mut self.ballots, ballots, true),
                Some("ActionRecord") if ours => (&mut self.records, records, false),
                _ => continue,
            };
            let stored = Stored { object };
            let places = known.entry(stored.identity()).or_default();
            let first = places.first().copied();
            let again = places.iter().any(|place| kept.get(*place).is_some_and(|other| other.spec() == stored.spec()));
            match first.and_then(|place| kept.get_mut(place)).filter(|_| changes) {
                Some(earlier) => *earlier = stored,
                None if again => {}
                None => {
                    places.push(kept.len());
                    kept.push(stored);
                }
            }
        }
    }
}

/// The objects of a file, of whatever kind: a list as kubectl prints it, or objects one a line or one after the other.
///
/// # Errors
/// [`Unreadable::Json`].
pub fn objects(text: &str) -> Result<Vec<Value>, Unreadable> {
    let mut objects = Vec::new();
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    while let Some(value) = values.next() {
        let value = value.map_err(|error| Unreadable::Json {
            line: text.get(..values.byte_offset()).unwrap_or(text).matches('\n').count() + 1,
            why: error.to_string(),
        })?;
        flatten(value, &mut objects);
    }
    Ok(objects)
}

fn flatten(value: Value, objects: &mut Vec<Value>) {
    match value {
        Value::Object(mut list) if list.get("items").is_some_and(Value::is_array) => {
            if let Some(items) = list.remove("items") {
                flatten(items, objects);
            }
        }
        Value::Array(items) => items.into_iter().for_each(|item| flatten(item, objects)),
        object => objects.push(object),
    }
}
