//! The paused clock: programs whose time is exact, and passes in no time.
//!
//! On a paused runtime the clock stands still while anything can run, and jumps to the next timer when everything waits.
//! A program that sleeps for an hour ends at once, at exactly one hour.

use std::{
    cell::Cell,
    pin::pin,
    task::{Context, Waker},
    time::Duration,
};
use tokio::runtime::{Builder, Runtime};

/// Who can be calling a waker on this thread while no lane is being polled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Driver {
    /// A task: the runtime is running them.
    Tasks,
    /// A timer that came due while a poll was spending processor time, or a task.
    Late,
    /// A timer: the runtime had nothing to run, and has moved the clock.
    Clock,
}

thread_local! {
    static DRIVER: Cell<Driver> = const { Cell::new(Driver::Tasks) };
}

pub(crate) fn driven_by() -> Driver {
    DRIVER.get()
}

/// A current-thread runtime whose clock is paused.
///
/// # Panics
/// If the operating system refuses a runtime (it needs a few file descriptors).
#[must_use]
pub fn paused_runtime() -> Runtime {
    paused_builder().build().expect("no runtime: the process is out of file descriptors or memory")
}

/// The builder behind [`paused_runtime`], for those who add hooks of their own; theirs replace `on_thread_park` and
/// `on_thread_unpark`, and should call [`parked`].
#[must_use]
pub fn paused_builder() -> Builder {
    let mut builder = Builder::new_current_thread();
    builder
        .enable_time()
        .start_paused(true)
        .on_thread_park(|| parked(true))
        .on_thread_unpark(|| parked(false));
    builder
}

/// Tells the recorder that the runtime of this thread has gone to sleep, or has woken up.
pub fn parked(parked: bool) {
    DRIVER.set(if parked { Driver::Clock } else { Driver::Tasks });
    crate::recorder::forget_the_ended();
}

/// Runs `future` on a fresh [`paused_runtime`].
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use tokio::time::{Instant, sleep};
///
/// let took = common::clock::paused(async {
///     let start = Instant::now();
///     sleep(Duration::from_secs(3600)).await;
///     start.elapsed()
/// });
/// assert_eq!(took, Duration::from_secs(3600));
/// ```
///
/// # Panics
/// If called from within a runtime, if `future` panics, or in a deadlock: if nothing but the clock has moved for a day of
/// its own time.
pub fn paused<F: Future>(future: F) -> F::Output {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let ended = paused_runtime().block_on(async { tokio::time::timeout(DAY, future).await });
    ended.unwrap_or_else(|_| {
        panic!("a deadlock: everything waits, and nothing is left that could wake anybody")
    })
}

/// Spends virtual processor time: moves the paused clock on by `time` without yielding, as a busy loop or a blocking
/// call would. Nobody else runs meanwhile; timers that came due fire late.
///
/// The grain of tokio's clock is one millisecond.
///
/// # Panics
/// If the clock is not paused.
///
/// # Source
/// [`tokio::time::advance`] moves the clock on its first poll and yields on its second; only the first is wanted here.
pub fn spend(time: Duration) {
    let advance = pin!(tokio::time::advance(time));
    let poll = advance.poll(&mut Context::from_waker(Waker::noop()));
    DRIVER.set(Driver::Late);
    debug_assert!(poll.is_pending(), "advance no longer yields after it has moved the clock");
}
