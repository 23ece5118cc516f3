//! An in-memory service to call, with scripted latencies and failures: the exercises' stand-in for a database or an API.

use crate::Recorder;
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    runtime::Handle,
    sync::{Notify, Semaphore},
    time::sleep,
};

/// A service that answers `fetch(id)` as its script says, and keeps a ledger of every call.
///
/// Clones are handles to the same service. Each call becomes a lane of the recorder, so that a timeline comes for free.
///
/// # Examples
/// ```
/// use common::{Backend, Recorder, backend::Outcome, clock};
/// use std::time::Duration;
///
/// clock::paused(async {
///     let backend = Backend::new(&Recorder::new("two calls"))
///         .on(1, Duration::from_millis(20), Outcome::Reply)
///         .on(2, Duration::from_millis(5), Outcome::Fail);
///     assert_eq!(backend.fetch(1).await?.body, "item 1");
///     assert!(backend.fetch(2).await.is_err());
///     assert_eq!(backend.peak(), 1);
/// # Ok::<(), common::backend::FetchError>(())
/// })
/// # .unwrap();
/// ```
#[derive(Clone)]
pub struct Backend {
    shared: Arc<Shared>,
    recorder: Recorder,
}

struct Shared {
    script: Mutex<HashMap<u32, (Duration, Outcome)>>,
    default_latency: Mutex<Duration>,
    meeting: Mutex<Meeting>,
    /// Rung when a meeting has come together.
    met: Notify,
    places: Mutex<Option<Arc<Semaphore>>>,
    ledger: Mutex<Ledger>,
}

#[derive(Default)]
struct Ledger {
    calls: Vec<Call>,
    in_flight: usize,
    peak: usize,
    peak_tasks: usize,
}

/// Calls that wait for each other. Not tokio's `Barrier`: that one counts a caller that came and was dropped.
#[derive(Default)]
struct Meeting {
    /// How many make a meeting; nothing: nobody waits.
    of: Option<usize>,
    waiting: usize,
    /// How many meetings have come together.
    held: u64,
}

/// How a scripted call ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// With a [`Reply`].
    Reply,
    /// With [`FetchError::Unavailable`].
    Fail,
    /// With [`FetchError::TimedOut`]: the service's own limit, not one of the caller's.
    TimeOut,
    /// With a panic in the caller's task.
    Panic,
    /// Never.
    Hang,
}

/// What the service answers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reply {
    /// The id that was asked for.
    pub id: u32,
    /// The content: `item 7` for id 7.
    pub body: String,
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FetchError {
    /// The service can't answer for this id now; asking again may help.
    Unavailable {
        /// The id that was asked for.
        id: u32,
    },
    /// The service's own time limit passed.
    TimedOut {
        /// The id that was asked for.
        id: u32,
    },
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable { id } => write!(f, "item {id} is unavailable"),
            Self::TimedOut { id } => write!(f, "the backend timed out on item {id}"),
        }
    }
}

impl std::error::Error for FetchError {}

/// One call, as the service saw it. Times count from the recorder's start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The id that was asked for.
    pub id: u32,
    /// When the call reached the service.
    pub started: Duration,
    /// When and how it ended; nothing while it is in flight.
    pub ended: Option<(Duration, CallEnd)>,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallEnd {
    /// A reply was given.
    Replied,
    /// An error was given.
    Failed,
    /// The call panicked.
    Panicked,
    /// The caller dropped it.
    Dropped,
}

/// A moment at which a caller left room unused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// When it began, counted from the recorder's start.
    pub at: Duration,
    /// Calls in flight.
    pub in_flight: usize,
    /// Calls that were made only later.
    pub to_come: usize,
}

impl Backend {
    /// A service that replies to every id after 10 ms, until told otherwise with [`on`](Self::on).
    #[must_use]
    pub fn new(recorder: &Recorder) -> Self {
        let shared = Shared {
            script: Mutex::default(),
            default_latency: Mutex::new(Duration::from_millis(10)),
            meeting: Mutex::default(),
            met: Notify::new(),
            places: Mutex::new(None),
            ledger: Mutex::default(),
        };
        Self { shared: Arc::new(shared), recorder: recorder.clone() }
    }

    /// Scripts the calls for `id`: they end after `latency`, with `outcome`.
    #[must_use = "the script is set in place; bind or chain what is returned"]
    pub fn on(self, id: u32, latency: Duration, outcome: Outcome) -> Self {
        lock(&self.shared.script).insert(id, (latency, outcome));
        self
    }

    /// Sets the latency of ids without a script.
    #[must_use = "the latency is set in place; bind or chain what is returned"]
    pub fn latency(self, latency: Duration) -> Self {
        *lock(&self.shared.default_latency) = latency;
        self
    }

    /// From now on, calls wait until `n` of them are there, then go on together: a caller that never has `n` in
    /// flight at once never gets an answer. It is how a check proves a *lower* bound on concurrency.
    #[must_use = "the meeting is set in place; bind or chain what is returned"]
    pub fn meeting_of(self, n: usize) -> Self {
        lock(&self.shared.meeting).of = Some(n);
        self
    }

    /// From now on, `n` calls are served at a time, in the order in which they came, and the others wait: a connection
    /// pool. Who is given a place keeps it until its call ends, also if nobody polls the call any more.
    #[must_use = "the places are set in place; bind or chain what is returned"]
    pub fn places(self, n: usize) -> Self {
        *lock(&self.shared.places) = Some(Arc::new(Semaphore::new(n)));
        self
    }

    /// Asks for one item. Nothing happens until the future is polled; it owns what it needs, so it can be spawned.
    ///
    /// # Errors
    /// [`FetchError`], as scripted.
    ///
    /// # Cancel safety
    /// Cancel safe: the call is then in the ledger as [`CallEnd::Dropped`].
    pub fn fetch(&self, id: u32) -> impl Future<Output = Result<Reply, FetchError>> + Send + use<> {
        let backend = self.clone();
        // The lane begins with the first poll, as the call does; a future that nobody polls asks nobody.
        async move {
            let name = format!("fetch {id}");
            let recorder = backend.recorder.clone();
            recorder.try_lane(name, backend.call(id)).await
        }
    }

    /// Every call so far, in the order in which they came.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        lock(&self.shared.ledger).calls.clone()
    }

    /// How many calls are in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        lock(&self.shared.ledger).in_flight
    }

    /// The largest number of calls that were in flight at once.
    #[must_use]
    pub fn peak(&self) -> usize {
        lock(&self.shared.ledger).peak
    }

    /// The largest number of tasks that were alive on the runtime when a call came in.
    #[must_use]
    pub fn peak_tasks(&self) -> usize {
        lock(&self.shared.ledger).peak_tasks
    }

    /// The first moment at which a caller with room for `limit` calls had fewer in flight although more were to come.
    #[must_use]
    pub fn first_gap(&self, limit: usize) -> Option<Gap> {
        first_gap(&self.calls(), limit)
    }

    /// Waits until enough callers are here at once.
    async fn meet(&self) {
        let mut here = {
            let mut meeting = lock(&self.shared.meeting);
            let Some(of) = meeting.of else { return };
            meeting.waiting += 1;
            if meeting.waiting >= of {
                meeting.waiting = 0;
                meeting.held += 1;
                self.shared.met.notify_waiters();
                return;
            }
            Waiting { backend: self, before: meeting.held, met: false }
        };
        loop {
            let met = self.shared.met.notified();
            if lock(&self.shared.meeting).held > here.before {
                here.met = true;
                return;
            }
            met.await;
        }
    }

    async fn call(self, id: u32) -> Result<Reply, FetchError> {
        let default = *lock(&self.shared.default_latency);
        let (latency, outcome) =
            lock(&self.shared.script).get(&id).copied().unwrap_or((default, Outcome::Reply));
        let mut entry = Entry::new(&self, id);
        self.meet().await;
        let places = lock(&self.shared.places).clone();
        let _place = match &places {
            Some(places) => places.acquire().await.ok(),
            None => None,
        };
        if outcome == Outcome::Hang {
            std::future::pending::<()>().await;
        }
        sleep(latency).await;
        match outcome {
            Outcome::Reply | Outcome::Hang => {
                entry.end = CallEnd::Replied;
                Ok(Reply { id, body: format!("item {id}") })
            }
            Outcome::Fail => {
                entry.end = CallEnd::Failed;
                Err(FetchError::Unavailable { id })
            }
            Outcome::TimeOut => {
                entry.end = CallEnd::Failed;
                Err(FetchError::TimedOut { id })
            }
            Outcome::Panic => {
                entry.end = CallEnd::Panicked;
                // Not `panic!`: a scripted panic is part of the case and has no business on the learner's screen.
                std::panic::resume_unwind(Box::new(format!("item {id} is cursed")))
            }
        }
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Backend({} calls)", self.calls().len())
    }
}

/// The first moment at which a caller with room for `limit` calls had fewer in flight although more were to come.
#[must_use]
pub fn first_gap(calls: &[Call], limit: usize) -> Option<Gap> {
    let ended = |call: &Call| call.ended.map_or(Duration::MAX, |(at, _)| at);
    let mut moments: Vec<Duration> = calls.iter().flat_map(|call| [call.started, ended(call)]).collect();
    moments.push(Duration::ZERO);
    moments.sort_unstable();
    // What counts is the state after everything of that moment has happened.
    moments.into_iter().find_map(|at| {
        let in_flight = calls.iter().filter(|call| call.started <= at && at < ended(call)).count();
        let to_come = calls.iter().filter(|call| at < call.started).count();
        (to_come > 0 && in_flight < limit).then_some(Gap { at, in_flight, to_come })
    })
}

/// A call that waits for a meeting; dropped before it has come together, it is not counted any more.
struct Waiting<'a> {
    backend: &'a Backend,
    before: u64,
    met: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut meeting = lock(&self.backend.shared.meeting);
        // Met, but dropped before it was polled again: the meeting was held with it, and its place is not its own.
        if !self.met && meeting.held == self.before {
            meeting.waiting -= 1;
        }
    }
}

/// A call's line in the ledger, closed on drop, whatever the way out.
struct Entry<'a> {
    backend: &'a Backend,
    index: usize,
    end: CallEnd,
}

impl<'a> Entry<'a> {
    fn new(backend: &'a Backend, id: u32) -> Self {
        let tasks = Handle::current().metrics().num_alive_tasks();
        let mut ledger = lock(&backend.shared.ledger);
        ledger.calls.push(Call { id, started: backend.recorder.now(), ended: None });
        ledger.in_flight += 1;
        ledger.peak = ledger.peak.max(ledger.in_flight);
        ledger.peak_tasks = ledger.peak_tasks.max(tasks);
        Self { backend, index: ledger.calls.len() - 1, end: CallEnd::Dropped }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        let now = self.backend.recorder.now();
        let mut ledger = lock(&self.backend.shared.ledger);
        ledger.in_flight -= 1;
        let index = self.index;
        ledger.calls[index].ended = Some((now, self.end));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
