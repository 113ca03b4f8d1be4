use super::*;

fn flagd() -> Value {
    json!({
        "$evaluators": {"gold": {"==": [{"var": "tier"}, "gold"]}},
        "flags": {
            "plain": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "off",
                "targeting": {}},
            "gold": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "off",
                     "targeting": {"if": [{"$ref": "gold"}, "on", null]}},
            "split": {"state": "ENABLED", "variants": {"on": 1, "off": 0}, "defaultVariant": "off",
                      "targeting": {"fractional": [["on", 100], ["off", 0]]}},
            "bool": {"state": "ENABLED", "variants": {"true": 1, "false": 0}, "defaultVariant": "false",
                     "targeting": {"ends_with": [{"var": "user.mail"}, "@shop.example"]}},
            "disabled": {"state": "DISABLED", "variants": {"on": true}, "defaultVariant": "on"},
            "code": {"variants": {"on": true}, "defaultVariant": null},
            "lost": {"variants": {"on": true}, "defaultVariant": "gone"},
            "astray": {"variants": {"on": true}, "defaultVariant": "on", "targeting": {"if": [true, "gone"]}},
            "late": {"variants": {"on": true, "off": false}, "defaultVariant": "off",
                     "targeting": {"if": [{">": [{"var": "$flagd.timestamp"}, 1000]}, "on", "off"]}},
            "odd": {"variants": {"on": true}, "defaultVariant": "on", "targeting": {"if": [{"$ref": "nobody"}, "on"]}},
        }
    })
}

fn told(flag: &str, contexts: &[Value]) -> Vec<String> {
    evaluate(&flagd(), flag, contexts, 0).unwrap().iter().map(ToString::to_string).collect()
}

#[test]
fn evaluates_in_the_order_of_flagd() {
    let all = told("plain", &[]);
    assert_eq!(all.len(), 3);
    assert_eq!(all[1], r#"{"targetingKey":"firstaid-a"} gets `off` (false), STATIC"#);
    let gold = told("gold", &[json!({"tier": "gold"}), json!({"tier": null, "x": [1, {"y": 1.5}]})]);
    assert_eq!(gold[0], r#"{"tier":"gold"} gets `on` (true), TARGETING_MATCH"#);
    assert!(gold[1].ends_with("gets `off` (false), DEFAULT"));
    assert!(told("disabled", &[])[0].ends_with("gets the default in its code, DISABLED"));
    assert!(told("code", &[])[0].ends_with("gets the default in its code, DEFAULT"));
    // A rule that answers with a boolean means the variant of that name.
    assert!(told("bool", &[json!({"user": {"mail": "a@shop.example"}})])[0].ends_with("`true` (1), TARGETING_MATCH"));
}

#[test]
fn splits_need_a_targeting_key() {
    let split = told("split", &[]);
    assert!(split[0].ends_with("`off` (0), DEFAULT"));
    assert!(split[1].ends_with("`on` (1), TARGETING_MATCH"));
}

#[test]
fn what_cannot_be_evaluated_is_a_reason_and_not_a_value() {
    assert_eq!(
        told("lost", &[])[0],
        "{} gets the default in its code, ERROR: the default variant `gone` is no variant"
    );
    assert_eq!(
        told("astray", &[])[0],
        "{} gets the default in its code, ERROR: the rules answer `gone`, which is no variant"
    );
    assert!(told("odd", &[])[0].contains("ERROR: ") && told("odd", &[])[0].contains("'nobody' was not found"));
}

#[test]
fn the_clock_is_an_argument() {
    let at = |now| {
        evaluate(&flagd(), "late", &[json!({"$flagd": {"timestamp": 0}})], now).unwrap().remove(0).variant.unwrap()
    };
    assert_eq!((at(999), at(1001)), ("off".to_owned(), "on".to_owned()));
}

#[test]
fn takes_a_document_or_one_definition() {
    let one = json!({"variants": {"off": false}, "defaultVariant": "off", "state": "ENABLED"});
    assert_eq!(evaluate(&one, "any", &[], 0).unwrap()[0].value, Some(json!(false)));
    assert_eq!(
        evaluate(&flagd(), "recs", &[], 0).unwrap_err().to_string(),
        "there is no flag `recs`; there is `astray`, `bool`, `code`, `disabled`, `gold`, `late`, `lost`, `odd`, \
            `plain`, `split`"
    );
    assert_eq!(
        evaluate(&json!({"flags": {}}), "recs", &[], 0).unwrap_err().to_string(),
        "there is no flag `recs`; there is none"
    );
    assert_eq!(
        evaluate(&json!(true), "recs", &[], 0).unwrap_err().to_string(),
        "there is nothing to evaluate: neither `flags` nor a flag with `variants`"
    );
}

#[test]
fn rules_that_could_hurt_the_operator_are_not_run() {
    let reason = |targeting: Value, evaluators: Value| {
        let flag = json!({"variants": {"on": true}, "defaultVariant": "on", "targeting": targeting});
        let document = json!({"flags": {"x": flag}, "$evaluators": evaluators});
        evaluate(&document, "x", &[json!({})], 0).unwrap().remove(0).reason.to_string()
    };
    let doubling = json!({"reduce": [[1, 2], {"cat": [{"var": "accumulator"}, {"var": "accumulator"}]}, "x"]});
    assert_eq!(
        reason(doubling, json!({})),
        "ERROR: the rules use `reduce` in a way that is not evaluated here (it may not end)"
    );
    let nested = json!({"map": [[1], {"all": [[1], true]}]});
    assert_eq!(
        reason(nested, json!({})),
        "ERROR: the rules use `all` in a way that is not evaluated here (it may not end)"
    );
    let long = json!({"in": ["a", vec![1; 2_000]]});
    assert_eq!(
        reason(json!({"if": [{"some": [[1], true]}, long]}), json!({})),
        "ERROR: the rules are too long to be evaluated here with a loop in them"
    );
    // A few lines that would unfold to 2^40 rules, and one that unfolds for ever.
    let bomb: Map<String, Value> = (0..40)
        .map(|n| (n.to_string(), json!([{"$ref": (n + 1).to_string()}, {"$ref": (n + 1).to_string()}])))
        .collect();
    let circles = "ERROR: the rules are too long, too deep or go in circles, so they are not evaluated here";
    assert_eq!(reason(json!({"$ref": "0"}), Value::Object(bomb)), circles);
    assert_eq!(reason(json!({"$ref": "a"}), json!({"a": {"!": {"$ref": "a"}}})), circles);
    assert_eq!(reason(json!({"if": [{"some": [[1], true]}, "on"]}), json!({})), "TARGETING_MATCH");
}
