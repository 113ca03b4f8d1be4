//! `docs/first-five-minutes.md`, typed: its commands as the people whom it names, and what they print beside what it says.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use firstaid_sandbox::{Options, Output, PEOPLE, Sandbox, repository};

const DOCUMENT: &str = "docs/first-five-minutes.md";
const FIRSTAID: &str = env!("CARGO_BIN_EXE_firstaid");

/// A part of the document.
#[derive(Debug, PartialEq)]
enum Part {
    /// What is only read.
    Text(String),
    /// A file that the reader saves.
    File { name: String, text: String },
    /// A command, and what stands under it.
    Command { person: String, command: String, printed: Vec<String> },
}

/// The document in parts; joined they are the document again.
fn parts(document: &str) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    let mut named = String::new();
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        parts.push(Part::Text(line.to_owned()));
        let Some(kind) = line.strip_prefix("```") else {
            // The name of a file stands in the paragraph before it.
            named = line
                .split('`')
                .find(|word| word.ends_with(".yaml") && !word.contains(' '))
                .map_or(named, str::to_owned);
            continue;
        };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        match kind {
            "yaml" => {
                ensure!(!named.is_empty(), "no name is said for the file {block:?}");
                parts.push(Part::File { name: std::mem::take(&mut named), text: block.join("\n") + "\n" });
            }
            "console" => parts.extend(commands(&block)?),
            _ => parts.extend(block.iter().map(|line| Part::Text((*line).to_owned()))),
        }
        parts.push(Part::Text("```".to_owned()));
    }
    Ok(parts)
}

fn commands(block: &[&str]) -> Result<Vec<Part>> {
    let mut found: Vec<Part> = Vec::new();
    for line in block {
        let typed = line.split_once("$ ").filter(|(person, _)| PEOPLE.iter().any(|known| known.name == *person));
        match (typed, found.last_mut()) {
            (Some((person, command)), _) => {
                found.push(Part::Command {
                    person: person.to_owned(),
                    command: command.to_owned(),
                    printed: Vec::new(),
                });
            }
            (None, Some(Part::Command { printed, .. })) => printed.push((*line).to_owned()),
            (None, _) => anyhow::bail!("who types this? {line}"),
        }
    }
    Ok(found)
}

/// The reader: a folder of their own, and what they have seen.
struct Reader<'s> {
    sandbox: &'s Sandbox,
    folder: PathBuf,
    code: String,
}

impl Reader<'_> {
    /// Types a command with the code that was last read in place of the document's. Gives it as typed, and what it printed.
    fn types(&mut self, person: &str, command: &str) -> Result<(String, Vec<String>)> {
        let command = match command.split_once("approve=\"") {
            Some((before, rest)) => {
                let (_, why) = rest.split_once(' ').context("a code and a reason")?;
                format!("{before}approve=\"{} {why}", self.code)
            }
            None => command.to_owned(),
        };
        let mut path = OsString::from(&self.sandbox.programs().folder);
        for folder in
            [Path::new(FIRSTAID).parent().context("a folder")?.into(), std::env::var_os("PATH").unwrap_or_default()]
        {
            path.push(":");
            path.push::<OsString>(folder);
        }
        let mut shell = Command::new("bash");
        shell
            .args(["-c", &command])
            .env("PATH", path)
            .env("KUBECONFIG", self.sandbox.kubeconfig(person))
            .env("KUBECACHEDIR", self.sandbox.data().join("kubectl-cache"))
            .current_dir(&self.folder);
        let output = Output::of(&mut shell)?;
        let lines: Vec<String> =
            output.stdout.lines().chain(output.stderr.lines()).map(|line| line.trim_end().to_owned()).collect();
        let code = lines.iter().rev().find_map(|line| line.trim().strip_prefix("code: "));
        if let Some(code) = code {
            code.trim().clone_into(&mut self.code);
        }
        Ok((command, lines))
    }
}

#[test]
fn a_newcomer_types_what_the_document_says() -> Result<()> {
    let path = repository().join(DOCUMENT);
    let document = std::fs::read_to_string(&path)?;
    // As `make sandbox` furnishes it.
    let sandbox = Sandbox::start(&Options::default())?;
    let _operator = sandbox.furnish(Path::new(FIRSTAID), "shop", &|_| {})?;
    let runbooks = repository().join("runbooks");
    sandbox.onboard(Path::new(FIRSTAID), "shop", &runbooks)?;
    sandbox.kubectl_run("author", &["apply", "-n", "shop", "-f", &runbooks.to_string_lossy()])?.ok()?;
    let ready = ["wait", "rbk", "--all", "-n", "shop", "--for=condition=Ready", "--timeout=60s"];
    sandbox.kubectl_run("author", &ready)?.ok()?;

    let folder = sandbox.data().join("reader");
    std::fs::create_dir_all(&folder)?;
    let mut reader = Reader { sandbox: &sandbox, folder, code: String::new() };
    let (mut now, mut wrong, mut typed) = (String::new(), Vec::new(), 0);
    for part in parts(&document)? {
        match part {
            Part::Text(line) => now.push_str(&(line + "\n")),
            Part::File { name, text } => {
                std::fs::write(reader.folder.join(name), &text)?;
                now.push_str(&text);
            }
            Part::Command { person, command, printed } => {
                let (command, lines) = reader.types(&person, &command)?;
                typed += 1;
                now.push_str(&format!("{person}$ {command}\n"));
                lines.iter().for_each(|line| now.push_str(&format!("{line}\n")));
                if !alike(&printed, &lines) {
                    wrong.push(format!(
                        "{person}$ {command}\nsays:\n{}\nprinted:\n{}",
                        printed.join("\n"),
                        lines.join("\n")
                    ));
                }
            }
        }
    }
    ensure!(typed > 20, "the commands are gone: {typed}");
    let page = std::fs::read_to_string(reader.folder.join("retrospective.html"))?;
    ensure!(page.contains("<!doctype html>") && page.contains("trying-it"), "the page is there");
    if std::env::var_os("FIRSTAID_WRITE_DOCS").is_some() {
        std::fs::write(&path, now)?;
        return Ok(());
    }
    ensure!(
        wrong.is_empty(),
        "{DOCUMENT} is not what one sees; write it anew with FIRSTAID_WRITE_DOCS=1 cargo test --test e2e -- first_five_minutes\n\n{}",
        wrong.join("\n\n")
    );
    Ok(())
}

/// Whether two outputs say the same, but for what is different each time.
fn alike(one: &[String], other: &[String]) -> bool {
    let words = |lines: &[String]| -> Vec<Vec<String>> {
        lines.iter().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
    };
    let (one, other) = (words(one), words(other));
    one.len() == other.len()
        && one
            .iter()
            .zip(&other)
            .all(|(a, b)| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a == b || varies(a, b)))
}

/// Whether two words stand for the same thing that is different each time: a time, an age, a code, the end of a name.
fn varies(one: &str, other: &str) -> bool {
    let parts = |word: &str| -> Vec<String> {
        word.split(|c: char| !c.is_ascii_alphanumeric() && c != '.').map(str::to_owned).collect()
    };
    let (one, other) = (parts(one), parts(other));
    one.len() == other.len()
        && one.iter().zip(&other).all(|(a, b)| {
            let number = |part: &str| part.len() >= 2 && part.chars().all(|c| c.is_ascii_digit() || c == '.');
            let age = |part: &str| {
                part.starts_with(|c: char| c.is_ascii_digit())
                    && part.ends_with(['s', 'm', 'h'])
                    && part.chars().all(|c| c.is_ascii_digit() || "hms.".contains(c))
            };
            // Of a date and its time, `22T14` or `10Z`.
            let time = |part: &str| part.chars().all(|c| c.is_ascii_digit() || "TZ.".contains(c)) && part.len() >= 2;
            let digest = |part: &str| part.len() == 64 && part.chars().all(|c| c.is_ascii_hexdigit());
            let code =
                |part: &str| part.len() == 4 && part.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c));
            // The API server makes up names of these letters, and uids are hexadecimal: neither is a word.
            let made_up = |part: &str| {
                let of = |letters: &str| part.chars().all(|c| letters.contains(c));
                part.len() == 5 && (of("bcdfghjklmnpqrstvwxz2456789") || of("0123456789abcdef"))
            };
            let same_kind = (number(a) && number(b))
                || (age(a) && age(b))
                || (time(a) && time(b))
                || (code(a) && code(b))
                || (digest(a) && digest(b));
            a == b || same_kind || (made_up(a) && made_up(b))
        })
}

#[test]
fn what_is_different_each_time_is_told_from_what_is_not() {
    for (one, other) in [
        ("14:02:10", "09:55:31"),
        ("2026-11-22T14:02:10Z", "2027-01-02T03:04:05Z"),
        ("a33c", "0f1e"),
        ("12s", "1m3s"),
        ("3.81s:", "12s:"),
        ("trying-it-1-undo-cwwqn", "trying-it-1-undo-hzlnm"),
        ("trying-it-1-1c5fe-out-1", "trying-it-1-a8038-out-1"),
    ] {
        assert!(varies(one, other), "{one} {other}");
    }
    for (one, other) in
        [("4/4", "6/6"), ("scale", "check"), ("Succeeded", "Failed"), ("alice", "carol"), ("6", "4"), ("bob", "a33c")]
    {
        assert!(!varies(one, other), "{one} {other}");
    }
}

#[test]
fn the_document_is_taken_apart() -> Result<()> {
    let found = parts(
        "Save it as `a.yaml`:\n\n```yaml\na: 1\n```\n\n```console\nbob$ kubectl get x\nNAME\nroot$ true\n```\n```\nmake\n```\n",
    )?;
    let told: Vec<&Part> = found.iter().filter(|part| !matches!(part, Part::Text(_))).collect();
    let command = |person: &str, command: &str, printed: &[&str]| Part::Command {
        person: person.to_owned(),
        command: command.to_owned(),
        printed: printed.iter().map(|line| (*line).to_owned()).collect(),
    };
    assert_eq!(
        told,
        [
            &Part::File { name: "a.yaml".to_owned(), text: "a: 1\n".to_owned() },
            &command("bob", "kubectl get x", &["NAME"]),
            &command("root", "true", &[]),
        ]
    );
    Ok(())
}
