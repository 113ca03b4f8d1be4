//! How a ballot stands, who may mark it, and what it asks.

use jiff::Timestamp;

use crate::api::approval::{Approval, BallotKind, BallotState, Request};
use crate::api::identity::is_robot;
use crate::api::runbook::SelfApproval;
use crate::api::{APPROVE_ANNOTATION, BY_ANNOTATION, DENY_ANNOTATION};
use crate::cli::plugin::out::screen::Sign;
use crate::cli::plugin::out::{Line, Tone, time};

/// What somebody marked a ballot with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark<'a> {
    /// Nothing.
    None,
    /// Yes, and why.
    Yes(&'a str),
    /// No, and why.
    No(&'a str),
}

fn annotation<'a>(ballot: &'a Approval, key: &str) -> Option<&'a str> {
    ballot.metadata.annotations.as_ref()?.get(key).map(String::as_str)
}

/// What a ballot is marked with.
pub fn mark(ballot: &Approval) -> Mark<'_> {
    if let Some(why) = annotation(ballot, DENY_ANNOTATION) {
        return Mark::No(why.trim());
    }
    match annotation(ballot, APPROVE_ANNOTATION) {
        Some(said) => Mark::Yes(said.trim().split_once(char::is_whitespace).map_or("", |(_, why)| why.trim())),
        None => Mark::None,
    }
}

/// Who marked it, as the API server knows them.
pub fn voter(ballot: &Approval) -> &str {
    annotation(ballot, BY_ANNOTATION).unwrap_or("somebody")
}

/// When it was marked, as the API server notes.
pub fn voted_at(ballot: &Approval) -> Option<Timestamp> {
    let managers = ballot.metadata.managed_fields.as_ref()?;
    let voted = managers.iter().find(|entry| {
        let marks = entry.fields_v1.as_ref().and_then(|fields| fields.0.pointer("/f:metadata/f:annotations"));
        marks.is_some_and(|marks| marks.get("f:approve").is_some() || marks.get("f:deny").is_some())
    })?;
    voted.time.as_ref().map(|time| time.0)
}

/// The name of a ballot.
pub fn name(ballot: &Approval) -> &str {
    ballot.metadata.name.as_deref().unwrap_or_default()
}

/// Where a ballot stands.
pub fn state(ballot: &Approval) -> Option<BallotState> {
    ballot.status.as_ref().map(|status| status.state)
}

/// Whether it waits for somebody: it is open, and nobody has marked it.
pub fn waits(ballot: &Approval, now: Timestamp) -> bool {
    let in_time = ballot.spec.request.expires_at.as_ref().is_none_or(|until| until.0 > now);
    state(ballot) == Some(BallotState::Open) && mark(ballot) == Mark::None && in_time
}

/// How it stands, as a sign and a word.
pub fn standing(ballot: &Approval) -> (Sign, &'static str) {
    let ratifies = ballot.spec.request.kind == BallotKind::Ratify;
    match (mark(ballot), state(ballot)) {
        (Mark::Yes(_), _) if ratifies => (Sign::Done, "Ratified"),
        (Mark::No(_), _) if ratifies => (Sign::Failed, "Disowned"),
        (Mark::Yes(_), Some(BallotState::Open)) => (Sign::Done, "Approved"),
        // A vote counts no longer when its plan does not.
        (Mark::Yes(_), _) => (Sign::Still, "Approved"),
        (Mark::No(_), _) => (Sign::Failed, "Denied"),
        (Mark::None, Some(BallotState::Open)) => (Sign::Pending, "Pending"),
        (Mark::None, Some(BallotState::Expired)) => (Sign::Failed, "Expired"),
        (Mark::None, Some(BallotState::Superseded)) => (Sign::Still, "Superseded"),
        (Mark::None, Some(BallotState::Withdrawn)) => (Sign::Still, "Withdrawn"),
        (Mark::None, None) => (Sign::Busy, "Issued"),
    }
}

/// In a few words: who decided it and why, or until when it may be decided.
pub fn info(ballot: &Approval, now: Timestamp) -> String {
    let request = &ballot.spec.request;
    match (mark(ballot), &request.expires_at) {
        (Mark::Yes(why) | Mark::No(why), _) if why.is_empty() => format!("by {} as {}", voter(ballot), request.role),
        (Mark::Yes(why) | Mark::No(why), _) => format!("by {} as {}: {why}", voter(ballot), request.role),
        (Mark::None, Some(until)) if state(ballot) == Some(BallotState::Open) => {
            format!("for {}, expires {}", request.role, time::both(until.0, now))
        }
        (Mark::None, _) => format!("for {}", request.role),
    }
}

/// Why somebody may not mark a ballot, as far as it stands on the ballot; the API server has the last word. `None`: they may,
/// if they hold the role.
pub fn barred(ballot: &Approval, me: &str) -> Option<String> {
    let request = &ballot.spec.request;
    let open = ballot.status.as_ref().is_some_and(|status| status.open_to_requester);
    if is_robot(me) && !request.allow_service_accounts {
        return Some("a service account cannot vote here".to_owned());
    }
    if request.excluded.iter().any(|excluded| excluded == me) {
        return Some(match request.kind {
            BallotKind::Decide => "you wrote what the runbook does; this gate wants somebody else".to_owned(),
            BallotKind::Ratify => "you decided it; somebody else ratifies it".to_owned(),
        });
    }
    if request.requester != me {
        return None;
    }
    match request.self_approval {
        SelfApproval::Always => None,
        SelfApproval::Alone if open => None,
        SelfApproval::Alone => Some("you asked for it; you may decide once nobody else has for a while".to_owned()),
        SelfApproval::Never => Some("you asked for it; this gate wants a second person".to_owned()),
    }
}

/// What a ballot asks: all of its plan, line by line, as the operator wrote it.
pub fn plan(request: &Request, now: Timestamp) -> Vec<Line> {
    let heading = match request.kind {
        BallotKind::Decide => "This will happen:",
        BallotKind::Ratify => "This was decided without a second person:",
    };
    let mut lines = vec![Line::toned(Tone::Strong, heading)];
    for effect in &request.effects {
        let tone = match effect.trim_start() {
            text if text.starts_with("beware:") => Tone::Warn,
            text if text.starts_with("undo:") || text.starts_with("by hand:") => Tone::Faint,
            _ => Tone::Plain,
        };
        lines.push(Line::from("  ").and(tone, effect));
    }
    let asked = time::relative(request.issued_at.0, now);
    lines.push(format!("  asked     {}, {asked}: \"{}\"", request.requester, request.why).into());
    let until = request
        .expires_at
        .as_ref()
        .map_or("it does not expire".to_owned(), |at| format!("expires {}", time::both(at.0, now)));
    lines.push(format!("  gate      {} of run {}; for {}; {until}", request.gate, request.run, request.role).into());
    lines
}
