//! What the tests of the actions do with runbooks, runs and records.

use anyhow::{Context, Result, ensure};
use firstaid_sandbox::poll;
use serde_json::{Value, json};

use crate::town::{Town, WITHIN, text};

/// A runbook with the gate `on-call` and these steps, each as the inside of a YAML flow mapping. Several of them, one
/// after the other, are a file with several documents.
pub fn runbook(name: &str, steps: &[&str]) -> String {
    runbook_with(name, "", steps)
}

/// As [`runbook`], with more lines in its spec, each indented by two blanks.
pub fn runbook_with(name: &str, more: &str, steps: &[&str]) -> String {
    let steps: String = steps.iter().map(|step| format!("  - {{{step}}}\n")).collect();
    format!(
        "---\napiVersion: firstaid.dev/v1alpha1\nkind: Runbook\nmetadata: {{name: {name}}}\nspec:\n  summary: {name}\n{more}  \
         gates: [{{name: on-call, requires: [{{role: sre}}]}}]\n  steps:\n{steps}"
    )
}

impl Town {
    /// Approves what the run asks for, as bob, waits until the run has succeeded, and gives its only record.
    pub fn approved(&self, run: &str) -> Result<Value> {
        self.approve("bob", run)?;
        self.wait_phase(run, "Succeeded")?;
        self.only_record(run)
    }

    /// Waits until the run has failed, and gives its last words.
    pub fn failed(&self, run: &str) -> Result<String> {
        Ok(text(&self.wait_phase(run, "Failed")?, "/status/message").to_owned())
    }

    /// The record of a run that has one.
    pub fn only_record(&self, run: &str) -> Result<Value> {
        let mut records = self.records(run)?;
        ensure!(records.len() == 1, "{run} has {} records", records.len());
        records.pop().context("there is one")
    }

    /// The record of a step.
    pub fn record(&self, run: &str, step: &str) -> Result<Value> {
        let found = self.records(run)?.into_iter().find(|record| text(record, "/spec/step") == step);
        found.with_context(|| format!("{run} has no record of {step}"))
    }

    /// Waits until a condition of a runbook is true, and gives the condition.
    pub fn wait_condition(&self, runbook: &str, kind: &str) -> Result<Value> {
        poll(&format!("runbook {runbook} {kind}"), WITHIN, || {
            let found = self.get("rbk", runbook)?;
            let conditions = found.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
            let condition = conditions.iter().find(|c| text(c, "/type") == kind && text(c, "/status") == "True");
            condition.cloned().with_context(|| format!("it says {conditions:?}"))
        })
    }

    /// Changes an object as root, with a merge patch.
    pub fn change(&self, kind: &str, name: &str, patch: &Value) -> Result<()> {
        self.kubectl("root", &["patch", kind, name, "--type=merge", "-p", &patch.to_string()])?.ok()?;
        Ok(())
    }

    /// Changes the status of an object as root, as its controller would.
    pub fn change_status(&self, kind: &str, name: &str, status: &Value) -> Result<()> {
        let patch = json!({"status": status}).to_string();
        // A list of conditions of a built-in kind is merged by type; a custom kind knows no such merge.
        let how = if kind == "pod" { "--type=strategic" } else { "--type=merge" };
        self.kubectl("root", &["patch", kind, name, "--subresource=status", how, "-p", &patch])?.ok()?;
        Ok(())
    }

    /// How often an object of this namespace was really written by its runbooks' ServiceAccount, from the audit log.
    pub fn writes(&self, resource: &str, name: &str) -> Result<usize> {
        let effects = self.log.effects()?;
        let written = effects.iter().filter(|effect| {
            text(effect, "/objectRef/resource") == resource && text(effect, "/objectRef/name") == name
        });
        Ok(written.count())
    }
}

/// What a record saw of this, if it looked at it.
pub fn evidence<'a>(record: &'a Value, what: &str) -> Option<&'a str> {
    let seen = record.pointer("/spec/evidence")?.as_array()?;
    seen.iter().find(|piece| text(piece, "/what") == what).map(|piece| text(piece, "/seen"))
}
