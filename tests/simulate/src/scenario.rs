//! What a schedule is about: runbooks, targets, and who starts what.

use serde_json::{Value, json};

use crate::choices::Choices;

/// One of the kinds of schedules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scenario {
    /// One step behind a gate.
    Gated,
    /// One step without a gate.
    Ungated,
    /// Two targets behind one gate, and a check that can fail: then both are undone.
    Reverting,
    /// A gate that wants two people.
    TwoVotes,
    /// Two runs that want the same target.
    TwoRuns,
    /// A restart, which has no undo.
    Restart,
    /// A feature flag in a ConfigMap, which has no generation.
    Flag,
    /// A run, and a later one that undoes it.
    UndoneLater,
    /// Two gates, the second one behind a step that may fail.
    TwoGates,
    /// The same target twice, without a gate.
    UpAndDown,
    /// A gate at which whoever asked may decide when nobody else does.
    Alone,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Gated,
        Self::Ungated,
        Self::Reverting,
        Self::TwoVotes,
        Self::TwoRuns,
        Self::Restart,
        Self::Flag,
        Self::UndoneLater,
        Self::TwoGates,
        Self::UpAndDown,
        Self::Alone,
    ];

    /// Chooses one.
    pub fn choose(choices: &mut Choices) -> Self {
        Self::ALL[choices.below(Self::ALL.len())]
    }

    /// The runbook.
    pub fn runbook(self) -> Value {
        let gate = |name: &str, count: u32| {
            json!({"name": name, "requires": [{"role": "sre", "count": count}], "validFor": "45s", "timeout": "150s",
                "selfApproval": "Never"})
        };
        let on_call = gate("on-call", 1);
        let (gates, steps) = match self {
            Self::Gated => (json!([on_call]), json!([scale("out", "on-call", "checkout", 10)])),
            Self::TwoRuns => {
                let mut step = scale("out", "on-call", "checkout", 0);
                step["scale"]["replicas"] = json!("${params.replicas}");
                (json!([on_call]), json!([step]))
            }
            Self::Ungated => (json!([]), json!([scale("out", "None", "checkout", 10)])),
            Self::Reverting => (
                json!([on_call]),
                json!([
                    reverting(scale("out", "on-call", "checkout", 10)),
                    reverting(scale("more", "on-call", "basket", 5)),
                    reverting(check(
                        "calm",
                        "checkout",
                        "object.status.readyReplicas == 10 && object.spec.replicas == 10"
                    ))
                ]),
            ),
            Self::TwoVotes => (json!([gate("both", 2)]), json!([scale("out", "both", "checkout", 10)])),
            Self::Restart => (
                json!([on_call]),
                json!([{"name": "again", "gate": "on-call", "timeout": "20s", "restart": {"target": target("checkout")}}]),
            ),
            Self::Flag => (
                json!([on_call]),
                json!([{"name": "off", "gate": "on-call", "timeout": "20s", "disable": {"flag": "recommendations",
                    "configMap": {"name": "flags", "key": "flags.json", "format": "Json", "pointer": "/recommendations"}}}]),
            ),
            Self::UndoneLater => (
                json!([on_call]),
                json!([scale("out", "on-call", "checkout", 10), scale("more", "on-call", "basket", 5)]),
            ),
            Self::TwoGates => (
                json!([on_call, gate("second", 1)]),
                json!([
                    {"name": "out", "gate": "on-call", "timeout": "20s", "onFailure": "Continue",
                        "scale": {"target": target("checkout"), "replicas": 10}},
                    scale("more", "second", "basket", 5)
                ]),
            ),
            Self::UpAndDown => (
                json!([]),
                json!([
                    reverting(scale("out", "None", "checkout", 10)),
                    reverting(scale("down", "None", "checkout", 7)),
                    reverting(check("calm", "checkout", "object.status.readyReplicas == 7"))
                ]),
            ),
            Self::Alone => {
                let mut alone = on_call;
                alone["selfApproval"] = json!("Alone");
                alone["aloneAfter"] = json!("10s");
                (json!([alone]), json!([scale("out", "on-call", "checkout", 10)]))
            }
        };
        json!({"apiVersion": "firstaid.dev/v1alpha1", "kind": "Runbook", "metadata": {"name": "shed-load"},
            "spec": {"summary": "Take load off", "gates": gates, "steps": steps,
                "parameters": [{"name": "replicas", "type": "integer", "default": "10", "minimum": 1, "maximum": 20}]}})
    }

    /// The gate of a step, as the scenario has it and not as the journal says.
    pub fn gate_of(self, step: &str) -> Option<(String, usize)> {
        let runbook = self.runbook();
        let steps = runbook["spec"]["steps"].as_array().cloned().unwrap_or_default();
        let step = steps.into_iter().find(|found| found["name"] == *step)?;
        let gate = step["gate"].as_str().filter(|gate| *gate != "None")?.to_owned();
        let gates = runbook["spec"]["gates"].as_array().cloned().unwrap_or_default();
        let count = gates.iter().find(|found| found["name"] == *gate)?["requires"][0]["count"].as_u64()?;
        Some((gate, usize::try_from(count).ok()?))
    }

    /// The names of the runs that are started at the beginning.
    pub fn runs(self) -> &'static [&'static str] {
        match self {
            Self::TwoRuns => &["run-a", "run-b"],
            _ => &["run-a"],
        }
    }

    /// The run that is started when the first one has ended.
    pub fn undo(self) -> Option<&'static str> {
        (self == Self::UndoneLater).then_some("run-u")
    }
}

fn target(name: &str) -> Value {
    json!({"kind": "Deployment", "name": name})
}

fn scale(name: &str, gate: &str, of: &str, to: i64) -> Value {
    json!({"name": name, "gate": gate, "timeout": "20s", "scale": {"target": target(of), "replicas": to}})
}

fn check(name: &str, of: &str, that: &str) -> Value {
    json!({"name": name, "check": {"object": target(of), "that": that, "within": "15s"}})
}

fn reverting(mut step: Value) -> Value {
    step["onFailure"] = json!("Revert");
    step
}

/// A run of the runbook, which alice asks for.
pub fn run(name: &str, undoes: Option<&str>) -> Value {
    let mut run = json!({"apiVersion": "firstaid.dev/v1alpha1", "kind": "RunbookRun", "metadata": {"name": name},
        "spec": {"runbook": "shed-load", "reason": "queue grows", "requestedBy": {"username": "alice"}}});
    if name == "run-b" {
        // Another size, so that what the first run did is not what the second one wants.
        run["spec"]["parameters"] = json!({"replicas": "12"});
    }
    if let Some(of) = undoes {
        run["spec"]["revertOf"] = json!(of);
    }
    run
}

/// A Deployment with so many replicas.
pub fn deployment(name: &str, replicas: i64) -> Value {
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {"replicas": replicas, "template": {"metadata": {}, "spec": {"containers": []}}}})
}

/// The feature flags of the shop.
pub fn flags() -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "flags"},
        "data": {"flags.json": "{\"recommendations\": true, \"search\": true}"}})
}
