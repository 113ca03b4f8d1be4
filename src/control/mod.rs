//! The drivers: they join the planner, which decides, to `perform` and `record`, which do.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)]

pub mod alerts;
pub mod in_place;
pub mod incident;
pub mod keep;
pub mod ratify;
pub mod run;
pub mod runbook;

mod crash_point;
mod recall;
mod tell;
mod turns;
mod wake;

use kube::api::ListParams;
use kube::runtime::watcher;
use kube::{Api, Client, Resource};

pub use recall::{Recall, RunName};

pub use tell::GuardNews;

use crate::api::{RunbookRun, RunbookRunStatus};
use crate::metrics::Metrics;
use crate::perform::notify::Notifier;
use crate::perform::{self, CallError, Performer};
use crate::plan::Operator;

/// What every driver needs.
pub struct Context {
    /// The narrow door.
    pub performer: Performer,
    /// What this process remembers of active runs.
    pub recall: Recall,
    /// What the operator knows of itself.
    pub operator: Operator,
    /// What is counted.
    pub metrics: Metrics,
    /// Whoever writes the archive hears here of runs that have ended.
    pub wakes: keep::Wakes,
    /// Who tells people.
    pub notifier: Notifier,
}

impl Context {
    /// Notifies people of what a write of the journal has brought. `by`: who marked the ballot that is the reason of it.
    fn notify(&self, before: Option<&RunbookRunStatus>, run: &RunbookRun, by: &str) {
        let change = tell::Change { before, run, by, cluster: &self.operator.cluster, now: perform::now() };
        change.notices().into_iter().for_each(|notice| self.notifier.tell(notice));
    }
}

/// Why a pass ended early. It is tried again.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// A call failed, or its outcome is not known.
    #[error("{doing}: {error}")]
    Call {
        /// What was being done.
        doing: &'static str,
        /// What came back.
        error: CallError,
    },
    /// The planner asked and asked. A mistake of ours: it would never end.
    #[error("no decision after {0} turns; last: {1}")]
    Endless(usize, String),
}

impl PassError {
    /// A word for metrics, of a closed set.
    pub fn category(&self) -> &'static str {
        match self {
            Self::Call { .. } => "call",
            Self::Endless(..) => "endless",
        }
    }
}

/// Says that a pass ended early.
fn note<K>(object: &K, error: &PassError, context: &Context)
where
    K: Resource<DynamicType = ()>,
{
    let name = object.meta().name.as_deref().unwrap_or_default();
    let namespace = object.meta().namespace.as_deref().unwrap_or_default();
    tracing::warn!(kind = %K::kind(&()), namespace, name, category = error.category(), %error, "a pass ended early");
    context.metrics.error(error.category());
}

/// Watches end after 30 s, so that a connection that died without a word is noticed. What there is at the start is read
/// in small pages: of a thousand stored ballots, which nobody wakes for, no more than a page is ever in memory.
fn watch() -> watcher::Config {
    watcher::Config::default().timeout(30).page_size(50)
}

/// The APIs that an operator of these namespaces looks after: all of the cluster where none is named.
fn apis<K>(client: &Client, namespaces: &[String]) -> Vec<Api<K>>
where
    K: Resource<Scope = kube::core::NamespaceResourceScope>,
    K::DynamicType: Default,
{
    if namespaces.is_empty() {
        vec![Api::all(client.clone())]
    } else {
        namespaces.iter().map(|namespace| Api::namespaced(client.clone(), namespace)).collect()
    }
}

/// Whether a kind of ours is served and may be listed in every namespace that is looked after.
///
/// # Errors
/// [`kube::Error`] where it cannot be listed.
pub async fn served<K>(client: &Client, namespaces: &[String]) -> kube::Result<()>
where
    K: Resource<Scope = kube::core::NamespaceResourceScope> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
    K::DynamicType: Default,
{
    for api in apis::<K>(client, namespaces) {
        api.list(&ListParams::default().limit(1)).await?;
    }
    Ok(())
}
