//! A task that has an owner, and an outcome when it has gone.

use crate::{Panic, Settled};

use futures_util::FutureExt as _;
use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::task::JoinHandle;

/// A task with an owner: dropped, it is aborted. A bare `JoinHandle` would let it run on.
pub(crate) struct Task<T, E>(JoinHandle<Result<T, E>>);

impl<T: Send + 'static, E: Send + 'static> Task<T, E> {
    /// Starts what `work` makes.
    #[expect(clippy::disallowed_methods, reason = "the task is owned, and its outcome is waited for")]
    pub(crate) fn start<F>(work: impl FnOnce() -> F) -> Self
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        // `work` may panic before it has made a future. A task that panics in its stead makes that an outcome like any.
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(future) => Self(tokio::spawn(future)),
            Err(payload) => Self(tokio::spawn(async { resume_unwind(payload) })),
        }
    }
}

impl<T, E> Task<T, E> {
    /// Asks it to end at its next await. It has ended when its outcome is there.
    pub(crate) fn abort(&self) {
        self.0.abort();
    }
}

impl<T, E> Future for Task<T, E> {
    type Output = Settled<T, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Settled<T, E>> {
        Poll::Ready(match ready!(self.0.poll_unpin(cx)) {
            Ok(Ok(value)) => Settled::Ok(value),
            Ok(Err(error)) => Settled::Failed(error),
            Err(error) => match error.try_into_panic() {
                Ok(payload) => Settled::Panicked(Panic::new(payload)),
                // Aborted, or the runtime is shutting down.
                Err(_) => Settled::Cancelled,
            },
        })
    }
}

impl<T, E> Drop for Task<T, E> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
