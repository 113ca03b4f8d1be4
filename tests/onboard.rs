//! What `firstaid onboard` prints for the shipped runbooks: exactly what their steps need, and nothing more.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

fn onboard(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_firstaid"));
    command.arg("onboard").args(arguments).current_dir(Path::new(env!("CARGO_MANIFEST_DIR"))).output().unwrap()
}

fn printed(arguments: &[&str]) -> String {
    let output = onboard(arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn refused(arguments: &[&str]) -> String {
    let output = onboard(arguments);
    assert!(!output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.stdout.is_empty(), "half an answer, which somebody pipes into kubectl");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn the_shipped_runbooks_where_impersonation_is_legacy() {
    insta::assert_snapshot!(printed(&["-n", "shop", "--from", "runbooks/"]));
}

#[test]
fn the_shipped_runbooks_where_impersonation_is_constrained() {
    insta::assert_snapshot!(printed(&["-n", "shop", "--from", "runbooks/", "--impersonation", "constrained"]));
}

#[test]
fn each_shipped_runbook_by_itself_needs_less() {
    for runbook in ["break-retry-loop", "restart-stuck-service", "shed-load"] {
        insta::assert_snapshot!(runbook, printed(&["-n", "shop", "--from", &format!("runbooks/{runbook}.yaml")]));
    }
}

#[test]
fn several_files_are_one_answer() {
    let files = ["runbooks/break-retry-loop.yaml", "runbooks/restart-stuck-service.yaml", "runbooks/shed-load.yaml"];
    let together = printed(&["-n", "shop", "--from", files[0], files[1], files[2]]);
    assert_eq!(together, printed(&["-n", "shop", "--from", "runbooks/"]));
}

#[test]
fn an_operator_elsewhere_gets_the_grant() {
    let text = printed(&[
        "-n",
        "shop",
        "--from",
        "runbooks/shed-load.yaml",
        "--operator-namespace",
        "ops",
        "--operator-service-account",
        "aid",
    ]);
    assert!(text.contains("name: aid\n    namespace: ops") || text.contains("name: aid\n  namespace: ops"), "{text}");
    assert!(!text.contains("firstaid-system"), "{text}");
}

#[test]
fn what_cannot_be_read_is_named() {
    let missing = refused(&["-n", "shop", "--from", "runbooks/no-such.yaml"]);
    assert!(missing.contains("runbooks/no-such.yaml"), "{missing}");
    let none = refused(&["-n", "shop", "--from", "Cargo.toml"]);
    assert!(none.contains("Cargo.toml"), "{none}");
}
