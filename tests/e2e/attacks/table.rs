//! The table of attacks: in `docs/security.md` as the rows say, in `target/attacks.md` as it was last seen.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{By, ROWS, Row, Seen, Sees};
use crate::town::Leg;

/// The chart's policies that refuse something.
pub const POLICIES: &[&str] = &[
    "firstaid-ballot",
    "firstaid-one-vote",
    "firstaid-run",
    "firstaid-evidence",
    "firstaid-namespace",
    "firstaid-crds",
    "firstaid-runbook",
    "firstaid-token",
    "firstaid-home",
];

const HEAD: &str = "| # | Attack | Who | Types | Refused by | Sees |\n|---|---|---|---|---|---|\n";

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn folder() -> PathBuf {
    repository().join("target/attacks")
}

/// Writes down what was seen in a group of rows.
pub fn keep<'a>(group: &str, seen: impl Iterator<Item = (&'a str, &'a Seen)>) -> Result<()> {
    let lines: BTreeMap<&str, Value> =
        seen.map(|(id, seen)| (id, json!({"by": name(seen.by), "says": seen.says}))).collect();
    std::fs::create_dir_all(folder())?;
    Ok(std::fs::write(folder().join(format!("{group}.json")), serde_json::to_string_pretty(&lines)?)?)
}

/// Who refuses, in the words of the table.
fn name(by: By) -> String {
    match by {
        By::Policy(policy) => format!("policy {policy}"),
        By::Kind => "rule of the kind".to_owned(),
        By::Rbac => "RBAC".to_owned(),
        By::ApiServer => "API server".to_owned(),
        By::Dropped => "nobody: the field is dropped".to_owned(),
        By::Operator => "operator".to_owned(),
        By::Chain => "nobody, but firstaid verify tells".to_owned(),
        By::Nobody => "nobody".to_owned(),
    }
}

/// Rows in the order of their numbers.
fn all() -> Vec<&'static Row> {
    let mut rows: Vec<&Row> = ROWS.iter().flat_map(|group| group.iter()).collect();
    rows.sort_by_key(|row| (row.number(), row.id));
    rows
}

/// A text inside a cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;").replace('\n', "<br>")
}

fn line(row: &Row, stamping: Option<(String, String)>, plain: Option<(String, String)>) -> String {
    let two = |pick: fn(&(String, String)) -> &String| match (&stamping, &plain) {
        (Some(a), Some(b)) if pick(a) == pick(b) => cell(pick(a)),
        (Some(a), Some(b)) => format!("{}<br>*not stamped:* {}", cell(pick(a)), cell(pick(b))),
        (Some(a), None) => cell(pick(a)),
        (None, Some(b)) => format!("*not stamped:* {}", cell(pick(b))),
        (None, None) => String::new(),
    };
    format!(
        "| {} | {} | {} | `{}` | {} | {} |\n",
        row.id,
        cell(row.title),
        row.who,
        row.call.replace('|', "\\|"),
        two(|seen| &seen.0),
        two(|seen| &seen.1)
    )
}

/// The table as the rows want it.
fn wanted() -> String {
    let seen = |row: &Row, leg| row.sees.in_leg(leg).map(|(by, says)| (name(by), says.to_owned()));
    all().iter().fold(HEAD.to_owned(), |table, row| table + &line(row, seen(row, Leg::Stamping), seen(row, Leg::Plain)))
}

/// The table of what was seen, with a complaint for each row that was not played.
fn joined() -> Result<String> {
    let mut found: BTreeMap<(&str, String), (String, String)> = BTreeMap::new();
    for entry in std::fs::read_dir(folder()).context("no attack was tried yet")? {
        let path = entry?.path();
        let file = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let leg = if file.ends_with("-stamping") { "stamping" } else { "plain" };
        let lines: BTreeMap<String, Value> = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
        for (id, seen) in lines {
            let word = |key: &str| seen.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            found.insert((leg, id), (word("by"), word("says")));
        }
    }
    let mut table = HEAD.to_owned();
    for row in all() {
        let seen = |leg: &'static str| found.get(&(leg, row.id.to_owned())).cloned();
        let (stamping, plain) = (seen("stamping"), seen("plain"));
        ensure!(
            row.sees.in_leg(Leg::Stamping).is_none() || stamping.is_some(),
            "{} was not tried where the cluster stamps",
            row.id
        );
        ensure!(row.sees.in_leg(Leg::Plain).is_none() || plain.is_some(), "{} was not tried where it does not", row.id);
        table += &line(row, stamping, plain);
    }
    Ok(table)
}

/// The table that stands in the document.
fn documented() -> Result<String> {
    let document = std::fs::read_to_string(repository().join("docs/security.md"))?;
    let (_, from) = document.split_once("<!-- attacks -->\n").context("where the table begins")?;
    let (table, _) = from.split_once("<!-- end of attacks -->").context("where the table ends")?;
    Ok(table.trim().to_owned() + "\n")
}

#[test]
fn every_row_of_the_threat_model_is_there_once() {
    let rows = all();
    for number in 1..=55 {
        assert!(rows.iter().any(|row| row.number() == number), "there is no row {number}");
    }
    for pair in rows.windows(2) {
        assert_ne!(pair[0].id, pair[1].id, "two rows have the same number");
    }
    for row in rows {
        assert!(!row.title.is_empty() && !row.call.contains('\n'), "{}", row.id);
        let sentences = match row.sees {
            Sees::Both(_, says) | Sees::Stamping(_, says) | Sees::Plain(_, says) => vec![says],
            Sees::Each((_, one), (_, other)) => vec![one, other],
        };
        assert!(sentences.iter().all(|says| !says.is_empty()), "{} says nothing", row.id);
    }
}

#[test]
fn the_table_in_the_document_is_that_of_the_rows() -> Result<()> {
    let (wanted, documented) = (wanted(), documented()?);
    for (wanted, documented) in wanted.lines().zip(documented.lines()) {
        assert_eq!(
            wanted, documented,
            "docs/security.md differs from the rows: run `make attacks` and copy target/attacks.md"
        );
    }
    assert_eq!(wanted.lines().count(), documented.lines().count());
    Ok(())
}

/// What stands in the document, for whoever changes a row: `cargo test --test e2e attacks::table -- --ignored`.
#[test]
#[ignore = "writes docs/security.md from the rows"]
fn write_the_document() -> Result<()> {
    let path = repository().join("docs/security.md");
    let document = std::fs::read_to_string(&path)?;
    let (before, from) = document.split_once("<!-- attacks -->\n").context("where the table begins")?;
    let (_, after) = from.split_once("<!-- end of attacks -->").context("where the table ends")?;
    Ok(std::fs::write(path, format!("{before}<!-- attacks -->\n{}\n<!-- end of attacks -->{after}", wanted()))?)
}

/// The last step of `make attacks`: after all rows were played.
#[test]
#[ignore = "joins what the attacks have left in target/attacks; `make attacks` runs it after them"]
fn the_table_of_what_was_seen() -> Result<()> {
    let table = joined()?;
    std::fs::write(repository().join("target/attacks.md"), &table)?;
    println!("{table}");
    assert_eq!(table, wanted(), "what was seen differs from the rows");
    Ok(())
}
