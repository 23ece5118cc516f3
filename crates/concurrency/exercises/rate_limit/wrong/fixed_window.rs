//! Breaks `never-more`: counts in windows that begin by the clock: a burst at the end of one and a burst at the begin of the next are two.

use std::{num::NonZeroU32, time::Duration};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until},
};

pub struct RateLimit {
    window: Duration,
    burst: u32,
    state: Mutex<(Instant, u32)>,
}

impl RateLimit {
    pub fn new(per_second: NonZeroU32, burst: NonZeroU32) -> Self {
        let window = Duration::from_secs(1) * burst.get() / per_second.get();
        Self { window, burst: burst.get(), state: Mutex::new((Instant::now(), 0)) }
    }

    pub async fn acquire(&self) {
        let mut state = self.state.lock().await;
        let (mut begin, mut count) = *state;
        if count == self.burst {
            sleep_until(begin + self.window).await;
        }
        while begin + self.window <= Instant::now() {
            (begin, count) = (begin + self.window, 0);
        }
        *state = (begin, count + 1);
    }
}
