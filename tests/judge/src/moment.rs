//! Times as the audit log and the objects write them.

use std::fmt;

/// A moment, in microseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(i64);

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

impl Moment {
    /// Reads `2026-11-22T03:25:00.123456Z`, with or without a fraction. None for anything else: what has no time is
    /// before nothing and after nothing.
    pub fn read(text: &str) -> Option<Self> {
        let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
        let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
        let [year, month, day] = numbers(date, '-')?;
        let [hours, minutes, seconds] = numbers(time, ':')?;
        let fraction: i64 = format!("{fraction:0<6}").get(..6)?.parse().ok()?;
        let of_day = (hours * 3600 + minutes * 60 + seconds) * SECOND + fraction;
        Some(Self(days(year, month, day) * DAY + of_day))
    }

    /// So many seconds later.
    pub fn plus(self, seconds: i64) -> Self {
        Self(self.0 + seconds * SECOND)
    }
}

/// As the time of a day, which is what tells entries of one log apart.
impl fmt::Display for Moment {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of_day = self.0.rem_euclid(DAY);
        let (seconds, fraction) = (of_day / SECOND, of_day % SECOND);
        write!(out, "{:02}:{:02}:{:02}.{fraction:06}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    }
}

/// Whether both are known, and the first is the earlier one.
pub fn is_before(first: Option<Moment>, second: Option<Moment>) -> bool {
    first.zip(second).is_some_and(|(first, second)| first < second)
}

/// A moment in a sentence.
pub fn at(moment: Option<Moment>) -> String {
    moment.map_or_else(|| "an unknown time".to_owned(), |moment| moment.to_string())
}

fn numbers(text: &str, between: char) -> Option<[i64; 3]> {
    let parts: Option<Vec<i64>> =
        text.split(between).map(|part| part.parse().ok().filter(|n| (0..=9999).contains(n))).collect();
    parts?.try_into().ok()
}

/// Days since 1970 in the calendar of today, by Howard Hinnant's `days_from_civil`: years begin in March, so that the
/// leap day is the last of its year.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_to_the_microsecond() {
        let read = |text| Moment::read(text).unwrap();
        assert_eq!(read("1970-01-01T00:00:00Z"), Moment(0));
        assert_eq!(read("2026-11-22T03:25:00.123456Z"), Moment(1_795_317_900_123_456));
        assert_eq!(read("2024-02-29T00:00:00Z"), Moment(1_709_164_800_000_000));
        assert_eq!(read("2026-11-22T03:25:00.1Z"), read("2026-11-22T03:25:00.100000999Z"));
        assert_eq!(read("2026-12-31T23:59:59Z").plus(1), read("2027-01-01T00:00:00Z"));
        assert_eq!(read("2026-11-22T03:25:00.000007Z").to_string(), "03:25:00.000007");
    }

    #[test]
    fn what_is_no_time_is_before_nothing() {
        for text in ["", "Z", "2026-11-22", "2026-11-22T03:25:00", "2026-11-22T03:25Z", "x-11-22T03:25:00Z", "é-T:Z"] {
            assert_eq!(Moment::read(text), None, "{text}");
        }
        let some = Moment::read("2026-11-22T03:25:00Z");
        assert!(!is_before(None, some) && !is_before(some, None) && !is_before(some, some));
    }
}
