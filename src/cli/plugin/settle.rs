//! `kubectl firstaid settle`: what a person found where a run could not find out.

use clap::{Args, ValueEnum};

use super::ballots::hint_if_away;
use super::ended::{Ended, Failure};
use super::session::Session;
use super::usual::Why;
use crate::api::{RunbookRun, SETTLE_ANNOTATION};
use crate::perform::person::Sending;

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Word {
    /// It was done.
    Done,
    /// It was not done.
    NotDone,
}

/// Of which run, and what was found.
#[derive(Args, Clone, Debug)]
pub struct SettleArgs {
    /// Name of the run.
    run: String,
    /// What you found when you looked at the target.
    #[arg(value_enum)]
    word: Word,
    #[command(flatten)]
    why: Why,
}

impl SettleArgs {
    /// Says so.
    pub async fn run(&self, session: &Session) -> Result<Ended, Failure> {
        let why = self.why.asked("What did you see?")?;
        let word = match self.word {
            Word::Done => "done",
            Word::NotDone => "not-done",
        };
        session
            .annotate::<RunbookRun>(&self.run, &[(SETTLE_ANNOTATION, &format!("{word} {why}"))], Sending::Real)
            .await?;
        let me = session.me().await?;
        session.screen.say(&format!("runbookrun/{} settled as {word} by {}", self.run, me.name));
        session.screen.say(&format!("follow    kubectl firstaid get run {} -n {} -w", self.run, session.namespace));
        hint_if_away(session).await;
        Ok(Ended::Done)
    }
}
