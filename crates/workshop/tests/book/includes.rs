//! Every file and anchor that a page names in a directive is there.

use crate::{
    markdown::{parse, without_code},
    repository::{Repository, resolve},
};

/// Directives that name what is not there.
pub(crate) fn faults(repository: &Repository) -> Vec<String> {
    let mut faults = Vec::new();
    for (path, text) in repository.pages() {
        let page = parse(text);
        // A directive works inside a fence too.
        let mut lines: Vec<(usize, String)> =
            page.prose.iter().map(|(line, text)| (*line, without_code(text))).collect();
        for fence in &page.fences {
            lines.extend((fence.line + 1..).zip(fence.body.iter().map(|text| (*text).to_owned())));
        }
        for (line, text) in lines {
            for (before, directive) in directives(&text) {
                if before.ends_with('\\') {
                    continue;
                }
                let fault = fault(repository, path, directive);
                faults.extend(fault.map(|fault| format!("{path}:{line}: {{{{#{directive}}}}}: {fault}")));
            }
        }
    }
    faults
}

/// What stands before each directive of a line, and the directive.
fn directives(line: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut rest = line;
    while let Some((before, tail)) = rest.split_once("{{#") {
        let (directive, after) = tail.split_once("}}").unwrap_or((tail, ""));
        found.push((before, directive));
        rest = after;
    }
    found
}

fn fault(repository: &Repository, path: &str, directive: &str) -> Option<String> {
    let (word, argument) = directive.split_once(' ')?;
    let recorded = |path: String| repository.text(&path).is_none().then(|| format!("there is no {path}"));
    match (word, argument.trim().split_once('/')) {
        ("include", _) => included(repository, path, argument.trim()),
        ("timeline" | "terminal", Some((chapter, name))) => {
            recorded(format!("crates/{chapter}/tests/timelines/{name}.json"))
        }
        ("exercise", Some((chapter, name))) => {
            recorded(format!("crates/{chapter}/exercises/{name}/README.md"))
        }
        ("verdict", Some((chapter, name))) => recorded(format!("docs/src/{chapter}/{name}.verdict.txt")),
        _ => Some("there is no such directive".to_owned()),
    }
}

fn included(repository: &Repository, path: &str, argument: &str) -> Option<String> {
    let (file, anchor) = argument.split_once(':').map_or((argument, None), |(file, at)| (file, Some(at)));
    let Some(file) = resolve(path, file) else {
        return Some("leads out of the repository".to_owned());
    };
    let Some(text) = repository.text(&file) else {
        return Some(format!("there is no {file}"));
    };
    let anchor = anchor?;
    if anchor.split(':').any(|part| part.is_empty() || part.parse::<usize>().is_ok()) {
        return Some(
            "names lines by number, which is wrong after the next change: name an anchor".to_owned(),
        );
    }
    let lines = |mark: &str| {
        text.lines()
            .filter(|line| line.split_once(mark).is_some_and(|(_, name)| name.trim() == anchor))
            .count()
    };
    match (lines("ANCHOR:"), lines("ANCHOR_END:")) {
        (1, 1) => None,
        (0, _) => Some(format!("{file} has no `ANCHOR: {anchor}`")),
        (_, 0) => Some(format!("{file} has no `ANCHOR_END: {anchor}`")),
        _ => Some(format!("{file} has the anchor {anchor:?} more than once")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::only_fault;

    const CODE: &str = "// ANCHOR: whole\nfn f() {}\n// ANCHOR_END: whole\n// ANCHOR: open\n";

    fn page(text: &str) -> Vec<String> {
        faults(&Repository::sample(&[
            ("docs/src/a/b.md", text),
            ("crates/a/src/b.rs", CODE),
            ("crates/a/tests/timelines/b.json", "[]"),
        ]))
    }

    #[test]
    fn an_include_of_what_is_not_there_is_a_fault() {
        only_fault(page("```rust\n{{#include ../../../crates/a/src/c.rs:whole}}\n```\n"));
        only_fault(page("```rust\n{{#include ../../../crates/a/src/b.rs:other}}\n```\n"));
        only_fault(page("```rust\n{{#include ../../../crates/a/src/b.rs:open}}\n```\n"));
        only_fault(page("```rust\n{{#include ../../../../crates/a/src/b.rs}}\n```\n"));
    }

    #[test]
    fn an_include_by_line_numbers_is_a_fault() {
        only_fault(page("```rust\n{{#include ../../../crates/a/src/b.rs:1:2}}\n```\n"));
    }

    #[test]
    fn a_timeline_exercise_or_verdict_that_is_not_there_is_a_fault() {
        for directive in ["timeline a/c", "terminal a/c", "exercise a/b", "verdict a/b", "timelines a/b"] {
            let fault = only_fault(page(&format!("text\n\n{{{{#{directive}}}}}\n")));
            assert!(fault.starts_with("docs/src/a/b.md:3: "), "{fault}");
        }
    }

    #[test]
    fn what_is_there_is_no_fault_and_an_escaped_directive_is_text() {
        let text = "```rust\n{{#include ../../../crates/a/src/b.rs:whole}}\n```\n{{#timeline a/b}}\n\
                    `\\{{#timeline x/y}}` and \\{{#verdict x/y}}\n";
        assert_eq!(page(text), [""; 0]);
    }
}
