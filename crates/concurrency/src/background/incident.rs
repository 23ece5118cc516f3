//! What a supervisor has to say.

use crate::Panic;
use std::{fmt, time::Duration};

/// Something in the background did not end as it should: what the sink is given.
#[derive(Debug)]
#[must_use = "an incident that nobody looks at is a swallowed error"]
pub struct Incident<E> {
    /// The task's name.
    pub name: String,
    /// Which attempt it was, counted from 1.
    pub attempt: u32,
    /// How long this attempt ran.
    pub ran: Duration,
    /// What happened.
    pub cause: Cause<E>,
    /// What the supervisor does about it.
    pub next: Next,
}

/// What happened to a task.
#[derive(Debug)]
#[non_exhaustive]
pub enum Cause<E> {
    /// It gave an error.
    Failed(E),
    /// It panicked, in a poll or in a destructor.
    Panicked(Panic),
    /// It returned without an error, though it was to run [always](super::Restart::Always).
    Returned,
}

/// What a supervisor does about an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Next {
    /// The task begins again after this time, unless the shutdown comes first.
    Restarts {
        /// The pause.
        after: Duration,
    },
    /// It has been restarted too often, and is not any more: the failure is final. Here a service that can't do without
    /// the task begins its own shutdown.
    GivesUp,
    /// It is not restarted: it was to run once, or the supervisor is shutting down.
    Ends,
}

impl<E: fmt::Display> fmt::Display for Incident<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, attempt, ran, cause, next } = self;
        match cause {
            Cause::Failed(error) => write!(f, "`{name}` failed: {error}")?,
            Cause::Panicked(panic) => write!(f, "`{name}` panicked: {panic}")?,
            Cause::Returned => write!(f, "`{name}` returned")?,
        }
        write!(f, " (attempt {attempt}, after {ran:?}; ")?;
        match next {
            Next::Restarts { after } => write!(f, "again in {after:?})"),
            Next::GivesUp => f.write_str("given up)"),
            Next::Ends => f.write_str("not restarted)"),
        }
    }
}

/// How the tasks ended that were alive when the shutdown began. Those that had ended before are not in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "it says which work was cut off"]
#[non_exhaustive]
pub struct Report {
    /// Ended by themselves, without an error.
    pub finished: Vec<String>,
    /// Ended with an error, or had failed and were waiting to begin again. The sink has the error.
    pub failed: Vec<String>,
    /// Panicked, in a poll, or in a destructor after the abort. The sink has the panic.
    pub panicked: Vec<String>,
    /// Were aborted, and have gone: their work is cut off at an await.
    pub aborted: Vec<String>,
    /// Were aborted, and have not gone: they block a thread. A process that ends now ends in the middle of their work.
    pub stuck: Vec<String>,
    /// How many incidents in the life of the supervisor the sink has answered with a panic.
    pub untold: u64,
}

impl Report {
    /// Whether every task ended by itself, without an error, and the sink was told of everything.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        let Self { finished: _, failed, panicked, aborted, stuck, untold } = self;
        failed.is_empty() && panicked.is_empty() && aborted.is_empty() && stuck.is_empty() && *untold == 0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} finished", self.finished.len())?;
        for (names, what) in [
            (&self.failed, "failed"),
            (&self.panicked, "panicked"),
            (&self.aborted, "aborted"),
            (&self.stuck, "stuck"),
        ] {
            if !names.is_empty() {
                write!(f, ", {} {what} ({})", names.len(), names.join(", "))?;
            }
        }
        if self.untold > 0 {
            write!(f, ", {} untold", self.untold)?;
        }
        Ok(())
    }
}

/// Why a supervisor does not take a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// As many tasks are alive as may be: wait for room, do it in the foreground, or drop it and count that.
    #[error("as many background tasks are alive as may be")]
    Full,
    /// The supervisor is shutting down or gone, or its runtime is: do it in the foreground, or store it.
    #[error("no more background tasks are taken")]
    Closed,
}

/// A task that was not begun, with its work.
#[derive(thiserror::Error)]
#[error("`{name}` was refused: {why}")]
pub struct Refused<W> {
    /// The task's name.
    pub name: String,
    /// Why.
    pub why: Refusal,
    /// The work, of which nothing has been done.
    pub work: W,
}

impl<W> fmt::Debug for Refused<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refused").field("name", &self.name).field("why", &self.why).finish_non_exhaustive()
    }
}
