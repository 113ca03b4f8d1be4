//! `kubectl firstaid verify`: the same as `firstaid verify`.

use clap::Args;

use super::ended::{Ended, Failure};
use super::session::Session;
use crate::cli::verify::{Asked, report};

/// What is verified. It ends with 1 where something is wrong, and with 2 where that could not be told.
#[derive(Args, Clone, Debug)]
pub struct VerifyArgs {
    #[command(flatten)]
    asked: Asked,
    /// With -f: also compare the file with the cluster.
    #[arg(long)]
    against_cluster: bool,
}

impl VerifyArgs {
    /// Prints what was found.
    pub async fn run(&self, session: &Session) -> Result<Ended, Failure> {
        let connected = async { Ok((session.client().clone(), session.namespace.clone())) };
        Ok(match report(&self.asked, self.against_cluster, connected).await {
            0 => Ended::Done,
            1 => Ended::Error,
            _ => Ended::Usage,
        })
    }
}
