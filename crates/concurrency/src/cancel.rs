//! Stop what may stop, finish what has begun, and know when all of it has gone.
//!
//! `task.cancel()` of asyncio raises at an await, wherever that is; `shield` lets work run on, and nobody owns it then.
//! A `CancellationToken` of tokio-util asks a whole tree of work to stop, but has no reason to give and can't tell when
//! the work has gone. A [`Scope`] is such a token with both: work that may stop [runs](Scope::run) in it, work that must
//! not is [shielded](Scope::shield), clean-up is [bounded](Scope::with_cleanup), and [`close`](Scope::close) waits.

mod outcome;
mod work;

pub use outcome::{Cancelled, CleanedUp, Lost, Report, WorkError};
pub use work::Shielded;

use futures_util::FutureExt as _;
use outcome::Caught;
use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::{
    runtime::Handle,
    select,
    sync::watch,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use work::{Begin, Entry, Ledger, caught};

/// How long [`close`](Scope::close) waits after the abort: for destructors, and for clean-up, whenever that has begun.
pub const AFTER_ABORT: Duration = Duration::from_secs(1);

/// Work that is cancelled together, for a reason, and of which one can tell that it has gone.
///
/// Make one for the program and a [`child`](Self::child) for each connection or request. Take a `CancellationToken`
/// where nobody asks why or waits, a [`task_group()`](crate::task_group()) where the work is part of one function, and
/// [`Deadline`](crate::Deadline) where only time cancels.
///
/// Clones are handles to the same scope; dropping them cancels nothing. See [`cancel_on_drop`](Self::cancel_on_drop).
///
/// # Source
/// Cancel scopes and shielding of trio; `CancellationToken` and `TaskTracker` of tokio-util; `Job` of Kotlin for the tree
/// that waits.
///
/// # Examples
/// ```
/// use concurrency::Scope;
/// use std::time::Duration;
/// use tokio::time::sleep;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// let server = Scope::new("server", |lost| eprintln!("{lost}"));
/// let request = server.child("request");
/// // What has begun here is finished, even if nobody waits for it any more.
/// drop(request.shield("transfer", async { sleep(Duration::from_secs(2)).await; Ok::<_, String>(7) }));
///
/// let report = server.close("shutdown", Duration::from_secs(10)).await;
/// assert_eq!((report.reason, report.ended), ("shutdown", 1));
/// assert!(report.is_clean());
/// assert_eq!(request.reason(), Some("shutdown"));
/// # });
/// ```
#[derive(Clone)]
pub struct Scope {
    node: Arc<Node>,
}

pub(crate) struct Node {
    name: &'static str,
    /// Children hold their parents, not the other way round: a request that is over leaves nothing in its server.
    parent: Option<Arc<Self>>,
    /// Wakes the tree. It is never given away: who could cancel it would give no reason.
    token: CancellationToken,
    /// Set before the token is cancelled, here or in an ancestor: who sees the token sees a reason.
    reason: OnceLock<&'static str>,
    /// What is alive here *and beneath*, behind a lock that tells when it changes.
    ledger: watch::Sender<Ledger>,
    /// Where errors go that nobody waits for any more.
    on_lost: Arc<dyn Fn(Lost) + Send + Sync>,
}

impl Scope {
    /// A tree of its own. `on_lost` hears of each error and panic that nobody waits for any more: log it.
    #[must_use]
    pub fn new(name: &'static str, on_lost: impl Fn(Lost) + Send + Sync + 'static) -> Self {
        Self::of(name, None, CancellationToken::new(), Arc::new(on_lost))
    }

    /// A scope that is cancelled with this one, and whose work this one waits for. Its own cancel stays beneath it.
    #[must_use]
    pub fn child(&self, name: &'static str) -> Self {
        let (token, on_lost) = (self.node.token.child_token(), self.node.on_lost.clone());
        Self::of(name, Some(self.node.clone()), token, on_lost)
    }

    fn of(
        name: &'static str,
        parent: Option<Arc<Node>>,
        token: CancellationToken,
        on_lost: Arc<dyn Fn(Lost) + Send + Sync>,
    ) -> Self {
        let (reason, ledger) = (OnceLock::new(), watch::Sender::new(Ledger::default()));
        Self { node: Arc::new(Node { name, parent, token, reason, ledger, on_lost }) }
    }

    /// Asks everything here and beneath to stop. The first reason stays.
    pub fn cancel(&self, reason: &'static str) {
        if self.reason().is_none() {
            // An error means that somebody else was first.
            self.node.reason.set(reason).ok();
        }
        // From here on nothing begins: whoever is in the ledger by now is waited for.
        self.node.ledger.send_if_modified(Ledger::refuse);
        self.node.token.cancel();
    }

    /// Cancels the scope when the guard is dropped: for a handler whose client may leave, which drops the handler.
    pub fn cancel_on_drop(&self, reason: &'static str) -> CancelOnDrop {
        CancelOnDrop { armed: Some((self.clone(), reason)) }
    }

    /// Why the scope was cancelled; nothing if it was not.
    #[must_use]
    pub fn reason(&self) -> Option<&'static str> {
        self.node.reason()
    }

    /// A token that is cancelled with this scope, for libraries that take one. Cancelling it does not cancel the scope.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.node.token.child_token()
    }

    /// Waits until the scope is cancelled: in work that looks for a good place to stop.
    ///
    /// # Cancel safety
    /// Cancel safe: it only waits.
    pub async fn cancelled(&self) -> Cancelled {
        self.node.token.cancelled().await;
        self.node.why()
    }

    /// Runs work that may be dropped, until it ends or the scope is cancelled. `work` is its name.
    ///
    /// # Shape
    /// The future is polled in the caller's task, and may borrow. In a scope that is cancelled it is not polled at all.
    /// From the cancel on it is not polled again, also if it could have gone on in that very moment: no next step is begun.
    ///
    /// # Errors
    /// [`Cancelled`], when the future has been dropped.
    ///
    /// # Cancel safety
    /// As cancel safe as the future: both go at once.
    ///
    /// # Source
    /// `CancellationToken::run_until_cancelled`, which lets the future take one more step.
    ///
    /// # Examples
    /// ```
    /// use concurrency::Scope;
    ///
    /// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
    /// let request = Scope::new("request", |_| {});
    /// assert_eq!(request.run("lookup", async { 7 }).await, Ok(7));
    /// request.cancel("the client has left");
    /// let cancelled = request.run("lookup", async { 7 }).await.unwrap_err();
    /// assert_eq!(cancelled.reason, "the client has left");
    /// # });
    /// ```
    pub async fn run<F: Future>(&self, work: &'static str, future: F) -> Result<F::Output, Cancelled> {
        let _entry = Entry::new(&self.node, work, None, Begin::UnlessCancelled)?;
        select! {
            // The cancel is asked first: what it finds does not begin a next step.
            biased;
            () = self.node.token.cancelled() => Err(self.node.why()),
            output = future => Ok(output),
        }
    }

    /// Runs work to its end, whoever waits for it: the await can be cancelled, the work can't. `work` is its name.
    ///
    /// Take it from the first write to the last of what belongs together. What only reads had better [`run`](Self::run).
    ///
    /// # Shape
    /// The work is a task, and at work at once, awaited or not. A cancelled scope begins none. Only [`close`](Self::close)
    /// aborts it, at the end of the grace. Drop the [`Shielded`], and it runs on; the scope still counts it.
    ///
    /// # Errors
    /// [`WorkError`]: whether nothing has begun, it failed, or nobody knows how far it came. An error that nobody awaits
    /// goes to `on_lost`, also if the work was cut off by the end of its runtime.
    ///
    /// # Panics
    /// Outside a tokio runtime. A panic of the work is [`WorkError::Panicked`].
    ///
    /// # Source
    /// `asyncio.shield`, which leaves the work to nobody.
    ///
    /// # Examples
    /// ```
    /// use concurrency::{Scope, cancel::WorkError};
    /// use std::time::Duration;
    /// use tokio::time::{sleep, timeout};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
    /// let server = Scope::new("server", |lost| panic!("{lost}"));
    /// let transfer = async { sleep(Duration::from_millis(30)).await; Ok::<_, String>("receipt") };
    /// let impatient = timeout(Duration::from_millis(10), server.shield("transfer", transfer)).await;
    /// assert!(impatient.is_err());
    /// assert_eq!(server.alive(), ["transfer"], "it runs on, and the scope knows");
    /// server.gone().await;
    ///
    /// server.cancel("shutdown");
    /// let late = server.shield("transfer", async { Ok::<_, String>("never begun") }).await;
    /// assert!(matches!(late, Err(WorkError::NotBegun(_))));
    /// # });
    /// ```
    pub fn shield<F, T, E>(&self, work: &'static str, future: F) -> Shielded<T, E>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: fmt::Display + Send + 'static,
    {
        Shielded::spawn(&self.node, &Handle::current(), work, Begin::UnlessCancelled, async {
            caught(future).await?.map_err(WorkError::Failed)
        })
    }

    /// Runs `body`, and cleans up after it, however it ends. `work` is the name of both.
    ///
    /// Take it for clean-up that has to await: an upload to be aborted, a lock on a server to be given back. For what a
    /// destructor can do, write a destructor.
    ///
    /// # Shape
    /// The body is polled in the caller's task, and may borrow. Once it has begun, `clean_up` is called exactly once, when
    /// the body has gone: after its value, its error or its panic, and when this future is dropped, at whichever await.
    /// Clean-up is a task, with `bound` for itself alone: what is left of the caller's time does not matter, and no cancel
    /// reaches it. Only [`close`](Self::close) does, and cuts the bound: [`AFTER_ABORT`] after the end of the grace, clean-up
    /// is aborted. Even if it begins in that very moment, it is called, and polled once.
    ///
    /// A cancel does not reach the body either; what may stop in it [runs](Self::run) in a scope. Clean-up does not wait
    /// for work that the body has shielded: where it is to come after that, shield the whole, as the example does.
    ///
    /// # Errors
    /// [`CleanedUp`] has both ends, neither of which hides the other.
    ///
    /// # Panics
    /// With the body's panic, when clean-up has ended; before the body is polled, outside a tokio runtime or without its
    /// timers.
    ///
    /// # Cancel safety
    /// The body is dropped, and clean-up goes on as a task that the scope counts; its error goes to `on_lost`. Clean-up can
    /// only run while the runtime does, and `on_lost` hears of what was not called or cut off: close the scope before.
    ///
    /// # Source
    /// `finally` in asyncio, where the next cancel interrupts clean-up; `move_on_after(5, shield=True)` in trio.
    ///
    /// # Examples
    /// ```
    /// use concurrency::Scope;
    /// use std::{convert::Infallible, time::Duration};
    /// use tokio::time::sleep;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
    /// async fn step(name: &str) {
    ///     sleep(Duration::from_millis(20)).await;
    ///     println!("{name}");
    /// }
    ///
    /// /// Stops at once before the debit, finishes after it, and unlocks in any case.
    /// async fn transfer(request: Scope) -> Result<&'static str, Infallible> {
    ///     let body = async {
    ///         request.run("quote", step("quote")).await?;
    ///         step("debit").await;
    ///         step("credit").await;
    ///         Ok("done")
    ///     };
    ///     let unlock = || async { Ok::<_, Infallible>(step("unlock").await) };
    ///     let ended = request.with_cleanup("transfer", Duration::from_millis(50), body, unlock).await;
    ///     assert!(ended.clean_up.is_ok());
    ///     Ok(ended.body.unwrap_or_else(|cancelled: concurrency::cancel::Cancelled| cancelled.reason))
    /// }
    ///
    /// let server = Scope::new("server", |lost| eprintln!("{lost}"));
    /// let (early, late) = (server.child("early"), server.child("late"));
    /// let (first, second) = (early.shield("first", transfer(early.clone())), late.shield("second", transfer(late.clone())));
    /// sleep(Duration::from_millis(10)).await;
    /// early.cancel("the client has left");
    /// sleep(Duration::from_millis(20)).await;
    /// late.cancel("the client has left");
    /// assert_eq!((first.await.unwrap(), second.await.unwrap()), ("the client has left", "done"));
    /// # });
    /// ```
    pub async fn with_cleanup<B, C, F, E>(
        &self,
        work: &'static str,
        bound: Duration,
        body: B,
        clean_up: C,
    ) -> CleanedUp<B::Output, E>
    where
        B: Future,
        C: FnOnce() -> F + Send + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display + Send + 'static,
    {
        // ANCHOR: with_cleanup
        // Without timers clean-up would have no bound: found out now, not when it is to begin.
        drop(sleep(Duration::ZERO));
        let entry = Entry::new(&self.node, work, None, Begin::Always);
        let (node, runtime) = (self.node.clone(), Handle::current());
        // Declared before the body is polled: dropped in the middle, the body goes first, and then clean-up begins.
        let mut clean_up = OnDrop(Some(move || {
            // Its entry is made before the body's is gone: in between, the scope would seem to be empty.
            let _entry = entry;
            Shielded::spawn(&node, &runtime, work, Begin::Always, async move {
                let ended = timeout(bound, caught(async { clean_up().await })).await;
                ended.map_err(|_| WorkError::TimedOut { bound })??.map_err(WorkError::Failed)
            })
        }));
        let body = AssertUnwindSafe(body).catch_unwind().await;
        let clean_up = match clean_up.0.take() {
            Some(begin) => begin().await,
            None => Ok(()),
        };
        // ANCHOR_END: with_cleanup
        match body {
            Ok(body) => CleanedUp { body, clean_up },
            Err(payload) => {
                if let Err(error) = &clean_up {
                    self.node.lose(work, error);
                }
                resume_unwind(payload)
            }
        }
    }

    /// The names of what is alive here and beneath, in the order in which it began.
    #[must_use]
    pub fn alive(&self) -> Vec<&'static str> {
        self.node.ledger.borrow().names()
    }

    /// Waits until nothing is alive here and beneath. It cancels nothing, and refuses nothing.
    ///
    /// # Cancel safety
    /// Cancel safe: it only waits.
    pub async fn gone(&self) {
        // An error would mean that the sender is gone, which `self` holds.
        drop(self.node.ledger.subscribe().wait_for(Ledger::is_empty).await);
    }

    /// Stops in two phases: cancels, gives what has begun `grace` to end, then aborts what is left; and says what it was.
    ///
    /// # Shape
    /// Returns as soon as nothing is alive any more, at the latest [`AFTER_ABORT`] after the grace; where clean-up blocks
    /// its thread then, twice that. What is aborted is dropped at its await, destructors included, before this returns.
    /// Clean-up is not aborted with the work, but [`AFTER_ABORT`] later, whatever is left of its bound, and named as
    /// [left](Report::left). What else is left keeps its thread busy, or is a future in its caller's task: it can't be
    /// stopped. Clean-up that begins later still has its bound, and nobody waits for it.
    ///
    /// # Panics
    /// If the runtime has no timers.
    ///
    /// # Cancel safety
    /// The scope stays cancelled, and nothing is aborted any more. It can be called again.
    ///
    /// # Source
    /// SIGTERM, grace and SIGKILL of process supervisors.
    ///
    /// # Examples
    /// ```
    /// use concurrency::Scope;
    /// use std::{future::pending, time::Duration};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
    /// let server = Scope::new("server", |lost| println!("{lost}"));
    /// drop(server.shield("stuck", pending::<Result<(), String>>()));
    /// let report = server.close("shutdown", Duration::from_secs(5)).await;
    /// assert_eq!(report.to_string(), "closed for shutdown: 0 ended, aborted: stuck");
    /// # });
    /// ```
    pub async fn close(&self, reason: &'static str, grace: Duration) -> Report {
        // ANCHOR: close
        let before = self.node.ledger.borrow().ended();
        self.cancel(reason);
        self.within(grace).await;
        let ended = self.node.ledger.borrow().ended() - before;
        let work = self.node.ledger.borrow().work();
        // Outside of the lock: aborting wakes.
        work.iter().for_each(|(_, task)| task.abort());
        let aborted = work.into_iter().map(|(name, _)| name).collect();
        // Clean-up that is at work, and what the abort has set off, gets this long, and is aborted then.
        self.within(AFTER_ABORT).await;
        let left = self.alive();
        let clean_up = self.node.ledger.borrow().clean_up();
        clean_up.iter().for_each(|(_, task)| task.abort());
        // It is dropped before this returns, as the work was. An error would mean that the ledger has gone.
        let mut ledger = self.node.ledger.subscribe();
        drop(timeout(AFTER_ABORT, ledger.wait_for(Ledger::aborted_is_gone)).await);
        Report { reason: self.node.why().reason, ended, aborted, left }
        // ANCHOR_END: close
    }

    async fn within(&self, limit: Duration) {
        select! {
            biased;
            () = self.gone() => {}
            () = sleep(limit) => {}
        }
    }
}

impl Node {
    /// This scope and those above it.
    fn chain(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |node| node.parent.as_deref())
    }

    fn reason(&self) -> Option<&'static str> {
        let above = || self.parent.as_ref()?.reason();
        if self.reason.get().is_none()
            && let Some(reason) = above()
        {
            // Kept: a cancel of this scope's own that comes later is not to change it.
            self.reason.set(reason).ok();
        }
        self.reason.get().copied()
    }

    /// Of a scope that is cancelled.
    fn why(&self) -> Cancelled {
        Cancelled { scope: self.name, reason: self.reason().unwrap_or("cancelled") }
    }

    fn lose(&self, work: &'static str, error: &dyn fmt::Display) {
        let lost = Lost { scope: self.name, work, error: error.to_string() };
        // It runs in destructors, too, where a second panic would end the process.
        let told: Caught<()> = catch_unwind(AssertUnwindSafe(|| (self.on_lost)(lost)));
        drop(told);
    }
}

/// Begins clean-up where nobody can wait for it.
struct OnDrop<B: FnOnce() -> Shielded<(), E>, E: fmt::Display>(Option<B>);

impl<B: FnOnce() -> Shielded<(), E>, E: fmt::Display> Drop for OnDrop<B, E> {
    fn drop(&mut self) {
        if let Some(begin) = self.0.take() {
            drop(begin());
        }
    }
}

/// Cancels its scope when it is dropped; made by [`Scope::cancel_on_drop`].
#[must_use = "dropped at once, it cancels at once"]
#[derive(Debug)]
pub struct CancelOnDrop {
    armed: Option<(Scope, &'static str)>,
}

impl CancelOnDrop {
    /// Lets the scope be: the work has come to its end.
    pub fn disarm(mut self) {
        self.armed = None;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some((scope, reason)) = self.armed.take() {
            scope.cancel(reason);
        }
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (reason, alive) = (self.reason(), self.alive());
        f.debug_struct("Scope")
            .field("name", &self.node.name)
            .field("reason", &reason)
            .field("alive", &alive)
            .finish()
    }
}
