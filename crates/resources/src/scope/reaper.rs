//! Who finishes what its caller has left behind.

use crate::close::{CloseError, close_within, panic_message};
use futures_util::{
    FutureExt as _,
    future::{AbortHandle, Abortable, BoxFuture},
};
use std::{
    borrow::Cow,
    collections::{BTreeMap, VecDeque},
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    runtime::Handle,
    sync::watch,
    time::{sleep, timeout},
};

/// How long [`drain`](Reaper::drain) waits for the destructors of what it has aborted.
pub const AFTER_ABORT: Duration = Duration::from_secs(1);

/// How many failures [`Drained`] names, the latest; and how many that were abandoned. A server may run for a year.
pub const REMEMBERED: usize = 100;

/// Finishes clean-ups whose callers are gone: handed over when they began, or in the middle.
///
/// One for the program, made at its start and drained at its end, after whatever uses it has stopped. Clones are handles to
/// the same; dropping them stops nothing.
///
/// # Source
/// The process that waits for orphans on Unix; `asyncio.shield`, whose inner task nobody owns once the outer one is cancelled.
///
/// # Examples
/// ```
/// use resources::Reaper;
/// use std::{convert::Infallible, time::Duration};
/// use tokio::time::sleep;
///
/// # common::clock::paused(async {
/// let reaper = Reaper::with_sink(Duration::from_secs(5), |lost| eprintln!("{lost}"));
/// reaper.finish("unlock", async { Ok::<_, Infallible>(sleep(Duration::from_secs(1)).await) });
/// reaper.finish("stuck", std::future::pending::<Result<(), Infallible>>());
/// assert_eq!(reaper.pending(), 2);
/// let drained = reaper.drain(Duration::from_secs(2)).await;
/// assert_eq!(drained.to_string(), "1 finished; abandoned: stuck");
/// # });
/// ```
#[derive(Clone)]
pub struct Reaper {
    shared: Arc<Shared>,
}

struct Shared {
    limit: Duration,
    /// That of [`Reaper::new`], and not the one of whoever drops something: that need not be in a runtime at all.
    runtime: Handle,
    ledger: watch::Sender<Ledger>,
    sink: Box<dyn Fn(&Lost) + Send + Sync>,
}

#[derive(Default)]
struct Ledger {
    next: u64,
    /// By number, so that names come in the order in which they were handed over.
    pending: BTreeMap<u64, (Cow<'static, str>, AbortHandle)>,
    finished: usize,
    failed: VecDeque<Lost>,
    abandoned: VecDeque<Cow<'static, str>>,
    forgotten: usize,
}

impl Ledger {
    fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    fn fail(&mut self, lost: Lost) {
        self.forgotten += remember(&mut self.failed, lost);
    }

    fn abandon(&mut self, name: Cow<'static, str>) {
        self.forgotten += remember(&mut self.abandoned, name);
    }
}

/// Keeps the latest, and says how many had to go for it.
fn remember<T>(list: &mut VecDeque<T>, item: T) -> usize {
    list.push_back(item);
    let too_many = list.len() > REMEMBERED;
    if too_many {
        list.pop_front();
    }
    usize::from(too_many)
}

/// A clean-up that failed where nobody waited for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// Its name.
    pub name: Cow<'static, str>,
    /// What it said.
    pub error: String,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.error)
    }
}

/// What became of everything that a reaper was given, since it was made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "it names what was not cleaned up"]
pub struct Drained {
    /// How many ended well, or had nothing to do: an acquire that nobody waited for, and that failed.
    pub finished: usize,
    /// Those that gave an error, panicked or took longer than the limit; the latest [`REMEMBERED`].
    pub failed: Vec<Lost>,
    /// Those that were not let to their end: the drain was over, or the runtime gone. The latest [`REMEMBERED`].
    pub abandoned: Vec<Cow<'static, str>>,
    /// How many more failed or were abandoned, whose names were not kept.
    pub forgotten: usize,
}

impl Drained {
    /// Whether everything was cleaned up.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.failed.is_empty() && self.abandoned.is_empty() && self.forgotten == 0
    }
}

impl fmt::Display for Drained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} finished", self.finished)?;
        if !self.failed.is_empty() {
            let failed: Vec<_> = self.failed.iter().map(ToString::to_string).collect();
            write!(f, "; failed: {}", failed.join(", "))?;
        }
        if !self.abandoned.is_empty() {
            write!(f, "; abandoned: {}", self.abandoned.join(", "))?;
        }
        if self.forgotten > 0 {
            write!(f, "; and {} more, whose names were not kept", self.forgotten)?;
        }
        Ok(())
    }
}

impl Reaper {
    /// `limit` is how long each clean-up may take, for itself alone. Failures are kept for [`drain`](Self::drain) only.
    ///
    /// # Panics
    /// Outside of a tokio runtime, or in one without timers: clean-ups run on it, wherever they are handed over.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        Self::with_sink(limit, |_| {})
    }

    /// Like [`new`](Self::new); `sink` hears of each clean-up that failed where nobody waited for it, at once: log it.
    ///
    /// # Panics
    /// As [`new`](Self::new).
    #[must_use]
    pub fn with_sink(limit: Duration, sink: impl Fn(&Lost) + Send + Sync + 'static) -> Self {
        // Without timers nothing would have a limit: found out now, and not in a destructor.
        drop(sleep(Duration::ZERO));
        let (runtime, ledger, sink) = (Handle::current(), watch::Sender::default(), Box::new(sink));
        Self { shared: Arc::new(Shared { limit, runtime, ledger, sink }) }
    }

    /// How long each clean-up may take.
    #[must_use]
    pub fn limit(&self) -> Duration {
        self.shared.limit
    }

    /// How many clean-ups were handed over and have not ended: for a health check.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.shared.ledger.borrow().pending.len()
    }

    /// Hands a clean-up over. This returns at once, on any thread, in a destructor, too.
    ///
    /// # Shape
    /// It is a task of the reaper's runtime, and dropped after the [limit](Self::limit). An error, a panic and a timeout go
    /// to the sink and to [`Drained::failed`]. Is the runtime gone, the clean-up is dropped here, and counts as
    /// [abandoned](Drained::abandoned).
    pub fn finish<F, E>(&self, name: impl Into<Cow<'static, str>>, clean_up: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display + Send + 'static,
    {
        drop(self.shield(name, clean_up));
    }

    /// A clean-up that runs in its caller's task, and goes on at the reaper if that is dropped.
    ///
    /// # Shape
    /// It is run exactly once, by whoever has it: polled here as a plain await is, its [limit](Self::limit) counted from its
    /// first poll. Handed over in the middle, it goes on where it stands, with what is left of the limit.
    ///
    /// # Errors
    /// [`CloseError`]. Who awaits it to its end has the error; nobody else is told.
    ///
    /// # Panics
    /// If it is polled after its end; if the runtime has no timers.
    ///
    /// # Cancel safety
    /// Dropped, at its beginning or in the middle, it is [finished](Self::finish) at the reaper.
    pub fn shield<F, E>(
        &self,
        name: impl Into<Cow<'static, str>>,
        clean_up: F,
    ) -> Shielded<Result<(), CloseError<E>>>
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: fmt::Display + Send + 'static,
    {
        let closing = close_within(self.limit(), clean_up);
        Shielded::new(self, name.into(), closing, |closing, _limit| {
            closing.map(|ended| ended.err().map(|error| error.to_string())).boxed()
        })
    }

    /// Waits until every clean-up has ended, those that are handed over meanwhile, too; aborts after `within` what has not,
    /// and says what became of all.
    ///
    /// # Shape
    /// Returns as soon as nothing is pending, at the latest [`AFTER_ABORT`] after `within`: what is aborted is dropped before
    /// this returns, unless it blocks its thread. What its destructors hand over has half of that time, and is then aborted
    /// and named, too. A drain closes nothing: what is handed over later runs, and nobody waits for it. So stop first what
    /// may hand something over: who is in the body of a [`scope()`](fn@crate::scope) is not pending.
    ///
    /// # Panics
    /// If the runtime has no timers.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is aborted before the end of `within`, and the report can be asked for again.
    pub async fn drain(&self, within: Duration) -> Drained {
        // ANCHOR: drain
        if !self.empty_within(within).await {
            self.abort_pending();
            // What the destructors hand over in turn may end well, for half of the time; in the other half it is aborted, too.
            if !self.empty_within(AFTER_ABORT / 2).await {
                // What is left after that blocks its thread. It is named below.
                timeout(AFTER_ABORT / 2, self.abort_all()).await.ok();
            }
        }
        // ANCHOR_END: drain
        let ledger = self.shared.ledger.borrow();
        let stuck = ledger.pending.values().map(|(name, _)| name);
        Drained {
            finished: ledger.finished,
            failed: ledger.failed.iter().cloned().collect(),
            abandoned: ledger.abandoned.iter().chain(stuck).cloned().collect(),
            forgotten: ledger.forgotten,
        }
    }

    /// Aborts what is pending, and what that hands over in turn, until nothing is left.
    async fn abort_all(&self) {
        let mut ledger = self.shared.ledger.subscribe();
        loop {
            if ledger.borrow_and_update().is_empty() {
                return;
            }
            self.abort_pending();
            // Its error would mean that the sender is gone, which `self` holds.
            ledger.changed().await.ok();
        }
    }

    fn abort_pending(&self) {
        let left: Vec<_> =
            self.shared.ledger.borrow().pending.values().map(|(_, abort)| abort.clone()).collect();
        // Outside of the lock: aborting wakes.
        left.iter().for_each(AbortHandle::abort);
    }

    async fn empty_within(&self, limit: Duration) -> bool {
        let mut ledger = self.shared.ledger.subscribe();
        // Its error would mean that the sender is gone, which `self` holds.
        timeout(limit, async { ledger.wait_for(Ledger::is_empty).await.map(drop) }).await.is_ok()
    }

    /// What nobody waits for goes on as a task.
    fn hand_over(&self, name: Cow<'static, str>, work: BoxFuture<'static, Option<String>>) {
        let (abort, registration) = AbortHandle::new_pair();
        let mut number = 0;
        // A drain that is aborting looks again.
        self.shared.ledger.send_modify(|ledger| {
            number = ledger.next;
            ledger.next += 1;
            ledger.pending.insert(number, (name, abort));
        });
        let work = Abortable::new(AssertUnwindSafe(work).catch_unwind(), registration);
        // Nothing is left to wait for: the ledger knows when it has gone. A runtime that is gone drops it here.
        drop(
            self.shared
                .runtime
                .spawn(Pending { work, entry: Entry { reaper: self.clone(), number, ended: None } }),
        );
    }

    /// Tells of a failure that nobody waits for.
    pub(crate) fn lose(&self, name: Cow<'static, str>, error: &dyn fmt::Display) {
        let lost = Lost { name, error: error.to_string() };
        // It runs in destructors, too, where a second panic would end the process.
        let told = catch_unwind(AssertUnwindSafe(|| (self.shared.sink)(&lost)));
        // The same holds for the destructor of its payload.
        drop(told.map_err(panic_message));
        self.shared.ledger.send_if_modified(|ledger| {
            ledger.fail(lost);
            false
        });
    }
}

impl fmt::Debug for Reaper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (limit, pending) = (self.limit(), self.pending());
        f.debug_struct("Reaper").field("limit", &limit).field("pending", &pending).finish_non_exhaustive()
    }
}

/// A task of the reaper. The order of the fields is that of their drops: it is struck out when the work has gone.
struct Pending<F> {
    work: Abortable<F>,
    entry: Entry,
}

type Ended = std::thread::Result<Option<String>>;

impl<F: Future<Output = Ended> + Unpin> Future for Pending<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.work.poll_unpin(context).map(|ended| self.entry.ended = ended.ok())
    }
}

/// A line in the ledger; struck out on drop.
struct Entry {
    reaper: Reaper,
    number: u64,
    /// None if it was dropped before its end.
    ended: Option<Ended>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        let ended = self.ended.take().map(|ended| ended.unwrap_or_else(|panic| Some(panic_message(panic))));
        if let Some(Some(error)) = &ended {
            let name =
                self.reaper.shared.ledger.borrow().pending.get(&self.number).map(|(name, _)| name.clone());
            self.reaper.lose(name.unwrap_or_default(), error);
        }
        self.reaper.shared.ledger.send_if_modified(|ledger| {
            let gone = ledger.pending.remove(&self.number);
            match (ended, gone) {
                (None, Some((name, _))) => ledger.abandon(name),
                (Some(None), _) => ledger.finished += 1,
                _ => {}
            }
            ledger.is_empty()
        });
    }
}

/// What is told of work that nobody waits for: nothing, if it went well.
type Rest<T> = fn(BoxFuture<'static, T>, Duration) -> BoxFuture<'static, Option<String>>;

/// Work that runs in its caller's task, and goes on at the [`Reaper`] if that is dropped; made by [`Reaper::shield`].
///
/// # Cancel safety
/// Dropped, it goes on at the reaper, where it stands.
pub struct Shielded<T> {
    reaper: Reaper,
    name: Cow<'static, str>,
    /// None once it has ended, with a value or a panic.
    work: Option<BoxFuture<'static, T>>,
    /// What is to be done instead where nobody waits; it is given the reaper's limit.
    rest: Rest<T>,
}

impl<T> Shielded<T> {
    /// `rest` is what becomes of the work where nobody waits for it, and what is told of that.
    pub(crate) fn new(
        reaper: &Reaper,
        name: Cow<'static, str>,
        work: impl Future<Output = T> + Send + 'static,
        rest: Rest<T>,
    ) -> Self {
        Self { reaper: reaper.clone(), name, work: Some(work.boxed()), rest }
    }
}

impl<T> Future for Shielded<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        // Taken out: what panics in its poll is dropped there, and not handed over to be polled again.
        let mut work = self.work.take().expect("polled after its end");
        let polled = work.poll_unpin(context);
        if polled.is_pending() {
            self.work = Some(work);
        }
        polled
    }
}

impl<T> Drop for Shielded<T> {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            self.reaper.hand_over(std::mem::take(&mut self.name), (self.rest)(work, self.reaper.limit()));
        }
    }
}

impl<T> fmt::Debug for Shielded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shielded")
            .field("name", &self.name)
            .field("ended", &self.work.is_none())
            .finish_non_exhaustive()
    }
}
