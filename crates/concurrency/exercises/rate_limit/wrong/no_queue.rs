//! Breaks `fair`: all who wait sleep until the same moment, and whoever looks first takes it.

use std::{
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::time::{Instant, sleep_until};

pub struct RateLimit {
    period: Duration,
    ahead: Duration,
    full_at: Mutex<Instant>,
}

impl RateLimit {
    pub fn new(per_second: NonZeroU32, burst: NonZeroU32) -> Self {
        let period = Duration::from_secs(1) / per_second.get();
        Self { period, ahead: period * (burst.get() - 1), full_at: Mutex::new(Instant::now()) }
    }

    pub async fn acquire(&self) {
        loop {
            let next = {
                let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
                let (now, next) = (Instant::now(), *full_at - self.ahead);
                if next <= now {
                    *full_at = now.max(*full_at) + self.period;
                    return;
                }
                next
            };
            sleep_until(next).await;
        }
    }
}
