//! What a run is reproached with, by pieces that can't fail a test themselves: a destructor, a hook.

use std::{cell::RefCell, fmt, panic::Location};

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// Which detector says so.
    pub kind: Kind,
    /// What it saw, in words.
    pub what: String,
}

/// The detectors of a simulated run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The body panicked: an assertion of the test, most of the time.
    Failed,
    /// Everything waited, and nothing was left that could have woken anything.
    Deadlock,
    /// The body waits for something that has happened: its waker was not called.
    LostWakeUp,
    /// The horizon had passed, and the body still waited: timers kept firing, or one is beyond it.
    Endless,
    /// The thread stood still, or computed, without end.
    Stuck,
    /// The thread slept in the middle of a poll, and nobody else could run.
    Blocked,
    /// A task panicked, and the test had not announced it.
    TaskPanicked,
    /// Tasks were alive when the body had ended.
    Leak,
    /// A future was dropped without ever having been polled.
    NeverAwaited,
    /// An error was dropped without having been looked at.
    Unread,
    /// A future was woken, and its owner awaited something else.
    Snoozed,
}

impl Kind {
    /// In a word or two.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Deadlock => "deadlock",
            Self::LostWakeUp => "lost wake-up",
            Self::Endless => "endless",
            Self::Stuck => "stuck",
            Self::Blocked => "blocked",
            Self::TaskPanicked => "task panicked",
            Self::Leak => "leak",
            Self::NeverAwaited => "never awaited",
            Self::Unread => "unread error",
            Self::Snoozed => "snoozed",
        }
    }
}

/// A line of the program.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place(&'static Location<'static>);

impl Place {
    /// That of whoever called the function that is marked `#[track_caller]`.
    #[track_caller]
    pub(crate) fn of_caller() -> Self {
        Self(Location::caller())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.0.file(), self.0.line())
    }
}

thread_local! {
    static COMPLAINTS: RefCell<Option<Vec<Complaint>>> = const { RefCell::new(None) };
}

/// Hands a complaint to the run on this thread. Outside of one it is a warning on standard error, as asyncio's are.
pub(crate) fn complain(kind: Kind, what: &str) {
    // A destructor may run when the thread's locals are gone.
    let told = COMPLAINTS.try_with(|complaints| match complaints.borrow_mut().as_mut() {
        Some(complaints) => {
            complaints.push(Complaint { kind, what: what.to_owned() });
            true
        }
        None => false,
    });
    if told != Ok(true) && !std::thread::panicking() {
        eprintln!("warning: {}: {what}", kind.word());
    }
}

/// Runs `body`, and gives what was complained of on this thread meanwhile.
pub(crate) fn collect<T>(body: impl FnOnce() -> T) -> (T, Vec<Complaint>) {
    /// If `body` unwinds, later complaints are none of ours.
    struct Outer(Option<Vec<Complaint>>);
    impl Drop for Outer {
        fn drop(&mut self) {
            COMPLAINTS.set(self.0.take());
        }
    }
    let outer = Outer(COMPLAINTS.replace(Some(Vec::new())));
    let out = body();
    let complaints = COMPLAINTS.take().unwrap_or_default();
    drop(outer);
    (out, complaints)
}
