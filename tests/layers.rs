//! Which folder may know what, as `src/lib.rs` draws it: what decides is pure, and the door to the world is narrow.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};

/// The text of a file without its comments and without its tests, which may do as they like.
struct Source {
    path: PathBuf,
    lines: Vec<String>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below these folders.
fn files(folders: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    while let Some(path) = left.pop() {
        if path.is_dir() && !path.is_symlink() {
            left.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    assert!(!found.is_empty(), "there is nothing in {folders:?}");
    found
}

fn sources(folders: &[&str]) -> Vec<Source> {
    files(folders)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs"))
        .filter(|path| !path.components().any(|part| part.as_os_str() == "tests"))
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            let lines = without_tests(&text)
                .unwrap_or_else(|line| panic!("{}: a test is no `mod tests`: {line}", path.display()))
                .into_iter()
                .map(|line| line.split("//").next().unwrap().to_owned())
                .collect();
            Source { path, lines }
        })
        .collect()
}

/// The lines of a source without its tests: a file of their own is declared in two lines, which become empty so that
/// numbers stay right, and tests beside the code are its end. An error is a line that is for tests in some other way.
fn without_tests(text: &str) -> Result<Vec<&str>, &str> {
    let mut kept = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            kept.push(line);
            continue;
        }
        let module = lines.next().unwrap_or_default();
        match module.trim_start_matches("pub(crate) ") {
            "mod tests;" => kept.extend(["", ""]),
            // Clippy refuses any item after it (`items_after_test_module`).
            "mod tests {" => break,
            _ => return Err(module),
        }
    }
    Ok(kept)
}

/// Every line of these folders that holds one of these words, as a word.
fn mentions(folders: &[&str], words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources(folders) {
        for (number, line) in source.lines.iter().enumerate() {
            for word in words.iter().filter(|word| holds(line, word)) {
                let path = source.path.strip_prefix(root()).unwrap().display();
                found.push(format!("{path}:{}: {word}: {}", number + 1, line.trim()));
            }
        }
    }
    found
}

fn holds(line: &str, word: &str) -> bool {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + word.len()..]);
        let starts = !word.starts_with(part_of_word) || !before.ends_with(part_of_word);
        let ends = !word.ends_with(part_of_word) || !after.starts_with(part_of_word);
        starts && ends
    })
}

const NONE: [&str; 0] = [];

#[test]
fn what_comes_after_the_tests_is_looked_at_too() {
    let declared = "use a;\n#[cfg(test)]\npub(crate) mod tests;\nuse b;";
    assert_eq!(without_tests(declared), Ok(vec!["use a;", "", "", "use b;"]));
    assert_eq!(without_tests("use a;\n#[cfg(test)]\nmod tests {\n    use c;\n}"), Ok(vec!["use a;"]));
    assert_eq!(without_tests("#[cfg(test)]\nfn helper() {}"), Err("fn helper() {}"));
    // The heads of these folders declare their tests first; everything else of them comes after.
    for (file, line) in [("src/plan/mod.rs", "pub fn next("), ("src/verify/mod.rs", "pub use ")] {
        let path = root().join(file);
        let found = sources(&["src/plan", "src/verify"]).into_iter().find(|source| source.path == path).unwrap();
        assert!(found.lines.iter().any(|seen| seen.starts_with(line)), "{file} is not read to its end");
    }
}

/// What a pure source has none of.
const IMPURE: [&str; 21] = [
    "kube::Client",
    "Client",
    "Api",
    "kube::client",
    "tokio",
    "async",
    "await",
    "futures",
    "SystemTime",
    "Instant",
    "Timestamp::now",
    "Zoned::now",
    "rand",
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "static mut",
    "println!",
    "tracing",
];

#[test]
fn what_decides_is_pure() {
    let pure = [
        "src/digest.rs",
        "src/expression.rs",
        "src/alerts",
        "src/follow_up.rs",
        "src/api",
        "src/action",
        "src/plan",
        "src/guard",
        "src/lint",
        "src/verify",
        "src/retro",
        "src/record/export.rs",
        "src/record/retention.rs",
    ];
    assert_eq!(mentions(&pure, &IMPURE), NONE);
    assert_eq!(mentions(&["src/control/tell.rs", "src/control/tell"], &IMPURE), NONE);
}

#[test]
fn each_layer_knows_only_those_below() {
    let above = |names: &[&str]| -> Vec<String> {
        names.iter().flat_map(|name| [format!("crate::{name}"), format!("super::super::{name}")]).collect()
    };
    for (folder, names) in [
        ("src/api", &["action", "plan", "perform", "record", "retro", "control", "app", "cli", "http"][..]),
        (
            "src/digest.rs",
            &["api", "action", "plan", "guard", "verify", "perform", "record", "control", "app", "cli", "http"],
        ),
        (
            "src/expression.rs",
            &["action", "plan", "guard", "verify", "perform", "record", "control", "app", "cli", "http"],
        ),
        (
            "src/follow_up.rs",
            &["plan", "guard", "verify", "retro", "perform", "record", "control", "app", "cli", "http"],
        ),
        (
            "src/alerts",
            &["action", "plan", "guard", "verify", "retro", "perform", "record", "control", "app", "cli", "http"],
        ),
        ("src/action", &["plan", "perform", "record", "control", "app", "cli", "http", "verify", "guard"]),
        ("src/plan", &["perform", "record", "control", "app", "cli", "http", "verify"]),
        ("src/guard", &["action", "plan", "perform", "record", "control", "app", "cli", "http"]),
        ("src/lint", &["perform", "record", "retro", "verify", "guard", "control", "app", "cli", "http"]),
        ("src/verify", &["action", "plan", "perform", "record", "control", "app", "cli", "http"]),
        ("src/retro", &["action", "plan", "guard", "perform", "record", "control", "app", "cli", "http"]),
        ("src/perform", &["record", "retro", "control", "app", "cli", "http"]),
        ("src/record", &["control", "app", "cli", "http"]),
        ("src/control", &["app", "cli", "http"]),
    ] {
        let above = above(names);
        assert_eq!(mentions(&[folder], &above.iter().map(String::as_str).collect::<Vec<_>>()), NONE);
    }
}

#[test]
fn only_perform_and_record_write() {
    let writes = [
        ".create(",
        ".patch(",
        ".patch_status(",
        ".patch_metadata(",
        ".patch_scale(",
        ".patch_subresource(",
        ".replace(",
        ".replace_status(",
        ".replace_scale(",
        ".replace_subresource(",
        ".create_subresource(",
        ".delete(",
        ".delete_collection(",
        ".evict(",
        ".restart(",
        "Patch::",
        "PostParams",
        "PatchParams",
        "DeleteParams",
    ];
    // A text has `replace` too, with two texts for arguments; an `Api` is given a name, parameters and an object.
    let text = |line: &String| {
        let Some((_, arguments)) = line.strip_prefix("src/").and_then(|line| line.split_once(": .replace(: ")) else {
            return false;
        };
        arguments.split(".replace(").skip(1).all(|arguments| {
            let plain = arguments.split_once(')').is_some_and(|(two, _)| two.matches(',').count() == 1);
            arguments.starts_with(['\'', '"']) || plain
        })
    };
    let mut elsewhere = mentions(
        &[
            "src/api",
            "src/action",
            "src/alerts",
            "src/follow_up.rs",
            "src/plan",
            "src/control",
            "src/guard",
            "src/lint",
            "src/cli",
            "src/verify",
            "src/retro",
            "src/app.rs",
            "src/bin",
            "src/http.rs",
            "src/main.rs",
            "src/metrics.rs",
            "src/telemetry.rs",
        ],
        &writes,
    );
    elsewhere.retain(|line| !text(line));
    assert_eq!(elsewhere, NONE);
    assert!(mentions(&["src/perform", "src/record"], &writes).len() > 6, "the writes were not found where they belong");
}

/// Beside the API server, whose client is `kube`'s, there is one place that this program calls by itself.
#[test]
fn only_the_webhook_is_called() {
    let calls = ["hyper", "hyper_util", "tokio_rustls", "TcpStream", "UdpSocket", "UnixStream", "lookup_host"];
    let mut elsewhere = mentions(&["src"], &calls);
    let all = elsewhere.len();
    elsewhere.retain(|line| !line.starts_with("src/perform/notify/post.rs:"));
    assert_eq!(elsewhere, NONE);
    assert!(all > 6, "the calls were not found where they belong");
}

#[test]
fn every_file_of_src_is_looked_at_by_these_rules() {
    let known = [
        "action",
        "alerts",
        "api",
        "app.rs",
        "bin",
        "cli",
        "control",
        "digest.rs",
        "expression.rs",
        "follow_up.rs",
        "guard",
        "http.rs",
        "lib.rs",
        "lint",
        "main.rs",
        "metrics.rs",
        "perform",
        "plan",
        "record",
        "retro",
        "telemetry.rs",
        "verify",
    ];
    let mut strange: Vec<String> = std::fs::read_dir(root().join("src"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    strange.retain(|name| !known.contains(&name.as_str()));
    assert_eq!(strange, NONE, "say in tests/layers.rs what it may know");
}

#[test]
fn no_file_is_too_long_to_read() {
    let long: Vec<String> = files(&["src", "tests", "charts", "runbooks"])
        .into_iter()
        // `go.sum` is made by Go, and snapshots by the tests.
        .filter(|path| !["sum", "snap"].iter().any(|end| path.extension().is_some_and(|e| e == *end)))
        .filter(|path| !path.components().any(|part| part.as_os_str() == "kinds"))
        .filter_map(|path| {
            let lines = std::fs::read_to_string(&path).unwrap().lines().count();
            (lines >= 600).then(|| format!("{} has {lines} lines", path.display()))
        })
        .collect();
    assert_eq!(long, NONE);
}
