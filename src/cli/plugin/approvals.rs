//! `kubectl firstaid approvals`: what waits for a decision.

use std::time::Duration;

use clap::Args;

use super::ballots::{Waiting, waiting};
use super::ended::{Ended, Failure};
use super::follow::refresh;
use super::out::object::Output;
use super::out::table::Table;
use super::out::{Line, Tone, time};
use super::session::Session;
use super::usual::Listing;
use super::view::ballot;

/// Which are listed.
#[derive(Args, Clone, Debug)]
pub struct ApprovalsArgs {
    #[command(flatten)]
    listing: Listing,
    /// Only those that you may decide.
    #[arg(long)]
    mine: bool,
    /// Stay, and show what changes, until Ctrl-C.
    #[arg(short, long)]
    watch: bool,
}

impl ApprovalsArgs {
    /// Lists them, those first that you may decide.
    pub async fn run(&self, session: &Session) -> Result<Ended, Failure> {
        if !self.listing.form.output.is_text() {
            let found = self.found(session).await?;
            let raw = found.into_iter().map(|waiting| waiting.found.raw).collect();
            self.listing.form.output.print_list(&session.screen, raw)?;
            return Ok(Ended::Done);
        }
        if self.watch {
            refresh(session, Duration::from_secs(2), None, async || Ok((self.lines(session).await?, None))).await
        } else {
            session.screen.put_all(&self.lines(session).await?);
            Ok(Ended::Done)
        }
    }

    async fn found(&self, session: &Session) -> Result<Vec<Waiting>, Failure> {
        let me = session.me().await?;
        let place = session.place(self.listing.all_namespaces);
        let mut found = waiting(session, place, self.listing.selector.as_deref(), &me).await?;
        found.retain(|waiting| !self.mine || waiting.barred.is_none());
        Ok(found)
    }

    async fn lines(&self, session: &Session) -> Result<Vec<Line>, Failure> {
        let (found, now) = (self.found(session).await?, session.now());
        let place = if self.listing.all_namespaces { "any namespace".to_owned() } else { session.namespace.clone() };
        if found.is_empty() {
            let whom = if self.mine { "you" } else { "a decision" };
            return Ok(vec![format!("Nothing waits for {whom} in {place}.").into()]);
        }
        let wide = self.listing.form.output == Output::Wide;
        let mut head = vec!["NAMESPACE", "NAME", "ACTION", "CODE", "FOR", "ASKED BY", "AGE", "EXPIRES"];
        head.extend(if wide { &["RUN", "GATE", "REASON", "YOU MAY"][..] } else { &["YOU MAY"] });
        let mut table = Table::new(&head);
        for Waiting { found, barred } in &found {
            let request = &found.object.spec.request;
            let expires = request.expires_at.as_ref().map_or("never".to_owned(), |until| time::relative(until.0, now));
            let may = match barred {
                None => Line::toned(Tone::Good, "yes"),
                Some(why) => Line::toned(Tone::Faint, &format!("no: {why}")),
            };
            let mut row: Vec<Line> = vec![
                found.object.metadata.namespace.clone().unwrap_or_default().into(),
                ballot::name(&found.object).into(),
                request.summary.as_str().into(),
                request.shown_code.as_str().into(),
                request.role.as_str().into(),
                request.requester.as_str().into(),
                time::age(request.issued_at.0, now).into(),
                expires.into(),
            ];
            if wide {
                row.extend([&request.run, &request.gate, &request.why].map(|text| Line::from(text.as_str())));
            }
            row.push(may);
            table.row(row);
        }
        Ok(table.lines(!self.listing.no_headers))
    }
}
