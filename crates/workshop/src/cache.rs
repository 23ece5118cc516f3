use crate::{
    course::Exercise,
    repository::{Repository, entries},
};
use common::verdict::Kind;
use serde_json::{Map, Value, json};
use std::{
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    path::{Path, PathBuf},
};

/// Verdicts on contents that were judged before.
///
/// It saves time and holds nothing that the files do not: missing, damaged, or impossible to write, it only means that
/// an answer is judged again. Each entry carries a hash over itself and all that the verdict depends on, so that
/// neither an old entry nor a damaged one can count.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    path: PathBuf,
}

/// Stands for everything that a verdict depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Content(u64);

impl Content {
    /// The content of an exercise with this answer.
    pub(crate) fn of(repository: &Repository, exercise: Exercise, answer: &[u8]) -> Self {
        // The hasher of another Rust release may differ; then everything is judged once more.
        let mut hasher = DefaultHasher::new();
        answer.hash(&mut hasher);
        let crates = repository.root.join("crates");
        let mut files = vec![
            repository.file(exercise, "check.rs"),
            repository.file(exercise, "main.rs"),
            repository.dependencies(exercise),
            repository.root.join("Cargo.toml"),
            repository.root.join("Cargo.lock"),
        ];
        for krate in ["common", "testing", exercise.chapter] {
            files.push(crates.join(krate).join("Cargo.toml"));
            sources(&crates.join(krate).join("src"), &mut files);
        }
        for file in files {
            file.strip_prefix(&repository.root).unwrap_or(&file).hash(&mut hasher);
            fs::read(&file).ok().hash(&mut hasher);
        }
        Self(hasher.finish())
    }

    fn sealed(self, verdict: &str, rule: Option<&str>) -> String {
        let mut hasher = DefaultHasher::new();
        (self.0, verdict, rule).hash(&mut hasher);
        format!("{:016x}{:016x}", self.0, hasher.finish())
    }
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for path in entries(folder) {
        if path.is_dir() {
            sources(&path, files);
        } else {
            files.push(path);
        }
    }
}

impl Cache {
    pub(crate) fn new(repository: &Repository) -> Self {
        Self { path: repository.workshop().join("verdicts.json") }
    }

    fn entries(&self) -> Map<String, Value> {
        let bytes = fs::read(&self.path).unwrap_or_default();
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(entries)) => entries,
            _ => Map::new(),
        }
    }

    /// The verdict on this content, if it is known.
    pub(crate) fn get(&self, exercise: Exercise, content: Content) -> Option<(Kind, Option<String>)> {
        let entries = self.entries();
        let entry = entries.get(exercise.name)?;
        let verdict = entry["verdict"].as_str()?;
        let rule = entry["rule"].as_str();
        if entry["content"].as_str()? != content.sealed(verdict, rule) {
            return None;
        }
        Some((Kind::from_word(verdict)?, rule.map(str::to_owned)))
    }

    /// Keeps a verdict. Two writers at once can lose an entry, which costs a check.
    pub(crate) fn put(&self, exercise: Exercise, content: Content, kind: Kind, rule: Option<&str>) {
        let mut entries = self.entries();
        let verdict = kind.word();
        entries.insert(
            exercise.name.to_owned(),
            json!({ "verdict": verdict, "rule": rule, "content": content.sealed(verdict, rule) }),
        );
        let temporary = self.path.with_extension(format!("{}.new", std::process::id()));
        if let Some(folder) = self.path.parent() {
            drop(fs::create_dir_all(folder));
        }
        let text = format!("{:#}\n", Value::Object(entries));
        if fs::write(&temporary, text).and_then(|()| fs::rename(&temporary, &self.path)).is_err() {
            drop(fs::remove_file(&temporary));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATHER: Exercise = Exercise { chapter: "concurrency", name: "gather" };
    const BOUNDED: Exercise = Exercise { chapter: "concurrency", name: "bounded" };

    fn fresh(name: &str) -> Cache {
        let path = std::env::temp_dir().join(format!("workshop-cache-{}-{name}.json", std::process::id()));
        drop(fs::remove_file(&path));
        Cache { path }
    }

    #[test]
    fn a_verdict_holds_for_its_content_only() {
        let cache = fresh("content");
        cache.put(GATHER, Content(1), Kind::RuleBroken, Some("order"));
        cache.put(BOUNDED, Content(7), Kind::Pass, None);
        assert_eq!(cache.get(GATHER, Content(1)), Some((Kind::RuleBroken, Some(String::from("order")))));
        assert_eq!(cache.get(GATHER, Content(2)), None);
        assert_eq!(cache.get(BOUNDED, Content(1)), None);
        assert_eq!(cache.get(BOUNDED, Content(7)), Some((Kind::Pass, None)));
        drop(fs::remove_file(&cache.path));
    }

    #[test]
    fn a_cache_cut_or_damaged_anywhere_forgets_and_never_lies() {
        let cache = fresh("damage");
        cache.put(GATHER, Content(1), Kind::RuleBroken, Some("order"));
        let whole = fs::read(&cache.path).expect("the cache was just written");
        let truth = Some((Kind::RuleBroken, Some(String::from("order"))));
        for end in 0..whole.len() {
            fs::write(&cache.path, &whole[..end]).expect("the temporary folder takes files");
            let got = cache.get(GATHER, Content(1));
            assert!(got.is_none() || got == truth, "cut at {end}: {got:?}");
        }
        for at in 0..whole.len() {
            for bit in [1, 2, 4, 128] {
                let mut damaged = whole.clone();
                damaged[at] ^= bit;
                fs::write(&cache.path, &damaged).expect("the temporary folder takes files");
                let got = cache.get(GATHER, Content(1));
                assert!(got.is_none() || got == truth, "byte {at} changed: {got:?}");
            }
        }
        let forged =
            String::from_utf8_lossy(&whole).replace("rule_broken", "pass").replace("\"order\"", "null");
        fs::write(&cache.path, forged).expect("the temporary folder takes files");
        assert_eq!(cache.get(GATHER, Content(1)), None);
        drop(fs::remove_file(&cache.path));
    }

    #[test]
    fn a_cache_that_cannot_be_written_is_no_error() {
        let cache = Cache { path: std::env::temp_dir() };
        cache.put(GATHER, Content(1), Kind::Pass, None);
        assert_eq!(cache.get(GATHER, Content(1)), None);
    }
}
