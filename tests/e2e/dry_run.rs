//! The dry run of a change, by which a plan learns whether the API server would accept it.

use anyhow::{Result, bail, ensure};
use firstaid::action::{Answer, Change, Effect, Query};
use firstaid::api::run::Target;
use firstaid::perform::{Guarding, Performer};
use firstaid_sandbox::poll;
use serde_json::{Map, Value, json};

use crate::read::config;
use crate::runs::runbook;
use crate::town::{Leg, Town, WITHIN, text};

/// Replicas of checkout, on the object as read.
fn replicas(town: &Town, object: &Value, wanted: Value) -> Query {
    let target = Target {
        api_version: "apps/v1".into(),
        kind: "Deployment".into(),
        namespace: town.namespace.clone(),
        name: "checkout".into(),
        uid: text(object, "/metadata/uid").to_owned(),
    };
    let change = Change { path: "/spec/replicas".into(), old: Some(json!(4)), new: Some(wanted) };
    Query::DryRun(Box::new(Effect::new(&target, object, "run/uid/size/1", &[change], Map::new(), Map::new())))
}

/// Controllers annotate a new Deployment, so its plan may be made on an object that changes a moment later. The tests of
/// the patch fail then, with the same status as a change that is invalid.
#[test]
fn what_a_rival_changed_in_between_is_tried_again_and_what_is_invalid_is_refused() -> Result<()> {
    let mut town = Town::open(Leg::Stamping, "dry-run")?;
    town.runbook(&runbook(
        "room",
        &["name: size, gate: on-call, scale: {target: {kind: Deployment, name: checkout}, by: 1}"],
    ))?;
    town.kill_operator()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let performer = runtime.block_on(async {
        let config = config(&town.sandbox.kubeconfig("operator")).await?;
        anyhow::Ok(Performer::new(config, Guarding::default())?)
    })?;
    let ask = |query: &Query| runtime.block_on(performer.look(&town.namespace, "firstaid", query));

    let asked = replicas(&town, &town.get("deployment", "checkout")?, json!(5));
    ensure!(ask(&asked) == Answer::Yes, "{:?}", ask(&asked));

    let token = "firstaid.dev/last-action=another/uid/step/1";
    town.kubectl("root", &["annotate", "deployment", "checkout", token])?.ok()?;
    let Answer::Unreadable(why) = ask(&asked) else { bail!("{:?}", ask(&asked)) };
    ensure!(why == "Deployment/checkout was changed by somebody else while its change was tried", "{why}");

    // Its controller writes its status when it likes: then, too, it is tried again.
    let why = poll("the API server's own refusal", WITHIN, || {
        let asked = replicas(&town, &town.get("deployment", "checkout")?, json!(-1));
        let Answer::No(why) = ask(&asked) else { bail!("{:?}", ask(&asked)) };
        Ok(why)
    })?;
    ensure!(why.contains("must be greater than or equal to 0"), "{why}");
    Ok(())
}
