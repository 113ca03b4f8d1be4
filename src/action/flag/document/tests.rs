use proptest::prelude::*;
use serde_json::json;

use super::{Format::*, *};

fn at(pointer: &str) -> Pointer {
    pointer.parse().unwrap()
}

fn set(text: &str, format: Format, pointer: &str, to: Value) -> Result<String, String> {
    write(text, format, &[(at(pointer), to)]).map(|edited| edited.text).map_err(|error| error.to_string())
}

/// How the values at these places are written in `text`, to be put back into another one.
fn words(text: &str, format: Format, places: &[Pointer]) -> Spellings {
    places.iter().map(|at| (at.clone(), spelling(text, format, at).unwrap())).collect()
}

fn get(text: &str, format: Format, pointer: &str) -> Result<Value, String> {
    read(text, format, &at(pointer)).map_err(|error| error.to_string())
}

#[test]
fn plain_takes_only_true_and_false_and_keeps_the_white_space() {
    for (old, new) in [("true", "false"), ("true\n", "false\n"), (" True\r\n", " False\r\n"), ("TRUE", "FALSE")] {
        assert_eq!(get(old, Plain, ""), Ok(json!(true)));
        assert_eq!(set(old, Plain, "", json!(false)).as_deref(), Ok(new));
        assert_eq!(set(new, Plain, "", json!(true)).as_deref(), Ok(old));
    }
    assert_eq!(get("blue\n", Plain, ""), Ok(json!("blue")));
    assert_eq!(
        set("blue\n", Plain, "", json!(false)).unwrap_err(),
        "the whole document cannot be edited: it holds a text, and here only `true` and `false` are turned \
            into each other"
    );
    assert!(set("true", Plain, "", json!("blue")).is_err());
    assert_eq!(
        get("true", Plain, "/a").unwrap_err(),
        "`/a` leads through the whole document, which holds plain text (`true`) and has nothing inside"
    );
}

#[test]
fn json_keeps_every_other_byte() {
    let text =
        "\u{feff}{\r\n\t\"a\\/b\" : [ {\"x\":1.50e3}, {\"\\u0065n\": true } ],\r\n  \"z\": \"\\ud83d\\ude00\"\r\n}\r\n";
    assert_eq!(get(text, Json, "/a~1b/1/en"), Ok(json!(true)));
    assert_eq!(set(text, Json, "/a~1b/1/en", json!(false)), Ok(text.replace("true", "false")));
    assert_eq!(set(text, Json, "/a~1b/0", json!({})), Ok(text.replace("{\"x\":1.50e3}", "{}")));
    let both = [(at("/z"), json!("off")), (at("/a~1b/1/en"), json!(false))];
    let edited = write(text, Json, &both).unwrap();
    assert_eq!(edited.text, text.replace("true", "false").replace("\\ud83d\\ude00", "off"));
    assert!(edited.commented.is_empty());
    assert_eq!(set("true", Json, "", json!(false)).as_deref(), Ok("false"));
}

#[test]
fn a_wrong_way_is_explained() {
    let text = r#"{"recs": {"enabled": true, "b": 1}, "list": [1, 2], "none": {}}"#;
    for format in [Json, Yaml] {
        let said = |pointer| get(text, format, pointer).unwrap_err();
        assert_eq!(said("/recs/on"), "there is no `/recs/on`: `/recs` has only `enabled`, `b`");
        assert_eq!(said("/rec"), "there is no `/rec`: the whole document has only `recs`, `list`, `none`");
        assert_eq!(said("/none/x"), "there is no `/none/x`: `/none` is empty");
        for index in ["/list/2", "/list/-", "/list/01"] {
            assert_eq!(said(index), format!("there is no `{index}`: `/list` is a list of 2 (the first is 0)"));
        }
        assert_eq!(
            said("/recs/enabled/x"),
            "`/recs/enabled/x` leads through `/recs/enabled`, which holds `true` and has nothing inside"
        );
    }
}

#[test]
fn equal_keys_are_refused_where_they_matter() {
    let text = "{\"a\": {\"x\": 1,\n \"\\u0078\": 2}, \"b\": true}";
    let doubt = "the key `x` stands twice, on lines 1 and 2: readers disagree which one counts, so remove one first";
    assert_eq!(get(text, Json, "/a/x").unwrap_err(), doubt);
    assert_eq!(get(text, Json, "/a").unwrap_err(), doubt);
    // Elsewhere it is somebody else's worry, and no reason to leave a feature on.
    assert_eq!(set(text, Json, "/b", json!(false)), Ok(text.replace("true", "false")));
    assert!(
        get("a: 1\nb: true\na: 2\n", Yaml, "/b").unwrap_err().contains("line 3, column 1: duplicate mapping key: a")
    );
    assert_eq!(
        get("a=true\nb=1\na : false", Properties, "/a").unwrap_err(),
        "the key `a` stands twice, on lines 1 and 3: readers disagree which one counts, so remove one first"
    );
}

#[test]
fn a_text_of_another_format_is_refused_with_its_place() {
    assert_eq!(
        get("{\"a\": 1,\n \"b\": tru}", Json, "/a").unwrap_err(),
        "the text is not JSON: line 2, column 10: expected ident"
    );
    assert_eq!(
        get("a: 1\nb: [1,\n", Yaml, "/a").unwrap_err(),
        "the text is not YAML: line 2, column 4: unclosed bracket '['"
    );
    assert_eq!(
        get("{// no comments here\n\"a\": 1}", Json, "/a").unwrap_err().split(": ").next(),
        Some("the text is not JSON")
    );
    assert_eq!(
        get("a=1\nb=\\u00zz", Properties, "/a").unwrap_err(),
        "the text is not Java properties: line 2, column 3: `\\u` needs four hexadecimal digits"
    );
    assert_eq!(
        get("a: 1\n---\nb: 2\n", Yaml, "/a").unwrap_err(),
        "the text holds 2 YAML documents, and only a text with one can be edited"
    );
    assert!(get("", Json, "/a").unwrap_err().starts_with("the text is not JSON: line 1, column 0"));
    assert_eq!(
        get("", Yaml, "/a").unwrap_err(),
        "`/a` leads through the whole document, which holds nothing and has nothing inside"
    );
}

const YAML: &str = "# flags of the shop\r
defaults: &defaults {timeout: .inf, on: off}\r
flags:\r
  'recs/v2': &recs   # anchors elsewhere do not matter\r
    state: DISABLED  # since June\r
    defaultVariant: \"on\"\r
    variants: {on: true, off: false,\r
      \"third\": null}\r
    targeting: # gold first\r
      # why: contract\r
      if:\r
        - {var: x} # inner\r
        - 'on'\r
        - |\r
          text\r
\r
    # tail\r
    metadata: *defaults\r
";

#[test]
fn yaml_changes_only_the_value() {
    let same_but = |from: &str, to: &str| Ok(YAML.replacen(from, to, 1));
    assert_eq!(set(YAML, Yaml, "/flags/recs~1v2/defaultVariant", json!("off")), same_but("\"on\"\r", "\"off\"\r"));
    assert_eq!(set(YAML, Yaml, "/flags/recs~1v2/state", json!("ENABLED")), same_but("DISABLED", "ENABLED"));
    assert_eq!(set(YAML, Yaml, "/flags/recs~1v2/state", json!("off")), same_but("DISABLED", "\"off\""));
    assert_eq!(set(YAML, Yaml, "/flags/recs~1v2/variants/on", json!(false)), same_but("{on: true", "{on: false"));
    assert_eq!(set(YAML, Yaml, "/flags/recs~1v2/targeting/if/1", json!("it's")), same_but("'on'", "'it''s'"));
    assert_eq!(
        set(YAML, Yaml, "/flags/recs~1v2/variants", json!({})),
        same_but("{on: true, off: false,\r\n      \"third\": null}", "{}")
    );
}

#[test]
fn yaml_empties_a_mapping_in_place_and_gets_it_back() {
    let place = [(at("/flags/recs~1v2/targeting"), json!({}))];
    let edited = write(YAML, Yaml, &place).unwrap();
    assert!(
        edited.text.contains("    targeting: # gold first\r\n      # why: contract\r\n      {}\r\n\r\n    # tail\r\n")
    );
    assert_eq!(edited.commented, [at("/flags/recs~1v2/targeting")]);
    assert_eq!(set("l:\n- a: 1\n  b: 2 # c\n- x\n", Yaml, "/l/0", json!({})).as_deref(), Ok("l:\n- {} # c\n- x\n"));
    assert_eq!(set("m:\n  a: 1\n  b:\n\n# tail", Yaml, "/m", json!({})).as_deref(), Ok("m:\n  {}\n\n# tail"));
    // Somebody renames the flag's neighbour meanwhile: ours still comes back in its old words.
    let live = edited.text.replace("flags of the shop", "flags of the new shop");
    let places = [at("/flags/recs~1v2/targeting")];
    let back = [(places[0].clone(), read(YAML, Yaml, &places[0]).unwrap())];
    let undone = write_as(&live, Yaml, &back, &words(YAML, Yaml, &places)).unwrap();
    assert_eq!(undone.text, YAML.replace("flags of the shop", "flags of the new shop"));
    // Without its words the value comes back all the same, on one line.
    let plain = write(&live, Yaml, &back).unwrap().text;
    assert!(plain.contains(r#"      {"if": [{"var": "x"}, "on", "text\n"]}"#), "{plain}");
    assert_eq!(read(&plain, Yaml, &Pointer::root()), read(YAML, Yaml, &Pointer::root()));
}

#[test]
fn what_was_an_unquoted_word_of_yaml_comes_back_as_one() {
    let before = "f: {defaultVariant: on, variants: {on: true, off: false}}\n";
    let place = at("/f/defaultVariant");
    let ours = write(before, Yaml, &[(place.clone(), json!("off"))]).unwrap().text;
    assert_eq!(ours, before.replace("defaultVariant: on", "defaultVariant: \"off\""));
    // Within the flag it is the name of a variant, by itself it is read as a boolean: it comes back as what it was.
    let back = [(place.clone(), json!("on"))];
    assert_eq!(write_as(&ours, Yaml, &back, &words(before, Yaml, &[place])).unwrap().text, before);
}

#[test]
fn yaml_words_of_both_versions_are_answered_in_kind() {
    let text = "a: on\nb: Yes\nc: 'on'\nd: {e: off}\nf: TRUE\ng: y\n";
    assert_eq!(get(text, Yaml, "/a"), Ok(json!(true)));
    assert_eq!(get(text, Yaml, "/c"), Ok(json!("on")));
    assert_eq!(get(text, Yaml, "/d"), Ok(json!({"e": "off"})));
    assert_eq!(get(text, Yaml, "/g"), Ok(json!("y")));
    for (pointer, to, from, expected) in [
        ("/a", false, "a: on", "a: off"),
        ("/b", false, "Yes", "No"),
        ("/d/e", true, "e: off", "e: on"),
        ("/f", false, "TRUE", "FALSE"),
    ] {
        assert_eq!(set(text, Yaml, pointer, json!(to)), Ok(text.replace(from, expected)));
    }
    // Where a text is wanted, the word needs quotes, or a reader of 1.1 takes it for a boolean.
    assert_eq!(set(text, Yaml, "/d/e", json!("on")), Ok(text.replace("e: off", "e: \"on\"")));
}

#[test]
fn yaml_refuses_what_would_mean_more_than_it_says() {
    let text =
        "a: &a true\nb: *a\nc: !!bool true\nd:\ne: |\n  x\nf:\n- 1\ng: &g {x: true}\nh: *g\ni:\n  <<: *g\n  y: 1\n";
    let said = |pointer, to| set(text, Yaml, pointer, to).unwrap_err();
    let marked = "cannot be edited: it has an anchor (`&`) or a tag (`!`), which would then mean something else";
    assert_eq!(said("/a", json!(false)), format!("`/a` {marked}"));
    assert_eq!(said("/c", json!(false)), format!("`/c` {marked}"));
    assert_eq!(
        said("/b", json!(false)),
        "`/b` cannot be edited: `/b` is the alias `*a`, so change it where its anchor stands"
    );
    assert_eq!(
        said("/h/x", json!(false)),
        "`/h/x` cannot be edited: `/h` is the alias `*g`, so change it where its anchor stands"
    );
    assert_eq!(
        said("/i/x", json!(false)),
        "there is no `/i/x`: `/i` itself has only `<<`, `y` (what the merge key `<<` brings in is changed where \
            its anchor stands)"
    );
    assert_eq!(
        said("/d", json!(false)),
        "`/d` cannot be edited: nothing is written there; write a value by hand first"
    );
    assert_eq!(said("/e", json!("y")), "`/e` cannot be edited: it is a text over several lines (`|` or `>`)");
    assert_eq!(said("/f", json!([])), "`/f` cannot be edited: it is a list over several lines");
    let whole = json!({"a": [1, "on", {}], "b\"\u{2028}": null});
    let written = set(text, Yaml, "/i/y", whole.clone()).unwrap();
    assert_eq!(written, text.replace("y: 1", r#"y: {"a": [1, "on", {}], "b\"\u2028": null}"#));
    assert_eq!(get(&written, Yaml, "/i/y"), Ok(whole));
    // The anchor stands above the place, and the value would change in two more places.
    assert_eq!(
        said("/g/x", json!(false)),
        "editing `/g/x` would also change something else in the document (through an anchor or the layout), so \
            nothing is written: edit it by hand"
    );
    assert_eq!(get(text, Yaml, "/i"), Ok(json!({"x": true, "y": 1})));
}

#[test]
fn overlapping_places_are_refused() {
    let places = [(at("/a/b"), json!(1)), (at("/c"), json!(1)), (at("/a"), json!({}))];
    let error = write(r#"{"a": {"b": 0}, "c": 0}"#, Json, &places).unwrap_err().to_string();
    assert_eq!(error, "`/a/b` and `/a` overlap, so they cannot be edited together");
}

#[test]
fn properties_of_every_style() {
    let text = &[
        "# recs=true\n! x\n\n  shop.recs = true \r\nold\\ key:TRUE\nbare false\nempty\n",
        "long = tr\\\n    ue\nm=a\\\n  b\\u0041\\\\",
    ]
    .concat();
    assert_eq!(get(text, Properties, "/shop.recs"), Ok(json!(true)));
    assert_eq!(set(text, Properties, "/shop.recs", json!(false)), Ok(text.replace("= true ", "= false ")));
    assert_eq!(set(text, Properties, "/old key", json!(false)), Ok(text.replace("TRUE", "FALSE")));
    assert_eq!(set(text, Properties, "/bare", json!(true)), Ok(text.replace("bare false", "bare true")));
    assert_eq!(set(text, Properties, "/long", json!(false)), Ok(text.replace("tr\\\n    ue", "false")));
    assert_eq!(get(text, Properties, "/m"), Ok(json!("abA\\")));
    assert_eq!(get(text, Properties, "/empty"), Ok(json!("")));
    assert!(set(text, Properties, "/m", json!(false)).unwrap_err().contains("it holds a text"));
    assert!(get(text, Properties, "/recs").unwrap_err().contains("there is no `/recs`"));
    assert!(get(text, Properties, "/shop.recs/x").unwrap_err().contains("leads through `/shop.recs`"));
    assert!(set(text, Properties, "", json!(false)).unwrap_err().ends_with("name one key"));
}

#[test]
fn words_that_do_not_mean_the_value_here_are_not_taken() {
    let place = at("/f/targeting");
    let back = [(place.clone(), json!({"if": ["a"], "or": ["b"]}))];
    let written = |text: &str, word: &str| {
        let words = Spellings::from([(place.clone(), word.to_owned())]);
        write_as(text, Yaml, &back, &words).map(|edited| edited.text)
    };
    let (block, live) = ("if: [a] # why\n    or: [b]", "f:\n  targeting:\n    {}\n  x: 1\n");
    assert_eq!(written(live, block).unwrap(), live.replace("{}", block));
    let plain = r#"{"if": ["a"], "or": ["b"]}"#;
    for (text, word) in [
        ("{f: {targeting: {}, x: 1}}\n", block),
        ("f:\n   targeting:\n       {}\n   x: 1\n", block),
        (live, "if: [a]"),
        (live, "{if: [a], or: [*b]}"),
        (live, "{if: [a], or: [b]}\n  y: 1"),
        (live, "{if: [a], or: [b]"),
    ] {
        assert_eq!(written(text, word).unwrap(), text.replacen("{}", plain, 1), "{word}");
    }
    let lost = written("f: {x: 1}\n", block).unwrap_err().to_string();
    assert_eq!(lost, "there is no `/f/targeting`: `/f` has only `x`");
}

#[test]
fn depth_is_refused_and_does_not_end_the_operator() {
    for (open, format) in [("[", Json), ("{\"a\":", Json), ("[", Yaml), ("- ", Yaml), ("{a: ", Yaml)] {
        assert!(get(&open.repeat(50_000), format, "/a").unwrap_err().starts_with("the text is not"), "{open}");
    }
    let aliases: String = (1..40).map(|n| format!("a{n}: &a{n} [*a{0}, *a{0}]\n", n - 1)).collect();
    assert!(
        get(&format!("a0: &a0 [x, x]\n{aliases}on: true\n"), Yaml, "/on")
            .unwrap_err()
            .starts_with("the text is not YAML")
    );
}

/// A text in pieces: what is printed, and where each place of it ended up.
#[derive(Default)]
struct Printed {
    text: String,
    places: Vec<(Pointer, Range<usize>)>,
}

/// Any JSON with white space, escaped keys and numbers that serde_json would print otherwise.
fn print_json(value: &Value, here: &Pointer, blank: &mut impl FnMut() -> &'static str, out: &mut Printed) {
    let start = out.text.len();
    let mut inner: Vec<(String, Option<String>, &Value)> = Vec::new();
    let (open, close) = match value {
        Value::Object(fields) => {
            let escaped = |key: &str| {
                key.chars().map(|c| if c == 'a' { "\\u0061".into() } else { c.to_string() }).collect::<String>()
            };
            inner
                .extend(fields.iter().map(|(key, value)| (key.clone(), Some(escaped(&json!(key).to_string())), value)));
            ("{", "}")
        }
        Value::Array(items) => {
            inner.extend(items.iter().enumerate().map(|(n, item)| (n.to_string(), None, item)));
            ("[", "]")
        }
        scalar => {
            out.text.push_str(&scalar.to_string());
            out.places.push((here.clone(), start..out.text.len()));
            return;
        }
    };
    out.text.push_str(open);
    for (n, (token, key, value)) in inner.into_iter().enumerate() {
        out.text.push_str(if n > 0 { "," } else { "" });
        out.text.push_str(blank());
        if let Some(key) = key {
            out.text += &format!("{key}{}:{}", blank(), blank());
        }
        print_json(value, &here.child(token), blank, out);
        out.text.push_str(blank());
    }
    out.text.push_str(close);
    out.places.push((here.clone(), start..out.text.len()));
}

fn any_value() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // serde_json reads other fractions only to the last bit but one.
        any::<i32>().prop_map(|number| Value::from(f64::from(number) / 4.0)),
        "[a-c\\\\\"/~ é😀\\n{}\\[\\],:]{0,6}".prop_map(Value::from),
    ];
    scalar.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-c\"/~ é]{0,3}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// YAML as people write it: nested blocks, comments, every style of scalar. Only places with a value are noted.
fn print_yaml(value: &Value, here: &Pointer, depth: usize, pick: &mut dyn FnMut(usize) -> usize, out: &mut Printed) {
    let indent = "  ".repeat(depth);
    let Value::Object(fields) = value else {
        let start = out.text.len();
        match value {
            Value::String(text) if pick(3) == 0 => out.text += &format!("'{text}'"),
            other => out.text += &other.to_string(),
        }
        out.places.push((here.clone(), start..out.text.len()));
        return;
    };
    for (key, value) in fields {
        if pick(4) == 0 {
            out.text += &format!("{indent}# {{about: \"{key}\n\n");
        }
        out.text += &format!("{indent}{}:", if pick(2) == 0 { key.clone() } else { format!("\"{key}\"") });
        let below = here.child(key.as_str());
        if value.as_object().is_some_and(|fields| !fields.is_empty()) {
            out.text += ["\n", " # note\n"][pick(2)];
            let start = out.text.len() + 2 * (depth + 1);
            // A comment first would make the recorded start wrong, so nested blocks begin with their key.
            let mut first = true;
            let mut pick = |n| if std::mem::take(&mut first) { 1 } else { pick(n) };
            print_yaml(value, &below, depth + 1, &mut pick, out);
            let end = out.text.trim_end().len();
            out.places.push((below, start..end));
        } else {
            out.text += [" ", "   "][pick(2)];
            print_yaml(value, &below, depth, pick, out);
            out.text += "\n";
        }
    }
}

fn yaml_map() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z #:]{1,5}".prop_map(Value::from)
    ];
    let map = |inner| {
        prop::collection::btree_map("[a-d]{1,3}", inner, 1..4).prop_map(|map| Value::Object(map.into_iter().collect()))
    };
    map(scalar.prop_recursive(3, 16, 3, move |inner| map(inner.boxed()).boxed()).boxed())
}

/// Writes at every place; all bytes outside of it stay, the value is there, and in its old words the old value comes back
/// byte for byte, also where others wrote beside it meanwhile.
fn writes_are_local(printed: &Printed, format: Format, to: &Value) -> Result<(), TestCaseError> {
    // The outermost places are printed last; a few are enough.
    for (place, span) in printed.places.iter().rev().take(4) {
        let text = &printed.text;
        let edited = match write(text, format, &[(place.clone(), to.clone())]) {
            Ok(edited) => edited.text,
            Err(error) => return Err(TestCaseError::fail(format!("{place}: {error}\n{text}"))),
        };
        prop_assert!(edited.starts_with(&text[..span.start]), "{}: {} -> {}", place, text, edited);
        prop_assert!(edited.ends_with(&text[span.end..]), "{}: {} -> {}", place, text, edited);
        prop_assert_eq!(&read(&edited, format, place).unwrap(), to);
        let back = [(place.clone(), read(text, format, place).unwrap())];
        let words = words(text, format, std::slice::from_ref(place));
        prop_assert_eq!(&words[place], &text[span.clone()]);
        for more in ["", " \n"] {
            let undone = write_as(&format!("{edited}{more}"), format, &back, &words).unwrap().text;
            prop_assert_eq!(undone, format!("{text}{more}"));
        }
        let plain = write(&edited, format, &back).unwrap().text;
        prop_assert_eq!(read(&plain, format, &Pointer::root()), read(text, format, &Pointer::root()));
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_json_write_changes_only_its_place(
        value in any_value(), to in any_value(), blanks in prop::collection::vec(0..5usize, 1..20),
    ) {
        let mut blanks = blanks.into_iter().cycle();
        let mut blank = || ["", "", " ", "\r\n\t", "\n  "][blanks.next().unwrap()];
        let mut printed = Printed::default();
        print_json(&value, &Pointer::root(), &mut blank, &mut printed);
        prop_assert_eq!(&serde_json::from_str::<Value>(&printed.text).unwrap(), &value);
        writes_are_local(&printed, Json, &to)?;
    }

    #[test]
    fn a_properties_write_changes_only_its_place(
        lines in prop::collection::vec(("[a-z.]{1,4}", any::<bool>(), 0..5usize, 0..4usize), 1..6),
        to in any::<bool>(),
    ) {
        let mut printed = Printed::default();
        for (n, (key, value, separator, before)) in lines.into_iter().enumerate() {
            let key = format!("{key}{n}");
            printed.text += ["", "# key=true \\\n", "\n  ", "other\\=: 'x'\\\n  y\n"][if n > 0 && before == 3 {
                2 } else { before }];
            printed.text += &key;
            printed.text += ["=", " = ", ":", " ", " \\\n  :\t"][separator];
            let start = printed.text.len();
            printed.text += &value.to_string();
            printed.places.push((Pointer::root().child(key), start..printed.text.len()));
            printed.text += "\n";
        }
        writes_are_local(&printed, Properties, &json!(to))?;
    }

    #[test]
    fn no_text_makes_it_stumble(text in "([a-c]|[-:#&*!|>'\"%@`{}\\[\\],?~<=\\\\. \t\n\ré😀]|true|: |- \
        |<<|\\\\u00|\u{feff}){0,24}") {
        for format in [Plain, Json, Yaml, Properties] {
            for pointer in ["", "/a", "/a/b", "/0", "/a/0/b"] {
                if let Ok(edited) = write(&text, format, &[(at(pointer), json!(false))]) {
                    prop_assert_eq!(read(&edited.text, format, &at(pointer)).unwrap(), json!(false));
                }
                // Nor does a text that is taken for the words of a value.
                let words = Spellings::from([(at(pointer), text.clone())]);
                if let Ok(edited) = write_as("{\"a\": {\"b\": true}}", format, &[(at(pointer), json!(false))], &words) {
                    prop_assert_eq!(read(&edited.text, format, &at(pointer)).unwrap(), json!(false));
                }
            }
        }
    }
}

proptest! {
    // Reading YAML is slow in a debug build.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_yaml_write_changes_only_its_place(
        value in yaml_map(),
        to in prop_oneof![any::<bool>().prop_map(Value::from), Just(json!({})), ".{0,8}".prop_map(Value::from),
            Just(json!(null)), Just(json!("off"))],
        picks in prop::collection::vec(0..12usize, 1..20),
    ) {
        let mut picks = picks.into_iter().cycle();
        let mut printed = Printed::default();
        print_yaml(&value, &Pointer::root(), 0, &mut |n| picks.next().unwrap() % n, &mut printed);
        writes_are_local(&printed, Yaml, &to)?;
    }
}
