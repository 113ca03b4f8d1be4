//! What to write instead, for each rule of the kind. The rule's own sentence says what is wrong.

/// How a rule's sentence begins, and what to write instead. A test looks that no rule is without.
const INSTEAD: &[(&str, &str)] = &[
    ("a number, a percentage like", "write 3, -2, 50% or ${params.NAME}"),
    ("a number, or an expression", "write 3 or ${params.NAME}, and nothing before or after it"),
    ("a step without a gate asks nobody", "write autoRevert: true beside revertAfter, or give the step a gate"),
    ("aloneAfter is for selfApproval", "leave aloneAfter out, or write selfApproval: Alone"),
    ("a gate's aloneAfter is shorter", "write a shorter aloneAfter, or a longer timeout"),
    ("autoRevert asks nobody anew", "write a longer coversUndo in the gate, or leave autoRevert out"),
    ("autoRevert says how", "write revertAfter: 2h beside it, or leave autoRevert out"),
    (
        "every step has exactly one action",
        "write one of scale, restart, disable and check in this step, and another one in a step of its own",
    ),
    ("every step that changes something needs a gate", "write gate: NAME, and NAME in spec.gates; or gate: None"),
    ("revertAfter is for scale and disable", "leave revertAfter out"),
    ("scale to zero takes the service away", "write contain: true beside it, or a greater number"),
    ("scale: min is greater than max", "write a smaller min or a greater max"),
    ("scale: replicas is 0 or more", "write a number from 0; to have fewer than now write by: -2"),
    ("the name of a runbook is at most 40", "give it a shorter name"),
    ("this is no name of a ServiceAccount", "write a name such as firstaid, in lower case and without a slash"),
    ("this is no name of", "write the name alone, in lower case and without a slash, or ${params.NAME}"),
    ("None is the word for no gate", "give the gate another name, such as on-call"),
    ("a check changes nothing", "leave gate out"),
    ("a gate asks for at most 8 votes", "write smaller counts"),
    ("a gate names the same role twice", "write the role once, with count: 2"),
    ("a gate's timeout is at least", "write a longer timeout, or a shorter validFor"),
    ("a gate's timeout is at most 20 times", "write a shorter timeout, or a longer validFor"),
    ("a length of time like", "write 90s, 15m or 1h30m"),
    ("a parameter's minimum is greater", "write a smaller minimum or a greater maximum"),
    (
        "a parameter without a default needs a sample",
        "write default: \"VALUE\", or sample: \"VALUE\" where each run must choose",
    ),
    ("a step names a gate that is not", "name one of spec.gates, or add this one there"),
    ("a document (format Json", "write pointer: /PLACE/OF/THE/FLAG with a format, and no pointer with Plain"),
    ("disable needs exactly one of", "write one of configMap and featureFlag"),
    ("minimum and maximum are for integers", "leave them out, or write type: integer"),
    ("scale needs exactly one of", "write one of replicas, atLeast and by, and leave the others out"),
    ("two gates have the same name", "give this one another name"),
    ("two parameters have the same name", "give this one another name"),
    ("two steps have the same name", "give this one another name"),
];

/// What to write instead of what breaks the rule with this sentence.
pub fn instead(sentence: &str) -> &'static str {
    INSTEAD.iter().find(|(begins, _)| sentence.starts_with(begins)).map_or("", |(_, instead)| instead)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn sentences(schema: &Value, found: &mut Vec<String>) {
        match schema {
            Value::Object(fields) => {
                let rules = fields.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten();
                found.extend(rules.filter_map(|rule| rule["message"].as_str()).map(str::to_owned));
                fields.values().for_each(|value| sentences(value, found));
            }
            Value::Array(items) => items.iter().for_each(|item| sentences(item, found)),
            _ => {}
        }
    }

    #[test]
    fn every_rule_of_the_kind_says_what_to_write_instead() {
        let mut found = Vec::new();
        sentences(&crate::lint::schema_of_kind().unwrap(), &mut found);
        assert!(found.len() > 30, "{}", found.len());
        found.retain(|sentence| instead(sentence).is_empty());
        assert_eq!(found, Vec::<String>::new());
    }
}
