//! Pieces of schema that the derive cannot say.

use schemars::{Schema, SchemaGenerator, json_schema};

/// An object whose fields are ours to read but not the API server's to check: a frozen copy, a value as it was read.
pub fn opaque(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// Parameter values: a bounded map of bounded strings. Strings, because CEL cannot address a map of free JSON.
pub fn parameter_values(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 32,
        "additionalProperties": {"type": "string", "maxLength": 1024},
    })
}

/// Labels of an alert: a bounded map of bounded strings.
pub fn alert_labels(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 24,
        "additionalProperties": {"type": "string", "maxLength": 128},
    })
}

/// What an authenticator says of somebody beside name and groups: a bounded map of bounded lists.
pub fn identity_extra(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 16,
        "additionalProperties": {"type": "array", "maxItems": 8, "items": {"type": "string", "maxLength": 256}},
    })
}

/// A number, or an expression `${...}` that yields one.
pub fn number_or_expression(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "maxLength": 128,
        "x-kubernetes-validations": [{
            "rule": "type(self) == int || (self.matches('^[$][{].+[}]$'))",
            "message": "a number, or an expression that is the whole value: ${params.NAME}",
        }],
    })
}

/// A number, a percentage (`50%`), or an expression `${...}` that yields one of them.
pub fn amount_or_expression(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "maxLength": 128,
        "x-kubernetes-validations": [{
            "rule": "type(self) == int || self.matches('^([+-]?[0-9]{1,5}%?|[$][{].+[}])$')",
            "message": "a number, a percentage like 50% or -50%, or an expression that is the whole value: ${params.NAME}",
        }],
    })
}

/// Contexts in which a flag is evaluated: small objects of the caller's own.
pub fn contexts(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "items": {"type": "object", "maxProperties": 16, "x-kubernetes-preserve-unknown-fields": true},
    })
}

/// An address for a browser. Whatever else could be in its place (`javascript:`) would run when somebody clicks on it.
pub fn web_address(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 1024,
        "x-kubernetes-validations": [{
            "rule": "self == '' || self.matches('^https?://[^ ]+$')",
            "message": "an address begins with https:// or http://, and has no blank",
        }],
    })
}
