//! Feature flags as data: what is a flag, what is its off, which bytes or fields change, what would callers then get,
//! and how is it undone. Pure: texts and values in, texts and values out; who reads and writes them is somebody else.
//!
//! [`read`] the flag from its document (or take `spec.flagSpec.flags.<key>` of a FeatureFlag resource), plan with
//! [`off`], then [`write()`] `plan.at(place)` into the document or patch `plan.edits` into the resource; [`evaluate()`]
//! proves it and [`undo`] or [`undo_edits`] takes it back, but only where nobody changed it since.

mod document;
mod evaluate;
mod openfeature;

pub use document::{DocumentError, Edited, Format, Pointer, PointerError, Preserved, Undo, read, undo, write};
pub use evaluate::{Evaluation, Reason, default_contexts, evaluate};
pub use openfeature::{
    Edit, FlagError, OffPlan, Restore, Rules, Shape, UndoEdits, off, resource_place, shape, undo_edits,
};

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The whole way of one flag in a flagd file of a ConfigMap: read, plan, write, evaluate, undo.
    #[test]
    fn a_flag_goes_off_for_everybody_and_comes_back() {
        let before = r#"{
  "$schema": "https://flagd.dev/schema/v0/flags.json",
  "flags": {
    "recs": { "state": "ENABLED",  "variants": {"on": true, "off": false}, "defaultVariant": "on",
              "targeting": {"if": [{"==": [{"var": "tier"}, "gold"]}, "on", "off"]} }
  }
}
"#;
        let place: Pointer = "/flags/recs".parse().unwrap();
        let flag = read(before, Format::Json, &place).unwrap();
        let plan = off(&flag, None, Rules::Suspend).unwrap();
        assert_eq!((plan.before.as_str(), plan.after.as_str()), ("on with rules", "off, rules suspended"));
        let edited = write(before, Format::Json, &plan.at(&place)).unwrap();
        assert_eq!(edited.preserved, Preserved::Bytes);
        assert_eq!(
            edited.text,
            before
                .replace(r#""defaultVariant": "on""#, r#""defaultVariant": "off""#)
                .replace(r#"{"if": [{"==": [{"var": "tier"}, "gold"]}, "on", "off"]}"#, "{}")
        );

        let gold = [json!({"tier": "gold"})];
        let document = |text: &str| read(text, Format::Json, &Pointer::root()).unwrap();
        assert_eq!(evaluate(&document(before), "recs", &gold, 0).unwrap()[0].value, Some(json!(true)));
        let after = evaluate(&document(&edited.text), "recs", &gold, 0).unwrap();
        assert_eq!((&after[0].value, &after[0].reason), (&Some(json!(false)), &Reason::Static));

        let undone = undo(before, &edited.text, &edited.text, Format::Json, &plan.places(&place));
        assert_eq!(undone, Undo::Exact(before.to_owned()));
        // Looked at again, it is off already, and there is nothing to write.
        let again = off(&read(&edited.text, Format::Json, &place).unwrap(), None, Rules::Refuse).unwrap();
        assert!(again.already && again.edits.is_empty());
    }
}
