//! A password is hashed between two awaits: for 250 ms the event loop computes and serves nobody else.

use super::world::{World, hash};
use std::sync::Arc;

// ANCHOR: program
/// Registers a user.
pub async fn program(world: Arc<World>, _: usize) {
    let password = world.form().await;
    let hash = hash(&password);
    world.store(hash).await;
}
// ANCHOR_END: program
