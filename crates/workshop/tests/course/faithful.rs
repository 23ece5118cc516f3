//! The table of the course and the folders tell the same.

use crate::{course, fixture::names};
use std::{collections::HashSet, path::Path};

#[test]
fn every_exercise_folder_is_in_the_course_and_names_are_used_once() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("crates/");
    for krate in names(crates) {
        let exercises = crates.join(&krate).join("exercises");
        for name in names(&exercises) {
            if exercises.join(&name).join("exercise.rs").is_file() {
                let known = course::exercises().any(|its| its.chapter == krate && its.name == name);
                assert!(known, "{krate}/exercises/{name} is not in crates/workshop/src/course.rs");
            }
        }
    }
    let mut seen = HashSet::new();
    for exercise in course::exercises() {
        assert!(seen.insert(exercise.name), "{} is in the course twice", exercise.name);
    }
}
