//! What a retrospective is made from, as it is stored: runs, ballots, records, and Incidents where people wrote any.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::verify::{Evidence, Stored, Unreadable, objects};

/// Everything that was read, of this incident and of others.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Material {
    /// Runs, ballots and records.
    pub evidence: Evidence,
    /// Incidents.
    pub incidents: Vec<Stored>,
    /// Why no Incident could be read, where that was so: then none here does not say that nobody wrote one.
    pub incidents_unread: Option<String>,
}

impl Material {
    /// Reads an export: a list as kubectl prints it, or objects one a line. Other kinds are passed over.
    ///
    /// # Errors
    /// [`Unreadable`], where it is no JSON or holds nothing of ours.
    pub fn read(text: &str) -> Result<Self, Unreadable> {
        let mut material = Self::default();
        material.extend(objects(text)?);
        let nothing = material.evidence == Evidence::default() && material.incidents.is_empty();
        if nothing { Err(Unreadable::Nothing) } else { Ok(material) }
    }

    /// Adds objects, if they are of a kind that says something. Of an Incident the latest stays.
    pub fn extend(&mut self, objects: impl IntoIterator<Item = Value>) {
        let is_incident = |object: &Value| {
            let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default();
            text("apiVersion").starts_with("firstaid.dev/") && text("kind") == "Incident"
        };
        let (incidents, evidence): (Vec<Value>, Vec<Value>) = objects.into_iter().partition(is_incident);
        self.evidence.extend(evidence);
        for object in incidents {
            let stored = Stored { object };
            self.incidents.retain(|other| (other.namespace(), other.name()) != (stored.namespace(), stored.name()));
            self.incidents.push(stored);
        }
    }

    /// The keys of all incidents of which there is anything, in order.
    pub fn keys(&self) -> Vec<String> {
        let carried = self.evidence.runs.iter().chain(&self.evidence.records).map(|o| o.text("/spec/incident"));
        let keys: BTreeSet<&str> = carried.chain(self.incidents.iter().map(Stored::name)).collect();
        keys.into_iter().filter(|key| !key.is_empty()).map(str::to_owned).collect()
    }

    /// What belongs to an incident: what carries its key, the undo of it (which is often started when the crisis is over,
    /// without the key), and the ballots and records of both. `None` where there is nothing at all.
    pub fn of(&self, key: &str) -> Option<Joined<'_>> {
        let (mut runs, mut others): (Vec<&Stored>, Vec<&Stored>) =
            self.evidence.runs.iter().partition(|run| run.text("/spec/incident") == key);
        loop {
            let named: BTreeSet<(&str, &str)> = runs.iter().map(|run| (run.namespace(), run.name())).collect();
            // An undo of another incident is that one's.
            let undoes = |run: &&Stored| {
                run.text("/spec/incident").is_empty() && named.contains(&(run.namespace(), run.text("/spec/revertOf")))
            };
            let (more, rest): (Vec<&Stored>, Vec<&Stored>) = others.iter().partition(|run| undoes(run));
            others = rest;
            if more.is_empty() {
                break;
            }
            runs.extend(more);
        }
        let uids: BTreeSet<(&str, &str)> = runs.iter().map(|run| (run.namespace(), run.uid())).collect();
        let records: Vec<&Stored> = (self.evidence.records.iter())
            .filter(|r| r.text("/spec/incident") == key || uids.contains(&(r.namespace(), r.text("/spec/runUID"))))
            .collect();
        // A run that was deleted has left its records, and they say which ballots are theirs.
        let gone: BTreeSet<(&str, &str)> = records.iter().map(|r| (r.namespace(), r.text("/spec/runUID"))).collect();
        let of_run = |ballot: &&Stored| {
            let of = (ballot.namespace(), ballot.text("/spec/request/runUID"));
            uids.contains(&of) || gone.contains(&of)
        };
        let ballots = self.evidence.ballots.iter().filter(of_run).collect();
        let mut incidents: Vec<&Stored> = self.incidents.iter().filter(|object| object.name() == key).collect();
        incidents.sort_by_key(|object| object.namespace());
        let joined = Joined { runs, ballots, records, incidents };
        (!joined.is_empty()).then_some(joined)
    }
}

/// What belongs to one incident.
#[derive(Clone, Debug, Default)]
pub struct Joined<'a> {
    /// Its runs.
    pub runs: Vec<&'a Stored>,
    /// Their ballots.
    pub ballots: Vec<&'a Stored>,
    /// Their records.
    pub records: Vec<&'a Stored>,
    /// Incidents of its name, by namespace. The first one is listened to.
    pub incidents: Vec<&'a Stored>,
}

impl Joined<'_> {
    fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.records.is_empty() && self.incidents.is_empty()
    }

    /// As evidence, to be judged.
    pub fn evidence(&self) -> Evidence {
        let owned = |objects: &[&Stored]| objects.iter().map(|object| (*object).clone()).collect();
        Evidence { runs: owned(&self.runs), ballots: owned(&self.ballots), records: owned(&self.records) }
    }
}
