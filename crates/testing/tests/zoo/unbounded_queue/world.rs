//! Events come in every millisecond, and to store one takes ten.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use testing::proof::{Gauge, Inside};
use tokio::time::sleep;

/// How many run at once.
pub const AT_ONCE: usize = 1;
/// How many events there are.
pub const EVENTS: usize = 30;
/// How many may wait.
pub const CAPACITY: usize = 8;

/// One event. It is in memory until it is dropped.
#[derive(Debug)]
pub struct Event {
    /// Counted while it is there.
    pub held: Inside,
}

/// Counts the events.
#[derive(Debug, Default)]
pub struct World {
    in_memory: Gauge,
    stored: AtomicUsize,
}

impl World {
    /// The next event: after 1 ms.
    pub async fn receive(&self, n: usize) -> Event {
        sleep(Duration::from_millis(1)).await;
        Event { held: self.in_memory.enter(format!("event {n}")) }
    }

    /// Takes 10 ms.
    pub async fn store(&self, event: Event) {
        sleep(Duration::from_millis(10)).await;
        self.stored.fetch_add(1, Relaxed);
        drop(event);
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
    if stored == EVENTS { Ok(()) } else { Err(format!("{stored} of {EVENTS} stored")) }
}

/// What a proof asserts: in memory are those that may wait, the one that is stored, and the one that came in.
///
/// # Errors
/// What is not as it should be.
pub fn proof(world: &World, _: Duration) -> Result<(), String> {
    Ok(world.in_memory.check_peak(CAPACITY + 2)?)
}
