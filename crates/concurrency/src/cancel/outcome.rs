//! How work in a scope ends, and what a scope says when it is closed.

use crate::Panic;
use std::{any::Any, fmt, time::Duration};

/// What `catch_unwind` gives.
pub(super) type Caught<T> = Result<T, Box<dyn Any + Send>>;

/// The scope was cancelled; it says which one, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{scope} was cancelled: {reason}")]
#[non_exhaustive]
pub struct Cancelled {
    /// The name of the scope that was asked. The cancel may have come from above.
    pub scope: &'static str,
    /// The first reason that was given.
    pub reason: &'static str,
}

/// Why shielded work or clean-up gave no value.
// ANCHOR: error
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkError<E> {
    /// The scope was cancelled before: nothing has happened, and elsewhere it may be tried.
    #[error("not begun: {0}")]
    NotBegun(Cancelled),
    /// It ended with this error.
    #[error("{0}")]
    Failed(#[source] E),
    /// Clean-up took longer than its bound, and was dropped: what it should have removed may still be there.
    #[error("given up after {bound:?}")]
    TimedOut {
        /// The bound.
        bound: Duration,
    },
    /// It panicked; nobody knows how far it came.
    #[error("panicked: {0}")]
    Panicked(Panic),
    /// The scope was closed and its grace was over, or the runtime was shut down; nobody knows how far it came.
    #[error("aborted")]
    Aborted,
}
// ANCHOR_END: error

/// How a body and its clean-up ended.
#[derive(Debug)]
#[must_use = "two errors may be in it"]
pub struct CleanedUp<T, E> {
    /// What the body gave.
    pub body: T,
    /// The end of the clean-up.
    pub clean_up: Result<(), WorkError<E>>,
}

/// An error or a panic that nobody waited for any more.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lost {
    /// The name of the scope.
    pub scope: &'static str,
    /// The name of the work.
    pub work: &'static str,
    /// What was wrong, in words.
    pub error: String,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}: {}", self.work, self.scope, self.error)
    }
}

/// What became of the work in a scope that was closed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "what was aborted or left is only told here"]
#[non_exhaustive]
pub struct Report {
    /// Why it was cancelled, by whomever was first.
    pub reason: &'static str,
    /// How many lines of the books were struck out from the cancel to the end of the grace: what ended by itself, and
    /// what may be dropped. With clean-up, a body and its clean-up are a line each, and what they are shielded in is
    /// another. What ends by itself after the grace is told nowhere.
    pub ended: usize,
    /// The names of what was aborted at the end of the grace: shielded work, and never clean-up.
    pub aborted: Vec<&'static str>,
    /// The names of what was still there [`AFTER_ABORT`](super::AFTER_ABORT) later: it blocks its thread, nobody polls it,
    /// it is a body that goes on in its caller's task, or it was clean-up, and is aborted now.
    pub left: Vec<&'static str>,
}

impl Report {
    /// Whether nothing was aborted, and nothing was left.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.aborted.is_empty() && self.left.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "closed for {}: {} ended", self.reason, self.ended)?;
        for (what, names) in [("aborted", &self.aborted), ("left", &self.left)] {
            if !names.is_empty() {
                write!(f, ", {what}: {}", names.join(", "))?;
            }
        }
        Ok(())
    }
}
