//! The facts of one incident: what is stored, as one ordered list of moments, each with its source, and where there are none.
//!
//! Nothing is guessed here. A moment whose time is only known to be no later than another one says so.

pub mod alerts;
mod moments;
pub mod stored;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::document::{Gap, Moment, MomentKind, Source, Unknown};
use super::material::{Joined, Material};
use super::people::{Names, People};
use crate::api::SCHEMA_VERSION;
use crate::api::alert::FiredAlert;
use crate::api::follow_up::CheckedFollowUp;
use crate::api::incident::{IncidentSpec, Milestone};
use crate::api::line::{cut, one_line};
use crate::verify::Stored;
use stored::{Ballot, Record, Run};

/// From when on an interval without any record is shown as one.
const QUIET: SignedDuration = SignedDuration::from_mins(5);

/// Everything of one incident.
#[derive(Debug)]
pub struct Facts<'a> {
    /// Its key.
    pub key: String,
    /// Everything that was read, of other incidents, too.
    pub material: &'a Material,
    /// What belongs to it.
    pub joined: Joined<'a>,
    /// Who is called what.
    pub people: People,
    /// What people wrote of it, where they did and it could be read.
    pub incident: Option<Told<'a>>,
    /// Why what people wrote could not be read, where that was so. Then nothing may be said of what they did not write.
    pub unread: Option<String>,
    /// Its runs, by the time at which they were asked for.
    pub runs: Vec<Run<'a>>,
    /// Their ballots, by the time of their issue.
    pub ballots: Vec<Ballot<'a>>,
    /// Their records, by time.
    pub records: Vec<Record<'a>>,
    /// Places in `records` by the uid of their run, in the order of its chain.
    by_run: BTreeMap<&'a str, Vec<usize>>,
    /// Places in `runs` by their uid.
    by_uid: BTreeMap<&'a str, usize>,
    /// What cannot be told, and who could.
    pub unknown: Vec<Unknown>,
}

/// An Incident.
#[derive(Clone, Debug)]
pub struct Told<'a> {
    /// The object.
    pub object: &'a Stored,
    /// What people wrote.
    pub spec: IncidentSpec,
    /// What the checks of its follow-ups found, when the operator looked last.
    pub checks: Vec<CheckedFollowUp>,
    /// The alerts that were told of it, by fingerprint and begin.
    pub alerts: BTreeMap<String, FiredAlert>,
    /// How many more there were.
    pub alerts_left_out: i64,
}

impl<'a> Facts<'a> {
    /// The facts of an incident; `None` where there is nothing of it.
    pub fn of(material: &'a Material, key: &str, names: Names) -> Option<Self> {
        let joined = material.of(key)?;
        let people = People::of(material, &joined, names);
        let mut runs: Vec<Run<'a>> = joined.runs.iter().map(|run| Run::of(run)).collect();
        runs.sort_by_key(|run| (run.asked, run.object.namespace(), run.name()));
        let mut ballots: Vec<Ballot<'a>> = joined.ballots.iter().map(|ballot| Ballot::of(ballot)).collect();
        ballots.sort_by_key(|ballot| (ballot.issued, ballot.object.namespace(), ballot.object.name()));
        let mut records: Vec<Record<'a>> = joined.records.iter().map(|record| Record::of(record)).collect();
        records.sort_by_key(|r| (r.at(), r.object.namespace(), r.object.text("/spec/run"), r.seq(), r.name()));
        let mut by_run: BTreeMap<&'a str, Vec<usize>> = BTreeMap::new();
        for (place, record) in records.iter().enumerate() {
            by_run.entry(record.object.text("/spec/runUID")).or_default().push(place);
        }
        for places in by_run.values_mut() {
            places.sort_by_key(|place| records.get(*place).map(Record::seq));
        }
        let by_uid = runs.iter().enumerate().map(|(place, run)| (run.object.uid(), place)).collect();
        let mut unknown = Vec::new();
        let (incident, unread) = match told(&joined, &people, &mut unknown) {
            Ok(incident) => (incident, material.incidents_unread.as_deref().map(|why| people.text(why))),
            Err(why) => (None, Some(why)),
        };
        // One that was read is not unread because others were not.
        let unread = unread.filter(|_| incident.is_none());
        if let Some(why) = &unread {
            unknown.push(Unknown::new(
                format!("what people wrote: the Incident cannot be read ({why})"),
                "a newer firstaid, or whoever wrote it, or may read it",
            ));
        }
        let mut facts = Self {
            key: one_line(key),
            material,
            joined,
            people,
            incident,
            unread,
            runs,
            ballots,
            records,
            by_run,
            by_uid,
            unknown,
        };
        let missing = facts.missing();
        facts.unknown.extend(missing);
        Some(facts)
    }

    /// Its moments, in order of time. Those at the same time stand in the order in which one leads to the other.
    pub fn moments(&self) -> Vec<Moment> {
        let mut moments = moments::all(self);
        let after = self.after_what_they_undo();
        let order = |moment: &Moment| {
            let asked = (moment.kind == MomentKind::Run).then_some((&moment.source.namespace, &moment.source.name));
            asked.and_then(|run| after.get(&(run.0.as_str(), run.1.as_str()))).copied().unwrap_or(moment.at)
        };
        moments.sort_by(|a, b| {
            (order(a), a.at, a.kind, &a.source, &a.what).cmp(&(order(b), b.at, b.kind, &b.source, &b.what))
        });
        moments
    }

    /// Undos that seem to have been asked for within the second in which what they undo ended: the time of creation is
    /// rounded down to the second. They come after that end; by namespace and name.
    fn after_what_they_undo(&self) -> BTreeMap<(&'a str, &'a str), Timestamp> {
        let undone = |run: &Run<'a>| {
            let name = run.object.text("/spec/revertOf");
            let of = |other: &&Run<'a>| other.name() == name && other.object.namespace() == run.object.namespace();
            let (asked, ended) = (run.asked?, self.runs.iter().find(of)?.finished?);
            let same_second = asked <= ended && ended.duration_since(asked) < SignedDuration::from_secs(1);
            same_second.then_some(((run.object.namespace(), run.name()), ended + SignedDuration::from_micros(1)))
        };
        self.runs.iter().filter(|run| !run.object.text("/spec/revertOf").is_empty()).filter_map(undone).collect()
    }

    /// The Incident and when it was made, which is known even where what it says cannot be read.
    pub fn opened(&self) -> Option<(&'a Stored, Timestamp)> {
        let object = self.joined.incidents.first()?;
        Some((object, stored::time(&object.object, "/metadata/creationTimestamp")?))
    }

    /// A milestone that people entered, by its name.
    pub fn milestone(&self, name: &str) -> Option<&Milestone> {
        let milestones = &self.incident.as_ref()?.spec.milestones;
        match name {
            "impactStarted" => milestones.impact_started.as_ref(),
            "detected" => milestones.detected.as_ref(),
            "acknowledged" => milestones.acknowledged.as_ref(),
            "mitigated" => milestones.mitigated.as_ref(),
            "resolved" => milestones.resolved.as_ref(),
            _ => None,
        }
    }

    /// The run with this uid.
    pub fn run(&self, uid: &str) -> Option<&Run<'a>> {
        self.runs.get(*self.by_uid.get(uid)?)
    }

    /// The records of a run, in the order of its chain.
    pub fn records_of(&self, uid: &str) -> impl Iterator<Item = &Record<'a>> {
        let places = self.by_run.get(uid).map(Vec::as_slice).unwrap_or_default();
        places.iter().filter_map(|place| self.records.get(*place))
    }

    /// The uids of all runs that left records.
    pub fn recorded_runs(&self) -> impl Iterator<Item = &'a str> {
        self.by_run.keys().copied()
    }

    /// When what stands on a ballot was decided, and whether that is only known to be no later: the API server's own note
    /// where it is in the material, else the first act that the ballot opened, else the end of its run.
    pub fn decided(&self, ballot: &Ballot<'_>) -> Option<(Timestamp, bool, Source)> {
        ballot.said?;
        if let Some(at) = ballot.marked {
            // To the second, rounded down: no ballot was marked before it was issued.
            let at = ballot.issued.map_or(at, |issued| at.max(issued));
            return Some((at, false, Source::of(ballot.object, "metadata.managedFields")));
        }
        let opened = |record: &&Record<'_>| record.ballots().any(|name| name == ballot.object.name());
        let acts = self.records_of(ballot.run_uid()).filter(opened);
        let act = acts.filter_map(|r| Some((r.at()?, r))).min_by_key(|(at, _)| *at);
        if let (Some((at, record)), false) = (act, ballot.ratifies()) {
            return Some((at, true, Source::of(record.object, "spec.actedAt")));
        }
        let run = self.run(ballot.run_uid()).filter(|_| !ballot.ratifies())?;
        Some((run.finished?, true, Source::of(run.object, "status.finishedAt")))
    }

    /// What the material cannot say.
    fn missing(&self) -> Vec<Unknown> {
        let mut missing = Vec::new();
        let mut newer: BTreeMap<i64, usize> = BTreeMap::new();
        for record in self.records.iter().filter(|record| record.version() > i64::from(SCHEMA_VERSION)) {
            *newer.entry(record.version()).or_default() += 1;
        }
        for (version, number) in newer {
            missing.push(Unknown::new(
                format!("{number} record(s) have version {version}; this program knows {SCHEMA_VERSION}, and has read of them what it knows"),
                "a newer firstaid",
            ));
        }
        for record in &self.records {
            let name = record.name();
            if record.at().is_none() {
                missing.push(Unknown::new(
                    format!("when record {name} was made: it has no time that can be read"),
                    "the log of the operator",
                ));
            }
            if record.spec("result") == "Unknown" {
                missing.push(Unknown::new(
                    format!(
                        "whether {} took place: it could not be read back",
                        self.people.text(record.spec("summary"))
                    ),
                    "whoever looked at the target then",
                ));
            }
            let judged = record.changed() && matches!(record.spec("verified"), "No" | "Unknown");
            if judged {
                missing.push(Unknown::new(
                    format!(
                        "whether {} took hold: verified {}",
                        self.people.text(record.spec("summary")),
                        one_line(record.spec("verified"))
                    ),
                    "whoever looked at the target then",
                ));
            }
        }
        let bounds = self.ballots.iter().filter(|ballot| ballot.said.is_some() && ballot.marked.is_none()).count();
        if bounds > 0 {
            missing.push(Unknown::new(
                format!("when exactly {bounds} decision(s) were made: the export has no managedFields, so no later than the act or the end that followed"),
                "the cluster, or an export made with --show-managed-fields",
            ));
        }
        let mut gone: Vec<&str> = (self.records.iter())
            .filter(|record| self.run(record.object.text("/spec/runUID")).is_none())
            .map(|record| record.spec("run"))
            .collect();
        gone.sort_unstable();
        gone.dedup();
        for run in gone {
            missing.push(Unknown::new(
                format!("how run {} ended: it is gone, and its records are here", one_line(run)),
                "the archive of evidence",
            ));
        }
        missing
    }
}

/// What people wrote; none where they wrote nothing.
///
/// # Errors
/// Why it cannot be read.
fn told<'a>(joined: &Joined<'a>, people: &People, unknown: &mut Vec<Unknown>) -> Result<Option<Told<'a>>, String> {
    let Some((object, others)) = joined.incidents.split_first() else { return Ok(None) };
    for other in others {
        unknown.push(Unknown::new(
            format!(
                "what the Incident of the same name in namespace {} says: only that of {} is read",
                one_line(other.namespace()),
                one_line(object.namespace())
            ),
            "whoever wrote it",
        ));
    }
    match serde_json::from_value(object.spec().clone()) {
        Ok(spec) => {
            let checks = object.object.pointer("/status/checks").cloned().unwrap_or_default();
            let alerts = object.object.pointer("/status/alerts").cloned().unwrap_or_default();
            Ok(Some(Told {
                object,
                spec,
                checks: serde_json::from_value(checks).unwrap_or_default(),
                alerts: serde_json::from_value(alerts).unwrap_or_default(),
                alerts_left_out: object
                    .object
                    .pointer("/status/alertsLeftOut")
                    .and_then(Value::as_i64)
                    .unwrap_or_default(),
            }))
        }
        // It quotes what it does not know, which may be a name.
        Err(error) => Err(cut(&people.text(&error.to_string()), 200)),
    }
}

/// The intervals of five minutes and more in which nothing was recorded, between two times; without them between the first
/// and the last moment. It is not said that nothing was done.
pub fn quiet(moments: &[Moment], from: Option<Timestamp>, to: Option<Timestamp>) -> Vec<Gap> {
    let within = |at: &Timestamp| from.is_none_or(|from| *at >= from) && to.is_none_or(|to| *at <= to);
    // A detection that was derived is no moment, and what was quiet after it was quiet all the same.
    let ends = [from, to].into_iter().flatten();
    let mut times: Vec<Timestamp> = moments.iter().map(|moment| moment.at).chain(ends).filter(within).collect();
    times.sort_unstable();
    let pairs = times.iter().zip(times.iter().skip(1));
    pairs
        .filter(|(a, b)| b.duration_since(**a) >= QUIET)
        .map(|(a, b)| Gap { from: *a, to: *b, text: super::durations::words(b.duration_since(*a)) })
        .collect()
}
