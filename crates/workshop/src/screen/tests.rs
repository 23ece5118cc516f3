//! The screen against golden files, and against every size.
//!
//! `UPDATE_GOLDEN=1 cargo test -p workshop` writes the files anew; read the difference before you commit it.

use super::*;
use crate::{
    course::Exercise,
    judge::Report,
    process::Output,
    progress::Standing,
    state::{Checking, Effect, Entry, Key},
};
use common::{
    Trace, Verdict,
    trace::{Event, Lane, What},
    verdict::Finding,
};
use std::{fs, path::Path, time::Duration};

const README: &str = "# bounded: at most a few at once\n\nAsk the backend for every id, never more than `limit` at a \
                      time, and give the replies in the order of the ids.\n\n```rust\nlet replies = bounded(backend, ids, \
                      4).await;\n```\n\n## Rules\n\n- `order`: replies keep the order of the ids\n- `bounded`: never \
                      more than `limit` calls are in flight\n- `concurrent`: `limit` calls are in flight whenever there \
                      is work for them\n\n## Hints\n\n1. A `Semaphore` counts.\n2. `buffered` keeps the order.\n";

fn state() -> State {
    let entry = |name, title: &str, standing| Entry {
        exercise: Exercise { chapter: "concurrency", name },
        title: title.to_owned(),
        standing,
    };
    State {
        style: Style { unicode: true, colour: false, width: 80 },
        entries: vec![
            entry("gather", "ask for everything at once", Standing::Judged(Kind::Pass, None)),
            entry("bounded", "at most a few at once", Standing::Untouched),
            entry("timeout", "know when to stop", Standing::Unknown),
        ],
        selected: 1,
        readme: Readme::parse(README),
        path: String::from("crates/concurrency/exercises/bounded/exercise.rs"),
        link: Some(String::from("file:///course/crates/concurrency/exercises/bounded/exercise.rs")),
        solution: String::from("//! One way.\npub async fn bounded() {}\n"),
        checking: None,
        result: None,
        view: View::Exercise,
        hints: 0,
        notice: None,
        asking: None,
        scroll: 0,
    }
}

fn trace() -> Trace {
    let ms = Duration::from_millis;
    let lane = |name: &str, from, until| Lane {
        name: name.to_owned(),
        born: ms(from),
        events: vec![
            Event { at: ms(from), what: What::Polled { until: ms(from) } },
            Event { at: ms(until), what: What::Polled { until: ms(until) } },
            Event { at: ms(until), what: What::Finished },
        ],
    };
    Trace {
        title: String::from("3 ids, limit 2"),
        lanes: vec![lane("fetch 1", 0, 40), lane("fetch 2", 0, 10), lane("fetch 3", 0, 30)],
    }
}

fn report(kind: Kind) -> Report {
    let finding = Finding {
        rule: Some(String::from(if kind == Kind::RuleBroken { "bounded" } else { "ends" })),
        case: String::from("3 ids, limit 2"),
        expected: String::from("at most 2 in flight"),
        seen: String::from("3 in flight at 0 ms"),
        trace: Some(trace()),
    };
    let finding = match kind {
        Kind::Pass => None,
        Kind::CompileError => Some(Finding {
            seen: String::from("crates/concurrency/exercises/bounded/exercise.rs:3: mismatched types"),
            ..Finding::default()
        }),
        _ => Some(finding),
    };
    Report {
        exercise: Exercise { chapter: "concurrency", name: "bounded" },
        verdict: Verdict { kind, finding },
        seconds: 0.4,
        rendered: String::from(if kind == Kind::CompileError {
            "\x1b[1m\x1b[91merror[E0308]\x1b[0m: mismatched types\n --> crates/concurrency/exercises/bounded/exercise.rs:3:5\n"
        } else {
            ""
        }),
        printed: Output { bytes: b"asking 1\n\x1b[31masking 2\x07\n".to_vec(), cut: 0 },
    }
}

fn judged(kind: Kind) -> State {
    let mut state = state();
    state.judged(report(kind));
    state
}

/// Each state that looks different, by name.
fn states() -> Vec<(&'static str, State)> {
    let mut first = state();
    first.checking =
        Some(Checking { step: String::from("preparing the first check, once: compiling tokio"), seconds: 7 });
    let mut hints = judged(Kind::RuleBroken);
    hints.hints = 2;
    hints.asking = Some(Ask::Reset);
    let mut list = state();
    list.view = View::List { cursor: 1 };
    let mut help = state();
    help.view = View::Help;
    let mut solution = state();
    solution.view = View::Solution;
    let mut failed = state();
    failed.failed(String::from("cargo could not build the check: the disk is full"));
    let mut all = state();
    all.entries[2].standing = Standing::Judged(Kind::Pass, None);
    all.judged(report(Kind::Pass));
    vec![
        ("first", first),
        ("todo", judged(Kind::Todo)),
        ("rule-broken", judged(Kind::RuleBroken)),
        ("deadlock", judged(Kind::Deadlock)),
        ("compile-error", judged(Kind::CompileError)),
        ("passed", judged(Kind::Pass)),
        ("all-solved", all),
        ("hints", hints),
        ("list", list),
        ("help", help),
        ("solution", solution),
        ("failed", failed),
    ]
}

fn golden(name: &str, lines: &[String]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name).with_extension("txt");
    let text: String = lines.iter().map(|line| format!("{}\n", line.trim_end())).collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().expect("a folder")).expect("the repository takes folders");
        fs::write(&path, &text).expect("the repository takes files");
    }
    // git may have given the file Windows' line ends.
    let expected = fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
    assert!(text == expected, "{} is\n{expected}\nand the screen is\n{text}", path.display());
}

#[test]
fn the_screen_is_as_recorded_at_60_and_100_columns() {
    for (name, state) in states() {
        for (columns, rows) in [(60, 24), (100, 30)] {
            golden(&format!("{name}-{columns}"), &render(&state, columns, rows).lines);
        }
    }
}

#[test]
fn the_screen_is_ascii_where_the_terminal_is() {
    for (name, mut state) in states() {
        state.style.unicode = false;
        state.path = String::from("crates/é/exercise.rs");
        let lines = render(&state, 60, 24).lines;
        assert!(lines.iter().all(|line| line.is_ascii()), "{name}: {lines:#?}");
    }
}

#[test]
fn every_size_is_kept_with_and_without_colours() {
    for (name, mut state) in states() {
        for colour in [false, true] {
            state.style.colour = colour;
            for columns in [1, 5, 20, 40, 80] {
                for rows in [0, 1, 2, 3, 5, 8, 12, 24] {
                    for scroll in [0, usize::MAX / 2] {
                        state.scroll = scroll;
                        let lines = render(&state, columns, rows).lines;
                        assert!(lines.len() <= rows, "{name} at {columns}x{rows}: {} rows", lines.len());
                        let widest = lines.iter().map(|line| width(line)).max().unwrap_or(0);
                        assert!(widest <= columns, "{name} at {columns}x{rows}: {widest} columns");
                    }
                }
            }
        }
    }
}

#[test]
fn headline_and_keys_stay_in_sight() {
    for rows in 2..40 {
        let mut state = judged(Kind::RuleBroken);
        state.scroll = usize::MAX / 2;
        let lines = render(&state, 60, rows).lines;
        assert!(lines.iter().any(|line| line.contains("rule 2 of 3 is broken")), "{rows}: {lines:#?}");
        assert!(lines.last().is_some_and(|line| line.contains("q quit")), "{rows}: {lines:#?}");
    }
}

#[test]
fn help_is_offered_and_the_path_is_whole_at_any_width() {
    for (name, state) in states() {
        for columns in 8..120 {
            let lines = render(&state, columns, 24).lines;
            assert!(lines.last().is_some_and(|line| line.contains("? ")), "{name} at {columns}: {lines:#?}");
            if columns >= 20 {
                assert!(lines.concat().contains(&state.path), "{name} at {columns}: {lines:#?}");
            }
        }
    }
}

#[test]
fn a_caret_stays_below_what_it_points_to() {
    let mut report = report(Kind::CompileError);
    report.rendered = format!(
        "error: no\n3 | let {} = 1;\n  |     {}\n  = help: use `cargo \x1b[1madd\x1b[0m futures`\n",
        "x".repeat(80),
        "^".repeat(80)
    );
    let mut state = state();
    state.judged(report);
    let lines = render(&state, 60, 24).lines;
    let at = lines.iter().position(|line| line.starts_with("3 |")).expect("rustc's line");
    assert!(lines[at].ends_with("x…") && lines[at + 1].ends_with("^…"), "{lines:#?}");
    assert!(lines[at + 2].starts_with("  = help"), "{lines:#?}");
    assert!(lines[at + 4].starts_with("An answer is built with `std`"), "{lines:#?}");
}

#[test]
fn colours_and_links_end_where_they_should() {
    let mut state = judged(Kind::RuleBroken);
    state.style.colour = true;
    let lines = render(&state, 80, 24).lines;
    let place = &lines[1];
    assert!(place.contains("\x1b]8;;file:///course/") && place.ends_with("\x1b]8;;\x1b\\"), "{place:?}");
    for line in &lines {
        assert_eq!(line.matches("\x1b[0m").count() > 0, line.contains("\x1b["), "{line:?}");
    }
}

#[test]
fn keys_ask_before_anything_is_lost_or_given_away() {
    let mut state = judged(Kind::RuleBroken);
    assert_eq!(state.key(Key::Char('x'), 10), Effect::Nothing);
    assert_eq!(state.key(Key::Char('k'), 10), Effect::Nothing);
    assert_eq!(state.key(Key::Char('x'), 10), Effect::Nothing);
    assert_eq!(state.key(Key::Char('x'), 10), Effect::Reset);
    state.key(Key::Char('s'), 10);
    assert_eq!(state.view, View::Exercise);
    state.key(Key::Char('s'), 10);
    assert_eq!(state.view, View::Solution);
    let mut solved = judged(Kind::Pass);
    solved.key(Key::Char('s'), 10);
    assert_eq!(solved.view, View::Solution);
}

#[test]
fn hints_come_one_a_key_and_end() {
    let mut state = state();
    for expected in [1, 2, 2] {
        state.key(Key::Char('h'), 10);
        assert_eq!(state.hints, expected);
    }
    assert!(state.notice.is_some());
}

#[test]
fn the_list_is_walked_and_chosen_from() {
    let mut state = state();
    state.key(Key::Char('l'), 10);
    state.key(Key::Down, 10);
    state.key(Key::Down, 10);
    assert_eq!(state.key(Key::Enter, 10), Effect::Select(2));
    state.key(Key::Char('g'), 10);
    assert_eq!(state.key(Key::Enter, 10), Effect::Select(0));
    assert_eq!(state.key(Key::Interrupt, 10), Effect::Quit);
}

#[test]
fn neighbours_are_reached_and_the_ends_are_told() {
    let mut state = state();
    assert_eq!(state.key(Key::Char('n'), 10), Effect::Select(2));
    assert_eq!(state.key(Key::Char('p'), 10), Effect::Select(0));
    state.selected = 2;
    assert_eq!(state.key(Key::Char('n'), 10), Effect::Nothing);
    assert!(state.notice.take().is_some());
    state.selected = 0;
    assert_eq!(state.key(Key::Char('p'), 10), Effect::Nothing);
    assert!(state.notice.is_some());
}
