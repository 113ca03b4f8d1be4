//! What callers would get from a flag, by OpenFeature's own evaluator (flagd-evaluation-engine).
//!
//! The engine carries the operators of targeting rules; the order around them (state, rules, default) is flagd's
//! `evaluateVariant`. Trap: `fractional` splits people as the engine's version of flagd does; an older flagd may put
//! the same key elsewhere. That a flag is off for everybody is proven all the same, who is on which side is not.

use std::{fmt, sync::Arc};

use flagd_evaluation_engine::{FlagParser, Operator};
use open_feature::{EvaluationContext, EvaluationContextFieldValue as Field, StructValue, Value as FieldValue};
use serde_json::{Map, Value, json};

use super::{document::names, openfeature::FlagError};

/// What one caller gets.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// Who asks.
    pub context: Value,
    /// The variant; `None` where callers get the default in their own code, or an error.
    pub variant: Option<String>,
    /// Its value.
    pub value: Option<Value>,
    /// Why.
    pub reason: Reason,
}

/// Why a caller gets what it gets, in flagd's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There are no rules: everybody gets the default variant.
    Static,
    /// A rule matched.
    TargetingMatch,
    /// No rule matched, so the default variant counts; without one, the default in the caller's code.
    Default,
    /// `state: DISABLED`: the default in the caller's code.
    Disabled,
    /// It cannot be evaluated; callers get the default in their code.
    Error(String),
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Static => out.write_str("STATIC"),
            Reason::TargetingMatch => out.write_str("TARGETING_MATCH"),
            Reason::Default => out.write_str("DEFAULT"),
            Reason::Disabled => out.write_str("DISABLED"),
            Reason::Error(why) => write!(out, "ERROR: {why}"),
        }
    }
}

impl fmt::Display for Evaluation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.variant, &self.value) {
            (Some(variant), Some(value)) => write!(out, "{} gets `{variant}` ({value}), {}", self.context, self.reason),
            _ => write!(out, "{} gets the default in its code, {}", self.context, self.reason),
        }
    }
}

/// The callers that are asked for where the author names none: nobody in particular, and two that a split by
/// percentage may treat differently.
pub fn default_contexts() -> Vec<Value> {
    vec![json!({}), json!({"targetingKey": "firstaid-a"}), json!({"targetingKey": "firstaid-b"})]
}

/// What each of `contexts` (or the [`default_contexts`]) gets from `flag`. `document` is a flagd document with `flags`,
/// such as a FeatureFlag's `spec.flagSpec`, or one flag's definition; `now`, in seconds since 1970, is what rules see
/// as `$flagd.timestamp`.
pub fn evaluate(document: &Value, flag: &str, contexts: &[Value], now: i64) -> Result<Vec<Evaluation>, FlagError> {
    let definition = definition(document, flag)?;
    let asked = if contexts.is_empty() { default_contexts() } else { contexts.to_vec() };
    let prepared = Prepared::new(document, flag, definition);
    let evaluated = asked.into_iter().map(|context| {
        let outcome = prepared.as_ref().map_err(Clone::clone).and_then(|flag| flag.variant(&context, now));
        let (variant, value, reason) = match outcome {
            Ok((variant, value, reason)) => (variant, value, reason),
            Err(why) => (None, None, Reason::Error(why)),
        };
        Evaluation { context, variant, value, reason }
    });
    Ok(evaluated.collect())
}

fn definition<'d>(document: &'d Value, flag: &str) -> Result<&'d Map<String, Value>, FlagError> {
    if let Some(flags) = document.get("flags").and_then(Value::as_object) {
        let has = || if flags.is_empty() { "none".to_owned() } else { names(flags.keys().map(String::as_str)) };
        let found = flags.get(flag).and_then(Value::as_object);
        return found.ok_or_else(|| FlagError::UnknownFlag { flag: flag.to_owned(), has: has() });
    }
    document.as_object().filter(|fields| fields.contains_key("variants")).ok_or(FlagError::NoFlags)
}

/// A flag as the engine parsed it, references to shared `$evaluators` resolved.
struct Prepared<'f> {
    key: &'f str,
    flag: flagd_evaluation_engine::FeatureFlag,
    operator: Operator,
}

type Outcome = (Option<String>, Option<Value>, Reason);

impl<'f> Prepared<'f> {
    fn new(document: &Value, key: &'f str, definition: &Map<String, Value>) -> Result<Self, String> {
        let evaluators = document.get("$evaluators").and_then(Value::as_object).cloned().unwrap_or_default();
        let targeting = definition.get("targeting").cloned().unwrap_or(Value::Null);
        affordable(&targeting, &evaluators)?;
        // The engine refuses a whole document for one flag that it does not like (a missing default is enough), so it
        // gets only ours, with what flagd takes for granted written out.
        let text = |field: &str| definition.get(field).and_then(Value::as_str).unwrap_or_default();
        let ours = json!({
            "state": text("state"),
            "defaultVariant": text("defaultVariant"),
            "variants": definition.get("variants"),
            "targeting": targeting,
        });
        let document = json!({"flags": {key: ours}, "$evaluators": evaluators});
        let parsed = FlagParser::parse_string(&document.to_string()).map_err(|error| error.to_string())?;
        let flag = parsed.flags.into_values().next().ok_or("the flag got lost in parsing")?;
        Ok(Self { key, flag, operator: Operator::new() })
    }

    fn variant(&self, context: &Value, now: i64) -> Result<Outcome, String> {
        if self.flag.state == "DISABLED" {
            return Ok((None, None, Reason::Disabled));
        }
        let rules = self.flag.get_targeting();
        if ["{}", "null", "\"\""].contains(&rules.as_str()) {
            return self.default(Reason::Static);
        }
        let context = engine_context(context, self.key, now);
        let Some(said) = self.operator.apply(self.key, &rules, &context).map_err(|error| error.to_string())? else {
            return self.default(Reason::Default);
        };
        let value = self.flag.variants.get(&said).cloned();
        let value = value.ok_or_else(|| format!("the rules answer `{said}`, which is no variant"))?;
        Ok((Some(said), Some(value), Reason::TargetingMatch))
    }

    fn default(&self, reason: Reason) -> Result<Outcome, String> {
        let name = &self.flag.default_variant;
        if name.is_empty() {
            return Ok((None, None, Reason::Default));
        }
        let value = self.flag.variants.get(name).cloned();
        let value = value.ok_or_else(|| format!("the default variant `{name}` is no variant"))?;
        Ok((Some(name.clone()), Some(value), reason))
    }
}

/// The engine's own shape of a context. It has no null, which rules cannot tell from a missing field anyway.
fn engine_context(context: &Value, flag: &str, now: i64) -> EvaluationContext {
    let mut made = EvaluationContext::default();
    for (key, value) in context.as_object().into_iter().flatten() {
        match value {
            Value::String(text) if key == "targetingKey" => made.targeting_key = Some(text.clone()),
            _ => {
                made.custom_fields
                    .extend(field_value(value).map(|value| (key.clone(), Field::Struct(Arc::new(value)))));
            }
        }
    }
    // The engine would read the clock here. As flagd does, this goes over whatever the caller calls `$flagd`.
    let flagd = [("flagKey".to_owned(), FieldValue::from(flag)), ("timestamp".to_owned(), FieldValue::Int(now))];
    let flagd = FieldValue::Struct(StructValue { fields: flagd.into() });
    made.custom_fields.insert("$flagd".to_owned(), Field::Struct(Arc::new(flagd)));
    made
}

fn field_value(value: &Value) -> Option<FieldValue> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(value) => FieldValue::Bool(*value),
        Value::Number(number) => match number.as_i64() {
            Some(number) => FieldValue::Int(number),
            None => FieldValue::Float(number.as_f64()?),
        },
        Value::String(text) => FieldValue::String(text.clone()),
        Value::Array(items) => FieldValue::Array(items.iter().filter_map(field_value).collect()),
        Value::Object(fields) => {
            let fields = fields.iter().filter_map(|(key, value)| Some((key.clone(), field_value(value)?)));
            FieldValue::Struct(StructValue { fields: fields.collect() })
        }
    })
}

/// Rules come from a tenant and run inside the operator, so what could eat its time or memory is not evaluated: loops
/// in loops, `reduce` (which can double a text at every turn), shared evaluators that multiply each other.
fn affordable(rules: &Value, evaluators: &Map<String, Value>) -> Result<(), String> {
    const WITH_A_LOOP: usize = 2_000;
    let mut meter = Meter { evaluators, size: 0, loops: false };
    meter.walk(rules, 0, false)?;
    if meter.loops && meter.size > WITH_A_LOOP {
        return Err("the rules are too long to be evaluated here with a loop in them".to_owned());
    }
    Ok(())
}

struct Meter<'e> {
    evaluators: &'e Map<String, Value>,
    size: usize,
    loops: bool,
}

impl Meter<'_> {
    fn walk(&mut self, rules: &Value, depth: usize, in_loop: bool) -> Result<(), String> {
        const LONGEST: usize = 20_000;
        const DEEPEST: usize = 120;
        self.size += 1;
        if self.size > LONGEST || depth > DEEPEST {
            return Err("the rules are too long, too deep or go in circles, so they are not evaluated here".to_owned());
        }
        match rules {
            Value::Object(fields) => {
                for (operator, arguments) in fields {
                    let shared =
                        arguments.as_str().filter(|_| operator == "$ref").and_then(|name| self.evaluators.get(name));
                    let is_loop = ["map", "filter", "all", "some", "none"].contains(&operator.as_str());
                    if operator == "reduce" || (is_loop && in_loop) {
                        return Err(format!(
                            "the rules use `{operator}` in a way that is not evaluated here (it may not end)"
                        ));
                    }
                    self.loops |= is_loop;
                    self.walk(shared.unwrap_or(arguments), depth + 1, in_loop || is_loop)?;
                }
                Ok(())
            }
            Value::Array(items) => items.iter().try_for_each(|item| self.walk(item, depth + 1, in_loop)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
