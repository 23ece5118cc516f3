//! Breaks `nothing-left`: the task that gives out the turns has a sender of its own queue, so that queue never ends.

use std::{num::NonZeroU32, time::Duration};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until},
};

pub struct RateLimit {
    queue: mpsc::Sender<oneshot::Sender<()>>,
}

impl RateLimit {
    pub fn new(per_second: NonZeroU32, burst: NonZeroU32) -> Self {
        let period = Duration::from_secs(1) / per_second.get();
        let ahead = period * (burst.get() - 1);
        let (queue, mut waiting) = mpsc::channel::<oneshot::Sender<()>>(1_000);
        let kept = queue.clone();
        tokio::spawn(async move {
            let mut full_at = Instant::now();
            while let Some(turn) = waiting.recv().await {
                sleep_until(full_at - ahead).await;
                if turn.send(()).is_ok() {
                    full_at = Instant::now().max(full_at) + period;
                }
            }
            drop(kept);
        });
        Self { queue }
    }

    pub async fn acquire(&self) {
        let (turn, mine) = oneshot::channel();
        drop(self.queue.send(turn).await);
        drop(mine.await);
    }
}
