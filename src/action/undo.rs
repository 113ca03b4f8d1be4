//! Undoing what a step of another run changed: the undo of that step's own action, as a step by itself.

use super::{Answer, Context, Done, Obstacle, Prospect, Query, Seen, look as look_of, obstacle, reason, refused};
use crate::api::ActionRecord;
use crate::api::action_record::RecordState;
use crate::api::run::{PlannedStep, Verified};
use crate::api::step::Undoing;

pub(super) fn look(undoing: &Undoing, context: &Context<'_>) -> Vec<Query> {
    let mut queries = look_of(&undoing.action, context);
    queries.push(Query::Record(undoing.record.clone()));
    queries
}

pub(super) fn plan(undoing: &Undoing, context: &Context<'_>, seen: &Seen) -> Result<Prospect, Obstacle> {
    // What was undone and then done anew, by another run, is that run's, even where the values are the same.
    match state(undoing, seen)? {
        RecordState::Reverted => {
            let sentence = format!("what record {} is about has been undone already", undoing.record);
            return Err(refused(reason::CHANGED_SINCE, sentence));
        }
        RecordState::InPlace | RecordState::Drifted | RecordState::OneShot | RecordState::Unknown => {}
    }
    let done = Done { target: &undoing.target, before: &undoing.before, after: &undoing.after, force: undoing.force };
    let mut prospect = super::undo(&undoing.action, context, &done, seen)?;
    let last = super::object_of(&undoing.action).and_then(|object| seen.object(&object).ok()).and_then(super::token_of);
    let other = last.filter(|token| !token.starts_with(&undoing.mark)).and_then(|token| token.split('/').next());
    if let Some(run) = other.filter(|run| super::is_object_name(run)) {
        let name = undoing.target.display();
        prospect.warnings.push(format!("run {run} acted on {name} since; what is there may be its doing"));
    }
    Ok(prospect)
}

/// Why there is nothing to do, where there is not, and whether that was seen on the object itself.
pub(super) fn nothing_left(
    undoing: &Undoing,
    context: &Context<'_>,
    seen: &Seen,
) -> Result<Option<(String, Verified)>, Obstacle> {
    let name = undoing.target.display();
    if state(undoing, seen)? == RecordState::Reverted {
        return Ok(Some((format!("what was done to {name} has been undone already"), Verified::NotApplicable)));
    }
    let back = || (format!("{name} is as it was before already; nothing was written"), Verified::Yes);
    Ok(plan(undoing, context, seen)?.already.then(back))
}

pub(super) fn void(
    undoing: &Undoing,
    context: &Context<'_>,
    planned: &PlannedStep,
    seen: &Seen,
) -> Result<Option<String>, Obstacle> {
    let now = match plan(undoing, context, seen) {
        Ok(now) => now,
        Err(Obstacle::Refused { sentence, .. }) => return Ok(Some(sentence)),
        Err(obstacle) => return Err(obstacle),
    };
    let same = now.after == planned.after && (now.already || now.holds.facts == planned.holds.facts);
    Ok((!same).then(|| format!("{} was changed since its undo was planned", planned.target.display())))
}

/// What has become of the change, as its record says.
fn state(undoing: &Undoing, seen: &Seen) -> Result<RecordState, Obstacle> {
    let query = Query::Record(undoing.record.clone());
    let doing = format!("read record {}", undoing.record);
    match seen.answer(&query) {
        None => Err(Obstacle::Unseen(vec![query])),
        Some(Answer::Object(Some(record))) => serde_json::from_value::<ActionRecord>(record.clone())
            .ok()
            .and_then(|record| Some(record.status?.state))
            .ok_or_else(|| {
                refused(reason::INVALID, format!("record {} does not say what became of it", undoing.record))
            }),
        Some(Answer::Object(None)) => Err(refused(
            reason::INVALID,
            format!(
                "record {} is gone, so whether its change is still in place is not known; undo it by hand",
                undoing.record
            ),
        )),
        Some(other) => Err(obstacle(other, &doing)),
    }
}
