//! A bounded queue with several workers: closed, drained, and with every item accounted for.
//!
//! `asyncio.Queue` is a buffer and no more: it has no bound unless asked, no end before Python 3.13, and nobody notices
//! when its consumer dies, so that the producer waits for ever. [`queue()`] makes a bounded one together with its
//! workers: what was accepted comes out of them exactly once, whatever became of it, and what is not accepted goes back
//! to the producer.

mod report;

pub use report::{Ended, OnFailure, Refused, Report};

use crate::{Panic, Settled};

use futures_util::{Stream, StreamExt as _};
use std::{
    collections::HashMap,
    fmt,
    future::pending,
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::pin,
    sync::{Arc, Weak},
    thread,
};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::{Id, JoinError, JoinSet},
};

/// How much waits, how much runs, and what a failure means.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How many accepted items wait. It is the only buffer: more than `capacity + workers` are never in the pipeline, and
    /// a producer that is faster than the workers is made to wait. Enough to cover the producer's pauses is enough; more
    /// is latency.
    pub capacity: NonZeroUsize,
    /// How many items are worked on at a time, each in a task of its own.
    pub workers: NonZeroUsize,
    /// What an error of the work means.
    pub on_error: OnFailure,
    /// What a panic of the work means. A question of its own: an error may pass, a panic is a bug that will be there at
    /// the next attempt.
    pub on_panic: OnFailure,
}

/// Makes a queue and its workers, who do `work` on each item.
///
/// Take it when items come from elsewhere: from handlers, from a socket, from other tasks. When there is one source, take
/// [`run`], which feeds it; when the items are all there, [`gather`](crate::gather()); and when the source can be polled
/// and nothing has to wait in between, a [`bounded`](crate::bounded) stream, which needs no queue.
///
/// # Shape
/// Items are begun in the order in which they were accepted, as many at once as there are workers, and come out of
/// [`Workers::next`] in the order in which they end, or of [`Workers::drain`] by sequence. Each accepted item comes out
/// exactly once. It is cloned for each attempt, so that it can be given back; make it an `Arc` if that is expensive.
///
/// # Examples
/// ```
/// use concurrency::{Settled, queue::{OnFailure, Settings, queue}};
/// use std::num::NonZeroUsize;
///
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let two = NonZeroUsize::new(2).expect("two is not zero");
/// let settings =
///     Settings { capacity: two, workers: two, on_error: OnFailure::Skip, on_panic: OnFailure::Stop };
/// let (queue, mut workers) = queue(settings, async |text: &str| text.parse::<i32>());
/// queue.push("7").await.expect("it is open");
/// queue.push("x").await.expect("it is open");
///
/// let report = workers.drain().await;
/// assert!(matches!(report.done[0].outcome, Settled::Ok(7)));
/// assert_eq!(report.failed[0].item, "x");
/// // Closed, and the item is back.
/// assert_eq!(queue.push("9").await.unwrap_err().into_item(), "9");
/// # });
/// ```
///
/// # Source
/// A work queue as of CSP, with the two sides of Go's closed channel in one place: who closes, and who is told.
pub fn queue<T, R, E, W, F>(settings: Settings, work: W) -> (Queue<T>, Workers<T, R, E>)
where
    T: Clone + Send + 'static,
    W: Fn(T) -> F + Send + Sync + 'static,
    F: Future<Output = Result<R, E>> + Send + 'static,
    R: Send + 'static,
    E: Send + 'static,
{
    let (send, items) = mpsc::channel(settings.capacity.get().min(Semaphore::MAX_PERMITS));
    let (closing, closed) = watch::channel(false);
    let closing = Arc::new(closing);
    let work = Arc::new(work);
    let start = move |tasks: &mut JoinSet<_>, item: thread::Result<T>| {
        let work = work.clone();
        // Called inside the task, so that a panic before the first await is a panic of this item, too.
        let attempt = async move {
            match item {
                Ok(item) => work(item).await,
                Err(panic) => resume_unwind(panic),
            }
        };
        tasks.spawn(attempt).id()
    };
    let workers = Workers {
        settings,
        items,
        closed,
        closing: Arc::downgrade(&closing),
        start: Box::new(start),
        tasks: JoinSet::new(),
        running: HashMap::new(),
        accepted: 0,
        drained: false,
        stopped: false,
        report: Report::default(),
    };
    (Queue { items: send, closing }, workers)
}

/// Works on what `source` gives, to its end, and reports.
///
/// Take [`run_until`] when there is a deadline. To shut down in good order, end the source
/// (`source.take_until(shutdown)`): what it gave is worked off.
///
/// # Shape
/// The source is polled ahead of the workers, up to `capacity + workers` items that have not ended. Everything that it
/// gave is in the report, by sequence; for a source without end take [`queue()`] and [`Workers::next`], which keep nothing.
///
/// # Errors
/// None of its own: failures are in the report. After a failure that means [`OnFailure::Stop`] the source is left alone,
/// even if it is in the middle of waiting for an item.
///
/// # Panics
/// If the source panics, or outside a tokio runtime.
///
/// # Cancel safety
/// The report is lost, with what was waiting in the queue, and every task is aborted: none is polled again, but on a
/// multi-thread runtime a task in the middle of a poll ends that poll. To have the report, give [`run_until`] the
/// deadline instead of putting a timeout around it.
///
/// # Source
/// `asyncio.Queue` with `N` consumers and `join()`, done right.
///
/// # Examples
/// ```
/// use concurrency::queue::{self, OnFailure, Settings};
/// use futures_util::stream;
/// use std::{num::{NonZeroU32, NonZeroUsize}, time::Duration};
/// use tokio::time::{Instant, sleep};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// let three = NonZeroUsize::new(3).expect("three is not zero");
/// let twice = OnFailure::Retry(NonZeroU32::new(2).expect("two is not zero"));
/// let settings = Settings { capacity: three, workers: three, on_error: twice, on_panic: OnFailure::Skip };
/// let start = Instant::now();
/// let report = queue::run(stream::iter(0..9), settings, async |row: u32| {
///     sleep(Duration::from_millis(10)).await;
///     if row == 4 { Err("no price") } else { Ok(()) }
/// })
/// .await;
/// assert_eq!(report.done.len(), 8);
/// assert_eq!((report.failed[0].item, report.failed[0].attempts), (4, 2));
/// assert_eq!(start.elapsed(), Duration::from_millis(40)); // ten attempts, three at a time
/// # });
/// ```
pub async fn run<S, T, R, E, W, F>(source: S, settings: Settings, work: W) -> Report<T, R, E>
where
    S: Stream<Item = T>,
    T: Clone + Send + 'static,
    W: Fn(T) -> F + Send + Sync + 'static,
    F: Future<Output = Result<R, E>> + Send + 'static,
    R: Send + 'static,
    E: Send + 'static,
{
    run_until(pending::<()>(), source, settings, work).await
}

/// Like [`run`], but when `stop` ends, aborts what runs and gives back what is left.
///
/// # Shape
/// As [`run`]. When `stop` ends, running tasks are aborted **and waited for**; their items, and those that waited, are
/// `left` in the report. The source is not asked any more.
///
/// # Errors
/// As [`run`].
///
/// # Panics
/// As [`run`], and if `stop` panics.
///
/// # Cancel safety
/// As [`run`].
///
/// # Source
/// As [`run`].
///
/// # Examples
/// ```
/// use concurrency::queue::{self, OnFailure, Settings};
/// use futures_util::stream;
/// use std::{num::NonZeroUsize, time::Duration};
/// use tokio::time::sleep;
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
/// let (one, two) = (NonZeroUsize::MIN, NonZeroUsize::MIN.saturating_add(1));
/// let settings = Settings { capacity: two, workers: one, on_error: OnFailure::Skip, on_panic: OnFailure::Skip };
/// let deadline = sleep(Duration::from_millis(25));
/// let report = queue::run_until(deadline, stream::iter("abcdefgh".chars()), settings, async |_| {
///     sleep(Duration::from_millis(10)).await;
///     Ok::<_, ()>(())
/// })
/// .await;
/// assert_eq!(report.done.len(), 2);
/// let left: String = report.left.iter().map(|ended| ended.item).collect();
/// assert_eq!(left, "cde"); // one was begun, two were waiting; `f` was never taken from the source
/// # });
/// ```
pub async fn run_until<P, S, T, R, E, W, F>(
    stop: P,
    source: S,
    settings: Settings,
    work: W,
) -> Report<T, R, E>
where
    P: Future,
    S: Stream<Item = T>,
    T: Clone + Send + 'static,
    W: Fn(T) -> F + Send + Sync + 'static,
    F: Future<Output = Result<R, E>> + Send + 'static,
    R: Send + 'static,
    E: Send + 'static,
{
    let (queue, mut workers) = queue(settings, work);
    let feed = async move {
        let mut source = pin!(source);
        // A place first, and then the item: so the producer has nothing in its hand while it waits.
        while let Some(place) = queue.place().await {
            let item = tokio::select! {
                biased;
                () = queue.closed() => None,
                item = source.next() => item,
            };
            match item {
                Some(item) => place.send(item),
                None => break,
            }
        }
    };
    // The workers first: if it is over to begin with, the source is not asked for anything.
    tokio::join!(biased; workers.finish(stop, Places::Waited), feed).0
}

/// Ends when it was said, on whichever handle, that nothing more is accepted.
async fn closed(closing: &mut watch::Receiver<bool>) {
    // It errs when the handles and the workers are gone, and that closes a queue, too.
    drop(closing.wait_for(|closing| *closing).await);
}

/// Where items are handed in. Clones are handles to the same queue; when the last one is dropped, the queue is closed.
#[derive(Debug)]
pub struct Queue<T> {
    items: mpsc::Sender<T>,
    // Beside the channel, because a channel can be closed only by its receiver.
    closing: Arc<watch::Sender<bool>>,
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self { items: self.items.clone(), closing: self.closing.clone() }
    }
}

impl<T> Queue<T> {
    /// Hands an item in, and waits for room if there is none.
    ///
    /// Take [`try_push`](Self::try_push) where waiting is worse than refusing: in a handler whose client waits, too.
    ///
    /// # Errors
    /// [`Refused::Closed`] with the item, if the queue is closed, its workers have stopped at a failure, or they are gone;
    /// also if that happens while it waits.
    ///
    /// # Cancel safety
    /// Dropped, the item was not accepted, and is dropped with the future; so is the place in the line. If it must not be
    /// lost, keep a clone, or do not drop it. Polled once and put aside, it keeps its place, and the place that it is given
    /// later: see [deadlock](crate::deadlock).
    pub async fn push(&self, item: T) -> Result<(), Refused<T>> {
        match self.place().await {
            Some(place) => {
                // Held while it is sent: so who says that nothing more comes in finds all that has.
                let closing = self.closing.borrow();
                if *closing {
                    return Err(Refused::Closed(item));
                }
                place.send(item);
                Ok(())
            }
            None => Err(Refused::Closed(item)),
        }
    }

    /// Hands an item in if there is room now.
    ///
    /// # Errors
    /// [`Refused::Full`] or [`Refused::Closed`], with the item.
    pub fn try_push(&self, item: T) -> Result<(), Refused<T>> {
        // As in `push`.
        let closing = self.closing.borrow();
        if *closing {
            return Err(Refused::Closed(item));
        }
        self.items.try_send(item).map_err(|error| match error {
            mpsc::error::TrySendError::Full(item) => Refused::Full(item),
            mpsc::error::TrySendError::Closed(item) => Refused::Closed(item),
        })
    }

    /// Refuses items from now on, those of waiting producers, too, on all handles. What was accepted is worked off.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Whether items are refused.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        *self.closing.borrow() || self.items.is_closed()
    }

    /// Ends when the queue is closed: for a producer that waits for something else than room.
    ///
    /// # Cancel safety
    /// Cancel safe: it only looks.
    pub async fn closed(&self) {
        let mut closing = self.closing.subscribe();
        tokio::select! {
            biased;
            () = closed(&mut closing) => {}
            () = self.items.closed() => {}
        }
    }

    async fn place(&self) -> Option<mpsc::Permit<'_, T>> {
        let mut closing = self.closing.subscribe();
        tokio::select! {
            biased;
            () = closed(&mut closing) => None,
            place = self.items.reserve() => place.ok(),
        }
    }
}

/// Begins an attempt in the set, and says in which task.
type Start<T, R, E> = Box<dyn Fn(&mut JoinSet<Result<R, E>>, thread::Result<T>) -> Id + Send>;

/// The other end of a [`Queue`]: begins items, and says of each how it ended.
///
/// Items are begun while one of its futures is polled, and one more whenever an outcome is handed out; what has begun
/// runs in a task of its own. Dropped, it aborts every task and drops what waits; producers get their items back.
#[must_use = "items are worked on only while `next` or `drain` is awaited, and tasks are aborted when it is dropped"]
pub struct Workers<T, R, E> {
    settings: Settings,
    items: mpsc::Receiver<T>,
    closed: watch::Receiver<bool>,
    // Weak, so that the last handle that is dropped closes the queue.
    closing: Weak<watch::Sender<bool>>,
    start: Start<T, R, E>,
    // What has ended and was not yet read is in it, too: so who does not read does not pile up outcomes.
    tasks: JoinSet<Result<R, E>>,
    running: HashMap<Id, Running<T>>,
    accepted: u64,
    drained: bool,
    stopped: bool,
    // Here, and not in the future of `drain`: so nothing is lost when that is dropped.
    report: Report<T, R, E>,
}

/// What becomes, at a deadline, of places that were given and not yet filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Places {
    /// They are taken back: their owners may not be polled again.
    TakenBack,
    /// They are waited for: their owner is polled beside, and may have an item for it.
    Waited,
}

#[derive(Debug)]
struct Running<T> {
    sequence: u64,
    item: T,
    attempts: u32,
}

impl<T, R, E> Workers<T, R, E>
where
    T: Clone + Send + 'static,
    R: Send + 'static,
    E: Send + 'static,
{
    /// The next item that has ended, or nothing, when the queue is closed and everything that it had accepted has come out.
    ///
    /// # Shape
    /// In the order in which they end. After [`OnFailure::Stop`], what had begun is seen to its end, and what waited comes
    /// out as [`Settled::Cancelled`], with no attempt. A [`push`](Queue::push) that was given its place and is not polled
    /// any more keeps the end waiting; [`drain_until`](Self::drain_until) does not wait for it longer than it may.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    ///
    /// # Cancel safety
    /// Cancel safe: what it would have given, the following one gives, and tasks run on meanwhile.
    pub async fn next(&mut self) -> Option<Ended<T, R, E>> {
        // ANCHOR: next
        loop {
            let places = self.settings.workers.get() - self.tasks.len();
            let ended = tokio::select! {
                // What has ended goes first, for it makes room; a flood of items can't starve it, because of `places`.
                biased;
                Some(joined) = self.tasks.join_next_with_id() => self.ended(joined),
                () = closed(&mut self.closed), if !self.items.is_closed() => {
                    self.items.close();
                    None
                }
                item = self.items.recv(), if !self.drained && places > 0 => self.take(item),
                else => return None,
            };
            if let Some(ended) = ended {
                // Now and not at the next call: who reads may be long in coming back.
                self.fill();
                return Some(ended);
            }
        }
        // ANCHOR_END: next
    }

    /// Closes the queue, works off what it had accepted, and reports.
    ///
    /// # Shape
    /// The report has what [`next`](Self::next) has not yet given, by sequence. As there, a `push` that is not polled keeps it
    /// waiting.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    ///
    /// # Cancel safety
    /// Cancel safe: the queue stays closed, tasks run on, and the next `drain` goes on and reports all.
    pub async fn drain(&mut self) -> Report<T, R, E> {
        self.drain_until(pending::<()>()).await
    }

    /// Like [`drain`](Self::drain), but when `stop` ends, aborts what runs and gives back what is left: a shutdown with a
    /// deadline.
    ///
    /// # Shape
    /// As [`drain`](Self::drain). Aborted tasks are waited for; their items, and those that waited, are `left`. A producer that was
    /// given a place and has not yet filled it gets its item back.
    ///
    /// # Panics
    /// As [`drain`](Self::drain), and if `stop` panics.
    ///
    /// # Cancel safety
    /// As [`drain`](Self::drain).
    pub async fn drain_until(&mut self, stop: impl Future) -> Report<T, R, E> {
        self.items.close();
        self.finish(stop, Places::TakenBack).await
    }

    async fn finish(&mut self, stop: impl Future, places: Places) -> Report<T, R, E> {
        let mut stop = pin!(stop);
        let mut over = false;
        loop {
            let ended = tokio::select! {
                biased;
                _ = &mut stop, if !over => {
                    over = true;
                    self.stop();
                    self.tasks.abort_all();
                    if places == Places::TakenBack {
                        self.take_places_back();
                    }
                    continue;
                }
                ended = self.next() => ended,
            };
            match ended {
                Some(ended) => self.report.add(ended),
                None => break,
            }
        }
        std::mem::take(&mut self.report).by_sequence()
    }

    /// Takes no more, from producers or from the queue.
    fn stop(&mut self) {
        self.stopped = true;
        self.items.close();
    }

    /// Takes what is in the queue, and lets nothing more in: not even from a producer that has a place. Nobody knows when
    /// that one is polled again.
    fn take_places_back(&mut self) {
        if let Some(closing) = self.closing.upgrade() {
            closing.send_replace(true);
        }
        while let Ok(item) = self.items.try_recv() {
            if let Some(left) = self.take(Some(item)) {
                self.report.add(left);
            }
        }
        self.drained = true;
    }

    /// An item out of the queue: begun, or given back if nothing is begun any more.
    fn take(&mut self, item: Option<T>) -> Option<Ended<T, R, E>> {
        let Some(item) = item else {
            self.drained = true;
            return None;
        };
        let sequence = self.accepted;
        self.accepted += 1;
        if self.stopped {
            return Some(Ended { sequence, item, attempts: 0, outcome: Settled::Cancelled });
        }
        self.begin(Running { sequence, item, attempts: 0 });
        None
    }

    fn begin(&mut self, mut job: Running<T>) {
        job.attempts += 1;
        // Here the item is in no list; so a panic of its `clone` is one of this attempt, too.
        let item = catch_unwind(AssertUnwindSafe(|| job.item.clone()));
        let task = (self.start)(&mut self.tasks, item);
        self.running.insert(task, job);
    }

    /// Begins what there is room for.
    fn fill(&mut self) {
        while !self.stopped
            && self.tasks.len() < self.settings.workers.get()
            && let Ok(item) = self.items.try_recv()
        {
            self.take(Some(item));
        }
    }

    /// An attempt that has ended: the outcome of its item, or nothing if there is another one.
    fn ended(&mut self, joined: Result<(Id, Result<R, E>), JoinError>) -> Option<Ended<T, R, E>> {
        let (task, outcome, on_failure) = match joined {
            Ok((task, Ok(value))) => (task, Settled::Ok(value), None),
            Ok((task, Err(error))) => (task, Settled::Failed(error), Some(self.settings.on_error)),
            Err(error) => {
                let task = error.id();
                match error.try_into_panic() {
                    Ok(payload) => {
                        (task, Settled::Panicked(Panic::new(payload)), Some(self.settings.on_panic))
                    }
                    Err(_) => (task, Settled::Cancelled, None),
                }
            }
        };
        let job = self.running.remove(&task)?;
        match on_failure {
            // In its own place, and not at the end of a queue that may be full.
            Some(OnFailure::Retry(times)) if job.attempts < times.get() && !self.stopped => {
                self.begin(job);
                return None;
            }
            Some(OnFailure::Stop) => self.stop(),
            _ => {}
        }
        let Running { sequence, item, attempts } = job;
        Some(Ended { sequence, item, attempts, outcome })
    }
}

impl<T, R, E> fmt::Debug for Workers<T, R, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers")
            .field("settings", &self.settings)
            .field("running", &self.tasks.len())
            .field("accepted", &self.accepted)
            .finish_non_exhaustive()
    }
}
