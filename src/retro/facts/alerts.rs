//! What alerts tell of an incident: when it was no later than, who heard of it first, and when it was over for whoever watches.

use jiff::Timestamp;

use super::{Facts, Told};
use crate::api::alert::FiredAlert;
use crate::retro::document::{Moment, MomentKind, Source};

/// When the first alert began to fire: the impact began then, or before.
pub fn impact(facts: &Facts<'_>) -> Option<(Timestamp, Source, String)> {
    let told = facts.incident.as_ref()?;
    let first = told.alerts.values().min_by_key(|alert| (alert.started_at.0, &alert.name))?;
    let how = format!("alert {} began to fire; the impact began then or before", named(facts, first));
    Some((first.started_at.0, Source::of(told.object, "status.alerts"), how))
}

/// When First Aid heard of the first one.
pub fn heard(facts: &Facts<'_>) -> Option<(Timestamp, Source, String)> {
    let told = facts.incident.as_ref()?;
    let first = told.alerts.values().min_by_key(|alert| (alert.received_at.0, &alert.name))?;
    let how = format!("alert {} was told", named(facts, first));
    Some((first.received_at.0, Source::of(told.object, "status.alerts"), how))
}

/// That each fired, and that it ended.
pub(super) fn moments(facts: &Facts<'_>, told: &Told<'_>) -> Vec<Moment> {
    let mut moments = Vec::new();
    for alert in told.alerts.values() {
        let source = || Source::of(told.object, "status.alerts");
        let (name, summary) = (named(facts, alert), facts.people.text(&alert.summary));
        let fires = if summary.is_empty() { format!("{name} fires") } else { format!("{name} fires: {summary}") };
        let link = facts.people.link(&alert.link);
        moments.push(Moment { link, ..Moment::key(alert.started_at.0, MomentKind::Alert, fires, source()) });
        if let Some(ended) = &alert.ended_at {
            moments.push(Moment::key(ended.0, MomentKind::Alert, format!("{name} has ended"), source()));
        }
    }
    moments
}

/// One line for each name: how often it fired, and whether it still does.
pub fn evidence(facts: &Facts<'_>) -> Vec<String> {
    let Some(told) = &facts.incident else { return Vec::new() };
    let mut names: Vec<&str> = told.alerts.values().map(|alert| alert.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let line = |name: &str| {
        let all: Vec<&FiredAlert> = told.alerts.values().filter(|alert| alert.name == name).collect();
        let open = all.iter().filter(|alert| alert.ended_at.is_none()).count();
        let times = if all.len() == 1 { "once".to_owned() } else { format!("{} times", all.len()) };
        let ends = if open == 0 { "all of it has ended".to_owned() } else { format!("of {open} no end was told") };
        let first = all.first().map(|alert| named(facts, alert)).unwrap_or_default();
        format!("alert {first} fired {times}; {ends}")
    };
    let mut lines: Vec<String> = names.into_iter().map(line).collect();
    if told.alerts.is_empty() {
        lines.push("First Aid was told of no alert".to_owned());
    }
    if told.alerts_left_out > 0 {
        lines.push(format!("{} more alert(s) are not kept here", told.alerts_left_out));
    }
    lines
}

fn named(facts: &Facts<'_>, alert: &FiredAlert) -> String {
    if alert.name.is_empty() { "without a name".to_owned() } else { facts.people.text(&alert.name) }
}
