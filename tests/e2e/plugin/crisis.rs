//! From the start of a run to the undo of what it did, on both kinds of clusters.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{firstaid, made, room};
use crate::runs::runbook;
use crate::town::{Leg, Town, number, text};

fn a_crisis(leg: Leg) -> Result<()> {
    let town = Town::open(leg, "plugin")?;
    let long = [
        "name: out, gate: on-call, scale: {target: {kind: Deployment, name: checkout}, by: 1}",
        "name: never, check: {object: {kind: Deployment, name: checkout}, that: object.spec.replicas == 99, within: 5m}",
    ];
    town.runbook(&(room("room") + &runbook("long", &long)))?;
    let namespace = town.namespace.clone();
    let out =
        firstaid(&town, "alice", &["run", "room", "--reason", "queue grows", "--incident", "inc-7f3"])?.ended(0)?;
    let run = made(&out)?;
    ensure!(out.starts_with(&format!("runbookrun/{run} asked for by alice\n")), "{out}");
    town.wait_phase(&run, "Waiting")?;
    let ballot = town.ballot(&run)?;
    let (name, code) = (text(&ballot, "/metadata/name"), text(&ballot, "/spec/request/code"));

    what_waits(&town, name)?;
    shown(&town, name, code)?;
    no_answer_without_a_plan(&town, name, code)?;

    let approve = ["approve", name, "--reason", "capacity is free", "--plan", code, "--yes"];
    let out = firstaid(&town, "bob", &approve)?.ended(0)?;
    ensure!(out.contains("out: scale Deployment/checkout 4 -> 7"), "the plan is shown first: {out}");
    ensure!(out.contains(&format!("approval/{name} approved by bob (1 of 1)\n")), "{out}");
    ensure!(out.contains(&format!("kubectl firstaid get run {run} -n {namespace} -w")), "{out}");
    firstaid(&town, "dave", &approve)?.refused(7, "already approved by bob at 20")?;

    let out = firstaid(&town, "bob", &["status", "run", &run, "--timeout", "90s"])?.ended(0)?;
    ensure!(out.starts_with(&format!("✔ Succeeded  {run}  after ")), "{out}");
    the_tree(&town, &run, name)?;
    undone(&town, &run)
}

#[test]
fn a_crisis_where_the_cluster_stamps() -> Result<()> {
    a_crisis(Leg::Stamping)
}

#[test]
fn a_crisis_where_people_are_told_to_add_their_names() -> Result<()> {
    a_crisis(Leg::Plain)
}

fn what_waits(town: &Town, name: &str) -> Result<()> {
    let listed = firstaid(town, "bob", &["approvals"])?.ended(0)?;
    let row = listed.lines().find(|line| line.contains(name)).context("a row")?;
    ensure!(row.contains("scale Deployment/checkout 4 -> 7") && row.ends_with("  yes"), "{listed}");
    let own = firstaid(town, "alice", &["approvals"])?.ended(0)?;
    ensure!(own.contains("no: you asked for it"), "{own}");
    for person in ["alice", "carol"] {
        let mine = firstaid(town, person, &["approvals", "--mine"])?.ended(0)?;
        ensure!(mine.starts_with("Nothing waits for you in "), "{person}: {mine}");
    }
    let names = firstaid(town, "bob", &["approvals", "-o", "name"])?.ended(0)?;
    ensure!(names == format!("approval.firstaid.dev/{name}\n"), "{names}");
    let overview = firstaid(town, "bob", &[])?.ended(0)?;
    ensure!(overview.contains("WAITING FOR A DECISION (1, you may decide 1)"), "{overview}");
    ensure!(overview.contains(&format!("kubectl firstaid approve {name} -n {}", town.namespace)), "{overview}");
    Ok(())
}

fn shown(town: &Town, name: &str, code: &str) -> Result<()> {
    let bob = firstaid(town, "bob", &["show", name])?.ended(0)?;
    for words in [
        "out: scale Deployment/checkout 4 -> 7",
        "undo: ",
        "alice",
        "queue grows",
        &format!("--plan {code}"),
        "You (bob) may decide it",
    ] {
        ensure!(bob.contains(words), "{words:?} is missing: {bob}");
    }
    let carol = firstaid(town, "carol", &["show", name])?.ended(0)?;
    ensure!(carol.contains("You (carol) may not decide it: you may not approve runbook room as sre"), "{carol}");
    let json = firstaid(town, "bob", &["show", name, "-o", "jsonpath={.spec.request.code}"])?.ended(0)?;
    ensure!(json.trim() == code, "{json}");
    Ok(())
}

/// Nothing is marked unless the plan was shown and meant, by somebody who may.
fn no_answer_without_a_plan(town: &Town, name: &str, code: &str) -> Result<()> {
    let why = ["--reason", "capacity is free"];
    let with = |more: &[&'static str]| [&["approve", name], &why[..], more].concat();
    firstaid(town, "bob", &with(&[]))?.refused(2, "add --yes")?;
    firstaid(town, "bob", &with(&["--yes", "--plan", "0000"]))?
        .refused(1, "this is not the plan that you looked at")?;
    firstaid(town, "bob", &["ratify", name, "--yes", "--reason", "x"])?.refused(2, "there is nothing to ratify yet")?;
    firstaid(town, "bob", &["approve", name, "--yes"])?.refused(2, "say why: add --reason")?;
    firstaid(town, "bob", &["approve", name, "--yes", "--reason", " "])?.refused(2, "the reason is blank")?;
    firstaid(town, "bob", &["approve", "nothing-1", "--yes", "--reason", "x"])?
        .refused(1, "there is no approval nothing-1")?;
    firstaid(town, "alice", &with(&["--yes"]))?
        .refused(7, "you (alice) asked for this run; somebody else must approve it")?;
    firstaid(town, "mallory", &with(&["--yes"]))?.refused(7, "you may not approve runbook room as sre")?;
    firstaid(town, "viewer", &with(&["--yes"]))?.refused(7, "cannot patch resource \"approvals\"")?;
    // Whoever one says to be counts for nothing unless the server lets one be that.
    firstaid(town, "mallory", &with(&["--yes", "--as", "bob"]))?.refused(7, "cannot impersonate")?;
    let now = town.get("apv", name)?;
    ensure!(
        text(&now, "/spec/request/code") == code && now.pointer("/metadata/annotations/approve").is_none(),
        "{now:#}"
    );
    Ok(())
}

fn the_tree(town: &Town, run: &str, ballot: &str) -> Result<()> {
    let tree = firstaid(town, "bob", &["get", "run", run])?.ended(0)?;
    for words in [
        "Incident:  inc-7f3",
        "✔ Succeeded",
        "├── out",
        "│   └── ",
        ballot,
        "✔ Approved",
        "by bob as sre: capacity is free",
        "└── look",
    ] {
        ensure!(tree.contains(words), "{words:?} is missing: {tree}");
    }
    ensure!(tree.contains("kubectl firstaid revert"), "{tree}");
    let ascii = firstaid(town, "bob", &["get", "run", run, "--icons", "ascii", "--color", "always"])?.ended(0)?;
    ensure!(ascii.is_ascii() && ascii.contains("+ Succeeded") && ascii.contains("`-- "), "{ascii}");
    ensure!(ascii.contains("\u{1b}[32m"), "colours where they are asked for: {ascii}");
    let piped = firstaid(town, "bob", &["get", "run", run, "-w"])?.ended(0)?;
    let words: Vec<&str> = piped.lines().filter_map(|line| line.split_whitespace().nth(3)).collect();
    ensure!(
        words.first() == Some(&"ApprovalAsked") && words.contains(&"Approved") && words.last() == Some(&"Succeeded"),
        "{piped}"
    );
    ensure!(piped.lines().all(|line| line.get(19..20) == Some("Z")), "each line begins with a time: {piped}");
    let listed = firstaid(town, "bob", &["get", "run", "--no-headers"])?.ended(0)?;
    ensure!(listed.lines().count() == 1 && listed.contains(run), "{listed}");
    let json = firstaid(town, "bob", &["get", "run", run, "-o", "json"])?.ended(0)?;
    let json: Value = serde_json::from_str(&json)?;
    ensure!(text(&json, "/status/phase") == "Succeeded", "{json:#}");
    Ok(())
}

fn undone(town: &Town, run: &str) -> Result<()> {
    let left = firstaid(town, "bob", &["in-place"])?.ended(0)?;
    let row = left.lines().find(|line| line.contains("scale Deployment/checkout 4 -> 7")).context("a row")?;
    let record = row.split_whitespace().nth(1).context("a record")?;
    ensure!(row.contains("in place"), "{left}");
    let out = firstaid(town, "alice", &["revert", record, "--reason", "it is over"])?.ended(0)?;
    let undo = made(&out)?;
    ensure!(undo.starts_with(&format!("{run}-undo-")), "{undo}");
    town.wait_phase(&undo, "Waiting")?;
    let ballot = town.ballot(&undo)?;
    let deny = ["deny", text(&ballot, "/metadata/name"), "--reason", "not yet", "--yes"];
    let out = firstaid(town, "bob", &deny)?.ended(0)?;
    ensure!(out.contains("denied by bob"), "{out}");
    let said = firstaid(town, "bob", &["status", "run", &undo, "--timeout", "90s"])?;
    ensure!(said.code == 3 && said.out.contains("bob said no: not yet"), "{said:?}");
    stopped(town, run)
}

fn stopped(town: &Town, run: &str) -> Result<()> {
    let stopped = made(&firstaid(town, "alice", &["revert", run, "--step", "out", "--reason", "now"])?.ended(0)?)?;
    town.wait_phase(&stopped, "Waiting")?;
    firstaid(town, "alice", &["status", "run", &stopped, "--timeout", "2s"])?
        .refused(4, "has not ended in that time; it is Waiting")?;
    let out = firstaid(town, "bob", &["abort", &stopped, "--reason", "wrong service"])?.ended(0)?;
    ensure!(out.contains(&format!("runbookrun/{stopped} is told to stop, by bob")), "{out}");
    let said = firstaid(town, "bob", &["status", "run", &stopped, "--timeout", "90s"])?;
    ensure!(said.code == 6 && said.out.contains("wrong service"), "{said:?}");
    firstaid(town, "bob", &["abort", &stopped, "--reason", "again"])?.refused(7, "it is already told to stop")?;
    ensure!(number(&town.get("deployment", "checkout")?, "/spec/replicas") == 7, "nothing was undone");
    // A run of which something is in place by now: its second step waits for an answer that does not come.
    let long = made(&firstaid(town, "alice", &["run", "long", "--reason", "queue grows"])?.ended(0)?)?;
    town.wait_phase(&long, "Waiting")?;
    town.approve("bob", &long)?;
    town.wait_phase(&long, "Verifying")?;
    let out = firstaid(town, "bob", &["abort", &long, "--reason", "wrong service", "--revert"])?.ended(0)?;
    let undo = out.lines().filter_map(|line| line.strip_prefix("runbookrun/")).nth(1).context("the undo")?;
    ensure!(undo.starts_with(&format!("{long}-undo-")) && undo.ends_with(" asked for by bob"), "{out}");
    let nothing = made(&firstaid(town, "alice", &["run", "room", "--reason", "queue grows"])?.ended(0)?)?;
    town.wait_phase(&nothing, "Waiting")?;
    let out = firstaid(town, "bob", &["abort", &nothing, "--reason", "wrong service", "--revert"])?.ended(0)?;
    ensure!(out.contains("nothing of it is in place: there is nothing to undo"), "{out}");
    Ok(())
}
