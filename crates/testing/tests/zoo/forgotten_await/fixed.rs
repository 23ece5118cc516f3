//! With `.await`, it is saved before it is confirmed.

use super::world::World;
use std::sync::Arc;

/// Takes an order.
pub async fn program(world: Arc<World>, _: usize) {
    // ANCHOR: cure
    world.save(1).await;
    // ANCHOR_END: cure
    world.confirm(1).await;
}
