//! Whether what is installed is what was shipped.
//!
//! Specs are compared as a whole and every difference counts: a selector, a match condition or an exception that somebody
//! adds takes requests away from a policy without a word of it being changed. Only what the API server fills in by itself
//! is allowed for, and that is filled into the shipped side, by name.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// A policy or a binding by kind and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// Such as `ValidatingAdmissionPolicy`.
    pub kind: String,
    /// Such as `firstaid-ballot`.
    pub name: String,
}

impl Name {
    /// The name of an object.
    pub fn of(object: &Value) -> Self {
        let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self { kind: text("/kind"), name: text("/metadata/name") }
    }

    /// Policies that fill in names only save typing: a missing stamp is a refusal and never a wrong name.
    fn may_be_absent(&self) -> bool {
        self.kind.starts_with("Mutating")
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// What is wrong with a policy or a binding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is not there.
    Gone(Name),
    /// It is there, and this differs.
    Differs(Name, String),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Gone(name) => write!(f, "{name} is gone"),
            Self::Differs(name, what) => write!(f, "{name} is not as it was shipped: {what}"),
        }
    }
}

/// What is wrong with what is installed, by name, seen against versions of the policies of which the first is the newest.
/// Nothing, where it is one of them as a whole: a mix of two versions is none that anybody has looked at.
pub fn faults(versions: &[Vec<Value>], installed: &BTreeMap<Name, Value>) -> Vec<Fault> {
    let mut newest = None;
    for version in versions {
        let faults: Vec<Fault> = version.iter().filter_map(|shipped| fault(shipped, installed)).collect();
        if faults.is_empty() {
            return faults;
        }
        newest.get_or_insert(faults);
    }
    newest.unwrap_or_default()
}

fn fault(shipped: &Value, installed: &BTreeMap<Name, Value>) -> Option<Fault> {
    let name = Name::of(shipped);
    let Some(found) = installed.get(&name) else {
        return (!name.may_be_absent()).then_some(Fault::Gone(name));
    };
    let spec = |object: &Value| object.get("spec").cloned().unwrap_or_default();
    let what = difference("spec", &as_stored(spec(shipped)), &spec(found))?;
    Some(Fault::Differs(name, what))
}

/// The faults as one sentence, with the commands that put things back. Bounded: it is shown on every run that waits.
pub fn sentence(faults: &[Fault], operator_namespace: &str) -> String {
    const SHOWN: usize = 3;
    let mut text = faults.iter().take(SHOWN).map(ToString::to_string).collect::<Vec<_>>().join("; ");
    if faults.len() > SHOWN {
        text += &format!("; and {} more", faults.len() - SHOWN);
    }
    let manifest = format!("helm get manifest firstaid -n {operator_namespace} | kubectl");
    // `apply` makes what is missing, but leaves in place what somebody has added.
    let mut commands = Vec::new();
    if faults.iter().any(|fault| matches!(fault, Fault::Gone(_))) {
        commands.push(format!("{manifest} apply -f -"));
    }
    if faults.iter().any(|fault| matches!(fault, Fault::Differs(..))) {
        commands.push(format!("{manifest} replace -f -"));
    }
    format!("{text}; to put it back: {}", commands.join(" ; "))
}

/// A spec with what the API server fills in, the same from 1.33 to 1.36.
fn as_stored(mut spec: Value) -> Value {
    let Some(fields) = spec.as_object_mut() else { return spec };
    if fields.contains_key("matchConstraints") {
        fields.entry("failurePolicy").or_insert_with(|| json!("Fail"));
    }
    for matching in ["matchConstraints", "matchResources"] {
        let Some(matching) = fields.get_mut(matching).and_then(Value::as_object_mut) else { continue };
        matching.entry("matchPolicy").or_insert_with(|| json!("Equivalent"));
        matching.entry("namespaceSelector").or_insert_with(|| json!({}));
        matching.entry("objectSelector").or_insert_with(|| json!({}));
        for rules in ["resourceRules", "excludeResourceRules"] {
            for rule in matching.get_mut(rules).and_then(Value::as_array_mut).into_iter().flatten() {
                if let Some(rule) = rule.as_object_mut() {
                    rule.entry("scope").or_insert_with(|| json!("*"));
                }
            }
        }
    }
    spec
}

/// The first difference, in words.
fn difference(at: &str, shipped: &Value, found: &Value) -> Option<String> {
    match (shipped, found) {
        _ if shipped == found => None,
        (Value::Object(ours), Value::Object(theirs)) => {
            let changed = ours.iter().find_map(|(key, value)| match theirs.get(key) {
                Some(other) => difference(&format!("{at}.{key}"), value, other),
                None => Some(format!("{at}.{key} is missing")),
            });
            let added = || theirs.keys().find(|key| !ours.contains_key(*key));
            changed.or_else(|| added().map(|key| format!("{at}.{key} was added")))
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.iter().chain(theirs).any(Value::is_object) => {
            if ours.len() != theirs.len() {
                return Some(format!("{at} has {} entries, not {}", theirs.len(), ours.len()));
            }
            let pairs = ours.iter().zip(theirs).enumerate();
            pairs.into_iter().find_map(|(n, (ours, theirs))| difference(&format!("{at}[{n}]"), ours, theirs))
        }
        _ => {
            let (shipped, found) = (shipped.to_string(), found.to_string());
            let short = shipped.chars().count().max(found.chars().count()) <= 60;
            Some(if short { format!("{at} is {found}, not {shipped}") } else { format!("{at} was changed") })
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::guard::shipped::{CURRENT, Values};

    /// All that was shipped, as the API server would store it.
    fn installed(version: &[Value]) -> BTreeMap<Name, Value> {
        let stored = |object: &Value| json!({"spec": as_stored(object["spec"].clone())});
        version.iter().map(|object| (Name::of(object), stored(object))).collect()
    }

    fn name(kind: &str, name: &str) -> Name {
        Name { kind: kind.to_owned(), name: name.to_owned() }
    }

    fn shipped() -> Vec<Value> {
        Values::default().render(CURRENT).unwrap()
    }

    #[test]
    fn what_was_shipped_is_as_shipped() {
        let version = shipped();
        assert_eq!(faults(std::slice::from_ref(&version), &installed(&version)), []);
    }

    const POLICY: &str = "ValidatingAdmissionPolicy";
    const BINDING: &str = "ValidatingAdmissionPolicyBinding";

    #[rstest]
    #[case(POLICY, "/spec/failurePolicy", json!("Ignore"), r#"spec.failurePolicy is "Ignore", not "Fail""#)]
    #[case(POLICY, "/spec/matchConstraints/matchPolicy", json!("Exact"), r#"spec.matchConstraints.matchPolicy is "Exact", not "Equivalent""#)]
    #[case(POLICY, "/spec/matchConstraints/objectSelector/matchLabels", json!({"a": "b"}), "spec.matchConstraints.objectSelector.matchLabels was added")]
    #[case(POLICY, "/spec/matchConstraints/namespaceSelector/matchLabels", json!({"a": "b"}), "spec.matchConstraints.namespaceSelector.matchLabels was added")]
    #[case(POLICY, "/spec/matchConstraints/excludeResourceRules", json!([]), "spec.matchConstraints.excludeResourceRules was added")]
    #[case(POLICY, "/spec/matchConstraints/resourceRules/0/operations", json!(["CREATE"]), r#"spec.matchConstraints.resourceRules[0].operations is ["CREATE"], not ["CREATE","UPDATE"]"#)]
    #[case(POLICY, "/spec/matchConditions", json!([{"name": "never", "expression": "false"}]), "spec.matchConditions was added")]
    #[case(POLICY, "/spec/paramKind", json!({}), "spec.paramKind was added")]
    #[case(POLICY, "/spec/validations/0/expression", json!("true"), "spec.validations[0].expression is \"true\", not \"!variables.create || variables.operator\"")]
    #[case(POLICY, "/spec/validations", json!([]), "spec.validations has 0 entries, not 22")]
    #[case(POLICY, "/spec/variables/1/expression", json!("true"), "spec.variables[1].expression was changed")]
    #[case(BINDING, "/spec/validationActions", json!(["Audit"]), r#"spec.validationActions is ["Audit"], not ["Deny","Audit"]"#)]
    #[case(BINDING, "/spec/matchResources", json!({}), "spec.matchResources was added")]
    #[case(BINDING, "/spec/paramRef", json!({}), "spec.paramRef was added")]
    #[case(BINDING, "/spec/policyName", json!("other"), r#"spec.policyName is "other", not "firstaid-ballot""#)]
    fn every_difference_counts(#[case] kind: &str, #[case] at: &str, #[case] value: Value, #[case] what: &str) {
        let version = shipped();
        let mut installed = installed(&version);
        let name = name(kind, "firstaid-ballot");
        let (parent, key) = at.rsplit_once('/').unwrap();
        installed.get_mut(&name).unwrap().pointer_mut(parent).unwrap()[key] = value;
        assert_eq!(faults(&[version], &installed), [Fault::Differs(name, what.to_owned())]);
    }

    #[test]
    fn what_is_gone_is_named_and_what_only_saves_typing_may_be_gone() {
        let version = shipped();
        let mut installed = installed(&version);
        installed.retain(|name, _| !name.may_be_absent());
        assert_eq!(faults(std::slice::from_ref(&version), &installed), []);
        let gone = name(BINDING, "firstaid-evidence");
        installed.remove(&gone);
        let faults = faults(&[version], &installed);
        assert_eq!(
            sentence(&faults, "firstaid-system"),
            "ValidatingAdmissionPolicyBinding firstaid-evidence is gone; to put it back: \
             helm get manifest firstaid -n firstaid-system | kubectl apply -f -"
        );
    }

    #[test]
    fn a_policy_that_saves_typing_must_not_differ_where_it_is() {
        let version = shipped();
        let mut installed = installed(&version);
        let name = name("MutatingAdmissionPolicy", "firstaid-vote");
        installed.get_mut(&name).unwrap()["spec"]["mutations"] = json!([]);
        let what = "spec.mutations has 0 entries, not 1".to_owned();
        assert_eq!(faults(&[version], &installed), [Fault::Differs(name, what)]);
    }

    /// An upgrade is no outage: the version before counts too. But only as a whole.
    #[test]
    fn the_version_before_counts_and_a_mix_does_not() {
        const BEFORE: &str = "
kind: ValidatingAdmissionPolicy
metadata: {name: firstaid-ballot}
spec: {matchConstraints: {resourceRules: [{resources: [approvals]}]}, validations: [{expression: 'false'}]}
---
kind: ValidatingAdmissionPolicyBinding
metadata: {name: firstaid-ballot}
spec: {policyName: firstaid-ballot, validationActions: [Deny]}
";
        let (now, before) = (shipped(), Values::default().render(&[BEFORE]).unwrap());
        let versions = [now.clone(), before.clone()];
        assert_eq!(faults(&versions, &installed(&before)), []);
        assert_eq!(faults(&versions, &installed(&now)), []);
        let mut mixed = installed(&now);
        let policy = name(POLICY, "firstaid-ballot");
        mixed.insert(policy.clone(), installed(&before)[&policy].clone());
        let found = faults(&versions, &mixed);
        assert!(matches!(found.as_slice(), [Fault::Differs(name, _)] if *name == policy), "{found:?}");
        assert_ne!(faults(&[now], &installed(&before)), [], "only what is named as the version before counts");
    }

    #[test]
    fn the_sentence_is_bounded() {
        let faults = faults(&[shipped()], &BTreeMap::new());
        let text = sentence(&faults, "firstaid-system");
        assert!(faults.len() > 10 && text.contains("; and ") && text.chars().count() < 400, "{text}");
    }
}
