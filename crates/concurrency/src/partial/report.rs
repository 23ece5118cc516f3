use crate::{Panic, Retryable};
use std::time::Duration;

/// What there is, and what there is not: each key once, in one of the two lists, both in input order.
// ANCHOR: report
#[derive(Debug)]
#[must_use = "a report that nobody reads is a list of swallowed errors"]
pub struct Report<K, T, E> {
    /// The keys with a value.
    pub ok: Vec<(K, T)>,
    /// The keys without one.
    pub failed: Vec<(K, Failure<E>)>,
}

/// Why there is no value for a key.
// Not `non_exhaustive`: whoever handles failures should be asked about each kind by the compiler.
#[derive(Debug, thiserror::Error)]
pub enum Failure<E> {
    /// The work gave this error.
    #[error(transparent)]
    Failed(E),
    /// The work panicked: a bug, which asking again does not mend. The other keys did not notice.
    #[error("panicked: {0}")]
    Panicked(Panic),
    /// It had begun, and was aborted from outside, as when the runtime is shut down. It may have had an effect.
    #[error("cancelled")]
    Cancelled,
    /// It was not begun, because too much had failed before: nothing has happened yet.
    #[error("not started")]
    NotStarted,
}
// ANCHOR_END: report

impl<K, T, E> Report<K, T, E> {
    /// Whether nothing failed.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.failed.is_empty()
    }

    /// All values, if nothing failed: for a caller to whom a part is of no use, but who wants every failure told.
    ///
    /// # Errors
    /// The report itself, if anything failed.
    pub fn complete(self) -> Result<Vec<(K, T)>, Self> {
        if self.is_complete() { Ok(self.ok) } else { Err(self) }
    }

    /// The keys that are worth asking for again, in input order.
    pub fn retryable(&self) -> impl Iterator<Item = &K>
    where
        E: Retryable,
    {
        self.failed.iter().filter(|(_, failure)| failure.is_retryable()).map(|(key, _)| key)
    }
}

impl<E: Retryable> Retryable for Failure<E> {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Failed(error) => error.is_retryable(),
            Self::Panicked(_) => false,
            Self::Cancelled | Self::NotStarted => true,
        }
    }

    fn had_no_effect(&self) -> bool {
        match self {
            Self::Failed(error) => error.had_no_effect(),
            Self::Panicked(_) | Self::Cancelled => false,
            Self::NotStarted => true,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Failed(error) => error.retry_after(),
            _ => None,
        }
    }
}
