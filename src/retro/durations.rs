//! How long it took: each duration with both ends, and the source of each end. What is unknown stays unknown, and says who
//! could know. One incident at a time: there is no average, since a few long ones decide every average.

use jiff::{SignedDuration, Timestamp};

use super::document::{Duration, End, MILESTONES, MilestoneLine, Source};
use super::facts::{Facts, alerts};

/// How a milestone is known where people may have entered it, and nobody can tell from here.
const UNREAD: &str = "what people entered could not be read";

/// A duration in words: `15m 2s`, `1m 48s`, `3d 4h`, `0.52s`.
pub fn words(duration: SignedDuration) -> String {
    let micros = duration.as_micros();
    if micros < 0 {
        return format!("-{}", words(duration.abs()));
    }
    let seconds = micros / 1_000_000;
    match seconds {
        0..10 => {
            let text = format!("{:.2}", duration.as_secs_f64());
            format!("{}s", text.trim_end_matches('0').trim_end_matches('.'))
        }
        10..60 => format!("{seconds}s"),
        60..3600 => pair(seconds / 60, "m", seconds % 60, "s"),
        3600..172_800 => pair(seconds / 3600, "h", seconds % 3600 / 60, "m"),
        _ => pair(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
    }
}

fn pair(large: i128, unit: &str, small: i128, small_unit: &str) -> String {
    if small == 0 { format!("{large}{unit}") } else { format!("{large}{unit} {small}{small_unit}") }
}

/// The milestones, entered or derived, in the order in which they are expected.
pub fn milestones(facts: &Facts<'_>) -> Vec<MilestoneLine> {
    let mut lines: Vec<MilestoneLine> = MILESTONES.iter().map(|(name, title)| milestone(facts, name, title)).collect();
    let mut before: Option<(Timestamp, String)> = None;
    for line in &mut lines {
        let Some(mut at) = line.at else { continue };
        // The API server rounds the time of creation down to the second: within that, the order is not known.
        let rounded = line.source.as_ref().is_some_and(|source| source.field == "metadata.creationTimestamp");
        if let Some((earlier, _)) = before.as_ref().filter(|(earlier, _)| rounded && at < *earlier)
            && earlier.duration_since(at) < SignedDuration::from_secs(1)
        {
            at = *earlier;
            line.at = Some(at);
        }
        if let Some((earlier, title)) = before.as_ref().filter(|(earlier, _)| at < *earlier) {
            line.out_of_order = Some(format!("{} before {}", words(earlier.duration_since(at)), title.to_lowercase()));
        }
        before = before.filter(|(earlier, _)| *earlier > at).or_else(|| Some((at, line.title.clone())));
    }
    lines
}

fn milestone(facts: &Facts<'_>, name: &str, title: &str) -> MilestoneLine {
    let line = |at, source, how: &str| MilestoneLine {
        name: name.to_owned(),
        title: title.to_owned(),
        at,
        source,
        how: how.to_owned(),
        who_could_know: String::new(),
        corrected: String::new(),
        out_of_order: None,
    };
    if let (Some(milestone), Some(told)) = (facts.milestone(name), &facts.incident) {
        let how = facts.people.text(&milestone.source);
        let source = Source::said(told.object, &format!("spec.milestones.{name}"), &how);
        let corrected = facts.people.text(&milestone.corrected);
        return MilestoneLine { corrected, ..line(Some(milestone.at.0), Some(source), &how) };
    }
    let derived = match name {
        "impactStarted" => alerts::impact(facts),
        "detected" => noticed(facts),
        "acknowledged" => taken_up(facts),
        _ => None,
    };
    if let Some((at, source, how)) = derived {
        // What people entered comes first wherever it can be read.
        let how = if facts.unread.is_some() { format!("{how}; {UNREAD}") } else { how };
        return line(Some(at), Some(source), &how);
    }
    let (how, who_could_know) = match name {
        "impactStarted" => (
            "nobody entered it, and no alert was told",
            "the service owner: the graph of the first bad answers; support: the first ticket",
        ),
        "detected" => (
            "nobody entered it, no alert was told, and there is no Incident whose making would show it",
            "the alerting system; whoever noticed first",
        ),
        "acknowledged" => ("nobody entered it, and no person asked for a run or decided one", "whoever was on call"),
        "mitigated" => ("nobody entered it", "whoever was on call: the graph that went back to normal"),
        _ => ("nobody entered it", "the service owner"),
    };
    let how = if facts.unread.is_some() { UNREAD } else { how };
    let held = (name == "mitigated").then(|| first_check(facts)).flatten();
    let how = match held {
        Some(at) => format!("{how}; the first check that held after an action did so at {}", super::markup::clock(at)),
        None => how.to_owned(),
    };
    MilestoneLine { who_could_know: who_could_know.to_owned(), ..line(None, None, &how) }
}

/// Whoever was first: the alert, or a person who opened the Incident.
fn noticed(facts: &Facts<'_>) -> Option<(Timestamp, Source, String)> {
    let (heard, opened) = (alerts::heard(facts), opened(facts));
    match (&heard, &opened) {
        // The time of creation is rounded down to the second: an alert that opens an Incident seems to come after it.
        (Some((heard_at, ..)), Some((opened_at, ..)))
            if heard_at.duration_since(*opened_at) >= SignedDuration::from_secs(1) =>
        {
            opened
        }
        (Some(_), _) => heard,
        _ => opened,
    }
}

/// Whoever makes an Incident has noticed.
fn opened(facts: &Facts<'_>) -> Option<(Timestamp, Source, String)> {
    let (object, at) = facts.opened()?;
    let source = Source::of(object, "metadata.creationTimestamp");
    Some((at, source, "the Incident was opened; it may have been noticed before".to_owned()))
}

/// The first thing that a person is seen to do about it: ask for a run, or decide one.
fn taken_up(facts: &Facts<'_>) -> Option<(Timestamp, Source, String)> {
    let person = |name: &str| !name.is_empty() && !crate::api::identity::is_robot(name);
    let asked = facts.runs.iter().filter(|run| person(run.requester())).filter_map(|run| {
        let source = Source::of(run.object, "metadata.creationTimestamp");
        Some((run.asked?, source, "the first run was asked for".to_owned()))
    });
    let decided = facts.ballots.iter().filter(|ballot| person(ballot.by)).filter_map(|ballot| {
        let (at, _, source) = facts.decided(ballot)?;
        Some((at, source, "the first decision was made".to_owned()))
    });
    asked.chain(decided).min_by_key(|(at, source, _)| (*at, source.clone()))
}

/// When a check first held after something was changed.
fn first_check(facts: &Facts<'_>) -> Option<Timestamp> {
    let changed = facts.records.iter().filter(|record| record.changed()).filter_map(|record| record.at()).min()?;
    let held = facts.records.iter().filter(|record| record.is_check() && record.spec("verified") == "Yes");
    held.filter_map(|record| record.at()).filter(|at| *at >= changed).min()
}

/// The durations of D2, in the order in which a crisis goes.
pub fn durations(facts: &Facts<'_>, milestones: &[MilestoneLine]) -> Vec<Duration> {
    let at = |name: &str| milestones.iter().find(|line| line.name == name).map(End::of).unwrap_or_default();
    let between = |key: &str, title: &str, definition: &str, from: End, to: End| {
        let (seconds, text, unknown) = match (from.at, to.at) {
            (Some(a), Some(b)) if b < a => {
                let sentence = format!("out of order: it would end {} before it begins", words(a.duration_since(b)));
                (None, "unknown".to_owned(), Some(sentence))
            }
            (Some(a), Some(b)) => (Some(b.duration_since(a).as_secs_f64()), words(b.duration_since(a)), None),
            _ => {
                let missing: Vec<&str> =
                    [&from, &to].iter().filter(|e| e.at.is_none()).map(|e| e.title.as_str()).collect();
                let who: Vec<&str> =
                    [&from, &to].iter().filter(|e| e.at.is_none()).map(|e| e.who_could_know.as_str()).collect();
                let sentence = format!("{} is unknown; who could know: {}", missing.join(" and "), who.join("; "));
                (None, "unknown".to_owned(), Some(sentence))
            }
        };
        Duration {
            key: key.to_owned(),
            title: title.to_owned(),
            definition: definition.to_owned(),
            seconds,
            text,
            from,
            to,
            unknown,
        }
    };
    let first = first_action(facts);
    vec![
        between("ttd", "Time to detect", "impact started to detected", at("impactStarted"), at("detected")),
        between("tta", "Time to acknowledge", "detected to acknowledged", at("detected"), at("acknowledged")),
        between(
            "first-action",
            "Time to first action",
            "acknowledged to the first change by First Aid",
            at("acknowledged"),
            first,
        ),
        waiting(facts),
        between("ttm", "Time to mitigate", "impact started to mitigated", at("impactStarted"), at("mitigated")),
        between("ttm-detected", "Detected to mitigated", "detected to mitigated", at("detected"), at("mitigated")),
        between("ttr", "Time to resolve", "impact started to resolved", at("impactStarted"), at("resolved")),
    ]
}

fn first_action(facts: &Facts<'_>) -> End {
    let acts = facts.records.iter().filter(|r| r.changed() && !r.undoes()).filter_map(|r| Some((r.at()?, r)));
    match acts.min_by_key(|(at, record)| (*at, record.name())) {
        Some((at, record)) => End {
            title: "First action".to_owned(),
            at: Some(at),
            source: Some(Source::of(record.object, "spec.actedAt")),
            how: facts.people.text(record.spec("summary")),
            who_could_know: String::new(),
        },
        None => End {
            title: "First action".to_owned(),
            who_could_know: "whoever acted by hand: no record changed anything".to_owned(),
            ..End::default()
        },
    }
}

/// The intervals in which a decision was waited for, in order, none of which touches another.
pub fn waits(facts: &Facts<'_>) -> Vec<(Timestamp, Timestamp)> {
    let mut waits: Vec<(Timestamp, Timestamp)> = facts
        .ballots
        .iter()
        .filter(|ballot| !ballot.ratifies())
        .filter_map(|ballot| {
            let from = ballot.issued?;
            let over = || ballot.changed.filter(|_| ballot.state() != "Open");
            let ended = || facts.run(ballot.run_uid()).and_then(|run| run.finished);
            let to = facts.decided(ballot).map(|(at, _, _)| at).or_else(over).or_else(ended)?;
            (to > from).then_some((from, to))
        })
        .collect();
    waits.sort_unstable();
    let mut joined: Vec<(Timestamp, Timestamp)> = Vec::new();
    for (from, to) in waits {
        match joined.last_mut().filter(|(_, last)| from <= *last) {
            Some((_, last)) => *last = (*last).max(to),
            None => joined.push((from, to)),
        }
    }
    joined
}

/// What was waited for at the same time counts once.
fn waiting(facts: &Facts<'_>) -> Duration {
    let waits = waits(facts);
    let total = waits.iter().fold(SignedDuration::ZERO, |sum, (a, b)| sum.saturating_add(b.duration_since(*a)));
    let end = |title: &str, at: Option<Timestamp>, how: &str| End {
        title: title.to_owned(),
        at,
        how: how.to_owned(),
        ..End::default()
    };
    let bound = facts.ballots.iter().any(|ballot| facts.decided(ballot).is_some_and(|(_, bound, _)| bound));
    let how =
        if bound { "the last decision, or the act that followed it" } else { "the last decision or end of a request" };
    let asked = facts.ballots.iter().filter(|ballot| !ballot.ratifies()).count();
    let (seconds, text, unknown) = match (asked, waits.is_empty()) {
        (0, _) => (None, "none".to_owned(), Some("no decision was asked for".to_owned())),
        (_, true) => {
            (None, "unknown".to_owned(), Some("no request has two times; who could know: the cluster".to_owned()))
        }
        _ => (Some(total.as_secs_f64()), words(total), None),
    };
    Duration {
        key: "decisions".to_owned(),
        title: "Waiting for decisions".to_owned(),
        definition: "at least one request was open; at the same time counts once".to_owned(),
        seconds,
        text,
        from: end("First request", waits.first().map(|(a, _)| *a), "the ballot was issued"),
        to: end("Last decision", waits.last().map(|(_, b)| *b), how),
        unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_in_two_units_at_most() {
        let micros = SignedDuration::from_micros;
        for (duration, text) in [
            (micros(0), "0s"),
            (micros(520_000), "0.52s"),
            (micros(4_000_000), "4s"),
            (micros(59_999_999), "59s"),
            (micros(108_000_000), "1m 48s"),
            (SignedDuration::from_mins(15), "15m"),
            (SignedDuration::from_hours(47), "47h"),
            (SignedDuration::from_hours(76), "3d 4h"),
            (micros(-61_000_000), "-1m 1s"),
        ] {
            assert_eq!(words(duration), text);
        }
    }
}
