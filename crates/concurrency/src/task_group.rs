//! Children that end before their parent goes on.
//!
//! `asyncio.TaskGroup` cancels the other children when one fails, and waits for them. [`task_group()`] does both, keeps
//! every error with the child it came from, gives values through typed handles in place of a shared dict, and goes on
//! with a panic. A `JoinSet` alone does neither: dropped on an early return, it aborts its tasks and waits for none.

mod children;
mod failure;

pub use failure::{Failure, GroupClosed, GroupError, Origin, Stopped};

use children::{Cause, Report, Shared, Slot};
use futures_util::FutureExt as _;
use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    runtime::Handle,
    sync::{oneshot, watch},
    task::{AbortHandle, JoinSet},
    time::sleep,
};

/// Runs `body`, which spawns children into the group, and returns when every child has ended and has been dropped.
///
/// Take it when one failure makes the rest pointless, or when children do different things. Take
/// [`gather`](crate::gather()) when each outcome matters, `tokio::try_join!` for a few calls that are to borrow.
///
/// # Shape
/// Each [`spawn`](TaskGroup::spawn) is a task, at work at once; the group sets no limit. The body runs in the caller's
/// task and may borrow. Its value is the group's; the children's values come through their [`Child`].
///
/// # Errors
/// At the first `Err`, of a child or of the body, the other children are aborted and the body is dropped at the await
/// at which it waits; they have all gone when [`GroupError`] is returned. On a multi-thread runtime, who is in the
/// middle of a poll first ends that poll, and may fail, too. A child that was aborted through its handle has not failed.
///
/// # Panics
/// With the first panic of a child or of the body, its payload untouched, after the others were aborted and have gone.
/// With several panics the first is resumed; errors are lost, also one that came before.
///
/// # Cancel safety
/// Errors and values in hand are lost. Every child is aborted, and none can be spawned any more; but a destructor can't
/// wait: on a multi-thread runtime a child in the middle of a poll ends that poll. A blocking child that runs goes on
/// until it looks at [`is_cancelled`](TaskGroup::is_cancelled).
///
/// # Source
/// The guarantees of `asyncio.TaskGroup` and of trio's nurseries, which wait for threads, too; that a panic goes on,
/// as in `std::thread::scope`, but with its own payload.
///
/// # Examples
/// ```
/// use concurrency::{GroupClosed, Stopped, task_group};
///
/// #[derive(Debug, thiserror::Error)]
/// enum PageError {
///     #[error("no such user")]
///     NoUser,
///     #[error(transparent)]
///     Closed(#[from] GroupClosed),
///     #[error(transparent)]
///     Stopped(#[from] Stopped),
/// }
///
/// async fn user(id: u32) -> Result<String, PageError> {
///     if id == 7 { Ok(String::from("Ada")) } else { Err(PageError::NoUser) }
/// }
/// async fn orders(id: u32) -> Result<u32, PageError> {
///     Ok(id * 6)
/// }
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let page = async |id| {
///     task_group(async |group| {
///         let user = group.spawn(user(id))?;
///         let orders = group.spawn(orders(id))?;
///         Ok::<_, PageError>(format!("{}: {} orders", user.await?, orders.await?))
///     })
///     .await
/// };
/// assert_eq!(page(7).await.expect("there is a user 7"), "Ada: 42 orders");
/// assert_eq!(page(8).await.unwrap_err().first.to_string(), "child 0 failed");
/// # });
/// ```
pub async fn task_group<T, E, F, Fut>(body: F) -> Result<T, GroupError<E>>
where
    F: FnOnce(TaskGroup<E>) -> Fut,
    Fut: Future<Output = Result<T, E>>,
    E: Send + 'static,
{
    with_grace(Duration::ZERO, body).await
}

/// Like [`task_group()`], but cancels in two steps: it asks children to stop, and aborts them only after `grace`.
///
/// # Shape
/// As [`task_group()`]. At the first failure [`TaskGroup::cancelled`] ends; children that watch it have `grace` to hand
/// back what they hold. The group returns as soon as the last one has ended.
///
/// # Errors
/// As [`task_group()`]. Errors that children give in their grace are kept, too. The body has no grace; a child that
/// waits for one that failed gets [`Stopped`] as soon as the body has gone.
///
/// # Panics
/// As [`task_group()`], also with a panic in the grace; or if `grace` is needed and the runtime has no timer.
///
/// # Cancel safety
/// As [`task_group()`]: whoever drops it gives no grace.
///
/// # Examples
/// ```
/// use concurrency::task_group;
/// use std::time::Duration;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// let failed = task_group::with_grace(Duration::from_secs(1), async |group| {
///     let stop = group.cancelled();
///     let upload = group.spawn(async move {
///         stop.await;
///         Ok("parts deleted") // It had the time.
///     });
///     Err::<(), _>(upload) // As an error, so that the handle comes out.
/// })
/// .await
/// .unwrap_err();
/// assert_eq!(failed.cancelled, 0);
/// assert_eq!(failed.first.error.expect("the group was open").await, Ok("parts deleted"));
/// # });
/// ```
pub async fn with_grace<T, E, F, Fut>(grace: Duration, body: F) -> Result<T, GroupError<E>>
where
    F: FnOnce(TaskGroup<E>) -> Fut,
    Fut: Future<Output = Result<T, E>>,
    E: Send + 'static,
{
    let (cancel, cancelled) = watch::channel(false);
    // The one owner. Handles are weak: children hold them, and the set holds the children.
    let shared = Arc::new(Shared::new(cancel, grace));
    let group = TaskGroup { shared: Arc::downgrade(&shared), cancelled };
    let (stop, overdue) = (group.cancelled(), group.cancelled());
    // ANCHOR: body
    let running = AssertUnwindSafe(async move {
        tokio::select! {
            // First: a body that was woken by a failure is not to run on.
            biased;
            () = stop => None,
            ended = body(group) => Some(ended),
        }
    });
    // A panic of the body waits until the children have gone, and so does one of its destructor.
    let value = match running.catch_unwind().await {
        Ok(Some(Ok(value))) => Some(value),
        Ok(Some(Err(error))) => {
            shared.stop(Cause::Failed(Failure { origin: Origin::Body, error }));
            None
        }
        Ok(None) => None,
        Err(payload) => {
            shared.stop(Cause::Panicked(payload));
            None
        }
    };
    shared.end_silence();
    if !grace.is_zero() {
        tokio::select! {
            // If nobody is left, no grace is needed, and no timer.
            biased;
            () = shared.all_gone() => {}
            () = async { overdue.await; sleep(grace).await } => shared.lock().children.abort_all(),
        }
    }
    shared.all_gone().await;
    shared.outcome(value)
    // ANCHOR_END: body
}

/// Runs `work` on every item at once, and gives the values in the order of the items: a group without a body.
///
/// Take it for a handful of items of which all are needed. It sets no limit; for many items take
/// [`gather`](crate::gather()).
///
/// # Shape
/// n items in, n values out; value i belongs to item i, equal items are not merged. The first failure ends it.
///
/// # Errors
/// As [`task_group()`]; [`Origin::Child`] holds the position of the item.
///
/// # Panics
/// As [`task_group()`]; or if the iterator panics, or the runtime is shut down under it.
///
/// # Cancel safety
/// As [`task_group()`].
///
/// # Examples
/// ```
/// use concurrency::task_group;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let numbers = task_group::all(["7", "7", "9"], async |text: &str| text.parse::<i32>()).await;
/// assert_eq!(numbers.expect("all are numbers"), [7, 7, 9]);
///
/// let failed = task_group::all(["7", "x"], async |text: &str| text.parse::<i32>()).await.unwrap_err();
/// assert_eq!(failed.first.origin, task_group::Origin::Child(1));
/// # });
/// ```
pub async fn all<I, W, F, T, E>(items: I, mut work: W) -> Result<Vec<T>, GroupError<E>>
where
    I: IntoIterator,
    W: FnMut(I::Item) -> F,
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    let children = task_group(async |group: TaskGroup<E>| {
        // Refused means that a child has failed already, on another thread: no point in starting the rest.
        let spawn = |item| group.spawn(work(item)).ok();
        Ok(items.into_iter().map_while(spawn).collect::<Vec<_>>())
    })
    .await?;
    let mut values = Vec::with_capacity(children.len());
    for child in children {
        // Nobody else has the handles; so a child of a group that succeeded has a value.
        values.push(child.await.expect("the runtime was shut down under the group"));
    }
    Ok(values)
}

/// The handle with which the body, and children that hold a clone, spawn into the group. It does not keep the group
/// alive.
pub struct TaskGroup<E> {
    shared: Weak<Shared<E>>,
    cancelled: watch::Receiver<bool>,
}

impl<E: Send + 'static> TaskGroup<E> {
    /// Starts a child. The group waits for it, whatever becomes of its [`Child`].
    ///
    /// # Errors
    /// If the group was closed, has failed, has returned, or was dropped; `future` is then dropped without being polled.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn spawn<T, F>(&self, future: F) -> Result<Child<T>, GroupClosed>
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Send + 'static,
    {
        self.start(future, |children, slot, runtime| {
            let child = async move {
                let Some((future, report)) = slot.take() else { return };
                #[expect(
                    clippy::redundant_async_block,
                    reason = "its end drops `future`, where a panic is caught"
                )]
                let ended = AssertUnwindSafe(async move { future.await }).catch_unwind().await;
                report.conclude(ended);
            };
            children.spawn_on(child, runtime)
        })
    }

    /// Starts a child on a thread for blocking work. No abort can stop it once it runs, so the group waits for it;
    /// long work should look at [`is_cancelled`](Self::is_cancelled) now and then.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn spawn_blocking<T, W>(&self, work: W) -> Result<Child<T>, GroupClosed>
    where
        W: FnOnce() -> Result<T, E> + Send + 'static,
        T: Send + 'static,
    {
        self.start(work, |children, slot, runtime| {
            let child = move || {
                let Some((work, report)) = slot.take() else { return };
                let ended = catch_unwind(AssertUnwindSafe(work));
                report.conclude(ended);
            };
            children.spawn_blocking_on(child, runtime)
        })
    }

    /// Lets no more children in. Those that are there go on.
    pub fn close(&self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.lock().open = false;
        }
    }

    /// Ends when the group has failed, has returned, or was dropped: when whoever still works, works for nobody. It is
    /// of use under [`with_grace`]; without grace, children are aborted in that moment.
    ///
    /// # Cancel safety
    /// Cancel safe: it only looks.
    pub fn cancelled(&self) -> impl Future<Output = ()> + Send + use<E> {
        let mut cancelled = self.cancelled.clone();
        // An error means that the group is gone.
        async move { drop(cancelled.wait_for(|cancelled| *cancelled).await) }
    }

    /// Whether [`cancelled`](Self::cancelled) has ended: for blocking children.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        *self.cancelled.borrow() || self.cancelled.has_changed().is_err()
    }

    fn start<T, W>(
        &self,
        work: W,
        spawn: impl FnOnce(&mut JoinSet<()>, Slot<(W, Report<T, E>)>, &Handle) -> AbortHandle,
    ) -> Result<Child<T>, GroupClosed>
    where
        T: Send + 'static,
    {
        let shared = self.shared.upgrade().ok_or(GroupClosed)?;
        // It may panic, and a panic drops `work`: not under the lock.
        let runtime = Handle::current();
        // Children that have ended make room, or a body that spawns for ever would fill the memory.
        while let Some(joined) = shared.try_join() {
            shared.reap(joined);
        }
        let (sender, value) = oneshot::channel();
        let alone = Arc::new(AtomicBool::new(false));
        // A runtime that shuts down drops its copy of the slot there and then. This one comes before the lock, so that
        // it is dropped after it, and with it what nobody took.
        let slot;
        let mut state = shared.lock();
        if !state.open {
            return Err(GroupClosed);
        }
        let report = Report::new(state.spawned, sender, alone.clone(), self.shared.clone());
        state.spawned += 1;
        slot = Slot::new((work, report));
        let abort = spawn(&mut state.children, slot.clone(), &runtime);
        Ok(Child { value, abort, alone, cancelled: self.cancelled.clone() })
    }
}

impl<E> Clone for TaskGroup<E> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone(), cancelled: self.cancelled.clone() }
    }
}

impl<E> fmt::Debug for TaskGroup<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(shared) = self.shared.upgrade() else { return f.write_str("TaskGroup(gone)") };
        let state = shared.lock();
        let (children, open) = (state.children.len(), state.open);
        f.debug_struct("TaskGroup").field("children", &children).field("open", &open).finish()
    }
}

/// A child's value to be, inside the body or after the group has returned. Dropping it loses the value; the child and
/// the group go on.
///
/// When the group fails, handles of children without a value say nothing until the body has been dropped, and
/// [`Stopped`] from then on: no body runs on with a `Stopped` that is the echo of a failure. So don't block the body's
/// thread on a handle, and don't wait for one where the group's future is held but not polled.
///
/// # Cancel safety
/// As a future it is cancel safe: the value waits.
#[derive(Debug)]
pub struct Child<T> {
    value: oneshot::Receiver<T>,
    abort: AbortHandle,
    /// Whether it was aborted before the group had failed, and so not for that.
    alone: Arc<AtomicBool>,
    cancelled: watch::Receiver<bool>,
}

impl<T> Child<T> {
    /// Stops this child alone. That is no failure of the group; the handle then gives [`Stopped`].
    pub fn abort(&self) {
        if !*self.cancelled.borrow() {
            // Relaxed: the abort, which comes after it, is what the child learns it by.
            self.alone.store(true, Relaxed);
        }
        self.abort.abort();
    }
}

impl<T> Future for Child<T> {
    type Output = Result<T, Stopped>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.value).poll(cx).map_err(|_| Stopped)
    }
}
