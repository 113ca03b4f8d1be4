//! The README names what shows each promise: it must be there.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|_| panic!("there is no {path}"))
}

/// The texts between back quotes in a line.
fn quoted(line: &str) -> Vec<&str> {
    line.split('`').skip(1).step_by(2).collect()
}

/// Whether a source has a test of this name; one that ends in `...` is the beginning of a name.
fn has_test(source: &str, name: &str) -> bool {
    let (start, whole) = match name.strip_suffix("...") {
        Some(start) => (start, false),
        None => (name, true),
    };
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    lines.windows(2).any(|pair| {
        let [attribute, head] = pair else { return false };
        let function = head.trim_start_matches("async ").strip_prefix("fn ").and_then(|f| f.strip_prefix(start));
        // Cases stand between the attribute and the function.
        (attribute.ends_with("test]") || attribute.starts_with("#[case"))
            && function.is_some_and(|rest| !whole || rest.starts_with('('))
    })
}

/// What is wrong with one thing that shows a promise: `a`, `b` in tests/FILE.rs, or some part of `make TARGET`.
fn wrong(shown_by: &str, makefile: &str) -> Option<String> {
    let names = quoted(shown_by);
    if let [name] = names[..]
        && let Some(target) = name.strip_prefix("make ")
    {
        return (!makefile.contains(&format!("\n{target}: "))).then(|| format!("there is no {name}"));
    }
    let Some((_, file)) = shown_by.split_once("` in ") else {
        return Some(format!("no test is named: {shown_by}"));
    };
    if names.is_empty() {
        return Some(format!("no test is named for {file}"));
    }
    let Ok(source) = fs::read_to_string(root().join(file.trim())) else { return Some(format!("there is no {file}")) };
    let missing: Vec<&str> = names.into_iter().filter(|name| !has_test(&source, name)).collect();
    (!missing.is_empty()).then(|| format!("{file} has no test {missing:?}"))
}

#[test]
fn every_promise_is_shown_by_something_that_is_there() {
    let (readme, makefile) = (read("README.md"), read("Makefile"));
    let table = readme.lines().skip_while(|line| !line.starts_with("| Promise"));
    let promises: Vec<&str> = table.skip(2).take_while(|line| line.starts_with('|')).collect();
    assert!(promises.len() > 5, "the table of promises is gone");
    let mut complaints = Vec::new();
    for promise in promises {
        let shown_by = promise.trim_end_matches('|').rsplit('|').next().unwrap();
        complaints.extend(shown_by.split(';').filter_map(|one| wrong(one.trim(), &makefile)));
    }
    assert_eq!(complaints, Vec::<String>::new());
}

#[test]
fn every_fault_is_shown_by_something_that_is_there() {
    let (faults, makefile) = (read("docs/faults.md"), read("Makefile"));
    let rows: Vec<&str> = faults.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() > 30, "the table of faults is gone");
    let shown = |row: &&str| row.trim_end_matches('|').rsplit('|').next().unwrap().to_owned();
    let complaints = |row: &str| row.split(';').filter_map(|one| wrong(one.trim(), &makefile)).collect::<Vec<_>>();
    let complaints: Vec<String> = rows.iter().map(shown).flat_map(|row| complaints(&row)).collect();
    assert_eq!(complaints, Vec::<String>::new());
}

#[test]
fn a_promise_that_nothing_shows_is_complained_of() {
    let makefile = read("Makefile");
    for wrong_one in [
        "",
        "tests/chart.rs",
        "`make nothing`",
        "`no_role_has_a_wildcard` in tests/nowhere.rs",
        "`no_role_has` in tests/chart.rs",
        "`helm` in tests/chart.rs",
        "`no_role_has_a_wildcard`, `no_such_...` in tests/chart.rs",
    ] {
        assert!(wrong(wrong_one, &makefile).is_some(), "{wrong_one}");
    }
    assert_eq!(wrong("`no_role_...`, `no_role_has_a_wildcard` in tests/chart.rs", &makefile), None);
}

/// The README and everything in `docs`.
fn documents() -> Vec<PathBuf> {
    let mut found = vec![root().join("README.md")];
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "md") {
            found.push(path);
        }
    }
    assert!(found.len() > 4, "the documents are gone: {found:?}");
    found
}

#[test]
fn every_file_that_the_documents_link_to_is_there() {
    let mut links = 0;
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            // A link is seen from where the document is.
            let file = link.split('#').next().unwrap();
            if link.starts_with("http") || file.is_empty() {
                continue;
            }
            let target = document.parent().unwrap().join(file);
            assert!(target.exists(), "{} links to {link}, which is not there", document.display());
            links += 1;
        }
    }
    assert!(links > 5, "only {links} links were found");
}

/// Documents also name files in plain words: `docs/gates.md`, `tests/e2e/alone.rs`.
#[test]
fn every_file_that_the_documents_name_is_there() {
    // Not `runbooks/`: a subresource is written like that, too.
    let folders = ["src/", "docs/", "tests/", "charts/"];
    for document in documents() {
        let text = fs::read_to_string(&document).unwrap();
        for name in text.split(|c: char| !(c.is_alphanumeric() || "/._-".contains(c))) {
            let name = name.trim_end_matches(['.', '/']);
            // `NAME` and the like are the reader's.
            let is_path = folders.iter().any(|folder| name.starts_with(folder));
            if is_path && !name.contains("NAME") {
                assert!(root().join(name).exists(), "{} names {name}, which is not there", document.display());
            }
        }
    }
}

/// What a newcomer is told to install is what the code is built with.
#[test]
fn the_version_of_rust_is_the_same_everywhere() {
    let manifest = read("Cargo.toml");
    let version = manifest.split("rust-version = \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    for (file, words) in [
        ("README.md", format!("Rust {version} and Go ")),
        ("Dockerfile", format!("FROM rust:{version}-")),
        ("tests/sandbox/beside.sh", format!("Install Rust {version} or newer")),
    ] {
        assert!(read(file).contains(&words), "{file} does not say: {words}");
    }
}

/// What the reader is to replace is written in capitals, in every command that is shown. The table of attacks is what
/// people typed and what policies said; the tests of the attacks compare it.
#[test]
fn a_reason_to_fill_in_is_written_in_capitals() {
    let mut texts = documents();
    texts.push(root().join("charts/firstaid/templates/NOTES.txt"));
    for path in texts {
        let text = fs::read_to_string(&path).unwrap();
        let (before, table) = text.split_once("<!-- attacks -->").unwrap_or((&text, ""));
        let after = table.split_once("<!-- end of attacks -->").map_or("", |(_, after)| after);
        for line in before.lines().chain(after.lines()) {
            assert!(!line.contains(" why\"") && !line.contains("=\"why\""), "{}: {line}", path.display());
        }
    }
}

#[test]
fn every_part_of_src_is_in_the_table_of_folders() {
    let architecture = read("docs/architecture.md");
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let told = architecture.lines().any(|line| line.starts_with("| ") && line.contains(&format!("`src/{name}`")));
        assert!(told || name == "lib.rs", "docs/architecture.md does not say what src/{name} is");
    }
}

#[test]
fn every_fence_of_the_simulator_is_in_the_list_with_a_test_that_takes_it_away() {
    let list = read("docs/reliability.md");
    let (bites, model) = (read("tests/simulate/tests/bites.rs"), read("tests/simulate/tests/model/main.rs"));
    let fences = read("tests/simulate/src/fences.rs");
    let all = fences.split("[Self; ").nth(1).and_then(|rest| rest.split("];").next()).unwrap();
    let all: Vec<&str> = all.lines().filter_map(|line| line.trim().strip_prefix("Self::")?.strip_suffix(',')).collect();
    assert!(all.len() > 10, "{all:?}");
    for fence in all {
        assert!(list.contains(&format!("`{fence}`")), "{fence} is not in docs/reliability.md");
    }
    let rows: Vec<Vec<&str>> = list
        .lines()
        .skip_while(|line| !line.starts_with("| Fence "))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.split('|').collect())
        .collect();
    assert!(rows.len() > 10);
    for row in rows {
        for fence in quoted(row[3]) {
            let taken = bites.split("bites(&[").skip(1).any(|call| call.split(']').next().unwrap().contains(fence));
            assert!(taken, "no test in bites.rs takes {fence} away");
        }
        for fence in quoted(row[4]) {
            assert!(model.contains(&format!("(Fence::{fence},")), "no test of the model takes {fence} away");
        }
    }
}
