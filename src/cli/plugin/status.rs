//! `kubectl firstaid status run`: one line, and a code for scripts.

use clap::{ArgAction, Args};

use super::ended::{Ended, Failure};
use super::follow::{Seen, wait};
use super::get::Kind;
use super::out::{Tone, time};
use super::session::Session;
use super::usual::{Form, Patience};
use super::view::run::standing;

/// Of which run.
#[derive(Args, Clone, Debug)]
pub struct StatusArgs {
    /// What: run.
    #[arg(value_enum)]
    kind: Kind,
    /// Name of the run.
    name: String,
    /// Whether to wait until it has ended.
    #[arg(long, action = ArgAction::Set, default_value_t = true, default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    watch: bool,
    #[command(flatten)]
    patience: Patience,
    #[command(flatten)]
    form: Form,
}

impl StatusArgs {
    /// Says how it stands. A run that goes on ends with 0 where nobody waits for it.
    pub async fn run(&self, session: &Session) -> Result<Ended, Failure> {
        let Kind::Run = self.kind;
        let seen = match self.watch {
            true => wait(session, &self.name, self.patience.timeout).await?,
            false => Seen::read(session, &self.name).await?,
        };
        if self.form.output.is_text() {
            say(session, &seen);
        } else {
            self.form.output.print(&session.screen, &seen.run.raw)?;
        }
        Ok(seen.ended().unwrap_or(Ended::Done))
    }
}

/// A run in one line.
pub fn say(session: &Session, seen: &Seen) {
    let view = seen.view();
    let (sign, word) = standing(view.phase());
    let mut line = session.screen.icons.status(sign, word);
    line.push(Tone::Plain, &format!("  {}", view.name()));
    if let Some(status) = &view.run.status {
        if let (Some(made), Some(at)) = (&view.run.metadata.creation_timestamp, &status.finished_at) {
            line.push(Tone::Plain, &format!("  after {}", time::words(at.0.duration_since(made.0))));
        }
        let info = if status.waiting_on.is_empty() { &status.message } else { &status.waiting_on };
        if !info.is_empty() {
            line.push(Tone::Plain, &format!("  {info}"));
        }
    }
    session.screen.put(&line);
}
