use crate::{Retryable, TimedOut};
use std::{error::Error, fmt, time::Duration};

/// No attempt succeeded: why there is no further one, and what became of each.
// ANCHOR: error
#[derive(Debug)]
pub struct RetryError<E> {
    /// Why it was not tried again.
    pub why: GaveUp,
    /// Every attempt, in order. Empty if there was no time even for the first.
    pub attempts: Vec<FailedAttempt<E>>,
}

/// Why it is not tried again, and so what the caller can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum GaveUp {
    /// The last error will not pass: the question has to be another one.
    #[error("the error will not pass")]
    Permanent,
    /// The last attempt may have had its effect: find out before you ask again.
    #[error("it may have been done, and must not be done twice")]
    NotIdempotent,
    /// All attempts are used up: later, it may succeed.
    #[error("no attempts are left")]
    Attempts,
    /// Too little time is left for another attempt: with a later deadline, it may succeed.
    #[error("too little time is left")]
    Deadline,
    /// All callers together have used up the budget: the service is down for everybody. Do without it, or say so.
    #[error("the budget for retries is used up")]
    Budget,
}

/// One attempt that failed.
#[derive(Debug)]
#[non_exhaustive]
pub struct FailedAttempt<E> {
    /// With what.
    pub error: AttemptError<E>,
    /// When it began, counted from the beginning of the first.
    pub at: Duration,
    /// How long it took.
    pub took: Duration,
}

/// How an attempt failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AttemptError<E> {
    /// With an error of the work.
    #[error(transparent)]
    Failed(E),
    /// The limit of the attempt passed, or the deadline. Whether it had its effect, nobody knows.
    #[error(transparent)]
    TimedOut(TimedOut),
}
// ANCHOR_END: error

impl<E: Retryable> Retryable for AttemptError<E> {
    fn is_retryable(&self) -> bool {
        match self {
            Self::Failed(error) => error.is_retryable(),
            Self::TimedOut(_) => true,
        }
    }

    fn had_no_effect(&self) -> bool {
        match self {
            Self::Failed(error) => error.had_no_effect(),
            Self::TimedOut(_) => false,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Failed(error) => error.retry_after(),
            Self::TimedOut(_) => None,
        }
    }
}

/// For whoever tries the whole again later: the failed keys of a [report](crate::partial::Report), for instance.
impl<E: Retryable> Retryable for RetryError<E> {
    fn is_retryable(&self) -> bool {
        !matches!(self.why, GaveUp::Permanent | GaveUp::NotIdempotent)
    }

    fn had_no_effect(&self) -> bool {
        self.attempts.iter().all(|attempt| attempt.error.had_no_effect())
    }

    fn retry_after(&self) -> Option<Duration> {
        self.attempts.last().and_then(|attempt| attempt.error.retry_after())
    }
}

impl<E: fmt::Display> fmt::Display for RetryError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gave up, {}; attempts: {}", self.why, self.attempts.len())?;
        for attempt in &self.attempts {
            write!(f, "; at {:?}: {}", attempt.at, attempt.error)?;
        }
        Ok(())
    }
}

// No source: every error is told in the text, and a report that follows sources would tell the last one twice.
impl<E: Error> Error for RetryError<E> {}
