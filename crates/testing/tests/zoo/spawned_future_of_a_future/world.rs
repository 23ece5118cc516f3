//! Orders that are saved by a task each.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};
use testing::must_await;
use tokio::time::sleep;

/// How many run at once.
pub const AT_ONCE: usize = 1;
/// How many orders there are.
pub const ORDERS: usize = 3;

/// A table of orders.
#[derive(Debug, Default)]
pub struct World {
    saved: AtomicUsize,
    /// What the caller was told.
    pub replied: AtomicUsize,
}

impl World {
    /// Takes 10 ms.
    pub fn save(self: Arc<Self>, _order: usize) -> impl Future<Output = ()> + Send {
        must_await(async move {
            sleep(Duration::from_millis(10)).await;
            self.saved.fetch_add(1, Relaxed);
        })
    }
}

/// A fresh one.
pub fn world() -> Arc<World> {
    Arc::default()
}

/// What an ordinary test asserts when the program has run: the caller was told the right number.
///
/// # Errors
/// What is not as it should be.
pub fn after(world: &World) -> Result<(), String> {
    let replied = world.replied.load(Relaxed);
    if replied == ORDERS { Ok(()) } else { Err(format!("told that {replied} are saved, not {ORDERS}")) }
}

/// What a proof asserts: it is the number of those saved.
///
/// # Errors
/// What is not as it should be.
pub fn proof(world: &World, _: Duration) -> Result<(), String> {
    let (saved, replied) = (world.saved.load(Relaxed), world.replied.load(Relaxed));
    if saved == ORDERS && replied == ORDERS { Ok(()) } else { Err(format!("{saved} saved, {replied} told")) }
}
