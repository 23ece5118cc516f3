//! Breaks `no-panic`: millionths of what came in, in a `u32`: after some minutes there is no room for them.

use std::num::NonZeroU32;
use tokio::{
    sync::Mutex,
    time::{Duration, Instant, sleep},
};
pub struct RateLimit {
    per_second: u32,
    burst: u32,
    state: Mutex<(Instant, u32)>,
}
impl RateLimit {
    pub fn new(per_second: NonZeroU32, burst: NonZeroU32) -> Self {
        let burst = burst.get();
        Self { per_second: per_second.get(), burst, state: Mutex::new((Instant::now(), burst * 1_000_000)) }
    }
    pub async fn acquire(&self) {
        let mut state = self.state.lock().await;
        loop {
            let now = Instant::now();
            let came = (now - state.0).as_micros() as u32 * self.per_second;
            *state = (now, (state.1 + came).min(self.burst * 1_000_000));
            if state.1 >= 1_000_000 {
                state.1 -= 1_000_000;
                return;
            }
            let missing = 1_000_000 - state.1;
            sleep(Duration::from_micros((missing / self.per_second) as u64 + 1)).await;
        }
    }
}
