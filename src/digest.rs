//! Digests: canonical JSON (RFC 8785) and SHA-256.
//!
//! Written here and not taken from a library: whoever doubts a record must be able to read how its hash is made.

use std::fmt::Write;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The digest of a value: `sha256:` and 64 hexadecimal digits of its canonical JSON.
pub fn of<T: Serialize>(value: &T) -> String {
    // A value of ours always is JSON; null stands for what is not, and equals no plan.
    sha256(canonical(&serde_json::to_value(value).unwrap_or(Value::Null)).as_bytes())
}

/// `sha256:` and 64 hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The digest of a record as it is stored, with fields that this version may not know: of all but its own `hash`.
pub fn of_record(spec: &Value) -> String {
    let mut spec = spec.clone();
    if let Some(fields) = spec.as_object_mut() {
        fields.remove("hash");
    }
    of(&spec)
}

/// The short form of a digest that a person repeats: its first four digits.
pub fn code(digest: &str) -> String {
    digest.trim_start_matches("sha256:").chars().take(4).collect()
}

/// JSON as RFC 8785 wants it: keys sorted by UTF-16 code units, no whitespace, numbers as ECMAScript writes them. The same
/// value gives the same bytes, however it was written.
pub fn canonical(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let mut keys: Vec<&String> = fields.keys().collect();
            // RFC 8785 sorts by UTF-16 code units.
            keys.sort_by_key(|key| key.encode_utf16().collect::<Vec<_>>());
            let members: Vec<String> = keys
                .into_iter()
                .filter_map(|key| fields.get(key).map(|v| format!("{}:{}", Value::String(key.clone()), canonical(v))))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        Value::Number(number) => number.as_f64().map_or_else(|| number.to_string(), ecmascript),
        // The escapes of serde_json are those of RFC 8785: two characters where JSON has them, else \u00 and lower case.
        Value::Null | Value::Bool(_) | Value::String(_) => value.to_string(),
    }
}

/// The first number in a value that a double cannot hold, and so no canonical JSON either: it would be hashed as another
/// number beside it, and one could be put in the place of the other unseen.
pub fn inexact(value: &Value) -> Option<String> {
    match value {
        Value::Object(fields) => fields.values().find_map(inexact),
        Value::Array(items) => items.iter().find_map(inexact),
        Value::Number(number) => {
            let whole = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
            whole.filter(|whole| whole.unsigned_abs() > LARGEST_WHOLE).map(|_| number.to_string())
        }
        Value::Null | Value::Bool(_) | Value::String(_) => None,
    }
}

/// Up to here a double tells all whole numbers apart (RFC 7493, section 2.2).
const LARGEST_WHOLE: u128 = (1 << 53) - 1;

/// A number as ECMAScript's `Number::toString` writes it (RFC 8785, section 3.2.2.3).
fn ecmascript(number: f64) -> String {
    // The digits are those of serde_json: the shortest that give the number back, and of two such the even one, which
    // Rust's own formatting does not promise. Only their layout is another.
    let shortest = serde_json::Number::from_f64(number.abs()).map(|n| n.to_string()).unwrap_or_default();
    let (mantissa, exponent) = shortest.split_once(['e', 'E']).unwrap_or((&shortest, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let significant = all.trim_start_matches('0');
    let count = |length: usize| i32::try_from(length).unwrap_or(i32::MAX);
    // Where the decimal point stands: behind so many of the digits.
    let point = exponent.parse::<i32>().unwrap_or_default() + count(whole.len()) - count(all.len() - significant.len());
    let digits = significant.trim_end_matches('0');
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or_default());
    let at = |place: i32| digits.split_at_checked(usize::try_from(place).unwrap_or_default()).unwrap_or((digits, ""));
    let text = match point {
        _ if digits.is_empty() => return "0".to_owned(),
        _ if count(digits.len()) <= point && point <= 21 => format!("{digits}{}", zeros(point - count(digits.len()))),
        1..=21 => format!("{}.{}", at(point).0, at(point).1),
        -5..=0 => format!("0.{}{digits}", zeros(-point)),
        _ => {
            let (first, rest) = at(1);
            let dot = if rest.is_empty() { "" } else { "." };
            format!("{first}{dot}{rest}e{}{}", if point > 0 { "+" } else { "-" }, (point - 1).abs())
        }
    };
    if number < 0.0 { format!("-{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_order_of_keys_does_not_matter() {
        assert_eq!(
            canonical(&json!({"b": [1, {"d": null, "c": "x\n"}], "a": true})),
            r#"{"a":true,"b":[1,{"c":"x\n","d":null}]}"#
        );
    }

    /// RFC 8785, section 3.2.2 and 3.2.4.
    #[test]
    fn the_example_of_the_rfc() {
        let text = r#"{
            "numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
            "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
            "literals": [null, true, false]
        }"#;
        let wanted = "{\"literals\":[null,true,false],\
            \"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
            \"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}";
        assert_eq!(canonical(&serde_json::from_str(text).unwrap()), wanted);
    }

    /// RFC 8785, section 3.2.3: by UTF-16 code units, in which an emoji sorts before a Hebrew presentation form.
    #[test]
    fn keys_in_the_order_of_the_rfc() {
        let text = r#"{"\u20ac": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh",
            "1": "One", "\ud83d\ude00": "Emoji: Grinning Face", "\u0080": "Control",
            "\u00f6": "Latin Small Letter O With Diaeresis"}"#;
        let sorted = canonical(&serde_json::from_str(text).unwrap());
        let places = ["Carriage", "One", "Control", "Latin", "Euro", "Emoji", "Hebrew"].map(|word| sorted.find(word));
        assert!(places.is_sorted() && places[0].is_some(), "{sorted}");
    }

    /// RFC 8785, appendix B.
    #[test]
    fn numbers_of_the_rfc() {
        for (bits, wanted) in [
            (0x0000_0000_0000_0000, "0"),
            (0x8000_0000_0000_0000, "0"),
            (0x0000_0000_0000_0001, "5e-324"),
            (0x8000_0000_0000_0001, "-5e-324"),
            (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
            (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
            (0x4340_0000_0000_0000, "9007199254740992"),
            (0xc340_0000_0000_0000, "-9007199254740992"),
            (0x4430_0000_0000_0000, "295147905179352830000"),
            (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
            (0x44b5_2d02_c7e1_4af6, "1e+23"),
            (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
            (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
            (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
            (0x444b_1ae4_d6e2_ef50, "1e+21"),
            (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
            (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
            (0x41b3_de43_5555_5553, "333333333.3333332"),
            (0x41b3_de43_5555_5554, "333333333.33333325"),
            (0x41b3_de43_5555_5555, "333333333.3333333"),
            (0x41b3_de43_5555_5556, "333333333.3333334"),
            (0x41b3_de43_5555_5557, "333333333.33333343"),
            (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
            (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
        ] {
            assert_eq!(ecmascript(f64::from_bits(bits)), wanted, "{bits:016x}");
        }
        assert_eq!(canonical(&json!([10, -4, 1.0, 100.5])), "[10,-4,1,100.5]", "as the API server gives it back");
    }

    #[test]
    fn a_number_that_no_double_holds_is_found() {
        assert_eq!(inexact(&json!({"a": [9_007_199_254_740_991i64, -9_007_199_254_740_991i64, 1.5e300]})), None);
        assert_eq!(inexact(&json!({"a": [{"b": 9_007_199_254_740_992i64}]})), Some("9007199254740992".to_owned()));
        assert_eq!(inexact(&json!(u64::MAX)), Some(u64::MAX.to_string()));
    }

    #[test]
    fn a_known_digest() {
        assert_eq!(sha256(b""), "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(code("sha256:9c41ab"), "9c41");
    }
}
