//! Objects from an attacker on the real API server, as far as admission lets them through: a good run goes on beside them,
//! the operator stays alive, and nothing that it writes moves a cursor.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::refusal::create;
use crate::runs::runbook;
use crate::town::{Leg, Town};

/// What nobody may find on a terminal: escapes, and marks that turn the direction of what follows.
fn is_tame(what: &str, text: &str) -> Result<()> {
    let found =
        text.chars().find(|c| (c.is_control() && *c != '\n' && *c != '\t') || ('\u{202a}'..='\u{202e}').contains(c));
    ensure!(found.is_none(), "{what} holds {found:?}");
    Ok(())
}

fn words() -> Vec<String> {
    vec![
        "\u{1b}[2J\u{1b}]0;owned\u{7}go".to_owned(),
        "a\r\nkubectl delete ns shop".to_owned(),
        "on \u{202e}ffo \u{9b}31m".to_owned(),
        "'; $(id) `id` #".to_owned(),
        "😀".repeat(255),
        "x\u{1b}".repeat(512),
    ]
}

fn odd_runs() -> Vec<Value> {
    let mut runs = Vec::new();
    for (index, word) in words().into_iter().enumerate() {
        let short: String = word.chars().take(40).collect();
        for (kind, runbook, parameters) in
            [("good", "good", json!({})), ("none", "no-such", json!({})), ("odd", "good", json!({word.clone(): short}))]
        {
            runs.push(json!({"apiVersion": "firstaid.dev/v1alpha1", "kind": "RunbookRun", "metadata": {"name": format!("{kind}-{index}")},
                "spec": {"runbook": runbook, "reason": word, "incident": short, "parameters": parameters, "mode": if index % 2 == 0 { "Plan" } else { "Execute" }}}));
        }
    }
    runs
}

fn odd_runbooks() -> Vec<Value> {
    let check = |that: &str| json!({"name": "look", "check": {"object": {"kind": "Deployment", "name": "checkout"}, "that": that, "within": "1s"}});
    let of = |(index, that): (usize, String)| {
        json!({"apiVersion": "firstaid.dev/v1alpha1", "kind": "Runbook", "metadata": {"name": format!("odd-{index}")},
            "spec": {"summary": words()[index % 4], "steps": [check(&that)],
                "parameters": [{"name": "n", "type": "integer", "default": "9223372036854775808", "minimum": 1e15, "maximum": 9_007_199_254_740_993i64}]}})
    };
    let mut expressions =
        vec!["1+".repeat(500) + "1", "!".repeat(1000), "{[-![[-{{-[[(-([{![{".to_owned(), "a.".repeat(500) + "a"];
    expressions.extend(words().into_iter().filter(|word| word.len() <= 1024));
    expressions.into_iter().enumerate().map(of).collect()
}

#[test]
fn a_good_run_goes_on_beside_whatever_others_send() -> Result<()> {
    let town = Town::open(Leg::Stamping, "odd-input")?;
    town.runbook(&runbook(
        "good",
        &["name: out, gate: on-call, scale: {target: {kind: Deployment, name: checkout}, by: 1}"],
    ))?;
    town.start("good", "good")?;
    town.wait_phase("good", "Waiting")?;
    let pid = town.operator.as_ref().context("an operator")?.pid()?;

    let mut taken = 0;
    for (person, objects) in [("alice", odd_runs()), ("mallory", odd_runbooks()), ("author", odd_runbooks())] {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        // Some are refused, and the others are made all the same.
        taken += create(&town, person, &list)?.stdout.lines().count();
    }
    ensure!(taken > 10, "{taken} objects were let through");
    let ballot = town.ballot("good")?;
    let name = ballot.pointer("/metadata/name").and_then(Value::as_str).context("a name")?;
    for word in words() {
        // Whatever comes of these, they are no vote.
        town.mark("mallory", name, &format!("approve={word}"))?;
        town.kubectl("mallory", &["annotate", "rbr", "good", &format!("settle={word}")])?;
    }
    town.approve("bob", "good")?;
    town.wait_phase("good", "Succeeded")?;
    for run in town
        .list("rbr")?
        .iter()
        .filter_map(|run| run.pointer("/metadata/name")?.as_str())
        .filter(|run| run.starts_with("none-"))
    {
        town.wait_phase(run, "Failed")?;
    }
    let operator = town.operator.as_ref().context("an operator")?;
    ensure!(operator.pid()? == pid, "the operator was started again");
    is_tame("the operator's log", &std::fs::read_to_string(operator.log_path())?)?;
    // Runbooks and runs also show what their authors wrote, as kubectl does; these two are the operator's alone.
    for kind in ["apv", "arec"] {
        is_tame(kind, &town.kubectl("root", &["get", kind, "-o", "wide"])?.ok()?)?;
        is_tame(kind, &town.kubectl("root", &["describe", kind])?.ok()?)?;
    }
    for run in town.list("rbr")? {
        for place in ["/status/message", "/status/waitingOn", "/status/conditions", "/status/nextCommands"] {
            let said = run.pointer(place).map(|said| said.as_str().map_or_else(|| said.to_string(), str::to_owned));
            is_tame(place, &said.unwrap_or_default())?;
        }
    }
    Ok(())
}
