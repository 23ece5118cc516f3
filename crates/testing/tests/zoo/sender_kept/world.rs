//! Sensors that are read, and readings that are stored.

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
/// How many sensors there are.
pub const SENSORS: usize = 3;

/// Counts the readings.
#[derive(Debug, Default)]
pub struct World {
    stored: AtomicUsize,
}

impl World {
    /// Takes 10 ms.
    pub async fn read(&self, sensor: usize) -> usize {
        sleep(Duration::from_millis(10)).await;
        20 + sensor
    }

    /// Stores a reading.
    pub fn store(&self, _reading: usize) {
        self.stored.fetch_add(1, Relaxed);
    }
}

/// A fresh one.
pub fn world() -> Arc<World> {
    Arc::default()
}

/// What an ordinary test asserts when the program has run.
///
/// # Errors
/// What is not as it should be.
pub fn after(world: &World) -> Result<(), String> {
    let stored = world.stored.load(Relaxed);
    if stored == SENSORS { Ok(()) } else { Err(format!("{stored} of {SENSORS} stored")) }
}
