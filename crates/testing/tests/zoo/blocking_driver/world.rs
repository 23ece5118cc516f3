//! A database whose driver knows nothing of async, as those of diesel and rusqlite: each call keeps its thread until the
//! server has answered.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};
use tokio::{sync::Semaphore, time::sleep};

/// How many run at once.
pub const AT_ONCE: usize = 1;

/// The table of orders, and the only connection to it.
#[derive(Debug)]
pub struct World {
    stored: Mutex<Vec<u32>>,
    /// As many as there are connections.
    pub connections: Arc<Semaphore>,
}

/// A transaction of the synchronous driver.
#[derive(Debug)]
pub struct Transaction<'a> {
    world: &'a World,
    inserted: Vec<u32>,
}

impl World {
    /// An order comes in.
    pub async fn receive(&self) -> u32 {
        sleep(Duration::from_millis(1)).await;
        7
    }

    /// Begins one.
    #[must_use]
    pub fn begin(&self) -> Transaction<'_> {
        Transaction { world: self, inserted: Vec::new() }
    }

    fn stored(&self) -> MutexGuard<'_, Vec<u32>> {
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transaction<'_> {
    /// Inserts an order.
    pub fn insert(&mut self, order: u32) {
        answer();
        self.inserted.push(order);
    }

    /// Keeps what was inserted.
    pub fn commit(mut self) {
        answer();
        self.world.stored().append(&mut self.inserted);
    }
}

/// The server answers after 250 ms, and the driver waits for it.
fn answer() {
    thread::sleep(Duration::from_millis(250));
}

/// A fresh one.
pub fn world() -> Arc<World> {
    Arc::new(World { stored: Mutex::default(), connections: Arc::new(Semaphore::new(1)) })
}

/// What an ordinary test asserts when the program has run.
///
/// # Errors
/// What is not as it should be.
pub fn after(world: &World) -> Result<(), String> {
    let stored = world.stored();
    if *stored == [7] { Ok(()) } else { Err(format!("stored: {stored:?}")) }
}
