//! An order, and a mail about it to a customer of whom there is no address.

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

/// A table of orders, and a mailer.
#[derive(Debug, Default)]
pub struct World {
    stored: AtomicUsize,
    mailed: AtomicUsize,
    /// Customers of whom there is no address.
    pub unreachable: AtomicUsize,
}

impl World {
    /// Takes 10 ms.
    pub async fn store(&self) {
        sleep(Duration::from_millis(10)).await;
        self.stored.fetch_add(1, Relaxed);
    }

    /// Takes 10 ms, and finds none.
    pub async fn address(&self) -> Option<String> {
        sleep(Duration::from_millis(10)).await;
        None
    }

    /// Takes 10 ms.
    pub async fn mail(&self, _address: String) {
        sleep(Duration::from_millis(10)).await;
        self.mailed.fetch_add(1, Relaxed);
    }
}

/// A fresh one.
pub fn world() -> Arc<World> {
    Arc::default()
}

/// What an ordinary test asserts when the program has run: the order is there.
///
/// # Errors
/// What is not as it should be.
pub fn after(world: &World) -> Result<(), String> {
    let stored = world.stored.load(Relaxed);
    if stored == 1 { Ok(()) } else { Err(format!("{stored} stored, not 1")) }
}

/// What a proof asserts: the customer has mail, or somebody knows of it.
///
/// # Errors
/// What is not as it should be.
pub fn proof(world: &World, _: Duration) -> Result<(), String> {
    let (mailed, unreachable) = (world.mailed.load(Relaxed), world.unreachable.load(Relaxed));
    if mailed + unreachable == 1 {
        Ok(())
    } else {
        Err(format!("{mailed} mailed, {unreachable} unreachable"))
    }
}
