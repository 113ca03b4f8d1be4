//! What comes after the crisis: what people know is written down, first aid is undone, the incident is closed, and the
//! retrospective is there.

#![allow(clippy::disallowed_methods, reason = "what people type bears the time of day")]

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use firstaid_sandbox::{poll, repository};
use jiff::{Timestamp, ToSpan, Unit};
use serde_json::Value;

use crate::stage::{Ink, Show, Stage, created_name};
use crate::story::{FLAGS, WITHIN, approval, ballot, replicas, waits_for_people};
use crate::timeline;

/// Where the story's files are, seen from the repository.
const FOLDER: &str = "target/demo";

/// A second person, who does nothing on the cluster, writes down when it began.
pub fn declare(stage: &Stage<'_>, incident: &str) -> Result<()> {
    // Documents of an earlier demo, into which somebody may have written: theirs to lose, as everything in target/ is.
    let folder = repository().join(FOLDER);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).with_context(|| format!("creating {}", folder.display()))?;
    let began = format!("{{\"at\":\"{}\",\"source\":\"graph of the error rate\"}}", before(75)?);
    let began = format!("{{\"spec\":{{\"milestones\":{{\"impactStarted\":{began}}}}}}}");
    stage.does("carol", &format!("kubectl patch inc -n shop {incident} --type=merge -p '{began}'"), Show::All)?;
    stage.means("carol writes things down tonight. It gives her no say in what is done, and nothing waits for it.");
    Ok(())
}

/// What no record can tell, and that nobody closes an incident of which first aid is left.
pub fn write_down(stage: &Stage<'_>, incident: &str) -> Result<()> {
    stage.happens("It is calmer. carol writes down what no record can tell");
    let text = format!(
        "spec:
  impact: Orders took half a minute; one in 25 had to be placed again.
  milestones:
    mitigated: {{at: \"{now}\", source: \"graph of the error rate: 0.4% and falling\"}}
  notes:
  - {{at: \"{seen}\", text: \"The pods of checkout are healthy, the queue behind them grows\", source: dashboard}}
  factors:
  - {{id: no-limit, text: Checkout takes requests into its queue without a limit}}
  - {{id: flags-apart, text: Flags are rolled out by a pipeline that knows of no incident, kind: MadeItHard}}
  - {{id: asked-anew, text: The plan on old flags was void before it did anything, kind: WentWell}}
  links:
  - {{from: no-limit, to: impactStarted, text: let the queue grow}}
  answers:
  - {{question: 1, text: The length of the queue. Nobody could see it., by: on-call}}
  - {{question: 5, text: \"Yes: on the length of the queue, not on what comes of it.\", by: on-call}}
  followUps:
  - {{id: queue-limit, text: Give the queue of checkout a limit, kind: Prevent, owner: team-checkout, due: \"{due}\"}}
  - {{id: queue-alert, text: Alert on the length of the queue, kind: Detect, owner: team-checkout}}
",
        now = before(0)?,
        seen = before(15)?,
        due = (Timestamp::now() + (14 * 24).hours()).strftime("%Y-%m-%d"),
    );
    write("people-know.yaml", &text)?;
    stage.does("carol", &format!("cat {FOLDER}/people-know.yaml"), Show::All)?;
    let patch = format!("kubectl patch inc -n shop {incident} --type=merge --patch-file {FOLDER}/people-know.yaml");
    stage.does("carol", &patch, Show::All)?;
    looked_at(stage, incident, "Mitigated", 2)?;
    stage.does("carol", "kubectl get inc -n shop", Show::Table)?;
    stage.is_refused("carol", &close(incident), "first aid is still in place")?;
    stage.means("Two changes are in place. They are undone first, or somebody says in writing why they stay.");
    Ok(())
}

/// The undo, which is a run like any other.
pub fn undo(stage: &Stage<'_>, run: &str) -> Result<()> {
    stage.happens("alice undoes it, through the same gate");
    let lines = format!(
        "kubectl get rbr -n shop {run} -o jsonpath='{{range .status.nextCommands[*]}}{{@}}{{\"\\n\"}}{{end}}' | grep revertOf"
    );
    let line = stage.does("alice", &lines, Show::All)?;
    stage.means("The run itself holds the line that undoes it. Again she fills in WHY:");
    let created = stage.does("alice", line.trim().replace("WHY", "0.4% for a while").as_str(), Show::All)?;
    let undo = created_name(&created)?;
    waits_for_people(stage, &undo, 1)?;
    let ballot = ballot(stage, &undo, 1)?;
    let asked = format!("kubectl describe apv -n shop {}", ballot.name);
    let text = stage.does("bob", &asked, Show::Part("Effects:", "code:"))?;
    for words in ["scale Deployment/checkout back 10 -> 4", "recommendations back to what it was"] {
        stage.expect(text.contains(words), &format!("the ballot of the undo says: {words}"))?;
    }
    stage.expect(replicas(stage)? == 10, "nothing is undone before an approval")?;
    stage.does("bob", &approval(&ballot, "agreed, watching the queue"), Show::All)?;
    stage.does(
        "alice",
        &format!("kubectl wait -n shop rbr/{undo} --for=condition=Finished --timeout=60s"),
        Show::All,
    )?;
    poll("checkout to be as it was", WITHIN, || {
        let now = replicas(stage)?;
        ensure!(now == 4, "it has {now} pods");
        Ok(())
    })?;
    stage.does("alice", "kubectl get rbr -n shop", Show::Table)?;
    let flags = stage.asks("root", &format!("kubectl get configmap -n shop shop-flags -o jsonpath={FLAGS}"))?;
    stage.expect(flags.contains("\"defaultVariant\": \"on\""), "the flag is on again")?;
    stage.expect(timeline::in_place(stage, run)?.is_empty(), "nothing of the run is in place")?;
    stage.means(
        "checkout has 4 pods and the flag is on, as before. Both records say that they are undone, and by what.",
    );
    Ok(())
}

/// The incident is closed, and the document is made of what is there. Gives the file to look at.
pub fn retrospective(stage: &Stage<'_>, incident: &str) -> Result<PathBuf> {
    stage.happens("The incident is closed, and nobody has to put together from memory what happened");
    let over = format!("{{\"at\":\"{}\",\"source\":\"graph of the error rate: as last week\"}}", before(0)?);
    let resolved = format!(
        "kubectl patch inc -n shop {incident} --type=merge -p '{{\"spec\":{{\"milestones\":{{\"resolved\":{over}}}}}}}'"
    );
    stage.does("carol", &resolved, Show::All)?;
    looked_at(stage, incident, "Resolved", 0)?;
    stage.does("carol", &close(incident), Show::All)?;
    let closed = format!("kubectl wait -n shop inc/{incident} --for=jsonpath={{.status.phase}}=Closed --timeout=60s");
    stage.does("carol", &closed, Show::All)?;
    let (page, text) = (format!("{FOLDER}/retrospective.html"), format!("{FOLDER}/retrospective.md"));
    stage.does("viewer", &format!("firstaid retro {incident} -n shop -o html --out {page}"), Show::All)?;
    stage.does("viewer", &format!("firstaid retro {incident} -n shop -o md --out {text}"), Show::All)?;
    stage.does("viewer", &format!("head -8 {text}"), Show::All)?;
    let page = repository().join(page);
    let (html, markdown) = (read(&page)?, read(&repository().join(text))?);
    for words in [
        "Checkout answers slowly, one order in 25 fails",
        "alert Checkout5xxHigh was told",
        "Checkout5xxHigh has ended",
        "flag recommendations on -",
        "approved after ",
        "the plan was made anew, votes on the old one open nothing",
        "The length of the queue. Nobody could see it.",
        "Give the queue of checkout a limit",
    ] {
        stage.expect(html.contains(words), &format!("the page says: {words}"))?;
        stage.expect(markdown.contains(words), &format!("the text says: {words}"))?;
    }
    stage.expect(markdown.contains("Nothing of it is in place; undone: 2."), "the text says that nothing is left")?;
    stage.expect(markdown.contains("The evidence stands: "), "nothing of the evidence was changed")?;
    for name in ["alice", "bob", "carol"] {
        stage.expect(!html.contains(name) && !markdown.contains(name), &format!("{name} is a role, not a name"))?;
    }
    stage.means(
        "Times with both their ends, who decided what and why, what was tried: from the records. No names: roles.",
    );
    Ok(page)
}

/// Says where the document is.
pub fn say_where(stage: &Stage<'_>, page: &std::path::Path) {
    println!("\n{} {}", stage.ink(Ink::Bold, "The retrospective, in any browser:"), page.display());
}

/// Waits until the operator has looked at the incident as it is now.
fn looked_at(stage: &Stage<'_>, incident: &str, phase: &str, in_place: i64) -> Result<()> {
    poll("the operator to look at the incident", WITHIN, || {
        let incident = timeline::object(stage, "inc", incident)?;
        let status = |field: &str| incident.pointer(&format!("/status/{field}")).cloned().unwrap_or_default();
        let seen = (status("phase"), status("inPlace"));
        ensure!(seen == (Value::from(phase), Value::from(in_place)), "it says {} {}", seen.0, seen.1);
        Ok(())
    })
}

fn close(incident: &str) -> String {
    format!("kubectl patch inc -n shop {incident} --type=merge -p '{{\"spec\":{{\"closed\":{{}}}}}}'")
}

/// The time so many seconds ago, as people note it: to the second.
fn before(seconds: i64) -> Result<Timestamp> {
    (Timestamp::now() - seconds.seconds()).round(Unit::Second).context("rounding a time")
}

fn write(name: &str, text: &str) -> Result<()> {
    let path = repository().join(FOLDER).join(name);
    fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
}

fn read(path: &std::path::Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}
