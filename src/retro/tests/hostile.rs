//! What a stranger could write, and what a store could hold: nothing of it is markup, and nothing of it is lost.

use proptest::prelude::*;
use pulldown_cmark::{Event, Options, Parser};
use serde_json::json;

use super::super::markup::markdown;
use super::super::render::{Form, Templates, render};
use super::*;

/// Texts that mean something to a browser, to Markdown, to Mermaid, or to a terminal.
const HOSTILE: [&str; 16] = [
    "<script>alert(1)</script>",
    "</td></tr></table><img src=x onerror=alert(1)>",
    "\"><svg/onload=alert(1)>",
    "{{ 7 * 7 }} {% include \"x\" %}",
    "| a | b |\n| --- | --- |",
    "[x](javascript:alert(1)) ![x](http://evil.example/x.png)",
    "```\n# heading\n```",
    "<!-- firstaid: x of what stands above -->",
    "end; click n1 \"javascript:alert(1)\" %%{init: {}}%%",
    "\u{202e}txet desrever\u{2066} \u{200b}",
    "\u{1b}[2J\u{9b}31m\u{7}",
    "مرحبا بالعالم <b>كان</b>",
    "&lt;b&gt; &#60; \\* \\\\| \\|",
    "- item\n1. one\n> quote\n---\n\n    code",
    "@everyone #1 $x$ ~~y~~ *z* __w__ `v` ^u^ ~t~",
    "%0a%0d\0\u{feff}",
];

/// Every free text of the crisis is this one.
fn with(text: &str) -> Material {
    let mut material = material();
    let spec = &mut told(&mut material)["spec"];
    for place in ["summary", "impact", "team", "severity"] {
        spec[place] = json!(text);
    }
    spec["services"] = json!([text]);
    spec["links"] = json!([{"from": "three-calls", "to": "inc-7f3", "text": text}, {"from": text, "to": text}]);
    spec["team"] = json!(text);
    for (list, fields) in [
        ("notes", &["text", "source", "link"][..]),
        ("hotFixes", &["text", "by", "link"]),
        ("factors", &["text", "link"]),
        ("answers", &["text", "by"]),
        ("followUps", &["text", "owner", "why", "link", "due"]),
    ] {
        for item in spec[list].as_array_mut().unwrap() {
            fields.iter().for_each(|field| item[*field] = json!(text));
        }
    }
    for milestone in spec["milestones"].as_object_mut().unwrap().values_mut() {
        milestone["source"] = json!(text);
        milestone["corrected"] = json!(text);
    }
    for run in &mut material.evidence.runs {
        run.object["spec"]["reason"] = json!(text);
        run.object["status"]["message"] = json!(text);
    }
    for ballot in &mut material.evidence.ballots {
        ballot.object["spec"]["request"]["summary"] = json!(text);
        let annotations = ballot.object["metadata"]["annotations"].as_object_mut();
        for (_, value) in annotations.into_iter().flatten().filter(|(key, _)| *key != "by") {
            *value = json!(format!("abcd {text}"));
        }
    }
    for record in &mut material.evidence.records {
        for place in ["summary", "verification", "message", "targetName", "reason"] {
            record.object["spec"][place] = json!(text);
        }
        record.object["spec"]["before"] = json!({"x": text});
        record.object["spec"]["cluster"]["name"] = json!(text);
        for vote in record.object["spec"]["approvals"].as_array_mut().into_iter().flatten() {
            vote["why"] = json!(text);
        }
    }
    material
}

fn page(material: &Material, form: Form) -> String {
    render(&of(material, Names::Roles), form, &Templates::default()).unwrap()
}

/// The tags of a page, without the places and sizes of the drawing, which depend on the length of a text.
fn tags(html: &str) -> Vec<String> {
    let head = html.find("</style>").unwrap();
    let mut tags = Vec::new();
    let mut rest = &html[head..];
    while let Some((_, after)) = rest.split_once('<') {
        let (tag, after) = after.split_once('>').unwrap();
        let name = tag.split_whitespace().next().unwrap_or_default().to_owned();
        let attributes =
            tag.split(' ').skip(1).filter_map(|a| a.split_once('=')).map(|(key, _)| key).collect::<Vec<_>>();
        tags.push(format!("{name} {attributes:?}"));
        rest = after;
    }
    tags
}

/// What is Markdown in a page: every event but text.
fn structure(page: &str) -> Vec<String> {
    // But for the digest at its end.
    let (text, _) = page.rsplit_once("<!-- firstaid: ").unwrap();
    let parser = Parser::new_ext(text, Options::all() - Options::ENABLE_SMART_PUNCTUATION);
    let events = parser.filter(|event| !matches!(event, Event::Text(_) | Event::SoftBreak));
    events.map(|event| format!("{event:?}")).collect()
}

/// A text that no page could take for anything else.
const PLAIN: &str = "plain words";

#[test]
fn no_free_text_leaves_its_element() {
    // The axis, the labels' sides and the number of lines do not depend on what is said; an attribute may.
    let wanted = tags(&page(&with(PLAIN), Form::Html));
    for hostile in HOSTILE {
        let html = page(&with(hostile), Form::Html);
        let plain = |tags: Vec<String>| -> Vec<String> {
            tags.into_iter().map(|tag| tag.replace(", \"text-anchor\"", "")).collect()
        };
        assert_eq!(plain(tags(&html)), plain(wanted.clone()), "{hostile:?}");
        assert!(!html.contains('\u{202e}') && !html.contains('\u{1b}'), "{hostile:?}");
    }
}

#[test]
fn no_free_text_leaves_its_cell() {
    let wanted = structure(&page(&with(PLAIN), Form::Markdown));
    for hostile in HOSTILE {
        let text = page(&with(hostile), Form::Markdown);
        let found = structure(&text);
        let differs = found.iter().zip(&wanted).position(|(a, b)| a != b);
        let around =
            differs.map(|at| (found.get(at.saturating_sub(2)..at + 3), wanted.get(at.saturating_sub(2)..at + 3)));
        assert_eq!((around, found.len()), (None, wanted.len()), "{hostile:?}");
        assert!(!text.contains('\u{202e}') && !text.contains('\u{1b}'), "{hostile:?}");
    }
}

#[test]
fn only_a_web_address_is_a_link() {
    let html = page(&with("javascript:alert(1)"), Form::Html);
    assert!(!html.contains("href="), "no link is left");
    let html = page(&with("https://a.example/?a=\"onclick=alert(1)"), Form::Html);
    assert!(!html.contains("href="), "a quote is no part of an address");
    let html = page(&with("https://a.example/?a=1&b=2"), Form::Html);
    assert!(html.contains(r#"href="https:&#x2f;&#x2f;a.example&#x2f;?a=1&amp;b=2""#), "and an address is one");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn whatever_is_said_stays_where_it_is_said(text in "\\PC{1,60}|[<>&\"'|`*_\\[\\](){}#!$@~^\\\\ \n:;%/=-]{1,40}") {
        prop_assume!(!super::super::people::People::default().text(&text).is_empty());
        prop_assert_eq!(tags(&page(&with(&text), Form::Html)).len(), tags(&page(&with(PLAIN), Form::Html)).len());
        prop_assert_eq!(structure(&page(&with(&text), Form::Markdown)), structure(&page(&with(PLAIN), Form::Markdown)));
    }
}

proptest! {
    #[test]
    fn text_in_a_cell_is_read_back_as_it_was(text in "\\PC{0,80}|[<>&\"'|`*_\\[\\](){}#!$@~^\\\\ :;%/=.0-9-]{0,60}") {
        let table = format!("| a | b |\n| --- | --- |\n| x {} | {} |\n", markdown(&text), markdown(&text));
        let parser = Parser::new_ext(&table, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_MATH);
        let mut cells = Vec::new();
        for event in parser {
            match event {
                Event::Start(pulldown_cmark::Tag::TableCell) => cells.push(String::new()),
                Event::Text(part) => cells.last_mut().unwrap().push_str(&part),
                Event::Start(pulldown_cmark::Tag::Table(_) | pulldown_cmark::Tag::TableHead | pulldown_cmark::Tag::TableRow) | Event::End(_) => {}
                other => prop_assert!(false, "{:?} in {:?}", other, text),
            }
        }
        let shown = crate::api::line::one_line(&text);
        let shown = shown.trim();
        prop_assert_eq!(cells.len(), 4);
        prop_assert_eq!(cells[3].as_str(), shown);
    }
}

#[test]
fn nothing_at_all_is_no_incident_and_an_incident_alone_is_one() {
    assert_eq!(retrospective(&Material::default(), "inc-7f3", later(), Names::Roles), None);
    let mut alone = Material { incidents: material().incidents, ..Material::default() };
    for form in [Form::Json, Form::Markdown, Form::Html] {
        assert!(page(&alone, form).contains("Checkout answers slowly"), "{form:?}");
    }
    told(&mut alone)["spec"] = json!({});
    for form in [Form::Json, Form::Markdown, Form::Html] {
        assert!(page(&alone, form).contains("inc-7f3"), "{form:?}");
    }
}

#[test]
fn a_newer_version_is_read_as_far_as_it_is_known() {
    let mut material = material();
    for record in &mut material.evidence.records {
        record.object["spec"]["schemaVersion"] = json!(7);
        record.object["spec"]["result"] = json!("Somewhat");
        record.object["spec"]["somethingNew"] = json!({"a": 1});
    }
    told(&mut material)["spec"]["followUps"][0]["kind"] = json!("Unheard");
    let document = of(&material, Names::Roles);
    assert_eq!(document.records.len(), 4);
    assert!(document.unknown.iter().any(|u| u.what.contains("4 record(s) have version 7")), "{:?}", document.unknown);
    assert!(document.unknown.iter().any(|u| u.what.contains("the Incident cannot be read")), "{:?}", document.unknown);
}

#[test]
fn whatever_stands_in_a_field_nothing_ends() {
    for strange in [
        Value::Null,
        json!(-1),
        json!("x"),
        json!([[]]),
        json!({"a": {}}),
        json!("9999999-01-01T00:00:00Z"),
        json!(1.5),
    ] {
        for place in [
            "/metadata",
            "/metadata/name",
            "/metadata/creationTimestamp",
            "/metadata/annotations",
            "/metadata/managedFields",
            "/spec",
            "/spec/request",
            "/spec/request/issuedAt",
            "/spec/approvals",
            "/spec/actedAt",
            "/spec/settledAt",
            "/spec/target",
            "/spec/before",
            "/spec/evidence",
            "/spec/seq",
            "/spec/runUID",
            "/spec/kind",
            "/spec/reason",
            "/spec/requestedBy",
            "/status",
            "/status/plans",
            "/status/finishedAt",
            "/status/conditions",
            "/status/state",
            "/spec/milestones",
            "/spec/notes",
        ] {
            let mut material = material();
            let evidence = &mut material.evidence;
            let objects = evidence
                .runs
                .iter_mut()
                .chain(&mut evidence.ballots)
                .chain(&mut evidence.records)
                .chain(&mut material.incidents);
            for object in objects {
                if let Some(value) = object.object.pointer_mut(place) {
                    *value = strange.clone();
                }
            }
            if let Some(document) = retrospective(&material, "inc-7f3", later(), Names::Roles) {
                for form in [Form::Markdown, Form::Html] {
                    render(&document, form, &Templates::default())
                        .unwrap_or_else(|error| panic!("{place} {strange}: {error}"));
                }
            }
        }
    }
}

#[test]
fn five_thousand_records_are_all_there() {
    let mut material = material();
    let of_run =
        |r: &&crate::verify::Stored| r.name().starts_with("shed-load-x2x9k") && r.text("/spec/step") == "scale-out";
    let one = material.evidence.records.iter().find(of_run).unwrap().clone();
    for number in 0..5000 {
        let mut more = one.clone();
        more.object["metadata"]["name"] = json!(format!("more-{number}"));
        more.object["metadata"]["uid"] = json!(format!("uid-{number}"));
        more.object["spec"]["seq"] = json!(number + 10);
        more.object["spec"]["runUID"] = json!(format!("run-{}", number % 50));
        material.evidence.records.push(more);
    }
    let document = of(&material, Names::Roles);
    assert_eq!(document.records.len(), 5004);
    for form in [Form::Json, Form::Markdown, Form::Html] {
        let text = render(&document, form, &Templates::default()).unwrap();
        assert!(text.contains("more-4999"), "{form:?}");
        assert!(text.len() < 32 << 20, "{form:?}: {} bytes", text.len());
    }
}
