//! `kubectl firstaid incident`: how an incident stands, as people say.

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::ended::{Ended, Failure};
use super::out::time;
use super::session::Session;
use crate::api::Incident;
use crate::perform::person::Sending;

/// What is said of an incident.
#[derive(Args, Clone, Debug)]
pub struct IncidentArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Clone, Debug)]
enum Verb {
    /// Write down that there is one.
    Declare(DeclareArgs),
    /// Somebody works on it.
    Ack(MomentArgs),
    /// Users are no longer affected, though first aid may be in place.
    Mitigated(MomentArgs),
    /// It is over for good.
    Resolved(MomentArgs),
    /// Nothing more is expected. Refused while first aid is in place, unless you say why it stays.
    Close(CloseArgs),
}

#[derive(Args, Clone, Debug)]
struct DeclareArgs {
    /// Its key: what runs have in spec.incident.
    name: String,
    /// What is wrong, in one line, as a user of the service would say it.
    #[arg(long, visible_alias = "reason")]
    summary: String,
    /// How bad it is, in your own words.
    #[arg(long, value_name = "SEV")]
    severity: Option<String>,
    /// A service that people cannot use as usual; may be given several times.
    #[arg(long)]
    service: Vec<String>,
    /// When it was noticed. Default: now.
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// Since when users are affected.
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// How that is known: a graph, an alert, a ticket.
    #[arg(long, default_value = "said when it was declared")]
    source: String,
}

#[derive(Args, Clone, Debug)]
struct MomentArgs {
    /// Its key.
    name: String,
    /// When, such as 2026-11-22T14:02:10Z. Default: now.
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// How that is known; where the time was said before, why it is another one.
    #[arg(long, visible_alias = "reason")]
    source: Option<String>,
}

#[derive(Args, Clone, Debug)]
struct CloseArgs {
    /// Its key.
    name: String,
    /// Why first aid stays in place, where it does.
    #[arg(long, value_name = "WHY", visible_alias = "reason")]
    accept_in_place: Option<String>,
    /// Why what was decided without a second person stands without a ratification, where it does.
    #[arg(long, value_name = "WHY")]
    accept_unratified: Option<String>,
}

impl IncidentArgs {
    /// Writes it down.
    pub async fn run(&self, session: &Session) -> Result<Ended, Failure> {
        match &self.verb {
            Verb::Declare(args) => args.run(session).await,
            Verb::Ack(args) => args.run(session, "acknowledged").await,
            Verb::Mitigated(args) => args.run(session, "mitigated").await,
            Verb::Resolved(args) => args.run(session, "resolved").await,
            Verb::Close(args) => args.run(session).await,
        }
    }
}

impl DeclareArgs {
    async fn run(&self, session: &Session) -> Result<Ended, Failure> {
        let at = self.at.unwrap_or_else(|| session.now());
        let mut milestones = Map::from_iter([("detected".to_owned(), moment(at, &self.source))]);
        if let Some(since) = self.since {
            milestones.insert("impactStarted".to_owned(), moment(since, &self.source));
        }
        let mut spec =
            Map::from_iter([("summary".to_owned(), json!(self.summary)), ("milestones".to_owned(), json!(milestones))]);
        if let Some(severity) = &self.severity {
            spec.insert("severity".to_owned(), json!(severity));
        }
        if !self.service.is_empty() {
            spec.insert("services".to_owned(), json!(self.service));
        }
        let metadata = json!({"name": self.name, "namespace": session.namespace});
        let incident =
            json!({"apiVersion": "firstaid.dev/v1alpha1", "kind": "Incident", "metadata": metadata, "spec": spec});
        session.make::<Incident>(&incident, Sending::Real).await?;
        let (name, namespace) = (&self.name, &session.namespace);
        session.screen.say(&format!("incident/{name} declared, detected {}", time::utc(at)));
        session
            .screen
            .say(&format!("start     kubectl firstaid run RUNBOOK -n {namespace} --incident {name} --reason \"...\""));
        session.screen.say(&format!("ack       kubectl firstaid incident ack {name} -n {namespace}"));
        Ok(Ended::Done)
    }
}

impl MomentArgs {
    async fn run(&self, session: &Session, milestone: &'static str) -> Result<Ended, Failure> {
        let at = self.at.unwrap_or_else(|| session.now());
        let source = match (&self.source, self.at) {
            (Some(source), _) => source.clone(),
            (None, None) => "said at the time".to_owned(),
            (None, Some(_)) => {
                return Err(Failure::usage("with --at, say how the time is known: add --source \"...\""));
            }
        };
        amend(session, &self.name, |spec| {
            let mut entry = moment(at, &source);
            let old = spec.pointer(&format!("/milestones/{milestone}/at")).and_then(Value::as_str);
            if let (Some(old), Some(entry)) = (old, entry.as_object_mut()) {
                if self.source.is_none() {
                    return Err(Failure::usage(format!(
                        "it is {milestone} since {old} already; to correct that, say why: add --source \"...\""
                    )));
                }
                entry.insert("corrected".to_owned(), json!(format!("it was said to be {old}; {source}")));
            }
            Ok(json!({"milestones": {milestone: entry}}))
        })
        .await?;
        session.screen.say(&format!("incident/{} {milestone} {}", self.name, time::utc(at)));
        let next = match milestone {
            "acknowledged" => {
                format!("mitigated kubectl firstaid incident mitigated {} -n {}", self.name, session.namespace)
            }
            "mitigated" => {
                format!("resolved  kubectl firstaid incident resolved {} -n {}", self.name, session.namespace)
            }
            _ => format!(
                "write up  kubectl firstaid retro {} -n {} --out {}.md",
                self.name, session.namespace, self.name
            ),
        };
        session.screen.say(&next);
        Ok(Ended::Done)
    }
}

impl CloseArgs {
    async fn run(&self, session: &Session) -> Result<Ended, Failure> {
        let words = [("acceptInPlace", &self.accept_in_place), ("acceptUnratified", &self.accept_unratified)];
        let closed: Map<String, Value> =
            words.into_iter().filter_map(|(key, why)| Some((key.to_owned(), json!(why.as_ref()?)))).collect();
        amend(session, &self.name, |_| Ok(json!({"closed": closed}))).await?;
        session.screen.say(&format!("incident/{} closed", self.name));
        session.screen.say(&format!(
            "write up  kubectl firstaid retro {} -n {} --out {}.md",
            self.name, session.namespace, self.name
        ));
        Ok(Ended::Done)
    }
}

fn moment(at: Timestamp, source: &str) -> Value {
    json!({"at": at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string(), "source": source})
}

/// How often it is tried where somebody else writes into the same incident at the same time.
const TRIES: usize = 5;

/// Changes the spec of an incident by what `change` makes of it as it is now. Lists are written whole, so it is written only
/// where nobody else has changed it in between; then it is read and tried again.
///
/// # Errors
/// Where it is not there, or what the API server says.
pub async fn amend(
    session: &Session,
    name: &str,
    change: impl Fn(&Value) -> Result<Value, Failure>,
) -> Result<(), Failure> {
    let mut left = TRIES;
    loop {
        left -= 1;
        let Some(found) = session.find::<Incident>(&session.namespace, name).await? else {
            return Err(Failure::error(format!("there is no Incident {name} in {}", session.namespace)).next(format!(
                "declare   kubectl firstaid incident declare {name} -n {} --summary \"...\"",
                session.namespace
            )));
        };
        let version = found.object.metadata.resource_version.clone().unwrap_or_default();
        let spec = found.raw.get("spec").cloned().unwrap_or_default();
        let patch = json!({"metadata": {"resourceVersion": version}, "spec": change(&spec)?});
        match session.merge::<Incident>(name, &patch).await {
            Ok(_) => return Ok(()),
            Err(failure) if left > 0 && failure.said.contains("the object has been modified") => {}
            Err(failure) => return Err(failure),
        }
    }
}

/// A list in the spec of an incident, as it is.
pub fn list(spec: &Value, field: &str) -> Vec<Value> {
    spec.get(field).and_then(Value::as_array).cloned().unwrap_or_default()
}
