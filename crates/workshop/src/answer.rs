use crate::{
    course::Exercise,
    repository::{Repository, folder},
    stop::Stop,
};
use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

/// No answer that a person wrote is longer.
const MOST_BYTES: u64 = 16 << 20;

/// An answer to judge: the learner's own file or any other.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// What the file held when the check began. The learner may go on typing.
    pub(crate) bytes: Vec<u8>,
    /// Its path, as it is shown.
    pub(crate) path: String,
}

impl Answer {
    /// The learner's own.
    pub(crate) fn own(repository: &Repository, exercise: Exercise) -> Result<Self, Stop> {
        let path = repository.file(exercise, "exercise.rs");
        let bytes = repository.read(exercise, "exercise.rs")?;
        Ok(Self { bytes, path: repository.shown(&path).display().to_string() })
    }

    /// Any file.
    pub(crate) fn from_file(path: &Path) -> Result<Self, Stop> {
        let cannot = |why: &dyn fmt::Display| {
            Stop::because(format!(
                "cannot read the answer {}: {why}; give the path of a .rs file",
                path.display()
            ))
        };
        // Asked first: to read a pipe is to wait for ever, and a device may have no end.
        let about = fs::metadata(path).map_err(|why| cannot(&why))?;
        if !about.is_file() {
            return Err(cannot(&"it is not a file"));
        }
        if about.len() > MOST_BYTES {
            return Err(cannot(&format!("it has {} MB", about.len() >> 20)));
        }
        let bytes = fs::read(path).map_err(|why| cannot(&why))?;
        Ok(Self { bytes, path: path.display().to_string() })
    }
}

/// An answer as a package of its own, apart from the workspace: it is built whatever state the learner's other files
/// are in, into a target directory for which no editor fights.
#[derive(Debug)]
pub(crate) struct Staged {
    /// Where its Cargo.toml is.
    pub(crate) package: PathBuf,
    /// The staged answer, relative to the package. It lies there as the learner's file lies in the repository, so that
    /// rustc's messages and panics name a path that the learner knows.
    pub(crate) source: PathBuf,
    /// Whether anything differs from what was staged before.
    pub(crate) changed: bool,
}

/// Writes the package. Files that are already right are left alone, which keeps cargo from building again.
pub(crate) fn stage(repository: &Repository, exercise: Exercise, answer: &Answer) -> Result<Staged, Stop> {
    let package = repository.workshop().join("answers").join(exercise.name);
    let sources = folder(exercise);
    let dependencies_path = repository.dependencies(exercise);
    let dependencies = fs::read_to_string(&dependencies_path).map_err(Stop::cannot(format_args!(
        "read {} (it belongs to the course: `git checkout` brings it back)",
        dependencies_path.display()
    )))?;
    let mut changed =
        put(&package.join("Cargo.toml"), manifest(repository, exercise, &dependencies).as_bytes())?;
    changed |= stage_lock(repository, &package)?;
    for name in ["main.rs", "check.rs"] {
        changed |= put(&package.join(&sources).join(name), &repository.read(exercise, name)?)?;
    }
    changed |= put(&package.join(&sources).join("exercise.rs"), &answer.bytes)?;
    Ok(Staged { package, source: sources.join("exercise.rs"), changed })
}

fn manifest(repository: &Repository, exercise: Exercise, dependencies: &str) -> String {
    // TOML's strings take a slash on Windows, too, and would take a backslash for an escape.
    let root = repository.root.to_string_lossy().replace('\\', "/").replace('"', "\\\"");
    let main = folder(exercise).join("main.rs").to_string_lossy().replace('\\', "/");
    format!(
        r#"# Written by the workshop before each check; changes are lost.
[package]
name = "{name}"
version = "0.0.0"
edition = "2024"
publish = false

[[bin]]
name = "{name}"
path = "{main}"

[workspace]

[lints.rust]
unsafe_code = "forbid"

# Line tables of the answer itself, so that a verdict names the line at which it waits; the less of them, the sooner it is
# linked.
[profile.dev]
debug = "line-tables-only"
[profile.dev.package."*"]
debug = false

{header}{dependencies}"#,
        name = exercise.name,
        header = if dependencies.lines().any(|line| line.trim() == "[dependencies]") {
            ""
        } else {
            "[dependencies]\n"
        },
        dependencies = dependencies.replace("{root}", &root),
    )
}

/// The workspace's lock file, so that every learner has the versions that were tested. cargo rewrites the copy (it drops
/// what this package does not use), so a second copy tells whether the original has changed.
fn stage_lock(repository: &Repository, package: &Path) -> Result<bool, Stop> {
    let original = match fs::read(repository.root.join("Cargo.lock")) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(Stop::cannot("read Cargo.lock")(error)),
    };
    let staged = package.join("Cargo.lock");
    let changed = put(&package.join("Cargo.lock.original"), &original)? || !staged.exists();
    if changed {
        put(&staged, &original)?;
    }
    Ok(changed)
}

/// Writes a file unless it holds these bytes already; whether it had to.
fn put(path: &Path, bytes: &[u8]) -> Result<bool, Stop> {
    if fs::read(path).is_ok_and(|present| present == bytes) {
        return Ok(false);
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(Stop::cannot(format_args!("create {}", folder.display())))?;
    }
    fs::write(path, bytes).map_err(Stop::cannot(format_args!("write {}", path.display())))?;
    Ok(true)
}
