//! `kubectl firstaid abort`: no further step.

use std::time::Duration;

use clap::Args;

use super::ballots::hint_if_away;
use super::ended::{Ended, Failure};
use super::follow::wait;
use super::revert::undo;
use super::session::Session;
use super::usual::Why;
use crate::api::{ABORT_ANNOTATION, ABORT_BY_ANNOTATION, RunbookRun};
use crate::perform::person::Sending;

/// Which run is stopped.
#[derive(Args, Clone, Debug)]
pub struct AbortArgs {
    /// Name of the run.
    run: String,
    #[command(flatten)]
    why: Why,
    /// Once it has stopped, start a run that undoes what is in place of it, through the same gates.
    #[arg(long)]
    revert: bool,
}

/// How long a run may take to stop before its undo is left to people.
const STOPS_WITHIN: Duration = Duration::from_secs(60);

impl AbortArgs {
    /// Stops it, in whatever phase it is.
    pub async fn run(&self, session: &Session) -> Result<Ended, Failure> {
        let why = self.why.asked("Why must it stop?")?;
        let (name, namespace) = (&self.run, &session.namespace);
        let told = session.annotate::<RunbookRun>(name, &[(ABORT_ANNOTATION, &why)], Sending::Real).await?;
        let by = match told.pointer(&format!("/metadata/annotations/{ABORT_BY_ANNOTATION}")).and_then(|by| by.as_str())
        {
            Some(by) => by.to_owned(),
            None => session.me().await?.name,
        };
        session
            .screen
            .say(&format!("runbookrun/{name} is told to stop, by {by}: no further step; what was done stays"));
        session.screen.say(&format!("follow    kubectl firstaid get run {name} -n {namespace} -w"));
        hint_if_away(session).await;
        if self.revert {
            return self.revert(session, &why).await;
        }
        session.screen.say(&format!(
            "undo      kubectl firstaid revert {name} -n {namespace} --reason \"...\"    # once it has ended"
        ));
        Ok(Ended::Done)
    }

    async fn revert(&self, session: &Session, why: &str) -> Result<Ended, Failure> {
        let seen = wait(session, &self.run, Some(STOPS_WITHIN)).await?;
        let left = seen.run.object.status.as_ref().and_then(|status| status.in_place_at_end).unwrap_or(0);
        if left == 0 {
            session.screen.say("nothing of it is in place: there is nothing to undo");
            return Ok(Ended::Done);
        }
        undo(session, &seen.run.object, why).await
    }
}
