//! `kubectl firstaid plan`: what a runbook would do if it ran now. It is asked of the operator, by a run that only plans: so
//! it is made with the rights of the runbook, by the same code, on the same cluster as the real one.

use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value};

use super::ended::{Ended, Failure};
use super::follow::wait;
use super::out::object::Output;
use super::out::table::Table;
use super::out::{Line, Tone};
use super::run::{Wish, parameter, start};
use super::session::Session;
use super::usual::{Form, Why};
use crate::api::Runbook;
use crate::api::run::{Phase, Plan, PlannedStep, RunbookRun};
use crate::perform::person::Sending;

/// What is planned.
#[derive(Args, Clone, Debug)]
pub struct PlanArgs {
    /// Name of the runbook.
    runbook: String,
    /// A parameter: NAME=VALUE; may be given several times.
    #[arg(long, value_name = "NAME=VALUE", value_parser = parameter)]
    set: Vec<(String, String)>,
    #[command(flatten)]
    why: Why,
    /// How long to wait for the plan.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = super::usual::period)]
    timeout: Duration,
    #[command(flatten)]
    form: Form,
}

impl PlanArgs {
    /// Asks for the plan and shows it.
    pub async fn run(&self, session: &Session) -> Result<Ended, Failure> {
        // Its existence is asked for first: a run of a runbook that is not there would stay behind.
        session.get::<Runbook>(&session.namespace, &self.runbook).await?;
        let reason = self.why.reason.as_deref().unwrap_or("to see what it would do");
        let wish = Wish {
            runbook: &self.runbook,
            parameters: &self.set,
            incident: None,
            name: None,
            prefix: format!("{}-", self.runbook),
            plan_only: true,
            more: Map::new(),
        };
        let made = start(session, &wish, reason, Sending::Real).await?;
        let name = made.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
        show_plan(session, name, Some(self.timeout), &self.form.output).await
    }
}

/// Waits for the plan of a run that only plans, and shows it.
///
/// # Errors
/// Where there is none in time.
pub async fn show_plan(
    session: &Session,
    name: &str,
    patience: Option<Duration>,
    output: &Output,
) -> Result<Ended, Failure> {
    let patience = Some(patience.unwrap_or(Duration::from_secs(30)));
    let seen = wait(session, name, patience)
        .await
        .map_err(|failure| failure.next("does the operator work? see: kubectl firstaid check"))?;
    let run = &seen.run.object;
    output.print(&session.screen, &seen.run.raw)?;
    if output.is_text() {
        session.screen.put_all(&lines(run));
        session.screen.gap();
        session.screen.say(&format!("Nothing was changed. The plan is kept as run {name}."));
    }
    let message = run.status.as_ref().map(|status| status.message.clone()).unwrap_or_default();
    match run.status.as_ref().map(|status| status.phase) {
        Some(Phase::Succeeded) => Ok(Ended::Done),
        phase => Err(Failure {
            ended: phase.and_then(Ended::of).unwrap_or(Ended::Error),
            said: format!("it cannot be planned: {message}"),
            next: vec![format!(
                "explain   kubectl firstaid explain-runbook {} -n {}",
                run.spec.runbook, session.namespace
            )],
        }),
    }
}

fn lines(run: &RunbookRun) -> Vec<Line> {
    let Some(status) = &run.status else { return Vec::new() };
    let codes: Vec<&str> = status.plans.values().map(|plan| plan.code.as_str()).collect();
    let mut head = Line::toned(Tone::Strong, &format!("RUNBOOK {}", run.spec.runbook));
    head.push(Tone::Plain, &format!("   plan {}", codes.join(", ")));
    let mut table = Table::new(&["STEP", "NAME", "ACTION", "EFFECT", "GATE", "UNDO"]);
    let steps: Vec<(&Plan, &PlannedStep)> =
        status.plans.values().flat_map(|plan| plan.steps.iter().map(move |step| (plan, step))).collect();
    for (number, (plan, step)) in steps.iter().enumerate() {
        let effect = if step.already {
            format!("{} (already so: nothing will be written)", step.summary)
        } else {
            step.summary.clone()
        };
        table.row(vec![
            (number + 1).to_string().into(),
            step.step.as_str().into(),
            step.action.as_str().into(),
            effect.into(),
            if step.action == "check" { Line::default() } else { gate(plan).into() },
            step.undo.as_ref().map_or("", |undo| undo.summary.as_str()).into(),
        ]);
    }
    let mut lines = vec![head, Line::default()];
    lines.extend(table.lines(true));
    let warnings: Vec<Line> = steps
        .iter()
        .flat_map(|(_, step)| step.warnings.iter().map(|warning| format!("{}: {warning}", step.step)))
        .chain(
            status
                .plans
                .values()
                .flat_map(|plan| plan.floors.iter().map(|floor| format!("the platform asks for {floor}"))),
        )
        .map(|warning| Line::toned(Tone::Warn, "  ! ").and(Tone::Plain, &warning))
        .collect();
    if !warnings.is_empty() {
        lines.push(Line::default());
        lines.push(Line::toned(Tone::Strong, "WARNINGS"));
        lines.extend(warnings);
    }
    lines
}

/// Who must approve: `on-call: 1 of sre`.
fn gate(plan: &Plan) -> String {
    let Some(gate) = &plan.gate else { return "none".to_owned() };
    let Some(terms) = &plan.terms else { return gate.clone() };
    let needs: Vec<String> = terms.requires.iter().map(|need| format!("{} of {}", need.count, need.role)).collect();
    format!("{gate}: {}", needs.join(" and "))
}
