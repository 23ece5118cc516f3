//! What can go wrong in a group.

use std::{error::Error, fmt, iter::once};

/// Why a group gave no value.
#[derive(Debug)]
pub struct GroupError<E> {
    /// What failed first, and stopped the others. Its error is the [`source`](Error::source).
    pub first: Failure<E>,
    /// What failed before it could be stopped, in order of time.
    pub rest: Vec<Failure<E>>,
    /// How many children were aborted for it. One that was aborted through its handle before is not among them.
    pub cancelled: usize,
}

impl<E> GroupError<E> {
    /// Every failure, in order of time.
    pub fn failures(&self) -> impl Iterator<Item = &Failure<E>> {
        once(&self.first).chain(&self.rest)
    }
}

impl<E> fmt::Display for GroupError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} failed", self.first.origin)?;
        for (count, what) in [(self.rest.len(), "more failed"), (self.cancelled, "cancelled")] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
        }
        Ok(())
    }
}

impl<E: Error + 'static> Error for GroupError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.first.error)
    }
}

/// An error, and whose it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{origin} failed")]
pub struct Failure<E> {
    /// Who failed.
    pub origin: Origin,
    /// What it returned.
    #[source]
    pub error: E,
}

/// Who can fail in a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The function given to [`task_group()`](super::task_group()).
    Body,
    /// A child. The first to be spawned has number 0, whoever spawns it.
    Child(usize),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body => f.write_str("the body"),
            Self::Child(index) => write!(f, "child {index}"),
        }
    }
}

/// The group takes no more children: it was closed, has failed, has returned, or was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the task group takes no more children")]
pub struct GroupClosed;

/// The child gave no value: it was aborted, or it failed or panicked, and then so does the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the child was stopped")]
pub struct Stopped;
