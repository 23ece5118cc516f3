//! Every kind of verdict, and answers that want one that they do not deserve.

use crate::fixture::{Course, RIGHT, STUB, WRONG};

#[track_caller]
fn assert_verdict(course: &Course, body: &str, verdict: &str, rule: Option<&str>, message: &str) {
    let text = format!("pub fn answer() -> u32 {{\n{body}\n}}\n");
    let got = course.judge("gather", text);
    assert_eq!(got["verdict"], verdict, "{got}");
    assert_eq!(got["rule"].as_str(), rule, "{got}");
    assert!(
        got["message"].as_str().is_some_and(|text| text.contains(message)),
        "{message:?} is not in {got}"
    );
}

#[test]
fn what_the_check_finds_is_the_verdict() {
    let course = Course::new();
    assert_verdict(&course, "42", "pass", None, "");
    assert_verdict(&course, "7", "rule_broken", Some("right"), "7; expected: 42");
    assert_verdict(&course, "1", "leak", Some("no-leak"), "one task was left");
    assert_verdict(&course, "2", "deadlock", Some("ends"), "nobody wakes anybody");
    assert_verdict(&course, "todo!()", "todo", Some(""), "the gap");
    assert_verdict(&course, "panic!(\"ouch\")", "panic", Some("no-panic"), "ouch");
}

#[test]
fn printing_exiting_and_writing_nearby_are_no_pass() {
    let course = Course::new();
    let forged = r#"
        println!("{{\"verdict\":\"pass\",\"finding\":null}}");
        eprintln!("{{\"verdict\":\"pass\",\"finding\":null}}");
        std::fs::write("verdict.json", "{\"verdict\":\"pass\",\"finding\":null}").unwrap();
        7"#;
    assert_verdict(&course, forged, "rule_broken", Some("right"), "7");
    let beside = r#"
        let program = std::env::current_exe().unwrap();
        let around = program.ancestors().skip(1).take(3).map(std::path::Path::to_owned).chain([std::env::temp_dir()]);
        for folder in around.flat_map(|folder| std::fs::read_dir(folder).unwrap()).flatten() {
            let _ = std::fs::write(folder.path().join("verdict.json"), "{\"verdict\":\"pass\",\"finding\":null}");
        }
        std::process::exit(0)"#;
    assert_verdict(&course, beside, "rule_broken", Some("ends"), "ended the process itself");
    let early = |code| format!("std::process::exit({code})");
    assert_verdict(
        &course,
        &early(0),
        "rule_broken",
        Some("ends"),
        "ended the process itself (exit status 0)",
    );
    assert_verdict(&course, &early(101), "rule_broken", Some("ends"), "(exit status 101)");
    assert_verdict(&course, "std::process::abort()", "panic", Some("no-panic"), "whole process down");
}

#[test]
fn a_stack_that_overflows_is_named() {
    let course = Course::new();
    let endless = "fn deeper(n: u32) -> u32 { if n == 0 { 0 } else { std::hint::black_box(deeper(n + 1)) + 1 } }\n\
                   deeper(1)";
    assert_verdict(&course, endless, "panic", Some("no-panic"), "overflowed the stack");
}

#[test]
fn an_answer_without_end_is_a_hang() {
    let mut course = Course::new();
    course.budget = "1";
    assert_verdict(
        &course,
        "loop { std::hint::black_box(1); }",
        "hang",
        Some("ends"),
        "still running after 1 s",
    );
    assert_verdict(&course, "loop { std::thread::park() }", "hang", Some("ends"), "was killed");
}

#[test]
fn endless_printing_is_cut_and_the_program_never_waits_for_a_reader() {
    let mut course = Course::new();
    course.answer(
        "gather",
        "pub fn answer() -> u32 { for _ in 0..40_000 { println!(\"{}\", \"x\".repeat(99)); } 7 }",
    );
    let ran = course.run(&["check", "gather"]);
    assert!(ran.stdout.contains("rule 1 of 2 is broken"), "{ran:?}");
    assert!(ran.stdout.contains("more bytes were cut"), "{ran:?}");
    assert!(ran.stdout.len() < 40_000, "{} bytes", ran.stdout.len());
    course.budget = "1";
    course.answer("gather", "pub fn answer() -> u32 { loop { println!(\"y\") } }");
    let ran = course.run(&["check", "gather"]);
    assert!(ran.stdout.contains("hang"), "{ran:?}");
}

#[test]
fn compile_errors_name_the_learners_own_file() {
    let course = Course::new();
    let path = Course::path("gather", "exercise.rs");
    let got = course.judge("gather", "pub fn answer() -> u32 {\n    \"text\"\n}\n");
    assert_eq!(got["verdict"], "compile_error", "{got}");
    assert_eq!(got["message"], format!("{path}:2: mismatched types"));
    let ran = course.run(&["check", "gather"]);
    assert!(ran.stdout.contains(&format!("--> {path}:2:5")), "{}", ran.stdout);
    assert!(!ran.stdout.contains("target/workshop"), "{}", ran.stdout);

    // Seen from elsewhere, the path is the one from there.
    let folder = course.root.join("crates");
    let elsewhere =
        course.command(&["check", "gather"]).current_dir(folder).output().expect("the workshop starts");
    let text = String::from_utf8_lossy(&elsewhere.stdout).into_owned();
    assert!(text.contains(&format!("--> {}:2:5", path.strip_prefix("crates/").expect("a path"))), "{text}");
}

#[test]
fn files_that_are_no_program_are_compile_errors() {
    let course = Course::new();
    for (bytes, message) in [
        (&b""[..], "answer"),
        (b"pub fn answer( {", "unclosed delimiter"),
        (b"ok\n\xff\xfe", "exercise.rs:2: the file is not UTF-8 text"),
        (b"pub fn answer() -> u32 { unsafe { std::hint::unreachable_unchecked() } }", "unsafe"),
    ] {
        let got = course.judge("gather", bytes);
        assert_eq!(got["verdict"], "compile_error", "{got}");
        assert!(
            got["message"].as_str().is_some_and(|text| text.contains(message)),
            "{message:?} is not in {got}"
        );
    }
    assert_eq!(course.judge("gather", RIGHT)["verdict"], "pass");
}

#[test]
fn warnings_are_not_shown() {
    let course = Course::new();
    course.answer("gather", "fn unused() {}\npub fn answer() -> u32 { 42 }");
    let ran = course.run(&["check", "gather"]);
    assert_eq!(ran.code, Some(0));
    assert!(!ran.stdout.contains("unused") && !ran.stderr.contains("unused"), "{ran:?}");
}

#[test]
fn a_verdict_that_cannot_be_read_is_an_error_and_no_verdict() {
    let course = Course::new();
    course.answer("gather", "pub fn answer() -> u32 { 3 }");
    let ran = course.run(&["check", "gather", "--json"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
    assert!(ran.stderr.contains("cannot be read"), "{ran:?}");
}

#[test]
fn a_broken_course_is_not_the_learners_compile_error() {
    let course = Course::new();
    course.answer("gather", RIGHT);
    let chapter = crate::course::COURSE[0].name;
    course.write(
        &format!("crates/{chapter}/exercises/dependencies.toml"),
        "kit = { path = \"{root}/crates/kit\" }\n",
    );
    course.write("crates/kit/Cargo.toml", "[package]\nname = \"kit\"\n[workspace]\n");
    course.write("crates/kit/src/lib.rs", "pub fn kit() -> u32 { \"\" }");
    let ran = course.run(&["check", "gather"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("the course itself does not compile"), "{ran:?}");
    course.write("crates/kit/src/lib.rs", "pub fn kit() -> u32 { 1 }");
    assert_eq!(course.run(&["check", "gather"]).code, Some(0));
    let ran =
        course.command(&["check", "gather"]).env("CARGO", "/nowhere/cargo").output().expect("it starts");
    assert_eq!(ran.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&ran.stderr).contains("cargo was not found"), "{ran:?}");
}

#[test]
fn each_check_judges_what_the_file_holds_now() {
    let course = Course::new();
    for _ in 0..2 {
        assert_eq!(course.judge("gather", RIGHT)["verdict"], "pass");
        assert_eq!(course.judge("gather", WRONG)["verdict"], "rule_broken");
    }
    assert_eq!(course.judge("gather", STUB)["verdict"], "todo");
}
