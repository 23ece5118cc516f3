//! A few at a time, from a source of any length, and on while the reader is busy.
//!
//! A semaphore in asyncio bounds what runs, not what waits for it: a task for every item exists from the start. Futures'
//! `buffered(n)` bounds both, but its futures run only while somebody awaits the stream: a slow loop body stops them,
//! and one that needs what they hold waits for ever. The streams of this module start tasks, which need nobody.
//!
//! The limit is this stream's own. One that several callers share belongs to the resource, not to the call.

use crate::{Settled, task::Task};

use futures_util::{
    FutureExt as _, Stream, StreamExt as _,
    stream::{Fuse, FusedStream, FuturesOrdered, FuturesUnordered},
};
use pin_project_lite::pin_project;
use std::{
    num::NonZeroUsize,
    pin::Pin,
    task::{Context, Poll, ready},
};

/// Runs `work` on every item of `source`, at most `limit` at a time, and gives the outcomes in input order.
///
/// Take it when the outcomes are used one after another and the reader takes its time: pages to render, rows to write.
/// Take [`as_completed`] when order does not matter, and [`gather`](crate::gather()) when you want them all in a `Vec`.
///
/// # Shape
/// n items in, n outcomes out; outcome i belongs to item i. Tasks that run and outcomes not yet read are together at
/// most `limit`, and exactly `limit` as long as the source has items ready: handing out an outcome starts the next item,
/// which then runs while the reader works. So a slow first item holds up the rest: that is the price of order.
///
/// The source may be endless; it is polled only when there is room, and only while the stream is. An iterator becomes a
/// source with [`futures_util::stream::iter`]. Nothing starts before the first poll.
///
/// # Errors
/// None of its own: an error, a panic, or a cancellation is the outcome of its item.
///
/// # Panics
/// When polled, if the source panics (an outcome that was about to be given is then lost), or outside a tokio runtime. A
/// panic of `work`, before or after its first await, is the outcome of its item.
///
/// # Cancel safety
/// `next()` is cancel safe: what it would have given, the following one gives. When the stream itself is dropped,
/// unread outcomes are lost and every task is aborted: none is polled again, but on a multi-thread runtime a task in
/// the middle of a poll ends that poll, and destructors run when the scheduler next touches the task.
///
/// # Source
/// `buffered` of `futures`, on tasks. <https://github.com/rust-lang/futures-rs/issues/2387> has the deadlock.
///
/// # Examples
/// ```
/// use concurrency::{Settled, bounded};
/// use futures_util::{StreamExt as _, stream};
/// use std::{num::NonZeroUsize, time::Duration};
/// use tokio::time::{Instant, sleep};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// let limit = NonZeroUsize::new(2).expect("two is not zero");
/// let fetch = async |page: u32| {
///     sleep(Duration::from_millis(30)).await;
///     Ok::<_, ()>(page)
/// };
/// let start = Instant::now();
/// let mut pages = bounded::in_input_order(stream::iter(1..), limit, fetch).take(4);
/// while let Some(page) = pages.next().await {
///     assert!(page.is_ok());
///     sleep(Duration::from_millis(30)).await; // render it
/// }
/// // The first fetch, then four times rendering: all other fetches went on meanwhile.
/// assert_eq!(start.elapsed(), Duration::from_millis(30 + 4 * 30));
/// # });
/// ```
pub fn in_input_order<S, W, F, T, E>(
    source: S,
    limit: NonZeroUsize,
    mut work: W,
) -> impl FusedStream<Item = Settled<T, E>>
where
    S: Stream,
    W: FnMut(S::Item) -> F,
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    let tasks = source.map(move |item| Task::start(|| work(item)));
    Bounded::<_, FuturesOrdered<_>>::new(tasks, limit)
}

/// Like [`in_input_order`], but gives each outcome as soon as it is there, with the position of its item.
///
/// Take it when a slow item must not hold up the others. The position comes along because an outcome in completion order
/// would be anonymous without it: a panic does not know whose it is.
///
/// # Shape
/// As [`in_input_order`], but pairs of position and outcome, in order of completion; those that are there when the
/// stream is polled come in no particular order. Positions count from 0.
///
/// # Errors
/// As [`in_input_order`].
///
/// # Panics
/// As [`in_input_order`].
///
/// # Cancel safety
/// As [`in_input_order`].
///
/// # Source
/// `asyncio.as_completed`, which yields the original tasks only since Python 3.13, for the same reason.
///
/// # Examples
/// ```
/// use concurrency::{Settled, bounded};
/// use futures_util::{StreamExt as _, stream};
/// use std::{num::NonZeroUsize, time::Duration};
/// use tokio::time::sleep;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// let limit = NonZeroUsize::new(2).expect("two is not zero");
/// let naps = bounded::as_completed(stream::iter([30, 10, 10]), limit, async |ms| {
///     sleep(Duration::from_millis(ms)).await;
///     Ok::<_, ()>(ms)
/// });
/// let order: Vec<usize> = naps.map(|(position, _)| position).collect().await;
/// assert_eq!(order, [1, 2, 0]);
/// # });
/// ```
pub fn as_completed<S, W, F, T, E>(
    source: S,
    limit: NonZeroUsize,
    mut work: W,
) -> impl FusedStream<Item = (usize, Settled<T, E>)>
where
    S: Stream,
    W: FnMut(S::Item) -> F,
    F: Future<Output = Result<T, E>> + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    let tasks = source
        .enumerate()
        .map(move |(position, item)| Task::start(|| work(item)).map(move |settled| (position, settled)));
    Bounded::<_, FuturesUnordered<_>>::new(tasks, limit)
}

pin_project! {
    /// Has as many futures of `starts` in `started` as fit.
    struct Bounded<S, Q> {
        #[pin]
        starts: Fuse<S>,
        started: Q,
        // Started and not yet given out. What has finished counts too, so that a reader who stops stops the source.
        out: usize,
        limit: NonZeroUsize,
    }
}

impl<S: Stream, Q: Default> Bounded<S, Q> {
    fn new(starts: S, limit: NonZeroUsize) -> Self {
        Self { starts: starts.fuse(), started: Q::default(), out: 0, limit }
    }
}

impl<S, Q> Stream for Bounded<S, Q>
where
    S: Stream,
    Q: Stream + Extend<S::Item> + Unpin,
{
    type Item = Q::Item;

    // ANCHOR: poll
    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Q::Item>> {
        let this = self.project();
        let (mut starts, started, out) = (this.starts, this.started, this.out);
        let mut fill = |started: &mut Q, out: &mut usize, cx: &mut Context<'_>| {
            while *out < this.limit.get()
                && let Poll::Ready(Some(task)) = starts.as_mut().poll_next(cx)
            {
                started.extend([task]);
                *out += 1;
            }
            starts.is_done()
        };
        let at_its_end = fill(started, out, cx);
        match ready!(started.poll_next_unpin(cx)) {
            Some(outcome) => {
                *out -= 1;
                // Filled now and not at the next poll, for the reader may be long in coming back. In between no place
                // becomes free, so that nothing is missed by running only when polled.
                fill(started, out, cx);
                Poll::Ready(Some(outcome))
            }
            None if at_its_end => Poll::Ready(None),
            // The source has been polled and will wake us.
            None => Poll::Pending,
        }
    }
    // ANCHOR_END: poll

    fn size_hint(&self) -> (usize, Option<usize>) {
        let (least, most) = self.starts.size_hint();
        (least.saturating_add(self.out), most.and_then(|most| most.checked_add(self.out)))
    }
}

impl<S, Q> FusedStream for Bounded<S, Q>
where
    S: Stream,
    Q: Stream + Extend<S::Item> + Unpin,
{
    fn is_terminated(&self) -> bool {
        self.starts.is_done() && self.out == 0
    }
}
