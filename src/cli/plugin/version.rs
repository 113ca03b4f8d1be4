//! `kubectl firstaid version`.

use clap::Args;
use serde_json::{Value, json};

use super::ended::{Ended, Failure};
use super::out::Screen;
use super::session::Session;
use super::usual::{Form, Usual};

/// Of what.
#[derive(Args, Clone, Debug)]
pub struct VersionArgs {
    /// Only that of the plugin: no cluster is asked.
    #[arg(long)]
    client: bool,
    #[command(flatten)]
    form: Form,
}

impl VersionArgs {
    /// Prints it.
    pub async fn run(&self, usual: &Usual) -> Result<Ended, Failure> {
        let screen = Screen::new(usual.color, usual.icons);
        let mine = env!("CARGO_PKG_VERSION");
        let server = if self.client { None } else { served(usual).await };
        if !self.form.output.is_text() {
            self.form.output.print(&screen, &json!({"plugin": mine, "server": server}))?;
            return Ok(Ended::Done);
        }
        screen.say(&format!("kubectl-firstaid {mine}"));
        match server {
            Some(versions) => screen.say(&format!("server serves {versions}")),
            None if self.client => {}
            None => screen.say("server: First Aid is not served, or the cluster does not answer"),
        }
        Ok(Ended::Done)
    }
}

/// Which versions of our kinds the server has.
async fn served(usual: &Usual) -> Option<String> {
    let session = Session::open(usual).await.ok()?;
    let group = session.path("/apis/firstaid.dev").await.ok()?;
    let versions = group.get("versions").and_then(Value::as_array)?;
    let names: Vec<&str> = versions.iter().filter_map(|version| version.get("groupVersion")?.as_str()).collect();
    Some(names.join(", "))
}
