use crate::fixture::{Course, RIGHT, WRONG};

#[test]
fn a_class_is_graded_and_nobodys_files_are_touched() {
    let course = Course::new();
    course.write("class/ada/gather.rs", RIGHT);
    course.write("class/ada/bounded.rs", WRONG);
    course.write("class/bob/gather.rs", "pub fn answer() -> u32 {");
    course.write("class/bob/gahter.rs", RIGHT);
    let ran = course.run(&["grade", "class", "--json"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let lines = ran.json_lines();
    assert_eq!(lines.len(), 2 * Course::exercises().count());
    let verdict = |learner: &str, exercise: &str| {
        lines
            .iter()
            .find(|line| line["learner"] == learner && line["exercise"] == exercise)
            .map(|line| line["verdict"].clone())
            .unwrap_or_default()
    };
    assert_eq!(verdict("ada", "gather"), "pass");
    assert_eq!(verdict("ada", "bounded"), "rule_broken");
    assert_eq!(verdict("bob", "gather"), "compile_error");
    assert!(verdict("bob", "timeout").is_null());
    assert!(ran.stderr.contains("gahter.rs is named like no exercise"), "{ran:?}");
    assert_eq!(course.run(&["list", "--json"]).json_lines()[0]["state"], "todo");

    let table = course.run(&["grade", "class"]).stdout;
    assert!(table.contains("breaks right") && table.contains("no file"), "{table}");
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
}

#[test]
fn a_folder_without_answers_is_explained() {
    let course = Course::new();
    for folder in ["nowhere", "crates/empty"] {
        std::fs::create_dir_all(course.root.join("crates/empty"))
            .expect("the temporary folder takes folders");
        let ran = course.run(&["grade", folder]);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains("LEARNER") || ran.stderr.contains("for each learner"), "{ran:?}");
    }
}
