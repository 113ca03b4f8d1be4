//! After the crisis: the incident, its notes and follow-ups, and what is written of it. And that nothing which a stranger
//! wrote does anything to the terminal of whoever reads it.

use anyhow::{Result, ensure};
use firstaid_sandbox::poll;
use serde_json::Value;

use super::{firstaid, made, room};
use crate::town::{Leg, Town, WITHIN, text};

#[test]
fn an_incident_from_its_declaration_to_its_end() -> Result<()> {
    let town = Town::open(Leg::Stamping, "plugin-incident")?;
    town.runbook(&room("room"))?;
    let bind = ["create", "rolebinding", "scribe", "--clusterrole=firstaid-scribe", "--user=bob"];
    town.kubectl("root", &bind)?.ok()?;
    let bob = |args: &[&str]| firstaid(&town, "bob", args);
    let declare = [
        "incident",
        "declare",
        "inc-7f3",
        "--summary",
        "checkout answers slowly",
        "--severity",
        "SEV2",
        "--service",
        "checkout",
    ];
    let out = poll("the right to be known", WITHIN, || bob(&declare)?.ended(0))?;
    ensure!(out.starts_with("incident/inc-7f3 declared, detected "), "{out}");
    bob(&["incident", "ack", "inc-7f4"])?.refused(1, "there is no Incident inc-7f4")?;
    bob(&["incident", "ack", "inc-7f3"])?.ended(0)?;
    bob(&["incident", "ack", "inc-7f3"])?.refused(2, "already; to correct that, say why")?;
    bob(&["incident", "ack", "inc-7f3", "--at", "2026-11-22T14:06:02Z", "--source", "the pager"])?.ended(0)?;
    let run = made(
        &firstaid(&town, "alice", &["run", "room", "--reason", "queue grows", "--incident", "inc-7f3"])?.ended(0)?,
    )?;
    town.wait_phase(&run, "Waiting")?;
    town.approve("bob", &run)?;
    town.wait_phase(&run, "Succeeded")?;
    bob(&["note", "inc-7f3", "the", "queue", "shrinks", "--source", "graph of the queue"])?.ended(0)?;
    bob(&["note", "inc-7f3", "it is quiet", "--link", "ftp://x"])?.refused(1, "")?;
    let out = bob(&[
        "follow-up",
        "add",
        "inc-7f3",
        "Alert on the queue",
        "--kind",
        "detect",
        "--owner",
        "checkout",
        "--due",
        "2020-01-01",
    ])?
    .ended(0)?;
    ensure!(out.contains("follow-up fu-1 added"), "{out}");
    let out = bob(&["follow-up", "list", "inc-7f3"])?.ended(0)?;
    ensure!(out.contains("Open, OVERDUE") && out.contains("Alert on the queue"), "{out}");
    bob(&["follow-up", "done", "inc-7f3", "fu-2"])?.refused(1, "there is no follow-up fu-2; there is: fu-1")?;
    bob(&["follow-up", "drop", "inc-7f3", "fu-1"])?.refused(2, "say why it is dropped")?;
    bob(&["follow-up", "done", "inc-7f3", "fu-1"])?.ended(0)?;
    bob(&["retro", "ask", "inc-7f3", "--only", "5", "--answer", "on the queue, too", "--as-role", "on-call"])?
        .ended(0)?;
    let stored = town.get("inc", "inc-7f3")?;
    ensure!(text(&stored, "/spec/notes/0/text") == "the queue shrinks", "{stored:#}");
    ensure!(text(&stored, "/spec/answers/0/text") == "on the queue, too", "{stored:#}");
    ensure!(text(&stored, "/spec/milestones/acknowledged/corrected").contains("the pager"), "{stored:#}");
    written_up(&town)?;
    bob(&["incident", "mitigated", "inc-7f3"])?.ended(0)?;
    bob(&["incident", "close", "inc-7f3"])?.refused(1, "first aid is still in place")?;
    poll("the operator to look", WITHIN, || {
        bob(&["incident", "close", "inc-7f3", "--accept-in-place", "until Monday"])?.ended(0)
    })?;
    Ok(())
}

fn written_up(town: &Town) -> Result<()> {
    let line = firstaid(town, "bob", &["timeline", "inc-7f3"])?.ended(0)?;
    ensure!(line.starts_with("TIME (UTC)") && line.contains("the queue shrinks"), "{line}");
    let retro = firstaid(town, "bob", &["retro", "inc-7f3"])?.ended(0)?;
    ensure!(retro.contains("checkout answers slowly") && !retro.contains("bob"), "{retro}");
    let missing = firstaid(town, "bob", &["retro", "check", "inc-7f3", "--strict"])?;
    ensure!(
        missing.code == 1
            && missing.out.contains("question 1 has no answer")
            && !missing.out.contains("question 5 has"),
        "{missing:?}"
    );
    let path = town.sandbox.data().join(format!("{}-export.jsonl", town.namespace));
    let said = firstaid(town, "bob", &["export", "inc-7f3", "--out", &path.to_string_lossy()])?;
    ensure!(said.code == 0 && said.err.contains(" objects, sha256:"), "{said:?}");
    let sound = firstaid(town, "bob", &["verify", "-f", &path.to_string_lossy()])?.ended(0)?;
    ensure!(sound.contains("chain unbroken"), "{sound}");
    firstaid(town, "bob", &["export", "inc-0"])?.refused(1, "there is: inc-7f3")?;
    Ok(())
}

/// Whatever stands in a reason is a text, on one line.
#[test]
fn what_a_stranger_wrote_does_nothing_to_a_terminal() -> Result<()> {
    let town = Town::open(Leg::Stamping, "plugin-strange")?;
    town.runbook(&room("room"))?;
    let strange = "\u{1b}[2J\u{1b}]0;owned\u{7}\nerror: nothing\r\u{202e}off <- on\u{9b}31m";
    let run = made(&firstaid(&town, "alice", &["run", "room", "--reason", strange])?.ended(0)?)?;
    town.wait_phase(&run, "Waiting")?;
    let ballot = town.ballot(&run)?;
    let name = text(&ballot, "/metadata/name");
    for args in [
        vec![],
        vec!["approvals"],
        vec!["show", name],
        vec!["get", "run", &run],
        vec!["get", "run"],
        vec!["get", "run", &run, "-o", "json"],
        vec!["get", "run", &run, "-o", "yaml"],
        vec!["get", "run", &run, "-o", "jsonpath={.spec.reason}"],
        vec!["status", "run", &run, "--watch=false"],
    ] {
        let out = firstaid(&town, "bob", &args)?.ended(0)?;
        let bad: Vec<char> = out.chars().filter(|c| *c != '\n' && firstaid::api::line::is_unsafe(*c)).collect();
        ensure!(bad.is_empty(), "{args:?} let through {bad:?}: {out:?}");
        ensure!(!out.lines().any(|line| line.starts_with("error: nothing")), "{args:?}: {out}");
    }
    let json: Value = serde_json::from_str(&firstaid(&town, "bob", &["get", "run", &run, "-o", "json"])?.ended(0)?)?;
    ensure!(text(&json, "/spec/reason") == strange, "JSON has the very text: {json:#}");
    firstaid(&town, "bob", &["abort", &run, "--reason", "enough"])?.ended(0)?;
    Ok(())
}
