//! Each right that a shipped role grants, tried for real: whoever lacks just that one is refused, whoever has it is not.
//!
//! The rights are read from the ClusterRoles of the installed chart, so that a new one without a request here fails.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use firstaid_sandbox::{Output, poll};
use serde_json::{Value, json};

use crate::refusal::run;
use crate::town::{Leg, Town, WITHIN, text};

const RUNBOOK: &str = "
apiVersion: firstaid.dev/v1alpha1
kind: Runbook
metadata: {name: room}
spec:
  summary: More pods of checkout
  gates: [{name: both, requires: [{role: sre}, {role: db-owner}], selfApproval: Never}]
  steps:
  - {name: scale-out, gate: both, scale: {target: {kind: Deployment, name: checkout}, replicas: 7}}
";

/// A resource of ours and a verb.
type Right = (String, String);

/// The roles for people, as they are installed.
fn rights(town: &Town) -> Result<BTreeSet<Right>> {
    let roles: Value =
        serde_json::from_str(&town.sandbox.kubectl_run("root", &["get", "clusterroles", "-o", "json"])?.ok()?)?;
    let mut rights = BTreeSet::new();
    for role in roles.pointer("/items").and_then(Value::as_array).into_iter().flatten() {
        let name = text(role, "/metadata/name");
        // Not for people: a ServiceAccount that is offered to authors holds it; `tests/e2e/named.rs` tries it,
        // `tests/e2e/follow_up.rs` and `tests/e2e/alerts.rs` the others.
        let for_accounts = name.starts_with("firstaid-operator")
            || ["firstaid-offered", "firstaid-checks", "firstaid-alerts"].contains(&name);
        if !name.starts_with("firstaid-") || for_accounts {
            continue;
        }
        let list = |rule: &Value, key: &str| -> Vec<String> {
            let items = rule.get(key).and_then(Value::as_array).into_iter().flatten();
            items.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        for rule in role.pointer("/rules").and_then(Value::as_array).into_iter().flatten() {
            ensure!(list(rule, "apiGroups") == ["firstaid.dev"], "{name} grants what no request here tries: {rule}");
            for resource in list(rule, "resources") {
                rights.extend(list(rule, "verbs").into_iter().map(|verb| (resource.clone(), verb)));
            }
        }
    }
    Ok(rights)
}

/// A request of this user that needs this right, and how it is refused without. Where names are typed, so is theirs.
fn request(town: &Town, right: &Right, user: &str) -> Result<(Vec<String>, String)> {
    let (resource, verb) = (right.0.as_str(), right.1.as_str());
    let file =
        |name: &str| town.sandbox.data().join(format!("{}-{name}", town.namespace)).to_string_lossy().into_owned();
    let name = match resource {
        "runbooks" => "room",
        "runbookruns" => "waits",
        "approvals" => "waits-1",
        "actionrecords" => "invented",
        "incidents" => "inc-7f3",
        _ => "",
    };
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let dry = |more: &[&str]| [words(more), words(&["--dry-run=server"])].concat();
    let signed = |more: &[&str], key: &str| {
        let typed = (town.leg == Leg::Plain).then(|| format!("{key}={user}"));
        dry(&[more, &typed.iter().map(String::as_str).collect::<Vec<_>>()].concat())
    };
    let start = || -> Result<Vec<String>> {
        let path = file(&format!("run-of-{user}.json"));
        std::fs::write(&path, run(town.leg, "room", "mine", user).to_string())?;
        Ok(dry(&["create", "-f", &path]))
    };
    let vote = |ballot: &str| -> Result<Vec<String>> {
        let code = text(&town.get("apv", ballot)?, "/spec/request/code").to_owned();
        Ok(signed(&["annotate", "apv", ballot, &format!("approve={code} queue grows")], "by"))
    };
    let rbac = format!("cannot {verb} resource \"{resource}\"");
    Ok(match (resource, verb) {
        (_, "get") => (words(&["get", resource, name, "--ignore-not-found"]), rbac),
        (_, "list") => (words(&["get", resource]), rbac),
        (_, "watch") => {
            let path = format!(
                "/apis/firstaid.dev/v1alpha1/namespaces/{}/{resource}?watch=true&timeoutSeconds=1",
                town.namespace
            );
            (words(&["get", "--raw", &path]), rbac)
        }
        ("runbooks", "create") => (dry(&["create", "-f", &file("other.json")]), rbac),
        ("runbooks", "update") => (dry(&["replace", "-f", &file("room.json")]), rbac),
        ("runbooks", "patch") => (dry(&["label", resource, name, "note=x"]), rbac),
        ("runbooks", "delete") => (dry(&["delete", resource, name]), rbac),
        ("runbookruns", "create") => (start()?, rbac),
        ("runbookruns", "patch") => (dry(&["annotate", resource, name, "abort=wrong service"]), rbac),
        ("approvals", "patch") => (vote("waits-1")?, rbac),
        ("incidents", "create") => (dry(&["create", "-f", &file("incident.json")]), rbac),
        ("incidents", "patch") => (dry(&["annotate", resource, name, "note=x"]), rbac),
        ("runbooks", "run") => (start()?, "you may not run runbook room".to_owned()),
        ("runbooks", "abort") => {
            (dry(&["annotate", "rbr", "waits", "abort=wrong service"]), "you may not abort runs of room".to_owned())
        }
        ("runbooks", "settle") => (
            dry(&["annotate", "rbr", "unsettled", "settle=done it has 7"]),
            "you may not settle runs of room".to_owned(),
        ),
        ("runbooks/breakglass", "breakglass") => (
            signed(
                &["annotate", "rbr", "waits", "breakglass=the database is down and nobody answers"],
                "breakglass-by",
            ),
            "you may not break the glass of room".to_owned(),
        ),
        ("runbooks/approvalpolicy", "update") => (
            dry(&[
                "patch",
                "rbk",
                "room",
                "--type=json",
                "-p",
                r#"[{"op":"replace","path":"/spec/gates/0/requires/0/role","value":"interns"}]"#,
            ]),
            "you may not change the gates of a runbook".to_owned(),
        ),
        ("runbooks/as-sre", "approve") => (vote("waits-1")?, "you may not approve runbook room as sre".to_owned()),
        ("runbooks/as-db-owner", "approve") => {
            (vote("waits-2")?, "you may not approve runbook room as db-owner".to_owned())
        }
        ("runbooks/schema", "maintain") => (
            dry(&["annotate", "crd", "runbooks.firstaid.dev", "note=x"]),
            "you may not change or remove the kinds of first-aid".to_owned(),
        ),
        _ => bail!("no request tries {verb} on {resource}"),
    })
}

/// Roles and bindings of somebody who has all rights but one, or all.
fn identity(town: &Town, user: &str, all: &BTreeSet<Right>, but: Option<&Right>) -> Vec<Value> {
    let api = "rbac.authorization.k8s.io";
    let rule =
        |(resource, verb): &Right| json!({"apiGroups": ["firstaid.dev"], "resources": [resource], "verbs": [verb]});
    let kept = || all.iter().filter(|right| Some(*right) != but);
    let is_cluster = |right: &&Right| right.0 == "runbooks/schema";
    let mut here: Vec<Value> = kept().filter(|right| !is_cluster(right)).map(rule).collect();
    // What the roles take for granted: to be allowed to act as the account of the runbook, and to change kinds at all.
    here.push(json!({"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["impersonate"]}));
    let mut everywhere: Vec<Value> = kept().filter(is_cluster).map(rule).collect();
    everywhere.push(json!({"apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions"], "verbs": ["get", "patch"]}));
    [("Role", here, Some(&town.namespace)), ("ClusterRole", everywhere, None)]
        .into_iter()
        .flat_map(|(kind, rules, namespace)| {
            let name = format!("{}-{user}", town.namespace);
            let metadata = json!({"name": name, "namespace": namespace});
            let subject = json!({"apiGroup": api, "kind": "User", "name": user});
            let reference = json!({"apiGroup": api, "kind": kind, "name": name});
            [
                json!({"apiVersion": format!("{api}/v1"), "kind": kind, "metadata": metadata, "rules": rules}),
                json!({
                    "apiVersion": format!("{api}/v1"), "kind": format!("{kind}Binding"), "metadata": metadata,
                    "roleRef": reference, "subjects": [subject],
                }),
            ]
        })
        .collect()
}

/// A town in which every request would be taken, if the right is there. Nobody else writes in it any more.
fn open(leg: Leg) -> Result<Town> {
    let mut town = Town::open(leg, "rights")?;
    town.runbook(RUNBOOK)?;
    town.start("room", "waits")?;
    town.wait_phase("waits", "Waiting")?;
    poll("both ballots", WITHIN, || town.get("apv", "waits-2"))?;
    town.kill_operator()?;
    town.start("room", "unsettled")?;
    let status = r#"{"status":{"phase":"NeedsHuman"}}"#;
    town.kubectl("operator", &["patch", "rbr", "unsettled", "--subresource=status", "--type=merge", "-p", status])?
        .ok()?;
    let runbook = town.get("rbk", "room")?;
    let mut other = runbook.clone();
    other["metadata"] = json!({"name": "other", "namespace": town.namespace});
    let incident = |name: &str| {
        json!({"apiVersion": "firstaid.dev/v1alpha1", "kind": "Incident",
            "metadata": {"name": name, "namespace": town.namespace}, "spec": {"summary": "checkout answers slowly"}})
    };
    town.sandbox.apply_yaml("root", &incident("inc-7f3").to_string())?;
    for (name, object) in [("room.json", runbook), ("other.json", other), ("incident.json", incident("inc-8a1"))] {
        std::fs::write(town.sandbox.data().join(format!("{}-{name}", town.namespace)), object.to_string())?;
    }
    Ok(town)
}

fn whoever_lacks_one_right_is_refused_and_whoever_has_it_is_not(leg: Leg) -> Result<()> {
    let town = open(leg)?;
    let rights = rights(&town)?;
    ensure!(rights.len() > 25, "only {} rights are granted: {rights:?}", rights.len());
    let numbered: Vec<(String, &Right)> =
        rights.iter().enumerate().map(|(n, right)| (format!("lacks-{n}"), right)).collect();
    let mut items = identity(&town, "has-all", &rights, None);
    for (user, right) in &numbered {
        items.extend(identity(&town, user, &rights, Some(right)));
    }
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    town.sandbox.apply_yaml("root", &list.to_string())?;

    let tries = |user: &str, args: &[String]| -> Result<Output> {
        let by = format!("--as={user}");
        let all: Vec<&str> = [by.as_str()].into_iter().chain(args.iter().map(String::as_str)).collect();
        town.kubectl("root", &all)
    };
    for (user, right) in &numbered {
        // Roles take a moment to be known.
        let (args, _) = request(&town, right, "has-all")?;
        poll("somebody who has every right", WITHIN, || tries("has-all", &args)?.ok())
            .with_context(|| format!("{right:?}"))?;
        let (args, sentence) = request(&town, right, user)?;
        poll("somebody who lacks one right", WITHIN, || {
            let output = tries(user, &args)?;
            ensure!(!output.success(), "{right:?}: not refused: {}", output.stdout);
            ensure!(output.stderr.contains(&sentence), "{right:?}: wanted \"{sentence}\", got: {}", output.stderr);
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn each_right_is_needed_where_the_cluster_stamps() -> Result<()> {
    whoever_lacks_one_right_is_refused_and_whoever_has_it_is_not(Leg::Stamping)
}

#[test]
fn each_right_is_needed_where_people_type_their_names() -> Result<()> {
    whoever_lacks_one_right_is_refused_and_whoever_has_it_is_not(Leg::Plain)
}
