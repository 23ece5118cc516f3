//! The recorded timelines: what the book and `cargo run -- timeline NAME` draw is what a run gives, every time.

mod background;
mod blocking;
mod bounded;
mod cancel;
mod deadlock;
mod first;
mod gather;
mod join;
mod partial;
mod queue;
mod rate_limit;
mod retry;
mod select;
mod shared_state;
mod task_group;
mod timeout;

use std::path::Path;
use testing::goldens::{self, Record};

const TIMELINES: &[(&str, Record)] = &[
    ("gather", gather::record),
    ("task_group", task_group::record),
    ("bounded", bounded::record),
    ("timeout", timeout::record),
    ("join", join::record),
    ("partial", partial::record),
    ("first", first::record),
    ("queue", queue::record),
    ("background", background::record),
    ("blocking", blocking::record),
    ("cancel", cancel::record),
    ("select", select::record),
    ("shared_state", shared_state::record),
    ("deadlock", deadlock::record),
    ("retry", retry::record),
    ("rate_limit", rate_limit::record),
];

#[test]
fn what_is_on_file_is_what_a_run_gives() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/timelines");
    for (name, record) in TIMELINES {
        goldens::assert_on_file(&folder, name, *record);
    }
}

#[test]
fn two_hundred_runs_give_the_same() {
    for (name, record) in TIMELINES {
        goldens::assert_same_over_runs(name, *record);
    }
}

#[test]
fn twenty_processes_give_the_same() {
    goldens::assert_same_over_processes("what_is_on_file_is_what_a_run_gives");
}
