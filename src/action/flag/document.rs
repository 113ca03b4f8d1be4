//! Reading and editing one place of a document, byte for byte.
//!
//! A document belongs to the people who wrote it: comments, order, indentation and quoting stay. So nothing is ever
//! parsed and printed again; the bytes of one place are found and replaced, and then the new text is parsed and must
//! equal the old one everywhere else. An edit that cannot be proven like this is refused, never tried.

mod json;
mod plain;
mod pointer;
mod properties;
mod tree;
mod words;
mod yaml;

use std::{collections::BTreeMap, fmt, ops::Range};

use serde_json::Value;

pub use pointer::{Pointer, PointerError};

/// What a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The whole text is the value: a ConfigMap key of its own, such as `FEATURE_RECS: "true"`.
    Plain,
    /// JSON, as flagd's files are.
    Json,
    /// One YAML document.
    Yaml,
    /// Java's `.properties`.
    Properties,
}

impl fmt::Display for Format {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Format::Plain => "plain text",
            Format::Json => "JSON",
            Format::Yaml => "YAML",
            Format::Properties => "Java properties",
        })
    }
}

/// Why a document cannot be read or edited; the caller says which document it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Reading it again and again would hold up every other run.
    #[error("the text has {0} bytes, and at most {LONGEST} are read as a document: keep the flags in a smaller one")]
    TooLarge(usize),
    /// The text is not what its format says.
    #[error("the text is not {format}: line {line}, column {column}: {why}")]
    DoesNotParse {
        /// What it should have been.
        format: Format,
        /// Counted from 1.
        line: usize,
        /// Counted from 1.
        column: usize,
        /// The parser's own words.
        why: String,
    },
    /// Nothing stands at the pointer.
    #[error("there is no `{pointer}`: {} {has}", .inside.shown())]
    NotFound {
        /// What was looked for.
        pointer: Pointer,
        /// The innermost place that does exist.
        inside: Pointer,
        /// What that place has, as the end of the sentence.
        has: String,
    },
    /// The pointer goes on where the document does not.
    #[error("`{pointer}` leads through {}, which holds {holds} and has nothing inside", .at.shown())]
    ThroughScalar {
        /// What was looked for.
        pointer: Pointer,
        /// Where it ended.
        at: Pointer,
        /// What stands there.
        holds: String,
    },
    /// Readers differ in which of two equal keys counts, so neither can be edited safely.
    #[error(
        "the key `{key}` stands twice, on lines {first} and {second}: readers disagree which one counts, so \
            remove one first"
    )]
    Duplicate {
        /// The key.
        key: String,
        /// Line of the first, counted from 1.
        first: usize,
        /// Line of the second.
        second: usize,
    },
    /// A YAML stream with several documents.
    #[error("the text holds {0} YAML documents, and only a text with one can be edited")]
    ManyDocuments(usize),
    /// The place is written in a way that is not edited.
    #[error("{} cannot be edited: {why}", .pointer.shown())]
    NotEditable {
        /// The place.
        pointer: Pointer,
        /// Why not, as the end of the sentence.
        why: String,
    },
    /// Two places of one edit, one inside the other.
    #[error("{} and {} overlap, so they cannot be edited together", .0.shown(), .1.shown())]
    Overlap(Pointer, Pointer),
    /// The new text, parsed again, is not the old one with only these places changed.
    #[error("editing {} would also change something else in the document (through an anchor or the layout), so \
        nothing is written: edit it by hand", shown_list(.0))]
    Unproven(Vec<Pointer>),
}

fn shown_list(pointers: &[Pointer]) -> String {
    pointers.iter().map(Pointer::shown).collect::<Vec<_>>().join(", ")
}

/// The text after an edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edited {
    /// The new text. Outside of the places that were replaced it is the old one, byte for byte.
    pub text: String,
    /// The places in which comments stood: they went with the value.
    pub commented: Vec<Pointer>,
}

/// How values are written, by their places.
pub type Spellings = BTreeMap<Pointer, String>;

/// The value at `at`. Texts that mean a boolean where the format has only text (`true` in a plain key or properties
/// file; also an unquoted `on` or `yes` in YAML) are read as booleans; [`write()`] answers in the same words.
pub fn read(text: &str, format: Format, at: &Pointer) -> Result<Value, DocumentError> {
    parse(text, format)?.get(at)
}

/// How the value at `at` is written, with its layout and the comments inside of it.
pub fn spelling(text: &str, format: Format, at: &Pointer) -> Result<String, DocumentError> {
    Ok(text.get(parse(text, format)?.place(at)?.span).unwrap_or_default().to_owned())
}

/// Replaces the values at places that exist and leaves every other byte alone.
pub fn write(text: &str, format: Format, places: &[(Pointer, Value)]) -> Result<Edited, DocumentError> {
    replaced(text, format, places, &Spellings::new())
}

/// As [`write()`], and in these words where there are any: what stood there before comes back with its layout and its
/// comments. Words that do not mean the value here any more (the document was laid out anew, an anchor is gone) are not
/// taken, and the values are written as [`write()`] does.
pub fn write_as(
    text: &str,
    format: Format,
    places: &[(Pointer, Value)],
    words: &Spellings,
) -> Result<Edited, DocumentError> {
    match replaced(text, format, places, words) {
        Err(DocumentError::Unproven(_)) if !words.is_empty() => write(text, format, places),
        other => other,
    }
}

fn replaced(
    text: &str,
    format: Format,
    places: &[(Pointer, Value)],
    words: &Spellings,
) -> Result<Edited, DocumentError> {
    let old = parse(text, format)?;
    let mut splices = Vec::new();
    let mut commented = Vec::new();
    for (at, to) in places {
        let place = old.place(at)?;
        let with = words.get(at).map_or_else(|| old.rendered(at, to), |word| Ok(word.clone()))?;
        splices.push(Splice { with, span: place.span });
        commented.extend(place.carries_comments.then(|| at.clone()));
    }
    Ok(Edited { text: spliced(text, &*old, format, splices, places)?, commented })
}

/// One parsed text.
trait Document {
    /// All of it as JSON, for the proof that an edit changed nothing else.
    fn value(&self) -> &Value;
    /// The value at a place.
    fn get(&self, at: &Pointer) -> Result<Value, DocumentError>;
    /// The bytes of a place that may be replaced.
    fn place(&self, at: &Pointer) -> Result<Place, DocumentError>;
    /// How `to` is written at that place.
    fn rendered(&self, at: &Pointer, to: &Value) -> Result<String, DocumentError>;
}

/// The bytes of a value.
struct Place {
    span: Range<usize>,
    carries_comments: bool,
}

impl Place {
    fn bare(span: Range<usize>) -> Self {
        Self { span, carries_comments: false }
    }
}

/// Bytes to be replaced, and with what.
struct Splice {
    span: Range<usize>,
    with: String,
}

/// The longest text that is read as a document, in bytes.
const LONGEST: usize = 256 * 1024;

fn parse<'t>(text: &'t str, format: Format) -> Result<Box<dyn Document + 't>, DocumentError> {
    if text.len() > LONGEST {
        return Err(DocumentError::TooLarge(text.len()));
    }
    Ok(match format {
        Format::Plain => Box::new(plain::Plain::parse(text)),
        Format::Json => Box::new(json::Json::parse(text)?),
        Format::Yaml => Box::new(yaml::Yaml::parse(text)?),
        Format::Properties => Box::new(properties::Properties::parse(text)?),
    })
}

/// Carries out the splices and proves the outcome: `wanted` at its places, and everything else as in `old`.
fn spliced(
    text: &str,
    old: &dyn Document,
    format: Format,
    mut splices: Vec<Splice>,
    wanted: &[(Pointer, Value)],
) -> Result<String, DocumentError> {
    let places: Vec<Pointer> = wanted.iter().map(|(at, _)| at.clone()).collect();
    for (n, at) in places.iter().enumerate() {
        if let Some(other) = places.iter().skip(n + 1).find(|other| at.covers(other) || other.covers(at)) {
            return Err(DocumentError::Overlap(at.clone(), other.clone()));
        }
    }
    splices.sort_by_key(|splice| splice.span.start);
    let text = applied(text, &splices).ok_or_else(|| DocumentError::Unproven(places.clone()))?;
    // Own scope: `new` borrows the text that is about to be returned.
    let proven = match parse(&text, format) {
        Ok(new) => {
            // By itself an unquoted `on` is read as a boolean; within its flag it is the name of a variant.
            let is = |at: &Pointer, to: &Value| {
                new.get(at).is_ok_and(|by_itself| by_itself == *to || new.value().pointer(&at.to_string()) == Some(to))
            };
            wanted.iter().all(|(at, to)| is(at, to)) && blanked(old.value(), &places) == blanked(new.value(), &places)
        }
        Err(_) => false,
    };
    if proven { Ok(text) } else { Err(DocumentError::Unproven(places)) }
}

/// The text with the (sorted) splices carried out; nothing if they overlap or cut through a character.
fn applied(text: &str, splices: &[Splice]) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for splice in splices {
        out.push_str(text.get(done..splice.span.start)?);
        out.push_str(&splice.with);
        done = splice.span.end;
    }
    out.push_str(text.get(done..)?);
    Some(out)
}

/// The document with the places emptied: what must not differ between before and after. A place that is not there
/// makes it `None`, which equals nothing that was edited.
fn blanked(value: &Value, places: &[Pointer]) -> Option<Value> {
    let mut value = value.clone();
    for at in places {
        *value.pointer_mut(&at.to_string())? = Value::Null;
    }
    Some(value)
}

/// A value for a sentence: JSON, cut where it grows long.
pub(super) fn shown(value: &Value) -> String {
    cut(&value.to_string())
}

/// What a value is, for a sentence about a place that is no flag. Whoever mistypes a pointer hits a neighbour of the flag,
/// which may be a password, and the sentence stands in the journal and in a record for good.
pub(super) fn described(value: &Value) -> String {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) if text.is_empty() || words::yaml_meaning(text).is_some() => value.to_string(),
        Value::String(_) => "a text".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// As [`described`], of a value as it is written: in backticks what means true or false, else no more than that it is one.
fn described_text(text: &str) -> String {
    let bare = text.trim().trim_matches(['"', '\'']);
    if words::yaml_meaning(bare).is_some() { format!("`{}`", text.trim()) } else { "a value".to_owned() }
}

fn cut(text: &str) -> String {
    const SHOWN: usize = 60;
    let mut letters = text.chars();
    let head: String = letters.by_ref().take(SHOWN).collect();
    if letters.next().is_some() { format!("{head}…") } else { head }
}

/// Names for a sentence, the first ten of them.
pub(super) fn names<'n>(all: impl IntoIterator<Item = &'n str>) -> String {
    const MOST: usize = 10;
    let mut all = all.into_iter();
    let mut list: Vec<String> = all.by_ref().take(MOST).map(|name| format!("`{}`", cut(name))).collect();
    let more = all.count();
    list.extend((more > 0).then(|| format!("{more} more")));
    list.join(", ")
}

/// The line of a byte, counted from 1.
fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

#[cfg(test)]
mod tests;
