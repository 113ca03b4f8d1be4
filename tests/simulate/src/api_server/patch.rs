//! JSON patch and merge patch, as the API server carries them out.

use serde_json::{Map, Value};

use crate::fences::{Down, Fence};

/// Carries out a JSON patch (RFC 6902: `test`, `add`, `replace`, `remove`). As on the API server, `null` passes a test of
/// what is not there, and what fails is 422 without a hint which operation it was.
///
/// # Errors
/// What failed.
pub fn json(object: &mut Value, patch: &[Value], down: &Down) -> Result<(), String> {
    for operation in patch {
        let text = |key: &str| operation.get(key).and_then(Value::as_str).unwrap_or_default();
        let path = text("path");
        let value = operation.get("value").cloned().unwrap_or_default();
        match text("op") {
            "test" if is_down(path, down) => {}
            "test" if object.pointer(path).unwrap_or(&Value::Null) == &value => {}
            "add" if put(object, path, value.clone(), true) => {}
            "replace" if put(object, path, value.clone(), false) => {}
            "remove" if remove(object, path) => {}
            _ => return Err("the server rejected our request due to an error in our request".to_owned()),
        }
    }
    Ok(())
}

fn is_down(path: &str, down: &Down) -> bool {
    down.has(match path {
        "/metadata/uid" => Fence::UidTest,
        "/metadata/generation" => Fence::GenerationTest,
        _ => Fence::OldValueTest,
    })
}

/// The object that holds the last part of a pointer, and that part.
fn parent<'a>(object: &'a mut Value, path: &str) -> Option<(&'a mut Map<String, Value>, String)> {
    let (parent, key) = path.rsplit_once('/')?;
    Some((object.pointer_mut(parent)?.as_object_mut()?, key.replace("~1", "/").replace("~0", "~")))
}

fn put(object: &mut Value, path: &str, value: Value, anew: bool) -> bool {
    let Some((fields, key)) = parent(object, path) else { return false };
    if !anew && !fields.contains_key(&key) {
        return false;
    }
    fields.insert(key, value);
    true
}

fn remove(object: &mut Value, path: &str) -> bool {
    parent(object, path).is_some_and(|(fields, key)| fields.remove(&key).is_some())
}

/// Carries out a merge patch (RFC 7386).
pub fn merge(object: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *object = patch.clone();
        return;
    };
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    let Some(fields) = object.as_object_mut() else { return };
    for (key, value) in patch {
        if value.is_null() {
            fields.remove(key);
        } else {
            merge(fields.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}
