//! What `firstaid lint` says of a runbook without a cluster is what a cluster says of it.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use firstaid::lint::{Level, Linter, Report};
use firstaid_sandbox::{Output, repository};
use serde_json::{Value, json};

use crate::bad_input::{refused_runbooks, runbook, stalled_runbooks, with};
use crate::town::{Leg, Town};

const FIRSTAID: &str = env!("CARGO_BIN_EXE_firstaid");

/// What only a cluster can know: who writes it, and what is there.
const OF_A_CLUSTER: [&str; 1] = ["you may not act as service account"];

fn lint(document: &Value) -> Result<Report> {
    Ok(Linter::new(Vec::new())?.lint("runbook.json", &document.to_string()))
}

fn errors(report: &Report) -> Vec<String> {
    let findings = report.findings.iter().filter(|finding| finding.problem.level == Level::Error);
    findings.map(ToString::to_string).collect()
}

#[test]
fn what_the_api_server_refuses_is_told_without_it() -> Result<()> {
    ensure!(errors(&lint(&runbook("good"))?).is_empty(), "the runbook that all others are made from");
    for (pointer, value, sentence) in refused_runbooks() {
        let shown: String = value.to_string().chars().take(60).collect();
        let found = errors(&lint(&with(runbook("bad"), pointer, value))?);
        let of_a_cluster = OF_A_CLUSTER.iter().any(|begins| sentence.starts_with(begins));
        ensure!(found.is_empty() == of_a_cluster, "{pointer} {shown}: wanted \"{sentence}\", got {found:#?}");
        let longest = found.iter().map(String::len).max().unwrap_or_default();
        ensure!(found.len() <= 3 && longest < 2000, "{pointer} {shown}: nobody reads this: {found:#?}");
    }
    // And what only the operator would have said, once the runbook is there.
    for (name, runbook, reason, sentence) in
        stalled_runbooks().into_iter().filter(|(_, _, reason, _)| *reason == "Invalid")
    {
        let found = errors(&lint(&runbook)?);
        ensure!(!found.is_empty(), "{name} ({reason}): wanted \"{sentence}\"");
    }
    Ok(())
}

/// Texts, since the last word on how a text is read is that of `kubectl`.
const TEXTS: [(&str, &str); 15] = [
    ("as it is", ""),
    ("a boolean that is none", "s/flag: recommendations/flag: on/"),
    ("another one", "s/role: sre/role: no/"),
    ("a short one", "s/role: sre/role: y/"),
    ("a number in eights", "s/count: 1/count: 01/"),
    ("a number that is none", "s/count: 1/count: 1.0.0/"),
    ("a number with an exponent", "s/count: 1/count: 1e0/"),
    ("a fraction", "s/count: 1/count: 1.5/"),
    ("a text for a number", "s/count: 1/count: \"1\"/"),
    ("nothing for a text", "s/owner: team-checkout/owner:/"),
    ("nothing where something must be", "s/summary: .*/summary:/"),
    ("a tab", "s/^  steps:/\\tsteps:/"),
    ("a name in capitals", "s/name: shed-load/name: Shed_Load/"),
    ("another version", "s,firstaid.dev/v1alpha1,firstaid.dev/v1,"),
    ("another kind", "s/kind: Runbook/kind: Runbok/"),
];

#[test]
fn a_text_is_read_as_kubectl_reads_it() -> Result<()> {
    let town = Town::empty(Leg::Stamping, "lint")?;
    let good = std::fs::read_to_string(repository().join("runbooks/shed-load.yaml"))?;
    let linter = Linter::new(Vec::new())?;
    for (what, edit) in TEXTS {
        let text = Output::of_input(Command::new("sed").args(["-e", edit]), &good)?.ok()?;
        ensure!(edit.is_empty() || text != good, "{what}: {edit} changes nothing");
        let args = ["apply", "-n", &town.namespace, "--dry-run=server", "-f", "-"];
        let server = town.sandbox.kubectl_input("author", &args, &text)?;
        let found = errors(&linter.lint("runbook.yaml", &text));
        ensure!(
            found.is_empty() == server.success(),
            "{what}: the API server says: {}{}\nand lint says: {found:#?}",
            server.stdout,
            server.stderr
        );
    }
    // Here it is stricter: kubectl takes the last of two without a word.
    let twice = good.replace("  owner: team-checkout\n", "  summary: again\n");
    let found = errors(&linter.lint("runbook.yaml", &twice));
    ensure!(found.len() == 1 && found[0].contains("stands here for the second time"), "{found:#?}");
    let args = ["apply", "-n", &town.namespace, "--dry-run=server", "-f", "-"];
    town.sandbox
        .kubectl_input("author", &args, &twice)?
        .ok()
        .context("kubectl refuses it now, too: say so in the sentence")?;
    Ok(())
}

#[test]
fn the_runbooks_of_this_repository_are_clean_for_both() -> Result<()> {
    let town = Town::empty(Leg::Stamping, "lint-clean")?;
    let folder = repository().join("runbooks");
    let mut command = Command::new(FIRSTAID);
    let output = Output::of(command.args(["lint", "--strict", "--roles", "sre,db-owner", "-f"]).arg(&folder))?;
    ensure!(output.success(), "{}{}", output.stdout, output.stderr);
    ensure!(output.stdout.trim() == "3 runbooks in 3 files: 0 errors, 0 warnings", "{}", output.stdout);
    let args = ["apply", "-n", &town.namespace, "--dry-run=server", "-f", &folder.to_string_lossy()];
    town.sandbox.kubectl_run("author", &args)?.ok().context("the API server takes them")?;
    Ok(())
}

#[test]
fn the_exit_code_is_for_a_pipeline() -> Result<()> {
    let good = std::fs::read_to_string(repository().join("runbooks/shed-load.yaml"))?;
    for (input, args, code) in [
        (good.clone(), &["-f", "-"][..], 0),
        (good.replace("gate: on-call", "gate: oncall"), &["-f", "-"], 1),
        (good.clone(), &["-f", "-", "--roles", "admin"], 1),
        ("kind: ConfigMap\napiVersion: v1\n".to_owned(), &["-f", "-"], 2),
        (good, &["-f", "nowhere.yaml"], 2),
        (String::new(), &[], 2),
    ] {
        let output = Output::of_input(Command::new(FIRSTAID).arg("lint").args(args), &input)?;
        let said = format!("{args:?}: {}{}", output.stdout, output.stderr);
        ensure!(output.status.code() == Some(code), "wanted {code}, got {:?}: {said}", output.status.code());
        ensure!(
            code == 0 || said.contains(": error: ") || said.contains("firstaid: ") || said.contains("--filename"),
            "{said}"
        );
    }
    Ok(())
}

/// `| head`, or a full disk.
#[test]
fn whoever_stops_reading_is_no_error_and_a_full_disk_is_one() -> Result<()> {
    let bad = repository().join("runbooks");
    for program in [FIRSTAID, env!("CARGO_BIN_EXE_kubectl-firstaid")] {
        let command = || {
            let mut command = Command::new(program);
            command.args(["lint", "--roles", "nobody", "-f"]).arg(&bad).stderr(Stdio::piped());
            command
        };
        let mut unread = command().stdout(Stdio::piped()).spawn()?;
        drop(unread.stdout.take());
        let unread = unread.wait_with_output()?;
        let said = String::from_utf8_lossy(&unread.stderr);
        ensure!(unread.status.code() == Some(1) && said.is_empty(), "{program}: {unread:?}");
        let full = command().stdout(std::fs::File::create("/dev/full")?).output()?;
        let said = String::from_utf8_lossy(&full.stderr);
        ensure!(full.status.code() == Some(2) && said.contains("writing to standard output"), "{program}: {full:?}");
    }
    Ok(())
}

/// Values that somebody may have typed in a place where another one belongs.
fn typed() -> Vec<Value> {
    vec![
        Value::Null,
        json!(""),
        json!(" "),
        json!("None"),
        json!("on-call"),
        json!("ten"),
        json!("${params.replicas}"),
        json!("${params.service}"),
        json!("x-${params.service}"),
        json!("50%"),
        json!("5m"),
        json!("1h30m"),
        json!("169h"),
        json!("soon"),
        json!("UPPER case/with.all"),
        json!("a".repeat(41)),
        json!("a".repeat(300)),
        json!(0),
        json!(-1),
        json!(7),
        json!(1.5),
        json!(10_000_000),
        json!(true),
        json!([]),
        json!({}),
        json!(["a"]),
        json!({"a": "b"}),
    ]
}

/// Every place of a document, as JSON pointers.
fn places(value: &Value, here: &str, found: &mut Vec<String>) {
    let below: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (format!("{here}/{name}"), value)).collect(),
        Value::Array(items) => {
            items.iter().enumerate().map(|(index, value)| (format!("{here}/{index}"), value)).collect()
        }
        _ => Vec::new(),
    };
    for (place, value) in below {
        places(value, &place, found);
        found.push(place);
    }
}

/// A runbook in which every field stands somewhere.
fn full() -> Value {
    let mut full = runbook("full");
    full["spec"]["gates"] = json!([{"name": "on-call", "requires": [{"role": "sre", "count": 2}], "validFor": "15m", "timeout": "1h",
        "reason": "Optional", "selfApproval": "Alone", "aloneAfter": "6m", "coversUndo": "2h", "authorMayApprove": true,
        "allowServiceAccounts": true, "verifiedCredential": true}]);
    full["spec"]["steps"][0]["revertAfter"] = json!("1h");
    full["spec"]["steps"][0]["autoRevert"] = json!(true);
    full["spec"]["steps"][0]["scale"]["min"] = json!(2);
    full["spec"]["steps"][0]["scale"]["max"] = json!(20);
    full["spec"]["steps"][1]["when"] = json!("steps['out'].ok");
    full["spec"]["steps"][1]["timeout"] = json!("2m");
    full["spec"]["steps"][1]["onFailure"] = json!("Continue");
    full["spec"]["steps"][2]["check"]["within"] = json!("5m");
    full["spec"]["steps"][2]["check"]["holdFor"] = json!("2s");
    full["spec"]["whenToUse"] = json!("often");
    full["spec"]["serviceAccountName"] = json!("firstaid");
    full
}

/// Whatever is typed at whatever place: what the API server refuses is told without it.
#[test]
fn whatever_is_typed_the_api_server_refuses_nothing_that_was_not_told() -> Result<()> {
    let town = Town::empty(Leg::Stamping, "lint-typed")?;
    let mut all = Vec::new();
    places(&full()["spec"], "/spec", &mut all);
    let typed = typed();
    let cases: Vec<(String, Value)> = all
        .iter()
        .flat_map(|place| typed.iter().map(move |value| (place.clone(), value.clone())))
        .filter(|(place, value)| full().pointer(place) != Some(value))
        .collect();
    // All of it takes many minutes: each day another part, or as many as are asked for (1: all).
    let every = std::env::var("FIRSTAID_LINT_EVERY").ok().and_then(|every| every.parse().ok()).unwrap_or(40);
    #[allow(clippy::disallowed_methods, reason = "each day another part of them")]
    let day = usize::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs() / 86_400)?;
    let chosen: Vec<(usize, &(String, Value))> =
        cases.iter().enumerate().filter(|(index, _)| (index + day).is_multiple_of(every)).collect();
    let (mut missed, mut more) = (Vec::new(), Vec::new());
    for some in chosen.chunks(60) {
        let mut text = String::new();
        let mut told = Vec::new();
        for (index, (place, value)) in some {
            let mut changed = full();
            changed["metadata"]["name"] = json!(format!("typed-{index}"));
            *changed.pointer_mut(place).context("a place")? = value.clone();
            told.push(errors(&lint(&changed)?));
            text.push_str(&format!("---\n{changed}\n"));
        }
        let args = ["create", "-n", &town.namespace, "--dry-run=server", "-f", "-"];
        let output = town.sandbox.kubectl_input("author", &args, &text)?;
        for ((index, (place, value)), told) in some.iter().zip(told) {
            let taken = output.stdout.contains(&format!("/typed-{index} created"));
            let what = format!("{place} {}", value.to_string().chars().take(60).collect::<String>());
            // Whether the author may act as another ServiceAccount only the cluster knows.
            if !taken && told.is_empty() && place != "/spec/serviceAccountName" {
                missed.push(what);
            } else if taken && !told.is_empty() {
                more.push(format!("{what}: {}", told.join("")));
            }
        }
    }
    ensure!(missed.is_empty(), "the API server refuses, and lint says nothing of it: {missed:#?}");
    // What it says beyond that is what the rehearsal would say.
    println!("{} cases; lint alone speaks of {}:\n{}", chosen.len(), more.len(), more.join("\n"));
    Ok(())
}
