//! The chart as helm renders it: what it grants, what its policies hold, and which values it takes.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::sync::LazyLock;

use firstaid::guard::shipped::{CURRENT, Values};
use firstaid_sandbox::{Output, Sandbox, repository};
use rstest::rstest;
use serde_json::{Value, json};

fn helm(arguments: &[&str]) -> Output {
    let programs = Sandbox::build_programs().unwrap();
    // Helm keeps nothing, so it gets a home that is none.
    let home = std::env::temp_dir().join("firstaid-helm-of-nobody");
    let mut command = Command::new(programs.helm);
    command.args(arguments).current_dir(repository()).env_remove("KUBECONFIG");
    for folder in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
        command.env(folder, &home);
    }
    Output::of(&mut command).unwrap()
}

fn template(values: &[&str]) -> Output {
    let mut arguments =
        vec!["template", "firstaid", "charts/firstaid", "-n", "firstaid-system", "--kube-version", "1.36.4"];
    values.iter().for_each(|value| arguments.extend(["--set-json", value]));
    helm(&arguments)
}

const CONSTRAINED: &str = r#"tenants=[{"namespace":"shop","impersonation":"constrained","rules":[{"apiGroups":["apps"],"resources":["deployments"],"resourceNames":["checkout"],"verbs":["get","patch"]}]}]"#;

/// Everything that the chart can be told and that changes what it renders.
const VALUES: [&[&str]; 8] = [
    &[],
    &[r#"stamping="on""#],
    &[r#"stamping="off""#, r#"ballots={"requireCredential":true}"#, r#"operator={"requireCredential":false}"#],
    &[r#"namespaces=["shop","bank"]"#, r#"roles=["sre","db-owner","net"]"#, "aggregateToView=true"],
    &[
        r#"tenants=[{"namespace":"shop","impersonation":"legacy"},{"namespace":"bank","serviceAccountName":"aid","impersonation":"legacy"}]"#,
    ],
    &[CONSTRAINED, r#"operator={"enabled":false}"#, r#"clusterName="here""#],
    &[ARCHIVE],
    &[ARCHIVE, KEPT_FOR_A_YEAR],
];

const ARCHIVE: &str = r#"archive={"persistentVolumeClaim":{"claimName":"evidence"}}"#;
const KEPT_FOR_A_YEAR: &str = r#"retention={"days":365}"#;

/// The objects of each rendering.
static RENDERINGS: LazyLock<Vec<Vec<Value>>> = LazyLock::new(|| VALUES.iter().map(|values| objects(values)).collect());

/// All objects of all renderings.
fn rendered() -> Vec<Value> {
    RENDERINGS.concat()
}

fn objects(values: &[&str]) -> Vec<Value> {
    let text = template(values).ok().unwrap();
    let all: Vec<Value> = serde_yaml::from_multiple(&text).unwrap();
    let all: Vec<Value> = all.into_iter().filter(|object| !object.is_null()).collect();
    assert!(all.len() > 20, "only {} objects", all.len());
    all
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn items<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn name(object: &Value) -> String {
    format!("{}/{}", text(object, "/kind"), text(object, "/metadata/name"))
}

fn has(rule: &Value, list: &str, word: &str) -> bool {
    items(rule, list).iter().any(|item| item.as_str() == Some(word))
}

/// Each rule of each role, with the role.
fn rules(objects: &[Value]) -> Vec<(&Value, &Value)> {
    let roles = objects.iter().filter(|object| matches!(text(object, "/kind"), "Role" | "ClusterRole"));
    roles.flat_map(|role| items(role, "/rules").iter().map(move |rule| (role, rule))).collect()
}

fn policies(objects: &[Value]) -> impl Iterator<Item = &Value> {
    objects.iter().filter(|object| text(object, "/kind").ends_with("AdmissionPolicy"))
}

#[test]
fn helm_finds_nothing_to_complain_of() {
    helm(&["lint", "--strict", "charts/firstaid"]).ok().unwrap();
}

#[test]
fn no_role_has_a_wildcard() {
    for (role, rule) in rules(&rendered()) {
        for list in ["/apiGroups", "/resources", "/verbs", "/resourceNames", "/nonResourceURLs"] {
            let wild = items(rule, list).iter().any(|item| item.as_str().is_none_or(|item| item.contains('*')));
            assert!(!wild, "{}: {rule}", name(role));
        }
    }
}

#[test]
fn no_role_can_make_itself_stronger() {
    for (role, rule) in rules(&rendered()) {
        for verb in ["escalate", "bind"] {
            assert!(!has(rule, "/verbs", verb), "{}: {rule}", name(role));
        }
        let rbac = has(rule, "/apiGroups", "rbac.authorization.k8s.io");
        assert!(!rbac, "{} may touch RBAC: {rule}", name(role));
    }
}

#[test]
fn to_act_as_somebody_is_granted_by_name_and_in_one_namespace() {
    let objects = rendered();
    let mut grants = 0;
    for (role, rule) in rules(&objects) {
        let impersonates =
            items(rule, "/verbs").iter().any(|verb| verb.as_str().is_some_and(|verb| verb.starts_with("impersonate")));
        if !impersonates {
            continue;
        }
        grants += 1;
        assert_eq!(text(role, "/kind"), "Role", "{}: {rule}", name(role));
        let on_target = items(rule, "/verbs")
            .iter()
            .all(|verb| verb.as_str().is_some_and(|verb| verb.starts_with("impersonate-on:")));
        assert!(on_target || items(rule, "/resourceNames").len() == 1, "{}: {rule}", name(role));
        for resource in ["users", "groups", "userextras", "uids"] {
            assert!(!has(rule, "/resources", resource), "{}: {rule}", name(role));
        }
    }
    assert!(grants >= 4, "only {grants} grants: the tenants were not rendered");
}

#[test]
fn the_operator_may_touch_no_secret_and_no_workload() {
    let objects = rendered();
    let operators: Vec<_> = rules(&objects)
        .into_iter()
        .filter(|(role, _)| text(role, "/metadata/name").starts_with("firstaid-operator"))
        .collect();
    assert!(operators.len() > 10);
    for (role, rule) in operators {
        let more_than_looks = has(rule, "/apiGroups", "admissionregistration.k8s.io")
            && (items(rule, "/verbs") != [Value::from("get")] || items(rule, "/resourceNames").is_empty());
        assert!(!more_than_looks, "{}: it only looks at its own guards: {rule}", name(role));
        for group in ["apps", "batch", "autoscaling", "networking.k8s.io", "policy"] {
            assert!(!has(rule, "/apiGroups", group), "{}: {rule}", name(role));
        }
        for resource in ["secrets", "pods", "pods/exec", "services", "nodes", "serviceaccounts/token"] {
            assert!(!has(rule, "/resources", resource), "{}: {rule}", name(role));
        }
        let brake_only =
            !has(rule, "/resources", "configmaps") || items(rule, "/resourceNames") == [Value::from("firstaid-brake")];
        assert!(brake_only, "{}: {rule}", name(role));
        assert!(!has(rule, "/verbs", "deletecollection"), "{}: {rule}", name(role));
        assert!(!has(rule, "/verbs", "delete") || is_retention(rule), "{}: it deletes: {rule}", name(role));
    }
}

/// The one rule by which the operator may delete: evidence, and nothing else by the same rule.
fn is_retention(rule: &Value) -> bool {
    has(rule, "/apiGroups", "firstaid.dev")
        && items(rule, "/apiGroups").len() == 1
        && items(rule, "/resources") == ["approvals", "actionrecords", "runbookruns"]
        && items(rule, "/verbs") == ["delete"]
}

#[test]
fn no_evidence_may_be_deleted_unless_retention_is_on() {
    let is_evidence =
        |rule: &Value| ["approvals", "actionrecords", "runbookruns"].iter().any(|kind| has(rule, "/resources", kind));
    for (values, objects) in VALUES.iter().zip(RENDERINGS.iter()) {
        let deletes = rules(objects).into_iter().filter(|(_, rule)| has(rule, "/verbs", "delete") && is_evidence(rule));
        let roles: Vec<String> = deletes.map(|(role, _)| name(role)).collect();
        let expected: &[&str] =
            if values.contains(&KEPT_FOR_A_YEAR) { &["ClusterRole/firstaid-operator"] } else { &[] };
        assert_eq!(roles, expected, "{values:?}");
    }
}

#[test]
fn the_archive_is_the_volume_that_was_given() {
    for (values, objects) in VALUES.iter().zip(RENDERINGS.iter()) {
        let Some(deployment) = objects.iter().find(|object| text(object, "/kind") == "Deployment") else { continue };
        let pod = deployment.pointer("/spec/template/spec").unwrap();
        let container = pod.pointer("/containers/0").unwrap();
        let env = |name: &str| {
            let variable = items(container, "/env").iter().find(|variable| text(variable, "/name") == name);
            variable.map(|variable| text(variable, "/value").to_owned())
        };
        if !values.contains(&ARCHIVE) {
            assert_eq!((pod.get("volumes"), container.get("volumeMounts")), (None, None), "{values:?}");
            assert_eq!((env("FIRSTAID_ARCHIVE"), env("FIRSTAID_KEEP_FOR")), (None, None), "{values:?}");
            continue;
        }
        let volume = json!([{"name": "archive", "persistentVolumeClaim": {"claimName": "evidence"}}]);
        assert_eq!(pod.get("volumes"), Some(&volume));
        let mount = json!([{"name": "archive", "mountPath": "/archive"}]);
        assert_eq!(container.get("volumeMounts"), Some(&mount));
        assert_eq!(pod.pointer("/securityContext/fsGroup"), pod.pointer("/securityContext/runAsGroup"));
        assert_eq!(env("FIRSTAID_ARCHIVE").as_deref(), Some("/archive"));
        let kept = values.contains(&KEPT_FOR_A_YEAR).then(|| "365d".to_owned());
        assert_eq!(env("FIRSTAID_KEEP_FOR"), kept);
    }
}

#[rstest]
#[case::without_an_archive(&[KEPT_FOR_A_YEAR], "there is no archive")]
#[case::on_a_volume_of_the_pod(&[r#"archive={"emptyDir":{}}"#, KEPT_FOR_A_YEAR], "an archive on emptyDir goes with its pod")]
#[case::also_where_the_operator_is_elsewhere(&[KEPT_FOR_A_YEAR, r#"operator={"enabled":false}"#], "there is no archive")]
fn what_nothing_keeps_is_not_removed(#[case] values: &[&str], #[case] sentence: &str) {
    let output = template(values);
    assert!(!output.success(), "{values:?} was taken");
    assert!(output.stderr.contains(sentence), "{values:?}: {}", output.stderr);
}

#[test]
fn the_operator_is_bound_to_its_own_roles_only() {
    for binding in rendered().iter().filter(|object| text(object, "/kind").ends_with("RoleBinding")) {
        let role = text(binding, "/roleRef/name");
        let own = role.starts_with("firstaid-operator") || role.starts_with("firstaid-acts-as-");
        assert!(own, "{} binds {role}", name(binding));
        for subject in items(binding, "/subjects") {
            assert_eq!(
                (text(subject, "/kind"), text(subject, "/name")),
                ("ServiceAccount", "firstaid"),
                "{}",
                name(binding)
            );
            assert_eq!(text(subject, "/namespace"), "firstaid-system", "{}", name(binding));
        }
    }
}

#[test]
fn every_policy_refuses_where_it_cannot_judge() {
    let objects = rendered();
    assert!(policies(&objects).count() > 20);
    for policy in policies(&objects) {
        assert_eq!(text(policy, "/spec/failurePolicy"), "Fail", "{}", name(policy));
        assert!(text(policy, "/metadata/name").starts_with("firstaid-"), "{}", name(policy));
    }
}

/// An object's labels are whoever may edit the object's; a namespace's name is nobody's.
#[test]
fn no_policy_can_be_got_round_by_a_label() {
    let objects = rendered();
    for object in objects.iter().filter(|object| text(object, "/apiVersion").starts_with("admissionregistration.")) {
        for at in ["/spec/matchConstraints", "/spec/matchResources"] {
            assert!(object.pointer(&format!("{at}/objectSelector")).is_none(), "{}", name(object));
            let Some(selector) = object.pointer(&format!("{at}/namespaceSelector")) else { continue };
            let own = selector.pointer("/matchLabels/kubernetes.io~1metadata.name").is_some()
                && selector.as_object().is_some_and(|s| s.len() == 1);
            assert!(own, "{}: {selector}", name(object));
        }
        assert!(items(object, "/spec/matchConstraints/excludeResourceRules").is_empty(), "{}", name(object));
    }
}

#[test]
fn every_policy_is_bound_and_denies() {
    for objects in RENDERINGS.iter() {
        for policy in policies(objects) {
            let kind = format!("{}Binding", text(policy, "/kind"));
            let bound: Vec<_> = objects
                .iter()
                .filter(|object| {
                    text(object, "/kind") == kind && text(object, "/spec/policyName") == text(policy, "/metadata/name")
                })
                .collect();
            assert!(!bound.is_empty(), "{} is not bound", name(policy));
            let denies = kind.starts_with("Mutating")
                || bound.iter().all(|binding| has(binding, "/spec/validationActions", "Deny"));
            assert!(denies, "{} does not deny", name(policy));
        }
    }
}

/// The operator compares what is installed with its own rendering of the same files: both must make the same of them.
#[test]
fn the_operator_renders_the_policies_as_helm_does() {
    let other = Values { operator_credential: false, ballot_credential: true, ..Values::default() };
    for (values, objects) in [(Values::default(), &RENDERINGS[1]), (other, &RENDERINGS[2])] {
        let mut own = values.render(CURRENT).unwrap();
        if !objects.iter().any(|object| text(object, "/kind").starts_with("Mutating")) {
            own.retain(|object| !text(object, "/kind").starts_with("Mutating"));
        }
        let specs = |objects: &[Value]| -> BTreeMap<String, Value> {
            let ours = objects.iter().filter(|o| text(o, "/apiVersion").starts_with("admissionregistration."));
            ours.map(|object| (name(object), object["spec"].clone())).collect()
        };
        assert_eq!(specs(&own), specs(objects));
        assert!(own.len() >= 18, "only {} policies and bindings", own.len());
    }
}

#[test]
fn the_operator_may_read_each_of_its_guards_and_no_other() {
    let objects = &RENDERINGS[1];
    let is_guard = |object: &&Value| text(object, "/apiVersion").starts_with("admissionregistration.");
    let guards: BTreeSet<_> = objects
        .iter()
        .filter(is_guard)
        .map(|guard| {
            let kind = format!("{}s", text(guard, "/kind").to_lowercase()).replace("policys", "policies");
            (kind, text(guard, "/metadata/name").to_owned())
        })
        .collect();
    let may: BTreeSet<_> = rules(objects)
        .into_iter()
        .filter(|(_, rule)| has(rule, "/apiGroups", "admissionregistration.k8s.io"))
        .flat_map(|(_, rule)| {
            let resource = items(rule, "/resources")[0].as_str().unwrap().to_owned();
            items(rule, "/resourceNames").iter().map(move |name| (resource.clone(), name.as_str().unwrap().to_owned()))
        })
        .collect();
    assert_eq!(may, guards);
}

#[test]
fn every_refusal_is_a_sentence() {
    let objects = rendered();
    let mut sentences = 0;
    for policy in policies(&objects) {
        for validation in items(policy, "/spec/validations") {
            sentences += 1;
            let (message, made) = (text(validation, "/message"), text(validation, "/messageExpression"));
            let words = if message.is_empty() { made } else { message }.split_whitespace().count();
            assert!(words >= 3, "{}: {validation}", name(policy));
        }
    }
    assert!(sentences > 100, "only {sentences} refusals were found");
}

#[test]
fn the_kinds_outlive_the_chart() {
    let objects = rendered();
    let kinds: Vec<_> = objects.iter().filter(|object| text(object, "/kind") == "CustomResourceDefinition").collect();
    assert_eq!(kinds.len(), 5 * VALUES.len());
    for kind in kinds {
        assert_eq!(text(kind, "/metadata/annotations/helm.sh~1resource-policy"), "keep", "{}", name(kind));
    }
}

#[test]
fn the_operator_runs_with_as_little_as_it_needs() {
    let objects = &RENDERINGS[0];
    let deployment = objects.iter().find(|object| text(object, "/kind") == "Deployment").unwrap();
    let pod = deployment.pointer("/spec/template/spec").unwrap();
    assert_eq!(pod.pointer("/securityContext/runAsNonRoot"), Some(&Value::Bool(true)));
    let container = pod.pointer("/containers/0/securityContext").unwrap();
    assert_eq!(container.pointer("/allowPrivilegeEscalation"), Some(&Value::Bool(false)));
    assert_eq!(container.pointer("/readOnlyRootFilesystem"), Some(&Value::Bool(true)));
    assert_eq!(items(container, "/capabilities/drop"), [Value::from("ALL")]);
    assert!(pod.pointer("/containers/0/resources/limits/memory").is_some());
}

#[test]
fn the_url_at_which_people_are_told_is_mounted_and_nowhere_else() {
    let deployment = |objects: &[Value]| objects.iter().find(|o| text(o, "/kind") == "Deployment").cloned().unwrap();
    let off = deployment(&RENDERINGS[0]);
    assert!(off.pointer("/spec/template/spec/volumes").is_none() && !off.to_string().contains("NOTIFY"), "{off:#}");
    let on = objects(&[r#"notify={"secretName":"chat","key":"slack"}"#]);
    assert!(!on.iter().any(|object| text(object, "/kind") == "Secret"), "whoever has the URL keeps it");
    let secrets = |(_, rule): &(&Value, &Value)| has(rule, "/resources", "secrets");
    assert!(!rules(&on).iter().any(secrets), "the operator reads no Secret by the API");
    let on = deployment(&on);
    let pod = on.pointer("/spec/template/spec").unwrap();
    let secret = pod.pointer("/volumes/0/secret").unwrap();
    let wanted =
        serde_json::json!({"secretName": "chat", "optional": true, "items": [{"key": "slack", "path": "url"}]});
    assert_eq!(secret, &wanted);
    let mount = pod.pointer("/containers/0/volumeMounts/0").unwrap();
    assert!(mount.get("subPath").is_none(), "a file that is mounted by itself does not follow its Secret");
    let env: BTreeMap<&str, &str> =
        items(pod, "/containers/0/env").iter().map(|one| (text(one, "/name"), text(one, "/value"))).collect();
    assert_eq!(env["FIRSTAID_NOTIFY_URL_FILE"], format!("{}/url", text(mount, "/mountPath")));
    assert_eq!(env["FIRSTAID_NOTIFY_INSECURE"], "false");
}

#[rstest]
#[case::notify_with_the_url_itself(r#"notify={"secretName":"https://hooks.example.com/x"}"#, "secretName")]
#[case::notify_with_a_url(r#"notify={"url":"https://hooks.example.com/x"}"#, "url")]
#[case::unknown("nonsense=1", "nonsense")]
#[case::misspelt(r#"operator={"enable":true}"#, "enable")]
#[case::mistyped(r#"operator={"replicas":"two"}"#, "replicas")]
#[case::too_many(r#"operator={"replicas":9}"#, "replicas")]
#[case::no_such_mode(r#"stamping="sometimes""#, "stamping")]
#[case::role_that_is_no_name(r#"roles=["SRE team"]"#, "roles")]
#[case::tenant_without_a_mode(r#"tenants=[{"namespace":"shop"}]"#, "impersonation")]
#[case::tenant_without_a_namespace(r#"tenants=[{"impersonation":"legacy"}]"#, "tenants")]
#[case::tenant_with_a_label_without_a_value(
    r#"tenants=[{"namespacesWithLabel":"tenant","impersonation":"legacy"}]"#,
    "namespacesWithLabel"
)]
#[case::retention_of_no_time(r#"retention={"days":0}"#, "days")]
#[case::retention_in_words(r#"retention={"days":"90d"}"#, "days")]
#[case::archive_that_is_no_volume(r#"archive="/archive""#, "archive")]
#[case::archive_on_two_volumes(r#"archive={"emptyDir":{},"hostPath":{"path":"/a"}}"#, "archive")]
#[case::constrained_to_nothing(r#"tenants=[{"namespace":"shop","impersonation":"constrained"}]"#, "rules")]
#[case::constrained_to_everything(
    r#"tenants=[{"namespace":"shop","impersonation":"constrained","rules":[{"apiGroups":["*"],"resources":["deployments"],"verbs":["get"]}]}]"#,
    "apiGroups"
)]
fn a_value_that_means_nothing_is_refused(#[case] value: &str, #[case] named: &str) {
    let output = template(&[value]);
    assert!(!output.success(), "{value} was taken");
    assert!(output.stderr.contains(named), "{value}: {}", output.stderr);
}
