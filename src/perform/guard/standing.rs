//! What is known of the guards: whether they are proven, and in which times they may have been away.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::action::Gap;

/// How many gaps are remembered: an older one is older than any run that is still active, or the run has met it.
const MOST_GAPS: usize = 8;

/// What a good look at the guards has seen.
#[derive(Clone, Debug)]
pub(super) struct Look {
    /// Uid and generation of each guard: by the API server's own count, nobody changed any of them while this is the same.
    pub identity: String,
    /// When the newest of them was made, if none was ever changed since.
    pub untouched_since: Option<Timestamp>,
    /// When it began.
    pub started: Instant,
    /// The same, by the clock.
    pub seen: Timestamp,
}

/// What outlives this process, on a Lease.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    /// Uid and generation of each guard when they were last seen to be in force.
    #[serde(default)]
    pub identity: String,
    /// When that was.
    #[serde(default)]
    pub seen: Option<Timestamp>,
    /// Whether something was seen to be wrong since.
    #[serde(default)]
    pub wrong: bool,
    /// The times in which they may have been away, the newest last.
    #[serde(default)]
    pub gaps: Vec<Gap>,
}

impl Known {
    /// Both: of what was seen the newer, of what was wrong or away everything.
    pub fn and(self, other: Self) -> Self {
        let (newer, older) = if self.seen >= other.seen { (self, other) } else { (other, self) };
        let mut gaps = newer.gaps.clone();
        gaps.extend(older.gaps.iter().filter(|gap| !newer.gaps.contains(gap)));
        gaps.sort_by_key(|gap| gap.until);
        gaps.drain(..gaps.len().saturating_sub(MOST_GAPS));
        // Whoever saw something wrong saw it: the next good look of anybody is the beginning of a new time.
        Self { gaps, wrong: newer.wrong || older.wrong, ..newer }
    }

    /// Whether it says the same, but for when they were last seen.
    pub fn is_same_as(&self, other: &Self) -> bool {
        (&self.identity, self.wrong, &self.gaps) == (&other.identity, other.wrong, &other.gaps)
    }
}

/// How the guards stand.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    /// When the newest proof was made; none where something was seen to be wrong since.
    pub proven: Option<Instant>,
    /// What is known of them.
    pub known: Known,
    /// Guards that are not those of before, and the first of the looks at them, if all since were good.
    settling: Option<Look>,
}

impl Standing {
    /// The same without its proof.
    pub fn unproven(self) -> Self {
        Self { proven: None, ..self }
    }

    /// Something is wrong: an older proof counts no more.
    pub fn wrong(&mut self) {
        self.proven = None;
        self.settling = None;
        self.known.wrong = true;
    }

    /// As it is after a good look, where guards that are new or were changed must be seen to stand for so long.
    ///
    /// # Errors
    /// Why that does not count yet, in a sentence.
    pub fn good(&mut self, look: Look, settle: Duration) -> Result<(), String> {
        let known = &mut self.known;
        if known.identity == look.identity && !known.wrong {
            self.settling = None;
        } else {
            let until = match look.untouched_since.map(|made| made + settle) {
                // Nobody has ever seen them, and nobody has ever changed them: before that there were none.
                Some(settled) if known.seen.is_none() && !known.wrong && settled <= look.seen => settled,
                _ => match &self.settling {
                    Some(first)
                        if first.identity == look.identity
                            && look.started.saturating_duration_since(first.started) >= settle =>
                    {
                        look.seen
                    }
                    settling => {
                        if settling.as_ref().is_none_or(|first| first.identity != look.identity) {
                            self.settling = Some(look);
                        }
                        self.proven = None;
                        return Err(format!(
                            "they are new or were changed, and count when they have been seen to stand for {} s",
                            settle.as_secs()
                        ));
                    }
                },
            };
            // Another replica's clock may be ahead.
            let from = known.seen.map(|seen| seen.min(look.seen).checked_sub(settle).unwrap_or(Timestamp::MIN));
            known.gaps.push(Gap { from, until });
            known.gaps.drain(..known.gaps.len().saturating_sub(MOST_GAPS));
            known.identity.clone_from(&look.identity);
            known.wrong = false;
            self.settling = None;
        }
        known.seen = Some(look.seen);
        self.proven = Some(look.started);
        Ok(())
    }
}

/// How much later than what is known they were seen.
pub(super) fn is_old(known: &Known, now: Timestamp, than: Duration) -> bool {
    let than = SignedDuration::try_from(than).unwrap_or(SignedDuration::MAX);
    known.seen.is_none_or(|seen| now.duration_since(seen) >= than)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: Duration = Duration::from_secs(5);

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn look(identity: &str, untouched_since: Option<i64>, second: i64) -> Look {
        // One clock that does not go back, however often a test asks.
        static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
        let started = *START + Duration::from_secs(second.unsigned_abs());
        Look { identity: identity.to_owned(), untouched_since: untouched_since.map(at), started, seen: at(second) }
    }

    fn gap(from: Option<i64>, until: i64) -> Gap {
        Gap { from: from.map(at), until: at(until) }
    }

    #[test]
    fn guards_that_nobody_ever_changed_have_stood_since_they_were_made() {
        let mut standing = Standing::default();
        assert!(standing.good(look("a", Some(97), 100), SETTLE).is_err(), "made less than five seconds ago");
        standing.good(look("a", Some(97), 102), SETTLE).unwrap();
        assert_eq!(standing.known.gaps, [gap(None, 102)]);
        standing.good(look("a", Some(97), 130), SETTLE).unwrap();
        assert_eq!(standing.known.gaps, [gap(None, 102)], "nothing has changed");
    }

    #[test]
    fn of_guards_that_were_changed_before_anybody_looked_nothing_is_known() {
        let mut standing = Standing::default();
        assert!(standing.good(look("a", None, 100), SETTLE).is_err());
        assert!(standing.good(look("a", None, 104), SETTLE).is_err());
        standing.good(look("a", None, 105), SETTLE).unwrap();
        assert_eq!(standing.known.gaps, [gap(None, 105)]);
    }

    #[test]
    fn a_change_between_two_good_looks_is_a_gap_that_begins_before_the_earlier_one() {
        let mut standing = Standing::default();
        standing.good(look("a", Some(10), 100), SETTLE).unwrap();
        assert!(
            standing.good(look("b", Some(101), 130), SETTLE).is_err(),
            "as young as they are, they were others before"
        );
        assert!(standing.proven.is_none());
        assert!(standing.good(look("c", None, 134), SETTLE).is_err());
        assert!(standing.good(look("c", None, 138), SETTLE).is_err(), "changed once more");
        standing.good(look("c", None, 139), SETTLE).unwrap();
        assert_eq!(standing.known.gaps, [gap(None, 15), gap(Some(95), 139)]);
    }

    #[test]
    fn what_was_seen_to_be_wrong_is_a_gap_even_where_the_guards_are_the_same() {
        let mut standing = Standing::default();
        standing.good(look("a", Some(10), 100), SETTLE).unwrap();
        standing.wrong();
        assert!(standing.good(look("a", Some(10), 160), SETTLE).is_err());
        standing.wrong();
        assert!(standing.good(look("a", Some(10), 166), SETTLE).is_err(), "wrong in between");
        standing.good(look("a", Some(10), 171), SETTLE).unwrap();
        assert_eq!(standing.known.gaps, [gap(None, 15), gap(Some(95), 171)]);
        assert!(!standing.known.wrong);
    }

    #[test]
    fn what_an_earlier_process_knew_is_known() {
        let mut earlier = Standing::default();
        earlier.good(look("a", Some(10), 100), SETTLE).unwrap();
        let mut standing = Standing { known: Known::default().and(earlier.known), ..Standing::default() };
        standing.good(look("a", Some(10), 900), SETTLE).unwrap();
        assert_eq!(standing.known.gaps, [gap(None, 15)], "nobody changed them while nobody looked");
        let mut other = Standing { known: standing.known.clone(), ..Standing::default() };
        assert!(other.good(look("b", None, 1000), SETTLE).is_err());
        other.good(look("b", None, 1005), SETTLE).unwrap();
        assert_eq!(other.known.gaps, [gap(None, 15), gap(Some(895), 1005)]);
        // This one has slept meanwhile: what the other one knows is newer.
        let both = standing.known.and(other.known.clone());
        assert_eq!(both, other.known);
    }

    #[test]
    fn what_another_replica_saw_to_be_wrong_is_a_gap_for_all() {
        let mut standing = Standing::default();
        standing.good(look("a", Some(10), 100), SETTLE).unwrap();
        let mut other = standing.clone();
        other.wrong();
        standing.good(look("a", Some(10), 130), SETTLE).unwrap();
        standing.known = standing.known.and(other.known);
        assert!(standing.good(look("a", Some(10), 160), SETTLE).is_err());
        standing.good(look("a", Some(10), 165), SETTLE).unwrap();
        assert_eq!(standing.known.gaps, [gap(None, 15), gap(Some(125), 165)]);
    }

    #[test]
    fn a_clock_that_is_ahead_hides_no_gap() {
        let known = Known { identity: "a".to_owned(), seen: Some(at(5000)), ..Known::default() };
        let mut standing = Standing { known, ..Standing::default() };
        assert!(standing.good(look("b", None, 100), SETTLE).is_err());
        standing.good(look("b", None, 105), SETTLE).unwrap();
        assert_eq!(standing.known.gaps, [gap(Some(100), 105)]);
    }

    #[test]
    fn only_the_newest_gaps_are_remembered() {
        let mut standing = Standing::default();
        for round in 0..12 {
            let identity = round.to_string();
            let _ = standing.good(look(&identity, None, round * 100), SETTLE);
            standing.good(look(&identity, None, round * 100 + 6), SETTLE).unwrap();
        }
        assert_eq!(standing.known.gaps.len(), MOST_GAPS);
        assert_eq!(standing.known.gaps.last().unwrap().until, at(1106));
    }
}
