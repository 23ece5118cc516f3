//! Breaks `never-more`: a whole burst is put in at a time: whoever has just used the last one is given the next too early.

use std::{num::NonZeroU32, sync::Arc, time::Duration};
use tokio::{
    sync::Semaphore,
    time::{MissedTickBehavior, interval},
};
use tokio_util::task::AbortOnDropHandle;

pub struct RateLimit {
    tokens: Arc<Semaphore>,
    _refill: AbortOnDropHandle<()>,
}

impl RateLimit {
    pub fn new(per_second: NonZeroU32, burst: NonZeroU32) -> Self {
        let burst = burst.get() as usize;
        let tokens = Arc::new(Semaphore::new(burst));
        let refilled = tokens.clone();
        let refill = async move {
            let mut ticks = interval(Duration::from_secs(1) * burst as u32 / per_second.get());
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            ticks.tick().await;
            loop {
                ticks.tick().await;
                refilled.add_permits(burst - refilled.available_permits());
            }
        };
        Self { tokens, _refill: AbortOnDropHandle::new(tokio::spawn(refill)) }
    }

    pub async fn acquire(&self) {
        if let Ok(token) = self.tokens.acquire().await {
            token.forget();
        }
    }
}
