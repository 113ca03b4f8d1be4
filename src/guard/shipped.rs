//! The policies of the chart, rendered as the chart renders them.
//!
//! `charts/firstaid/policies/` is the one place where they stand. Helm fills in the placeholders
//! (`templates/_helpers.tpl`, `firstaid.policies`), and so does [`Values::render`]; a test holds the two together.

use serde_json::Value;

/// The files of one version of the policies.
pub type Set = &'static [&'static str];

/// What this version ships.
pub const CURRENT: Set = &[
    include_str!("../../charts/firstaid/policies/ballot.yaml"),
    include_str!("../../charts/firstaid/policies/run.yaml"),
    include_str!("../../charts/firstaid/policies/runbook.yaml"),
    include_str!("../../charts/firstaid/policies/incident.yaml"),
    include_str!("../../charts/firstaid/policies/evidence.yaml"),
    include_str!("../../charts/firstaid/policies/home.yaml"),
    include_str!("../../charts/firstaid/policies/stamping.yaml"),
];

/// What the version before shipped, from `policies/previous/`; empty where there was none. While an upgrade is under way
/// the policies may still be those of before.
pub const PREVIOUS: Set = &[];

/// What differs from one installation to another.
#[derive(Clone, Debug)]
pub struct Values {
    /// CEL over the request: who somebody is.
    pub person_key: String,
    /// The operator's own namespace.
    pub namespace: String,
    /// The operator's ServiceAccount in it.
    pub service_account: String,
    /// Whether a request counts as the operator's only with a credential id.
    pub operator_credential: bool,
    /// Whether a vote counts only with a credential id.
    pub ballot_credential: bool,
}

/// As the chart's own values have it.
impl Default for Values {
    fn default() -> Self {
        Self {
            person_key: "request.userInfo.username".to_owned(),
            namespace: "firstaid-system".to_owned(),
            service_account: "firstaid".to_owned(),
            operator_credential: true,
            ballot_credential: false,
        }
    }
}

impl Values {
    /// The operator's own user name.
    pub fn operator(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.service_account)
    }

    /// The policies and bindings of a set, with these values filled in.
    ///
    /// # Errors
    /// Where a file is no YAML, or has a placeholder that nobody fills in: a mistake of the build, never of a cluster.
    pub fn render(&self, set: &[&str]) -> Result<Vec<Value>, String> {
        let mut objects = Vec::new();
        for text in set {
            let text = self.fill_in(text);
            if let Some(placeholder) = placeholder(&text) {
                return Err(format!("a policy has a placeholder that nobody fills in: {placeholder}"));
            }
            let found: Vec<Value> = serde_yaml::from_multiple(&text).map_err(|error| error.to_string())?;
            objects.extend(found.into_iter().filter(|object| !object.is_null()));
        }
        Ok(objects)
    }

    fn fill_in(&self, text: &str) -> String {
        let operator = self.operator();
        // Labels are for people; the operator compares specs alone.
        text.replace("__LABELS__", "{}")
            .replace("__PERSON__", &self.person_key)
            .replace("__OPERATOR__", &operator)
            .replace("__OPERATOR_NAMESPACE__", &self.namespace)
            .replace("__OPERATOR_ACCOUNT__", &self.service_account)
            .replace("__OPERATOR_CREDENTIAL__", &self.operator_credential.to_string())
            .replace("__BALLOT_CREDENTIAL__", &self.ballot_credential.to_string())
    }
}

/// The first `__NAME__` of a text.
fn placeholder(text: &str) -> Option<&str> {
    let is_name = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').find(|word| {
        let name = word.strip_prefix("__").and_then(|word| word.strip_suffix("__"));
        name.is_some_and(is_name)
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The texts of the YAML files of a folder of the chart.
    fn files(folder: &str) -> Vec<String> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut texts: Vec<String> = paths
            .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
            .map(|path| std::fs::read_to_string(path).unwrap())
            .collect();
        texts.sort();
        texts
    }

    #[test]
    fn every_file_of_the_chart_is_here() {
        for (folder, set) in [("charts/firstaid/policies", CURRENT), ("charts/firstaid/policies/previous", PREVIOUS)] {
            let mut known = set.to_vec();
            known.sort_unstable();
            assert_eq!(files(folder), known, "{folder}");
        }
    }

    #[test]
    fn every_policy_is_rendered_and_bound() {
        let objects = Values::default().render(CURRENT).unwrap();
        let kind = |object: &Value| object["kind"].as_str().unwrap().to_owned();
        for policy in objects.iter().filter(|object| kind(object).ends_with("Policy")) {
            let wanted = format!("{}Binding", kind(policy));
            let bound =
                |object: &Value| kind(object) == wanted && object["spec"]["policyName"] == policy["metadata"]["name"];
            assert!(objects.iter().any(bound), "{policy}");
        }
        assert!(objects.len() > 20);
    }

    #[test]
    fn what_nobody_fills_in_is_a_mistake() {
        let said = Values::default().render(&["a: __SOMETHING_NEW__"]).unwrap_err();
        assert_eq!(said, "a policy has a placeholder that nobody fills in: __SOMETHING_NEW__");
    }
}
