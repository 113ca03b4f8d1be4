//! What an attacker may send, and what a world may answer.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::action::{Answer, AutoscalerFacts, Query, ScalePaths};
use crate::api::{Approval, Person, RunbookRun};

/// A runbook, a run, and words for everything else.
#[derive(Clone, Debug)]
pub struct Case {
    pub runbook: Value,
    pub run: Value,
    objects: Vec<Value>,
    words: Vec<String>,
    pub choice: usize,
}

/// A text that somebody might try.
fn odd() -> impl Strategy<Value = String> {
    const TRIED: [&str; 34] = [
        "",
        " ",
        "\u{1b}[2J\u{1b}]0;owned\u{7}",
        "a\nkubectl delete ns shop",
        "a\r\nb",
        "on \u{202e}ffo",
        "b\u{43e}b",
        "\u{0}",
        "'; kubectl delete ns shop #",
        "$(id)",
        "`id`",
        "${params.x}",
        "${",
        "${params.x",
        "😀😀",
        "\u{9b}31m",
        "a/b",
        "../../secrets/x",
        "-n",
        "--all",
        "true",
        "off",
        "null",
        "{}",
        "\u{feff}x",
        "a\u{2028}b",
        "\u{7f}",
        "%s%n",
        "{{ .Values }}",
        "\"}},\"x\":{\"",
        "a\tb",
        "bob",
        "system:serviceaccount:shop:bot",
        "e\u{301}\u{301}\u{301}",
    ];
    prop_oneof![
        6 => select(&TRIED[..]).prop_map(str::to_owned),
        2 => (select(&[39usize, 40, 41, 52, 63, 64, 200, 256, 1024, 1025, 5000][..]), select(&["a", "ä", "😀", "'", "\u{1b}"][..]))
            .prop_map(|(times, letter)| letter.repeat(times)),
        2 => any::<String>(),
        1 => "[ -~]{0,80}",
    ]
}

/// Mostly what is right, so that it gets far.
fn mostly(right: &'static str) -> impl Strategy<Value = String> {
    prop_oneof![5 => Just(right.to_owned()), 1 => odd()]
}

fn edge() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => (0i64..12).prop_map(Value::from),
        1 => select(&[i64::MIN, i64::MAX, -1, 1 << 53, (1 << 53) + 1, 20_000][..]).prop_map(Value::from),
        1 => select(&[0.5f64, -0.0, 1e300, 5e-324][..]).prop_map(Value::from),
        1 => odd().prop_map(Value::from),
        1 => select(&["${params.replicas}", "50%", "-100%", "99999%", "${1/0}"][..]).prop_map(Value::from),
    ]
}

/// Any JSON, also deep.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::from), edge(), odd().prop_map(Value::from)];
    let nested = leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((odd(), inner), 0..4).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    });
    prop_oneof![8 => nested, 1 => (1usize..120).prop_map(|depth| (0..depth).fold(json!("deep"), |value, _| json!([value])))]
}

fn expression() -> impl Strategy<Value = String> {
    const TRIED: [&str; 12] = [
        "true",
        "false",
        "object.spec.replicas > 1",
        "object.metadata.annotations",
        "object.data['x'] == 'y'",
        "1 / 0 == 1",
        "object.status.readyReplicas == params.replicas",
        "!!!!!!!!!!!!true",
        "'a'.matches('(a+)+$')",
        "[1,2].all(x, x > 0)",
        "9223372036854775807 + 1 > 0",
        "steps['a'].ok",
    ];
    prop_oneof![6 => select(&TRIED[..]).prop_map(str::to_owned), 1 => odd(), 1 => "[(!\\[{-]{0,40}"]
}

fn step() -> impl Strategy<Value = Value> {
    let target =
        || (mostly("Deployment"), mostly("checkout")).prop_map(|(kind, name)| json!({"kind": kind, "name": name}));
    let map =
        (mostly("flags"), mostly("f.json"), mostly("/recs"), select(&["Plain", "Json", "Yaml", "Properties"][..]))
            .prop_map(|(name, key, pointer, format)| {
                let mut map = json!({"name": name, "key": key, "format": format});
                if format != "Plain" {
                    map["pointer"] = json!(pointer);
                }
                json!({"configMap": map})
            });
    let flag = mostly("features").prop_map(|name| json!({"featureFlag": {"name": name}}));
    let disable = (
        mostly("recs"),
        prop_oneof![map, flag],
        prop::option::of(odd()),
        select(&["Refuse", "Suspend", "Keep"][..]),
        prop::collection::vec(json_value(), 0..2),
    )
        .prop_map(|(flag, mut place, to, rules, contexts)| {
            place["flag"] = json!(flag);
            place["rules"] = json!(rules);
            place["contexts"] = json!(contexts.into_iter().filter(Value::is_object).collect::<Vec<_>>());
            if let Some(to) = to {
                place["to"] = json!(to);
            }
            json!({"disable": place})
        });
    let action = prop_oneof![
        3 => (target(), select(&["replicas", "atLeast", "by", "min"][..]), edge()).prop_map(|(target, how, number)| json!({"scale": {"target": target, how: number, "contain": true}})),
        2 => target().prop_map(|target| json!({"restart": {"target": target}})),
        4 => disable,
        2 => (target(), expression()).prop_map(|(object, that)| json!({"check": {"object": object, "that": that, "within": "2s"}})),
    ];
    let common = (
        mostly("on-call"),
        prop::option::weighted(0.2, expression()),
        select(&["Stop", "Continue", "Revert"][..]),
        prop::option::weighted(0.2, odd()),
    );
    (action, common).prop_map(|(mut step, (gate, when, on_failure, description))| {
        if step.get("check").is_none() {
            step["gate"] = json!(gate);
        }
        step["onFailure"] = json!(on_failure);
        step["timeout"] = json!("5s");
        if let Some(when) = when {
            step["when"] = json!(when);
        }
        if let Some(description) = description {
            step["description"] = json!(description);
        }
        step
    })
}

fn runbook() -> impl Strategy<Value = Value> {
    let odd_name = (prop::collection::vec(step(), 1..4), prop::option::weighted(0.1, (0usize..3, odd())));
    let parts = (odd_name, mostly("sre"), mostly("10"), odd(), mostly("firstaid"), 1i64..3, any::<bool>());
    parts.prop_map(|((mut steps, renamed), role, replicas, summary, account, count, optional)| {
        for (index, step) in steps.iter_mut().enumerate() {
            step["name"] = json!(["a", "b", "c", "d"][index]);
        }
        if let Some((index, name)) = renamed
            && let Some(step) = steps.get_mut(index)
        {
            step["name"] = json!(name);
        }
        json!({"apiVersion": "firstaid.dev/v1alpha1", "kind": "Runbook",
            "metadata": {"name": "odd", "namespace": "shop", "uid": "rb-uid", "generation": 1},
            "spec": {"summary": summary, "serviceAccountName": account, "steps": steps,
                "parameters": [{"name": "replicas", "type": "integer", "default": replicas}],
                "gates": [{"name": "on-call", "requires": [{"role": role, "count": count}], "validFor": "1m", "timeout": "5m",
                    "reason": if optional { "Optional" } else { "Required" }}]}})
    })
}

fn run() -> impl Strategy<Value = Value> {
    let name = prop_oneof![5 => Just("odd-1".to_owned()), 1 => Just("r".repeat(52))];
    let parts = (name, mostly("queue grows"), prop::option::of(odd()), mostly("alice"), mostly("7"), any::<bool>());
    parts.prop_map(|(name, reason, incident, by, replicas, plan)| {
        json!({"apiVersion": "firstaid.dev/v1alpha1", "kind": "RunbookRun",
            "metadata": {"name": name, "namespace": "shop", "uid": "run-uid", "generation": 1},
            "spec": {"runbook": "odd", "reason": reason, "incident": incident, "requestedBy": {"username": by},
                "mode": if plan && replicas == "7" { "Plan" } else { "Execute" }, "parameters": {"replicas": replicas}}})
    })
}

/// An object of the cluster: a workload, a map and a flag resource in one, since each is asked for what it has.
fn object() -> impl Strategy<Value = Value> {
    let document = prop_oneof![
        4 => Just("{\"recs\": true}".to_owned()),
        1 => Just("recs: on\n".to_owned()),
        1 => Just("recs=TRUE\n".to_owned()),
        1 => Just("true".to_owned()),
        1 => odd(),
        1 => (odd(), odd()).prop_map(|(key, text)| json!({"recs": true, key: text}).to_string()),
        1 => (odd(), odd()).prop_map(|(on, off)| json!({"recs": {"state": "ENABLED", "variants": {on.clone(): true, off: false}, "defaultVariant": on}}).to_string()),
        1 => json_value().prop_map(|value| json!({"recs": value}).to_string()),
    ];
    let flag = prop_oneof![
        3 => (odd(), odd()).prop_map(|(on, off)| json!({"state": "ENABLED", "variants": {on.clone(): true, off: false}, "defaultVariant": on})),
        1 => json_value(),
    ];
    let marks = prop::option::of((odd(), odd(), odd()).prop_map(|(token, tool, more)| {
        json!({"firstaid.dev/last-action": token, "argocd.argoproj.io/tracking-id": tool, "note": more})
    }));
    (edge(), edge(), document, flag, marks, json_value()).prop_map(
        |(replicas, ready, document, flag, marks, status)| {
            let mut object = json!({
                "metadata": {"uid": "u1", "generation": 3, "resourceVersion": "7"},
                "spec": {"replicas": replicas, "template": {}, "flagSpec": {"flags": {"recs": flag}}},
                "status": {"readyReplicas": ready, "more": status},
                "data": {"f.json": document},
            });
            if let Some(marks) = marks {
                object["metadata"]["annotations"] = marks;
            }
            object
        },
    )
}

/// A place of a value becomes something else, or nothing.
fn damaged(value: Value, place: usize, with: Option<Value>) -> Value {
    fn places(value: &Value, at: &str, all: &mut Vec<String>) {
        all.push(at.to_owned());
        let token = |key: &str| key.replace('~', "~0").replace('/', "~1");
        match value {
            Value::Object(fields) => {
                fields.iter().for_each(|(key, value)| places(value, &format!("{at}/{}", token(key)), all))
            }
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(index, value)| places(value, &format!("{at}/{index}"), all))
            }
            _ => {}
        }
    }
    let mut all = Vec::new();
    places(&value, "", &mut all);
    let mut value = value;
    if let (Some(at), Some(with)) = (all.get(place % all.len().max(1)), with)
        && let Some(there) = value.pointer_mut(at)
    {
        *there = with;
    }
    value
}

/// What the API server vouches for in any object: its name is one, its uid is its own.
fn named(mut damaged: Value, whole: &Value) -> Value {
    if let Some(fields) = damaged.as_object_mut() {
        fields.insert("metadata".to_owned(), whole["metadata"].clone());
    }
    damaged
}

/// A case.
pub fn case() -> impl Strategy<Value = Case> {
    let damage = || (any::<usize>(), prop::option::weighted(0.15, json_value()));
    let parts = (
        runbook(),
        damage(),
        run(),
        damage(),
        prop::collection::vec(object(), 1..4),
        prop::collection::vec(odd(), 1..6),
        0usize..1000,
    );
    parts.prop_map(|(runbook, (at, with), run, (run_at, run_with), objects, words, choice)| Case {
        runbook: named(damaged(runbook.clone(), at, with), &runbook),
        run: named(damaged(run.clone(), run_at, run_with), &run),
        objects,
        words,
        choice,
    })
}

impl Case {
    /// A word, another one at each turn.
    pub fn word(&self, turn: usize) -> String {
        self.words[(self.choice + turn) % self.words.len()].clone()
    }

    /// Whether something unusual happens.
    fn unusual(&self, turn: usize) -> bool {
        (self.choice / 7 + turn * 13).is_multiple_of(11)
    }

    pub fn answer(&self, query: &Query, turn: usize) -> Answer {
        let unusual = self.unusual(turn);
        let trouble = || match (self.choice + turn) % 3 {
            0 => Answer::Unreadable(self.word(turn)),
            1 => Answer::Forbidden(self.word(turn)),
            _ => Answer::Object(None),
        };
        match query {
            Query::Journal => Answer::Yes,
            Query::Runbook(_) => Answer::Object(Some(self.runbook.clone())),
            Query::Run(_) | Query::Record(_) | Query::Ballot(_) => trouble(),
            Query::Object(_) if unusual => trouble(),
            Query::Object(_) => {
                Answer::Object(Some(self.objects[(self.choice + turn / 9) % self.objects.len()].clone()))
            }
            Query::Autoscalers if unusual => Answer::Autoscalers(vec![AutoscalerFacts {
                name: self.word(turn),
                kind: "Deployment".to_owned(),
                target: "checkout".to_owned(),
                min: i64::MIN,
                max: i64::MAX,
            }]),
            Query::Autoscalers => Answer::Autoscalers(Vec::new()),
            Query::Objects { .. } => trouble(),
            Query::ScalePaths { .. } if unusual => {
                Answer::ScalePaths(Some(ScalePaths { spec: self.word(turn), status: self.word(turn + 1) }))
            }
            Query::ScalePaths { .. } => Answer::ScalePaths(Some(ScalePaths {
                spec: "/spec/replicas".to_owned(),
                status: "/status/readyReplicas".to_owned(),
            })),
            Query::Brake if unusual => Answer::Brake(Some(self.word(turn))),
            Query::Brake => Answer::Brake(None),
            Query::DryRun(_) | Query::Access { .. } | Query::Guards if unusual => match turn % 3 {
                0 => Answer::No(self.word(turn)),
                1 => Answer::Forbidden(self.word(turn)),
                _ => Answer::Unreadable(self.word(turn)),
            },
            Query::DryRun(_) | Query::Access { .. } | Query::Guards => Answer::Yes,
            Query::Holder { .. } if unusual => Answer::Yes,
            Query::Holder { .. } => Answer::No(self.word(turn)),
        }
    }

    /// A ballot as somebody marked it: mostly so that it counts.
    pub fn marked(&self, mut ballot: Approval) -> Approval {
        ballot.metadata.uid = Some("ballot-uid".to_owned());
        let turn = ballot.metadata.name.as_ref().map_or(0, String::len) + self.choice;
        let (by, why) = if turn.is_multiple_of(3) {
            (self.word(turn), self.word(turn + 1))
        } else {
            ("bob".to_owned(), self.word(turn))
        };
        let key = if turn.is_multiple_of(9) { "deny" } else { "approve" };
        let mark = if turn.is_multiple_of(5) { why } else { format!("{} x{why}", ballot.spec.request.code) };
        if turn.is_multiple_of(2) {
            ballot.spec.voter =
                Some(Person { username: by.clone(), credential_id: self.word(turn), ..Person::default() });
        }
        ballot.metadata.annotations = Some([(key.to_owned(), mark), ("by".to_owned(), by)].into());
        ballot
    }

    /// What people write on a run.
    pub fn speak(&self, run: &mut RunbookRun, turn: usize) {
        let key = match (self.choice + turn) % 17 {
            0 => "abort",
            1 => "abort-by",
            2 => "settle",
            3 => "settle-by",
            _ => return,
        };
        let word = if turn.is_multiple_of(2) { format!("done {}", self.word(turn)) } else { self.word(turn) };
        run.metadata.annotations.get_or_insert_default().entry(key.to_owned()).or_insert(word);
    }
}
