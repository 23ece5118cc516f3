//! Breaks `full-rate`: what keeps its timer from running hot makes 100 of 300 a second.

use std::{num::NonZeroU32, time::Duration};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};

pub struct RateLimit {
    period: Duration,
    ahead: Duration,
    full_at: Mutex<Instant>,
}

impl RateLimit {
    pub fn new(per_second: NonZeroU32, burst: NonZeroU32) -> Self {
        let period = Duration::from_millis(u64::from(1000_u32.div_ceil(per_second.get())).max(10));
        Self { period, ahead: period * (burst.get() - 1), full_at: Mutex::new(Instant::now()) }
    }

    pub async fn acquire(&self) {
        let mut full_at = self.full_at.lock().await;
        let missing = full_at.saturating_duration_since(Instant::now());
        sleep(missing.saturating_sub(self.ahead)).await;
        *full_at = Instant::now().max(*full_at) + self.period;
    }
}
