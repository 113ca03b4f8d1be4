//! All courses of a small world: two operators, one target, one person, another controller, a bad network, up to three steps.
//! What holds here holds in each of them; the simulator tries the product itself, in some of many more.
#![allow(clippy::indexing_slicing, clippy::panic, clippy::print_stdout)]

mod operator;
mod protocol;
mod world;

use protocol::{Event, Fence, Left, State};
use rstest::rstest;
use stateright::{Checker, HasDiscoveries, Model, Property};
use world::World;

impl Model for World {
    type State = State;
    type Action = Event;

    fn init_states(&self) -> Vec<State> {
        vec![self.start()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Event>) {
        actions.extend(self.events(state));
    }

    fn next_state(&self, last: &State, event: Event) -> Option<State> {
        let next = self.after(last, event);
        (next != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("no promise is broken", |_, state: &State| state.broken.is_none()),
            Property::always("left alone, the run ends", |world: &Self, state: &State| {
                !world.promises.contains(&"L") || state.broken.is_some() || world.ends_if_left_alone(state)
            }),
            Property::sometimes("all steps are done", |world: &Self, state: &State| {
                state.journal.ended && state.effects[..world.steps].iter().all(|effects| *effects == 1)
            }),
            Property::sometimes("nobody can tell", |_, state: &State| {
                state.journal.outcomes.contains(&Some(protocol::Outcome::Unknown))
            }),
        ]
    }
}

const QUIET: Left = Left { crashes: 0, handovers: 0, copies: 0, silences: 0, edits: 0 };

/// All promises.
const ALL: [&str; 2] = ["S", "L"];

/// Looks at all courses.
fn check(world: World) -> impl Checker<World> {
    world.checker().threads(2).finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join()
}

#[rstest]
#[case::handed_over(1, Left { handovers: 1, edits: 1, ..QUIET })]
#[case::died(1, Left { crashes: 1, silences: 1, ..QUIET })]
#[case::copied(1, Left { handovers: 1, copies: 1, ..QUIET })]
#[case::two_steps(2, Left { handovers: 1, edits: 1, ..QUIET })]
#[case::three_steps(3, Left { silences: 1, edits: 1, ..QUIET })]
fn every_promise_holds_in_every_course(#[case] steps: usize, #[case] left: Left) {
    holds(World { steps, left, without: None, promises: &ALL });
}

#[rstest]
#[case::all_but_copies(1, Left { crashes: 1, handovers: 1, copies: 0, silences: 1, edits: 1 })]
#[case::all_but_edits(1, Left { crashes: 1, handovers: 1, copies: 1, silences: 1, edits: 0 })]
#[case::two_steps(2, Left { crashes: 1, handovers: 1, copies: 0, silences: 0, edits: 1 })]
#[case::three_steps(3, Left { crashes: 1, handovers: 1, copies: 0, silences: 0, edits: 1 })]
#[ignore = "minutes: make model"]
fn every_promise_holds_in_millions_of_states(#[case] steps: usize, #[case] left: Left) {
    holds(World { steps, left, without: None, promises: &ALL });
}

#[test]
fn two_operators_without_a_lease_do_nothing_twice() {
    let left = Left { edits: 1, ..QUIET };
    holds(World { steps: 1, left, without: Some(Fence::Lease), promises: &["S1", "S2", "S3", "S4", "S5"] });
}

fn holds(world: World) {
    let (steps, left) = (world.steps, world.left);
    let checker = check(world);
    println!("{steps} steps, {left:?}: {} states", checker.unique_state_count());
    if let Some((what, path)) = checker.discoveries().into_iter().find(|(what, _)| !REACHED.contains(what)) {
        let broken = path.last_state().broken;
        panic!("{what}: {broken:?} after {:#?}", path.into_actions());
    }
    for what in REACHED {
        // Where nobody else changes the target, everything can be read back.
        let possible = what != "nobody can tell" || left.edits > 0;
        assert!(!possible || checker.discovery(what).is_some(), "never: {what}");
    }
}

/// What a model in which nothing can happen would not reach.
const REACHED: [&str; 2] = ["all steps are done", "nobody can tell"];

#[rstest]
#[case::uid(Fence::Uid, Left { edits: 1, ..QUIET }, "S4")]
#[case::generation(Fence::Generation, Left { copies: 1, ..QUIET }, "S2")]
#[case::journal_version(Fence::JournalVersion, Left { handovers: 1, ..QUIET }, "S7")]
#[case::journal_before_act(Fence::JournalBeforeAct, QUIET, "S1")]
#[case::no_answer(Fence::NoAnswerIsNoAnswer, Left { silences: 1, ..QUIET }, "S")]
#[case::forgetful(Fence::ForgetfulIsCareful, Left { crashes: 1, ..QUIET }, "S")]
#[case::requests_end(Fence::RequestsEnd, Left { silences: 1, ..QUIET }, "S")]
#[case::driver(Fence::Driver, Left { silences: 1, crashes: 1, edits: 1, ..QUIET }, "S6")]
#[case::record_before_end(Fence::RecordBeforeEnd, QUIET, "L2")]
#[case::live_vote(Fence::LiveVote, QUIET, "S3")]
fn without_a_fence_a_promise_is_broken(#[case] fence: Fence, #[case] left: Left, #[case] promise: &str) {
    let checker = check(World { steps: 1, left, without: Some(fence), promises: &ALL });
    let Some(path) = checker.discovery("no promise is broken") else {
        panic!("{} states without {fence:?}, and no promise was broken", checker.unique_state_count());
    };
    let broken = path.last_state().broken.unwrap_or_default();
    println!("without {fence:?}: {broken}, after {:?}", path.into_actions());
    assert!(broken.starts_with(promise), "{broken}");
}
