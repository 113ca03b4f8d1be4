//! `firstaid timeline`: what happened in an incident, in order of time, a line each.

use clap::{Args, ValueEnum};
use serde_json::json;

use super::material::{Reading, document};
use crate::api::line::{cut, one_line};
use crate::retro::document::{Document, Moment};
use crate::retro::markup::{clock, day};
use crate::retro::{Names, mermaid};

/// Of which incident, and how it is printed.
#[derive(Args, Clone, Debug)]
pub struct TimelineArgs {
    #[command(flatten)]
    from: Reading,
    #[command(flatten)]
    shown: Shown,
}

/// How it is printed.
#[derive(Args, Clone, Debug)]
pub struct Shown {
    /// Also what is detail: requests, plans, what was seen, ends as they were expected.
    #[arg(long)]
    all: bool,
    /// For people, as a diagram, or for programs.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// With names. Default: roles.
    #[arg(long)]
    full_names: bool,
}

/// For whom it is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// People.
    Text,
    /// A gantt diagram in Mermaid.
    Mermaid,
    /// Programs.
    Json,
}

/// The longest text of a line, in bytes; the whole stands in the JSON.
const WHAT: usize = 88;

/// Prints it.
///
/// # Errors
/// Where it cannot be read, or there is nothing of this incident.
pub async fn run(args: &TimelineArgs) -> anyhow::Result<()> {
    print(&document(&args.from, args.shown.names()).await?, &args.shown)
}

impl Shown {
    /// Names, or roles.
    pub fn names(&self) -> Names {
        if self.full_names { Names::Full } else { Names::Roles }
    }
}

/// Prints the timeline of a document.
///
/// # Errors
/// Where it cannot be written.
pub fn print(document: &Document, args: &Shown) -> anyhow::Result<()> {
    super::print(&match args.output {
        Output::Text => lines(document, args.all).iter().map(|line| one_line(line) + "\n").collect(),
        Output::Mermaid => mermaid::gantt(document),
        Output::Json => {
            let moments: Vec<&Moment> = document.moments.iter().filter(|moment| args.all || moment.key).collect();
            format!("{}\n", json!({"incident": document.incident.key, "moments": moments, "gaps": document.gaps}))
        }
    })
}

/// A table, a line for each moment; a new day, and what is not recorded, in lines of their own.
fn lines(document: &Document, all: bool) -> Vec<String> {
    let mut lines = vec![format!("{:<10} {:<9} {:<88} SOURCE", "TIME (UTC)", "KIND", "WHAT")];
    let mut last_day = String::new();
    for moment in document.moments.iter().filter(|moment| all || moment.key) {
        if let Some(gap) = document.gaps.iter().find(|gap| gap.to == moment.at) {
            let line = format!("  ...      no record for {} ({} to {})", gap.text, clock(gap.from), clock(gap.to));
            if lines.last() != Some(&line) {
                lines.push(line);
            }
        }
        if day(moment.at) != last_day {
            last_day = day(moment.at);
            lines.push(last_day.clone());
        }
        let time = format!("{}{}", if moment.no_later { "≤" } else { " " }, clock(moment.at));
        let kind = serde_json::to_value(moment.kind).ok();
        let kind = kind.as_ref().and_then(|kind| kind.as_str()).unwrap_or_default();
        let by = if moment.by.is_empty() { String::new() } else { format!(" ({})", moment.by) };
        let what = cut(&format!("{}{by}", moment.what), WHAT);
        // By characters: a byte is no column.
        let room = " ".repeat(WHAT.saturating_sub(what.chars().count()));
        lines.push(format!("{time:<10} {kind:<9} {what}{room} {}", moment.source.name));
    }
    for attention in &document.attention {
        lines.push(format!("! {}", attention.text));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retro::tests::crisis;

    #[test]
    fn a_line_for_each_moment() {
        insta::assert_snapshot!(lines(&crisis(Names::Roles), false).join("\n"));
    }
}
