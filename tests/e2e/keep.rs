//! The archive and retention: evidence goes to a file, and leaves the cluster only where that is wanted, only after its
//! time, and only while the file holds exactly the same.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use firstaid_sandbox::{Output, poll};
use serde_json::Value;

use crate::runs::{runbook, runbook_with};
use crate::town::{Leg, Town, WITHIN, text};
use crate::verify::verify;

const RESTART: &str = "name: restart, gate: on-call, restart: {target: {kind: Deployment, name: checkout}}";
const SCALE: &str = "name: scale-out, gate: on-call, scale: {target: {kind: Deployment, name: checkout}, by: 1}";

/// A directory for an archive, which goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("firstaid-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }

    fn argument(&self) -> String {
        format!("--archive={}", self.0.display())
    }

    /// The file of a run that is there.
    fn file_of(&self, town: &Town, run: &str) -> Result<PathBuf> {
        let uid = text(&town.get("rbr", run)?, "/metadata/uid").to_owned();
        Ok(self.0.join(&town.namespace).join(format!("{run}-{uid}.jsonl")))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A gate that opens to whoever asked when nobody else decides for a second.
fn lonely() -> String {
    let step = RESTART.replace("on-call", "night");
    runbook_with("lonely", "", &[&step])
        .replace("name: on-call, requires: [{role: sre}]", "name: night, requires: [{role: sre}], aloneAfter: 1s")
}

/// A run that bob approves.
fn done(town: &Town, runbook: &str, run: &str) -> Result<()> {
    town.start(runbook, run)?;
    town.approve("bob", run)?;
    town.wait_phase(run, "Succeeded")?;
    Ok(())
}

/// A run that alice decides alone.
fn alone(town: &Town, run: &str) -> Result<()> {
    town.start("lonely", run)?;
    town.wait_held(run, "alice may decide too, since nobody else has")?;
    town.approve("alice", run)?;
    town.wait_phase(run, "Succeeded")?;
    Ok(())
}

/// Waits until a file passes `firstaid verify` by itself, and gives the line that it prints.
fn sound(town: &Town, file: &Path) -> Result<String> {
    poll(&format!("{} to be there and sound", file.display()), WITHIN, || {
        let (code, said) = verify(town, "bob", &["-f", &file.to_string_lossy()])?;
        ensure!(code == 0, "{code}: {said}");
        Ok(said)
    })
}

/// What the file has of the run, or of another kind.
fn in_file(file: &Path, kind: &str) -> Result<Vec<Value>> {
    let text_of = std::fs::read_to_string(file)?;
    let objects: Result<Vec<Value>, _> = text_of.lines().map(serde_json::from_str).collect();
    Ok(objects?.into_iter().filter(|object| text(object, "/kind") == kind).collect())
}

/// How much of a run is in the cluster: runs, ballots, records.
fn left(town: &Town, run: &str) -> Result<[usize; 3]> {
    let count = |kind: &str, pointer: &str| -> Result<usize> {
        Ok(town.list(kind)?.iter().filter(|object| text(object, pointer) == run).count())
    };
    Ok([count("rbr", "/metadata/name")?, count("apv", "/spec/request/run")?, count("arec", "/spec/run")?])
}

/// Waits for a line of the operator's log about this run.
fn logged(town: &Town, message: &str, run: &str) -> Result<Value> {
    let log = town.operator.as_ref().context("an operator")?.log_path().to_owned();
    poll(&format!("{message:?} of {run} in the log"), WITHIN, || {
        let lines = std::fs::read_to_string(&log)?;
        let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut of_run = lines.filter(|line| text(line, "/message") == message && text(line, "/run") == run);
        of_run.next_back().context("there is none")
    })
}

#[test]
fn nothing_is_removed_that_nothing_keeps() -> Result<()> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_firstaid"));
    let output = Output::of(command.args(["operator", "--keep-for=90d"]).env_remove("FIRSTAID_ARCHIVE"))?;
    let sentence =
        "--keep-for removes evidence that the archive holds, and there is no archive: name a directory with --archive";
    ensure!(!output.success() && output.stderr.contains(sentence), "{}", output.stderr);
    Ok(())
}

#[test]
fn evidence_goes_to_the_archive_and_stays_in_the_cluster() -> Result<()> {
    let folder = Folder::new("archive")?;
    let mut town = Town::empty(Leg::Stamping, "archive")?;
    town.sandbox.open_shop(&town.namespace)?;
    town.runbook(&(runbook("again", &[RESTART]) + &lonely()))?;
    // An archive that is not there stops nothing; and what ended before it was there is found later.
    town.start_operator_with(&[&format!("{}/mounted", folder.argument())])?;
    done(&town, "again", "before")?;
    an_archive_that_is_away_is_counted(&town)?;
    town.kill_operator()?;
    town.start_operator_with(&[&folder.argument()])?;
    let head = text(&town.get("rbr", "before")?, "/status/recordHead").to_owned();
    let file = folder.file_of(&town, "before")?;
    assert_eq!(sound(&town, &file)?, format!("before: 1 record, chain unbroken, head {head}\n"));

    done(&town, "again", "after")?;
    let file = folder.file_of(&town, "after")?;
    sound(&town, &file)?;
    assert_eq!((in_file(&file, "Approval")?.len(), in_file(&file, "ActionRecord")?.len()), (1, 1));
    let (namespace, path) = (town.namespace.clone(), file.to_string_lossy().into_owned());
    let (code, said) = verify(&town, "bob", &["-n", &namespace, "--run", "after", "-f", &path])?;
    assert_eq!(code, 0, "the cluster against the file: {said}");

    town.start("again", "denied")?;
    town.wait_phase("denied", "Waiting")?;
    let ballot = town.ballot("denied")?;
    town.mark("bob", text(&ballot, "/metadata/name"), "deny=wrong service")?.ok()?;
    town.wait_phase("denied", "Denied")?;
    let file = folder.file_of(&town, "denied")?;
    assert_eq!(sound(&town, &file)?, "denied: 0 records\n");
    assert_eq!(text(&in_file(&file, "Approval")?[0], "/metadata/annotations/deny"), "wrong service");

    a_ratification_is_added(&town, &folder)?;
    for (run, objects) in [("before", [1, 1, 1]), ("after", [1, 1, 1]), ("denied", [1, 1, 0]), ("night", [1, 2, 1])] {
        logged(&town, "evidence stays in the cluster", run)?;
        assert_eq!(left(&town, run)?, objects, "{run}");
    }
    Ok(())
}

fn an_archive_that_is_away_is_counted(town: &Town) -> Result<()> {
    let message = logged(town, "evidence was not looked after", "before")?;
    ensure!(text(&message, "/error").contains("No such file or directory"), "{message}");
    let (_, metrics) = town.operator.as_ref().context("an operator")?.get("/metrics")?;
    ensure!(metrics.contains("firstaid_errors_total{category=\"archive\"}"), "{metrics}");
    Ok(())
}

fn a_ratification_is_added(town: &Town, folder: &Folder) -> Result<()> {
    alone(town, "night")?;
    let file = folder.file_of(town, "night")?;
    sound(town, &file)?;
    let ratified = || -> Result<String> {
        let run = in_file(&file, "RunbookRun")?.pop().context("a run")?;
        let conditions = run.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
        let condition = conditions.iter().find(|c| text(c, "/type") == "Ratified").context("Ratified")?;
        Ok(text(condition, "/status").to_owned())
    };
    assert_eq!(ratified()?, "False");
    let name = text(&town.get("rbr", "night")?, "/status/ratification").to_owned();
    let mark = format!("approve={} it was right", text(&town.get("apv", &name)?, "/spec/request/code"));
    town.mark("bob", &name, &mark)?.ok()?;
    poll("the ratification to be in the file", WITHIN, || {
        ensure!(ratified()? == "True", "not yet");
        let ballots = in_file(&file, "Approval")?;
        ensure!(ballots.iter().any(|b| text(b, "/metadata/annotations/approve").ends_with("it was right")), "no vote");
        Ok(())
    })?;
    sound(town, &file)?;
    Ok(())
}

#[test]
fn evidence_leaves_the_cluster_when_the_archive_holds_it() -> Result<()> {
    let folder = Folder::new("retention")?;
    let values = [("archive.persistentVolumeClaim.claimName", "evidence"), ("retention.days", "1")];
    let mut town = Town::open_alone_with(Leg::Stamping, "keep", &values, &[&folder.argument()])?;
    town.archive = Some(folder.0.join(&town.namespace));
    town.runbook(&(runbook("again", &[RESTART]) + &runbook("more", &[SCALE]) + &lonely()))?;
    for run in ["first", "half", "spoilt"] {
        done(&town, "again", run)?;
    }
    done(&town, "more", "in-place")?;
    alone(&town, "unratified")?;
    let mut files = Vec::new();
    for run in ["first", "half", "spoilt", "in-place", "unratified"] {
        let file = folder.file_of(&town, run)?;
        files.push((run, sound(&town, &file)?, file));
    }
    town.kill_operator()?;
    let [(_, _, _), (_, _, half), (_, _, spoilt), ..] = files.as_slice() else { bail!("five") };
    let forged = std::fs::read_to_string(spoilt)?.replace("queue grows", "queue grew");
    std::fs::write(spoilt, forged)?;

    dies_in_between(&town, &folder)?;
    // As if it had died after a ballot of another one.
    let ballot = in_file(half, "Approval")?.pop().context("a ballot")?;
    town.kubectl("operator", &["delete", "apv", text(&ballot, "/metadata/name")])?.ok()?;

    town.start_operator_with(&[&folder.argument(), "--keep-for=1s"])?;
    for (run, line, file) in &files[..2] {
        poll(&format!("{run} to be gone"), WITHIN, || {
            let left = left(&town, run)?;
            ensure!(left == [0, 0, 0], "{left:?}");
            Ok(())
        })?;
        let removal = logged(&town, "retention has removed evidence", run)?;
        assert_eq!(text(&removal, "/file"), file.to_string_lossy());
        ensure!(line.contains(text(&removal, "/head")) && !text(&removal, "/head").is_empty(), "{removal} {line}");
        assert_eq!(&sound(&town, file)?, line, "the file alone tells it all");
    }
    let kept = logged(&town, "evidence stays in the cluster", "in-place")?;
    ensure!(text(&kept, "/why").ends_with("tells of something that is still in place"), "{kept}");
    assert_eq!(left(&town, "in-place")?, [1, 1, 1]);
    let kept = logged(&town, "evidence stays in the cluster", "unratified")?;
    assert_eq!(text(&kept, "/why"), "what was decided without a second person was not ratified");
    assert_eq!(left(&town, "unratified")?, [1, 2, 1]);
    a_damaged_file_is_said_and_written_anew_when_it_was_moved_away(&town, spoilt)
}

/// The operator dies when it has removed the first two objects of the first run: the run is still there.
fn dies_in_between(town: &Town, folder: &Folder) -> Result<()> {
    let archive = folder.argument();
    let args = ["--namespaces", &town.namespace, "--lease-name=", &archive, "--keep-for=1s"];
    let binary = Path::new(env!("CARGO_BIN_EXE_firstaid"));
    let env = [("RUST_LOG", "info"), ("FIRSTAID_CRASH_AT", "after-remove:2")];
    let mut operator = town.sandbox.start_operator(binary, &args, &env)?;
    operator.wait_ended(WITHIN)?;
    assert_eq!(left(town, "first")?, [1, 0, 0]);
    Ok(())
}

fn a_damaged_file_is_said_and_written_anew_when_it_was_moved_away(town: &Town, file: &Path) -> Result<()> {
    let message = "the archive differs: nothing of this run is removed, and its file is not written over";
    let said = logged(town, message, "spoilt")?;
    ensure!(text(&said, "/why").starts_with("its file in the archive was changed: record spoilt-"), "{said}");
    let event = poll("an Event on the run", WITHIN, || {
        let events = town.kubectl("root", &["get", "events.events.k8s.io", "-o", "json"])?.ok()?;
        let events: Value = serde_json::from_str(&events)?;
        let of_run =
            |event: &&Value| (text(event, "/regarding/name"), text(event, "/reason")) == ("spoilt", "ArchiveDiffers");
        events
            .pointer("/items")
            .and_then(Value::as_array)
            .and_then(|all| all.iter().find(of_run).cloned())
            .context("none")
    })?;
    assert_eq!(text(&event, "/type"), "Warning");
    assert_eq!(left(town, "spoilt")?, [1, 1, 1]);
    let (code, said) = verify(town, "bob", &["-f", &file.to_string_lossy()])?;
    ensure!(code == 1 && said.contains("was changed"), "it was not written over: {code}: {said}");

    std::fs::rename(file, file.with_extension("spoilt"))?;
    poll("the run to go when its file is whole", WITHIN, || {
        let left = left(town, "spoilt")?;
        ensure!(left == [0, 0, 0], "{left:?}");
        Ok(())
    })?;
    sound(town, file)?;
    Ok(())
}
