//! The story: checkout falls behind, and five people and one operator deal with it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use firstaid_sandbox::{Operator, Sandbox, poll};
use serde_json::Value;

use crate::aftermath;
use crate::alarm::Alarm;
use crate::stage::{Show, Stage, created_name};
use crate::timeline;

/// The namespace in which it happens.
pub const SHOP: &str = "shop";

pub const WITHIN: Duration = Duration::from_secs(60);

/// Tells it, and checks on the way that everything goes as it must. Gives the file with the retrospective.
pub fn tell(stage: &Stage<'_>, sandbox: &Sandbox, operator: &Operator) -> Result<PathBuf> {
    stage.introduces(
        "alice, bob and dave are on call (sre). carol owns the databases (db-owner). author writes runbooks. mallory has \
         far too many rights. Each is a user of this API server; all that follows is typed and answered now.",
    );
    prepare(stage)?;
    stage.happens("Crisis: checkout falls behind, and an alert fires");
    let alarm = Alarm::fires(stage, sandbox, operator)?;
    let run = start(stage, &alarm.incident)?;
    let first = read(stage, &run)?;
    refuse(stage, &first)?;
    change(stage, &run, &first)?;
    approve(stage, &run)?;
    show_record(stage, &run)?;
    timeline::show(stage, &run)?;
    alarm.ends(stage)?;
    aftermath::write_down(stage, &alarm.incident)?;
    aftermath::undo(stage, &run)?;
    aftermath::retrospective(stage, &alarm.incident)
}

/// A ballot, as far as the story needs it.
pub struct Ballot {
    pub name: String,
    pub code: String,
}

fn prepare(stage: &Stage<'_>) -> Result<()> {
    stage.happens("In calm times: the namespace shop gets a runbook");
    let onboard =
        "firstaid onboard -n shop --impersonation constrained --from runbooks/shed-load.yaml | kubectl apply -f -";
    stage.does("root", onboard, Show::All)?;
    stage.means("The operator may now act as shop/firstaid, which may do what this runbook needs and nothing else.");
    stage.does("author", "kubectl apply -n shop -f runbooks/shed-load.yaml", Show::All)?;
    stage.does("author", "kubectl wait -n shop rbk/shed-load --for=condition=Ready --timeout=60s", Show::All)?;
    stage.does("author", "kubectl get rbk -n shop", Show::Table)?;
    stage.means("READY: each step was rehearsed on this cluster, without changing anything, and would work now.");
    Alarm::allow(stage)
}

fn start(stage: &Stage<'_>, incident: &str) -> Result<String> {
    aftermath::declare(stage, incident)?;
    stage.happens("alice starts the runbook");
    stage.does("alice", "kubectl get deployment -n shop checkout", Show::Table)?;
    let line =
        stage.does("alice", "kubectl get rbk -n shop shed-load -o jsonpath={.status.startCommand}", Show::Table)?;
    stage.expect(line.contains("\"WHY\""), "the line to paste asks why")?;
    stage.means("One line to paste. She fills in WHY, and adds the key of the incident:");
    let why = format!("queue grows, 5xx at 4%\",\"incident\":\"{incident}");
    let created = stage.does("alice", &line.replace("WHY", &why), Show::All)?;
    let run = created_name(&created)?;
    waits_for_people(stage, &run, 1)?;
    stage.does("alice", "kubectl get rbr -n shop", Show::Table)?;
    stage.expect(replicas(stage)? == 4, "nothing is done before an approval")?;
    stage.means("The run has made its plan and waits for a person. Nothing is changed yet.");
    Ok(run)
}

fn read(stage: &Stage<'_>, run: &str) -> Result<Ballot> {
    stage.happens("bob reads what exactly would be done");
    stage.does("bob", "kubectl get apv -n shop", Show::Table)?;
    let ballot = ballot(stage, run, 1)?;
    let text =
        stage.does("bob", &format!("kubectl describe apv -n shop {}", ballot.name), Show::Part("Effects:", "code:"))?;
    for words in ["flag recommendations true -> false", "scale Deployment/checkout 4 -> 10", "undo: ", "by hand: "] {
        stage.expect(text.contains(words), &format!("the ballot says: {words}"))?;
    }
    stage.means("Every effect, on what it rests, its undo, and the command that does the same by hand.");
    stage.means("The code stands under the plan: whoever approves with it has had the plan before them.");
    Ok(ballot)
}

fn refuse(stage: &Stage<'_>, ballot: &Ballot) -> Result<()> {
    stage.happens("The wrong people try, and the API server refuses them");
    let Ballot { name, code } = ballot;
    let vote = |why: &str| format!("kubectl annotate apv -n shop {name} approve=\"{code} {why}\"");
    stage.is_refused("alice", &vote("it is urgent"), "somebody else must approve it")?;
    stage.means("alice may approve in general, but not what she asked for herself.");
    stage.is_refused("carol", &vote("fine with me"), "you may not approve runbook shed-load as sre")?;
    stage.means("carol is a db-owner. This gate wants an sre.");
    stage.is_refused(
        "mallory",
        &format!("{} by=bob", vote("looks good")),
        "you may not approve runbook shed-load as sre",
    )?;
    stage.means("mallory has every right on the objects of First Aid, and signs as bob. It does not help.");
    Ok(())
}

fn change(stage: &Stage<'_>, run: &str, first: &Ballot) -> Result<()> {
    stage.happens("Meanwhile dave, who knows nothing of the run, rolls out new flags");
    stage.does("dave", "kubectl apply -n shop -f tests/sandbox/flags-2.yaml", Show::All)?;
    let flags = format!("kubectl get configmap -n shop shop-flags -o jsonpath={FLAGS}");
    stage.does("dave", &flags, Show::All)?;
    stage.means(
        "recommendations was true or false. Now it has variants, on and off: the plan that bob read is out of date.",
    );
    stage.does("bob", &approval(first, "queue grows, the nodes have room"), Show::All)?;
    waits_for_people(stage, run, 2)?;
    poll("the old ballot to be superseded", WITHIN, || {
        let state =
            stage.asks("root", &format!("kubectl get apv -n shop {} -o jsonpath={{.status.state}}", first.name))?;
        ensure!(state == "Superseded", "it is {state}");
        Ok(())
    })?;
    stage.does("bob", "kubectl get apv -n shop", Show::Table)?;
    stage.expect(replicas(stage)? == 4, "a void plan scales nothing")?;
    stage.expect(
        stage.asks("root", &flags)?.contains("\"defaultVariant\": \"on\""),
        "a void plan leaves the flag alone",
    )?;
    stage.means(
        "Right before acting the operator looked again: not what bob approved. So it did nothing and asks anew.",
    );
    let second = ballot(stage, run, 2)?;
    stage.expect(second.code != first.code, "another effect has another code")?;
    let old_code = Ballot { name: second.name, code: first.code.clone() };
    stage.is_refused("bob", &approval(&old_code, "as I said"), "the code does not match this plan")?;
    stage.means("An approval is for one exact effect. The old code opens nothing.");
    Ok(())
}

fn approve(stage: &Stage<'_>, run: &str) -> Result<()> {
    stage.happens("bob reads the new plan and approves it, with plain kubectl");
    let ballot = ballot(stage, run, 2)?;
    stage.does("bob", &format!("kubectl describe apv -n shop {}", ballot.name), Show::Part("Effects:", "code:"))?;
    stage.does("bob", &approval(&ballot, "queue grows, the nodes have room"), Show::All)?;
    stage.does(
        "alice",
        &format!("kubectl wait -n shop rbr/{run} --for=condition=Finished --timeout=60s"),
        Show::All,
    )?;
    stage.does("alice", "kubectl get rbr -n shop", Show::Table)?;
    let phase = stage.asks("root", &format!("kubectl get rbr -n shop {run} -o jsonpath={{.status.phase}}"))?;
    stage.expect(phase == "Succeeded", &format!("the run succeeds (it is {phase})"))?;
    stage.does("alice", "kubectl get deployment -n shop checkout", Show::Table)?;
    stage.expect(replicas(stage)? == 10, "checkout has 10 pods")?;
    let flags =
        stage.does("alice", &format!("kubectl get configmap -n shop shop-flags -o jsonpath={FLAGS}"), Show::All)?;
    stage.expect(flags.contains("\"defaultVariant\": \"off\""), "the flag is off")?;
    stage.expect(flags.contains("\"share\": 25"), "the rest of the flag file is untouched")?;
    stage.means(
        "10 pods are ready, the flag is off, the rest of the file is as dave left it. Each was read back and checked.",
    );
    Ok(())
}

fn show_record(stage: &Stage<'_>, run: &str) -> Result<()> {
    stage.happens("The record: who, what, when, why, before and after");
    stage.does("viewer", "kubectl get arec -n shop --sort-by=.spec.seq", Show::Table)?;
    let records = timeline::objects(stage, "arec", run)?;
    let scaled = records.iter().find(|record| record.pointer("/spec/action") == Some(&Value::from("scale")));
    let scaled = scaled.context("there is a record of the scaling")?;
    for (pointer, value) in [
        ("/spec/requestedBy/username", Value::from("alice")),
        ("/spec/approvals/0/by", Value::from("bob")),
        ("/spec/before/replicas", Value::from(4)),
        ("/spec/after/replicas", Value::from(10)),
        ("/spec/verified", Value::from("Yes")),
        ("/status/state", Value::from("InPlace")),
    ] {
        let holds = scaled.pointer(pointer) == Some(&value);
        stage.expect(holds, &format!("the record says {pointer} = {value}"))?;
    }
    stage.expect(records.len() == 3, &format!("three steps, three records (there are {})", records.len()))?;
    let name = scaled.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let fields = ["actedAt", "actor", "after", "approvals", "before", "reason", "requestedBy", "summary", "verified"];
    stage.does("viewer", &format!("kubectl get arec -n shop {name} -o yaml"), Show::Fields(&fields))?;
    stage.means("The API server itself filled in the names, with the credential that each used. Nobody typed them.");
    stage.is_refused(
        "mallory",
        &format!("kubectl delete arec -n shop {name}"),
        "evidence: only first-aid may DELETE actionrecords",
    )?;
    stage.means("Every right on First Aid's objects is not enough to make a record go away.");
    Ok(())
}

/// The flag file, as `kubectl get configmap` is asked for it.
pub const FLAGS: &str = "'{.data.flags\\.json}'";

pub fn approval(ballot: &Ballot, why: &str) -> String {
    format!("kubectl annotate apv -n shop {} approve=\"{} {why}\"", ballot.name, ballot.code)
}

/// Waits until the run waits at its gate with so many plans made, and the ballot of the newest is there.
pub fn waits_for_people(stage: &Stage<'_>, run: &str, plans: usize) -> Result<()> {
    poll("the run to wait for an approval", WITHIN, || {
        let object = timeline::object(stage, "rbr", run)?;
        let made = object.pointer("/status/plans").and_then(Value::as_object).map_or(0, |plans| plans.len());
        let phase = object.pointer("/status/phase").and_then(Value::as_str).unwrap_or_default();
        ensure!(phase == "Waiting" && made == plans, "it is {phase}, with {made} plans");
        ballot(stage, run, plans)
    })?;
    Ok(())
}

pub fn ballot(stage: &Stage<'_>, run: &str, number: usize) -> Result<Ballot> {
    let name = format!("{run}-{number}");
    let code = stage.asks("bob", &format!("kubectl get apv -n shop {name} -o jsonpath={{.spec.request.code}}"))?;
    Ok(Ballot { name, code })
}

pub fn replicas(stage: &Stage<'_>) -> Result<i64> {
    let text = stage.asks("root", "kubectl get deployment -n shop checkout -o jsonpath={.status.readyReplicas}")?;
    text.parse().with_context(|| format!("checkout has {text:?} ready pods"))
}
