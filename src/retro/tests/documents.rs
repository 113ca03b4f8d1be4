//! The documents of a crisis, as they are.

use super::super::render::{Form, Templates, is_as_generated, render};
use super::*;
use crate::retro::schema;

fn page(document: &Document, form: Form) -> String {
    render(document, form, &Templates::default()).unwrap()
}

fn committed(name: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name);
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Writes what the documents of this repository should be, where that is asked for, and compares.
fn is_committed(name: &str, text: &str) {
    if std::env::var_os("FIRSTAID_WRITE_DOCS").is_some() {
        std::fs::write(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name), text).unwrap();
    }
    assert!(
        committed(name) == text,
        "docs/{name} is not what the code gives; write it anew with: FIRSTAID_WRITE_DOCS=1 cargo test --lib retro"
    );
}

#[test]
fn the_schema_is_up_to_date() {
    is_committed("retrospective.schema.json", &schema().unwrap());
}

#[test]
fn the_examples_are_what_is_rendered() {
    let document = crisis(Names::Roles);
    is_committed("example-retrospective.html", &page(&document, Form::Html));
    is_committed("example-retrospective.md", &page(&document, Form::Markdown));
}

#[test]
fn the_document_of_a_crisis() {
    insta::assert_snapshot!(page(&crisis(Names::Roles), Form::Json));
}

#[test]
fn from_records_alone_what_is_unknown_is_said() {
    insta::assert_snapshot!(page(&of(&untold(), Names::Roles), Form::Markdown));
}

#[test]
fn the_same_gives_the_same_bytes_in_whatever_order_it_is_read() {
    let mut lines: Vec<&str> = CRISIS.lines().collect();
    lines.reverse();
    let backwards = of(&Material::read(&lines.join("\n")).unwrap(), Names::Roles);
    let forwards = crisis(Names::Roles);
    for form in [Form::Json, Form::Markdown, Form::Html] {
        assert_eq!(page(&backwards, form), page(&forwards, form));
    }
}

#[test]
fn the_json_is_the_source_of_the_other_forms() {
    let document = crisis(Names::Roles);
    let again: Document = serde_json::from_str(&page(&document, Form::Json)).unwrap();
    assert_eq!(page(&again, Form::Html), page(&document, Form::Html));
}

#[test]
fn names_stand_in_no_document_unless_it_is_asked_for() {
    let document = crisis(Names::Roles);
    for form in [Form::Json, Form::Markdown, Form::Html] {
        let text = page(&document, form).to_lowercase();
        for name in ["alice", "bob", "carol", "dave", "mallory"] {
            let word = |at: usize| {
                let letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
                !letter(text[..at].chars().next_back()) && !letter(text[at + name.len()..].chars().next())
            };
            let found = text.match_indices(name).find(|(at, _)| word(*at));
            assert_eq!(found.map(|(at, _)| &text[at.saturating_sub(60)..at + 20]), None, "{form:?}");
        }
    }
    let full = page(&crisis(Names::Full), Form::Html);
    assert!(full.contains("bob (sre 1)") || full.contains("bob (sre 2)"), "the names are there");
    assert!(full.contains("with names: for an audit"), "and the cover says so");
}

#[test]
fn one_page_needs_nothing_else() {
    let html = page(&crisis(Names::Roles), Form::Html);
    for word in ["<script", "javascript:", "@import", "url(", "<iframe", "<link", " src=", "onload"] {
        assert!(!html.contains(word), "{word}");
    }
    for word in ["average", "mttr", "root cause"] {
        let found = html.to_lowercase().matches(word).count();
        let said = usize::from(word == "average");
        assert_eq!(found, said, "{word}");
    }
}

#[test]
fn what_was_edited_is_told_from_what_was_generated() {
    assert!(is_as_generated(&page(&crisis(Names::Roles), Form::Json)));
    for form in [Form::Markdown, Form::Html] {
        let text = page(&crisis(Names::Roles), form);
        assert!(is_as_generated(&text), "{form:?}");
        assert!(!is_as_generated(&text.replacen("checkout", "basket", 1)), "{form:?}");
    }
    assert!(!is_as_generated("") && !is_as_generated("notes of mine"));
}

#[test]
fn a_template_of_a_team_is_used() {
    let mut templates = Templates::default();
    templates.replace("retrospective.md", "# {{ doc.incident.summary }}\n{% include \"ours.md\" %}".to_owned());
    templates.replace("ours.md", "{% for line in doc.inPlace %}* {{ line.summary }}\n{% endfor %}".to_owned());
    let text = render(&crisis(Names::Roles), Form::Markdown, &templates).unwrap();
    let wanted = "# Checkout answers slowly, one order in seven fails\n* scale Deployment/checkout 4 -> 10\n";
    assert_eq!(text.split("\n<!--").next(), Some(wanted));
}

#[test]
fn a_template_that_fails_is_named_with_its_line() {
    for (template, said) in [
        ("a\n{{ doc.no_such_field }}", "template retrospective.md, line 2: undefined value"),
        ("a\n\n{% if doc.summary %}", "template retrospective.md, line 3: syntax error"),
        ("{% include \"gone.md\" %}", "template retrospective.md, line 1: "),
        ("{{ doc.summary|clock }}", "template retrospective.md, line 1: invalid operation"),
    ] {
        let mut templates = Templates::default();
        templates.replace("retrospective.md", template.to_owned());
        let error = render(&crisis(Names::Roles), Form::Markdown, &templates).unwrap_err().to_string();
        assert!(error.starts_with(said), "{error}");
    }
}
