//! One run on the paused clock.

use crate::{
    bell::OnlyWhenWoken,
    panics::{self, Panic},
    stacks,
    stuck::Progress,
};
use common::{
    Recorder, Trace,
    clock::{parked, paused_builder},
    recorder::panic_message,
};
use futures_util::FutureExt as _;
use std::{
    fmt,
    num::NonZeroUsize,
    panic::AssertUnwindSafe,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};
use tokio::{
    runtime::Handle,
    sync::Notify,
    task::yield_now,
    time::{Instant, sleep},
};

/// Virtual time after which a run is given up. No case takes longer than a few virtual seconds.
pub const HORIZON: Duration = Duration::from_secs(60);

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
    /// Where the body waited, if it had not ended.
    pub waits: Option<Waits>,
    pub(crate) panics: Vec<Panic>,
}

/// Where a body waits that does not end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waits {
    /// At these lines, as far as they are known.
    At(Vec<String>),
    /// It waits no more: polled once again without having been woken, it ended. Its wake-up was lost.
    NoMore,
}

/// How a run ended.
#[derive(Debug, PartialEq, Eq)]
pub enum End<T> {
    /// The body returned.
    Returned(T),
    /// Everything waited, and nothing was left that could have woken anything.
    Deadlock,
    /// The [`HORIZON`] had passed, and the body still waited: timers kept firing, or one is beyond it.
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
    run(title, Setting::default(), body)
}

/// What the runs of an exercise, and those of a test, do differently.
pub(crate) struct Setting {
    /// Virtual time after which a run is given up.
    pub(crate) horizon: Duration,
    /// So many times may the clock move. A loop around a short sleep takes long to get to the horizon.
    pub(crate) moves: u64,
    /// Virtual time that tasks get to end, once the body has.
    pub(crate) grace: Duration,
    /// No more threads for `spawn_blocking` than these.
    pub(crate) blocking_threads: Option<NonZeroUsize>,
    /// Whether sockets work.
    pub(crate) io: bool,
    /// Called when everything waits, before the clock moves.
    pub(crate) on_idle: Box<dyn Fn() + Send + Sync>,
    /// Called at the end, while the tasks that are left can still be looked at.
    pub(crate) autopsy: Box<dyn Fn()>,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            horizon: HORIZON,
            moves: u64::MAX,
            grace: Duration::ZERO,
            blocking_threads: None,
            io: false,
            on_idle: Box::new(|| ()),
            autopsy: Box::new(|| ()),
        }
    }
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setting").field("horizon", &self.horizon).finish_non_exhaustive()
    }
}

pub(crate) fn run<T>(title: &str, setting: Setting, body: impl AsyncFnOnce(Recorder) -> T) -> Run<T> {
    let Setting { horizon, moves, grace, blocking_threads, io, on_idle, autopsy } = setting;
    let progress = Progress::here();
    let parks = Arc::new(AtomicU64::new(0));
    let mut builder = paused_builder();
    if io {
        builder.enable_io();
    }
    if let Some(threads) = blocking_threads {
        builder.max_blocking_threads(threads.get());
    }
    let (count, parking, unparking, starting) =
        (parks.clone(), progress.clone(), progress.clone(), progress.clone());
    let last = Mutex::new(None);
    let (moved, too_often) = (AtomicU64::new(0), Arc::new(Notify::new()));
    let give_up = too_often.clone();
    let runtime = builder
        // The thread of the runtime itself is not started by it: these are those of `spawn_blocking`.
        .on_thread_start(move || starting.blocks())
        .on_thread_park(move || {
            count.fetch_add(1, Relaxed);
            let now = Some(Instant::now());
            if last.lock().is_ok_and(|mut last| std::mem::replace(&mut *last, now) != now) {
                parking.clock_moved();
                if moved.fetch_add(1, Relaxed) == moves {
                    too_often.notify_one();
                }
            }
            on_idle();
            parking.parked(true);
            parked(true);
        })
        .on_thread_unpark(move || {
            unparking.parked(false);
            parked(false);
        })
        .build()
        .expect("no runtime: the process is out of file descriptors or memory");

    let (mut run, panics) = panics::collect(|| {
        let run = runtime.block_on(async {
            let recorder = Recorder::new(title);
            progress.begin(&recorder);
            let start = Instant::now();
            let mut body = OnlyWhenWoken::new(AssertUnwindSafe(body(recorder.clone())).catch_unwind());
            let end = tokio::select! {
                biased;
                returned = &mut body => match returned {
                    Ok(value) => End::Returned(value),
                    Err(payload) => End::Panicked(panic_message(&*payload).to_owned()),
                },
                () = give_up.notified() => End::Endless,
                () = sleep(horizon) => {
                    // Is anybody still busy? If anything but this sleep has the runtime wake up, yes; if not, nobody
                    // ever will be again. A sleep costs a wake-up for each level of tokio's timer wheel that it
                    // descends, of which there are seven, and so does a timer that is far away. Each stretch is ten
                    // times as long as the one before, up to four months: a timer that fires often is found in a
                    // short one, and one that is far away in a long one.
                    let busy = async {
                        for stretch in (0..8).map(|n| Duration::from_secs(10_u64.pow(n))) {
                            let before = parks.load(Relaxed);
                            sleep(stretch).await;
                            if parks.load(Relaxed) - before > 30 {
                                return true;
                            }
                        }
                        false
                    };
                    tokio::select! {
                        biased;
                        _ = &mut body => End::Endless,
                        () = give_up.notified() => End::Endless,
                        busy = busy => if busy { End::Endless } else { End::Deadlock },
                    }
                }
            };
            let elapsed = start.elapsed();
            let before = matches!(end, End::Deadlock).then(|| recorder.trace());
            // What follows is the kit's own work, and may read files.
            progress.allow(true);
            let waits = matches!(end, End::Deadlock).then(|| {
                let mut cx = Context::from_waker(Waker::noop());
                match stacks::poll(body.inside(), &mut cx) {
                    (Poll::Pending, waiting) => Waits::At(waiting.lines()),
                    (Poll::Ready(_), _) => Waits::NoMore,
                }
            });
            // A leak is held against a body that has ended; what a failed one leaves behind is not waited for.
            let grace = if matches!(end, End::Returned(_)) { grace } else { Duration::ZERO };
            let deadline = Instant::now() + grace;
            let mut leaked = tasks_left().await;
            while leaked > 0 && Instant::now() < deadline {
                sleep(Duration::from_millis(1).max(grace / 100)).await;
                leaked = tasks_left().await;
            }
            autopsy();
            let trace = before.unwrap_or_else(|| recorder.trace());
            Run { end, elapsed, leaked, trace, waits, panics: Vec::new() }
        });
        // Dropping a runtime waits for its blocking threads, and nobody knows how long they take.
        runtime.shutdown_background();
        progress.allow(false);
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
    tasks_beyond(0).await
}

/// How many more than `known`.
pub(crate) async fn tasks_beyond(known: usize) -> usize {
    let metrics = Handle::current().metrics();
    // An aborted task is alive until the scheduler touches it.
    for _ in 0..64 {
        if metrics.num_alive_tasks() <= known {
            break;
        }
        yield_now().await;
    }
    metrics.num_alive_tasks().saturating_sub(known)
}
