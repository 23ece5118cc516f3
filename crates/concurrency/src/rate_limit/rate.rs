//! How many, and by which clock.

use governor::{Quota, clock::Clock};
use std::{num::NonZeroU32, time::Duration};
use tokio::time::Instant;

const CENTURY: Duration = Duration::from_secs(60 * 60 * 24 * 36_525);

/// So many in a time, evenly, and so many of them at once.
///
/// Neither can be zero. A server that counts in windows of a second has a quota of `rate + burst`.
///
/// # Examples
/// ```
/// use concurrency::Rate;
/// use std::num::NonZeroU32;
///
/// let quota = NonZeroU32::new(10).expect("ten is not zero");
/// let burst = NonZeroU32::new(3).expect("three is not zero");
/// // At most 13 in any second, 10 in the long run.
/// let rate = Rate::per_second(quota).burst(burst);
/// # drop(rate);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// The time in which one more comes in. Rounded up: rather a billionth too slow than too fast.
    period: Duration,
    burst: NonZeroU32,
}

impl Rate {
    /// So many a second, one at a time: a burst of one.
    #[must_use]
    pub const fn per_second(count: NonZeroU32) -> Self {
        Self::per(1, count)
    }

    /// So many a minute, one at a time: a burst of one.
    #[must_use]
    pub const fn per_minute(count: NonZeroU32) -> Self {
        Self::per(60, count)
    }

    /// Lets so many begin at once after an idle time; never more than come in within a century.
    #[must_use]
    pub const fn burst(self, burst: NonZeroU32) -> Self {
        Self { burst, ..self }
    }

    const fn per(seconds: u64, count: NonZeroU32) -> Self {
        let period = Duration::from_nanos((seconds * 1_000_000_000).div_ceil(count.get() as u64));
        Self { period, burst: NonZeroU32::MIN }
    }

    pub(super) fn most(self) -> NonZeroU32 {
        // Times are counted in nanoseconds, 584 years of them.
        let in_a_century = u32::try_from(CENTURY.as_nanos() / self.period.as_nanos()).unwrap_or(u32::MAX);
        NonZeroU32::new(in_a_century).map_or(self.burst, |most| most.min(self.burst))
    }

    /// In which so many come in.
    pub(super) fn time_for(self, weight: u64) -> Duration {
        let nanos = self.period.as_nanos().saturating_mul(weight.into());
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    pub(super) fn quota(self) -> Quota {
        let quota = Quota::with_period(self.period).expect("a period rounded up is not zero");
        quota.allow_burst(self.most())
    }
}

/// tokio's time, for governor: the paused clock of a test drives it, too.
#[derive(Debug, Clone)]
pub(super) struct TokioClock(Instant);

impl TokioClock {
    pub(super) fn starting_now() -> Self {
        Self(Instant::now())
    }

    pub(super) fn at(&self, since_start: Duration) -> Instant {
        self.0 + since_start
    }
}

impl Clock for TokioClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}
