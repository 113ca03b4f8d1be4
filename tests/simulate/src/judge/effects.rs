//! Acts: what is sent, and what takes hold.

use firstaid::api::run::{Plan, PlannedStep};
use firstaid::api::{RunbookRun, TOKEN_ANNOTATION};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Invariant, Judge, Landed, OLDEST_LOOK, Violation, parts, run_of};
use crate::api_server::{ApiServer, Change, Key, Kind, Stored};
use crate::wire::Act;

/// What a run's journal intends under a token, and under which plan.
fn intent<'a>(run: &'a RunbookRun, token: &str) -> Option<(&'a PlannedStep, &'a str)> {
    let status = run.status.as_ref()?;
    let planned = status.plans.iter().flat_map(|(key, plan)| plan.steps.iter().map(move |step| (step, key.as_str())));
    let later = status.steps.values().filter_map(|entry| entry.intent.as_ref());
    let later = later.map(|intent| (&intent.step, intent.plan.as_str()));
    // The newest plan of a segment is the one in force: its key sorts last, revisions being single digits.
    planned.chain(later).rfind(|(step, _)| step.token == token)
}

/// The value that an act of this kind replaces, in the words of an outcome.
fn value_of(object: &Value, action: &str) -> Value {
    let at = |pointer: &str| object.pointer(pointer).cloned().unwrap_or_default();
    match action {
        "scale" => json!({"replicas": at("/spec/replicas")}),
        "restart" => {
            let at = at("/spec/template/metadata/annotations/kubectl.kubernetes.io~1restartedAt");
            json!({"restartedAt": if at.is_null() { json!("") } else { at }})
        }
        _ => {
            let text = at("/data/flags.json");
            let flags: Value = serde_json::from_str(text.as_str().unwrap_or_default()).unwrap_or_default();
            json!({"flag": flags.get("recommendations").cloned().unwrap_or_default()})
        }
    }
}

impl Judge {
    /// An act is sent: it has a durable intent, and nobody has said stop.
    pub fn sent(&mut self, server: &ApiServer, run: &str, act: &Act) -> Option<Violation> {
        let token = &act.effect.token;
        let Some(found) = run_of(server, run) else {
            return Some(Violation::new(Invariant::S1, format!("{token} is sent and there is no run")));
        };
        let Some((planned, _)) = intent(&found, token) else {
            return Some(Violation::new(Invariant::S1, format!("{token} is sent and no intent of it is stored")));
        };
        if planned.target.uid != act.effect.target.uid {
            return Some(Violation::new(Invariant::S4, format!("{token} is sent to another object than was planned")));
        }
        let late = |since: &Timestamp| act.at.duration_since(*since) > OLDEST_LOOK;
        if self.stopped.get(run).is_some_and(|(since, _)| late(since)) {
            return Some(Violation::new(Invariant::S12, format!("{token} is sent long after the run was stopped")));
        }
        if self.braked.as_ref().is_some_and(late) {
            return Some(Violation::new(Invariant::S11, format!("{token} is sent while the brake is on")));
        }
        self.unauthorised(server, &found, act)
    }

    /// Why the votes do not allow an act that is sent now.
    fn unauthorised(&self, server: &ApiServer, run: &RunbookRun, act: &Act) -> Option<Violation> {
        let token = &act.effect.token;
        let violation = |what: String| Some(Violation::new(Invariant::S3, format!("{token}: {what}")));
        let (_, uid, step, _) = parts(token)?;
        let undo = step.strip_suffix(".undo");
        let (name, count) = self.gates.get(undo.unwrap_or(step))?.as_ref()?;
        let (_, key) = intent(run, token)?;
        let Some(plan) = run.status.as_ref()?.plans.get(key) else { return violation("its plan is not stored".into()) };
        if plan.gate.as_deref() != Some(name) {
            return violation(format!("its plan has not the gate {name} of the runbook"));
        }
        if plan.covered.is_some() {
            return None;
        }
        // Votes are bound by what was first done under them, though that was only to find that nothing was left to do.
        let outcomes = run.status.iter().flat_map(|status| status.steps.values()).filter_map(|e| e.outcome.as_ref());
        let begun = self.landed.iter().any(|l| l.run_uid == uid && l.plan == key)
            || outcomes.into_iter().any(|outcome| outcome.plan == key && !outcome.approvals.is_empty());
        let votes = self.votes(server, plan, act.at, begun || undo.is_some());
        if votes.len() < *count {
            return violation(format!("{} of {count} votes of gate {name} count: {votes:?}", votes.len()));
        }
        let segment = key.split_once('.').map(|(segment, _)| segment);
        let no = server.all(Kind::Approval).find(|ballot| {
            let of = ballot.text("/spec/request/plan").split_once('.').map(|(segment, _)| segment) == segment;
            let said = ballot.value.pointer("/metadata/annotations/deny").is_some();
            let long_ago = self
                .marked
                .get(ballot.text("/metadata/name"))
                .is_some_and(|at| act.at.duration_since(*at) > OLDEST_LOOK);
            ballot.text("/spec/request/runUID") == uid && of && said && long_ago
        });
        // What was begun under votes that are bound is not undone by a later no.
        if no.is_some() && !begun && undo.is_none() {
            return violation("somebody said no".into());
        }
        let lost = votes
            .iter()
            .find(|who| self.lost_rights.get(*who).is_some_and(|since| act.at.duration_since(*since) > OLDEST_LOOK));
        lost.filter(|_| undo.is_none()).and_then(|who| violation(format!("{who} has lost the right to approve")))
    }

    /// Who approved a plan, each once; `bound`: whether it has been begun, so that expiry counts no more.
    fn votes(&self, server: &ApiServer, plan: &Plan, at: Timestamp, bound: bool) -> Vec<String> {
        let mut voters: Vec<String> = Vec::new();
        let expires = plan.expires_at.as_ref().map(|end| end.0);
        for slot in &plan.ballots {
            let key = Key::new(Kind::Approval, &slot.name);
            let Some(ballot) = server.get(&key) else { continue };
            let note =
                |name: &str| ballot.value.pointer(&format!("/metadata/annotations/{name}")).and_then(Value::as_str);
            let (Some(mark), Some(by)) = (note("approve"), note("by")) else { continue };
            let of_plan = ballot.text("/spec/request/planHash") == plan.plan_hash;
            let in_time = self.marked.get(&slot.name).is_some_and(|marked| expires.is_none_or(|end| *marked < end));
            let still = bound || expires.is_none_or(|end| at < end);
            let own = by == ballot.text("/spec/request/requester")
                && ballot.value.pointer("/status/openToRequester") != Some(&Value::Bool(true));
            let right = mark.split(' ').next() == Some(plan.code.as_str());
            if of_plan && in_time && still && !own && right && !voters.iter().any(|known| known == by) {
                voters.push(by.to_owned());
            }
        }
        voters
    }

    /// An act took hold.
    pub(super) fn took_hold(&mut self, server: &ApiServer, change: &Change, act: &Act) -> Option<Violation> {
        let token = &act.effect.token;
        let violation = |invariant, what: &str| Some(Violation::new(invariant, format!("{token} {what}")));
        let (Some(old), Some(new)) = (&change.old, &change.new) else {
            return violation(Invariant::S4, "made or removed an object");
        };
        let Some((name, run_uid, step, attempt)) = parts(token) else {
            return violation(Invariant::S1, "is no token");
        };
        let Some(run) = run_of(server, name) else { return violation(Invariant::S1, "has no run") };
        let Some((planned, plan)) = intent(&run, token) else { return violation(Invariant::S1, "has no intent") };
        let uid = new.text("/metadata/uid").to_owned();
        if planned.target.uid != uid {
            return violation(Invariant::S4, "changed another object than was planned");
        }
        let wanted = value_of(&new.value, &act.effect_action(planned));
        let differs =
            wanted.as_object().into_iter().flatten().any(|(key, value)| planned.after.get(key) != Some(value));
        if differs || new.value["metadata"]["annotations"][TOKEN_ANNOTATION] != **token {
            return violation(Invariant::S1, "wrote something else than its intent says");
        }
        if self.landed.iter().any(|l| l.run_uid == run_uid && l.step == step && l.uid == uid) {
            return violation(Invariant::S2, "took hold of what this step had changed before");
        }
        if act.read.as_ref().is_some_and(|read| !is_same_spec(read, old)) {
            return violation(Invariant::S5, "replaced something else than was read");
        }
        let status = run.status.as_ref();
        let entry = status.and_then(|status| status.steps.get(&format!("{step}.{attempt}")));
        if status.is_some_and(|status| status.finished) {
            return violation(Invariant::L6, "took hold after the run had ended");
        }
        if entry.is_some_and(|entry| entry.outcome.is_some()) {
            return violation(Invariant::S6, "took hold after its outcome was written");
        }
        if let Some(held) = holder(server, old, run_uid) {
            return violation(Invariant::S10, &format!("took hold of what the active run {held} holds"));
        }
        let effects = self.landed.iter().filter(|l| l.run_uid == run_uid).count();
        if self.stopped.get(name).is_some_and(|(_, then)| effects > *then) {
            return violation(Invariant::S12, "is the second effect after the run was stopped");
        }
        let before = value_of(&old.value, &planned.action);
        if let Some(original) = step.strip_suffix(".undo") {
            let outcomes = status.into_iter().flat_map(|status| &status.steps);
            let ours = outcomes
                .filter(|(key, _)| key.rsplit_once('.').is_some_and(|(name, _)| name == original))
                .filter_map(|(_, entry)| entry.outcome.as_ref())
                .find(|outcome| outcome.changed);
            let found = before.as_object().into_iter().flatten();
            if ours.is_none_or(|ours| found.into_iter().any(|(key, value)| ours.after.get(key) != Some(value))) {
                return violation(Invariant::S13, "undid what somebody else had written");
            }
        }
        self.landed.push(Landed {
            run_uid: run_uid.to_owned(),
            step: step.to_owned(),
            attempt,
            uid,
            plan: plan.to_owned(),
            before,
        });
        None
    }
}

impl Act {
    /// The action of an act; an undo of another run's step has that of the step.
    fn effect_action(&self, planned: &PlannedStep) -> String {
        planned.action.clone()
    }
}

/// Whether what an act replaces is what it was made on: the same object with the same spec, or the same data.
fn is_same_spec(read: &Stored, old: &Stored) -> bool {
    let same = |pointer: &str| read.value.pointer(pointer) == old.value.pointer(pointer);
    same("/metadata/uid") && same("/spec") && same("/data")
}

/// The active run that holds an object, by the token on it, if it is another one.
fn holder(server: &ApiServer, object: &Stored, run_uid: &str) -> Option<String> {
    let token = object.value["metadata"]["annotations"][TOKEN_ANNOTATION].as_str()?;
    let (name, uid, _, _) = parts(token)?;
    let holder = run_of(server, name).filter(|run| run.metadata.uid.as_deref() == Some(uid) && uid != run_uid)?;
    let active = !holder.status.as_ref().is_some_and(|status| status.finished);
    active.then(|| name.to_owned())
}
