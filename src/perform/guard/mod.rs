//! Proving that the approval policies are in force: by trying what they must refuse, and by comparing them with those that
//! this operator was built with.
//!
//! A dry-run creation of a ballot that is decided already must be refused *with our own sentence*: any other refusal (a
//! missing right, say, or somebody else's webhook) proves nothing. It tries one sentence of one policy; so each policy and
//! binding is read and compared as a whole. An act needs a proof of both that is not older than a minute, and what is found
//! wrong takes the proof away at once.

mod canary;
mod lease;
mod standing;

pub(in crate::perform) use canary::{OUR_SENTENCE, decided_ballot};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::future::join_all;
use jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind, PostParams};
use kube::{Api, Client};
use serde_json::Value;

use self::standing::{Look, Standing};
use super::{CallError, timely};
use crate::action::Gap;
use crate::api::Approval;
use crate::guard::compare::{self, Name};
use crate::guard::shipped::{CURRENT, PREVIOUS, Values};

/// Between two attempts that gave no proof.
const PAUSE: Duration = Duration::from_secs(1);

/// What the guards of this installation are.
#[derive(Clone, Debug)]
pub struct Guarding {
    /// With which values the chart was installed.
    pub values: Values,
    /// How long a proof counts.
    pub good_for: Duration,
    /// How long guards that are new or were changed must be seen to stand before they count. Each API server reads them anew
    /// about once a second, and the clocks of a cluster differ a little.
    pub settle: Duration,
}

/// The chart as it comes.
impl Default for Guarding {
    fn default() -> Self {
        Self { values: Values::default(), good_for: Duration::from_secs(60), settle: Duration::from_secs(5) }
    }
}

/// The newest proof.
pub struct Guard {
    client: Client,
    /// The versions of the policies that count, the newest first.
    versions: Result<Vec<Vec<Value>>, String>,
    guarding: Guarding,
    memory: lease::Memory,
    standing: Mutex<Standing>,
    /// One at a time makes a proof. Whoever has a good one does not wait for it: the next one is made while it still counts.
    /// Why the newest attempt gave none, and when: hundreds of runs that wait for a proof ask the API server as often as one.
    proving: tokio::sync::Mutex<Option<(Instant, String)>>,
    /// The newest version of anything that was seen.
    newest: Mutex<u64>,
    setbacks: tokio::sync::watch::Sender<usize>,
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
            memory: lease::Memory::new(client.clone(), &guarding.values.namespace),
            client,
            versions: sets.map(|set| guarding.values.render(set)).collect(),
            guarding,
            standing: Mutex::default(),
            proving: tokio::sync::Mutex::default(),
            newest: Mutex::default(),
            setbacks: tokio::sync::watch::Sender::new(0),
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
        let mut failed = self.proving.lock().await;
        if self.is_proven() {
            return Ok(());
        }
        if let Some((_, why)) = failed.as_ref().filter(|(at, _)| at.elapsed() < PAUSE) {
            return Err(why.clone());
        }
        let proof = self.prove().await;
        *failed = proof.as_ref().err().map(|why| (Instant::now(), why.clone()));
        proof
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

    /// The times in which they may have been away, the newest last: what people said then may have been judged by nobody.
    pub fn gaps(&self) -> Vec<Gap> {
        self.standing().known.gaps.clone()
    }

    fn standing(&self) -> std::sync::MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_proven(&self) -> bool {
        self.standing().proven.is_some_and(|at| at.elapsed() < self.guarding.good_for)
    }

    /// How often the API server's history was seen to go back. Changes when it is seen once more.
    pub fn setbacks(&self) -> tokio::sync::watch::Receiver<usize> {
        self.setbacks.subscribe()
    }

    /// The API server's history was seen to go back.
    pub fn set_back(&self) {
        self.setbacks.send_modify(|setbacks| *setbacks += 1);
    }

    /// Something of this version was stored.
    pub fn saw_version(&self, version: u64) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        *newest = version.max(*newest);
    }

    /// What was written just now is newer than all that was seen before it was sent, or the storage was set back. A watch that
    /// began before says nothing until the versions have caught up.
    fn heed_history(&self, written: Option<u64>, before: u64) {
        let Some(written) = written else { return };
        if written > before {
            return self.saw_version(written);
        }
        tracing::error!(written, before, "history went back: the storage of the API server was set back");
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner) = written;
        self.set_back();
    }

    /// Looks, and keeps what was seen.
    async fn prove(&self) -> Result<(), String> {
        let (started, seen) = (Instant::now(), super::now());
        let (tried, compared, kept) = tokio::join!(self.attempt(), self.compare(), self.memory.read());
        let kept = match kept {
            Ok(kept) => kept,
            Err(error) => {
                let why = format!("the Lease of the guards cannot be read: {}", error.message());
                return self.judge(Err(NoProof::of(&error, why)), started, seen);
            }
        };
        let before = {
            let mut standing = self.standing();
            standing.known = std::mem::take(&mut standing.known).and(kept.known.clone());
            standing.clone()
        };
        let looked = both(tried, compared);
        let judged = self.judge(looked, started, seen);
        let known = self.standing().known.clone();
        let renewed = standing::is_old(&kept.known, seen, self.guarding.good_for / 3);
        if known.is_same_as(&kept.known) && (judged.is_err() || !renewed) {
            return judged;
        }
        let newest = *self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        match self.memory.write(kept.clone(), &known).await {
            Ok(version) => {
                self.heed_history(version, newest);
                judged
            }
            // Another replica was first, or it is a bad moment: what is kept says no less than it did.
            Err(error) if known.is_same_as(&kept.known) => {
                tracing::debug!(%error, "when the guards were last seen was not noted");
                judged
            }
            // A gap that is forgotten would be one that never was.
            Err(error) => {
                judged?;
                *self.standing() = before.unproven();
                Err(format!("that the guards were away cannot be noted: {}", error.message()))
            }
        }
    }

    fn judge(
        &self,
        looked: Result<(String, Option<Timestamp>), NoProof>,
        started: Instant,
        seen: Timestamp,
    ) -> Result<(), String> {
        let mut standing = self.standing();
        match looked {
            Ok((identity, untouched_since)) => {
                standing.good(Look { identity, untouched_since, started, seen }, self.guarding.settle)
            }
            Err(NoProof::Wrong(why)) => {
                standing.wrong();
                Err(why)
            }
            Err(NoProof::Doubtful(why)) => {
                standing.proven = None;
                Err(why)
            }
            Err(NoProof::Unseen(why)) => Err(why),
        }
    }

    /// Tries to create a ballot that is decided already: in the operator's own namespace, which no tenant can take away.
    async fn attempt(&self) -> Result<(), NoProof> {
        let params = PostParams { dry_run: true, ..PostParams::default() };
        let approvals = Api::<Approval>::namespaced(self.client.clone(), &self.guarding.values.namespace);
        match timely(approvals.create(&params, &canary::decided_ballot())).await {
            Err(error) if error.code().is_some() && error.message().contains(canary::OUR_SENTENCE) => Ok(()),
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

    /// Compares each policy and binding with the one that was shipped. What they are by uid and generation; and, where none
    /// was ever changed, when the newest was made.
    async fn compare(&self) -> Result<(String, Option<Timestamp>), NoProof> {
        let versions = self.versions.as_ref().map_err(|why| NoProof::Wrong(why.clone()))?;
        let names: BTreeSet<Name> = versions.iter().flatten().map(Name::of).collect();
        let (mut installed, mut identity) = (BTreeMap::new(), String::new());
        let mut untouched_since = Some(Timestamp::MIN);
        for read in join_all(names.into_iter().map(|name| self.read(name))).await {
            let Some((name, object)) = read? else { continue };
            let metadata = object.metadata;
            let only_saves_typing = name.kind.starts_with("Mutating");
            installed.insert(name, object.data);
            if only_saves_typing {
                // What it fills in is judged like what people type.
                continue;
            }
            let (uid, generation) =
                (metadata.uid.as_deref().unwrap_or_default(), metadata.generation.unwrap_or_default());
            // Writing into a String cannot fail.
            let _ = write!(identity, "{uid}/{generation} ");
            let made = metadata.creation_timestamp.as_ref().filter(|_| generation == 1).map(|at| at.0);
            untouched_since = untouched_since.zip(made).map(|(newest, made)| newest.max(made));
        }
        let faults = compare::faults(versions, &installed);
        if faults.is_empty() {
            return Ok((identity, untouched_since));
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

/// A proof needs both.
fn both<T>(tried: Result<(), NoProof>, compared: Result<T, NoProof>) -> Result<T, NoProof> {
    match (tried, compared) {
        (Ok(()), Ok(seen)) => Ok(seen),
        (Err(NoProof::Wrong(tried)), Err(NoProof::Wrong(compared))) => {
            Err(NoProof::Wrong(format!("{tried}; {compared}")))
        }
        (_, Err(NoProof::Wrong(why))) | (Err(NoProof::Wrong(why)), _) => Err(NoProof::Wrong(why)),
        (_, Err(NoProof::Doubtful(why))) | (Err(NoProof::Doubtful(why)), _) => Err(NoProof::Doubtful(why)),
        (Err(unseen), _) | (_, Err(unseen)) => Err(unseen),
    }
}
