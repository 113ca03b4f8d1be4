//! Each fence, taken away: the simulator notices within so many schedules, and names a promise that rests on it.
#![allow(clippy::panic, clippy::print_stdout)]

use firstaid_simulate::choices::Choices;
use firstaid_simulate::fences::Down;
use firstaid_simulate::fences::Fence::{self, *};
use firstaid_simulate::judge::Invariant::{self, *};
use firstaid_simulate::simulation::run;

/// How many schedules it may take. Any change of the product makes other schedules of the same seeds.
const WITHIN: u64 = 1000;

/// Without these fences one of these promises is broken, before any other. `from`: the seed to begin with, for speed only.
fn bites(fences: &[Fence], expected: &[Invariant], from: u64) {
    let down = Down::these(fences);
    for seed in from..from + WITHIN {
        let Some(violation) = run(Choices::from_seed(seed), &down, false).violation else { continue };
        println!("without {fences:?}, seed {seed}: {violation}");
        assert!(expected.contains(&violation.invariant), "without {fences:?}: {violation}, not {expected:?}");
        return;
    }
    panic!("{WITHIN} schedules without {fences:?}, and no promise was broken");
}

#[test]
fn without_the_tests_of_uid_and_generation_what_was_not_read_is_changed() {
    bites(&[UidTest, GenerationTest], &[S4, S5, S2], 390);
}

#[test]
fn without_the_test_of_the_generation_what_was_not_read_is_overwritten() {
    bites(&[GenerationTest], &[S5, S2], 470);
}

#[test]
fn without_version_and_rules_the_journal_is_rewritten() {
    bites(&[JournalVersion, JournalRules], &[S7], 1);
}

#[test]
fn if_requests_arrived_later_than_after_60_s_they_would_after_the_end() {
    bites(&[RequestsEnd], &[L6, S6], 530);
}

#[test]
fn without_a_live_look_a_stop_is_overheard() {
    bites(&[LiveJournal], &[S12], 300);
}

#[test]
fn without_a_live_look_the_brake_is_overlooked() {
    bites(&[LiveBrake], &[S11, L1], 100);
}

#[test]
fn with_forged_votes_nobody_has_approved() {
    bites(&[LiveVotes], &[S3], 1);
}

#[test]
fn without_asking_for_the_holder_two_runs_have_one_target() {
    bites(&[LiveHolder], &[S10], 30);
}

#[test]
fn without_a_stored_journal_something_is_done_or_recorded_that_nobody_intended() {
    bites(&[JournalBeforeAct], &[S7, L2, S3, L1], 40);
}

#[test]
fn without_any_durable_intent_an_act_has_none() {
    bites(&[JournalBeforeAct, LiveJournal], &[S1, S7, L1, L2], 15);
}

#[test]
fn where_silence_is_taken_for_a_refusal_effects_are_lost() {
    bites(&[NoAnswerIsNoAnswer], &[L2, S6, S8, L6], 75);
}

#[test]
fn where_a_new_process_believes_that_nothing_was_sent_effects_are_lost() {
    bites(&[ForgetfulIsCareful], &[L2, S2, S8], 290);
}

#[test]
fn where_a_record_counts_before_it_is_made_it_is_missing() {
    bites(&[RecordBeforeEnd], &[L2, S7], 10);
}

#[test]
fn where_nobody_looks_again_a_run_does_not_end() {
    bites(&[LookAgain], &[L1], 1);
}

#[test]
fn without_a_name_in_the_journal_two_operators_act_twice() {
    bites(&[Driver, Lease], &[S2, L2, S8, L1], 1);
}
