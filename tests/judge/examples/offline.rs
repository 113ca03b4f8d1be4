//! scratch
use firstaid_judge::*;
use serde_json::Value;
use std::collections::BTreeMap;
fn main() {
    let path = std::env::args().nth(1).unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    let mut all: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for line in text.lines() {
        let Ok(e) = serde_json::from_str::<Value>(line) else { continue };
        let ns = e.pointer("/objectRef/namespace").and_then(Value::as_str).unwrap_or("").to_owned();
        all.entry(ns).or_default().push(e);
    }
    for (ns, entries) in all {
        let mut last: BTreeMap<(String, String), (u64, Value)> = BTreeMap::new();
        for e in &entries {
            if e.pointer("/objectRef/apiGroup").and_then(Value::as_str) != Some("firstaid.dev") { continue }
            if e["requestURI"].as_str().unwrap_or("").contains("dryRun") { continue }
            let code = e.pointer("/responseStatus/code").and_then(Value::as_i64).unwrap_or(0);
            if !(200..300).contains(&code) { continue }
            let verb = e["verb"].as_str().unwrap();
            if !matches!(verb, "create" | "update" | "patch") { continue }
            let o = &e["responseObject"];
            let uid = o.pointer("/metadata/uid").and_then(Value::as_str).unwrap_or("").to_owned();
            let rv = o.pointer("/metadata/resourceVersion").and_then(Value::as_str).unwrap_or("0").parse().unwrap();
            let res = e.pointer("/objectRef/resource").and_then(Value::as_str).unwrap_or("").to_owned();
            let slot = last.entry((res, uid)).or_insert((0, Value::Null));
            if rv >= slot.0 { *slot = (rv, o.clone()); }
        }
        let of = |kind: &str| last.iter().filter(|((k, _), _)| k == kind).map(|(_, (_, v))| v.clone()).collect::<Vec<_>>();
        let case = Case { runs: of("runbookruns"), ballots: of("approvals"), records: of("actionrecords"), entries };
        let v = judge(&case);
        if !v.is_empty() { println!("{ns}: {v}"); }
    }
}
