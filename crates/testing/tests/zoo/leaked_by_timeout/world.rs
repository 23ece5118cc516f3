//! A report that takes half a minute, for a caller who waits for 100 ms.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering::Relaxed},
    },
    time::Duration,
};
use testing::proof::Ledger;
use tokio::time::sleep;

/// How many run at once.
pub const AT_ONCE: usize = 1;
/// How long the caller waits.
pub const PATIENCE: Duration = Duration::from_millis(100);

/// A database.
#[derive(Debug, Default)]
pub struct World {
    /// What the caller got.
    pub status: AtomicU16,
    ledger: Ledger,
}

impl World {
    /// Takes half a minute.
    pub async fn report(self: Arc<Self>) -> usize {
        self.ledger.watch("the report", sleep(Duration::from_secs(30))).await;
        42
    }
}

/// A fresh one.
pub fn world() -> Arc<World> {
    Arc::default()
}

/// What an ordinary test asserts when the program has run: the caller hears of the timeout.
///
/// # Errors
/// What is not as it should be.
pub fn after(world: &World) -> Result<(), String> {
    let status = world.status.load(Relaxed);
    if status == 504 { Ok(()) } else { Err(format!("the caller got {status}")) }
}

/// What a proof asserts: the query is over when the caller has its answer.
///
/// # Errors
/// What is not as it should be.
pub fn proof(world: &World, _: Duration) -> Result<(), String> {
    world.ledger.check_all_ended().map_err(|mismatch| mismatch.to_string())
}
