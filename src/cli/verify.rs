//! `firstaid verify`: whether the evidence of a namespace, or of an export, still stands.
#![allow(clippy::disallowed_types)]

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use kube::{Client, Config};
use serde_json::{Value, json};

use super::stored;
use crate::api::line::one_line;
use crate::api::{ActionRecord, Approval, RUN_LABEL, RunbookRun};
use crate::verify::{Evidence, RunReport, judge};

/// What is verified.
///
/// The cluster, as your kubeconfig says, or a file alone, or (with `-n` and `-f`) the cluster against an older file: every
/// record that is in the file must still be there, unchanged. Such a file is made with:
/// kubectl get rbr,apv,arec -n NAMESPACE -o json > export.json
#[derive(Args, Clone, Debug)]
pub struct VerifyArgs {
    /// The namespace. Default: that of your kubeconfig.
    #[arg(short, long)]
    namespace: Option<String>,
    #[command(flatten)]
    asked: Asked,
}

/// What of it, and how it is printed.
#[derive(Args, Clone, Debug)]
pub struct Asked {
    /// This run alone.
    #[arg(long)]
    run: Option<String>,
    /// An export: a list as kubectl prints it, or objects one a line; `-` is standard input.
    #[arg(short = 'f', long = "file")]
    file: Option<PathBuf>,
    /// For people, or for programs.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// For whom it is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// People.
    Text,
    /// Programs.
    Json,
}

/// How it ends where something is wrong.
const WRONG: u8 = 1;
/// How it ends where that could not be told.
const UNKNOWN: u8 = 2;

/// Prints what was found. 0: all is well, 1: something is wrong, 2: it could not be checked.
pub async fn run(args: &VerifyArgs) -> ExitCode {
    let connected = async {
        let config = Config::infer()
            .await
            .context("finding the API server: is there a kubeconfig? see: kubectl cluster-info")?;
        let namespace = args.namespace.as_deref().unwrap_or(&config.default_namespace).to_owned();
        Ok((Client::try_from(config).context("making a client")?, namespace))
    };
    ExitCode::from(report(&args.asked, args.namespace.is_some(), connected).await)
}

/// The same with a way to a cluster and a namespace, which is gone only where it is needed: where there is no file, or the
/// namespace was `named`. How it ended: 0, 1 or 2.
pub(super) async fn report(
    args: &Asked,
    named: bool,
    connected: impl Future<Output = anyhow::Result<(Client, String)>>,
) -> u8 {
    let reports = match reports(args, named, connected).await {
        Ok(reports) => reports,
        Err(error) => {
            eprintln!("firstaid: {}", one_line(&format!("{error:#}")));
            return UNKNOWN;
        }
    };
    let found: Vec<String> = match args.output {
        Output::Text => reports.iter().flat_map(lines).collect(),
        Output::Json => vec![as_json(&reports).to_string()],
    };
    // Nobody vouches for a file: not a character of it may move the cursor.
    let shown: String = found.iter().map(|line| one_line(line) + "\n").collect();
    if let Err(error) = super::print(&shown) {
        eprintln!("firstaid: {error:#}");
        return UNKNOWN;
    }
    if reports.iter().all(|report| report.findings.is_empty()) { 0 } else { WRONG }
}

async fn reports(
    args: &Asked,
    named: bool,
    connected: impl Future<Output = anyhow::Result<(Client, String)>>,
) -> anyhow::Result<Vec<RunReport>> {
    let file = args.file.as_deref().map(read).transpose()?;
    let mut reports = match file {
        Some(file) if !named => judge(&file, &Evidence::default()),
        file => {
            let (client, namespace) = connected.await?;
            let evidence = live(&client, &namespace).await?;
            let mut export = file.unwrap_or_default();
            for kind in [&mut export.runs, &mut export.ballots, &mut export.records] {
                kind.retain(|object| object.namespace() == namespace);
            }
            judge(&evidence, &export)
        }
    };
    if let Some(run) = &args.run {
        reports.retain(|report| report.run == *run);
        if reports.is_empty() {
            bail!("there is no run {run}, and no record of one; see what there is without --run");
        }
    }
    Ok(reports)
}

fn read(path: &Path) -> anyhow::Result<Evidence> {
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).context("reading standard input")?;
    } else {
        text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    }
    Evidence::read(&text).with_context(|| {
        format!(
            "{} is no export; make one with: kubectl get rbr,apv,arec -n NAMESPACE -o json > export.json",
            path.display()
        )
    })
}

/// The evidence in the cluster.
async fn live(client: &Client, namespace: &str) -> anyhow::Result<Evidence> {
    let (runs, ballots, records) = tokio::join!(
        stored::list::<RunbookRun>(client, namespace),
        stored::list::<Approval>(client, namespace),
        stored::list::<ActionRecord>(client, namespace),
    );
    // Of several refusals always the same is said, not the one that came first.
    let mut evidence = Evidence::default();
    evidence.extend(runs?.into_iter().chain(ballots?).chain(records?));
    Ok(evidence)
}

/// A run in one line, and a line for each finding.
fn lines(report: &RunReport) -> Vec<String> {
    let records = match report.records {
        1 => "1 record".to_owned(),
        number => format!("{number} records"),
    };
    let notes: String = report.notes.iter().map(|note| format!("; {note}")).collect();
    if report.findings.is_empty() {
        let head = if report.records == 0 { String::new() } else { format!(", chain unbroken, head {}", report.head) };
        return vec![format!("{}: {records}{head}{notes}", report.run)];
    }
    let findings = match report.findings.len() {
        1 => "1 finding".to_owned(),
        number => format!("{number} findings"),
    };
    let mut lines = vec![format!("{}: {records}, {findings}{notes}", report.run)];
    lines.extend(report.findings.iter().map(|finding| format!("  {finding}")));
    lines.push(format!(
        "  look with: kubectl get arec -n {} -l {RUN_LABEL}={} -o yaml; the operator's log has a line \"record\" with the hash of each",
        report.namespace, report.run
    ));
    lines
}

fn as_json(reports: &[RunReport]) -> Value {
    let with = |mut whole: Value, key: &str, value: Value| {
        if let Some(fields) = whole.as_object_mut() {
            fields.insert(key.to_owned(), value);
        }
        whole
    };
    let runs: Vec<Value> = reports
        .iter()
        .map(|report| {
            let findings = report.findings.iter().map(|found| with(json!(found), "sentence", json!(found.to_string())));
            let notes = report.notes.iter().map(|note| json!(note.to_string()));
            with(with(json!(report), "findings", findings.collect()), "notes", notes.collect())
        })
        .collect();
    json!({"ok": reports.iter().all(|report| report.findings.is_empty()), "runs": runs})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::tests::sound_as;

    /// With every hash as `sha256:...`, whether it is whole or shortened for a document.
    fn without_digits(text: &str) -> String {
        let mut parts = text.split("sha256:");
        let mut all = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let rest = part.trim_start_matches(|c: char| c.is_ascii_hexdigit());
            let digits = part.len() - rest.len();
            assert!(digits == 64 || (digits > 0 && rest.starts_with("...")), "no hash: {part}");
            all += &format!("sha256:...{}", rest.trim_start_matches("..."));
        }
        all
    }

    /// Two runs, of which one was damaged: what the manual shows is what is printed, in that order.
    #[test]
    fn the_manual_shows_what_is_printed() {
        let mut evidence = sound_as("shed-load-7f3k", "5c0f2a31-uid");
        let damaged = sound_as("more-room-x2x9", "0c41a77b-uid");
        evidence.runs.extend(damaged.runs);
        evidence.ballots.extend(damaged.ballots);
        evidence.records.extend(damaged.records.into_iter().take(3));
        let second =
            evidence.records.iter_mut().find(|record| record.name() == "more-room-x2x9-0c41a-ready-1").unwrap();
        second.object["spec"]["verification"] = json!("all was well");
        let reports = judge(&evidence, &Evidence::default());
        let printed: Vec<String> = reports.iter().flat_map(lines).collect();

        let manual = include_str!("../../docs/evidence.md");
        let (_, shown) = manual.split_once("$ firstaid verify -n shop\n").unwrap();
        let (shown, _) = shown.split_once("```").unwrap();
        assert_eq!(without_digits(&(printed.join("\n") + "\n")), without_digits(shown));
    }
}
