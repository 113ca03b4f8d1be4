//! The actions: what each would do, what it rests on, whether it took hold, how it is undone. Pure: no client, no clock.
//!
//! Each action is one file with the same functions: `look` (what must be read), `plan` (what would be done),
//! `effect` (the conditional write), `verify` (did it take hold) and `undo` (what would put it back). To add one, add a
//! file, a variant of [`crate::api::step::Action`], and its arms in this file.

mod check;
mod disable;
mod effect;
pub mod flag;
mod observe;
mod owners;
mod restart;
mod rights;
mod scale;
mod undo;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub use effect::{Change, Effect, Fence, pointer_token};
pub(crate) use observe::obstacle;
pub use observe::{
    Answer, AutoscalerFacts, Gap, ObjectRef, Query, ScalePaths, Seen, is_object_name, token_of, version_of,
};
pub use rights::{Right, rights, to_read};

use crate::api::condition::cut;
use crate::api::run::{Evidence, Holds, PlannedStep, SeenVersion, Target, Undo, Verified};
use crate::api::step::Action;

/// What an action needs to know of its run.
#[derive(Clone, Debug)]
pub struct Context<'a> {
    /// Namespace of the run and of every target.
    pub namespace: &'a str,
    /// The run's parameters, typed.
    pub params: &'a Value,
    /// When the intent is written: a restart writes this time, so that a repeat is a no-op.
    pub intent_at: Timestamp,
}

/// What would be done.
#[derive(Clone, Debug, PartialEq)]
pub struct Prospect {
    /// The object.
    pub target: Target,
    /// Its version as looked at.
    pub seen: SeenVersion,
    /// What was found.
    pub before: Map<String, Value>,
    /// What will be.
    pub after: Map<String, Value>,
    /// On which facts an approval rests.
    pub holds: Holds,
    /// How it is undone; none where there is nothing to undo.
    pub undo: Option<Undo>,
    /// What a person would type instead.
    pub by_hand: String,
    /// The effect in one line.
    pub summary: String,
    /// Whether the target is already as wanted.
    pub already: bool,
    /// What people should know.
    pub warnings: Vec<String>,
}

impl Prospect {
    /// The step of a plan that does this, within the bounds of its texts.
    pub fn planned(self, step: &str, attempt: i32, action: &str, token: &str) -> PlannedStep {
        PlannedStep {
            step: step.to_owned(),
            attempt,
            action: action.to_owned(),
            target: self.target,
            seen: self.seen,
            before: self.before,
            after: self.after,
            holds: Holds { sentence: cut(&self.holds.sentence, 512), ..self.holds },
            undo: self.undo.map(Undo::cut),
            by_hand: cut(&self.by_hand, 1024),
            token: token.to_owned(),
            already: self.already,
            warnings: self.warnings.iter().map(|warning| cut(warning, 512)).take(16).collect(),
            summary: cut(&self.summary, 256),
        }
    }
}

/// Why something cannot be planned, acted or verified.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Obstacle {
    /// Something must be read first.
    #[error("facts are missing")]
    Unseen(Vec<Query>),
    /// It could not be read; a later try may succeed.
    #[error("{0}")]
    Unreadable(String),
    /// It will not be done, and why: a word for programs and a sentence for people.
    #[error("{sentence}")]
    Refused {
        /// PascalCase word, a closed set: see [`reason`].
        reason: &'static str,
        /// What, why, and the command to go on.
        sentence: String,
    },
}

/// Reasons of refusals, as they appear in conditions.
pub mod reason {
    /// The target is not there.
    pub const TARGET_GONE: &str = "TargetGone";
    /// The ServiceAccount may not do it.
    pub const PERMISSION_MISSING: &str = "PermissionMissing";
    /// Its owner would put it back.
    pub const OWNED: &str = "Owned";
    /// An autoscaler would put it back.
    pub const AUTOSCALED: &str = "Autoscaled";
    /// The flag is not there or cannot be switched off as asked.
    pub const FLAG_UNKNOWN: &str = "FlagUnknown";
    /// The document does not parse or does not lend itself to the edit.
    pub const DOCUMENT_UNFIT: &str = "DocumentUnfit";
    /// The runbook asks for something that makes no sense.
    pub const INVALID: &str = "Invalid";
    /// The API server refuses the write.
    pub const WRITE_REFUSED: &str = "WriteRefused";
    /// The platform asks for more than the runbook's gate does.
    pub const FLOOR_UNMET: &str = "FloorUnmet";
    /// Somebody else changed the value since.
    pub const CHANGED_SINCE: &str = "ChangedSince";
}

pub(crate) fn refused(reason: &'static str, sentence: impl Into<String>) -> Obstacle {
    Obstacle::Refused { reason, sentence: sentence.into() }
}

/// Whether what a check asks is true of its object.
///
/// # Errors
/// Unseen, unreadable, not there, forbidden to the ServiceAccount, or the expression makes no sense.
pub fn is_true(check: &crate::api::step::Check, context: &Context<'_>, seen: &Seen) -> Result<Verdict, Obstacle> {
    check::verify(check, context, seen)
}

/// Whether an effect took hold.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It did; by what it was judged.
    Yes(String, Vec<Evidence>),
    /// Not yet, and what is seen instead.
    NotYet(String, Vec<Evidence>),
}

/// What must be read to plan, act on or verify this action.
pub fn look(action: &Action, context: &Context<'_>) -> Vec<Query> {
    match action {
        Action::Scale(scale) => scale::look(scale, context),
        Action::Restart(restart) => restart::look(restart, context),
        Action::Disable(disable) => disable::look(disable, context),
        Action::Check(check) => check::look(check, context),
        Action::Undo(undoing) => undo::look(undoing, context),
    }
}

/// What the action would do now.
///
/// # Errors
/// [`Obstacle`]: facts are missing, could not be read, or it will not be done.
pub fn plan(action: &Action, context: &Context<'_>, seen: &Seen) -> Result<Prospect, Obstacle> {
    match action {
        Action::Scale(scale) => scale::plan(scale, context, seen),
        Action::Restart(restart) => restart::plan(restart, context, seen),
        Action::Disable(disable) => disable::plan(disable, context, seen),
        Action::Check(check) => check::plan(check, context, seen),
        Action::Undo(undoing) => undo::plan(undoing, context, seen),
    }
}

/// What can be told of an action before anything is looked at.
///
/// # Errors
/// [`Obstacle::Refused`]: it will not be done, on whatever cluster.
pub fn sound(action: &Action) -> Result<(), Obstacle> {
    match action {
        Action::Scale(scale) => scale::sound(scale),
        Action::Restart(_) | Action::Disable(_) | Action::Check(_) | Action::Undo(_) => Ok(()),
    }
}

/// The conditional write that does what was planned, on the target as read now.
///
/// # Errors
/// [`Obstacle`]: facts are missing, could not be read, or it will not be done.
pub fn effect(action: &Action, context: &Context<'_>, planned: &PlannedStep, seen: &Seen) -> Result<Effect, Obstacle> {
    match action {
        Action::Scale(scale) => scale::effect(scale, context, planned, seen),
        Action::Restart(restart) => restart::effect(restart, context, planned, seen),
        Action::Disable(disable) => disable::effect(disable, context, planned, seen),
        Action::Check(_) => Err(refused(reason::INVALID, "a check changes nothing")),
        Action::Undo(undoing) => effect(&undoing.action, context, planned, seen),
    }
}

/// Whether the facts on which the plan rests still hold. `Ok(Some(why not))` voids the plan.
///
/// # Errors
/// [`Obstacle`]: facts are missing or could not be read.
pub fn void(
    action: &Action,
    context: &Context<'_>,
    planned: &PlannedStep,
    seen: &Seen,
) -> Result<Option<String>, Obstacle> {
    if action.changes()
        && let Some(reference) = object_of(action)
        && let Some(why) = observe::other_object(&planned.target, seen.object(&reference)?)
    {
        return Ok(Some(why));
    }
    match action {
        Action::Scale(scale) => scale::void(scale, context, planned, seen),
        Action::Restart(restart) => restart::void(restart, context, planned, seen),
        Action::Disable(disable) => disable::void(disable, context, planned, seen),
        Action::Check(_) => Ok(None),
        Action::Undo(undoing) => undo::void(undoing, context, planned, seen),
    }
}

/// Whether the effect took hold.
///
/// # Errors
/// [`Obstacle`]: facts are missing or could not be read.
pub fn verify(action: &Action, context: &Context<'_>, planned: &PlannedStep, seen: &Seen) -> Result<Verdict, Obstacle> {
    match action {
        Action::Scale(scale) => scale::verify(scale, context, planned, seen),
        Action::Restart(restart) => restart::verify(restart, context, planned, seen),
        Action::Disable(disable) => disable::verify(disable, context, planned, seen),
        Action::Check(check) => check::verify(check, context, seen),
        Action::Undo(undoing) => verify(&undoing.action, context, planned, seen),
    }
}

/// What would put back what an act changed, by a three-way compare: ours still there, restore; already back, nothing
/// to do; changed by somebody else, refuse, unless it is forced.
///
/// # Errors
/// [`Obstacle`]: facts are missing, could not be read, or somebody else changed the value.
pub fn undo(action: &Action, context: &Context<'_>, done: &Done<'_>, seen: &Seen) -> Result<Prospect, Obstacle> {
    match action {
        Action::Scale(scale) => scale::undo(scale, context, done, seen),
        Action::Disable(disable) => disable::undo(disable, context, done, seen),
        Action::Restart(_) | Action::Check(_) | Action::Undo(_) => {
            Err(refused(reason::INVALID, "there is nothing to undo"))
        }
    }
}

/// Why the undo of another run's step has nothing to do, since somebody was there before, and whether that was seen on the
/// object itself. None where it has something to do, and for every other action.
///
/// # Errors
/// [`Obstacle`]: facts are missing, could not be read, or somebody else changed the value.
pub fn nothing_to_undo(
    action: &Action,
    context: &Context<'_>,
    seen: &Seen,
) -> Result<Option<(String, Verified)>, Obstacle> {
    match action {
        Action::Undo(undoing) => undo::nothing_left(undoing, context, seen),
        Action::Scale(_) | Action::Restart(_) | Action::Disable(_) | Action::Check(_) => Ok(None),
    }
}

/// What an act did, for its undo.
#[derive(Clone, Copy, Debug)]
pub struct Done<'a> {
    /// The object, with the uid that it had.
    pub target: &'a Target,
    /// What the act itself read.
    pub before: &'a Map<String, Value>,
    /// What it wrote.
    pub after: &'a Map<String, Value>,
    /// Whether it is put back even where somebody else changed it since.
    pub force: bool,
}

/// How an act is undone, with the values that the act itself read.
pub fn undo_note(action: &Action, context: &Context<'_>, target: &Target, before: &Map<String, Value>) -> Option<Undo> {
    match action {
        Action::Scale(scale) => scale::undo_note(scale, context, target, before),
        Action::Disable(disable) => disable::undo_note(disable, context, target, before),
        Action::Restart(_) | Action::Check(_) | Action::Undo(_) => None,
    }
}

/// Which object an action is about, where its name is known.
pub fn object_of(action: &Action) -> Option<ObjectRef> {
    match action {
        Action::Scale(scale) => ObjectRef::of(&scale.target).ok(),
        Action::Restart(restart) => ObjectRef::of(&restart.target).ok(),
        Action::Disable(disable) => Some(disable::object(disable)),
        Action::Check(check) => ObjectRef::of(&check.object).ok(),
        Action::Undo(undoing) => object_of(&undoing.action),
    }
}

/// A bounded piece of evidence.
pub(crate) fn evidence(what: &str, seen: impl std::fmt::Display) -> Evidence {
    let whole = seen.to_string();
    let cut = cut(&whole, 1024);
    let hash = if cut == whole { String::new() } else { crate::digest::sha256(whole.as_bytes()) };
    Evidence { what: what.to_owned(), seen: cut, hash }
}

/// A typed value as the fields of a plan.
pub(crate) fn fields<T: Serialize>(value: &T) -> Map<String, Value> {
    match serde_json::to_value(value) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) | Err(_) => Map::new(),
    }
}

/// The fields of a plan as a typed value.
pub(crate) fn typed<T: DeserializeOwned>(fields: &Map<String, Value>) -> Result<T, Obstacle> {
    serde_json::from_value(Value::Object(fields.clone()))
        .map_err(|e| refused(reason::INVALID, format!("the journal holds a plan that this version cannot read: {e}")))
}
