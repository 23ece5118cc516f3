//! Computing is for a thread of its own.

use super::world::{World, hash};
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// Registers a user.
pub async fn program(world: Arc<World>, _: usize) {
    let password = world.form().await;
    // ANCHOR: cure
    let hash = spawn_blocking(move || hash(&password)).await.expect("hashing does not panic");
    // ANCHOR_END: cure
    world.store(hash).await;
}
