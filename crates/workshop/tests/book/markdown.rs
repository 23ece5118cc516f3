//! As much of Markdown as the checks need.

/// A fenced block of code.
pub(crate) struct Fence<'a> {
    /// The line of its opening, from 1.
    pub(crate) line: usize,
    /// What follows the opening marks: `rust,ignore`.
    pub(crate) info: &'a str,
    /// The lines between the marks.
    pub(crate) body: Vec<&'a str>,
}

impl Fence<'_> {
    /// The words of the opening.
    pub(crate) fn words(&self) -> impl Iterator<Item = &str> {
        self.info.split([',', ' ']).filter(|word| !word.is_empty())
    }
}

/// A page, taken apart.
#[derive(Default)]
pub(crate) struct Page<'a> {
    pub(crate) fences: Vec<Fence<'a>>,
    /// The lines outside of fences, with their numbers, from 1.
    pub(crate) prose: Vec<(usize, &'a str)>,
}

pub(crate) fn parse(text: &str) -> Page<'_> {
    let mut page = Page::default();
    let mut open: Option<(Fence<'_>, &str)> = None;
    for (line, text) in (1..).zip(text.lines()) {
        let trimmed = text.trim_start();
        let marks = marks(trimmed);
        open = match open {
            None if !marks.is_empty() => {
                let info = trimmed[marks.len()..].trim();
                Some((Fence { line, info, body: Vec::new() }, marks))
            }
            None => {
                page.prose.push((line, text));
                None
            }
            // A fence is closed by at least as many of the same marks, and nothing else.
            Some((fence, opened)) if trimmed.starts_with(opened) && trimmed.trim_end() == marks => {
                page.fences.push(fence);
                None
            }
            Some((mut fence, opened)) => {
                fence.body.push(text);
                Some((fence, opened))
            }
        };
    }
    page.fences.extend(open.map(|(fence, _)| fence));
    page
}

/// The run of three or more marks that opens or closes a fence; else nothing.
fn marks(line: &str) -> &str {
    let run = |mark| line.len() - line.trim_start_matches(mark).len();
    &line[..[run('`'), run('~')].into_iter().find(|long| *long >= 3).unwrap_or(0)]
}

/// A line without the code in it: what stands between backticks is no link and no directive.
pub(crate) fn without_code(line: &str) -> String {
    line.split('`').step_by(2).collect::<Vec<_>>().join("``")
}

/// The ids that mdBook gives to the headings of a page, and those that its HTML carries.
pub(crate) fn ids(page: &Page<'_>) -> Vec<String> {
    let mut ids: Vec<String> = Vec::new();
    for (_, line) in &page.prose {
        if let Some(heading) = heading(line) {
            let id = id(heading);
            let twins = (1..).map(|n| format!("{id}-{n}"));
            let free = std::iter::once(id.clone()).chain(twins).find(|id| !ids.contains(id));
            ids.extend(free);
        }
        let quoted = line.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next());
        ids.extend(quoted.map(str::to_owned));
    }
    ids
}

fn heading(line: &str) -> Option<&str> {
    let text = line.trim_start_matches('#');
    let level = line.len() - text.len();
    ((1..=6).contains(&level) && text.starts_with(' ')).then(|| text.trim())
}

/// Letters, digits, `_` and `-` of the heading's text, in lower case; a blank becomes `-`, all else falls out.
fn id(heading: &str) -> String {
    let text = match heading.rsplit_once("{#") {
        Some((_, own)) => return own.trim_end_matches('}').to_owned(),
        None => shown(heading),
    };
    let kept = text.to_lowercase();
    let kept = kept.chars().filter_map(|c| match c {
        c if c.is_alphanumeric() || c == '_' || c == '-' => Some(c),
        c if c.is_whitespace() => Some('-'),
        _ => None,
    });
    kept.collect()
}

/// The text of a heading without the targets of its links.
fn shown(heading: &str) -> String {
    let mut out = String::new();
    let mut rest = heading;
    while let Some((before, after)) = rest.split_once("](") {
        out.push_str(before);
        rest = after.split_once(')').map_or("", |(_, rest)| rest);
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_of_mdbook() {
        let page = parse(
            "# A `b-c` & d\n\n## When is it blocking?\n## Twice\n## Twice\n## [Über](x.md) it {#own}\n",
        );
        assert_eq!(ids(&page), ["a-b-c--d", "when-is-it-blocking", "twice", "twice-1", "own"]);
        assert_eq!(ids(&parse("## [Über](x.md) it")), ["über-it"]);
        assert_eq!(ids(&parse("```text\n# no heading\n```")), [""; 0]);
    }

    #[test]
    fn a_fence_within_a_longer_fence_is_text() {
        let page = parse("````text\n```rust\nx\n```\n````\nafter");
        assert_eq!(page.fences.len(), 1);
        assert_eq!(page.fences[0].body, ["```rust", "x", "```"]);
        assert_eq!(page.prose, [(6, "after")]);
    }

    #[test]
    fn a_fence_in_a_list_is_a_fence() {
        let page = parse("- one\n\n  ```rust\n  x\n  ```\n");
        assert_eq!(page.fences[0].info, "rust");
    }
}
