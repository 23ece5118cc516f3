//! The timeout is around the work itself, and drops it.

use super::world::{PATIENCE, World};
use std::sync::{Arc, atomic::Ordering::Relaxed};
use tokio::time::timeout;

/// Answers within the caller's patience.
pub async fn program(world: Arc<World>, _: usize) {
    // ANCHOR: cure
    let report = world.clone().report();
    let status = match timeout(PATIENCE, report).await {
        Ok(_) => 200,
        Err(_) => 504,
    };
    // ANCHOR_END: cure
    world.status.store(status, Relaxed);
}
