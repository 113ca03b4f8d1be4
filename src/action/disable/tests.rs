use proptest::prelude::*;

use super::super::Answer;
use super::*;

fn disable(fields: Value) -> Disable {
    let mut whole = json!({"flag": "recs"});
    whole.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    serde_json::from_value(whole).unwrap()
}

fn in_document() -> Disable {
    disable(json!({"configMap": {"name": "flags", "key": "f.json", "format": "Json", "pointer": "/recs"}}))
}

fn map(text: &str) -> Value {
    json!({"metadata": {"uid": "u1", "resourceVersion": "7"}, "data": {"f.json": text, "OTHER": "x"}})
}

fn seen(disable: &Disable, object: Value) -> Seen {
    let mut seen = Seen::default();
    seen.add(Query::Object(super::object(disable)), Answer::Object(Some(object)));
    seen
}

fn context() -> Context<'static> {
    Context { namespace: "shop", params: &Value::Null, intent_at: jiff::Timestamp::UNIX_EPOCH }
}

fn planned(prospect: Prospect) -> PlannedStep {
    prospect.planned("off", 1, "disable", "t")
}

/// A flag with rules in a flagd document, whose rules are suspended.
fn suspended(format: &str) -> Disable {
    let map = json!({"name": "flags", "key": "f.json", "format": format, "pointer": "/flags/recs"});
    disable(json!({"configMap": map, "rules": "Suspend"}))
}

/// The text that is written.
fn text_of(effect: &Effect) -> &str {
    let written = effect.patch.iter().find(|op| op["op"] == "add" && op["path"] == "/data/f.json");
    written.and_then(|op| op["value"].as_str()).expect("a text is written")
}

/// Plans and acts on a text, as a run does: the plan, what the journal keeps of the act, and the text then.
fn act(disable: &Disable, text: &str) -> (PlannedStep, Effect, String) {
    let seen = seen(disable, map(text));
    let planned = planned(plan(disable, &context(), &seen).unwrap());
    let effect = effect(disable, &context(), &planned, &seen).unwrap();
    let after = text_of(&effect).to_owned();
    (planned, effect, after)
}

/// Undoes an act on a text, as a run does, and verifies it: the text then; none where nothing is left to undo.
fn undone(disable: &Disable, act: &Effect, live: &str) -> Result<Option<String>, String> {
    let done = Done { target: &act.target, before: &act.before, after: &act.after, force: false };
    let seen_then = seen(disable, map(live));
    let back = undo(disable, &context(), &done, &seen_then).map_err(|e| e.to_string())?;
    if back.already {
        return Ok(None);
    }
    let planned = planned(back);
    let effect = effect(disable, &context(), &planned, &seen_then).map_err(|e| e.to_string())?;
    assert_ne!(effect.before, effect.after, "or it would be taken for done already");
    let text = text_of(&effect).to_owned();
    let verdict = verify(disable, &context(), &planned, &seen(disable, map(&text)));
    assert!(matches!(verdict, Ok(Verdict::Yes(..))), "{verdict:?}");
    let again = super::effect(disable, &context(), &planned, &seen(disable, map(&text))).unwrap();
    assert_eq!(again.before, again.after, "once it is back nothing is left to do");
    Ok(Some(text))
}

const BY_HAND: &str = "# kept by hand
flags:
  basket: {state: ENABLED, variants: {on: true, off: false}, defaultVariant: on}
  recs:
    state: ENABLED   # since May
    variants: {on: true, off: false}
    defaultVariant: on # a bare word
    targeting: # gold first
      if:
        # why: the contract
        - {\"==\": [{var: tier}, gold]}
        - 'off'   # theirs
        - null
    # tail
";

#[test]
fn rules_in_yaml_are_suspended_and_come_back_with_their_comments() {
    let disable = suspended("Yaml");
    let (plan, effect, ours) = act(&disable, BY_HAND);
    let (head, rules) = BY_HAND.split_once("if:").unwrap();
    let (_, tail) = rules.split_once("- null").unwrap();
    let head = head.replace("Variant: on #", "Variant: \"off\" #");
    assert_eq!(ours, format!("{head}{{}}{tail}"));
    assert_eq!(plan.before, effect.before, "what was planned is what is kept");
    assert_eq!(plan.after, fields(&json!({"flag": effect.after["flag"]})), "the approval is for the value");
    assert_eq!(effect.before["written"]["/defaultVariant"], json!("on"));
    let note = undo_note(&disable, &context(), &effect.target, &effect.before).unwrap();
    assert_eq!(note.restore, effect.before);
    assert!(note.by_hand.ends_with(", as in before.written of the record"), "{}", note.by_hand);
    let said = plan.warnings.last().unwrap();
    assert_eq!(
        said,
        "comments inside `/flags/recs/targeting` go with it; the record keeps them, and the undo brings them back if they still fit"
    );

    assert_eq!(undone(&disable, &effect, &ours), Ok(Some(BY_HAND.to_owned())));
    // Others work beside it, and one of them has put one place back already.
    for (theirs, mine) in [
        ("kept by hand", "kept by Ada"),
        ("  basket:", "  new: {a: [1]}\n  basket:"),
        ("off: false}\n", "off: false, x: 1}\n"),
    ] {
        assert_eq!(undone(&disable, &effect, &ours.replace(theirs, mine)), Ok(Some(BY_HAND.replace(theirs, mine))));
    }
    let partly = ours.replace("Variant: \"off\"", "Variant: 'on'");
    assert_eq!(undone(&disable, &effect, &partly), Ok(Some(BY_HAND.replace("Variant: on #", "Variant: 'on' #"))));
}

#[test]
fn where_the_old_words_do_not_fit_the_rules_come_back_all_the_same() {
    let disable = suspended("Yaml");
    let (_, mut effect, ours) = act(&disable, BY_HAND);
    let rules = r#"{"if": [{"==": [{"var": "tier"}, "gold"]}, "off", null]}"#;
    let plain = ours.replace("{}", rules).replace("Variant: \"off\"", "Variant: \"on\"");
    // Somebody has laid the document out anew.
    let wider = |text: &str| text.replace("\n    ", "\n       ").replace("\n         {", "\n             {");
    assert_eq!(undone(&disable, &effect, &wider(&ours)), Ok(Some(wider(&plain))));
    // An operator that kept no words has done it.
    effect.before.remove("written");
    assert_eq!(undone(&disable, &effect, &ours), Ok(Some(plain)));
}

#[test]
fn words_are_kept_only_where_the_value_would_not_bring_them_back() {
    for (format, pointer, text) in [
        ("Yaml", "/recs", "recs: on   # since May\n"),
        ("Json", "/recs", "{ \"recs\" : true }"),
        ("Properties", "/recs", "recs: TRUE\n"),
        ("Plain", "", "True\n"),
    ] {
        let disable =
            disable(json!({"configMap": {"name": "flags", "key": "f.json", "format": format, "pointer": pointer}}));
        let (planned, effect, ours) = act(&disable, text);
        assert_eq!((planned.before, &effect.before), (fields(&json!({"flag": true})), &fields(&json!({"flag": true}))));
        assert_eq!(undone(&disable, &effect, &ours), Ok(Some(text.to_owned())), "{format}");
    }
    // Two halves of a word of Java are one value, and come back as two halves.
    let disable =
        disable(json!({"configMap": {"name": "flags", "key": "f.json", "format": "Properties", "pointer": "/recs"}}));
    let (_, effect, ours) = act(&disable, "recs = tr\\\n  ue\n");
    assert_eq!(ours, "recs = false\n");
    assert_eq!(undone(&disable, &effect, &ours), Ok(Some("recs = tr\\\n  ue\n".to_owned())));
}

#[test]
fn what_is_too_long_to_be_kept_is_said_and_comes_back_as_a_value() {
    let disable = suspended("Yaml");
    let long = BY_HAND.replace("# why: the contract", &format!("# why: {}", "long ".repeat(1000)));
    let (planned, effect, ours) = act(&disable, &long);
    assert_eq!(effect.before.get("written"), None);
    let said = planned.warnings.last().unwrap();
    let length = long.split_once("if:").unwrap().1.split_once("- null").unwrap().0.len() + "if:- nullon".len();
    assert_eq!(
        *said,
        format!(
            "what stands at `/flags/recs/defaultVariant`, `/flags/recs/targeting` is too long to be kept as it is written \
             ({length} bytes, at most 4096): the undo brings back the value without its layout and comments"
        )
    );
    let back = undone(&disable, &effect, &ours).unwrap().unwrap();
    assert!(!back.contains("long long"), "{back}");
    let read = |text: &str| find(&disable, &map(text)).unwrap().document;
    assert_eq!(read(&back), read(&long));
}

#[test]
fn an_undo_in_a_document_compares_three_ways() {
    let disable = suspended("Json");
    let flag = |default: &str, targeting: &str| {
        format!(
            "{{\"state\": \"ENABLED\", \"variants\": {{\"on\": true, \"off\": false}}, \"defaultVariant\": {default}, \"targeting\": {targeting}}}"
        )
    };
    let whole = |flag: &str| format!("{{\"a\": 1.50, \"flags\": {{\"recs\": {flag}}}}}\n");
    let rules = "{ \"if\":\n [true, \"on\"] }";
    let before = whole(&flag("\"on\"", rules));
    let (_, effect, ours) = act(&disable, &before);
    assert_eq!(ours, whole(&flag("\"off\"", "{}")));
    let undone = |live: &str| undone(&disable, &effect, live);
    assert_eq!(undone(&ours), Ok(Some(before.clone())));
    assert_eq!(undone(&before), Ok(None));
    assert_eq!(undone(&whole(&flag("\"on\"", "{\"if\":[true,\"on\"]}"))), Ok(None), "a person was faster");
    let theirs = |text: &str| text.replace("1.50", "2").replace("\"off\": false", "\"off\": false, \"new\": 1");
    assert_eq!(undone(&theirs(&ours)), Ok(Some(theirs(&before))));
    let partly = whole(&flag("\"on\"", "{}"));
    assert_eq!(undone(&partly), Ok(Some(before.clone())), "one place was put back already, the other one is ours");
    let changed = |live: &str| undone(live).unwrap_err();
    assert_eq!(
        changed(&whole(&flag("\"off\"", "{\"if\": []}"))),
        "somebody changed /targeting of flag recs since, so it is left alone"
    );
    assert_eq!(
        changed(&whole("{\"variants\": {\"on\": true, \"off\": false}, \"targeting\": {}}")),
        "somebody changed /defaultVariant of flag recs since, so it is left alone"
    );
    assert!(changed("{\"flags\": {}}").contains("there is no `/flags/recs`"));
    assert!(changed("{").contains("the text is not JSON"));
}

#[test]
fn a_field_that_was_added_to_a_resource_goes_away_again() {
    let disable = disable(json!({"featureFlag": {"name": "ff"}}));
    let object = |flag: &Value| json!({"metadata": {"uid": "u1", "generation": 1}, "spec": {"flagSpec": {"flags": {"recs": flag}}}});
    let before = json!({"variants": {"off": false}});
    let planned_off = planned(plan(&disable, &context(), &seen(&disable, object(&before))).unwrap());
    assert_eq!(planned_off.after["flag"], json!({"variants": {"off": false}, "defaultVariant": "off"}));
    let done =
        Done { target: &planned_off.target, before: &planned_off.before, after: &planned_off.after, force: false };
    let live = seen(&disable, object(&planned_off.after["flag"]));
    let back = undo(&disable, &context(), &done, &live).unwrap();
    assert_eq!(back.after["flag"], before);
    let effect = effect(&disable, &context(), &planned(back), &live).unwrap();
    assert_eq!(
        effect.patch.last().unwrap(),
        &json!({"op": "remove", "path": "/spec/flagSpec/flags/recs/defaultVariant"})
    );
}

/// Rules as people write them in YAML: blocks and flows, comments, every style of scalar. `depth` is where they stand.
fn rules_in_yaml(depth: usize, pick: &mut dyn FnMut(usize) -> usize) -> String {
    let (indent, inner) = ("  ".repeat(depth), "  ".repeat(depth + 1));
    let note = ["", " # why", "   # {\"not\": [1", " #"];
    let aside = |pick: &mut dyn FnMut(usize) -> usize| ["", &format!("{inner}# aside: x\n"), "\n"][pick(3)].to_owned();
    let mut text = String::new();
    match pick(4) {
        0 => {
            return ["{if: [{var: tier}, \"on\"]}", "{\"if\": [true, 'on', null] }", "{if: [on, # x\n        off]}"]
                [pick(3)]
            .to_owned();
        }
        1 => text += &format!("\"if\":{}\n", note[pick(4)]),
        2 => text += &format!("'if':{}\n", note[pick(4)]),
        _ => text += &format!("if:{}\n", note[pick(4)]),
    }
    for _ in 0..=pick(3) {
        text += &aside(pick);
        let item = [
            "{var: tier}",
            "on",
            "'off'",
            "\"o\\u006e\"",
            "null",
            "1.50",
            "{a: [x, {b: ~}]}",
            "|\n          two\n          lines",
        ];
        text += &format!("{inner}- {}", item[pick(item.len())]);
        text += if text.ends_with("lines") { "\n" } else { ["\n", " # theirs\n", "   #\n"][pick(3)] };
    }
    if pick(2) == 0 {
        text += &format!("{}{indent}or:{} [a,   b]{}\n", aside(pick), " ".repeat(pick(3)), note[pick(4)]);
    }
    text
}

proptest! {
    // Reading YAML is slow in a debug build.
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever the rules look like, and whatever others write beside them meanwhile: what is back is what was there.
    #[test]
    fn suspended_rules_in_yaml_come_back_byte_for_byte(picks in prop::collection::vec(0..24usize, 1..24)) {
        let mut picks = picks.into_iter().cycle();
        let pick = &mut |n: usize| picks.next().unwrap() % n;
        let default = ["on", "\"on\"", "'on'", "on   # bare"][pick(4)];
        let rules = rules_in_yaml(3, pick);
        let rules = if rules.starts_with('{') { format!(" {rules}\n") } else { format!("{}\n      {rules}", ["", " # gold first"][pick(2)]) };
        let fields = [
            format!("    targeting:{rules}"),
            format!("    defaultVariant: {default}\n"),
            "    variants: {on: true, off: false}\n".to_owned(),
        ];
        let mut fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        fields.rotate_left(pick(3));
        let end = if pick(2) == 0 { "# the end\n" } else { "" };
        let before = format!("# HEAD\nflags:\n  recs:\n{}  other: 1\n{end}", fields.concat());
        let disable = suspended("Yaml");
        let (planned, effect, ours) = act(&disable, &before);
        prop_assert_eq!(&planned.before, &effect.before);
        prop_assert_eq!(undone(&disable, &effect, &ours), Ok(Some(before.clone())), "\n{}", ours);
        let theirs = |text: &str| text.replace("# HEAD", "# head\nnew: [1]").replace("other: 1", "other: {x: on}");
        prop_assert_eq!(undone(&disable, &effect, &theirs(&ours)), Ok(Some(theirs(&before))), "\n{}", ours);
    }
}

#[test]
fn one_place_of_a_document_changes_and_every_other_byte_stays() {
    let disable = in_document();
    let before = "{ \"a\": 1,\n  \"recs\" : true , \"z\":[ ] }\n";
    let seen = seen(&disable, map(before));
    let planned = planned(plan(&disable, &context(), &seen).unwrap());
    assert_eq!(planned.summary, "flag recs true -> false");
    let effect = effect(&disable, &context(), &planned, &seen).unwrap();
    assert_eq!(
        effect.patch.last().unwrap(),
        &json!({"op": "add", "path": "/data/f.json", "value": before.replace("true", "false")})
    );
    assert!(
        effect.patch.contains(&json!({"op": "test", "path": "/data/f.json", "value": before})),
        "kinds without generation test the old value"
    );
}

#[test]
fn undo_leaves_what_others_changed_beside_it() {
    let disable = disable(json!({"featureFlag": {"name": "ff"}, "rules": "Suspend"}));
    let flag = |default: &str, targeting: Value| {
        json!({"metadata": {"uid": "u1", "generation": 1}, "spec": {"flagSpec": {"flags": {
        "recs": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": default, "targeting": targeting}}}}})
    };
    let rule = json!({"if": [{"var": "x"}, "on", "off"]});
    let first = plan(&disable, &context(), &seen(&disable, flag("on", rule.clone()))).unwrap();
    let done = Done { target: &first.target, before: &first.before, after: &first.after, force: false };
    let mut others = flag("off", json!({}));
    others["spec"]["flagSpec"]["flags"]["recs"]["variants"]["blue"] = json!(true);
    let back = undo(&disable, &context(), &done, &seen(&disable, others)).unwrap();
    assert_eq!(back.after["flag"]["defaultVariant"], json!("on"));
    assert_eq!(back.after["flag"]["targeting"], rule);
    assert_eq!(back.after["flag"]["variants"]["blue"], json!(true));
    let mut restored = flag("off", json!({}));
    restored["spec"]["flagSpec"]["flags"]["recs"] = back.after["flag"].clone();
    let verdict = verify(&disable, &context(), &planned(back), &seen(&disable, restored));
    assert!(
        matches!(verdict, Ok(Verdict::Yes(..))),
        "the rules decide again, so the default is not for everybody: {verdict:?}"
    );
    let mut theirs = flag("off", json!({}));
    theirs["spec"]["flagSpec"]["flags"]["recs"]["defaultVariant"] = json!("blue");
    let error = undo(&disable, &context(), &done, &seen(&disable, theirs)).unwrap_err().to_string();
    assert!(error.contains("left alone"), "{error}");
}

#[test]
fn what_is_not_there_is_named() {
    let gone = disable(json!({"configMap": {"name": "flags", "key": "g.json", "format": "Json", "pointer": "/recs"}}));
    let error = plan(&gone, &context(), &seen(&gone, map("{}"))).unwrap_err().to_string();
    assert!(error.contains("no key \"g.json\"; it has: OTHER, f.json"), "{error}");
    let resource = disable(json!({"featureFlag": {"name": "ff"}}));
    let object = json!({"metadata": {"uid": "u"}, "spec": {"flagSpec": {"flags": {"basket": {}}}}});
    let error = plan(&resource, &context(), &seen(&resource, object)).unwrap_err().to_string();
    assert!(error.contains("has no flag \"recs\"; it has: basket"), "{error}");
}
