//! A question to two replicas, of which one is slow.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use testing::proof::Ledger;
use tokio::time::sleep;

/// How many run at once.
pub const AT_ONCE: usize = 1;

/// The replicas, by the milliseconds that they take.
#[derive(Debug, Default)]
pub struct World {
    /// What was answered first.
    pub answer: AtomicU64,
    ledger: Ledger,
}

impl World {
    /// Takes as long as the replica takes, and gives which it was.
    pub async fn ask(self: Arc<Self>, replica: u64) -> u64 {
        let answer = sleep(Duration::from_millis(replica));
        self.ledger.watch(format!("replica {replica}"), answer).await;
        replica
    }
}

/// A fresh one.
pub fn world() -> Arc<World> {
    Arc::default()
}

/// What an ordinary test asserts when the program has run: the faster one answers.
///
/// # Errors
/// What is not as it should be.
pub fn after(world: &World) -> Result<(), String> {
    let answer = world.answer.load(Relaxed);
    if answer == 10 { Ok(()) } else { Err(format!("{answer} answered, not 10")) }
}

/// What a proof asserts: nobody is asked any more, once there is an answer.
///
/// # Errors
/// What is not as it should be.
pub fn proof(world: &World, _: Duration) -> Result<(), String> {
    world.ledger.check_all_ended().map_err(|mismatch| mismatch.to_string())
}
