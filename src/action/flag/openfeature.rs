//! What "off" means for a flag, and which of its fields make it so.
//!
//! A flag is a boolean, or a definition as flagd and the FeatureFlag resource of OpenFeature write it. Traps of the
//! latter: `state: DISABLED` is not off (every caller falls back to the default in its own code, which may be on), and
//! `defaultVariant` alone leaves everybody on whom a targeting rule matches.

use serde_json::{Map, Value, json};

use super::document::{Pointer, described, names, shown};

const STATE: &str = "state";
const ENABLED: &str = "ENABLED";
const DISABLED: &str = "DISABLED";
const DEFAULT_VARIANT: &str = "defaultVariant";
const VARIANTS: &str = "variants";
const TARGETING: &str = "targeting";
const OFF: &str = "off";
const ON: &str = "on";

/// What kind of flag a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `true` or `false`.
    Boolean,
    /// A flagd definition: an object with `variants`.
    OpenFeature,
}

/// What becomes of targeting rules.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rules {
    /// A flag with rules is not touched.
    #[default]
    Refuse,
    /// The rules are emptied, and brought back by the undo.
    Suspend,
    /// The rules stay and keep deciding for the callers that they match.
    Keep,
}

/// One field of a flag, to be set.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    /// Where, below the flag; empty for a boolean.
    pub pointer: Pointer,
    /// What is written.
    pub value: Value,
}

/// How a flag is switched.
#[derive(Clone, Debug, PartialEq)]
pub struct OffPlan {
    /// What kind of flag it is.
    pub shape: Shape,
    /// The fields to set; empty if the flag is already as wanted.
    pub edits: Vec<Edit>,
    /// In a few words: what callers get now.
    pub before: String,
    /// In a few words: what callers get then.
    pub after: String,
    /// The variant that callers then get; `None` for a boolean.
    pub variant: Option<String>,
    /// The value that callers then get: what the verification looks for.
    pub value: Value,
    /// Nothing needs to be written, and nothing is ours to undo.
    pub already: bool,
    /// Sentences for the ballot.
    pub warnings: Vec<String>,
}

/// Why a flag cannot be switched; the caller says which flag it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlagError {
    /// Neither a boolean nor a definition.
    #[error("it holds {0}, which is neither true or false nor an OpenFeature flag with `variants`")]
    NotAFlag(String),
    /// A home-made object: the switch is one of its members.
    #[error("it holds an object without `variants`; point at its switch instead: {0}")]
    PointInside(String),
    /// Another system's definition.
    #[error(
        "it is a flag of GO Feature Flag (`variations`), whose rules First Aid does not know; point at a true \
            or false, or edit it by hand"
    )]
    GoFeatureFlag,
    /// A definition that flagd would not take either.
    #[error("its `{field}` is {holds}, not {wanted}")]
    Malformed {
        /// Which field.
        field: &'static str,
        /// What it holds.
        holds: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// Which variant is off cannot be told.
    #[error(
        "which variant is off? not exactly one has the value false and none is called `off`; say it with `to`: {0}"
    )]
    NoOff(String),
    /// `to` names nothing.
    #[error("`to` is {to}, and the flag has no such variant; it has {variants}")]
    Undeclared {
        /// What was wanted.
        to: String,
        /// The variants with their values.
        variants: String,
    },
    /// `to` of a boolean.
    #[error("`to` is {0}, and this switch takes only true or false")]
    NotBoolean(String),
    /// Rules, and the author did not say what becomes of them.
    #[error(
        "it has targeting rules, which would go on deciding for the callers they match: {0}; `rules: Suspend` \
            sets them aside until the undo, `rules: Keep` leaves them"
    )]
    Targeted(String),
    /// The document to evaluate has no flags.
    #[error("there is nothing to evaluate: neither `flags` nor a flag with `variants`")]
    NoFlags,
    /// The document to evaluate lacks this flag.
    #[error("there is no flag `{flag}`; there is {has}")]
    UnknownFlag {
        /// What was looked for.
        flag: String,
        /// The flags that exist.
        has: String,
    },
}

/// What kind of flag this is.
pub fn shape(flag: &Value) -> Result<Shape, FlagError> {
    let fields = match flag {
        Value::Bool(_) => return Ok(Shape::Boolean),
        Value::Object(fields) => fields,
        Value::Null | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            return Err(FlagError::NotAFlag(described(flag)));
        }
    };
    if fields.contains_key(VARIANTS) {
        return Ok(Shape::OpenFeature);
    }
    if fields.contains_key("variations") {
        return Err(FlagError::GoFeatureFlag);
    }
    let switches = names(fields.iter().filter(|(_, value)| value.is_boolean()).map(|(name, _)| name.as_str()));
    Err(if switches.is_empty() { FlagError::NotAFlag(described(flag)) } else { FlagError::PointInside(switches) })
}

/// Plans how `flag` goes to its off, or to `to`: a bool for a switch; the name of a variant for a definition, where a
/// bool means the only variant with that value. (A bool also means the variant called `on` or `off` if there is no
/// such value: `to: off` without quotes reaches us as false, because kubectl reads YAML 1.1.)
pub fn off(flag: &Value, to: Option<&Value>, rules: Rules) -> Result<OffPlan, FlagError> {
    match (shape(flag)?, flag) {
        (Shape::OpenFeature, Value::Object(fields)) => definition_off(fields, to, rules),
        _ => switch_off(flag, to),
    }
}

fn switch_off(flag: &Value, to: Option<&Value>) -> Result<OffPlan, FlagError> {
    let wanted = match to {
        None => false,
        Some(Value::Bool(to)) => *to,
        // Parameters of a runbook are texts.
        Some(Value::String(word)) if word == "true" => true,
        Some(Value::String(word)) if word == "false" => false,
        Some(other) => return Err(FlagError::NotBoolean(shown(other))),
    };
    let value = Value::Bool(wanted);
    let already = *flag == value;
    let edit = Edit { pointer: Pointer::root(), value: value.clone() };
    Ok(OffPlan {
        shape: Shape::Boolean,
        edits: if already { Vec::new() } else { vec![edit] },
        before: flag.to_string(),
        after: value.to_string(),
        variant: None,
        value,
        already,
        warnings: Vec::new(),
    })
}

fn definition_off(flag: &Map<String, Value>, to: Option<&Value>, rules: Rules) -> Result<OffPlan, FlagError> {
    let variants = match flag.get(VARIANTS) {
        Some(Value::Object(variants)) => variants,
        other => return Err(malformed(VARIANTS, other, "an object of named values")),
    };
    let state = text_field(flag, STATE)?;
    let default = text_field(flag, DEFAULT_VARIANT)?;
    let (name, value) = match to {
        Some(to) => wanted_variant(variants, to)?,
        None => off_variant(variants)?,
    };
    let targeting = flag.get(TARGETING).filter(|rules| !is_empty(rules));
    if let (Some(targeting), Rules::Refuse) = (targeting, rules) {
        return Err(FlagError::Targeted(shown(targeting)));
    }
    let suspended = targeting.is_some() && rules == Rules::Suspend;

    let mut fields = Vec::new();
    // A missing state means enabled to flagd; only what is there is put right.
    fields.extend(flag.get(STATE).filter(|state| *state != ENABLED).map(|_| (STATE, json!(ENABLED))));
    fields.extend((default != Some(name)).then(|| (DEFAULT_VARIANT, json!(name))));
    fields.extend(suspended.then(|| (TARGETING, json!({}))));
    let edits: Vec<Edit> =
        fields.into_iter().map(|(field, value)| Edit { pointer: Pointer::root().child(field), value }).collect();

    let now = if state == Some(DISABLED) { "disabled (default in code)" } else { default.unwrap_or("default in code") };
    let with_rules = if targeting.is_some() && state != Some(DISABLED) { " with rules" } else { "" };
    let then = match (targeting, suspended) {
        (None, _) => "",
        (Some(_), true) => ", rules suspended",
        (Some(_), false) => ", rules kept",
    };
    Ok(OffPlan {
        shape: Shape::OpenFeature,
        already: edits.is_empty(),
        edits,
        before: format!("{now}{with_rules}"),
        after: format!("{name}{then}"),
        warnings: warnings(variants, state, to, (name, value), targeting.map(|_| rules)),
        variant: Some(name.to_owned()),
        value: value.clone(),
    })
}

fn warnings(
    variants: &Map<String, Value>,
    state: Option<&str>,
    to: Option<&Value>,
    (name, value): (&str, &Value),
    rules: Option<Rules>,
) -> Vec<String> {
    let shown_value = shown(value);
    let mut warnings = Vec::new();
    if state == Some(DISABLED) {
        warnings.push(format!(
            "the flag is DISABLED: every caller now gets the default in its own code, which may be off already; \
                after this they get `{name}` ({shown_value})"
        ));
    }
    match rules {
        Some(Rules::Keep) => warnings.push(format!(
            "the targeting rules stay: callers that they match keep what their rule says, and only the others \
                get `{name}`"
        )),
        Some(Rules::Suspend) => warnings.push(
            "the targeting rules are set aside for everybody until the undo \
            brings them back"
                .to_owned(),
        ),
        Some(Rules::Refuse) | None => {}
    }
    if to.is_none() && *value == Value::Bool(true) {
        warnings.push(format!(
            "`{name}` has the value true: if that is not the off of this flag, say the right variant with `to`"
        ));
    }
    if let Some(named) = variants.get(OFF).filter(|_| to.is_none() && name != OFF) {
        let named = shown(named);
        warnings.push(format!(
            "`{name}` is taken because it alone has the value false; the variant called `off` has {named}"
        ));
    }
    warnings
}

fn text_field<'f>(flag: &'f Map<String, Value>, field: &'static str) -> Result<Option<&'f str>, FlagError> {
    match flag.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        other => Err(malformed(field, other, "a text")),
    }
}

fn malformed(field: &'static str, holds: Option<&Value>, wanted: &'static str) -> FlagError {
    FlagError::Malformed { field, holds: holds.map_or_else(|| "missing".to_owned(), shown), wanted }
}

/// flagd takes all of these for "no rules".
fn is_empty(targeting: &Value) -> bool {
    match targeting {
        Value::Null => true,
        Value::Object(rules) => rules.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) => false,
    }
}

type Variant<'v> = (&'v str, &'v Value);

fn off_variant(variants: &Map<String, Value>) -> Result<Variant<'_>, FlagError> {
    only_with(variants, false).or_else(|| called(variants, OFF)).ok_or_else(|| FlagError::NoOff(listed(variants)))
}

fn wanted_variant<'v>(variants: &'v Map<String, Value>, to: &Value) -> Result<Variant<'v>, FlagError> {
    let found = match to {
        Value::String(name) => called(variants, name),
        Value::Bool(value) => only_with(variants, *value).or_else(|| called(variants, if *value { ON } else { OFF })),
        Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
    };
    found.ok_or_else(|| FlagError::Undeclared { to: shown(to), variants: listed(variants) })
}

fn called<'v>(variants: &'v Map<String, Value>, name: &str) -> Option<Variant<'v>> {
    variants.get_key_value(name).map(|(name, value)| (name.as_str(), value))
}

fn only_with(variants: &Map<String, Value>, wanted: bool) -> Option<Variant<'_>> {
    let mut same = variants.iter().filter(|(_, value)| **value == Value::Bool(wanted));
    let (name, value) = same.next()?;
    same.next().is_none().then_some((name, value))
}

fn listed(variants: &Map<String, Value>) -> String {
    if variants.is_empty() {
        return "no variants".to_owned();
    }
    variants.iter().map(|(name, value)| format!("`{name}` = {}", shown(value))).collect::<Vec<_>>().join(", ")
}

/// Where a flag stands in a FeatureFlag resource (core.openfeature.dev/v1beta1). Keys with slashes are escaped, which
/// a JSON patch needs.
pub fn resource_place(key: &str) -> Pointer {
    ["spec", "flagSpec", "flags", key].iter().fold(Pointer::root(), |at, part| at.child(*part))
}

#[cfg(test)]
mod tests;
