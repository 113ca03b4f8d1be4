//! Proving that the approval policies are in force: by trying what they must refuse, and by comparing them with those that
//! this operator was built with.
//!
//! A dry-run creation of a ballot that is decided already must be refused *with our own sentence*: any other refusal (a
//! missing right, say, or somebody else's webhook) proves nothing. It tries one sentence of one policy; so each policy and
//! binding is read and compared as a whole. An act needs a proof of both that is not older than a minute, and what is found
//! wrong takes the proof away at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::join_all;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, ObjectMeta, PostParams};
use kube::{Api, Client};
use serde_json::Value;

use super::{CallError, timely};
use crate::api::approval::{ApprovalSpec, BallotKind, Request};
use crate::api::runbook::{ReasonRule, SelfApproval};
use crate::api::{APPROVE_ANNOTATION, Approval, BY_ANNOTATION};
use crate::guard::compare::{self, Name};
use crate::guard::shipped::{CURRENT, PREVIOUS, Values};

/// The sentence with which the chart's policy refuses it.
const OUR_SENTENCE: &str = "a ballot is issued empty";

/// What the guards of this installation are.
#[derive(Clone, Debug)]
pub struct Guarding {
    /// With which values the chart was installed.
    pub values: Values,
    /// The namespaces in which a ballot may be tried. The first that takes requests does.
    pub trying_in: Vec<String>,
    /// How long a proof counts.
    pub good_for: Duration,
}

impl Guarding {
    /// The chart as it comes, and a ballot that is tried in this namespace.
    pub fn of_defaults(trying_in: &str) -> Self {
        Self { values: Values::default(), trying_in: vec![trying_in.to_owned()], good_for: Duration::from_secs(60) }
    }
}

/// The newest proof.
pub struct Guard {
    client: Client,
    /// The versions of the policies that count, the newest first.
    versions: Result<Vec<Vec<Value>>, String>,
    guarding: Guarding,
    standing: Mutex<Standing>,
    /// One at a time makes a proof. Whoever has a good one does not wait for it: the next one is made while it still counts.
    proving: tokio::sync::Mutex<()>,
}

/// How the guards stand.
#[derive(Clone, Copy, Default)]
struct Standing {
    /// When the newest proof was made; none where something was seen to be wrong since.
    proven: Option<Instant>,
    /// Whether something was wrong when it was last looked at.
    wrong: bool,
    /// When they were last seen to be in force, by the clock.
    seen: Option<Timestamp>,
    /// Since when they are as they are now, as they were seen then.
    since: Option<Since>,
}

/// Since when the guards are as they are, without a moment in which they may have been otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Since {
    /// The newest change of any of them, or when something wrong was last seen to be mended. Before that, what people said
    /// may have been judged by nobody.
    pub at: Timestamp,
    /// When they were last seen to be in force before that. None where no process that still runs has seen it.
    pub seen_before: Option<Timestamp>,
}

/// Why an attempt gave no proof.
enum NoProof {
    /// Something is wrong: an older proof counts no more.
    Wrong(String),
    /// The API server did not let it be seen: no proof counts until it does, but nothing is known to be wrong.
    Doubtful(String),
    /// It could not be seen. An older proof says all that is known, until its time is over.
    Unseen(String),
}

impl NoProof {
    /// An answer that is no proof. A busy or silent API server has not told anything.
    fn of(error: &CallError, why: String) -> Self {
        match error.code() {
            Some(400..=428 | 430..=499) => Self::Doubtful(why),
            _ => Self::Unseen(why),
        }
    }
}

impl Guard {
    pub(super) fn new(client: Client, guarding: Guarding) -> Self {
        let sets = [CURRENT, PREVIOUS];
        let sets = sets.iter().filter(|set| !set.is_empty());
        Self {
            client,
            versions: sets.map(|set| guarding.values.render(set)).collect(),
            guarding,
            standing: Mutex::default(),
            proving: tokio::sync::Mutex::default(),
        }
    }

    /// A proof that is not older than a minute, made anew where there is none.
    ///
    /// # Errors
    /// Why there is no proof, in a sentence.
    pub async fn proof(&self) -> Result<(), String> {
        if self.is_proven() {
            return Ok(());
        }
        let _alone = self.proving.lock().await;
        if self.is_proven() { Ok(()) } else { self.prove().await }
    }

    /// Makes a proof anew, however old the newest is, and says how it stands then.
    ///
    /// # Errors
    /// Why there is no proof that counts, in a sentence.
    pub async fn renew(&self) -> Result<(), String> {
        let _alone = self.proving.lock().await;
        let proof = self.prove().await;
        if self.is_proven() { Ok(()) } else { proof }
    }

    /// Since when they are as they were seen last; none where they were not seen yet.
    pub fn since(&self) -> Option<Since> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner).since
    }

    fn is_proven(&self) -> bool {
        let standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        standing.proven.is_some_and(|at| at.elapsed() < self.guarding.good_for)
    }

    async fn prove(&self) -> Result<(), String> {
        let (started, seen) = (Instant::now(), super::now());
        let (tried, compared) = tokio::join!(self.attempt(), self.compare());
        let proof = match (tried, compared) {
            (Ok(()), Ok(changed)) => Ok(changed),
            (Err(NoProof::Wrong(tried)), Err(NoProof::Wrong(compared))) => {
                Err(NoProof::Wrong(format!("{tried}; {compared}")))
            }
            (_, Err(NoProof::Wrong(why))) | (Err(NoProof::Wrong(why)), _) => Err(NoProof::Wrong(why)),
            (_, Err(NoProof::Doubtful(why))) | (Err(NoProof::Doubtful(why)), _) => Err(NoProof::Doubtful(why)),
            (Err(unseen), _) | (_, Err(unseen)) => Err(unseen),
        };
        let mut standing = self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        match proof {
            Ok(changed) => {
                *standing = standing.good(changed, started, seen);
                Ok(())
            }
            Err(NoProof::Wrong(why)) => {
                *standing = Standing { proven: None, wrong: true, ..*standing };
                Err(why)
            }
            Err(NoProof::Doubtful(why)) => {
                *standing = Standing { proven: None, ..*standing };
                Err(why)
            }
            Err(NoProof::Unseen(why)) => Err(why),
        }
    }

    /// Tries to create a ballot that is decided already. A namespace that is being deleted, or is gone, takes nothing: the
    /// next one is tried.
    async fn attempt(&self) -> Result<(), NoProof> {
        let mut first = None;
        for namespace in &self.guarding.trying_in {
            match self.attempt_in(namespace).await {
                Err(NoProof::Doubtful(why)) => first = first.or(Some(why)),
                told => return told,
            }
        }
        Err(NoProof::Doubtful(
            first.unwrap_or_else(|| "there is no namespace in which a ballot can be tried".to_owned()),
        ))
    }

    async fn attempt_in(&self, namespace: &str) -> Result<(), NoProof> {
        let params = PostParams { dry_run: true, ..PostParams::default() };
        let approvals = Api::<Approval>::namespaced(self.client.clone(), namespace);
        match timely(approvals.create(&params, &decided())).await {
            Err(error) if error.code().is_some() && error.message().contains(OUR_SENTENCE) => Ok(()),
            Err(error) => Err(NoProof::of(
                &error,
                format!("a ballot that is decided already was refused for another reason: {}", error.message()),
            )),
            Ok(_) => Err(NoProof::Wrong(
                "the API server would accept a ballot that is decided already: install the chart's policies again"
                    .to_owned(),
            )),
        }
    }

    /// Compares each policy and binding with the one that was shipped; the time of the newest change of any of them.
    async fn compare(&self) -> Result<Option<Timestamp>, NoProof> {
        let versions = self.versions.as_ref().map_err(|why| NoProof::Wrong(why.clone()))?;
        let names: BTreeSet<Name> = versions.iter().flatten().map(Name::of).collect();
        let (mut installed, mut changed) = (BTreeMap::new(), None);
        for read in join_all(names.into_iter().map(|name| self.read(name))).await {
            let Some((name, object)) = read? else { continue };
            changed = changed.max(newest_change(&object.metadata));
            installed.insert(name, object.data);
        }
        let faults = compare::faults(versions, &installed);
        if faults.is_empty() {
            return Ok(changed);
        }
        Err(NoProof::Wrong(compare::sentence(&faults, &self.guarding.values.namespace)))
    }

    /// Reads a policy or a binding; none where there is no such object, or where its kind is not served.
    async fn read(&self, name: Name) -> Result<Option<(Name, DynamicObject)>, NoProof> {
        let plural = format!("{}s", name.kind.to_lowercase());
        let plural = plural.strip_suffix("ys").map_or_else(|| plural.clone(), |stem| format!("{stem}ies"));
        let kind = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", &name.kind);
        let api: Api<DynamicObject> =
            Api::all_with(self.client.clone(), &ApiResource::from_gvk_with_plural(&kind, &plural));
        match timely(api.get(&name.name)).await {
            Ok(object) => Ok(Some((name, object))),
            Err(error) if error.code() == Some(404) => Ok(None),
            Err(error) if error.code() == Some(403) => Err(NoProof::Doubtful(format!(
                "{name} may not be read: {}; install the chart of this version, whose role firstaid-operator-cluster allows it",
                error.message()
            ))),
            Err(error) => Err(NoProof::of(&error, format!("{name} cannot be read: {}", error.message()))),
        }
    }
}

impl Standing {
    /// As it is after a good look that began then, with the time of the newest change of any guard.
    fn good(self, changed: Option<Timestamp>, started: Instant, seen: Timestamp) -> Self {
        let mended = self.wrong.then_some(seen);
        let known = self.since.map(|since| since.at);
        // Whoever puts a clock back, or forges the time of a change, brings back nothing that was in doubt.
        let since = match changed.max(mended).max(known) {
            Some(at) if known == Some(at) => self.since,
            Some(at) => Some(Since { at, seen_before: self.seen }),
            None => None,
        };
        Self { proven: Some(started), wrong: false, seen: Some(seen), since }
    }
}

/// When an object was made or last changed, by the API server's clock, not counting its status. One that was deleted and
/// made anew is as new as its making.
fn newest_change(metadata: &ObjectMeta) -> Option<Timestamp> {
    let fields =
        metadata.managed_fields.iter().flatten().filter(|entry| entry.subresource.as_deref() != Some("status"));
    let changes = fields.filter_map(|entry| entry.time.as_ref());
    changes.chain(metadata.creation_timestamp.as_ref()).map(|time| time.0).max()
}

/// A ballot that nobody may ever create.
fn decided() -> Approval {
    let never = jiff::Timestamp::UNIX_EPOCH;
    let mut ballot = Approval::new(
        "firstaid-guard-proof",
        ApprovalSpec {
            request: Request {
                run: "guard-proof".to_owned(),
                run_uid: "guard-proof".to_owned(),
                runbook: "guard-proof".to_owned(),
                gate: "guard-proof".to_owned(),
                role: "guard-proof".to_owned(),
                plan: "0.0".to_owned(),
                plan_hash: String::new(),
                code: "0000".to_owned(),
                shown_code: "0000".to_owned(),
                kind: BallotKind::Decide,
                requester: "guard-proof".to_owned(),
                self_approval: SelfApproval::Never,
                excluded: Vec::new(),
                allow_service_accounts: false,
                verified_credential: false,
                why: String::new(),
                summary: "a proof that this is refused".to_owned(),
                effects: Vec::new(),
                reason: ReasonRule::Required,
                issued_at: MicroTime(never),
                expires_at: Some(Time(never)),
            },
            voter: None,
        },
    );
    let votes = [(APPROVE_ANNOTATION, "0000 proof"), (BY_ANNOTATION, "guard-proof")];
    let annotations: BTreeMap<String, String> = votes.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    ballot.metadata = ObjectMeta { annotations: Some(annotations), ..ballot.metadata };
    ballot
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_newest_change_is_the_making_or_an_edit_but_not_a_status() {
        let metadata = |fields: Value| {
            let metadata = json!({"creationTimestamp": "2026-11-23T03:00:00Z", "managedFields": fields});
            newest_change(&serde_json::from_value(metadata).unwrap()).unwrap().to_string()
        };
        assert_eq!(metadata(json!([])), "2026-11-23T03:00:00Z");
        let (edit, status) = ("2026-11-23T03:10:00Z", "2026-11-23T03:20:00Z");
        assert_eq!(
            metadata(json!([{"manager": "helm", "time": edit}, {"subresource": "status", "time": status}])),
            edit
        );
    }

    #[test]
    fn a_change_between_two_good_looks_is_a_gap_that_begins_with_the_earlier_one() {
        let now = Instant::now();
        let first = Standing::default().good(Some(at(10)), now, at(100));
        assert_eq!(first.since, Some(Since { at: at(10), seen_before: None }), "nobody saw what was before");
        let same = first.good(Some(at(10)), now, at(130));
        assert_eq!(same.since, first.since);
        let changed = same.good(Some(at(140)), now, at(160));
        assert_eq!(changed.since, Some(Since { at: at(140), seen_before: Some(at(130)) }));
        let wrong = Standing { proven: None, wrong: true, ..changed };
        let mended = wrong.good(Some(at(170)), now, at(190));
        assert_eq!(mended.since, Some(Since { at: at(190), seen_before: Some(at(160)) }));
        assert_eq!(mended.good(Some(at(1)), now, at(220)).since, mended.since, "no change is taken back");
    }
}
