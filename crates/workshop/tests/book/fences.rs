//! The code in the book is code that is compiled or run.

use crate::{
    markdown::{Fence, parse},
    repository::{Repository, resolve},
};

/// Fences that hold code of their own.
pub(crate) fn faults(repository: &Repository) -> Vec<String> {
    let mut faults = Vec::new();
    for (path, text) in repository.pages() {
        for fence in parse(text).fences {
            faults.extend(fault(path, &fence).map(|fault| format!("{path}:{}: {fault}", fence.line)));
        }
    }
    faults
}

fn fault(path: &str, fence: &Fence<'_>) -> Option<String> {
    let language = fence.words().next()?;
    let text = fence.words().any(|word| word == "text");
    match language {
        _ if text => None,
        "rust" | "rs" => match included(fence) {
            None => {
                Some("a `rust` fence is exactly one include of compiled code, or is marked `text`".to_owned())
            }
            Some(file) => {
                let file = resolve(path, file).unwrap_or_default();
                let compiled =
                    (file.starts_with("crates/") || file.starts_with("benches/")) && file.ends_with(".rs");
                (!compiled).then(|| format!("{file:?} is not Rust that cargo compiles"))
            }
        },
        "python" | "py" => {
            let file = included(fence).and_then(|file| resolve(path, file)).unwrap_or_default();
            let run = file.starts_with("docs/python/") && file.ends_with(".py");
            (!run).then(|| "a `python` fence is exactly one include of a program in docs/python".to_owned())
        }
        "sh" | "toml" | "json" | "sql" | "console" => None,
        other => Some(format!("no fence is written in {other:?}")),
    }
    .or_else(|| {
        let ignored = ["ignore", "no_run", "compile_fail", "should_panic"];
        let word = fence.words().find(|word| ignored.contains(word))?;
        Some(format!("`{word}` says nothing here: cargo compiles the included code, not mdBook"))
    })
}

/// The file that is the fence's one line.
fn included<'a>(fence: &Fence<'a>) -> Option<&'a str> {
    let mut lines = fence.body.iter().filter(|line| !line.trim().is_empty());
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return None;
    };
    let directive = line.trim().strip_prefix("{{#")?.strip_suffix("}}")?;
    directive.strip_prefix("include ")?.trim().split(':').next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::only_fault;

    fn page(text: &str) -> Vec<String> {
        faults(&Repository::sample(&[("docs/src/a/b.md", text)]))
    }

    #[test]
    fn rust_that_is_written_into_a_page_is_a_fault() {
        let fault = only_fault(page("# A\n\n```rust\nlet x = 1;\n```\n"));
        assert!(fault.starts_with("docs/src/a/b.md:3: "), "{fault}");
        only_fault(page("```rust\n{{#include ../../../crates/a/src/b.rs:c}}\nlet x = 1;\n```\n"));
        only_fault(page("```rust,ignore\nlet x = 1;\n```\n"));
    }

    #[test]
    fn rust_that_nothing_compiles_is_a_fault() {
        only_fault(page("```rust\n{{#include ../snippet.rs}}\n```\n"));
        only_fault(page("```rust,ignore\n{{#include ../../../crates/a/src/b.rs:c}}\n```\n"));
    }

    #[test]
    fn python_that_nothing_runs_is_a_fault() {
        only_fault(page("```python\nprint()\n```\n"));
        only_fault(page("```python\n{{#include ../../../crates/a.py}}\n```\n"));
    }

    #[test]
    fn a_fence_in_an_unknown_language_is_a_fault() {
        only_fault(page("```ruts\nlet x = 1;\n```\n"));
    }

    #[test]
    fn included_code_text_and_commands_are_no_fault() {
        let text = "```rust\n{{#include ../../../crates/a/src/b.rs:c}}\n```\n\
                    ```rust,text\nlet x = 1;\n```\n\
                    ```python\n{{#include ../../python/a.py:b}}\n```\n\
                    ```sh\ncargo run\n```\n";
        assert_eq!(page(text), [""; 0]);
    }
}
