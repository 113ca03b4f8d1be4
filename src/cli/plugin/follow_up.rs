//! `kubectl firstaid follow-up`: what is to be done so that an incident does not come again.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use super::ended::{Ended, Failure};
use super::incident::{amend, list};
use super::out::table::Table;
use super::session::Session;
use super::usual::Form;
use crate::action::ObjectRef;
use crate::api::Incident;
use crate::api::follow_up::{FollowUpCheck, FollowUpState, Holds, Standing};
use crate::api::step::TargetRef;
use crate::expression;

/// What is done about follow-ups.
#[derive(Args, Clone, Debug)]
pub struct FollowUpArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Clone, Debug)]
enum Verb {
    /// Add one.
    Add(Box<AddArgs>),
    /// List those of an incident, or of all.
    List(ListArgs),
    /// It is done.
    Done(EndArgs),
    /// It will not be done; say why.
    Drop(EndArgs),
}

/// What a follow-up is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Kind {
    Investigate,
    Repair,
    Detect,
    Mitigate,
    Prevent,
    ReplaceFirstAid,
}

#[derive(Args, Clone, Debug)]
struct AddArgs {
    /// Key of the incident.
    incident: String,
    /// What is to be done, beginning with a verb.
    #[arg(required = true)]
    text: Vec<String>,
    /// What it is for.
    #[arg(long, value_enum)]
    kind: Kind,
    /// The team or role that does it.
    #[arg(long)]
    owner: Option<String>,
    /// The day until which it is done, such as 2026-12-06.
    #[arg(long, value_name = "DAY")]
    due: Option<String>,
    /// The work in your tracker: an address that begins with https:// or http://.
    #[arg(long, value_name = "URL")]
    link: Option<String>,
    /// How the cluster shows that it is done: runbook/NAME (it is Ready), alert-rule/ALERT (a PrometheusRule has it),
    /// disruption-budget/DEPLOYMENT (a PodDisruptionBudget selects its pods), or [APIVERSION/]KIND/NAME: CEL over object, such as
    /// "Deployment/checkout: object.spec.replicas >= 3".
    #[arg(long, value_name = "CHECK", value_parser = check)]
    check: Option<FollowUpCheck>,
    /// A short name. Default: fu-1, fu-2 and so on.
    #[arg(long)]
    id: Option<String>,
}

#[derive(Args, Clone, Debug)]
struct ListArgs {
    /// Key of the incident. Default: all of the namespace.
    incident: Option<String>,
    /// Also those that are done or dropped.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    form: Form,
}

#[derive(Args, Clone, Debug)]
struct EndArgs {
    /// Key of the incident.
    incident: String,
    /// Its short name.
    id: String,
    /// How it was done, or why it is dropped.
    #[arg(long, value_name = "WHY")]
    reason: Option<String>,
}

impl FollowUpArgs {
    /// Does it.
    pub async fn run(&self, session: &Session) -> Result<Ended, Failure> {
        match &self.verb {
            Verb::Add(args) => args.run(session).await,
            Verb::List(args) => args.run(session).await,
            Verb::Done(args) => args.run(session, "Done").await,
            Verb::Drop(args) if args.reason.is_none() => {
                Err(Failure::usage("say why it is dropped: add --reason \"...\""))
            }
            Verb::Drop(args) => args.run(session, "Dropped").await,
        }
    }
}

/// A check as it is typed.
fn check(typed: &str) -> Result<FollowUpCheck, String> {
    if let Some((about, that)) = typed.split_once(": ") {
        let parts: Vec<&str> = about.trim().split('/').collect();
        let (api_version, kind, name) = match parts.as_slice() {
            [kind, name] => (None, *kind, *name),
            [version, kind, name] => (Some((*version).to_owned()), *kind, *name),
            [group, version, kind, name] => (Some(format!("{group}/{version}")), *kind, *name),
            _ => return Err(format!("{about:?} is no object: write KIND/NAME, or APIVERSION/KIND/NAME")),
        };
        let object = TargetRef { api_version, kind: kind.to_owned(), name: name.to_owned() };
        let reference = ObjectRef::of(&object).map_err(|obstacle| obstacle.to_string())?;
        reference.named()?;
        expression::compile(that.trim()).map_err(|error| error.to_string())?;
        let that = Some(that.trim().to_owned());
        return Ok(FollowUpCheck { object: Some(object), that, ..FollowUpCheck::default() });
    }
    let named = |name: &str| Some(name.to_owned());
    match typed.split_once('/') {
        Some(("runbook", name)) => Ok(FollowUpCheck { runbook: named(name), ..FollowUpCheck::default() }),
        Some(("alert-rule", name)) => Ok(FollowUpCheck { alert_rule: named(name), ..FollowUpCheck::default() }),
        Some(("disruption-budget", name)) => {
            Ok(FollowUpCheck { disruption_budget: named(name), ..FollowUpCheck::default() })
        }
        _ => {
            Err("write runbook/NAME, alert-rule/ALERT, disruption-budget/DEPLOYMENT, or KIND/NAME: EXPRESSION"
                .to_owned())
        }
    }
}

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The first of fu-1, fu-2 and so on that is not taken.
fn unused(taken: &[Value]) -> String {
    let is_taken = |id: &String| taken.iter().any(|follow_up| text(follow_up, "id") == id);
    (1..=taken.len() + 1).map(|number| format!("fu-{number}")).find(|id| !is_taken(id)).unwrap_or_default()
}

impl AddArgs {
    async fn run(&self, session: &Session) -> Result<Ended, Failure> {
        let kind = match self.kind {
            Kind::Investigate => "Investigate",
            Kind::Repair => "Repair",
            Kind::Detect => "Detect",
            Kind::Mitigate => "Mitigate",
            Kind::Prevent => "Prevent",
            Kind::ReplaceFirstAid => "ReplaceFirstAid",
        };
        let added = std::cell::RefCell::new(String::new());
        amend(session, &self.incident, |spec| {
            let mut all = list(spec, "followUps");
            let id = self.id.clone().unwrap_or_else(|| unused(&all));
            if all.iter().any(|other| text(other, "id") == id) {
                return Err(Failure::usage(format!("there is a follow-up {id} already: take another --id")));
            }
            let mut one = Map::from_iter([
                ("id".to_owned(), json!(id)),
                ("text".to_owned(), json!(self.text.join(" "))),
                ("kind".to_owned(), json!(kind)),
            ]);
            for (key, value) in [("owner", &self.owner), ("due", &self.due), ("link", &self.link)] {
                if let Some(value) = value {
                    one.insert(key.to_owned(), json!(value));
                }
            }
            if let Some(check) = &self.check {
                one.insert("check".to_owned(), json!(check));
            }
            all.push(json!(one));
            *added.borrow_mut() = id;
            Ok(json!({"followUps": all}))
        })
        .await?;
        let id = added.into_inner();
        session.screen.say(&format!("incident/{}: follow-up {id} added", self.incident));
        session
            .screen
            .say(&format!("done      kubectl firstaid follow-up done {} {id} -n {}", self.incident, session.namespace));
        Ok(Ended::Done)
    }
}

impl EndArgs {
    async fn run(&self, session: &Session, state: &'static str) -> Result<Ended, Failure> {
        amend(session, &self.incident, |spec| {
            let mut all = list(spec, "followUps");
            let known: Vec<String> = all.iter().map(|one| text(one, "id").to_owned()).collect();
            let one = all.iter_mut().find(|one| text(one, "id") == self.id).and_then(Value::as_object_mut);
            let Some(one) = one else {
                return Err(Failure::error(format!(
                    "there is no follow-up {}; there is: {}",
                    self.id,
                    known.join(", ")
                )));
            };
            one.insert("state".to_owned(), json!(state));
            if let Some(why) = &self.reason {
                one.insert("why".to_owned(), json!(why));
            }
            Ok(json!({"followUps": all}))
        })
        .await?;
        session.screen.say(&format!("incident/{}: follow-up {} is {}", self.incident, self.id, state.to_lowercase()));
        session
            .screen
            .say(&format!("list      kubectl firstaid follow-up list {} -n {}", self.incident, session.namespace));
        Ok(Ended::Done)
    }
}

/// Where one stands, in capitals where somebody should look; of one that is late also what people say.
fn word(standing: Option<Standing>, said: Option<FollowUpState>) -> String {
    match (standing, said) {
        (Some(Standing::Overdue), Some(said)) => format!("{said:?}, OVERDUE"),
        (Some(Standing::Regressed), _) => "REGRESSED".to_owned(),
        (Some(standing), _) => format!("{standing:?}"),
        (None, _) => "unknown".to_owned(),
    }
}

fn shows(holds: Holds) -> &'static str {
    match holds {
        Holds::Yes => "yes",
        Holds::No => "no",
        Holds::Unknown => "not known",
    }
}

impl ListArgs {
    async fn run(&self, session: &Session) -> Result<Ended, Failure> {
        let incidents = match &self.incident {
            Some(name) => vec![session.get::<Incident>(&session.namespace, name).await?],
            None => session.list::<Incident>(&session.namespace, None, None).await?,
        };
        let mut table = Table::new(&["INCIDENT", "ID", "STATE", "CLUSTER SHOWS IT", "DUE", "OWNER", "KIND", "TEXT"]);
        let (mut found, today) = (Vec::new(), session.now().strftime("%Y-%m-%d").to_string());
        for incident in &incidents {
            let name = incident.object.metadata.name.as_deref().unwrap_or_default();
            for one in incident.raw.get("spec").map(|spec| list(spec, "followUps")).unwrap_or_default() {
                let checks = incident.object.status.as_ref().map(|status| status.checks.as_slice()).unwrap_or_default();
                let checked = checks.iter().find(|checked| checked.id == text(&one, "id"));
                let follow_ups = &incident.object.spec.follow_ups;
                let known = follow_ups.iter().find(|follow_up| follow_up.id == text(&one, "id"));
                let standing = known.map(|follow_up| follow_up.stands(checked, &today));
                if matches!(standing, Some(Standing::Done | Standing::Dropped)) && !self.all {
                    continue;
                }
                table.row(vec![
                    name.into(),
                    text(&one, "id").into(),
                    word(standing, known.map(|follow_up| follow_up.state)).into(),
                    checked.map_or("-", |checked| shows(checked.holds)).into(),
                    text(&one, "due").into(),
                    text(&one, "owner").into(),
                    text(&one, "kind").into(),
                    text(&one, "text").into(),
                ]);
                found.push(json!({"incident": name, "followUp": one}));
            }
        }
        if !self.form.output.is_text() {
            self.form.output.print(&session.screen, &Value::Array(found))?;
        } else if table.is_empty() {
            session.screen.say("There is no follow-up that is open.");
        } else {
            session.screen.put_all(&table.lines(true));
        }
        Ok(Ended::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_typed_in_one_word_or_with_an_expression() {
        let object = |typed: &str| {
            let check = check(typed).unwrap();
            let object = check.object.unwrap();
            (object.api_version, object.kind, object.name, check.that.unwrap())
        };
        let that = "object.spec.replicas >= 3".to_owned();
        assert_eq!(
            object("Deployment/checkout: object.spec.replicas >= 3"),
            (None, "Deployment".to_owned(), "checkout".to_owned(), that.clone())
        );
        assert_eq!(object("apps/v1/Deployment/checkout: object.spec.replicas >= 3").0.as_deref(), Some("apps/v1"));
        assert_eq!(object("v1/Pod/checkout: true").0.as_deref(), Some("v1"));
        assert_eq!(check("runbook/shed-load").unwrap().runbook.as_deref(), Some("shed-load"));
        assert_eq!(check("alert-rule/Queue grows").unwrap().alert_rule.as_deref(), Some("Queue grows"));
        assert_eq!(check("disruption-budget/web").unwrap().disruption_budget.as_deref(), Some("web"));
        for (typed, wanted) in [
            ("shed-load", "write runbook/NAME"),
            ("checkout: true", "is no object"),
            ("Shop/checkout: true", "needs an apiVersion"),
            ("Secret/checkout: true", "a Secret is nothing"),
            ("v1/Pod/../x/y: true", "is no object"),
            ("Pod/${x}: true", "is no name of a Pod"),
            ("Pod/checkout: object.spec >", "does not compile"),
        ] {
            let refused = check(typed).unwrap_err();
            assert!(refused.contains(wanted), "{typed}: {refused}");
        }
    }

    #[test]
    fn a_follow_up_takes_the_first_name_that_is_not_taken() {
        assert_eq!(unused(&[]), "fu-1");
        assert_eq!(unused(&[json!({"id": "fu-2"}), json!({"id": "fu-1"})]), "fu-3");
        assert_eq!(unused(&[json!({"id": "own"}), json!({"id": "fu-2"})]), "fu-1");
    }
}
