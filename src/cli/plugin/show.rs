//! `kubectl firstaid show`: what an approval is about.

use clap::Args;

use super::ballots::{holds, read, still_open};
use super::ended::{Ended, Failure};
use super::out::{Line, Tone};
use super::session::Session;
use super::usual::Form;
use super::view::ballot;
use crate::api::approval::BallotKind;

/// Which approval.
#[derive(Args, Clone, Debug)]
pub struct ShowArgs {
    /// Name of the approval.
    #[arg(value_name = "APPROVAL")]
    name: String,
    #[command(flatten)]
    form: Form,
}

impl ShowArgs {
    /// Shows it.
    pub async fn run(&self, session: &Session) -> Result<Ended, Failure> {
        let found = read(session, &self.name).await?;
        if !self.form.output.is_text() {
            self.form.output.print(&session.screen, &found.raw)?;
            return Ok(Ended::Done);
        }
        let (approval, now, screen) = (&found.object, session.now(), &session.screen);
        let request = &approval.spec.request;
        let (sign, word) = ballot::standing(approval);
        let mut head = screen.icons.status(sign, word);
        head.push(
            Tone::Plain,
            &format!("  approval/{} of runbook {}; {}", self.name, request.runbook, ballot::info(approval, now)),
        );
        screen.put(&head);
        screen.put_all(&ballot::plan(request, now));
        screen.gap();
        if let Err(closed) = still_open(session, &found).await {
            screen.put(&Line::toned(Tone::Faint, &closed.said));
            closed.next.iter().for_each(|line| screen.put(&Line::toned(Tone::Faint, line)));
            return Ok(Ended::Done);
        }
        let me = session.me().await?;
        let barred = match ballot::barred(approval, &me.name) {
            Some(why) => Some(why),
            None if !holds(session, &session.namespace, &request.runbook, &request.role).await? => {
                Some(format!("you may not approve runbook {} as {}", request.runbook, request.role))
            }
            None => None,
        };
        let (yes, no) = match request.kind {
            BallotKind::Decide => ("approve", "deny"),
            BallotKind::Ratify => ("ratify", "disown"),
        };
        match barred {
            Some(why) => screen.say(&format!(
                "You ({}) may not decide it: {why}. Somebody else with the role {} may.",
                me.name, request.role
            )),
            None => {
                let rest = format!("{} -n {} --reason \"...\"", self.name, session.namespace);
                screen.say(&format!("You ({}) may decide it:", me.name));
                screen.say(&format!("  kubectl firstaid {yes} {rest} --plan {}", request.code));
                screen.say(&format!("  kubectl firstaid {no} {rest}"));
            }
        }
        Ok(Ended::Done)
    }
}
