//! `shutdown` aborts, and waits until all is over.

use super::world::World;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Uploads until the user cancels, and cleans up.
pub async fn program(world: Arc<World>, _: usize) {
    let mut uploads = JoinSet::new();
    uploads.spawn(world.clone().upload());
    world.cancelled().await;
    // ANCHOR: cure
    uploads.shutdown().await;
    // ANCHOR_END: cure
    world.remove();
}
