//! What was opened last is closed first: as many resources as there happen to be, closed one after the other.
//!
//! `AsyncExitStack` of asyncio raises one of several errors, lets a cancel interrupt the closing in hand, and waits for ever
//! for one that hangs. An [`ExitStack`] gives each closing a limit, reports all of them, and leaves what it can't await, when
//! it is dropped, to a [`Reaper`], in the same order.

use crate::{
    close::{CloseError, close_within},
    scope::{Reaper, Shielded, acquired_within},
};
use futures_util::{FutureExt as _, future::BoxFuture};
use std::{
    borrow::Cow,
    error::Error,
    fmt,
    mem::take,
    ops::{Deref, DerefMut},
    sync::{Mutex, PoisonError},
};
use tokio::sync::oneshot::{self, error::TryRecvError};

/// What a closing may fail with: resources of different kinds stand in one stack.
pub type BoxError = Box<dyn Error + Send + Sync>;

type Ended = Result<(), CloseError<BoxError>>;

/// Resources to be closed in the reverse order, and how.
///
/// Take it where it is known only when the program runs what is opened: as many shards as are configured, the parts of a
/// start-up. Where it is known before, nest [scopes](fn@crate::scope); they lend what they hold without a lock or a channel.
/// For a set-up of which all or nothing is wanted, see [`connect()`](fn@crate::connect). What has a destructor that is
/// enough (a permit, a file, a pooled connection) needs no stack.
///
/// What outlives a function is returned with its stack, or [appended](Self::append) to one that lives longer.
///
/// # Cancel safety
/// Dropped, all that is left is closed at the reaper, with the same limits, in the same order, each exactly once. The reaper
/// has a line for each, and is told of failures. `mem::forget` and the end of the reaper's runtime are beyond that:
/// [drain](Reaper::drain) it before.
///
/// # Source
/// `contextlib.AsyncExitStack`; `defer` in Go, whose panics replace one another.
///
/// # Examples
/// ```
/// use common::{Recorder, server::{Server, ServerError, Session, What}};
/// use resources::{ExitStack, Reaper};
/// use std::time::Duration;
///
/// # common::clock::paused(async {
/// let server = Server::new(&Recorder::new("two shards"));
/// let reaper = Reaper::new(Duration::from_secs(5));
/// let mut stack = ExitStack::new(&reaper);
/// let mut shards = Vec::new();
/// for name in ["shard 1", "shard 2"] {
///     shards.push(stack.enter(name, server.open(name), Session::close).await?);
/// }
/// assert_eq!(shards[0].ask(7).await?, "shard 1: 7");
///
/// // Whatever is in use is waited for, as long as the limit allows.
/// drop(shards);
/// assert_eq!(stack.close().await.closed, ["shard 2", "shard 1"]);
/// assert!(server.left_open().is_empty());
/// # Ok::<(), ServerError>(())
/// # }).unwrap();
/// ```
#[must_use = "dropped, it closes what it has, and nobody waits for that or hears of an error"]
pub struct ExitStack {
    reaper: Reaper,
    entries: Vec<Entry>,
    /// The ends of what the next closing waits for. In a list that `close` has begun, that of the closing in hand: dropped
    /// there, it goes on at the reaper, and the next one must not overtake it.
    before: Vec<oneshot::Receiver<()>>,
    /// What `close` has not been able to tell yet. Dropped there, the reaper is told.
    failed: Vec<NotClosed>,
}

enum Entry {
    /// To be closed. The lock is never taken: it makes the stack `Sync`, so that a task can hold what has one by reference.
    Open { name: Cow<'static, str>, closing: Mutex<BoxFuture<'static, Ended>> },
    /// The caller has left while it was acquired. The reaper has it; what stands below is not closed under it.
    Orphan(oneshot::Receiver<()>),
}

/// A resource that was not closed well. It is out of our hands all the same.
#[derive(Debug)]
pub struct NotClosed {
    /// Its name.
    pub name: Cow<'static, str>,
    /// Why.
    pub error: CloseError<BoxError>,
}

impl fmt::Display for NotClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.error)
    }
}

impl Error for NotClosed {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.error {
            CloseError::Failed(error) => Some(&**error),
            _ => None,
        }
    }
}

/// How each closing ended.
#[derive(Debug, Default)]
#[must_use = "it names what was not closed"]
pub struct Closed {
    /// The names of those that were closed well, in the order in which they were closed.
    pub closed: Vec<Cow<'static, str>>,
    /// Those that were not, in the order in which it was tried.
    pub failed: Vec<NotClosed>,
}

impl Closed {
    /// Whether all were closed well.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.failed.is_empty()
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} closed", self.closed.len())?;
        let failed: Vec<_> = self.failed.iter().map(ToString::to_string).collect();
        if failed.is_empty() { Ok(()) } else { write!(f, "; failed: {}", failed.join("; ")) }
    }
}

impl ExitStack {
    /// An empty stack. The reaper's [limit](Reaper::limit) is that of each closing.
    pub fn new(reaper: &Reaper) -> Self {
        Self { reaper: reaper.clone(), entries: Vec::new(), before: Vec::new(), failed: Vec::new() }
    }

    /// Pushes a future that is to be awaited when the stack is closed: `session.close()`, not yet polled.
    ///
    /// For what is closed without having been lent: a handle of which others have clones, a row to be deleted, a flag. What is
    /// opened with an await is better [entered](Self::enter).
    pub fn push<F, X>(&mut self, name: impl Into<Cow<'static, str>>, closing: F)
    where
        F: Future<Output = Result<(), X>> + Send + 'static,
        X: Into<BoxError>,
    {
        let closing = close_within(self.reaper.limit(), closing.map(|ended| ended.map_err(Into::into)));
        self.entries.push(Entry::Open { name: name.into(), closing: Mutex::new(closing.boxed()) });
    }

    /// Acquires a resource, lends it to the caller, and from then on closes it.
    ///
    /// # Shape
    /// Once acquired, it is on the stack: nothing can come between. `release` is called exactly once for it, when its turn has
    /// come and the [`Lent`] has been dropped. Waiting for that counts towards its limit.
    ///
    /// # Errors
    /// Those of `acquire`; there is nothing to release then.
    ///
    /// # Panics
    /// With a panic of `acquire`.
    ///
    /// # Cancel safety
    /// Acquiring goes on at the reaper for at most its limit, and what it gives is released at once. What is below in the stack
    /// is not closed before that. An acquire that takes longer is dropped, and named.
    pub async fn enter<R, E, A, C, F, X>(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        acquire: A,
        release: C,
    ) -> Result<Lent<R>, E>
    where
        R: Send + 'static,
        E: Send + 'static,
        A: Future<Output = Result<R, E>> + Send + 'static,
        C: FnOnce(R) -> F + Send + 'static,
        F: Future<Output = Result<(), X>> + Send + 'static,
        X: Into<BoxError> + 'static,
    {
        // ANCHOR: enter
        let name = name.into();
        let (over, is_over) = oneshot::channel::<()>();
        self.forget_the_gone();
        // In the place that it will have: should this be dropped, what is below waits for its end.
        self.entries.push(Entry::Orphan(is_over));
        let acquiring = async move { Ok((acquire.await?, release, over)) };
        let acquired = Shielded::new(&self.reaper, name.clone(), acquiring, |acquiring, limit| {
            let unwanted = async move {
                match acquired_within(limit, acquiring).await {
                    Ok(Some((resource, release, _over))) => {
                        let releasing = async move { release(resource).await.map_err(Into::into) };
                        close_within::<BoxError>(limit, releasing).await.err().map(|error| error.to_string())
                    }
                    // There is nothing to release.
                    Ok(None) => None,
                    Err(half_open) => Some(half_open),
                }
            };
            unwanted.boxed()
        });
        let acquired = acquired.await;
        self.entries.pop();
        let (resource, release, _over) = acquired?;
        let (home, returned) = oneshot::channel();
        self.push(name, async move {
            // Whoever has it gives it back, in a destructor: there is no other way for the channel to close.
            let Ok(resource) = returned.await else { return Ok(()) };
            release(resource).await
        });
        Ok(Lent { held: Some((resource, home)) })
        // ANCHOR_END: enter
    }

    /// Callers that leave again and again don't pile up: nothing has to wait for an acquire that is over.
    fn forget_the_gone(&mut self) {
        let open = self.entries.iter().rposition(|entry| matches!(entry, Entry::Open { .. }));
        let gone = |entry: &mut Entry| match entry {
            Entry::Open { .. } => false,
            Entry::Orphan(is_over) => is_over.try_recv() == Err(TryRecvError::Closed),
        };
        self.entries.extract_if(open.map_or(0, |open| open + 1).., gone).for_each(drop);
    }

    /// Puts another stack on top of this one: on success, a set-up goes over to the owner that lives longer.
    ///
    /// What has been pushed keeps its limit. Is that stack of another reaper, this one's has it from now on.
    pub fn append(&mut self, mut above: Self) {
        self.entries.append(&mut above.entries);
    }

    /// The names of what is to be closed, in the order in which it will be.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let open = self.entries.iter().rev().filter_map(|entry| match entry {
            Entry::Open { name, .. } => Some(&**name),
            Entry::Orphan(_) => None,
        });
        open.collect()
    }

    /// Closes all, what was pushed last first, and waits for it.
    ///
    /// # Shape
    /// One after the other, in the caller's task; each has the reaper's [limit](Reaper::limit) for itself alone. Whether one
    /// fails, panics or hangs does not matter to the next.
    ///
    /// # Panics
    /// If the runtime has no timers; what is left goes to the reaper then.
    ///
    /// # Cancel safety
    /// The closing in hand goes on at the reaper, with what is left of its limit; the others follow there, in the same order.
    /// The reaper is told of those that had failed before.
    pub async fn close(mut self) -> Closed {
        // ANCHOR: close
        let mut closed = Vec::new();
        while let Some((name, turn)) = self.next() {
            match turn.await {
                Ok(()) => closed.push(name),
                // Kept in `self`: dropped in the middle, nobody would hear of it.
                Err(error) => self.failed.push(NotClosed { name, error }),
            }
        }
        for orphan in take(&mut self.before) {
            // An error means that it has gone, which is what is waited for.
            orphan.await.ok();
        }
        Closed { closed, failed: take(&mut self.failed) }
        // ANCHOR_END: close
    }

    /// The next closing, behind what has been begun. Dropped, it goes on at the reaper.
    // ANCHOR: next
    fn next(&mut self) -> Option<(Cow<'static, str>, Shielded<Ended>)> {
        loop {
            match self.entries.pop()? {
                Entry::Orphan(is_over) => self.before.push(is_over),
                Entry::Open { name, closing } => {
                    let (over, is_over) = oneshot::channel::<()>();
                    let before = std::mem::replace(&mut self.before, vec![is_over]);
                    let closing = closing.into_inner().unwrap_or_else(PoisonError::into_inner);
                    let turn = async move {
                        // Dropped at the end, or with this future: either tells the next one.
                        let _over = over;
                        for other in before {
                            other.await.ok();
                        }
                        closing.await
                    };
                    let told: fn(BoxFuture<'static, Ended>, _) -> _ =
                        |turn, _| turn.map(|ended| ended.err().map(|error| error.to_string())).boxed();
                    return Some((name.clone(), Shielded::new(&self.reaper, name, turn, told)));
                }
            }
        }
    }
    // ANCHOR_END: next
}

impl Drop for ExitStack {
    fn drop(&mut self) {
        for NotClosed { name, error } in take(&mut self.failed) {
            self.reaper.lose(name, &error);
        }
        // Each is a task then, and waits for the one before.
        while let Some((_name, turn)) = self.next() {
            drop(turn);
        }
    }
}

impl fmt::Debug for ExitStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let orphans = self.entries.iter().filter(|entry| matches!(entry, Entry::Orphan(_))).count();
        f.debug_struct("ExitStack")
            .field("names", &self.names())
            .field("orphans", &orphans)
            .finish_non_exhaustive()
    }
}

/// A resource that its stack will close; dropped, it goes back there.
///
/// # Cancel safety
/// To drop it closes nothing: that is for its turn in the stack. Held longer than its limit allows, it is reported as
/// [`TimedOut`](CloseError::TimedOut), and dropped unreleased by whoever holds it.
#[must_use = "dropped, it can't be used any more: it waits in its stack to be closed"]
pub struct Lent<R> {
    /// None only in the destructor.
    held: Option<(R, oneshot::Sender<R>)>,
}

impl<R> Deref for Lent<R> {
    type Target = R;

    fn deref(&self) -> &R {
        &self.held.as_ref().expect("only `drop` takes it").0
    }
}

impl<R> DerefMut for Lent<R> {
    fn deref_mut(&mut self) -> &mut R {
        &mut self.held.as_mut().expect("only `drop` takes it").0
    }
}

impl<R> Drop for Lent<R> {
    fn drop(&mut self) {
        if let Some((resource, home)) = self.held.take() {
            // Nobody is at home once its turn is over: it is dropped here.
            home.send(resource).ok();
        }
    }
}

impl<R: fmt::Debug> fmt::Debug for Lent<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lent").field(&**self).finish()
    }
}
