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

/// Asserts that a program which is to be mended runs as it is shipped, and breaks the rule that its README names.
///
/// # Panics
/// If it passes, or is rejected for another reason.
pub fn assert_shipped_breaks(rule: &str, verdict: &Verdict) {
    assert_eq!(
        verdict.rule(),
        Some(rule),
        "the program as it is shipped should break `{rule}`: {}",
        told(verdict)
    );
}

/// Proves an exercise: its stub is still to do, its solution passes, and each wrong answer breaks the rule that its
/// first line names. To stand in `exercises/<name>/mod.rs`, with the modules `check`, `stub`, `solution` and `wrong`.
///
/// | form | for an exercise |
/// |---|---|
/// | `prove_exercise!(gather, wrong: [..])` | whose answer is a function of the exercise's name |
/// | `prove_exercise!(invariant, stub_breaks: "sold-once", wrong: [..])` | whose task is to mend that function: it runs as it is shipped, and breaks that rule |
/// | `prove_exercise!(leak_hunt, answer: serve, stub_breaks: "page-over", wrong: [..])` | the same, of a function with a name of its own |
/// | `prove_exercise!(compile_errors, judged: judged, wrong: [..])` | whose answer is several items: `judged!(solution)` gives the verdict on a module; `stub_breaks` may follow |
#[macro_export]
macro_rules! prove_exercise {
    ($exercise:ident, wrong: [$($wrong:ident),+ $(,)?]) => {
        $crate::prove_exercise!(@all $exercise, (function $exercise), (todo), [$($wrong),+]);
    };
    ($exercise:ident, stub_breaks: $rule:literal, wrong: [$($wrong:ident),+ $(,)?]) => {
        $crate::prove_exercise!(@all $exercise, (function $exercise), (breaks $rule), [$($wrong),+]);
    };
    ($exercise:ident, answer: $answer:ident, stub_breaks: $rule:literal, wrong: [$($wrong:ident),+ $(,)?]) => {
        $crate::prove_exercise!(@all $exercise, (function $answer), (breaks $rule), [$($wrong),+]);
    };
    ($exercise:ident, judged: $judged:ident, wrong: [$($wrong:ident),+ $(,)?]) => {
        $crate::prove_exercise!(@all $exercise, (macro $judged), (todo), [$($wrong),+]);
    };
    ($exercise:ident, judged: $judged:ident, stub_breaks: $rule:literal, wrong: [$($wrong:ident),+ $(,)?]) => {
        $crate::prove_exercise!(@all $exercise, (macro $judged), (breaks $rule), [$($wrong),+]);
    };
    (@all $exercise:ident, $answer:tt, $stub:tt, [$($wrong:ident),+]) => {
        $crate::prove_exercise!(@stub $answer, $stub);

        #[test]
        fn the_solution_passes() {
            $crate::answers::assert_passes(&$crate::prove_exercise!(@verdict $answer, solution));
        }

        $(
            #[test]
            fn $wrong() {
                let source = include_str!(concat!("wrong/", stringify!($wrong), ".rs"));
                let verdict = $crate::prove_exercise!(@verdict $answer, wrong::$wrong);
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
    (@stub $answer:tt, (todo)) => {
        #[test]
        fn the_stub_is_still_to_do() {
            assert_eq!($crate::prove_exercise!(@verdict $answer, stub).kind, common::verdict::Kind::Todo);
        }
    };
    (@stub $answer:tt, (breaks $rule:literal)) => {
        #[test]
        fn the_program_as_it_is_shipped_breaks_the_rule_that_its_readme_names() {
            $crate::answers::assert_shipped_breaks($rule, &$crate::prove_exercise!(@verdict $answer, stub));
            assert!(
                include_str!("README.md").contains(concat!("`", $rule, "`")),
                concat!("README.md should name the rule that the program breaks: `", $rule, "`")
            );
        }
    };
    (@verdict (function $answer:ident), $($module:ident)::+) => {
        check::check($($module)::+::$answer)
    };
    (@verdict (macro $judged:ident), $($module:ident)::+) => {
        $judged!($($module)::+)
    };
}
