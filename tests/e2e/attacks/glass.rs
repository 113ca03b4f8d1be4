//! Broken glass: who may open a gate alone, with which words, and what is asked afterwards. In the town of [`super::acts`].

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::By::{Operator, Policy};
use super::Sees::Both;
use super::acts::{replicas, waiting};
use super::{Row, Scene, Seen, in_vain};
use crate::town::text;

pub const ROWS: &[Row] = &[
    Row {
        id: "48a",
        title: "to break the glass without the right",
        who: "alice",
        call: r#"kubectl annotate rbr glass breakglass="the database is down and nobody answers" $BREAKS"#,
        sees: Both(
            Policy("firstaid-run"),
            "you may not break the glass of room; ask somebody who may approve (kubectl get apv -n NAMESPACE), or for the role firstaid-incident-commander in NAMESPACE",
        ),
        play: at_the_glass,
    },
    Row {
        id: "48b",
        title: "to break the glass with every verb on our resources",
        who: "mallory",
        call: r#"kubectl annotate rbr glass breakglass="the database is down and nobody answers" $BREAKS"#,
        sees: Both(
            Policy("firstaid-run"),
            "you may not break the glass of room; ask somebody who may approve (kubectl get apv -n NAMESPACE), or for the role firstaid-incident-commander in NAMESPACE",
        ),
        play: in_vain,
    },
    Row {
        id: "48c",
        title: "to break the glass without saying why",
        who: "commander",
        call: r#"kubectl annotate rbr glass breakglass="it is urgent" $BREAKS"#,
        sees: Both(
            Policy("firstaid-run"),
            r#"say in at least 20 characters why nobody can approve, as in breakglass="the database is down and nobody answers the phone""#,
        ),
        play: in_vain,
    },
    Row {
        id: "48d",
        title: "to break the glass in somebody else's name",
        who: "commander",
        call: r#"kubectl annotate rbr glass breakglass="the database is down and nobody answers" breakglass-by=bob"#,
        sees: Both(Policy("firstaid-run"), "you are commander: write breakglass-by=commander"),
        play: in_vain,
    },
    Row {
        id: "48e",
        title: "to break the glass with the right to: it is done, and is told until somebody else has ratified it",
        who: "commander",
        call: r#"kubectl annotate rbr glass breakglass="the database is down and nobody answers" $BREAKS"#,
        sees: Both(Operator, "BREAK GLASS by commander"),
        play: the_glass_is_broken,
    },
    Row {
        id: "48f",
        title: "to ratify one's own breaking of the glass",
        who: "commander",
        call: r#"kubectl annotate apv $BALLOT approve="$CODE it had to be" $BY"#,
        sees: Both(Policy("firstaid-ballot"), "you (commander) decided this yourself; somebody else must ratify it"),
        play: in_vain,
    },
];

fn at_the_glass(scene: &mut Scene, row: &Row) -> Result<Seen> {
    waiting(scene, "glass")?;
    in_vain(scene, row)
}

fn the_glass_is_broken(scene: &mut Scene, row: &Row) -> Result<Seen> {
    scene.shell(row.who, row.call)?.ok()?;
    let done = scene.town.wait_phase("glass", "Succeeded")?;
    let record = scene.town.only_record("glass")?;
    ensure!(replicas(scene)? == 7, "it is {}", replicas(scene)?);
    let conditions = done.pointer("/status/conditions").and_then(Value::as_array).context("conditions")?;
    let ratified = conditions.iter().find(|c| text(c, "/type") == "Ratified").context("Ratified")?;
    ensure!(text(ratified, "/status") == "False", "{ratified:#}");
    let ballot = scene.town.get("apv", text(&done, "/status/ratification"))?;
    scene.word("BALLOT", text(&ballot, "/metadata/name"));
    scene.word("CODE", text(&ballot, "/spec/request/code"));
    scene.saw(Operator, text(&record, "/spec/approvedBy"))
}
