//! `kubectl firstaid get run`: a run as a tree; without a name, all runs.

use clap::{Args, ValueEnum};

use super::ended::{Ended, Failure};
use super::follow::{Seen, follow};
use super::out::Line;
use super::out::table::Table;
use super::out::time;
use super::session::Session;
use super::usual::{Listing, Patience};
use super::view::run::{Shown, standing};
use crate::api::RunbookRun;

/// What can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// A run.
    #[value(alias = "runs", alias = "rbr")]
    Run,
}

/// Which run, and how it is shown.
#[derive(Args, Clone, Debug)]
pub struct GetArgs {
    /// What: run.
    #[arg(value_enum)]
    kind: Kind,
    /// Name of the run. Default: a list of all.
    name: Option<String>,
    #[command(flatten)]
    listing: Listing,
    /// Stay until it has ended, and show what changes.
    #[arg(short, long, requires = "name")]
    watch: bool,
    /// Also what is over: ballots of earlier plans, and records.
    #[arg(long)]
    all: bool,
    /// How far below the run: 1 is its steps.
    #[arg(long, default_value_t = 9)]
    depth: usize,
    #[command(flatten)]
    patience: Patience,
}

impl GetArgs {
    /// Shows it.
    pub async fn run(&self, session: &Session) -> Result<Ended, Failure> {
        let Kind::Run = self.kind;
        let Some(name) = &self.name else { return self.list(session).await };
        if self.watch && self.listing.form.output.is_text() {
            return follow(session, name, self.patience.timeout, self.depth, self.all).await;
        }
        let seen = Seen::read(session, name).await?;
        if !self.listing.form.output.is_text() {
            self.listing.form.output.print(&session.screen, &seen.run.raw)?;
            return Ok(Ended::Done);
        }
        let headers = !self.listing.no_headers;
        let shown =
            Shown { all: self.all, depth: self.depth, icons: session.screen.icons, headers, now: session.now() };
        session.screen.put_all(&seen.view().lines(&shown));
        Ok(Ended::Done)
    }

    async fn list(&self, session: &Session) -> Result<Ended, Failure> {
        let place = session.place(self.listing.all_namespaces);
        let mut runs = session.list::<RunbookRun>(place, self.listing.selector.as_deref(), None).await?;
        // The newest first: it is the one that is looked for.
        runs.sort_by_key(|found| {
            std::cmp::Reverse(found.object.metadata.creation_timestamp.as_ref().map(|time| time.0))
        });
        if !self.listing.form.output.is_text() {
            self.listing.form.output.print_list(&session.screen, runs.into_iter().map(|found| found.raw).collect())?;
            return Ok(Ended::Done);
        }
        if runs.is_empty() {
            let place = if place.is_empty() { "any namespace" } else { place };
            session.screen.say(&format!("There is no run in {place}."));
            return Ok(Ended::Done);
        }
        let mut table = Table::new(&["NAMESPACE", "NAME", "STATUS", "STEP", "RUNBOOK", "INCIDENT", "AGE", "INFO"]);
        for found in &runs {
            let (metadata, spec) = (&found.object.metadata, &found.object.spec);
            let status = found.object.status.as_ref();
            let (sign, word) = standing(status.map(|status| status.phase).unwrap_or_default());
            let text = |text: Option<&String>| Line::from(text.map(String::as_str).unwrap_or_default());
            let info =
                status.map(|status| if status.waiting_on.is_empty() { &status.message } else { &status.waiting_on });
            let age =
                metadata.creation_timestamp.as_ref().map(|made| time::age(made.0, session.now())).unwrap_or_default();
            table.row(vec![
                text(metadata.namespace.as_ref()),
                text(metadata.name.as_ref()),
                session.screen.icons.status(sign, word),
                text(status.map(|status| &status.progress)),
                spec.runbook.as_str().into(),
                text(spec.incident.as_ref()),
                age.into(),
                text(info),
            ]);
        }
        session.screen.put_all(&table.lines(!self.listing.no_headers));
        Ok(Ended::Done)
    }
}
