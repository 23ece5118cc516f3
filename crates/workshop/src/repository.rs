use crate::{
    course::{self, Exercise},
    stop::Stop,
};
use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// The learner's clone of the course.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    pub(crate) root: PathBuf,
}

impl Repository {
    /// The one around the current directory, or the one that `WORKSHOP_ROOT` names.
    pub(crate) fn find() -> Result<Self, Stop> {
        let repository = Self::find_root()?;
        if repository.exercises().next().is_none() {
            return Err(Stop::because(format!(
                "no chapter has exercises in {}: `git checkout` brings the missing files back",
                repository.root.display()
            )));
        }
        Ok(repository)
    }

    fn find_root() -> Result<Self, Stop> {
        if let Some(root) = env::var_os("WORKSHOP_ROOT").filter(|root| !root.is_empty()) {
            let root = PathBuf::from(root);
            return if is_root(&root) {
                Ok(Self { root: std::path::absolute(&root).unwrap_or(root) })
            } else {
                Err(Stop::because(format!(
                    "WORKSHOP_ROOT is {}, where no course is (a Cargo.toml with [workspace], and crates/): correct it \
                     or unset it",
                    root.display()
                )))
            };
        }
        let here = env::current_dir().map_err(Stop::cannot("tell the current directory"))?;
        match here.ancestors().find(|folder| is_root(folder)) {
            Some(root) => Ok(Self { root: root.to_owned() }),
            None => Err(Stop::because(format!(
                "no course in {} or above it: change into your clone of the repository and try again",
                here.display()
            ))),
        }
    }

    /// The exercises of the chapters that are here, in the course's order. In a partial clone a chapter may be missing.
    pub(crate) fn exercises(&self) -> impl Iterator<Item = Exercise> {
        course::exercises()
            .filter(|exercise| self.root.join("crates").join(exercise.chapter).join("exercises").is_dir())
    }

    /// The exercise of this name.
    pub(crate) fn exercise(&self, name: &str) -> Result<Exercise, Stop> {
        self.exercises().find(|exercise| exercise.name == name).ok_or_else(|| {
            unknown("exercise", name, self.exercises().map(|exercise| exercise.name.to_owned()))
        })
    }

    /// The exercise's folder.
    pub(crate) fn folder(&self, exercise: Exercise) -> PathBuf {
        self.root.join(folder(exercise))
    }

    /// A file of the exercise.
    pub(crate) fn file(&self, exercise: Exercise, name: &str) -> PathBuf {
        self.folder(exercise).join(name)
    }

    /// What an answer to the exercise is built with: the chapter's dependencies, unless the exercise has its own.
    pub(crate) fn dependencies(&self, exercise: Exercise) -> PathBuf {
        let own = self.file(exercise, "dependencies.toml");
        if own.is_file() {
            own
        } else {
            self.root.join("crates").join(exercise.chapter).join("exercises/dependencies.toml")
        }
    }

    /// A file of the exercise, read; the error says how to get it back.
    pub(crate) fn read(&self, exercise: Exercise, name: &str) -> Result<Vec<u8>, Stop> {
        let path = self.file(exercise, name);
        fs::read(&path).map_err(|why| {
            let way_out = if name == "exercise.rs" {
                format!("`cargo run -- reset {}` brings the starting point back", exercise.name)
            } else {
                String::from("it belongs to the course: `git checkout` brings it back")
            };
            Stop::because(format!("cannot read {}: {why}; {way_out}", self.shown(&path).display()))
        })
    }

    /// A text of the exercise.
    pub(crate) fn read_text(&self, exercise: Exercise, name: &str) -> Result<String, Stop> {
        Ok(String::from_utf8_lossy(&self.read(exercise, name)?).into_owned())
    }

    /// What the workshop itself keeps. All of it can be deleted at any time.
    pub(crate) fn workshop(&self) -> PathBuf {
        self.root.join("target").join("workshop")
    }

    /// The path as the learner would type it: relative to the current directory where that is shorter.
    pub(crate) fn shown<'a>(&self, path: &'a Path) -> &'a Path {
        let here = env::current_dir().unwrap_or_default();
        path.strip_prefix(here).unwrap_or(path)
    }

    /// Files `crates/*/FOLDER/*.EXTENSION`, as (crate, name, path), sorted.
    pub(crate) fn across_crates(&self, folder: &str, extension: &str) -> Vec<(String, String, PathBuf)> {
        let mut found = Vec::new();
        for krate in entries(&self.root.join("crates")) {
            for path in entries(&krate.join(folder)) {
                if path.extension().is_some_and(|its| its == extension)
                    && let (Some(krate), Some(name)) = (krate.file_name(), path.file_stem())
                {
                    found.push((
                        krate.to_string_lossy().into_owned(),
                        name.to_string_lossy().into_owned(),
                        path.clone(),
                    ));
                }
            }
        }
        found.sort();
        found
    }
}

/// The exercise's folder, relative to the root.
pub(crate) fn folder(exercise: Exercise) -> PathBuf {
    ["crates", exercise.chapter, "exercises", exercise.name].iter().collect()
}

fn is_root(folder: &Path) -> bool {
    folder.join("crates").is_dir()
        && fs::read_to_string(folder.join("Cargo.toml")).is_ok_and(|text| text.contains("[workspace]"))
}

/// The paths in a folder; none if it cannot be read.
pub(crate) fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// The error for a name that nothing has.
pub(crate) fn unknown(what: &str, name: &str, names: impl Iterator<Item = String>) -> Stop {
    let names: Vec<String> = names.collect();
    let nearest = names
        .iter()
        .map(|other| (strsim::jaro(name, other), other))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or(String::new(), |(_, nearest)| format!("; did you mean {nearest:?}?"));
    let names = if names.is_empty() { String::from("there are none") } else { names.join(", ") };
    Stop::because(format!(
        "no {what} is called {name:?}{nearest} There is: {names}",
        nearest = if nearest.is_empty() { String::from(".") } else { nearest }
    ))
}

impl Repository {
    /// The name of the page that an exercise stands on: its own, or that of the page which includes it.
    pub(crate) fn page(&self, exercise: Exercise) -> Option<String> {
        let pages = self.root.join("docs/src").join(exercise.chapter);
        let own = pages.join(exercise.name).with_extension("md");
        if own.is_file() {
            return Some(exercise.name.to_owned());
        }
        let directive = format!("{{{{#exercise {}/{}}}}}", exercise.chapter, exercise.name);
        let mut names: Vec<String> = fs::read_dir(pages)
            .ok()?
            .filter_map(|entry| {
                let path = entry.ok()?.path();
                let text = fs::read_to_string(&path).ok()?;
                text.contains(&directive).then(|| path.file_stem()?.to_str().map(str::to_owned)).flatten()
            })
            .collect();
        names.sort();
        names.into_iter().next()
    }

    /// What `name` stands for among `names`: itself, or, if it is that of an exercise, the name of its page.
    pub(crate) fn on_page(&self, name: &str, names: &[(String, String, PathBuf)]) -> String {
        let known = |name: &str| names.iter().any(|(_, its, _)| its == name);
        let page = || self.page(self.exercise(name).ok()?).filter(|page| known(page));
        if known(name) { name.to_owned() } else { page().unwrap_or_else(|| name.to_owned()) }
    }
}
