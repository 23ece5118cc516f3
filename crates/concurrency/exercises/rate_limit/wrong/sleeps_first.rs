//! Breaks `burst`: waits for `1 / rate` before each request, also when nobody has come for an hour.

use std::{num::NonZeroU32, time::Duration};
use tokio::{sync::Mutex, time::sleep};

pub struct RateLimit {
    period: Duration,
    turn: Mutex<()>,
}

impl RateLimit {
    pub fn new(per_second: NonZeroU32, _burst: NonZeroU32) -> Self {
        Self { period: Duration::from_secs(1) / per_second.get(), turn: Mutex::new(()) }
    }

    pub async fn acquire(&self) {
        let _turn = self.turn.lock().await;
        sleep(self.period).await;
    }
}
