//! Where the values of a JSON or YAML text stand, and how a pointer finds its way to one.

use std::ops::Range;

use super::{DocumentError, Pointer, cut, described_text, line_of, names, pointer::index};

/// A value and its bytes.
pub(super) struct Node {
    pub span: Range<usize>,
    pub kind: Kind,
    /// How it is written.
    pub form: Form,
    /// YAML only: it has an anchor or a tag.
    pub marked: bool,
}

/// What a value is.
pub(super) enum Kind {
    Map(Vec<Entry>),
    List(Vec<Node>),
    Scalar,
    /// YAML only.
    Alias,
}

/// How a value is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A word without quotes.
    Bare,
    /// In single quotes.
    Single,
    /// In double quotes.
    Double,
    /// In braces or brackets.
    Flow,
    /// By indentation.
    Block,
    /// Not at all, as in `key:`.
    Nothing,
}

/// A key and its value.
pub(super) struct Entry {
    /// The key as its readers see it; `None` where it is no text (YAML allows a list as a key).
    pub key: Option<String>,
    pub key_span: Range<usize>,
    pub node: Node,
}

impl Node {
    /// The one value at `pointer`. Refuses doubtful ways: equal keys, aliases, what a YAML merge key brings in.
    pub(super) fn find(&self, text: &str, pointer: &Pointer) -> Result<&Node, DocumentError> {
        let mut node = self;
        let mut at = Pointer::root();
        for token in pointer.tokens() {
            node = node.step(text, pointer, &at, token)?;
            at = at.child(token.as_str());
        }
        match node.kind {
            Kind::Alias => Err(node.alias(text, pointer, &at)),
            Kind::Map(_) | Kind::List(_) | Kind::Scalar => Ok(node),
        }
    }

    fn step(&self, text: &str, pointer: &Pointer, at: &Pointer, token: &str) -> Result<&Node, DocumentError> {
        let not_found = |has| DocumentError::NotFound { pointer: pointer.clone(), inside: at.clone(), has };
        match &self.kind {
            Kind::Map(entries) => {
                let mut same = entries.iter().filter(|entry| entry.key.as_deref() == Some(token));
                match (same.next(), same.next()) {
                    (Some(only), None) => Ok(&only.node),
                    (Some(first), Some(second)) => Err(duplicate(text, token, first, second)),
                    (None, _) => Err(not_found(has(entries))),
                }
            }
            Kind::List(items) => index(token)
                .and_then(|n| items.get(n))
                .ok_or_else(|| not_found(format!("is a list of {} (the first is 0)", items.len()))),
            Kind::Scalar => Err(DocumentError::ThroughScalar {
                pointer: pointer.clone(),
                at: at.clone(),
                holds: self.described(text),
            }),
            Kind::Alias => Err(self.alias(text, pointer, at)),
        }
    }

    fn alias(&self, text: &str, pointer: &Pointer, at: &Pointer) -> DocumentError {
        let why = format!("{} is the alias {}, so change it where its anchor stands", at.shown(), self.written(text));
        DocumentError::NotEditable { pointer: pointer.clone(), why }
    }

    fn written(&self, text: &str) -> String {
        match text.get(self.span.clone()) {
            None | Some("") => "nothing".to_owned(),
            Some(written) => format!("`{}`", cut(written)),
        }
    }

    fn described(&self, text: &str) -> String {
        match text.get(self.span.clone()) {
            None | Some("") => "nothing".to_owned(),
            Some(written) => described_text(written),
        }
    }

    /// Refuses a value with equal keys anywhere inside: what it means is not known.
    pub(super) fn unique(&self, text: &str) -> Result<(), DocumentError> {
        match &self.kind {
            Kind::Map(entries) => {
                let mut seen = std::collections::BTreeMap::new();
                for entry in entries {
                    if let Some(key) = &entry.key
                        && let Some(first) = seen.insert(key, entry)
                    {
                        return Err(duplicate(text, key, first, entry));
                    }
                }
                entries.iter().try_for_each(|entry| entry.node.unique(text))
            }
            Kind::List(items) => items.iter().try_for_each(|item| item.unique(text)),
            Kind::Scalar | Kind::Alias => Ok(()),
        }
    }
}

fn duplicate(text: &str, key: &str, first: &Entry, second: &Entry) -> DocumentError {
    let line = |entry: &Entry| line_of(text, entry.key_span.start);
    DocumentError::Duplicate { key: key.to_owned(), first: line(first), second: line(second) }
}

fn has(entries: &[Entry]) -> String {
    let keys = names(entries.iter().filter_map(|entry| entry.key.as_deref()));
    let merged = entries.iter().any(|entry| entry.key.as_deref() == Some("<<"));
    match (entries.is_empty(), merged) {
        (true, _) => "is empty".to_owned(),
        (false, false) => format!("has only {keys}"),
        (false, true) => {
            format!("itself has only {keys} (what the merge key `<<` brings in is changed where its anchor stands)")
        }
    }
}
