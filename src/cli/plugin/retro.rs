//! `kubectl firstaid retro`: the retrospective, what is missing in it, and its questions.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::ended::{Ended, Failure};
use super::incident::{amend, list};
use super::out::screen::{Sign, ask};
use super::out::{Line, Tone};
use super::session::Session;
use super::usual::Form;
use crate::cli::material::{Asked, document_of};
use crate::cli::retro::{Written, produce};
use crate::retro::Names;
use crate::retro::document::Document;

/// Of which incident, and what of it.
#[derive(Args, Clone, Debug)]
pub struct RetroArgs {
    #[command(subcommand)]
    verb: Option<Verb>,
    /// The key of the incident: what its runs have in spec.incident.
    incident: Option<String>,
    /// An export in place of the cluster; `-` is standard input. Made with: kubectl firstaid export INCIDENT
    #[arg(short = 'f', long = "file")]
    file: Option<PathBuf>,
    /// The time to which ages are counted, such as 2026-11-22T15:00:00Z. Default: now.
    #[arg(long)]
    as_of: Option<Timestamp>,
    /// All namespaces: one incident may have runs in several.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    #[command(flatten)]
    written: Written,
}

#[derive(Subcommand, Clone, Debug)]
enum Verb {
    /// Look what is missing, and which words could be more neutral.
    Check(CheckArgs),
    /// Answer the nine questions one by one, with what is known beside each.
    Ask(AskArgs),
}

#[derive(Args, Clone, Debug)]
struct CheckArgs {
    #[command(flatten)]
    asked: Asked,
    /// End with 1 where anything is missing.
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    form: Form,
}

#[derive(Args, Clone, Debug)]
struct AskArgs {
    #[command(flatten)]
    asked: Asked,
    /// Only these questions: 1,4. They are asked even where there is an answer.
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u8).range(1..=9))]
    only: Vec<u8>,
    /// The answer, to one question named by --only, in place of asking on the terminal.
    #[arg(long, value_name = "TEXT", requires = "only")]
    answer: Option<String>,
    /// In which role you answer, such as on-call. No name.
    #[arg(long = "as-role", value_name = "ROLE")]
    role: Option<String>,
}

impl RetroArgs {
    /// Does it.
    pub async fn run(&self, session: &Session) -> Result<Ended, Failure> {
        match (&self.verb, &self.incident) {
            (Some(Verb::Check(args)), _) => args.run(session).await,
            (Some(Verb::Ask(args)), _) => args.run(session).await,
            (None, Some(incident)) => {
                let place = session.place(self.all_namespaces);
                let asked = Asked { incident: incident.clone(), file: self.file.clone(), as_of: self.as_of };
                let document = document_of(session.client(), place, &asked, self.written.names()).await?;
                produce(&document, &self.written)?;
                Ok(Ended::Done)
            }
            (None, None) => Err(Failure::usage("of which incident? kubectl firstaid retro INCIDENT")),
        }
    }
}

/// What is missing in a retrospective: each in a sentence.
fn missing(document: &Document) -> Vec<String> {
    let mut missing: Vec<String> = document
        .unknown
        .iter()
        .map(|unknown| format!("unknown: {} (who could know: {})", unknown.what, unknown.who_could_know))
        .collect();
    // Of what could not be read nobody knows what is missing in it; that it could not is among what is unknown.
    if document.incident.unread {
        return missing;
    }
    let unanswered = document.questions.iter().filter(|question| question.answer.is_none());
    missing.extend(unanswered.map(|question| format!("question {} has no answer: {}", question.number, question.text)));
    if document.impact.is_none() {
        missing.push("nobody has said what it meant for users: spec.impact".to_owned());
    }
    if document.factors.is_empty() {
        missing.push("no factor is named: spec.factors".to_owned());
    }
    for follow_up in document.follow_ups.iter().filter(|one| one.state != "Done" && one.state != "Dropped") {
        if follow_up.state == "Regressed" {
            missing
                .push(format!("the follow-up \"{}\" was done, and is not any more: {}", follow_up.text, follow_up.why));
        }
        for (what, value) in [("owner", &follow_up.owner), ("due day", &follow_up.due)] {
            if value.is_empty() {
                missing.push(format!("the follow-up \"{}\" has no {what}", follow_up.text));
            }
        }
    }
    missing
}

impl CheckArgs {
    async fn run(&self, session: &Session) -> Result<Ended, Failure> {
        let document = document_of(session.client(), &session.namespace, &self.asked, Names::Roles).await?;
        let missing = missing(&document);
        let ended = if self.strict && !missing.is_empty() { Ended::Error } else { Ended::Done };
        if !self.form.output.is_text() {
            let all = json!({"attention": document.attention, "missing": missing, "hints": document.hints});
            self.form.output.print(&session.screen, &all)?;
            return Ok(ended);
        }
        let (screen, icons) = (&session.screen, session.screen.icons);
        document.attention.iter().for_each(|attention| screen.put(&icons.status(Sign::Warning, &attention.text)));
        missing.iter().for_each(|what| screen.put(&icons.status(Sign::Still, what)));
        for hint in &document.hints {
            let said = format!("{}: \"{}\" could be \"{}\": {}", hint.place, hint.found, hint.instead, hint.text);
            screen.put(&icons.status(Sign::Pending, &said));
        }
        if missing.is_empty() && document.attention.is_empty() && document.hints.is_empty() {
            screen.put(&icons.status(Sign::Done, "nothing is missing"));
        }
        Ok(ended)
    }
}

impl AskArgs {
    async fn run(&self, session: &Session) -> Result<Ended, Failure> {
        let incident = &self.asked.incident;
        let document = document_of(session.client(), &session.namespace, &self.asked, Names::Roles).await?;
        if self.answer.is_some() && self.only.len() != 1 {
            return Err(Failure::usage("--answer is for one question: name it with --only 1"));
        }
        // An answer takes the place of the one before, which nobody could have seen here.
        if document.incident.unread {
            return Err(Failure::error(format!(
                "what was answered of {incident} so far cannot be read, and is not replaced"
            ))
            .next(format!("see why: kubectl firstaid retro check {incident} -n {}", session.namespace)));
        }
        let mut answered = 0;
        for question in &document.questions {
            let asked = self.only.iter().any(|number| usize::from(*number) == question.number);
            if !(asked || self.only.is_empty() && question.answer.is_none()) {
                continue;
            }
            let screen = &session.screen;
            screen.title(&format!("{}. {}", question.number, question.text));
            question.evidence.iter().for_each(|line| screen.put(&Line::toned(Tone::Faint, &format!("   {line}"))));
            if let Some(answer) = &question.answer {
                screen.say(&format!("   so far: {}", answer.text));
            }
            let answer = match &self.answer {
                Some(answer) => Some(answer.clone()),
                None => ask("   answer (empty: not now):"),
            };
            let Some(answer) = answer else {
                return Err(Failure::usage("there is no terminal to ask on: use --only 1 --answer \"...\""));
            };
            if answer.trim().is_empty() {
                continue;
            }
            self.store(session, incident, question.number, answer.trim()).await?;
            answered += 1;
        }
        session.screen.say(&format!("incident/{incident}: {answered} answers stored"));
        session.screen.say(&format!("look      kubectl firstaid retro check {incident} -n {}", session.namespace));
        Ok(Ended::Done)
    }

    /// Each is stored at once: whoever stops in the middle loses nothing.
    async fn store(&self, session: &Session, incident: &str, number: usize, answer: &str) -> Result<(), Failure> {
        let mut entry = json!({"question": number, "text": answer, "at": session.now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()});
        if let (Some(role), Some(entry)) = (&self.role, entry.as_object_mut()) {
            entry.insert("by".to_owned(), json!(role));
        }
        amend(session, incident, |spec| {
            let mut answers = list(spec, "answers");
            answers.retain(|other| other.get("question").and_then(Value::as_u64) != u64::try_from(number).ok());
            answers.push(entry.clone());
            Ok(json!({"answers": answers}))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retro::tests::crisis;

    #[test]
    fn of_what_could_not_be_read_nothing_is_said_to_be_missing() {
        let mut document = crisis(Names::Roles);
        document.impact = None;
        document.factors.clear();
        let said = |document: &Document| missing(document).join("\n");
        for what in ["question 3 has no answer", "nobody has said what it meant", "no factor is named"] {
            assert!(said(&document).contains(what), "{what}");
        }
        document.incident.unread = true;
        assert_eq!(said(&document), "", "the crisis leaves nothing unknown");
    }
}
