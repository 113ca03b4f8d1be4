//! `kubectl firstaid run`: starts a runbook.

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use super::ballots::hint_if_away;
use super::ended::{Ended, Failure};
use super::follow::{follow, wait};
use super::out::object::Output;
use super::plan::show_plan;
use super::session::Session;
use super::status::say;
use super::usual::{Form, Patience, Why};
use crate::api::{Runbook, RunbookRun};
use crate::perform::person::Sending;

/// How far it goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DryRun {
    /// It is started.
    #[default]
    None,
    /// The API server says whether it would accept it; nothing is stored.
    Server,
    /// A run that only plans: it is stored, and changes nothing.
    Plan,
}

/// What is started.
#[derive(Args, Clone, Debug)]
pub struct RunArgs {
    /// Name of the runbook.
    runbook: String,
    /// A parameter: NAME=VALUE; may be given several times.
    #[arg(long, value_name = "NAME=VALUE", value_parser = parameter)]
    set: Vec<(String, String)>,
    /// Key of the incident that it belongs to.
    #[arg(long, value_name = "KEY")]
    incident: Option<String>,
    #[command(flatten)]
    why: Why,
    /// Name of the run. Default: that of the runbook and five letters.
    #[arg(long)]
    name: Option<String>,
    /// How far it goes.
    #[arg(long, value_enum, default_value_t = DryRun::None)]
    dry_run: DryRun,
    /// Stay until it has ended, and show what changes.
    #[arg(short, long, conflicts_with = "wait")]
    watch: bool,
    /// Wait until it has ended.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    patience: Patience,
    #[command(flatten)]
    form: Form,
}

/// `NAME=VALUE`.
pub fn parameter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE, such as replicas=10".to_owned()),
    }
}

impl RunArgs {
    /// Starts it.
    pub async fn run(&self, session: &Session) -> Result<Ended, Failure> {
        let runbook = session.get::<Runbook>(&session.namespace, &self.runbook).await?;
        let reason = self.why.asked("Why is it started?")?;
        let wish = Wish {
            runbook: &self.runbook,
            parameters: &self.set,
            incident: self.incident.as_deref(),
            name: self.name.as_deref(),
            prefix: format!("{}-", self.runbook),
            plan_only: self.dry_run == DryRun::Plan,
            more: Map::new(),
        };
        let sending = if self.dry_run == DryRun::Server { Sending::DryRun } else { Sending::Real };
        let made = start(session, &wish, &reason, sending).await?;
        if let Some(warning) = stalled(&runbook.object) {
            session.screen.aside(&warning);
        }
        after(
            session,
            &made,
            &After {
                sending,
                plan: self.dry_run == DryRun::Plan,
                watch: self.watch,
                wait: self.wait,
                patience: &self.patience,
                output: &self.form.output,
            },
        )
        .await
    }
}

/// That a runbook did not pass its rehearsal. It is started all the same: a run plans live.
fn stalled(runbook: &Runbook) -> Option<String> {
    let status = runbook.status.as_ref()?;
    let stalled =
        status.conditions.iter().find(|condition| condition.kind == "Ready" && condition.status == "False")?;
    Some(format!("warning: this runbook is not Ready: {}", stalled.message))
}

/// Which run is to be made.
pub struct Wish<'a> {
    /// The runbook.
    pub runbook: &'a str,
    /// Its parameters.
    pub parameters: &'a [(String, String)],
    /// The incident.
    pub incident: Option<&'a str>,
    /// The run's name, where it is not to be made up.
    pub name: Option<&'a str>,
    /// With what a name that is made up begins; at most 46 characters.
    pub prefix: String,
    /// Whether it only plans.
    pub plan_only: bool,
    /// More fields of its spec.
    pub more: Map<String, Value>,
}

/// Makes the run, once. Where the cluster does not fill in who asks, its refusal says who that is, and that is added.
///
/// # Errors
/// What the API server says.
pub async fn start(session: &Session, wish: &Wish<'_>, reason: &str, sending: Sending) -> Result<Value, Failure> {
    let mut spec = wish.more.clone();
    spec.insert("runbook".to_owned(), json!(wish.runbook));
    spec.insert("reason".to_owned(), json!(reason));
    if !wish.parameters.is_empty() {
        let values: Map<String, Value> =
            wish.parameters.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        spec.insert("parameters".to_owned(), Value::Object(values));
    }
    if let Some(incident) = wish.incident {
        spec.insert("incident".to_owned(), json!(incident));
    }
    if wish.plan_only {
        spec.insert("mode".to_owned(), json!("Plan"));
    }
    let metadata = match wish.name {
        Some(name) => json!({"name": name, "namespace": session.namespace}),
        None => json!({"generateName": wish.prefix, "namespace": session.namespace}),
    };
    let mut run =
        json!({"apiVersion": "firstaid.dev/v1alpha1", "kind": "RunbookRun", "metadata": metadata, "spec": spec});
    match session.make::<RunbookRun>(&run, sending).await {
        Err(failure) => match requester(&failure.said) {
            Some(requester) => {
                if let Some(spec) = run.get_mut("spec").and_then(Value::as_object_mut) {
                    spec.insert("requestedBy".to_owned(), requester);
                }
                session.make::<RunbookRun>(&run, sending).await
            }
            None => Err(failure),
        },
        made => made,
    }
}

/// Who a refusal says that asks: `this cluster does not fill in names: add requestedBy: {username: alice} to the spec of the
/// run`.
fn requester(said: &str) -> Option<Value> {
    let (_, rest) = said.split_once("this cluster does not fill in names: add requestedBy: {username: ")?;
    let (person, _) = rest.rsplit_once("} to the spec of the run")?;
    Some(match person.split_once(", key: ") {
        Some((username, key)) => json!({"username": username, "key": key}),
        None => json!({"username": person}),
    })
}

/// What follows once a run is made.
pub struct After<'a> {
    /// Whether it was only tried.
    pub sending: Sending,
    /// Whether it only plans.
    pub plan: bool,
    /// Whether to show it until it ends.
    pub watch: bool,
    /// Whether to wait until it ends.
    pub wait: bool,
    /// For how long.
    pub patience: &'a Patience,
    /// How it is printed.
    pub output: &'a Output,
}

/// Says what was made and what to type next, and waits as was asked.
///
/// # Errors
/// Where it cannot be read, or does not end in time.
pub async fn after(session: &Session, made: &Value, then: &After<'_>) -> Result<Ended, Failure> {
    let text = |pointer: &str| made.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (name, by) = (text("/metadata/name").to_owned(), text("/spec/requestedBy/username").to_owned());
    if then.sending == Sending::DryRun {
        then.output.print(&session.screen, made)?;
        if then.output.is_text() {
            session.screen.say(&format!("The API server would accept it, asked for by {by}. Nothing was stored."));
        }
        return Ok(Ended::Done);
    }
    if then.plan {
        return show_plan(session, &name, then.patience.timeout, then.output).await;
    }
    if !then.output.is_text() {
        then.output.print(&session.screen, made)?;
        return if then.wait || then.watch { ended(session, &name, then).await } else { Ok(Ended::Done) };
    }
    if !then.watch {
        session.screen.say(&format!("runbookrun/{name} asked for by {by}"));
        hint_if_away(session).await;
    }
    match (then.watch, then.wait) {
        (true, _) => follow(session, &name, then.patience.timeout, 9, false).await,
        (_, true) => {
            let seen = wait(session, &name, then.patience.timeout).await?;
            say(session, &seen);
            Ok(seen.ended().unwrap_or(Ended::Error))
        }
        _ => {
            session.screen.say(&format!("follow    kubectl firstaid get run {name} -n {} -w", session.namespace));
            session
                .screen
                .say(&format!("abort     kubectl firstaid abort {name} -n {} --reason \"...\"", session.namespace));
            Ok(Ended::Done)
        }
    }
}

async fn ended(session: &Session, name: &str, then: &After<'_>) -> Result<Ended, Failure> {
    let seen = wait(session, name, then.patience.timeout).await?;
    Ok(seen.ended().unwrap_or(Ended::Error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_is_the_one_that_the_server_says() {
        let said = |text: &str| requester(text);
        assert_eq!(
            said("this cluster does not fill in names: add requestedBy: {username: alice} to the spec of the run"),
            Some(json!({"username": "alice"}))
        );
        assert_eq!(
            said("this cluster does not fill in names: add requestedBy: {username: a, key: b} to the spec of the run"),
            Some(json!({"username": "a", "key": "b"}))
        );
        assert_eq!(said("you are alice: write requestedBy: {username: alice} in the spec of the run"), None);
    }

    #[test]
    fn a_parameter_has_a_name() {
        assert_eq!(parameter("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(parameter("=x").is_err() && parameter("x").is_err());
    }
}
