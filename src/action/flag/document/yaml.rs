//! YAML. serde-saphyr says what a text means; the events of its own parser say where each value stands.
//!
//! Trap: the two YAML versions disagree about `on`, `off`, `yes` and `no` (booleans in 1.1, texts in 1.2). Values are
//! read as in 1.2, as flagd and Go's yaml.v3 do: a variant called `off` must stay a name. Only a place that is itself
//! such a word is read as a boolean, and then answered in the same pair of words, which is right for both readers.

use std::ops::Range;

use serde_json::Value;
use serde_yaml::{
    granit_parser::{Event, Parser, ScalarStyle, StructureStyle},
    options::NonFiniteFloatPolicy,
};

use super::{
    Document, DocumentError, Format, Place, Pointer,
    tree::{Entry, Form, Kind, Node},
    words,
};

/// A YAML text.
pub(super) struct Yaml<'t> {
    text: &'t str,
    value: Value,
    root: Node,
    comments: Vec<Range<usize>>,
}

impl<'t> Yaml<'t> {
    pub(super) fn parse(text: &'t str) -> Result<Self, DocumentError> {
        let (root, comments) = tree(text)?;
        let options = serde_yaml::options! {
            strict_booleans: true,
            // An infinite timeout elsewhere in the document is no reason to refuse.
            non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        };
        let value = serde_yaml::from_str_with_options(text, options).map_err(|error| {
            let (line, column) = error.location().map_or((1, 1), |at| (at.line() as usize, at.column() as usize));
            let why = error.without_snippet().to_string();
            let why = why.strip_suffix(&format!(" at line {line}, column {column}")).unwrap_or(&why).to_owned();
            DocumentError::DoesNotParse { format: Format::Yaml, line, column, why }
        })?;
        Ok(Self { text, value, root, comments })
    }

    fn written(&self, node: &Node) -> &str {
        self.text.get(node.span.clone()).unwrap_or_default()
    }
}

impl Document for Yaml<'_> {
    fn value(&self) -> &Value {
        &self.value
    }

    fn get(&self, at: &Pointer) -> Result<Value, DocumentError> {
        let node = self.root.find(self.text, at)?;
        node.unique(self.text)?;
        if let (Form::Bare, false, Some(meaning)) = (node.form, node.marked, words::yaml_meaning(self.written(node))) {
            return Ok(Value::Bool(meaning));
        }
        self.value.pointer(&at.to_string()).cloned().ok_or_else(|| refusal(at, "its key is not a plain text"))
    }

    fn place(&self, at: &Pointer) -> Result<Place, DocumentError> {
        let node = self.root.find(self.text, at)?;
        let why = match (&node.kind, node.form) {
            _ if node.marked => "it has an anchor (`&`) or a tag (`!`), which would then mean something else",
            (_, Form::Nothing) => "nothing is written there; write a value by hand first",
            (Kind::Scalar, Form::Block) => "it is a text over several lines (`|` or `>`)",
            (Kind::List(_), Form::Block) => "it is a list over several lines",
            _ => {
                let inside = |comment: &Range<usize>| node.span.contains(&comment.start);
                return Ok(Place { span: node.span.clone(), carries_comments: self.comments.iter().any(inside) });
            }
        };
        Err(refusal(at, why))
    }

    fn rendered(&self, at: &Pointer, to: &Value) -> Result<String, DocumentError> {
        let node = self.root.find(self.text, at)?;
        Ok(match to {
            Value::Bool(to) if node.form == Form::Bare => words::turned(self.written(node), *to),
            Value::String(to) => quoted(to, node.form),
            other => flow(other),
        })
    }
}

fn refusal(at: &Pointer, why: &str) -> DocumentError {
    DocumentError::NotEditable { pointer: at.clone(), why: why.to_owned() }
}

/// A text in the quotes that were there; without quotes only what no reader of any version takes for something else.
fn quoted(text: &str, form: Form) -> String {
    let name = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-".contains(letter));
    let word = words::yaml_meaning(text).is_some() || ["y", "n", "null"].contains(&text.to_lowercase().as_str());
    match form {
        Form::Single
            if text
                .chars()
                .all(|letter| letter == ' ' || letter.is_alphanumeric() || letter.is_ascii_punctuation()) =>
        {
            format!("'{}'", text.replace('\'', "''"))
        }
        Form::Bare if name && !word => text.to_owned(),
        _ => double_quoted(text),
    }
}

/// A value on one line, in braces and brackets: as such it fits wherever a value can stand.
fn flow(value: &Value) -> String {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) => double_quoted(text),
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| format!("{}: {}", double_quoted(key), flow(value)));
            format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
    }
}

/// A JSON text is a double-quoted YAML text, but for a few invisible characters that YAML wants escaped.
fn double_quoted(text: &str) -> String {
    let mut out = String::new();
    for letter in Value::from(text).to_string().chars() {
        match letter {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            other => out.push(other),
        }
    }
    out
}

/// A collection whose end has not come yet.
struct Open {
    start: usize,
    form: Form,
    marked: bool,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, key: Option<(Option<String>, Range<usize>)> },
}

fn tree(text: &str) -> Result<(Node, Vec<Range<usize>>), DocumentError> {
    let mut comments = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    let mut root = None;
    let mut documents = 0;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| DocumentError::DoesNotParse {
            format: Format::Yaml,
            line: error.marker().line(),
            column: error.marker().col() + 1,
            why: error.info(),
        })?;
        // Parsers of a `str` always know the bytes.
        let span = span.byte_range().unwrap_or_default();
        let done = match event {
            Event::DocumentStart(..) => {
                documents += 1;
                None
            }
            Event::Comment(..) => {
                comments.push(span);
                None
            }
            Event::MappingStart(style, anchor, tag) => {
                let content = Content::Map { entries: Vec::new(), key: None };
                open.push(Open { start: span.start, form: form(style), marked: anchor != 0 || tag.is_some(), content });
                None
            }
            Event::SequenceStart(style, anchor, tag) => {
                let content = Content::List(Vec::new());
                open.push(Open { start: span.start, form: form(style), marked: anchor != 0 || tag.is_some(), content });
                None
            }
            Event::MappingEnd | Event::SequenceEnd => open.pop().map(|done| (closed(done, text, span.end), None)),
            Event::Alias(_) => Some((Node { span, kind: Kind::Alias, form: Form::Bare, marked: false }, None)),
            Event::Scalar(value, style, anchor, tag) => {
                let marked = anchor != 0 || tag.is_some();
                Some((scalar(text, span, style, marked), Some(value.into_owned())))
            }
            _ => None,
        };
        if let Some((node, key)) = done {
            placed(&mut open, &mut root, node, key);
        }
    }
    if documents > 1 {
        return Err(DocumentError::ManyDocuments(documents));
    }
    let nothing = Node { span: 0..0, kind: Kind::Scalar, form: Form::Nothing, marked: false };
    Ok((root.unwrap_or(nothing), comments))
}

fn form(style: StructureStyle) -> Form {
    match style {
        StructureStyle::Block => Form::Block,
        StructureStyle::Flow => Form::Flow,
    }
}

fn scalar(text: &str, span: Range<usize>, style: ScalarStyle, marked: bool) -> Node {
    let form = match style {
        ScalarStyle::Plain if span.is_empty() => Form::Nothing,
        ScalarStyle::Plain => Form::Bare,
        ScalarStyle::SingleQuoted => Form::Single,
        ScalarStyle::DoubleQuoted => Form::Double,
        ScalarStyle::Literal | ScalarStyle::Folded => Form::Block,
    };
    // The span of a text over several lines takes the empty lines after it along; they are nobody's value.
    let written = text.get(span.clone()).unwrap_or_default().trim_end().len();
    Node { span: span.start..span.start + written, kind: Kind::Scalar, form, marked }
}

/// The finished collection. One by indentation is reported to end where the next thing begins, beyond the comments in
/// between; it really ends with its last value.
fn closed(open: Open, text: &str, reported: usize) -> Node {
    let (kind, last) = match open.content {
        Content::List(items) => {
            let last = items.last().map(|item| item.span.end);
            (Kind::List(items), last)
        }
        Content::Map { entries, .. } => {
            let last = entries.last().map(|entry| entry_end(entry, text));
            (Kind::Map(entries), last)
        }
    };
    let end = if open.form == Form::Block { last.unwrap_or(reported) } else { reported };
    Node { span: open.start..end, kind, form: open.form, marked: open.marked }
}

/// A value that is not written is reported right behind its key, before the colon.
fn entry_end(entry: &Entry, text: &str) -> usize {
    if entry.node.form != Form::Nothing {
        return entry.node.span.end;
    }
    let after = text.get(entry.key_span.end..).unwrap_or_default();
    let gap = after.len() - after.trim_start().len();
    let colon = usize::from(after.trim_start().starts_with(':'));
    entry.key_span.end + if colon == 1 { gap + 1 } else { 0 }
}

/// Puts a finished node where it belongs: into the innermost open collection, as key or as value.
fn placed(open: &mut [Open], root: &mut Option<Node>, node: Node, text: Option<String>) {
    let Some(parent) = open.last_mut() else {
        *root = Some(node);
        return;
    };
    match &mut parent.content {
        Content::List(items) => items.push(node),
        Content::Map { entries, key } => match key.take() {
            None => *key = Some((text, node.span)),
            Some((key, key_span)) => entries.push(Entry { key, key_span, node }),
        },
    }
}
