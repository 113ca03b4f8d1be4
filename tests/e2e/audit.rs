//! What really happened, by the API server's own audit log.

use std::io::{BufRead, BufReader, Seek, SeekFrom};

use anyhow::{Context, Result, bail, ensure};
use firstaid_sandbox::{Sandbox, poll};
use serde_json::Value;

use crate::read::Reader;
use crate::town::{Leg, Town, WITHIN, text};

/// The audit log of a namespace from some moment on.
pub struct Audit {
    sandbox: &'static Sandbox,
    namespace: String,
    from: u64,
}

/// What the operator may ask for in its own name beside our own kinds: verbs, API group, resource, namespace, name.
/// `*` is any. Leases that it renews are left out of the sandbox's audit log.
const OWN: &[(&[&str], &str, &str, &str, &str)] = &[
    (&["get"], "", "serviceaccounts", "*", "*"),
    (&["get"], "", "namespaces", "*", "kube-system"),
    (&["get"], "", "configmaps", "firstaid-system", "firstaid-brake"),
    (&["create"], "authorization.k8s.io", "subjectaccessreviews", "", "*"),
    (&["create"], "authentication.k8s.io", "tokenreviews", "", "*"),
    (&["get"], "apiextensions.k8s.io", "customresourcedefinitions", "", "*"),
    (&["get"], "admissionregistration.k8s.io", "validatingadmissionpolicies", "", "*"),
    (&["get"], "admissionregistration.k8s.io", "validatingadmissionpolicybindings", "", "*"),
    (&["get"], "admissionregistration.k8s.io", "mutatingadmissionpolicies", "", "*"),
    (&["get"], "admissionregistration.k8s.io", "mutatingadmissionpolicybindings", "", "*"),
    (&["create", "patch"], "events.k8s.io", "events", "*", "*"),
];

/// Of our own kinds: everything but taking away.
const OWN_VERBS: [&str; 6] = ["get", "list", "watch", "create", "update", "patch"];

const OPERATOR: &str = "system:serviceaccount:firstaid-system:firstaid";

/// Whether the operator asked as somebody else and was not let: then the log does not name whom it would have been.
fn is_refused_impersonation(entry: &Value) -> bool {
    let (code, said) = (entry.pointer("/responseStatus/code"), text(entry, "/responseStatus/message"));
    code == Some(&Value::from(403)) && said.contains("cannot impersonate")
}

/// Whether a request is one that the operator may make in its own name, whatever was answered.
fn is_its_own(entry: &Value) -> bool {
    let (verb, group) = (text(entry, "/verb"), text(entry, "/objectRef/apiGroup"));
    let (resource, namespace, name) =
        (text(entry, "/objectRef/resource"), text(entry, "/objectRef/namespace"), text(entry, "/objectRef/name"));
    // Without an object it asks what is served.
    if entry.pointer("/objectRef").is_none() {
        let uri = text(entry, "/requestURI");
        return verb == "get" && (uri == "/version" || uri.starts_with("/api"));
    }
    let is = |wanted: &str, found: &str| wanted == "*" || wanted == found;
    (group == "firstaid.dev" && OWN_VERBS.contains(&verb))
        || OWN.iter().any(|(verbs, of, kind, within, named)| {
            verbs.contains(&verb) && *of == group && *kind == resource && is(within, namespace) && is(named, name)
        })
}

impl Audit {
    /// From the start of the API server.
    pub fn whole(town: &Town) -> Self {
        Self { sandbox: town.sandbox, namespace: town.namespace.clone(), from: 0 }
    }

    /// What operators of this API server asked for in their own name, each as a line.
    fn of_operators(&self) -> Result<Vec<(Value, String)>> {
        let entries = self.lines(OPERATOR, |entry| {
            // People of the tests sign in as the operator too, with kubectl, to see what is refused.
            text(entry, "/user/username") == OPERATOR
                && entry.pointer("/impersonatedUser").is_none()
                && !is_refused_impersonation(entry)
                && !text(entry, "/userAgent").starts_with("kubectl")
        })?;
        let with_words = |entry: Value| {
            let asked = format!("{} {}", text(&entry, "/verb"), text(&entry, "/requestURI"));
            (entry, asked)
        };
        Ok(entries.into_iter().map(with_words).collect())
    }

    /// The entries that are wanted, in lines that contain these words: most lines are of other tests, and looking for words
    /// is much cheaper than reading them all as JSON.
    pub fn lines(&self, words: &str, wanted: impl Fn(&Value) -> bool) -> Result<Vec<Value>> {
        let mut file = std::fs::File::open(self.sandbox.audit_log()).context("opening the audit log")?;
        file.seek(SeekFrom::Start(self.from))?;
        let mut entries = Vec::new();
        for line in BufReader::new(file).lines() {
            let line = line?;
            // The last line may not be whole yet.
            if line.contains(words)
                && let Ok(entry) = serde_json::from_str(&line)
                && wanted(&entry)
            {
                entries.push(entry);
            }
        }
        Ok(entries)
    }

    /// What operators asked for in their own name although it is not theirs: a workload, a Secret, anything of somebody
    /// else's. Nothing, if all is well. It counts whether or not it was refused.
    pub fn overreach(&self) -> Result<Vec<String>> {
        let mut all = self.of_operators()?;
        ensure!(!all.is_empty(), "the audit log tells of no operator: the question was not asked");
        all.retain(|(entry, _)| !is_its_own(entry));
        Ok(all.into_iter().map(|(_, asked)| asked).collect())
    }

    /// The same of this namespace alone: on an API server that others use too. Nothing may have been asked at all.
    pub fn overreach_here(&self) -> Result<Vec<String>> {
        let mut all = self.of_operators()?;
        all.retain(|(entry, _)| text(entry, "/objectRef/namespace") == self.namespace && !is_its_own(entry));
        Ok(all.into_iter().map(|(_, asked)| asked).collect())
    }

    /// Begins now.
    pub fn begin(town: &Town) -> Result<Self> {
        Self::of(town.sandbox, &town.namespace)
    }

    /// Of a namespace, from now on.
    pub fn of(sandbox: &'static Sandbox, namespace: &str) -> Result<Self> {
        let from = std::fs::metadata(sandbox.audit_log())?.len();
        Ok(Self { sandbox, namespace: namespace.to_owned(), from })
    }

    /// What tells of this namespace, for the judge: all but lists and watches.
    pub fn evidence(&self) -> Result<Vec<Value>> {
        self.lines(&self.namespace, |entry| {
            text(entry, "/objectRef/namespace") == self.namespace && !matches!(text(entry, "/verb"), "list" | "watch")
        })
    }

    /// What was asked of the API server in this namespace, in the order in which it was answered.
    pub fn entries(&self) -> Result<Vec<Value>> {
        self.lines(&self.namespace, |entry| {
            text(entry, "/objectRef/namespace") == self.namespace && text(entry, "/stage") == "ResponseComplete"
        })
    }

    /// The writes to targets that took effect in the name of the runbook's ServiceAccount.
    pub fn effects(&self) -> Result<Vec<Value>> {
        let account = format!("system:serviceaccount:{}:firstaid", self.namespace);
        let mut entries = self.entries()?;
        entries.retain(|entry| {
            text(entry, "/impersonatedUser/username") == account
                && !matches!(text(entry, "/verb"), "get" | "list" | "watch")
                && !text(entry, "/requestURI").contains("dryRun")
                && entry.pointer("/responseStatus/code").and_then(Value::as_i64).is_some_and(|code| code < 300)
        });
        Ok(entries)
    }

    /// When the write of the journal was answered in which a token first stands.
    pub fn intent_of(&self, token: &str) -> Result<String> {
        for entry in self.entries()? {
            let write = text(&entry, "/objectRef/resource") == "runbookruns"
                && text(&entry, "/objectRef/subresource") == "status"
                && entry.pointer("/responseStatus/code") == Some(&Value::from(200));
            let status = entry.pointer("/requestObject/status").map(Value::to_string).unwrap_or_default();
            if write && status.contains(token) {
                return Ok(text(&entry, "/stageTimestamp").to_owned());
            }
        }
        bail!("no write of the journal names {token}")
    }
}

const RUNBOOK: &str = "
apiVersion: firstaid.dev/v1alpha1
kind: Runbook
metadata: {name: all}
spec:
  summary: Each thing that is done to a workload
  gates: [{name: on-call, requires: [{role: sre}]}]
  steps:
  - {name: scale-out, gate: on-call, scale: {target: {kind: Deployment, name: checkout}, by: 1}, onFailure: Revert}
  - {name: fresh, gate: on-call, restart: {target: {kind: Deployment, name: checkout}}}
  - {name: recovered, check: {object: {kind: Deployment, name: checkout}, that: 'object.status.readyReplicas >= 5'}}
";

/// On an API server of its own: all that is in its log was asked by this one operator, from its start on.
#[test]
fn in_its_own_name_the_operator_asks_for_what_is_its_own() -> Result<()> {
    let town = Town::open_alone(Leg::Stamping, "audit")?;
    town.runbook(RUNBOOK)?;
    town.start("all", "whole")?;
    town.wait_phase("whole", "Waiting")?;
    town.approve("bob", "whole")?;
    town.wait_phase("whole", "Succeeded")?;
    let audit = Audit::whole(&town);
    assert_eq!(audit.overreach()?, Vec::<String>::new());
    // What it was looked for is there: without these the question would be an idle one.
    let asked: Vec<String> = audit.of_operators()?.into_iter().map(|(_, asked)| asked).collect();
    for wanted in ["/actionrecords", "/configmaps/firstaid-brake", "/validatingadmissionpolicybindings/firstaid-run"] {
        assert!(asked.iter().any(|line| line.contains(wanted)), "{wanted} is not in {asked:#?}");
    }
    ensure!(!audit.effects()?.is_empty(), "nothing was done in the name of the ServiceAccount");

    // And it would be seen: somebody with the operator's own key looks at a workload and is refused.
    let thief = Reader::new(&town.sandbox.kubeconfig("operator"))?;
    ensure!(
        thief.get(&town.namespace, "deployment", "checkout").context("a request")?.is_err(),
        "the operator may read workloads"
    );
    let line = format!("get /apis/apps/v1/namespaces/{}/deployments/checkout", town.namespace);
    poll("the look in the audit log", WITHIN, || {
        let seen = audit.overreach()?;
        ensure!(seen.len() == 1 && seen[0].starts_with(&line), "{seen:?}");
        Ok(())
    })
}
