//! Follow-ups: what people entered, and what the tool proposes because something is missing among them.

use jiff::Timestamp;

use crate::api::follow_up::{CheckedFollowUp, FollowUp, FollowUpKind, Holds, Standing};
use crate::api::incident::IncidentSpec;
use crate::retro::document::{Document, FactorLine, FollowUpLine};
use crate::retro::facts::Facts;
use crate::retro::markup::day;

/// The follow-ups, as entered, and then the proposals. What is due is over at the end of that day in UTC.
pub fn follow_ups(facts: &Facts<'_>, document: &Document, now: Timestamp) -> Vec<FollowUpLine> {
    let entered = facts.incident.iter().flat_map(|told| told.spec.follow_ups.iter().map(move |one| (told, one)));
    let mut lines: Vec<FollowUpLine> = entered
        .map(|(told, follow_up)| {
            let checked = checked(follow_up, &told.checks);
            FollowUpLine {
                id: facts.people.text(&follow_up.id),
                text: facts.people.text(&follow_up.text),
                kind: format!("{:?}", follow_up.kind),
                owner: facts.people.text(&follow_up.owner),
                due: facts.people.text(&follow_up.due),
                state: format!("{:?}", follow_up.stands(checked, &day(now))),
                why: facts.people.text(&why(follow_up, checked)),
                link: facts.people.link(&follow_up.link),
            }
        })
        .collect();
    let has = |kind: FollowUpKind| lines.iter().any(|line| line.kind == format!("{kind:?}"));
    let mut proposed = Vec::new();
    let propose = |kind: FollowUpKind, text: String, why: &str| FollowUpLine {
        id: String::new(),
        text,
        kind: format!("{kind:?}"),
        owner: String::new(),
        due: String::new(),
        state: "Proposed".to_owned(),
        why: why.to_owned(),
        link: String::new(),
    };
    if !has(FollowUpKind::ReplaceFirstAid) {
        for in_place in document.in_place.iter().take(16) {
            let text = format!("Undo \"{}\", or put something that lasts in its place", in_place.summary);
            let why = match facts.unread {
                None => "it is in place, and no follow-up is about it",
                Some(_) => "it is in place, and which follow-ups there are could not be read",
            };
            proposed.push(propose(FollowUpKind::ReplaceFirstAid, text, why));
        }
    }
    if facts.unread.is_none() && !has(FollowUpKind::Prevent) && !has(FollowUpKind::Detect) {
        let text = "Name one change that prevents it, or shows it sooner".to_owned();
        proposed.push(propose(FollowUpKind::Prevent, text, "no follow-up prevents or detects"));
    }
    lines.extend(proposed);
    lines
}

/// What the check of a follow-up found.
fn checked<'a>(follow_up: &FollowUp, checks: &'a [CheckedFollowUp]) -> Option<&'a CheckedFollowUp> {
    checks.iter().find(|checked| checked.id == follow_up.id && follow_up.check.is_some())
}

/// What people say, and what the cluster shows.
fn why(follow_up: &FollowUp, checked: Option<&CheckedFollowUp>) -> String {
    let shown = checked.map(|checked| match checked.holds {
        Holds::Yes => format!("the cluster shows it: {}", checked.message),
        Holds::No => format!("the cluster does not show it: {}", checked.message),
        Holds::Unknown => format!("whether the cluster shows it is not known: {}", checked.message),
    });
    [Some(follow_up.why.clone()).filter(|why| !why.is_empty()), shown]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join("; ")
}

/// The follow-ups of an incident in a few words: `2/5 done, 1 overdue, 1 regressed`.
pub fn tally(spec: &IncidentSpec, checks: &[CheckedFollowUp], now: Timestamp) -> String {
    let today = day(now);
    let stand: Vec<Standing> =
        spec.follow_ups.iter().map(|follow_up| follow_up.stands(checked(follow_up, checks), &today)).collect();
    let count = |wanted: Standing| stand.iter().filter(|standing| **standing == wanted).count();
    let all = stand.len() - count(Standing::Dropped);
    if all == 0 {
        return "none".to_owned();
    }
    let mut words = format!("{}/{all} done", count(Standing::Done));
    for (standing, word) in [(Standing::Overdue, "overdue"), (Standing::Regressed, "regressed")] {
        if count(standing) > 0 {
            words += &format!(", {} {word}", count(standing));
        }
    }
    words
}

/// What people named as factors, in the order of their kinds.
pub fn factors(facts: &Facts<'_>) -> Vec<FactorLine> {
    let Some(told) = &facts.incident else { return Vec::new() };
    let mut factors: Vec<_> = told.spec.factors.iter().collect();
    factors.sort_by_key(|factor| factor.kind);
    let line = |factor: &crate::api::incident::Factor| FactorLine {
        id: facts.people.text(&factor.id),
        kind: format!("{:?}", factor.kind),
        text: facts.people.text(&factor.text),
        link: facts.people.link(&factor.link),
    };
    factors.into_iter().map(line).collect()
}
