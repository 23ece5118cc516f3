//! A run of an answer, held against the rules of its exercise.

mod schedules;

use crate::{
    panics::Panic,
    simulation::{self, End, HORIZON, Run, Setting, Waits, simulate},
};
use common::{
    Recorder, Trace, Verdict, draw,
    verdict::{Finding, Kind},
};
use std::{fmt, time::Duration};

/// What the panic of a `todo!()` begins with.
const TODO: &str = "not yet implemented";

/// `Ok`, or the verdict on the first broken rule. Boxed, because it carries a timeline.
pub type Checked<T = ()> = Result<T, Box<Verdict>>;

/// Turns the outcome of a check into a verdict.
///
/// # Examples
/// ```
/// use testing::{Case, verdict};
///
/// let verdict = verdict(|| {
///     let case = Case::run("one plus one", async |_| 1 + 1)?;
///     case.rule("sum", case.value == 2, "2", case.value)
/// });
/// assert!(verdict.is_pass());
/// ```
pub fn verdict(check: impl FnOnce() -> Checked) -> Verdict {
    match check() {
        Ok(()) => Verdict::pass(),
        Err(verdict) => *verdict,
    }
}

/// One input given to an answer, and what came of it.
#[derive(Debug)]
pub struct Case<T> {
    /// What the run gave.
    pub value: T,
    /// The virtual time that it took.
    pub elapsed: Duration,
    name: String,
    trace: Trace,
    panics: Vec<Panic>,
}

impl<T> Case<T> {
    /// Runs `body` in a simulation. `name` says what the input is, in words that a learner understands.
    ///
    /// # Errors
    /// The verdict, if the run ended in a deadlock, never ended, panicked, reached a `todo!()` or left tasks behind.
    pub fn run(name: impl Into<String>, body: impl AsyncFnOnce(Recorder) -> T) -> Checked<Self> {
        let name = name.into();
        let run = simulate(&name, body);
        Self::judged(name, run, HORIZON, u64::MAX)
    }

    /// Like [`run`](Self::run), with another horizon. It is given up, too, when the clock has moved so many times.
    pub(crate) fn run_within(
        name: &str,
        horizon: Duration,
        moves: u64,
        body: impl AsyncFnOnce(Recorder) -> T,
    ) -> Checked<Self> {
        let run = simulation::run(name, Setting { horizon, moves, ..Setting::default() }, body);
        Self::judged(name.to_owned(), run, horizon, moves)
    }

    fn judged(name: String, run: Run<T>, horizon: Duration, moves: u64) -> Checked<Self> {
        let Run { end, elapsed, leaked, trace, panics, waits } = run;
        let verdict = |kind, rule: Option<&str>, expected: &str, seen: String| {
            let finding = Finding {
                rule: rule.map(str::to_owned),
                case: name.clone(),
                expected: expected.to_owned(),
                seen,
                trace: Some(trace.clone()),
            };
            Box::new(Verdict::found(kind, finding))
        };
        // Wherever a `todo!()` was reached, a task of its own included: the answer is not finished.
        let unhooked = match &end {
            End::Panicked(message) => Some(Panic {
                message: message.clone(),
                place: String::new(),
                in_a_task: false,
                awaited: false,
                stack: None,
            }),
            _ => None,
        };
        if let Some(todo) = panics.iter().chain(&unhooked).find(|panic| panic.message.starts_with(TODO)) {
            let what = todo.message.trim_start_matches(TODO).trim_start_matches(": ");
            let mut seen = String::from("still to do");
            for (before, part) in [(" at ", todo.place.as_str()), (": ", what)] {
                if !part.is_empty() {
                    seen = seen + before + part;
                }
            }
            let mut verdict = verdict(Kind::Todo, None, "", seen);
            if let Some(finding) = &mut verdict.finding {
                finding.trace = None;
            }
            return Err(verdict);
        }
        match end {
            End::Returned(value) if leaked == 0 => Ok(Self { value, elapsed, name, trace, panics }),
            End::Returned(_) => Err(verdict(
                Kind::Leak,
                Some("no-leak"),
                "every task that the answer started has ended when it returns or is dropped",
                format!("{leaked} {} still alive", if leaked == 1 { "task is" } else { "tasks are" }),
            )),
            End::Panicked(message) => {
                let seen = panicked(&message, &panics);
                Err(verdict(Kind::Panic, Some("no-panic"), "the answer itself does not panic", seen))
            }
            End::Deadlock => Err(verdict(
                Kind::Deadlock,
                Some("ends"),
                "the answer ends",
                match waits {
                    Some(Waits::NoMore) => format!(
                        "a wake-up was lost: {}, and polled once again it went on; a `poll` that gives `Pending` keeps \
                         the waker, and whoever changes what it waits for calls it",
                        waiting(&trace, "")
                    ),
                    Some(Waits::At(lines)) => format!(
                        "a deadlock: {}, and nothing is left on this runtime that could wake anybody (or a `poll` \
                         gave `Pending` without keeping the waker)",
                        waiting(&trace, &at(&lines))
                    ),
                    None => String::from("a deadlock"),
                },
            )),
            End::Endless => Err(verdict(
                Kind::Hang,
                Some("ends"),
                "the answer ends",
                if elapsed < horizon {
                    format!(
                        "timers kept firing, {moves} times in {} of virtual time, but it had not ended",
                        draw::time(elapsed)
                    )
                } else {
                    format!(
                        "timers keep firing, or one is far away: it had not ended after {} of virtual time",
                        draw::time(horizon)
                    )
                },
            )),
        }
    }

    /// Where the answer's own code began a panic, if it did: not a scripted one, nor one that was resumed.
    #[must_use]
    pub fn own_panic(&self) -> Option<&str> {
        self.panics.last().map(|panic| panic.place.as_str())
    }

    /// The verdict on a panic of the answer that the check has caught itself.
    #[must_use]
    pub fn panic(&self, message: &str) -> Box<Verdict> {
        let finding = Finding {
            rule: Some(String::from("no-panic")),
            case: self.name.clone(),
            expected: String::from("the answer itself does not panic"),
            seen: panicked(message, &self.panics),
            trace: Some(self.trace.clone()),
        };
        Box::new(Verdict::found(Kind::Panic, finding))
    }

    /// Holds the run against a rule; `expected` and `seen` complete "expected: ..., seen: ...".
    ///
    /// # Errors
    /// The verdict that `rule` is broken, if `kept` is false.
    pub fn rule(
        &self,
        rule: &str,
        kept: bool,
        expected: impl fmt::Display,
        seen: impl fmt::Display,
    ) -> Checked {
        if kept {
            return Ok(());
        }
        let finding = Finding {
            rule: Some(rule.to_owned()),
            case: self.name.clone(),
            expected: expected.to_string(),
            seen: seen.to_string(),
            trace: Some(self.trace.clone()),
        };
        Err(Box::new(Verdict::found(Kind::RuleBroken, finding)))
    }
}

/// For `map_err` after [`Case::run`]: a verdict of this kind means that `rule` is broken, where the case is made so that
/// nothing else can lead to it.
///
/// # Examples
/// ```
/// use common::verdict::Kind;
/// use testing::{Case, case::breaks};
///
/// let checked = Case::run("two that wait for each other", async |_| std::future::pending::<()>().await)
///     .map_err(breaks(Kind::Deadlock, "concurrent", "both are in flight at once"));
/// assert_eq!(checked.unwrap_err().rule(), Some("concurrent"));
/// ```
pub fn breaks<'a>(
    kind: Kind,
    rule: &'a str,
    expected: &'a str,
) -> impl FnOnce(Box<Verdict>) -> Box<Verdict> + 'a {
    move |mut verdict| {
        if verdict.kind == kind
            && let Some(finding) = &mut verdict.finding
        {
            finding.rule = Some(rule.to_owned());
            finding.expected = expected.to_owned();
            verdict.kind = Kind::RuleBroken;
        }
        verdict
    }
}

/// `what` with `exercise.rs:12` for `crates/testing/exercises/seats/exercise.rs:12`: the learner knows where the answer
/// lies. Lines of the check, which mean nothing to a learner, are left out.
///
/// # Examples
/// ```
/// let seen = "dropped at await 3 (crates/testing/exercises/seats/exercise.rs:12), while it waited";
/// assert_eq!(testing::case::without_folders(seen), "dropped at await 3 (exercise.rs:12), while it waited");
/// ```
#[must_use]
pub fn without_folders(what: &str) -> String {
    let word = |word: &str| match word.rsplit_once('/') {
        Some((_, file)) if file.contains(".rs:") && word.starts_with('(') => format!("({file}"),
        Some((_, file)) if file.contains(".rs:") => file.to_owned(),
        _ => word.to_owned(),
    };
    let line = |line: &str| {
        let words = line.split(' ').filter(|word| !word.contains("/check.rs:"));
        words.map(word).collect::<Vec<_>>().join(" ")
    };
    let lines = what.lines().filter(|line| !line.trim_start().starts_with("the body waits at "));
    lines.map(line).collect::<Vec<_>>().join("\n")
}

fn panicked(message: &str, panics: &[Panic]) -> String {
    let place = panics.iter().rev().find(|panic| panic.message == message);
    // A place inside std or a dependency is nobody's line to mend.
    let place = place.filter(|panic| !panic.place.contains("/rustc/") && !panic.place.contains("registry"));
    let place = place.map(|panic| format!(" at {}", panic.place)).unwrap_or_default();
    let mut seen = format!("a panic{place}: {message}");
    if message.contains("JoinError::Cancelled") {
        seen.push_str(" (a task that was aborted is joined as an `Err` whose `is_cancelled()` is true)");
    }
    seen
}

/// Like " at exercise.rs:12"; empty if no line is known.
fn at(lines: &[String]) -> String {
    // The learner knows where the file lies; the check's own lines mean nothing to them.
    let short = lines.iter().map(|line| line.rsplit('/').next().unwrap_or(line));
    let short: Vec<&str> = short.filter(|line| !line.starts_with("check.rs:")).collect();
    if short.is_empty() { String::new() } else { format!(" at {}", short.join(" and ")) }
}

fn waiting(trace: &Trace, at: &str) -> String {
    let names: Vec<&str> =
        trace.lanes.iter().filter(|lane| lane.ending().is_none()).map(|lane| lane.name.as_str()).collect();
    match names.as_slice() {
        [] => format!("the answer waits{at}"),
        [one] => format!("the answer waits{at}, and so does `{one}`"),
        [several @ .., last] => {
            format!("the answer waits{at}, and so do `{}` and `{last}`", several.join("`, `"))
        }
    }
}
