//! One moment says all: when everything that was spent will have come in again. The queue is a fair lock.

use std::{num::NonZeroU32, time::Duration};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};

pub struct RateLimit {
    /// In which one more comes in.
    period: Duration,
    /// What may have come in already when one begins: a burst without that one.
    ahead: Duration,
    /// tokio's lock, because it is held across an await; it is fair, so whoever has it is next.
    full_at: Mutex<Instant>,
}

impl RateLimit {
    pub fn new(per_second: NonZeroU32, burst: NonZeroU32) -> Self {
        // Rounded up: rather a billionth too slow than too fast.
        let period = Duration::from_nanos(1_000_000_000_u64.div_ceil(per_second.get().into()));
        // Full from the beginning.
        Self { period, ahead: period * (burst.get() - 1), full_at: Mutex::new(Instant::now()) }
    }

    pub async fn acquire(&self) {
        let mut full_at = self.full_at.lock().await;
        // Lengths of time can be cut at nothing; a moment before the clock's first one would be a panic.
        let missing = full_at.saturating_duration_since(Instant::now());
        // Whoever is dropped in this sleep gives the lock back, and has changed nothing: nothing is reserved.
        sleep(missing.saturating_sub(self.ahead)).await;
        // An idle time saves up no more than a burst: full is full, and that is now at the earliest.
        *full_at = Instant::now().max(*full_at) + self.period;
    }
}
