//! The audit log: what the operator wrote, and where the milliseconds of a lap went.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use jiff::Timestamp;
use serde_json::Value;

use crate::race::Lap;
use crate::subject::Subject;
use crate::town::Actor;

const OPERATOR: &str = "system:serviceaccount:firstaid-system:firstaid";

/// A request that was answered.
#[derive(Clone, Debug)]
pub struct Call {
    verb: String,
    user: String,
    impersonating: bool,
    resource: String,
    namespace: String,
    name: String,
    dry_run: bool,
    refused: bool,
    received: Timestamp,
    answered: Timestamp,
}

impl Call {
    fn parse(event: &Value) -> Option<Self> {
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let time = |pointer: &str| text(pointer).parse::<Timestamp>().ok();
        let subresource = text("/objectRef/subresource");
        let resource = text("/objectRef/resource");
        (text("/stage") == "ResponseComplete").then_some(())?;
        Some(Self {
            verb: text("/verb"),
            user: text("/user/username"),
            impersonating: event.pointer("/impersonatedUser").is_some(),
            resource: if subresource.is_empty() { resource } else { format!("{resource}/{subresource}") },
            namespace: text("/objectRef/namespace"),
            name: text("/objectRef/name"),
            dry_run: text("/requestURI").contains("dryRun="),
            refused: event.pointer("/responseStatus/code").and_then(Value::as_u64).is_some_and(|code| code >= 400),
            received: time("/requestReceivedTimestamp")?,
            answered: time("/stageTimestamp")?,
        })
    }

    /// A write by the operator's identity, in its own name or in that of a ServiceAccount. Questions about access are
    /// `create` in the audit log and write nothing; Events are for the eye; leases are not in the log at all.
    fn is_write(&self) -> bool {
        self.user == OPERATOR
            && matches!(self.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection")
            && !self.dry_run
            && !matches!(self.resource.as_str(), "subjectaccessreviews" | "events" | "leases")
    }

    /// A look by the operator's identity, not the long watches.
    fn is_read(&self) -> bool {
        self.user == OPERATOR
            && (matches!(self.verb.as_str(), "get" | "list") || self.resource == "subjectaccessreviews")
    }
}

/// All that was logged so far.
pub struct Audit(Vec<Call>);

impl Audit {
    /// Reads the log.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let events = text.lines().filter_map(|line| serde_json::from_str(line).ok());
        let mut calls: Vec<Call> = events.filter_map(|event: Value| Call::parse(&event)).collect();
        calls.sort_by_key(|call| call.received);
        Ok(Self(calls))
    }

    /// The operator's writes for a run: each as `verb resource`, in the order of time, and how many of them wrote. What
    /// the API server refused, because somebody else was quicker, wrote nothing.
    pub fn writes(&self, run: &str) -> (Vec<String>, usize) {
        let of_run = |call: &&Call| {
            call.is_write()
                && call.namespace == Actor::Operator.namespace()
                && (call.name == run || call.name.starts_with(&format!("{run}-")))
        };
        let calls: Vec<&Call> = self.0.iter().filter(of_run).collect();
        let word =
            |call: &&Call| format!("{} {}{}", call.verb, call.resource, if call.refused { " (refused)" } else { "" });
        (calls.iter().map(word).collect(), calls.iter().filter(|call| !call.refused).count())
    }

    /// The operator's writes that were for no run of these.
    pub fn other_writes(&self, runs: &[String]) -> BTreeMap<String, usize> {
        let mut others = BTreeMap::new();
        for call in self.0.iter().filter(|call| call.is_write() && call.namespace == Actor::Operator.namespace()) {
            if !runs.iter().any(|run| call.name == *run || call.name.starts_with(&format!("{run}-"))) {
                *others.entry(format!("{} {}", call.verb, call.resource)).or_insert(0) += 1;
            }
        }
        others
    }

    /// The course of a lap.
    pub fn course(&self, lap: &Lap, subject: Subject) -> Option<Course> {
        let namespace = lap.actor.namespace();
        let ballot = format!("{}-1", lap.name);
        let approval = self
            .0
            .iter()
            .find(|c| c.user == "bob" && c.verb == "patch" && c.namespace == namespace && c.name == ballot)?;
        let act = self.0.iter().find(|c| {
            c.user == OPERATOR
                && c.verb == "patch"
                && !c.dry_run
                && c.resource == subject.resource()
                && c.namespace == namespace
                && c.name == lap.name
                && c.received >= approval.received
                && c.impersonating == (lap.actor != Actor::Raw)
        })?;
        let between = |c: &&Call| c.received >= approval.received && c.received < act.received;
        let reads: Vec<&Call> =
            self.0.iter().filter(between).filter(|c| c.is_read() && c.answered <= act.received).collect();
        let writes = self.0.iter().filter(between).filter(|c| c.is_write() && c.namespace == namespace).count();
        let first = reads.iter().map(|c| c.received).min().unwrap_or(act.received);
        let last = reads.iter().map(|c| c.answered).max().unwrap_or(act.received);
        // A read that began after an answer waited for it: each of these is a round trip more.
        let mut rounds = 0;
        let mut round_ends = Timestamp::MIN;
        for read in &reads {
            if read.received >= round_ends {
                rounds += 1;
                round_ends = reads
                    .iter()
                    .filter(|r| r.received < read.answered)
                    .map(|r| r.answered)
                    .max()
                    .unwrap_or(read.answered);
            }
        }
        let ms = |from: Timestamp, to: Timestamp| to.duration_since(from).as_secs_f64() * 1e3;
        Some(Course {
            approving: ms(approval.received, approval.answered),
            waking: ms(approval.received, first),
            looking: ms(first, last),
            deciding: ms(last, act.received),
            acting: ms(act.received, act.answered),
            reads: reads.len(),
            rounds,
            writes_between: writes,
        })
    }
}

/// Where the milliseconds of a lap went, by the API server's clock.
#[derive(Clone, Debug)]
pub struct Course {
    /// The approval: received until answered.
    pub approving: f64,
    /// Approval received until the first read is received (or the act, where nothing is read).
    pub waking: f64,
    /// First read received until the last is answered.
    pub looking: f64,
    /// Last read answered until the act is received.
    pub deciding: f64,
    /// The act: received until answered.
    pub acting: f64,
    /// How many reads there were.
    pub reads: usize,
    /// How many of them, one after the other.
    pub rounds: usize,
    /// How many writes by the operator's identity between the approval and the act.
    pub writes_between: usize,
}
