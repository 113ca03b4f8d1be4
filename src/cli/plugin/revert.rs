//! `kubectl firstaid revert`: a run that undoes another one, through the same gates.

use clap::Args;
use serde_json::{Map, Value, json};

use super::ended::{Ended, Failure};
use super::out::object::Output;
use super::run::{After, Wish, after, start};
use super::session::Session;
use super::usual::{Form, Patience, Why};
use crate::api::{ActionRecord, RunbookRun};
use crate::perform::person::Sending;

/// What is undone.
#[derive(Args, Clone, Debug)]
pub struct RevertArgs {
    /// Name of a run, or of the record of one change: then that change alone is undone.
    #[arg(value_name = "RUN|RECORD")]
    name: String,
    /// Of a run, this step alone; may be given several times.
    #[arg(long = "step", value_name = "STEP")]
    steps: Vec<String>,
    #[command(flatten)]
    why: Why,
    /// Put it back even where somebody else changed it since: that change is lost, and no earlier approval covers it.
    #[arg(long)]
    force: bool,
    /// Only plan it.
    #[arg(long)]
    plan: bool,
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

impl RevertArgs {
    /// Starts the run that undoes it.
    pub async fn run(&self, session: &Session) -> Result<Ended, Failure> {
        let (run, steps) = self.original(session).await?;
        let reason = self.why.asked("Why is it undone?")?;
        let made = make(session, &run.object, &steps, self.force, self.plan, &reason).await?;
        let then = After {
            sending: Sending::Real,
            plan: self.plan,
            watch: self.watch,
            wait: self.wait,
            patience: &self.patience,
            output: &self.form.output,
        };
        after(session, &made, &then).await
    }

    /// The run that is undone, and which of its steps.
    async fn original(&self, session: &Session) -> Result<(super::session::Found<RunbookRun>, Vec<String>), Failure> {
        let namespace = session.namespace.as_str();
        if let Some(run) = session.find::<RunbookRun>(namespace, &self.name).await? {
            return Ok((run, self.steps.clone()));
        }
        let Some(record) = session.find::<ActionRecord>(namespace, &self.name).await? else {
            return Err(Failure::error(format!("there is no run and no record {} in {namespace}", self.name))
                .next(format!("see what is in place: kubectl firstaid in-place -n {namespace}")));
        };
        if !self.steps.is_empty() {
            return Err(Failure::usage("--step is for a run: a record is of one step"));
        }
        let spec = &record.object.spec;
        let Some(run) = session.find::<RunbookRun>(namespace, &spec.run).await? else {
            let by_hand = spec.undo.as_ref().map_or("", |undo| undo.by_hand.as_str());
            let failure = Failure::error(format!(
                "run {} is gone, and what is recorded of it alone is not undone by First Aid",
                spec.run
            ));
            return Err(if by_hand.is_empty() { failure } else { failure.next(format!("by hand: {by_hand}")) });
        };
        Ok((run, vec![spec.step.clone()]))
    }
}

/// Makes the run that undoes another one.
async fn make(
    session: &Session,
    run: &RunbookRun,
    steps: &[String],
    force: bool,
    plan_only: bool,
    reason: &str,
) -> Result<Value, Failure> {
    let name = run.metadata.name.as_deref().unwrap_or_default();
    let mut more = Map::from_iter([("revertOf".to_owned(), json!(name))]);
    if !steps.is_empty() {
        more.insert("steps".to_owned(), json!(steps));
    }
    if force {
        more.insert("force".to_owned(), json!(true));
    }
    let wish = Wish {
        runbook: &run.spec.runbook,
        parameters: &[],
        incident: run.spec.incident.as_deref(),
        name: None,
        // A name that is made up is five characters longer, and at most 52.
        prefix: format!("{}-undo-", name.get(..40).unwrap_or(name).trim_end_matches(['-', '.'])),
        plan_only,
        more,
    };
    start(session, &wish, reason, Sending::Real).await
}

/// Starts the run that undoes all of another one, and says so.
///
/// # Errors
/// What the API server says.
pub async fn undo(session: &Session, run: &RunbookRun, reason: &str) -> Result<Ended, Failure> {
    let made = make(session, run, &[], false, false, reason).await?;
    let patience = Patience { timeout: None };
    let then = After {
        sending: Sending::Real,
        plan: false,
        watch: false,
        wait: false,
        patience: &patience,
        output: &Output::Text,
    };
    after(session, &made, &then).await
}
