//! Ask for everything at once, and lose nothing.
//!
//! `asyncio.gather` made three promises hard to keep: it starts everything at once, however much that is; it mixes
//! errors with results; and it leaves siblings running when one fails. [`gather`] takes a limit, gives one [`Settled`]
//! an item in input order, and leaves nothing behind.

use crate::{Settled, task::Task};

use futures_util::{
    StreamExt as _,
    future::{FusedFuture as _, FutureExt as _},
    poll,
    stream::FuturesUnordered,
};
use std::{
    future::pending,
    num::NonZeroUsize,
    pin::{Pin, pin},
    task::{Context, Poll},
};

/// Runs `work` on every item, at most `limit` at a time, and says of each how it ended.
///
/// Take it when items are independent and each outcome matters. Take a task group when one failure makes the rest
/// pointless, and [`gather_until`] when a late answer is no answer.
///
/// # Shape
/// n items in, n outcomes out; outcome i belongs to item i. Items are pulled from the iterator when there is room for
/// them, equal ones are not merged. At most `limit` tasks are alive at once, and exactly `limit` while there is work.
///
/// # Errors
/// None of its own: an error, a panic, or a cancellation is the outcome of its item.
///
/// # Panics
/// If the iterator panics, or outside a tokio runtime. A panic of `work`, before or after its first await, is the outcome of its item.
///
/// # Cancel safety
/// Outcomes in hand are lost. Every task is aborted: none is polled again, but on a multi-thread runtime a task in the
/// middle of a poll ends that poll, and destructors run when the scheduler next touches the task.
///
/// # Source
/// Guarantees of `Promise.allSettled`, with a limit and with cancellation; `asyncio.gather` for the name.
///
/// # Examples
/// ```
/// use concurrency::{Settled, gather};
/// use std::num::NonZeroUsize;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let limit = NonZeroUsize::new(2).expect("two is not zero");
/// let settled = gather(["7", "x", "9"], limit, async |text: &str| text.parse::<i32>()).await;
/// assert!(matches!(settled.as_slice(), [Settled::Ok(7), Settled::Failed(_), Settled::Ok(9)]));
/// # });
/// ```
pub async fn gather<I, W, F, T, E>(items: I, limit: NonZeroUsize, work: W) -> Vec<Settled<T, E>>
where
    I: IntoIterator,
    W: FnMut(I::Item) -> F,
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    gather_until(pending::<()>(), items, limit, work).await
}

/// Like [`gather`], but settles for what is there when `stop` ends: a deadline, a shutdown, a reader who left.
///
/// # Shape
/// As [`gather`]. When `stop` ends, running tasks are aborted **and waited for**; they and the items that had not begun
/// come back as [`Settled::Cancelled`]. If it is over to begin with, nothing is started. Items are then drained from the iterator without being started, so it must be
/// finite.
///
/// # Errors
/// As [`gather`].
///
/// # Panics
/// If the iterator or `stop` panics, or outside a tokio runtime.
///
/// # Cancel safety
/// As [`gather`].
///
/// # Source
/// The counterpart of `asyncio.wait(timeout=...)`, which neither cancels nor waits for what is pending.
///
/// # Examples
/// ```
/// use concurrency::{Settled, gather_until};
/// use std::{num::NonZeroUsize, time::Duration};
/// use tokio::time::sleep;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// let limit = NonZeroUsize::new(8).expect("eight is not zero");
/// let enough = sleep(Duration::from_millis(50));
/// let settled = gather_until(enough, [20, 500], limit, async |ms| {
///     sleep(Duration::from_millis(ms)).await;
///     Ok::<_, ()>(ms)
/// })
/// .await;
/// assert!(matches!(settled.as_slice(), [Settled::Ok(20), Settled::Cancelled]));
/// # });
/// ```
pub async fn gather_until<S, I, W, F, T, E>(
    stop: S,
    items: I,
    limit: NonZeroUsize,
    mut work: W,
) -> Vec<Settled<T, E>>
where
    S: Future,
    I: IntoIterator,
    W: FnMut(I::Item) -> F,
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    // ANCHOR: loop
    let mut stop = pin!(stop.fuse());
    let mut items = items.into_iter();
    // Dropping the tasks aborts them: that is the whole of the clean-up.
    let mut tasks = FuturesUnordered::new();
    let mut settled: Vec<Option<Settled<T, E>>> = Vec::with_capacity(items.size_hint().0);
    loop {
        // Asked before there is new work, too: what is over when a place becomes free does not begin in it.
        if poll!(&mut stop).is_ready() {
            tasks.iter().for_each(Placed::abort);
        }
        while tasks.len() < limit.get()
            && let Some(item) = items.next()
        {
            let place = settled.len();
            settled.push(None);
            if !stop.is_terminated() {
                tasks.push(Placed { place, task: Task::start(|| work(item)) });
            }
        }
        tokio::select! {
            // In the same order each time, for the pictures.
            biased;
            _ = &mut stop => tasks.iter().for_each(Placed::abort),
            joined = tasks.next() => match joined {
                Some((place, outcome)) => settled[place] = Some(outcome),
                // The iterator is at its end, or there would have been room for more.
                None => break,
            },
        }
    }
    settled.into_iter().map(|outcome| outcome.unwrap_or(Settled::Cancelled)).collect()
    // ANCHOR_END: loop
}

/// The task of one item, which knows the item's place.
struct Placed<T, E> {
    place: usize,
    task: Task<T, E>,
}

impl<T, E> Placed<T, E> {
    fn abort(&self) {
        self.task.abort();
    }
}

impl<T, E> Future for Placed<T, E> {
    type Output = (usize, Settled<T, E>);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.task.poll_unpin(cx).map(|outcome| (self.place, outcome))
    }
}
