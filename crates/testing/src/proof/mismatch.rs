use common::{
    Trace,
    draw::{self, Terminal},
};
use std::{error::Error, fmt};

/// A picture of more lanes than this is no picture any more.
const MOST_LANES: usize = 24;

/// What a `check_*` did not find as it should be; shown, it has the timeline below it.
///
/// A grader passes `expected` and `seen` on to [`Case::rule`](crate::Case::rule). It turns into a `String` by `?`, as the
/// invariant of [`every_await`](crate::every_await()) wants it.
///
/// # Examples
/// A rule of an exercise:
/// ```
/// use std::time::Duration;
/// use testing::{Case, proof::Gauge, verdict};
/// use tokio::time::sleep;
///
/// let gauge = Gauge::new();
/// let verdict = verdict(|| {
///     let case = Case::run("one call", async |recorder| {
///         gauge.clone().on(&recorder).hold("call", sleep(Duration::from_millis(10))).await;
///     })?;
///     gauge.check_peak(3).or_else(|mismatch| case.rule("concurrent", false, mismatch.expected, mismatch.seen))
/// });
/// assert_eq!(verdict.rule(), Some("concurrent"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mismatch {
    /// Completes "expected: ...".
    pub expected: String,
    /// Completes "seen: ...".
    pub seen: String,
    /// What was recorded; of an [`Envelope`](crate::proof::Envelope) without a recorder, the schedule it asks for.
    pub trace: Trace,
}

impl Mismatch {
    pub(super) fn new(expected: impl Into<String>, seen: impl Into<String>, trace: Trace) -> Self {
        Self { expected: expected.into(), seen: seen.into(), trace }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected: {}\n    seen: {}\n\n", self.expected, self.seen)?;
        let hidden = self.trace.lanes.len().saturating_sub(MOST_LANES);
        if hidden == 0 {
            return f.write_str(&draw::terminal(&self.trace, Terminal::default()));
        }
        let mut trace = self.trace.clone();
        trace.lanes.truncate(MOST_LANES);
        writeln!(f, "{}and {hidden} more lanes", draw::terminal(&trace, Terminal::default()))
    }
}

impl Error for Mismatch {}

impl From<Mismatch> for String {
    fn from(mismatch: Mismatch) -> Self {
        mismatch.to_string()
    }
}

/// The panic of every `assert_*`, at the line of its caller.
#[track_caller]
pub(super) fn insist(checked: Result<(), Mismatch>) {
    if let Err(mismatch) = checked {
        panic!("{mismatch}");
    }
}

/// One, another and 3 more.
pub(super) fn list(items: &[String]) -> String {
    const MOST: usize = 5;
    let mut words = items.to_vec();
    if items.len() > MOST {
        words.truncate(MOST - 1);
        words.push(format!("{} more", items.len() - words.len()));
    }
    match words.as_slice() {
        [several @ .., last] if !several.is_empty() => format!("{} and {last}", several.join(", ")),
        _ => words.concat(),
    }
}
