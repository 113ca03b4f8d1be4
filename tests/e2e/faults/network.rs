//! Connections that are dead, full, late or lying.

use std::time::Duration;

use anyhow::{Context, Result};
use firstaid_judge::Rule as Promise;
use firstaid_proxy::{Asked, Fault, Rule};
use firstaid_sandbox::poll;

use super::{Behind, operator};
use crate::town::{Leg, Town, WITHIN, text};

/// Whether it is a watch of this kind.
fn watches(kind: &'static str) -> impl Fn(&Asked) -> bool + Send + 'static {
    move |asked| asked.verb == "watch" && asked.resource == kind
}

/// Whether it changes the target, and is no dry run.
fn acts(asked: &Asked) -> bool {
    asked.verb == "patch" && asked.resource.starts_with("deployments") && !asked.dry_run
}

#[test]
fn a_vote_is_heard_although_the_watch_of_ballots_says_nothing() -> Result<()> {
    let mut behind = Behind::open("half-open-ballots")?;
    behind.proxy.inject(Rule::always(watches("approvals"), Fault::Stall));
    behind.start_operator()?;
    behind.town.start("shed", "deaf")?;
    behind.town.approve("bob", "deaf")?;
    behind.town.wait_phase("deaf", "Succeeded")?;
    behind.proxy.wait_hit(WITHIN)?;
    assert_eq!(behind.town.writes("deployments", "checkout")?, 1);
    Ok(())
}

#[test]
fn a_run_is_taken_up_although_the_watch_of_runs_has_died_without_a_word() -> Result<()> {
    let mut behind = Behind::open("half-open-runs")?;
    // The one that is there when the run is made, and no later one.
    behind.proxy.inject(Rule { times: 1, ..Rule::always(watches("runbookruns"), Fault::Stall) });
    behind.start_operator()?;
    behind.proxy.wait_hit(WITHIN)?;
    behind.town.start("shed", "unseen")?;
    behind.town.approve("bob", "unseen")?;
    behind.town.wait_phase("unseen", "Succeeded")?;
    Ok(())
}

#[test]
fn a_watch_whose_past_is_compacted_begins_anew() -> Result<()> {
    let mut behind = Behind::open("gone-watch")?;
    behind.proxy.inject(Rule { times: 3, ..Rule::always(|asked| asked.verb == "watch", Fault::Refuse(410)) });
    behind.start_operator()?;
    behind.town.start("shed", "compacted")?;
    behind.town.approve("bob", "compacted")?;
    behind.town.wait_phase("compacted", "Succeeded")?;
    behind.proxy.wait_hit(WITHIN)?;
    assert_eq!(behind.town.writes("deployments", "checkout")?, 1);
    Ok(())
}

#[test]
fn a_stop_is_heard_after_a_storm_of_429_and_nothing_is_done_in_it() -> Result<()> {
    let mut behind = Behind::open("storm")?;
    behind.start_operator()?;
    behind.town.start("shed", "storm")?;
    behind.town.ballot("storm")?;
    behind.proxy.inject(Rule::always(|asked| asked.verb != "watch", Fault::Refuse(429)));
    behind.town.approve("bob", "storm")?;
    // It tries, again and again, and gets nowhere.
    behind.proxy.wait_hit(WITHIN)?;
    behind.town.kubectl("bob", &["annotate", "rbr", "storm", "abort=wrong service"])?.ok()?;
    behind.proxy.lift();
    behind.town.wait_phase("storm", "Aborted")?;
    assert_eq!((behind.town.writes("deployments", "checkout")?, behind.replicas()?), (0, 4));
    Ok(())
}

#[test]
fn a_vote_counts_after_an_outage_in_which_everything_fails() -> Result<()> {
    let mut behind = Behind::open("errors")?;
    behind.start_operator()?;
    for (run, fault) in [
        ("lost", Fault::LoseRequest),
        ("cut", Fault::CutAnswer),
        ("unavailable", Fault::Refuse(503)),
        ("broken", Fault::Refuse(500)),
        ("late", Fault::Refuse(504)),
    ] {
        behind.town.kubectl("root", &["scale", "deployment/checkout", "--replicas=4"])?.ok()?;
        behind.town.start("shed", run)?;
        behind.town.ballot(run)?;
        behind.proxy.forget();
        behind.proxy.inject(Rule::always(|asked| asked.verb != "watch", fault));
        behind.town.approve("bob", run)?;
        behind.proxy.wait_hit(WITHIN)?;
        behind.proxy.lift();
        behind.town.wait_phase(run, "Succeeded").with_context(|| run.to_owned())?;
    }
    assert_eq!(behind.town.writes("deployments", "checkout")?, 5, "one for each");
    Ok(())
}

#[test]
fn what_an_api_server_refuses_that_is_not_ready_is_asked_again() -> Result<()> {
    let mut behind = Behind::open("unready")?;
    behind.start_operator()?;
    for (run, refused) in [
        ("read", (|asked: &Asked| asked.verb == "get" && !asked.user.is_empty()) as fn(&Asked) -> bool),
        ("tried", |asked| asked.dry_run && !asked.user.is_empty()),
        ("sent", acts),
    ] {
        behind.town.kubectl("root", &["scale", "deployment/checkout", "--replicas=4"])?.ok()?;
        // Paths of no resource: that is /readyz, and what discovery asks.
        let begins = || {
            behind.proxy.inject(Rule::always(|asked| asked.resource.is_empty(), Fault::Refuse(500)));
            behind.proxy.inject(Rule::always(refused, Fault::Refuse(403)));
        };
        // What is planned is read and tried before anybody is asked.
        if run != "sent" {
            begins();
        }
        behind.town.start("shed", run)?;
        if run == "sent" {
            behind.town.ballot(run)?;
            begins();
            behind.town.approve("bob", run)?;
        }
        poll("the run to say whom it waits for", WITHIN, || {
            let run = behind.town.get("rbr", run)?;
            let waits = text(&run, "/status/waitingOn");
            anyhow::ensure!(waits.contains("the API server is not ready (/readyz: answers 500)"), "{waits}");
            Ok(())
        })
        .with_context(|| run.to_owned())?;
        behind.proxy.lift();
        if run != "sent" {
            behind.town.approve("bob", run)?;
        }
        behind.town.wait_phase(run, "Succeeded").with_context(|| run.to_owned())?;
    }
    assert_eq!(behind.town.writes("deployments", "checkout")?, 3, "one for each");
    Ok(())
}

#[test]
fn a_patch_that_the_network_holds_back_never_lands_on_a_run_that_is_over() -> Result<()> {
    let mut behind = Behind::open("held-back")?;
    behind.start_operator()?;
    behind.proxy.inject(Rule { times: 1, ..Rule::always(acts, Fault::ArriveLate(Duration::from_secs(40))) });
    behind.town.start("shed", "held")?;
    behind.town.approve("bob", "held")?;
    behind.proxy.wait_hit(WITHIN)?;
    behind.town.kubectl("bob", &["annotate", "rbr", "held", "abort=wrong service"])?.ok()?;
    let ended = poll("the run to end", 2 * WITHIN, || {
        let run = behind.town.get("rbr", "held")?;
        anyhow::ensure!(!text(&run, "/status/finishedAt").is_empty(), "{}", text(&run, "/status/waitingOn"));
        Ok(run)
    })?;
    let because = "the network held the patch back: it was sent before the stop, and the log tells when it came";
    behind.town.forges(&[Promise::Stop], "run held: patch deployments/checkout", because);
    // It waits for what may be on its way; that it came is in its record, and nothing came after its end.
    let effects = behind.town.writes("deployments", "checkout")?;
    let record = behind.town.only_record("held")?;
    let changed = record.pointer("/spec/changed").context("changed")?;
    assert_eq!((effects == 1, effects <= 1), (changed == true, true), "{effects} {record:#} {ended:#}");
    assert_eq!(behind.replicas()?, if effects == 1 { 6 } else { 4 });
    Ok(())
}

#[test]
fn a_leader_that_sleeps_longer_than_its_lease_does_nothing_when_it_wakes() -> Result<()> {
    let town = Town::empty(Leg::Stamping, "sleeper")?;
    let mut behind = Behind::of(town)?;
    let lease = format!("--lease-name={}", behind.town.namespace);
    let lease = [lease.as_str(), "--lease-seconds=3"];
    let mut sleeper = operator(behind.town.sandbox, &behind.town.namespace, &behind.proxy, &lease)?;
    behind.town.start("shed", "slept")?;
    behind.town.ballot("slept")?;
    sleeper.signal("STOP")?;
    behind.operator = Some(operator(behind.town.sandbox, &behind.town.namespace, &behind.proxy, &lease)?);
    behind.town.approve("bob", "slept")?;
    behind.town.wait_phase("slept", "Succeeded")?;
    sleeper.signal("CONT")?;
    sleeper.wait_ended(WITHIN)?;
    assert_eq!(behind.town.writes("deployments", "checkout")?, 1);
    Ok(())
}
