//! The runs that the network is bad to, and what people do meanwhile.

use anyhow::Result;
use serde_json::{Value, json};

use super::lane::Lane;
use crate::runs::runbook;
use crate::town::text;

/// A kind of run.
pub struct Scenario {
    pub name: &'static str,
    /// The steps of its runbook, each as the inside of a YAML flow mapping.
    pub steps: &'static [&'static str],
    /// How many people must approve.
    pub people: usize,
    /// What people do, each time that they look at the run.
    pub act: fn(&Lane, &Value) -> Result<()>,
    /// Before it, another run does this, which it undoes.
    pub undoes: Option<&'static [&'static str]>,
    /// How it may end where nothing was refused.
    pub ends: &'static [&'static str],
}

const OUT: &str = "name: out, gate: on-call, scale: {target: {kind: Deployment, name: checkout}, replicas: 6}";
const OUT_UNGATED: &str = "name: out, gate: None, scale: {target: {kind: Deployment, name: checkout}, replicas: 6}";
const FLAG: &str = "name: flag, gate: on-call, disable: {flag: recs, configMap: {name: shop-flags, key: flags.json, format: Json, pointer: /recommendations}}";
const FLAG_LATER: &str = "name: flag, gate: later, disable: {flag: recs, configMap: {name: shop-flags, key: flags.json, format: Json, pointer: /recommendations}}";
const NEVER: &str =
    "name: better, onFailure: Revert, check: {object: {kind: Deployment, name: checkout}, that: \"false\", within: 1s}";

/// All of them.
pub const SCENARIOS: &[Scenario] = &[
    Scenario { name: "ungated", steps: &[OUT_UNGATED], people: 0, act: nobody, undoes: None, ends: &["Succeeded"] },
    Scenario { name: "gated", steps: &[OUT], people: 1, act: approve, undoes: None, ends: &["Succeeded"] },
    Scenario { name: "two steps", steps: &[OUT, FLAG], people: 1, act: approve, undoes: None, ends: &["Succeeded"] },
    Scenario {
        name: "two gates",
        steps: &[OUT, FLAG_LATER],
        people: 1,
        act: approve,
        undoes: None,
        ends: &["Succeeded"],
    },
    Scenario { name: "quorum", steps: &[OUT], people: 2, act: approve, undoes: None, ends: &["Succeeded"] },
    Scenario {
        name: "stopped while it waits",
        steps: &[OUT],
        people: 1,
        act: stop_at_the_gate,
        undoes: None,
        ends: &["Aborted"],
    },
    Scenario {
        name: "stopped while it acts",
        steps: &[OUT, FLAG],
        people: 1,
        act: approve_and_stop,
        undoes: None,
        ends: &["Aborted", "Succeeded"],
    },
    Scenario {
        name: "edited while it waits",
        steps: &[OUT],
        people: 1,
        act: edit_then_approve,
        undoes: None,
        ends: &["Succeeded"],
    },
    Scenario {
        name: "reverted",
        steps: &[OUT, FLAG, NEVER],
        people: 1,
        act: approve,
        undoes: None,
        ends: &["Reverted"],
    },
    Scenario {
        name: "undone",
        steps: &[OUT, FLAG],
        people: 1,
        act: approve,
        undoes: Some(&[OUT, FLAG]),
        ends: &["Succeeded"],
    },
];

impl Scenario {
    /// Name of its runbook.
    pub fn runbook_name(&self) -> String {
        self.name.replace(' ', "-")
    }

    pub fn runbook(&self) -> String {
        let gate = |name: &str| format!("{{name: {name}, requires: [{{role: sre, count: {}}}]}}", self.people.max(1));
        let gates = format!("gates: [{}, {}]", gate("on-call"), gate("later"));
        runbook(&self.runbook_name(), self.steps).replace("gates: [{name: on-call, requires: [{role: sre}]}]", &gates)
    }
}

fn nobody(_: &Lane, _: &Value) -> Result<()> {
    Ok(())
}

fn approve(lane: &Lane, run: &Value) -> Result<()> {
    lane.vote(text(run, "/metadata/name"))
}

fn stop(lane: &Lane, run: &Value) -> Result<()> {
    if run.pointer("/metadata/annotations/abort").is_some() {
        return Ok(());
    }
    lane.say("bob", "rbr", text(run, "/metadata/name"), &json!({"abort": "wrong service"}))
}

fn stop_at_the_gate(lane: &Lane, run: &Value) -> Result<()> {
    if text(run, "/status/phase") == "Waiting" { stop(lane, run) } else { Ok(()) }
}

fn approve_and_stop(lane: &Lane, run: &Value) -> Result<()> {
    let voted = lane.vote_and_tell(text(run, "/metadata/name"))?;
    if voted { stop(lane, run) } else { Ok(()) }
}

fn edit_then_approve(lane: &Lane, run: &Value) -> Result<()> {
    // Past the goal: the first plan is void, and its ballot opens nothing.
    if run.pointer("/status/plans/0.2").is_some() {
        return lane.vote(text(run, "/metadata/name"));
    }
    if text(run, "/status/phase") == "Waiting" && lane.size()? == 4 { lane.resize(8) } else { Ok(()) }
}
