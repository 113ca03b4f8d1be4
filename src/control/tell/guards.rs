//! What is told of the admission policies: that the operator does nothing without them, and that it acts again.

use jiff::{SignedDuration, Timestamp};

use super::notices::{name_of, spoken};
use crate::action::Gap;
use crate::api::action_record::Cluster;
use crate::api::condition::cut;
use crate::perform::notify::{Happening, Notice};

/// An operator that has just begun is not proven to be guarded at once: new policies must be seen to stand for a while.
const BEGINNING: SignedDuration = SignedDuration::from_secs(30);
/// The longest sentence, in bytes.
const LONGEST_WHY: usize = 1000;

/// What people were told of the policies. Only the replica that works tells.
#[derive(Debug, Default)]
pub struct GuardNews {
    /// Whether there ever was a proof.
    proven: bool,
    /// Since when this replica works, if it does.
    working: Option<Timestamp>,
    /// Whether it had a proof since.
    worked: bool,
    /// Whether people were told that it stopped.
    stopped: bool,
}

impl GuardNews {
    /// What is told of a look: once that the operator stopped acting, and once that it acts again. `works`: whether this is
    /// the replica that works; `gap`: the last time in which the policies may have been away.
    pub fn look(
        &mut self,
        standing: Result<(), &str>,
        works: bool,
        gap: Option<Gap>,
        cluster: &Cluster,
        now: Timestamp,
    ) -> Option<Notice> {
        let known = self.proven;
        self.proven |= standing.is_ok();
        if !works {
            return None;
        }
        let since = *self.working.get_or_insert(now);
        let notice = |event| Notice { cluster: name_of(cluster), ..Notice::of(event, now) };
        match standing {
            Ok(()) => {
                // Another process may have said that it stopped, and may not have lived to see them come back.
                let returned = !self.worked && gap.is_some_and(|gap| gap.from.is_some() && gap.until >= since);
                self.worked = true;
                let told = std::mem::take(&mut self.stopped);
                let line = "First Aid acts again: its admission policies are in force. What people decided while they \
                            may have been away is asked anew";
                (told || returned).then(|| spoken(notice(Happening::GuardsBack), line, ""))
            }
            Err(why) => {
                if self.stopped || (!known && now.duration_since(since) < BEGINNING) {
                    return None;
                }
                self.stopped = true;
                let notice = Notice { message: cut(why, LONGEST_WHY), ..notice(Happening::GuardsAway) };
                let line = "FIRST AID HAS STOPPED ACTING: its admission policies are not proven to be in force";
                Some(spoken(notice, line, ""))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn look(news: &mut GuardNews, standing: Result<(), &str>, works: bool, second: i64) -> Option<Happening> {
        let cluster = Cluster { name: "prod".to_owned(), uid: "u".to_owned() };
        news.look(standing, works, None, &cluster, at(second)).map(|notice| notice.event)
    }

    #[test]
    fn each_change_is_told_once() {
        let mut news = GuardNews::default();
        assert_eq!(look(&mut news, Ok(()), true, 0), None, "that all is well is no news");
        assert_eq!(look(&mut news, Err("a is gone"), true, 1), Some(Happening::GuardsAway));
        assert_eq!(look(&mut news, Err("a is gone; b is gone"), true, 3), None);
        assert_eq!(look(&mut news, Ok(()), true, 9), Some(Happening::GuardsBack));
        assert_eq!(look(&mut news, Ok(()), true, 10), None);
        assert_eq!(look(&mut news, Err("a is gone"), true, 11), Some(Happening::GuardsAway));
    }

    #[test]
    fn new_policies_have_their_time_to_stand() {
        let mut news = GuardNews::default();
        assert_eq!(look(&mut news, Err("they are new"), true, 0), None);
        assert_eq!(look(&mut news, Ok(()), true, 6), None);
        let mut news = GuardNews::default();
        assert_eq!(look(&mut news, Err("a is gone"), true, 0), None);
        assert_eq!(look(&mut news, Err("a is gone"), true, 30), Some(Happening::GuardsAway));
        assert_eq!(look(&mut news, Ok(()), true, 31), Some(Happening::GuardsBack));
    }

    #[test]
    fn only_the_replica_that_works_tells() {
        let mut news = GuardNews::default();
        assert_eq!(look(&mut news, Ok(()), false, 0), None);
        assert_eq!(look(&mut news, Err("a is gone"), false, 100), None);
        assert_eq!(look(&mut news, Err("a is gone"), true, 102), Some(Happening::GuardsAway), "it takes over");
    }

    #[test]
    fn whoever_begins_while_they_are_away_says_when_they_are_back() {
        let cluster = Cluster { name: String::new(), uid: "u".to_owned() };
        let gap = |from: Option<i64>, until| Some(Gap { from: from.map(at), until: at(until) });
        let told = |gap| {
            let mut news = GuardNews::default();
            assert_eq!(news.look(Err("a is gone"), true, None, &cluster, at(100)), None);
            let told = news.look(Ok(()), true, gap, &cluster, at(106)).map(|notice| (notice.event, notice.text));
            assert_eq!(news.look(Ok(()), true, gap, &cluster, at(136)), None);
            told
        };
        let (event, text) = told(gap(Some(50), 106)).unwrap();
        assert_eq!(event, Happening::GuardsBack);
        assert!(text.starts_with("[u] First Aid acts again"), "{text}");
        assert_eq!(told(gap(None, 106)), None, "there never were any before");
        assert_eq!(told(gap(Some(50), 90)), None, "that was before its time");
    }

    #[test]
    fn what_is_wrong_is_said_in_one_bounded_line() {
        let cluster = Cluster { name: "prod".to_owned(), uid: String::new() };
        let mut news = GuardNews::default();
        news.look(Ok(()), true, None, &cluster, at(0));
        let why = format!("policy\n\u{1b}[31m <!channel> {}", "x".repeat(5000));
        let notice = news.look(Err(&why), true, None, &cluster, at(1)).unwrap();
        assert!(notice.text.starts_with("[prod] FIRST AID HAS STOPPED ACTING: "), "{}", notice.text);
        assert!(notice.text.contains("policy  [31m ‹!channel>"), "{}", notice.text);
        assert!(notice.text.len() < 1500 && notice.message.len() <= LONGEST_WHY);
    }
}
