//! `kubectl firstaid approve`, and `ratify`: yes to exactly the plan that is shown.

use clap::Args;

use super::ballots::{Wish, decide};
use super::ended::{Ended, Failure};
use super::session::Session;
use super::usual::Why;

/// What is approved.
#[derive(Args, Clone, Debug)]
pub struct ApproveArgs {
    /// Names of approvals, as `kubectl firstaid approvals` lists them.
    #[arg(required = true, value_name = "APPROVAL")]
    names: Vec<String>,
    #[command(flatten)]
    why: Why,
    /// The code of the plan that you looked at: it is refused if it is another one by now.
    #[arg(long, value_name = "CODE")]
    plan: Option<String>,
    /// Do not ask.
    #[arg(short, long)]
    yes: bool,
}

impl ApproveArgs {
    /// Approves them, one after the other; the first that is refused ends it.
    pub async fn run(&self, session: &Session, ratifies: bool) -> Result<Ended, Failure> {
        if self.plan.is_some() && self.names.len() > 1 {
            return Err(Failure::usage("--plan is the code of one plan: approve them one by one"));
        }
        for name in &self.names {
            let wish = Wish { yes: true, why: &self.why, plan: self.plan.as_deref(), sure: self.yes, ratifies };
            decide(session, name, &wish).await?;
        }
        Ok(Ended::Done)
    }
}
