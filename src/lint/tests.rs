//! Runbooks that somebody typed at the end of a long day.

use super::*;

const GOOD: &str = r#"# Take load off.
apiVersion: firstaid.dev/v1alpha1
kind: Runbook
metadata:
  name: shed-load
spec:
  summary: Take load off checkout
  parameters:
  - {name: replicas, type: integer, default: "10", minimum: 2, maximum: 20}
  - name: service
    type: string
    default: checkout
  gates:
  - name: on-call
    requires: [{role: sre, count: 1}]
    timeout: 1h
  steps:
  - name: flag-off
    gate: on-call
    disable:
      flag: recommendations
      configMap: {name: shop-flags, key: flags.json, format: Json, pointer: /recommendations}
  - name: out
    gate: on-call
    when: "steps['flag-off'].ok"
    scale:
      target: {kind: Deployment, name: "${params.service}"}
      replicas: "${params.replicas}"
    onFailure: Revert
  - name: look
    check:
      object: {kind: Deployment, name: checkout}
      that: "object.status.readyReplicas >= params.replicas"
      within: 5m
"#;

fn lint(text: &str) -> Report {
    Linter::new(Vec::new()).unwrap().lint("a.yaml", text)
}

/// The good one with another text in place of one that is there.
fn with(old: &str, new: &str) -> String {
    assert!(GOOD.contains(old), "{old}");
    GOOD.replacen(old, new, 1)
}

/// `line:column level sentence | instead` of each finding.
fn told(text: &str) -> Vec<String> {
    let told = |Finding { problem, .. }: &Finding| {
        let level = if problem.level == Level::Error { "error" } else { "warning" };
        format!("{}:{} {level} {} | {}", problem.place.line, problem.place.column, problem.sentence, problem.instead)
    };
    lint(text).findings.iter().map(told).collect()
}

#[test]
fn a_good_one_is_clean() {
    let report = lint(GOOD);
    assert_eq!(report.findings, []);
    assert_eq!((report.runbooks, report.others), (1, 0));
    assert_eq!(lint(&GOOD.replace('\n', "\r\n")).findings, [], "CRLF");
    assert_eq!(lint(&format!("\u{feff}{GOOD}")).findings, [], "BOM");
    assert_eq!(lint(&format!("---\n{GOOD}---\n# nothing\n---\n{GOOD}")).runbooks, 2);
}

/// The same rules that the API server has: each breaks one, at the place where it is broken.
#[test]
fn what_the_api_server_refuses_is_told_at_its_place() {
    for (old, new, wanted) in [
        ("    scale:\n", "    scael:\n", "26:5 error there is no field spec.steps[1].scael | write scale"),
        (
            "summary: Take load off checkout",
            "owner: me",
            "6:1 error spec.summary is missing | write summary: VALUE (What this runbook does, in one line)",
        ),
        (
            "name: flag-off\n    gate: on-call",
            "name: flag-off",
            "18:5 error every step that changes something needs a gate: the name of one of spec.gates, or None | write gate: NAME, and NAME in spec.gates; or gate: None",
        ),
        (
            "name: out\n    gate: on-call",
            "name: out\n    gate: oncall",
            "24:11 error a step names a gate that is not in spec.gates | name one of spec.gates, or add this one there",
        ),
        ("name: look\n", "name: out\n", "30:11 error two steps have the same name | give this one another name"),
        (
            "name: look\n",
            "name: look\n    gate: on-call\n",
            "31:11 error a check changes nothing and takes no gate | leave gate out",
        ),
        (
            "    onFailure: Revert\n",
            "    onFailure: Undo\n",
            "29:16 error spec.steps[1].onFailure cannot be \"Undo\" | write one of: Stop, Continue, Revert",
        ),
        (
            "      flag: recommendations\n",
            "      flag: on\n",
            "21:13 error spec.steps[0].disable.flag must be a text, and YAML takes on for true | write it in quotes: \"on\"",
        ),
        (
            "default: \"10\"",
            "default: 10",
            "9:46 error spec.parameters[0].default must be a text, and this is a number | write it in quotes: \"10\"",
        ),
        (
            "minimum: 2",
            "minimum: 30",
            "9:61 error a parameter's minimum is greater than its maximum | write a smaller minimum or a greater maximum",
        ),
        (
            "timeout: 1h",
            "timeout: 5m",
            "16:14 error a gate's timeout is at least as long as its ballots are valid | write a longer timeout, or a shorter validFor",
        ),
        (
            "timeout: 1h",
            "timeout: soon",
            "16:14 error a length of time like 90s, 15m or 1h30m, at most 168h | write 90s, 15m or 1h30m",
        ),
        (
            "count: 1",
            "count: 9",
            "15:35 error spec.gates[0].requires[0].count must be 5 or less, and this is 9 | How many people",
        ),
        (
            "requires: [{role: sre, count: 1}]",
            "requires: []",
            "15:15 error spec.gates[0].requires has 0 items, and must have at least 1 | write what is missing, each with a - before it",
        ),
        (
            "role: sre",
            "role: \"\"",
            "15:23 error spec.gates[0].requires[0].role is empty | The role: whoever may `approve` `runbooks/as-ROLE` holds it",
        ),
        (
            "{role: sre, count: 1}",
            "{count: 1}",
            "15:16 error spec.gates[0].requires[0].role is missing | write role: VALUE (The role: whoever may `approve` `runbooks/as-ROLE` holds it)",
        ),
        (
            "{role: sre, count: 1}",
            "{role: sre, count: 5}, {role: dba, count: 5}",
            "15:5 error a gate asks for at most 8 votes | write smaller counts",
        ),
        (
            "replicas: \"${params.replicas}\"",
            "replicas: ten",
            "28:17 error a number, or an expression that is the whole value: ${params.NAME} | write 3 or ${params.NAME}, and nothing before or after it",
        ),
        (
            "replicas: \"${params.replicas}\"",
            "replicas: 0",
            "28:17 error scale to zero takes the service away: say so with contain: true | write contain: true beside it, or a greater number",
        ),
        ("name: shed-load\n", "name: Shed_Load\n", "5:9 error metadata.name cannot be \"Shed_Load\": it must match"),
        ("metadata:\n  name: shed-load\n", "metadata: {}\n", "4:1 error metadata.name is missing"),
        ("  steps:\n", "  status: {}\n  steps:\n", "17:3 error there is no field spec.status"),
    ] {
        let told = told(&with(old, new));
        assert!(told.iter().any(|found| found.starts_with(wanted)), "{new:?}: wanted {wanted}\ngot {told:#?}");
        assert_eq!(told.iter().filter(|found| found.contains(" error ")).count(), 1, "{new:?}: {told:#?}");
    }
}

/// What only the operator would say, after the runbook is in the cluster.
#[test]
fn what_the_rehearsal_would_refuse_is_told_at_its_place() {
    for (old, new, wanted) in [
        (
            "object.status.readyReplicas >= params.replicas",
            "object.spec.replicas >",
            "33:13 error step \"look\": the expression \"object.spec.replicas >\" does not compile",
        ),
        ("${params.replicas}", "${params.}", "28:17 error step \"out\": the expression \"params.\" does not compile"),
        ("${params.replicas}", "${params.service}", "28:17 error"),
        (
            "${params.replicas}",
            "${params.speed}",
            "28:17 error the runbook has no parameter speed | write one of: replicas, service",
        ),
        ("${params.service}", "${params.servce}", "27:40 error the runbook has no parameter servce | write service"),
        (
            "steps['flag-off'].ok",
            "steps['look'].ok",
            "25:11 error step look is not before this one, so nothing is known of it yet",
        ),
        (
            ">= params.replicas",
            ">= parms.replicas",
            "33:13 error nothing is called parms here; there are: object, params | write params",
        ),
        (
            "default: \"10\"",
            "default: \"99\"",
            "9:46 error parameter \"replicas\" is \"99\", but must be a whole number from 2 to 20",
        ),
        (
            "default: checkout",
            "default: ../../secrets/x",
            "12:14 error step \"out\": \"../../secrets/x\" is no name of a Deployment",
        ),
        (
            "{kind: Deployment, name: \"$",
            "{kind: Shop, name: \"$",
            "27:15 error step out: target Shop/checkout needs an apiVersion",
        ),
    ] {
        let told = told(&with(old, new));
        assert!(told.iter().any(|found| found.starts_with(wanted)), "{new:?}: wanted {wanted}\ngot {told:#?}");
        assert_eq!(told.iter().filter(|found| found.contains(" error ")).count(), 1, "{new:?}: {told:#?}");
        assert!(told.iter().all(|found| !found.contains('\n')), "{told:#?}");
    }
}

#[test]
fn what_somebody_may_be_sorry_for_is_a_warning() {
    for (old, new, wanted) in [
        (
            "name: flag-off\n    gate: on-call",
            "name: flag-off\n    gate: None",
            "19:11 warning step flag-off changes something, and nobody is asked before",
        ),
        (
            "service\n    type",
            "zone\n    type",
            "10:11 warning no step uses the parameter zone: whoever sets it changes nothing",
        ),
        (
            "    timeout: 1h\n",
            "    timeout: 1h\n  - {name: dba, requires: [{role: dba}]}\n",
            "17:12 warning no step names the gate dba",
        ),
    ] {
        let told = told(&with(old, new));
        assert!(told.iter().any(|found| found.starts_with(wanted)), "{new:?}: wanted {wanted}\ngot {told:#?}");
    }
    let (without_check, _) = GOOD.split_once("  - name: look").unwrap();
    assert_eq!(told(without_check).len(), 1, "{:#?}", told(without_check));
    assert!(
        told(without_check)[0].starts_with(
            "20:5 warning after step flag-off nothing checks whether it helped, and nothing takes it back"
        )
    );
    let status = format!("{GOOD}status: {{}}\n");
    assert!(told(&status)[0].contains("warning status is written by the operator"), "{:?}", told(&status));
}

#[test]
fn several_things_are_told_at_once_and_none_of_them_twice() {
    let text = with("timeout: 1h", "timeout: 5m")
        .replace("onFailure: Revert", "onFailure: Undo")
        .replace("name: look\n", "name: out\n");
    let text = text.replace("when: \"steps['flag-off'].ok\"", "when: \"steps['flag-of'].ok\"");
    let told = told(&text);
    assert_eq!(told.len(), 3, "{told:#?}");
    let found: Vec<&str> = told.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(found, ["16:14", "29:16", "30:11"]);
}

#[test]
fn what_is_no_runbook_is_told_or_counted() {
    let version = "apiVersion: firstaid.dev/v1alpha1";
    for (old, new, wanted) in [
        ("kind: Runbook", "kind: Runbok", "3:7 error First Aid has no kind \"Runbok\" | write Runbook"),
        (
            version,
            "apiVersion: firstaid.dev/v1",
            "2:13 error there is no version firstaid.dev/v1 | write firstaid.dev/v1alpha1",
        ),
        (
            version,
            "apiVersion: firstaid/v1alpha1",
            "2:13 error this Runbook does not say in which version it is written",
        ),
        (
            version,
            "",
            "3:1 error this Runbook does not say in which version it is written | write apiVersion: firstaid.dev/v1alpha1",
        ),
        ("kind: Runbook\n", "", "2:1 error First Aid has no kind \"\""),
        ("    gate: on-call\n", "\tgate: on-call\n", "19:1 error a tab indents this line"),
    ] {
        let told = told(&with(old, new));
        assert_eq!(told.len(), 1, "{new:?}: {told:#?}");
        assert!(told[0].starts_with(wanted), "{new:?}: {told:#?}");
    }
    let other = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    assert_eq!(lint(other), Report { others: 1, ..Report::default() });
    assert_eq!(lint(""), Report::default());
    for other in ["- a\n- b\n", "just text", "{\"$schema\": \"x\"}", "replicas: 3\n"] {
        assert_eq!(lint(other), Report { others: 1, ..Report::default() }, "{other}");
    }
    // A broken document hides no other one.
    let both = format!("a: [\n---\n{}", with("timeout: 1h", "timeout: 5m"));
    assert_eq!(told(&both).len(), 2, "{:#?}", told(&both));
    assert!(told(&both)[1].starts_with("18:14 error"));
}

#[test]
fn a_list_is_what_is_in_it() {
    let object: String = GOOD.lines().skip(1).map(|line| format!("  {line}\n")).collect();
    let item = object.replacen("  apiVersion", "- apiVersion", 1).replace("timeout: 1h", "timeout: 5m");
    let list = format!("apiVersion: v1\nkind: List\nitems:\n{item}");
    assert_eq!(lint(&list).runbooks, 1);
    assert!(told(&list)[0].starts_with("18:16 error a gate's timeout"), "{:#?}", told(&list));
}

#[test]
fn a_role_that_nobody_has_is_told_where_it_was_said_which_there_are() {
    let linter = Linter::new(vec!["sre".to_owned(), "db-owner".to_owned()]).unwrap();
    assert_eq!(linter.lint("a.yaml", GOOD).findings, []);
    let findings = linter.lint("a.yaml", &with("role: sre", "role: srs")).findings;
    assert_eq!(findings.len(), 1);
    let problem = &findings[0].problem;
    assert_eq!(
        (problem.sentence.as_str(), problem.instead.as_str()),
        ("gate on-call could never be opened: nobody has the role srs", "write sre")
    );
}

#[test]
fn a_finding_is_as_a_log_shows_it() {
    let text = with("    onFailure: Revert\n", "    onFailure: Undo\n");
    assert_eq!(
        lint(&text).findings[0].to_string(),
        "a.yaml:29:16: error: spec.steps[1].onFailure cannot be \"Undo\"\n 29 |     onFailure: Undo\n    |                ^^^^\n    = instead: write one of: Stop, Continue, Revert\n"
    );
}

#[test]
fn nothing_that_is_typed_ends_the_linter() {
    let linter = Linter::new(Vec::new()).unwrap();
    let lines: Vec<&str> = GOOD.lines().collect();
    proptest::proptest!(proptest::prelude::ProptestConfig::with_cases(48), |(from in 0..lines.len(), count in 0usize..4, other in "[a-z:{}\\[\\]\"'$ -]{0,20}")| {
        let mut changed: Vec<&str> = lines.clone();
        changed.splice(from..(from + count).min(lines.len()), [other.as_str()]);
        let report = linter.lint("a.yaml", &changed.join("\n"));
        for finding in report.findings {
            proptest::prop_assert!(finding.to_string().lines().count() >= 3);
        }
    });
}

#[test]
fn a_file_that_repeats_itself_costs_no_memory() {
    let text = format!("a: &a \"{}\"\nb: [{}]\n", "x".repeat(100_000), "*a,".repeat(90_000));
    assert!(told(&text).iter().any(|found| found.contains("too large")), "an alias of a long text");
    let fields: String = (0..20_000).map(|number| format!("\"f{number}\":1,")).collect();
    let text = format!("{{\"apiVersion\":\"firstaid.dev/v1alpha1\",\"kind\":\"Runbook\",{fields}\"spec\":{{}}}}");
    let told = told(&text);
    assert!(told.len() == 200 && told[199].contains("more than 200 findings"), "{}", told.len());
}

#[test]
fn of_more_findings_than_are_shown_no_error_is_left_out() {
    let warned = with("  gates:\n", "  gates:\n  - {name: dba, requires: [{role: db-owner}]}\n");
    let many: Vec<String> =
        (0..201).map(|number| warned.replace("name: shed-load", &format!("name: shed-{number}"))).collect();
    let text = format!("{}\n---\n{}", many.join("\n---\n"), with("replicas: \"${params.replicas}\"", "replicas: -1"));
    let told = told(&text);
    assert!(told.len() == 200 && told.iter().any(|found| found.contains(" error ")), "{:?}", told.last());
}
