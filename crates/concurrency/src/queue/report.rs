use crate::Settled;
use std::{fmt, num::NonZeroU32};

/// What the failure of one item means for the rest.
// ANCHOR: policy
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// Nothing: the item has failed, and the workers go on.
    Skip,
    /// The item is tried again, at once and in the same place, until it was tried so many times in all; then it has failed.
    /// For a pause between attempts, retry inside of the work.
    Retry(NonZeroU32),
    /// The end: nothing more is accepted or begun, what has begun is seen to its end, what waited is given back.
    Stop,
}
// ANCHOR_END: policy

/// An item that was accepted, and what became of it.
#[derive(Debug)]
#[must_use = "an outcome that nobody looks at is a swallowed error"]
pub struct Ended<T, R, E> {
    /// Counts from 0, in the order in which items were accepted.
    pub sequence: u64,
    /// The item itself: to push it again, to store it, to say which one it was.
    pub item: T,
    /// How often it was begun. 0: nothing has happened. More, and [`Settled::Cancelled`]: the last attempt was aborted, and
    /// may have done half of its work.
    pub attempts: u32,
    /// How the last attempt ended; [`Settled::Cancelled`] if it was aborted, or there was none.
    pub outcome: Settled<R, E>,
}

/// What became of every item, each group by sequence.
#[derive(Debug)]
#[must_use = "it has the failures, and the items that were not done"]
pub struct Report<T, R, E> {
    /// Those that gave a value.
    pub done: Vec<Ended<T, R, E>>,
    /// Those whose last attempt gave an error or panicked.
    pub failed: Vec<Ended<T, R, E>>,
    /// Those that were accepted and are not done: aborted, or never begun.
    pub left: Vec<Ended<T, R, E>>,
}

impl<T, R, E> Report<T, R, E> {
    pub(super) fn add(&mut self, ended: Ended<T, R, E>) {
        match ended.outcome {
            Settled::Ok(_) => self.done.push(ended),
            Settled::Failed(_) | Settled::Panicked(_) => self.failed.push(ended),
            Settled::Cancelled => self.left.push(ended),
        }
    }

    pub(super) fn by_sequence(mut self) -> Self {
        for group in [&mut self.done, &mut self.failed, &mut self.left] {
            group.sort_unstable_by_key(|ended| ended.sequence);
        }
        self
    }
}

impl<T, R, E> Default for Report<T, R, E> {
    fn default() -> Self {
        Self { done: Vec::new(), failed: Vec::new(), left: Vec::new() }
    }
}

/// An item that was not accepted; here it is back.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused<T> {
    /// There is no room now. Wait with [`push`](super::Queue::push), or tell whoever asks to come back later.
    #[error("the queue is full")]
    Full(T),
    /// There never will be: the queue was closed, has stopped at a failure, or its workers are gone.
    #[error("the queue is closed")]
    Closed(T),
}

impl<T> Refused<T> {
    /// The item.
    #[must_use]
    pub fn into_item(self) -> T {
        match self {
            Self::Full(item) | Self::Closed(item) => item,
        }
    }
}

// By hand, so that an item without `Debug` can be refused, too.
impl<T> fmt::Debug for Refused<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::Closed(_) => "Closed(..)",
        })
    }
}
