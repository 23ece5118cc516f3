use crate::{
    answer::{Answer, Staged},
    guard, judge,
    process::{Cancel, Ended, Program, closing, lines},
    repository::Repository,
    seed,
    stop::Stop,
    text,
};
use serde_json::Value;
use std::{
    env,
    ffi::OsString,
    fs::File,
    io,
    path::PathBuf,
    process::Stdio,
    sync::{Arc, Mutex, OnceLock, PoisonError, mpsc},
    thread,
    time::{Duration, Instant, SystemTime},
};

/// What came of building an answer.
#[derive(Debug)]
pub(crate) enum Built {
    /// The program.
    Program(PathBuf),
    /// The answer is at fault.
    Errors {
        /// The first error, with its place.
        headline: String,
        /// All of them as rustc draws them, with colours.
        rendered: String,
    },
}

/// How far a check is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Another check is building.
    Queued,
    /// cargo compiles a dependency: its name, and how many are done.
    Compiling(String, usize),
    /// The answer itself is compiled.
    Building,
    /// The program runs.
    Running,
}

/// Where the compiled answers of all exercises go. Not the workspace's own target directory: cargo locks that, and an
/// editor's `cargo check` would make the learner wait.
fn target(repository: &Repository) -> PathBuf {
    repository.workshop().join("build")
}

/// Held while an answer is staged and built.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "closing the file gives the lock up")] File);

impl Lock {
    pub(crate) fn take(
        repository: &Repository,
        cancel: &Cancel,
        step: &mut dyn FnMut(Step),
    ) -> Result<Self, Stop> {
        let folder = repository.workshop();
        std::fs::create_dir_all(&folder)
            .map_err(Stop::cannot(format_args!("create {}", folder.display())))?;
        let path = folder.join("lock");
        let file = File::create(&path).map_err(Stop::cannot(format_args!("open {}", path.display())))?;
        let mut told = false;
        // Tried again and again, because waiting in `File::lock` could not be cancelled.
        loop {
            match file.try_lock() {
                Err(std::fs::TryLockError::WouldBlock) => {}
                // An error comes from a file system without locks: two checks at once would be cargo's to sort out.
                Ok(()) | Err(std::fs::TryLockError::Error(_)) => return Ok(Self(file)),
            }
            if cancel.is_cancelled() {
                return Err(Stop::Cancelled);
            }
            if !told {
                step(Step::Queued);
                told = true;
            }
            thread::park_timeout(Duration::from_millis(20));
        }
    }
}

/// Builds a staged answer.
pub(crate) fn build(
    repository: &Repository,
    staged: &Staged,
    answer: &Answer,
    cancel: &Cancel,
    step: &mut dyn FnMut(Step),
) -> Result<Built, Stop> {
    seed::sow(&target(repository));
    let first = cargo(repository, staged, answer, cancel, step)?;
    if !(first.fresh && staged.changed) {
        return first.built;
    }
    // cargo goes by modification times. Where the file system's clock is coarse it can take a new answer for the old
    // one: move the answer's time on and build again.
    let source = staged.package.join(&staged.source);
    let later = SystemTime::now() + Duration::from_secs(3);
    File::options()
        .append(true)
        .open(&source)
        .and_then(|file| file.set_modified(later))
        .map_err(Stop::cannot(format_args!("touch {}", source.display())))?;
    cargo(repository, staged, answer, cancel, step)?.built
}

struct Outcome {
    built: Result<Built, Stop>,
    /// cargo found nothing to do.
    fresh: bool,
}

/// What cargo's messages said so far.
#[derive(Default)]
struct Messages {
    program: Option<PathBuf>,
    fresh: bool,
    headline: Option<String>,
    rendered: String,
    /// An error in a crate of the course.
    foreign: Option<String>,
}

/// How long rustc may work on an answer: far longer than any that a person wrote needs. A very slow machine can have more,
/// by `WORKSHOP_BUDGET`.
fn build_budget() -> Duration {
    6 * judge::budget()
}

/// Errors beyond this many bytes help nobody.
const RENDERED_CAP: usize = 64 * 1024;

fn cargo(
    repository: &Repository,
    staged: &Staged,
    answer: &Answer,
    cancel: &Cancel,
    step: &mut dyn FnMut(Step),
) -> Result<Outcome, Stop> {
    // JSON tells an error in the answer from one in the course, and a warning from both.
    let args = ["build", "--color", "always", "--message-format", "json-diagnostic-rendered-ansi"];
    let program = Program {
        path: env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")),
        args: args.iter().map(OsString::from).collect(),
        folder: staged.package.clone(),
        env: vec![
            ("CARGO_TARGET_DIR", target(repository).into_os_string()),
            // What the learner configured for a terminal does not fit a pipe.
            ("CARGO_TERM_PROGRESS_WHEN", OsString::from("never")),
            ("CARGO_TERM_QUIET", OsString::from("false")),
            ("CARGO_TERM_VERBOSE", OsString::from("false")),
        ],
    };
    let (stdout, stdout_to) = io::pipe().map_err(Stop::cannot("open a pipe"))?;
    let (stderr, stderr_to) = io::pipe().map_err(Stop::cannot("open a pipe"))?;
    let (open, closed) = closing();
    let messages = Arc::new(Mutex::new(Messages::default()));
    let (told, progress) = mpsc::channel::<Step>();
    let running = program.start(Stdio::from(stdout_to), Stdio::from(stderr_to))?;

    let own = staged.package.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = own.clone();
    let source = staged.source.to_string_lossy().into_owned();
    let shared = Arc::clone(&messages);
    lines(stdout, open.clone(), move |line| {
        if let Ok(message) = serde_json::from_str::<Value>(line) {
            shared.lock().unwrap_or_else(PoisonError::into_inner).read(&message, &name, &source);
        }
    });
    // Since when rustc works on the answer itself; the crates before it take what they take.
    let building = Arc::new(OnceLock::<Instant>::new());
    let since = Arc::clone(&building);
    let complaints = Arc::new(Mutex::new(String::new()));
    let shared = Arc::clone(&complaints);
    lines(stderr, open, move |line| {
        let plain = text::without_escapes(line);
        match status(&plain, &own) {
            Some(step) => {
                if step == Step::Building {
                    since.get_or_init(Instant::now);
                }
                drop(told.send(step));
            }
            None => {
                let mut complaints = shared.lock().unwrap_or_else(PoisonError::into_inner);
                if complaints.len() < RENDERED_CAP && !is_status(&plain) {
                    complaints.push_str(&plain);
                    complaints.push('\n');
                }
            }
        }
    });

    let ended = thread::scope(|scope| {
        // The steps are handed on from here, because `step` belongs to the caller's thread.
        let building = Arc::clone(&building);
        let waiting = scope.spawn(move || {
            let over = || building.get().is_some_and(|since| since.elapsed() >= build_budget());
            let ended = running.wait_unless(&over, cancel, &closed);
            closed.wait();
            ended
        });
        let mut done = 0;
        while let Ok(next) = progress.recv() {
            match next {
                Step::Compiling(name, _) => {
                    done += 1;
                    step(Step::Compiling(name, done - 1));
                }
                next => step(next),
            }
        }
        waiting.join().unwrap_or_else(|_| Err(Stop::because("the build's waiter panicked")))
    })?;
    let status = match ended {
        Ended::Exited(status) => status,
        Ended::Cancelled => return Err(Stop::Cancelled),
        Ended::OverBudget => {
            let headline = format!(
                "{}: rustc had not finished with it after {} s; does a macro or a type expand without end?",
                answer.path,
                build_budget().as_secs()
            );
            let built = Ok(Built::Errors { rendered: headline.clone(), headline });
            return Ok(Outcome { built, fresh: false });
        }
    };

    let messages = std::mem::take(&mut *messages.lock().unwrap_or_else(PoisonError::into_inner));
    let complaints = complaints.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let fresh = messages.fresh;
    let built = match messages {
        Messages { program: Some(program), .. } if status.success() => Ok(Built::Program(program)),
        Messages { foreign: Some(error), .. } => Err(Stop::because(format!(
            "the course itself does not compile, so your answer was not judged:\n{error}\n\
             If you changed files of the course, `git status` lists them and `git checkout` brings them back."
        ))),
        Messages { headline: Some(headline), rendered, .. } if !disk_is_full(&complaints) => {
            let place = staged.source.to_string_lossy().into_owned();
            Ok(Built::Errors {
                headline: headline.replace(&place, &answer.path),
                rendered: rendered.replace(&place, &answer.path),
            })
        }
        _ if building.get().is_some() && complaints.contains("(signal:") => Ok(Built::Errors {
            headline: format!("{}: rustc itself broke down on it", answer.path),
            rendered: complaints,
        }),
        _ => Err(explain(status.code(), &complaints)),
    };
    Ok(Outcome { built, fresh })
}

impl Messages {
    fn read(&mut self, message: &Value, own: &str, source: &str) {
        // No dependency's program is built, so the only one is ours.
        let ours = message["target"]["name"] == own && message["target"]["kind"][0] == "bin";
        match message["reason"].as_str() {
            Some("compiler-artifact") if ours => {
                self.fresh = message["fresh"] == true;
                self.program = message["executable"].as_str().map(PathBuf::from);
            }
            Some("compiler-message") => {
                let message = &message["message"];
                let rendered = message["rendered"].as_str().unwrap_or_default();
                if !message["level"].as_str().is_some_and(|level| level.starts_with("error")) {
                    return;
                }
                if !ours {
                    self.foreign.get_or_insert_with(|| text::without_escapes(rendered));
                    return;
                }
                // The closing "aborting due to 2 previous errors" has no place and says nothing.
                let text = message["message"].as_str().unwrap_or_default();
                if primary(message).is_some() && place_in(message, source).is_none() {
                    // rustc looks for the answer's function from a file of the course.
                    self.headline.get_or_insert_with(|| {
                        format!("{source}: {text}; your file needs the public function of the stub, as it is there")
                    });
                    if self.rendered.len() < RENDERED_CAP {
                        self.rendered.push_str(rendered);
                    }
                    return;
                }
                let Some(place) = place_in(message, source) else {
                    if self.headline.is_none() {
                        self.headline = message["message"].as_str().map(str::to_owned);
                        self.rendered.push_str(rendered);
                    }
                    return;
                };
                self.headline.get_or_insert_with(|| format!("{place}: {text}"));
                if self.rendered.len() < RENDERED_CAP {
                    self.rendered.push_str(rendered);
                }
            }
            _ => {}
        }
    }
}

/// What a message is about.
fn primary(message: &Value) -> Option<&Value> {
    message["spans"].as_array()?.iter().find(|span| span["is_primary"] == true)
}

/// `file:line` of the first place in `source` that a message names: what it is about, or else what it refers to.
fn place_in(message: &Value, source: &str) -> Option<String> {
    let notes = message["children"].as_array().into_iter().flatten();
    let others = notes.flat_map(|note| note["spans"].as_array()).flatten();
    let spans =
        primary(message).into_iter().chain(message["spans"].as_array().into_iter().flatten()).chain(others);
    let span = spans.into_iter().find_map(|span| written_in(span, source))?;
    Some(format!("{source}:{}", span["line_start"].as_u64()?))
}

/// Where in `source` a place was written: it may lie in a macro that `source` calls, as `join!` and `select!` are.
fn written_in<'a>(span: &'a Value, source: &str) -> Option<&'a Value> {
    let called_from = |span: &&'a Value| Some(&span["expansion"]["span"]).filter(|span| span.is_object());
    std::iter::successors(Some(span), called_from).find(|span| span["file_name"] == source)
}

/// What a line of cargo's says about progress.
fn status(line: &str, own: &str) -> Option<Step> {
    let mut words = line.trim_start().strip_prefix("Compiling ")?.split(' ');
    let name = words.next()?;
    Some(if name == own { Step::Building } else { Step::Compiling(name.to_owned(), 0) })
}

/// cargo's remarks on its own work; rustc's messages come as JSON and are not among these lines.
fn is_status(line: &str) -> bool {
    const WORDS: [&str; 9] = [
        "Finished",
        "Blocking",
        "Updating",
        "Locking",
        "Adding",
        "Downloading",
        "Downloaded",
        "Removing",
        "Fresh",
    ];
    let line = line.trim_start();
    WORDS.iter().any(|word| line.starts_with(word)) || line.starts_with("Compiling")
}

fn disk_is_full(complaints: &str) -> bool {
    complaints.contains("No space left") || complaints.contains("not enough space on the disk")
}

/// What to do when cargo fails for a reason that is not the answer.
fn explain(code: Option<i32>, complaints: &str) -> Stop {
    let advice = if code == Some(i32::from(guard::NOT_STARTED)) {
        "cargo was not found: install Rust from https://rustup.rs and open a new terminal"
    } else if disk_is_full(complaints) {
        "the disk is full: make room (`cargo clean` in this repository frees some) and try again"
    } else if ["Could not resolve", "download", "network", "offline", "spurious"]
        .iter()
        .any(|word| complaints.contains(word))
    {
        "the first check needs the internet once, to fetch the crates: connect, or run `cargo fetch` where you can, and \
         try again"
    } else {
        "`cargo run -- doctor` looks for what is missing; deleting target/workshop starts afresh"
    };
    Stop::because(format!(
        "cargo could not build the check: {advice}\ncargo said:\n{}",
        complaints.trim_end()
    ))
}

#[cfg(test)]
mod tests {
    use super::place_in;
    use serde_json::json;

    /// As rustc reports a type error within `tokio::try_join!`: the place is in tokio, and the answer called it.
    #[test]
    fn an_error_within_a_macro_is_where_the_answer_calls_it() {
        let call = json!({ "file_name": "answer.rs", "line_start": 7, "expansion": null });
        let inner = json!({ "file_name": "select.rs", "line_start": 1, "expansion": { "span": call, "macro_decl_name": "a!" } });
        let span = json!({
            "file_name": "try_join.rs", "line_start": 9, "is_primary": true,
            "expansion": { "span": inner, "macro_decl_name": "b!" },
        });
        let message = json!({ "spans": [span], "children": [] });
        assert_eq!(place_in(&message, "answer.rs").as_deref(), Some("answer.rs:7"));
        assert_eq!(place_in(&message, "other.rs"), None);
    }
}
