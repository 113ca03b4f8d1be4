//! Where it is shown: whether there is a terminal, how wide it is, with colours or without. The only writer.

use std::io::{IsTerminal as _, Write as _};

use clap::ValueEnum;

use super::{Line, Tone};
use crate::api::line::one_line;

/// When there are colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal that can, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Which signs there are, as asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Signs {
    /// Unicode, unless the terminal or the locale cannot.
    #[default]
    Auto,
    /// ✔ ✖ ॥ and the like.
    Unicode,
    /// Letters and signs that every terminal has.
    Ascii,
}

/// Which signs there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icons {
    /// ✔ ✖ ॥ and the like.
    Unicode,
    /// Letters and signs that every terminal has.
    Ascii,
}

/// How something stands, as a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Done.
    Done,
    /// Failed, or refused.
    Failed,
    /// Waits.
    Waits,
    /// Goes on.
    Busy,
    /// A person has yet to decide.
    Pending,
    /// Somebody should look.
    Warning,
    /// Not begun, or of no account any more.
    Still,
}

impl Sign {
    /// Its tone.
    pub fn tone(self) -> Tone {
        match self {
            Self::Done => Tone::Good,
            Self::Failed => Tone::Bad,
            Self::Waits | Self::Pending | Self::Warning => Tone::Warn,
            Self::Busy => Tone::Busy,
            Self::Still => Tone::Faint,
        }
    }
}

impl Icons {
    /// The sign.
    pub fn sign(self, sign: Sign) -> &'static str {
        match (self, sign) {
            (Self::Unicode, Sign::Done) => "✔",
            (Self::Unicode, Sign::Failed) => "✖",
            (Self::Unicode, Sign::Waits) => "॥",
            (Self::Unicode, Sign::Busy) => "◌",
            (Self::Unicode, Sign::Pending) => "◷",
            (Self::Unicode, Sign::Warning) => "⚠",
            (Self::Unicode, Sign::Still) => "•",
            (Self::Ascii, Sign::Done) => "+",
            (Self::Ascii, Sign::Failed) => "x",
            (Self::Ascii, Sign::Waits) => "=",
            (Self::Ascii, Sign::Busy) => "~",
            (Self::Ascii, Sign::Pending) => "?",
            (Self::Ascii, Sign::Warning) => "!",
            (Self::Ascii, Sign::Still) => ".",
        }
    }

    /// The sign and a word, in its tone.
    pub fn status(self, sign: Sign, word: &str) -> Line {
        Line::toned(sign.tone(), &format!("{} {word}", self.sign(sign)))
    }

    /// The arm to a child and the stem past its own children.
    pub fn branches(self, last: bool) -> (&'static str, &'static str) {
        match (self, last) {
            (Self::Unicode, false) => ("├── ", "│   "),
            (Self::Unicode, true) => ("└── ", "    "),
            (Self::Ascii, false) => ("|-- ", "|   "),
            (Self::Ascii, true) => ("`-- ", "    "),
        }
    }
}

/// Where it is shown.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// Whether there are colours.
    pub colour: bool,
    /// The signs.
    pub icons: Icons,
    /// Whether standard output is a terminal that can move its cursor.
    pub terminal: bool,
}

impl Screen {
    /// What standard output is, and what was asked for.
    pub fn new(colour: Colour, signs: Signs) -> Self {
        let variable = |name: &str| std::env::var(name).unwrap_or_default();
        let dumb = variable("TERM") == "dumb";
        let terminal = std::io::stdout().is_terminal() && !dumb;
        let colour = match colour {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => terminal && variable("NO_COLOR").is_empty(),
        };
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].map(variable).into_iter().find(|value| !value.is_empty());
        Self { colour, icons: icons(signs, dumb, locale.as_deref()), terminal }
    }

    /// Writes a line to standard output. Whoever reads it may have gone: that is no error of ours.
    pub fn put(&self, line: &Line) {
        let _ = writeln!(std::io::stdout(), "{}", line.rendered(self.colour));
    }

    /// Writes a line; false where nobody reads any more, so that whoever goes on and on can end.
    pub fn tell(&self, text: &str) -> bool {
        writeln!(std::io::stdout(), "{}", Line::from(text).rendered(self.colour)).is_ok()
    }

    /// Writes lines.
    pub fn put_all(&self, lines: &[Line]) {
        lines.iter().for_each(|line| self.put(line));
    }

    /// Writes a line of text.
    pub fn say(&self, text: &str) {
        self.put(&text.into());
    }

    /// Writes a word that a shell may offer, and what it is: a tab stands between them.
    pub fn choice(&self, word: &str, about: &str) {
        let about = if about.is_empty() { String::new() } else { format!("\t{}", one_line(about)) };
        self.raw(&format!("{}{about}\n", one_line(word)));
    }

    /// Writes an empty line.
    pub fn gap(&self) {
        self.say("");
    }

    /// A heading.
    pub fn title(&self, text: &str) {
        self.put(&Line::toned(Tone::Strong, text));
    }

    /// Writes text that was made harmless as a whole, such as JSON.
    pub(super) fn raw(&self, text: &str) {
        let _ = write!(std::io::stdout(), "{text}");
    }

    /// Writes a line beside what is asked for: to standard error.
    pub fn aside(&self, text: &str) {
        note(text);
    }

    /// How many lines and columns there are, where that is known.
    pub fn size(&self) -> Option<(usize, usize)> {
        let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
        (size.ws_row > 0 && size.ws_col > 0).then(|| (usize::from(size.ws_row), usize::from(size.ws_col)))
    }

    /// Shows a frame in place of the one before, cut at the bottom and at the right: what matters is at the top.
    pub fn frame(&self, lines: &[Line]) {
        let (rows, columns) = self.size().unwrap_or((24, 80));
        let mut text = "\u{1b}[H".to_owned();
        for line in lines.iter().take(rows.saturating_sub(1)) {
            text.push_str(&line.clipped(columns).rendered(self.colour));
            text.push_str("\u{1b}[K\r\n");
        }
        text.push_str("\u{1b}[J");
        self.raw(&text);
        let _ = std::io::stdout().flush();
    }

    /// Turns to the other screen of the terminal until what comes back is dropped.
    pub fn other(&self) -> Other {
        self.raw("\u{1b}[?1049h\u{1b}[?25l\u{1b}[2J");
        Other(*self)
    }
}

/// That the terminal shows its other screen. What was there before comes back when this is dropped.
pub struct Other(Screen);

impl Drop for Other {
    fn drop(&mut self) {
        self.0.raw("\u{1b}[?25h\u{1b}[?1049l");
        let _ = std::io::stdout().flush();
    }
}

/// Writes a line to standard error.
pub fn note(text: &str) {
    let _ = writeln!(std::io::stderr(), "{}", Line::from(text).text());
}

/// Asks on the terminal, and gives the answer without the blanks around it. `None` where nobody can be asked, or what is asked
/// about went elsewhere, such as to a file.
pub fn ask(question: &str) -> Option<String> {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() || !std::io::stderr().is_terminal() {
        return None;
    }
    let _ = write!(std::io::stderr(), "{} ", Line::from(question).text());
    let _ = std::io::stderr().flush();
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).ok()?;
    Some(answer.trim().to_owned())
}

fn icons(signs: Signs, dumb: bool, locale: Option<&str>) -> Icons {
    let utf8 = locale.is_none_or(|locale| locale.to_ascii_lowercase().replace('-', "").contains("utf8"));
    match signs {
        Signs::Unicode => Icons::Unicode,
        Signs::Auto if utf8 && !dumb => Icons::Unicode,
        Signs::Auto | Signs::Ascii => Icons::Ascii,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_are_those_that_the_terminal_has() {
        assert_eq!(icons(Signs::Auto, false, None), Icons::Unicode);
        assert_eq!(icons(Signs::Auto, false, Some("de_DE.UTF-8")), Icons::Unicode);
        assert_eq!(icons(Signs::Auto, false, Some("C")), Icons::Ascii);
        assert_eq!(icons(Signs::Auto, true, None), Icons::Ascii);
        assert_eq!(icons(Signs::Unicode, true, Some("C")), Icons::Unicode);
    }
}
