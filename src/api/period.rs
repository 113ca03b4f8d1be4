//! Lengths of time as people write them: `90s`, `15m`, `1h30m`.

use std::fmt;

use jiff::SignedDuration;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A length of time in whole seconds, kept as it was written. Hours, minutes and seconds, at most a week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Period {
    text: String,
    seconds: i64,
}

/// The longest period: a week.
const LONGEST: i64 = 7 * 24 * 3600;

/// Why a text is no period.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no length of time: write hours, minutes and seconds like 90s, 15m or 1h30m, at most 168h")]
pub struct NotAPeriod(String);

impl Period {
    /// So many seconds.
    pub fn from_seconds(seconds: i64) -> Self {
        let text = match seconds {
            _ if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
            _ if seconds % 60 == 0 => format!("{}m", seconds / 60),
            _ => format!("{seconds}s"),
        };
        Self { text, seconds }
    }

    /// Its length in seconds.
    pub fn seconds(&self) -> i64 {
        self.seconds
    }

    /// Its length.
    pub fn duration(&self) -> SignedDuration {
        SignedDuration::from_secs(self.seconds)
    }
}

impl TryFrom<String> for Period {
    type Error = NotAPeriod;

    fn try_from(text: String) -> Result<Self, NotAPeriod> {
        let mut seconds = 0i64;
        let mut number = String::new();
        for character in text.chars() {
            let unit = match character {
                '0'..='9' if number.len() < 7 => {
                    number.push(character);
                    continue;
                }
                'h' => 3600,
                'm' => 60,
                's' => 1,
                _ => return Err(NotAPeriod(text)),
            };
            let Ok(count) = number.parse::<i64>() else { return Err(NotAPeriod(text)) };
            seconds += count * unit;
            number.clear();
        }
        if !number.is_empty() || seconds == 0 || seconds > LONGEST {
            return Err(NotAPeriod(text));
        }
        Ok(Self { text, seconds })
    }
}

impl From<Period> for String {
    fn from(period: Period) -> Self {
        period.text
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl JsonSchema for Period {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Period".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": 16,
            "x-kubernetes-validations": [{
                "rule": "self.matches('^([0-9]{1,6}[hms])+$') && duration(self) > duration('0s') && duration(self) <= duration('168h')",
                "message": "a length of time like 90s, 15m or 1h30m, at most 168h",
            }],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        for (text, seconds) in [("90s", 90), ("15m", 900), ("1h30m", 5400), ("168h", LONGEST)] {
            assert_eq!(Period::try_from(text.to_owned()).unwrap().seconds(), seconds, "{text}");
        }
    }

    #[test]
    fn refuses_the_rest_with_an_example() {
        for text in ["", "5", "0s", "-5m", "1d", "m", "169h", "99999999s", "1.5h"] {
            let error = Period::try_from(text.to_owned()).unwrap_err().to_string();
            assert!(error.contains("like 90s, 15m or 1h30m"), "{text}: {error}");
        }
    }
}
