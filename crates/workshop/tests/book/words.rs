//! A page is read in one sitting.

use crate::{markdown::parse, repository::Repository};

const MOST: usize = 900;

/// Pages to look things up in, which nobody reads from top to bottom. They too have an end.
const LOOKED_UP: [(&str, usize); 4] = [
    // Sixty pairs, and for each a heading, a sentence and an entry in the table at its top.
    ("docs/src/cheat-sheet.md", 1400),
    ("docs/src/coming-from-asyncio.md", 2000),
    // Beside the work, place after place.
    ("docs/src/contributing.md", 1000),
    ("docs/src/gotchas.md", 2000),
];

/// Pages that are too long, not counting their code; and pages that do not begin with their one title.
pub(crate) fn faults(repository: &Repository) -> Vec<String> {
    let mut faults = Vec::new();
    for (path, text) in repository.pages() {
        let page = parse(text);
        let words = page.prose.iter().flat_map(|(_, line)| line.split_whitespace());
        let count = words.filter(|word| word.contains(char::is_alphanumeric)).count();
        let most = LOOKED_UP.iter().find(|(page, _)| *page == path).map_or(MOST, |(_, most)| *most);
        if count >= most {
            faults.push(format!("{path}: {count} words; this page stays under {most}"));
        }
        let titles = page.prose.iter().filter(|(_, line)| line.starts_with("# ")).count();
        if titles != 1 || !text.starts_with("# ") {
            faults.push(format!("{path}: a page begins with its title, and has one"));
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::only_fault;

    fn page(text: &str) -> Vec<String> {
        faults(&Repository::sample(&[("docs/src/a.md", text)]))
    }

    #[test]
    fn a_page_of_nine_hundred_words_is_a_fault() {
        assert_eq!(page(&format!("# A\n\n{}", "word ".repeat(898))), [""; 0]);
        only_fault(page(&format!("# A\n\n{}", "word ".repeat(899))));
    }

    #[test]
    fn code_is_not_counted() {
        assert_eq!(page(&format!("# A\n\n```text\n{}\n```\n", "word ".repeat(2000))), [""; 0]);
    }

    #[test]
    fn a_page_without_its_one_title_is_a_fault() {
        only_fault(page("text\n"));
        only_fault(page("# A\n\n# B\n"));
    }
}
