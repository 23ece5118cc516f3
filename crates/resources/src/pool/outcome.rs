use std::{fmt, num::NonZeroUsize, panic::Location, time::Duration};
use tokio::time::Instant;

/// Why nothing was lent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PoolError<E> {
    /// There was none in time: tell the client to come again, and look at who has them.
    #[error("nothing became free within {limit:?}: {} of {size} taken, {waiting} more waiting{}", taken.len(), by(taken))]
    TimedOut {
        /// How long was waited.
        limit: Duration,
        /// How many there may be.
        size: NonZeroUsize,
        /// Who had them, the longest first.
        taken: Vec<Taken>,
        /// How many others waited for a place.
        waiting: usize,
    },
    /// The caller has one of this pool already: use that one, or give it back first. To wait would not help.
    #[error(
        "a second one asked for at {inner} while holding one asked for at {outer}: pass the first one down"
    )]
    Nested {
        /// Where the body has asked that runs.
        outer: &'static Location<'static>,
        /// Where it has asked again.
        inner: &'static Location<'static>,
    },
    /// It could not be opened; the place is free again. Try later.
    #[error("it could not be opened: {0}")]
    NotOpened(#[source] E),
    /// Opening it panicked: a bug in [`create`](super::Manage::create). The place is free again.
    #[error("opening it panicked: {message}")]
    OpeningPanicked {
        /// What the panic said.
        message: String,
    },
    /// It was not opened within [`open`](super::Limits::open). The place is free again.
    #[error("it was not opened within {limit:?}")]
    OpeningTimedOut {
        /// The limit.
        limit: Duration,
    },
    /// The pool is closed, or its runtime has ended: there will be none.
    #[error("the pool is closed")]
    Closed,
}

/// A place that is taken: by whom, since when, and what happens in it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Taken {
    /// What happens in it.
    pub doing: Doing,
    /// Since when.
    pub since: Instant,
    /// For how long, when this was written down.
    pub lasted: Duration,
    /// Where it was asked for; for what was idle at the end, where the pool was closed.
    pub asked_at: &'static Location<'static>,
}

/// What happens in a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Doing {
    /// It is being opened, or what was idle is being checked.
    Opening,
    /// It is lent.
    InUse,
    /// It is being closed.
    Closing,
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let doing = match self.doing {
            Doing::Opening => "being opened",
            Doing::InUse => "in use",
            Doing::Closing => "being closed",
        };
        write!(f, "{doing} for {:?}, asked for at {}", self.lasted, self.asked_at)
    }
}

/// How many of those that are taken an error spells out: the longest are the ones to look at.
const SPELT_OUT: usize = 5;

fn by(taken: &[Taken]) -> String {
    let lines: Vec<String> = taken.iter().take(SPELT_OUT).map(|taken| format!("\n  {taken}")).collect();
    let more = taken.len().saturating_sub(SPELT_OUT);
    lines.concat() + &if more > 0 { format!("\n  and {more} more") } else { String::new() }
}

/// How a pool stands: for metrics and health checks.
///
/// Who has got a place and not yet looked for an idle one counts as taken, and what it will take as idle.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Status {
    /// How many there may be.
    pub size: NonZeroUsize,
    /// How many are open and lent to nobody.
    pub idle: usize,
    /// Who has the others, the longest first.
    pub taken: Vec<Taken>,
    /// How many wait for a place.
    pub waiting: usize,
    /// How many idle ones have failed their check so far, and were replaced. If it grows with each use, nothing is kept.
    pub not_recycled: usize,
    /// How many were not closed well so far.
    pub not_closed: usize,
}

/// What was left when a pool was closed.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[must_use = "what is still out has not been closed"]
pub struct Closed {
    /// What was out at the end of the grace, the longest first. It is closed when it comes back.
    pub taken: Vec<Taken>,
    /// How many were not closed well since the pool was made; [`not_closed`](super::Manage::not_closed) has heard why.
    pub not_closed: usize,
}
