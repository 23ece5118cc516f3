use crate::{
    answer::{Answer, Staged, stage},
    compile::{Built, Lock, Step, build},
    course::Exercise,
    process::{Cancel, Collector, Ended, Output, Program, closing},
    repository::{Repository, entries},
    stop::Stop,
};
use common::verdict::{Finding, Kind, Verdict};
use serde_json::{Value, json};
use std::{
    env,
    ffi::OsString,
    fs,
    hash::{BuildHasher as _, RandomState},
    io::{self, Read as _},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant, SystemTime},
};

/// What came of checking an answer, and all that is worth showing.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub(crate) exercise: Exercise,
    pub(crate) verdict: Verdict,
    /// From the start of the check, building included.
    pub(crate) seconds: f64,
    /// rustc's errors, with colours.
    pub(crate) rendered: String,
    /// What the program printed.
    pub(crate) printed: Output,
}

impl Report {
    /// The line of `check --json`.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "exercise": self.exercise.name,
            "chapter": self.exercise.chapter,
            "verdict": self.verdict.kind.word(),
            "rule": self.verdict.rule(),
            "message": self.verdict.message(),
            "seconds": (self.seconds * 1000.0).round() / 1000.0,
        })
    }
}

/// The check's own watchdog speaks up after 8 s; this is for a program that cannot even do that. A very slow machine can
/// have more, by `WORKSHOP_BUDGET`, in seconds.
pub(crate) fn budget() -> Duration {
    let wanted = env::var("WORKSHOP_BUDGET").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(wanted.filter(|seconds| (1..=3600).contains(seconds)).unwrap_or(10))
}

/// Of what a program prints, this much is kept.
const PRINTED_CAP: usize = 16 * 1024;
/// A verdict with its timeline takes a few kilobytes.
const VERDICT_CAP: u64 = 4 * 1024 * 1024;

/// Stages, builds and runs an answer, and reads the verdict.
pub(crate) fn judge(
    repository: &Repository,
    exercise: Exercise,
    answer: &Answer,
    cancel: &Cancel,
    step: &mut dyn FnMut(Step),
) -> Result<Report, Stop> {
    let start = Instant::now();
    let report = |verdict, rendered, printed| Report {
        exercise,
        verdict,
        seconds: start.elapsed().as_secs_f64(),
        rendered,
        printed,
    };
    if let Err(error) = std::str::from_utf8(&answer.bytes) {
        let line = answer.bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
        let seen = format!("{}:{line}: the file is not UTF-8 text: save it as UTF-8", answer.path);
        let finding = Finding { seen, ..Finding::default() };
        return Ok(report(Verdict::found(Kind::CompileError, finding), String::new(), Output::default()));
    }

    let lock = Lock::take(repository, cancel, step)?;
    let staged = stage(repository, exercise, answer)?;
    let program = match build(repository, &staged, answer, cancel, step)? {
        Built::Program(program) => program,
        Built::Errors { headline, rendered } => {
            let finding = Finding { seen: headline, ..Finding::default() };
            return Ok(report(Verdict::found(Kind::CompileError, finding), rendered, Output::default()));
        }
    };
    // A copy of our own: the next check may build at once.
    let place = Private::new(repository)?;
    let copy = place.folder.join(program.file_name().unwrap_or_default());
    if fs::hard_link(&program, &copy).is_err() {
        fs::copy(&program, &copy).map_err(Stop::cannot(format_args!("copy {}", program.display())))?;
    }
    drop(lock);

    step(Step::Running);
    let (mut verdict, mut printed) = run(repository, &place, copy, cancel)?;
    let own = |text: &str| in_the_learners_words(text, repository, &staged, &answer.path);
    if let Some(finding) = &mut verdict.finding {
        finding.seen = own(&finding.seen);
        finding.case = own(&finding.case);
    }
    printed.bytes = own(&String::from_utf8_lossy(&printed.bytes)).into_bytes();
    Ok(report(verdict, String::new(), printed))
}

/// The staged path is the learner's path seen from the package: `text` with the path as it is shown instead.
fn in_the_learners_words(text: &str, repository: &Repository, staged: &Staged, shown: &str) -> String {
    let source = staged.source.to_string_lossy();
    // A panic names the file as rustc was told it, a backtrace from where the program runs.
    let whole = staged.package.join(&staged.source);
    let from_root = whole.strip_prefix(&repository.root).unwrap_or(&whole);
    text.replace(&*whole.to_string_lossy(), &source)
        .replace(&*from_root.to_string_lossy(), &source)
        .replace(&*source, shown)
}

fn run(
    repository: &Repository,
    place: &Private,
    program: PathBuf,
    cancel: &Cancel,
) -> Result<(Verdict, Output), Stop> {
    let verdict_file = place.verdict.join("verdict.json");
    let program = Program {
        path: program.into_os_string(),
        args: vec![OsString::from("--supervised")],
        folder: repository.root.clone(),
        env: Vec::new(),
    };
    let (output, to) = io::pipe().map_err(Stop::cannot("open a pipe"))?;
    let to_too = to.try_clone().map_err(Stop::cannot("open a pipe"))?;
    let mut running = program.start(Stdio::from(to), Stdio::from(to_too))?;
    let (open, closed) = closing();
    let collector = Collector::start(output, PRINTED_CAP, open);
    // Only who was told the word can have written the verdict.
    let nonce = random();
    running.send_line(&format!("{}\n{nonce}", verdict_file.display()));
    let ended = running.wait(Some(budget()), cancel, &closed)?;
    let printed = collector.take(&closed);
    // The verdict comes from the file alone: what the program printed and how it ended prove nothing. See [`Private`]
    // for what that does not hold back.
    let verdict = match (read_verdict(&verdict_file, &nonce)?, ended) {
        (_, Ended::Cancelled) => return Err(Stop::Cancelled),
        (Some(verdict), _) => verdict,
        (None, Ended::OverBudget) => Verdict::found(
            Kind::Hang,
            Finding {
                rule: Some(String::from("ends")),
                seen: format!("your answer was still running after {} s and was killed", budget().as_secs()),
                expected: String::from(
                    "an end within moments: the clock is simulated, so that no wait takes real time",
                ),
                ..Finding::default()
            },
        ),
        (None, Ended::Exited(status)) => without_verdict(status, &printed),
    };
    Ok((verdict, printed))
}

/// The verdict, if the check wrote one.
fn read_verdict(path: &Path, nonce: &str) -> Result<Option<Verdict>, Stop> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Stop::cannot("read the check's verdict")(error)),
    };
    let mut bytes = Vec::new();
    let unreadable = |why: &dyn std::fmt::Display| {
        Stop::because(format!(
            "the check left a verdict that cannot be read ({why}); if it happens again with the pristine exercise, it is \
             a bug of the course: please report it"
        ))
    };
    file.take(VERDICT_CAP + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
    if bytes.len() as u64 > VERDICT_CAP {
        return Err(unreadable(&format_args!("over {} MB", VERDICT_CAP >> 20)));
    }
    let value: Value = serde_json::from_slice(&bytes).map_err(|error| unreadable(&error))?;
    if value["nonce"] != nonce {
        return Ok(None);
    }
    Verdict::from_json(&value).map(Some).map_err(|error| unreadable(&error))
}

/// What it means that the program ended without a verdict.
fn without_verdict(status: ExitStatus, printed: &Output) -> Verdict {
    let printed = String::from_utf8_lossy(&printed.bytes);
    if let Some(signal) = signal(status) {
        let seen = if printed.contains("has overflowed its stack") {
            String::from(
                "your answer overflowed the stack, which ends the whole process: a recursion without end?",
            )
        } else {
            format!("your answer brought the whole process down ({signal})")
        };
        let finding = Finding { rule: Some(String::from("no-panic")), seen, ..Finding::default() };
        return Verdict::found(Kind::Panic, finding);
    }
    let code = status.code().unwrap_or(-1);
    if code == 101 && printed.contains("panicked at") {
        let seen =
            String::from("your answer panicked where the check could not catch it; the message is below");
        let finding = Finding { rule: Some(String::from("no-panic")), seen, ..Finding::default() };
        return Verdict::found(Kind::Panic, finding);
    }
    let finding = Finding {
        rule: Some(String::from("ends")),
        seen: format!("your answer ended the process itself (exit status {code})"),
        expected: String::from("it returns, and leaves the process alone"),
        ..Finding::default()
    };
    Verdict::found(Kind::RuleBroken, finding)
}

#[cfg(unix)]
fn signal(status: ExitStatus) -> Option<String> {
    let signal = std::os::unix::process::ExitStatusExt::signal(&status)?;
    let name = match signal {
        4 => "SIGILL",
        6 => "SIGABRT",
        7 | 10 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        15 => "SIGTERM",
        _ => return Some(format!("signal {signal}")),
    };
    Some(format!("signal {signal}, {name}"))
}

/// Windows tells a crash by an exit status that is an error code of the system.
#[cfg(not(unix))]
fn signal(status: ExitStatus) -> Option<String> {
    let code = status.code()?;
    (code < -1).then(|| format!("status {code:#x}"))
}

/// Folders for one run, removed afterwards: one for the program, and another for the verdict, far from it under a name
/// that the program is not told.
///
/// This keeps an answer from passing by what it prints, by how it exits and by accident. It does not hold an answer back
/// that goes hunting through the machine's files: it runs with the learner's rights, and the check in the same process
/// has to know where the verdict goes.
struct Private {
    folder: PathBuf,
    verdict: PathBuf,
}

/// A word that nobody guesses, from the standard library's one source of randomness.
fn random() -> String {
    format!("{:016x}", RandomState::new().hash_one(std::process::id()))
}

/// How the names of the folders for verdicts begin.
const VERDICT: &str = "workshop-verdict-";

impl Private {
    fn new(repository: &Repository) -> Result<Self, Stop> {
        let runs = repository.workshop().join("runs");
        sweep(&runs, "");
        let temporary = env::temp_dir();
        sweep(&temporary, VERDICT);
        let place =
            Self { folder: runs.join(random()), verdict: temporary.join(format!("{VERDICT}{}", random())) };
        fs::create_dir_all(&place.folder)
            .map_err(Stop::cannot(format_args!("create {}", place.folder.display())))?;
        // Not with its parents: it is new, and nobody else's.
        ours_alone()
            .create(&place.verdict)
            .map_err(Stop::cannot(format_args!("create {}", place.verdict.display())))?;
        Ok(place)
    }
}

/// Makes folders that other users cannot look into.
fn ours_alone() -> fs::DirBuilder {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "elsewhere the temporary folder is the user's own"))]
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

impl Drop for Private {
    fn drop(&mut self) {
        for folder in [&self.folder, &self.verdict] {
            // What stays is swept later.
            drop(fs::remove_dir_all(folder));
        }
    }
}

/// Removes what a workshop left that was killed. An hour is longer than any run.
fn sweep(folder: &Path, prefix: &str) {
    let Some(long_ago) = SystemTime::now().checked_sub(Duration::from_secs(3600)) else {
        return;
    };
    let ours = |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix));
    for run in entries(folder).iter().filter(|path| ours(path)) {
        // Of the link and not of what it leads to, in a folder in which others may write.
        if run.symlink_metadata().and_then(|data| data.modified()).is_ok_and(|modified| modified < long_ago) {
            drop(fs::remove_dir_all(run));
        }
    }
}
