//! `kubectl firstaid note`: a line on the timeline of an incident.

use clap::Args;
use jiff::Timestamp;
use serde_json::{Map, json};

use super::ended::{Ended, Failure};
use super::incident::{amend, list};
use super::out::time;
use super::session::Session;

/// What is noted.
#[derive(Args, Clone, Debug)]
pub struct NoteArgs {
    /// Key of the incident.
    incident: String,
    /// What was seen, thought or done. No names: they do not belong into a retrospective.
    #[arg(required = true)]
    text: Vec<String>,
    /// When it happened. Default: now.
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// Where more of it stands: an address that begins with https:// or http://.
    #[arg(long, value_name = "URL")]
    link: Option<String>,
    /// How it is known, where that is not memory: a graph, a log, a chat.
    #[arg(long)]
    source: Option<String>,
}

impl NoteArgs {
    /// Adds it.
    pub async fn run(&self, session: &Session) -> Result<Ended, Failure> {
        let at = self.at.unwrap_or_else(|| session.now());
        let text = self.text.join(" ");
        let when = at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
        let mut note = Map::from_iter([("at".to_owned(), json!(when)), ("text".to_owned(), json!(text))]);
        for (key, value) in [("link", &self.link), ("source", &self.source)] {
            if let Some(value) = value {
                note.insert(key.to_owned(), json!(value));
            }
        }
        amend(session, &self.incident, |spec| {
            let mut notes = list(spec, "notes");
            notes.push(json!(note));
            Ok(json!({"notes": notes}))
        })
        .await?;
        session.screen.say(&format!("incident/{} noted {}: {text}", self.incident, time::utc(at)));
        session.screen.say(&format!("timeline  kubectl firstaid timeline {} -n {}", self.incident, session.namespace));
        Ok(Ended::Done)
    }
}
