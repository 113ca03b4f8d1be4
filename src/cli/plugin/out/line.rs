//! A line for the screen: pieces of text, each in a tone. What a stranger wrote cannot leave it.

use crate::api::line::one_line;

/// What a piece of text says beside its words. Never by this alone: without colour nothing is lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// As it is.
    #[default]
    Plain,
    /// It went well.
    Good,
    /// It went wrong.
    Bad,
    /// Somebody should look.
    Warn,
    /// It goes on.
    Busy,
    /// Less important.
    Faint,
    /// A heading.
    Strong,
}

impl Tone {
    /// The code that begins it on a terminal.
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Good => "\u{1b}[32m",
            Self::Bad => "\u{1b}[31m",
            Self::Warn => "\u{1b}[33m",
            Self::Busy => "\u{1b}[36m",
            Self::Faint => "\u{1b}[2m",
            Self::Strong => "\u{1b}[1m",
        }
    }
}

/// A line for the screen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line(Vec<(Tone, String)>);

impl Line {
    /// A line in one tone.
    pub fn toned(tone: Tone, text: &str) -> Self {
        Self::default().and(tone, text)
    }

    /// The same with more text at its end.
    pub fn and(mut self, tone: Tone, text: &str) -> Self {
        self.push(tone, text);
        self
    }

    /// Adds text to its end. This is the one way into a line, so nothing in it moves a cursor.
    pub fn push(&mut self, tone: Tone, text: &str) {
        self.0.push((tone, one_line(text)));
    }

    /// Adds another line to its end.
    pub fn extend(&mut self, other: &Self) {
        self.0.extend(other.0.iter().cloned());
    }

    /// How many characters it has.
    pub fn width(&self) -> usize {
        self.0.iter().map(|(_, text)| text.chars().count()).sum()
    }

    /// The text, without tones.
    pub fn text(&self) -> String {
        self.0.iter().map(|(_, text)| text.as_str()).collect::<String>().trim_end().to_owned()
    }

    /// At most so many characters of it, with an ellipsis where it was cut.
    pub fn clipped(&self, most: usize) -> Self {
        if self.width() <= most {
            return self.clone();
        }
        let mut left = most.saturating_sub(1);
        let mut short = Self::default();
        for (tone, text) in &self.0 {
            let part: String = text.chars().take(left).collect();
            left -= part.chars().count();
            short.0.push((*tone, part));
        }
        short.0.push((Tone::Plain, "…".to_owned()));
        short
    }

    /// As it is written: with colours, or without.
    pub fn rendered(&self, colour: bool) -> String {
        if !colour {
            return self.text();
        }
        let piece = |(tone, text): &(Tone, String)| match tone.code() {
            "" => text.clone(),
            code => format!("{code}{text}\u{1b}[0m"),
        };
        self.0.iter().map(piece).collect()
    }
}

impl From<&str> for Line {
    fn from(text: &str) -> Self {
        Self::toned(Tone::Plain, text)
    }
}

impl From<String> for Line {
    fn from(text: String) -> Self {
        Self::toned(Tone::Plain, &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_line_does_anything_to_a_terminal() {
        let line = Line::toned(Tone::Bad, "a\u{1b}[2J\nb").and(Tone::Plain, "\u{202e}c");
        assert_eq!(line.rendered(false), "a [2J b c");
        assert_eq!(line.rendered(true), "\u{1b}[31ma [2J b\u{1b}[0m c");
    }

    #[test]
    fn a_line_is_clipped_by_characters() {
        let line = Line::toned(Tone::Good, "größer").and(Tone::Plain, " als vorher");
        assert_eq!(line.clipped(8).text(), "größer …");
        assert_eq!(line.clipped(17), line);
    }
}
