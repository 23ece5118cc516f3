//! Breaks `full-rate`: sleeps for a whole period, although a part of it has passed already.

use std::{num::NonZeroU32, time::Duration};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep},
};

pub struct RateLimit {
    period: Duration,
    most: Duration,
    /// How much time is saved up, and when that was reckoned.
    bucket: Mutex<(Duration, Instant)>,
}

impl RateLimit {
    pub fn new(per_second: NonZeroU32, burst: NonZeroU32) -> Self {
        let period = Duration::from_secs(1) / per_second.get();
        let most = period * burst.get();
        Self { period, most, bucket: Mutex::new((most, Instant::now())) }
    }

    pub async fn acquire(&self) {
        let mut bucket = self.bucket.lock().await;
        loop {
            let now = Instant::now();
            let saved = bucket.0 + (now - bucket.1);
            *bucket = (saved.min(self.most), now);
            if bucket.0 >= self.period {
                bucket.0 -= self.period;
                return;
            }
            sleep(self.period).await;
        }
    }
}
