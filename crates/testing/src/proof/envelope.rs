use super::{Mismatch, mismatch::insist, schedule::Schedule};
use common::{Recorder, draw::time};
use std::time::Duration;

/// What the virtual time of a run tells about the schedule behind it: from the latencies and the limit, when the best one
/// is done, and when the usual wrong ones are.
///
/// Only on the paused clock, where a time is exact. It sees what the [`Gauge`](super::Gauge) can't: a limit that is
/// reached, and not kept. Draw different latencies, as [`latencies`](crate::latencies()) does: with equal ones, chunks take
/// the best time too ([`twins`](Self::twins)).
///
/// # Examples
/// A serial program passes the usual test, `assert!(max_active <= 3)`, and does not pass this one:
/// ```
/// use common::clock;
/// use std::time::Duration;
/// use testing::proof::Envelope;
/// use tokio::time::{Instant, sleep};
///
/// let latencies = [50, 10, 40, 20, 30].map(Duration::from_millis);
/// let elapsed = clock::paused(async {
///     let start = Instant::now();
///     for latency in latencies {
///         sleep(latency).await;
///     }
///     start.elapsed()
/// });
/// let mismatch = Envelope::of(&latencies, 3).check(elapsed).unwrap_err();
/// assert_eq!(mismatch.expected, "60 ms, which 3 at a time take");
/// assert_eq!(mismatch.seen, "150 ms, which one after another take");
/// ```
#[derive(Debug, Clone)]
pub struct Envelope {
    latencies: Vec<Duration>,
    limit: usize,
    recorder: Option<Recorder>,
}

impl Envelope {
    /// The times of work that has these latencies, begun in this order, at most `limit` at a time.
    ///
    /// # Panics
    /// If `limit` is 0.
    #[must_use]
    pub fn of(latencies: &[Duration], limit: usize) -> Self {
        assert!(
            limit > 0,
            "a limit of 0 lets nothing begin; give the limit that the code under test was given"
        );
        Self { latencies: latencies.to_vec(), limit, recorder: None }
    }

    /// Shows the timeline of `recorder` when something is wrong; without, it is the schedule that was asked for.
    #[must_use]
    pub fn on(self, recorder: &Recorder) -> Self {
        Self { recorder: Some(recorder.clone()), ..self }
    }

    /// When one after another are done.
    #[must_use]
    pub fn serial(&self) -> Duration {
        self.end(Schedule::Serial)
    }

    /// When they are done if the next is begun whenever one of `limit` ends.
    #[must_use]
    pub fn ideal(&self) -> Duration {
        self.end(Schedule::AtATime(self.limit))
    }

    /// When they are done if results are handed on in order, and one that waits for its turn keeps its place: what
    /// `buffered` does.
    #[must_use]
    pub fn in_order(&self) -> Duration {
        self.end(Schedule::Window(self.limit))
    }

    /// When they are done in chunks of `limit`, each begun when the one before it is complete.
    #[must_use]
    pub fn chunked(&self) -> Duration {
        self.end(Schedule::Chunks(self.limit))
    }

    /// When all at once are done.
    #[must_use]
    pub fn unbounded(&self) -> Duration {
        self.end(Schedule::Unbounded)
    }

    /// The schedules that differ from the ideal one and take as long, in words: with these latencies, the time can't tell.
    #[must_use]
    pub fn twins(&self) -> Vec<String> {
        let ideal = Schedule::AtATime(self.limit);
        let starts = ideal.starts(&self.latencies);
        let mut twins = self.fitting(self.ideal());
        twins.retain(|schedule| schedule.starts(&self.latencies) != starts);
        twins.into_iter().map(Schedule::words).collect()
    }

    /// Whether `elapsed` is exactly the [`ideal`](Self::ideal) time.
    ///
    /// # Errors
    /// Which schedule the time fits instead, if a known one.
    pub fn check(&self, elapsed: Duration) -> Result<(), Mismatch> {
        if elapsed == self.ideal() {
            return Ok(());
        }
        let schedule = Schedule::AtATime(self.limit);
        let expected = format!("{}, which {}", time(self.ideal()), schedule.words());
        let trace = self
            .recorder
            .as_ref()
            .map_or_else(|| schedule.picture(&self.latencies, &expected), Recorder::trace);
        Err(Mismatch::new(expected, self.seen(elapsed), trace))
    }

    /// Asserts [`check`](Self::check).
    ///
    /// # Panics
    /// With the [`Mismatch`].
    #[track_caller]
    pub fn assert(&self, elapsed: Duration) {
        insist(self.check(elapsed));
    }

    fn end(&self, schedule: Schedule) -> Duration {
        schedule.end(&self.latencies)
    }

    /// The known schedules that take this long; of those that are the same, one.
    fn fitting(&self, elapsed: Duration) -> Vec<Schedule> {
        let usual = [
            Schedule::Serial,
            Schedule::Unbounded,
            Schedule::AtATime(self.limit),
            Schedule::Chunks(self.limit),
            Schedule::Window(self.limit),
        ];
        let others = (2..=self.latencies.len()).map(Schedule::AtATime);
        let mut known: Vec<Vec<Duration>> = Vec::new();
        let mut fitting = Vec::new();
        for schedule in usual.into_iter().chain(others).filter(|schedule| self.end(*schedule) == elapsed) {
            let starts = schedule.starts(&self.latencies);
            if !known.contains(&starts) {
                known.push(starts);
                fitting.push(schedule);
            }
        }
        fitting
    }

    fn seen(&self, elapsed: Duration) -> String {
        // The usual ones come first; of many limits that take the same time, the smallest will do.
        let fitting: Vec<String> = self.fitting(elapsed).into_iter().take(2).map(Schedule::words).collect();
        let elapsed_words = time(elapsed);
        if !fitting.is_empty() {
            return format!("{elapsed_words}, which {}", fitting.join(", or "));
        }
        let (serial, unbounded) = (self.serial(), self.unbounded());
        if elapsed < unbounded {
            let longest = time(unbounded);
            return format!(
                "{elapsed_words}, less than the longest alone takes ({longest}): not all was waited for"
            );
        }
        if elapsed > serial {
            let all = time(serial);
            return format!(
                "{elapsed_words}, more than one after another take ({all}): something else takes time too"
            );
        }
        format!(
            "{elapsed_words}, which no schedule known here takes (all at once {}, in chunks {}, one after another {})",
            time(unbounded),
            time(self.chunked()),
            time(serial)
        )
    }
}
