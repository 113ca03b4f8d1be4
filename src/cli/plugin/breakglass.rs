//! `kubectl firstaid breakglass`: opens the gates of a run without a vote, for ever on record.

use clap::Args;

use super::ballots::{confirm, hint_if_away};
use super::ended::{Ended, Failure};
use super::follow::Seen;
use super::out::{Line, Tone};
use super::session::Session;
use super::usual::Why;
use super::view::ballot;
use crate::api::{BREAKGLASS_ANNOTATION, BREAKGLASS_BY_ANNOTATION, RunbookRun};
use crate::perform::person::Sending;

/// Of which run.
#[derive(Args, Clone, Debug)]
pub struct BreakglassArgs {
    /// Name of the run.
    run: String,
    #[command(flatten)]
    why: Why,
    /// Do not ask.
    #[arg(short, long)]
    yes: bool,
}

impl BreakglassArgs {
    /// Breaks the glass.
    pub async fn run(&self, session: &Session) -> Result<Ended, Failure> {
        let (name, screen) = (&self.run, &session.screen);
        let seen = Seen::read(session, name).await?;
        let me = session.me().await?;
        let now = session.now();
        for waiting in seen.ballots.iter().filter(|found| ballot::waits(found, now)) {
            screen.put_all(&ballot::plan(&waiting.spec.request, now));
        }
        let loud = "It goes on without the votes that its gates ask for. The record says so for ever, and somebody else is to ratify it.";
        screen.put(&Line::toned(Tone::Bad, loud));
        let why = self.why.asked("Why can nobody approve it? (at least 20 characters)")?;
        if !self.yes {
            confirm(&format!("Break the glass as {}?", me.name), "break")?;
        }
        let broken = session.annotate::<RunbookRun>(name, &[(BREAKGLASS_ANNOTATION, &why)], Sending::Real).await?;
        let by =
            broken.pointer(&format!("/metadata/annotations/{BREAKGLASS_BY_ANNOTATION}")).and_then(|by| by.as_str());
        screen.say(&format!("runbookrun/{name}: glass broken by {}", by.unwrap_or(&me.name)));
        screen.say(&format!("follow    kubectl firstaid get run {name} -n {} -w", session.namespace));
        hint_if_away(session).await;
        Ok(Ended::Done)
    }
}
