//! The built program, run as a learner runs it, on small courses whose exercises need only the standard library.

#[path = "../../src/course.rs"]
mod course;
mod fixture;

mod commands;
mod faithful;
mod grading;
#[cfg(target_os = "linux")]
mod processes;
mod verdicts;
#[cfg(target_os = "linux")]
mod watching;
