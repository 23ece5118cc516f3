//! Every line of the cheat sheet is there in Python and in Rust, and on the page.

use crate::{
    markdown::parse,
    repository::{Repository, resolve},
};

const PAGE: &str = "docs/src/cheat-sheet.md";
const PYTHON: &str = "docs/python/cheat_sheet.py";
/// One for each chapter that has lines on the page.
const RUST: [&str; 2] =
    ["crates/concurrency/tests/cheat_sheet/main.rs", "crates/resources/tests/cheat_sheet/main.rs"];

/// Lines that one language has and the other lacks, or that are not on the page beside each other.
pub(crate) fn faults(repository: &Repository) -> Vec<String> {
    let lines = |path: &'static str| {
        let text = repository.text(path).unwrap_or_default();
        text.lines().filter_map(move |line| Some((path, line.split_once("ANCHOR: ")?.1.trim())))
    };
    let python: Vec<(&str, &str)> = lines(PYTHON).collect();
    let rust: Vec<(&str, &str)> = RUST.into_iter().flat_map(lines).collect();
    let lacks = |there: &[(&str, &str)], line: &str| there.iter().all(|(_, other)| *other != line);
    let mut faults: Vec<String> = Vec::new();
    for (_, line) in python.iter().filter(|(_, line)| lacks(&rust, line)) {
        faults.push(format!("{}: no {line:?}", RUST.join(" or ")));
    }
    for (_, line) in rust.iter().filter(|(_, line)| lacks(&python, line)) {
        faults.push(format!("{PYTHON}: no {line:?}"));
    }
    let page = parse(repository.text(PAGE).unwrap_or_default());
    let shown: Vec<(&str, String, &str)> = page
        .fences
        .iter()
        .filter_map(|fence| {
            let included = fence.body.first()?.strip_prefix("{{#include ")?.strip_suffix("}}")?;
            let (path, line) = included.rsplit_once(':')?;
            Some((fence.info, resolve(PAGE, path)?, line))
        })
        .collect();
    for (path, line) in rust {
        let pair = [("python", PYTHON.to_owned(), line), ("rust", path.to_owned(), line)];
        let pairs = shown.windows(2).filter(|shown| **shown == pair).count();
        if pairs != 1 {
            faults.push(format!(
                "{PAGE}: {pairs} times {line:?} in Python and then in Rust, from {path}, not once"
            ));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::only_fault;

    const PAIR: &str = "```python\n{{#include ../python/cheat_sheet.py:one}}\n```\n\n\
                        ```rust\n{{#include ../../crates/concurrency/tests/cheat_sheet/main.rs:one}}\n```\n";

    fn book(python: &str, rust: &str, page: &str) -> Vec<String> {
        faults(&Repository::sample(&[(PYTHON, python), (RUST[0], rust), (PAGE, page)]))
    }

    #[test]
    fn a_line_that_one_language_lacks_is_a_fault() {
        only_fault(book("# ANCHOR: one\n# ANCHOR: two\n", "// ANCHOR: one\n", PAIR));
    }

    #[test]
    fn a_line_that_is_not_on_the_page_is_a_fault() {
        only_fault(book("# ANCHOR: one\n", "// ANCHOR: one\n", "# Cheat sheet\n"));
    }

    #[test]
    fn lines_beside_each_other_are_no_fault() {
        assert_eq!(book("# ANCHOR: one\n", "// ANCHOR: one\n", PAIR), [""; 0]);
    }

    #[test]
    fn a_line_is_shown_from_the_chapter_that_has_it() {
        let book = |chapter, page: &str| {
            let (python, rust) = ("# ANCHOR: one\n", "// ANCHOR: one\n");
            faults(&Repository::sample(&[(PYTHON, python), (chapter, rust), (PAGE, page)]))
        };
        only_fault(book(RUST[1], PAIR));
        assert_eq!(book(RUST[1], &PAIR.replace("concurrency", "resources")), [""; 0]);
    }
}
