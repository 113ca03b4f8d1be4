//! `kubectl firstaid explain-runbook`: a runbook in words.

use clap::Args;
use serde_json::Value;

use super::ended::{Ended, Failure};
use super::out::object::Output;
use super::out::table::Table;
use super::out::{Line, Tone};
use super::session::Session;
use super::usual::Form;
use crate::api::Runbook;
use crate::api::runbook::{Gate, Parameter, ReasonRule, SelfApproval};
use crate::api::step::{NO_GATE, OnFailure, Step};

/// Which runbook.
#[derive(Args, Clone, Debug)]
pub struct ExplainArgs {
    /// Name of the runbook. Default: a list of all.
    runbook: Option<String>,
    #[command(flatten)]
    form: Form,
}

impl ExplainArgs {
    /// Explains it.
    pub async fn run(&self, session: &Session) -> Result<Ended, Failure> {
        let Some(name) = &self.runbook else { return self.list(session).await };
        let found = session.get::<Runbook>(&session.namespace, name).await?;
        if !self.form.output.is_text() {
            self.form.output.print(&session.screen, &found.raw)?;
            return Ok(Ended::Done);
        }
        session.screen.put_all(&lines(&found.object));
        session.screen.gap();
        session.screen.say(&format!("plan      kubectl firstaid plan {name} -n {}", session.namespace));
        session.screen.say(&format!(
            "start     kubectl firstaid run {name} -n {}{} --reason \"...\"",
            session.namespace,
            wanted(&found.object)
        ));
        Ok(Ended::Done)
    }

    async fn list(&self, session: &Session) -> Result<Ended, Failure> {
        let found = session.list::<Runbook>(&session.namespace, None, None).await?;
        if !self.form.output.is_text() {
            self.form.output.print_list(&session.screen, found.into_iter().map(|found| found.raw).collect())?;
            return Ok(Ended::Done);
        }
        if found.is_empty() {
            session.screen.say(&format!("There is no runbook in {}.", session.namespace));
        }
        let wide = self.form.output == Output::Wide;
        let mut table =
            Table::new(if wide { &["NAME", "READY", "SUMMARY", "WHEN TO USE"] } else { &["NAME", "READY", "SUMMARY"] });
        for found in &found {
            let (metadata, spec) = (&found.object.metadata, &found.object.spec);
            let name = metadata.name.as_deref().unwrap_or_default();
            let cells = [name, ready(&found.object).0, &spec.summary, &spec.when_to_use];
            table.row(cells.into_iter().take(if wide { 4 } else { 3 }).map(Line::from).collect());
        }
        if !table.is_empty() {
            session.screen.put_all(&table.lines(true));
        }
        Ok(Ended::Done)
    }
}

/// The parameters that must be given: ` --set service=SERVICE`.
fn wanted(runbook: &Runbook) -> String {
    let wanted = runbook.spec.parameters.iter().filter(|parameter| parameter.default.is_none());
    wanted.map(|parameter| format!(" --set {}={}", parameter.name, parameter.name.to_uppercase())).collect()
}

fn ready(runbook: &Runbook) -> (&str, &str) {
    let conditions = runbook.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let ready = conditions.iter().find(|condition| condition.kind == "Ready");
    ready.map_or(("Unknown", "it was not rehearsed yet"), |ready| (ready.status.as_str(), ready.message.as_str()))
}

fn lines(runbook: &Runbook) -> Vec<Line> {
    let spec = &runbook.spec;
    let title = |text: &str| Line::toned(Tone::Strong, text);
    let mut lines = vec![title(&spec.summary)];
    for (name, text) in [("Use it when", &spec.when_to_use), ("Not when", &spec.when_not_to_use), ("Ask", &spec.owner)]
    {
        if !text.is_empty() {
            lines.push(format!("{name:<12} {text}").into());
        }
    }
    let (state, message) = ready(runbook);
    lines.push(format!("{:<12} {state}: {message}", "Ready").into());
    lines.push(format!("{:<12} ServiceAccount {}", "Acts as", spec.service_account_name).into());
    if !spec.parameters.is_empty() {
        lines.push(Line::default());
        lines.push(title("PARAMETERS"));
        lines.extend(spec.parameters.iter().map(|parameter| Line::from(format!("  {}", said_of_parameter(parameter)))));
    }
    lines.push(Line::default());
    lines.push(title("STEPS"));
    let rehearsal = runbook.status.as_ref().map(|status| status.rehearsal.as_slice()).unwrap_or_default();
    for (number, step) in spec.steps.iter().enumerate() {
        lines.push(format!("  {}. {}: {}", number + 1, step.name, action(step)).into());
        lines.extend(said_of_step(step).into_iter().map(|text| Line::toned(Tone::Faint, &format!("     {text}"))));
        if let Some(now) = rehearsal.get(number) {
            let now = now.strip_prefix(&format!("{}: ", step.name)).unwrap_or(now);
            lines.push(Line::toned(Tone::Faint, &format!("     if it ran now: {now}")));
        }
    }
    if !spec.gates.is_empty() {
        lines.push(Line::default());
        lines.push(title("GATES"));
        for gate in &spec.gates {
            lines.extend(said_of_gate(gate).into_iter().map(|text| Line::from(format!("  {text}"))));
        }
    }
    lines
}

fn said_of_parameter(parameter: &Parameter) -> String {
    let kind = serde_json::to_value(parameter.kind).ok();
    let kind = kind.as_ref().and_then(Value::as_str).unwrap_or_default();
    let default =
        parameter.default.as_ref().map_or(", must be given".to_owned(), |value| format!(", {value} if none is given"));
    let bounds = match (parameter.minimum, parameter.maximum) {
        (Some(least), Some(most)) => format!(", {least} to {most}"),
        (Some(least), None) => format!(", at least {least}"),
        (None, Some(most)) => format!(", at most {most}"),
        (None, None) if parameter.allowed.is_empty() => String::new(),
        (None, None) => format!(", one of {}", parameter.allowed.join(", ")),
    };
    format!("{} ({kind}{bounds}{default}) {}", parameter.name, parameter.description)
}

/// The action as it is written, on one line: nothing of it is left out.
fn action(step: &Step) -> String {
    let all = serde_json::to_value(step).ok();
    let detail = all.as_ref().and_then(|step| step.get(step_key(step)));
    format!("{} {}", step.action.key(), detail.map(in_words).unwrap_or_default())
}

fn step_key(step: &Value) -> &'static str {
    ["scale", "restart", "disable", "check"].into_iter().find(|key| step.get(key).is_some()).unwrap_or_default()
}

/// JSON without the signs that only programs need: `target Deployment/checkout, replicas 10`.
fn in_words(value: &Value) -> String {
    let Value::Object(fields) = value else {
        return value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    };
    if let (Some(kind), Some(name)) =
        (fields.get("kind").and_then(Value::as_str), fields.get("name").and_then(Value::as_str))
    {
        return format!("{kind}/{name}");
    }
    let parts: Vec<String> = fields.iter().map(|(key, value)| format!("{key} {}", in_words(value))).collect();
    parts.join(", ")
}

fn said_of_step(step: &Step) -> Vec<String> {
    let mut said = Vec::new();
    if !step.description.is_empty() {
        said.push(step.description.clone());
    }
    match step.gate.as_deref() {
        Some(NO_GATE) => said.push("nobody is asked".to_owned()),
        Some(gate) => said.push(format!("waits at gate {gate}")),
        None => said.push("changes nothing".to_owned()),
    }
    if let Some(when) = &step.when {
        said.push(format!("only if {when}"));
    }
    said.push(match step.on_failure {
        OnFailure::Stop => "if it fails, the run stops".to_owned(),
        OnFailure::Continue => "if it fails, the run goes on".to_owned(),
        OnFailure::Revert => "if it fails, what the run did is undone".to_owned(),
    });
    if let Some(after) = &step.revert_after {
        let who = if step.auto_revert { "without asking anew" } else { "at the gate" };
        said.push(format!("undone after {after} {who}"));
    } else if matches!(step.action.key(), "scale" | "disable") {
        said.push("stays until somebody undoes it".to_owned());
    } else if step.action.key() == "restart" {
        said.push("cannot be undone".to_owned());
    }
    said
}

fn said_of_gate(gate: &Gate) -> Vec<String> {
    let needs: Vec<String> = gate.requires.iter().map(|need| format!("{} of {}", need.count, need.role)).collect();
    let own = match (gate.self_approval, gate.alone_after()) {
        (SelfApproval::Always, _) => "whoever asked may approve".to_owned(),
        (SelfApproval::Alone, Some(after)) => {
            format!("whoever asked may approve when nobody else has for {after}; then somebody else ratifies it")
        }
        (SelfApproval::Alone, None) | (SelfApproval::Never, _) => "whoever asked may never approve".to_owned(),
    };
    let reason = if gate.reason == ReasonRule::Required { "a vote says why" } else { "a vote may say why" };
    let mut said = vec![
        format!("{}: needs {}; {own}", gate.name, needs.join(" and ")),
        format!("  a ballot lasts {}, the gate waits {}; {reason}", gate.valid_for, gate.timeout),
    ];
    if let Some(covers) = &gate.covers_undo {
        said.push(format!("  its approval covers the undo for {covers}"));
    }
    said
}
