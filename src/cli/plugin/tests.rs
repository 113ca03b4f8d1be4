use clap::CommandFactory as _;

use super::*;

/// Every command below this one, with its words.
fn commands(command: &clap::Command, words: &str, found: &mut Vec<(String, clap::Command)>) {
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help" && !verb.is_hide_set()) {
        let words = format!("{words} {}", verb.get_name());
        commands(verb, &words, found);
        found.push((words, verb.clone()));
    }
}

fn all() -> Vec<(String, clap::Command)> {
    let mut root = Cli::command().term_width(100);
    root.build();
    let mut found = Vec::new();
    commands(&root, "kubectl firstaid", &mut found);
    found.push(("kubectl firstaid".to_owned(), root));
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_verb_says_how_it_is_typed_through_kubectl() {
    for (words, mut command) in all() {
        let help = command.render_long_help().to_string();
        let usage = help.lines().find(|line| line.starts_with("Usage:")).unwrap_or_default();
        assert!(usage.starts_with(&format!("Usage: {words}")), "{words}: {usage}");
        assert!(
            !help.contains("kubectl-firstaid") || words.contains("completion") || words == "kubectl firstaid",
            "{help}"
        );
    }
}

#[test]
fn the_help_of_every_verb() {
    let usual = "Options of every verb:";
    let short = |(words, mut command): (String, clap::Command)| {
        let help = command.render_help().to_string();
        // What every verb has stands once, under the first.
        let own =
            if words == "kubectl firstaid" { help.as_str() } else { help.split(usual).next().unwrap_or_default() };
        format!("$ {words} -h\n{}\n", own.trim_end())
    };
    insta::assert_snapshot!(all().into_iter().map(short).collect::<Vec<_>>().join("\n"));
}

#[test]
fn every_option_is_explained() {
    for (words, command) in all() {
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{words}: {} has no help", argument.get_id());
        }
    }
}

#[test]
fn the_overview_needs_no_verb_and_takes_nothing_from_one() {
    let asked = |words: &[&str]| {
        Cli::try_parse_from(std::iter::once(&"kubectl-firstaid").chain(words)).unwrap().overview.is_asked()
    };
    assert!(asked(&["-A", "-w"]) && asked(&["-o", "json"]));
    assert!(!asked(&["approvals", "-A", "-w", "-o", "json"]) && !asked(&["-n", "shop", "approvals"]));
}

/// The words of a line of shell, without its comment.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for character in line.chars() {
        match character {
            '"' => quoted = !quoted,
            '#' if !quoted && word.is_empty() => break,
            ' ' if !quoted => words.extend((!word.is_empty()).then(|| std::mem::take(&mut word))),
            _ => word.push(character),
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

#[test]
fn what_the_manual_types_is_understood() {
    let manual = include_str!("../../../docs/plugin.md");
    let typed: Vec<&str> = manual.lines().filter(|line| line.starts_with("kubectl firstaid")).collect();
    assert!(typed.len() > 15, "the commands are gone: {typed:?}");
    for line in typed {
        // What comes of it goes to a file.
        let line = line.split(" > ").next().unwrap();
        let parsed = Cli::try_parse_from(words(line).into_iter().skip(1));
        assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
    }
}
