//! What the API server says of a refusal, without the values that it quotes.

/// The sentence without the texts and objects that it quotes: `Invalid value: "..."` repeats what the object holds, and the
/// sentence goes into the journal and into a record. Numbers stay: they are what was wanted.
pub(super) fn without_values(message: &str) -> String {
    const QUOTES: [&str; 4] = ["Invalid value: ", "Duplicate value: ", "Unsupported value: ", "Forbidden value: "];
    let mut said = String::new();
    let mut rest = message;
    while let Some((at, mark)) = QUOTES.iter().filter_map(|mark| Some((rest.find(mark)?, mark))).min() {
        let (before, after) = rest.split_at(at + mark.len());
        said.push_str(before);
        let length = quoted(after);
        let (value, further) = after.split_at_checked(length).unwrap_or((after, ""));
        said.push_str(if is_plain(value) { value } else { "(not repeated)" });
        rest = further;
    }
    said + rest
}

/// Whether it is a number, a word for yes or no, or the name of a type of JSON, which the API server says for whole objects.
fn is_plain(value: &str) -> bool {
    const TYPES: [&str; 7] =
        ["\"object\"", "\"array\"", "\"string\"", "\"integer\"", "\"number\"", "\"boolean\"", "\"null\""];
    value.parse::<f64>().is_ok() || matches!(value, "true" | "false" | "null") || TYPES.contains(&value)
}

/// How long the value is at the beginning of the text: a quoted text, or anything else with its brackets closed.
fn quoted(text: &str) -> usize {
    let (mut depth, mut inside, mut escaped) = (0usize, false, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if inside => escaped = true,
            '"' => {
                inside = !inside;
                if !inside && depth == 0 {
                    return at + 1;
                }
            }
            _ if inside => {}
            '{' | '[' | '(' => depth += 1,
            '}' | ']' | ')' => depth = depth.saturating_sub(1),
            ':' | ',' if depth == 0 => return at,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_is_not_repeated() {
        for (message, wanted) in [
            ("Deployment \"x\" is invalid: spec.replicas: Invalid value: -1: must be 0 or more", None),
            ("a: Invalid value: \"object\": no", None),
            (
                "a: Invalid value: \"hunter2: \\\"x\\\"\": must match, b: Duplicate value: {\"k\":\"hunter2, :\"}: no",
                Some("a: Invalid value: (not repeated): must match, b: Duplicate value: (not repeated): no"),
            ),
            (
                "a: Unsupported value: \"hunter2\": supported values: \"On\"",
                Some("a: Unsupported value: (not repeated): supported values: \"On\""),
            ),
            ("a: Invalid value: map[string]interface {}{\"a\": 1}: no", Some("a: Invalid value: (not repeated): no")),
            ("a: Invalid value: \"torn", Some("a: Invalid value: (not repeated)")),
        ] {
            assert_eq!(without_values(message), wanted.unwrap_or(message));
        }
    }
}
