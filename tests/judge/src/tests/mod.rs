//! The judge is judged: by cases that are sound, and by forged ones, each of which breaks a promise.

mod acts;
mod approvals;
mod cover;
mod evidence;
mod lines;
mod panics;
mod world;

use crate::{Case, Rule, Verdict, judge};

/// Fails unless exactly these rules are broken, and one breach of the first of them says this.
#[track_caller]
fn breaks(case: &Case, rules: &[Rule], says: &str) {
    let verdict = judge(case);
    let mut found: Vec<Rule> = verdict.breaches.iter().map(|breach| breach.rule).collect();
    found.dedup();
    let mut wanted = rules.to_vec();
    wanted.sort();
    assert_eq!(found, wanted, "{verdict}");
    let said = verdict.breaches.iter().any(|breach| Some(&breach.rule) == rules.first() && breach.says.contains(says));
    assert!(said, "nothing says {says:?}: {verdict}");
}

/// Fails unless nothing is wrong.
#[track_caller]
fn stands(case: &Case) -> Verdict {
    let verdict = judge(case);
    assert!(verdict.breaches.is_empty(), "{verdict}");
    verdict
}

#[test]
fn a_sound_case_is_judged_and_has_no_breach() {
    let verdict = stands(&world::sound());
    assert_eq!((verdict.runs, verdict.effects, verdict.records, verdict.approvals), (1, 1, 1, 1));
    assert_eq!(verdict.to_string(), "judged: 1 runs, 1 effects, 1 records, 1 approvals; breaches: 0");
}

#[test]
fn an_empty_case_judges_nothing_and_says_so() {
    let verdict = stands(&Case::default());
    assert!(verdict.is_empty());
    assert_eq!(verdict.to_string(), "nothing was judged: no run, no effect, no record");
    assert!(!judge(&world::sound()).is_empty());
}
