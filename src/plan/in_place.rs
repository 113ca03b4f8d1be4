//! What has become of the changes of a run that has ended: each is still there, or somebody took it back. And which of them
//! have had their time (`revertAfter`), so that a run is to be made that undoes them.

use jiff::{SignedDuration, Timestamp};
use kube::api::ObjectMeta;

use super::ballot;
use super::finish;
use super::freeze::Frozen;
use super::segment::later;
use super::undo::undoing;
use crate::action::{self, Context, Done, Obstacle, Query, Seen, reason};
use crate::api::condition::cut;
use crate::api::run::{Mode, Trigger};
use crate::api::step::Undoing;
use crate::api::{Period, RunbookRun, RunbookRunSpec};

/// A run that has ended, and what it left behind.
#[derive(Debug)]
pub struct Aftermath<'a> {
    run: &'a RunbookRun,
    frozen: Frozen,
    changes: Vec<Change>,
}

/// A change that a run has not undone itself.
#[derive(Debug)]
pub struct Change {
    /// The step that made it.
    pub step: String,
    /// Name of its record.
    pub record: String,
    undoing: Undoing,
    time: Option<Time>,
}

/// How long a change may stay.
#[derive(Debug)]
struct Time {
    period: Period,
    due: Timestamp,
}

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is as the run left it.
    InPlace,
    /// It is not; what is there instead, and who wrote that, as far as the object says.
    Drifted(String),
    /// Nobody knows: it could not be read, and why. Nothing is noted of it.
    Unknown(String),
}

/// The run that undoes what has had its time, and when the next time is over.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timed {
    /// To be made now.
    pub undo: Option<Box<RunbookRun>>,
    /// When the next change has had its time, where there is one.
    pub next: Option<Timestamp>,
}

/// Changes of a run whose time is over so little later are undone by the same run: people are asked once.
const TOGETHER: SignedDuration = SignedDuration::from_mins(5);

impl<'a> Aftermath<'a> {
    /// What a run left behind. None where it has not ended or left nothing, or where it is not of a form that this version reads.
    pub fn of(run: &'a RunbookRun) -> Option<Self> {
        let status = run.status.as_ref().filter(|status| status.finished)?;
        let frozen: Frozen = serde_json::from_value(status.frozen.clone()?).ok()?;
        let changes = finish::in_place(status).into_iter().filter_map(|change| {
            let step = frozen.steps.iter().find(|step| step.name == change.step)?;
            let done = change.outcome.acted_at.as_ref().unwrap_or(&change.outcome.known_at).0;
            let time = step.revert_after.clone();
            Some(Change {
                step: change.step.to_owned(),
                record: change.settled.record.clone(),
                undoing: undoing(run, status, step, change)?,
                time: time.map(|period| Time { due: later(done, period.seconds()), period }),
            })
        });
        let changes: Vec<Change> = changes.collect();
        (!changes.is_empty()).then_some(Self { run, frozen, changes })
    }

    /// As whom its targets are read.
    pub fn service_account(&self) -> &str {
        &self.frozen.service_account
    }

    /// The changes, in the order in which they were made.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    fn context(&self) -> Context<'_> {
        let namespace = self.run.metadata.namespace.as_deref().unwrap_or_default();
        Context { namespace, params: &self.frozen.parameters, intent_at: Timestamp::UNIX_EPOCH }
    }

    /// What must be read to tell what became of a change.
    pub fn look(&self, change: &Change) -> Vec<Query> {
        let mut queries = action::look(&change.undoing.action, &self.context());
        // Who would put a size back matters to whoever changes it, not to what it is.
        queries.retain(|query| *query != Query::Autoscalers);
        queries
    }

    /// What became of a change.
    pub fn standing(&self, change: &Change, seen: &Seen) -> Standing {
        let Undoing { target, before, after, .. } = &change.undoing;
        let done = Done { target, before, after, force: false };
        match action::undo(&change.undoing.action, &self.context(), &done, seen) {
            Ok(undo) if undo.already => Standing::Drifted(note(&undo.warnings.join("; "))),
            Ok(_) => Standing::InPlace,
            Err(Obstacle::Refused { reason: reason::CHANGED_SINCE | reason::TARGET_GONE, sentence }) => {
                Standing::Drifted(note(&sentence))
            }
            Err(obstacle) => Standing::Unknown(obstacle.to_string()),
        }
    }

    /// Whether the time of any of these is over.
    pub fn is_overdue(&self, still: &[&Change], now: Timestamp) -> bool {
        !due(still, now).is_empty()
    }

    /// What is to be done about the time of those changes that are still there. `undos`: the runs that there are which undo
    /// this one. A change is asked about once: when nobody decides, it stays, and is told as overdue.
    pub fn timed(&self, still: &[&Change], undos: &[RunbookRun], now: Timestamp) -> Timed {
        let times = still.iter().filter_map(|change| change.time.as_ref()).map(|time| time.due);
        let next = times.filter(|due| *due > now).min();
        // Somebody is at it; whatever that run leaves is looked at afterwards.
        if undos.iter().any(|run| run.status.as_ref().is_none_or(|status| !status.finished)) {
            return Timed { undo: None, next };
        }
        let timed = undos.iter().filter(|run| run.spec.trigger == Some(Trigger::RevertAfter));
        let asked: Vec<&str> = timed.flat_map(|run| &run.spec.steps).map(String::as_str).collect();
        let due: Vec<&Change> =
            due(still, now).into_iter().filter(|change| !asked.contains(&change.step.as_str())).collect();
        Timed { undo: self.undo_of(&due).map(Box::new), next }
    }

    fn undo_of(&self, due: &[&Change]) -> Option<RunbookRun> {
        let time = due.first()?.time.as_ref()?;
        let steps: Vec<String> = due.iter().map(|change| change.step.clone()).collect();
        let of = ballot::name(self.run);
        // The same name however often it is made: a second one is refused.
        let digest = crate::digest::sha256(format!("{}/{}", ballot::uid(self.run), steps.join("/")).as_bytes());
        let short: String = digest.chars().rev().take(6).collect();
        let stem: String = of.chars().take(40).collect();
        let name = format!("{}-time-{short}", stem.trim_end_matches(['-', '.']));
        let spec = RunbookRunSpec {
            runbook: self.run.spec.runbook.clone(),
            parameters: Default::default(),
            reason: cut(&format!("revertAfter {} is over for: {}", time.period, steps.join(", ")), 1024),
            incident: self.run.spec.incident.clone(),
            revert_of: Some(of.to_owned()),
            steps,
            force: false,
            trigger: Some(Trigger::RevertAfter),
            mode: Mode::Execute,
            requested_by: None,
        };
        let namespace = self.run.metadata.namespace.clone();
        let metadata = ObjectMeta { name: Some(name), namespace, ..ObjectMeta::default() };
        Some(RunbookRun { metadata, spec, status: None })
    }
}

/// Those of which the time is over, or nearly, where it is over for at least one of them.
fn due<'c>(still: &[&'c Change], now: Timestamp) -> Vec<&'c Change> {
    let is_over = |change: &&Change| change.time.as_ref().is_some_and(|time| time.due <= now);
    if !still.iter().any(is_over) {
        return Vec::new();
    }
    let nearly = |time: &Time| time.due <= now + TOGETHER.min(time.period.duration() / 10);
    still.iter().copied().filter(|change| change.time.as_ref().is_some_and(nearly)).collect()
}

fn note(text: &str) -> String {
    cut(text, 1024)
}
