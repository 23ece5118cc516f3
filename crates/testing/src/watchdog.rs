//! Reports workers that are stuck: what asyncio's debug mode gives with `slow_callback_duration`, for production too.
//!
//! A thread looks at two figures that tokio publishes for each worker: how often it has parked, and how long it was busy.
//! A worker that is active while both stand still does not come back from its tasks: one of them computes, or blocks in a
//! call that is not async. Nothing is wrapped, and no task pays for it.
//!
//! tokio publishes the figures when a worker parks, and at least after [`event_interval`] rounds, 61 by default. A round
//! is one poll, or up to four when tasks wake each other on a multi-thread runtime. So the limit is for a row of polls
//! without a pause: a runtime that is always busy with polls of a millisecond each exceeds 50 ms, and its other tasks do
//! wait for that long. Set `event_interval` lower to look closer; `event_interval(1)` is for tests, because it costs
//! each poll more than the poll itself.
//!
//! What counts is the time that the thread computed or was blocked, not the time in which it was ready to run and
//! the machine gave it no processor: a machine that is overloaded, or a container that has used up its share, is no
//! stall of the program. Nor is, for up to twice the limit, a wait for a thread that gets no processor: one that may hold
//! the lock, or has just been started to take over a worker from `block_in_place`. Only Linux tells these apart
//! (`/proc/self/task`); elsewhere all the time counts, so that the limit should be generous, and [`Doing`] is unknown.
//! While no worker stands still, nothing is read from there.
//!
//! # What it does not see
//! - The future that is given to `block_on` of a multi-thread runtime: it runs on the caller's thread, and nobody waits
//!   for that but itself. Spawn it.
//! - A worker of a multi-thread runtime before it has first parked, which it does once it is started and has no task yet.
//! - A deadlock of tasks, a lost wake-up: the worker is idle then. [`simulate`](crate::simulate()) finds these.
//! - Which of several `.await`s of a future it was, unless they are [`labelled`].
//!
//! # Source
//! The counters are [`RuntimeMetrics::worker_park_unpark_count`] and [`RuntimeMetrics::worker_total_busy_duration`], stable
//! since tokio 1.45.
//!
//! [`event_interval`]: Builder::event_interval
//! [`RuntimeMetrics::worker_park_unpark_count`]: tokio::runtime::RuntimeMetrics::worker_park_unpark_count
//! [`RuntimeMetrics::worker_total_busy_duration`]: tokio::runtime::RuntimeMetrics::worker_total_busy_duration

mod bystanders;
mod label;
mod log;
mod observe;
mod patrol;
mod root;
mod seats;
mod stall;
mod suspect;

pub use label::{Label, Labelled, labelled};
pub use observe::{observe, observe_on};
pub use root::Root;
pub use stall::{Doing, Stall};

use log::Log;
use patrol::Patrol;
use seats::Seats;
use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{
            AtomicU64,
            Ordering::{Acquire, Relaxed, Release},
        },
        mpsc,
    },
    thread::{self, JoinHandle},
    time::Duration,
};
use tokio::runtime::{Builder, Handle, RuntimeFlavor};

/// The shortest limit: the kernel adds up a thread's processor time every few milliseconds.
const SHORTEST: Duration = Duration::from_millis(5);

/// Watches the workers of one runtime, on a thread of its own, until it is dropped.
///
/// Take it for services and for tests on the real clock, also with the virtual clock paused: it goes by real time. For
/// the load of a runtime rather than a single stuck worker, take a [`Heartbeat`](crate::Heartbeat); for a test of one
/// future, [`observe`](observe()).
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use testing::Watchdog;
/// use tokio::runtime::Builder;
///
/// # fn main() -> std::io::Result<()> {
/// let mut builder = Builder::new_multi_thread();
/// let setup = Watchdog::limit(Duration::from_millis(50))
///     .on_stall(|stall| eprintln!("{stall}"))
///     .install(builder.worker_threads(2).enable_all());
/// let runtime = builder.build()?;
/// let watchdog = setup.start(runtime.handle())?;
///
/// runtime.block_on(watchdog.root(async { /* the program */ }));
/// assert_eq!(watchdog.count(), 0);
/// # Ok(())
/// # }
/// ```
#[must_use = "dropped, it stops watching"]
pub struct Watchdog {
    log: Arc<Log>,
    seats: Arc<Seats>,
    needs_driver: bool,
    /// Dropped to end the thread.
    stop: Option<mpsc::SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// A [`Watchdog`] that does not watch yet; made by [`Watchdog::limit`].
#[must_use = "it watches once it is started"]
pub struct Setup {
    limit: Duration,
    on_stall: Box<dyn Fn(&Stall) + Send>,
    seats: Arc<Seats>,
}

impl Watchdog {
    /// Begins a watchdog that reports what lasts for `limit` or longer, within two fifths of the limit more if the machine
    /// has a processor for it.
    ///
    /// 50 to 100 ms are a good limit: people notice such a wait. Less than 5 ms counts as 5 ms.
    pub fn limit(limit: Duration) -> Setup {
        Setup {
            limit: limit.max(SHORTEST),
            on_stall: Box::new(|stall| eprintln!("{stall}")),
            seats: Arc::default(),
        }
    }

    /// The stalls so far, the latest 256; `lasted` is what it has come to by now.
    #[must_use]
    pub fn stalls(&self) -> Vec<Stall> {
        self.log.kept()
    }

    /// How many stalls there were so far, for a metric.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.log.count()
    }

    /// Wraps the future that is given to `block_on`: `runtime.block_on(watchdog.root(main()))`.
    ///
    /// A current-thread runtime is watched only while such a root is being polled or waits, because from outside, one
    /// that nobody drives looks the same as one that is stuck. On a multi-thread runtime it does nothing, so that both
    /// can be written alike. Don't give it to `spawn`.
    ///
    /// # Cancel safety
    /// As cancel safe as `future`.
    pub fn root<F: Future>(&self, future: F) -> Root<F> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let seats = self.needs_driver.then(|| self.seats.clone());
        Root::new(future, seats, NEXT.fetch_add(1, Relaxed))
    }
}

impl Setup {
    /// What is done with each stall, at once and on the watchdog's thread: no further one is found before it returns. It
    /// is called once a stall. By default it is printed on the standard error.
    pub fn on_stall(mut self, report: impl Fn(&Stall) + Send + 'static) -> Self {
        self.on_stall = Box::new(report);
        self
    }

    /// Sets the hooks `on_thread_start`, `on_thread_park` and `on_thread_unpark` of the builder, which replaces those that
    /// it had. With hooks of your own, call [`hook`](Self::hook) in them instead.
    pub fn install(self, builder: &mut Builder) -> Self {
        builder.on_thread_start(self.hook()).on_thread_park(self.hook()).on_thread_unpark(self.hook());
        self
    }

    /// What is to be called in the hooks `on_thread_start`, `on_thread_park` and `on_thread_unpark` of the runtime, and of
    /// no other: it notes on which thread each worker sits. A current-thread runtime can do without.
    pub fn hook(&self) -> impl Fn() + Clone + Send + Sync + use<> {
        self.seats.hooked.store(true, Release);
        let seats = self.seats.clone();
        move || seats.note()
    }

    /// Starts watching the runtime with this handle.
    ///
    /// # Errors
    /// If the runtime has several threads and was built without the hooks, or the system refuses a thread.
    pub fn start(self, runtime: &Handle) -> io::Result<Watchdog> {
        let needs_driver = runtime.runtime_flavor() == RuntimeFlavor::CurrentThread;
        if !needs_driver && !self.seats.hooked.load(Acquire) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the watchdog can't tell the workers' threads: call `install` on the builder of the runtime before \
                 it is built, or `hook` in your own hooks",
            ));
        }
        let log = Arc::<Log>::default();
        let patrol = Patrol {
            metrics: runtime.metrics(),
            seats: self.seats.clone(),
            needs_driver,
            limit: self.limit,
            log: log.clone(),
            on_stall: self.on_stall,
        };
        let (stop, stopped) = mpsc::sync_channel(0);
        let thread = thread::Builder::new()
            .name(String::from("watchdog"))
            .spawn(move || patrol.run(&stopped))
            .map_err(|error| io::Error::new(error.kind(), format!("no thread for the watchdog: {error}")))?;
        Ok(Watchdog { log, seats: self.seats, needs_driver, stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.stop.take());
        // The report that drops the watchdog itself is on that thread, and can't wait for it.
        if let Some(thread) = self.thread.take().filter(|own| own.thread().id() != thread::current().id()) {
            drop(thread.join());
        }
    }
}

impl fmt::Debug for Watchdog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watchdog").field("count", &self.count()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup").field("limit", &self.limit).finish_non_exhaustive()
    }
}
