//! The watch screen on a terminal of its own, which util-linux's `script` provides.

use crate::{
    fixture::{Course, RIGHT, WRONG},
    processes::assert_none_left,
};
use std::{
    io::{Read as _, Write as _},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

/// The workshop under `script`, and all that it has drawn.
struct Watching {
    script: Child,
    drawn: Arc<Mutex<String>>,
}

impl Watching {
    /// Nothing where `script` is missing.
    fn start(course: &Course) -> Option<Self> {
        let mut command = Command::new("script");
        let workshop = course.command(&[]);
        for (name, value) in workshop.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command.env("TERM", "xterm").env("NO_COLOR", "1").env("PROGRAM", env!("CARGO_BIN_EXE_workshop"));
        command.args(["-qfec", "exec \"$PROGRAM\"", "/dev/null"]).current_dir(&course.root);
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let Ok(mut script) = spawned else {
            eprintln!("skipped: there is no `script` (util-linux) to give the watch screen a terminal");
            return None;
        };
        let drawn = Arc::new(Mutex::new(String::new()));
        let mut from = script.stdout.take().expect("it was piped");
        let shared = Arc::clone(&drawn);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(n @ 1..) = from.read(&mut bytes) {
                shared
                    .lock()
                    .expect("no test panics holding it")
                    .push_str(&String::from_utf8_lossy(&bytes[..n]));
            }
        });
        Some(Self { script, drawn })
    }

    /// Waits until a text is drawn, and forgets all that was drawn up to then.
    #[track_caller]
    fn sees(&self, text: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let mut drawn = self.drawn.lock().expect("no test panics holding it");
            if let Some(at) = drawn.find(text) {
                *drawn = drawn.split_off(at + text.len());
                return;
            }
            assert!(Instant::now() < deadline, "{text:?} was not drawn; since the last text: {drawn:?}");
            drop(drawn);
            thread::park_timeout(Duration::from_millis(5));
        }
    }

    fn press(&mut self, keys: &str) {
        let keyboard = self.script.stdin.as_mut().expect("it was piped");
        keyboard.write_all(keys.as_bytes()).and_then(|()| keyboard.flush()).expect("the terminal listens");
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        drop(self.script.kill());
        drop(self.script.wait());
    }
}

const LEFT_THE_SCREEN: &str = "\u{1b}[?1049l";

#[test]
fn saving_is_answered_an_edit_ends_a_check_under_way_and_keys_always_work() {
    let mut course = Course::new();
    course.budget = "600";
    let Some(mut watching) = Watching::start(&course) else {
        return;
    };
    watching.sees("to do");
    course.answer("gather", WRONG);
    watching.sees("rule 1 of 2 is broken");
    course.answer("gather", "pub fn answer() -> u32 { loop { std::hint::black_box(1); } }");
    watching.sees("running");
    watching.press("h");
    watching.sees("hint 1 of 2");
    watching.press("?");
    watching.sees("start again; your answer is kept");
    watching.press("?");
    course.answer("gather", RIGHT);
    watching.sees("solved: all 2 rules hold");
    // As editors save: a new file in the old one's place.
    let path = course.root.join(Course::path("gather", "exercise.rs"));
    std::fs::write(path.with_extension("new"), WRONG).expect("the temporary folder takes files");
    std::fs::rename(path.with_extension("new"), &path).expect("the temporary folder takes files");
    watching.sees("rule 1 of 2 is broken");
    watching.press("xx");
    watching.sees("exercise.rs.backup-1");
    assert_eq!(course.read(&Course::path("gather", "exercise.rs.backup-1")), WRONG.as_bytes());
    watching.sees("to do");
    watching.press("q");
    watching.sees(LEFT_THE_SCREEN);
    assert!(watching.script.wait().expect("it is ours").success());
}

#[test]
fn it_begins_with_the_first_exercise_that_is_not_solved() {
    let course = Course::new();
    let names: Vec<&str> = Course::exercises().map(|exercise| exercise.name).collect();
    course.answer(names[0], RIGHT);
    let Some(mut watching) = Watching::start(&course) else {
        return;
    };
    watching.sees("1 of");
    watching.sees(names[1]);
    watching.sees("to do");
    watching.press("\u{3}");
    watching.sees(LEFT_THE_SCREEN);
}

#[test]
fn it_ends_with_its_terminal() {
    let course = Course::new();
    let Some(mut watching) = Watching::start(&course) else {
        return;
    };
    watching.sees("to do");
    // The window is closed: reading from it gives its end for ever, and nobody presses q.
    watching.script.kill().expect("it is ours");
    watching.script.wait().expect("it is ours");
    assert_none_left(&course);
}
