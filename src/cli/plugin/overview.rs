//! `kubectl firstaid`, without a verb: what is open, what waits for you, and what is still in place.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::ballots::{Waiting, waiting};
use super::ended::{Ended, Failure};
use super::follow::refresh;
use super::in_place::{Left, ended, left, limit, since, standing, unread};
use super::out::table::Table;
use super::out::{Line, Tone, time};
use super::session::{Found, Me, Session};
use super::usual::Form;
use super::view::ballot;
use super::view::run::standing as run_standing;
use crate::api::RunbookRun;
use crate::api::approval::BallotKind;
use crate::api::incident::{Incident, IncidentPhase};

/// Of which namespace.
#[derive(Args, Clone, Debug, Default)]
pub struct OverviewArgs {
    /// All namespaces.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    /// Stay, and show what changes, until Ctrl-C.
    #[arg(short, long)]
    watch: bool,
    #[command(flatten)]
    form: Form,
}

/// What there is.
struct Overview {
    me: Me,
    incidents: Vec<Found<Incident>>,
    waiting: Vec<Waiting>,
    runs: Vec<Found<RunbookRun>>,
    left: Left,
    seen: Option<jiff::Timestamp>,
}

impl Overview {
    async fn read(session: &Session, place: &str) -> Result<Self, Failure> {
        let me = session.me().await?;
        let (incidents, waiting, runs, left, seen) = tokio::join!(
            session.list::<Incident>(place, None, None),
            waiting(session, place, None, &me),
            session.list::<RunbookRun>(place, None, Some("status.finished!=true")),
            left(session, place, None),
            session.operator_seen(),
        );
        // Incidents are optional, and whoever looks at approvals need not be let to read them.
        let mut incidents = incidents.unwrap_or_default();
        incidents.retain(|found| phase(found) != IncidentPhase::Closed);
        Ok(Self { me, incidents, waiting: waiting?, runs: runs?, left: left?, seen })
    }

    fn json(self) -> Value {
        let raw = |objects: Vec<Value>| Value::Array(objects);
        json!({
            "incidents": raw(self.incidents.into_iter().map(|found| found.raw).collect()),
            "waiting": raw(self.waiting.into_iter().map(|waiting| waiting.found.raw).collect()),
            "runs": raw(self.runs.into_iter().map(|found| found.raw).collect()),
            "inPlace": raw(self.left.found.into_iter().map(|found| found.raw).collect()),
        })
    }
}

fn phase(found: &Found<Incident>) -> IncidentPhase {
    found.object.status.as_ref().map(|status| status.phase).unwrap_or_default()
}

fn place_of(metadata: &kube::api::ObjectMeta) -> (&str, &str) {
    (metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default())
}

impl OverviewArgs {
    /// Whether anything of it was asked for.
    pub fn is_asked(&self) -> bool {
        self.all_namespaces || self.watch || self.form.output != super::out::object::Output::Text
    }

    /// Shows it.
    pub async fn run(&self, session: &Session) -> Result<Ended, Failure> {
        let place = session.place(self.all_namespaces);
        if !self.form.output.is_text() {
            let all = Overview::read(session, place).await?;
            let unread = all.left.unread;
            self.form.output.print(&session.screen, &all.json())?;
            return Ok(ended(unread));
        }
        if self.watch {
            return refresh(session, Duration::from_secs(2), None, async || {
                Ok((self.lines(session, place).await?, None))
            })
            .await;
        }
        session.screen.put_all(&self.lines(session, place).await?);
        Ok(Ended::Done)
    }

    async fn lines(&self, session: &Session, place: &str) -> Result<Vec<Line>, Failure> {
        let all = Overview::read(session, place).await?;
        let now = session.now();
        let mut lines = vec![heading(session, &all, place)];
        let section = |lines: &mut Vec<Line>, title: String, table: Table| {
            lines.push(Line::default());
            lines.push(Line::toned(Tone::Strong, &title));
            lines.extend(table.lines(false).into_iter().map(|line| {
                let mut indented = Line::from("  ");
                indented.extend(&line);
                indented
            }));
        };
        let mut table = Table::new(&["", "", "", "", "", "", ""]);
        for found in &all.incidents {
            let (spec, (namespace, name)) = (&found.object.spec, place_of(&found.object.metadata));
            let began = spec.milestones.impact_started.as_ref().or(spec.milestones.detected.as_ref());
            let since =
                began.map(|began| format!("since {} ({})", time::clock(began.at.0, now), time::age(began.at.0, now)));
            let runs = found.object.status.as_ref().map(|status| format!("runs {}", status.runs)).unwrap_or_default();
            table.row(vec![
                namespace.into(),
                name.into(),
                spec.severity.as_str().into(),
                format!("{:?}", phase(found)).into(),
                spec.summary.as_str().into(),
                since.unwrap_or_default().into(),
                runs.into(),
            ]);
        }
        section(&mut lines, format!("INCIDENTS OPEN ({})", all.incidents.len()), table);
        lines.push(Line::default());
        let mine = all.waiting.iter().filter(|waiting| waiting.barred.is_none()).count();
        lines.push(Line::toned(
            Tone::Strong,
            &format!("WAITING FOR A DECISION ({}, you may decide {mine})", all.waiting.len()),
        ));
        for waiting in &all.waiting {
            lines.extend(self::waiting_lines(waiting, now));
        }
        let mut table = Table::new(&["", "", "", "", ""]);
        for found in &all.runs {
            let status = found.object.status.as_ref();
            let (sign, word) = run_standing(status.map(|status| status.phase).unwrap_or_default());
            let (namespace, name) = place_of(&found.object.metadata);
            let info = status
                .map_or("", |status| if status.waiting_on.is_empty() { &status.progress } else { &status.waiting_on });
            table.row(vec![
                namespace.into(),
                name.into(),
                session.screen.icons.status(sign, word),
                found.object.spec.runbook.as_str().into(),
                info.into(),
            ]);
        }
        section(&mut lines, format!("RUNS THAT GO ON ({})", all.runs.len()), table);
        let mut table = Table::new(&["", "", "", "", ""]);
        for found in &all.left.found {
            let (sign, word) = standing(&found.object, now);
            let (namespace, name) = place_of(&found.object.metadata);
            let limit = limit(&found.object);
            let limit = if limit.is_empty() { String::new() } else { format!(" (limit {limit})") };
            let mut state = session.screen.icons.status(sign, &word);
            state.push(Tone::Plain, &limit);
            table.row(vec![
                namespace.into(),
                name.into(),
                found.object.spec.summary.as_str().into(),
                time::age(since(&found.object), now).into(),
                state,
            ]);
        }
        section(&mut lines, format!("FIRST AID STILL IN PLACE ({})", all.left.found.len()), table);
        if let Some(said) = unread(all.left.unread) {
            lines.push(Line::toned(Tone::Bad, &format!("    {said}")));
        }
        if let Some(first) = all.left.found.first() {
            let (namespace, name) = place_of(&first.object.metadata);
            lines.push(Line::toned(
                Tone::Faint,
                &format!("    kubectl firstaid revert {name} -n {namespace} --reason \"...\""),
            ));
        }
        Ok(lines)
    }
}

fn heading(session: &Session, all: &Overview, place: &str) -> Line {
    let place = if place.is_empty() { "all" } else { place };
    let line = Line::from(format!("context {}   namespace {place}   you {}   ", session.context, all.me.name));
    match all.seen {
        Some(seen) if session.now().duration_since(seen) < jiff::SignedDuration::from_secs(60) => {
            line.and(Tone::Good, &format!("operator ok (seen {} ago)", time::age(seen, session.now())))
        }
        Some(seen) => line.and(Tone::Bad, &format!("operator AWAY (not seen for {})", time::age(seen, session.now()))),
        // Most people may not read its Lease.
        None => line.and(Tone::Faint, "operator unknown"),
    }
}

fn waiting_lines(waiting: &Waiting, now: jiff::Timestamp) -> Vec<Line> {
    let request = &waiting.found.object.spec.request;
    let namespace = waiting.found.object.metadata.namespace.as_deref().unwrap_or_default();
    let expires = request
        .expires_at
        .as_ref()
        .map(|until| format!("   expires {}", time::relative(until.0, now)))
        .unwrap_or_default();
    let name = ballot::name(&waiting.found.object);
    let mut lines =
        vec![Line::from(format!("  {namespace}  {name}   {}   for {}{expires}", request.summary, request.role))];
    let word = if request.kind == BallotKind::Ratify { "ratify" } else { "approve" };
    lines.push(match &waiting.barred {
        None => {
            Line::toned(Tone::Faint, &format!("    kubectl firstaid {word} {name} -n {namespace} --reason \"...\""))
        }
        Some(why) => Line::toned(Tone::Faint, &format!("    not yours: {why}")),
    });
    lines
}
