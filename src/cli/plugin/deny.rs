//! `kubectl firstaid deny`, and `disown`: no.

use clap::Args;

use super::ballots::{Wish, decide};
use super::ended::{Ended, Failure};
use super::session::Session;
use super::usual::Why;

/// What is denied.
#[derive(Args, Clone, Debug)]
pub struct DenyArgs {
    /// Names of approvals, as `kubectl firstaid approvals` lists them.
    #[arg(required = true, value_name = "APPROVAL")]
    names: Vec<String>,
    #[command(flatten)]
    why: Why,
    /// Do not ask.
    #[arg(short, long)]
    yes: bool,
}

impl DenyArgs {
    /// Denies them, one after the other; the first that is refused ends it.
    pub async fn run(&self, session: &Session, ratifies: bool) -> Result<Ended, Failure> {
        for name in &self.names {
            let wish = Wish { yes: false, why: &self.why, plan: None, sure: self.yes, ratifies };
            decide(session, name, &wish).await?;
        }
        Ok(Ended::Done)
    }
}
