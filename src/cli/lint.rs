//! `firstaid lint`: whether runbooks in files are in order, without a cluster. For the CI of whoever keeps them in Git.

use std::fs;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;

use crate::api::line::one_line;
use crate::lint::{LARGEST, Level, Linter};

/// Which files, and how strictly.
#[derive(Args, Clone, Debug)]
pub struct LintArgs {
    /// A file, a folder with .yaml, .yml and .json files, or - for standard input.
    #[arg(short = 'f', long = "filename", required = true, num_args = 1.., value_name = "FILE")]
    filename: Vec<PathBuf>,
    /// Folders with all that is below them.
    #[arg(short = 'R', long)]
    recursive: bool,
    /// Warnings are errors, too.
    #[arg(long)]
    strict: bool,
    /// The roles that people can have, as in the chart's value `roles`: a gate that wants another one is an error. Without
    /// this every role is taken for one.
    #[arg(long, value_delimiter = ',', value_name = "ROLE,...")]
    roles: Vec<String>,
}

/// Nothing to complain of.
const CLEAN: u8 = 0;
/// Something is wrong with a runbook.
const FINDINGS: u8 = 1;
/// Nothing could be said: no such file, no text, no runbook in it.
const UNREADABLE: u8 = 2;

/// Prints the findings, and ends with 0 where there is none, with 1 where there is, with 2 where a file could not be read.
pub fn run(args: &LintArgs) -> ExitCode {
    ExitCode::from(report(args))
}

/// Prints the findings; the number that the process ends with.
pub fn report(args: &LintArgs) -> u8 {
    lint(args).unwrap_or_else(|error| {
        eprintln!("firstaid: {error:#}");
        UNREADABLE
    })
}

fn lint(args: &LintArgs) -> anyhow::Result<u8> {
    let linter = Linter::new(args.roles.clone()).context("reading the schema of a Runbook")?;
    let mut files = Vec::new();
    for path in &args.filename {
        files.extend(files_of(path, args.recursive)?);
    }
    let (mut runbooks, mut others, mut errors, mut warnings, mut unreadable) = (0, 0, 0, 0, 0usize);
    for file in &files {
        let text = match read(file) {
            Ok(text) => text,
            // The other files are looked at all the same.
            Err(error) => {
                eprintln!("firstaid: {error:#}");
                unreadable += 1;
                continue;
            }
        };
        let report = linter.lint(&shown(file), &text);
        for finding in &report.findings {
            super::print(&format!("{finding}\n"))?;
        }
        errors += report.findings.iter().filter(|finding| finding.problem.level == Level::Error).count();
        warnings += report.findings.iter().filter(|finding| finding.problem.level == Level::Warning).count();
        runbooks += report.runbooks;
        others += report.others;
    }
    if unreadable == 0 && runbooks == 0 {
        bail!(
            "there is no Runbook in {}, so nothing was looked at; a Runbook says apiVersion: firstaid.dev/v1alpha1 and kind: Runbook",
            args.filename.iter().map(|path| shown(path)).collect::<Vec<_>>().join(", ")
        );
    }
    let beside = if others == 0 { String::new() } else { format!("; not looked at: {}", many(others, "other object")) };
    let counts = format!("{}, {}", many(errors, "error"), many(warnings, "warning"));
    if runbooks > 0 {
        let all = format!("{} in {}: {counts}{beside}\n", many(runbooks, "runbook"), many(files.len(), "file"));
        super::print(&all)?;
    }
    Ok(match (unreadable, errors, warnings) {
        (1.., _, _) => UNREADABLE,
        (0, 1.., _) => FINDINGS,
        (0, 0, 1..) if args.strict => FINDINGS,
        (0, 0, _) => CLEAN,
    })
}

fn many(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn shown(path: &Path) -> String {
    if is_standard_input(path) { "<stdin>".to_owned() } else { one_line(&path.display().to_string()) }
}

fn is_standard_input(path: &Path) -> bool {
    path == Path::new("-")
}

/// The files of a path, in the order of their names.
fn files_of(path: &Path, recursive: bool) -> anyhow::Result<Vec<PathBuf>> {
    if is_standard_input(path) || !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        let reading = || format!("reading the folder {}", shown(&folder));
        for entry in fs::read_dir(&folder).with_context(reading)? {
            let entry = entry.with_context(reading)?;
            let (path, kind) = (entry.path(), entry.file_type().with_context(reading)?);
            // A link to a folder above would have no end.
            if kind.is_dir() && recursive {
                folders.push(path);
            } else if !path.is_dir()
                && ["yaml", "yml", "json"].iter().any(|end| path.extension().is_some_and(|e| e == *end))
            {
                found.push(path);
            }
        }
    }
    found.sort();
    if found.is_empty() {
        let hint = if recursive { "" } else { "; -R also looks into the folders below" };
        bail!("there is no .yaml, .yml or .json file in {}{hint}", shown(path));
    }
    Ok(found)
}

fn read(path: &Path) -> anyhow::Result<String> {
    let name = shown(path);
    let mut bytes = Vec::new();
    // One byte more than is taken tells that there is more.
    let most = u64::try_from(LARGEST).unwrap_or(u64::MAX).saturating_add(1);
    let read = if is_standard_input(path) {
        std::io::stdin().lock().take(most).read_to_end(&mut bytes)
    } else {
        fs::File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes))
    };
    match read {
        Err(error) if error.kind() == ErrorKind::NotFound => bail!("there is no file {name}"),
        read => read.with_context(|| format!("reading {name}"))?,
    };
    if bytes.len() > LARGEST {
        bail!("{name} is larger than {} MiB, which no runbook is; name the file that holds runbooks", LARGEST >> 20);
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        bail!("{name} is UTF-16, and kubectl reads UTF-8; convert it: iconv -f UTF-16 -t UTF-8 FILE");
    }
    if bytes.contains(&0) {
        bail!("{name} is no text: it holds a zero byte");
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
        anyhow::anyhow!("{name} is no UTF-8: line {line} holds bytes that are no letters; save it as UTF-8")
    })
}

#[cfg(test)]
mod tests;
