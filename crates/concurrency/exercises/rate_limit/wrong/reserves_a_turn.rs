//! Breaks `given-back`: takes its turn when it comes and sleeps until then; who leaves meanwhile takes the turn along.

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
        let turn = {
            let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
            let turn = *full_at - self.ahead;
            *full_at = Instant::now().max(*full_at) + self.period;
            turn
        };
        sleep_until(turn).await;
    }
}
