//! Breaks `never-more`: each caller waits for `1 / rate`, and all of them at the same time: a hundred callers begin a hundred.

use std::{num::NonZeroU32, time::Duration};
use tokio::time::sleep;

pub struct RateLimit {
    period: Duration,
}

impl RateLimit {
    pub fn new(per_second: NonZeroU32, _burst: NonZeroU32) -> Self {
        Self { period: Duration::from_secs(1) / per_second.get() }
    }

    pub async fn acquire(&self) {
        sleep(self.period).await;
    }
}
