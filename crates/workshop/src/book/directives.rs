use super::{Error, Result, excerpt, exercise, figure, terminal};
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

/// Expands the directives of one book, chapter by chapter.
pub(super) struct Expander {
    workspace: PathBuf,
    /// How often each id was given out: ids must be unique on the print page, which holds every chapter.
    ids: HashMap<String, usize>,
}

/// Where a directive stands.
pub(super) struct Chapter<'a> {
    pub(super) name: &'a str,
    /// Relative to `docs/src`; a draft has none.
    pub(super) path: Option<&'a Path>,
}

impl Expander {
    pub(super) fn new(workspace: PathBuf) -> Self {
        Self { workspace, ids: HashMap::new() }
    }

    /// The text with every directive replaced. One that there is not fails, since mdBook would print it into the page.
    pub(super) fn expand(&mut self, chapter: &Chapter<'_>, text: &str) -> Result<String> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, tail)) = rest.split_once("{{#") {
            out.push_str(before);
            if before.ends_with('\\') {
                // Escaped: mdBook takes the backslash away.
                out.push_str("{{#");
                rest = tail;
                continue;
            }
            let (directive, after) = tail
                .split_once("}}")
                .ok_or_else(|| fault(chapter, "a directive is opened with {{# and never closed with }}"))?;
            out.push_str(
                &self
                    .replace(chapter, directive)
                    .map_err(|error| fault(chapter, &format!("{{{{#{directive}}}}}: {error}")))?,
            );
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }

    fn replace(&mut self, chapter: &Chapter<'_>, directive: &str) -> Result<String> {
        let (word, argument) = directive.trim().split_once(char::is_whitespace).unwrap_or((directive, ""));
        let argument = argument.trim();
        match word {
            "timeline" => {
                let name = Name::parse(argument)?;
                figure::figures(&self.read(&name.timelines())?, &self.id("timeline", &name))
            }
            "terminal" => figure::terminal(&self.read(&Name::parse(argument)?.timelines())?),
            "exercise" => {
                let name = Name::parse(argument)?;
                let readme = self.read(&format!("{}/README.md", name.exercise()))?;
                exercise::section(&readme, &name, &self.id("exercise", &name))
            }
            "verdict" => {
                let name = Name::parse(argument)?;
                let recorded =
                    self.read(&format!("docs/src/{}/{}.verdict.txt", name.chapter, name.pattern))?;
                terminal::figure(&recorded)
            }
            "include" => self.included(chapter, argument),
            "title" => Ok(format!("{{{{#{directive}}}}}")),
            _ => Err(Error::new("there is no such directive")),
        }
    }

    /// The file, or the part of it between the marks of an anchor, moved to the left margin. mdBook would do the same but
    /// for the margin; and where something is missing it would report it and build on.
    fn included(&self, chapter: &Chapter<'_>, argument: &str) -> Result<String> {
        let (file, anchor) = argument.split_once(':').map_or((argument, None), |(file, at)| (file, Some(at)));
        let folder = chapter.path.and_then(Path::parent).unwrap_or(Path::new(""));
        let path = self.workspace.join("docs/src").join(folder).join(file);
        let text = fs::read_to_string(&path).map_err(|error| Error::new(format!("{file}: {error}")))?;
        excerpt::excerpt(&text, anchor).map_err(|missing| Error::new(format!("{file} has no `{missing}`")))
    }

    fn read(&self, path: &str) -> Result<String> {
        let text = fs::read_to_string(self.workspace.join(path));
        let text = text.map_err(|error| Error::new(format!("{path}: {error}")))?;
        // On Windows a clone may have other line ends.
        Ok(text.replace("\r\n", "\n"))
    }

    fn id(&mut self, kind: &str, name: &Name<'_>) -> String {
        let id = format!("{kind}-{}-{}", name.chapter, name.pattern);
        let times = self.ids.entry(id.clone()).or_default();
        *times += 1;
        if *times == 1 { id } else { format!("{id}-again-{times}") }
    }
}

fn fault(chapter: &Chapter<'_>, what: &str) -> Error {
    let path = chapter.path.map(|path| format!(" ({})", path.display())).unwrap_or_default();
    Error::new(format!("chapter {:?}{path}: {what}", chapter.name))
}

/// A pattern, as directives name it: `concurrency/gather`.
pub(super) struct Name<'a> {
    pub(super) chapter: &'a str,
    pub(super) pattern: &'a str,
}

impl<'a> Name<'a> {
    fn parse(text: &'a str) -> Result<Self> {
        let plain = |part: &str| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
        };
        match text.split_once('/') {
            Some((chapter, pattern)) if plain(chapter) && plain(pattern) => Ok(Self { chapter, pattern }),
            _ => Err(Error::new(format!("{text:?} is not of the form chapter/pattern"))),
        }
    }

    fn timelines(&self) -> String {
        format!("crates/{}/tests/timelines/{}.json", self.chapter, self.pattern)
    }

    pub(super) fn exercise(&self) -> String {
        format!("crates/{}/exercises/{}", self.chapter, self.pattern)
    }
}

/// Text as HTML. An empty line would end a block of raw HTML in Markdown, so none is left.
pub(super) fn escape(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\n' && (out.is_empty() || out.ends_with('\n') || out.ends_with("&#10;")) {
            out.push_str("&#10;");
        } else {
            out.push(c);
        }
    }
    out
}
