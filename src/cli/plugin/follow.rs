//! Looking again and again: on a terminal the same screen anew until there is an end, else a line for each change.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use super::ended::{Ended, Failure};
use super::out::{Line, Tone};
use super::session::{Found, Session};
use super::view::ballot;
use super::view::changes::{changes, news};
use super::view::run::{RunView, Shown, standing};
use crate::api::{Approval, RUN_LABEL, RunbookRun};

/// Between two looks at a run.
const TICK: Duration = Duration::from_secs(1);

/// A run and its ballots, as they are now.
pub struct Seen {
    /// The run.
    pub run: Found<RunbookRun>,
    /// Its ballots.
    pub ballots: Vec<Approval>,
}

impl Seen {
    /// Reads them.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn read(session: &Session, name: &str) -> Result<Self, Failure> {
        let label = format!("{RUN_LABEL}={name}");
        let (run, ballots) = tokio::join!(
            session.get::<RunbookRun>(&session.namespace, name),
            session.list::<Approval>(&session.namespace, Some(&label), None),
        );
        let run = run?;
        // A run of the same name may have been there before: its ballots are not those of this one.
        let of_run =
            |ballot: &Approval| run.object.metadata.uid.as_deref() == Some(ballot.spec.request.run_uid.as_str());
        let mut ballots: Vec<Approval> = ballots?.into_iter().map(|found| found.object).filter(of_run).collect();
        ballots.sort_by(|a, b| {
            (a.spec.request.issued_at.0, ballot::name(a)).cmp(&(b.spec.request.issued_at.0, ballot::name(b)))
        });
        Ok(Self { run, ballots })
    }

    /// As people see it.
    pub fn view(&self) -> RunView<'_> {
        RunView { run: &self.run.object, ballots: &self.ballots }
    }

    /// How it ended, if it has.
    pub fn ended(&self) -> Option<Ended> {
        let view = self.view();
        view.finished().then(|| Ended::of(view.phase())).flatten()
    }
}

/// Whoever waits may be told to stop: Ctrl-C, or a signal.
async fn told_to_stop() {
    let Ok(mut term) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = term.recv() => {}
    }
}

/// The time at which patience is over.
fn deadline(patience: Option<Duration>) -> Option<Instant> {
    patience.map(|patience| Instant::now() + patience)
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Whether a failure may pass: the server is gone for a moment, or busy.
fn may_pass(failure: &Failure) -> bool {
    matches!(failure.ended, Ended::Error | Ended::TimedOut) && !failure.said.starts_with("there is no ")
}

/// Shows a frame anew until it says how it ended, until patience is over, or until somebody stops it. The last frame stays
/// on the screen. `unfinished`: how it ends where somebody stops it.
///
/// # Errors
/// Where the frame cannot be made and that will not pass.
pub async fn refresh(
    session: &Session,
    period: Duration,
    patience: Option<Duration>,
    mut frame: impl AsyncFnMut() -> Result<(Vec<Line>, Option<Ended>), Failure>,
) -> Result<Ended, Failure> {
    let (mut lines, mut ended) = frame().await?;
    let deadline = deadline(patience);
    let screen = &session.screen;
    let other = screen.terminal.then(|| screen.other());
    let mut shown: Vec<Line> = Vec::new();
    let how = loop {
        if other.is_some() {
            screen.frame(&lines);
        } else if lines != shown {
            screen.put_all(&lines);
            shown.clone_from(&lines);
        }
        if let Some(ended) = ended {
            break Ok(ended);
        }
        tokio::select! {
            () = tokio::time::sleep(period) => {}
            () = until(deadline) => break Ok(Ended::TimedOut),
            () = told_to_stop() => break Ok(Ended::Done),
        }
        match frame().await {
            Ok(next) => (lines, ended) = next,
            Err(failure) if may_pass(&failure) => stale(&mut lines, &failure),
            Err(failure) => break Err(failure),
        }
    };
    if other.is_some() {
        drop(other);
        screen.put_all(&lines);
    }
    how
}

/// What is shown is old: that is said in its last line.
fn stale(lines: &mut Vec<Line>, failure: &Failure) {
    lines.retain(|line| !line.text().starts_with("not refreshed: "));
    lines.push(Line::toned(Tone::Warn, &format!("not refreshed: {}", failure.said)));
}

/// Follows a run to its end: as a tree on a terminal, as a line for each change elsewhere.
///
/// # Errors
/// Where the run cannot be read and that will not pass.
pub async fn follow(
    session: &Session,
    name: &str,
    patience: Option<Duration>,
    depth: usize,
    all: bool,
) -> Result<Ended, Failure> {
    if !session.screen.terminal {
        return pipe(session, name, patience).await;
    }
    let mut stopped = true;
    let ended = refresh(session, TICK, patience, async || {
        let seen = Seen::read(session, name).await?;
        let shown = Shown { all, depth, icons: session.screen.icons, headers: true, now: session.now() };
        stopped = seen.ended().is_none();
        Ok((seen.view().lines(&shown), seen.ended()))
    })
    .await?;
    // Whoever stops looking has not seen its end.
    Ok(if stopped && ended == Ended::Done { Ended::Error } else { ended })
}

async fn pipe(session: &Session, name: &str, patience: Option<Duration>) -> Result<Ended, Failure> {
    let deadline = deadline(patience);
    let mut told = Vec::new();
    let mut seen = Seen::read(session, name).await?;
    loop {
        for change in news(changes(seen.view(), session.now()), &mut told) {
            if !session.screen.tell(&change.line(name)) {
                return Ok(Ended::Error);
            }
        }
        if let Some(ended) = seen.ended() {
            return Ok(ended);
        }
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            () = until(deadline) => return Err(unfinished(name, &seen)),
            () = told_to_stop() => return Ok(Ended::Error),
        }
        match Seen::read(session, name).await {
            Ok(next) => seen = next,
            Err(failure) if may_pass(&failure) => session.screen.aside(&format!("not refreshed: {}", failure.said)),
            Err(failure) => return Err(failure),
        }
    }
}

/// Waits until a run has ended, and shows nothing.
///
/// # Errors
/// Where it has not in time, or cannot be read and that will not pass.
pub async fn wait(session: &Session, name: &str, patience: Option<Duration>) -> Result<Seen, Failure> {
    let deadline = deadline(patience);
    let mut seen = Seen::read(session, name).await?;
    while seen.ended().is_none() {
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            () = until(deadline) => return Err(unfinished(name, &seen)),
        }
        match Seen::read(session, name).await {
            Ok(next) => seen = next,
            Err(failure) if may_pass(&failure) => {}
            Err(failure) => return Err(failure),
        }
    }
    Ok(seen)
}

fn unfinished(name: &str, seen: &Seen) -> Failure {
    let view = seen.view();
    let waits = view.run.status.as_ref().map_or("", |status| status.waiting_on.as_str());
    let waits = if waits.is_empty() { String::new() } else { format!(": {waits}") };
    let said = format!("run {name} has not ended in that time; it is {}{waits}", standing(view.phase()).1);
    let follow = format!("follow    kubectl firstaid get run {name} -n {} -w", view.namespace());
    Failure { ended: Ended::TimedOut, said, next: vec![follow] }
}
