use super::*;

const NOW: &str = "2026-11-23T10:02:31.5Z";

/// An alert as Alertmanager sends it.
fn alert(name: &str, starts: &str, ends: Option<&str>) -> Value {
    json!({
        "status": if ends.is_some() { "resolved" } else { "firing" },
        "labels": {"alertname": name, "severity": "page", "service": "checkout"},
        "annotations": {"summary": "5xx of checkout at 4%", "runbook_url": "https://wiki.example/checkout"},
        "startsAt": starts,
        "endsAt": ends.unwrap_or("0001-01-01T00:00:00Z"),
        "generatorURL": "http://prometheus.example/graph?g0.expr=up",
        "fingerprint": "a1b2c3d4e5f60718",
    })
}

fn message(alerts: &[Value]) -> Value {
    json!({
        "version": "4", "groupKey": "{}:{alertname=\"Checkout5xxHigh\"}", "truncatedAlerts": 0, "status": "firing",
        "receiver": "firstaid", "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {},
        "externalURL": "http://alertmanager.example", "alerts": alerts,
    })
}

fn told(message: &Value) -> Told {
    read(&serde_json::to_vec(message).unwrap(), NOW.parse().unwrap()).unwrap()
}

fn firing() -> Told {
    told(&message(&[alert("Checkout5xxHigh", "2026-11-23T11:02:11.123456789+01:00", None)]))
}

fn resolved() -> Told {
    told(&message(&[alert("Checkout5xxHigh", "2026-11-23T10:02:11.123456789Z", Some("2026-11-23T10:30:00Z"))]))
}

fn opened(told: &Told, open: &[Incident]) -> Incident {
    let Course::Open(incident) = told.course(open, "system:serviceaccount:monitoring:alertmanager", false) else {
        panic!("it opens none")
    };
    serde_json::from_value(incident).unwrap()
}

/// The Incident after what it was told.
fn fed(mut incident: Incident, told: &Told) -> Incident {
    let Course::Feed { change, .. } = told.feed(&incident) else { panic!("there was nothing new") };
    let mut object = serde_json::to_value(&incident).unwrap();
    json_patch::merge(&mut object, &change);
    incident = serde_json::from_value(object).unwrap();
    incident
}

#[test]
fn an_alert_that_fires_opens_an_incident_named_after_it() {
    let incident = opened(&firing(), &[]);
    assert_eq!(incident.metadata.name.as_deref(), Some("checkout5xxhigh-261123-1002"));
    assert_eq!(incident.spec.summary, "5xx of checkout at 4%");
    assert_eq!(
        (incident.spec.severity.as_str(), incident.spec.services.as_slice()),
        ("page", &["checkout".to_owned()][..])
    );
    let annotations = incident.metadata.annotations.clone().unwrap();
    assert_eq!(annotations[TOLD_BY_ANNOTATION], "system:serviceaccount:monitoring:alertmanager");
    let incident = fed(incident, &firing());
    let status = incident.status.unwrap();
    let alert = &status.alerts["a1b2c3d4e5f60718-1795428131"];
    assert_eq!(
        (alert.name.as_str(), alert.link.as_str()),
        ("Checkout5xxHigh", "http://prometheus.example/graph?g0.expr=up")
    );
    assert_eq!(alert.started_at.0.to_string(), "2026-11-23T10:02:11.123456Z");
    assert_eq!((alert.received_at.0.to_string().as_str(), &alert.ended_at), ("2026-11-23T10:02:31.5Z", &None));
}

#[test]
fn what_is_over_starts_nothing() {
    assert_eq!(resolved().course(&[], "am", false), Course::Nothing);
}

#[test]
fn a_message_that_comes_again_changes_nothing_and_an_end_is_not_taken_back() {
    let incident = fed(opened(&firing(), &[]), &firing());
    let open = [incident.clone()];
    assert_eq!(firing().course(&open, "am", false), Course::Known("checkout5xxhigh-261123-1002".to_owned()));
    let over = fed(incident, &resolved());
    let alert = &over.status.as_ref().unwrap().alerts["a1b2c3d4e5f60718-1795428131"];
    assert_eq!(alert.ended_at.as_ref().unwrap().0.to_string(), "2026-11-23T10:30:00Z");
    assert!(matches!(firing().feed(&over), Course::Known(_)), "an older message, that comes late");
}

#[test]
fn one_that_fires_again_is_another_time_and_after_the_end_another_incident() {
    let again = told(&message(&[alert("Checkout5xxHigh", "2026-11-23T11:00:00Z", None)]));
    let mut incident = fed(opened(&firing(), &[]), &firing());
    let twice = fed(incident.clone(), &again);
    assert_eq!(twice.status.unwrap().alerts.len(), 2);
    incident.spec.milestones.resolved =
        Some(serde_json::from_value(json!({"at": "2026-11-23T10:40:00Z", "source": "graph"})).unwrap());
    assert_eq!(opened(&again, &[incident]).metadata.name.as_deref(), Some("checkout5xxhigh-261123-1100"));
}

#[test]
fn an_incident_of_a_persons_own_is_fed_once_it_has_the_label() {
    let mut own = opened(&firing(), &[]);
    own.metadata.name = Some("inc-7f3".to_owned());
    assert!(
        matches!(firing().course(&[own.clone()], "am", false), Course::Feed { incident, .. } if incident == "inc-7f3")
    );
    own.metadata.labels = Some([(ALERT_GROUP_LABEL.to_owned(), "0123456789abcdef".to_owned())].into());
    assert!(matches!(firing().course(&[own], "am", false), Course::Open(_)), "of another group");
}

#[test]
fn a_name_that_is_taken_gets_an_end() {
    let Course::Open(incident) = firing().course(&[], "am", true) else { panic!("it opens none") };
    let name = incident["metadata"]["name"].as_str().unwrap();
    assert!(name.starts_with("checkout5xxhigh-261123-1002-") && name.len() == 32, "{name}");
}

#[test]
fn a_storm_fills_no_incident_and_opens_no_more_than_so_many() {
    let many: Vec<Value> = (0..200)
        .map(|number| {
            let mut alert = alert("Down", "2026-11-23T10:02:11Z", None);
            alert["fingerprint"] = json!(format!("{number:016x}"));
            alert
        })
        .collect();
    let mut storm = message(&many);
    storm["truncatedAlerts"] = json!(7);
    let incident = fed(opened(&told(&storm), &[]), &told(&storm));
    let status = incident.status.clone().unwrap();
    assert_eq!((status.alerts.len(), status.alerts_left_out), (MOST_ALERTS, Some(143)));
    assert!(matches!(told(&storm).feed(&incident), Course::Known(_)), "a repeat counts nothing twice");
    let others: Vec<Incident> = (0..MOST_OPEN)
        .map(|number| {
            let mut other = incident.clone();
            other.metadata.labels = Some([(ALERT_GROUP_LABEL.to_owned(), format!("{number}"))].into());
            other
        })
        .collect();
    assert_eq!(firing().course(&others, "am", false), Course::TooMany);
}

#[test]
fn what_strangers_write_is_bounded_and_does_nothing() {
    let mut hostile = alert("\u{1b}[2J../../A B", "2026-11-23T10:02:11Z", None);
    hostile["fingerprint"] = json!("../../etc");
    hostile["generatorURL"] = json!("javascript:alert(1)");
    hostile["annotations"]["summary"] = json!("x\n".repeat(4000));
    hostile["labels"]["long"] = json!("y".repeat(4000));
    hostile["labels"]["severity"] = json!("a severity that nobody would write into a field of sixteen");
    let told = told(&message(&[hostile]));
    let incident = fed(opened(&told, &[]), &told);
    assert_eq!(incident.metadata.name.as_deref(), Some("2j-a-b-261123-1002"));
    assert!(incident.spec.summary.len() <= 200 && incident.spec.severity.len() <= 16);
    let status = incident.status.unwrap();
    let (key, alert) = status.alerts.iter().next().unwrap();
    assert!(key.chars().all(|c| c.is_ascii_hexdigit() || c == '-'), "{key}");
    assert_eq!(alert.link, "");
    assert!(alert.summary.len() <= 512 && alert.labels["long"].len() <= 128);
    assert!(!format!("{:?}", alert.name).contains("1b"), "{:?}", alert.name);
}

#[test]
fn what_is_no_such_message_is_said() {
    let at: Timestamp = NOW.parse().unwrap();
    for (body, said) in [
        (&b"x"[..], "this is no message of Alertmanager's webhook: expected value at line 1 column 1"),
        (b"{}", "missing field `alerts`"),
        (b"{\"alerts\": []}", "the message has no alerts"),
        (b"{\"alerts\": [{\"status\": \"firing\"}]}", "missing field `startsAt`"),
    ] {
        let refused = read(body, at).unwrap_err();
        assert!(refused.contains(said), "{refused}");
    }
}
