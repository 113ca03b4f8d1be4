//! What people are told to paste does what it says: nothing that a stranger wrote is read by their shell.

use serde_json::Value;

/// Fails where a command that is offered is not one.
pub fn are_safe(value: &Value) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                match (key.as_str(), value) {
                    ("frozen", _) => {}
                    ("byHand", Value::String(command)) => is_safe(command),
                    ("nextCommands", Value::Array(commands)) => {
                        commands.iter().filter_map(Value::as_str).for_each(is_safe);
                    }
                    _ => are_safe(value),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(are_safe),
        _ => {}
    }
}

fn is_safe(command: &str) {
    if command.is_empty() {
        return;
    }
    assert!(command.starts_with("kubectl ") || command.starts_with("firstaid "), "{command:?} is no command of ours");
    // The one pipe that is ours.
    let command = command.replace(" | grep firstaid", "");
    let mut letters = command.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\'' => drop(letters.by_ref().find(|c| *c == '\'')),
            '"' => {
                let inside: String = letters.by_ref().take_while(|c| *c != '"').collect();
                assert!(!inside.contains(['$', '`', '\\', '!']), "{command:?}: {inside:?} is read by the shell");
            }
            '\\' => drop(letters.next()),
            ' ' if letters.peek() == Some(&'#') => return,
            '$' | '`' | ';' | '&' | '|' | '<' | '>' | '(' | ')' | '*' | '?' | '{' | '}' | '~' | '!' | '\n' => {
                panic!("{command:?}: {letter:?} is read by the shell");
            }
            _ => {}
        }
    }
}

#[test]
fn it_tells_them_apart() {
    for fine in
        ["kubectl get x -p '{\"a\": \"$(id)'\\''\"}'", "kubectl edit x   # in $(id)", "kubectl annotate x a=\"WHY\""]
    {
        is_safe(fine);
    }
    for bad in ["kubectl get $(id)", "kubectl get a;b", "kubectl get \"$x\"", "kubectl 'a' `id`", "rm -rf x"] {
        assert!(std::panic::catch_unwind(|| is_safe(bad)).is_err(), "{bad}");
    }
}
