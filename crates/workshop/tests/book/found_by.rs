//! The page of gotchas says of each bug who finds it, and the zoo's matrix has the last word.

use crate::{markdown::parse, repository::Repository};
use std::{collections::HashMap, env, fs, path::Path};

const PAGE: &str = "docs/src/gotchas.md";
const MATRIX: &str = "crates/testing/tests/zoo/matrix.md";
const MARK: &str = "**Found by:** ";

/// What is to be said of each bug.
fn matrix(text: &str) -> HashMap<&str, String> {
    let mut rows = text
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    let columns = rows.next().unwrap_or_default();
    rows.map(|row| {
        // The first two columns are the name and what it is.
        let found = columns.iter().zip(&row).skip(2).filter(|(_, cell)| !["", "·"].contains(*cell));
        let found: Vec<String> = found.map(|(column, cell)| format!("{column} (`{cell}`)")).collect();
        (row[0].trim_matches('`'), format!("{MARK}{}", found.join(", ")))
    })
    .collect()
}

/// The page with what is to be said in place of what is said, and where the two differ.
fn compared(repository: &Repository) -> (String, Vec<String>) {
    let matrix = matrix(repository.text(MATRIX).unwrap_or_default());
    let page = repository.text(PAGE).unwrap_or_default();
    let mut faults = Vec::new();
    let bugs: Vec<(usize, &str)> = parse(page)
        .fences
        .iter()
        .filter_map(|fence| {
            let (_, bug) = fence.body.first()?.split_once("/zoo/")?;
            Some((fence.line, bug.split_once("/bug.rs")?.0))
        })
        .collect();
    let mut lines: Vec<String> = page.lines().map(str::to_owned).collect();
    for (nth, (at, bug)) in bugs.iter().enumerate() {
        let until = bugs.get(nth + 1).map_or(lines.len(), |(next, _)| *next);
        let said = lines[*at..until].iter_mut().find(|line| line.starts_with(MARK));
        match (said, matrix.get(bug)) {
            (_, None) => faults.push(format!("{PAGE}:{at}: {bug} is not in {MATRIX}")),
            (None, Some(say)) => faults.push(format!("{PAGE}:{at}: nothing says of {bug}: {say}")),
            (Some(said), Some(say)) if said != say => {
                faults.push(format!("{PAGE}:{at}: {bug}, {said:?} instead of {say:?}"));
                said.clone_from(say);
            }
            _ => {}
        }
    }
    let said = lines.iter().filter(|line| line.starts_with(MARK)).count();
    if said != bugs.len() {
        faults.push(format!("{PAGE}: {said} lines say who finds {} bugs", bugs.len()));
    }
    (lines.join("\n") + "\n", faults)
}

/// Where the page says something else than the matrix; `BLESS=1` mends it.
pub(crate) fn settle(repository: &Repository) -> Vec<String> {
    let (mended, faults) = compared(repository);
    if !faults.is_empty() && env::var_os("BLESS").is_some() {
        let top = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .nth(2)
            .expect("crates/workshop has two parents");
        fs::write(top.join(PAGE), mended).unwrap_or_else(|error| panic!("{PAGE}: {error}"));
        return Vec::new();
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::only_fault;

    const TABLE: &str = "| bug | what it is | compiler | clippy | sim |\n|---|---|---|---|---|\n\
                         | `nap` | A nap. | · | disallowed_methods | blocked |\n";

    fn page(said: &str) -> Vec<String> {
        let page = format!(
            "# Gotchas\n\n```rust\n{{{{#include ../../crates/testing/tests/zoo/nap/bug.rs:program}}}}\n```\n\n{said}\n"
        );
        compared(&Repository::sample(&[(MATRIX, TABLE), (PAGE, &page)])).1
    }

    #[test]
    fn what_the_matrix_says_is_no_fault() {
        assert_eq!(page("**Found by:** clippy (`disallowed_methods`), sim (`blocked`)"), [""; 0]);
    }

    #[test]
    fn what_it_does_not_say_is_a_fault() {
        only_fault(page("**Found by:** clippy (`disallowed_methods`)"));
    }

    #[test]
    fn a_bug_of_which_nothing_is_said_is_a_fault() {
        assert!(page("").iter().any(|fault| fault.contains("nothing says of nap")));
    }
}
