//! `firstaid onboard`: what a namespace needs to join, derived from its runbooks' steps and from the checks of its incidents.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::action::{Right, rights, to_read};
use crate::api::{Incident, Runbook};
use crate::follow_up;

/// Which namespace, which runbooks, which operator.
#[derive(Args, Clone, Debug)]
pub struct OnboardArgs {
    /// The namespace that joins.
    #[arg(short, long)]
    namespace: String,
    /// Files or folders with runbooks, or with incidents whose follow-ups have checks. /dev/stdin is one.
    #[arg(long = "from", required = true, num_args = 1..)]
    from: Vec<PathBuf>,
    /// How the operator acts as the ServiceAccount. Constrained needs Kubernetes 1.36 and also limits what it may do so;
    /// legacy works everywhere.
    #[arg(long, value_enum, default_value_t = Impersonation::Legacy)]
    impersonation: Impersonation,
    /// Also offer the ServiceAccounts to whoever may write runbooks in the namespace, though they may not act as them: for
    /// a delivery tool that applies runbooks from Git.
    #[arg(long)]
    offer: bool,
    /// The operator's namespace.
    #[arg(long, default_value = "firstaid-system")]
    operator_namespace: String,
    /// The operator's ServiceAccount.
    #[arg(long, default_value = "firstaid")]
    operator_service_account: String,
}

/// How the operator acts as a ServiceAccount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Impersonation {
    /// Verb `impersonate`: all that the ServiceAccount may.
    Legacy,
    /// Verbs `impersonate:serviceaccount` and `impersonate-on:...`: only what the runbooks need.
    Constrained,
}

/// Prints the manifests.
///
/// # Errors
/// Where a file cannot be read or holds nothing that needs a right.
pub fn run(args: &OnboardArgs) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for path in &args.from {
        all.extend(read(path)?);
    }
    if all.is_empty() {
        bail!(
            "there is no runbook in {}, and no incident with checks",
            args.from.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
        );
    }
    for manifest in manifests(args, &all) {
        super::print(&format!("---\n{}\n", serde_yaml::to_string(&manifest).context("writing a manifest as YAML")?))?;
    }
    Ok(())
}

/// What a runbook, or the checks of an incident, need.
#[derive(Clone, Debug)]
struct Needs {
    /// Name of the Role: `runbook-NAME`, `incident-NAME`.
    role: String,
    /// ServiceAccount.
    account: String,
    /// What it must be able to do.
    rights: BTreeSet<Right>,
}

impl Needs {
    fn of_runbook(runbook: &Runbook) -> Self {
        Self {
            role: format!("runbook-{}", runbook.metadata.name.as_deref().unwrap_or_default()),
            account: runbook.spec.service_account_name.clone(),
            rights: runbook.spec.steps.iter().flat_map(|step| rights(&step.action)).collect(),
        }
    }

    /// None where none of its follow-ups has a check.
    fn of_incident(incident: &Incident) -> Option<Self> {
        let rights: BTreeSet<Right> = follow_up::look(&incident.spec).iter().filter_map(to_read).collect();
        (!rights.is_empty()).then(|| Self {
            role: format!("incident-{}", incident.metadata.name.as_deref().unwrap_or_default()),
            account: incident.spec.service_account_name.clone(),
            rights,
        })
    }
}

/// What the runbooks and incidents of a file, or of a folder's YAML files, need.
///
/// # Errors
/// Where a file cannot be read, is no YAML, or holds a runbook or an incident that does not parse.
fn read(path: &Path) -> anyhow::Result<Vec<Needs>> {
    if path.is_dir() {
        let mut files: Vec<PathBuf> = std::fs::read_dir(path)
            .with_context(|| format!("reading the folder {}", path.display()))?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|file| file.extension().is_some_and(|e| e == "yaml" || e == "yml"))
            .collect();
        files.sort();
        return Ok(files
            .iter()
            .map(|file| read(file))
            .collect::<anyhow::Result<Vec<_>>>()?
            .into_iter()
            .flatten()
            .collect());
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let documents: Vec<Value> =
        serde_yaml::from_multiple(&text).with_context(|| format!("{} is no YAML", path.display()))?;
    let unreadable = |what| move || format!("{} holds {what} that cannot be read", path.display());
    let mut all = Vec::new();
    for document in documents {
        match document.get("kind").and_then(Value::as_str) {
            Some("Runbook") => {
                let runbook = serde_json::from_value(document).with_context(unreadable("a runbook"))?;
                all.push(Needs::of_runbook(&runbook));
            }
            Some("Incident") => {
                let incident = serde_json::from_value(document).with_context(unreadable("an incident"))?;
                all.extend(Needs::of_incident(&incident));
            }
            _ => {}
        }
    }
    Ok(all)
}

/// What the namespace needs: each ServiceAccount that is named, with leave for the operator to act as it, and for each runbook
/// and incident the rights of its steps or checks. A Role for each of them, since applying a Role replaces its rules: what is
/// printed for one must take nothing from another that joined before.
fn manifests(args: &OnboardArgs, all: &[Needs]) -> Vec<Value> {
    let accounts: BTreeSet<&str> = all.iter().map(|needs| needs.account.as_str()).collect();
    let of_accounts = accounts.into_iter().flat_map(|account| for_account(args, account));
    of_accounts.chain(all.iter().flat_map(|needs| for_needs(args, needs))).collect()
}

fn for_account(args: &OnboardArgs, account: &str) -> Vec<Value> {
    let grant = match args.impersonation {
        Impersonation::Legacy => {
            json!({"apiGroups": [""], "resources": ["serviceaccounts"], "resourceNames": [account],
            "verbs": ["impersonate"]})
        }
        Impersonation::Constrained => json!({"apiGroups": ["authentication.k8s.io"], "resources": ["serviceaccounts"],
            "resourceNames": [account], "verbs": ["impersonate:serviceaccount"]}),
    };
    let identity = json!({"apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"name": account, "namespace": args.namespace}, "automountServiceAccountToken": false});
    let leave = granted(args, &format!("{account}-operator-acts-as"), &[grant], &operator(args));
    let offer = args.offer.then(|| {
        let metadata = json!({"name": format!("{account}-offered"), "namespace": args.namespace});
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "firstaid-offered"},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": args.namespace}]})
    });
    std::iter::once(identity).chain(leave).chain(offer).collect()
}

fn for_needs(args: &OnboardArgs, needs: &Needs) -> Vec<Value> {
    let Needs { role, account, rights } = needs;
    let account = json!({"kind": "ServiceAccount", "name": account, "namespace": args.namespace});
    let mut all = granted(args, role, &rules(rights, ""), &account);
    if args.impersonation == Impersonation::Constrained {
        // The same once more, for what the operator may do in the account's name.
        let rules = rules(rights, "impersonate-on:serviceaccount:");
        all.extend(granted(args, &format!("{role}-operator"), &rules, &operator(args)));
    }
    all
}

fn operator(args: &OnboardArgs) -> Value {
    json!({"kind": "ServiceAccount", "name": args.operator_service_account, "namespace": args.operator_namespace})
}

/// A Role and its binding.
fn granted(args: &OnboardArgs, name: &str, rules: &[Value], subject: &Value) -> Vec<Value> {
    let metadata = json!({"name": name, "namespace": args.namespace});
    vec![
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata, "rules": rules}),
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": metadata,
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name}, "subjects": [subject]}),
    ]
}

/// RBAC rules, one for each resource, verb set and set of names.
fn rules(rights: &BTreeSet<Right>, prefix: &str) -> Vec<Value> {
    let mut verbs: BTreeMap<(&str, &str, Option<&str>), BTreeSet<String>> = BTreeMap::new();
    for right in rights {
        // A right on all objects of a resource covers the one on a named object.
        let unnamed = rights.iter().any(|r| {
            r.name.is_none() && (&r.group, &r.resource, r.verb) == (&right.group, &right.resource, right.verb)
        });
        let name = right.name.as_deref().filter(|_| !unnamed);
        verbs.entry((&right.group, &right.resource, name)).or_default().insert(format!("{prefix}{}", right.verb));
    }
    verbs
        .into_iter()
        .map(|((group, resource, name), verbs)| {
            let mut rule = json!({"apiGroups": [group], "resources": [resource], "verbs": verbs});
            if let (Some(name), Some(fields)) = (name, rule.as_object_mut()) {
                fields.insert("resourceNames".to_owned(), json!([name]));
            }
            rule
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(impersonation: Impersonation) -> OnboardArgs {
        OnboardArgs {
            namespace: "shop".into(),
            from: vec![],
            impersonation,
            offer: false,
            operator_namespace: "firstaid-system".into(),
            operator_service_account: "firstaid".into(),
        }
    }

    fn runbook() -> Needs {
        Needs::of_runbook(&first())
    }

    fn first() -> Runbook {
        serde_json::from_value(json!({"apiVersion": "firstaid.dev/v1alpha1", "kind": "Runbook", "metadata": {"name": "r"}, "spec": {"summary": "s", "steps": [
            {"name": "a", "gate": "None", "scale": {"target": {"kind": "Deployment", "name": "checkout"}, "replicas": 3}},
            {"name": "b", "gate": "None", "disable": {"flag": "f", "configMap": {"name": "flags", "key": "f"}}},
            {"name": "c", "check": {"object": {"kind": "StatefulSet", "name": "${params.x}"}, "that": "true"}}]}})).unwrap()
    }

    /// The rules of a Role that is printed.
    fn rules_of(manifests: &[Value], role: &str) -> Value {
        let found = manifests.iter().find(|m| m["kind"] == "Role" && m["metadata"]["name"] == role);
        found.unwrap_or_else(|| panic!("no Role {role} in {manifests:#?}"))["rules"].clone()
    }

    #[test]
    fn exactly_what_the_steps_need() {
        let manifests = manifests(&args(Impersonation::Legacy), &[runbook()]);
        assert_eq!(
            rules_of(&manifests, "runbook-r"),
            json!([
                {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["flags"], "verbs": ["get", "patch"]},
                {"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["checkout"], "verbs": ["get", "patch"]},
                {"apiGroups": ["apps"], "resources": ["statefulsets"], "verbs": ["get"]},
                {"apiGroups": ["autoscaling"], "resources": ["horizontalpodautoscalers"], "verbs": ["list"]},
            ])
        );
        assert_eq!(
            rules_of(&manifests, "firstaid-operator-acts-as"),
            json!([{"apiGroups": [""], "resources": ["serviceaccounts"], "resourceNames": ["firstaid"], "verbs": ["impersonate"]}])
        );
        assert_eq!(manifests.len(), 5, "and nothing else: {manifests:#?}");
    }

    #[test]
    fn exactly_what_the_checks_of_an_incident_need() {
        let incident = |checks: &[Value]| -> Incident {
            let follow_ups: Vec<Value> = checks
                .iter()
                .enumerate()
                .map(
                    |(number, check)| json!({"id": number.to_string(), "text": "t", "kind": "Prevent", "check": check}),
                )
                .collect();
            serde_json::from_value(json!({"apiVersion": "firstaid.dev/v1alpha1", "kind": "Incident", "metadata": {"name": "i"}, "spec": {"followUps": follow_ups}})).unwrap()
        };
        let checks = [
            json!({"object": {"kind": "Deployment", "name": "web"}, "that": "true"}),
            json!({"runbook": "r"}),
            json!({"alertRule": "A"}),
            json!({"disruptionBudget": "checkout"}),
        ];
        let needs = Needs::of_incident(&incident(&checks)).unwrap();
        assert_eq!(
            rules_of(&manifests(&args(Impersonation::Legacy), &[needs]), "incident-i"),
            json!([
                {"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["checkout"], "verbs": ["get"]},
                {"apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["web"], "verbs": ["get"]},
                {"apiGroups": ["firstaid.dev"], "resources": ["runbooks"], "resourceNames": ["r"], "verbs": ["get"]},
                {"apiGroups": ["monitoring.coreos.com"], "resources": ["prometheusrules"], "verbs": ["list"]},
                {"apiGroups": ["policy"], "resources": ["poddisruptionbudgets"], "verbs": ["list"]},
            ])
        );
        assert!(Needs::of_incident(&incident(&[])).is_none());
    }

    #[test]
    fn a_service_account_is_offered_only_where_somebody_says_so() {
        let args = |offer| OnboardArgs { offer, ..args(Impersonation::Legacy) };
        let offers = |manifests: &[Value]| -> Vec<Value> {
            let offers = manifests.iter().filter(|m| m["roleRef"]["name"] == "firstaid-offered");
            offers.map(|m| m["subjects"].clone()).collect()
        };
        assert_eq!(offers(&manifests(&args(false), &[runbook()])), Vec::<Value>::new());
        let subject = json!([{"kind": "ServiceAccount", "name": "firstaid", "namespace": "shop"}]);
        assert_eq!(offers(&manifests(&args(true), &[runbook()])), [subject]);
    }

    #[test]
    fn constrained_impersonation_grants_the_same_and_no_more() {
        let manifests = manifests(&args(Impersonation::Constrained), &[runbook()]);
        assert_eq!(
            rules_of(&manifests, "firstaid-operator-acts-as"),
            json!([{"apiGroups": ["authentication.k8s.io"], "resources": ["serviceaccounts"], "resourceNames": ["firstaid"],
                "verbs": ["impersonate:serviceaccount"]}])
        );
        let rules = rules_of(&manifests, "runbook-r-operator");
        assert_eq!(rules.as_array().unwrap().len(), 4);
        assert_eq!(
            rules[1]["verbs"],
            json!(["impersonate-on:serviceaccount:get", "impersonate-on:serviceaccount:patch"])
        );
    }

    #[test]
    fn what_is_printed_for_one_runbook_takes_nothing_from_another() {
        let mut second = first();
        second.metadata.name = Some("s".to_owned());
        second.spec.steps.truncate(1);
        let second = Needs::of_runbook(&second);
        let one_by_one = [runbook(), second.clone()].map(|r| manifests(&args(Impersonation::Constrained), &[r]));
        let roles = |manifests: &[Value]| {
            let roles = manifests.iter().filter(|m| m["kind"] == "Role");
            roles.map(|m| (m["metadata"]["name"].to_string(), m["rules"].to_string())).collect::<BTreeMap<_, _>>()
        };
        let mut applied = roles(&one_by_one[0]);
        applied.extend(roles(&one_by_one[1]));
        assert_eq!(applied, roles(&manifests(&args(Impersonation::Constrained), &[runbook(), second])));
    }
}
