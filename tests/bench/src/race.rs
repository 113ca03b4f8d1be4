//! From an approval to its effect, by each actor in turn.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use firstaid::api::{APPROVE_ANNOTATION, Approval, FIELD_MANAGER, RUN_LABEL, RunbookRun};
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::core::Request;
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};

use crate::board::Seen;
use crate::floor::SHARED_RUN;
use crate::subject::Subject;
use crate::town::{Actor, Town};

/// Between a ballot and its approval everything is quiet, as while a person reads.
const QUIET: Duration = Duration::from_millis(40);
/// Runs at once while runs are piled up.
const AT_ONCE: usize = 16;

/// One approval and its effect.
#[derive(Clone, Debug)]
pub struct Lap {
    /// Who acted.
    pub actor: Actor,
    /// Name of the run and of its target.
    pub name: String,
    /// From just before the approval was sent until the observer saw the effect.
    pub took: Duration,
}

/// The people, and what they know.
#[derive(Clone)]
pub struct Race {
    root: Client,
    alice: Client,
    bob: Client,
    operator: Client,
    seen: Seen,
    /// A ballot of the operator: those of the floors are alike.
    template: Option<Approval>,
}

impl Race {
    /// Everybody signs in.
    pub async fn new(town: &Town, seen: Seen) -> Result<Self> {
        Ok(Self {
            root: town.client("root").await?,
            alice: town.client("alice").await?,
            bob: town.client("bob").await?,
            operator: town.client("operator").await?,
            seen,
            template: None,
        })
    }

    /// Runs until each actor has had so many laps, in changing order.
    pub async fn run(&mut self, subject: Subject, label: &str, laps: usize) -> Result<Vec<Lap>> {
        let mut all = Vec::new();
        for number in 0..laps {
            let mut order = Actor::ALL;
            order.rotate_left(number % Actor::ALL.len());
            for actor in order {
                let name = format!("{label}-{number:04}");
                let took = self
                    .lap(actor, subject, &name)
                    .await
                    .with_context(|| format!("{name} of the {}", actor.title()))?;
                all.push(Lap { actor, name, took });
            }
            if number % 50 == 49 {
                eprintln!("  {label}: {} of {laps}", number + 1);
            }
        }
        Ok(all)
    }

    /// Real runs of the operator from start to end, many at once: how long they took together.
    pub async fn pile_up(&self, count: usize) -> Result<Duration> {
        let began = Instant::now();
        futures::stream::iter(0..count)
            .map(|number| {
                let mut race = self.clone();
                async move {
                    let name = format!("more-{number:04}");
                    let ballot = race.prepare(Actor::Operator, Subject::Flag, &name).await?;
                    race.approve(&ballot).await?;
                    race.end(&name).await
                }
            })
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(began.elapsed())
    }

    /// The floors get what they need from a first run of the operator: its ballot, and its journal to read.
    pub async fn warm_up(&mut self) -> Result<()> {
        let ballot = self.prepare(Actor::Operator, Subject::Flag, "first").await?;
        self.template = Some(ballot.clone());
        let run = self.seen.waiting("first").await?;
        let namespace = Actor::Safe.namespace();
        let shared = RunbookRun { metadata: named(SHARED_RUN), spec: run.spec, status: None };
        Api::<RunbookRun>::namespaced(self.alice.clone(), namespace).create(&PostParams::default(), &shared).await?;
        let journal = Patch::Merge(json!({"status": run.status}));
        let runs = Api::<RunbookRun>::namespaced(self.operator.clone(), namespace);
        runs.patch_status(SHARED_RUN, &PatchParams::apply(FIELD_MANAGER), &journal).await?;
        self.approve(&ballot).await?;
        self.end("first").await
    }

    async fn lap(&mut self, actor: Actor, subject: Subject, name: &str) -> Result<Duration> {
        let ballot = self.prepare(actor, subject, name).await?;
        tokio::time::sleep(QUIET).await;
        let sent = Instant::now();
        let mut observer = self.seen.clone();
        let (approved, seen) = tokio::join!(self.approve(&ballot), observer.effect(actor.namespace(), name));
        approved?;
        let took = seen?.duration_since(sent);
        if actor == Actor::Operator {
            self.end(name).await?;
        }
        Ok(took)
    }

    /// A target, and a ballot about it.
    async fn prepare(&mut self, actor: Actor, subject: Subject, name: &str) -> Result<Approval> {
        let namespace = actor.namespace();
        let target = serde_json::to_vec(&subject.target(name))?;
        let request = Request::new(subject.path(namespace));
        self.root.request::<Value>(request.create(&PostParams::default(), target)?).await?;
        if actor == Actor::Operator {
            let run: RunbookRun = serde_json::from_value(json!({
                "apiVersion": "firstaid.dev/v1alpha1", "kind": "RunbookRun", "metadata": {"name": name},
                "spec": {"runbook": subject.name(), "reason": "queue grows", "parameters": {"target": name}}}))?;
            Api::<RunbookRun>::namespaced(self.alice.clone(), namespace).create(&PostParams::default(), &run).await?;
            return self.seen.ballot(name).await;
        }
        let template = self.template.clone().context("the operator goes first")?;
        let mut ballot = Approval { metadata: named(&format!("{name}-1")), ..template };
        ballot.metadata.namespace = Some(namespace.to_owned());
        ballot.metadata.labels = Some([(RUN_LABEL.to_owned(), name.to_owned())].into());
        name.clone_into(&mut ballot.spec.request.run);
        subject.name().clone_into(&mut ballot.spec.request.runbook);
        ballot.spec.request.expires_at = Some(Time(Timestamp::from_second(LONG_AFTER)?));
        Ok(Api::<Approval>::namespaced(self.operator.clone(), namespace)
            .create(&PostParams::default(), &ballot)
            .await?)
    }

    /// What `kubectl annotate apv NAME approve="CODE WHY"` sends.
    async fn approve(&self, ballot: &Approval) -> Result<()> {
        let namespace = ballot.namespace().unwrap_or_default();
        let word = format!("{} queue grows, capacity is free", ballot.spec.request.code);
        let mark = Patch::Merge(json!({"metadata": {"annotations": {APPROVE_ANNOTATION: word}}}));
        let ballots = Api::<Approval>::namespaced(self.bob.clone(), &namespace);
        ballots.patch(&ballot.name_any(), &PatchParams::default(), &mark).await?;
        Ok(())
    }

    async fn end(&mut self, name: &str) -> Result<()> {
        let status = self.seen.ended(name).await?.status.unwrap_or_default();
        if status.phase != firstaid::api::run::Phase::Succeeded {
            bail!("run {name} ended {:?}: {}", status.phase, status.message);
        }
        Ok(())
    }
}

/// 2100: the floors' ballots do not run out.
const LONG_AFTER: i64 = 4_102_444_800;

fn named(name: &str) -> ObjectMeta {
    ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }
}
