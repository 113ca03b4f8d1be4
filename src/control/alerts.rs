//! Whoever sends alerts is heard here: who is it, may they, and then which Incident they open or feed.

use std::sync::Arc;

use axum::body::Bytes;

use tokio::sync::Semaphore;

use super::Context;
use crate::alerts::{self, Course, MOST_BYTES, MOST_OPEN, Told};
use crate::api::Person;
use crate::metrics::Heard;
use crate::perform::{self, AUDIENCE, CallError, DEADLINE, Right};

/// Messages at the same time. More are asked to come again: Alertmanager does.
const AT_ONCE: usize = 8;
/// How often it is looked at again where somebody else was first.
const TURNS: usize = 4;

/// Hears of alerts.
pub struct Receiver {
    context: Arc<Context>,
    /// Where it hears of them; empty: everywhere.
    namespaces: Vec<String>,
    room: Semaphore,
}

/// What whoever sent a message is told: an HTTP status, and a sentence.
pub type Reply = (u16, String);

impl Receiver {
    /// One that hears of alerts in these namespaces; empty: in all.
    pub fn new(context: Arc<Context>, namespaces: Vec<String>) -> Self {
        Self { context, namespaces, room: Semaphore::new(AT_ONCE) }
    }

    /// A message about a namespace, with the token that was shown.
    pub async fn hear(
        &self,
        namespace: &str,
        token: Option<&str>,
        message: impl Future<Output = Result<Bytes, String>>,
    ) -> Reply {
        let (heard, (code, said)) = match self.room.try_acquire() {
            Ok(_place) => self.judge(namespace, token, message).await,
            Err(_) => (Heard::Failed, (503, "too many messages at once; try again".to_owned())),
        };
        self.context.metrics.alert(heard);
        match heard {
            Heard::Opened => tracing::info!(namespace, said, "an alert has opened an incident"),
            Heard::Told | Heard::Known => tracing::debug!(namespace, said, "an alert was told"),
            Heard::Refused => tracing::warn!(namespace, code, said, "an alert was refused"),
            Heard::Failed => tracing::warn!(namespace, code, said, "an alert could not be taken"),
        }
        (code, format!("{said}\n"))
    }

    async fn judge(
        &self,
        namespace: &str,
        token: Option<&str>,
        message: impl Future<Output = Result<Bytes, String>>,
    ) -> (Heard, Reply) {
        let sender = match self.sender(namespace, token).await {
            Ok(sender) => sender,
            Err(reply) if reply.0 == 503 => return (Heard::Failed, reply),
            Err(reply) => return (Heard::Refused, reply),
        };
        let message = match tokio::time::timeout(DEADLINE, message).await {
            Ok(Ok(message)) => message,
            Ok(Err(why)) => {
                return (
                    Heard::Refused,
                    (413, format!("the message cannot be read: {why}; it may have {MOST_BYTES} bytes")),
                );
            }
            Err(_) => return (Heard::Failed, (408, "the message did not come in time".to_owned())),
        };
        let told = match alerts::read(&message, perform::now()) {
            Ok(told) => told,
            Err(why) => return (Heard::Refused, (400, why)),
        };
        match self.take(namespace, &sender, &told).await {
            Ok((heard, reply)) => (heard, reply),
            Err(error) if error.is_refusal() || error.code() == Some(404) => {
                (Heard::Refused, (422, format!("the API server refuses it: {}", error.message())))
            }
            Err(error) => (Heard::Failed, unavailable(&error)),
        }
    }

    /// Who it is, if they may.
    async fn sender(&self, namespace: &str, token: Option<&str>) -> Result<Person, Reply> {
        let Some(token) = token else {
            let how = format!("kubectl create token NAME -n NAMESPACE --audience={AUDIENCE}");
            return Err((401, format!("who are you? Show a token, as in: Authorization: Bearer $({how})")));
        };
        if !self.namespaces.is_empty() && !self.namespaces.iter().any(|own| own == namespace) {
            return Err((403, format!("this operator does not look after namespace {namespace}")));
        }
        let performer = &self.context.performer;
        let sender = performer.who_shows(token).await.map_err(|error| unavailable(&error))?.ok_or_else(|| {
            (401, format!("the API server does not know this token, or it was not made for the audience {AUDIENCE}"))
        })?;
        match performer.may_alert(&sender, namespace).await.map_err(|error| unavailable(&error))? {
            Right::Yes => Ok(sender),
            Right::No => Err((
                403,
                format!(
                    "{} may not tell of alerts in {namespace}; whoever may grant it: kubectl create rolebinding -n {namespace} firstaid-alerts --clusterrole=firstaid-alerts {}",
                    sender.username,
                    subject(&sender.username)
                ),
            )),
            Right::NotKnown(why) => Err((503, why)),
        }
    }

    /// Opens or feeds an Incident, and looks again where somebody else was first.
    async fn take(&self, namespace: &str, sender: &Person, told: &Told) -> Result<(Heard, Reply), CallError> {
        let performer = &self.context.performer;
        let (mut opened, mut taken) = (false, false);
        for _ in 0..TURNS {
            let open = performer.fed_incidents(namespace).await?;
            let mut course = told.course(&open, &sender.username, taken);
            if let Course::Open(incident) = &course {
                if performer.open_incident(namespace, incident).await? {
                    opened = true;
                    continue;
                }
                // Of this group, and closed meanwhile: what still fires is told to it. Of another one: another name.
                let name = incident.pointer("/metadata/name").and_then(|name| name.as_str()).unwrap_or_default();
                match performer.read_incident(namespace, name).await? {
                    Some(there) if told.feeds(&there) => course = told.feed(&there),
                    Some(_) if !taken => {
                        taken = true;
                        continue;
                    }
                    _ => continue,
                }
            }
            let place = |name: &str| format!("incident {namespace}/{name}");
            let (heard, name) = match course {
                Course::Nothing => {
                    return Ok((Heard::Known, (200, "it is over, and there was no incident of it".to_owned())));
                }
                Course::TooMany => {
                    let said = format!(
                        "namespace {namespace} has {MOST_OPEN} open incidents from alerts; close some: kubectl get inc -n {namespace}"
                    );
                    return Ok((Heard::Failed, (503, said)));
                }
                Course::Known(name) => (Heard::Known, name),
                Course::Feed { incident, change } => {
                    performer.feed_incident(namespace, &incident, &change).await?;
                    (Heard::Told, incident)
                }
                Course::Open(_) => continue,
            };
            return Ok((if opened { Heard::Opened } else { heard }, (200, place(&name))));
        }
        Ok((Heard::Failed, (503, "others tell of the same at the same time; try again".to_owned())))
    }
}

fn unavailable(error: &CallError) -> Reply {
    (503, format!("the API server: {}; try again", error.message()))
}

/// Somebody, as `kubectl create rolebinding` wants to have them.
fn subject(username: &str) -> String {
    match username.strip_prefix("system:serviceaccount:") {
        Some(account) => format!("--serviceaccount={account}"),
        None => format!("--user={username}"),
    }
}
