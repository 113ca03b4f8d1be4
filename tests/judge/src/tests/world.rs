//! A run as the API server would have logged it: one Deployment `checkout`, one gate, one step `scale-out`.

use serde_json::{Value, json};

use crate::Case;
use crate::canonical::digest;

pub const OPERATOR: &str = "system:serviceaccount:firstaid-system:firstaid";
pub const ACCOUNT: &str = "system:serviceaccount:shop:firstaid";
/// Uid of the Deployment.
pub const CHECKOUT: &str = "uid-of-checkout";
/// Uid of the run.
pub const RUN: &str = "uid-of-room-1";

/// The entries of [`sound`].
pub const PLANNED: usize = 1;
pub const ISSUED: usize = 2;
pub const VOTED: usize = 3;
pub const ACTED: usize = 4;
pub const SETTLED: usize = 5;
pub const FINISHED: usize = 7;

/// What has happened so far.
pub struct World {
    /// Name of the run.
    name: &'static str,
    pub case: Case,
    pub run: Value,
    /// Milliseconds since it began.
    pub clock: u64,
    version: u64,
    record: Value,
}

/// So many milliseconds after the beginning, as the audit log writes it.
pub fn time(clock: u64) -> String {
    let (seconds, milliseconds) = (clock / 1000, clock % 1000);
    format!("2026-11-22T03:{:02}:{:02}.{milliseconds:03}000Z", seconds / 60, seconds % 60)
}

pub fn token(step: &str, attempt: u64) -> String {
    token_of("room-1", step, attempt)
}

fn token_of(run: &str, step: &str, attempt: u64) -> String {
    format!("{run}/uid-of-{run}/{step}/{attempt}")
}

/// One gated run that scaled, from its start to its end.
pub fn sound() -> Case {
    let mut world = World::gated(1);
    world.vote("bob", 1);
    world.act("scale-out", 1);
    world.settle("scale-out", 1, "Done", true);
    world.record();
    world.finish("Succeeded");
    world.done()
}

impl World {
    /// A run whose plan 0.1 waits for so many votes.
    pub fn gated(votes: u64) -> Self {
        let mut world = Self::made();
        world.plan("0.1", 1, votes);
        for number in 1..=votes {
            world.ask(number);
        }
        world
    }

    /// The run `room-1` that alice has asked for.
    pub fn made() -> Self {
        Self::made_at("room-1", 0, 100)
    }

    /// A run that alice has asked for so many milliseconds after the beginning, at this count of writes.
    pub fn made_at(name: &'static str, clock: u64, version: u64) -> Self {
        let run = json!({
            "apiVersion": "firstaid.dev/v1alpha1", "kind": "RunbookRun",
            "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-of-{name}")},
            "spec": {"runbook": "room", "reason": "queue grows", "requestedBy": {"username": "alice", "key": ""}},
        });
        let mut world = Self { name, case: Case::default(), run, clock, version, record: Value::Null };
        world.write_run("alice", "create", "");
        world
    }

    /// An answered request.
    pub fn log(&mut self, user: &str, verb: &str, of: &str, request: Value, object: &mut Value) {
        if verb != "get" && verb != "delete" {
            self.version += 1;
            object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        }
        let (resource, subresource) = of.split_once('/').unwrap_or((of, ""));
        let group = match resource {
            "deployments" => "apps",
            "configmaps" | "namespaces" => "",
            _ => "firstaid.dev",
        };
        let (signed_in, other) =
            if user == ACCOUNT { (OPERATOR, json!({"username": user})) } else { (user, json!(null)) };
        let mut entry = json!({
            "kind": "Event", "level": "RequestResponse", "auditID": format!("{verb}-{}", self.case.entries.len()), "stage": "ResponseComplete", "verb": verb,
            "requestURI": format!("/apis/{group}/v1/namespaces/shop/{resource}?fieldManager=x"),
            "user": {"username": signed_in}, "impersonatedUser": other,
            "objectRef": {"apiGroup": group, "resource": resource, "subresource": subresource, "namespace": "shop",
                "name": object["metadata"]["name"]},
            "responseStatus": {"code": if verb == "create" { 201 } else { 200 }},
            "requestObject": request, "responseObject": object,
            "requestReceivedTimestamp": time(self.clock), "stageTimestamp": time(self.clock + 5),
        });
        if other.is_null() {
            entry.as_object_mut().unwrap().remove("impersonatedUser");
        }
        self.case.entries.push(entry);
        self.clock += 100;
    }

    /// The run as it is now is what somebody wrote.
    pub fn write_run(&mut self, user: &str, verb: &str, subresource: &str) {
        let mut run = self.run.clone();
        self.log(user, verb, &format!("runbookruns/{subresource}"), json!({}), &mut run);
        self.run = run;
    }

    /// A person's word on the run.
    pub fn say(&mut self, user: &str, key: &str, word: &str) {
        self.run["metadata"]["annotations"][key] = json!(word);
        self.run["metadata"]["annotations"][format!("{key}-by")] = json!(user);
        self.write_run(user, "patch", "");
    }

    /// A plan of the step, behind a gate with so many votes, and none where there are none.
    pub fn plan(&mut self, key: &str, attempt: u64, votes: u64) {
        let first = 1 + self.run["status"]["plans"].as_object().map_or(0, |plans| plans.len()) as u64;
        let gate = json!({"name": "on-call", "requires": [{"role": "sre", "count": votes}], "selfApproval": "Never"});
        let ballots: Vec<Value> =
            (first..first + votes).map(|n| json!({"name": format!("{}-{n}", self.name), "role": "sre"})).collect();
        let gated = votes > 0;
        self.run["status"]["frozen"] = json!({
            "serviceAccount": "firstaid", "gates": if gated { json!([gate]) } else { json!([]) },
            "steps": [{"name": "scale-out", "gate": if gated { "on-call" } else { "None" }}],
        });
        let mut plan = json!({
            "ballots": ballots, "planHash": format!("sha256:9c41-{key}"), "code": "9c41",
            "expiresAt": time(60_000), "steps": [self.step("scale-out", attempt)],
        });
        if gated {
            plan["gate"] = json!("on-call");
            plan["terms"] = gate;
        }
        self.run["status"]["plans"][key] = plan;
        self.run["status"]["phase"] = json!("Waiting");
        self.write_run(OPERATOR, "update", "status");
    }

    fn step(&self, step: &str, attempt: u64) -> Value {
        json!({"step": step, "attempt": attempt, "token": token_of(self.name, step, attempt), "target": {"uid": CHECKOUT}})
    }

    /// The intent of the undo.
    pub fn intend_undo(&mut self) {
        let intent = json!({"plan": "0.1", "step": self.step("scale-out.undo", 1)});
        self.run["status"]["steps"]["scale-out.undo.1"]["intent"] = intent;
        self.write_run(OPERATOR, "update", "status");
    }

    /// The ballot with this number, of the newest plan.
    pub fn ask(&mut self, number: u64) {
        let (key, plan) = self.run["status"]["plans"].as_object().and_then(|plans| plans.iter().next_back()).unwrap();
        let mut ballot = json!({
            "kind": "Approval", "metadata": {"name": format!("{}-{number}", self.name), "uid": format!("uid-of-ballot-{number}")},
            "spec": {"request": {"run": self.name, "runUID": self.run["metadata"]["uid"], "plan": key, "planHash": plan["planHash"], "kind": "Decide",
                "code": "9c41", "role": "sre", "requester": "alice", "expiresAt": plan["expiresAt"]}},
            "status": {"state": "Open"},
        });
        self.log(OPERATOR, "create", "approvals", json!({}), &mut ballot);
        self.case.ballots.push(ballot);
    }

    /// Somebody's yes.
    pub fn vote(&mut self, person: &str, number: usize) {
        let mut ballot = self.case.ballots.remove(number - 1);
        ballot["metadata"]["annotations"] = json!({"approve": "9c41 capacity is free", "by": person});
        ballot["spec"]["voter"] = json!({"username": person});
        self.log(person, "patch", "approvals", json!({}), &mut ballot);
        self.case.ballots.insert(number - 1, ballot);
    }

    /// The act.
    pub fn act(&mut self, step: &str, attempt: u64) {
        let place = "/metadata/annotations/firstaid.dev~1last-action";
        let patch = json!([
            {"op": "test", "path": "/metadata/uid", "value": CHECKOUT},
            {"op": "test", "path": place, "value": "an older one"},
            {"op": "add", "path": place, "value": token_of(self.name, step, attempt)},
            {"op": "replace", "path": "/spec/replicas", "value": 7},
        ]);
        let mut object = json!({"metadata": {"name": "checkout", "uid": CHECKOUT,
            "annotations": {"firstaid.dev/last-action": token_of(self.name, step, attempt)}}});
        self.log(ACCOUNT, "patch", "deployments", patch, &mut object);
    }

    /// The act, and an answer that does not say what came of it.
    pub fn act_without_answer(&mut self, step: &str, attempt: u64, code: i64) {
        self.act(step, attempt);
        let entry = self.case.entries.last_mut().unwrap();
        entry["responseStatus"]["code"] = json!(code);
        entry["responseObject"] = json!({"kind": "Status", "code": code});
    }

    /// Somebody reads the Deployment, and this token is on it.
    pub fn look(&mut self, token: &str) {
        let annotations = json!({"firstaid.dev/last-action": token});
        self.version += 1;
        let version = self.version.to_string();
        let mut object = json!({"metadata": {"name": "checkout", "uid": CHECKOUT, "resourceVersion": version,
            "annotations": annotations}});
        self.log(ACCOUNT, "get", "deployments", Value::Null, &mut object);
    }

    /// What became of it, with everything that its record will say.
    pub fn settle(&mut self, step: &str, attempt: u64, result: &str, changed: bool) {
        let key = format!("{step}.{attempt}");
        let entries = self.run["status"]["steps"].as_object().cloned().unwrap_or_default();
        let plan = match &entries.get(&key) {
            Some(entry) => entry["intent"]["plan"].clone(),
            None => json!(format!("0.{attempt}")),
        };
        let seq = 1 + entries.values().filter(|entry| entry.get("settled").is_some()).count();
        let head = self.run["status"]["recordHead"].as_str().unwrap_or_default().to_owned();
        let mut spec = json!({
            "run": self.name, "runUID": self.run["metadata"]["uid"], "step": step, "attempt": attempt, "target": {"uid": CHECKOUT},
            "result": result, "changed": changed, "before": {"share": 0.25}, "seq": seq,
        });
        if seq > 1 {
            spec["prevHash"] = json!(head);
        }
        let hash = digest(&spec);
        spec["hash"] = json!(hash);
        let name = format!("{}-uid-o-{step}-{attempt}", self.name);
        self.record =
            json!({"kind": "ActionRecord", "metadata": {"name": name, "uid": format!("uid-of-{name}")}, "spec": spec});
        let entry = &mut self.run["status"]["steps"][&key];
        entry["outcome"] = json!({"result": result, "changed": changed, "plan": plan, "approvals": [{"by": "bob"}]});
        entry["settled"] = json!({"record": name, "seq": seq, "hash": hash});
        self.run["status"]["recordHead"] = json!(hash);
        self.write_run(OPERATOR, "update", "status");
    }

    /// The record of what was settled last.
    pub fn record(&mut self) {
        let mut record = self.record.clone();
        self.log(OPERATOR, "create", "actionrecords", json!({}), &mut record);
        self.case.records.push(record);
    }

    /// The run ends.
    pub fn finish(&mut self, phase: &str) {
        self.run["status"]["phase"] = json!(phase);
        self.run["status"]["finished"] = json!(true);
        self.write_run(OPERATOR, "update", "status");
    }

    /// What is to be judged.
    pub fn done(mut self) -> Case {
        self.case.runs = vec![self.run];
        self.case
    }
}
