//! Fire, and don't forget.
//!
//! `asyncio.create_task` whose task nobody keeps may be collected half-way, and its exception is logged whenever that
//! happens. `tokio::spawn` whose handle nobody keeps has the opposite fault: the task lives as long as the runtime, its
//! error goes nowhere, its panic stops it for good, and the end of `main` cuts it off. A [`Supervisor`] owns such tasks:
//! each has a name, failures and panics go to one sink, what has to stay up is restarted, and
//! [`shutdown`](Supervisor::shutdown) says how everything ended.

mod incident;
mod restart;
mod task;

pub use incident::{Cause, Incident, Next, Refusal, Refused, Report};
pub use restart::{Backoff, Restart};

use std::{
    fmt,
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};
use task::{Ended, Guarded, Here, Shared};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

/// How long [`Supervisor::shutdown`] waits for tasks that it has aborted. A task that is not gone by then blocks its
/// thread, and no abort can stop it.
pub const STUCK_AFTER: Duration = Duration::from_secs(1);

/// The owner of named background tasks, whose failures and panics all go to one sink.
///
/// Take it for work that outlives the request, or the function, that began it: a mail, a refresher, the consumer of a
/// queue. Take a [task group](mod@crate::task_group) when the caller waits for the work, and a stored queue when the
/// work must survive the end of the process: this one lives in memory.
///
/// # Shape
/// Tasks are begun through a [`Spawner`], of which everybody may have a clone, the tasks too. A task gets a
/// [`CancellationToken`], which is cancelled when the shutdown begins. What has ended takes no memory.
///
/// # Errors
/// Whatever a task fails or panics with is given to the sink in that moment, on the task's thread: there is no queue
/// that could fill up or go unread. So the sink must not block; it may log, count, cancel a token, spawn, or `try_send`.
/// A sink that panics loses what it was told; the report of the shutdown counts that in [`Report::untold`].
///
/// # Cancel safety
/// Dropping the supervisor aborts every task, cancels their tokens, and refuses new ones: none becomes an orphan. It
/// waits for none, for a destructor can't: on a multi-thread runtime a task in the middle of a poll ends that poll, and
/// destructors run when the scheduler next touches the task. Nobody is told which tasks that were: to know, and to let
/// them finish, call [`shutdown`](Self::shutdown). When the *runtime* is shut down first, it drops the tasks where they
/// wait; a `shutdown` that is waited for elsewhere reports them as aborted.
///
/// # Source
/// Restart intensity is that of Erlang/OTP's `supervisor`; tasks that are waited for, without registry or abort, are
/// `tokio_util::task::TaskTracker`.
///
/// # Examples
/// ```
/// use concurrency::background::{Cause, Supervisor};
/// use std::{sync::mpsc, time::Duration};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// let (tell, told) = mpsc::channel();
/// let supervisor = Supervisor::unbounded(move |incident| tell.send(incident).unwrap_or_default());
/// let background = supervisor.spawner();
/// background.spawn("mail 7", async |_| Err("no such address"))?;
/// background.spawn("audit", async |stop| {
///     stop.cancelled().await;
///     Ok(()) // It had the time to write its last lines.
/// })?;
///
/// let report = supervisor.shutdown(Duration::from_secs(5)).await;
/// assert_eq!((report.finished, report.failed), (vec!["audit".to_owned()], vec!["mail 7".to_owned()]));
/// let incident = told.try_recv().expect("a failure is told");
/// assert_eq!((incident.name.as_str(), incident.attempt), ("mail 7", 1));
/// assert!(matches!(incident.cause, Cause::Failed("no such address")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[must_use = "dropping it aborts every task"]
pub struct Supervisor<E> {
    shared: Arc<Shared<E>>,
}

impl<E: Send + 'static> Supervisor<E> {
    /// At most `limit` tasks are alive at once; those that wait for their next attempt count. The tasks run on the
    /// runtime of the caller, wherever they are spawned from later.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn bounded(limit: NonZeroUsize, sink: impl Fn(Incident<E>) + Send + Sync + 'static) -> Self {
        Self { shared: Arc::new(Shared::new(limit.get().min(Semaphore::MAX_PERMITS), Box::new(sink))) }
    }

    /// As many tasks as are spawned: for a number that is known when the program is written, or bounded elsewhere. The
    /// tasks run on the runtime of the caller.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn unbounded(sink: impl Fn(Incident<E>) + Send + Sync + 'static) -> Self {
        Self { shared: Arc::new(Shared::new(Semaphore::MAX_PERMITS, Box::new(sink))) }
    }

    /// The handle with which tasks are begun.
    #[must_use]
    pub fn spawner(&self) -> Spawner<E> {
        Spawner { shared: Arc::downgrade(&self.shared), room: self.shared.room.clone() }
    }

    /// The names of the tasks that are alive, the oldest first: for a health check.
    #[must_use]
    pub fn alive(&self) -> Vec<String> {
        self.shared.alive()
    }

    /// Refuses new tasks, asks those that are there to stop, aborts after `grace` what still runs, and says how each of
    /// them ended.
    ///
    /// # Shape
    /// It cancels the tokens; a pause before a restart ends there, and nothing is restarted any more. It returns as soon
    /// as the last task has gone, destructors included, and at the latest [`STUCK_AFTER`] after `grace`: who has not
    /// gone by then is named as [stuck](Report::stuck). With a grace of zero, everything is aborted at once. A task that
    /// blocks the *only* thread of a runtime blocks this, too.
    ///
    /// Await it outside of its own tasks: one that awaits it waits for itself, is aborted after `grace`, and nobody has the
    /// report.
    ///
    /// # Panics
    /// If a task is left to wait for, and the runtime has no timer.
    ///
    /// # Cancel safety
    /// The supervisor is dropped with it: what still runs is aborted, and the report is lost. It can be put into a
    /// `select!` with a second Ctrl-C.
    pub async fn shutdown(self, grace: Duration) -> Report {
        // ANCHOR: shutdown
        let shared = &self.shared;
        shared.close();
        shared.stop.cancel();
        if !grace.is_zero() {
            shared.all_gone_within(grace).await;
        }
        shared.abort_all();
        shared.all_gone_within(STUCK_AFTER).await;
        shared.report()
        // ANCHOR_END: shutdown
    }
}

impl<E> Drop for Supervisor<E> {
    fn drop(&mut self) {
        self.shared.close();
        self.shared.abort_all();
        // After the abort: a task that is not in a poll sees no more of this.
        self.shared.stop.cancel();
    }
}

impl<E> fmt::Debug for Supervisor<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Supervisor").field("alive", &self.shared.alive()).finish_non_exhaustive()
    }
}

/// The handle with which tasks are begun. Clones are handles to the same [`Supervisor`]; they keep neither it nor its
/// sink alive, and may be used on any thread.
pub struct Spawner<E> {
    shared: Weak<Shared<E>>,
    room: Arc<Semaphore>,
}

impl<E: Send + 'static> Spawner<E> {
    /// Begins a task that runs once. `work` is given the token that is cancelled when the shutdown begins.
    ///
    /// # Errors
    /// If there is no room, or the supervisor takes no more tasks: the work comes back in [`Refused`], not begun.
    pub fn spawn<W, F>(&self, name: impl Into<String>, work: W) -> Result<(), Refused<W>>
    where
        W: FnOnce(CancellationToken) -> F + Send + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        match self.place() {
            Ok(place) => self.start(name.into(), place, work, |work, here| here.once(work)),
            Err(why) => Err(Refused { name: name.into(), why, work }),
        }
    }

    /// Like [`spawn`](Self::spawn), but waits until there is room.
    ///
    /// Don't wait here in a task of a bounded supervisor: when every place is taken by one that waits for a place, none
    /// is ever free.
    ///
    /// # Shape
    /// Those who wait are served in the order in which they came.
    ///
    /// # Errors
    /// If the supervisor takes no more tasks, also if that happens while it waits.
    ///
    /// # Cancel safety
    /// Dropped while it waits, the work has not begun and is dropped with it, and the place in the queue is lost. There
    /// is no await after the task has begun. Polled once and put aside, it keeps its place: see [deadlock](crate::deadlock).
    pub async fn spawn_when_free<W, F>(&self, name: impl Into<String>, work: W) -> Result<(), Refused<W>>
    where
        W: FnOnce(CancellationToken) -> F + Send + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        match self.room.clone().acquire_owned().await {
            Ok(place) => self.start(name.into(), place, work, |work, here| here.once(work)),
            Err(_) => Err(Refused { name: name.into(), why: Refusal::Closed, work }),
        }
    }

    /// Begins a task that is begun again when it ends: see [`Restart`]. Each attempt is a future of its own, made by
    /// `work` when the one before has been dropped.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    ///
    /// # Panics
    /// If the supervisor's runtime has no timer: pauses need one.
    pub fn keep_up<W, F>(&self, name: impl Into<String>, restart: Restart, work: W) -> Result<(), Refused<W>>
    where
        W: FnMut(CancellationToken) -> F + Send + 'static,
        F: Future<Output = Result<(), E>> + Send + 'static,
    {
        if let Some(shared) = self.shared.upgrade() {
            let _in = shared.runtime.enter();
            // Without a timer it panics here, where the mistake is, and not in the pause, of which nobody would hear.
            drop(sleep(Duration::ZERO));
        }
        match self.place() {
            Ok(place) => self.start(name.into(), place, work, move |work, here| here.again(work, restart)),
            Err(why) => Err(Refused { name: name.into(), why, work }),
        }
    }

    fn place(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        self.room.clone().try_acquire_owned().map_err(|error| match error {
            TryAcquireError::NoPermits => Refusal::Full,
            TryAcquireError::Closed => Refusal::Closed,
        })
    }

    // ANCHOR: start
    fn start<W, F>(
        &self,
        name: String,
        place: OwnedSemaphorePermit,
        work: W,
        run: impl FnOnce(W, Here<E>) -> F + Send + 'static,
    ) -> Result<(), Refused<W>>
    where
        W: Send + 'static,
        F: Future<Output = Ended> + Send + 'static,
    {
        let name = Arc::<str>::from(name);
        let refused = |work| Err(Refused { name: name.to_string(), why: Refusal::Closed, work });
        let Some(shared) = self.shared.upgrade() else { return refused(work) };
        let Some(here) = Here::enter(&shared, name.clone(), place) else { return refused(work) };
        let id = here.id;
        // A runtime that shuts down drops a new task without polling it; its work is then still in the slot.
        let slot = Arc::new(Mutex::new(Some(work)));
        let theirs = slot.clone();
        let task = Guarded::new(here.clone(), async move {
            let Some(work) = take(&theirs) else { return Ended::Aborted };
            drop(theirs);
            run(work, here).await
        });
        // Not under a lock: a runtime that shuts down drops it there and then, and its end takes the lock.
        let abort = shared.runtime.spawn(task).abort_handle();
        if abort.is_finished()
            && let Some(work) = take(&slot)
        {
            return refused(work);
        }
        shared.can_be_aborted(id, abort);
        Ok(())
    }
    // ANCHOR_END: start
}

impl<E> Clone for Spawner<E> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), room: self.room.clone() }
    }
}

impl<E> fmt::Debug for Spawner<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spawner").field("open", &!self.room.is_closed()).finish_non_exhaustive()
    }
}

fn take<W>(slot: &Mutex<Option<W>>) -> Option<W> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}
