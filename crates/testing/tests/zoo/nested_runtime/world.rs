//! A job that is done under a lease, which a sweeper gives back for those who can't.

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

/// A table of leases.
#[derive(Debug, Default)]
pub struct World {
    leased: AtomicUsize,
    for_the_sweeper: AtomicUsize,
    done: AtomicUsize,
}

impl World {
    /// Takes 10 ms.
    pub async fn lease(&self) {
        sleep(Duration::from_millis(10)).await;
        self.leased.fetch_add(1, Relaxed);
    }

    /// Takes 10 ms.
    pub async fn give_back(&self) {
        sleep(Duration::from_millis(10)).await;
        self.leased.fetch_sub(1, Relaxed);
    }

    /// Tells the sweeper, who does it within a minute.
    pub fn abandon(&self) {
        self.for_the_sweeper.fetch_add(1, Relaxed);
    }

    /// Takes 10 ms.
    pub async fn work(&self) {
        sleep(Duration::from_millis(10)).await;
        self.done.fetch_add(1, Relaxed);
    }
}

/// A fresh one.
pub fn world() -> Arc<World> {
    Arc::default()
}

/// What an ordinary test asserts when the program has run: the job is done, and the lease given back.
///
/// # Errors
/// What is not as it should be.
pub fn after(world: &World) -> Result<(), String> {
    let (done, leased) = (world.done.load(Relaxed), world.leased.load(Relaxed));
    if (done, leased) == (1, 0) { Ok(()) } else { Err(format!("{done} done, {leased} leased")) }
}

/// What must hold wherever the program is dropped: what is leased, the sweeper knows.
///
/// # Errors
/// What is not as it should be.
pub async fn invariant(world: Arc<World>) -> Result<(), String> {
    let (leased, known) = (world.leased.load(Relaxed), world.for_the_sweeper.load(Relaxed));
    if leased == known { Ok(()) } else { Err(format!("{leased} leased, of which the sweeper knows {known}")) }
}
