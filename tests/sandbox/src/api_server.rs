//! The command line of each component. Why each flag is there is said where it is not plain.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;
use serde_json::json;

use crate::identity::TOKEN_ISSUER;
use crate::process::{Process, clean_command};
use crate::sandbox::{Options, Sandbox};

/// Only what workloads and RBAC need. `clusterrole-aggregation` fills the built-in `view` and `edit`;
/// `node-lifecycle` takes the not-ready taint from new nodes.
const CONTROLLERS: &str = "deployment-controller,replicaset-controller,statefulset-controller,daemonset-controller,\
    job-controller,cronjob-controller,garbage-collector-controller,namespace-controller,serviceaccount-controller,\
    serviceaccount-token-controller,root-ca-certificate-publisher-controller,horizontal-pod-autoscaler-controller,\
    disruption-controller,endpointslice-controller,resourcequota-controller,node-lifecycle-controller,\
    taint-eviction-controller,pod-garbage-collector-controller,ttl-after-finished-controller,\
    clusterrole-aggregation-controller,validatingadmissionpolicy-status-controller";

/// The people of the control plane itself: kubeconfig, user, group.
pub(crate) const COMPONENTS: &[(&str, &str, Option<&str>)] = &[
    ("kube-controller-manager", "system:kube-controller-manager", None),
    ("kube-scheduler", "system:kube-scheduler", None),
    ("kwok", "system:kwok", Some("system:masters")),
];

impl Sandbox {
    pub(crate) fn etcd(&self, client_url: &str, peer_url: &str) -> Command {
        let mut command = clean_command(&self.programs().controlplane);
        command.arg("etcd");
        flag(&mut command, "data-dir", &self.data().join("etcd").to_string_lossy());
        flag(&mut command, "client-url", client_url);
        flag(&mut command, "peer-url", peer_url);
        command
    }

    pub(crate) fn api_server(&self, port: u16, etcd_url: &str, options: &Options) -> Result<Command> {
        let mut command = clean_command(&self.programs().controlplane);
        command.arg("kube-apiserver");
        flag(&mut command, "etcd-servers", etcd_url);
        flag(&mut command, "bind-address", "127.0.0.1");
        flag(&mut command, "advertise-address", "127.0.0.1");
        flag(&mut command, "secure-port", &port.to_string());
        // A loopback address is not allowed in Endpoints, so nobody shall write it there.
        flag(&mut command, "endpoint-reconciler-type", "none");
        self.file_flag(&mut command, "tls-cert-file", "server.crt");
        self.file_flag(&mut command, "tls-private-key-file", "server.key");
        self.file_flag(&mut command, "client-ca-file", "ca.crt");
        flag(&mut command, "authorization-mode", "RBAC");
        flag(&mut command, "service-account-issuer", TOKEN_ISSUER);
        self.file_flag(&mut command, "service-account-key-file", "sa.pub");
        self.file_flag(&mut command, "service-account-signing-key-file", "sa.key");
        flag(&mut command, "service-cluster-ip-range", "10.96.0.0/16");
        flag(&mut command, "allow-privileged", "true");
        if options.audit {
            let policy = self.authority().file("audit-policy.json");
            write_audit_policy(&policy)?;
            flag(&mut command, "audit-policy-file", &policy.to_string_lossy());
            flag(&mut command, "audit-log-path", &self.audit_log().to_string_lossy());
            // Megabytes. Unless told, it goes on in a new file after 100, and a test would miss what is in the old one.
            flag(&mut command, "audit-log-maxsize", "100000");
        }
        emulate(&mut command, options);
        Ok(command)
    }

    pub(crate) fn controller_manager(&self, options: &Options) -> Command {
        let mut command = self.client("kube-controller-manager");
        self.file_flag(&mut command, "service-account-private-key-file", "sa.key");
        self.file_flag(&mut command, "root-ca-file", "ca.crt");
        // Without this nearly every controller is forbidden under RBAC.
        flag(&mut command, "use-service-account-credentials", "true");
        flag(&mut command, "horizontal-pod-autoscaler-sync-period", "2s");
        flag(&mut command, "controllers", CONTROLLERS);
        emulate(&mut command, options);
        command
    }

    /// It must emulate the same version as the API server: otherwise it waits without end for kinds that are not served.
    pub(crate) fn scheduler(&self, options: &Options) -> Command {
        let mut command = self.client("kube-scheduler");
        emulate(&mut command, options);
        command
    }

    pub(crate) fn kwok(&self) -> Command {
        let mut command = Process::supervised(self.programs(), &self.programs().kwok);
        flag(&mut command, "kubeconfig", &self.kubeconfig("kwok").to_string_lossy());
        flag(&mut command, "config", &self.programs().stages.to_string_lossy());
        flag(&mut command, "manage-all-nodes", "true");
        flag(&mut command, "node-lease-duration-seconds", "40");
        command
    }

    /// What the controller manager and the scheduler have in common.
    fn client(&self, component: &str) -> Command {
        let mut command = clean_command(&self.programs().controlplane);
        command.arg(component);
        for name in ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"] {
            flag(&mut command, name, &self.kubeconfig(component).to_string_lossy());
        }
        flag(&mut command, "leader-elect", "false");
        flag(&mut command, "secure-port", "0");
        command
    }

    fn file_flag(&self, command: &mut Command, name: &str, file: &str) {
        flag(command, name, &self.authority().file(file).to_string_lossy());
    }
}

fn flag(command: &mut Command, name: &str, value: &str) {
    command.arg(format!("--{name}={value}"));
}

fn emulate(command: &mut Command, options: &Options) {
    if let Some(version) = &options.emulated_version {
        flag(command, "emulated-version", version);
    }
}

/// Who did what, without the noise of the control plane's own reading. With all that was sent and answered: our kinds,
/// workloads, documents of flags, and whatever the operator writes (as a ServiceAccount too: the policy sees who signed in),
/// so that a test can tell what an act wrote, and what stood there later. Of Secrets never more than that they were asked
/// for.
fn write_audit_policy(path: &Path) -> Result<()> {
    let reading = ["get", "list", "watch"];
    let components: Vec<_> = COMPONENTS.iter().map(|(_, user, _)| user).collect();
    // Those who renew a Lease all the time.
    let operator = "system:serviceaccount:firstaid-system:firstaid";
    let renewing: Vec<_> = components.iter().map(|user| user.as_ref()).chain([operator]).collect();
    let flags = json!([{"group": "", "resources": ["configmaps"]}, {"group": "core.openfeature.dev"}]);
    let writing = ["create", "update", "patch", "delete"];
    let policy = json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "omitManagedFields": true,
        "rules": [
            {"level": "None", "users": ["system:apiserver"]},
            {"level": "None", "users": renewing, "resources": [{"group": "coordination.k8s.io", "resources": ["leases"]}]},
            {"level": "None", "nonResourceURLs": ["/livez*", "/readyz*", "/healthz*"]},
            {"level": "None", "users": components, "verbs": reading},
            {"level": "None", "userGroups": ["system:serviceaccounts:kube-system"], "verbs": reading},
            {"level": "Metadata", "resources": [{"group": "", "resources": ["secrets", "serviceaccounts/token"]}]},
            {"level": "RequestResponse", "resources": [{"group": "firstaid.dev"}, {"group": "apps"}]},
            {"level": "RequestResponse", "verbs": writing, "resources": flags},
            {"level": "RequestResponse", "users": [operator], "verbs": ["get"], "resources": flags},
            {"level": "RequestResponse", "users": [operator], "verbs": writing},
            {"level": "Metadata"},
        ],
    });
    fs::write(path, policy.to_string())?;
    Ok(())
}
