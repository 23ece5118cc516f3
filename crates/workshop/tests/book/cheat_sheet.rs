//! Every line of the cheat sheet is there in Python and in Rust, and on the page.

use crate::{markdown::parse, repository::Repository};

const PAGE: &str = "docs/src/cheat-sheet.md";
const PYTHON: &str = "docs/python/cheat_sheet.py";
const RUST: &str = "crates/concurrency/tests/cheat_sheet/main.rs";

/// Lines that one language has and the other lacks, or that are not on the page beside each other.
pub(crate) fn faults(repository: &Repository) -> Vec<String> {
    let lines = |path: &str| -> Vec<&str> {
        let text = repository.text(path).unwrap_or_default();
        text.lines().filter_map(|line| Some(line.split_once("ANCHOR: ")?.1.trim())).collect()
    };
    let (python, rust) = (lines(PYTHON), lines(RUST));
    let mut faults: Vec<String> = Vec::new();
    faults
        .extend(python.iter().filter(|line| !rust.contains(line)).map(|line| format!("{RUST}: no {line:?}")));
    faults.extend(
        rust.iter().filter(|line| !python.contains(line)).map(|line| format!("{PYTHON}: no {line:?}")),
    );
    let page = parse(repository.text(PAGE).unwrap_or_default());
    let shown: Vec<(&str, &str)> = page
        .fences
        .iter()
        .filter_map(|fence| {
            let (_, line) = fence.body.first()?.trim_end_matches("}}").rsplit_once(':')?;
            Some((fence.info, line))
        })
        .collect();
    for line in rust {
        let pairs = shown.windows(2).filter(|pair| **pair == [("python", line), ("rust", line)]).count();
        if pairs != 1 {
            faults.push(format!("{PAGE}: {pairs} times {line:?} in Python and then in Rust, not once"));
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
        faults(&Repository::sample(&[(PYTHON, python), (RUST, rust), (PAGE, page)]))
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
}
