//! Four lookups of 10 ms each, at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::time::sleep;

/// How many run at once.
pub const AT_ONCE: usize = 1;

/// A service that counts.
#[derive(Debug, Default)]
pub struct World {
    in_flight: AtomicUsize,
    peak: AtomicUsize,
    answered: AtomicUsize,
}

impl World {
    /// Takes 10 ms.
    pub async fn look_up(&self, id: usize) -> usize {
        let now = self.in_flight.fetch_add(1, Relaxed) + 1;
        self.peak.fetch_max(now, Relaxed);
        sleep(Duration::from_millis(10)).await;
        self.in_flight.fetch_sub(1, Relaxed);
        self.answered.fetch_add(1, Relaxed);
        id
    }
}

/// A fresh one.
pub fn world() -> Arc<World> {
    Arc::default()
}

/// What an ordinary test asserts when the program has run: never more than four at once, as the origin's does.
///
/// # Errors
/// What is not as it should be.
pub fn after(world: &World) -> Result<(), String> {
    let (peak, answered) = (world.peak.load(Relaxed), world.answered.load(Relaxed));
    if peak <= 4 && answered == 4 { Ok(()) } else { Err(format!("peak {peak}, {answered} answered")) }
}

/// What a proof asserts: exactly four at once, in the time of one.
///
/// # Errors
/// What is not as it should be.
pub fn proof(world: &World, elapsed: Duration) -> Result<(), String> {
    let peak = world.peak.load(Relaxed);
    if peak == 4 && elapsed == Duration::from_millis(10) {
        Ok(())
    } else {
        Err(format!("peak {peak} in {elapsed:?}, not 4 in 10ms"))
    }
}
