//! The cluster's side of the bargain: what the API server refuses, and the promises that are checked at every turn.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde_json::{Value, json};

use super::cluster::{Cluster, Fate};
use crate::action::{Answer, Effect, Query};
use crate::api::action_record::{Cluster as Named, RecordState};
use crate::api::{ActionRecord, Approval, RunbookRunStatus, TOKEN_ANNOTATION};
use crate::plan::{self, Operator, Reply};

fn object<T: serde::Serialize>(found: Option<&T>) -> Answer {
    Answer::Object(found.map(|found| serde_json::to_value(found).unwrap()))
}

impl Cluster {
    pub(super) fn operator(&self) -> Operator {
        Operator {
            process: self.process.clone(),
            namespace: "firstaid-system".to_owned(),
            cluster: Named { name: "test".to_owned(), uid: "c1".to_owned() },
            stamps: self.stamps,
            floors: self.floors.clone(),
        }
    }

    pub(super) fn answer(&self, query: &Query) -> Answer {
        match query {
            Query::Journal => Answer::Yes,
            Query::Runbook(_) => self.runbook.clone(),
            Query::Run(name) => object(self.earlier.get(name)),
            Query::Record(name) => object(self.records.get(name)),
            Query::Ballot(name) => object(self.ballots.get(name)),
            Query::Object(object) => {
                let key = format!("{}/{}", object.kind, object.name);
                self.blind.get(&key).cloned().unwrap_or_else(|| Answer::Object(self.objects.get(&key).cloned()))
            }
            Query::Autoscalers => self.autoscalers.clone(),
            Query::Objects { .. } => Answer::Objects(Vec::new()),
            Query::ScalePaths { .. } => Answer::ScalePaths(None),
            Query::DryRun(_) => self.dry_run.clone(),
            Query::Access { .. } => self.access.clone(),
            Query::Brake => self.brake.clone(),
            Query::Guards => self.guards.clone(),
            Query::Holder { .. } => self.holder.clone(),
        }
    }

    /// The API server's own rules for the journal.
    pub(super) fn write(&mut self, status: RunbookRunStatus) {
        // As the API server gives it back: times in microseconds.
        let status: RunbookRunStatus = serde_json::from_value(serde_json::to_value(&status).unwrap()).unwrap();
        let old = self.run.status.clone().unwrap_or_default();
        assert_ne!(Some(&status), self.run.status.as_ref(), "a write that says nothing new");
        assert!(!old.finished, "a run that has ended does not go on");
        assert!(old.frozen.is_none() || old.frozen == status.frozen, "the frozen runbook changed");
        for (key, plan) in &old.plans {
            assert_eq!(Some(plan), status.plans.get(key), "a plan is written once and stays");
        }
        for (key, step) in &old.steps {
            let new = status.steps.get(key).expect("a step is gone from the journal");
            assert!(step.intent.is_none() || step.intent == new.intent, "the intent of {key} changed");
            assert!(step.outcome.is_none() || step.outcome == new.outcome, "the outcome of {key} changed");
            assert!(step.settled.is_none() || step.settled == new.settled, "how {key} was settled changed");
        }
        assert!(status.plans.len() <= 128 && status.next_commands.len() <= 16);
        if status.finished {
            assert!(status.phase.is_final());
            assert_eq!(self.open_ballots(), Vec::<String>::new(), "open ballots of a run that has ended");
            for (key, step) in &status.steps {
                let record = step.settled.as_ref().map(|settled| &settled.record);
                assert!(
                    record.is_none_or(|record| self.records.contains_key(record)),
                    "{key} has no record at the end of the run"
                );
                assert!(step.outcome.is_none() || record.is_some(), "{key} was never settled");
            }
        }
        self.journal_writes += 1;
        self.memory.wrote(self.run.status.as_ref(), &status);
        self.run.status = Some(status);
    }

    pub(super) fn issue(&mut self, ballots: Vec<Approval>) {
        for mut ballot in ballots {
            let name = ballot.metadata.name.clone().unwrap();
            assert!(
                self.status().ratification == name
                    || self.status().plans.values().any(|p| p.ballots.iter().any(|s| s.name == name)),
                "{name} is in no plan"
            );
            self.memory.issued.insert(name.clone());
            ballot.metadata.uid = Some(format!("uid-{name}"));
            self.ballots.entry(name).or_insert(ballot);
        }
    }

    pub(super) fn act(&mut self, effect: &Effect) -> bool {
        let status = self.status();
        let intents = status
            .plans
            .values()
            .flat_map(|p| &p.steps)
            .chain(status.steps.values().filter_map(|s| s.intent.as_ref().map(|i| &i.step)));
        assert!(
            intents.map(|step| &step.token).any(|token| *token == effect.token),
            "{} has no intent in the journal",
            effect.token
        );
        self.sent += 1;
        if let Some(to) = self.races.pop_front() {
            self.somebody_scales("checkout", to);
        }
        self.memory.sending(effect, self.now);
        if std::mem::take(&mut self.late_before_next_act) {
            self.late_copies_arrive();
        }
        let fate = self.fates.pop_front().unwrap_or(Fate::Answered);
        let reply = self.reply(effect, &fate);
        if let Some(to) = self.replace_after_act.take() {
            self.somebody_replaces("checkout", to);
        }
        if let Some(answer) = self.blind_after_act.take() {
            self.blind.insert(effect.target.display(), answer);
        }
        match reply {
            Some(reply) => self.memory.answered(&effect.token, reply),
            None => self.crash(),
        }
        !matches!(fate, Fate::DiesAfter | Fate::DiesBefore)
    }

    /// What comes back; none where the operator does not live to hear it.
    pub(super) fn reply(&mut self, effect: &Effect, fate: &Fate) -> Option<Reply> {
        Some(match fate {
            Fate::Answered => match self.apply(effect) {
                Ok(()) => Reply::Landed,
                Err(message) => Reply::Refused { code: 422, message },
            },
            Fate::Refused(code) => Reply::Refused { code: *code, message: format!("refused with {code}") },
            Fate::Lost => {
                let _ = self.apply(effect);
                Reply::Ambiguous("no answer within 10 s".to_owned())
            }
            Fate::Repeated => {
                let _ = self.apply(effect);
                Reply::Refused { code: 422, message: "the test failed".to_owned() }
            }
            Fate::Cut => Reply::Ambiguous("connection reset".to_owned()),
            Fate::Late => {
                self.late.push((self.now, effect.clone()));
                Reply::Ambiguous("no answer within 10 s".to_owned())
            }
            Fate::DiesAfter => {
                let _ = self.apply(effect);
                return None;
            }
            Fate::DiesBefore => return None,
        })
    }

    pub(super) fn apply(&mut self, effect: &Effect) -> Result<(), String> {
        let key = effect.target.display();
        let Some(mut object) = self.objects.get(&key).cloned() else { return Err("not found".to_owned()) };
        // The API server lets a test for null pass where there is nothing.
        let absent = |op: &Value| {
            op["op"] == "test" && op["value"].is_null() && object.pointer(op["path"].as_str().unwrap()).is_none()
        };
        let patch: Vec<Value> = effect.patch.iter().filter(|op| !absent(op)).cloned().collect();
        let patch: json_patch::Patch = serde_json::from_value(Value::Array(patch)).unwrap();
        json_patch::patch(&mut object, &patch).map_err(|e| e.to_string())?;
        assert_eq!(object["metadata"]["annotations"][TOKEN_ANNOTATION], json!(effect.token));
        self.writes.push(effect.token.clone());
        let distinct: BTreeSet<&String> = self.writes.iter().collect();
        assert_eq!(distinct.len(), self.writes.len(), "more than one effective write of a token: {:?}", self.writes);
        self.store(&key, object);
        Ok(())
    }

    /// What the API server and the workload's controller do on any write.
    pub fn store(&mut self, key: &str, mut object: Value) {
        let old = self.objects.get(key).cloned().unwrap_or_default();
        let version: i64 = old["metadata"]["resourceVersion"].as_str().unwrap_or("0").parse().unwrap();
        object["metadata"]["resourceVersion"] = json!((version + 1).to_string());
        if object.get("spec").is_some() && old["spec"] != object["spec"] {
            object["metadata"]["generation"] = json!(old["metadata"]["generation"].as_i64().unwrap_or_default() + 1);
        }
        if self.healthy && object["spec"]["replicas"].is_i64() {
            object["status"]["readyReplicas"] = object["spec"]["replicas"].clone();
        }
        self.objects.insert(key.to_owned(), object);
    }

    pub(super) fn record(&mut self, record: ActionRecord) {
        let name = record.metadata.name.clone().unwrap();
        assert_eq!(plan::hash_of(&record.spec), record.spec.hash, "the hash of {name} is not that of its content");
        self.memory.disputed = None;
        if self.record_in_the_way {
            self.memory.disputed = Some((format!("record {name} is there with another content"), self.now));
            return;
        }
        match self.records.get(&name) {
            Some(there) => assert_eq!(there.spec, record.spec, "a repeat of {name} differs"),
            None => {
                *self.created.entry(name.clone()).or_default() += 1;
                let chain = self.records.values().filter(|r| r.spec.run_uid == record.spec.run_uid);
                let head = chain.max_by_key(|r| r.spec.seq);
                assert_eq!(record.spec.seq, head.map_or(1, |r| r.spec.seq + 1), "the chain has a hole before {name}");
                assert_eq!(
                    record.spec.prev_hash,
                    head.map(|r| r.spec.hash.clone()).unwrap_or_default(),
                    "the chain is broken at {name}"
                );
                self.records.insert(name.clone(), record);
            }
        }
        self.memory.recorded.insert(name);
    }

    /// Whoever waits says on what.
    pub(super) fn check_the_wait(&self) {
        // An act that was answered a moment ago is watched for 2 s before anything is written about it.
        let just_landed =
            self.memory.sent.values().any(|sent| {
                sent.reply == Reply::Landed && self.now.duration_since(sent.at) < SignedDuration::from_secs(2)
            });
        let Some(status) = &self.run.status else { panic!("it waits and has not said so") };
        assert!(
            status.finished || just_landed || !status.waiting_on.is_empty(),
            "it waits in silence, {:?}",
            status.phase
        );
        assert!(status.finished || status.next_commands.len() <= 16);
    }

    pub fn record_of(&self, step: &str) -> &ActionRecord {
        let run = self.run.metadata.uid.as_ref().unwrap();
        let of_run = |r: &&ActionRecord| r.spec.step == step && r.spec.run_uid == *run;
        self.records.values().find(of_run).unwrap_or_else(|| panic!("no record of {step}"))
    }

    pub fn record_state(&self, step: &str) -> RecordState {
        self.record_of(step).status.as_ref().unwrap().state
    }
}
