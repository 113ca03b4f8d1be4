//! `kubectl firstaid in-place`: first aid that nobody has undone yet.

use clap::Args;
use jiff::Timestamp;

use super::ended::{Ended, Failure};
use super::out::screen::Sign;
use super::out::table::Table;
use super::out::{Line, time};
use super::session::{Found, Session};
use super::usual::Listing;
use crate::api::ActionRecord;
use crate::api::action_record::{RecordKind, RecordState};

/// Which is listed.
#[derive(Args, Clone, Debug)]
pub struct InPlaceArgs {
    #[command(flatten)]
    listing: Listing,
    /// Only what has had its time.
    #[arg(long)]
    overdue: bool,
}

/// First aid that is there.
pub struct Left {
    /// Its records.
    pub found: Vec<Found<ActionRecord>>,
    /// How many records there are that this version cannot read. Each may be of something that is in place.
    pub unread: usize,
}

/// The records of changes that are in place, or were changed by somebody else: the oldest first.
///
/// # Errors
/// What the API server says.
pub async fn left(session: &Session, namespace: &str, labels: Option<&str>) -> Result<Left, Failure> {
    let fields = "status.state!=Reverted,status.state!=OneShot,status.state!=Unknown";
    let (mut found, unread) = session.list_known::<ActionRecord>(namespace, labels, Some(fields)).await?;
    found.retain(|found| {
        let spec = &found.object.spec;
        // A change of which a person said that it was done is there like every other, though its result is Unknown; and one of
        // which nobody has noted what became of it may be.
        let over = [RecordState::Reverted, RecordState::OneShot, RecordState::Unknown];
        spec.kind == RecordKind::Change
            && spec.changed
            && !state(&found.object).is_some_and(|state| over.contains(&state))
    });
    found.sort_by_key(|found| since(&found.object));
    Ok(Left { found, unread })
}

/// What is said where records could not be read; none where all could.
pub fn unread(records: usize) -> Option<String> {
    let what = match records {
        0 => return None,
        1 => "1 record is of a shape that this version does not know, and may be of something that is in place"
            .to_owned(),
        more => format!(
            "{more} records are of a shape that this version does not know, and may be of something that is in place"
        ),
    };
    Some(format!("{what}: see kubectl get arec, and kubectl firstaid version"))
}

/// How it ends: a script that finds nothing must not take it for nothing, where not all could be read.
pub fn ended(unread: usize) -> Ended {
    if unread == 0 { Ended::Done } else { Ended::Error }
}

fn state(record: &ActionRecord) -> Option<RecordState> {
    record.status.as_ref().map(|status| status.state)
}

/// Since when it is in place.
pub fn since(record: &ActionRecord) -> Timestamp {
    record.spec.acted_at.as_ref().map_or(record.spec.settled_at.0, |at| at.0)
}

/// Whether its time is over.
pub fn is_overdue(record: &ActionRecord, now: Timestamp) -> bool {
    record.spec.revert_due.as_ref().is_some_and(|due| due.0 <= now)
}

/// How it stands, as a sign and words.
pub fn standing(record: &ActionRecord, now: Timestamp) -> (Sign, String) {
    let note = record.status.as_ref().map_or("", |status| status.note.as_str());
    match state(record) {
        Some(RecordState::Drifted) if note.is_empty() => (Sign::Warning, "drifted".to_owned()),
        Some(RecordState::Drifted) => (Sign::Warning, format!("drifted: {note}")),
        _ if is_overdue(record, now) => (Sign::Warning, "OVERDUE".to_owned()),
        _ => (Sign::Waits, "in place".to_owned()),
    }
}

/// How long it may stay, where its runbook says so.
pub fn limit(record: &ActionRecord) -> String {
    let due = record.spec.revert_due.as_ref().map(|due| time::words(due.0.duration_since(since(record))));
    due.unwrap_or_default()
}

impl InPlaceArgs {
    /// Lists it.
    pub async fn run(&self, session: &Session) -> Result<Ended, Failure> {
        let place = session.place(self.listing.all_namespaces);
        let now = session.now();
        let Left { mut found, unread } = left(session, place, self.listing.selector.as_deref()).await?;
        found.retain(|found| !self.overdue || is_overdue(&found.object, now));
        if !self.listing.form.output.is_text() {
            self.listing.form.output.print_list(&session.screen, found.into_iter().map(|found| found.raw).collect())?;
            return Ok(ended(unread));
        }
        if let Some(said) = self::unread(unread) {
            session.screen.say(&said);
        }
        if found.is_empty() && unread == 0 {
            let place = if place.is_empty() { "any namespace" } else { place };
            session.screen.say(&format!(
                "No first aid is {}in place in {place}.",
                if self.overdue { "overdue and " } else { "" }
            ));
            return Ok(Ended::Done);
        }
        let mut table = Table::new(&["NAMESPACE", "RECORD", "CHANGE", "RUN", "SINCE", "LIMIT", "STATE"]);
        for found in &found {
            let record = &found.object;
            let (sign, word) = standing(record, now);
            let text = |text: &Option<String>| Line::from(text.as_deref().unwrap_or_default());
            table.row(vec![
                text(&record.metadata.namespace),
                text(&record.metadata.name),
                record.spec.summary.as_str().into(),
                record.spec.run.as_str().into(),
                time::age(since(record), now).into(),
                limit(record).into(),
                session.screen.icons.status(sign, &word),
            ]);
        }
        if !found.is_empty() {
            session.screen.put_all(&table.lines(!self.listing.no_headers));
        }
        Ok(ended(unread))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_could_not_be_read_nobody_says_that_nothing_is_in_place() {
        assert_eq!((unread(0), ended(0)), (None, Ended::Done));
        assert!(unread(1).unwrap().starts_with("1 record is of a shape that this version does not know"));
        assert_eq!(ended(1), Ended::Error);
    }
}
