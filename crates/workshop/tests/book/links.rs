//! Every link of a page leads to a page or a heading of the book, or out into the web.

use crate::{
    markdown::{ids, parse, without_code},
    repository::{Repository, resolve},
};

/// Links that lead nowhere.
pub(crate) fn faults(repository: &Repository) -> Vec<String> {
    let mut faults = Vec::new();
    for (path, text) in repository.pages() {
        for (line, text) in parse(text).prose {
            for target in targets(&without_code(text)) {
                let fault = fault(repository, path, &target);
                faults.extend(fault.map(|fault| format!("{path}:{line}: ({target}) {fault}")));
            }
        }
    }
    faults
}

/// `[text](target)`, `[name]: target` and `href="target"`.
fn targets(line: &str) -> Vec<String> {
    let inline = line.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    let reference =
        line.starts_with('[').then(|| line.split_once("]: ")).flatten().map(|(_, target)| target.trim());
    let html = ["href=\"", "src=\""]
        .into_iter()
        .flat_map(|attribute| line.split(attribute).skip(1).filter_map(|rest| rest.split('"').next()));
    inline.chain(reference).chain(html).map(str::to_owned).collect()
}

fn fault(repository: &Repository, path: &str, target: &str) -> Option<String> {
    if target.starts_with("https://") || target.starts_with("http://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = target.split_once('#').map_or((target, None), |(file, anchor)| (file, Some(anchor)));
    let file = if file.is_empty() { Some(path.to_owned()) } else { resolve(path, file) };
    let Some(file) = file.filter(|file| file.starts_with("docs/src/")) else {
        return Some("leads out of the book: a built book stands alone".to_owned());
    };
    let Some(text) = repository.text(&file) else {
        return Some(format!("leads to {file}, which is not there"));
    };
    let anchor = anchor?;
    (!ids(&parse(text)).iter().any(|id| id == anchor))
        .then(|| format!("{file} has no heading with the id {anchor:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::only_fault;

    fn page(text: &str) -> Vec<String> {
        faults(&Repository::sample(&[
            ("docs/src/a/b.md", text),
            ("docs/src/c.md", "# C\n\n## A part of it\n"),
            ("crates/a/README.md", ""),
        ]))
    }

    #[test]
    fn a_link_to_no_page_is_a_fault() {
        let fault = only_fault(page("one\n[d](../d.md)\n"));
        assert!(fault.starts_with("docs/src/a/b.md:2: "), "{fault}");
        only_fault(page("[d]: ../d.md\n"));
        only_fault(page("<a href=\"../d.md\">d</a>\n"));
    }

    #[test]
    fn a_link_to_no_heading_is_a_fault() {
        only_fault(page("[c](../c.md#no-part)\n"));
        only_fault(page("# B\n\n[here](#there)\n"));
    }

    #[test]
    fn a_link_out_of_the_book_is_a_fault() {
        only_fault(page("[code](../../../crates/a/README.md)\n"));
        only_fault(page("[out](../../../../x)\n"));
    }

    #[test]
    fn a_link_that_leads_somewhere_is_no_fault() {
        let text =
            "# B\n[c](../c.md) [part](../c.md#a-part-of-it) [b](#b) [web](https://example.org/#x) `[x](y)`\n";
        assert_eq!(page(text), [""; 0]);
    }
}
