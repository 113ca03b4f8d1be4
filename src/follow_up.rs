//! Whether the cluster shows that a follow-up of an incident is done. Pure: what is asked, and what the answers mean.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, MicroTime};
use kube::core::{Selector, SelectorExt as _};
use serde_json::{Value, json};

use crate::action::{self, Answer, Context, ObjectRef, Obstacle, Query, Seen, Verdict, reason};
use crate::api::condition::cut;
use crate::api::follow_up::{CheckedFollowUp, FollowUp, FollowUpCheck, FollowUpState, Holds};
use crate::api::line::one_line;
use crate::api::step::{Check, TargetRef};
use crate::api::{Incident, IncidentSpec};
use crate::digest;

/// What must be true of a Runbook that is Ready.
const IS_READY: &str = "object.status.conditions.exists(c, c.type == 'Ready' && c.status == 'True')";

/// What must be read for the checks of an incident, each once.
pub fn look(spec: &IncidentSpec) -> Vec<Query> {
    let mut queries: Vec<Query> = Vec::new();
    for query in checked(spec).flat_map(|(_, check)| questions(check)) {
        if !queries.contains(&query) {
            queries.push(query);
        }
    }
    queries
}

/// What the checks of an incident find. `before`: what they found at the look before; what is the same since then keeps its
/// time.
pub fn judge(incident: &Incident, seen: &Seen, before: &[CheckedFollowUp], now: Timestamp) -> Vec<CheckedFollowUp> {
    let found = checked(&incident.spec).map(|(follow_up, check)| {
        let of = digest::of(check);
        let (holds, message) = found(check, incident, seen);
        let before = before.iter().find(|before| before.id == follow_up.id && before.of == of);
        CheckedFollowUp {
            id: follow_up.id.clone(),
            holds,
            since: before
                .filter(|before| before.holds == holds)
                .map_or_else(|| MicroTime(now), |before| before.since.clone()),
            held: holds == Holds::Yes || before.is_some_and(|before| before.held),
            message: cut(&one_line(&message), 512),
            of,
        }
    });
    found.collect()
}

/// The follow-ups that the cluster can tell something of. What is dropped is nobody's business any more.
fn checked(spec: &IncidentSpec) -> impl Iterator<Item = (&FollowUp, &FollowUpCheck)> {
    let wanted = spec.follow_ups.iter().filter(|follow_up| follow_up.state != FollowUpState::Dropped);
    wanted.filter_map(|follow_up| Some((follow_up, follow_up.check.as_ref()?)))
}

/// The object of a check, and what must be true of it; none where it is about objects of a kind.
fn about(check: &FollowUpCheck) -> Option<Check> {
    let (object, that) = match check {
        FollowUpCheck { object: Some(object), that: Some(that), .. } => (object.clone(), that.clone()),
        FollowUpCheck { runbook: Some(name), .. } => {
            let runbook = TargetRef {
                api_version: Some("firstaid.dev/v1alpha1".to_owned()),
                kind: "Runbook".to_owned(),
                name: name.clone(),
            };
            (runbook, IS_READY.to_owned())
        }
        _ => return None,
    };
    Some(Check { object, that, within: None, hold_for: None })
}

fn deployment(name: &str) -> ObjectRef {
    ObjectRef { api_version: "apps/v1".to_owned(), kind: "Deployment".to_owned(), name: name.to_owned() }
}

fn budgets() -> Query {
    Query::Objects { api_version: "policy/v1".to_owned(), kind: "PodDisruptionBudget".to_owned() }
}

fn alert_rules() -> Query {
    Query::Objects { api_version: "monitoring.coreos.com/v1".to_owned(), kind: "PrometheusRule".to_owned() }
}

fn questions(check: &FollowUpCheck) -> Vec<Query> {
    if let Some(check) = about(check) {
        let object = ObjectRef::of(&check.object).ok().filter(|object| object.named().is_ok());
        return object.map(Query::Object).into_iter().collect();
    }
    match check {
        FollowUpCheck { alert_rule: Some(_), .. } => vec![alert_rules()],
        FollowUpCheck { disruption_budget: Some(name), .. } => vec![Query::Object(deployment(name)), budgets()],
        _ => Vec::new(),
    }
}

fn found(check: &FollowUpCheck, incident: &Incident, seen: &Seen) -> (Holds, String) {
    let namespace = incident.metadata.namespace.as_deref().unwrap_or_default();
    for query in questions(check) {
        match seen.answer(&query) {
            Some(Answer::Forbidden(why)) => {
                let (account, name) = (&incident.spec.service_account_name, incident.metadata.name.as_deref());
                let grant = format!(
                    "kubectl get inc {} -n {namespace} -o yaml | firstaid onboard -n {namespace} --from /dev/stdin | kubectl apply -f -",
                    name.unwrap_or_default()
                );
                let sentence = format!("as {account} it may not be read: {}; grant it with: {grant}", cut(why, 240));
                return (Holds::Unknown, sentence);
            }
            Some(Answer::Unreadable(why)) => return (Holds::Unknown, format!("it could not be read: {why}")),
            Some(Answer::No(why)) => return (Holds::No, why.clone()),
            Some(_) => {}
            None => return (Holds::Unknown, "it has not been looked at".to_owned()),
        }
    }
    if let Some(check) = about(check) {
        return of_object(&check, namespace, seen);
    }
    match check {
        FollowUpCheck { alert_rule: Some(alert), .. } => {
            let is_there = objects(seen, &alert_rules()).iter().any(|rule| has_alert(rule, alert));
            holds(
                is_there,
                &format!("a PrometheusRule has the alert {alert}"),
                &format!("no PrometheusRule has the alert {alert}"),
            )
        }
        FollowUpCheck { disruption_budget: Some(name), .. } => {
            let Ok(found) = seen.object(&deployment(name)) else {
                return (Holds::No, format!("there is no Deployment {name}"));
            };
            let budget = objects(seen, &budgets()).iter().find(|budget| selects(budget, &labels(found)));
            let budget = budget.map(|budget| text(budget, "/metadata/name"));
            holds(
                budget.is_some(),
                &format!("the PodDisruptionBudget {} selects the pods of {name}", budget.unwrap_or_default()),
                &format!("no PodDisruptionBudget selects the pods of {name}"),
            )
        }
        _ => (Holds::Unknown, "this version knows no such check".to_owned()),
    }
}

fn holds(yes: bool, why: &str, why_not: &str) -> (Holds, String) {
    if yes { (Holds::Yes, why.to_owned()) } else { (Holds::No, why_not.to_owned()) }
}

fn of_object(check: &Check, namespace: &str, seen: &Seen) -> (Holds, String) {
    let named = ObjectRef::of(&check.object).map_err(|obstacle| obstacle.to_string()).and_then(|object| object.named());
    if let Err(sentence) = named {
        return (Holds::Unknown, sentence);
    }
    let nothing = json!({});
    let context = Context { namespace, params: &nothing, intent_at: Timestamp::UNIX_EPOCH };
    match action::is_true(check, &context, seen) {
        Ok(Verdict::Yes(message, _)) => (Holds::Yes, message),
        Ok(Verdict::NotYet(message, _)) => (Holds::No, message),
        Err(Obstacle::Refused { reason: reason::TARGET_GONE, sentence }) => (Holds::No, sentence),
        Err(obstacle) => (Holds::Unknown, obstacle.to_string()),
    }
}

fn objects<'a>(seen: &'a Seen, query: &Query) -> &'a [Value] {
    match seen.answer(query) {
        Some(Answer::Objects(found)) => found,
        _ => &[],
    }
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn items<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value.get(key).and_then(Value::as_array).into_iter().flatten()
}

fn has_alert(rule: &Value, alert: &str) -> bool {
    let groups = rule.get("spec").into_iter().flat_map(|spec| items(spec, "groups"));
    groups.flat_map(|group| items(group, "rules")).any(|rule| text(rule, "/alert") == alert)
}

/// The labels of the pods that a workload makes.
fn labels(workload: &Value) -> BTreeMap<String, String> {
    let labels = workload.pointer("/spec/template/metadata/labels").cloned().unwrap_or_default();
    serde_json::from_value(labels).unwrap_or_default()
}

/// Whether a PodDisruptionBudget is about pods with these labels. One without a selector is about none:
/// <https://kubernetes.io/docs/tasks/run-application/configure-pdb/>.
fn selects(budget: &Value, labels: &BTreeMap<String, String>) -> bool {
    let selector = budget.pointer("/spec/selector").cloned();
    let selector = selector.and_then(|selector| serde_json::from_value::<LabelSelector>(selector).ok());
    selector.and_then(|selector| Selector::try_from(selector).ok()).is_some_and(|selector| selector.matches(labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incident(check: &Value) -> Incident {
        let follow_ups = json!([
            {"id": "fu-1", "text": "Mend it", "kind": "Prevent", "check": check},
            {"id": "fu-2", "text": "Talk about it", "kind": "Prevent"},
            {"id": "fu-3", "text": "Forget it", "kind": "Prevent", "state": "Dropped", "why": "x", "check": check},
        ]);
        let object = json!({"apiVersion": "firstaid.dev/v1alpha1", "kind": "Incident",
            "metadata": {"name": "inc-7f3", "namespace": "shop"}, "spec": {"followUps": follow_ups}});
        serde_json::from_value(object).unwrap()
    }

    /// What a check finds where the world answers so, in order of its questions.
    fn finds(check: &Value, answers: Vec<Answer>) -> (Holds, String) {
        let incident = incident(check);
        let mut seen = Seen::default().within("shop");
        for (query, answer) in look(&incident.spec).into_iter().zip(answers) {
            seen.add(query, answer);
        }
        let found = judge(&incident, &seen, &[], Timestamp::UNIX_EPOCH);
        assert_eq!(found.len(), 1, "only what has a check, and is not dropped");
        (found[0].holds, found[0].message.clone())
    }

    #[test]
    fn an_object_is_judged_by_an_expression() {
        let check = json!({"object": {"kind": "Deployment", "name": "web"}, "that": "object.spec.replicas >= 3"});
        let with = |replicas: i32| Answer::Object(Some(json!({"spec": {"replicas": replicas}})));
        assert_eq!(finds(&check, vec![with(3)]).0, Holds::Yes);
        assert_eq!(
            finds(&check, vec![with(2)]),
            (Holds::No, "Deployment/web: object.spec.replicas >= 3 is false".to_owned())
        );
        let gone = finds(&check, vec![Answer::Object(None)]);
        assert!(gone.0 == Holds::No && gone.1.starts_with("Deployment/web does not exist"), "{gone:?}");
        let kept = finds(&check, vec![Answer::Forbidden("no".to_owned())]);
        assert!(
            kept.0 == Holds::Unknown
                && kept
                    .1
                    .starts_with("as firstaid it may not be read: no; grant it with: kubectl get inc inc-7f3 -n shop"),
            "{kept:?}"
        );
        assert_eq!(finds(&check, vec![Answer::Unreadable("slow".to_owned())]).0, Holds::Unknown);
        assert_eq!(finds(&check, Vec::new()).0, Holds::Unknown, "nobody has looked");
    }

    #[test]
    fn what_makes_no_sense_is_said_and_never_asked() {
        for (check, wanted) in [
            (json!({"object": {"kind": "Secret", "name": "a"}, "that": "true"}), "a Secret is nothing"),
            (json!({"object": {"kind": "Shop", "name": "a"}, "that": "true"}), "needs an apiVersion"),
            (json!({"object": {"kind": "Pod", "name": "${params.x}"}, "that": "true"}), "is no name of a Pod"),
            (json!({}), "knows no such check"),
        ] {
            assert_eq!(look(&incident(&check).spec), []);
            let (holds, message) = finds(&check, Vec::new());
            assert!(holds == Holds::Unknown && message.contains(wanted), "{message}");
        }
        let broken = json!({"object": {"kind": "Pod", "name": "a"}, "that": "object.spec >"});
        let (holds, message) = finds(&broken, vec![Answer::Object(Some(json!({})))]);
        assert!(holds == Holds::Unknown && message.contains("does not compile"), "{message}");
    }

    #[test]
    fn a_runbook_is_ready() {
        let check = json!({"runbook": "shed-load"});
        let with = |status: &str| {
            Answer::Object(Some(json!({"status": {"conditions": [{"type": "Ready", "status": status}]}})))
        };
        assert_eq!(finds(&check, vec![with("True")]).0, Holds::Yes);
        assert_eq!(finds(&check, vec![with("False")]).0, Holds::No);
        assert_eq!(finds(&check, vec![Answer::Object(Some(json!({})))]).0, Holds::No);
    }

    #[test]
    fn an_alert_is_in_a_rule() {
        let check = json!({"alertRule": "QueueGrows"});
        let with = |alert: &str| {
            let rules = json!([{"record": "x"}, {"alert": alert}]);
            Answer::Objects(vec![json!({"spec": {}}), json!({"spec": {"groups": [{"name": "g", "rules": rules}]}})])
        };
        assert_eq!(finds(&check, vec![with("QueueGrows")]).0, Holds::Yes);
        assert_eq!(finds(&check, vec![with("QueueGrowsFast")]).0, Holds::No);
        let unserved = Answer::No("this cluster has no kind PrometheusRule of monitoring.coreos.com/v1".to_owned());
        assert_eq!(finds(&check, vec![unserved]).0, Holds::No);
    }

    #[test]
    fn a_budget_selects_pods_by_their_labels() {
        let check = json!({"disruptionBudget": "web"});
        let web = || {
            Answer::Object(Some(json!({"spec": {"template": {"metadata": {"labels": {"app": "web", "tier": "1"}}}}})))
        };
        let with =
            |selector: Value| Answer::Objects(vec![json!({"metadata": {"name": "b"}, "spec": {"selector": selector}})]);
        for (selector, wanted) in [
            (json!({"matchLabels": {"app": "web"}}), Holds::Yes),
            (json!({"matchLabels": {"app": "api"}}), Holds::No),
            (json!({"matchExpressions": [{"key": "tier", "operator": "In", "values": ["1", "2"]}]}), Holds::Yes),
            (json!({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["1"]}]}), Holds::No),
            (json!({"matchExpressions": [{"key": "app", "operator": "Exists"}]}), Holds::Yes),
            (json!({"matchExpressions": [{"key": "app", "operator": "Almost"}]}), Holds::No),
            (json!({}), Holds::Yes),
            (Value::Null, Holds::No),
        ] {
            assert_eq!(finds(&check, vec![web(), with(selector.clone())]).0, wanted, "{selector}");
        }
        assert_eq!(finds(&check, vec![web(), Answer::Objects(Vec::new())]).0, Holds::No);
        assert_eq!(finds(&check, vec![Answer::Object(None), Answer::Objects(Vec::new())]).0, Holds::No);
    }

    #[test]
    fn what_held_once_is_remembered_as_long_as_the_check_is_the_same() {
        let check = json!({"runbook": "shed-load"});
        let at = |check: &Value, holds: bool, before: &[CheckedFollowUp], second: i64| {
            let incident = incident(check);
            let status = if holds { "True" } else { "False" };
            let mut seen = Seen::default();
            for query in look(&incident.spec) {
                let object = json!({"status": {"conditions": [{"type": "Ready", "status": status}]}});
                seen.add(query, Answer::Object(Some(object)));
            }
            judge(&incident, &seen, before, Timestamp::from_second(second).unwrap())
        };
        let first = at(&check, true, &[], 10);
        assert_eq!(at(&check, true, &first, 20), first, "nothing new, nothing to write");
        let after = at(&check, false, &first, 30);
        assert_eq!((after[0].held, after[0].since.0.as_second()), (true, 30));
        let another = at(&json!({"runbook": "other"}), false, &first, 30);
        assert!(!another[0].held);
    }
}
