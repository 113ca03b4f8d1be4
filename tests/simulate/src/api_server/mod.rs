//! A small API server, as strict as the real one in what the promises rest on. `conformance` holds it against that.

pub mod conformance;
pub mod patch;
mod rows;
pub mod rules;

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use firstaid::api::{ActionRecord, Approval, RunbookRun};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::fences::{Down, Fence};

/// The kinds that it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Run,
    Approval,
    Record,
    Runbook,
    Deployment,
    ConfigMap,
    ServiceAccount,
}

impl Kind {
    /// The kind of an object that a runbook may name.
    pub fn of(kind: &str) -> Option<Self> {
        match kind {
            "Deployment" => Some(Self::Deployment),
            "ConfigMap" => Some(Self::ConfigMap),
            _ => None,
        }
    }

    /// Whether `status` is written by requests of its own, and by no others.
    fn has_status(self) -> bool {
        matches!(self, Self::Run | Self::Runbook | Self::Deployment)
    }

    /// Whether its spec counts generations.
    fn has_generation(self) -> bool {
        !matches!(self, Self::ConfigMap | Self::ServiceAccount)
    }
}

/// Where an object is. There is one namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub kind: Kind,
    pub name: String,
}

impl Key {
    pub fn new(kind: Kind, name: &str) -> Self {
        Self { kind, name: name.to_owned() }
    }
}

/// One version of an object, which never changes; and what it is in Rust, once somebody has asked.
#[derive(Debug, Default)]
pub struct Stored {
    pub value: Value,
    run: OnceCell<Option<RunbookRun>>,
    ballot: OnceCell<Option<Approval>>,
    record: OnceCell<Option<ActionRecord>>,
}

impl Stored {
    fn new(value: Value) -> Rc<Self> {
        Rc::new(Self { value, ..Self::default() })
    }

    /// The same as a run.
    pub fn run(&self) -> &RunbookRun {
        self.run.get_or_init(|| serde_json::from_value(self.value.clone()).ok()).as_ref().expect("a run")
    }

    /// The same as a ballot.
    pub fn ballot(&self) -> &Approval {
        self.ballot.get_or_init(|| serde_json::from_value(self.value.clone()).ok()).as_ref().expect("a ballot")
    }

    /// The same as a record.
    pub fn record(&self) -> &ActionRecord {
        self.record.get_or_init(|| serde_json::from_value(self.value.clone()).ok()).as_ref().expect("a record")
    }

    pub fn text(&self, pointer: &str) -> &str {
        self.value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    /// Its resource version.
    pub fn version(&self) -> u64 {
        self.text("/metadata/resourceVersion").parse().unwrap_or_default()
    }
}

/// What is asked of it.
#[derive(Clone, Debug)]
pub enum Request {
    Get(Key),
    /// All objects of a kind that bear this label.
    List(Kind, (&'static str, String)),
    Create(Kind, Value),
    /// A PUT of the whole object; of its status alone where that is said.
    Replace {
        key: Key,
        object: Value,
        status: bool,
    },
    Merge {
        key: Key,
        patch: Value,
        status: bool,
    },
    Json {
        key: Key,
        patch: Vec<Value>,
        dry_run: bool,
    },
    Delete {
        key: Key,
        uid: Option<String>,
    },
    /// Whether this person may still approve.
    Review(String),
    /// Whether the approval policies are in force.
    Guards,
}

impl Request {
    /// What it is about; none where it is about no object by name.
    pub fn key(&self) -> Option<&Key> {
        match self {
            Self::Get(key)
            | Self::Replace { key, .. }
            | Self::Merge { key, .. }
            | Self::Json { key, .. }
            | Self::Delete { key, .. } => Some(key),
            Self::List(..) | Self::Create(..) | Self::Review(_) | Self::Guards => None,
        }
    }

    /// Whether it may change something.
    pub fn writes(&self) -> bool {
        !matches!(
            self,
            Self::Get(_) | Self::List(..) | Self::Review(_) | Self::Guards | Self::Json { dry_run: true, .. }
        )
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub enum Reply {
    Object(Rc<Stored>),
    List(Vec<Rc<Stored>>),
    Allowed(bool),
}

/// A refusal: the HTTP status, and the sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub code: u16,
    pub message: String,
}

fn refusal(code: u16, message: impl Into<String>) -> Refusal {
    Refusal { code, message: message.into() }
}

/// A change that was stored.
#[derive(Clone, Debug)]
pub struct Change {
    pub key: Key,
    pub old: Option<Rc<Stored>>,
    pub new: Option<Rc<Stored>>,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The operator of this number, in its own name or as the ServiceAccount of the runbook.
    Operator(usize),
    /// A person, whom the approval policies bind.
    Person,
    /// A controller, or somebody who may do as they like with targets.
    Somebody,
}

/// The server: every object as it is, and one counter of versions.
#[derive(Debug, Default)]
pub struct ApiServer {
    objects: BTreeMap<Key, Rc<Stored>>,
    version: u64,
    uids: u64,
    down: Down,
    /// Who may no longer approve.
    pub outcasts: Vec<String>,
    /// What the ServiceAccount may not touch for now.
    pub forbidden: Option<Key>,
}

impl ApiServer {
    pub fn new(down: &Down) -> Self {
        Self { down: down.clone(), ..Self::default() }
    }

    pub fn get(&self, key: &Key) -> Option<&Rc<Stored>> {
        self.objects.get(key)
    }

    /// Every object of a kind.
    pub fn all(&self, kind: Kind) -> impl Iterator<Item = &Rc<Stored>> {
        self.objects.iter().filter(move |(key, _)| key.kind == kind).map(|(_, object)| object)
    }

    /// Handles a request.
    ///
    /// # Errors
    /// The refusal.
    pub fn handle(&mut self, who: Who, request: &Request, now: Timestamp) -> Result<(Reply, Option<Change>), Refusal> {
        if let (Who::Operator(_), Some(key)) = (who, request.key())
            && self.forbidden.as_ref() == Some(key)
        {
            return Err(refusal(403, format!("the ServiceAccount may not touch {}", key.name)));
        }
        match request {
            Request::Get(key) => Ok((Reply::Object(self.existing(key)?), None)),
            Request::List(kind, (label, value)) => {
                let bears = |object: &&Rc<Stored>| {
                    object
                        .value
                        .pointer("/metadata/labels")
                        .and_then(|labels| labels.get(*label))
                        .and_then(Value::as_str)
                        == Some(value)
                };
                Ok((Reply::List(self.all(*kind).filter(bears).cloned().collect()), None))
            }
            Request::Review(person) => Ok((Reply::Allowed(!self.outcasts.contains(person)), None)),
            Request::Guards => Ok((Reply::Allowed(true), None)),
            Request::Create(kind, object) => self.create(*kind, object, now),
            Request::Replace { key, object, status } => {
                let old = self.existing(key)?;
                let wanted = object.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default();
                if wanted.is_empty() && key.kind != Kind::ConfigMap && key.kind != Kind::Deployment {
                    return Err(refusal(
                        422,
                        "metadata.resourceVersion: Invalid value: 0: must be specified for an update",
                    ));
                }
                self.check_version(&old, wanted)?;
                if is_of_another_uid(&old, object) {
                    return Err(refusal(409, "Precondition failed: UID in precondition does not match"));
                }
                let mut new = old.value.clone();
                if *status {
                    set(&mut new, "status", object.get("status").cloned());
                } else {
                    new = object.clone();
                    if key.kind.has_status() {
                        set(&mut new, "status", old.value.get("status").cloned());
                    }
                }
                self.store(who, key, &old, new, now)
            }
            Request::Merge { key, patch: wanted, status } => {
                let old = self.existing(key)?;
                let version = wanted.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or_default();
                self.check_version(&old, version)?;
                // In a patch of the status a wrong uid is ignored; found on a real one.
                if (!*status || !key.kind.has_status()) && is_of_another_uid(&old, wanted) {
                    return Err(refusal(422, "metadata.uid: Invalid value: field is immutable"));
                }
                let mut new = old.value.clone();
                patch::merge(&mut new, wanted);
                self.keep_apart(key.kind, &old.value, &mut new, *status);
                self.store(who, key, &old, new, now)
            }
            Request::Json { key, patch: operations, dry_run } => {
                let old = self.existing(key)?;
                let mut new = old.value.clone();
                patch::json(&mut new, operations, &self.down).map_err(|message| refusal(422, message))?;
                self.keep_apart(key.kind, &old.value, &mut new, false);
                if *dry_run {
                    return Ok((Reply::Object(Stored::new(new)), None));
                }
                self.store(who, key, &old, new, now)
            }
            Request::Delete { key, uid } => {
                let old = self.existing(key)?;
                if uid.as_deref().is_some_and(|uid| uid != old.text("/metadata/uid")) {
                    return Err(refusal(409, "the UID in the precondition does not match the UID in record"));
                }
                self.delete(key, old)
            }
        }
    }

    /// An object that bears finalizers stays until they are gone.
    fn delete(&mut self, key: &Key, old: Rc<Stored>) -> Result<(Reply, Option<Change>), Refusal> {
        let held = old.value.pointer("/metadata/finalizers").and_then(Value::as_array).is_some_and(|f| !f.is_empty());
        if held {
            let mut new = old.value.clone();
            new["metadata"]["deletionTimestamp"] = json!("2026-11-22T03:00:00Z");
            let new = self.next_version(new);
            self.objects.insert(key.clone(), Rc::clone(&new));
            let change = Change { key: key.clone(), old: Some(old), new: Some(Rc::clone(&new)) };
            return Ok((Reply::Object(new), Some(change)));
        }
        self.objects.remove(key);
        let change = Change { key: key.clone(), old: Some(Rc::clone(&old)), new: None };
        Ok((Reply::Object(old), Some(change)))
    }

    fn existing(&self, key: &Key) -> Result<Rc<Stored>, Refusal> {
        self.objects.get(key).cloned().ok_or_else(|| refusal(404, format!("{:?} {:?} not found", key.kind, key.name)))
    }

    fn check_version(&self, old: &Stored, wanted: &str) -> Result<(), Refusal> {
        let stale = !wanted.is_empty() && wanted != old.text("/metadata/resourceVersion");
        if stale && !self.down.has(Fence::JournalVersion) {
            return Err(refusal(409, "the object has been modified; please apply your changes to the latest version"));
        }
        Ok(())
    }

    /// Of one with a status subresource the main resource changes everything else, and the status nothing else.
    fn keep_apart(&self, kind: Kind, old: &Value, new: &mut Value, status: bool) {
        if !kind.has_status() {
            return;
        }
        if status {
            let written = new.get("status").cloned();
            *new = old.clone();
            set(new, "status", written);
        } else {
            set(new, "status", old.get("status").cloned());
        }
    }

    fn create(&mut self, kind: Kind, object: &Value, now: Timestamp) -> Result<(Reply, Option<Change>), Refusal> {
        let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let key = Key::new(kind, name);
        if self.objects.contains_key(&key) {
            return Err(refusal(409, format!("{name:?} already exists")));
        }
        let mut new = object.clone();
        self.uids += 1;
        new["metadata"]["uid"] = json!(format!("{:05}-uid", self.uids));
        new["metadata"]["namespace"] = json!("shop");
        new["metadata"]["creationTimestamp"] = json!(now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
        if kind.has_generation() {
            new["metadata"]["generation"] = json!(1);
        }
        if kind.has_status() {
            set(&mut new, "status", None);
        }
        let new = self.next_version(new);
        self.objects.insert(key.clone(), Rc::clone(&new));
        Ok((Reply::Object(Rc::clone(&new)), Some(Change { key, old: None, new: Some(new) })))
    }

    fn next_version(&mut self, mut new: Value) -> Rc<Stored> {
        self.version += 1;
        new["metadata"]["resourceVersion"] = json!(self.version.to_string());
        Stored::new(new)
    }

    /// What an update may not touch stays, rules are judged, and a write that changes nothing is none.
    fn store(
        &mut self,
        who: Who,
        key: &Key,
        old: &Rc<Stored>,
        mut new: Value,
        now: Timestamp,
    ) -> Result<(Reply, Option<Change>), Refusal> {
        if !new.get("metadata").is_some_and(Value::is_object) {
            return Err(refusal(422, "metadata is gone"));
        }
        for field in
            ["uid", "resourceVersion", "creationTimestamp", "generation", "namespace", "name", "deletionTimestamp"]
        {
            set(&mut new["metadata"], field, old.value["metadata"].get(field).cloned());
        }
        if new == old.value {
            return Ok((Reply::Object(Rc::clone(old)), None));
        }
        let rules_are_down = key.kind == Kind::Run && self.down.has(Fence::JournalRules);
        if let Some(sentence) = rules::broken(key.kind, &old.value, &new).filter(|_| !rules_are_down) {
            return Err(refusal(422, sentence));
        }
        if who == Who::Person
            && let Some(sentence) = rules::against_policy(key.kind, &old.value, &new, &now.to_string())
        {
            return Err(refusal(422, sentence));
        }
        if key.kind.has_generation() && is_another_spec(key.kind, &old.value, &new) {
            new["metadata"]["generation"] = json!(old.value["metadata"]["generation"].as_i64().unwrap_or_default() + 1);
        }
        let over = old.value.pointer("/metadata/deletionTimestamp").is_some()
            && new.pointer("/metadata/finalizers").and_then(Value::as_array).is_none_or(Vec::is_empty);
        if over {
            self.objects.remove(key);
            let change = Change { key: key.clone(), old: Some(Rc::clone(old)), new: None };
            return Ok((Reply::Object(Stored::new(new)), Some(change)));
        }
        let new = self.next_version(new);
        self.objects.insert(key.clone(), Rc::clone(&new));
        let change = Change { key: key.clone(), old: Some(Rc::clone(old)), new: Some(Rc::clone(&new)) };
        Ok((Reply::Object(new), Some(change)))
    }
}

/// Whether a change counts as one of the spec: of a custom kind everything but its metadata, and its status where that is
/// written by requests of its own.
fn is_another_spec(kind: Kind, old: &Value, new: &Value) -> bool {
    if kind == Kind::Deployment {
        // Alone of the kinds with a generation, this one counts its annotations, too.
        let notes = "/metadata/annotations";
        return old.get("spec") != new.get("spec") || old.pointer(notes) != new.pointer(notes);
    }
    let counted = |value: &Value| {
        let mut value = value.clone();
        set(&mut value, "metadata", None);
        if kind.has_status() {
            set(&mut value, "status", None);
        }
        value
    };
    counted(old) != counted(new)
}

/// Whether a uid is wanted that is not the object's.
fn is_of_another_uid(old: &Stored, wanted: &Value) -> bool {
    let uid = wanted.pointer("/metadata/uid").and_then(Value::as_str);
    uid.is_some_and(|uid| uid != old.text("/metadata/uid"))
}

/// Sets a field, or takes it away.
fn set(object: &mut Value, field: &str, value: Option<Value>) {
    let Some(fields) = object.as_object_mut() else { return };
    match value {
        Some(value) => drop(fields.insert(field.to_owned(), value)),
        None => drop(fields.remove(field)),
    }
}
