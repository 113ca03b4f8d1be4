//! J1 for a run that undoes another one: whether the approval of then covers its acts.

use serde_json::Value;

use crate::approvals::Act;
use crate::effects::Effect;
use crate::journal::Journal;
use crate::log::{is_true, members, text};
use crate::moment::{Moment, at, is_before};

/// Who sends an act looks at the clock before the API server does, by less than so many seconds.
const CLOCKS: i64 = 1;

impl<'a> Act<'_, 'a> {
    /// The ballots of another run whose votes cover this act, if they do; else what is missing.
    ///
    /// *Proved*: the run says that it undoes that run, without force, and was taken up as the undo of that very one (uid).
    /// There the same step changed the same object (uid), under the plan with this hash, behind the same gate, whose terms
    /// cover an undo for a time that is not over: not when the first act under the plan of the undo came in, and not longer
    /// than it had been granted. The votes on that plan count as those of any plan, by the terms of then and of now.
    ///
    /// *Not seen*: whether the values that are put back are those of the record.
    pub fn covered(&self, cover: &Value, terms: &Value, frozen: Option<&Value>) -> Result<Vec<&'a str>, String> {
        let (run, uid) = (text(self.journal.last, "/spec/revertOf"), text(cover, "/runUID"));
        if run.is_empty() || text(self.journal.last, "/status/frozen/revertOf/uid") != uid {
            return Err(format!("it is covered by a run with uid {uid}, which this run does not undo"));
        }
        if is_true(self.journal.last, "/spec/force") {
            return Err("it is covered, and the undo is forced".to_owned());
        }
        let Some(undone) = self.facts.journals.iter().find(|journal| journal.uid == uid && journal.name == run) else {
            return Err(format!("it is covered by run {run} with uid {uid}, which there is not"));
        };
        let hash = text(cover, "/planHash");
        let mut plans = undone.versions.iter().flat_map(|version| members(version.run, "/status/plans"));
        let Some((key, plan)) = plans.find(|(_, plan)| text(plan, "/planHash") == hash) else {
            return Err(format!("it is covered by a plan of {run} with hash {hash:?}, which there is not"));
        };
        let then = Act { journal: undone, key, plan, ..*self };
        then.ballots(plan.get("terms").unwrap_or(&Value::Null), None)
            .and_then(|_| then.ballots(terms, frozen))
            .and_then(|votes| self.is_covered(cover, &then).map(|()| votes))
            .map_err(|why| format!("the approval of {run} does not cover it: {why}"))
    }

    /// Whether what is undone was done under that plan, and not too long ago.
    fn is_covered(&self, cover: &Value, then: &Act<'_, 'a>) -> Result<(), String> {
        let (gate, was) = (text(self.plan, "/gate"), text(then.plan, "/gate"));
        if gate != was {
            return Err(format!("that was for gate {was:?}, and this is for {gate:?}"));
        }
        let Some(period) = seconds(text(then.plan, "/terms/coversUndo")) else {
            return Err("its gate covers no undo".to_owned());
        };
        let Some(done) = self.facts.effects.iter().find(|done| self.undoes(done, then.journal, then.key)) else {
            return Err("what it puts back was not done under that plan".to_owned());
        };
        let until = Moment::read(text(cover, "/until"));
        let granted = done.entry.received.map(|moment| moment.plus(period + CLOCKS));
        if !is_before(until, granted) {
            return Err(format!("it says until {}, and was granted until {}", at(until), at(granted)));
        }
        self.is_in_time(text(cover, "/until"))
    }

    /// Whether an earlier act of that run, under that plan, is the one of this step and object.
    fn undoes(&self, done: &Effect<'a>, run: &Journal<'a>, plan: &str) -> bool {
        let step = |effect: &Effect<'a>| effect.token.map(|token| token.step);
        done.token.is_some_and(|token| token.uid == run.uid)
            && step(done) == step(self.effect)
            && done.target == self.effect.target
            && is_before(done.entry.received, self.effect.entry.received)
            && done.intent(run).is_some_and(|intent| intent.plan == plan)
    }
}

/// A period as gates write it: `1h30m`, at most a week.
fn seconds(period: &str) -> Option<i64> {
    let mut sum = 0_i64;
    for part in period.split_inclusive(|c: char| !c.is_ascii_digit()) {
        let unit = match part.chars().last()? {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            _ => return None,
        };
        let count: i64 = part.get(..part.len() - 1)?.parse().ok()?;
        sum = sum.checked_add(count.checked_mul(unit)?)?;
    }
    (1..=7 * 86_400).contains(&sum).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn periods_are_read() {
        for (period, wanted) in [("30m", 1800), ("1h30m", 5400), ("90s", 90), ("168h", 604_800)] {
            assert_eq!(seconds(period), Some(wanted), "{period}");
        }
        for period in
            ["", "m", "30", "30é", "1h30", "-1h", "0s", "169h", "9223372036854775807s1s", "9223372036854775807h"]
        {
            assert_eq!(seconds(period), None, "{period}");
        }
    }
}
