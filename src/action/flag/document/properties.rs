//! Java's `.properties`: `key=value`, `key: value` or `key value`; `#` and `!` begin comments; a backslash at the
//! end of a line goes on in the next one; backslashes escape.

use std::ops::Range;

use serde_json::{Map, Value};

use super::{
    Document, DocumentError, Format, Place, Pointer, described, line_of,
    plain::not_a_switch,
    tree::{Entry, Form, Kind, Node},
    words,
};

/// A properties text.
pub(super) struct Properties<'t> {
    text: &'t str,
    value: Value,
    root: Node,
}

impl<'t> Properties<'t> {
    pub(super) fn parse(text: &'t str) -> Result<Self, DocumentError> {
        let mut scanner = Scanner { text, at: 0 };
        let mut entries = Vec::new();
        let mut value = Map::new();
        while let Some(line) = scanner.next_entry()? {
            // White space around `true` stays (Java keeps what follows a value), but it does not hide the meaning.
            let held = match words::meaning(line.value.trim()) {
                Some(meaning) => Value::Bool(meaning),
                None => Value::String(line.value),
            };
            value.insert(line.key.clone(), held);
            let node = Node { span: line.value_span, kind: Kind::Scalar, form: Form::Bare, marked: false };
            entries.push(Entry { key: Some(line.key), key_span: line.key_span, node });
        }
        let root = Node { span: 0..text.len(), kind: Kind::Map(entries), form: Form::Block, marked: false };
        Ok(Self { text, value: Value::Object(value), root })
    }
}

impl Document for Properties<'_> {
    fn value(&self) -> &Value {
        &self.value
    }

    fn get(&self, at: &Pointer) -> Result<Value, DocumentError> {
        self.root.find(self.text, at)?.unique(self.text)?;
        self.value.pointer(&at.to_string()).cloned().ok_or_else(|| DocumentError::Unproven(vec![at.clone()]))
    }

    fn place(&self, at: &Pointer) -> Result<Place, DocumentError> {
        if at.is_root() {
            let why = format!("it holds {}; name one key", described(&self.value));
            return Err(DocumentError::NotEditable { pointer: at.clone(), why });
        }
        Ok(Place::bare(self.root.find(self.text, at)?.span.clone()))
    }

    fn rendered(&self, at: &Pointer, to: &Value) -> Result<String, DocumentError> {
        match (self.get(at)?, to) {
            (Value::Bool(_), Value::Bool(to)) => {
                let span = self.root.find(self.text, at)?.span.clone();
                Ok(words::turned(self.text.get(span).unwrap_or_default(), *to))
            }
            (held, _) => Err(not_a_switch(at, &held)),
        }
    }
}

/// One entry; the span of the value is without the white space around it.
struct Line {
    key: String,
    key_span: Range<usize>,
    value: String,
    value_span: Range<usize>,
}

struct Scanner<'t> {
    text: &'t str,
    at: usize,
}

const BLANKS: [char; 3] = [' ', '\t', '\u{c}'];
const LINE_ENDS: [char; 2] = ['\n', '\r'];

impl Scanner<'_> {
    fn next_entry(&mut self) -> Result<Option<Line>, DocumentError> {
        loop {
            self.skip(&[' ', '\t', '\u{c}', '\n', '\r']);
            if self.continues() {
                continue;
            }
            match self.peek() {
                None => return Ok(None),
                // A comment ends with its line, whatever it ends with: backslashes do not continue it.
                Some('#' | '!') => self.skip_until(&LINE_ENDS),
                Some(_) => return self.entry().map(Some),
            }
        }
    }

    fn entry(&mut self) -> Result<Line, DocumentError> {
        let (key, key_span) = self.word(&['=', ':', ' ', '\t', '\u{c}'])?;
        self.skip_blanks();
        if matches!(self.peek(), Some('=' | ':')) {
            self.at += 1;
            self.skip_blanks();
        }
        let (value, span) = self.word(&[])?;
        let written = self.text.get(span.clone()).unwrap_or_default();
        let value_span = span.start..span.start + written.trim_end().len();
        Ok(Line { key, key_span, value, value_span })
    }

    /// What stands here until an unescaped stop or the end of the line, without its escapes.
    fn word(&mut self, stops: &[char]) -> Result<(String, Range<usize>), DocumentError> {
        let start = self.at;
        let mut word = String::new();
        // Java escapes what is beyond its first 65536 characters as two halves, so halves are put together at the end.
        let mut halves: Vec<u16> = Vec::new();
        while let Some(letter) = self.peek().filter(|letter| !LINE_ENDS.contains(letter) && !stops.contains(letter)) {
            if self.continues() {
                self.skip_blanks();
                continue;
            }
            let escape = self.at;
            self.at += letter.len_utf8();
            let half = if letter == '\\' { self.escaped(escape, &mut word, &mut halves)? } else { None };
            match half {
                Some(half) => halves.push(half),
                None if letter != '\\' => {
                    joined(&mut word, &mut halves);
                    word.push(letter);
                }
                None => {}
            }
        }
        joined(&mut word, &mut halves);
        Ok((word, start..self.at))
    }

    /// After a backslash: `\u0041` is returned as a half, anything else goes to the word.
    fn escaped(
        &mut self,
        start: usize,
        word: &mut String,
        halves: &mut Vec<u16>,
    ) -> Result<Option<u16>, DocumentError> {
        let Some(letter) = self.peek() else { return Ok(None) };
        self.at += letter.len_utf8();
        if letter == 'u' {
            let digits =
                self.text.get(self.at..self.at + 4).filter(|digits| digits.chars().all(|d| d.is_ascii_hexdigit()));
            let half =
                digits.and_then(|digits| u16::from_str_radix(digits, 16).ok()).ok_or_else(|| self.broken(start))?;
            self.at += 4;
            return Ok(Some(half));
        }
        joined(word, halves);
        word.push(match letter {
            't' => '\t',
            'n' => '\n',
            'r' => '\r',
            'f' => '\u{c}',
            other => other,
        });
        Ok(None)
    }

    fn broken(&self, at: usize) -> DocumentError {
        let line_start = self.text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |end| end + 1);
        DocumentError::DoesNotParse {
            format: Format::Properties,
            line: line_of(self.text, at),
            column: 1 + self.text.get(line_start..at).map_or(0, |before| before.chars().count()),
            why: "`\\u` needs four hexadecimal digits".to_owned(),
        }
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.at..)?.chars().next()
    }

    fn skip(&mut self, letters: &[char]) {
        while let Some(letter) = self.peek().filter(|letter| letters.contains(letter)) {
            self.at += letter.len_utf8();
        }
    }

    fn skip_until(&mut self, letters: &[char]) {
        while let Some(letter) = self.peek().filter(|letter| !letters.contains(letter)) {
            self.at += letter.len_utf8();
        }
    }

    /// Blanks, also over the end of a continued line.
    fn skip_blanks(&mut self) {
        self.skip(&BLANKS);
        while self.continues() {
            self.skip(&BLANKS);
        }
    }

    /// Steps over a backslash and the line end behind it, if that is what stands here.
    fn continues(&mut self) -> bool {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let length = ["\\\r\n", "\\\n", "\\\r"].into_iter().find(|end| rest.starts_with(end)).map_or(0, str::len);
        self.at += length;
        length > 0
    }
}

fn joined(word: &mut String, halves: &mut Vec<u16>) {
    word.extend(char::decode_utf16(halves.drain(..)).map(|half| half.unwrap_or(char::REPLACEMENT_CHARACTER)));
}
