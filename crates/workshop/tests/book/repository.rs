//! The text files of a repository, by their paths.

use std::{collections::BTreeMap, fs, path::Path};

/// Each file's path, with `/` between its parts, and its text.
pub(crate) struct Repository(BTreeMap<String, String>);

impl Repository {
    /// This repository, as it stands.
    pub(crate) fn read() -> Self {
        let top = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .nth(2)
            .expect("crates/workshop has two parents");
        let mut files = BTreeMap::new();
        // Where a page can lead to.
        for folder in ["docs", "crates", "benches"] {
            collect(top, folder, &mut files);
        }
        Self(files)
    }

    /// A small one, for the faults.
    pub(crate) fn sample(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect())
    }

    /// The text of the file at a path.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    /// The pages: path and text, without the summary.
    pub(crate) fn pages(&self) -> impl Iterator<Item = (&str, &str)> {
        let files = self.0.iter().map(|(path, text)| (path.as_str(), text.as_str()));
        files.filter(|(path, _)| {
            path.starts_with("docs/src/") && path.ends_with(".md") && *path != "docs/src/SUMMARY.md"
        })
    }
}

fn collect(top: &Path, folder: &str, files: &mut BTreeMap<String, String>) {
    // `benches` may not be there; `docs/book` is made from the rest.
    for entry in fs::read_dir(top.join(folder)).into_iter().flatten().flatten() {
        let path = format!("{folder}/{}", entry.file_name().to_string_lossy());
        if path == "docs/book" || path.ends_with("/target") {
            continue;
        }
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(top, &path, files);
        } else if let Ok(text) = fs::read_to_string(entry.path()) {
            // On Windows a clone may have other line ends.
            files.insert(path, text.replace("\r\n", "\n"));
        }
    }
}

/// Where a relative path leads from a file; nothing, if it leads out of the repository.
pub(crate) fn resolve(from: &str, to: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in to.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[test]
fn a_path_is_resolved_from_the_file_that_names_it() {
    assert_eq!(resolve("docs/src/a/b.md", "../c.md").as_deref(), Some("docs/src/c.md"));
    assert_eq!(resolve("docs/src/a.md", "../../crates/x.rs").as_deref(), Some("crates/x.rs"));
    assert_eq!(resolve("a.md", "../b.md"), None);
}
