//! A future that was woken and is not polled: *futurelock*.
//!
//! A task that holds several futures (in a `select!` over `&mut future`, in `buffered(n)`) and awaits something else in
//! between leaves them asleep: what they have been given meanwhile, a lock's turn or a semaphore's permit, nobody else can
//! have. [`watch`] marks a future that must not be left so; the simulated run complains when everything waits, the clock is
//! about to move, and a marked future was woken and not polled.
//!
//! What it can't see: futures that are not marked, and a wake-up that never came, which is a deadlock or a lost wake-up.
//!
//! # Source
//! Oxide's RFD 609 names the trap; J. O'Connor's "Never snooze a future" names the rule.

use crate::{
    bell::Bell,
    complaints::{Kind, Place, complain},
};
use common::draw;
use pin_project_lite::pin_project;
use std::{
    cell::RefCell,
    fmt,
    pin::Pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
};
use tokio::time::Instant;

/// Marks a future that has to be polled whenever it was woken.
///
/// # Examples
/// ```
/// use std::{pin::pin, time::Duration};
/// use testing::{sim::Simulation, snooze};
/// use tokio::time::sleep;
///
/// let failure = Simulation::new().check(async |_| {
///     let mut reply = pin!(snooze::watch("reply", sleep(Duration::from_millis(10))));
///     tokio::select! {
///         () = &mut reply => {}
///         // The reply is due during this second, and nobody asks for it.
///         () = sleep(Duration::from_millis(1)) => sleep(Duration::from_secs(1)).await,
///     }
/// });
/// assert!(failure.unwrap_err().to_string().contains("`reply`"));
/// ```
#[track_caller]
pub fn watch<F: Future>(name: impl Into<String>, future: F) -> Snooze<F> {
    let mark = Arc::new(Mark { name: name.into(), made: Place::of_caller(), told: AtomicBool::new(false) });
    let bell = Arc::new(Bell::default());
    MARKS.with_borrow_mut(|marks| marks.push((Arc::downgrade(&bell), mark)));
    Snooze { future, bell }
}

struct Mark {
    name: String,
    made: Place,
    told: AtomicBool,
}

thread_local! {
    /// Those of this thread. A simulated run has one thread.
    static MARKS: RefCell<Vec<(Weak<Bell>, Arc<Mark>)>> = const { RefCell::new(Vec::new()) };
}

/// Complains of each marked future that was woken and not polled. To be called when nothing can run.
pub(crate) fn look() {
    MARKS.with_borrow_mut(|marks| {
        marks.retain(|(bell, mark)| {
            let Some(bell) = bell.upgrade() else { return false };
            if bell.rung() && !mark.told.swap(true, Relaxed) {
                let now = clock();
                complain(
                    Kind::Snoozed,
                    &format!(
                        "`{}` ({}) was woken{now} and not polled: its owner awaits something else, and whatever it \
                         was given (a lock, a permit, a message) nobody can have",
                        mark.name, mark.made
                    ),
                );
            }
            true
        });
    });
}

/// " by 5 s", if the run has begun.
fn clock() -> String {
    let since = STARTED.with_borrow(|started| started.map(|started| started.elapsed()));
    since.map(|since| format!(" by {}", draw::time(since))).unwrap_or_default()
}

thread_local! {
    static STARTED: RefCell<Option<Instant>> = const { RefCell::new(None) };
}

/// A run begins on this thread: marks of earlier ones are forgotten.
pub(crate) fn begin() {
    STARTED.set(Some(Instant::now()));
    MARKS.set(Vec::new());
}

pin_project! {
    /// Made by [`watch`].
    ///
    /// # Cancel safety
    /// As cancel safe as the future inside.
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct Snooze<F> {
        #[pin]
        future: F,
        bell: Arc<Bell>,
    }
}

impl<F: Future> Future for Snooze<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let poll = this.bell.poll(this.future, cx);
        if poll.is_ready() {
            // What rings now, rings for nobody.
            *this.bell = Arc::default();
        }
        poll
    }
}

impl<F> fmt::Debug for Snooze<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snooze").field("woken", &self.bell.rung()).finish_non_exhaustive()
    }
}
