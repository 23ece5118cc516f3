use crate::course;
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

/// A course in a temporary folder, removed with it.
pub(crate) struct Course {
    pub(crate) root: PathBuf,
    /// In the environment of every process that the workshop starts here.
    pub(crate) mark: String,
    /// How many seconds an answer may run. Long, so that a busy machine makes no answer a hang that is none.
    pub(crate) budget: &'static str,
}

/// An answer is `pub fn answer() -> u32`: 42 passes, 1 to 3 stand for findings, the rest breaks `right`.
const CHECK: &str = r##"
use std::{io::BufRead as _, panic};

pub fn judge(answer: fn() -> u32) {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).expect("the workshop sends a line");
    let mut nonce = String::new();
    std::io::stdin().lock().read_line(&mut nonce).expect("and a word");
    std::thread::spawn(|| {
        let mut rest = String::new();
        while std::io::stdin().lock().read_line(&mut rest).is_ok_and(|n| n > 0) {}
        std::process::exit(0);
    });
    let found = |kind: &str, rule: &str, seen: &str| {
        format!(
            r#"{{"verdict":"{kind}","finding":{{"rule":"{rule}","case":"one call","expected":"42","seen":"{seen}"}}}}"#
        )
    };
    let verdict = match panic::catch_unwind(answer) {
        Ok(42) => String::from(r#"{"verdict":"pass","finding":null}"#),
        Ok(1) => found("leak", "no-leak", "one task was left"),
        Ok(2) => found("deadlock", "ends", "nobody wakes anybody"),
        Ok(3) => String::from("\u{0}garbage"),
        Ok(other) => found("rule_broken", "right", &format!("{other}")),
        Err(panic) => match panic.downcast_ref::<&str>().map(|text| (*text).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned()) {
            Some(text) if text.starts_with("not yet implemented") => found("todo", "", "the gap"),
            text => found("panic", "no-panic", &text.unwrap_or_default()),
        },
    };
    let nonce = format!(r#"{{"nonce":"{}","#, nonce.trim_end());
    let verdict = verdict.strip_prefix('{').map_or(verdict.clone(), |rest| nonce + rest);
    let path = std::path::PathBuf::from(line.trim_end());
    let beside = path.with_extension("part");
    std::fs::write(&beside, verdict).expect("the folder takes files");
    std::fs::rename(&beside, &path).expect("the folder takes files");
    std::process::exit(0);
}
"##;

const README: &str = "# NAME: the answer\n\nGive the answer.\n\n## Rules\n\n- `right`: it is 42\n- `quick`: at once\n\n\
                      ## Hints\n\n1. It is a number.\n2. It is 42.\n";

pub(crate) const STUB: &str = "pub fn answer() -> u32 {\n    todo!()\n}\n";
pub(crate) const RIGHT: &str = "pub fn answer() -> u32 {\n    42\n}\n";
pub(crate) const WRONG: &str = "pub fn answer() -> u32 {\n    7\n}\n";

impl Course {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mark = format!("course-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        // The temporary folder can be a link; the program sees where it leads.
        let temporary = std::env::temp_dir();
        let root = temporary.canonicalize().unwrap_or(temporary).join("workshop-tests").join(&mark);
        let course = Self { root, mark, budget: "60" };
        course.write("Cargo.toml", "[workspace]\nmembers = []\n");
        fs::create_dir_all(course.temporary()).expect("the temporary folder takes folders");
        for exercise in Self::exercises() {
            course.write(&format!("crates/{}/exercises/dependencies.toml", exercise.chapter), "");
            for (file, text) in [
                ("README.md", README.replace("NAME", exercise.name).as_str()),
                ("exercise.rs", STUB),
                ("stub.rs", STUB),
                ("solution.rs", RIGHT),
                ("check.rs", CHECK),
                ("main.rs", "mod check;\nmod exercise;\nfn main() { check::judge(exercise::answer) }\n"),
            ] {
                course.write(&Self::path(exercise.name, file), text);
            }
        }
        course
    }

    /// The exercises of the first chapter, the only one here: the tests take no longer when the course grows.
    pub(crate) fn exercises() -> impl Iterator<Item = course::Exercise> {
        course::exercises().filter(|exercise| exercise.chapter == course::COURSE[0].name)
    }

    /// Where a file of an exercise is, relative to the root.
    pub(crate) fn path(exercise: &str, file: &str) -> String {
        let exercise = Self::exercises().find(|its| its.name == exercise).expect("an exercise of the course");
        format!("crates/{}/exercises/{}/{file}", exercise.chapter, exercise.name)
    }

    pub(crate) fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().expect("the path has a folder"))
            .expect("the temporary folder takes folders");
        fs::write(path, text).expect("the temporary folder takes files");
    }

    pub(crate) fn read(&self, path: &str) -> Vec<u8> {
        fs::read(self.root.join(path)).expect("the file was written")
    }

    /// The system's folder for temporary files, as the workshop is told: what one that is killed leaves goes with the
    /// course.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.root.join("temporary")
    }

    /// Writes the learner's file.
    pub(crate) fn answer(&self, exercise: &str, text: impl AsRef<[u8]>) {
        self.write(&Self::path(exercise, "exercise.rs"), text);
    }

    /// The workshop with these arguments, to be started.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_workshop"));
        command.args(args).current_dir(&self.root).stdin(Stdio::null());
        for name in ["WORKSHOP_ROOT", "NO_COLOR", "CLICOLOR_FORCE", "TERM", "LC_CTYPE", "LANG"] {
            command.env_remove(name);
        }
        // Answers are small, and each course builds few of them: what rustc keeps for the next build is not worth it.
        command
            .env("CARGO_INCREMENTAL", "0")
            .envs(["TMPDIR", "TMP", "TEMP"].map(|name| (name, self.temporary())))
            .env("LC_ALL", "C.UTF-8")
            .env("COURSE_MARK", &self.mark)
            .env("WORKSHOP_BUDGET", self.budget);
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::from(self.command(args).output().expect("the workshop starts"))
    }

    /// `check EXERCISE --json` on this answer.
    pub(crate) fn judge(&self, exercise: &str, answer: impl AsRef<[u8]>) -> Value {
        self.answer(exercise, answer);
        let ran = self.run(&["check", exercise, "--json"]);
        serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
    }
}

impl Drop for Course {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.root));
    }
}

#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn json_lines(&self) -> Vec<Value> {
        self.stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {self:?}")))
            .collect()
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// The names in a folder, sorted.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
