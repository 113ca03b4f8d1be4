//! Schedules that once broke a promise, made as small as they get, and those that still do where a fence of the product
//! is missing.
#![allow(clippy::panic)]

use firstaid_simulate::choices::Choices;
use firstaid_simulate::fences::{Down, Fence};
use firstaid_simulate::minimise::read;
use firstaid_simulate::simulation::run;

/// What it was about, and its choices.
const MENDED: [(&str, &str); 2] = [
    (
        "a leader that was frozen, and its run stopped, ended it without a look at what its successor had done",
        "0:4 1:1 2:1 5:6 6:13 8:3 9:7 10:1 11:12 13:2 14:1 15:7 17:1 18:14 20:7 21:2 22:3 23:11 24:9 27:4 44:2 45:2 52:1 53:1 55:2 56:3 60:1 61:1 69:1 71:3 73:2 144:2 145:1 151:1 152:3 160:1 161:2 162:2 169:1 173:2",
    ),
    (
        "a later step went on under votes that an earlier one had bound by finding nothing to do",
        "0:7 1:2 2:1 3:2 5:4 7:1 8:2 9:2 10:8 11:2 12:1 13:8 14:2 23:3 25:4 26:1 27:2 37:1 39:1 43:4 52:5 53:3 54:1 56:5 57:2 60:2 61:1 65:5 66:3 67:1 74:1 87:3 105:1 106:4 107:1 147:9 151:3 153:2 154:3 159:5",
    ),
];

#[test]
fn what_was_mended_stays_so() {
    for (what, choices) in MENDED {
        let violation = run(Choices::from_list(&read(choices)), &Down::default(), false).violation;
        assert_eq!(violation, None, "{what}");
    }
}

/// Two operators at once without a lease: the journal names the one that acts.
#[test]
fn two_operators_without_a_lease_do_not_act_twice() {
    let down = Down::these(&[Fence::Lease]);
    let choices = read("0:5 6:5 7:6 10:2 14:5 16:1 25:1 26:2 32:2 55:3");
    assert_eq!(run(Choices::from_list(&choices), &down, false).violation, None);
}
