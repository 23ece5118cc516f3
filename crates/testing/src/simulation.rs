//! One run on the paused clock.

use crate::panics::{self, Panic};
use common::{
    Recorder, Trace,
    clock::{parked, paused_builder},
    recorder::panic_message,
};
use futures_util::{FutureExt as _, StreamExt as _, stream::FuturesUnordered};
use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex,
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

/// Counts the moments at which a run moved on, which is to say that its clock did: what the watchdog of
/// [`mod@crate::judge`] looks at.
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
    let last = Mutex::new(None);
    let runtime = paused_builder()
        .on_thread_park(move || {
            count.fetch_add(1, Relaxed);
            let now = Some(Instant::now());
            if last.lock().is_ok_and(|mut last| std::mem::replace(&mut *last, now) != now) {
                PROGRESS.fetch_add(1, Relaxed);
            }
            parked(true);
        })
        .build()
        .expect("no runtime: the process is out of file descriptors or memory");

    let (mut run, panics) = panics::collect(|| {
        let run = runtime.block_on(async {
            PROGRESS.fetch_add(1, Relaxed);
            let recorder = Recorder::new(title);
            crate::judge::watch(&recorder);
            let start = Instant::now();
            // Alone in a set, it is polled when its own waker was woken, and not whenever the sleeps below are: that
            // would hide a wake-up that the answer has lost.
            let body = AssertUnwindSafe(body(recorder.clone())).catch_unwind();
            let mut body = FuturesUnordered::from_iter([body]);
            let end = tokio::select! {
                biased;
                Some(returned) = body.next() => match returned {
                    Ok(value) => End::Returned(value),
                    Err(payload) => End::Panicked(panic_message(&*payload).to_owned()),
                },
                () = sleep(HORIZON) => {
                    // Is anybody still busy? If anything but this sleep has the runtime wake up, yes; if not, nobody
                    // ever will be again. A sleep costs a wake-up for each level of tokio's timer wheel that it
                    // descends, of which there are six. The short one is there to be quick about a busy loop.
                    let busy = async {
                        for stretch in [Duration::from_secs(1), 10 * HORIZON] {
                            let before = parks.load(Relaxed);
                            sleep(stretch).await;
                            if parks.load(Relaxed) - before > 6 {
                                return true;
                            }
                        }
                        false
                    };
                    tokio::select! {
                        biased;
                        Some(_) = body.next() => End::Endless,
                        busy = busy => if busy { End::Endless } else { End::Deadlock },
                    }
                }
            };
            let elapsed = start.elapsed();
            let leaked = tasks_left().await;
            Run { end, elapsed, leaked, trace: recorder.trace(), panics: Vec::new() }
        });
        // Dropping a runtime waits for its blocking threads, and nobody knows how long they take.
        runtime.shutdown_background();
        run
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
