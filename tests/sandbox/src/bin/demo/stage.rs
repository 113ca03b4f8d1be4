//! What the demo prints: what happens, what a person types, what comes of it, what it means.

use std::cell::Cell;
use std::ffi::OsString;
use std::io::{BufRead, IsTerminal, Write, stdin, stdout};
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use firstaid_sandbox::{Output, Sandbox};

const PLAIN_WIDTH: usize = 100;

/// How text stands out on a terminal.
#[derive(Clone, Copy)]
pub enum Ink {
    Bold,
    Dim,
    Green,
    Red,
    Cyan,
    Yellow,
}

impl Ink {
    fn code(self) -> &'static str {
        match self {
            Ink::Bold => "1",
            Ink::Dim => "2",
            Ink::Green => "32",
            Ink::Red => "1;31",
            Ink::Cyan => "36",
            Ink::Yellow => "1;33",
        }
    }
}

/// How much of an output is shown.
#[derive(Clone, Copy)]
pub enum Show<'a> {
    /// All of it, long lines broken between words.
    All,
    /// All rows of a table, cut at the right edge of a terminal.
    Table,
    /// The lines from the first that begins so to the last that begins so, less their common indentation.
    Part(&'a str, &'a str),
    /// Of an object in YAML, these fields of its spec.
    Fields(&'a [&'a str]),
}

/// Where the story is told.
pub struct Stage<'a> {
    sandbox: &'a Sandbox,
    firstaid: PathBuf,
    width: usize,
    colour: bool,
    terminal: bool,
    step_by_step: bool,
    started: Instant,
    chapters: Cell<usize>,
    checks: Cell<usize>,
}

impl<'a> Stage<'a> {
    pub fn new(sandbox: &'a Sandbox, firstaid: PathBuf, step_by_step: bool, started: Instant) -> Stage<'a> {
        let terminal = stdout().is_terminal();
        Stage {
            sandbox,
            firstaid,
            width: if terminal { columns().unwrap_or(PLAIN_WIDTH) } else { PLAIN_WIDTH },
            colour: wants_colour(),
            terminal,
            step_by_step,
            started,
            chapters: Cell::new(0),
            checks: Cell::new(0),
        }
    }

    /// How many expectations have held so far, and how long it took.
    pub fn tally(&self) -> (usize, f32) {
        (self.checks.get(), self.started.elapsed().as_secs_f32())
    }

    /// Something to know before the story begins.
    pub fn introduces(&self, text: &str) {
        println!();
        wrapped(text, self.width.saturating_sub(2)).iter().for_each(|line| println!("{}", self.ink(Ink::Dim, line)));
    }

    /// A new part of the story: one line in plain words.
    pub fn happens(&self, text: &str) {
        let number = self.chapters.get() + 1;
        self.chapters.set(number);
        if self.step_by_step && number > 1 {
            print!("{}", self.ink(Ink::Dim, "\n-- Enter --"));
            let _ = stdout().flush();
            let _ = stdin().lock().read_line(&mut String::new());
        }
        let title = format!("{number}. {text}");
        let rule = "-".repeat(self.width.saturating_sub(title.chars().count() + 1));
        println!("\n{} {}", self.ink(Ink::Bold, &title), self.ink(Ink::Dim, &rule));
    }

    /// One line of what the output above means.
    pub fn means(&self, text: &str) {
        for (number, line) in wrapped(text, self.width.saturating_sub(4)).iter().enumerate() {
            let mark = if number == 0 { "=>" } else { "  " };
            println!("{}", self.ink(Ink::Cyan, &format!("{mark} {line}")));
        }
    }

    /// Shows the command as this person types it, runs it as them in a shell, and shows what it printed.
    pub fn types(&self, person: &str, command: &str, show: Show<'_>) -> Result<Output> {
        println!();
        let prompt = format!("{person}$ ");
        let room = self.width.saturating_sub(prompt.len() + 2);
        for (number, line) in wrapped(command, room).iter().enumerate() {
            let prompt = if number == 0 { self.ink(Ink::Yellow, &prompt) } else { " ".repeat(prompt.len()) };
            println!("{prompt}{}", self.ink(Ink::Bold, line));
        }
        let output = self.run(person, command)?;
        self.shows(&output.stdout, show);
        for line in output.stderr.lines() {
            self.complains(line);
        }
        Ok(output)
    }

    /// As [`Stage::types`], for a command that must succeed.
    pub fn does(&self, person: &str, command: &str, show: Show<'_>) -> Result<String> {
        let output = self.types(person, command, show)?;
        self.expect(output.success(), &format!("{person} may: {command}"))?;
        Ok(output.stdout)
    }

    /// As [`Stage::types`], for a command that the API server must refuse in these words.
    pub fn is_refused(&self, person: &str, command: &str, words: &str) -> Result<()> {
        let output = self.types(person, command, Show::All)?;
        self.expect(!output.success(), &format!("{person} is refused: {command}"))?;
        self.expect(output.stderr.contains(words), &format!("{person} is told why: ...{words}..."))
    }

    /// What kubectl prints for somebody, behind the scenes.
    pub fn asks(&self, person: &str, command: &str) -> Result<String> {
        self.run(person, command)?.ok().with_context(|| format!("{person}$ {command}"))
    }

    /// An expectation of the story. The demo ends at the first that does not hold.
    pub fn expect(&self, holds: bool, what: &str) -> Result<()> {
        ensure!(holds, "the story did not go as it must. Expected: {what}");
        self.checks.set(self.checks.get() + 1);
        Ok(())
    }

    /// The text in this colour, where colours are wanted.
    pub fn ink(&self, ink: Ink, text: &str) -> String {
        if self.colour { format!("\x1b[{}m{text}\x1b[0m", ink.code()) } else { text.to_owned() }
    }

    /// The line, cut at the right edge where there is one.
    pub fn cut(&self, line: &str) -> String {
        if !self.terminal || line.chars().count() <= self.width {
            return line.to_owned();
        }
        line.chars().take(self.width.saturating_sub(1)).chain(['…']).collect()
    }

    fn run(&self, person: &str, command: &str) -> Result<Output> {
        let mut shell = Command::new("bash");
        let kubectl = &self.sandbox.programs().folder;
        let mut path = OsString::from(kubectl);
        for folder in
            self.firstaid.parent().into_iter().map(PathBuf::from).chain(std::env::var_os("PATH").map(PathBuf::from))
        {
            path.push(":");
            path.push(folder);
        }
        shell
            .args(["-c", command])
            .env("PATH", path)
            .env("KUBECONFIG", self.sandbox.kubeconfig(person))
            .env("KUBECACHEDIR", self.sandbox.data().join("kubectl-cache"))
            .current_dir(firstaid_sandbox::repository());
        Output::of(&mut shell)
    }

    fn shows(&self, text: &str, show: Show<'_>) {
        match show {
            Show::All => text.lines().for_each(|line| self.wraps(line)),
            Show::Table => text.lines().for_each(|line| println!("{}", self.cut(line.trim_end()))),
            Show::Part(from, to) => {
                let from_there: Vec<&str> = text.lines().skip_while(|l| !l.trim_start().starts_with(from)).collect();
                let count = from_there.iter().rposition(|l| l.trim_start().starts_with(to)).map_or(0, |last| last + 1);
                let part: Vec<&str> = from_there.into_iter().take(count).collect();
                let indent = part.first().map_or(0, |first| first.len() - first.trim_start().len());
                println!("{}", self.ink(Ink::Dim, "  [...]"));
                part.iter().for_each(|line| self.wraps(line.get(indent.saturating_sub(2)..).unwrap_or(line)));
                println!("{}", self.ink(Ink::Dim, "  [...]"));
            }
            Show::Fields(names) => {
                println!("{}", self.ink(Ink::Dim, "  [...]"));
                let mut wanted = false;
                for line in
                    text.lines().skip_while(|line| *line != "spec:").skip(1).take_while(|line| line.starts_with(' '))
                {
                    if let Some(field) = line.strip_prefix("  ").filter(|field| !field.starts_with([' ', '-'])) {
                        wanted = names.iter().any(|name| field.starts_with(&format!("{name}:")));
                    }
                    if wanted {
                        self.wraps(line);
                    }
                }
                println!("{}", self.ink(Ink::Dim, "  [...]"));
            }
        }
    }

    /// A line of output, broken between words under its own indentation.
    fn wraps(&self, line: &str) {
        let indent = line.len() - line.trim_start().len();
        let room = self.width.saturating_sub(indent + 4);
        for (number, piece) in wrapped(line.trim(), room).iter().enumerate() {
            let more = if number == 0 { 0 } else { 4 };
            println!("{}{piece}", " ".repeat(indent + more));
        }
    }

    /// A line of standard error; what our own policy says stands out.
    fn complains(&self, line: &str) {
        const OURS: &str = "denied request: ";
        let begin = line.find(OURS).map_or(0, |at| at + OURS.len());
        let mut told = 0;
        for (number, piece) in wrapped(line, self.width.saturating_sub(4)).iter().enumerate() {
            let margin = if number == 0 { "" } else { "    " };
            let end = told + piece.len() + 1;
            let (before, after) =
                piece.split_at_checked(begin.saturating_sub(told).min(piece.len())).unwrap_or(("", piece));
            println!("{margin}{before}{}", self.ink(Ink::Red, after));
            told = end;
        }
    }
}

/// The text in lines of at most so many characters, broken between words; a word that is longer is broken anywhere.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let width = width.max(20);
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in text.split(' ') {
        let (room, length) = (width.saturating_sub(line.chars().count() + 1), word.chars().count());
        if !line.is_empty() && length > room && length <= width {
            lines.push(std::mem::take(&mut line));
        } else if !line.is_empty() {
            line.push(' ');
        }
        for letter in word.chars() {
            if line.chars().count() == width {
                lines.push(std::mem::take(&mut line));
            }
            line.push(letter);
        }
    }
    lines.push(line);
    lines
}

/// Colours are for terminals, and for people who want them (no-color.org).
pub fn wants_colour() -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    stdout().is_terminal() && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// The width of the terminal, as `stty` sees it.
fn columns() -> Option<usize> {
    let terminal = std::fs::File::open("/dev/tty").ok()?;
    let output = Command::new("stty").arg("size").stdin(terminal).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.split_whitespace().nth(1)?.parse().ok().filter(|width| *width >= 40)
}

/// The only name in an answer such as `runbookrun.firstaid.dev/shed-load-x2x9k created`.
pub fn created_name(answer: &str) -> Result<String> {
    let name = answer.trim().strip_suffix(" created").and_then(|object| object.split('/').nth(1));
    let Some(name) = name else { bail!("nothing was created: {}", answer.trim()) };
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words() {
        let text = "one two three four five six seven eight";
        let lines = wrapped(text, 20);
        assert!(lines.iter().all(|line| line.chars().count() <= 20), "{lines:?}");
        assert_eq!(lines.join(" "), text);
        assert_eq!(
            wrapped(&format!("echo {}", "x".repeat(25)), 20),
            [format!("echo {}", "x".repeat(15)), "x".repeat(10)]
        );
        assert_eq!(wrapped(&"x".repeat(45), 20).iter().map(String::len).collect::<Vec<_>>(), [20, 20, 5]);
    }

    #[test]
    fn the_name_of_what_was_created() {
        assert_eq!(created_name("runbookrun.firstaid.dev/shed-load-x2x9k created\n").unwrap(), "shed-load-x2x9k");
        assert!(created_name("").is_err());
    }
}
