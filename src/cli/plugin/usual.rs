//! Options that verbs share, as kubectl has them.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::out::object::Output;
use super::out::screen::{Colour, Signs};
use crate::api::Period;

/// Options of every verb.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Options of every verb")]
pub struct Usual {
    /// The kubeconfig. Default: KUBECONFIG, else ~/.kube/config.
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig.
    #[arg(long, global = true)]
    pub context: Option<String>,
    /// Act as this user, where you may. Some clusters take no vote this way.
    #[arg(long = "as", global = true, value_name = "USER")]
    pub act_as: Option<String>,
    /// With --as: as a member of this group; may be given several times.
    #[arg(long = "as-group", global = true, value_name = "GROUP", requires = "act_as")]
    pub act_as_group: Vec<String>,
    /// The namespace. Default: that of the context.
    #[arg(short, long, global = true)]
    pub namespace: Option<String>,
    /// How long one request may take, such as 10s or 1m.
    #[arg(long, global = true, value_name = "TIME", default_value = "15s", value_parser = period)]
    pub request_timeout: Duration,
    /// Colours. Nothing is said by a colour alone.
    #[arg(long, global = true, value_enum, default_value_t = Colour::Auto, value_name = "WHEN")]
    pub color: Colour,
    /// Signs.
    #[arg(long, global = true, value_enum, default_value_t = Signs::Auto, value_name = "SET")]
    pub icons: Signs,
    /// The operator's own namespace.
    #[arg(long, global = true, value_name = "NAME", default_value = "firstaid-system", hide_short_help = true)]
    pub operator_namespace: String,
    /// The operator's Lease there, by which one sees whether it works.
    #[arg(long, global = true, value_name = "NAME", default_value = "firstaid", hide_short_help = true)]
    pub operator_lease: String,
}

/// Options of verbs that list.
#[derive(Args, Clone, Debug, Default)]
pub struct Listing {
    /// All namespaces.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    pub all_namespaces: bool,
    /// Only those with these labels: a=b,c!=d.
    #[arg(short = 'l', long, value_name = "LABELS")]
    pub selector: Option<String>,
    #[command(flatten)]
    pub form: Form,
    /// No line with the names of columns.
    #[arg(long)]
    pub no_headers: bool,
}

/// How it is printed.
#[derive(Args, Clone, Debug, Default)]
pub struct Form {
    /// text, wide, json, yaml, name, or jsonpath='{.status.phase}'.
    #[arg(short, long, default_value = "text", value_name = "FORM", hide_default_value = true)]
    pub output: Output,
}

/// Why something is done.
#[derive(Args, Clone, Debug, Default)]
pub struct Why {
    /// Why, in your own words. On a terminal you are asked.
    #[arg(long, value_name = "WHY")]
    pub reason: Option<String>,
}

impl Why {
    /// The reason: given, or asked for on the terminal.
    ///
    /// # Errors
    /// Where there is none.
    pub fn asked(&self, question: &str) -> Result<String, super::ended::Failure> {
        let given = self.reason.clone().or_else(|| super::out::screen::ask(question));
        match given.as_deref().map(str::trim) {
            Some(reason) if !reason.is_empty() => Ok(reason.to_owned()),
            Some(_) => Err(super::ended::Failure::usage("the reason is blank: say why, in words of your own")),
            None => Err(super::ended::Failure::usage("say why: add --reason \"...\"")),
        }
    }
}

/// How long something is waited for.
#[derive(Args, Clone, Debug)]
pub struct Patience {
    /// How long to wait at most, such as 90s or 15m; then it ends with 4. Default: as long as it takes.
    #[arg(long, value_name = "TIME", value_parser = period)]
    pub timeout: Option<Duration>,
}

/// `90s`, `15m`, `1h30m`.
pub fn period(text: &str) -> Result<Duration, String> {
    let period = Period::try_from(text.to_owned()).map_err(|error| error.to_string())?;
    Ok(Duration::from_secs(period.seconds().unsigned_abs()))
}
