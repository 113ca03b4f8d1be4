//! The README names what shows each promise: it must be there.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The texts between back quotes in a line.
fn quoted(line: &str) -> Vec<&str> {
    line.split('`').skip(1).step_by(2).collect()
}

/// The files of tests that a line names.
fn files(line: &str) -> Vec<&str> {
    let ends = |c: char| c.is_whitespace() || c == ';' || c == ',' || c == '`';
    line.split(ends).filter(|word| word.starts_with("tests/") && word.ends_with(".rs")).collect()
}

#[test]
fn every_promise_is_shown_by_something_that_is_there() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let table = readme.lines().skip_while(|line| !line.starts_with("| Promise"));
    let promises: Vec<&str> = table.skip(2).take_while(|line| line.starts_with('|')).collect();
    assert!(promises.len() > 5, "the table of promises is gone");
    for promise in promises {
        let shown_by = promise.trim_end_matches('|').rsplit('|').next().unwrap();
        let files = files(shown_by);
        let sources: String = files
            .iter()
            .map(|file| fs::read_to_string(root().join(file)).unwrap_or_else(|_| panic!("there is no {file}")))
            .collect();
        let mut shown = files.len();
        for name in quoted(shown_by) {
            match name.strip_prefix("make ") {
                Some(target) => assert!(makefile.contains(&format!("\n{target}: ")), "there is no {name}"),
                None => assert!(
                    sources.contains(&format!("fn {}", name.trim_end_matches("..."))),
                    "no test {name} in {files:?}"
                ),
            }
            shown += 1;
        }
        assert!(shown > 0, "nothing shows: {promise}");
    }
}

#[test]
fn every_file_that_the_documents_link_to_is_there() {
    for document in ["README.md", "docs/architecture.md"] {
        let text = fs::read_to_string(root().join(document)).unwrap();
        for link in
            text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).filter(|link| !link.starts_with("http"))
        {
            assert!(root().join(link).exists(), "{document} links to {link}, which is not there");
        }
    }
}
