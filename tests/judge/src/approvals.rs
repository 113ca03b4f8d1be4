//! J1: whether a gate that stands before an act was open.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::ballots::{Ballot, asked, code, is_robot, other_person};
use crate::effects::Effect;
use crate::journal::Journal;
use crate::log::{annotation, is_true, items, members, text, version};
use crate::moment::{Moment, at, is_before};
use crate::{Breach, Facts, Rule};

/// How many seconds after its ballots ran out the first act under a plan may come in: it was let pass before, and one
/// request takes at most so long.
const ON_ITS_WAY: i64 = 10;

/// An act, with the plan whose votes are to count for it.
pub struct Act<'f, 'a> {
    /// All that is known.
    pub facts: &'f Facts<'a>,
    /// The run of the plan: that of the act, or the one that it undoes.
    pub journal: &'f Journal<'a>,
    /// The act.
    pub effect: &'f Effect<'a>,
    /// Key of the plan.
    pub key: &'a str,
    /// The plan.
    pub plan: &'a Value,
}

/// J1: nothing is done behind a gate that was not open.
///
/// *Proved*: the plan names the gate that the frozen runbook puts before the step, and has at least as many ballots of each
/// role as the plan's own terms and the frozen gate ask for. Each of these ballots was marked with a yes, by one request of a
/// person that was answered with success and came in before the act, was stored before it, and before the ballot ran out;
/// by so many different people, none of them the operator or (unless the gate lets them) a ServiceAccount, the author whom
/// the plan excludes, or whoever asked for the run. Each is of this run (uid), this plan (key and hash) and this code, was
/// open, and still says the same in the end. The first act under the plan came in before the ballots ran out; later ones
/// rest on it. Or else a person had broken the glass of the run before; or the act undoes what another run did, and the
/// votes of then cover it (see [`Act::covered`]).
///
/// *From*: the journal, the requests by which ballots and runs were annotated, and the ballots as they are in the end.
///
/// *Not seen*: whether RBAC gave the voter the role, and whether they had it still at the act; whether the policies were in
/// force when they voted; who it was behind an impersonation; a no on another plan of the same gate; how long after its first
/// use broken glass opens gates.
pub fn approvals(facts: &Facts<'_>) -> (Vec<Breach>, usize) {
    let (mut breaches, mut counted) = (Vec::new(), BTreeSet::new());
    for effect in &facts.effects {
        let Some(journal) = effect.journal(&facts.journals) else { continue };
        let Some(intent) = effect.intent(journal) else { continue };
        let Some(plan) = journal.plan(intent.plan) else {
            breaches.push(
                effect
                    .breach(Rule::Approval, &format!("its intent is under plan {:?}, which there is not", intent.plan)),
            );
            continue;
        };
        let act = Act { facts, journal, effect, key: intent.plan, plan };
        match act.votes() {
            Ok(votes) => counted.extend(votes),
            Err(says) => breaches.push(effect.breach(Rule::Approval, &format!("plan {}: {says}", intent.plan))),
        }
    }
    (breaches, counted.len())
}

impl<'a> Act<'_, 'a> {
    /// The ballots that opened the gate, by uid, if there is one; else what is missing.
    fn votes(&self) -> Result<Vec<&'a str>, String> {
        let step = self.effect.token.map(|token| token.step).unwrap_or_default();
        let step = step.strip_suffix(".undo").unwrap_or(step);
        let frozen = |list: &str, name: &str| items(self.journal.last, list).find(|item| text(item, "/name") == name);
        let wanted = frozen("/status/frozen/steps", step).map(|step| text(step, "/gate")).unwrap_or_default();
        let wanted = if wanted == "None" { "" } else { wanted };
        let gate = text(self.plan, "/gate");
        if gate != wanted {
            return Err(format!("it is for gate {gate:?}, and the runbook puts step {step} behind {wanted:?}"));
        }
        let terms = self.plan.get("terms").filter(|terms| terms.is_object());
        let terms = match terms {
            None if gate.is_empty() => return Ok(Vec::new()),
            None => return Err(format!("it does not say what gate {gate} asks for")),
            Some(terms) => terms,
        };
        let frozen = frozen("/status/frozen/gates", gate);
        let counted = match self.plan.get("covered").filter(|cover| cover.is_object()) {
            Some(cover) => self.covered(cover, terms, frozen),
            None => self.counted(terms, frozen),
        };
        let denied = match counted {
            Ok(votes) => return Ok(votes),
            Err(why) => why,
        };
        match self.broken_glass(terms) {
            Ok(run) => Ok(vec![run]),
            Err(None) => Err(denied),
            Err(Some(why)) => Err(format!("{denied}; and the glass: {why}")),
        }
    }

    /// The ballots of the plan, if each has a vote that counts, and they are still in time.
    fn counted(&self, terms: &Value, frozen: Option<&Value>) -> Result<Vec<&'a str>, String> {
        let votes = self.ballots(terms, frozen)?;
        self.is_in_time(text(self.plan, "/expiresAt"))?;
        Ok(votes)
    }

    /// The ballots of the plan, if there are as many as these terms and this gate ask for, and each has a vote that counts.
    pub fn ballots(&self, terms: &Value, frozen: Option<&Value>) -> Result<Vec<&'a str>, String> {
        let slots: Vec<&Value> = items(self.plan, "/ballots").collect();
        for (role, count) in asked(terms).chain(frozen.into_iter().flat_map(asked)) {
            let there = slots.iter().filter(|slot| text(slot, "/role") == role).count();
            if there < count {
                return Err(format!("{count} of {role} are asked for, and it has {there} ballots for them"));
            }
        }
        if slots.is_empty() {
            return Err("it has no ballots".to_owned());
        }
        let (mut people, mut votes) = (BTreeSet::new(), Vec::new());
        for slot in slots {
            let name = text(slot, "/name");
            let (uid, by) =
                self.vote(name, text(slot, "/role"), terms).map_err(|why| format!("ballot {name} {why}"))?;
            if !people.insert(by) {
                return Err(format!("{by} voted twice"));
            }
            votes.push(uid);
        }
        Ok(votes)
    }

    /// The ballot of this name, by its uid, and who marked it, if it counts for this plan and act.
    fn vote(&self, name: &str, role: &str, terms: &Value) -> Result<(&'a str, &'a str), String> {
        let of_run = |object: &Value| text(object, "/spec/request/runUID") == self.journal.uid;
        let ballots: Vec<&Ballot<'a>> = self.facts.ballots.iter().filter(|ballot| ballot.name == name).collect();
        let marked = ballots.iter().filter_map(|ballot| Some((ballot, ballot.marking?)));
        let Some((ballot, (entry, object))) = marked.clone().find(|(_, (_, object))| of_run(object)) else {
            return Err(match (ballots.is_empty(), marked.count()) {
                (true, _) => "is not there".to_owned(),
                (false, 0) => "was marked with a yes by no request in the log".to_owned(),
                (false, _) => "is of another run".to_owned(),
            });
        };
        let request = |field: &str| text(object, &format!("/spec/request/{field}"));
        for (what, found, wanted) in [
            ("plan", request("plan"), self.key),
            ("hash", request("planHash"), text(self.plan, "/planHash")),
            ("role", request("role"), role),
            ("kind", request("kind"), "Decide"),
            ("state", text(object, "/status/state"), "Open"),
            ("code", &code(object), &text(self.plan, "/code").to_ascii_lowercase()),
        ] {
            if found != wanted || found.is_empty() {
                return Err(format!("was marked for {what} {found:?}, and it takes {wanted:?}"));
            }
        }
        let by = annotation(object, "by");
        if let Some(why) = other_person(&entry, object).or_else(|| self.may_not(by, entry.user, object, terms)) {
            return Err(format!("does not count: {why}"));
        }
        let (marked, received) = (entry.received, self.effect.entry.received);
        let stored = version(object).zip(self.effect.version).is_none_or(|(vote, act)| vote < act);
        if !is_before(marked, received) || !stored {
            return Err(format!("was marked at {}, which is not before the act", at(marked)));
        }
        let until = Moment::read(request("expiresAt"));
        if !is_before(marked, until) {
            return Err(format!("was marked at {}, and ran out at {}", at(marked), at(until)));
        }
        let same = |key: &str, last: &Value| annotation(last, key) == annotation(object, key);
        match ballot.last {
            None if self.facts.namespace_goes => {}
            Some(last) if same("approve", last) && same("by", last) => {}
            Some(_) => return Err("says something else in the end than what was marked".to_owned()),
            None => return Err("was marked, and is not there in the end".to_owned()),
        }
        Ok((text(object, "/metadata/uid"), by))
    }

    /// Why somebody may not vote on this gate, if they may not.
    fn may_not(&self, by: &str, user: &str, ballot: &Value, terms: &Value) -> Option<String> {
        if self.facts.operators.contains(user) {
            return Some(format!("{user} writes the journal, and has no vote"));
        }
        if is_robot(user) && !is_true(terms, "/allowServiceAccounts") {
            return Some(format!("{user} is a ServiceAccount"));
        }
        if is_true(terms, "/verifiedCredential")
            && ballot.pointer("/spec/voter").is_some()
            && text(ballot, "/spec/voter/credentialID").is_empty()
        {
            return Some("it carries no credential id".to_owned());
        }
        let asker = |field: &str| text(self.journal.last, &format!("/spec/requestedBy/{field}"));
        let asker = if asker("key").is_empty() { asker("username") } else { asker("key") };
        let alone = text(terms, "/selfApproval") == "Alone" && is_true(ballot, "/status/openToRequester");
        if by == asker {
            let may = alone || text(terms, "/selfApproval") == "Always";
            return (!may || is_robot(user)).then(|| format!("{by} asked for the run"));
        }
        (by == text(self.plan, "/excluded")).then(|| format!("{by} is excluded by the plan"))
    }

    /// Whether the plan was first acted on before its votes ran out: later acts under it rest on the first.
    pub fn is_in_time(&self, until: &str) -> Result<(), String> {
        let Some(until) = Moment::read(until) else {
            return Err("it does not say when its ballots run out".to_owned());
        };
        let late = until.plus(ON_ITS_WAY);
        let in_time = |moment: Option<Moment>| is_before(moment, Some(late));
        let received = self.effect.entry.received;
        let rests_on = |other: &&Effect<'a>| {
            is_before(other.entry.received, received)
                && other.token.is_some_and(|token| token.uid == self.journal.uid)
                && other.intent(self.journal).is_some_and(|intent| intent.plan == self.key)
        };
        let earlier = self.facts.effects.iter().filter(rests_on).any(|other| in_time(other.entry.received));
        // An act that found its target as wanted writes nothing, and uses the votes all the same.
        let used = self.journal.before(received).any(|v| {
            in_time(v.entry.and_then(|entry| entry.answered))
                && members(v.run, "/status/steps").any(|(_, entry)| {
                    text(entry, "/outcome/plan") == self.key
                        && text(entry, "/outcome/result") != "Refused"
                        && items(entry, "/outcome/approvals").next().is_some()
                })
        });
        if in_time(received) || earlier || used {
            return Ok(());
        }
        Err(format!("its ballots ran out at {until}, and nothing had been done under it by then"))
    }

    /// The run, if a person broke its glass before the act; `Err(None)` where nobody did.
    fn broken_glass(&self, terms: &Value) -> Result<&'a str, Option<String>> {
        let Some(said) = self.journal.said("breakglass") else { return Err(None) };
        let Some(entry) = said.entry else { return Err(None) };
        let why = if !is_before(entry.received, self.effect.entry.received) {
            format!("it was broken at {}, which is not before the act", at(entry.received))
        } else if is_robot(entry.user) {
            format!("{} is a ServiceAccount", entry.user)
        } else if annotation(said.run, "breakglass-by").is_empty() {
            "it does not say by whom".to_owned()
        } else if is_true(terms, "/verifiedCredential") && annotation(said.run, "breakglass-credential").is_empty() {
            "it carries no credential id".to_owned()
        } else {
            return Ok(self.journal.uid);
        };
        Err(Some(why))
    }
}
