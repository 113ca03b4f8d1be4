//! Commands that people paste to start a run.

use serde_json::{Map, Value, json};

use crate::api::condition::cut;
use crate::api::{Runbook, RunbookRun};

/// The one line that starts a runbook. It says WHY where a reason is to be put, and asks for the parameters that have no
/// default. At most 2048 characters.
pub fn start(runbook: &Runbook, stamps: bool) -> String {
    let namespace = runbook.metadata.namespace.as_deref().unwrap_or_default();
    let name = runbook.metadata.name.as_deref().unwrap_or_default();
    let wanted: Map<String, Value> = runbook
        .spec
        .parameters
        .iter()
        .filter(|p| p.default.is_none())
        .map(|p| (p.name.clone(), json!(p.name.to_uppercase())))
        .collect();
    let mut spec = Map::from_iter([("runbook".to_owned(), json!(name))]);
    if !wanted.is_empty() {
        spec.insert("parameters".to_owned(), Value::Object(wanted));
    }
    cut(&create(namespace, &format!("{name}-"), spec, stamps), 2048)
}

/// The one line that undoes a run, in the same incident.
pub(super) fn undo(of: &RunbookRun, stamps: bool) -> String {
    let run = of.metadata.name.as_deref().unwrap_or_default();
    let mut spec =
        Map::from_iter([("runbook".to_owned(), json!(of.spec.runbook)), ("revertOf".to_owned(), json!(run))]);
    if let Some(incident) = of.spec.incident.as_ref().filter(|incident| goes_through_a_shell(incident)) {
        spec.insert("incident".to_owned(), json!(incident));
    }
    let namespace = of.metadata.namespace.as_deref().unwrap_or_default();
    // A name that is generated is five characters longer, and at most 52.
    create(namespace, &format!("{}-undo-", run.get(..40).unwrap_or(run).trim_end_matches(['-', '.'])), spec, stamps)
}

/// A key is whatever somebody typed; one with a quote in it would end the text that the shell sees.
fn goes_through_a_shell(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:/#".contains(c))
}

fn create(namespace: &str, generate_name: &str, mut spec: Map<String, Value>, stamps: bool) -> String {
    spec.insert("reason".to_owned(), json!("WHY"));
    if !stamps {
        let me = "'\"$(kubectl auth whoami -o jsonpath={.status.userInfo.username})\"'";
        spec.insert("requestedBy".to_owned(), json!({"username": me}));
    }
    let run = json!({"apiVersion": "firstaid.dev/v1alpha1", "kind": "RunbookRun", "metadata": {"generateName": generate_name}, "spec": spec});
    // The shell sees single quotes around the JSON; the substitution stands between them, in double quotes.
    let text = run.to_string().replace("'\\\"", "'\"").replace("\\\"'", "\"'");
    format!("echo '{text}' | kubectl create -n {namespace} -f -")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runbook() -> Runbook {
        serde_json::from_value(json!({"apiVersion": "firstaid.dev/v1alpha1", "kind": "Runbook", "metadata": {"name": "shed-load", "namespace": "shop"},
            "spec": {"summary": "s", "parameters": [{"name": "service", "type": "string", "sample": "x"}],
                "steps": [{"name": "a", "gate": "None", "restart": {"target": {"kind": "Deployment", "name": "web"}}}]}})).unwrap()
    }

    fn run(name: &str, incident: &str) -> RunbookRun {
        serde_json::from_value(json!({"apiVersion": "firstaid.dev/v1alpha1", "kind": "RunbookRun", "metadata": {"name": name, "namespace": "shop"},
            "spec": {"runbook": "shed-load", "reason": "why", "incident": incident}})).unwrap()
    }

    #[test]
    fn an_undo_belongs_to_the_same_incident_where_a_shell_can_take_its_key() {
        assert!(undo(&run("r", "inc-7f3"), true).contains("\"incident\":\"inc-7f3\","));
        for key in ["", "x'; rm -rf ~; '", "a b", "$(id)", "\"}"] {
            assert!(!undo(&run("r", key), true).contains("incident"), "{key}");
        }
    }

    #[test]
    fn the_start_command_is_one_line_of_shell() {
        let line = start(&runbook(), true);
        assert_eq!(
            line,
            "echo '{\"apiVersion\":\"firstaid.dev/v1alpha1\",\"kind\":\"RunbookRun\",\"metadata\":{\"generateName\":\"shed-load-\"},\
             \"spec\":{\"parameters\":{\"service\":\"SERVICE\"},\"reason\":\"WHY\",\"runbook\":\"shed-load\"}}' | kubectl create -n shop -f -"
        );
    }

    #[test]
    fn where_nobody_stamps_the_shell_fills_in_the_name() {
        let line = start(&runbook(), false);
        assert!(
            line.contains(
                r#""requestedBy":{"username":"'"$(kubectl auth whoami -o jsonpath={.status.userInfo.username})"'"}"#
            ),
            "{line}"
        );
    }

    #[test]
    fn the_undo_of_a_run_with_a_long_name_can_be_made() {
        let line = undo(&run(&format!("{}.x", "a".repeat(39)), "INC-7"), true);
        assert!(line.contains(&format!("\"generateName\":\"{}-undo-\"", "a".repeat(39))), "{line}");
        assert!(line.contains("\"revertOf\":\"aaa") && line.contains("\"runbook\":\"shed-load\""), "{line}");
    }
}
