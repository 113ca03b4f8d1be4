//! What is wrong with a file, so that whoever reads it in a log of their CI sees where, why, and what to write instead.

use std::fmt::Write as _;

use super::schema::Path;
use super::yaml::Place;
use crate::api::line::one_line;

/// How much of a long line is shown.
const WIDTH: usize = 120;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The API server or the operator would refuse it.
    Error,
    /// It would be taken, and somebody may be sorry at night.
    Warning,
}

/// Something that is wrong in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub level: Level,
    /// Where in the file.
    pub place: Place,
    /// Where in the document.
    pub path: Path,
    /// What is wrong, and why.
    pub sentence: String,
    /// What to write instead.
    pub instead: String,
    /// Whether it is a field that nobody knows: whatever else is said of its surroundings may come of that.
    pub unknown: bool,
}

impl Problem {
    /// An error.
    pub fn at(place: Place, path: &Path, sentence: impl Into<String>, instead: impl Into<String>) -> Self {
        let (sentence, instead) = (sentence.into(), instead.into());
        Self { level: Level::Error, place, path: path.clone(), sentence, instead, unknown: false }
    }

    /// The same as a warning.
    pub fn warning(self) -> Self {
        Self { level: Level::Warning, ..self }
    }
}

/// A problem with its file, ready to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file.
    pub file: String,
    /// What is wrong.
    pub problem: Problem,
    /// The line, as it is in the file.
    pub line: String,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Place { line, column, length } = self.problem.place;
        let level = match self.problem.level {
            Level::Error => "error",
            Level::Warning => "warning",
        };
        writeln!(f, "{}:{line}:{column}: {level}: {}", one_line(&self.file), one_line(&self.problem.sentence))?;
        let (shown, before) = window(&one_line(&self.line), column.saturating_sub(1));
        let number = line.to_string();
        writeln!(f, " {number} | {shown}")?;
        let room = shown.chars().count().saturating_sub(before).max(1);
        let mut marks = String::new();
        let _ = write!(marks, "{}{}", " ".repeat(before), "^".repeat(length.min(room)));
        writeln!(f, " {} | {marks}", " ".repeat(number.len()))?;
        if !self.problem.instead.is_empty() {
            writeln!(f, " {} = instead: {}", " ".repeat(number.len()), one_line(&self.problem.instead))?;
        }
        Ok(())
    }
}

/// What is shown of a line, and how many characters of that stand before the column.
fn window(line: &str, column: usize) -> (String, usize) {
    let line = line.trim_end();
    let length = line.chars().count();
    if length <= WIDTH {
        return (line.to_owned(), column.min(length));
    }
    let from = column.saturating_sub(WIDTH / 2).min(length.saturating_sub(WIDTH));
    let shown: String = line.chars().skip(from).take(WIDTH).collect();
    let (head, extra) = if from > 0 { ("…", 1) } else { ("", 0) };
    let tail = if from + WIDTH < length { "…" } else { "" };
    (format!("{head}{shown}{tail}"), column - from + extra)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(line: &str, column: usize, length: usize) -> String {
        let place = Place { line: 14, column, length };
        let problem = Problem::at(place, &Path::default(), "it is wrong", "write it right");
        Finding { file: "a.yaml".to_owned(), problem, line: line.to_owned() }.to_string()
    }

    #[test]
    fn a_finding_shows_the_line_and_what_to_write() {
        assert_eq!(
            finding("    gate: on-call\r\n", 11, 7),
            "a.yaml:14:11: error: it is wrong\n 14 |     gate: on-call\n    |           ^^^^^^^\n    = instead: write it right\n"
        );
    }

    #[test]
    fn a_long_line_is_cut_around_the_place_and_does_nothing_to_a_terminal() {
        let line = format!("{}\u{1b}[2Jhere{}", "a".repeat(300), "b".repeat(300));
        let text = finding(&line, 305, 4);
        assert!(!text.contains('\u{1b}'));
        let lines: Vec<&str> = text.lines().collect();
        let at = lines[2].find('^').unwrap() - " 14 | ".len();
        let shown: String = lines[1].chars().skip(" 14 | ".len()).collect();
        assert_eq!(shown.chars().skip(at).take(4).collect::<String>(), "here");
        assert!(lines[1].chars().count() < 140);
    }

    #[test]
    fn a_mark_never_leaves_its_line() {
        assert!(finding("ab", 9, 40).contains("|   ^\n"));
        assert!(finding("", 1, 1).contains("| ^\n"));
    }
}
