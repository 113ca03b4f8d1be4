//! What the verbs about ballots share: which wait, which of them somebody may mark, and marking one.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::ended::{Ended, Failure};
use super::out::screen::ask;
use super::out::time;
use super::session::{Found, Me, Session};
use super::usual::Why;
use super::view::ballot;
use crate::api::approval::{Approval, BallotKind, BallotState};
use crate::api::run::Phase;
use crate::api::runbook::ReasonRule;
use crate::api::{APPROVE_ANNOTATION, BY_ANNOTATION, DENY_ANNOTATION, RUN_LABEL, RunbookRun};
use crate::perform::person::Sending;

/// A ballot that waits, and whether we may mark it.
pub struct Waiting {
    /// The ballot.
    pub found: Found<Approval>,
    /// Why not; `None`: we may.
    pub barred: Option<String>,
}

/// The ballots that wait, those first that we may mark, then by the time at which they expire.
///
/// # Errors
/// What the API server says.
pub async fn waiting(
    session: &Session,
    namespace: &str,
    labels: Option<&str>,
    me: &Me,
) -> Result<Vec<Waiting>, Failure> {
    let now = session.now();
    let found = session.list::<Approval>(namespace, labels, None).await?;
    let mut roles = BTreeMap::new();
    let mut all = Vec::new();
    for found in found.into_iter().filter(|found| ballot::waits(&found.object, now)) {
        let barred = match ballot::barred(&found.object, &me.name) {
            Some(why) => Some(why),
            None => lacking(session, &found.object, &mut roles).await,
        };
        all.push(Waiting { found, barred });
    }
    all.sort_by_key(|waiting| {
        let until = waiting.found.object.spec.request.expires_at.as_ref().map_or(Timestamp::MAX, |until| until.0);
        (waiting.barred.is_some(), until)
    });
    Ok(all)
}

/// Roles that were asked for, by namespace, runbook and role.
type Roles = BTreeMap<(String, String, String), bool>;

/// That we do not hold the role, if so. Where the server does not say, we may try.
async fn lacking(session: &Session, ballot: &Approval, roles: &mut Roles) -> Option<String> {
    let request = &ballot.spec.request;
    let namespace = ballot.metadata.namespace.clone().unwrap_or_default();
    let key = (namespace, request.runbook.clone(), request.role.clone());
    let holds = match roles.get(&key) {
        Some(holds) => *holds,
        None => {
            let holds = holds(session, &key.0, &request.runbook, &request.role).await.unwrap_or(true);
            roles.insert(key, holds);
            holds
        }
    };
    (!holds).then(|| format!("you may not approve as {}", request.role))
}

/// Whether we hold a role for a runbook.
///
/// # Errors
/// What the API server says.
pub async fn holds(session: &Session, namespace: &str, runbook: &str, role: &str) -> Result<bool, Failure> {
    session.may("approve", "runbooks", &format!("as-{role}"), namespace, runbook).await
}

/// A ballot, by its own name; or the one that waits of a run of this name.
///
/// # Errors
/// Where there is none, with those that there are.
pub async fn read(session: &Session, name: &str) -> Result<Found<Approval>, Failure> {
    let namespace = session.namespace.as_str();
    if let Some(found) = session.find::<Approval>(namespace, name).await? {
        return Ok(found);
    }
    let now = session.now();
    let of_run = session.list::<Approval>(namespace, Some(&format!("{RUN_LABEL}={name}")), None).await;
    let mut waits: Vec<_> =
        of_run.unwrap_or_default().into_iter().filter(|found| ballot::waits(&found.object, now)).collect();
    let failure = Failure::error(format!("there is no approval {name} in {namespace}"));
    match (waits.len(), waits.pop()) {
        (1, Some(only)) => Err(failure.next(format!("run {name} waits for: {}", ballot::name(&only.object)))),
        (_, Some(_)) => {
            Err(failure.next(format!("run {name} waits for several: kubectl firstaid approvals -n {namespace}")))
        }
        (_, None) => Err(failure.next(format!("see what waits: kubectl firstaid approvals -n {namespace}"))),
    }
}

/// That a ballot cannot be marked any more, and what to do instead.
///
/// # Errors
/// If so.
pub async fn still_open(session: &Session, found: &Found<Approval>) -> Result<(), Failure> {
    let (approval, now) = (&found.object, session.now());
    let request = &approval.spec.request;
    let namespace = session.namespace.as_str();
    let abort = format!("to stop the run: kubectl firstaid abort {} -n {namespace} --reason \"...\"", request.run);
    let said = match ballot::mark(approval) {
        ballot::Mark::Yes(why) => Some(("approved", why)),
        ballot::Mark::No(why) => Some(("denied", why)),
        ballot::Mark::None => None,
    };
    if let Some((word, why)) = said {
        let at = ballot::voted_at(approval).map(|at| format!(" at {}", time::utc(at))).unwrap_or_default();
        let said = format!("already {word} by {}{at}: \"{why}\"", ballot::voter(approval));
        return Err(Failure { ended: Ended::NotAllowed, said, next: vec![abort] });
    }
    let late = request.expires_at.as_ref().filter(|until| until.0 <= now);
    let (ended, said) = match (ballot::state(approval), late) {
        (Some(BallotState::Open), None) => return Ok(()),
        (None, _) => (Ended::Error, "it is not open yet: try again in a moment".to_owned()),
        (Some(BallotState::Expired), _) | (Some(BallotState::Open), Some(_)) => {
            let at = request.expires_at.as_ref().map(|until| format!(" at {}", time::utc(until.0))).unwrap_or_default();
            (Ended::TimedOut, format!("expired{at} without a decision"))
        }
        (Some(BallotState::Superseded), _) => {
            (Ended::NotAllowed, "the plan changed since: this ballot is for one that holds no longer".to_owned())
        }
        (Some(BallotState::Withdrawn), _) => {
            (Ended::NotAllowed, format!("run {} has ended, or was stopped: nothing waits for this", request.run))
        }
    };
    let failure = Failure { ended, said, next: Vec::new() };
    // What took its place, if the run still waits.
    let newer = session
        .list::<Approval>(namespace, Some(&format!("{RUN_LABEL}={}", request.run)), None)
        .await
        .unwrap_or_default();
    let newer = newer
        .iter()
        .map(|found| &found.object)
        .find(|other| ballot::waits(other, now) && other.spec.request.role == request.role);
    match newer {
        Some(newer) => {
            let (old, new) = (&request.code, &newer.spec.request.code);
            let same =
                if old == new { "with the same code".to_owned() } else { format!("the code changed: {old} -> {new}") };
            Err(failure
                .next(format!("look again ({same}): kubectl firstaid show {} -n {namespace}", ballot::name(newer))))
        }
        None => {
            let run = session.find::<RunbookRun>(namespace, &request.run).await.ok().flatten();
            let over = run.and_then(|run| run.object.status).is_some_and(|status| status.phase == Phase::Expired);
            let again = format!("ask again: kubectl firstaid run {} -n {namespace} --reason \"...\"", request.runbook);
            let failure = if over { failure.next(again) } else { failure };
            Err(failure
                .next(format!("see how the run stands: kubectl firstaid get run {} -n {namespace}", request.run)))
        }
    }
}

/// How a ballot is to be marked.
pub struct Wish<'a> {
    /// Yes, or no.
    pub yes: bool,
    /// Why.
    pub why: &'a Why,
    /// The code of the plan that was read.
    pub plan: Option<&'a str>,
    /// Without a question.
    pub sure: bool,
    /// Whether only a ratification is meant: whoever types `ratify` approves nothing that is still to come.
    pub ratifies: bool,
}

/// Shows what a ballot asks, asks whether it is meant, and marks it with the code that was shown.
///
/// # Errors
/// Where it may not be, or is not meant.
pub async fn decide(session: &Session, name: &str, wish: &Wish<'_>) -> Result<(), Failure> {
    let found = read(session, name).await?;
    still_open(session, &found).await?;
    let request = &found.object.spec.request;
    if wish.ratifies && request.kind == BallotKind::Decide {
        let word = if wish.yes { "approve" } else { "deny" };
        return Err(Failure::usage(format!(
            "{name} asks whether something may be done: there is nothing to ratify yet"
        ))
        .next(format!("{word:<9} kubectl firstaid {word} {name} -n {} --reason \"...\"", session.namespace)));
    }
    if let Some(seen) = wish.plan.filter(|seen| !seen.trim().eq_ignore_ascii_case(&request.code)) {
        return Err(Failure::error(format!("this is not the plan that you looked at: its code is not {seen}"))
            .next(format!("look again: kubectl firstaid show {name} -n {}", session.namespace)));
    }
    let me = session.me().await?;
    session.screen.put_all(&ballot::plan(request, session.now()));
    let word = match (request.kind, wish.yes) {
        (BallotKind::Decide, true) => "approve",
        (BallotKind::Decide, false) => "deny",
        (BallotKind::Ratify, true) => "ratify",
        (BallotKind::Ratify, false) => "disown",
    };
    let optional = request.reason == ReasonRule::Optional && wish.why.reason.is_none();
    let why = if optional { String::new() } else { wish.why.asked("Why?")? };
    if !wish.sure {
        confirm(&format!("{} as {}?", capital(word), me.name), word)?;
    }
    let (key, value) = match wish.yes {
        true => (APPROVE_ANNOTATION, format!("{} {why}", request.code).trim().to_owned()),
        false => (DENY_ANNOTATION, why),
    };
    let marked = session.annotate::<Approval>(name, &[(key, &value)], Sending::Real).await?;
    let by = marked
        .pointer(&format!("/metadata/annotations/{BY_ANNOTATION}"))
        .and_then(|by| by.as_str())
        .unwrap_or(&me.name);
    let done = match word {
        "approve" => "approved",
        "deny" => "denied",
        "ratify" => "ratified",
        _ => "disowned",
    };
    let count = if wish.yes && request.kind == BallotKind::Decide {
        votes(session, &found.object).await
    } else {
        String::new()
    };
    session.screen.say(&format!("approval/{name} {done} by {by}{count}"));
    session.screen.say(&format!("follow    kubectl firstaid get run {} -n {} -w", request.run, session.namespace));
    hint_if_away(session).await;
    Ok(())
}

/// How many of the ballots of this plan say yes: ` (1 of 2)`. Empty where that cannot be told.
async fn votes(session: &Session, approval: &Approval) -> String {
    let request = &approval.spec.request;
    let label = format!("{RUN_LABEL}={}", request.run);
    let (run, ballots) = tokio::join!(
        session.find::<RunbookRun>(&session.namespace, &request.run),
        session.list::<Approval>(&session.namespace, Some(&label), None),
    );
    let (Ok(Some(run)), Ok(ballots)) = (run, ballots) else { return String::new() };
    let plan = run.object.status.as_ref().and_then(|status| status.plans.get(&request.plan));
    let Some(plan) = plan else { return String::new() };
    let needed = plan.ballots.len();
    let slot = |name: &str| plan.ballots.iter().any(|slot| slot.name == name);
    let yes = |found: &&Found<Approval>| {
        matches!(ballot::mark(&found.object), ballot::Mark::Yes(_))
            && found.object.spec.request.plan_hash == request.plan_hash
            && slot(ballot::name(&found.object))
    };
    format!(" ({} of {needed})", ballots.iter().filter(yes).count())
}

/// Asks on the terminal whether it is meant: the word is typed in full.
///
/// # Errors
/// Where it is not, or nobody can be asked.
pub fn confirm(question: &str, word: &str) -> Result<(), Failure> {
    match ask(&format!("{question} Type {word}:")) {
        Some(answer) if answer == word => Ok(()),
        Some(_) => Err(Failure::error("nothing was done")),
        None => {
            Err(Failure::usage("there is no terminal to ask on: add --yes if you have read what is shown, and mean it"))
        }
    }
}

/// Says so where the operator has not been seen for a while: what was asked for is recorded, and nothing happens yet.
pub async fn hint_if_away(session: &Session) {
    let Some(seen) = session.operator_seen().await else { return };
    let age = session.now().duration_since(seen);
    if age > jiff::SignedDuration::from_secs(60) {
        session.screen.aside(&format!(
            "warning: it is recorded, but the operator has not been seen for {}: nothing will happen until it is back",
            time::words(age)
        ));
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
