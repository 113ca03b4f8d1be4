//! The people of the sandbox and what they may do in a namespace.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::sandbox::Sandbox;

/// Somebody who has a kubeconfig.
#[derive(Clone, Copy, Debug)]
pub struct Person {
    /// The user name, and the name of the kubeconfig.
    pub name: &'static str,
    /// The group that the certificate names.
    pub group: Option<&'static str>,
}

/// Everybody who can sign in from the start. The operator's kubeconfig (`operator`) comes with the chart.
pub const PEOPLE: &[Person] = &[
    Person { name: "root", group: Some("system:masters") },
    Person { name: "alice", group: Some("sre") },
    Person { name: "bob", group: Some("sre") },
    Person { name: "dave", group: Some("sre") },
    Person { name: "carol", group: Some("db-owner") },
    Person { name: "author", group: None },
    Person { name: "mallory", group: None },
    Person { name: "viewer", group: None },
];

const SRE: Subject = Subject::Group("sre");
const DB_OWNER: Subject = Subject::Group("db-owner");
const ALICE: Subject = Subject::User("alice");
const AUTHOR: Subject = Subject::User("author");
const MALLORY: Subject = Subject::User("mallory");
const VIEWER: Subject = Subject::User("viewer");

#[derive(Clone, Copy)]
enum Subject {
    User(&'static str),
    Group(&'static str),
}

/// Who has which ClusterRole, in each namespace that they work in. The `firstaid-*` ones are the chart's.
const ROLES: &[(&str, &[Subject])] = &[
    ("firstaid-requester", &[ALICE, SRE, DB_OWNER]),
    ("firstaid-approver", &[ALICE, SRE, DB_OWNER]),
    ("firstaid-approver-as-sre", &[SRE]),
    ("firstaid-approver-as-db-owner", &[DB_OWNER]),
    ("firstaid-scribe", &[SRE, DB_OWNER]),
    ("firstaid-author", &[AUTHOR]),
    ("firstaid-policy-admin", &[AUTHOR]),
    ("firstaid-viewer", &[VIEWER]),
    ("view", &[SRE, DB_OWNER, AUTHOR, VIEWER]),
    // On call people could always do it by hand, and mallory could do more than she should.
    ("edit", &[SRE, DB_OWNER, MALLORY]),
];

impl Sandbox {
    /// Creates the namespace and gives the people their roles in it:
    ///
    /// * alice, bob, dave (group `sre`) and carol (group `db-owner`) start and approve runs, each as their role, and write
    ///   Incidents;
    /// * author writes runbooks, may change gates, and may act as the ServiceAccount `firstaid`;
    /// * viewer looks on;
    /// * mallory has the built-in `edit` and a careless Role with every verb on our kinds, but no approver's role.
    pub fn join_namespace(&self, namespace: &str) -> Result<()> {
        let mut items = vec![json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})];
        for (role, subjects) in ROLES {
            items.push(binding(namespace, role, "ClusterRole", role, subjects));
        }
        let act_as = json!({
            "apiGroups": [""], "resources": ["serviceaccounts"], "resourceNames": ["firstaid"], "verbs": ["impersonate"],
        });
        items.push(role(namespace, "sandbox-act-as-firstaid", &act_as));
        items.push(binding(namespace, "sandbox-act-as-firstaid", "Role", "sandbox-act-as-firstaid", &[AUTHOR]));
        // `*` as the resource would also give the virtual subresources `as-*`, by which people approve.
        let careless = json!({
            "apiGroups": ["firstaid.dev"],
            "resources": [
                "runbooks", "runbooks/status", "runbookruns", "runbookruns/status",
                "approvals", "approvals/status", "actionrecords", "actionrecords/status",
            ],
            "verbs": ["*"],
        });
        items.push(role(namespace, "sandbox-careless", &careless));
        items.push(binding(namespace, "sandbox-careless", "Role", "sandbox-careless", &[MALLORY]));
        let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
        self.apply_yaml("root", &list.to_string()).with_context(|| format!("joining namespace {namespace}"))?;
        Ok(())
    }
}

fn role(namespace: &str, name: &str, rule: &Value) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"namespace": namespace, "name": name},
        "rules": [rule],
    })
}

fn binding(namespace: &str, name: &str, kind: &str, role: &str, subjects: &[Subject]) -> Value {
    let subjects: Vec<_> = subjects
        .iter()
        .map(|subject| {
            let (kind, name) = match subject {
                Subject::User(name) => ("User", name),
                Subject::Group(name) => ("Group", name),
            };
            json!({"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name})
        })
        .collect();
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"namespace": namespace, "name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
        "subjects": subjects,
    })
}
