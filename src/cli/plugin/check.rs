//! `kubectl firstaid check`: whether First Aid is installed and works, as far as your rights let you see.

use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use super::ended::{Ended, Failure};
use super::out::screen::Sign;
use super::out::time;
use super::session::Session;
use super::usual::Form;
use crate::perform::person::{self, Canary};

/// What is checked.
#[derive(Args, Clone, Debug)]
pub struct CheckArgs {
    /// Only what must be there before it is installed.
    #[arg(long)]
    pre: bool,
    /// Try again until all is well, for so long.
    #[arg(long, value_name = "TIME", value_parser = super::usual::period)]
    wait: Option<Duration>,
    #[command(flatten)]
    form: Form,
}

/// The oldest version of Kubernetes, by its second number.
const OLDEST: u32 = 33;
/// The kinds, by their plurals.
const KINDS: [&str; 5] = ["actionrecords", "approvals", "incidents", "runbookruns", "runbooks"];
/// How long the operator may not be seen.
const AWAY: i64 = 60;

/// What was found.
struct Found {
    sign: Sign,
    said: String,
}

fn found(sign: Sign, said: impl Into<String>) -> Found {
    Found { sign, said: said.into() }
}

impl CheckArgs {
    /// Checks it.
    pub async fn run(&self, session: &Session) -> Result<Ended, Failure> {
        let deadline = self.wait.map(|wait| tokio::time::Instant::now() + wait);
        let all = loop {
            let all = self.look(session).await;
            let well = all.iter().all(|found| found.sign != Sign::Failed);
            if well || deadline.is_none_or(|deadline| tokio::time::Instant::now() >= deadline) {
                break all;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        };
        let failed = all.iter().any(|found| found.sign == Sign::Failed);
        if self.form.output.is_text() {
            all.iter().for_each(|found| session.screen.put(&session.screen.icons.status(found.sign, &found.said)));
        } else {
            let word = |sign| match sign {
                Sign::Done => "ok",
                Sign::Failed => "failed",
                _ => "unknown",
            };
            let checks: Vec<Value> =
                all.iter().map(|found| json!({"result": word(found.sign), "message": found.said})).collect();
            self.form.output.print(&session.screen, &json!({"ok": !failed, "checks": checks}))?;
        }
        Ok(match (failed, self.wait) {
            (false, _) => Ended::Done,
            (true, None) => Ended::Error,
            (true, Some(_)) => Ended::TimedOut,
        })
    }

    async fn look(&self, session: &Session) -> Vec<Found> {
        let mut all = vec![version(session).await, policies(session).await];
        if self.pre {
            all.push(may_install(session).await);
            return all;
        }
        all.push(kinds(session).await);
        all.push(operator(session).await);
        all.push(admission(session).await);
        all.extend(rights(session).await);
        all
    }
}

async fn version(session: &Session) -> Found {
    let answer = match session.path("/version").await {
        Ok(answer) => answer,
        Err(failure) => return found(Sign::Failed, failure.said),
    };
    let text = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (major, minor) = (text("major"), text("minor"));
    let digits: String = minor.chars().take_while(char::is_ascii_digit).collect();
    let enough = major != "1" || digits.parse::<u32>().is_ok_and(|minor| minor >= OLDEST);
    let sign = if enough { Sign::Done } else { Sign::Failed };
    found(sign, format!("Kubernetes {major}.{minor} (needs 1.{OLDEST} or newer)"))
}

async fn policies(session: &Session) -> Found {
    let group = "/apis/admissionregistration.k8s.io/v1";
    let served = |answer: &Value| names(answer).iter().any(|name| name == "validatingadmissionpolicies");
    match session.path(group).await {
        Ok(answer) if served(&answer) => found(Sign::Done, "ValidatingAdmissionPolicy is served"),
        Ok(_) => found(Sign::Failed, "ValidatingAdmissionPolicy is not served: without it nobody is held to anything"),
        Err(failure) => found(Sign::Failed, failure.said),
    }
}

fn names(list: &Value) -> Vec<String> {
    let resources = list.get("resources").and_then(Value::as_array).into_iter().flatten();
    resources.filter_map(|resource| resource.get("name")?.as_str().map(str::to_owned)).collect()
}

async fn kinds(session: &Session) -> Found {
    match session.path("/apis/firstaid.dev/v1alpha1").await {
        Ok(answer) => {
            let served = names(&answer);
            let missing: Vec<&str> = KINDS.into_iter().filter(|kind| !served.iter().any(|name| name == kind)).collect();
            if missing.is_empty() {
                found(Sign::Done, format!("{} kinds are served, as firstaid.dev/v1alpha1", KINDS.len()))
            } else {
                found(
                    Sign::Failed,
                    format!("kinds are missing: {}; is the chart older than the plugin?", missing.join(", ")),
                )
            }
        }
        Err(_) => found(Sign::Failed, "the kinds of First Aid are not served: is it installed? see: helm list -A"),
    }
}

async fn operator(session: &Session) -> Found {
    let Some(seen) = session.operator_seen().await else {
        return found(
            Sign::Still,
            "the operator's Lease: you may not read it, or it has another name (--operator-lease)",
        );
    };
    let age = time::age(seen, session.now());
    if session.now().duration_since(seen).as_secs() < AWAY {
        found(Sign::Done, format!("the operator works, seen {age} ago"))
    } else {
        found(Sign::Failed, format!("the operator has not been seen for {age}: nothing that is approved is done"))
    }
}

/// Somebody who may not make ballots at all is refused for that alone, which says nothing of the policies.
async fn admission(session: &Session) -> Found {
    match person::try_decided_ballot(session.client(), &session.namespace).await {
        Canary::RefusedByOurs => found(Sign::Done, "admission: a ballot that is already decided is refused (dry run)"),
        Canary::RefusedOtherwise(_) => found(
            Sign::Still,
            "admission: not tried, since you may not make ballots anyway; the operator tries it every minute",
        ),
        Canary::Accepted => found(
            Sign::Failed,
            "admission: a ballot that is already decided is ACCEPTED (dry run): the policies of the chart are not in force",
        ),
    }
}

async fn rights(session: &Session) -> Vec<Found> {
    let mut all = Vec::new();
    for (verb, resource, what) in [("create", "runbookruns", "start runs"), ("patch", "approvals", "mark ballots")] {
        let namespace = &session.namespace;
        all.push(match session.may(verb, resource, "", namespace, "").await {
            Ok(true) => found(Sign::Done, format!("you may {what} in namespace {namespace}")),
            Ok(false) => found(Sign::Still, format!("you may not {what} in namespace {namespace}")),
            Err(failure) => found(Sign::Warning, failure.said),
        });
    }
    all
}

async fn may_install(session: &Session) -> Found {
    match person::may_install(session.client()).await {
        Ok(true) => found(Sign::Done, "you may install kinds, cluster roles and admission policies"),
        Ok(false) => {
            found(Sign::Failed, "you may not install kinds, cluster roles or admission policies: ask a cluster-admin")
        }
        Err(error) => found(Sign::Warning, Failure::of(&error, "asking what you may do").said),
    }
}
