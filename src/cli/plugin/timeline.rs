//! `kubectl firstaid timeline`: the same as `firstaid timeline`.

use clap::Args;

use super::ended::{Ended, Failure};
use super::session::Session;
use crate::cli::material::{Asked, document_of};
use crate::cli::timeline::{Shown, print};

/// Of which incident.
#[derive(Args, Clone, Debug)]
pub struct TimelineArgs {
    #[command(flatten)]
    asked: Asked,
    /// All namespaces: one incident may have runs in several.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    #[command(flatten)]
    shown: Shown,
}

impl TimelineArgs {
    /// Prints it.
    pub async fn run(&self, session: &Session) -> Result<Ended, Failure> {
        let place = session.place(self.all_namespaces);
        print(&document_of(session.client(), place, &self.asked, self.shown.names()).await?, &self.shown)?;
        Ok(Ended::Done)
    }
}
