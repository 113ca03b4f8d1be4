//! The files by which the plugin is installed: what Krew's own checks and its reviewers ask for, and what k9s reads.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> Value {
    serde_yaml::from_str(&std::fs::read_to_string(root().join(path)).unwrap()).unwrap()
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

#[test]
fn the_manifest_keeps_the_rules_of_krew() {
    let path = Path::new("plugin/krew/firstaid.yaml");
    let manifest = read(&path.to_string_lossy());
    assert_eq!(text(&manifest, "/apiVersion"), "krew.googlecontainertools.github.com/v1alpha2");
    assert_eq!(text(&manifest, "/kind"), "Plugin");
    let name = text(&manifest, "/metadata/name");
    assert_eq!(Some(name), path.file_stem().unwrap().to_str(), "the file has the name of the plugin");
    assert!(
        name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') && !name.starts_with("kube")
    );
    let spec = &manifest["spec"];
    assert_eq!(
        text(spec, "/version"),
        format!("v{}", env!("CARGO_PKG_VERSION")),
        "a semantic version, with a v before it"
    );
    assert!(text(spec, "/homepage").starts_with("https://"));
    let short = text(spec, "/shortDescription");
    assert!((1..=50).contains(&short.chars().count()) && !short.ends_with('.'), "{short}");
    for field in ["/description", "/caveats"] {
        let long: Vec<&str> = text(spec, field).lines().filter(|line| line.chars().count() > 80).collect();
        assert!(long.is_empty() && !text(spec, field).is_empty(), "{field} is wrapped at 80: {long:?}");
    }
    // Usage belongs into --help; the caveats say only what must be done once.
    assert!(!text(spec, "/description").contains("kubectl firstaid"), "no examples in the description");
    let platforms = list(spec, "platforms");
    let mut seen = Vec::new();
    for platform in platforms {
        let (os, arch) = (text(platform, "/selector/matchLabels/os"), text(platform, "/selector/matchLabels/arch"));
        assert!(["linux", "darwin"].contains(&os) && ["amd64", "arm64"].contains(&arch), "{platform}");
        seen.push(format!("{os}-{arch}"));
        let uri = text(platform, "/uri");
        assert!(
            uri.starts_with("https://")
                && uri.ends_with(&format!("/{}/kubectl-firstaid-{os}-{arch}.tar.gz", text(spec, "/version"))),
            "{uri}"
        );
        let digest = text(platform, "/sha256");
        let filled_in = digest.len() == 64 && digest.chars().all(|c| c.is_ascii_hexdigit());
        assert!(filled_in || digest == format!("SHA256-OF-{os}-{arch}"), "{digest}");
        assert_eq!(text(platform, "/bin"), "kubectl-firstaid");
        let files: Vec<&str> = list(platform, "files").iter().map(|file| text(file, "/from")).collect();
        assert_eq!(files, ["kubectl-firstaid", "LICENSE"], "the program, and its licence");
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), platforms.len(), "each platform once");
}

#[test]
fn what_is_packed_is_what_the_manifest_says() {
    let folder = std::env::temp_dir().join(format!("firstaid-krew-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let pack = || {
        let mut command = Command::new(root().join("plugin/krew/package.sh"));
        let output =
            command.args([env!("CARGO_BIN_EXE_kubectl-firstaid"), "linux", "amd64"]).arg(&folder).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let digest = pack();
    assert_eq!(digest, pack(), "the same program gives the same archive");
    let archive: PathBuf = folder.join("kubectl-firstaid-linux-amd64.tar.gz");
    assert_eq!(firstaid::digest::sha256(&std::fs::read(&archive).unwrap()), format!("sha256:{digest}"));
    // As Krew installs it: unpacked, and the program run by its name.
    let tar = Command::new("tar").arg("-xzf").arg(&archive).arg("-C").arg(&folder).status().unwrap();
    assert!(tar.success() && folder.join("LICENSE").is_file());
    let version = Command::new(folder.join("kubectl-firstaid")).args(["version", "--client"]).output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    assert_eq!(version.trim(), format!("kubectl-firstaid {}", env!("CARGO_PKG_VERSION")));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn k9s_asks_before_it_decides_anything() {
    let plugins = read("plugin/k9s/plugins.yaml");
    let plugins = plugins["plugins"].as_object().unwrap();
    let mut keys = Vec::new();
    for (name, plugin) in plugins {
        for field in ["shortCut", "description", "scopes", "command"] {
            assert!(plugin.get(field).is_some(), "{name} has no {field}");
        }
        let args: Vec<&str> = list(plugin, "args").iter().filter_map(Value::as_str).collect();
        assert_eq!(
            args[2..],
            ["$NAME", "$NAMESPACE", "$CONTEXT"],
            "{name}: names are arguments, never part of a script"
        );
        assert!(args[1].starts_with("kubectl firstaid ") && !args[1].contains("--yes"), "{name}: {}", args[1]);
        if ["approve", "deny", "abort"].iter().any(|verb| name.ends_with(verb)) {
            assert_eq!(plugin["dangerous"], true, "{name}");
        }
        let verb = args[1].split_whitespace().nth(2).unwrap();
        let known = Command::new(env!("CARGO_BIN_EXE_kubectl-firstaid")).args([verb, "--help"]).output().unwrap();
        assert!(known.status.success(), "{name}: there is no verb {verb}");
        keys.push((text(plugin, "/scopes/0").to_owned(), text(plugin, "/shortCut").to_owned()));
    }
    let all = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), all, "two have the same key in the same place");
}
