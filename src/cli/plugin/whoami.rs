//! `kubectl firstaid whoami`: who you are to the server, and what you may do here.

use std::collections::BTreeSet;

use clap::Args;
use serde_json::json;

use super::ballots::holds;
use super::ended::{Ended, Failure};
use super::out::screen::Sign;
use super::out::table::Table;
use super::session::Session;
use super::usual::Form;
use crate::api::Runbook;

/// In which namespaces.
#[derive(Args, Clone, Debug)]
pub struct WhoamiArgs {
    /// All namespaces.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    #[command(flatten)]
    form: Form,
}

/// What somebody may do with a runbook.
struct Rights {
    namespace: String,
    runbook: String,
    run: bool,
    abort: bool,
    breakglass: bool,
    /// Roles of its gates, and whether they are held.
    roles: Vec<(String, bool)>,
}

impl WhoamiArgs {
    /// Says it.
    pub async fn run(&self, session: &Session) -> Result<Ended, Failure> {
        let me = session.me().await?;
        let runbooks = session.list::<Runbook>(session.place(self.all_namespaces), None, None).await?;
        let mut all = Vec::new();
        for found in &runbooks {
            all.push(rights(session, &found.object).await?);
        }
        if !self.form.output.is_text() {
            let runbooks: Vec<_> = all
                .iter()
                .map(|rights| {
                    let roles: serde_json::Map<_, _> = rights.roles.iter().map(|(role, held)| (role.clone(), json!(held))).collect();
                    json!({"namespace": rights.namespace, "runbook": rights.runbook, "run": rights.run, "abort": rights.abort, "breakglass": rights.breakglass, "roles": roles})
                })
                .collect();
            self.form
                .output
                .print(&session.screen, &json!({"username": me.name, "groups": me.groups, "runbooks": runbooks}))?;
            return Ok(Ended::Done);
        }
        session.screen.say(&format!("user      {}", me.name));
        session.screen.say(&format!("groups    {}", me.groups.join(", ")));
        session.screen.gap();
        if all.is_empty() {
            session.screen.say("There is no runbook here.");
            return Ok(Ended::Done);
        }
        let icons = session.screen.icons;
        let sign = |yes: bool| if yes { icons.status(Sign::Done, "yes") } else { icons.status(Sign::Still, "no") };
        let mut table = Table::new(&["NAMESPACE", "RUNBOOK", "START", "STOP", "BREAK GLASS", "APPROVE AS"]);
        for rights in &all {
            let held: Vec<&str> =
                rights.roles.iter().filter(|(_, held)| *held).map(|(role, _)| role.as_str()).collect();
            let lacking: Vec<&str> =
                rights.roles.iter().filter(|(_, held)| !held).map(|(role, _)| role.as_str()).collect();
            let lacking = if lacking.is_empty() { String::new() } else { format!(" (not as {})", lacking.join(", ")) };
            let roles = format!("{}{lacking}", if held.is_empty() { "-".to_owned() } else { held.join(", ") });
            table.row(vec![
                rights.namespace.as_str().into(),
                rights.runbook.as_str().into(),
                sign(rights.run),
                sign(rights.abort),
                sign(rights.breakglass),
                roles.into(),
            ]);
        }
        session.screen.put_all(&table.lines(true));
        session.screen.gap();
        session.screen.say("A gate may bar you all the same: from a run that you asked for, or from what you wrote.");
        Ok(Ended::Done)
    }
}

async fn rights(session: &Session, runbook: &Runbook) -> Result<Rights, Failure> {
    let name = runbook.metadata.name.clone().unwrap_or_default();
    let namespace = runbook.metadata.namespace.clone().unwrap_or_default();
    let names: BTreeSet<&str> =
        runbook.spec.gates.iter().flat_map(|gate| gate.requires.iter().map(|need| need.role.as_str())).collect();
    let (run, create, abort, breakglass) = tokio::join!(
        session.may("run", "runbooks", "", &namespace, &name),
        session.may("create", "runbookruns", "", &namespace, ""),
        session.may("abort", "runbooks", "", &namespace, &name),
        session.may("breakglass", "runbooks", "breakglass", &namespace, &name),
    );
    let mut roles = Vec::new();
    for role in names {
        roles.push((role.to_owned(), holds(session, &namespace, &name, role).await?));
    }
    Ok(Rights { run: run? && create?, abort: abort?, breakglass: breakglass?, namespace, runbook: name, roles })
}
