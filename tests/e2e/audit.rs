//! What really happened, by the API server's own audit log.

use std::io::{BufRead, BufReader, Seek, SeekFrom};

use anyhow::{Context, Result, bail};
use firstaid_sandbox::Sandbox;
use serde_json::Value;

use crate::town::{Town, text};

/// The audit log of a namespace from some moment on.
pub struct Audit {
    sandbox: &'static Sandbox,
    namespace: String,
    from: u64,
}

impl Audit {
    /// Begins now.
    pub fn begin(town: &Town) -> Result<Self> {
        let from = std::fs::metadata(town.sandbox.audit_log())?.len();
        Ok(Self { sandbox: town.sandbox, namespace: town.namespace.clone(), from })
    }

    /// What was asked of the API server in this namespace, in the order in which it was answered.
    pub fn entries(&self) -> Result<Vec<Value>> {
        let mut file = std::fs::File::open(self.sandbox.audit_log()).context("opening the audit log")?;
        file.seek(SeekFrom::Start(self.from))?;
        let mut entries = Vec::new();
        for line in BufReader::new(file).lines() {
            let line = line?;
            // Most lines are of other tests: looking for the name is much cheaper than reading them all as JSON.
            if line.contains(&self.namespace)
                && let Ok(entry) = serde_json::from_str::<Value>(&line)
                && text(&entry, "/objectRef/namespace") == self.namespace
                && text(&entry, "/stage") == "ResponseComplete"
            {
                entries.push(entry);
            }
        }
        Ok(entries)
    }

    /// The writes to targets that took effect in the name of the runbook's ServiceAccount.
    pub fn effects(&self) -> Result<Vec<Value>> {
        let account = format!("system:serviceaccount:{}:firstaid", self.namespace);
        let mut entries = self.entries()?;
        entries.retain(|entry| {
            text(entry, "/impersonatedUser/username") == account
                && !matches!(text(entry, "/verb"), "get" | "list" | "watch")
                && !text(entry, "/requestURI").contains("dryRun")
                && entry.pointer("/responseStatus/code").and_then(Value::as_i64).is_some_and(|code| code < 300)
        });
        Ok(entries)
    }

    /// When the write of the journal was answered in which a token first stands.
    pub fn intent_of(&self, token: &str) -> Result<String> {
        for entry in self.entries()? {
            let write = text(&entry, "/objectRef/resource") == "runbookruns"
                && text(&entry, "/objectRef/subresource") == "status"
                && entry.pointer("/responseStatus/code") == Some(&Value::from(200));
            let status = entry.pointer("/requestObject/status").map(Value::to_string).unwrap_or_default();
            if write && status.contains(token) {
                return Ok(text(&entry, "/stageTimestamp").to_owned());
            }
        }
        bail!("no write of the journal names {token}")
    }
}
