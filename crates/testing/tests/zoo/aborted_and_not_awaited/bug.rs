//! A task is aborted and not awaited: its destructors have yet to run when its file is removed.

use super::world::World;
use std::sync::Arc;
use tokio::task::JoinSet;

// ANCHOR: program
/// Uploads until the user cancels, and cleans up.
pub async fn program(world: Arc<World>, _: usize) {
    let mut uploads = JoinSet::new();
    uploads.spawn(world.clone().upload());
    world.cancelled().await;
    uploads.abort_all();
    world.remove();
}
// ANCHOR_END: program
