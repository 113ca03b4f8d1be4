//! Whatever is missing or odd, there is a verdict, and the same one each time.

use serde_json::{Value, json};

use super::world::{World, sound};
use crate::{Case, judge};

/// Two votes, a change, and its undo.
fn rich() -> Case {
    let mut world = World::gated(2);
    world.vote("bob", 1);
    world.vote("dave", 2);
    world.say("carol", "breakglass", "the database is down and nobody answers");
    world.act("scale-out", 1);
    world.settle("scale-out", 1, "Done", true);
    world.record();
    world.intend_undo();
    world.act("scale-out.undo", 1);
    world.say("carol", "abort", "wrong service");
    world.settle("scale-out.undo", 1, "Done", true);
    world.record();
    world.finish("Aborted");
    world.done()
}

fn lists(case: &mut Case) -> [&mut Vec<Value>; 4] {
    [&mut case.entries, &mut case.runs, &mut case.ballots, &mut case.records]
}

#[test]
fn without_any_one_or_two_things_there_is_a_verdict() {
    for whole in [sound(), rich()] {
        let sizes = lists(&mut whole.clone()).map(|list| list.len());
        let all: Vec<(usize, usize)> =
            sizes.iter().enumerate().flat_map(|(list, size)| (0..*size).map(move |place| (list, place))).collect();
        for one in &all {
            for other in &all {
                let mut case = whole.clone();
                let gone = lists(&mut case);
                gone[one.0].remove(one.1);
                let mut case = case.clone();
                let list = &mut *lists(&mut case)[other.0];
                if other.1 < list.len() {
                    list.remove(other.1);
                }
                assert_eq!(judge(&case), judge(&case));
            }
        }
    }
}

/// All places in a value.
fn places(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    let escaped = |key: &str| key.replace('~', "~0").replace('/', "~1");
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(key, inner)| places(inner, &format!("{at}/{}", escaped(key)), all));
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(place, inner)| places(inner, &format!("{at}/{place}"), all));
        }
        _ => {}
    }
}

#[test]
fn with_anything_odd_in_any_place_there_is_a_verdict() {
    let whole = sound();
    for list in 0..4 {
        for place in 0..lists(&mut whole.clone())[list].len() {
            let mut all = Vec::new();
            places(&lists(&mut whole.clone())[list][place], "", &mut all);
            for pointer in all {
                for odd in
                    [json!(null), json!("é/ü/9/9999999999999999999"), json!(-1), json!([{}]), json!({"": {"~": []}})]
                {
                    let mut case = whole.clone();
                    *lists(&mut case)[list][place].pointer_mut(&pointer).unwrap() = odd;
                    judge(&case);
                }
            }
        }
    }
}

#[test]
fn the_order_of_the_final_objects_does_not_matter() {
    let whole = rich();
    let mut turned = whole.clone();
    let [_, runs, ballots, records] = lists(&mut turned);
    runs.reverse();
    ballots.reverse();
    records.reverse();
    assert_eq!(judge(&whole), judge(&turned));
}
