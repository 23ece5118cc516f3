//! Blocking calls, away from the threads that wait for others, and never more of them than you said.
//!
//! `asyncio.to_thread` has a queue without end, gives up its thread when the caller goes, and lets it run on unseen.
//! `tokio::task::spawn_blocking` does the same with up to 512 threads. A [`Bulkhead`] bounds what runs and what waits,
//! says "busy" at once, tells running work that its caller has gone, and counts a thread until it has ended.

use crate::{Panic, Retryable, Settled};

use std::{
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot},
    task::spawn_blocking,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// Runs blocking calls on threads, a bounded number at once, with a bounded number waiting. Clones are the same bulkhead.
///
/// Take one for each thing that can be slow by itself: one for the driver of a database, one for a slow disk. When one is
/// full, the others still have room. Make it where the program starts; a limit that every request makes for itself limits
/// nothing.
///
/// What to take instead:
///
/// | work | take |
/// |---|---|
/// | a call that blocks, now and then, and nobody can flood it | [`spawn_blocking`] |
/// | computing that is split over all cores | rayon, the result through a [`oneshot`]; a panic in `rayon::spawn` ends the process, so catch it there |
/// | a handle that one thread must own, a loop without end | a [`std::thread`] of its own, and a bounded channel to it |
/// | a call that must borrow, in the middle of a function | [`block_in_place`](tokio::task::block_in_place), on a multi-thread runtime only; other branches of the same task stand still |
/// | native code that may crash, or must be killed | a process |
///
/// The threads are those of the runtime's blocking pool, which `tokio::fs` and name look-ups use too: the sum of all
/// bulkheads should stay well below its limit (`max_blocking_threads`, 512).
///
/// # Examples
/// ```
/// use concurrency::{BlockingError, Bulkhead};
/// use std::num::NonZeroUsize;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// // At most four reads at once, and sixteen callers that wait for one.
/// let disk = Bulkhead::new(NonZeroUsize::new(4).expect("not zero"), 16);
/// match disk.run(|_| std::fs::read_to_string("Cargo.toml")).await {
///     Ok(Ok(manifest)) => assert!(manifest.contains("[package]")),
///     Ok(Err(error)) => println!("the disk says: {error}"),
///     Err(BlockingError::Busy { running, waiting }) => println!("503: {running} run, {waiting} wait"),
///     Err(error) => println!("500: {error}"),
/// }
/// # });
/// ```
#[derive(Debug, Clone)]
pub struct Bulkhead {
    shared: Arc<Shared>,
}

// ANCHOR: shared
#[derive(Debug)]
struct Shared {
    limit: usize,
    may_wait: usize,
    /// Who waits for a place stands in line here, first come, first served.
    places: Arc<Semaphore>,
    /// Held to count, never while anything waits or runs.
    state: Mutex<State>,
    /// Rung when nothing runs any more.
    idle: Notify,
    /// The parent of every call's flag: set when a shutdown has waited long enough.
    stop: CancellationToken,
}

#[derive(Debug, Default)]
struct State {
    /// Calls that run or wait. A call counts from its first poll; one that runs, to the end of its thread.
    admitted: usize,
    /// Calls that have a thread.
    running: usize,
    closed: bool,
}
// ANCHOR_END: shared

/// How full a bulkhead is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Calls that have a thread, also those whose callers have gone.
    pub running: usize,
    /// Callers that wait for one.
    pub waiting: usize,
}

/// Why a call gave no value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlockingError {
    /// There is no room. Nothing was started: try again later, or tell whoever asked to (503, with `Retry-After`).
    #[error("busy: {running} running, {waiting} waiting")]
    Busy {
        /// Calls that had a thread.
        running: usize,
        /// Callers that waited for one.
        waiting: usize,
    },
    /// The bulkhead was shut down, or its runtime, before the work had begun. Nothing was started, and nothing will be.
    #[error("shut down before the work had begun")]
    Closed,
    /// The work panicked, on its thread. Its place is free again; what it had half done is for you to know.
    #[error("the blocking work panicked: {0}")]
    Panicked(Panic),
}

impl Retryable for BlockingError {
    /// Only [`Busy`](Self::Busy) is of the moment.
    fn is_retryable(&self) -> bool {
        matches!(self, Self::Busy { .. })
    }

    /// Nothing was started, unless it panicked.
    fn had_no_effect(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::Closed)
    }
}

/// A shutdown has waited for as long as it was told, and threads still run.
///
/// Their flags are set. No thread can be ended from outside: wait once more, or leave them to the end of the process, for
/// which `Runtime::shutdown_timeout` is needed: dropping the runtime waits for them without limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{running} blocking calls still run")]
pub struct StillRunning {
    /// How many.
    pub running: usize,
}

impl Bulkhead {
    /// Room for `limit` calls on threads, and for `may_wait` callers that wait for one; with zero, a call runs at once or
    /// not at all.
    ///
    /// The more may wait, the longer the last one does: about `may_wait / limit` times what a call takes. If that is
    /// longer than callers have patience, the work is done for nobody.
    #[must_use]
    pub fn new(limit: NonZeroUsize, may_wait: usize) -> Self {
        let limit = limit.get().min(Semaphore::MAX_PERMITS);
        let shared = Shared {
            limit,
            may_wait,
            places: Arc::new(Semaphore::new(limit)),
            state: Mutex::default(),
            idle: Notify::new(),
            stop: CancellationToken::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Runs `work` on a thread where it may block, and gives what it gives.
    ///
    /// Work that takes long should ask its argument, the flag, now and then: between two rows, two files, two blocks. It
    /// is set when the caller has gone, and when a [`shutdown`](Self::shutdown) has waited long enough. Asking costs a
    /// lock that is almost always free: not for each byte.
    ///
    /// # Shape
    /// At most the limit run at once, in the order in which they came; at most so many wait as were allowed; what comes
    /// on top is refused at the first poll. Whoever is given the result finds the place free.
    ///
    /// A caller that was given a place and is not polled keeps it: don't put this future aside, as in a `select!` loop
    /// that is busy elsewhere. Work that waits for another call of the same bulkhead deadlocks when it is full.
    ///
    /// # Errors
    /// [`BlockingError`]; errors of the work are its value.
    ///
    /// # Panics
    /// Outside of a tokio runtime, or if the system has no thread to give. A panic of the work is
    /// [`BlockingError::Panicked`].
    ///
    /// # Cancel safety
    /// Dropped while it waits: the work never starts, and the room is free at once. Dropped while the work runs: no
    /// thread can be stopped from outside, so it runs on and its place stays taken until the **thread** ends; the flag
    /// is set, and the result is dropped on that thread. Dropped when the result was there already and nobody had polled
    /// since: the result is dropped with the future.
    ///
    /// # Source
    /// `asyncio.to_thread`, with trio's `CapacityLimiter` and `from_thread.check_cancelled`; a bulkhead with a queue, as
    /// Polly and resilience4j have it.
    ///
    /// # Examples
    /// ```
    /// use concurrency::Bulkhead;
    /// use std::num::NonZeroUsize;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let reports = Bulkhead::new(NonZeroUsize::MIN, 0);
    /// let lines = reports.run(|cancelled| {
    ///     let mut lines = Vec::new();
    ///     for row in 1..=3 {
    ///         if cancelled.is_cancelled() {
    ///             break;
    ///         }
    ///         lines.push(format!("row {row}"));
    ///     }
    ///     lines
    /// });
    /// assert_eq!(lines.await?.len(), 3);
    /// # Ok::<(), concurrency::BlockingError>(())
    /// # }).unwrap();
    /// ```
    pub async fn run<W, T>(&self, work: W) -> Result<T, BlockingError>
    where
        W: FnOnce(&CancellationToken) -> T + Send + 'static,
        T: Send + 'static,
    {
        // ANCHOR: run
        let admitted = Admitted::new(&self.shared)?;
        let permit = self.shared.places.clone().acquire_owned().await;
        let place = Place::new(admitted, permit.map_err(|_| BlockingError::Closed)?)?;
        let cancelled = self.shared.stop.child_token();
        let gone = cancelled.clone().drop_guard();
        let (reply, result) = oneshot::channel();
        // The handle is not needed: the work answers through the channel, and nobody can abort it once it runs.
        drop(spawn_blocking(move || {
            // It may have waited in the runtime's queue, behind the calls of others.
            if cancelled.is_cancelled() {
                return drop(work);
            }
            let result = catch_unwind(AssertUnwindSafe(|| work(&cancelled)));
            if reply.is_closed() {
                // The result first: closing a file, or a connection, belongs to the work.
                drop(result);
                drop(place);
            } else {
                // The place first: who has the result and comes again must not be told that it is busy.
                drop(place);
                drop(reply.send(result));
            }
        }));
        let result = result.await;
        // The work has ended. A clone of the flag that it gave to somebody is not told that it was cancelled.
        drop(gone.disarm());
        match result {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(payload)) => Err(BlockingError::Panicked(Panic::new(payload))),
            Err(_) => Err(BlockingError::Closed),
        }
        // ANCHOR_END: run
    }

    /// Runs `work` on each item, one after the other, in **one** hop to a thread.
    ///
    /// A hop costs some tens of microseconds, so for many small calls (a `stat` for each of a thousand files) it costs more
    /// than the work. Take [`run`](Self::run) for calls that take longer than a hundred microseconds each and may
    /// run side by side.
    ///
    /// # Shape
    /// n items in, n outcomes out; outcome i belongs to item i. One place is taken for all of them. The iterator is
    /// asked on the thread. Between two items the flag is asked: when it is set, items that had not begun are
    /// [`Settled::Cancelled`].
    ///
    /// # Errors
    /// As [`run`](Self::run); an error or a panic of `work` is the outcome of its item.
    ///
    /// # Panics
    /// As [`run`](Self::run). If the iterator panics, that is [`BlockingError::Panicked`].
    ///
    /// # Cancel safety
    /// As [`run`](Self::run): the item in work is seen to its end, the others don't begin, and the iterator
    /// is not asked for them.
    ///
    /// # Examples
    /// ```
    /// use concurrency::{Bulkhead, Settled};
    /// use std::num::NonZeroUsize;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let disk = Bulkhead::new(NonZeroUsize::MIN, 0);
    /// let sizes = disk.run_each(["Cargo.toml", "no such file"], |path| std::fs::metadata(path).map(|file| file.len()));
    /// assert!(matches!(sizes.await?.as_slice(), [Settled::Ok(1..), Settled::Failed(_)]));
    /// # Ok::<(), concurrency::BlockingError>(())
    /// # }).unwrap();
    /// ```
    pub async fn run_each<I, W, T, E>(
        &self,
        items: I,
        mut work: W,
    ) -> Result<Vec<Settled<T, E>>, BlockingError>
    where
        I: IntoIterator + Send + 'static,
        W: FnMut(I::Item) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        let caller = Arc::new(());
        let here = Arc::downgrade(&caller);
        let outcomes = self.run(move |cancelled| {
            let mut one = |item| {
                if cancelled.is_cancelled() {
                    return Settled::Cancelled;
                }
                match catch_unwind(AssertUnwindSafe(|| work(item))) {
                    Ok(Ok(value)) => Settled::Ok(value),
                    Ok(Err(error)) => Settled::Failed(error),
                    Err(payload) => Settled::Panicked(Panic::new(payload)),
                }
            };
            let (mut items, mut outcomes) = (items.into_iter(), Vec::new());
            // A cursor may block in each step: for a caller that has gone, it is not asked.
            while here.strong_count() > 0
                && let Some(item) = items.next()
            {
                outcomes.push(one(item));
            }
            outcomes
        });
        let outcomes = outcomes.await;
        drop(caller);
        outcomes
    }

    /// How full it is at this moment: for a metric, or for a health check.
    #[must_use]
    pub fn load(&self) -> Load {
        self.shared.lock().load()
    }

    /// Takes no more calls, refuses those that wait, and waits for those that run, but not longer than `grace`. Then it
    /// sets their flags, and says how many still run.
    ///
    /// It can be called again, to give those that have now seen their flags the time to end.
    ///
    /// # Errors
    /// [`StillRunning`], if threads run when `grace` is over.
    ///
    /// # Panics
    /// Outside of a tokio runtime with timers.
    ///
    /// # Cancel safety
    /// Dropped, it stays closed, and no flag is set. Call it again.
    ///
    /// # Examples
    /// ```
    /// use concurrency::{BlockingError, Bulkhead};
    /// use std::{num::NonZeroUsize, time::Duration};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let disk = Bulkhead::new(NonZeroUsize::MIN, 0);
    /// assert_eq!(disk.shutdown(Duration::from_secs(5)).await, Ok(()));
    /// assert!(matches!(disk.run(|_| ()).await, Err(BlockingError::Closed)));
    /// # });
    /// ```
    pub async fn shutdown(&self, grace: Duration) -> Result<(), StillRunning> {
        self.shared.lock().closed = true;
        self.shared.places.close();
        if timeout(grace, self.shared.idle()).await.is_ok() {
            return Ok(());
        }
        self.shared.stop.cancel();
        match self.load().running {
            0 => Ok(()),
            running => Err(StillRunning { running }),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn idle(&self) {
        loop {
            // Before the look: who rings in between is heard.
            let rung = self.idle.notified();
            if self.lock().running == 0 {
                return;
            }
            rung.await;
        }
    }
}

impl State {
    const fn load(&self) -> Load {
        Load { running: self.running, waiting: self.admitted - self.running }
    }
}

// ANCHOR: places
/// A call that runs or waits; gives its room back when it is dropped.
#[derive(Debug)]
struct Admitted {
    shared: Arc<Shared>,
    /// Whether it has a thread.
    runs: bool,
}

impl Admitted {
    fn new(shared: &Arc<Shared>) -> Result<Self, BlockingError> {
        let mut state = shared.lock();
        if state.closed {
            return Err(BlockingError::Closed);
        }
        if state.admitted >= shared.limit.saturating_add(shared.may_wait) {
            let Load { running, waiting } = state.load();
            return Err(BlockingError::Busy { running, waiting });
        }
        state.admitted += 1;
        Ok(Self { shared: shared.clone(), runs: false })
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.admitted -= 1;
        state.running -= usize::from(self.runs);
        if state.running == 0 {
            self.shared.idle.notify_waiters();
        }
    }
}

/// A call that has a thread. The closure on that thread owns it: so the place is taken until the thread is done, whether
/// or not anybody still awaits it.
#[derive(Debug)]
struct Place {
    /// Before the permit: when that lets the next one in, this one is no longer counted.
    _admitted: Admitted,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    fn new(mut admitted: Admitted, permit: OwnedSemaphorePermit) -> Result<Self, BlockingError> {
        let shared = admitted.shared.clone();
        let mut state = shared.lock();
        // Closed between the permit and here: a shutdown may have looked already, and must not be made a liar.
        if state.closed {
            drop(state);
            return Err(BlockingError::Closed);
        }
        state.running += 1;
        admitted.runs = true;
        Ok(Self { _admitted: admitted, _permit: permit })
    }
}
// ANCHOR_END: places
