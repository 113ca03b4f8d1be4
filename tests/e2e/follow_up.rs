//! Follow-ups of an incident: the cluster itself shows whether they are done, as far as the incident's ServiceAccount may look.

use anyhow::{Result, ensure};
use firstaid_sandbox::{Output, poll};
use rstest::rstest;
use serde_json::{Value, json};

use crate::plugin::{firstaid, room};
use crate::town::{Leg, Town, WITHIN, text};

/// An incident with these follow-ups.
fn incident(name: &str, follow_ups: &Value) -> Value {
    json!({"apiVersion": "firstaid.dev/v1alpha1", "kind": "Incident", "metadata": {"name": name},
        "spec": {"summary": "checkout answers slowly", "followUps": follow_ups}})
}

fn follow_up(id: &str, check: &Value) -> Value {
    json!({"id": id, "text": "Mend it", "kind": "Prevent", "check": check})
}

fn write(town: &Town, person: &str, object: &Value) -> Result<Output> {
    let args = ["apply", "-n", &town.namespace, "--server-side", "--force-conflicts", "-f", "-"];
    town.sandbox.kubectl_input(person, &args, &object.to_string())
}

/// Waits until the check of a follow-up has found this.
fn wait_found(town: &Town, id: &str, holds: &str, words: &str) -> Result<Value> {
    poll(&format!("the check of {id} to be {holds}"), WITHIN, || {
        let incident = town.get("inc", "inc-7f3")?;
        let checks = incident.pointer("/status/checks").and_then(Value::as_array);
        let found = checks.into_iter().flatten().find(|check| text(check, "/id") == id).cloned().unwrap_or_default();
        ensure!(text(&found, "/holds") == holds && text(&found, "/message").contains(words), "{found}");
        Ok(incident)
    })
}

#[test]
fn the_cluster_shows_what_is_done_and_what_is_not_any_more() -> Result<()> {
    let town = Town::open(Leg::Stamping, "follow-up")?;
    town.runbook(&room("room"))?;
    let namespace = town.namespace.clone();
    let follow_ups = json!([
        follow_up(
            "size",
            &json!({"object": {"kind": "Deployment", "name": "checkout"}, "that": "object.spec.replicas >= 5"})
        ),
        follow_up("budget", &json!({"disruptionBudget": "checkout"})),
        follow_up("alert", &json!({"alertRule": "QueueGrows"})),
    ]);
    write(&town, "bob", &incident("inc-7f3", &follow_ups))?.ok()?;
    wait_found(&town, "size", "No", "object.spec.replicas >= 5 is false")?;
    wait_found(&town, "alert", "No", "this cluster has no kind PrometheusRule")?;
    // What the ServiceAccount may not read is not known, and the sentence names it.
    wait_found(&town, "budget", "Unknown", "as firstaid it may not be read")?;
    let root = |args: &[&str]| town.kubectl("root", args)?.ok();
    let typed = ["follow-up", "add", "inc-7f3", "Keep the runbook", "--kind", "mitigate", "--check", "runbook/room"];
    firstaid(&town, "bob", &typed)?.ended(0)?;
    // The command that the sentence shows is the one that helps.
    let kept = wait_found(&town, "fu-1", "Unknown", &format!("firstaid onboard -n {namespace} --from /dev/stdin"))?;
    let file = town.sandbox.data().join(format!("{namespace}-incident.yaml"));
    std::fs::write(&file, kept.to_string())?;
    town.onboard(&file.to_string_lossy())?;
    wait_found(&town, "fu-1", "Yes", "is true")?;
    wait_found(&town, "budget", "No", "no PodDisruptionBudget selects the pods of checkout")?;

    let labels = town.get("deployment", "checkout")?;
    let labels = labels.pointer("/spec/template/metadata/labels").cloned().unwrap_or_default();
    let budget = json!({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "one-is-there"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": labels}}});
    write(&town, "root", &budget)?.ok()?;
    wait_found(&town, "budget", "Yes", "the PodDisruptionBudget one-is-there selects")?;
    root(&["scale", "deployment", "checkout", "--replicas=5"])?;
    let done = wait_found(&town, "size", "Yes", "is true")?;
    ensure!(text(&done, "/status/followUps") == "3/4 done", "{done:#}");

    // Done once, and not any more: said in the status, in the list, and in the retrospective.
    root(&["delete", "pdb", "one-is-there"])?;
    let after = wait_found(&town, "budget", "No", "no PodDisruptionBudget")?;
    ensure!(text(&after, "/status/followUps") == "2/4 done, 1 regressed", "{after:#}");
    let conditions = after.pointer("/status/conditions").and_then(Value::as_array);
    let hold = conditions.into_iter().flatten().find(|condition| text(condition, "/type") == "FollowUpsHold");
    let hold = hold.cloned().unwrap_or_default();
    ensure!(text(&hold, "/status") == "False" && text(&hold, "/message").starts_with("budget: no Pod"), "{hold}");
    let list = firstaid(&town, "bob", &["follow-up", "list", "inc-7f3"])?.ended(0)?;
    ensure!(list.contains("REGRESSED") && !list.contains("fu-1"), "{list}");
    let written = firstaid(&town, "bob", &["retro", "inc-7f3"])?.ended(0)?;
    ensure!(written.contains("| regressed |") && written.contains("the cluster does not show it"), "{written}");
    Ok(())
}

/// A check is a question that another one's rights answer.
#[rstest]
fn whoever_may_not_read_it_has_nobody_look(#[values(Leg::Stamping, Leg::Plain)] leg: Leg) -> Result<()> {
    let town = Town::empty(leg, "follow-up-rights")?;
    let namespace = town.namespace.clone();
    let root = |args: &[&str]| town.kubectl("root", args)?.ok();
    root(&["create", "serviceaccount", "firstaid"])?;
    root(&["create", "rolebinding", "scribe", "--clusterrole=firstaid-scribe", "--user=viewer"])?;
    let asks = |what: &str| json!({"object": {"kind": "ConfigMap", "name": "keys"}, "that": what});
    let plain = json!([{"id": "size", "text": "Mend it", "kind": "Prevent"}]);
    poll("viewer to be a scribe", WITHIN, || write(&town, "viewer", &incident("inc-7f3", &plain))?.ok())?;
    let refused = |output: Output| -> Result<String> {
        let sentence = "you may not act as service account firstaid, so you may not have it look";
        ensure!(!output.success() && output.stderr.contains(sentence), "{}{}", output.stdout, output.stderr);
        Ok(output.stderr)
    };
    let first = json!([follow_up("size", &asks("object.data.key.startsWith('a')"))]);
    let said = refused(write(&town, "viewer", &incident("inc-7f3", &first))?)?;
    refused(write(&town, "viewer", &incident("inc-7f4", &first))?)?;
    // Whoever may act as it asks; others write beside the check, and may take it away, but ask nothing else.
    write(&town, "bob", &incident("inc-7f3", &first))?.ok()?;
    let patch =
        |patch: &Value| town.kubectl("viewer", &["patch", "inc", "inc-7f3", "--type=merge", "-p", &patch.to_string()]);
    let note = json!({"at": "2026-11-22T14:06:02.000000Z", "text": "it is quiet"});
    patch(&json!({"spec": {"notes": [note]}}))?.ok()?;
    let second = json!([follow_up("size", &asks("object.data.key.startsWith('b')"))]);
    refused(patch(&json!({"spec": {"followUps": second}}))?)?;
    refused(patch(&json!({"spec": {"serviceAccountName": "default"}}))?).map(drop).or_else(|error| {
        let text = format!("{error:#}");
        ensure!(text.contains("you may not act as service account default"), "{text}");
        Ok(())
    })?;
    // The command that the refusal shows is the one that helps.
    let offer = format!(
        "rolebinding -n {namespace} firstaid-checks --clusterrole=firstaid-checks --serviceaccount={namespace}:firstaid"
    );
    ensure!(said.contains(&offer), "{said}");
    let words: Vec<&str> = ["create"].into_iter().chain(offer.split(' ')).collect();
    town.sandbox.kubectl_run("root", &words)?.ok()?;
    poll("firstaid to be offered", WITHIN, || patch(&json!({"spec": {"followUps": second}}))?.ok())?;
    patch(&json!({"spec": {"followUps": plain}}))?.ok()?;
    Ok(())
}
