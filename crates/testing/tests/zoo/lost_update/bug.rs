//! Read under one lock, written under the next: what others wrote in between is lost.

use super::world::World;
use std::sync::Arc;

// ANCHOR: program
/// One increment.
pub async fn program(world: Arc<World>, _: usize) {
    let read = *world.counter.lock().await;
    *world.counter.lock().await = read + 1;
}
// ANCHOR_END: program
