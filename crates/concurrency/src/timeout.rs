//! One deadline for the whole of a request, passed down to everything that is done for it.
//!
//! `asyncio.timeout` says that *a* limit passed. With two of them around a call, and a third in the library that makes
//! it, the caller learns neither whose it was nor how much time it had. A [`Deadline`] has a name, is a value that goes
//! by reference from function to function, and can only become tighter on the way.

use std::{fmt, panic::resume_unwind, time::Duration};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout_at},
};

/// How far away a deadline is at most. Later than any process ends, and early enough to be added to any clock.
const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 30);

/// A moment after which an answer is of no use, and the name of the limit that says so.
///
/// Make one where a request comes in, pass it on as `&Deadline`, and narrow it with [`within`](Self::within) where a
/// part has a limit of its own. Take [`tokio::time::timeout`] for a single wait whose limit needs no name.
///
/// A deadline stops what it owns: the future given to [`run`](Self::run), the task of [`run_spawned`](Self::run_spawned).
/// It does not stop a task that the future has spawned, a thread of `spawn_blocking`, the server that was asked, or
/// code that never awaits. Such code can be given the deadline, which is `Copy`, and [`check`](Self::check) it.
///
/// A limit is never early. It is late by up to a millisecond, the grain of tokio's timers, and by what a busy thread adds.
///
/// # Examples
/// ```
/// use concurrency::{Deadline, TimedOut};
/// use std::time::Duration;
/// use tokio::time::sleep;
///
/// async fn price(deadline: &Deadline) -> Result<u32, TimedOut> {
///     let limit = deadline.within("price", Duration::from_millis(500));
///     limit.run(async { sleep(Duration::from_millis(60)).await; 42 }).await
/// }
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// let deadline = Deadline::after("request", Duration::from_millis(100));
/// assert_eq!(price(&deadline).await, Ok(42));
/// // 40 ms are left, which is less than a price may take.
/// let late = price(&deadline).await.unwrap_err();
/// assert_eq!(late.to_string(), "timed out: the limit of request is 100ms, and 100ms have passed");
/// # });
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    limit: &'static str,
    budget: Duration,
    // Kept for the error: what has passed is counted from where the limit was set, not from the call that met it.
    began: Instant,
    // A moment and not a length of time: every await of everybody who holds a copy counts down the same clock.
    at: Instant,
}

/// A limit passed; it says which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("timed out: the limit of {limit} is {budget:?}, and {} have passed", Whole(*.elapsed))]
#[non_exhaustive]
pub struct TimedOut {
    /// The name of the limit that fired.
    pub limit: &'static str,
    /// How much time it gave.
    pub budget: Duration,
    /// How much had passed since it was set. Never less than the budget.
    pub elapsed: Duration,
}

impl Deadline {
    /// Sets a limit: `budget` from now.
    ///
    /// A budget of zero is over at once; one that no clock can hold is thirty years.
    #[must_use]
    pub fn after(limit: &'static str, budget: Duration) -> Self {
        let began = Instant::now();
        Self { limit, budget, began, at: began + budget.min(FAR) }
    }

    /// The tighter of this deadline and a limit of `budget` from now, with the name of the one that fires first.
    ///
    /// On a tie it is this one, the outer: when that is over, nothing else can be tried.
    #[must_use]
    pub fn within(&self, limit: &'static str, budget: Duration) -> Self {
        let inner = Self::after(limit, budget);
        if inner.at < self.at { inner } else { *self }
    }

    /// The name of the limit.
    #[must_use]
    pub const fn limit(&self) -> &'static str {
        self.limit
    }

    /// When it is over: for [`tokio::time::sleep_until`], or to stop [`gather_until`](crate::gather_until()).
    #[must_use]
    pub const fn at(&self) -> Instant {
        self.at
    }

    /// What is left, zero if nothing: to be passed on to a client, a statement, or a header.
    ///
    /// Not to a timer *inside* [`run`](Self::run): that one would fire at the same moment, be asked first, and give an
    /// error without a name.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }

    /// Whether nothing is left.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.remaining().is_zero()
    }

    /// Fails if nothing is left: for loops that never await, and for threads, between two steps.
    ///
    /// # Errors
    /// [`TimedOut`], with the name of the limit.
    pub fn check(&self) -> Result<(), TimedOut> {
        if self.is_over() { Err(self.timed_out()) } else { Ok(()) }
    }

    /// Runs `future` until it ends or the deadline is over, whichever is first; then drops it.
    ///
    /// # Shape
    /// The future is polled in the caller's task. If the deadline is over to begin with, it is not polled at all. When
    /// the deadline fires, it is dropped before this returns.
    ///
    /// A value that is there counts, in the very instant of the deadline and after it: the future is asked before the
    /// clock. So one that keeps its thread busy past the deadline and then ends gives its value, late; where late is
    /// as bad as never, [`check`](Self::check) afterwards.
    ///
    /// # Errors
    /// [`TimedOut`] if the deadline fired. Errors of the future, timeouts of its own among them, are its output and
    /// pass through untouched: `deadline.run(fetch()).await??` keeps the two apart.
    ///
    /// # Panics
    /// If the future does, or without a runtime that has timers.
    ///
    /// # Cancel safety
    /// As cancel safe as the future: both go at once.
    ///
    /// # Source
    /// [`tokio::time::timeout_at`], which polls once after expiry and gives an error without a name; `fail_after` of
    /// trio for a deadline that is a moment.
    ///
    /// # Examples
    /// ```
    /// use concurrency::Deadline;
    /// use std::time::Duration;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
    /// let deadline = Deadline::after("request", Duration::from_millis(100));
    /// assert_eq!(deadline.run(async { 7 }).await, Ok(7));
    /// let late = deadline.run(std::future::pending::<()>()).await.unwrap_err();
    /// assert_eq!((late.limit, late.budget), ("request", Duration::from_millis(100)));
    /// # });
    /// ```
    pub async fn run<F: Future>(&self, future: F) -> Result<F::Output, TimedOut> {
        // tokio's timeout polls the future first, whatever the time: a call that is of no use would go out.
        self.check()?;
        timeout_at(self.at, future).await.map_err(|_| self.timed_out())
    }

    /// Like [`run`](Self::run), with `future` in a task of its own that is gone when this returns.
    ///
    /// Take it where you would have written `timeout(limit, tokio::spawn(work))`: that gives up waiting for the task,
    /// and lets it run on. Take [`run`](Self::run) when the work need not be a task.
    ///
    /// # Shape
    /// As [`run`](Self::run); if the deadline is over to begin with, no task is spawned. It waits for the task in any
    /// case: one that keeps its thread busy past the deadline makes this return late, but never leaves work behind.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    ///
    /// # Panics
    /// With the task's own panic, if it panics; outside of a runtime, or if that is shut down meanwhile.
    ///
    /// # Cancel safety
    /// The task is aborted: it is not polled again, but on a multi-thread runtime one in the middle of a poll ends that
    /// poll, and destructors run when the scheduler next touches the task.
    ///
    /// # Source
    /// `AbortOnDropHandle` of tokio-util aborts, and does not wait.
    ///
    /// # Examples
    /// ```
    /// use concurrency::Deadline;
    /// use std::{sync::Arc, time::Duration};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
    /// let deadline = Deadline::after("report", Duration::from_millis(100));
    /// let held = Arc::new(());
    /// let theirs = held.clone();
    /// let late = deadline.run_spawned(async move { std::future::pending::<()>().await; drop(theirs) }).await;
    /// assert_eq!(late.unwrap_err().limit, "report");
    /// assert_eq!(Arc::strong_count(&held), 1, "the task and all that it held are gone");
    /// # });
    /// ```
    pub async fn run_spawned<F>(&self, future: F) -> Result<F::Output, TimedOut>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        // ANCHOR: spawned
        self.check()?;
        let deadline = *self;
        // A set of one: unlike a handle, it aborts its task when it is dropped.
        let mut task = JoinSet::new();
        // The clock runs inside the task. Outside, it could fire between the task's last wake-up and its last poll, and
        // a result that is due in that instant would be lost; inside, the future is asked first.
        task.spawn(async move { deadline.run(future).await });
        match task.join_next().await {
            Some(Ok(result)) => result,
            Some(Err(error)) if error.is_panic() => resume_unwind(error.into_panic()),
            // Nobody else can abort the task: its runtime did.
            _ => panic!("the runtime was shut down while `{}` was waited for", self.limit),
        }
        // ANCHOR_END: spawned
    }

    fn timed_out(&self) -> TimedOut {
        TimedOut { limit: self.limit, budget: self.budget, elapsed: self.began.elapsed() }
    }
}

/// Shows a time without what is below a millisecond: below tokio's grain it is noise.
struct Whole(Duration);

impl fmt::Display for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let below = Duration::from_nanos(u64::from(self.0.subsec_nanos() % 1_000_000));
        write!(f, "{:?}", self.0 - below)
    }
}
