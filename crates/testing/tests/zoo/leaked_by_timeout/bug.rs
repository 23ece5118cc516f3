//! A timeout around a `JoinHandle` drops the handle, and the task runs on.

use super::world::{PATIENCE, World};
use std::sync::{Arc, atomic::Ordering::Relaxed};
use tokio::time::timeout;

// ANCHOR: program
/// Answers within the caller's patience.
pub async fn program(world: Arc<World>, _: usize) {
    let report = tokio::spawn(world.clone().report());
    let status = match timeout(PATIENCE, report).await {
        Ok(Ok(_)) => 200,
        Ok(Err(_)) => 500,
        Err(_) => 504,
    };
    world.status.store(status, Relaxed);
}
// ANCHOR_END: program
