//! What the platform asks of gates at least, whatever a runbook says: the stricter of both holds.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::action::reason;
use crate::api::run::PlannedStep;
use crate::api::runbook::{Gate, ReasonRule, Requirement, SelfApproval};
use crate::api::step::{NO_GATE, Step};

/// The most votes that a gate may ask for: as many ballots a plan can have.
const MOST_VOTES: i32 = 8;
/// The most roles that a gate may ask for, by its kind.
const MOST_ROLES: usize = 4;
/// The most people of one role that a gate may ask for, by its kind.
const MOST_OF_A_ROLE: i32 = 5;

/// What is asked at least of every gate before an action. From the chart's value `floors`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Floor {
    /// The action: `scale`; `*` is every action that changes something.
    pub action: String,
    /// Only where it scales to zero.
    #[serde(default)]
    pub to_zero: bool,
    /// How many different people of which roles, at least.
    #[serde(default)]
    pub requires: Vec<Requirement>,
    /// What the requester may do at most: of Always, Alone and Never the stricter one holds.
    #[serde(default = "whatever_the_gate_says")]
    pub self_approval: SelfApproval,
    /// Whether every vote must carry the id of a credential.
    #[serde(default)]
    pub verified_credential: bool,
}

fn whatever_the_gate_says() -> SelfApproval {
    SelfApproval::Always
}

impl Floor {
    fn is_about(&self, step: &PlannedStep) -> bool {
        let zero = || step.after.get("replicas").and_then(serde_json::Value::as_i64) == Some(0);
        step.action != "check"
            && (self.action == "*" || self.action == step.action)
            && (!self.to_zero || (step.action == "scale" && zero()))
    }

    /// `scale to zero: at least 2 of sre; never by whoever asked`.
    fn sentence(&self) -> String {
        let what = if self.action == "*" { "every change" } else { self.action.as_str() };
        let to_zero = if self.to_zero { " to zero" } else { "" };
        let people: Vec<String> = self.requires.iter().map(|r| format!("{} of {}", r.count, r.role)).collect();
        let mut asked = Vec::new();
        if !people.is_empty() {
            asked.push(format!("at least {}", people.join(" and ")));
        }
        match self.self_approval {
            SelfApproval::Always => {}
            SelfApproval::Alone => asked.push("by whoever asked only when nobody else decides".to_owned()),
            SelfApproval::Never => asked.push("never by whoever asked".to_owned()),
        }
        if self.verified_credential {
            asked.push("with a verified credential".to_owned());
        }
        format!("{what}{to_zero}: {}", asked.join(", "))
    }
}

/// A gate as it is in force for a plan, and the floors that are in it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Terms {
    pub gate: Option<Gate>,
    pub floors: Vec<String>,
}

/// Why there are no terms: the step that cannot be done so, a word for programs and a sentence for people.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unmet {
    pub step: String,
    pub reason: &'static str,
    pub sentence: String,
}

/// The gate of a step. Only the word for none is none: where the name is not there, or a change names nothing, whoever made
/// it so has not said that nobody is to be asked.
pub(super) fn gate_of<'g>(step: &Step, gates: &'g [Gate]) -> Result<Option<&'g Gate>, Unmet> {
    let invalid = |why: String| Unmet {
        step: step.name.clone(),
        reason: reason::INVALID,
        sentence: format!("{why}, so nobody could be asked; mend the runbook, then start another run"),
    };
    match step.gate.as_deref() {
        Some(NO_GATE) => Ok(None),
        None if step.action.changes() => Err(invalid("it changes something and names no gate".to_owned())),
        None => Ok(None),
        Some(name) => gates.iter().find(|gate| gate.name == name).map(Some).ok_or_else(|| {
            let known: Vec<&str> = gates.iter().map(|gate| gate.name.as_str()).collect();
            let known =
                if known.is_empty() { "it has none".to_owned() } else { format!("it has {}", known.join(", ")) };
            invalid(format!("its gate {name} is not among the gates of the runbook as it was taken up ({known})"))
        }),
    }
}

/// Whether these terms ask for all that a gate asks for. Floors may have made them stricter.
pub(super) fn is_as_strict(terms: &Gate, gate: &Gate) -> bool {
    let people = gate
        .requires
        .iter()
        .all(|wanted| terms.requires.iter().any(|found| found.role == wanted.role && found.count >= wanted.count));
    let alone = terms.self_approval != SelfApproval::Alone || terms.alone_after == gate.alone_after;
    people
        && terms.self_approval >= gate.self_approval
        && (alone || gate.self_approval == SelfApproval::Always)
        && terms.verified_credential >= gate.verified_credential
        && terms.allow_service_accounts <= gate.allow_service_accounts
        && terms.author_may_approve <= gate.author_may_approve
        && (terms.reason == gate.reason || terms.reason == ReasonRule::Required)
        && terms.valid_for == gate.valid_for
        && terms.timeout == gate.timeout
        && terms.covers_undo == gate.covers_undo
}

/// The stricter of the runbook's gate and of what the platform asks for these steps.
pub(super) fn terms(gate: Option<&Gate>, steps: &[PlannedStep], floors: &[Floor]) -> Result<Terms, Unmet> {
    let mut terms = Terms { gate: gate.cloned(), floors: Vec::new() };
    let mut named = BTreeSet::new();
    for (step, floor) in steps.iter().flat_map(|step| floors.iter().map(move |floor| (step, floor))) {
        if !floor.is_about(step) {
            continue;
        }
        let unmet = |why: String| Unmet {
            step: step.step.clone(),
            reason: reason::FLOOR_UNMET,
            sentence: format!("the platform asks for more than this runbook ({}): {why}", floor.sentence()),
        };
        let Some(gate) = terms.gate.as_mut() else {
            return Err(unmet("the step has gate: None; give it a gate in the runbook".to_owned()));
        };
        for least in &floor.requires {
            match gate.requires.iter_mut().find(|r| r.role == least.role) {
                Some(found) => found.count = found.count.max(least.count),
                None => gate.requires.push(least.clone()),
            }
        }
        if gate.requires.len() > MOST_ROLES || gate.requires.iter().any(|r| r.count > MOST_OF_A_ROLE) {
            return Err(unmet(format!(
                "together that is more than {MOST_ROLES} roles, or more than {MOST_OF_A_ROLE} of one; ask for fewer in gate {}",
                gate.name
            )));
        }
        if gate.requires.iter().map(|r| r.count.max(1)).sum::<i32>() > MOST_VOTES {
            return Err(unmet(format!(
                "together that is more than {MOST_VOTES} votes; ask for fewer in gate {}",
                gate.name
            )));
        }
        gate.self_approval = gate.self_approval.max(floor.self_approval);
        if gate.self_approval != SelfApproval::Alone {
            // The kind lets nobody write a time that means nothing.
            gate.alone_after = None;
        }
        gate.verified_credential |= floor.verified_credential;
        if named.insert(floor.sentence()) {
            terms.floors.push(floor.sentence());
        }
    }
    Ok(terms)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn floors() -> Vec<Floor> {
        serde_json::from_value(json!([
            {"action": "scale", "toZero": true, "requires": [{"role": "sre", "count": 2}], "selfApproval": "Never"},
            {"action": "*", "requires": [{"role": "db-owner"}], "verifiedCredential": true},
        ]))
        .unwrap()
    }

    fn step(name: &str, action: &str, replicas: i64) -> PlannedStep {
        serde_json::from_value(json!({"step": name, "attempt": 1, "action": action, "target": {"apiVersion": "apps/v1",
            "kind": "Deployment", "namespace": "shop", "name": "web", "uid": "u"}, "after": {"replicas": replicas},
            "holds": {"sentence": ""}, "byHand": "", "token": "t", "summary": "s"}))
        .unwrap()
    }

    fn gate(more: serde_json::Value) -> Gate {
        let mut gate = json!({"name": "on-call", "requires": [{"role": "sre"}]});
        gate.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(gate).unwrap()
    }

    fn asked(terms: &Terms) -> Vec<(&str, i32)> {
        terms.gate.as_ref().unwrap().requires.iter().map(|r| (r.role.as_str(), r.count)).collect()
    }

    #[test]
    fn the_stricter_one_holds_and_is_named() {
        let found = terms(Some(&gate(json!({}))), &[step("down", "scale", 0)], &floors()).unwrap();
        assert_eq!(asked(&found), [("sre", 2), ("db-owner", 1)]);
        assert_eq!(found.gate.as_ref().unwrap().self_approval, SelfApproval::Never);
        assert!(found.gate.as_ref().unwrap().verified_credential);
        assert_eq!(
            found.floors,
            [
                "scale to zero: at least 2 of sre, never by whoever asked",
                "every change: at least 1 of db-owner, with a verified credential"
            ]
        );
        let strict = gate(json!({"requires": [{"role": "sre", "count": 3}], "selfApproval": "Never"}));
        assert_eq!(asked(&terms(Some(&strict), &[step("down", "scale", 0)], &floors()).unwrap())[0], ("sre", 3));
    }

    #[test]
    fn a_floor_is_about_its_action_only() {
        let up = terms(Some(&gate(json!({}))), &[step("up", "scale", 4)], &floors()).unwrap();
        assert_eq!(asked(&up), [("sre", 1), ("db-owner", 1)]);
        assert_eq!(up.gate.unwrap().self_approval, SelfApproval::Alone, "as the gate says");
        let look = terms(None, &[step("look", "check", 0)], &floors()).unwrap();
        assert_eq!(look, Terms::default(), "a check needs nobody");
    }

    #[test]
    fn what_cannot_be_met_is_a_sentence() {
        let free = terms(None, &[step("down", "scale", 0)], &floors()).unwrap_err();
        assert_eq!(free.step, "down");
        assert_eq!(
            free.sentence,
            "the platform asks for more than this runbook (scale to zero: at least 2 of sre, never by whoever asked): \
             the step has gate: None; give it a gate in the runbook"
        );
        let many = gate(json!({"requires": [{"role": "sre", "count": 5}, {"role": "dev", "count": 3}]}));
        let many = terms(Some(&many), &[step("up", "scale", 4)], &floors()).unwrap_err();
        assert!(many.sentence.ends_with("together that is more than 8 votes; ask for fewer in gate on-call"));
    }

    #[test]
    fn what_the_kind_would_refuse_is_not_made() {
        let found = terms(Some(&gate(json!({"aloneAfter": "5m"}))), &[step("down", "scale", 0)], &floors()).unwrap();
        assert_eq!(found.gate.unwrap().alone_after, None, "it never comes");
        let roles = json!({"requires": [{"role": "a"}, {"role": "b"}, {"role": "c"}, {"role": "d"}]});
        let unmet = terms(Some(&gate(roles)), &[step("up", "scale", 4)], &floors()).unwrap_err();
        assert!(unmet.sentence.contains("more than 4 roles, or more than 5 of one"), "{}", unmet.sentence);
    }

    #[test]
    fn only_the_word_for_no_gate_is_none() {
        let gates = [gate(json!({}))];
        let of = |fields: serde_json::Value| {
            let mut step = json!({"name": "again"});
            step.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            gate_of(&serde_json::from_value(step).unwrap(), &gates).map(|gate| gate.map(|gate| gate.name.clone()))
        };
        let web = json!({"kind": "Deployment", "name": "web"});
        let restart = |gate: &str| json!({"gate": gate, "restart": {"target": web}});
        assert_eq!(of(restart("None")), Ok(None));
        assert_eq!(of(restart("on-call")), Ok(Some("on-call".to_owned())));
        assert_eq!(of(json!({"check": {"object": web, "that": "true"}})), Ok(None), "a check needs nobody");
        let said = |fields| {
            let Err(Unmet { step, reason, sentence }) = of(fields) else { panic!("it is taken for none") };
            assert_eq!((step.as_str(), reason), ("again", reason::INVALID));
            sentence
        };
        assert_eq!(
            said(restart("gone")),
            "its gate gone is not among the gates of the runbook as it was taken up (it has on-call), so nobody could be \
             asked; mend the runbook, then start another run"
        );
        // Nearly the word for none is a name like any other.
        assert!(said(restart("none")).starts_with("its gate none is not among the gates"));
        assert!(said(json!({"restart": {"target": web}})).starts_with("it changes something and names no gate"));
        assert!(said(json!({"gate": "gone", "check": {"object": web, "that": "true"}})).starts_with("its gate gone"));
    }

    #[test]
    fn a_word_that_is_not_known_is_no_floor() {
        assert!(serde_json::from_value::<Floor>(json!({"action": "scale", "require": []})).is_err());
    }
}
