//! A set-up of several steps: all of it, or nothing that is half open.
//!
//! If the third of three steps fails, `__aenter__` of asyncio raises, and `__aexit__` is not called for what it had opened; if
//! the caller is cancelled, likewise. Here the steps stand on an [`ExitStack`] while there is no value yet, and only
//! who has all of them gets one.

use crate::{
    exit_stack::{Closed, ExitStack},
    scope::Reaper,
};
use futures_util::FutureExt as _;
use std::{
    ops::{Deref, DerefMut},
    panic::{AssertUnwindSafe, resume_unwind},
};

/// The set-up failed, and what it had opened was closed again.
#[derive(Debug, thiserror::Error)]
#[error("{error}{}", and_then(undone))]
pub struct ConnectError<E> {
    /// The error of the step that failed. Nothing of the set-up is in use: it can be tried again.
    #[source]
    pub error: E,
    /// What became of the steps before, the last one first. One that [failed](Closed::failed) may be half open still.
    pub undone: Closed,
}

fn and_then(undone: &Closed) -> String {
    if undone.is_clean() { String::new() } else { format!("; and then {undone}") }
}

/// Sets up something in several steps, of which each may need those before; what a step has opened is closed again if a later
/// one fails.
///
/// Take it for what is opened in steps and used as one: log in, then open a session, then take a lease. A single resource
/// needs a [`Scoped`](crate::Scoped). Many that don't depend on each other go into one [`ExitStack`].
///
/// # Shape
/// `steps` [enters](ExitStack::enter) or [pushes](ExitStack::push) each thing as it opens it, and gives what is made of all of
/// them. A value exists only when every step is done; there is no half of it to be used by mistake.
///
/// # Errors
/// [`ConnectError`], once what was opened has been closed, last in, first out: with the error, and with what became of that.
///
/// # Panics
/// With a panic of `steps`, once what was opened has been closed; what goes wrong with that, the reaper is told. If the runtime
/// has no timers.
///
/// # Cancel safety
/// Nothing is left half open, at whichever await it is dropped. A step in the middle of its acquire goes on at the reaper, and
/// is undone as soon as it is done; then those before, in reverse. Dropped while it undoes, that goes on there.
///
/// # Source
/// The inner `AsyncExitStack` and its `pop_all` in the documentation of `contextlib`, made to hold when it is cancelled.
///
/// # Examples
/// ```
/// use common::{Recorder, server::{Call, Outcome, Server, ServerError, Session}};
/// use resources::{Lent, Ready, Reaper, connect};
/// use std::time::Duration;
///
/// #[derive(Debug)]
/// struct Worker {
///     session: Lent<Session>,
///     lease: Lent<Session>,
/// }
///
/// /// A session, and a lease whose name the session has to ask for.
/// async fn worker(server: &Server, reaper: &Reaper) -> Result<Ready<Worker>, resources::ConnectError<ServerError>> {
///     connect(reaper, async |stack| {
///         let mut session = stack.enter("session", server.open("session"), Session::close).await?;
///         let name = session.ask(7).await?;
///         let lease = stack.enter("lease", server.open(&name), Session::close).await?;
///         Ok(Worker { session, lease })
///     })
///     .await
/// }
///
/// # common::clock::paused(async {
/// let recorder = Recorder::new("a worker");
/// let reaper = Reaper::new(Duration::from_secs(5));
/// let server = Server::new(&recorder);
/// let mut ready = worker(&server, &reaper).await.unwrap();
/// assert_eq!(ready.lease.ask(1).await.unwrap(), "session: 7: 1");
/// assert_eq!(ready.close().await.closed, ["lease", "session"]);
///
/// let server = server.on(Call::Open, "session: 7", Duration::from_millis(10), Outcome::Fail);
/// let error = worker(&server, &reaper).await.unwrap_err();
/// assert_eq!(error.undone.closed, ["session"]);
/// assert!(server.left_open().is_empty());
/// # })
/// ```
pub async fn connect<T, E>(
    reaper: &Reaper,
    steps: impl AsyncFnOnce(&mut ExitStack) -> Result<T, E>,
) -> Result<Ready<T>, ConnectError<E>> {
    // ANCHOR: connect
    let mut stack = ExitStack::new(reaper);
    // Dropped here, the steps go first, with what they were lent, and then the stack is left to the reaper. They are called
    // in there, too: they may panic before they have given their future.
    match AssertUnwindSafe(async { steps(&mut stack).await }).catch_unwind().await {
        Ok(Ok(value)) => Ok(Ready { value, stack }),
        Ok(Err(error)) => Err(ConnectError { error, undone: stack.close().await }),
        Err(panic) => {
            // Nobody would hear of these errors with the panic.
            for lost in stack.close().await.failed {
                reaper.lose(lost.name, &lost.error);
            }
            resume_unwind(panic)
        }
    }
    // ANCHOR_END: connect
}

/// What a set-up has made, with all that it stands on.
///
/// # Cancel safety
/// Dropped, the value goes first, and what it stands on is closed at the reaper, last in, first out.
#[derive(Debug)]
#[must_use = "dropped at once, it is closed at once, and nobody waits for that or hears of an error"]
pub struct Ready<T> {
    // The order of the fields is that of their drops: what was lent is given back before its turn has come.
    value: T,
    stack: ExitStack,
}

impl<T> Ready<T> {
    /// Drops the value, closes all that it stands on, last in, first out, and waits for that.
    ///
    /// # Cancel safety
    /// The reaper goes on, as with [`ExitStack::close`].
    pub async fn close(self) -> Closed {
        let Self { value, stack } = self;
        drop(value);
        stack.close().await
    }

    /// The value, and the stack that closes what it stands on: for an owner who keeps them apart.
    pub fn into_parts(self) -> (T, ExitStack) {
        (self.value, self.stack)
    }
}

impl<T> Deref for Ready<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Ready<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}
