//! Acquire, use, release: released exactly once, and awaited, however the use ends.
//!
//! `async with` awaits its `__aexit__`, and a cancellation interrupts that as any other await. In Rust nothing is awaited at
//! all when a future is dropped: a destructor can't. So what is to be awaited is [shielded](Reaper::shield) here: it runs in
//! its caller's task, and if that is dropped it goes on, where it stands, at a [`Reaper`], which a shutdown
//! [drains](Reaper::drain).

mod reaper;

pub use reaper::{AFTER_ABORT, Drained, Lost, REMEMBERED, Reaper, Shielded};

use crate::close::{CloseError, close_within, panic_message};
use futures_util::{FutureExt as _, future::BoxFuture};
use std::{
    borrow::Cow,
    fmt,
    ops::{Deref, DerefMut},
    panic::{AssertUnwindSafe, resume_unwind},
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::timeout;

/// How a [`scope()`] ended, when not all of it went well. `T` is the body's value, `B` its error, `E` the resource's.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ScopeError<T, B, E> {
    /// Nothing was acquired, and the body has not run: it can be tried again.
    #[error("it could not be acquired: {0}")]
    NotAcquired(#[source] E),
    /// The body gave an error. What it had begun is the caller's to judge; the resource is out of its hands.
    #[error("{body}{}", and_then(release.as_ref()))]
    Body {
        /// The body's error.
        #[source]
        body: B,
        /// What releasing gave, if that went wrong, too.
        release: Option<CloseError<E>>,
    },
    /// The body has done its work, and the resource may have been left behind. The value is here.
    #[error("the work is done, but then: {release}")]
    NotReleased {
        /// The body's value.
        value: T,
        /// Why it was not released.
        #[source]
        release: CloseError<E>,
    },
}

fn and_then<E: fmt::Display>(release: Option<&CloseError<E>>) -> String {
    release.map(|release| format!("; and then {release}")).unwrap_or_default()
}

/// Without the value: that need not be `Debug` for the error to be one.
impl<T, B: fmt::Debug, E: fmt::Debug> fmt::Debug for ScopeError<T, B, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAcquired(error) => f.debug_tuple("NotAcquired").field(error).finish(),
            Self::Body { body, release } => {
                f.debug_struct("Body").field("body", body).field("release", release).finish()
            }
            Self::NotReleased { release, .. } => {
                f.debug_struct("NotReleased").field("release", release).finish_non_exhaustive()
            }
        }
    }
}

/// Acquires a resource, lends it to `body`, and releases it, however the body ends.
///
/// Take it where a resource is used within one function, and giving it back has to await: a session to log out of, a lease to
/// return, an upload to abort. What a destructor can do (a permit, a file, a pooled connection) needs no scope. For what
/// outlives the function there is the guard, [`Scoped`]. Scopes can be nested, and are released the last first; but where the
/// caller is dropped each is a task of the reaper's, and no order holds: if it has to, take an [exit stack](crate::ExitStack).
///
/// # Shape
/// `release` is called exactly once for what `acquire` gave: after the body's value, its error or its panic, and when this
/// future is dropped. It is awaited before this returns, for as long as the reaper's [limit](Reaper::limit), whatever is
/// left of the caller's own time. The body is polled in the caller's task, and may borrow.
///
/// # Errors
/// [`ScopeError`], which has the body's error *and* that of releasing, and keeps the body's value if only releasing failed.
/// A panic in `release` is [an error](CloseError::Panicked).
///
/// # Panics
/// With the body's panic, once the resource is released; what goes wrong with that, the reaper [is told](Lost). With a panic
/// of `acquire`. If the runtime has no timers.
///
/// # Cancel safety
/// Nothing is leaked, at whichever await it is dropped; the reaper goes on where it stood, and [its errors](Lost) are told
/// there:
///
/// - while it acquires: acquiring goes on for at most the limit, and what it gives is released at once. An acquire that takes
///   longer is dropped, and named.
/// - in the body: the body is dropped, then the resource is released.
/// - while it releases: that goes on, with what is left of its limit.
///
/// Not after `mem::forget`, the end of the process or of the reaper's runtime: [drain](Reaper::drain) it before.
///
/// # Source
/// `bracket` in Haskell, which runs release with interrupts masked; `async with` in asyncio, which does not.
///
/// # Examples
/// ```
/// use common::{Recorder, server::{Server, ServerError}};
/// use resources::{Reaper, scope};
/// use std::time::Duration;
///
/// # common::clock::paused(async {
/// let server = Server::new(&Recorder::new("a session"));
/// let reaper = Reaper::new(Duration::from_secs(5));
///
/// let answer = scope(&reaper, "session", server.open("a"), async |session| session.ask(7).await, |session| session.close());
/// assert_eq!(answer.await?, "a: 7");
///
/// // The caller gives up, in the middle of the question.
/// let answer = scope(&reaper, "session", server.open("b"), async |session| session.ask(7).await, |session| session.close());
/// assert!(tokio::time::timeout(Duration::from_millis(15), answer).await.is_err());
/// assert_eq!(server.left_open(), ["b"]);
/// let drained = reaper.drain(Duration::from_secs(10)).await;
/// assert_eq!((drained.finished, drained.is_clean()), (1, true));
/// assert!(server.left_open().is_empty());
/// # Ok::<(), resources::ScopeError<String, ServerError, ServerError>>(())
/// # }).unwrap();
/// ```
pub async fn scope<R, T, B, E, A, U, C, F>(
    reaper: &Reaper,
    name: impl Into<Cow<'static, str>>,
    acquire: A,
    body: U,
    release: C,
) -> Result<T, ScopeError<T, B, E>>
where
    R: Send + 'static,
    E: fmt::Display + Send + 'static,
    A: Future<Output = Result<R, E>> + Send + 'static,
    U: AsyncFnOnce(&mut R) -> Result<T, B>,
    C: FnOnce(R) -> F + Send + 'static,
    F: Future<Output = Result<(), E>> + Send + 'static,
{
    // ANCHOR: scope
    let name = name.into();
    let scoped = Scoped::acquire(reaper, name.clone(), acquire, release).await;
    let mut scoped = scoped.map_err(ScopeError::NotAcquired)?;
    // Dropped in here, the body goes first, and then the guard hands its resource to the reaper. It is called in there, too:
    // it may panic before it has given its future.
    let ended = AssertUnwindSafe(async { body(&mut scoped).await }).catch_unwind().await;
    match (ended, scoped.close().await) {
        (Ok(Ok(value)), Ok(())) => Ok(value),
        (Ok(Ok(value)), Err(release)) => Err(ScopeError::NotReleased { value, release }),
        (Ok(Err(body)), release) => Err(ScopeError::Body { body, release: release.err() }),
        (Err(panic), release) => {
            if let Err(release) = release {
                reaper.lose(name, &release);
            }
            resume_unwind(panic)
        }
    }
    // ANCHOR_END: scope
}

type Release<R, E> = Box<dyn FnOnce(R) -> BoxFuture<'static, Result<(), E>> + Send>;

/// A resource that is released when it is [closed](Self::close), and handed to the reaper for that when it is dropped.
///
/// Take it for what outlives the function that acquired it: a field, something that is returned. Within one function take
/// [`scope()`], which can't be left without closing.
///
/// # Examples
/// ```
/// use common::{Recorder, server::{Server, ServerError, Session}};
/// use resources::{Reaper, Scoped};
/// use std::time::Duration;
///
/// struct Inbox {
///     session: Scoped<Session, ServerError>,
/// }
///
/// # common::clock::paused(async {
/// let server = Server::new(&Recorder::new("a session"));
/// let reaper = Reaper::new(Duration::from_secs(5));
/// let mut inbox =
///     Inbox { session: Scoped::acquire(&reaper, "session", server.open("a"), |session| session.close()).await? };
/// assert_eq!(inbox.session.ask(7).await?, "a: 7");
/// inbox.session.close().await.expect("closed");
/// assert!(server.left_open().is_empty());
/// # Ok::<(), ServerError>(())
/// # }).unwrap();
/// ```
#[must_use = "dropped at once, it is released at once, and nobody waits for that or hears of an error"]
pub struct Scoped<R, E: fmt::Display + Send + 'static> {
    reaper: Reaper,
    name: Cow<'static, str>,
    /// None only while it is closed or dropped. The lock is never taken: it makes this `Sync`, so that `&Scoped` can be
    /// held across an await of a task.
    held: Option<(R, Mutex<Release<R, E>>)>,
}

impl<R, E: fmt::Display + Send + 'static> Scoped<R, E> {
    /// Guards what is in hand already. Made by something that awaits, it is better [acquired](Self::acquire).
    pub fn new<C, F>(reaper: &Reaper, name: impl Into<Cow<'static, str>>, resource: R, release: C) -> Self
    where
        R: Send + 'static,
        C: FnOnce(R) -> F + Send + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        // `release` is called within the future: a panic in there is caught, too.
        let release: Release<R, E> = Box::new(|resource| async move { release(resource).await }.boxed());
        Self { reaper: reaper.clone(), name: name.into(), held: Some((resource, Mutex::new(release))) }
    }

    /// Acquires a resource and guards it.
    ///
    /// # Errors
    /// Those of `acquire`; there is nothing to release then.
    ///
    /// # Panics
    /// With a panic of `acquire`.
    ///
    /// # Cancel safety
    /// Acquiring goes on at the reaper for at most its limit, and what it gives is released at once. An acquire that takes
    /// longer is dropped, and named.
    pub async fn acquire<A, C, F>(
        reaper: &Reaper,
        name: impl Into<Cow<'static, str>>,
        acquire: A,
        release: C,
    ) -> Result<Self, E>
    where
        R: Send + 'static,
        A: Future<Output = Result<R, E>> + Send + 'static,
        C: FnOnce(R) -> F + Send + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        // ANCHOR: acquire
        let name = name.into();
        // `release` travels with `acquire`: whoever finishes that has both.
        let acquiring = async move { Ok((acquire.await?, release)) };
        let acquired = Shielded::new(reaper, name.clone(), acquiring, |acquiring, limit| {
            let unwanted = async move {
                match acquired_within(limit, acquiring).await {
                    Ok(Some((resource, release))) => {
                        let released = close_within(limit, async move { release(resource).await }).await;
                        released.err().map(|error| error.to_string())
                    }
                    // There is nothing to release.
                    Ok(None) => None,
                    Err(half_open) => Some(half_open),
                }
            };
            unwanted.boxed()
        });
        let (resource, release) = acquired.await?;
        Ok(Self::new(reaper, name, resource, release))
        // ANCHOR_END: acquire
    }

    /// Releases it, and waits for that.
    ///
    /// # Errors
    /// [`CloseError`]: it is out of our hands all the same.
    ///
    /// # Panics
    /// If the runtime has no timers.
    ///
    /// # Cancel safety
    /// Releasing goes on at the reaper, with what is left of its limit; its error is told there.
    pub async fn close(mut self) -> Result<(), CloseError<E>> {
        match self.release() {
            Some(releasing) => releasing.await,
            None => Ok(()),
        }
    }

    fn release(&mut self) -> Option<Shielded<Result<(), CloseError<E>>>> {
        let (resource, release) = self.held.take()?;
        let release = release.into_inner().unwrap_or_else(PoisonError::into_inner);
        Some(self.reaper.shield(std::mem::take(&mut self.name), release(resource)))
    }
}

/// What an acquire gives that nobody waits for: nothing if it fails, and why it may be half open if that is not known.
pub(crate) async fn acquired_within<T, E>(
    limit: Duration,
    acquiring: impl Future<Output = Result<T, E>>,
) -> Result<Option<T>, String> {
    // In the block, it is dropped before the catch is over.
    match AssertUnwindSafe(async { timeout(limit, acquiring).await }).catch_unwind().await {
        Ok(Ok(acquired)) => Ok(acquired.ok()),
        Ok(Err(_elapsed)) => Err(format!("it was not acquired within {limit:?}, and may be half open")),
        Err(payload) => {
            let message = panic_message(payload);
            Err(format!("acquiring it panicked, and it may be half open: {message}"))
        }
    }
}

impl<R, E: fmt::Display + Send + 'static> Drop for Scoped<R, E> {
    fn drop(&mut self) {
        // Dropped at its start, it is finished at the reaper.
        drop(self.release());
    }
}

impl<R, E: fmt::Display + Send + 'static> Deref for Scoped<R, E> {
    type Target = R;

    fn deref(&self) -> &R {
        &self.held.as_ref().expect("only `close` and `drop` take it").0
    }
}

impl<R, E: fmt::Display + Send + 'static> DerefMut for Scoped<R, E> {
    fn deref_mut(&mut self) -> &mut R {
        &mut self.held.as_mut().expect("only `close` and `drop` take it").0
    }
}

impl<R: fmt::Debug, E: fmt::Display + Send + 'static> fmt::Debug for Scoped<R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let resource = self.held.as_ref().map(|(resource, _)| resource);
        f.debug_struct("Scoped")
            .field("name", &self.name)
            .field("resource", &resource)
            .finish_non_exhaustive()
    }
}
