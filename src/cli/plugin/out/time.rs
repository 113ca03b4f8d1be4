//! Times for people: UTC with a `Z`, and how long ago.

use jiff::{SignedDuration, Timestamp};

/// `2026-11-22T14:13:20Z`.
pub fn utc(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `14:13:20Z`, for a time that is not long ago; with the day where it is.
pub fn clock(at: Timestamp, now: Timestamp) -> String {
    let near = now.duration_since(at).abs() < SignedDuration::from_hours(12);
    if near { at.strftime("%H:%M:%SZ").to_string() } else { utc(at) }
}

/// `12s`, `1m20s`, `13m`, `2h10m`, `3d4h`: two units where the greater one is small.
pub fn words(length: SignedDuration) -> String {
    let seconds = length.as_secs().max(0);
    let two = |many: i64, unit: &str, rest: i64, smaller: &str| {
        if many < 10 && rest > 0 { format!("{many}{unit}{rest}{smaller}") } else { format!("{many}{unit}") }
    };
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => two(seconds / 60, "m", seconds % 60, "s"),
        3600..86400 => two(seconds / 3600, "h", seconds % 3600 / 60, "m"),
        _ => two(seconds / 86400, "d", seconds % 86400 / 3600, "h"),
    }
}

/// How long ago: `1m20s`.
pub fn age(at: Timestamp, now: Timestamp) -> String {
    words(now.duration_since(at))
}

/// `1m20s ago`, or `in 12m` for what is to come.
pub fn relative(at: Timestamp, now: Timestamp) -> String {
    if at > now { format!("in {}", words(at.duration_since(now))) } else { format!("{} ago", age(at, now)) }
}

/// `2026-11-22T14:13:20Z (1m20s ago)`.
pub fn both(at: Timestamp, now: Timestamp) -> String {
    format!("{} ({})", utc(at), relative(at, now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_short() {
        for (seconds, said) in [
            (0, "0s"),
            (59, "59s"),
            (80, "1m20s"),
            (120, "2m"),
            (13 * 60 + 5, "13m"),
            (7800, "2h10m"),
            (14 * 3600 + 60, "14h"),
            (3 * 86400 + 4 * 3600, "3d4h"),
        ] {
            assert_eq!(words(SignedDuration::from_secs(seconds)), said);
        }
    }

    #[test]
    fn times_have_a_zone_and_a_distance() {
        let at = Timestamp::from_second(1_795_356_800).unwrap();
        let later = Timestamp::from_second(1_795_356_880).unwrap();
        assert_eq!(both(at, later), format!("{} (1m20s ago)", utc(at)));
        assert!(utc(at).ends_with('Z'));
        assert_eq!(relative(later, at), "in 1m20s");
    }
}
