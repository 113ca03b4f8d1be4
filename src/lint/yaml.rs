//! YAML as `kubectl` reads it, and where in the file everything stands.
//!
//! `kubectl` reads YAML 1.1: `on`, `no` and `y` are booleans, `010` is eight. Whoever lints must read the same, else a
//! file is clean here and refused there.

use std::collections::HashMap;

use granit_parser::{Event, Parser, ScalarStyle, Span, Tag};
use serde_json::{Map, Number, Value};

/// The most values in a document, with what its aliases repeat: the API server takes no object that holds so much.
const MOST_NODES: usize = 100_000;
/// The deepest nesting.
const DEEPEST: usize = 64;

/// A part of a line: all from 1, in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The first character.
    pub column: usize,
    /// How many characters, at least one.
    pub length: usize,
}

/// A value, and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// The value.
    pub what: What,
    /// As it was written, where it is a scalar.
    pub written: String,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// Nothing.
    Null,
    /// `true`, or what YAML takes for it.
    Bool(bool),
    /// A number.
    Number(Number),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// Fields, in their order.
    Fields(Vec<Field>),
}

/// A field.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name.
    pub key: String,
    /// Where the name stands.
    pub place: Place,
    /// Its value.
    pub value: Node,
}

/// Why a document is no YAML that `kubectl` takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Where.
    pub place: Place,
    /// Why.
    pub sentence: String,
    /// What to write instead, if that can be said.
    pub instead: String,
}

impl Node {
    /// The value of a field.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.field(key).map(|field| &field.value)
    }

    /// A field.
    pub fn field(&self, key: &str) -> Option<&Field> {
        match &self.what {
            What::Fields(fields) => fields.iter().find(|field| field.key == key),
            _ => None,
        }
    }

    /// Its items, where it is a list.
    pub fn items(&self) -> &[Node] {
        match &self.what {
            What::List(items) => items,
            _ => &[],
        }
    }

    /// The text, where it is one.
    pub fn text(&self) -> Option<&str> {
        match &self.what {
            What::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The same without places.
    pub fn json(&self) -> Value {
        match &self.what {
            What::Null => Value::Null,
            What::Bool(value) => Value::Bool(*value),
            What::Number(number) => Value::Number(number.clone()),
            What::Text(text) => Value::String(text.clone()),
            What::List(items) => Value::Array(items.iter().map(Node::json).collect()),
            What::Fields(fields) => {
                Value::Object(fields.iter().map(|field| (field.key.clone(), field.value.json())).collect::<Map<_, _>>())
            }
        }
    }

    /// What it is, for a sentence.
    pub fn kind(&self) -> &'static str {
        match &self.what {
            What::Null => "nothing",
            What::Bool(_) => "a boolean",
            What::Number(number) if number.is_f64() => "a number with a fraction",
            What::Number(_) => "a number",
            What::Text(_) => "a text",
            What::List(_) => "a list",
            What::Fields(_) => "fields",
        }
    }
}

/// The documents of a file, each with the line at which it begins. `kubectl` takes them one by one, and so does this: one
/// that is broken hides none of the others.
pub fn documents(text: &str) -> Vec<(usize, String)> {
    let mut documents = vec![(0, String::new())];
    let mut number = 0;
    for line in text.split_inclusive('\n') {
        let separates =
            line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace));
        if separates {
            documents.push((number, String::new()));
        }
        if let Some((_, document)) = documents.last_mut() {
            document.push_str(line);
        }
        // Not one: kubectl looks for the next document behind a line feed, and YAML ends a line at a carriage return, too.
        number += lines(line).count();
    }
    documents
}

/// The lines of a text as YAML has them: each ends with a line feed, a carriage return, or both.
pub fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n').flat_map(|line| {
        // Of both, and of what ends the text, there is no line behind it.
        let line = line.strip_suffix('\n').unwrap_or(line);
        line.strip_suffix('\r').unwrap_or(line).split('\r')
    })
}

/// Reads a document that begins after so many lines of its file. `None`: there is nothing in it.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn read(text: &str, lines_before: usize) -> Result<Option<Node>, Broken> {
    let mut reader =
        Reader { parser: Parser::new_from_str(text), before: lines_before, nodes: 0, anchors: HashMap::new() };
    loop {
        match reader.next(text)? {
            None | Some((Event::StreamEnd, _)) => return Ok(None),
            Some((Event::DocumentEnd, _)) => return Ok(None),
            Some((event @ (Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..)), span)) => {
                let node = reader.node(event, span, text, 0)?;
                reader.nothing_more(text)?;
                return Ok((node.what != What::Null).then_some(node));
            }
            Some(_) => {}
        }
    }
}

struct Reader<'t> {
    parser: Parser<'t, granit_parser::StrInput<'t>>,
    before: usize,
    nodes: usize,
    anchors: HashMap<usize, Node>,
}

impl<'t> Reader<'t> {
    fn next(&mut self, text: &str) -> Result<Option<(Event<'t>, Span)>, Broken> {
        match self.parser.next() {
            None => Ok(None),
            Some(Ok(next)) => Ok(Some(next)),
            Some(Err(error)) => {
                let (line, column) = (error.marker().line().max(1), error.marker().col() + 1);
                Err(broken(text, line, self.before, column, &error.info()))
            }
        }
    }

    /// What follows a document must be the end of it, or a second value was written beside the first.
    fn nothing_more(&mut self, text: &str) -> Result<(), Broken> {
        while let Some((event, span)) = self.next(text)? {
            if matches!(event, Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..)) {
                return Err(self.broken(
                    span,
                    "here a second document begins, and kubectl would not read it",
                    "write a line with --- alone before it",
                ));
            }
        }
        Ok(())
    }

    fn broken(&self, span: Span, sentence: &str, instead: &str) -> Broken {
        Broken { place: self.place(span, 1), sentence: sentence.to_owned(), instead: instead.to_owned() }
    }

    fn place(&self, span: Span, length: usize) -> Place {
        Place { line: span.start.line().max(1) + self.before, column: span.start.col() + 1, length: length.max(1) }
    }

    fn node(&mut self, event: Event<'t>, span: Span, text: &str, depth: usize) -> Result<Node, Broken> {
        self.nodes += 1;
        if self.nodes > MOST_NODES || depth > DEEPEST {
            return Err(self.broken(
                span,
                "this document is too large or too deeply nested for the API server",
                "write less of it, or several documents",
            ));
        }
        let (anchor, node) = match event {
            Event::Scalar(value, style, anchor, tag) => {
                // A key or a value that goes on over lines is marked where it begins.
                let one_line = span.start.line() == span.end.line();
                let length = if one_line { span.end.col().saturating_sub(span.start.col()) } else { 1 };
                let what = match tag {
                    Some(tag) => tagged(&value, &tag).map_err(|(sentence, instead)| Broken {
                        place: self.place(span, length),
                        sentence,
                        instead,
                    })?,
                    None if style == ScalarStyle::Plain => resolved(&value),
                    None => What::Text(value.to_string()),
                };
                (anchor, Node { place: self.place(span, length), what, written: value.into_owned() })
            }
            Event::SequenceStart(_, anchor, _) => (anchor, self.list(span, text, depth)?),
            Event::MappingStart(_, anchor, _) => (anchor, self.fields(span, text, depth)?),
            Event::Alias(id) => {
                let node = self.anchors.get(&id).cloned().ok_or_else(|| {
                    self.broken(span, "this alias names a value that contains it", "write the value out")
                })?;
                self.nodes += count(&node);
                (0, node)
            }
            _ => return Err(self.broken(span, "here a value is missing", "write one")),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn list(&mut self, span: Span, text: &str, depth: usize) -> Result<Node, Broken> {
        let mut items = Vec::new();
        while let Some((event, span)) = self.next(text)? {
            match event {
                Event::SequenceEnd => break,
                Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..) | Event::Alias(_) => {
                    items.push(self.node(event, span, text, depth + 1)?);
                }
                _ => {}
            }
        }
        Ok(Node { place: self.place(span, 1), what: What::List(items), written: String::new() })
    }

    fn fields(&mut self, span: Span, text: &str, depth: usize) -> Result<Node, Broken> {
        let mut fields: Vec<Field> = Vec::new();
        let mut merged: Vec<Field> = Vec::new();
        // By name, in which line it stands: each of thousands of names would be compared with each.
        let mut known: HashMap<String, usize> = HashMap::new();
        let mut key: Option<Node> = None;
        while let Some((event, span)) = self.next(text)? {
            match event {
                Event::MappingEnd => break,
                Event::Scalar(..) | Event::SequenceStart(..) | Event::MappingStart(..) | Event::Alias(_) => {}
                _ => continue,
            }
            let node = self.node(event, span, text, depth + 1)?;
            let Some(named) = key.take() else {
                key = Some(node);
                continue;
            };
            let name = match &named.what {
                What::Text(name) => name.clone(),
                What::Bool(yes) => yes.to_string(),
                What::Number(number) => number.to_string(),
                What::Null | What::List(_) | What::Fields(_) => {
                    return Err(Broken {
                        place: named.place,
                        sentence: format!("the name of a field is a text, and this is {}", named.kind()),
                        instead: "write NAME: VALUE".to_owned(),
                    });
                }
            };
            if name == "<<" {
                let sources = if let What::List(items) = node.what { items } else { vec![node] };
                merged.extend(sources.into_iter().flat_map(|source| match source.what {
                    What::Fields(fields) => fields,
                    _ => Vec::new(),
                }));
                continue;
            }
            if let Some(first) = known.insert(name.clone(), named.place.line) {
                return Err(Broken {
                    place: named.place,
                    sentence: format!(
                        "the field {name} stands here for the second time, and kubectl would drop the first one, in line {}, without a word",
                        first
                    ),
                    instead: "keep one of them; where both are meant, write a list, or two steps".to_owned(),
                });
            }
            fields.push(Field { key: name, place: named.place, value: node });
        }
        for field in merged {
            if known.insert(field.key.clone(), field.place.line).is_none() {
                fields.push(field);
            }
        }
        Ok(Node { place: self.place(span, 1), what: What::Fields(fields), written: String::new() })
    }
}

/// How much an alias repeats: nodes, and a long text as several.
fn count(node: &Node) -> usize {
    match &node.what {
        What::List(items) => 1 + items.iter().map(count).sum::<usize>(),
        What::Fields(fields) => 1 + fields.iter().map(|field| count(&field.value)).sum::<usize>(),
        What::Null | What::Bool(_) | What::Number(_) | What::Text(_) => 1 + node.written.len() / 64,
    }
}

/// What the parser says, in a sentence for whoever wrote the line.
fn broken(text: &str, line: usize, before: usize, column: usize, info: &str) -> Broken {
    let at = |line: usize| lines(text).nth(line.saturating_sub(1)).unwrap_or_default();
    // The parser may notice a tab only after the line that has it, or where the line before ends.
    let tabbed = [line, line.saturating_sub(1), line + 1]
        .into_iter()
        .find(|line| *line > 0 && at(*line).chars().take_while(|c| c.is_whitespace() || *c == '-').any(|c| c == '\t'));
    if let Some(line) = tabbed {
        let column = at(line).chars().position(|c| c == '\t').unwrap_or_default() + 1;
        return Broken {
            place: Place { line: line + before, column, length: 1 },
            sentence: "a tab indents this line, and YAML is indented by blanks alone".to_owned(),
            instead: "write two blanks for each tab".to_owned(),
        };
    }
    // The end of the file is behind its last line.
    let last = lines(text).count().max(1);
    let (line, column) = if line > last { (last, at(last).trim_end().chars().count() + 1) } else { (line, column) };
    Broken {
        place: Place { line: line + before, column, length: 1 },
        sentence: format!("this is no YAML: {info}"),
        instead: "look at the indentation and the quotes of this line and of the one before; a text with \": \" or \" #\" in it needs quotes"
            .to_owned(),
    }
}

/// What a scalar is that says of which kind it is: `!!int 2`, and in quotes, too. Where it is of another kind, kubectl refuses
/// the file.
fn tagged(text: &str, tag: &Tag) -> Result<What, (String, String)> {
    let kind = tag.core_suffix().unwrap_or_default();
    let what = resolved(text);
    let fits = match (kind, &what) {
        ("int", What::Number(number)) => !number.is_f64(),
        ("float", What::Number(_)) | ("bool", What::Bool(_)) | ("null", What::Null) => true,
        ("int" | "float" | "bool" | "null", _) => false,
        // A text, or a kind that is somebody's own, of which kubectl knows nothing.
        _ => return Ok(What::Text(text.to_owned())),
    };
    let instead = || "leave the tag out, or write a value of that kind".to_owned();
    if fits { Ok(what) } else { Err((format!("the tag says !!{kind}, and {text:?} is none"), instead())) }
}

/// What a scalar without quotes is, as YAML 1.1 has it.
fn resolved(text: &str) -> What {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return What::Null,
        "true" | "True" | "TRUE" | "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return What::Bool(true),
        "false" | "False" | "FALSE" | "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => {
            return What::Bool(false);
        }
        _ => {}
    }
    number(text).map_or_else(|| What::Text(text.to_owned()), What::Number)
}

fn number(text: &str) -> Option<Number> {
    let begins = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.');
    if !text.starts_with(begins) || !text.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    let (sign, digits) = match plain.strip_prefix(['-', '+']) {
        Some(rest) => (if plain.starts_with('-') { "-" } else { "" }, rest),
        None => ("", plain.as_str()),
    };
    let in_base = |digits: &str, base| i64::from_str_radix(&format!("{sign}{digits}"), base).ok().map(Number::from);
    for (prefix, base) in [("0x", 16), ("0b", 2), ("0o", 8)] {
        if let Some(rest) = digits.strip_prefix(prefix) {
            return in_base(rest, base);
        }
    }
    let all_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if all_digits {
        if digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| b < b'8') {
            return in_base(digits, 8);
        }
        return in_base(digits, 10).or_else(|| plain.parse().ok().and_then(Number::from_f64));
    }
    // A fraction or an exponent; not `1.2.3`, not `10.0.0.1`, not `4h`.
    let is_float = digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'-' | b'+'));
    let value: f64 = if is_float { plain.parse().ok()? } else { return None };
    // As JSON has it there is no difference between 1 and 1.0.
    let whole = value.fract() == 0.0 && value.abs() < 1e15;
    if whole { format!("{value:.0}").parse::<i64>().ok().map(Number::from) } else { Number::from_f64(value) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn json_of(text: &str) -> Value {
        read(text, 0).unwrap().unwrap().json()
    }

    #[test]
    fn it_is_read_as_kubectl_reads_it() {
        let text = "a: on\nb: no\nc: 010\nd: 1e3\ne: 0x10\nf: 10.0.0.1\ng: \"on\"\nh: ~\ni: 5m\nj: 1_000\nk: -3\nl: 2026-11-22\nm: !!str 5\no: 08\n";
        assert_eq!(
            json_of(text),
            json!({"a": true, "b": false, "c": 8, "d": 1000, "e": 16, "f": "10.0.0.1", "g": "on", "h": null, "i": "5m", "j": 1000, "k": -3,
                "l": "2026-11-22", "m": "5", "o": 8})
        );
        assert_eq!(
            json_of("a: &x {b: 1}\nc: *x\nd: {<<: *x, e: 2}\n"),
            json!({"a": {"b": 1}, "c": {"b": 1}, "d": {"e": 2, "b": 1}})
        );
        assert_eq!(json_of("{\"a\": [1, \"b\"]}"), json!({"a": [1, "b"]}));
        assert_eq!(json_of("a: |\n  one\n  two\n"), json!({"a": "one\ntwo\n"}));
    }

    #[test]
    fn everything_has_its_place() {
        let node = read("# head\nspec:\n  steps:\n  - name: größe   # why\n    gate: on-call\n", 10).unwrap().unwrap();
        let step = &node.get("spec").unwrap().get("steps").unwrap().items()[0];
        assert_eq!(step.place, Place { line: 14, column: 5, length: 1 });
        assert_eq!(step.get("name").unwrap().place, Place { line: 14, column: 11, length: 5 });
        assert_eq!(step.field("gate").unwrap().place, Place { line: 15, column: 5, length: 4 });
    }

    #[test]
    fn documents_stand_alone() {
        let found = documents("a: 1\n---\n# b\nb: 2\n--- # c\nc: {\n---\n");
        let begins: Vec<usize> = found.iter().map(|(line, _)| *line).collect();
        assert_eq!(begins, [0, 1, 4, 6]);
        assert!(read(&found[2].1, 4).is_err());
        assert_eq!(read(&found[3].1, 6), Ok(None));
        assert_eq!(read(&found[1].1, 1).unwrap().unwrap().json(), json!({"b": 2}));
        assert_eq!(documents("text: |\n  ---\n").len(), 1, "what is indented is no separator");
    }

    #[test]
    fn what_is_no_yaml_is_told_with_its_place() {
        for (text, line, sentence) in [
            ("a: 1\n\tb: 2\n", 2, "a tab indents this line"),
            ("a:\n  - b: 1\n  \t  c: 2\n", 3, "a tab indents this line"),
            (
                "a: 1\na: 2\n",
                2,
                "the field a stands here for the second time, and kubectl would drop the first one, in line 1",
            ),
            ("a: \"open\n", 1, "this is no YAML"),
            ("a: [1, 2\n", 1, "this is no YAML"),
            ("a: b: c\n", 1, "this is no YAML"),
            ("a: *nowhere\n", 1, "this is no YAML"),
            ("? [a]\n: 1\n", 1, "the name of a field is a text, and this is a list"),
        ] {
            let broken = read(text, 0).unwrap_err();
            assert!(broken.sentence.contains(sentence), "{text:?}: {broken:?}");
            assert_eq!(broken.place.line, line, "{text:?}: {broken:?}");
        }
    }

    #[test]
    fn a_tag_says_of_which_kind_a_value_is() {
        assert_eq!(
            json_of(
                "a: !!int 2\nb: !!int \"2\"\nc: !!float 2\nd: !!bool yes\ne: !!null ~\nf: !!str 5\ng: !ours 5\nh: ! 5\n"
            ),
            json!({"a": 2, "b": 2, "c": 2, "d": true, "e": null, "f": "5", "g": "5", "h": "5"})
        );
        for text in ["a: 1\nb: !!int x\n", "a: 1\nb: !!bool 2\n", "a: 1\nb: !!int 1.5\n", "a: 1\nb: !!null x\n"] {
            let broken = read(text, 0).unwrap_err();
            assert!(broken.sentence.starts_with("the tag says !!") && broken.place.line == 2, "{broken:?}");
        }
    }

    #[test]
    fn a_carriage_return_ends_a_line() {
        let node = read("a: 1\rb:\r  - c\r", 0).unwrap().unwrap();
        assert_eq!(node.json(), json!({"a": 1, "b": ["c"]}));
        assert_eq!(node.get("b").unwrap().items()[0].place.line, 3);
        assert_eq!(read("a: 1\r\tb: 2\r", 0).unwrap_err().place.line, 2);
        assert_eq!(lines("a\rb\r\nc\n\rd\r").collect::<Vec<_>>(), ["a", "b", "c", "", "d"]);
        let found = documents("a: 1\rb: 2\r\n---\nc: 3\n");
        assert_eq!(
            found.iter().map(|(line, _)| *line).collect::<Vec<_>>(),
            [0, 2],
            "the second document begins in line 3"
        );
        // kubectl finds no document behind a carriage return, and drops what is there without a word.
        let broken = read("a: 1\r---\rb: 2\r", 0).unwrap_err();
        assert!(broken.sentence.contains("kubectl would not read it") && broken.place.line == 3, "{broken:?}");
    }

    #[test]
    fn what_repeats_itself_without_end_is_refused() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let before = format!("*a{}, ", level - 1).repeat(10);
            text.push_str(&format!("a{level}: &a{level} [{before}]\n"));
        }
        assert!(read(&text, 0).unwrap_err().sentence.contains("too large or too deeply nested"));
        let deep = format!("a: {}1{}\n", "[".repeat(100), "]".repeat(100));
        assert!(read(&deep, 0).unwrap_err().sentence.contains("too deeply nested"));
    }

    #[test]
    fn no_input_ends_the_reader() {
        proptest::proptest!(|(text in "[-a-z0-9:{}\\[\\]\"'&*!|> \\t\\r\\n#?~<]{0,120}")| {
            for (line, document) in documents(&text) {
                let _ = read(&document, line);
            }
        });
    }
}
