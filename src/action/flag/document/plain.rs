//! A ConfigMap key of its own: the whole text is the value.

use serde_json::Value;

use super::{Document, DocumentError, Place, Pointer, described_text, words};

/// A plain text: one word with white space around it, which stays (most keys end with a newline).
pub(super) struct Plain<'t> {
    text: &'t str,
    value: Value,
}

impl<'t> Plain<'t> {
    pub(super) fn parse(text: &'t str) -> Self {
        let word = text.trim();
        let value = words::meaning(word).map(Value::Bool).unwrap_or_else(|| Value::String(word.to_owned()));
        Self { text, value }
    }
}

impl Document for Plain<'_> {
    fn value(&self) -> &Value {
        &self.value
    }

    fn get(&self, at: &Pointer) -> Result<Value, DocumentError> {
        if at.is_root() {
            return Ok(self.value.clone());
        }
        Err(DocumentError::ThroughScalar {
            pointer: at.clone(),
            at: Pointer::root(),
            holds: format!("plain text ({})", described_text(self.text)),
        })
    }

    fn place(&self, at: &Pointer) -> Result<Place, DocumentError> {
        self.get(at)?;
        let start = self.text.len() - self.text.trim_start().len();
        Ok(Place::bare(start..start + self.text.trim().len()))
    }

    fn rendered(&self, at: &Pointer, to: &Value) -> Result<String, DocumentError> {
        match (&self.value, to) {
            (Value::Bool(_), Value::Bool(to)) => Ok(words::turned(self.text.trim(), *to)),
            (held, _) => Err(not_a_switch(at, held)),
        }
    }
}

/// Text formats are only edited where they hold `true` or `false` and are to hold the other one: any other word means
/// what its reader makes of it.
pub(super) fn not_a_switch(at: &Pointer, held: &Value) -> DocumentError {
    let held = super::described(held);
    DocumentError::NotEditable {
        pointer: at.clone(),
        why: format!("it holds {held}, and here only `true` and `false` are turned into each other"),
    }
}
