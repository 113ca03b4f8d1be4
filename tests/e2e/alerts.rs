//! Alerts, from a real Alertmanager: they open an Incident and feed it, and whoever may not tell of any is refused.

use anyhow::{Result, ensure};
use firstaid_sandbox::poll;
use serde_json::{Value, json};

use crate::town::{Leg, Town, WITHIN, text};

/// A town whose operator hears of alerts.
fn town(leg: Leg, name: &str) -> Result<Town> {
    let mut town = Town::empty(leg, name)?;
    town.sandbox.open_shop(&town.namespace)?;
    town.start_operator_with(&["--alerts"])?;
    Ok(town)
}

/// What Prometheus tells Alertmanager.
fn fires(name: &str, ends: Option<&str>) -> String {
    let alert = json!({
        "labels": {"alertname": name, "severity": "page", "service": "checkout", "namespace": "bank"},
        "annotations": {"summary": "5xx of checkout at 4%"},
        "startsAt": "2026-11-22T10:02:10Z",
        "endsAt": ends.unwrap_or("2126-11-22T10:02:10Z"),
        "generatorURL": "http://prometheus.example/graph?g0.expr=up",
    });
    json!([alert]).to_string()
}

/// What Alertmanager tells First Aid.
fn message(alerts: &Value) -> String {
    json!({"version": "4", "groupKey": "{}:{alertname=\"Down\"}", "status": "firing", "alerts": alerts}).to_string()
}

fn alert(starts: &str) -> Value {
    json!({"status": "firing", "labels": {"alertname": "Down"}, "startsAt": starts, "endsAt": "0001-01-01T00:00:00Z"})
}

#[test]
fn an_alert_opens_an_incident_which_says_when_it_was_noticed_and_over() -> Result<()> {
    let town = town(Leg::Stamping, "alerted")?;
    let namespace = town.namespace.clone();
    town.sandbox.grant_alerts(&namespace)?;
    let operator = town.operator.as_ref().expect("there is one");
    let alertmanager = town.sandbox.start_alertmanager(operator, &namespace)?;
    alertmanager.post(&fires("Checkout5xxHigh", None))?;
    let name = "checkout5xxhigh-261122-1002";
    let told = poll("an incident that knows of the alert", WITHIN, || {
        let incident = town.get("inc", name)?;
        let alerts = incident.pointer("/status/alerts").and_then(Value::as_object).cloned().unwrap_or_default();
        ensure!(alerts.len() == 1, "{incident:#}");
        ensure!(!text(&incident, "/status/durations/detect").is_empty(), "the operator has not looked at it");
        Ok(incident)
    })?;
    assert_eq!(text(&told, "/spec/summary"), "5xx of checkout at 4%");
    assert_eq!(
        text(&told, "/metadata/annotations/firstaid.dev~1told-by"),
        "system:serviceaccount:monitoring:alertmanager"
    );
    // What its labels say selects nothing.
    ensure!(town.sandbox.kubectl_run("root", &["get", "inc", "-n", "bank"])?.stdout.is_empty());

    alertmanager.post(&fires("Checkout5xxHigh", Some("2026-11-22T10:30:00Z")))?;
    poll("the end of the alert", WITHIN, || {
        let incident = town.get("inc", name)?;
        let alerts = incident.pointer("/status/alerts").and_then(Value::as_object).cloned().unwrap_or_default();
        let ended: Vec<&str> = alerts.values().map(|alert| text(alert, "/endedAt")).collect();
        ensure!(ended == ["2026-11-22T10:30:00.000000Z"], "{ended:?}");
        Ok(())
    })?;
    assert_eq!(town.list("inc")?.len(), 1);

    let mut retro = std::process::Command::new(env!("CARGO_BIN_EXE_firstaid"));
    retro.args(["retro", name, "-n", &namespace, "-o", "md"]).env("KUBECONFIG", town.sandbox.kubeconfig("bob"));
    let text = firstaid_sandbox::Output::of(&mut retro)?.ok()?;
    for words in [
        "alert Checkout5xxHigh began to fire; the impact began then or before",
        "alert Checkout5xxHigh was told",
        "Checkout5xxHigh fires: 5xx of checkout at 4%",
        "Checkout5xxHigh has ended",
        "alert Checkout5xxHigh fired once; all of it has ended",
    ] {
        ensure!(text.contains(words), "{words} is not in:\n{text}");
    }
    Ok(())
}

#[test]
fn whoever_may_not_tell_of_alerts_is_refused_and_opens_nothing() -> Result<()> {
    for leg in [Leg::Stamping, Leg::Plain] {
        let town = town(leg, "unalerted")?;
        let operator = town.operator.as_ref().expect("there is one");
        let path = format!("/alerts/{}", town.namespace);
        let bearer = |audience: &str| -> Result<String> {
            Ok(format!("Authorization: Bearer {}", town.sandbox.alertmanager_token(audience)?))
        };
        let (ours, others) = (bearer("firstaid")?, bearer("https://kubernetes.default.svc")?);
        let good = message(&json!([alert("2026-11-22T10:02:10Z")]));
        let refused = |path: &str, headers: &[&str], body: &str, code: u16, said: &str| -> Result<()> {
            let (found, answer) = operator.post(path, headers, body)?;
            ensure!(found == code && answer.contains(said), "{headers:?}: {found} {answer}");
            Ok(())
        };
        refused(&path, &[], &good, 401, "who are you? Show a token")?;
        refused(&path, &["Authorization: Bearer x"], &good, 401, "the API server does not know this token")?;
        refused(&path, &[&others], &good, 401, "it was not made for the audience firstaid")?;
        let grant = format!(
            "kubectl create rolebinding -n {} firstaid-alerts --clusterrole=firstaid-alerts --serviceaccount=monitoring:alertmanager",
            town.namespace
        );
        refused(&path, &[&ours], &good, 403, &grant)?;
        refused("/alerts/bank", &[&ours], &good, 403, "this operator does not look after namespace bank")?;
        town.sandbox.grant_alerts(&town.namespace)?;
        poll("the grant to be known", WITHIN, || refused(&path, &[&ours], "{}", 400, "missing field `alerts`"))?;
        refused(&path, &[&ours], "[]", 400, "this is no message of Alertmanager's webhook")?;
        assert_eq!(town.list("inc")?, Vec::<Value>::new());
        let over = json!([{"status": "resolved", "labels": {"alertname": "Down"}, "startsAt": "2026-11-22T10:02:10Z", "endsAt": "2026-11-22T10:12:10Z"}]);
        refused(&path, &[&ours], &message(&over), 200, "it is over, and there was no incident of it")?;
        assert_eq!(town.list("inc")?, Vec::<Value>::new());
        // And whoever may opens one, however often it is told and whoever else tells it at the same time.
        std::thread::scope(|scope| -> Result<()> {
            let told: Vec<_> = (0..6).map(|_| scope.spawn(|| operator.post(&path, &[&ours], &good))).collect();
            for answer in told {
                let (code, said) = answer.join().expect("an answer")?;
                ensure!(code == 200 && said.contains("/down-261122-1002"), "{code} {said}");
            }
            Ok(())
        })?;
        assert_eq!(town.list("inc")?.len(), 1);
        // Somebody's own incident of that name is none of this group.
        let own = json!({"apiVersion": "firstaid.dev/v1alpha1", "kind": "Incident", "metadata": {"name": "down-261122-1102"}, "spec": {}});
        town.apply("root", &own.to_string())?;
        town.kubectl(
            "root",
            &[
                "patch",
                "inc",
                "down-261122-1002",
                "--type=merge",
                "-p",
                r#"{"spec":{"milestones":{"resolved":{"at":"2026-11-22T10:40:00Z","source":"graph"}}}}"#,
            ],
        )?
        .ok()?;
        let again = message(&json!([alert("2026-11-22T11:02:10Z")]));
        refused(&path, &[&ours], &again, 200, "/down-261122-1102-")?;
    }
    Ok(())
}

#[test]
fn where_it_is_not_wanted_nothing_listens() -> Result<()> {
    let town = Town::open(Leg::Stamping, "unwanted")?;
    let operator = town.operator.as_ref().expect("there is one");
    let (code, _) = operator.post(&format!("/alerts/{}", town.namespace), &[], "{}")?;
    assert_eq!(code, 404);
    Ok(())
}
