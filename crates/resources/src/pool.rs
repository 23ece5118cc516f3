//! A few of what is dear to open, lent to many, first come first served.
//!
//! An `asyncio.Queue` filled with connections is the usual pool of asyncio: whoever is cancelled in the wrong moment takes a
//! place along, and whoever breaks a connection puts a broken one back. Here a [`Pooled`] is what gives back, and its
//! destructor runs however its owner ends.
//!
//! A place is a permit of tokio's semaphore, which is fair. It covers the whole life of what is in it: opening, use, and
//! closing. What awaits on the pool's behalf (opening, checking, closing) is done by tasks of the pool, so that no caller
//! who leaves can stop it half-way.

mod outcome;
mod seat;

pub use outcome::{Closed, Doing, PoolError, Status, Taken};
pub use seat::Pooled;

use crate::{
    CloseError,
    close::{close_within, panic_message},
    nesting,
};
use futures_util::{FutureExt as _, poll};
use seat::{Item, Seat};
use std::{
    collections::BTreeMap,
    fmt, mem,
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, Location, catch_unwind},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};
use tokio::{
    runtime::Handle,
    select,
    sync::Semaphore,
    time::{Instant, error::Elapsed, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How what is pooled is opened, checked and closed. A closure that opens is one, too.
///
/// A panic of any of them is caught, and costs nobody a place.
pub trait Manage: Send + Sync + 'static {
    /// What is pooled: a connection, a session, a loaded model.
    type Resource: Send + 'static;
    /// Why it could not be opened, checked or closed.
    type Error: Send + 'static;

    /// Opens one.
    ///
    /// # Cancel safety
    /// Dropped when [`Limits::open`] is over or the runtime ends, and at no other time.
    fn create(&self) -> impl Future<Output = Result<Self::Resource, Self::Error>> + Send;

    /// Looks at an idle one, before it is lent again: a ping, a rollback. On an error it is closed and another is taken.
    ///
    /// # Cancel safety
    /// As [`create`](Self::create); what was looked at is then closed.
    fn recycle(
        &self,
        _resource: &mut Self::Resource,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send {
        async { Ok(()) }
    }

    /// Closes one that is not lent any more. Left out, it is dropped.
    ///
    /// # Cancel safety
    /// Dropped when [`Limits::close`] is over or the runtime ends, and at no other time.
    fn close(&self, resource: Self::Resource) -> impl Future<Output = Result<(), Self::Error>> + Send {
        drop(resource);
        async { Ok(()) }
    }

    /// Hears of each one whose closing did not end well, for nobody waits for that: log it.
    fn not_closed(&self, error: CloseError<Self::Error>) {
        drop(error);
    }
}

impl<F, Fut, R, E> Manage for F
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, E>> + Send,
    R: Send + 'static,
    E: Send + 'static,
{
    type Resource = R;
    type Error = E;

    fn create(&self) -> impl Future<Output = Result<R, E>> + Send {
        self()
    }
}

/// How many, and how long. `Limits { idle: Some(..), ..Limits::new(size, wait) }` sets the others.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How many exist at once; those that are being opened or closed count.
    pub size: NonZeroUsize,
    /// How long a caller waits in all, for a place and for what is in it to be ready.
    pub wait: Duration,
    /// How long opening or checking one may take. Apart from `wait`: it goes on when the caller has given up.
    pub open: Duration,
    /// How long closing one may take. Then it is dropped, and its place is free: a peer that does not answer keeps none.
    pub close: Duration,
    /// What has been idle for longer is closed instead of lent.
    pub idle: Option<Duration>,
    /// What is older is closed instead of lent.
    pub lifetime: Option<Duration>,
}

impl Limits {
    /// 30 seconds to open, 5 seconds to close; kept idle for any time, at any age.
    #[must_use]
    pub const fn new(size: NonZeroUsize, wait: Duration) -> Self {
        let (open, close) = (Duration::from_secs(30), Duration::from_secs(5));
        Self { size, wait, open, close, idle: None, lifetime: None }
    }
}

/// At most so many of what is dear to open, lent one by one to whoever asks first.
///
/// Take it for what a library gives you without a pool: sessions, channels of a broker, sockets, models. Take sqlx's pool
/// for its databases and reqwest's client for HTTP, which have one inside; `deadpool` or `bb8` where a crate has an adapter
/// for them; and a `Semaphore` where there is nothing to be kept between two uses.
///
/// Clones are handles to the same pool. A pool with a closure has a type that can't be written down; for a field, box it:
/// `Pool<Box<dyn Fn() -> BoxFuture<'static, Result<R, E>> + Send + Sync>>`. Dropping the last one drops what is idle, without [`Manage::close`]: call
/// [`close`](Self::close) before.
///
/// # Shape
/// Nothing is opened until it is asked for. Places are given in the order of asking; then the one last used is lent, or one
/// is opened. A caller that has its turn and is not polled keeps its place: don't let a `get()` lie about in a `select!`.
///
/// # Source
/// deadpool 0.13, bb8 0.9 and the pool of sqlx 0.9: what they do with a caller that leaves, and what their issues say of it.
///
/// # Examples
/// ```
/// use resources::pool::{Limits, Pool, PoolError};
/// use std::{convert::Infallible, num::NonZeroUsize, time::Duration};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// let limits = Limits::new(NonZeroUsize::MIN, Duration::from_millis(50));
/// let pool = Pool::new(|| async { Ok::<_, Infallible>(Vec::new()) }, limits);
/// pool.get().await?.push("hello");
/// let held = pool.get().await?;
/// assert_eq!(*held, ["hello"], "the same one");
///
/// let Err(error) = pool.get().await else { panic!("it is out") };
/// assert!(matches!(error, PoolError::TimedOut { .. }));
/// assert!(error.to_string().contains("in use for 50ms, asked for at "), "{error}");
/// drop(held);
/// assert!(pool.close(Duration::from_secs(1)).await.taken.is_empty());
/// # Ok::<(), PoolError<Infallible>>(())
/// # }).unwrap();
/// ```
pub struct Pool<M: Manage> {
    shared: Arc<Shared<M>>,
}

struct Shared<M: Manage> {
    manage: M,
    limits: Limits,
    /// A permit a place. Fair: a permit that is free goes to whoever has waited longest, and nobody gets in between.
    places: Arc<Semaphore>,
    /// Held for a few instructions at a time, and never over an await or a call to `manage`.
    state: Mutex<State<M::Resource>>,
    /// How many wait for a place.
    waiting: AtomicUsize,
    /// How many have failed their check.
    not_recycled: AtomicUsize,
    /// How many were not closed well.
    not_closed: AtomicUsize,
    /// Wakes those that wait; whether it is closed is in the state, where it can't change between look and use.
    closed: CancellationToken,
    /// The tasks of the pool, and a token for each that is out: empty when all has come back and is closed.
    out: TaskTracker,
}

struct State<R> {
    /// As a stack: who is idle longest may get too old, and the others stay warm.
    idle: Vec<Item<R>>,
    /// Who has a place, by a number that grows: the longest first.
    taken: BTreeMap<u64, Taken>,
    next: u64,
    closed: bool,
}

impl<R> State<R> {
    /// Who has a place at this moment, and for how long.
    fn taken(&self) -> Vec<Taken> {
        let now = Instant::now();
        self.taken.values().map(|taken| Taken { lasted: now - taken.since, ..taken.clone() }).collect()
    }
}

impl<M: Manage> Pool<M> {
    /// An empty pool. `manage` is a [`Manage`], or a closure that opens one.
    #[must_use]
    pub fn new(manage: M, limits: Limits) -> Self {
        let places = Arc::new(Semaphore::new(limits.size.get().min(Semaphore::MAX_PERMITS)));
        let state = State { idle: Vec::new(), taken: BTreeMap::new(), next: 0, closed: false };
        Self {
            shared: Arc::new(Shared {
                manage,
                limits,
                places,
                state: Mutex::new(state),
                waiting: AtomicUsize::new(0),
                not_recycled: AtomicUsize::new(0),
                not_closed: AtomicUsize::new(0),
                closed: CancellationToken::new(),
                out: TaskTracker::new(),
            }),
        }
    }

    /// Borrows one until the [`Pooled`] is dropped.
    ///
    /// Take [`with`](Self::with) where it can be dropped in the middle of a question, and where the code in between might
    /// ask for a second one.
    ///
    /// # Errors
    /// [`PoolError`]: there was none in time, and who has them all; it could not be opened; the pool is closed; or the caller
    /// is in the body of a [`with`](Self::with) of this pool.
    ///
    /// # Panics
    /// When polled, outside a tokio runtime with timers.
    ///
    /// # Cancel safety
    /// Cancel safe, but for the place in the queue. What is being opened or checked is so by a task: it goes on, and is idle,
    /// or the next one's, when it is ready. So a server is not asked for a session that nobody closes.
    #[track_caller]
    pub fn get(&self) -> impl Future<Output = Result<Pooled<M>, PoolError<M::Error>>> + Send + use<'_, M> {
        let (shared, asked_at) = (&self.shared, Location::caller());
        async move {
            if let Some(outer) = nesting::held(shared.id()) {
                return Err(PoolError::Nested { outer, inner: asked_at });
            }
            let limit = shared.limits.wait;
            let ready = timeout(limit, shared.ready(asked_at));
            let ready = select! {
                // First: a pool that is closed lends nothing, not even what was about to be lent.
                biased;
                () = shared.closed.cancelled() => return Err(PoolError::Closed),
                ready = ready => ready,
            };
            ready.unwrap_or_else(|_elapsed| {
                let (taken, waiting) = (shared.taken(), shared.waiting.load(Relaxed));
                Err(PoolError::TimedOut { limit, size: shared.limits.size, taken, waiting })
            })
        }
    }

    /// Borrows one for as long as `body` runs.
    ///
    /// # Shape
    /// `body` is polled in the caller's task, and may borrow. In it, and in whatever it awaits, a second request to this pool
    /// is refused at once: two callers that each hold one and wait for another would be enough to stop a pool of two. Pass
    /// the first one down instead. Not seen: a request in a task that `body` spawns and waits for, one under a plain
    /// [`get`](Self::get), and two pools that are asked in different orders; they end with [`Limits::wait`].
    ///
    /// # Errors
    /// As [`get`](Self::get). What `body` gives, an error included, is the value.
    ///
    /// # Panics
    /// As [`get`](Self::get), and with a panic of `body`.
    ///
    /// # Cancel safety
    /// As [`get`](Self::get) while it waits. A `body` that is dropped in the middle, or panics, may leave half a question
    /// behind: what it had is closed and not lent again.
    ///
    /// # Examples
    /// ```
    /// use resources::pool::{Limits, Pool, PoolError};
    /// use std::{convert::Infallible, num::NonZeroUsize, time::Duration};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
    /// let two = NonZeroUsize::new(2).expect("two is not zero");
    /// let pool = Pool::new(|| async { Ok::<_, Infallible>(7) }, Limits::new(two, Duration::from_secs(30)));
    /// let refused = pool.with(async |_| pool.get().await.map(|second| *second)).await?;
    /// assert!(matches!(refused, Err(PoolError::Nested { .. })), "at once, though the other one is free");
    /// # Ok::<(), PoolError<Infallible>>(())
    /// # }).unwrap();
    /// ```
    #[track_caller]
    pub fn with<T, B>(&self, body: B) -> impl Future<Output = Result<T, PoolError<M::Error>>>
    where
        B: AsyncFnOnce(&mut Pooled<M>) -> T,
    {
        let asked_at = Location::caller();
        let get = self.get();
        async move {
            let mut pooled = get.await?;
            pooled.begins();
            let given = nesting::holding(self.shared.id(), asked_at, body(&mut pooled)).await;
            // Whoever is dropped above does not come here.
            pooled.ended();
            Ok(given)
        }
    }

    /// How the pool stands.
    #[must_use]
    pub fn status(&self) -> Status {
        let shared = &self.shared;
        let (idle, taken) = {
            let state = shared.lock();
            (state.idle.len(), state.taken())
        };
        let waiting = shared.waiting.load(Relaxed);
        let (not_recycled, not_closed) = (shared.not_recycled.load(Relaxed), shared.not_closed.load(Relaxed));
        Status { size: shared.limits.size, idle, taken, waiting, not_recycled, not_closed }
    }

    /// Lends nothing any more, closes what is idle, waits for what is out no longer than `grace`, and says what still is.
    ///
    /// # Shape
    /// Those that wait have [`PoolError::Closed`] at once. What comes back is closed then, also after the grace. It returns
    /// as soon as everything has come back and is closed.
    ///
    /// # Panics
    /// When polled, outside a tokio runtime with timers.
    ///
    /// # Cancel safety
    /// The pool stays closed, and what was idle is being closed by tasks; the report is lost. Call it again to wait.
    #[track_caller]
    pub fn close(&self, grace: Duration) -> impl Future<Output = Closed> + Send + use<'_, M> {
        let (shared, asked_at) = (&self.shared, Location::caller());
        async move {
            let idle = {
                let mut state = shared.lock();
                state.closed = true;
                mem::take(&mut state.idle)
            };
            shared.closed.cancel();
            for item in idle {
                Seat::new(shared, None, asked_at).close(item);
            }
            shared.out.close();
            // Whether the time was enough is seen from what is left.
            timeout(grace, shared.out.wait()).await.ok();
            Closed { taken: shared.taken(), not_closed: shared.not_closed.load(Relaxed) }
        }
    }
}

impl<M: Manage> Shared<M> {
    /// Waits for a place, and for what is in it to be ready.
    async fn ready(
        self: &Arc<Self>,
        asked_at: &'static Location<'static>,
    ) -> Result<Pooled<M>, PoolError<M::Error>> {
        let permit = {
            let _counted = Waiting::new(&self.waiting);
            self.places.clone().acquire_owned().await.map_err(|_never_closed| PoolError::Closed)?
        };
        let seat = Seat::new(self, Some(permit), asked_at);
        // ANCHOR: ready
        let mut filled = Box::pin(fill(seat));
        // Polled once in place: what needs no await needs no task.
        if let Poll::Ready(ready) = poll!(&mut filled) {
            return ready;
        }
        // If the caller leaves, so does the handle, and the task goes on. What it gives is then dropped, and a `Pooled`
        // that is dropped goes back to the pool: no other line is needed for that.
        let task = self.out.spawn_on(filled, &Handle::current());
        // No panic gets past `fill`, and nobody aborts it but a runtime that goes down.
        task.await.unwrap_or(Err(PoolError::Closed))
        // ANCHOR_END: ready
    }

    /// Closes it, no longer than is allowed. Whatever comes of it, it is gone then.
    async fn close(&self, resource: M::Resource) {
        let closing = async { self.manage.close(resource).await };
        if let Err(error) = close_within(self.limits.close, closing).await {
            self.not_closed.fetch_add(1, Relaxed);
            // Its panic is on standard error already, and nobody is here whom it concerns.
            catch_unwind(AssertUnwindSafe(|| self.manage.not_closed(error))).ok();
        }
    }

    fn too_old(&self, item: &Item<M::Resource>, now: Instant) -> bool {
        let over = |limit: Option<Duration>, since| limit.is_some_and(|limit| now - since > limit);
        over(self.limits.idle, item.idle_since) || over(self.limits.lifetime, item.opened)
    }

    fn taken(&self) -> Vec<Taken> {
        self.lock().taken()
    }

    /// Names the pool while it is alive.
    fn id(self: &Arc<Self>) -> usize {
        Arc::as_ptr(self).addr()
    }

    fn lock(&self) -> MutexGuard<'_, State<M::Resource>> {
        // Nothing is left half-done under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Puts into a place what can be lent: what is idle and in order, or a new one.
async fn fill<M: Manage>(mut seat: Seat<M>) -> Result<Pooled<M>, PoolError<M::Error>> {
    let shared = seat.shared.clone();
    let limit = shared.limits.open;
    while let Some(item) = seat.take_idle() {
        let old = shared.too_old(&item, Instant::now());
        let mut pooled = Pooled::new(item, seat);
        let in_order = !old && {
            // Dropped in the middle, by the end of the runtime: it is closed.
            pooled.begins();
            let checked = caught(limit, async { shared.manage.recycle(&mut pooled).await });
            let passed = matches!(checked.await, Ok(Ok(Ok(()))));
            shared.not_recycled.fetch_add(usize::from(!passed), Relaxed);
            passed
        };
        pooled.ended();
        if in_order {
            return Ok(pooled);
        }
        // The next one has to wait for this: the place is not free before.
        let (item, kept) = pooled.into_parts();
        seat = kept;
        seat.is(Doing::Closing);
        shared.close(item.resource).await;
        seat.is(Doing::Opening);
    }
    match caught(limit, async { shared.manage.create().await }).await {
        Ok(Ok(Ok(resource))) => Ok(Pooled::new(Item::new(resource), seat)),
        Ok(Ok(Err(error))) => Err(PoolError::NotOpened(error)),
        Ok(Err(_elapsed)) => Err(PoolError::OpeningTimedOut { limit }),
        Err(message) => Err(PoolError::OpeningPanicked { message }),
    }
}

/// The output within the limit, or what a panic said; also that of a destructor when the future is dropped at its limit.
async fn caught<F: Future>(limit: Duration, future: F) -> Result<Result<F::Output, Elapsed>, String> {
    // In the block, both are dropped before the catch is over.
    AssertUnwindSafe(async { timeout(limit, future).await }).catch_unwind().await.map_err(panic_message)
}

/// One that waits for a place; dropped when it has one, or has left.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl<M: Manage> Clone for Pool<M> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<M: Manage> fmt::Debug for Pool<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pool").field(&self.status()).finish()
    }
}
