//! Commands that people paste to start a run.

use serde_json::{Map, Value, json};

use crate::api::Runbook;
use crate::api::condition::cut;

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

/// The one line that undoes a run.
pub(super) fn undo(namespace: &str, runbook: &str, run: &str, stamps: bool) -> String {
    let spec = Map::from_iter([("runbook".to_owned(), json!(runbook)), ("revertOf".to_owned(), json!(run))]);
    // A name that is generated is five characters longer, and at most 52.
    create(namespace, &format!("{}-undo-", run.get(..40).unwrap_or(run).trim_end_matches(['-', '.'])), spec, stamps)
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
        let line = undo("shop", "shed-load", &format!("{}.x", "a".repeat(39)), true);
        assert!(line.contains(&format!("\"generateName\":\"{}-undo-\"", "a".repeat(39))), "{line}");
        assert!(line.contains("\"revertOf\":\"aaa") && line.contains("\"runbook\":\"shed-load\""), "{line}");
    }
}
