//! How late a runtime is with what is due: the lag of its loop.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::{runtime::Handle, task::AbortHandle, time::sleep};

/// Lags of up to 7 µs have a bucket each; above, each power of two is divided in four.
const BUCKETS: usize = 128;

/// No beat is due: the task has ended.
const NEVER: u64 = u64::MAX;

/// A task that sleeps again and again, and measures how much later than due it is woken: for a metric of a service.
///
/// All that a timer waits for is in it: long polls, more tasks than the processors can run, a machine without a free one.
/// So it says how a service feels, and not who is to blame; for that take a [`Watchdog`](crate::Watchdog). On a multi-thread
/// runtime a single stuck worker need not show, because the others go on. tokio's timers have a grain of a millisecond:
/// up to two are the lag of an idle runtime.
///
/// It goes by real time. On a paused clock beats come as the clock is moved, before they are due by real time, and their
/// lag is zero; and a paused clock that always has a beat to wait for never comes to rest: don't use it there.
///
/// The beats end when it is dropped or the runtime is.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use testing::Heartbeat;
/// use tokio::{runtime::Handle, time::sleep};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let heartbeat = Heartbeat::start(&Handle::current(), Duration::from_millis(5));
/// sleep(Duration::from_millis(20)).await;
/// std::thread::sleep(Duration::from_millis(60));
/// assert!(heartbeat.last() >= Duration::from_millis(50));
/// sleep(Duration::from_millis(20)).await;
/// assert!(heartbeat.worst() >= Duration::from_millis(50));
/// println!("99 of 100 beats are at most {:?} late", heartbeat.percentile(99.0));
/// # });
/// ```
#[derive(Debug)]
#[must_use = "dropped, it stops"]
pub struct Heartbeat {
    pulse: Arc<Pulse>,
    task: AbortHandle,
}

/// All times are in nanoseconds.
#[derive(Debug)]
struct Pulse {
    began: Instant,
    /// When the next beat is due, counted from `began`.
    due: AtomicU64,
    last: AtomicU64,
    worst: AtomicU64,
    beats: [AtomicU64; BUCKETS],
}

impl Heartbeat {
    /// Starts a heartbeat with a pause of `every` between two beats, a millisecond at least; 10 to 100 ms cost nothing
    /// that could be measured.
    ///
    /// # Panics
    /// If the runtime was built without `enable_time`.
    pub fn start(runtime: &Handle, every: Duration) -> Self {
        let every = every.max(Duration::from_millis(1));
        let pulse = Arc::new(Pulse {
            began: Instant::now(),
            due: AtomicU64::new(NEVER),
            last: AtomicU64::new(0),
            worst: AtomicU64::new(0),
            beats: [const { AtomicU64::new(0) }; BUCKETS],
        });
        {
            // A runtime without timers panics here, and not unseen in the task.
            let _entered = runtime.enter();
            drop(sleep(every));
        }
        let beating = Beating(pulse.clone());
        pulse.due.store(pulse.now().saturating_add(nanoseconds(every)), Relaxed);
        let task = runtime.spawn(async move {
            let pulse = &beating.0;
            loop {
                // The first one is due after its pause, however long the task waits for its first poll.
                let left = pulse.due.load(Relaxed).saturating_sub(pulse.now());
                sleep(Duration::from_nanos(left)).await;
                pulse.beat(pulse.now().saturating_sub(pulse.due.load(Relaxed)));
                pulse.due.store(pulse.now().saturating_add(nanoseconds(every)), Relaxed);
            }
        });
        Self { pulse, task: task.abort_handle() }
    }

    /// How late the last beat was, or how late the next one is already, if that is more: a loop that is stuck right now
    /// shows.
    #[must_use]
    pub fn last(&self) -> Duration {
        Duration::from_nanos(self.pulse.last.load(Relaxed).max(self.pulse.overdue()))
    }

    /// How late the latest of all beats was, one that is overdue included.
    #[must_use]
    pub fn worst(&self) -> Duration {
        Duration::from_nanos(self.pulse.worst.load(Relaxed).max(self.pulse.overdue()))
    }

    /// How many beats there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.pulse.beats.iter().map(|beats| beats.load(Relaxed)).sum()
    }

    /// How late at most `percent` of 100 beats were, rounded up by a quarter at most; `None` before the first beat.
    #[must_use]
    pub fn percentile(&self, percent: f64) -> Option<Duration> {
        let beats = self.pulse.beats.each_ref().map(|beats| beats.load(Relaxed));
        let all: u64 = beats.iter().sum();
        let mut below = (percent.clamp(0.0, 100.0) / 100.0 * all as f64).ceil().max(1.0) as u64;
        for (bucket, beats) in beats.into_iter().enumerate() {
            if beats >= below {
                return Some(Duration::from_micros(upper_end(bucket)));
            }
            below -= beats;
        }
        None
    }

    /// Forgets the beats so far, for a metric of what was since the last time that it was read.
    pub fn reset(&self) {
        self.pulse.last.store(0, Relaxed);
        self.pulse.worst.store(0, Relaxed);
        for beats in &self.pulse.beats {
            beats.store(0, Relaxed);
        }
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Pulse {
    fn now(&self) -> u64 {
        nanoseconds(self.began.elapsed())
    }

    fn beat(&self, lag: u64) {
        self.last.store(lag, Relaxed);
        self.worst.fetch_max(lag, Relaxed);
        self.beats[bucket(lag / 1000)].fetch_add(1, Relaxed);
    }

    fn overdue(&self) -> u64 {
        self.now().saturating_sub(self.due.load(Relaxed))
    }
}

/// Held by the task: with its end no beat is due any more.
struct Beating(Arc<Pulse>);

impl Drop for Beating {
    fn drop(&mut self) {
        self.0.due.store(NEVER, Relaxed);
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX - 1)
}

/// In which bucket a lag of so many microseconds is counted.
fn bucket(lag: u64) -> usize {
    if lag < 8 {
        return lag as usize;
    }
    let power = lag.ilog2();
    // Two bits after the leading one.
    let quarter = (lag >> (power - 2)) & 3;
    (8 + (power as usize - 3) * 4 + quarter as usize).min(BUCKETS - 1)
}

/// The microseconds at which a bucket ends.
fn upper_end(bucket: usize) -> u64 {
    if bucket < 8 {
        return bucket as u64 + 1;
    }
    let (power, quarter) = ((bucket - 8) / 4 + 3, (bucket - 8) % 4);
    (5 + quarter as u64) << (power - 2)
}
