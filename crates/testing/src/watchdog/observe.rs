//! A future on a runtime of its own, watched.

use super::{Stall, Watchdog};
use std::{
    thread,
    time::{Duration, Instant},
};
use tokio::runtime::Builder;

/// Runs `future` on a fresh current-thread runtime with the real clock, and gives the stalls of `limit` or longer with
/// its value.
///
/// For tests: assert that there are none. To be found, the future should block or compute for several times the limit, and
/// a computation be given by its work: a loop that ends at a given moment may get no processor until then. On a machine that
/// is so busy that the watchdog itself gets no processor for all of that time, it finds nothing; it never finds what is not
/// there. For tasks on several threads take [`observe_on`].
///
/// # Panics
/// If called from within a runtime, if `future` panics, or if the system refuses a runtime or a thread.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use testing::watchdog::{labelled, observe};
///
/// let limit = Duration::from_millis(50);
/// let nap = Duration::from_millis(500);
/// let (_, stalls) = observe(limit, labelled("nap", async { std::thread::sleep(nap) }));
/// assert_eq!(stalls.len(), 1);
/// // worker 0 has been stuck for 62 ms: blocked in a sleep (hrtimer_nanosleep), in `nap` (src/lib.rs:6), thread 4711; ...
/// println!("{}", stalls[0]);
///
/// let (_, stalls) = observe(limit, async { tokio::time::sleep(nap).await });
/// assert!(stalls.is_empty());
/// ```
pub fn observe<F: Future>(limit: Duration, future: F) -> (F::Output, Vec<Stall>) {
    observe_on(Builder::new_current_thread().enable_all(), limit, future)
}

/// Like [`observe`], on a runtime from `builder`, whose thread hooks are replaced.
///
/// On a multi-thread runtime only what `future` spawns is watched: it runs on the caller's thread itself.
///
/// # Panics
/// Like [`observe`].
pub fn observe_on<F: Future>(builder: &mut Builder, limit: Duration, future: F) -> (F::Output, Vec<Stall>) {
    let setup = Watchdog::limit(limit).on_stall(|_| {}).install(builder);
    let seats = setup.seats.clone();
    let runtime = builder.build().expect("no runtime: the process is out of file descriptors or memory");
    let watchdog = setup.start(runtime.handle()).expect("no thread for the watchdog");
    // A worker is known once it has parked. It does so at once, but for a machine that is busy; the one of a
    // current-thread runtime is the root.
    let (begun, workers) = (Instant::now(), runtime.metrics().num_workers());
    while !watchdog.needs_driver && seats.taken() < workers && begun.elapsed() < Duration::from_secs(10) {
        thread::park_timeout(Duration::from_micros(100));
    }
    let value = runtime.block_on(watchdog.root(future));
    let stalls = watchdog.stalls();
    drop(watchdog);
    // Dropping a runtime waits for its blocking threads, and nobody knows how long they take.
    runtime.shutdown_background();
    (value, stalls)
}
