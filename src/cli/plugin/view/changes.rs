//! What happened to a run, a line each, in order of time: for whoever reads it through a pipe.

use jiff::Timestamp;

use super::ballot::{self, Mark};
use super::run::{RunView, standing};
use crate::api::approval::BallotKind;
use crate::api::run::Result as Effect;
use crate::cli::plugin::out::time;

/// Something that happened, with what tells it from everything else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    at: Timestamp,
    step: String,
    word: String,
    info: String,
}

impl Change {
    /// `2026-11-22T14:15:11Z RUN STEP WORD INFO`.
    pub fn line(&self, run: &str) -> String {
        let step = if self.step.is_empty() { "-" } else { &self.step };
        format!("{} {run} {step} {} {}", time::utc(self.at), self.word, self.info).trim_end().to_owned()
    }
}

/// All that has happened to a run so far. What was told once is told the same way again.
pub fn changes(view: RunView<'_>, now: Timestamp) -> Vec<Change> {
    let mut found = Vec::new();
    let mut push = |at: Timestamp, step: &str, word: &str, info: String| {
        found.push(Change { at, step: step.to_owned(), word: word.to_owned(), info });
    };
    let Some(status) = &view.run.status else { return found };
    for ballot in view.ballots {
        let request = &ballot.spec.request;
        let step =
            status.plans.get(&request.plan).and_then(|plan| plan.steps.first()).map_or("-", |step| step.step.as_str());
        let ratifies = request.kind == BallotKind::Ratify;
        push(
            request.issued_at.0,
            step,
            if ratifies { "RatificationAsked" } else { "ApprovalAsked" },
            format!("{} for {}", ballot::name(ballot), request.role),
        );
        if let Mark::Yes(why) | Mark::No(why) = ballot::mark(ballot) {
            // The API server cuts the time of a vote to the second: nobody answers before they are asked.
            let at = ballot::voted_at(ballot).unwrap_or(request.issued_at.0).max(request.issued_at.0);
            let waited = time::words(at.duration_since(request.issued_at.0));
            push(at, step, ballot::standing(ballot).1, format!("by={} wait={waited} {why}", ballot::voter(ballot)));
        }
    }
    for (key, journal) in &status.steps {
        let step = key.rsplit_once('.').map_or(key.as_str(), |(step, _)| step);
        if let Some(outcome) = &journal.outcome {
            let planned =
                status.plans.get(&outcome.plan).and_then(|plan| plan.steps.iter().find(|planned| planned.step == step));
            let planned = journal.intent.as_ref().map(|intent| &intent.step).or(planned);
            let info = if outcome.message.is_empty() {
                planned.map(|planned| planned.summary.clone()).unwrap_or_default()
            } else {
                outcome.message.clone()
            };
            let word = match outcome.result {
                Effect::Done => "Acted",
                Effect::Refused => "Refused",
                Effect::Failed => "Failed",
                Effect::Unknown => "Unknown",
            };
            push(outcome.known_at.0, step, word, info);
        }
        if let Some(settled) = &journal.settled {
            push(settled.at.0, step, "Settled", settled.message.clone());
        }
    }
    if let Some(at) = status.finished_at.as_ref().filter(|_| status.finished) {
        let began = view.run.metadata.creation_timestamp.as_ref().map_or(at.0, |made| made.0);
        let duration = time::words(at.0.duration_since(began));
        push(at.0, "", standing(status.phase).1, format!("duration={duration} {}", status.message));
    } else if !status.waiting_on.is_empty() {
        push(now, "", standing(status.phase).1, status.waiting_on.clone());
    }
    found.sort();
    found
}

/// Those that were not told yet. What waits is told when the words change, not the time.
pub fn news(all: Vec<Change>, told: &mut Vec<Change>) -> Vec<Change> {
    let same = |a: &Change, b: &Change| (&a.step, &a.word, &a.info) == (&b.step, &b.word, &b.info);
    let fresh: Vec<Change> = all.into_iter().filter(|change| !told.iter().any(|old| same(old, change))).collect();
    told.extend(fresh.iter().cloned());
    fresh
}
