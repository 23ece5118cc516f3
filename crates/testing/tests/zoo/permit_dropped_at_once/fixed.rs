//! `_permit` is a name, and holds it to the end of the block.

use super::world::World;
use std::sync::Arc;

/// Calls the service.
pub async fn program(world: Arc<World>, caller: usize) {
    // ANCHOR: cure
    let _permit = world.permits.acquire().await;
    // ANCHOR_END: cure
    world.call(caller).await;
}
