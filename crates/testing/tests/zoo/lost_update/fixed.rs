//! Read and written under one lock.

use super::world::World;
use std::sync::Arc;

// ANCHOR: program
/// One increment.
pub async fn program(world: Arc<World>, _: usize) {
    let mut counter = world.counter.lock().await;
    *counter += 1;
}
// ANCHOR_END: program
