//! One run on the paused clock.

use crate::panics::{self, Panic};
use common::{
    Recorder, Trace,
    clock::{parked, paused_builder},
};
use futures_util::FutureExt as _;
use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    runtime::Handle,
    task::yield_now,
    time::{Instant, sleep},
};

/// Virtual time after which a run is given up. No case takes longer than a few virtual seconds.
pub const HORIZON: Duration = Duration::from_secs(60);

/// Counts the moments at which a run moved on: what the watchdog of [`mod@crate::judge`] looks at.
pub(crate) static PROGRESS: AtomicU64 = AtomicU64::new(0);

/// What came of a run.
#[derive(Debug)]
pub struct Run<T> {
    /// How it ended.
    pub end: End<T>,
    /// The virtual time that it took.
    pub elapsed: Duration,
    /// Tasks that were alive when the body had ended and every aborted task had had its chance to go.
    pub leaked: usize,
    /// What was recorded.
    pub trace: Trace,
    pub(crate) panics: Vec<Panic>,
}

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End<T> {
    /// The body returned.
    Returned(T),
    /// Everything waited, and nothing was left that could have woken anything.
    Deadlock,
    /// Timers kept firing until the [`HORIZON`], and the body still waited.
    Endless,
    /// The body panicked, with this message.
    Panicked(String),
}

/// Runs `body` on a fresh current-thread runtime with a paused clock, and observes it.
///
/// A deadlock ends the run at once: with nothing left to run, the paused clock jumps to the [`HORIZON`]. A body that
/// blocks its thread can't be ended from within; [`judge`](crate::judge()) watches for that from outside.
///
/// # Examples
/// ```
/// use testing::simulation::{End, simulate};
///
/// let run = simulate("a receiver whose sender is kept", async |_| {
///     let (sender, receiver) = tokio::sync::oneshot::channel::<()>();
///     let got = receiver.await;
///     drop(sender);
///     got
/// });
/// assert_eq!(run.end, End::Deadlock);
/// ```
///
/// # Panics
/// If called from within a runtime. Panics of `body` are caught: [`End::Panicked`].
pub fn simulate<T>(title: &str, body: impl AsyncFnOnce(Recorder) -> T) -> Run<T> {
    let parks = Arc::new(AtomicU64::new(0));
    let count = parks.clone();
    let runtime = paused_builder()
        .on_thread_park(move || {
            count.fetch_add(1, Relaxed);
            PROGRESS.fetch_add(1, Relaxed);
            parked(true);
        })
        .build()
        .expect("no runtime: the process is out of file descriptors or memory");

    let (mut run, panics) = panics::collect(|| {
        runtime.block_on(async {
            PROGRESS.fetch_add(1, Relaxed);
            let recorder = Recorder::new(title);
            crate::judge::watch(&recorder);
            let start = Instant::now();
            let body = AssertUnwindSafe(body(recorder.clone())).catch_unwind();
            let end = tokio::select! {
                biased;
                returned = body => match returned {
                    Ok(value) => End::Returned(value),
                    Err(payload) => End::Panicked(common::recorder::panic_message(&*payload).to_owned()),
                },
                () = sleep(HORIZON) => {
                    // One more stretch, ten times as long: if anything but this sleep has the runtime wake up in it,
                    // somebody is still busy; if not, nobody ever will be again. The sleep itself costs a wake-up
                    // for each level of tokio's timer wheel that it descends, of which there are six.
                    let before = parks.load(Relaxed);
                    sleep(10 * HORIZON).await;
                    if parks.load(Relaxed) - before <= 6 { End::Deadlock } else { End::Endless }
                }
            };
            let elapsed = start.elapsed();
            let leaked = tasks_left().await;
            Run { end, elapsed, leaked, trace: recorder.trace(), panics: Vec::new() }
        })
    });
    run.panics = panics;
    run
}

/// How many tasks of this runtime are alive once everything that can run has run. Time does not move meanwhile.
///
/// # Cancel safety
/// Cancel safe: it only looks.
pub async fn tasks_left() -> usize {
    let metrics = Handle::current().metrics();
    // An aborted task is alive until the scheduler touches it.
    for _ in 0..64 {
        if metrics.num_alive_tasks() == 0 {
            break;
        }
        yield_now().await;
    }
    metrics.num_alive_tasks()
}
