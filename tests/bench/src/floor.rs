//! The two floors: what the same job costs at the least. Each is one loop on a thread of its own, as the operator is a
//! process of its own, and signs in as the operator does.

use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;

use anyhow::{Context, Result, ensure};
use firstaid::api::{APPROVE_ANNOTATION, Approval, RUN_LABEL, RunbookRun};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::core::Request;
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::follow::Follow;
use crate::subject::Subject;
use crate::town::{Actor, client};

/// The run that the safe floor reads live each time. It has a journal like any other.
pub const SHARED_RUN: &str = "shared";

/// A controller may change a new target between the look and the act: then the floor, too, looks and acts once more.
const TRIES: usize = 3;

/// Starts a floor, and returns when it watches.
pub fn start(actor: Actor, kubeconfig: PathBuf) -> Result<()> {
    let (ready, is_ready) = mpsc::channel();
    thread::Builder::new().name(actor.namespace().to_owned()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let ended = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(run(actor, kubeconfig, &ready)));
        if let Err(error) = ended {
            eprintln!("the {} ended: {error:#}", actor.title());
        }
    })?;
    is_ready.recv().with_context(|| format!("the {} did not start", actor.title()))
}

async fn run(actor: Actor, kubeconfig: PathBuf, ready: &mpsc::Sender<()>) -> Result<()> {
    let namespace = actor.namespace();
    let me = client(&kubeconfig, None).await?;
    let runbook_account = format!("system:serviceaccount:{namespace}:firstaid");
    let acting = client(&kubeconfig, Some(runbook_account)).await?;
    let mut ballots = Follow::from_now(Api::<Approval>::namespaced(me.clone(), namespace), "").await?;
    ready.send(())?;
    loop {
        let (ballot, _) = ballots.next().await?;
        let approved = ballot.metadata.annotations.as_ref().is_some_and(|a| a.contains_key(APPROVE_ANNOTATION));
        if !approved {
            continue;
        }
        let mut done = Ok(());
        for _ in 0..TRIES {
            done = match actor {
                Actor::Raw => bare(&me, namespace, &ballot).await,
                Actor::Safe | Actor::Operator => safe(&me, &acting, namespace, &ballot).await,
            };
            if done.is_ok() {
                break;
            }
        }
        if let Err(error) = done {
            eprintln!("the {} failed at {}: {error:#}", actor.title(), ballot.spec.request.run);
        }
    }
}

fn subject(ballot: &Approval) -> Subject {
    if ballot.spec.request.runbook == Subject::Scale.name() { Subject::Scale } else { Subject::Flag }
}

/// One merge patch.
async fn bare(me: &Client, namespace: &str, ballot: &Approval) -> Result<()> {
    let subject = subject(ballot);
    let request = Request::new(subject.path(namespace));
    let patch = Patch::Merge(subject.bare_patch());
    me.request::<Value>(request.patch(&ballot.spec.request.run, &PatchParams::default(), &patch)?).await?;
    Ok(())
}

/// Five reads at once, then one conditional patch in the name of the runbook's ServiceAccount.
async fn safe(me: &Client, acting: &Client, namespace: &str, ballot: &Approval) -> Result<()> {
    let subject = subject(ballot);
    let request = &ballot.spec.request;
    let voter = ballot.spec.voter.clone().context("the vote is stamped")?;
    let runs = Api::<RunbookRun>::namespaced(me.clone(), namespace);
    let approvals = Api::<Approval>::namespaced(me.clone(), namespace);
    let of_run = ListParams::default().labels(&format!("{RUN_LABEL}={}", request.run));
    let reviews = Api::<SubjectAccessReview>::all(me.clone());
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(voter.username),
            groups: Some(voter.groups),
            resource_attributes: Some(ResourceAttributes {
                group: Some("firstaid.dev".to_owned()),
                resource: Some("runbooks".to_owned()),
                subresource: Some(format!("as-{}", request.role)),
                verb: Some("approve".to_owned()),
                namespace: Some(namespace.to_owned()),
                name: Some(request.runbook.clone()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let brakes = Api::<ConfigMap>::namespaced(me.clone(), "firstaid-system");
    let targets = Request::new(subject.path(namespace));
    let read_target = acting.request::<Value>(targets.get(&request.run, &kube::api::GetParams::default())?);
    let review_params = PostParams::default();
    let (run, live, review, brake, target) = tokio::try_join!(
        runs.get(SHARED_RUN),
        approvals.list(&of_run),
        reviews.create(&review_params, &review),
        brakes.get_opt("firstaid-brake"),
        read_target,
    )?;
    ensure!(!run.metadata.annotations.unwrap_or_default().contains_key("abort"), "the run is stopped");
    ensure!(review.status.is_some_and(|status| status.allowed), "the voter may not approve");
    ensure!(brake.is_none(), "the brake is on");
    let votes = live
        .items
        .iter()
        .filter(|b| b.metadata.annotations.as_ref().is_some_and(|a| a.contains_key(APPROVE_ANNOTATION)));
    ensure!(votes.count() == 1, "one vote is needed");
    let token = format!("{}/{}/switch-off/1", request.run, request.run_uid);
    let patch: json_patch::Patch = serde_json::from_value(json!(subject.conditional_patch(&target, &token)))?;
    let params = PatchParams::apply("floor");
    acting.request::<Value>(targets.patch(&request.run, &params, &Patch::Json::<()>(patch))?).await?;
    Ok(())
}
