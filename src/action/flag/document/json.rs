//! JSON. serde_json decides whether a text is JSON and what it means; jsonc-parser, in its strict mode, tells where
//! each value stands.

use jsonc_parser::{CollectOptions, ParseOptions, ast, common::Ranged, parse_to_ast};
use serde_json::Value;

use super::{
    Document, DocumentError, Format, Place, Pointer,
    tree::{Entry, Form, Kind, Node},
};

/// Editors on Windows begin files with it; serde_json does not know it.
const BYTE_ORDER_MARK: &str = "\u{feff}";

const STRICT: ParseOptions = ParseOptions {
    allow_comments: false,
    allow_loose_object_property_names: false,
    allow_trailing_commas: false,
    allow_missing_commas: false,
    allow_single_quoted_strings: false,
    allow_hexadecimal_numbers: false,
    allow_unary_plus_numbers: false,
    allow_bare_decimal_point_numbers: false,
    allow_non_finite_numbers: false,
    allow_extended_string_escapes: false,
};

/// A JSON text.
pub(super) struct Json<'t> {
    /// Without its byte order mark.
    text: &'t str,
    /// Length of the byte order mark.
    skipped: usize,
    value: Value,
    root: Node,
}

impl<'t> Json<'t> {
    pub(super) fn parse(whole: &'t str) -> Result<Self, DocumentError> {
        let text = whole.strip_prefix(BYTE_ORDER_MARK).unwrap_or(whole);
        // First, because it also bounds the depth, which the recursion below relies on.
        let value = serde_json::from_str(text).map_err(|error| {
            let why = error.to_string();
            // serde_json says the place at the end of its sentence; ours has it in front.
            let why = why.split(" at line ").next().unwrap_or_default().to_owned();
            DocumentError::DoesNotParse { format: Format::Json, line: error.line(), column: error.column(), why }
        })?;
        let parsed =
            parse_to_ast(text, &CollectOptions::default(), &STRICT).map_err(|error| DocumentError::DoesNotParse {
                format: Format::Json,
                line: error.line_display(),
                column: error.column_display(),
                why: error.kind().to_string(),
            })?;
        let root = parsed.value.as_ref().map(node).ok_or_else(|| DocumentError::Unproven(vec![Pointer::root()]))?;
        Ok(Self { text, skipped: whole.len() - text.len(), value, root })
    }
}

impl Document for Json<'_> {
    fn value(&self) -> &Value {
        &self.value
    }

    fn get(&self, at: &Pointer) -> Result<Value, DocumentError> {
        self.root.find(self.text, at)?.unique(self.text)?;
        self.value.pointer(&at.to_string()).cloned().ok_or_else(|| DocumentError::Unproven(vec![at.clone()]))
    }

    fn place(&self, at: &Pointer) -> Result<Place, DocumentError> {
        let span = &self.root.find(self.text, at)?.span;
        Ok(Place::bare(span.start + self.skipped..span.end + self.skipped))
    }

    fn rendered(&self, _at: &Pointer, to: &Value) -> Result<String, DocumentError> {
        Ok(to.to_string())
    }
}

fn node(value: &ast::Value<'_>) -> Node {
    let (kind, form) = match value {
        ast::Value::Object(object) => (Kind::Map(object.properties.iter().map(entry).collect()), Form::Flow),
        ast::Value::Array(array) => (Kind::List(array.elements.iter().map(node).collect()), Form::Flow),
        ast::Value::StringLit(_) => (Kind::Scalar, Form::Double),
        ast::Value::NumberLit(_) | ast::Value::BooleanLit(_) | ast::Value::NullKeyword(_) => (Kind::Scalar, Form::Bare),
    };
    Node { span: value.start()..value.end(), kind, form, marked: false }
}

fn entry(property: &ast::ObjectProp<'_>) -> Entry {
    Entry {
        key: Some(property.name.as_str().to_owned()),
        key_span: property.name.start()..property.name.end(),
        node: node(&property.value),
    }
}
