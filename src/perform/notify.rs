//! Notifications: what people must know is posted to one webhook. Nothing rests on them, and nobody waits for them.
//!
//! They wait in a queue of at most [`MOST_WAITING`]; one task sends them, one after the other. What is in the queue when
//! the process dies is lost: the runs themselves say the same.

mod post;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use tokio::sync::watch;

use self::post::Failure;
pub use self::post::Webhook;
use crate::api::run::Phase;
use crate::metrics::{Metrics, Notified};

/// How many messages wait at most. When there is one more, the oldest is dropped and counted.
const MOST_WAITING: usize = 256;

/// What is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Happening {
    /// A gate waits for people.
    ApprovalAsked,
    /// A gate was opened without a vote and without the role.
    BrokenGlass,
    /// A gate was opened by whoever asked for the run, since nobody else decided.
    DecidedAlone,
    /// Somebody else is to ratify or disown such a decision.
    RatificationDue,
    /// Somebody else stands by it.
    Ratified,
    /// Somebody else does not.
    Disowned,
    /// An outcome is unknown, and a person is to settle it.
    NeedsHuman,
    /// A run has ended.
    Ended,
    /// The operator does nothing: its admission policies are not proven to be in force.
    GuardsAway,
    /// It acts again.
    GuardsBack,
}

/// One message: a line for people, and the same as fields for programs. A field that does not apply is left out. Never in
/// it: the code of a plan, which proves that the plan was read.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// The line, as chats take it: Slack, Mattermost, Google Chat, a workflow of Teams.
    pub text: String,
    /// What it is about.
    pub event: Happening,
    /// The cluster: its name, else its uid.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cluster: String,
    /// Namespace of the run.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Name of the run.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub run: String,
    /// Name of its runbook.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub runbook: String,
    /// Key of the incident.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub incident: String,
    /// Where the run stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// The step in hand: `2/3 scale-out`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub progress: String,
    /// The plan in one line, where one waits.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// What is said: why, what is waited for, or how it ended.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Who: whoever asked for the run, decided, or ratified.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub by: String,
    /// Who is needed: `1 of sre`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub needed: Vec<String>,
    /// Names of the ballots that can be marked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ballots: Vec<String>,
    /// Until when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// What to type next.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub command: String,
    /// What the run changed and has not undone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub in_place: Vec<String>,
    /// Hash of the newest record of the run: whoever keeps the message can tell later whether the records were rewritten.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub record_head: String,
    /// When the operator knew it.
    pub at: Timestamp,
}

impl Notice {
    /// A message of this that says nothing yet.
    pub fn of(event: Happening, at: Timestamp) -> Self {
        Self {
            text: String::new(),
            event,
            cluster: String::new(),
            namespace: String::new(),
            run: String::new(),
            runbook: String::new(),
            incident: String::new(),
            phase: None,
            progress: String::new(),
            summary: String::new(),
            message: String::new(),
            by: String::new(),
            needed: Vec::new(),
            ballots: Vec::new(),
            until: None,
            command: String::new(),
            in_place: Vec::new(),
            record_head: String::new(),
            at,
        }
    }
}

/// How patient the sender is.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// How long one try may take, from reading the URL to the answer.
    deadline: Duration,
    /// How long it waits before each further try.
    pauses: [Duration; 2],
}

impl Default for Pace {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(5), pauses: [Duration::from_secs(1), Duration::from_secs(4)] }
    }
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Notice>,
    sending: bool,
}

/// Takes messages, and never makes anybody wait. Cloning shares the queue.
#[derive(Clone, Default)]
pub struct Notifier {
    /// None where nobody is told.
    queue: Option<Arc<watch::Sender<Queue>>>,
    metrics: Metrics,
}

impl Notifier {
    /// Starts to send to this webhook, in a task of its own; takes messages and tells nobody where there is none.
    pub fn start(webhook: Option<Webhook>, metrics: Metrics) -> Self {
        Self::start_at(Pace::default(), webhook, metrics)
    }

    fn start_at(pace: Pace, webhook: Option<Webhook>, metrics: Metrics) -> Self {
        let Some(webhook) = webhook else { return Self::default() };
        let queue = Arc::new(watch::Sender::new(Queue::default()));
        tokio::spawn(send_all(Arc::clone(&queue), webhook, pace, metrics.clone()));
        Self { queue: Some(queue), metrics }
    }

    /// Puts a message into the queue.
    pub fn tell(&self, notice: Notice) {
        let Some(queue) = &self.queue else { return };
        let mut oldest = None;
        queue.send_modify(|queue| {
            if queue.waiting.len() >= MOST_WAITING {
                oldest = queue.waiting.pop_front();
            }
            queue.waiting.push_back(notice);
        });
        if let Some(notice) = oldest {
            self.metrics.notified(Notified::Dropped);
            tracing::warn!(event = ?notice.event, namespace = %notice.namespace, run = %notice.run, "too many notifications wait; the oldest was dropped");
        }
    }

    /// Waits until everything is sent or given up, for so long at most.
    pub async fn drain(&self, within: Duration) {
        let Some(queue) = &self.queue else { return };
        let mut changes = queue.subscribe();
        let idle = changes.wait_for(|queue| queue.waiting.is_empty() && !queue.sending);
        if tokio::time::timeout(within, idle).await.is_err() {
            tracing::warn!("not every notification was sent before the end");
        }
    }
}

async fn send_all(queue: Arc<watch::Sender<Queue>>, webhook: Webhook, pace: Pace, metrics: Metrics) {
    // Said before there is anything to tell: somebody has just set it up.
    match webhook.target().await {
        Ok(_) => tracing::info!("notifications are sent"),
        Err(why) => tracing::warn!(%why, "notifications cannot be sent; it is looked again for each"),
    }
    let mut changes = queue.subscribe();
    while changes.wait_for(|queue| !queue.waiting.is_empty()).await.is_ok() {
        let mut next = None;
        queue.send_modify(|queue| {
            next = queue.waiting.pop_front();
            queue.sending = true;
        });
        if let Some(notice) = next {
            metrics.notified(deliver(&notice, &webhook, pace).await);
        }
        queue.send_modify(|queue| queue.sending = false);
    }
}

/// Sends a message, in three tries at most.
async fn deliver(notice: &Notice, webhook: &Webhook, pace: Pace) -> Notified {
    let whole = serde_json::to_string(notice).unwrap_or_default();
    let text = json!({"text": notice.text}).to_string();
    let mut pauses = pace.pauses.into_iter();
    loop {
        let posted = tokio::time::timeout(pace.deadline, webhook.post(&whole, &text)).await;
        let Err(why) = posted.unwrap_or(Err(Failure::Late)) else {
            tracing::debug!(event = ?notice.event, namespace = %notice.namespace, run = %notice.run, "notified");
            return Notified::Sent;
        };
        let pause = pauses.next().filter(|_| why.may_pass());
        tracing::warn!(event = ?notice.event, namespace = %notice.namespace, run = %notice.run, %why, again = pause.is_some(), "a notification was not sent");
        match pause {
            Some(pause) => tokio::time::sleep(pause).await,
            None if why.is_unusable() => return Notified::Unusable,
            None => return Notified::Failed,
        }
    }
}

#[cfg(test)]
mod tests;
