//! The recorded timelines: what the book and `cargo run -- timeline NAME` draw is what a run gives, every time.

mod connect;
mod database;
mod exit_stack;
mod http_client;
mod lifespan;
mod pool;
mod scope;
mod transaction;

use std::path::Path;
use testing::goldens::{self, Record};

const TIMELINES: &[(&str, Record)] = &[
    ("pool", pool::record),
    ("scope", scope::record),
    ("exit_stack", exit_stack::record),
    ("connect", connect::record),
    ("transaction", transaction::record),
    ("database", database::record),
    ("http_client", http_client::record),
    ("lifespan", lifespan::record),
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
