//! The checks are checked: asserts on the verdicts of answers whose worth is known.

use common::{Verdict, draw};
use std::{collections::BTreeSet, fs, path::Path};

/// Asserts that a right answer passes.
///
/// # Panics
/// With the verdict and its timeline, if it does not.
pub fn assert_passes(verdict: &Verdict) {
    assert!(verdict.is_pass(), "a right answer was rejected: {}", told(verdict));
}

/// Asserts that a wrong answer is rejected for the rule which its first line names: ``//! Breaks `order`: why``.
///
/// # Panics
/// If it passes, or is rejected for another reason, or its first line has another form.
pub fn assert_breaks(name: &str, source: &str, verdict: &Verdict) {
    let first = source.lines().next().unwrap_or_default();
    let rule = first.strip_prefix("//! Breaks `").and_then(|rest| rest.split_once("`: "));
    let Some((rule, _)) = rule else {
        panic!(
            "wrong/{name}.rs: its first line should be like \"//! Breaks `order`: why\", and is {first:?}"
        );
    };
    assert_eq!(verdict.rule(), Some(rule), "wrong/{name}.rs should break `{rule}`: {}", told(verdict));
}

/// Asserts that a program which is shipped to be mended breaks the rule that its README names.
///
/// # Panics
/// If it breaks another or none, or if the README does not say so.
pub fn assert_ships_broken(readme: &str, rule: &str, verdict: &Verdict) {
    assert_eq!(verdict.rule(), Some(rule), "as shipped, it should break `{rule}`: {}", told(verdict));
    let words = readme.split_whitespace().collect::<Vec<_>>().join(" ");
    let names = format!("it breaks `{rule}`");
    assert!(words.contains(&names), "README.md should say of the program as shipped: {names}");
}

/// Asserts that `named` are the files of `folder`, so that no wrong answer is left unproved, and that they are at
/// least four.
///
/// # Panics
/// If they are not, or the folder can't be read.
pub fn assert_all_named(folder: &Path, named: &[&str]) {
    let files: BTreeSet<String> = fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .filter_map(|entry| {
            entry.ok()?.file_name().into_string().ok()?.strip_suffix(".rs").map(str::to_owned)
        })
        .collect();
    let named: BTreeSet<String> = named.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(files, named, "the files of {}, and those that its test names", folder.display());
    assert!(named.len() >= 4, "{}: fewer than four wrong answers", folder.display());
}

fn told(verdict: &Verdict) -> String {
    let finding = verdict.finding.clone().unwrap_or_default();
    let trace = finding.trace.as_ref().map(|trace| draw::terminal(trace, draw::Terminal::default()));
    format!(
        "{}, rule {:?}, case {:?}: {}\n{}",
        verdict.kind.word(),
        finding.rule,
        finding.case,
        verdict.message(),
        trace.unwrap_or_default()
    )
}

/// Proves an exercise: its stub is still to do, its solution passes, and each wrong answer breaks the rule that its
/// first line names. To stand in `exercises/<name>/mod.rs`, with the modules `check`, `stub`, `solution` and `wrong`.
///
/// Where the task is to mend a program, the stub runs, and breaks a rule: `breaks: "rule"`, which the README names as
/// ``it breaks `rule` ``. An answer whose function is not called like the exercise: `answer: name`.
#[macro_export]
macro_rules! prove_exercise {
    ($exercise:ident, wrong: [$($wrong:ident),+ $(,)?]) => {
        #[test]
        fn the_stub_is_still_to_do() {
            assert_eq!(check::check(stub::$exercise).kind, common::verdict::Kind::Todo);
        }

        $crate::prove_answers!($exercise, $exercise, [$($wrong),+]);
    };
    ($exercise:ident, answer: $answer:ident, breaks: $rule:literal, wrong: [$($wrong:ident),+ $(,)?]) => {
        #[test]
        fn the_stub_breaks_the_rule_that_its_readme_names() {
            let verdict = check::check(stub::$answer);
            $crate::answers::assert_ships_broken(include_str!("README.md"), $rule, &verdict);
        }

        $crate::prove_answers!($exercise, $answer, [$($wrong),+]);
    };
}

/// What [`prove_exercise!`](crate::prove_exercise) proves of all but the stub.
#[doc(hidden)]
#[macro_export]
macro_rules! prove_answers {
    ($exercise:ident, $answer:ident, [$($wrong:ident),+]) => {
        #[test]
        fn the_solution_passes() {
            $crate::answers::assert_passes(&check::check(solution::$answer));
        }

        $(
            #[test]
            fn $wrong() {
                let source = include_str!(concat!("wrong/", stringify!($wrong), ".rs"));
                let verdict = check::check(wrong::$wrong::$answer);
                $crate::answers::assert_breaks(stringify!($wrong), source, &verdict);
            }
        )+

        #[test]
        fn every_wrong_answer_is_proved() {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
                .join(concat!("exercises/", stringify!($exercise), "/wrong"));
            $crate::answers::assert_all_named(&folder, &[$(stringify!($wrong)),+]);
        }
    };
}
