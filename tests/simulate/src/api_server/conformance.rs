//! One table of requests and answers, for this server and for the real one: what the schedules rest on is true of both.

use serde_json::{Value, json};

use super::{Key, Kind, Reply, Request, Who, rows};
use crate::fences::Down;

/// How a request is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Create,
    Put,
    PutStatus,
    Merge,
    MergeStatus,
    Json,
    JsonDryRun,
    Delete,
}

/// A request. Its texts may hold `$version`, `$uid` and `$generation` of the object as it is right before the request, and
/// `$first` for the version that it had when it was made.
pub type Asked = (Verb, Value);

/// A rule.
#[derive(Clone, Debug)]
pub struct Row {
    /// The rule in a sentence.
    pub rule: &'static str,
    pub kind: Kind,
    /// What is done before, successfully.
    pub before: Vec<Asked>,
    pub request: Asked,
    /// The HTTP status.
    pub code: u16,
    /// What the answer says, where it is refused.
    pub says: &'static str,
    /// By how much the generation grows.
    pub generations: i64,
    /// Whether the resource version changes.
    pub is_stored: bool,
    /// What is there afterwards: a JSON pointer and its value. None at all: the object is gone.
    pub then: Option<Vec<(&'static str, Value)>>,
}

/// A server that can be asked.
pub trait Server {
    /// The HTTP status and the body.
    fn ask(&mut self, kind: Kind, name: &str, verb: Verb, body: &Value) -> (u16, Value);
    /// The object, if it is there.
    fn read(&mut self, kind: Kind, name: &str) -> Option<Value>;
}

impl Server for super::ApiServer {
    fn ask(&mut self, kind: Kind, name: &str, verb: Verb, body: &Value) -> (u16, Value) {
        let key = Key::new(kind, name);
        let json = || body.as_array().cloned().unwrap_or_default();
        let request = match verb {
            Verb::Create => Request::Create(kind, body.clone()),
            Verb::Put => Request::Replace { key, object: body.clone(), status: false },
            Verb::PutStatus => Request::Replace { key, object: body.clone(), status: true },
            Verb::Merge => Request::Merge { key, patch: body.clone(), status: false },
            Verb::MergeStatus => Request::Merge { key, patch: body.clone(), status: true },
            Verb::Json => Request::Json { key, patch: json(), dry_run: false },
            Verb::JsonDryRun => Request::Json { key, patch: json(), dry_run: true },
            Verb::Delete => Request::Delete { key, uid: body["preconditions"]["uid"].as_str().map(str::to_owned) },
        };
        let now = "2026-11-22T03:00:00Z".parse().expect("a time");
        match self.handle(Who::Somebody, &request, now) {
            Ok((Reply::Object(object), _)) if verb == Verb::Create => (201, object.value.clone()),
            Ok((Reply::Object(object), _)) => (200, object.value.clone()),
            Ok((Reply::List(_) | Reply::Allowed(_), _)) => (200, Value::Null),
            Err(refusal) => (refusal.code, json!({"message": refusal.message})),
        }
    }

    fn read(&mut self, kind: Kind, name: &str) -> Option<Value> {
        self.get(&Key::new(kind, name)).map(|object| object.value.clone())
    }
}

/// What is wrong with a server by this row; none where it does as the row says. `name`: an object of this row's own.
pub fn differs(server: &mut dyn Server, row: &Row, name: &str) -> Option<String> {
    let wrong = |what: String| Some(format!("{}: {what}", row.rule));
    let (code, made) = server.ask(row.kind, name, Verb::Create, &example(row.kind, name));
    if code != 201 {
        return wrong(format!("it could not be made: {code} {made}"));
    }
    let first = made["metadata"]["resourceVersion"].clone();
    for (verb, body) in &row.before {
        let now = server.read(row.kind, name).unwrap_or_default();
        let (code, answer) = server.ask(row.kind, name, *verb, &filled_in(body, &now, &first));
        if code != 200 {
            return wrong(format!("what comes before is refused: {code} {}", answer["message"]));
        }
    }
    let before = server.read(row.kind, name).unwrap_or_default();
    let (verb, body) = &row.request;
    let (code, answer) = server.ask(row.kind, name, *verb, &filled_in(body, &before, &first));
    let message = answer["message"].as_str().unwrap_or_default();
    if code != row.code || !message.contains(row.says) {
        return wrong(format!("{} {:?} was wanted, and it is {code} {message:?}", row.code, row.says));
    }
    let after = server.read(row.kind, name);
    let Some(wanted) = &row.then else {
        return after.and_then(|there| wrong(format!("it is still there: {there}")));
    };
    let Some(after) = after else { return wrong("it is gone".into()) };
    let grown =
        after["metadata"]["generation"].as_i64().unwrap_or(0) - before["metadata"]["generation"].as_i64().unwrap_or(0);
    if grown != row.generations {
        return wrong(format!("its generation has grown by {grown}"));
    }
    let stored = before["metadata"]["resourceVersion"] != after["metadata"]["resourceVersion"];
    if stored != row.is_stored {
        return wrong(format!("stored: {stored}"));
    }
    let other = wanted.iter().find(|(pointer, value)| after.pointer(pointer).unwrap_or(&Value::Null) != value);
    other.and_then(|(pointer, _)| wrong(format!("{pointer} is {:?}", after.pointer(pointer))))
}

fn filled_in(body: &Value, now: &Value, first: &Value) -> Value {
    match body {
        Value::String(text) => match text.as_str() {
            "$version" => now["metadata"]["resourceVersion"].clone(),
            "$uid" => now["metadata"]["uid"].clone(),
            "$generation" => now["metadata"]["generation"].clone(),
            "$first" => first.clone(),
            "$name" => now["metadata"]["name"].clone(),
            "$spec" => now["spec"].clone(),
            _ => body.clone(),
        },
        Value::Array(items) => items.iter().map(|item| filled_in(item, now, first)).collect(),
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(key, value)| (key.clone(), filled_in(value, now, first))).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => body.clone(),
    }
}

pub(super) const AT: &str = "2026-11-22T03:00:00.000000Z";

/// An object of this kind, as the real server takes it too.
pub fn example(kind: Kind, name: &str) -> Value {
    let ours = |kind: &str, spec: Value| json!({"apiVersion": "firstaid.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
    match kind {
        Kind::Deployment => json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {"replicas": 0, "selector": {"matchLabels": {"app": name}}, "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "c", "image": "registry.k8s.io/pause:3.10"}]}}}}),
        Kind::ConfigMap => {
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"flag": "on"}})
        }
        Kind::ServiceAccount => json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}),
        Kind::Run => ours("RunbookRun", json!({"runbook": "shed-load", "reason": "queue grows"})),
        Kind::Runbook => ours("Runbook", json!({"summary": "nothing", "steps": []})),
        Kind::Approval => {
            let mut ballot = ours(
                "Approval",
                json!({"request": {"run": "r", "runUID": "u", "runbook": "b", "gate": "g", "role": "sre", "plan": "0.1",
                    "planHash": "h", "code": "1234", "shownCode": "1234", "requester": "alice", "summary": "s",
                    "effects": [], "reason": "Required", "issuedAt": AT, "expiresAt": "2036-11-22T03:00:00Z"}}),
            );
            ballot["status"] = json!({"state": "Open", "changedAt": AT});
            ballot
        }
        Kind::Record => {
            let target = json!({"apiVersion": "v1", "kind": "ConfigMap", "namespace": "n", "name": "m", "uid": "u"});
            let mut record = ours(
                "ActionRecord",
                json!({"schemaVersion": 1, "cluster": {"name": "c", "uid": "u"}, "run": "r", "runUID": "u", "runbook": "b",
                    "step": "s", "attempt": 1, "kind": "Change", "requestedBy": {"username": "alice"}, "reason": "why",
                    "approvedBy": "no gate", "planHash": "h", "actor": "a", "action": "scale", "targetName": "t",
                    "target": target, "summary": "s", "result": "Done", "changed": true, "verified": "Yes",
                    "intentAt": AT, "knownAt": AT, "settledAt": AT, "seq": 1, "hash": "h"}),
            );
            record["status"] = json!({"state": "InPlace"});
            record
        }
    }
}

pub(super) fn refused(
    rule: &'static str,
    kind: Kind,
    before: Vec<Asked>,
    request: Asked,
    code: u16,
    says: &'static str,
) -> Row {
    Row { rule, kind, before, request, code, says, generations: 0, is_stored: false, then: Some(Vec::new()) }
}

pub(super) fn taken(
    rule: &'static str,
    kind: Kind,
    before: Vec<Asked>,
    request: Asked,
    generations: i64,
    then: Vec<(&'static str, Value)>,
) -> Row {
    Row { rule, kind, before, request, code: 200, says: "", generations, is_stored: true, then: Some(then) }
}

/// The table.
pub fn table() -> Vec<Row> {
    let mut rows = rows::of_targets();
    rows.extend(rows::of_ours());
    rows
}

/// What this server does otherwise than the table says.
pub fn of_the_fake() -> Vec<String> {
    let mut server = super::ApiServer::new(&Down::default());
    let rows = table();
    rows.iter().enumerate().filter_map(|(number, row)| differs(&mut server, row, &format!("row-{number}"))).collect()
}
