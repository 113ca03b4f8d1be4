//! Feature flags as data: what is a flag, what is its off, which bytes or fields change, and what would callers then get.
//! Pure: texts and values in, texts and values out; who reads and writes them is somebody else.
//!
//! [`read`] the flag from its document (or take `spec.flagSpec.flags.<key>` of a FeatureFlag resource), plan with
//! [`off`], then [`write()`] the edits into the document or patch them into the resource; [`evaluate()`] proves it. Whoever
//! will undo it keeps the [`spelling`] of what goes, and [`write_as()`] puts that back; what of it is still theirs to put
//! back is decided in `disable`, which compares the values of then and now.

mod document;
mod evaluate;
mod openfeature;

pub use document::{DocumentError, Edited, Format, Pointer, PointerError, Spellings, read, spelling, write, write_as};
pub use evaluate::{Evaluation, Reason, default_contexts, evaluate};
pub use openfeature::{Edit, FlagError, OffPlan, Rules, Shape, off, resource_place, shape};

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
        let edits: Vec<_> = plan.edits.iter().map(|edit| (place.join(&edit.pointer), edit.value.clone())).collect();
        let edited = write(before, Format::Json, &edits).unwrap();
        assert!(edited.commented.is_empty());
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

        let back: Vec<_> = edits.iter().map(|(at, _)| (at.clone(), read(before, Format::Json, at).unwrap())).collect();
        let words = edits.iter().map(|(at, _)| (at.clone(), spelling(before, Format::Json, at).unwrap())).collect();
        assert_eq!(write_as(&edited.text, Format::Json, &back, &words).unwrap().text, before);
        // Looked at again, it is off already, and there is nothing to write.
        let again = off(&read(&edited.text, Format::Json, &place).unwrap(), None, Rules::Refuse).unwrap();
        assert!(again.already && again.edits.is_empty());
    }
}
