use super::{
    Mismatch,
    mismatch::insist,
    timeline::{Span, Timeline},
};
use common::{Recorder, draw::time};
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

/// Counts how many are in flight: the upper bound of a concurrency proof.
///
/// Put it where the work is done, inside whatever limits it. Clones count together. It is exact on the paused clock, and
/// no count is lost on several threads. Where nothing takes time, a right program may never have two in flight: then,
/// and wherever threads decide who runs, put a [`Rendezvous`](super::Rendezvous) inside. For calls to a scripted service,
/// [`Backend`](common::Backend) counts by itself.
///
/// # Examples
/// A serial program passes the usual test, and does not pass this one:
/// ```
/// use common::clock;
/// use std::time::Duration;
/// use testing::proof::Gauge;
/// use tokio::time::sleep;
///
/// clock::paused(async {
///     let gauge = Gauge::new();
///     for n in 1..=10 {
///         gauge.hold(format!("call {n}"), sleep(Duration::from_millis(10))).await;
///     }
///     assert!(gauge.peak() <= 3);
///     let mismatch = gauge.check_peak(3).unwrap_err();
///     assert_eq!(mismatch.seen, "1: one after another");
/// });
/// ```
#[derive(Clone)]
pub struct Gauge {
    timeline: Timeline,
    /// Counts that belong together; held for an addition, never across an await.
    count: Arc<Mutex<Count>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    in_flight: usize,
    peak: usize,
    peak_at: Duration,
    total: usize,
}

impl Gauge {
    /// A gauge that nothing has entered yet.
    #[must_use]
    pub fn new() -> Self {
        Self { timeline: Timeline::new("in flight"), count: Arc::default() }
    }

    /// Draws into the timeline of `recorder`, if nothing has entered yet.
    #[must_use = "the timeline is set in place; bind or chain what is returned"]
    pub fn on(self, recorder: &Recorder) -> Self {
        self.timeline.draw_on(recorder);
        self
    }

    /// Counts one from now until the guard is dropped; [`hold`](Self::hold) is for a future, and draws more.
    ///
    /// The guard can't know whether its holder was done or was cancelled: its lane ends as finished, unless it is dropped
    /// by a panic.
    #[must_use = "without the guard it is outside again at once"]
    pub fn enter(&self, name: impl Into<String>) -> Inside {
        Inside { gauge: self.counted(), span: Span::begin(&self.timeline, name.into()) }
    }

    /// Counts one from the first poll of `future` until it ends or is dropped, and records it as a lane.
    ///
    /// # Cancel safety
    /// As cancel safe as `future`; dropped, it is no longer in flight.
    #[must_use = "futures do nothing unless polled"]
    pub fn hold<N, F>(&self, name: N, future: F) -> impl Future<Output = F::Output> + use<N, F>
    where
        N: Into<String>,
        F: Future,
    {
        let (gauge, name) = (self.clone(), name.into());
        async move {
            // Dropped after the lane: what is in flight includes its destructors.
            let _counted = gauge.counted();
            gauge.timeline.recorder().lane(name, future).await
        }
    }

    /// How many are in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.lock().in_flight
    }

    /// The largest number that was in flight at once.
    #[must_use]
    pub fn peak(&self) -> usize {
        self.lock().peak
    }

    /// How many have entered in all.
    #[must_use]
    pub fn total(&self) -> usize {
        self.lock().total
    }

    /// Whether the peak was exactly `n`: not more, and not less either.
    ///
    /// # Errors
    /// The peak that was seen, if it is another.
    pub fn check_peak(&self, n: usize) -> Result<(), Mismatch> {
        let count = *self.lock();
        self.hold_to(count.peak == n, format!("exactly {n} in flight at the peak"), || {
            let seen = peak_words(count);
            let short = count.total > 0 && count.total < n;
            if short {
                format!("{seen} ({} entered in all, so {n} can't be reached)", count.total)
            } else {
                seen
            }
        })
    }

    /// Asserts [`check_peak`](Self::check_peak).
    ///
    /// # Panics
    /// With the [`Mismatch`].
    #[track_caller]
    pub fn assert_peak(&self, n: usize) {
        insist(self.check_peak(n));
    }

    /// Whether never more than `n` were in flight. That alone accepts a serial program: take
    /// [`check_peak`](Self::check_peak) where the work is enough to fill the limit.
    ///
    /// # Errors
    /// The peak that was seen, if it is larger; or that nothing entered at all, which proves nothing.
    pub fn check_at_most(&self, n: usize) -> Result<(), Mismatch> {
        let count = *self.lock();
        let kept = count.peak <= n && (count.total > 0 || n == 0);
        self.hold_to(kept, format!("at most {n} in flight"), || peak_words(count))
    }

    /// Asserts [`check_at_most`](Self::check_at_most).
    ///
    /// # Panics
    /// With the [`Mismatch`].
    #[track_caller]
    pub fn assert_at_most(&self, n: usize) {
        insist(self.check_at_most(n));
    }

    /// Whether `n` entered in all: none was forgotten, none done twice.
    ///
    /// # Errors
    /// How many entered, if it is another number.
    pub fn check_total(&self, n: usize) -> Result<(), Mismatch> {
        let total = self.total();
        self.hold_to(total == n, format!("{n} entered in all"), || format!("{total} entered"))
    }

    /// Asserts [`check_total`](Self::check_total).
    ///
    /// # Panics
    /// With the [`Mismatch`].
    #[track_caller]
    pub fn assert_total(&self, n: usize) {
        insist(self.check_total(n));
    }

    /// Whether nothing is in flight any more. Which one was left, a [`Ledger`](super::Ledger) says.
    ///
    /// # Errors
    /// How many still are.
    pub fn check_idle(&self) -> Result<(), Mismatch> {
        let Count { in_flight, total, .. } = *self.lock();
        let seen = || format!("{in_flight} of {total} at {}", time(self.timeline.now()));
        self.hold_to(in_flight == 0, String::from("nothing is in flight at the end"), seen)
    }

    /// Asserts [`check_idle`](Self::check_idle).
    ///
    /// # Panics
    /// With the [`Mismatch`].
    #[track_caller]
    pub fn assert_idle(&self) {
        insist(self.check_idle());
    }

    fn hold_to(&self, kept: bool, expected: String, seen: impl FnOnce() -> String) -> Result<(), Mismatch> {
        if kept { Ok(()) } else { Err(Mismatch::new(expected, seen(), self.timeline.trace())) }
    }

    fn counted(&self) -> Counted {
        let now = self.timeline.now();
        let mut count = self.lock();
        count.in_flight += 1;
        count.total += 1;
        if count.in_flight > count.peak {
            count.peak = count.in_flight;
            count.peak_at = now;
        }
        Counted(self.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Count> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Gauge {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Gauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.lock(), f)
    }
}

fn peak_words(count: Count) -> String {
    match count {
        Count { total: 0, .. } => String::from("nothing ever entered: is the gauge where the work is done?"),
        Count { peak: 1, total: 2.., .. } => String::from("1: one after another"),
        Count { peak, peak_at, .. } => format!("{peak}, reached at {}", time(peak_at)),
    }
}

/// In flight, as far as a [`Gauge`] is concerned; made by [`Gauge::enter`].
#[derive(Debug)]
#[must_use = "without the guard it is outside again at once"]
pub struct Inside {
    span: Span,
    // Dropped last, as in `hold`.
    #[expect(dead_code, reason = "it is there to be dropped")]
    gauge: Counted,
}

impl Drop for Inside {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.span.finish();
        }
    }
}

#[derive(Debug)]
struct Counted(Gauge);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.lock().in_flight -= 1;
    }
}
