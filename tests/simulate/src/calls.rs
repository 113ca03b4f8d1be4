//! The calls of an operator, request by request as `src/perform` and `src/record` send them. What is in a request, and
//! what an answer says, comes from there.

use std::collections::BTreeSet;
use std::rc::Rc;

use firstaid::action::{Answer, Effect, Query, version_of};
use firstaid::api::RunbookRunStatus;
use firstaid::api::action_record::RecordState;
use firstaid::api::{APPROVE_ANNOTATION, ActionRecord, Approval, BY_ANNOTATION, Person, RUN_LABEL, RunbookRun};
use firstaid::perform::{CallError, body};
use firstaid::plan::Retirement;
use futures::future::{join, join_all};
use serde_json::Value;

use crate::api_server::{Key, Kind, Refusal, Reply, Request, Stored};
use crate::fences::Fence;
use crate::operator::Process;
use crate::wire::Wire;

/// The name of the ConfigMap that is the global brake.
pub const BRAKE: &str = "firstaid-brake";

/// What came of a write of the journal.
pub enum Journalled {
    Stored(Rc<Stored>),
    Stale,
}

/// A refusal as the client hands it on.
pub fn error_of(refusal: Refusal) -> CallError {
    let status = kube::core::Status { code: refusal.code, message: refusal.message, ..kube::core::Status::default() };
    CallError::Kube(Box::new(kube::Error::Api(Box::new(status))))
}

/// A connection that was cut.
pub fn cut() -> CallError {
    CallError::Kube(Box::new(kube::Error::Service("connection reset".into())))
}

fn stored(reply: Reply) -> Option<Rc<Stored>> {
    match reply {
        Reply::Object(object) => Some(object),
        Reply::List(_) | Reply::Allowed(_) => None,
    }
}

async fn get(wire: &Rc<Wire>, run: &str, kind: Kind, name: &str) -> Result<Option<Rc<Stored>>, CallError> {
    match wire.call(run, Request::Get(Key::new(kind, name))).await {
        Ok(reply) => Ok(stored(reply)),
        Err(error) if error.code() == Some(404) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Where an effect writes.
pub fn target_key(effect: &Effect) -> Key {
    Key::new(Kind::of(&effect.target.kind).expect("a kind that is served"), &effect.target.name)
}

pub async fn write_status(
    wire: &Rc<Wire>,
    name: &str,
    run: &RunbookRun,
    status: &RunbookRunStatus,
) -> Result<Journalled, CallError> {
    let mut object =
        serde_json::json!({"metadata": {"resourceVersion": run.metadata.resource_version, "uid": run.metadata.uid}});
    object["status"] = serde_json::to_value(status).expect("JSON");
    match wire.call(name, Request::Replace { key: Key::new(Kind::Run, name), object, status: true }).await {
        Ok(reply) => Ok(stored(reply).map_or(Journalled::Stale, Journalled::Stored)),
        Err(error) if matches!(error.code(), Some(404 | 409)) => Ok(Journalled::Stale),
        Err(error) => Err(error),
    }
}

pub async fn say(wire: &Rc<Wire>, name: &str, run: &RunbookRun, what: &str) -> Result<(), CallError> {
    let patch = body::saying(run, what);
    wire.call(name, Request::Merge { key: Key::new(Kind::Run, name), patch, status: true }).await.map(drop)
}

pub async fn issue(wire: &Rc<Wire>, run: &str, ballot: &Approval) -> Result<(), CallError> {
    match wire.call(run, Request::Create(Kind::Approval, serde_json::to_value(ballot).expect("JSON"))).await {
        Err(error) if error.code() != Some(409) => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

async fn merge_ballot(wire: &Rc<Wire>, run: &str, ballot: &str, patch: Value, fine: &[u16]) -> Result<(), CallError> {
    let request = Request::Merge { key: Key::new(Kind::Approval, ballot), patch, status: false };
    match wire.call(run, request).await {
        Err(error) if !error.code().is_some_and(|code| fine.contains(&code)) => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

pub async fn admit(wire: &Rc<Wire>, run: &str, ballot: &str) -> Result<(), CallError> {
    merge_ballot(wire, run, ballot, body::admission(), &[404, 422]).await
}

pub async fn retire(wire: &Rc<Wire>, run: &str, retirement: &Retirement) -> Result<(), CallError> {
    merge_ballot(wire, run, &retirement.ballot, body::retirement(retirement, wire.now()), &[404]).await
}

/// Creates a record; whether the one that is there is ours.
pub async fn record(wire: &Rc<Wire>, run: &str, record: &ActionRecord) -> Result<bool, CallError> {
    let name = record.metadata.name.as_deref().unwrap_or_default();
    match wire.call(run, Request::Create(Kind::Record, serde_json::to_value(record).expect("JSON"))).await {
        Ok(_) => Ok(true),
        Err(error) if error.code() == Some(409) => {
            let reply = wire.call(run, Request::Get(Key::new(Kind::Record, name))).await?;
            Ok(stored(reply).is_some_and(|there| body::is_same_record(&there.record().spec, record)))
        }
        Err(error) => Err(error),
    }
}

pub async fn mark(wire: &Rc<Wire>, run: &str, record: &str, state: RecordState) -> Result<(), CallError> {
    let request = Request::Merge { key: Key::new(Kind::Record, record), patch: body::marking(state), status: false };
    match wire.call(run, request).await {
        Err(error) if error.code() != Some(404) => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// The run and the ballots of its plans, live: those of plans that are known in the same breath, of newer ones after it.
pub async fn read_journal(
    process: &Rc<Process>,
    name: &str,
    known: &RunbookRun,
) -> Result<Option<(RunbookRun, Vec<Approval>)>, CallError> {
    let wire = &process.wire;
    let expected = body::ballots_of(known);
    let run = async {
        if process.down.has(Fence::LiveJournal) {
            return Ok(process.watched.borrow().get(name).cloned());
        }
        get(wire, name, Kind::Run, name).await
    };
    let (run, ballots) = join(run, async {
        if expected.is_empty() {
            let reply = wire.call(name, Request::List(Kind::Approval, (RUN_LABEL, name.to_owned()))).await?;
            return Ok(match reply {
                Reply::List(ballots) => ballots.iter().map(|ballot| ballot.ballot().clone()).collect(),
                Reply::Object(_) | Reply::Allowed(_) => Vec::new(),
            });
        }
        read_ballots(wire, name, &expected).await
    })
    .await;
    let (run, mut ballots) = (run?, ballots?);
    let Some(run) = run else { return Ok(None) };
    let known_version = known.metadata.resource_version.as_deref().and_then(|v| v.parse().ok()).unwrap_or(0);
    // Only where it is not read live the watch may have less than what was written a moment ago.
    let run = if run.version() <= known_version { known.clone() } else { run.run().clone() };
    let newer: BTreeSet<&str> = body::ballots_of(&run).difference(&expected).copied().collect();
    ballots.retain(|ballot| ballot.metadata.name.as_deref().is_none_or(|name| !newer.contains(name)));
    ballots.extend(read_ballots(wire, name, &newer).await?);
    Ok(Some((run, ballots)))
}

async fn read_ballots(wire: &Rc<Wire>, run: &str, names: &BTreeSet<&str>) -> Result<Vec<Approval>, CallError> {
    let found = join_all(names.iter().map(|name| get(wire, run, Kind::Approval, name))).await;
    let found = found.into_iter().filter_map(Result::transpose);
    found.map(|ballot| ballot.map(|ballot| ballot.ballot().clone())).collect()
}

/// As if everybody had approved everything.
pub fn forge_a_vote(ballot: &mut Approval) {
    let mark = format!("{} forged", ballot.spec.request.code);
    let notes = [(APPROVE_ANNOTATION.to_owned(), mark), (BY_ANNOTATION.to_owned(), "bob".to_owned())];
    ballot.metadata.annotations.get_or_insert_with(|| notes.into());
    ballot.spec.voter.get_or_insert_with(|| Person { username: "bob".to_owned(), ..Person::default() });
}

/// Answers a question of the planner; with the object as it was read, where it is one.
pub async fn look(process: &Rc<Process>, run: &str, query: &Query) -> (Answer, Option<Rc<Stored>>) {
    let remembered = match query {
        Query::Brake => process.down.has(Fence::LiveBrake),
        Query::Object(_) => process.down.has(Fence::LiveTarget),
        Query::Holder { .. } if process.down.has(Fence::LiveHolder) => {
            return (Answer::No("it has ended".to_owned()), None);
        }
        _ => false,
    };
    if remembered {
        let known = process.old_answers.borrow().iter().find(|(known, _)| known == query).map(|(_, a)| a.clone());
        if let Some(answer) = known {
            return (answer, None);
        }
    }
    let (answer, read) = look_live(process, run, query).await;
    if remembered {
        process.old_answers.borrow_mut().push((query.clone(), answer.clone()));
    }
    (answer, read)
}

async fn look_live(process: &Rc<Process>, run: &str, query: &Query) -> (Answer, Option<Rc<Stored>>) {
    let wire = &process.wire;
    let object = async |kind: Kind, name: &str| match get(wire, run, kind, name).await {
        Ok(found) => (Answer::Object(found.as_ref().map(|found| found.value.clone())), found),
        Err(error) => (body::unread(&error), None),
    };
    let answer = match query {
        Query::Journal => Answer::Yes,
        Query::Runbook(name) => return object(Kind::Runbook, name).await,
        Query::Run(name) => return object(Kind::Run, name).await,
        Query::Record(name) => return object(Kind::Record, name).await,
        Query::Ballot(name) => return object(Kind::Approval, name).await,
        Query::Object(reference) => match Kind::of(&reference.kind) {
            Some(kind) => return object(kind, &reference.name).await,
            None => Answer::Object(None),
        },
        // None of the schedules has an autoscaler; the list is a call all the same.
        Query::Autoscalers => {
            match wire.call(run, Request::List(Kind::ServiceAccount, ("none", String::new()))).await {
                Ok(_) => Answer::Autoscalers(Vec::new()),
                Err(error) => body::unread(&error),
            }
        }
        // No action asks for it.
        Query::Objects { .. } => Answer::Objects(Vec::new()),
        Query::ScalePaths { .. } => Answer::ScalePaths(None),
        Query::DryRun(effect) => dry_run(wire, run, effect).await,
        Query::Access { voter, role, .. } => match wire.call(run, Request::Review(voter.username.clone())).await {
            Ok(Reply::Allowed(true)) => Answer::Yes,
            Ok(_) => Answer::No(format!("{} may not approve as {role}", voter.username)),
            Err(error) => Answer::Unreadable(error.message()),
        },
        Query::Brake => match get(wire, run, Kind::ConfigMap, BRAKE).await {
            Ok(found) => Answer::Brake(found.map(|brake| brake.text("/data/reason").to_owned())),
            Err(error) => Answer::Unreadable(error.message()),
        },
        Query::Guards => match wire.call(run, Request::Guards).await {
            Ok(_) => Answer::InForce(Vec::new()),
            Err(error) => Answer::No(error.message()),
        },
        Query::Holder { run: holder, uid } => match get(wire, run, Kind::Run, holder).await {
            Ok(Some(found)) if found.text("/metadata/uid") == uid => {
                let finished = found.run().status.as_ref().is_some_and(|status| status.finished);
                if finished { Answer::No("it has ended".to_owned()) } else { Answer::Yes }
            }
            Ok(_) => Answer::No("there is no such run".to_owned()),
            Err(error) => Answer::Unreadable(error.message()),
        },
    };
    (answer, None)
}

async fn dry_run(wire: &Rc<Wire>, run: &str, effect: &Effect) -> Answer {
    let key = target_key(effect);
    let request = Request::Json { key: key.clone(), patch: effect.patch.clone(), dry_run: true };
    let Err(error) = wire.call(run, request).await else { return Answer::Yes };
    let changed = body::may_be_a_failed_test(&error)
        && match get(wire, run, key.kind, &key.name).await {
            Ok(Some(now)) => version_of(&now.value).resource_version != effect.seen.resource_version,
            Ok(None) | Err(_) => true,
        };
    body::refused_dry_run(effect, &error, changed)
}
