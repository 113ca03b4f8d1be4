//! From text to markup: what a stranger wrote is text wherever it is put, and never markup.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A link that a person wrote, if a browser may follow it; else nothing. `javascript:` would run in the reader's name.
pub fn web_address(link: &str) -> String {
    let link = link.trim();
    let rest = ["https://", "http://"].iter().find_map(|scheme| link.strip_prefix(scheme)).unwrap_or_default();
    let plain = |c: char| {
        !c.is_whitespace() && !crate::api::line::is_unsafe(c) && !matches!(c, '"' | '\'' | '<' | '>' | '`' | '\\')
    };
    let safe = !rest.is_empty() && link.len() <= 1024 && rest.chars().all(plain);
    // What a table, or a link in Markdown, would take for its end is written as RFC 3986 has it.
    let written = |c: char| match c {
        '|' | '[' | ']' | '(' | ')' | '{' | '}' | '^' => format!("%{:02X}", u32::from(c)),
        c => c.to_string(),
    };
    if safe { link.chars().map(written).collect() } else { String::new() }
}

/// The time of day, to the second, in UTC: `14:02:10`.
pub fn clock(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%H:%M:%S").to_string()
}

/// The day in UTC: `2026-11-22`.
pub fn day(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d").to_string()
}

/// Text for Markdown, in a line or in a cell of a table.
///
/// Everything that CommonMark or GitHub's dialect could take for markup is escaped, and so is what begins a block at the
/// start of a line. A bar ends a cell even within code, so there is no code around a stranger's text.
pub fn markdown(text: &str) -> String {
    let text = crate::api::line::one_line(text);
    let text = text.trim();
    let mut escaped = String::with_capacity(text.len() + 8);
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    // `1. x` is an item of a list, and `1.5s` is a number.
    let after = text.get(digits..).unwrap_or_default().trim_start_matches(['.', ')']);
    let begins_list = digits > 0 && (after.is_empty() || after.starts_with(char::is_whitespace));
    for (at, character) in text.char_indices() {
        let begins_block = (at == 0 && matches!(character, '-' | '+' | '=' | ':' | '>'))
            || (at == digits && matches!(character, '.' | ')') && begins_list);
        // `@` alone notifies whoever has that name, where the document is put on a forge.
        let special = matches!(
            character,
            '\\' | '`' | '*' | '_' | '{' | '}' | '[' | ']' | '<' | '#' | '|' | '!' | '&' | '~' | '^' | '$' | '@'
        );
        // A forge makes a link of every bare address: only what a person entered as a link is one.
        let rest = text.get(at..).unwrap_or_default();
        let ends_www = text.get(..at).unwrap_or_default().to_ascii_lowercase().ends_with("www");
        let begins_link = rest.starts_with("://") || (character == '.' && ends_www);
        if special || begins_block || begins_link {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

/// Text for a label in a Mermaid diagram. It knows no escape that every renderer understands: what it could take for a part
/// of the diagram is written otherwise, so that the sense stays, or left out. The table beside it has the whole text.
pub fn mermaid(text: &str) -> String {
    let otherwise =
        [("->", "→"), (">=", "≥"), ("<=", "≤"), (">", "›"), ("<", "‹"), (": ", ", "), ("; ", ", "), ("%%", "%")];
    let text = otherwise.iter().fold(crate::api::line::one_line(text), |text, (from, to)| text.replace(from, to));
    let plain = |c: char| {
        c.is_alphanumeric()
            || matches!(c, ' ' | '.' | ',' | '-' | '+' | '/' | '=' | '(' | ')' | '%' | '→' | '≥' | '≤' | '›' | '‹')
    };
    let text: String = text.chars().map(|c| if plain(c) { c } else { ' ' }).collect();
    // A lone `end` would end the diagram's block.
    let words = text.split_whitespace().map(|word| if word.eq_ignore_ascii_case("end") { "End" } else { word });
    let text = words.collect::<Vec<_>>().join(" ").replace("--", "-").replace("%%", "%");
    crate::api::line::cut(if text.is_empty() { "(no text)" } else { &text }, 90)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_browser_may_follow_is_a_link() {
        for good in ["https://tracker.example/INC-1?x=1&y=2#c", "http://wiki.example/a%20b"] {
            assert_eq!(web_address(good), good);
        }
        assert_eq!(
            web_address("https://x/|[a](https://y)|z"),
            "https://x/%7C%5Ba%5D%28https://y%29%7Cz",
            "no end of a cell or a link"
        );
        for bad in [
            "javascript:alert(1)",
            " JaVaScRiPt:alert(1)",
            "data:text/html,x",
            "https://",
            "//x",
            "https://a b",
            "https://a\"onclick=x",
            "https://x\u{202e}",
            "https://<x>",
        ] {
            assert_eq!(web_address(bad), "", "{bad}");
        }
    }

    #[test]
    fn an_address_in_a_text_is_no_link() {
        for (text, shown) in [
            ("see https://evil.example/x", "see https\\://evil.example/x"),
            ("WWW.evil.example and ftp://x", "WWW\\.evil.example and ftp\\://x"),
            ("at 10:02 in a.b", "at 10:02 in a.b"),
        ] {
            assert_eq!(markdown(text), shown);
        }
    }

    #[test]
    fn labels_of_a_diagram_are_plain() {
        assert_eq!(mermaid("end"), "End");
        assert_eq!(mermaid("a;b#c:d\"e -> f"), "a b c d e → f");
        assert_eq!(mermaid("denied: 5xx at 14%; ready >= 10"), "denied, 5xx at 14%, ready ≥ 10");
        assert_eq!(mermaid("x\n%%{init: {}}%%\nclick a \"javascript:\""), "x % init, % click a javascript");
        assert_eq!(mermaid(";;"), "(no text)");
    }
}
