//! What was decided, in which role and why, and how long it was waited for. A request that ended without a decision is a
//! neutral fact.

use crate::api::line::one_line;
use crate::retro::document::Decision;
use crate::retro::durations::words;
use crate::retro::facts::Facts;
use crate::retro::facts::stored::{Ballot, Said};

/// Every ballot, in the order in which they were issued.
pub fn decisions(facts: &Facts<'_>) -> Vec<Decision> {
    facts.ballots.iter().map(|ballot| decision(facts, ballot)).collect()
}

fn decision(facts: &Facts<'_>, ballot: &Ballot<'_>) -> Decision {
    let decided = facts.decided(ballot);
    let (outcome, why) = match (ballot.said, ballot.ratifies()) {
        (Some(Said::Yes(why)), false) => ("Approved", why),
        (Some(Said::No(why)), false) => ("Denied", why),
        (Some(Said::Yes(why)), true) => ("Ratified", why),
        (Some(Said::No(why)), true) => ("Disowned", why),
        (None, _) => (ballot.state(), ""),
    };
    // A ballot of which nothing more is heard after its run has ended was withdrawn with it.
    let over = ballot.changed.filter(|_| ballot.said.is_none() && ballot.state() != "Open");
    let at = decided.as_ref().map(|(at, _, _)| *at).or(over);
    let no_later = decided.is_some_and(|(_, no_later, _)| no_later);
    let waited = match (ballot.issued, at) {
        (Some(issued), Some(at)) => {
            format!("{}{}", words(at.duration_since(issued)), if no_later { " or less" } else { "" })
        }
        _ => "unknown".to_owned(),
    };
    let by = match ballot.said {
        Some(_) => facts.people.called(ballot.by),
        None => format!("asked of {}", one_line(ballot.object.text("/spec/request/role"))),
    };
    Decision {
        asked: ballot.issued,
        at,
        no_later,
        summary: facts.people.text(ballot.object.text("/spec/request/summary")),
        outcome: one_line(outcome),
        by,
        why: facts.people.text(why),
        waited,
        ballot: one_line(ballot.object.name()),
    }
}
