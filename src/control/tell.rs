//! What people are told of, derived from what a write of the journal has changed: so nothing is told twice, also after a
//! restart.
//!
//! As an Event: for the eye of the moment. Events expire and anybody with `edit` can write them, so nothing is ever read
//! from one. And only what is out of the ordinary, since each is a write. As a notification: see [`notices`].

mod guards;
mod notices;

pub use guards::GuardNews;
pub(super) use notices::Change;

use crate::api::condition::kind;
use crate::api::run::Phase;
use crate::api::{RunbookRun, RunbookRunStatus};

/// Something that happened to a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Whether somebody should look.
    pub warning: bool,
    /// In a word, for programs.
    pub reason: &'static str,
    /// In a sentence.
    pub note: String,
}

/// What a write of the journal has brought.
pub(super) fn news(before: Option<&RunbookRunStatus>, after: &RunbookRunStatus) -> Vec<News> {
    let mut news = Vec::new();
    if after.phase == Phase::NeedsHuman && before.is_none_or(|before| before.phase != Phase::NeedsHuman) {
        news.push(News { warning: true, reason: "NeedsHuman", note: after.waiting_on.clone() });
    }
    let ratification = |status: &RunbookRunStatus| !status.ratification.is_empty();
    if ratification(after) && !before.is_some_and(ratification) {
        let decided = after.conditions.iter().find(|c| c.kind == kind::RATIFIED);
        let note = decided.map(|condition| condition.message.clone()).unwrap_or_default();
        news.push(News { warning: true, reason: "NotRatified", note });
    }
    news
}

/// What has become of the ratification of a run.
pub(super) fn ratification(run: &RunbookRun) -> Option<News> {
    let conditions = &run.status.as_ref()?.conditions;
    let condition = conditions.iter().find(|c| c.kind == kind::RATIFIED)?;
    let (warning, reason) = match condition.reason.as_str() {
        "Ratified" => (false, "Ratified"),
        "Disowned" => (true, "Disowned"),
        _ => (true, "NotRatified"),
    };
    Some(News { warning, reason, note: condition.message.clone() })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(phase: &str, more: serde_json::Value) -> RunbookRunStatus {
        let mut status = json!({"phase": phase, "waitingOn": "a person: look"});
        status.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(status).unwrap()
    }

    #[test]
    fn only_what_is_new_and_out_of_the_ordinary_is_told() {
        let (acting, needs) = (status("Acting", json!({})), status("NeedsHuman", json!({})));
        assert_eq!(news(None, &acting), []);
        let told = News { warning: true, reason: "NeedsHuman", note: "a person: look".to_owned() };
        assert_eq!(news(Some(&acting), &needs), [told]);
        assert_eq!(news(Some(&needs), &needs), []);
        let alone = status(
            "Verifying",
            json!({"ratification": "r-ratify", "conditions": [{"type": "Ratified", "status": "False", "reason": "Alone",
                "message": "alice as sre, ALONE: nobody answers", "lastTransitionTime": "2026-11-22T03:00:00Z"}]}),
        );
        let told =
            News { warning: true, reason: "NotRatified", note: "alice as sre, ALONE: nobody answers".to_owned() };
        assert_eq!(news(Some(&acting), &alone), [told]);
        assert_eq!(news(Some(&alone), &alone), []);
    }
}
