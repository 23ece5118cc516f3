//! The timeline that the page "How to read a timeline" explains: every kind of event in one run.

mod reading;

use std::path::Path;
use testing::goldens;

#[test]
fn what_is_on_file_is_what_a_run_gives() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/timelines");
    goldens::assert_on_file(&folder, "reading", reading::record);
}

#[test]
fn two_hundred_runs_give_the_same() {
    goldens::assert_same_over_runs("reading", reading::record);
}

#[test]
fn twenty_processes_give_the_same() {
    goldens::assert_same_over_processes("what_is_on_file_is_what_a_run_gives");
}
