//! Event loops that lose nothing: one `select!`, written once.
//!
//! `tokio::select!` drops the futures of the arms that did not win. What an arm had received by then and not yet handed
//! over is lost with it, so only cancel-safe futures belong into an arm; the work belongs behind it. [`Events`] is such a
//! loop's front end: a shutdown, a ticker and a channel, with a priority in which nobody starves. [`forward`] is the same
//! care for the other side: a place first, and then the item.

use futures_util::{FutureExt as _, future::BoxFuture};
use std::{
    fmt,
    future::poll_fn,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    sync::mpsc,
    time::{Instant, Interval, MissedTickBehavior, interval_at},
};

/// How long a period is at most. Later than any process ends, and early enough to be added to any clock.
const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365 * 30);

/// What happened, for a loop that handles one thing after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<T> {
    /// It is time to stop. The channel is closed: senders get their items back, and what was accepted is still to come.
    Stop,
    /// A period has passed.
    Tick,
    /// An item was received.
    Item(T),
}

/// What may interrupt the work on an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// As [`Event::Stop`].
    Stop,
    /// As [`Event::Tick`].
    Tick,
}

/// A shutdown, a ticker and a channel, as one sequence of events.
///
/// Take it for a task that owns something (a connection, a batch, a cache) and is asked through a channel. Take
/// [`mod@crate::queue`] when several workers are to share the items, and plain `select!` for two futures that happen once.
///
/// # Shape
/// [`next`](Self::next) gives one event at a time, and nothing, when the channel is closed and empty. If several are due:
///
/// 1. the stop, always, and once;
/// 2. a tick and an item take turns: so neither a channel that is never empty nor ticks that take longer than their
///    period hold up the other by more than one.
///
/// Items come in the order of the channel. After the stop there are no ticks, and items until the channel is empty. Who
/// wants to leave them can: collect what [`next`](Self::next) gives then, and give it back.
///
/// # Panics
/// Its futures do, if `stop` panics, or outside a tokio runtime with a clock.
///
/// # Source
/// The loop of an actor, as in Alice Ryhl's "Actors with Tokio", with the priority of Erlang's selective receive.
///
/// # Examples
/// ```
/// use concurrency::{Event, Events};
/// use std::time::Duration;
/// use tokio::{sync::mpsc, time::sleep};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// let ms = Duration::from_millis;
/// let (orders, received) = mpsc::channel(8);
/// for id in [1, 2, 3] {
///     orders.send(id).await.expect("it is open");
/// }
/// let mut events = Events::new(received, sleep(ms(35))).every(ms(10));
/// let mut log = String::new();
/// while let Some(event) = events.next().await {
///     match event {
///         Event::Stop => log.push_str("stop "),
///         Event::Tick => log.push_str("tick "),
///         // Not in an arm: nothing can come in between and drop it.
///         Event::Item(id) => {
///             sleep(ms(15)).await; // look it up
///             log.push_str(&format!("{id} "));
///         }
///     }
/// }
/// assert_eq!(log, "1 tick 2 tick 3 stop ");
/// assert!(orders.send(4).await.is_err());
/// # });
/// ```
#[must_use = "dropped, it drops what is in the channel"]
pub struct Events<T> {
    items: mpsc::Receiver<T>,
    // Here, and not made anew for each event: a future that is dropped and made again starts from the beginning, and a
    // `sleep` in an arm of a busy loop never ends.
    stop: Option<BoxFuture<'static, ()>>,
    ticks: Option<Interval>,
    // Whether the last event was a tick: then it is the items' turn.
    ticked: bool,
}

impl<T> Events<T> {
    /// The items of a channel, until it is closed or `stop` ends.
    ///
    /// For a `CancellationToken` that is `token.cancelled_owned()`; for none, [`std::future::pending`].
    pub fn new(items: mpsc::Receiver<T>, stop: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { items, stop: Some(stop.boxed()), ticks: None, ticked: false }
    }

    /// Adds a tick after each `period`, beginning now, the first after one.
    ///
    /// Between two ticks there is at least a period: one that was missed, because the loop was busy, is late, and is not
    /// made up for by a burst ([`MissedTickBehavior::Delay`]).
    ///
    /// # Panics
    /// If `period` is zero, or outside a tokio runtime with a clock.
    pub fn every(mut self, period: Duration) -> Self {
        let mut ticks = interval_at(Instant::now() + period.min(FAR), period.min(FAR));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.ticks = Some(ticks);
        self
    }

    /// The next event, or nothing, when the channel is closed and empty. A sender that was given its place and is not polled
    /// any more keeps that end waiting.
    ///
    /// # Panics
    /// If `stop` panics.
    ///
    /// # Cancel safety
    /// Cancel safe: an event that it would have given, the following one gives. So it may stand in an arm of `select!`.
    pub async fn next(&mut self) -> Option<Event<T>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The stop, or the next tick: for an arm beside work that must not be dropped and takes long.
    ///
    /// # Shape
    /// As [`next`](Self::next), but items wait. Once the stop was given, it waits for ever.
    ///
    /// # Panics
    /// If `stop` panics.
    ///
    /// # Cancel safety
    /// As [`next`](Self::next).
    ///
    /// # Examples
    /// ```
    /// use concurrency::{Events, select::Signal};
    /// use std::{future::pending, pin::pin, time::Duration};
    /// use tokio::{sync::mpsc, time::sleep};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
    /// let ms = Duration::from_millis;
    /// let (_orders, received) = mpsc::channel::<u32>(8);
    /// let mut events = Events::new(received, pending()).every(ms(10));
    /// let mut work = pin!(sleep(ms(35)));
    /// let mut ticks = 0;
    /// loop {
    ///     tokio::select! {
    ///         biased;
    ///         // Pinned outside, and polled through a reference: the arm that loses drops the reference.
    ///         () = &mut work => break,
    ///         Signal::Tick = events.signal() => ticks += 1,
    ///     }
    /// }
    /// assert_eq!(ticks, 3);
    /// # });
    /// ```
    pub async fn signal(&mut self) -> Signal {
        poll_fn(|cx| match self.poll_stop(cx) {
            Poll::Ready(()) => Poll::Ready(Signal::Stop),
            Poll::Pending => self.poll_tick(cx).map(|()| Signal::Tick),
        })
        .await
    }

    // ANCHOR: poll
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Event<T>>> {
        if self.poll_stop(cx).is_ready() {
            return Poll::Ready(Some(Event::Stop));
        }
        if !self.ticked && self.poll_tick(cx).is_ready() {
            return Poll::Ready(Some(Event::Tick));
        }
        // Only from here on is an item out of the channel, and it is handed over in the same breath.
        if let Poll::Ready(item) = self.items.poll_recv(cx) {
            self.ticked = false;
            return Poll::Ready(item.map(Event::Item));
        }
        self.poll_tick(cx).map(|()| Some(Event::Tick))
    }
    // ANCHOR_END: poll

    fn poll_stop(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(stop) = &mut self.stop else { return Poll::Pending };
        stop.as_mut().poll(cx).map(|()| {
            self.stop = None;
            self.ticks = None;
            self.items.close();
        })
    }

    fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(ticks) = &mut self.ticks else { return Poll::Pending };
        ticks.poll_tick(cx).map(|_| self.ticked = true)
    }
}

impl<T> fmt::Debug for Events<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events")
            .field("waiting", &self.items.len())
            .field("stopped", &self.stop.is_none())
            .field("ticks", &self.ticks.as_ref().map(Interval::period))
            .finish()
    }
}

/// Passes items on from one channel to another, until the first is closed and empty.
///
/// Take it inside of a `select!`, a timeout or a task that may be aborted. A loop of `recv` and `send` loses the item in
/// its hand there: `send` gives it back when the channel is closed, and drops it when it is dropped itself.
///
/// # Shape
/// In order, one at a time. Reserves a place first, and takes an item then: there is never one in its hand. The price: it
/// takes up one place of `to` while it waits for an item, and notices the end of `from` only when there is room in `to`.
/// So give `to` one place more if others send to it as well.
///
/// # Errors
/// [`ForwardError::Closed`]: nobody receives any more; the items are still in `from`.
///
/// # Cancel safety
/// Cancel safe: each item is in `from` or in `to`; called again, it goes on.
///
/// # Source
/// `tokio::sync::mpsc::Sender::reserve`, and the warning at `send`.
///
/// # Examples
/// ```
/// use concurrency::select::forward;
/// use std::time::Duration;
/// use tokio::{sync::mpsc, time::timeout};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// let (orders, mut received) = mpsc::channel(8);
/// for id in [1, 2, 3] {
///     orders.send(id).await.expect("it is open");
/// }
/// drop(orders);
/// let (slow, mut out) = mpsc::channel(1);
/// // There is room for one. It is given up while it waits for more, again and again.
/// let mut passed_on = Vec::new();
/// while timeout(Duration::from_millis(5), forward(&mut received, &slow)).await.is_err() {
///     passed_on.extend(out.recv().await);
/// }
/// assert_eq!(passed_on, [1, 2, 3]);
/// # });
/// ```
pub async fn forward<T>(from: &mut mpsc::Receiver<T>, to: &mpsc::Sender<T>) -> Result<(), ForwardError> {
    // ANCHOR: forward
    loop {
        let place = to.reserve().await.map_err(|_| ForwardError::Closed)?;
        tokio::select! {
            biased;
            // Otherwise it would notice only when an item comes, and then the item would go where nobody takes it.
            () = to.closed() => return Err(ForwardError::Closed),
            item = from.recv() => match item {
                Some(item) => place.send(item),
                None => return Ok(()),
            },
        }
    }
    // ANCHOR_END: forward
}

/// Why items are not passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ForwardError {
    /// Nobody receives any more. What was not passed on is where it was: take it out, or pass it on to somebody else.
    #[error("nobody receives any more")]
    Closed,
}
