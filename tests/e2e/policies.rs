//! The loss of the policies on which every approval rests: whichever is gone, weakened or replaced, the operator says which
//! and does nothing until it is back. On an API server of its own, since all runs of a cluster would feel it.

use anyhow::{Context, Result, ensure};
use firstaid_sandbox::{Output, poll};
use serde_json::{Value, json};

use crate::town::{Leg, Town, WITHIN, number, text};

const RUNBOOK: &str = "
apiVersion: firstaid.dev/v1alpha1
kind: Runbook
metadata: {name: room}
spec:
  summary: More pods of checkout
  gates: [{name: on-call, requires: [{role: sre}]}]
  steps:
  - {name: scale-out, gate: on-call, scale: {target: {kind: Deployment, name: checkout}, by: 1}}
";

/// How a policy or a binding is spoilt: a JSON patch, or none for its removal. And what the operator says of it.
struct Spoilt {
    patch: Option<Value>,
    said: &'static str,
}

fn spoilt(path: &str, value: &Value, said: &'static str) -> Spoilt {
    Spoilt { patch: Some(json!([{"op": "add", "path": path, "value": value}])), said }
}

/// What is done to an object of this kind.
fn ways(kind: &str) -> Vec<Spoilt> {
    let selector = json!({"matchLabels": {"guard": "yes"}});
    let mut ways = match kind {
        "ValidatingAdmissionPolicy" => vec![
            spoilt("/spec/failurePolicy", &json!("Ignore"), r#"spec.failurePolicy is "Ignore", not "Fail""#),
            spoilt("/spec/matchConstraints/objectSelector", &selector, "objectSelector.matchLabels was added"),
            spoilt("/spec/validations/0/expression", &json!("true"), "spec.validations[0].expression "),
        ],
        "ValidatingAdmissionPolicyBinding" => vec![
            spoilt("/spec/validationActions", &json!(["Audit"]), r#"spec.validationActions is ["Audit"], not"#),
            spoilt("/spec/matchResources", &json!({"objectSelector": selector}), "spec.matchResources was added"),
        ],
        // It may be gone: it only saves typing. A wrong one is still one that nobody has looked at.
        "MutatingAdmissionPolicy" => {
            return vec![spoilt(
                "/spec/failurePolicy",
                &json!("Ignore"),
                r#"spec.failurePolicy is "Ignore", not "Fail""#,
            )];
        }
        _ => return Vec::new(),
    };
    ways.push(Spoilt { patch: None, said: "is gone" });
    ways
}

/// All policies and bindings of the chart, as they are, but for what the API server adds.
fn guards(town: &Town) -> Result<Vec<Value>> {
    let kinds = "validatingadmissionpolicies,validatingadmissionpolicybindings,mutatingadmissionpolicies";
    let list = town.sandbox.kubectl_run("root", &["get", kinds, "-o", "json"])?.ok()?;
    let list: Value = serde_json::from_str(&list)?;
    let mut guards = list.get("items").and_then(Value::as_array).cloned().context("a list")?;
    guards.retain(|guard| text(guard, "/metadata/name").starts_with("firstaid-"));
    for guard in &mut guards {
        for field in ["resourceVersion", "uid", "managedFields", "creationTimestamp", "generation"] {
            guard["metadata"].as_object_mut().context("metadata")?.remove(field);
        }
    }
    Ok(guards)
}

/// Waits until `/readyz` answers this, with these words.
fn wait_readyz(town: &Town, code: u16, words: &[&str]) -> Result<String> {
    let operator = town.operator.as_ref().context("an operator")?;
    poll(&format!("/readyz {code} {words:?}"), WITHIN, || {
        let (found, body) = operator.get("/readyz")?;
        ensure!(found == code && words.iter().all(|words| body.contains(words)), "{found} {body}");
        Ok(body)
    })
}

fn spoil_and_mend(town: &Town, guard: &Value, way: &Spoilt) -> Result<()> {
    let (kind, name) = (text(guard, "/kind"), text(guard, "/metadata/name"));
    let (object, yaml) = (format!("{kind}/{name}"), guard.to_string());
    let mended = if let Some(patch) = &way.patch {
        let patch = patch.to_string();
        town.sandbox.kubectl_run("root", &["patch", &object, "--type=json", "-p", &patch])?.ok()?;
        "replace"
    } else {
        town.sandbox.kubectl_run("root", &["delete", &object])?.ok()?;
        "create"
    };
    // Named with its kind, so that it is not taken for the one before it, which is just being seen to be back.
    wait_readyz(town, 503, &[&format!("{kind} {name} "), way.said, "; to put it back: "])?;
    put_back(town, mended, &yaml)
}

/// `kubectl replace` reads and then writes: it is refused where the API server's own check of the policy's types wrote its
/// status in between. Whoever types it types it again.
fn put_back(town: &Town, verb: &str, yaml: &str) -> Result<()> {
    poll(&format!("kubectl {verb}"), WITHIN, || {
        let output = town.sandbox.kubectl_input("root", &[verb, "-f", "-"], yaml)?;
        ensure!(output.status.success() || !output.stderr.contains("(Conflict)"), "{}", output.stderr);
        Ok(output)
    })?
    .ok()?;
    Ok(())
}

/// What was voted while nobody judged it counts for nothing when the policies are back: it is asked anew.
fn vote_again(town: &Town, run: &str) -> Result<()> {
    poll("a new plan", WITHIN, || {
        let found = town.get("rbr", run)?;
        let because = text(&found, "/status/plans/0.2/revisedBecause");
        ensure!(because.starts_with("the approval policies were not in force for certain between "), "{because:?}");
        Ok(())
    })?;
    assert_eq!(text(&town.ballot(run)?, "/metadata/name"), format!("{run}-2"));
    town.approve("bob", run)
}

/// An approved run waits while a policy that the tried ballot knows nothing of only watches, and goes on when the command
/// that the run shows has put it back.
fn an_approved_run_waits_for_its_guards(town: &Town) -> Result<()> {
    let binding = "validatingadmissionpolicybinding/firstaid-evidence";
    let audit = r#"{"spec": {"validationActions": ["Audit"]}}"#;
    town.runbook(RUNBOOK)?;
    town.start("room", "unguarded")?;
    town.wait_guarded("unguarded", "Waiting")?;
    town.sandbox.kubectl_run("root", &["patch", binding, "--type=merge", "-p", audit])?.ok()?;
    wait_readyz(town, 503, &["ValidatingAdmissionPolicyBinding firstaid-evidence is not as it was shipped"])?;
    let (_, metrics) = town.operator.as_ref().context("an operator")?.get("/metrics")?;
    assert!(metrics.contains("\nfirstaid_guards_proven 0\n"), "{metrics}");
    town.approve("bob", "unguarded")?;
    let held = town.wait_held("unguarded", "proof that the approval policies are in force")?;
    let waiting = text(&held, "/status/waitingOn");
    let wanted = "ValidatingAdmissionPolicyBinding firstaid-evidence is not as it was shipped: spec.validationActions is \
                  [\"Audit\"], not [\"Deny\",\"Audit\"]; to put it back: helm get manifest firstaid -n firstaid-system \
                  | kubectl replace -f -; nothing is done until then";
    assert!(waiting.contains(wanted), "{waiting}");
    assert_eq!(number(&town.get("deployment", "checkout")?, "/spec/replicas"), 4);

    let mut helm = std::process::Command::new(&town.sandbox.programs().helm);
    let manifest = Output::of(
        helm.args(["get", "manifest", "firstaid", "-n", "firstaid-system"])
            .env("KUBECONFIG", town.sandbox.kubeconfig("root")),
    )?
    .ok()?;
    put_back(town, "replace", &manifest)?;
    vote_again(town, "unguarded")?;
    town.wait_phase("unguarded", "Succeeded")?;
    assert_eq!(number(&town.get("deployment", "checkout")?, "/spec/replicas"), 5);
    wait_readyz(town, 200, &[])?;
    Ok(())
}

/// Without its policy anybody could mark a ballot in any name: that is said before all else.
fn a_decided_ballot_that_would_be_accepted(town: &Town) -> Result<()> {
    town.start("room", "forged")?;
    town.wait_guarded("forged", "Waiting")?;
    town.sandbox.kubectl_run("root", &["delete", "validatingadmissionpolicybinding", "firstaid-ballot"])?.ok()?;
    let worst = "the API server would accept a ballot that is decided already: install the chart's policies again; \
                 ValidatingAdmissionPolicyBinding firstaid-ballot is gone";
    wait_readyz(town, 503, &[worst])?;
    // Nobody judges who asks for it.
    town.start("room", "born")?;
    town.wait_held("born", worst)?;
    town.approve("bob", "forged")?;
    town.wait_held("forged", worst)?;
    assert_eq!(number(&town.get("deployment", "checkout")?, "/spec/replicas"), 5);
    town.sandbox.install_chart(&[])?;
    vote_again(town, "forged")?;
    town.wait_phase("forged", "Succeeded")?;
    assert_eq!(number(&town.get("deployment", "checkout")?, "/spec/replicas"), 6);
    let born = town.wait_phase("born", "Failed")?;
    ensure!(
        text(&born, "/status/message")
            .ends_with("when this run was made: who asked for it is not known; make it again"),
        "{born:#}"
    );
    Ok(())
}

/// A binding that only watches while no operator runs, or between two of its looks, and is as it was when it looks again.
fn what_was_said_while_no_operator_looked(town: &mut Town) -> Result<()> {
    town.start("room", "unseen")?;
    town.wait_guarded("unseen", "Waiting")?;
    town.kill_operator()?;
    let actions = |actions: &str| {
        let patch = format!(r#"{{"spec": {{"validationActions": {actions}}}}}"#);
        let binding = "validatingadmissionpolicybinding/firstaid-ballot";
        town.sandbox.kubectl_run("root", &["patch", binding, "--type=merge", "-p", &patch])?.ok()
    };
    actions(r#"["Audit"]"#)?;
    let vote = format!("approve={} queue grows", text(&town.ballot("unseen")?, "/spec/request/code"));
    // Mallory has no role. Until the API server has learnt of it she is refused.
    poll("a vote that nobody judges", WITHIN, || town.mark("mallory", "unseen-1", &vote)?.ok())?;
    town.start("room", "unasked")?;
    actions(r#"["Deny", "Audit"]"#)?;
    town.start_operator_with(&["--guard-seconds=1", "--guard-settle-seconds=0"])?;
    vote_again(town, "unseen")?;
    town.wait_phase("unseen", "Succeeded")?;
    town.wait_phase("unasked", "Failed")?;
    Ok(())
}

#[test]
fn whichever_policy_is_spoilt_is_named_and_nothing_is_done_until_it_is_back() -> Result<()> {
    let mut town = Town::open_alone(Leg::Stamping, "policies")?;
    town.kill_operator()?;
    town.start_operator_with(&["--guard-seconds=1", "--guard-settle-seconds=0"])?;
    an_approved_run_waits_for_its_guards(&town)?;
    a_decided_ballot_that_would_be_accepted(&town)?;
    what_was_said_while_no_operator_looked(&mut town)?;
    let guards = guards(&town)?;
    assert!(guards.len() >= 21, "only {} policies and bindings", guards.len());
    for guard in &guards {
        for way in ways(text(guard, "/kind")) {
            spoil_and_mend(&town, guard, &way)
                .with_context(|| format!("{} {}", text(guard, "/kind"), text(guard, "/metadata/name")))?;
        }
        wait_readyz(&town, 200, &[])?;
    }
    Ok(())
}

/// An operator that may not look has no proof, and says what it may not read.
#[test]
fn an_operator_that_may_not_read_its_guards_does_nothing() -> Result<()> {
    let mut town = Town::open_alone(Leg::Plain, "unread")?;
    town.kill_operator()?;
    town.start_operator_with(&["--guard-seconds=1"])?;
    let role =
        town.sandbox.kubectl_run("root", &["get", "clusterrole", "firstaid-operator-cluster", "-o", "json"])?.ok()?;
    let mut role: Value = serde_json::from_str(&role)?;
    let whole = role.to_string();
    let rules = role["rules"].as_array_mut().context("rules")?;
    rules.retain(|rule| text(rule, "/resources/0") != "validatingadmissionpolicybindings");
    let replace = |yaml: &str| town.sandbox.kubectl_input("root", &["replace", "-f", "-"], yaml)?.ok();
    replace(&role.to_string())?;
    let said = wait_readyz(&town, 503, &["may not be read", "whose role firstaid-operator-cluster allows it"])?;
    ensure!(said.contains("ValidatingAdmissionPolicyBinding firstaid-"), "{said}");
    let mut whole: Value = serde_json::from_str(&whole)?;
    whole["metadata"].as_object_mut().context("metadata")?.remove("resourceVersion");
    replace(&whole.to_string())?;
    wait_readyz(&town, 200, &[])?;
    Ok(())
}
