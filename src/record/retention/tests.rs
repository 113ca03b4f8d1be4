//! Each rule by itself: what is written, what stays, what is refused, what goes.

use rstest::rstest;
use serde_json::json;

use super::*;
use crate::verify::tests::sound_as;

const DAY: KeepFor = KeepFor(SignedDuration::from_hours(24));

/// All that is left of a run of four steps, of which nothing is in place any more.
fn over() -> Evidence {
    let mut evidence = sound_as("shed-1", "run-uid");
    for kind in [&mut evidence.runs, &mut evidence.ballots, &mut evidence.records] {
        for (number, stored) in kind.iter_mut().enumerate() {
            let uid = stored.text("/metadata/uid").to_owned();
            let uid = if uid.is_empty() { format!("uid-{}", stored.name()) } else { uid };
            stored.object["metadata"]["uid"] = json!(uid);
            stored.object["metadata"]["resourceVersion"] = json!(format!("{}", 100 + number));
        }
    }
    for record in &mut evidence.records {
        record.object["status"] = json!({"state": "OneShot"});
    }
    evidence
}

fn ended(evidence: &Evidence) -> Timestamp {
    evidence.runs[0].text("/status/finishedAt").parse().unwrap()
}

/// The next thing, so long after the end of the run that it may go.
fn due(live: &Evidence, file: &Evidence) -> Step {
    let now = ended(live) + SignedDuration::from_hours(25);
    next(live, &Filed::Read(file.clone()), Some(DAY), now)
}

fn refused(step: &Step) -> String {
    match step {
        Step::Refuse(refusal) => refusal.to_string(),
        other => panic!("{other:?}"),
    }
}

fn removed(step: Step) -> Vec<String> {
    match step {
        Step::Remove(doomed) => doomed.iter().map(ToString::to_string).collect(),
        other => panic!("{other:?}"),
    }
}

#[rstest]
#[case("90d", 90 * 86_400)]
#[case("36h", 36 * 3600)]
#[case("1d12h30m5s", 131_405)]
#[case("1s", 1)]
#[case("36500d", 36_500 * 86_400)]
fn reads_how_long(#[case] text: &str, #[case] seconds: i64) {
    assert_eq!(text.parse::<KeepFor>().unwrap().duration(), SignedDuration::from_secs(seconds));
}

#[rstest]
fn refuses_what_is_no_length(
    #[values("", "90", "d", "0d", "-1d", "1.5d", "1w", "90 d", "36501d", "99999999999d", "1d90", "ä", "1ä")] text: &str,
) {
    let said = text.parse::<KeepFor>().unwrap_err().to_string();
    assert!(said.contains("like 90d, 36h or 1d12h"), "{said}");
}

#[test]
fn a_run_that_has_ended_is_written_once() {
    let live = over();
    let now = ended(&live);
    assert_eq!(next(&live, &Filed::Nothing, None, now), Step::Write);
    assert_eq!(next(&live, &Filed::Read(live.clone()), None, now), Step::Keep(Kept::ForEver));
    let mut acting = live.clone();
    acting.runs[0].object["status"]["finished"] = json!(false);
    assert_eq!(next(&acting, &Filed::Nothing, None, now), Step::Keep(Kept::GoesOn));
    assert_eq!(next(&Evidence::default(), &Filed::Nothing, Some(DAY), now), Step::Keep(Kept::GoesOn));
}

#[test]
fn it_is_written_again_when_something_was_added() {
    let file = over();
    let mut live = file.clone();
    live.runs[0].object["status"]["conditions"] = json!([{"type": "Ratified", "status": "True"}]);
    assert_eq!(due(&live, &file), Step::Write);
    let mut live = file.clone();
    live.records[0].object["status"]["state"] = json!("Reverted");
    assert_eq!(due(&live, &file), Step::Write);
    let mut live = file.clone();
    let mut ballot = live.ballots[0].object.clone();
    ballot["metadata"]["name"] = json!("shed-1-ratify");
    ballot["metadata"]["uid"] = json!("another");
    live.add(ballot);
    assert_eq!(due(&live, &file), Step::Write);
}

#[test]
fn it_goes_when_it_is_old_enough_and_not_before() {
    let live = over();
    let filed = Filed::Read(live.clone());
    let until = ended(&live) + DAY.duration();
    assert_eq!(next(&live, &filed, Some(DAY), until), Step::Keep(Kept::Until(until)));
    let step = next(&live, &filed, Some(DAY), until + SignedDuration::from_nanos(1));
    assert_eq!(
        removed(step),
        [
            "ballot shed-1-1",
            "record shed-1-run-u-out-1",
            "record shed-1-run-u-ready-1",
            "record shed-1-run-u-down-1",
            "record shed-1-run-u-calm-1",
            "run shed-1",
        ]
    );
    assert_eq!(next(&live, &filed, None, until + DAY.duration()), Step::Keep(Kept::ForEver));
    let mut timeless = live.clone();
    timeless.runs[0].object["status"].as_object_mut().unwrap().remove("finishedAt");
    let filed = Filed::Read(timeless.clone());
    assert_eq!(next(&timeless, &filed, Some(DAY), until + DAY.duration()), Step::Keep(Kept::ForEver));
}

#[test]
fn what_is_in_place_stays_however_old_it_is() {
    for (state, stays) in [("InPlace", true), ("", true), ("Reverted", false), ("OneShot", false)] {
        let mut live = over();
        live.records[2].object["status"]["state"] = json!(state);
        let step = due(&live, &live);
        let kept = Step::Keep(Kept::InPlace("shed-1-run-u-down-1".to_owned()));
        assert_eq!(step == kept, stays, "{state}: {step:?}");
    }
}

#[test]
fn what_was_not_ratified_stays_however_old_it_is() {
    for (status, stays) in [("False", true), ("Unknown", true), ("True", false)] {
        let mut live = over();
        let ratified = json!([{"type": "Finished", "status": "True"}, {"type": "Ratified", "status": status}]);
        live.runs[0].object["status"]["conditions"] = ratified;
        let step = due(&live, &live);
        assert_eq!(step == Step::Keep(Kept::NotRatified), stays, "{status}: {step:?}");
    }
}

#[test]
fn a_file_that_was_damaged_is_neither_written_over_nor_trusted() {
    let live = over();
    let unreadable = next(&live, &Filed::of(Some("{\"kind\": ")), Some(DAY), ended(&live) + DAY.duration());
    assert!(refused(&unreadable).starts_with("its file in the archive cannot be read: line 1 is no JSON: "));
    let empty = next(&live, &Filed::of(Some("")), None, ended(&live));
    assert_eq!(refused(&empty), "its file in the archive cannot be read: it holds no run and no record");

    let mut forged = live.clone();
    forged.records[1].object["spec"]["verification"] = json!("all was well");
    let said = refused(&due(&live, &forged));
    assert!(said.starts_with("its file in the archive was changed: record shed-1-run-u-ready-1 (seq 2) was"), "{said}");

    let mut cut = live.clone();
    cut.records.truncate(3);
    let said = refused(&due(&live, &cut));
    assert!(said.starts_with("its file in the archive was changed: the tail is missing: "), "{said}");

    let mut another_vote = live.clone();
    another_vote.ballots[0].object["metadata"]["annotations"]["by"] = json!("carol");
    assert!(refused(&due(&live, &another_vote)).starts_with("its file in the archive was changed: record "));

    let mut another_end = live.clone();
    another_end.runs[0].object["status"]["message"] = json!("all was well");
    let differs =
        "its file in the archive and the cluster differ: run shed-1 in the file is not the one in the cluster";
    assert_eq!(refused(&due(&live, &another_end)), differs);

    let mut of_two = live.clone();
    of_two.runs.extend(sound_as("shed-2", "other-uid").runs);
    assert!(refused(&due(&live, &of_two)).contains("shed-2"));
}

#[test]
fn damage_in_the_cluster_is_not_carried_into_the_archive() {
    let file = over();
    let mut live = file.clone();
    live.records[1].object["spec"]["verification"] = json!("all was well");
    let said = refused(&due(&live, &file));
    let changed = "record shed-1-run-u-ready-1 in the file is not the one in the cluster";
    assert_eq!(said, format!("its file in the archive and the cluster differ: {changed}"));
    let mut live = file.clone();
    live.records.remove(1);
    live.runs[0].object["status"]["conditions"] = json!([]);
    assert!(refused(&due(&live, &file)).contains("record shed-1-run-u-ready-1 is in the file and gone"));
}

#[test]
fn evidence_that_does_not_stand_stays_even_where_both_have_the_same() {
    let mut live = over();
    live.records[1].object["spec"]["verification"] = json!("all was well");
    assert_eq!(next(&live, &Filed::Nothing, Some(DAY), ended(&live)), Step::Write);
    let said = refused(&due(&live, &live));
    assert!(said.starts_with("its evidence does not stand: "), "{said}");
    assert!(said.contains("record shed-1-run-u-ready-1 (seq 2) was changed"), "{said}");
}

#[test]
fn a_removal_that_was_interrupted_goes_on() {
    let file = over();
    let mut live = file.clone();
    live.ballots.clear();
    assert_eq!(removed(due(&live, &file)).len(), 5);
    live.records.drain(..2);
    assert_eq!(
        removed(due(&live, &file)),
        ["record shed-1-run-u-down-1", "record shed-1-run-u-calm-1", "run shed-1"],
        "what is gone is no damage"
    );
    live.records.clear();
    assert_eq!(removed(due(&live, &file)), ["run shed-1"]);
}

#[test]
fn what_somebody_else_took_away_is_no_removal_of_ours() {
    let file = over();
    let mut live = file.clone();
    live.records.truncate(3);
    let gone = "record shed-1-run-u-calm-1 is in the file and gone from the cluster";
    assert!(refused(&due(&live, &file)).ends_with(gone), "a ballot is still there");
    // Before its time, or while it is kept for a reason, nobody would have begun.
    let mut live = file.clone();
    live.ballots.clear();
    for keep_for in [None, Some(DAY)] {
        let step = next(&live, &Filed::Read(file.clone()), keep_for, ended(&live));
        assert!(refused(&step).ends_with("ballot shed-1-1 is in the file and gone from the cluster"));
    }
    // And what is left must be what the file has.
    live.records[0].object["spec"]["reason"] = json!("another");
    assert!(refused(&due(&live, &file)).contains("record shed-1-run-u-out-1 in the file is not the one"));
}

#[test]
fn what_cannot_be_told_apart_is_not_removed() {
    let mut live = over();
    live.ballots[0].object["metadata"]["resourceVersion"] = json!(null);
    assert!(refused(&due(&live, &live)).contains("no resource version"));
}

#[test]
fn only_the_first_sentences_are_said() {
    let said = Refusal::Unsound((1..=5).map(|number| format!("sentence {number}")).collect()).to_string();
    assert_eq!(said, "its evidence does not stand: sentence 1; sentence 2; sentence 3; and 2 more");
}
