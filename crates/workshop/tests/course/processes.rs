//! Whatever happens, no process is left behind.

use crate::fixture::{Course, RIGHT};
use std::{
    fs,
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

/// The processes that inherited the course's mark, from any generation.
fn alive(course: &Course) -> Vec<String> {
    let mark = format!("COURSE_MARK={}", course.mark);
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes()) {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            found.push(String::from_utf8_lossy(&line).replace('\0', " "));
        }
    }
    found
}

#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !holds() {
        assert!(Instant::now() < deadline, "{what} did not happen");
        thread::park_timeout(Duration::from_millis(10));
    }
}

#[track_caller]
pub(crate) fn assert_none_left(course: &Course) {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let left = alive(course);
        if left.is_empty() {
            return;
        }
        assert!(Instant::now() < deadline, "still there: {left:#?}");
        thread::park_timeout(Duration::from_millis(10));
    }
}

/// An answer that says, by a file, that it runs.
fn starting(course: &Course, then: &str) -> String {
    let started = course.root.join("started");
    format!("pub fn answer() -> u32 {{ std::fs::write({started:?}, \"\").unwrap(); {then} }}")
}

#[test]
fn what_an_answer_started_ends_with_it() {
    let course = Course::new();
    // One in the answer's group, one that left it, and one whose parent has ended.
    course.answer(
        "gather",
        r#"pub fn answer() -> u32 {
            use std::{os::unix::process::CommandExt as _, process::Command};
            drop(Command::new("sleep").arg("1000").spawn().unwrap());
            drop(Command::new("sleep").arg("1001").process_group(0).spawn().unwrap());
            drop(Command::new("sh").args(["-c", "sleep 1002 & exit 0"]).status().unwrap());
            42
        }"#,
    );
    let ran = course.run(&["check", "gather", "--json"]);
    assert_eq!(ran.json_lines()[0]["verdict"], "pass", "{ran:?}");
    assert_none_left(&course);
}

#[test]
fn a_workshop_that_is_killed_takes_the_running_answer_along() {
    let course = Course::new();
    for then in
        ["loop { std::hint::black_box(1); }", "loop { std::thread::park() }", "loop { println!(\"on\") }"]
    {
        course.answer("gather", starting(&course, then));
        let mut workshop = course
            .command(&["check", "gather"])
            .env("WORKSHOP_BUDGET", "600")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the workshop starts");
        let started = course.root.join("started");
        until("the answer's start", || started.exists());
        assert!(alive(&course).len() >= 3, "workshop, guard and answer: {:?}", alive(&course));
        workshop.kill().expect("it is ours");
        workshop.wait().expect("it is ours");
        assert_none_left(&course);
        fs::remove_file(&started).expect("it is there");
    }
    assert_eq!(course.judge("gather", RIGHT)["verdict"], "pass", "the next check is not disturbed");
}

#[test]
fn a_workshop_that_is_killed_takes_the_build_along() {
    let course = Course::new();
    course.answer("gather", RIGHT);
    let chapter = crate::course::COURSE[0].name;
    let dependencies = format!("crates/{chapter}/exercises/dependencies.toml");
    course.write(&dependencies, "slow = { path = \"{root}/crates/slow\" }\n");
    course.write("crates/slow/Cargo.toml", "[package]\nname = \"slow\"\n[workspace]\n");
    course.write("crates/slow/src/lib.rs", "");
    let started = course.root.join("started");
    course.write(
        "crates/slow/build.rs",
        format!("fn main() {{ std::fs::write({started:?}, \"\").unwrap(); loop {{ std::thread::park() }} }}"),
    );
    let mut workshop = course
        .command(&["check", "gather"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the workshop starts");
    until("the build's start", || started.exists());
    assert!(alive(&course).len() >= 4, "workshop, guard, cargo and build script: {:?}", alive(&course));
    workshop.kill().expect("it is ours");
    workshop.wait().expect("it is ours");
    assert_none_left(&course);
    course.write(&dependencies, "");
    assert_eq!(course.judge("gather", RIGHT)["verdict"], "pass", "the next check is not disturbed");
}

#[test]
fn nothing_is_left_of_a_run_but_the_build() {
    let course = Course::new();
    course.judge("gather", RIGHT);
    course.judge("gather", "pub fn answer() -> u32 { std::process::exit(0) }");
    assert_none_left(&course);
    for folder in [course.root.join("target/workshop/runs"), course.temporary()] {
        assert_eq!(crate::fixture::names(&folder), [""; 0]);
    }
    assert!(
        !Path::new(&course.root).join("target/debug").exists(),
        "the learner's own target directory is left alone"
    );
}
