//! Text for people: one line of it, within a bound, that does nothing to a terminal.

/// The text without what moves a cursor, begins a line or turns its direction: those characters become blanks.
///
/// Whatever a stranger wrote (a reason, a name, a message of another program) is shown on somebody's terminal at 3 a.m.
/// An escape could hide a line of it, and a change of direction could make `on -> off` read `off -> on`.
pub fn one_line(text: &str) -> String {
    text.chars().map(|c| if is_unsafe(c) { ' ' } else { c }).collect()
}

/// Whether a character must not reach a terminal: controls (C0, DEL, C1), separators of lines, marks of direction, and
/// what is not seen at all.
pub fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(character, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}')
}

/// The text, at most so many bytes long, cut at a character's edge with an ellipsis, as [`one_line`].
pub fn cut(text: &str, most: usize) -> String {
    let text = one_line(text);
    if text.len() <= most {
        return text;
    }
    let mut end = most.saturating_sub('…'.len_utf8());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", text.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_at_a_character() {
        assert_eq!(cut("äöü", 6), "äöü");
        assert_eq!(cut("äöüäöü", 8), "äö…");
    }

    #[test]
    fn nothing_reaches_the_terminal_but_a_line() {
        assert_eq!(one_line("a\u{1b}[2Jb\r\nc\u{9b}d\u{7f}e"), "a [2Jb  c d e");
        assert_eq!(one_line("on\u{202e}ffo\u{2066}\u{2028}\u{feff}"), "on ffo   ");
        assert_eq!(one_line("größer 東京 👩‍🚒 (ok)"), "größer 東京 👩‍🚒 (ok)");
    }
}
