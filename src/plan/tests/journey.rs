//! From start to record, and what ends a run before anything is done.

use rstest::rstest;
use serde_json::json;

use super::cluster::{Cluster, check, deployment, on_call, runbook, scale, with};
use crate::action::{Answer, AutoscalerFacts};
use crate::api::action_record::RecordState;
use crate::api::run::{Mode, Phase, Result, Verified};

#[test]
fn a_gated_step_from_start_to_record() {
    let mut c = Cluster::gated();
    c.pass();
    assert_eq!(c.phase(), Phase::Waiting);
    assert_eq!(c.replicas("checkout"), 4, "nothing is done before the approval");
    assert_eq!(c.open_ballots(), ["shed-1-1"]);
    c.approve();
    assert_eq!(c.until_the_end(), Phase::Succeeded);
    assert_eq!(c.replicas("checkout"), 10);
    assert_eq!(c.writes, ["shed-1/run-uid/out/1"]);
    let record = c.record_of("out");
    assert_eq!((record.spec.result, record.spec.verified, record.spec.changed), (Result::Done, Verified::Yes, true));
    assert_eq!(
        (&record.spec.before, &record.spec.after),
        (json!({"replicas": 4}).as_object().unwrap(), json!({"replicas": 10}).as_object().unwrap())
    );
    assert_eq!(record.spec.approved_by, "bob as sre");
    assert_eq!(record.spec.approvals[0].why, "capacity is free");
    assert_eq!(c.record_state("out"), RecordState::InPlace);
    assert_eq!(c.status().in_place_at_end, Some(1));
    assert_eq!(c.status().record_head, record.spec.hash);
}

#[test]
fn without_a_gate_nobody_is_asked() {
    let mut c = Cluster::ungated();
    assert_eq!(c.until_the_end(), Phase::Succeeded);
    assert!(c.ballots.is_empty());
    assert_eq!(c.record_of("out").spec.approved_by, "no gate");
}

#[test]
fn where_another_record_is_in_the_way_people_are_told_and_nothing_more_is_done() {
    let mut c = Cluster::new(json!([]), json!([scale("out", "None", 10), scale("back", "None", 6)]));
    c.record_in_the_way = true;
    c.until(|c| c.waiting_on().starts_with("a cluster administrator"));
    c.seconds_later(30);
    assert_eq!(
        c.waiting_on(),
        "a cluster administrator: record shed-1-runui-out-1 is there with another content; evidence is never \
         overwritten, and nothing more is done"
    );
    assert_ne!(c.phase(), Phase::NeedsHuman, "there is no act to settle");
    assert_eq!(c.status().next_commands[0], "kubectl get arec -n shop shed-1-runui-out-1 -o yaml");
    assert_eq!((c.replicas("checkout"), c.records.len()), (10, 0), "the second step is not begun");
    c.record_in_the_way = false;
    assert_eq!(c.until_the_end(), Phase::Succeeded);
    assert_eq!((c.replicas("checkout"), c.records.len()), (6, 2));
}

#[test]
fn it_passes_through_verifying_while_pods_are_not_ready() {
    let mut c = Cluster::ungated();
    c.healthy = false;
    c.until_phase(Phase::Verifying);
    assert!(c.waiting_on().starts_with("the effect on Deployment/checkout, until"), "{}", c.waiting_on());
    assert_eq!(
        c.step("out.1").outcome.as_ref().unwrap().result,
        Result::Done,
        "the act is journalled before it is verified"
    );
    c.healthy = true;
    c.somebody_scales("checkout", 10);
    assert_eq!(c.until_the_end(), Phase::Succeeded);
}

#[test]
fn each_gate_is_asked_when_its_steps_come_and_each_record_follows_the_one_before() {
    let gates = json!([{"name": "on-call", "requires": [{"role": "sre"}]}, {"name": "data", "requires": [{"role": "db-owner"}]}]);
    let basket = json!({"name": "basket", "gate": "data", "scale": {"target": {"kind": "Deployment", "name": "basket"}, "by": "50%"}});
    let mut c = Cluster::new(
        gates,
        json!([scale("out", "on-call", 10), check("ready", "object.status.readyReplicas == 10"), basket]),
    );
    c.pass();
    assert_eq!(c.open_ballots(), ["shed-1-1"]);
    c.approve();
    c.until(|c| c.open_ballots() == ["shed-1-2"]);
    assert_eq!(c.ballots["shed-1-2"].spec.request.role, "db-owner");
    c.approve();
    assert_eq!(c.until_the_end(), Phase::Succeeded);
    assert_eq!((c.replicas("basket"), c.records.len()), (3, 3));
    assert_eq!(c.record_of("basket").spec.seq, 3);
    assert!(c.created.values().all(|times| *times == 1));
}

#[test]
fn a_leading_check_is_judged_before_anybody_is_asked() {
    let mut c =
        Cluster::new(on_call(), json!([check("sick", "object.spec.replicas > 100"), scale("out", "on-call", 10)]));
    assert_eq!(c.until_the_end(), Phase::Failed);
    assert!(c.ballots.is_empty(), "nobody is woken for a run whose condition is not met");
}

#[test]
fn a_step_whose_condition_is_false_is_passed_by() {
    let skipped = with(scale("out", "on-call", 10), json!({"when": "params.replicas > 15"}));
    let mut c = Cluster::new(on_call(), json!([skipped, check("ready", "true")]));
    assert_eq!(c.until_the_end(), Phase::Succeeded);
    assert_eq!(c.replicas("checkout"), 4);
    assert_eq!(c.record_of("out").spec.message, "not needed: params.replicas > 15 is false");
    assert_eq!(c.message(), "1 of 2 steps done, 1 not needed");
}

#[test]
fn a_condition_may_ask_how_an_earlier_step_went() {
    let first = with(check("sick", "false"), json!({"onFailure": "Continue"}));
    let second = with(scale("out", "None", 10), json!({"when": "!steps['sick'].ok"}));
    let mut c = Cluster::new(json!([]), json!([first, second]));
    assert_eq!(c.until_the_end(), Phase::Succeeded);
    assert_eq!(c.replicas("checkout"), 10);
}

#[rstest]
#[case("steps['later'].ok", "gives no value")]
#[case("params.replicas", "gives 10, not true or false")]
fn a_condition_that_says_neither_yes_nor_no_is_not_passed_by_in_silence(#[case] when: &str, #[case] sentence: &str) {
    let mut c = Cluster::new(json!([]), json!([with(scale("out", "None", 10), json!({"when": when}))]));
    assert_eq!(c.until_the_end(), Phase::Failed);
    assert!(c.message().contains(sentence), "{}", c.message());
    assert_eq!(c.sent, 0);
}

#[test]
fn a_check_that_was_judged_is_no_approval() {
    // The first step is passed by, so the check is judged before anybody was asked.
    let skipped = with(scale("first", "on-call", 6), json!({"when": "false"}));
    let mut c = Cluster::new(on_call(), json!([skipped, check("look", "true"), scale("out", "on-call", 10)]));
    c.pass();
    assert_eq!((c.sent, c.phase()), (0, Phase::Waiting), "it acted without a vote");
    c.approve();
    assert_eq!(c.until_the_end(), Phase::Succeeded);
    assert_eq!(c.record_of("out").spec.approved_by, "bob as sre");
}

#[test]
fn the_votes_of_a_segment_stand_on_all_its_records() {
    let mut c = Cluster::new(
        on_call(),
        json!([scale("z-first", "on-call", 6), check("a-look", "true"), scale("out", "on-call", 10)]),
    );
    c.pass();
    c.approve();
    assert_eq!(c.until_the_end(), Phase::Succeeded);
    for step in ["z-first", "out"] {
        assert_eq!(c.record_of(step).spec.approved_by, "bob as sre", "{step}");
    }
}

#[test]
fn mode_plan_says_what_would_be_done_and_ends() {
    let mut c = Cluster::new(
        on_call(),
        json!([scale("out", "on-call", 10), check("ready", "true"), scale("more", "None", 12)]),
    );
    c.run.spec.mode = Mode::Plan;
    assert_eq!(c.until_the_end(), Phase::Succeeded);
    assert_eq!(c.message(), "only planned: scale Deployment/checkout 4 -> 10; scale Deployment/checkout 4 -> 12");
    assert!(c.ballots.is_empty() && c.records.is_empty() && c.sent == 0);
    assert!(c.status().plans["0.1"].ballots.is_empty(), "a plan of which nothing follows names no ballots");
}

#[test]
fn mode_plan_waits_for_what_cannot_be_read_and_can_be_stopped() {
    let basket = json!({"name": "basket", "gate": "None", "scale": {"target": {"kind": "Deployment", "name": "basket"}, "by": 1}});
    let mut c = Cluster::new(on_call(), json!([scale("out", "on-call", 10), basket]));
    c.run.spec.mode = Mode::Plan;
    c.blind.insert("Deployment/basket".to_owned(), Answer::Unreadable("etcd is slow".to_owned()));
    c.seconds_later(3);
    assert!(c.waiting_on().contains("etcd is slow"), "{}", c.waiting_on());
    c.annotate("abort", "never mind");
    assert_eq!(c.until_the_end(), Phase::Aborted);
}

#[test]
fn mode_plan_fails_with_the_step_that_would() {
    let gone =
        json!({"name": "gone", "gate": "None", "scale": {"target": {"kind": "Deployment", "name": "ledger"}, "by": 1}});
    let mut c = Cluster::new(on_call(), json!([scale("out", "on-call", 10), gone]));
    c.run.spec.mode = Mode::Plan;
    assert_eq!(c.until_the_end(), Phase::Failed);
    assert!(c.message().starts_with("step gone: Deployment/ledger does not exist"), "{}", c.message());
    assert_eq!(c.status().plans.len(), 1, "what could be planned is shown");
}

#[test]
fn a_runbook_that_is_not_there() {
    let mut c = Cluster::gated();
    c.runbook = Answer::Object(None);
    assert_eq!(c.until_the_end(), Phase::Failed);
    assert_eq!(
        c.message(),
        "there is no runbook \"shed-load\" in this namespace; see what there is with: kubectl get rbk -n shop"
    );
}

#[test]
fn a_runbook_that_cannot_be_read_is_waited_for() {
    let mut c = Cluster::gated();
    let there = std::mem::replace(&mut c.runbook, Answer::Unreadable("no answer within 10 s".to_owned()));
    c.seconds_later(3);
    let told = "the API server: could not read the runbook: no answer within 10 s; it is tried again";
    assert_eq!(c.waiting_on(), told);
    c.runbook = Answer::Unreadable("connection reset by 10.0.0.1:40012".to_owned());
    c.seconds_later(3);
    assert_eq!(c.waiting_on(), told, "each telling is a write: trouble is told once, however it is worded");
    c.runbook = there;
    c.until_phase(Phase::Waiting);
}

#[test]
fn parameters_that_do_not_fit() {
    let mut c = Cluster::gated();
    c.run.spec.parameters.insert("replicas".to_owned(), "a lot".to_owned());
    assert_eq!(c.until_the_end(), Phase::Failed);
    assert_eq!(c.message(), "parameter \"replicas\" is \"a lot\", but must be a whole number from 1 to 20");
    assert!(!c.status().conditions.is_empty() && c.records.is_empty());
}

#[test]
fn a_later_edit_of_the_runbook_changes_no_run() {
    let mut c = Cluster::gated();
    c.pass();
    c.runbook = Answer::Object(Some(runbook(on_call(), json!([scale("out", "None", 20)]))));
    c.crash();
    c.pass();
    c.approve();
    c.until_the_end();
    assert_eq!(c.replicas("checkout"), 10);
}

#[test]
fn a_run_of_another_version_is_left_alone() {
    let mut c = Cluster::gated();
    c.pass();
    c.run.status.as_mut().unwrap().frozen = Some(json!({"schemaVersion": 9}));
    c.annotate("abort", "wrong shop");
    let mut before = c.run.clone();
    assert!(c.pass());
    let said = format!(
        "an operator that understands how this run was taken up (missing field `at`); run the version that took it up, {} \
         cannot read it and does nothing for it",
        env!("CARGO_PKG_VERSION")
    );
    before.status.as_mut().unwrap().waiting_on = said;
    assert_eq!(c.run, before);
    assert!(c.pass());
    assert_eq!(c.run, before);
}

#[rstest]
#[case::gone(
    "gone",
    "TargetGone: Deployment/checkout does not exist in this namespace; look with: kubectl get -n shop deployment"
)]
#[case::forbidden(
    "forbidden",
    "PermissionMissing: the runbook's ServiceAccount may not read Deployment/checkout: nope; grant it with"
)]
#[case::dry_run_forbidden(
    "dry-run forbidden",
    "PermissionMissing: the runbook's ServiceAccount may not change Deployment/checkout: nope"
)]
#[case::dry_run_refused(
    "dry-run refused",
    "WriteRefused: the API server would refuse the change of Deployment/checkout: quota"
)]
#[case::autoscaled("autoscaled", "Autoscaled: HorizontalPodAutoscaler/hpa keeps Deployment/checkout between 2 and 6")]
fn what_is_refused_when_it_is_planned_has_a_record(#[case] obstacle: &str, #[case] sentence: &str) {
    let mut c = Cluster::gated();
    let nope = || Answer::Forbidden("nope".to_owned());
    match obstacle {
        "gone" => drop(c.objects.remove("Deployment/checkout")),
        "forbidden" => drop(c.blind.insert("Deployment/checkout".to_owned(), nope())),
        "dry-run forbidden" => c.dry_run = nope(),
        "dry-run refused" => c.dry_run = Answer::No("quota".to_owned()),
        _ => {
            let hpa = AutoscalerFacts {
                name: "hpa".into(),
                kind: "Deployment".into(),
                target: "checkout".into(),
                min: 2,
                max: 6,
            };
            c.autoscalers = Answer::Autoscalers(vec![hpa]);
        }
    }
    assert_eq!(c.until_the_end(), Phase::Failed);
    let record = c.record_of("out");
    assert_eq!(record.spec.result, Result::Refused);
    assert!(record.spec.message.starts_with(sentence), "{}", record.spec.message);
    assert!(c.message().starts_with("step out: "), "{}", c.message());
    assert_eq!((c.sent, c.status().in_place_at_end), (0, Some(0)));
}

#[test]
fn a_dry_run_that_has_no_answer_is_tried_again() {
    let mut c = Cluster::gated();
    c.dry_run = Answer::Unreadable("no answer within 10 s".to_owned());
    c.seconds_later(3);
    assert!(
        c.waiting_on().starts_with("the API server: could not rehearse the change of Deployment/checkout"),
        "{}",
        c.waiting_on()
    );
    c.dry_run = Answer::Yes;
    c.until_phase(Phase::Waiting);
    assert_eq!(c.open_ballots().len(), 1);
}

#[test]
fn continue_goes_on_and_says_what_was_passed_over() {
    let gone = json!({"name": "gone", "gate": "None", "onFailure": "Continue", "scale": {"target": {"kind": "Deployment", "name": "ledger"}, "by": 1}});
    let mut c = Cluster::new(json!([]), json!([gone, scale("out", "None", 10)]));
    assert_eq!(c.until_the_end(), Phase::Succeeded);
    assert!(c.message().starts_with("1 of 2 steps done; passed over: step gone: TargetGone"), "{}", c.message());
    assert_eq!(c.replicas("checkout"), 10);
}

#[rstest]
#[case(json!({"name": "s", "gate": "None", "scale": {"target": {"kind": "Deployment", "name": ""}, "replicas": 3}}))]
#[case(json!({"name": "s", "gate": "None", "restart": {"target": {"kind": "Deployment", "name": "  "}}}))]
#[case(json!({"name": "s", "gate": "None", "disable": {"flag": "", "configMap": {"name": "flags", "key": ""}}}))]
#[case(json!({"name": "s", "gate": "None", "disable": {"flag": "", "featureFlag": {"name": "ff"}}}))]
#[case::an_empty_parameter(json!({"name": "s", "gate": "None", "scale": {"target": {"kind": "Deployment", "name": "${params.service}"}, "replicas": 3}}))]
#[case::another_path(json!({"name": "s", "gate": "None", "scale": {"target": {"kind": "Deployment", "name": "${'../secrets/' + params.service}"}, "replicas": 3}}))]
fn an_empty_selection_is_refused_and_never_means_all(#[case] step: serde_json::Value) {
    let mut c = Cluster::new(json!([]), json!([step]));
    c.run.spec.parameters = [("service".to_owned(), String::new())].into();
    // Where a client gets an empty name, the API server would give it the list: here it finds something.
    c.objects.insert("Deployment/".to_owned(), deployment("all", 4));
    c.objects.insert("Deployment/  ".to_owned(), deployment("all", 4));
    c.objects.insert(
        "ConfigMap/flags".to_owned(),
        json!({"metadata": {"uid": "u", "resourceVersion": "1"}, "data": {"": "true"}}),
    );
    c.objects.insert(
        "FeatureFlag/ff".to_owned(),
        json!({"metadata": {"uid": "u", "resourceVersion": "1", "generation": 1}, "spec": {"flagSpec": {"flags":
        {"": {"state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "on"}}}}}),
    );
    assert_eq!(c.until_the_end(), Phase::Failed);
    assert_eq!(c.sent, 0, "{}", c.message());
}
