use super::*;
fn recs() -> Value {
    json!({"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "on"})
}

fn with(mut flag: Value, field: &str, value: Value) -> Value {
    flag[field] = value;
    flag
}

fn refused(flag: &Value, to: Option<Value>) -> String {
    off(flag, to.as_ref(), Rules::Refuse).unwrap_err().to_string()
}

/// The edits as a person would say them.
fn fields(flag: &Value, plan: &OffPlan) -> Vec<String> {
    let was = |edit: &Edit| flag.pointer(&edit.pointer.to_string()).cloned().unwrap_or_default();
    plan.edits.iter().map(|edit| format!("{} {} -> {}", edit.pointer, was(edit), edit.value)).collect()
}

#[test]
fn a_switch_goes_to_false_or_to_what_is_said() {
    let plan = off(&json!(true), None, Rules::Refuse).unwrap();
    assert_eq!(
        (plan.shape, plan.before.as_str(), plan.after.as_str(), plan.already),
        (Shape::Boolean, "true", "false", false)
    );
    assert_eq!(plan.edits, [Edit { pointer: Pointer::root(), value: json!(false) }]);
    assert!(off(&json!(false), None, Rules::Refuse).unwrap().already);
    assert_eq!(off(&json!(false), Some(&json!("true")), Rules::Refuse).unwrap().value, json!(true));
    assert_eq!(refused(&json!(true), Some(json!("off"))), "`to` is \"off\", and this switch takes only true or false");
}

#[test]
fn what_is_no_flag_is_refused_with_a_hint() {
    let neither = "which is neither true or false nor an OpenFeature flag with `variants`";
    assert_eq!(refused(&json!("true"), None), format!("it holds \"true\", {neither}"));
    assert_eq!(refused(&json!("hunter2"), None), format!("it holds a text, {neither}"), "it may be a password");
    assert_eq!(refused(&json!({"a": 1}), None), format!("it holds an object, {neither}"));
    assert_eq!(
        refused(&json!({"enabled": true, "owner": "x", "beta": false}), None),
        "it holds an object without `variants`; point at its switch instead: `beta`, `enabled`"
    );
    assert!(refused(&json!({"variations": {}, "disable": false}), None).starts_with("it is a flag of GO Feature Flag"));
    assert_eq!(refused(&json!({"variants": []}), None), "its `variants` is [], not an object of named values");
    assert_eq!(refused(&with(recs(), "state", json!(1)), None), "its `state` is 1, not a text");
}

#[test]
fn off_is_the_only_false_then_the_name_then_a_question() {
    let variant = |variants: Value, to: Option<Value>| {
        off(&json!({"variants": variants}), to.as_ref(), Rules::Refuse)
            .map(|plan| plan.variant.unwrap())
            .map_err(|e| e.to_string())
    };
    assert_eq!(variant(json!({"a": true, "b": false}), None).as_deref(), Ok("b"));
    assert_eq!(variant(json!({"a": false, "b": false, "off": 1}), None).as_deref(), Ok("off"));
    assert_eq!(variant(json!({"off": {"size": 0}, "big": {"size": 9}}), None).as_deref(), Ok("off"));
    assert_eq!(
        variant(json!({"a": 1, "b": "x"}), None).unwrap_err(),
        "which variant is off? not exactly one has the value false and none is called `off`; say it with `to`: \
            `a` = 1, `b` = \"x\""
    );
    assert!(variant(json!({}), None).unwrap_err().ends_with("no variants"));
    assert_eq!(variant(json!({"a": 1, "b": "x"}), Some(json!("a"))).as_deref(), Ok("a"));
    assert_eq!(
        variant(json!({"a": 1, "b": 2}), Some(json!("c"))).unwrap_err(),
        "`to` is \"c\", and the flag has no such variant; it has `a` = 1, `b` = 2"
    );
    // `to: off` without quotes arrives as false.
    assert_eq!(variant(json!({"on": "x", "off": "y"}), Some(json!(false))).as_deref(), Ok("off"));
    assert_eq!(variant(json!({"a": true, "b": false, "off": 1}), Some(json!(true))).as_deref(), Ok("a"));
    assert!(variant(json!({"a": 1}), Some(json!(false))).is_err());
}

#[test]
fn a_definition_is_forced_with_as_few_edits_as_needed() {
    let plan = off(&recs(), None, Rules::Refuse).unwrap();
    assert_eq!(fields(&recs(), &plan), [r#"/defaultVariant "on" -> "off""#]);
    assert_eq!((plan.before.as_str(), plan.after.as_str(), &plan.value), ("on", "off", &json!(false)));
    assert!(plan.warnings.is_empty() && !plan.already);

    let off_already = with(with(recs(), "defaultVariant", json!("off")), "targeting", json!({}));
    let plan = off(&off_already, None, Rules::Refuse).unwrap();
    assert!(plan.already && plan.edits.is_empty());

    // A missing state is enabled; a missing default has to be added.
    let plan = off(&json!({"variants": {"off": false}}), None, Rules::Refuse).unwrap();
    assert_eq!(plan.edits, [Edit { pointer: "/defaultVariant".parse().unwrap(), value: json!("off") }]);
    assert_eq!(plan.before, "default in code");
}

#[test]
fn disabled_is_not_off() {
    let disabled = with(with(recs(), "state", json!("DISABLED")), "defaultVariant", json!("off"));
    let plan = off(&disabled, None, Rules::Refuse).unwrap();
    assert_eq!(fields(&disabled, &plan), [r#"/state "DISABLED" -> "ENABLED""#]);
    assert_eq!(plan.before, "disabled (default in code)");
    assert_eq!(
        plan.warnings,
        ["the flag is DISABLED: every caller now gets the default in its own code, which may be off already; \
                after this they get `off` (false)"]
    );
}

#[test]
fn rules_are_refused_suspended_or_kept() {
    let targeted = with(recs(), "targeting", json!({"if": [true, "on"]}));
    assert_eq!(
        refused(&targeted, None),
        "it has targeting rules, which would go on deciding for the callers they match: {\"if\":[true,\"on\"]}; \
            `rules: Suspend` sets them aside until the undo, `rules: Keep` leaves them"
    );
    let suspended = off(&targeted, None, Rules::Suspend).unwrap();
    assert_eq!(
        fields(&targeted, &suspended),
        [r#"/defaultVariant "on" -> "off""#, r#"/targeting {"if":[true,"on"]} -> {}"#]
    );
    assert_eq!((suspended.before.as_str(), suspended.after.as_str()), ("on with rules", "off, rules suspended"));
    assert_eq!(suspended.warnings, ["the targeting rules are set aside for everybody until the undo brings them back"]);

    let kept = off(&targeted, None, Rules::Keep).unwrap();
    assert_eq!(kept.edits.len(), 1);
    assert_eq!(kept.after, "off, rules kept");
    assert_eq!(
        kept.warnings,
        ["the targeting rules stay: callers that they match keep what their rule says, and only the others get `off`"]
    );
    for nothing in [json!({}), json!(null), json!("")] {
        assert!(off(&with(recs(), "targeting", nothing), None, Rules::Refuse).is_ok());
    }
}

#[test]
fn doubtful_offs_are_said_aloud() {
    let said = |variants: Value| off(&json!({"variants": variants}), None, Rules::Refuse).unwrap().warnings;
    assert_eq!(
        said(json!({"off": true, "on": 1})),
        ["`off` has the value true: if that is not the off of this flag, say the right variant with `to`"]
    );
    assert_eq!(
        said(json!({"off": true, "on": false})),
        ["`on` is taken because it alone has the value false; the variant called `off` has true"]
    );
}

#[test]
fn a_name_with_a_slash_has_a_place_in_a_resource() {
    assert_eq!(resource_place("checkout/recs").to_string(), "/spec/flagSpec/flags/checkout~1recs");
}
