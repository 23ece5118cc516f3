use common::verdict::GENERAL_RULES;

/// What an exercise's README says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Readme {
    /// After `# name: `.
    pub(crate) title: String,
    /// The paragraphs between the title and the rules; a paragraph that starts with [`FENCE`] is code, one `- ` each
    /// is a list item.
    pub(crate) task: Vec<String>,
    /// Ids and texts.
    pub(crate) rules: Vec<(String, String)>,
    /// From the gentlest to the plainest.
    pub(crate) hints: Vec<String>,
}

/// How a paragraph that is a code block starts; its lines follow as they are.
pub(crate) const FENCE: &str = "```";

#[derive(Clone, Copy, PartialEq)]
enum Section {
    Task,
    Rules,
    Hints,
    Other,
}

impl Readme {
    /// Reads a README. Whatever is missing stays empty: a README never keeps an answer from being judged.
    pub(crate) fn parse(text: &str) -> Self {
        let mut readme = Self::default();
        let mut section = Section::Task;
        let mut blocks: Vec<String> = Vec::new();
        let mut fence = false;
        let mut open = false;
        for line in text.lines() {
            let trimmed = line.trim();
            if !fence && let Some(title) = trimmed.strip_prefix("# ") {
                readme.title = title.split_once(": ").map_or(title, |(_, title)| title).to_owned();
                continue;
            }
            if !fence && let Some(heading) = trimmed.strip_prefix("## ") {
                readme.close(section, &mut blocks);
                open = false;
                section = match heading {
                    "Rules" => Section::Rules,
                    "Hints" => Section::Hints,
                    _ => Section::Other,
                };
                continue;
            }
            if trimmed.starts_with(FENCE) {
                fence = !fence;
                if fence && section == Section::Task {
                    blocks.push(FENCE.to_owned());
                } else if section == Section::Task {
                    open = false;
                    continue;
                }
                open = true;
                continue;
            }
            if trimmed.is_empty() && !fence {
                open = false;
                continue;
            }
            // An item goes on, after an empty line too, on lines that are indented.
            let goes_on = open || (section != Section::Task && line.starts_with("  "));
            match blocks.last_mut() {
                Some(block) if fence => {
                    block.push('\n');
                    block.push_str(line);
                }
                Some(block) if goes_on && !starts_item(trimmed) => {
                    block.push(' ');
                    block.push_str(trimmed);
                }
                _ => blocks.push(trimmed.to_owned()),
            }
            open = true;
        }
        readme.close(section, &mut blocks);
        readme
    }

    fn close(&mut self, section: Section, blocks: &mut Vec<String>) {
        let blocks = std::mem::take(blocks);
        match section {
            Section::Task => self.task = blocks,
            Section::Rules => self.rules = blocks.iter().filter_map(|block| rule(block)).collect(),
            Section::Hints => self.hints = blocks.iter().filter_map(|block| hint(block)).collect(),
            Section::Other => {}
        }
    }

    /// The text of a rule and its place among the rules, counted from 1. The rules that hold everywhere need not stand
    /// in the README.
    pub(crate) fn rule(&self, id: &str) -> Option<(Option<usize>, &str)> {
        if let Some(place) = self.rules.iter().position(|(its, _)| its == id) {
            return Some((Some(place + 1), &self.rules[place].1));
        }
        GENERAL_RULES.into_iter().find(|(its, _)| *its == id).map(|(_, text)| (None, text))
    }
}

fn starts_item(line: &str) -> bool {
    line.starts_with("- ") || numbered(line).is_some()
}

/// The text after `1. `.
fn numbered(line: &str) -> Option<&str> {
    let (number, text) = line.split_once(". ")?;
    (!number.is_empty() && number.len() <= 2 && number.bytes().all(|byte| byte.is_ascii_digit()))
        .then_some(text)
}

/// "- `id`: text".
fn rule(block: &str) -> Option<(String, String)> {
    let (id, text) = block.strip_prefix("- `")?.split_once('`')?;
    Some((id.to_owned(), text.trim_start_matches(':').trim().to_owned()))
}

fn hint(block: &str) -> Option<String> {
    numbered(block).map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FULL: &str = "# bounded: at most a few at once\n\nCall `fetch` for\neach id.\n\n- in order\n- once\n\n```rust\n\
                        let a = 1;\n\n    let b;\n```\n\nEnd.\n\n## Rules\n\n- `order`: results keep\n  the order\n- \
                        `bounded`: at most `limit` at once\n\n## Hints\n\n1. Think of a\n   `Semaphore`.\n\n   Or more.\n2. \
                        Take 3. Not 4.\n";

    #[test]
    fn every_part_is_found() {
        let readme = Readme::parse(FULL);
        assert_eq!(readme.title, "at most a few at once");
        assert_eq!(
            readme.task,
            ["Call `fetch` for each id.", "- in order", "- once", "```\nlet a = 1;\n\n    let b;", "End."]
        );
        assert_eq!(readme.rules[0], (String::from("order"), String::from("results keep the order")));
        assert_eq!(readme.rules.len(), 2);
        assert_eq!(readme.hints, ["Think of a `Semaphore`. Or more.", "Take 3. Not 4."]);
        assert_eq!(readme.rule("bounded"), Some((Some(2), "at most `limit` at once")));
        assert!(readme.rule("ends").is_some_and(|(place, _)| place.is_none()));
        assert_eq!(readme.rule("nonsense"), None);
    }

    #[test]
    fn windows_line_ends_change_nothing() {
        assert_eq!(Readme::parse(&FULL.replace('\n', "\r\n")), Readme::parse(FULL));
    }

    #[test]
    fn no_beginning_of_a_readme_panics() {
        for end in (0..FULL.len()).filter(|end| FULL.is_char_boundary(*end)) {
            drop(Readme::parse(&FULL[..end]));
        }
    }
}
