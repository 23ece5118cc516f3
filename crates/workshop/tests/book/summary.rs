//! The summary lists every page once, and only pages.

use crate::repository::{Repository, resolve};

const SUMMARY: &str = "docs/src/SUMMARY.md";

/// Pages that the summary lacks, and entries that lack a page.
pub(crate) fn faults(repository: &Repository) -> Vec<String> {
    let Some(summary) = repository.text(SUMMARY) else {
        return vec![format!("there is no {SUMMARY}")];
    };
    let mut faults = Vec::new();
    let mut listed: Vec<String> = Vec::new();
    for (line, text) in (1..).zip(summary.lines()) {
        let Some((_, target)) = text.split_once("](") else {
            continue;
        };
        let target = target.split(')').next().unwrap_or_default();
        let path = resolve(SUMMARY, target).unwrap_or_default();
        if target.is_empty() {
            faults.push(format!("{SUMMARY}:{line}: a title without a page"));
        } else if repository.text(&path).is_none() {
            faults.push(format!("{SUMMARY}:{line}: there is no {path}"));
        } else if listed.contains(&path) {
            faults.push(format!("{SUMMARY}:{line}: {path} is listed twice"));
        } else {
            listed.push(path);
        }
    }
    let missing = repository.pages().filter(|(path, _)| !listed.iter().any(|listed| listed == path));
    faults.extend(missing.map(|(path, _)| format!("{path}: is not listed in {SUMMARY}")));
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::only_fault;

    fn book(summary: &str) -> Vec<String> {
        faults(&Repository::sample(&[
            (SUMMARY, summary),
            ("docs/src/a.md", "# A\n"),
            ("docs/src/b/c.md", "# C\n"),
        ]))
    }

    #[test]
    fn a_page_that_is_not_listed_is_a_fault() {
        assert!(only_fault(book("- [A](a.md)\n")).contains("b/c.md"));
    }

    #[test]
    fn an_entry_without_a_page_is_a_fault() {
        only_fault(book("- [A](a.md)\n- [C](b/c.md)\n- [D](d.md)\n"));
        only_fault(book("- [A](a.md)\n- [C](b/c.md)\n- [Draft]()\n"));
        only_fault(book("- [A](a.md)\n- [C](b/c.md)\n- [A](a.md)\n"));
    }

    #[test]
    fn a_summary_that_lists_each_page_once_is_no_fault() {
        assert_eq!(book("# Summary\n\n- [A](a.md)\n  - [C](b/c.md)\n"), [""; 0]);
    }
}
