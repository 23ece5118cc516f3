//! The preprocessor as mdBook calls it: JSON in, JSON out.

use common::{Trace, trace::Lane};
use serde_json::{Value, json};
use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

const README: &str =
    "# gather: ask for all\n\nFetch *every* id.\n\n## Rules\n\n- `order`: as asked.\n\n## Hints\n\n1. No.\n";

/// A repository with one of each recorded thing, in a folder of the test's own.
fn repository(test: &str) -> PathBuf {
    let top = Path::new(env!("CARGO_TARGET_TMPDIR")).join("book").join(test);
    let trace = |title: &str, born: u64| Trace {
        title: title.to_owned(),
        lanes: vec![Lane {
            name: "a <b> & c".to_owned(),
            born: Duration::from_millis(born),
            events: Vec::new(),
        }],
    };
    let traces =
        Value::from(vec![trace("right: in 10 ms", 10).to_json(), trace("wrong: in 40 ms", 40).to_json()]);
    for (path, text) in [
        ("docs/src/concurrency/gather.verdict.txt", "$ cargo run -- check gather\n\none\n\n\n<two>\n"),
        ("crates/concurrency/tests/timelines/gather.json", &traces.to_string()),
        ("crates/concurrency/tests/timelines/empty.json", "[]"),
        ("crates/concurrency/exercises/gather/README.md", README),
        ("crates/concurrency/exercises/bare/README.md", "# bare: no rules\n"),
        ("crates/concurrency/src/gather.rs", "// ANCHOR: piece\nfn f() {}\n// ANCHOR_END: piece\n"),
    ] {
        let path = top.join(path);
        fs::create_dir_all(path.parent().expect("a file stands in a folder")).expect("can make a folder");
        fs::write(path, text).expect("can write a file");
    }
    top
}

fn preprocess(test: &str, chapters: &[&str]) -> Output {
    let items: Vec<Value> = chapters
        .iter()
        .map(|text| {
            json!({ "Chapter": {
                "name": "Gather", "content": text, "number": null, "sub_items": [],
                "path": "concurrency/gather.md", "source_path": "concurrency/gather.md", "parent_names": [],
            }})
        })
        .collect();
    let context = json!({ "root": repository(test).join("docs"), "config": {}, "renderer": "html" });
    let mut child = Command::new(env!("CARGO_BIN_EXE_workshop"))
        .arg("preprocess")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the workshop starts");
    let mut stdin = child.stdin.take().expect("it was piped");
    write!(stdin, "{}", json!([context, { "items": items }])).expect("it reads");
    drop(stdin);
    child.wait_with_output().expect("it ends")
}

fn expanded(test: &str, chapters: &[&str]) -> Vec<String> {
    let output = preprocess(test, chapters);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let book: Value = serde_json::from_slice(&output.stdout).expect("JSON comes out");
    let items = book["items"].as_array().expect("a book has items");
    items.iter().map(|item| item["Chapter"]["content"].as_str().expect("text").to_owned()).collect()
}

fn refused(test: &str, text: &str) -> String {
    let output = preprocess(test, &[text]);
    assert!(!output.status.success(), "{text:?} was taken");
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(said.contains("\"Gather\"") && said.contains("gather.md"), "does not name the chapter: {said}");
    said
}

#[test]
fn a_timeline_is_drawn_to_one_scale_and_told_in_words() {
    let page = &expanded("timeline", &["before\n\n{{#timeline concurrency/gather}}\n\nafter"])[0];
    assert_eq!(page.matches("<figure class=\"timeline\">").count(), 2);
    // The first ends at 10 ms, and is drawn on the second's axis.
    let (right, wrong) = page.split_once("wrong: in 40 ms").expect("both are drawn");
    assert!(right.contains(">40 ms</text>") && wrong.contains(">40 ms</text>"), "{page}");
    assert!(page.contains("<summary>The same in words</summary>") && page.contains("a &lt;b&gt; &amp; c"));
    for figure in page.split("<figure").skip(1) {
        let figure = figure.split("</figure>").next().unwrap_or_default();
        assert!(!figure.contains("\n\n"), "an empty line ends raw HTML: {figure}");
    }
}

#[test]
fn a_timeline_is_shown_as_a_terminal_draws_it() {
    let page = &expanded("terminal", &["{{#terminal concurrency/gather}}"])[0];
    assert!(page.contains("right: in 10 ms\n") && page.contains(" a &lt;b&gt; &amp; c "), "{page}");
    assert!(!page.contains("wrong: in 40 ms"), "{page}");
}

#[test]
fn the_ids_of_a_book_are_unique() {
    let twice = "{{#timeline concurrency/gather}} {{#timeline concurrency/gather}}";
    let pages = expanded("ids", &[twice, twice]).concat();
    let ids: Vec<&str> = pages.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let mut unique = ids.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), ids.len(), "{ids:?}");
    assert!(ids.len() >= 8, "{ids:?}");
}

#[test]
fn an_exercise_shows_its_task_its_rules_and_where_to_go() {
    let page = &expanded("exercise", &["{{#exercise concurrency/gather}}"])[0];
    for part in [
        "gather: ask for all",
        "Fetch *every* id.",
        "- `order`: as asked.",
        "crates/concurrency/exercises/gather/exercise.rs",
        "cargo run -- check gather",
    ] {
        assert!(page.contains(part), "no {part:?} in {page}");
    }
    assert!(!page.contains("1. No."), "hints are asked for one by one, not read in the book: {page}");
}

#[test]
fn a_recorded_output_keeps_its_empty_lines() {
    let page = &expanded("verdict", &["{{#verdict concurrency/gather}}"])[0];
    assert!(page.contains("<code>cargo run -- check gather</code>"), "{page}");
    assert!(page.contains("one\n&#10;&#10;&lt;two&gt;"), "{page}");
    assert!(!page.trim().contains("\n\n"), "an empty line ends raw HTML: {page}");
}

#[test]
fn an_include_is_replaced_by_the_code() {
    let text = "```rust\n{{#include ../../../crates/concurrency/src/gather.rs:piece}}\n```";
    assert_eq!(expanded("include", &[text]), ["```rust\nfn f() {}\n```"]);
}

#[test]
fn what_is_escaped_or_no_directive_is_left_alone() {
    let text = "{{#title A page}} \\{{#timeline x/y}} {{ x }}";
    assert_eq!(expanded("alone", &[text]), [text]);
}

#[test]
fn what_cannot_be_expanded_fails_and_names_the_chapter() {
    for (text, says) in [
        ("{{#timelin concurrency/gather}}", "no such directive"),
        ("{{#timeline concurrency/other}}", "timelines/other.json"),
        ("{{#timeline concurrency/empty}}", "not a list of recorded timelines"),
        ("{{#timeline ../../x}}", "not of the form"),
        ("{{#timeline concurrency/gather", "never closed"),
        ("{{#exercise concurrency/other}}", "exercises/other/README.md"),
        ("{{#exercise concurrency/bare}}", "no `## Rules`"),
        ("{{#verdict concurrency/other}}", "other.verdict.txt"),
        ("{{#include ../../../crates/none.rs}}", "none.rs"),
        ("{{#rustdoc_include ../../../crates/concurrency/src/gather.rs}}", "no such directive"),
        ("{{#include ../../../crates/concurrency/src/gather.rs:other}}", "no `ANCHOR: other`"),
    ] {
        let said = refused("refused", text);
        assert!(said.contains(says), "{text}: {said}");
    }
}

#[test]
fn it_says_that_it_can_draw_for_html_and_for_nothing_else() {
    let supports = |renderer| {
        let workshop =
            Command::new(env!("CARGO_BIN_EXE_workshop")).args(["preprocess", "supports", renderer]).status();
        workshop.expect("the workshop starts").success()
    };
    assert!(supports("html"));
    assert!(!supports("epub"));
}
