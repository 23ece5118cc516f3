//! Blocking jobs that wait at a gate, for tests of whatever runs them on threads.
//!
//! A paused clock stands still while a thread of `spawn_blocking` runs, so a blocking job can't be told to take 30 ms of
//! virtual time, and a real sleep makes a test slow and its outcome a matter of luck. These jobs take as long as the test
//! says: each notes that it has started, blocks its thread until its gate is opened, and notes that it has ended. What is
//! asserted is order and number, not time.

use std::{
    collections::BTreeSet,
    fmt,
    panic::resume_unwind,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, ThreadId},
    time::Duration,
};
use tokio::task::spawn_blocking;

/// Jobs with a number each, and a ledger of who started and who ended.
///
/// Dropping it opens all gates: no thread stays behind when a test fails half-way.
///
/// # Examples
/// ```
/// use testing::Jobs;
/// use tokio::task::spawn_blocking;
///
/// testing::sim(async |_| {
///     let jobs = Jobs::new();
///     let threads = [spawn_blocking(jobs.job(1)), spawn_blocking(jobs.job(2))];
///     assert!(jobs.until(|ledger| ledger.running() == 2).await, "both run at once");
///     jobs.open(2);
///     assert!(jobs.until(|ledger| ledger.ended == [2]).await);
///     jobs.open(1);
///     for thread in threads {
///         thread.await.unwrap();
///     }
/// });
/// ```
pub struct Jobs {
    shared: Arc<Shared>,
    runtime: ThreadId,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// Rung at every change.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    ledger: Ledger,
    open: BTreeSet<u32>,
    all_open: bool,
}

/// What the jobs did so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Those that have started, in order.
    pub started: Vec<u32>,
    /// Those that have ended, in order; a panic is an end.
    pub ended: Vec<u32>,
    /// The most that ran at once.
    pub peak: usize,
    /// Those that were called on the thread that made the [`Jobs`]: the runtime's own, if that has only one. They do not
    /// wait at their gates, for nobody could open them.
    pub on_the_runtime: Vec<u32>,
}

impl Ledger {
    /// How many run.
    #[must_use]
    pub fn running(&self) -> usize {
        self.started.len() - self.ended.len()
    }
}

impl Jobs {
    /// Jobs that know this thread for the runtime's.
    #[must_use]
    pub fn new() -> Self {
        Self { shared: Arc::default(), runtime: thread::current().id() }
    }

    /// A job that blocks its thread until its gate is open, and then gives its number.
    pub fn job(&self, id: u32) -> impl FnOnce() -> u32 + Send + use<> {
        let run = self.run(id);
        move || {
            let _run = run.start();
            run.wait(|| false);
            id
        }
    }

    /// A job that blocks its thread until its gate is open, and then panics with `job 7 is cursed`.
    pub fn panicking(&self, id: u32) -> impl FnOnce() -> u32 + Send + use<> {
        let run = self.run(id);
        move || {
            let _run = run.start();
            run.wait(|| false);
            // Not `panic!`: a scripted panic has no business on the screen.
            resume_unwind(Box::new(format!("job {id} is cursed")))
        }
    }

    /// A job that ends when its gate is open, or when `is_cancelled` says so, which it asks after every change and every
    /// millisecond. It gives whether it was cancelled.
    pub fn checking<C>(&self, id: u32, is_cancelled: C) -> impl FnOnce() -> bool + Send + use<C>
    where
        C: Fn() -> bool + Send,
    {
        let run = self.run(id);
        move || {
            let _run = run.start();
            run.wait(is_cancelled)
        }
    }

    fn run(&self, id: u32) -> Run {
        Run { id, shared: self.shared.clone(), runtime: self.runtime }
    }

    /// Lets a job end, now or as soon as it starts.
    pub fn open(&self, id: u32) {
        self.shared.lock().open.insert(id);
        self.shared.changed.notify_all();
    }

    /// Lets all jobs end.
    pub fn open_all(&self) {
        self.shared.lock().all_open = true;
        self.shared.changed.notify_all();
    }

    /// What the jobs did so far.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        self.shared.lock().ledger.clone()
    }

    /// Waits until the ledger is as `wanted`. No virtual time passes. `false`, if nothing of the kind has come in a second
    /// of real time, and in more than that on a machine that is slow to run any thread at all: it will not come any more.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    ///
    /// # Cancel safety
    /// Cancel safe: it only looks.
    pub async fn until(&self, wanted: impl Fn(&Ledger) -> bool + Send + 'static) -> bool {
        let shared = self.shared.clone();
        let looking = spawn_blocking(move || {
            let mut state = shared.lock();
            // Ticks and not a time: where threads wait long for a processor, this one does, too.
            let mut ticks = 0;
            while !wanted(&state.ledger) {
                if ticks == 50 {
                    return false;
                }
                let (woken, timeout) = shared
                    .changed
                    .wait_timeout(state, Duration::from_millis(20))
                    .unwrap_or_else(PoisonError::into_inner);
                state = woken;
                ticks += u32::from(timeout.timed_out());
            }
            true
        });
        looking.await.unwrap_or(false)
    }

    /// Lets whatever was handed to the runtime's blocking pool before this call start. No virtual time passes.
    ///
    /// It goes through that pool, which is first in, first out, several times. It can't prove that nothing comes any more:
    /// an assertion after it finds what should not run almost always, and never fails for what is right.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    ///
    /// # Cancel safety
    /// Cancel safe: it only waits.
    pub async fn rest(&self) {
        for _ in 0..8 {
            // Two at once: one alone would be served by the same warm thread, sooner than a new one has begun.
            let pair = [spawn_blocking(thread::yield_now), spawn_blocking(thread::yield_now)];
            for hop in pair {
                // It does not panic; on a runtime that shuts down there is nothing to wait for.
                drop(hop.await);
            }
        }
    }
}

impl Default for Jobs {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        self.open_all();
    }
}

impl fmt::Debug for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Jobs").field(&self.ledger()).finish()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One job, on its thread.
struct Run {
    id: u32,
    shared: Arc<Shared>,
    runtime: ThreadId,
}

impl Run {
    fn start(&self) -> Started<'_> {
        let mut state = self.shared.lock();
        if thread::current().id() == self.runtime {
            state.ledger.on_the_runtime.push(self.id);
        }
        let ledger = &mut state.ledger;
        ledger.started.push(self.id);
        ledger.peak = ledger.peak.max(ledger.running());
        drop(state);
        self.shared.changed.notify_all();
        Started(self)
    }

    fn wait(&self, is_cancelled: impl Fn() -> bool) -> bool {
        let mut state = self.shared.lock();
        loop {
            if is_cancelled() {
                return true;
            }
            if state.all_open || state.open.contains(&self.id) || thread::current().id() == self.runtime {
                return false;
            }
            let waited = self.shared.changed.wait_timeout(state, Duration::from_millis(1));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Notes the end, whatever the way out.
struct Started<'a>(&'a Run);

impl Drop for Started<'_> {
    fn drop(&mut self) {
        self.0.shared.lock().ledger.ended.push(self.0.id);
        self.0.shared.changed.notify_all();
    }
}
