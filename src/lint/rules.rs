//! The rules that the schema of a kind has beside its shape: CEL, evaluated here as the API server evaluates it.
//!
//! A rule is about the whole of something (`self.steps.all(...)`), and says no more than that it does not hold. Which item
//! of the list it is about is found by asking again with fewer of them: no rule is written here for a second time.

use kube_cel::{CompiledSchema, ErrorKind, ValidationError, Validator, compile_schema};
use serde_json::Value;

use super::finding::Problem;
use super::instead::instead;
use super::schema::Path;
use super::yaml::{Node, Place};

/// The rules of a kind.
pub struct Rules {
    compiled: CompiledSchema,
    validator: Validator,
}

impl Rules {
    /// The rules of a schema.
    pub fn of(schema: &Value) -> Self {
        let mut schema = schema.clone();
        evaluable(&mut schema);
        Self { compiled: compile_schema(&schema), validator: Validator::new() }
    }

    /// The rules that do not hold, each at the first field that it names. `object` is the document as it would be stored.
    pub fn broken(&self, object: &Value, node: &Node) -> Vec<Problem> {
        let mut found = Vec::new();
        for error in self.errors(object) {
            match culprits(self, object, &error) {
                culprits if culprits.is_empty() => {
                    let path = Path::parse(&error.field_path);
                    found.push(problem(&error, &error.rule, node, &path));
                }
                culprits => {
                    let body = body(&error.rule);
                    found.extend(culprits.iter().map(|path| problem(&error, body, node, path)));
                }
            }
        }
        found
    }

    fn errors(&self, object: &Value) -> Vec<ValidationError> {
        match self.validator.validate_compiled(&self.compiled, object, None) {
            Ok(()) => Vec::new(),
            // Whatever else there is comes of a shape that does not fit, and of that the schema has spoken.
            Err(errors) => errors.into_iter().filter(|error| error.kind == ErrorKind::ValidationFailure).collect(),
        }
    }

    fn breaks(&self, object: &Value, error: &ValidationError) -> bool {
        self.errors(object).iter().any(|found| found.rule == error.rule && found.field_path == error.field_path)
    }
}

/// Puts each rule in words that are evaluated here as on the API server. This evaluator has `type(x)`, and no `int` to
/// compare it with; the values that are compared so are numbers or texts.
fn evaluable(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            for rule in fields.get_mut("x-kubernetes-validations").and_then(Value::as_array_mut).into_iter().flatten() {
                if let Some(Value::String(text)) = rule.get_mut("rule") {
                    *text = without_type(text);
                }
            }
            fields.values_mut().for_each(evaluable);
        }
        Value::Array(items) => items.iter_mut().for_each(evaluable),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// `string(x) != x` for `type(x) == int`, and the other way round.
fn without_type(rule: &str) -> String {
    let mut pieces = rule.split("type(");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let known = piece.split_once(')').and_then(|(of, rest)| {
            let rest_of = |sign| rest.strip_prefix(sign).map(|rest| (of, rest));
            rest_of(" == int").map(|found| ("!=", found)).or_else(|| rest_of(" != int").map(|found| ("==", found)))
        });
        match known {
            Some((sign, (of, rest))) => text.push_str(&format!("string({of}) {sign} {of}{rest}")),
            None => text.push_str(&format!("type({piece}")),
        }
    }
    text
}

/// The items that break a rule about a list, where it is one.
fn culprits(rules: &Rules, object: &Value, error: &ValidationError) -> Vec<Path> {
    let Some(name) = listed(&error.rule) else { return Vec::new() };
    let list = Path::parse(&error.field_path).field(name);
    let Some(items) = object.pointer(&list.pointer()).and_then(Value::as_array) else { return Vec::new() };
    let mut object = object.clone();
    // Each item with those before it that are in order: of two that are the same it is the second one.
    let (mut kept, mut found) = (Vec::new(), Vec::new());
    for (index, item) in items.iter().enumerate() {
        let mut tried: Vec<Value> = kept.clone();
        tried.push(item.clone());
        let Some(place) = object.pointer_mut(&list.pointer()) else { return Vec::new() };
        *place = Value::Array(tried.clone());
        if rules.breaks(&object, error) {
            found.push(list.item(index));
        } else {
            kept = tried;
        }
    }
    found
}

/// The list of `self.LIST.all(...)`, perhaps after `!has(self.LIST) || `.
fn listed(rule: &str) -> Option<&str> {
    let rule = rule.strip_prefix("!has(").and_then(|rest| rest.split_once(") || ")).map_or(rule, |(_, rest)| rest);
    let (name, _) = rule.strip_prefix("self.")?.split_once(".all(")?;
    name.chars().all(|c| c.is_ascii_alphanumeric()).then_some(name)
}

/// What the rule says of each item, with the name that an item has in it replaced by `self`.
fn body(rule: &str) -> &str {
    rule.split_once(".all(").map_or(rule, |(_, body)| body)
}

/// The problem at the first field that the rule names and that is there.
fn problem(error: &ValidationError, says: &str, node: &Node, path: &Path) -> Problem {
    let here = path.in_node(node);
    let (mut place, mut path) = (here.place, path.clone());
    let mut named = says;
    while let Some((before, after)) = named.split_once('.') {
        let end = after.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(after.len());
        let (name, rest) = after.split_at(end);
        // `self.minimum` and, in a list, `s.gate`; not `x.size()`.
        let of_item = before.ends_with("self") || before.ends_with(|c: char| c.is_ascii_lowercase());
        if let Some(field) = here.field(name).filter(|_| of_item && !rest.starts_with('(')) {
            place = marked(field.place, &field.value);
            path = path.field(name);
            break;
        }
        named = rest;
    }
    Problem::at(place, &path, error.message.clone(), instead(&error.message))
}

/// The value where it is one word beside its name, else the name.
fn marked(name: Place, value: &Node) -> Place {
    let scalar = !value.written.is_empty() && value.place.line == name.line;
    if scalar { value.place } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A rule that cannot be evaluated here would be one that always holds.
    #[test]
    fn every_rule_of_the_kind_is_evaluated() {
        let mut schema = crate::lint::schema_of_kind().unwrap();
        evaluable(&mut schema);
        assert!(!schema.to_string().contains("type("), "{schema}");
        let rules = Rules::of(&schema);
        assert_eq!(rules.compiled.compilation_errors().len(), 0);
        let target = serde_json::json!({"kind": "Deployment", "name": "a"});
        let mut scales = vec![
            serde_json::json!({"target": target, "replicas": 3, "min": 1, "max": 4, "contain": true}),
            serde_json::json!({"target": target, "atLeast": "${params.a}", "min": "${params.a}", "max": "${params.b}"}),
            serde_json::json!({"target": target, "by": "50%"}),
            serde_json::json!({"target": target, "by": -2}),
        ];
        let steps: Vec<Value> = scales.drain(..).enumerate().map(|(index, scale)| {
            serde_json::json!({"name": format!("s{index}"), "gate": "on-call", "scale": scale, "revertAfter": "5m", "autoRevert": true, "timeout": "1m"})
        }).chain([
            serde_json::json!({"name": "r", "gate": "None", "restart": {"target": target}}),
            serde_json::json!({"name": "f", "gate": "on-call", "disable": {"flag": "a", "featureFlag": {"name": "a"}}}),
            serde_json::json!({"name": "m", "gate": "on-call", "disable": {"flag": "a", "configMap": {"name": "a", "key": "b", "format": "Json", "pointer": "/a"}}}),
            serde_json::json!({"name": "c", "check": {"object": target, "that": "true", "within": "1m", "holdFor": "1s"}}),
        ]).collect();
        let object = serde_json::json!({"apiVersion": "a", "kind": "Runbook", "metadata": {"name": "a"}, "spec": {
            "summary": "s", "serviceAccountName": "firstaid", "steps": steps,
            "parameters": [{"name": "a", "type": "integer", "default": "1", "minimum": 1, "maximum": 2}],
            "gates": [{"name": "on-call", "requires": [{"role": "sre", "count": 1}], "validFor": "15m", "timeout": "1h",
                "selfApproval": "Alone", "aloneAfter": "5m", "coversUndo": "30m"}]}});
        let said: Vec<String> = match rules.validator.validate_compiled(&rules.compiled, &object, None) {
            Ok(()) => Vec::new(),
            Err(errors) => errors.iter().map(|error| format!("{error} ({:?}): {}", error.kind, error.rule)).collect(),
        };
        assert_eq!(said, Vec::<String>::new());
    }

    #[test]
    fn what_is_a_number_is_asked_in_other_words() {
        assert_eq!(
            without_type("!has(self.a) || type(self.a) != int || self.a >= 0"),
            "!has(self.a) || string(self.a) == self.a || self.a >= 0"
        );
        assert_eq!(
            without_type("type(self) == int || (self.matches('x'))"),
            "string(self) != self || (self.matches('x'))"
        );
        assert_eq!(without_type("type(self) == string"), "type(self) == string");
    }

    #[test]
    fn the_list_that_a_rule_is_about_is_found() {
        assert_eq!(listed("self.steps.all(s, has(s.gate))"), Some("steps"));
        assert_eq!(listed("!has(self.gates) || self.gates.all(g, true)"), Some("gates"));
        assert_eq!(listed("self.minimum <= self.maximum"), None);
        assert_eq!(listed("self.requires.map(r, r.count).sum() <= 8"), None);
    }
}
