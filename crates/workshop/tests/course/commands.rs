//! Each command as a script or a learner without a terminal sees it.

use crate::fixture::{Course, RIGHT, STUB, WRONG, names};
use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::Stdio,
};

#[test]
fn list_tells_the_state_of_each_exercise() {
    let course = Course::new();
    course.answer("gather", RIGHT);
    course.answer("bounded", WRONG);
    fs::remove_file(course.root.join(Course::path("timeout", "exercise.rs"))).expect("it was written");
    let ran = course.run(&["list", "--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let lines = ran.json_lines();
    assert_eq!(lines.len(), Course::exercises().count());
    for (line, exercise) in lines.iter().zip(Course::exercises()) {
        assert_eq!(line["exercise"], exercise.name);
        assert_eq!(line["chapter"], exercise.chapter);
        assert_eq!(line["path"], Course::path(exercise.name, "exercise.rs"));
        let state = match exercise.name {
            "gather" => "pass",
            "bounded" => "rule_broken",
            "timeout" => "unreadable",
            _ => "todo",
        };
        assert_eq!(line["state"], state, "{line}");
    }
    let text = course.run(&["list"]);
    assert!(text.stdout.contains(&format!("1 of {} solved", Course::exercises().count())), "{text:?}");
    assert!(text.stderr.contains("cargo run -- reset"), "{text:?}");
    let ran = course.run(&["check", "timeout", "gather", "--json"]);
    assert_eq!(
        (ran.code, ran.json_lines().len()),
        (Some(2), 1),
        "the others are judged all the same: {ran:?}"
    );
}

#[test]
fn untouched_exercises_need_no_build() {
    let course = Course::new();
    let ran = course.run(&["list", "--json"]);
    assert!(ran.json_lines().iter().all(|line| line["state"] == "todo"), "{ran:?}");
    assert!(!course.root.join("target").exists());
}

#[test]
fn a_cache_that_lies_or_is_damaged_changes_no_state() {
    let course = Course::new();
    course.answer("gather", RIGHT);
    course.answer("bounded", WRONG);
    let truth = course.run(&["list", "--json"]).stdout;
    let cache = "target/workshop/verdicts.json";
    let whole = course.read(cache);
    for damage in [
        Vec::new(),
        whole[..whole.len() / 2].to_vec(),
        b"\xff\x00 no json".to_vec(),
        String::from_utf8_lossy(&whole).replace("rule_broken", "pass").into_bytes(),
    ] {
        course.write(cache, damage);
        let ran = course.run(&["list", "--json"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), truth.as_str()), "{ran:?}");
    }
    fs::remove_file(course.root.join(cache)).expect("it was written");
    fs::create_dir(course.root.join(cache)).expect("its place is free");
    assert_eq!(course.run(&["list", "--json"]).stdout, truth);
}

#[test]
fn a_changed_check_is_a_changed_verdict() {
    let course = Course::new();
    course.answer("gather", WRONG);
    assert!(course.run(&["list"]).stdout.contains("breaks right"));
    let check =
        String::from_utf8_lossy(&course.read(&Course::path("gather", "check.rs"))).replace("Ok(42)", "Ok(7)");
    course.write(&Course::path("gather", "check.rs"), check);
    assert!(course.run(&["list"]).stdout.contains("solved"));
}

#[test]
fn check_takes_the_first_unsolved_exercise() {
    let course = Course::new();
    let names: Vec<&str> = Course::exercises().map(|exercise| exercise.name).collect();
    course.answer(names[0], RIGHT);
    let ran = course.run(&["check", "--json"]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.json_lines()[0]["exercise"], names[1]);
    let ran = course.run(&[]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stdout.contains(&format!("current exercise: {}", names[1])), "{ran:?}");
    assert!(ran.stdout.contains("next: fill the gap"), "{ran:?}");
    for name in &names {
        course.answer(name, RIGHT);
    }
    assert_eq!(course.run(&["check", "--all", "--json"]).json_lines().len(), names.len());
    let ran = course.run(&["check"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "every exercise is solved\n"));
    assert_eq!(course.run(&[]).code, Some(0));
}

#[test]
fn check_json_has_its_six_keys_and_nothing_else() {
    let course = Course::new();
    course.answer("gather", WRONG);
    let ran = course.run(&["check", "gather", "--json"]);
    assert_eq!(ran.code, Some(1));
    let line = &ran.json_lines()[0];
    let keys: Vec<&String> = line.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["chapter", "exercise", "message", "rule", "seconds", "verdict"]);
    assert!(line["seconds"].is_f64(), "{line}");
}

#[test]
fn another_file_is_judged_without_touching_the_learners() {
    let course = Course::new();
    course.write("elsewhere/mine.rs", "pub fn answer() -> u32 { missing }");
    let ran = course.run(&["check", "gather", "--json", "--answer", "elsewhere/mine.rs"]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.json_lines()[0]["message"].as_str().is_some_and(|text| text.starts_with("elsewhere/mine.rs:1: "))
    );
    course.write("elsewhere/mine.rs", RIGHT);
    assert_eq!(course.run(&["check", "gather", "--answer", "elsewhere/mine.rs"]).code, Some(0));
    assert_eq!(course.read(&Course::path("gather", "exercise.rs")), STUB.as_bytes());
    assert!(!course.root.join("target/workshop/verdicts.json").exists());
    for args in [
        &["check", "--answer", "elsewhere/mine.rs"][..],
        &["check", "gather", "bounded", "--answer", "elsewhere/mine.rs"],
        &["check", "gather", "--answer", "elsewhere/none.rs"],
    ] {
        assert_eq!(course.run(args).code, Some(2), "{args:?}");
    }
}

#[test]
fn names_that_nothing_has_get_the_nearest() {
    let course = Course::new();
    for command in ["check", "hint", "solution", "reset"] {
        let ran = course.run(&[command, "gahter"]);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains("did you mean \"gather\"?") && ran.stderr.contains("bounded"), "{ran:?}");
    }
    assert_eq!(course.run(&["run", "gather"]).code, Some(2));
    assert_eq!(course.run(&["timeline", "gather"]).code, Some(2));
    assert_eq!(course.run(&["chekc"]).code, Some(2));
    assert_eq!(course.run(&["--help"]).code, Some(0));
}

#[test]
fn hints_come_one_by_one_and_the_solution_after_a_word() {
    let course = Course::new();
    let ran = course.run(&["hint", "gather"]);
    assert!(ran.stdout.contains("1. It is a number.") && !ran.stdout.contains("It is 42"), "{ran:?}");
    assert!(course.run(&["hint", "gather", "2"]).stdout.contains("2. It is 42."));
    assert_eq!(course.run(&["hint", "gather", "3"]).code, Some(2));
    let ran = course.run(&["solution", "gather"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""));
    assert_eq!(course.run(&["solution", "gather", "--yes"]).stdout, RIGHT);
    course.answer("gather", RIGHT);
    course.run(&["check", "gather"]);
    assert_eq!(course.run(&["solution", "gather"]).stdout, RIGHT);
}

#[test]
fn without_a_name_it_is_the_current_exercise() {
    let course = Course::new();
    course.answer("gather", RIGHT);
    let current = Course::exercises().nth(1).expect("a second exercise").name;
    let ran = course.run(&["hint"]);
    assert!(ran.stdout.contains("1. It is a number.") && ran.stdout.contains(current), "{ran:?}");
    assert!(ran.stderr.contains(&format!("the current exercise: {current}")), "{ran:?}");
    assert!(course.run(&["hint", "2"]).stdout.contains("2. It is 42."));
    assert_eq!(course.run(&["solution", "--yes"]).stdout, RIGHT);
    course.answer(current, WRONG);
    let ran = course.run(&["reset"]);
    assert!(ran.stdout.contains(&format!("{current} is back at its start")), "{ran:?}");
    for command in ["run", "timeline"] {
        let ran = course.run(&[command]);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains(&format!("is called {current:?}")), "{ran:?}");
    }
    for exercise in Course::exercises() {
        course.answer(exercise.name, RIGHT);
    }
    let ran = course.run(&["hint"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("give a NAME"), "{ran:?}");
}

#[test]
fn reset_keeps_every_answer() {
    let course = Course::new();
    let folder = course.root.join(Course::path("gather", ""));
    let backups =
        || names(&folder).into_iter().filter(|name| name.contains("backup")).collect::<Vec<String>>();
    assert_eq!(course.run(&["reset", "gather"]).code, Some(0));
    assert_eq!(backups(), [""; 0], "the starting point needs no backup");
    course.answer("gather", "first");
    course.run(&["reset", "gather"]);
    course.answer("gather", "second");
    let ran = course.run(&["reset", "gather"]);
    assert!(ran.stdout.contains("exercise.rs.backup-2"), "{ran:?}");
    assert_eq!(course.read(&Course::path("gather", "exercise.rs.backup-1")), b"first");
    assert_eq!(course.read(&Course::path("gather", "exercise.rs.backup-2")), b"second");
    assert_eq!(course.read(&Course::path("gather", "exercise.rs")), STUB.as_bytes());
    fs::remove_file(folder.join("exercise.rs")).expect("it is there");
    assert_eq!(course.run(&["reset", "gather"]).code, Some(0));
    assert_eq!(course.read(&Course::path("gather", "exercise.rs")), STUB.as_bytes());
    assert_eq!(backups(), ["exercise.rs.backup-1", "exercise.rs.backup-2"]);
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let course = Course::new();
    let mut workshop = course
        .command(&["list", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the workshop starts");
    drop(workshop.stdout.take());
    let errors: Vec<String> =
        BufReader::new(workshop.stderr.take().expect("it was piped")).lines().map_while(Result::ok).collect();
    workshop.wait().expect("it is ours");
    assert_eq!(errors, [""; 0]);
}

#[test]
fn plain_terminals_get_ascii_and_no_colours() {
    let course = Course::new();
    course.answer("gather", "pub fn answer() -> u32 { println!(\"\\u{1b}[31mé → 日\\u{7}\"); 7 }");
    let ascii =
        course.command(&["check", "gather"]).env("LC_ALL", "C").output().expect("the workshop starts");
    assert!(
        ascii.stdout.is_ascii() && !ascii.stdout.contains(&0x1b),
        "{}",
        String::from_utf8_lossy(&ascii.stdout)
    );
    let forced = course.command(&["check", "gather"]).env("CLICOLOR_FORCE", "1").output().expect("it starts");
    assert!(forced.stdout.contains(&0x1b));
    let refused = course
        .command(&["check", "gather"])
        .env("CLICOLOR_FORCE", "1")
        .env("NO_COLOR", "1")
        .output()
        .expect("the workshop starts");
    assert!(!refused.stdout.contains(&0x1b));
    assert!(String::from_utf8_lossy(&refused.stdout).contains("│ é → 日\n"));
}

#[test]
fn outside_a_course_it_says_where_to_go() {
    let course = Course::new();
    let nowhere = course.root.join("crates").join("empty");
    fs::create_dir_all(&nowhere).expect("the temporary folder takes folders");
    let run = |root: &str| {
        let output =
            course.command(&["list"]).env("WORKSHOP_ROOT", root).output().expect("the workshop starts");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(run(&course.root.to_string_lossy()).0, Some(0));
    let (code, message) = run(&nowhere.to_string_lossy());
    assert_eq!(code, Some(2));
    assert!(message.contains("WORKSHOP_ROOT"), "{message}");
    let parent = std::env::temp_dir();
    let output = course.command(&["list"]).current_dir(parent).output().expect("the workshop starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("clone"), "{output:?}");
}
